//! The wire: generated types, the client that the command line uses, and the services behind the
//! door. A service parses, calls the gate once and encodes.
//!
//! Generated types and statuses live here and in the executable's own rooms; what lies below has types of its
//! own.

mod administration;
mod agreement;
mod answer_time;
mod breach;
mod call;
mod case;
pub mod change_form;
pub mod client;
mod disclosure;
mod embedding;
mod enrolment;
mod in_order;
mod journal;
pub mod limits;
mod log;
mod page;
mod parse;
pub mod pb;
mod query;
pub mod refused;
mod services;
pub mod status;
mod subject;
pub mod timestamp;
mod watch;

pub use answer_time::{ANSWERS_LATE, AnswerTime, AnswerTimeError, Step};
pub use services::{Reflection, ReflectionError, ServiceSettings, Services, services};
