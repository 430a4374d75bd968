//! Onebit: hit/no-hit biometric matching between agencies.
//!
//! A partner asks whether a person is in the holder's gallery and gets one bit. Anything more leaves only
//! after people at the holder approved that one request, and every step stands in a log that neither side can
//! rewrite unseen. `docs/architecture.md` draws the house; `tests/it/house.rs` holds the code to it.
//!
//! The crate is built twice: whole, and without its default feature as the offline verifier, which is
//! [`audit`] alone.

pub mod audit;
pub mod clock;
pub mod ids;
pub mod secret;

#[cfg(feature = "service")]
pub mod approval;
#[cfg(feature = "service")]
pub mod authz;
#[cfg(feature = "service")]
pub mod cli;
#[cfg(feature = "service")]
pub mod config;
#[cfg(feature = "service")]
pub mod console;
#[cfg(feature = "service")]
pub mod door;
#[cfg(feature = "service")]
pub mod gate;
#[cfg(feature = "service")]
pub mod grpc;
#[cfg(feature = "service")]
pub mod index;
#[cfg(feature = "service")]
pub mod jobs;
#[cfg(feature = "service")]
pub mod keys;
#[cfg(feature = "service")]
pub mod matching;
#[cfg(feature = "service")]
pub mod outbox;
#[cfg(feature = "service")]
pub mod oversight;
#[cfg(feature = "service")]
pub mod server;
#[cfg(feature = "service")]
pub mod store;
#[cfg(feature = "service")]
pub mod telemetry;
#[cfg(feature = "service")]
pub mod template;
#[cfg(feature = "service")]
pub mod tiles;
#[cfg(feature = "service")]
pub mod witness;
