//! A witness: it cosigns checkpoints of the logs that it knows, each only when it grew out of what the witness
//! saw last, so that a log with two faces shows one of them to nobody who asks for witnesses
//! (C2SP tlog-witness, <https://c2sp.org/tlog-witness>).
//!
//! It keeps one file for each log and a key, and knows nothing of what logs say. What it cosigned is on the disk
//! before its cosignature leaves. That holds as long as its folder does: a witness whose folder is lost must not
//! go on with the same key.

mod folder;
mod key;
mod rules;
mod serve;

pub use folder::{Folder, FolderError};
pub use key::{KeyError, SigningKey};
pub use rules::{Answer, Witness, WitnessError};
pub use serve::{ServeError, Tls, serve};
