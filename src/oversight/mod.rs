//! What privacy officers need to answer for the exchange, worked out of what the log says.
//!
//! Everything here is pure: opened entries come in, findings go out. Reading the log, and the entry that says so, is for
//! whoever calls.

mod figures;
mod judgement;
mod noise;
mod odds;
mod replay;
mod seen;
mod watch;

pub use figures::{Figures, Month, Searched, Tally, quartiles, spread};
pub use judgement::Judgement;
pub use noise::{EPSILON, FLOOR, Published, SECRET_BYTES, Secrets, commitment, odds_ratio, published};
pub use replay::{Differently, Replay, Replayed};
pub use seen::{Place, Seen, What};
pub use watch::{Alert, Detector, ENTRIES_SHOWN, ODDS_OF_A_CASE, ODDS_OF_A_WINDOW, Watch, Whom};
