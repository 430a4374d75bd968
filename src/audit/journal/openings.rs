//! The openings of a bundle's entries, as they lie beside it in an export.

use crate::audit::entry::{EntryError, Opening, Side};
use crate::audit::tiles::BundleId;

/// Bytes that are no openings of a bundle's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpeningsError {
    /// The bytes end early, a side comes twice, or the sides are out of order.
    #[error("the openings of entry {0} are not in their form; ask for the export again")]
    Form(u64),
    /// An opening that is none.
    #[error("an opening of entry {index} is not in its form")]
    Opening {
        /// Index of the entry in the journal.
        index: u64,
        /// What is wrong with it.
        source: EntryError,
    },
    /// There are bytes after the last entry's openings.
    #[error("something follows the last opening; ask for the export again")]
    Trailing,
}

/// The bytes of an openings file: for each entry of a bundle the number of its openings (u8), then each after
/// its length (u32, big-endian), the partner's before the holder's. Only the first opening of a side counts.
#[must_use]
pub fn encode_openings(entries: &[Vec<Opening>]) -> Vec<u8> {
    let mut file = Vec::new();
    for openings in entries {
        let sides =
            [Side::Partner, Side::Holder].map(|side| openings.iter().find(|opening| opening.side() == side));
        let mut count = 0_u8;
        let mut encoded = Vec::new();
        for opening in sides.into_iter().flatten() {
            let bytes = opening.encode();
            // An opening has at most 64 KiB and a few bytes.
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            encoded.extend_from_slice(&length.to_be_bytes());
            encoded.extend_from_slice(&bytes);
            count += 1;
        }
        file.push(count);
        file.extend_from_slice(&encoded);
    }
    file
}

/// Reads the openings of the entries of `bundle`. That they are the entries' own is for
/// [`Entry::opens`](crate::audit::entry::Entry::opens).
///
/// # Errors
/// [`OpeningsError`] when the bytes are not as [`encode_openings`] writes them.
pub fn parse_openings(bytes: &[u8], bundle: BundleId) -> Result<Vec<Vec<Opening>>, OpeningsError> {
    let mut entries = Vec::with_capacity(bundle.width().into());
    let mut rest = bytes;
    for index in bundle.entries() {
        let form = || OpeningsError::Form(index);
        let (count, mut after) = rest.split_first().ok_or_else(form)?;
        let mut openings: Vec<Opening> = Vec::new();
        for _ in 0..*count {
            let (length, tail) = after.split_first_chunk().ok_or_else(form)?;
            let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| form())?;
            let (encoded, tail) = tail.split_at_checked(length).ok_or_else(form)?;
            let opening =
                Opening::decode(encoded).map_err(|source| OpeningsError::Opening { index, source })?;
            if openings.last().is_some_and(|before| before.side() >= opening.side()) {
                return Err(form());
            }
            openings.push(opening);
            after = tail;
        }
        entries.push(openings);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(OpeningsError::Trailing) }
}
