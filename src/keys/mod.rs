//! Keys: one root, everything else wrapped under it. The root lies in a file that a passphrase or a token opens.
//!
//! In the words of NIST SP 800-57 part 1: under the root key lie the keys of the ring, one *key-wrapping key* (or
//! *data-encryption key*, where values are few) for each [`Purpose`], in generations; subjects and days of the log have *data-encryption keys* of their own ([`DataKey`]), which the store
//! keeps wrapped, so that wiping one wrapped key makes everything under it unreadable. People sign with
//! *private signature keys* of their own ([`SigningKey`]); the log is signed with one that the holder keeps
//! ([`LogSigner`]); a release is sealed to the partner's *public key-transport key* ([`ReleasePublicKey`]).
//!
//! Not protected: whoever reads this process's memory reads its keys. Ours are wiped when dropped; the
//! expanded forms inside ring (AES schedules, Ed25519 scalars) are not.

mod cbor;
mod collection_key;
mod generation;
mod id_token;
mod jws;
mod notice;
mod release;
mod ring;
mod root;
mod seal;
mod signature;
mod signer;
mod tag;
mod token;
mod token_file;
pub mod webauthn;

pub use self::collection_key::CollectionKey;
pub use self::generation::Generations;
pub use self::id_token::{IdToken, IdTokenError, IdTokenWanted, SUBJECT_MAX_BYTES};
pub use self::jws::{ClientKey, JWS_ALGORITHMS, JwkSet, JwsError};
pub use self::notice::NoticeSigner;
pub use self::release::{
    RELEASE_OVERHEAD_BYTES, ReleaseError, ReleaseInfo, ReleasePublicKey, ReleaseSecretKey, open_challenge,
    open_release, open_release_with_info, seal_challenge, seal_release,
};
pub use self::ring::{KeyRing, Purpose, RingClass, RingError, RingKey};
pub use self::root::{KeyId, KeyIdError, RootError, RootFile, RootKey};
pub use self::seal::{DataKey, Place, SEAL_OVERHEAD_BYTES, SealError, Sealed, SealingKey};
pub use self::signature::{PublicKey, SignatureAlgorithm, SignatureDomain, SignatureError, SigningKey};
pub use self::signer::LogSigner;
pub use self::tag::{Domain, Pseudonym, PseudonymKey, Tag, TagKey};
pub use self::token::{Token, TokenError, TokenSession, Tries};
pub use self::token_file::TokenRootFile;
