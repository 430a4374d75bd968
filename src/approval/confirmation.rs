//! What a fresh sample says about a hit: its quality and one of three words, for officers. Never a score.

use std::fmt;
use std::str::FromStr;

use super::FormError;
use super::canonical::{Reader, Writer};
use crate::ids::{Digest, RequestId};
use crate::template::{Quality, Sample};

/// What comparing a fresh sample with the matched subject came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmationWord {
    /// As alike as two samples of one person are.
    Confirms,
    /// Neither; also where nothing is held any more that it could be compared with.
    Inconclusive,
    /// No more alike than samples of two people.
    Contradicts,
}

impl ConfirmationWord {
    /// Every word, in the order of the documents.
    pub const ALL: [Self; 3] = [Self::Confirms, Self::Inconclusive, Self::Contradicts];

    /// The word that is kept and shown; it never changes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirms => "confirms",
            Self::Inconclusive => "inconclusive",
            Self::Contradicts => "contradicts",
        }
    }
}

impl fmt::Display for ConfirmationWord {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for ConfirmationWord {
    type Err = FormError;
    fn from_str(text: &str) -> Result<Self, FormError> {
        Self::ALL.into_iter().find(|word| word.as_str() == text).ok_or(FormError::Record("a confirmation"))
    }
}

/// A hit that was confirmed, or not, by a fresh sample.
#[derive(Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// What the comparison came to.
    pub word: ConfirmationWord,
    /// The quality of the fresh sample.
    pub quality: Quality,
    /// Random bytes. A partner knows all else of its request and reads its digest: without these it could find out the word
    /// by trying all three.
    pub salt: [u8; SALT_BYTES],
}

impl Confirmation {
    pub(super) fn write(&self, record: Writer) -> Writer {
        record
            .field(WORD, self.word.as_str().as_bytes())
            .field(QUALITY, &qualities_bytes(&[self.quality]))
            .field(SALT, &self.salt)
    }

    pub(super) fn read(record: &mut Reader<'_>) -> Result<Option<Self>, FormError> {
        let Some(word) = record.maybe_text(WORD)? else { return Ok(None) };
        let quality = quality_of(record.array::<1>(QUALITY)?.into_iter().next(), record)?;
        Ok(Some(Self { word: word.parse()?, quality, salt: record.array(SALT)? }))
    }
}

/// What a partner signs of its fresh sample: SHA-256 of `onebit/confirmation-sample/v1`, a zero byte, the 16 bytes of the
/// request id, and [`Sample::content`] (components as little-endian 32-bit floats, then the quality, 255 for unknown). The
/// request id in it keeps digests of one sample apart.
#[must_use]
pub fn sample_digest(request: RequestId, sample: &Sample) -> Digest {
    let content = sample.content();
    let mut bytes =
        zeroize::Zeroizing::new(Vec::with_capacity(content.len().saturating_add(SAMPLE_DOMAIN.len() + 17)));
    bytes.extend_from_slice(SAMPLE_DOMAIN.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(request.as_bytes());
    bytes.extend_from_slice(&content);
    Digest::sha256(&bytes)
}

/// A byte a sample; 255 for an unknown quality.
pub(super) fn qualities_bytes(qualities: &[Quality]) -> Vec<u8> {
    qualities.iter().map(|quality| quality.to_byte()).collect()
}

pub(super) fn qualities_of(bytes: &[u8], record: &Reader<'_>) -> Result<Vec<Quality>, FormError> {
    bytes.iter().map(|byte| quality_of(Some(*byte), record)).collect()
}

fn quality_of(byte: Option<u8>, record: &Reader<'_>) -> Result<Quality, FormError> {
    byte.and_then(Quality::from_byte).ok_or_else(|| record.refused())
}

/// The number of random bytes beside a word.
pub const SALT_BYTES: usize = 16;
const SAMPLE_DOMAIN: &str = "onebit/confirmation-sample/v1";
const WORD: u8 = 9;
const QUALITY: u8 = 10;
const SALT: u8 = 11;
