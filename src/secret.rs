//! Bytes that must not be seen: they wipe themselves and have no `Debug`, `Display` or `PartialEq`.

use std::sync::{Arc, Mutex, PoisonError};

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

/// `N` secret bytes, wiped when dropped.
pub struct Secret<const N: usize>(Zeroizing<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Takes the bytes and wipes the caller's copy.
    #[must_use]
    pub fn take(bytes: &mut [u8; N]) -> Self {
        let secret = Self(Zeroizing::new(*bytes));
        bytes.zeroize();
        secret
    }

    /// Draws new secret bytes.
    ///
    /// # Errors
    /// [`EntropyError`] when the system gives no randomness.
    pub fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut bytes = Zeroizing::new([0; N]);
        entropy.fill(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    /// Shows the bytes to the code that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// A second copy, which wipes itself as well.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Secret bytes of any length, wiped when dropped.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes over `bytes`; the buffer is not copied.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Shows the bytes to the code that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Whether two texts are the same; takes as long whichever of their bytes differ.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    let differing = one.bytes().zip(other.bytes()).fold(0, |bits, (one, other)| bits | (one ^ other));
    one.len() == other.len() && std::hint::black_box(differing) == 0
}

/// The system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no randomness; check that /dev/urandom can be read")]
pub struct EntropyError;

/// Where randomness comes from.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with randomness fit for keys.
    ///
    /// # Errors
    /// [`EntropyError`] when there is none; `bytes` must not be used then.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// Draws `N` random bytes that need not be kept secret, such as an identifier's.
///
/// # Errors
/// [`EntropyError`] when there are none.
pub fn random_bytes<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}

/// The operating system's generator, through ring.
#[derive(Debug, Clone)]
pub struct SystemEntropy(SystemRandom);

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemEntropy {
    /// The operating system's generator.
    #[must_use]
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        self.0.fill(bytes).map_err(|_| EntropyError)
    }
}

/// Randomness drawn ahead from another source, for whoever draws a few bytes thousands of times a second: a call into
/// the system for each salt and nonce took longer than sealing with it. Each byte is given once and wiped here.
pub struct EntropyAhead {
    source: Arc<dyn Entropy>,
    drawn: Mutex<Drawn>,
}

struct Drawn {
    bytes: Zeroizing<[u8; DRAWN_BYTES]>,
    left: usize,
}

impl EntropyAhead {
    /// Draws from `source` when there is need.
    #[must_use]
    pub fn new(source: Arc<dyn Entropy>) -> Self {
        Self { source, drawn: Mutex::new(Drawn { bytes: Zeroizing::new([0; DRAWN_BYTES]), left: 0 }) }
    }
}

impl Entropy for EntropyAhead {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        if bytes.len() > DRAWN_BYTES {
            return self.source.fill(bytes);
        }
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.left < bytes.len() {
            // Nothing is left while the source is asked: what it filled before it failed is never given.
            drawn.left = 0;
            self.source.fill(drawn.bytes.as_mut_slice())?;
            drawn.left = DRAWN_BYTES;
        }
        let rest = drawn.left.saturating_sub(bytes.len());
        let left = drawn.left;
        let given = drawn.bytes.get_mut(rest..left).ok_or(EntropyError)?;
        bytes.copy_from_slice(given);
        given.zeroize();
        drawn.left = rest;
        Ok(())
    }
}

/// Salts and nonces of some sixty entries.
const DRAWN_BYTES: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Counts up, eight bytes at a time, and fails when it is told to.
    #[derive(Default)]
    struct Counting {
        next: AtomicU64,
        fail: std::sync::atomic::AtomicBool,
    }

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
            for chunk in bytes.chunks_mut(8) {
                let next = self.next.fetch_add(1, Ordering::Relaxed).to_le_bytes();
                chunk.copy_from_slice(&next[..chunk.len()]);
            }
            if self.fail.load(Ordering::Relaxed) { Err(EntropyError) } else { Ok(()) }
        }
    }

    #[test]
    fn no_byte_drawn_ahead_is_given_twice() {
        let ahead = EntropyAhead::new(Arc::new(Counting::default()));
        let mut seen = std::collections::HashSet::new();
        for round in 0..5_000 {
            let mut bytes = vec![0; if round % 2 == 0 { 8 } else { 16 }];
            ahead.fill(&mut bytes).unwrap();
            for word in bytes.as_chunks::<8>().0 {
                assert!(seen.insert(*word), "salts and nonces must never come twice");
            }
        }
        let mut long = vec![0; DRAWN_BYTES + 8];
        ahead.fill(&mut long).unwrap();
        assert!(long.as_chunks::<8>().0.iter().all(|word| seen.insert(*word)));
    }

    #[test]
    fn a_source_that_fails_gives_nothing_and_goes_on_afterwards() {
        let source = Arc::new(Counting::default());
        let ahead = EntropyAhead::new(source.clone());
        let mut bytes = [0; DRAWN_BYTES];
        ahead.fill(&mut bytes).unwrap();
        source.fail.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            assert!(ahead.fill(&mut [0; 16]).is_err(), "what a failed source left must not be used");
        }
        source.fail.store(false, Ordering::Relaxed);
        ahead.fill(&mut bytes).unwrap();
    }

    #[test]
    fn what_was_given_is_wiped() {
        let ahead = EntropyAhead::new(Arc::new(SystemEntropy::new()));
        ahead.fill(&mut [0; 100]).unwrap();
        let drawn = ahead.drawn.lock().unwrap();
        assert_eq!(drawn.bytes[drawn.left..], [0; 100]);
    }
}
