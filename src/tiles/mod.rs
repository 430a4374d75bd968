//! The log over HTTPS: each journal as C2SP tlog-tiles (<https://c2sp.org/tlog-tiles>) below `https://host/journal`,
//! behind a door of its own with the same certificate, trust and limits as that of the calls.
//!
//! `GET /journal/checkpoint`, `/journal/tile/L/N` and `/journal/tile/entries/N`, the partial ones with `.p/W`. A
//! request is parsed, asked of the gate once, and answered. What opens entries is never served here.
//!
//! Bodies are not compressed: hashes and commitments are random to whoever can't open them.

mod path;
mod reply;
mod serving;

pub use serving::Tiles;
