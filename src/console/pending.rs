//! What browsers were asked to have signed by a passkey, or were sent to the provider for, and has not come back yet: in memory, for minutes, each taken
//! once. A restart forgets it, and people begin again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::provider::ProviderVisit;
use super::session::Token;
use crate::gate::DecisionToSign;
use crate::secret::{Entropy, EntropyError, Secret, random_bytes};

/// What was asked.
pub(super) enum Asked {
    /// To be recognised by the agency's provider.
    Provider(Box<ProviderVisit>),
    /// To sign in.
    SignIn([u8; CHALLENGE_BYTES]),
    /// To register a passkey.
    Register {
        /// The secret of the invitation.
        invitation: Secret<32>,
        /// The challenge.
        challenge: [u8; CHALLENGE_BYTES],
    },
    /// To sign a decision.
    Decision(Box<DecisionToSign>),
}

/// Everything that was asked, by the token of the session or visit that it was asked in.
#[derive(Default)]
pub(super) struct Pending(Mutex<HashMap<String, (Instant, Asked)>>);

impl Pending {
    /// Keeps what was asked, in place of what this visit was asked before.
    pub(super) fn keep(&self, token: &Token, asked: Asked) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        all.retain(|_, (since, _)| now.duration_since(*since) < KEPT);
        if all.len() >= PENDING_MAX {
            // Whoever fills it on purpose pushes out others, who begin again; memory stays bounded.
            let oldest = all.iter().min_by_key(|(_, (since, _))| *since).map(|(token, _)| token.clone());
            oldest.and_then(|oldest| all.remove(&oldest));
        }
        all.insert(token.as_str().to_owned(), (now, asked));
    }

    /// Takes what this visit was asked, if that was not too long ago.
    pub(super) fn take(&self, token: &Token) -> Option<Asked> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, asked) = all.remove(token.as_str())?;
        (since.elapsed() < KEPT).then_some(asked)
    }
}

/// A challenge that nobody can foresee.
pub(super) fn challenge(entropy: &dyn Entropy) -> Result<[u8; CHALLENGE_BYTES], EntropyError> {
    random_bytes(entropy)
}

/// Twice what Web Authentication Level 2 (section 13.4.3) asks for.
pub(super) const CHALLENGE_BYTES: usize = 32;
/// Web Authentication Level 2 (section 5.1.3) recommends 5 minutes where somebody has to be recognised.
const KEPT: Duration = Duration::from_secs(5 * 60);
/// A hundred sign-ins a second over five minutes would be an attack; at some 300 bytes each this is a megabyte.
const PENDING_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(byte: u16) -> Token {
        let mut secret = [0; 32];
        secret[..2].copy_from_slice(&byte.to_be_bytes());
        Token::of(&Secret::take(&mut secret))
    }

    #[test]
    fn what_was_asked_is_taken_once_and_by_its_own_visit() {
        let pending = Pending::default();
        pending.keep(&token(1), Asked::SignIn([1; 32]));
        pending.keep(&token(1), Asked::SignIn([2; 32]));
        assert!(pending.take(&token(2)).is_none());
        assert!(matches!(pending.take(&token(1)), Some(Asked::SignIn(challenge)) if challenge == [2; 32]));
        assert!(pending.take(&token(1)).is_none());
    }

    #[test]
    fn so_many_and_no_more_wait() {
        let pending = Pending::default();
        for number in 0..5_000 {
            pending.keep(&token(number), Asked::SignIn([0; 32]));
        }
        assert_eq!(pending.0.lock().unwrap().len(), PENDING_MAX);
        assert!(pending.take(&token(0)).is_none() && pending.take(&token(4_999)).is_some());
    }
}
