//! Invitations, passkeys, and sessions of people who signed in at the console. Of secrets only hashes are known here.

use crate::clock::Timestamp;
use crate::ids::{ActorName, ChangeId, Digest};

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The keyed hash of its secret.
    pub id: Digest,
    /// Whose it is.
    pub person: ActorName,
    /// The passkey that opened it, by the authenticator's name for it.
    pub credential: Vec<u8>,
    /// When it began.
    pub started: Timestamp,
    /// When it was used last, to the minute.
    pub seen: Timestamp,
    /// Whether the agency's provider signed its person in, and not a passkey.
    pub by_provider: bool,
}

/// A session that begins.
pub struct SessionNew {
    /// The keyed hash of its secret.
    pub id: Digest,
    /// The session in whose place it begins.
    pub before: Option<Digest>,
    /// What signed its person in.
    pub signed: SignedInBy,
    /// Sessions that began before this have ended, and go.
    pub ended: Timestamp,
}

/// What signed somebody in, once it was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedInBy {
    /// A passkey, and how often it has signed.
    Passkey(PasskeySigned),
    /// The agency's provider.
    Provider {
        /// Which account it recognised.
        account: ProviderAccount,
        /// How, as it says (`acr`).
        acr: Option<String>,
    },
}

/// An account at an agency's OpenID provider. Nothing else of what the provider says names anybody: an address of mail is
/// given to somebody else one day, this is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderAccount {
    /// The provider (`iss`).
    pub issuer: String,
    /// Its name for the person (`sub`).
    pub subject: String,
}

impl ProviderAccount {
    /// What entries name it by: SHA-256 of issuer, zero byte, subject.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::sha256(&[self.issuer.as_bytes(), &[0], self.subject.as_bytes()].concat())
    }
}

/// A passkey that signed something, once its signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeySigned {
    /// Which.
    pub credential: Vec<u8>,
    /// How often it has signed, as it says.
    pub sign_count: u32,
}

/// What came of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// The session has begun.
    Begun,
    /// The passkey is not confirmed, or its count has gone on since; or the account is bound to somebody else by now.
    Refused,
}

/// A passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// The authenticator's name for it.
    pub credential: Vec<u8>,
    /// Whose it is.
    pub person: ActorName,
    /// Its public key, DER SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
    /// How often it has signed, as it said last.
    pub sign_count: u32,
    /// Whether it stands for its person.
    pub state: PasskeyState,
    /// What its owner calls it.
    pub title: String,
    /// When it was registered.
    pub made: Timestamp,
    /// When it signed in or decided last.
    pub used: Option<Timestamp>,
}

impl Passkey {
    /// What the log and people know it by: SHA-256 of its public key.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::sha256(&self.public_key)
    }

    /// Whether it signs its person in, and their decisions.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.state == PasskeyState::Confirmed
    }
}

/// Whether a passkey stands for its person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasskeyState {
    /// It waits for a privacy officer.
    Registered,
    /// It does.
    Confirmed,
    /// It did, until it was ended or its person was suspended. Decisions that it signed are still verified by it.
    Ended,
}

impl PasskeyState {
    /// The word in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Confirmed => "confirmed",
            Self::Ended => "ended",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Registered, Self::Confirmed, Self::Ended].into_iter().find(|state| state.as_str() == text)
    }
}

/// A passkey that an invited person registers.
pub struct PasskeyNew {
    /// SHA-256 of the invitation's secret.
    pub invitation: Digest,
    /// The authenticator's name for it.
    pub credential: Vec<u8>,
    /// Its public key, DER SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
    /// How often it has signed, as it says.
    pub sign_count: u32,
    /// What its owner calls it, 1 to 40 characters.
    pub title: String,
    /// The change that proposes it.
    pub change: ChangeId,
}

/// A passkey that is to end.
pub struct PasskeyEnd {
    /// Whose.
    pub person: ActorName,
    /// Which: SHA-256 of its public key.
    pub fingerprint: Digest,
    /// Why.
    pub why: String,
}

/// What came of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasskeyRegistered {
    /// It is there, and a change proposes it.
    Proposed(ChangeId),
    /// The invitation is over or of somebody else, or the passkey is there already.
    Refused,
}
