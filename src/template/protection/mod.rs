//! What protection does and does not do, measured: unlinkability, the change of accuracy, and attacks that are run.
//!
//! Everything here is for samples that whoever measures has anyway. Keys are made for the measurement from its seed;
//! no key of a collection is touched.

mod change;
mod decisions;
mod linear;
mod linkage;
mod numbers;
mod population;
mod recovery;
mod sketches;
mod theft;
mod unlinkability;

pub use change::{Form, PairChange, ScoreSet};
pub use decisions::{Decided, Trial};
pub use linkage::{Keys, LinkageFunction, LinkageScores, linkage_scores};
pub use population::{Population, PopulationError};
pub use recovery::{Recovered, recover};
pub use sketches::{Reconstructed, reconstruct};
pub use theft::{Attack, Overlap, Theft, link_collections};
pub use unlinkability::{
    Interval, LocalPoint, Resampling, ScoreTable, Unlinkability, exchange, unlinkability,
};
