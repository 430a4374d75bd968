//! The executable as people meet it: a real server over TLS on loopback with a real store, and the clients,
//! partners and officers around it as processes and connections of their own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a test that can't be set up, or finds something else than it says, has to stop"
)]

mod administration;
mod alerts;
mod authenticator;
mod backup;
mod bad_input;
mod breach;
mod browser;
mod calibrate;
mod canary;
mod chromium;
mod confirm;
mod console;
mod delegation;
mod demo;
mod disclosure;
mod door;
mod enrolment;
mod first_stage;
mod fsck;
mod holder;
mod house;
mod identity;
mod keys;
mod life;
mod log;
mod log_key;
mod memory;
mod no_fork;
mod notices;
mod one_person;
mod opened;
mod operating;
mod pages;
mod pairwise;
mod partner_side;
mod protection;
mod provider;
mod provider_browser;
mod python;
mod query;
mod readme;
mod receipts;
mod register;
mod renewal;
mod replay;
mod report;
mod retention;
mod roles;
mod samples_gone;
mod search;
mod snapshot;
mod story;
mod stream;
mod subject;
mod suspension;
mod third_party;
mod tiles;
mod times;
mod timing;
mod urgent;
mod verify;
mod voice;
mod witness;
