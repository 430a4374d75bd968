//! Why a use case did not happen. Nothing in it depends on who is enrolled.

use crate::authz::Reason;
use crate::clock::Timestamp;
use crate::keys::webauthn::WebAuthnError;
use crate::matching::MatchingError;
use crate::store::StoreError;

use super::OpenError;

/// Why a use case did not happen.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The certificate is nobody's that is registered.
    #[error(
        "this certificate is not registered; ask an administrator of the holder to register its id and key"
    )]
    Unknown,
    /// The rules refused it; the refusal is logged.
    #[error("{}", .0.sentence())]
    Refused(Reason),
    /// A field is not in its form.
    #[error("`{field}` can't be used: {what}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong with it, and what to send.
        what: String,
    },
    /// The caller's clock and ours are too far apart.
    #[error(
        "the request's time is more than 5 minutes from the holder's clock, which shows {now}; set your clock"
    )]
    ClockSkew {
        /// Our time.
        now: Timestamp,
    },
    /// The request id was used for something else.
    #[error("this request id was used for another request; use a new one for each request")]
    RequestIdUsed,
    /// The request id was used too long ago.
    #[error("this request id is older than its window; use a new one")]
    RequestIdOver,
    /// The signature is not the caller's over this very request.
    #[error(
        "the signature does not hold; sign the digest of exactly this request with the key of your certificate"
    )]
    Signature,
    /// What a passkey said is not what was asked for.
    #[error(transparent)]
    Passkey(#[from] WebAuthnError),
    /// There is no such thing of the caller's.
    #[error("there is no such {0} of yours; check the name")]
    NotFound(&'static str),
    /// Something must be there first.
    #[error("{0}")]
    NotNow(String),
    /// The witnesses have not seen it yet.
    #[error("{UNWITNESSED}")]
    Unwitnessed,
    /// The query is not a hit of the caller's own.
    #[error("the query is not a hit of your own; a disclosure follows on a hit")]
    NoHit,
    /// The same person or role can't do both halves.
    #[error(
        "a change takes two people of different roles, an administrator and a privacy officer; ask somebody of the other role"
    )]
    SameRole,
    /// The search failed; nothing was answered and nothing counted.
    #[error("nothing was answered; ask again")]
    Matching(#[source] MatchingError),
    /// The store failed; nothing was answered.
    #[error("nothing was answered; ask again")]
    Store(#[source] StoreError),
    /// Something of our own went wrong.
    #[error("nothing was answered; ask again")]
    Internal {
        /// What was being done, for our log.
        doing: &'static str,
    },
    /// The change is in effect but could not be loaded.
    #[error("the change is in effect, but the server could not load it; ask an operator to restart it")]
    Reload(#[source] Box<OpenError>),
}

/// What waits for witnesses waits for this.
const UNWITNESSED: &str =
    "not enough witnesses have seen this in the holder's log yet; ask again in a minute";

impl GateError {
    /// A failure to load what a change made.
    pub(super) fn reload(error: OpenError) -> Self {
        Self::Reload(Box::new(error))
    }
}

impl From<StoreError> for GateError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<crate::store::WrongReceipt> for GateError {
    fn from(_: crate::store::WrongReceipt) -> Self {
        Self::Internal { doing: "opening what was withheld" }
    }
}

impl From<crate::secret::EntropyError> for GateError {
    fn from(_: crate::secret::EntropyError) -> Self {
        Self::Internal { doing: "drawing randomness" }
    }
}
