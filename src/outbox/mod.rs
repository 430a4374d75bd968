//! What leaves the holder by its own doing: checkpoints of its journal, to witnesses.
//!
//! Everything here is tried again by whoever calls; nothing is kept but by the store's transactions.

mod witness;

pub use witness::{Addressee, Asked, OutboxError, checkpoint_hand_in, witness_ask};
