//! What privacy officers need to answer for the exchange, worked out of what the log says.
//!
//! Everything here is pure: opened entries come in, findings go out. Reading the log, and the entry that says so, is for
//! whoever calls.

mod replay;

pub use replay::{Differently, Replay, Replayed};
