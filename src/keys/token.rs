//! The key of a PKCS#11 token, such as a hardware security module's: it wraps the root key and never leaves the token.
//!
//! The token's module is loaded when it is needed and let go of right after: one login at a start, one message of 32
//! bytes opened, and the token is asked for nothing more.
//!
//! The key: AES-256, `CKA_SENSITIVE`, not `CKA_EXTRACTABLE`, for `C_Encrypt` and `C_Decrypt` alone; a key that could
//! be taken out is refused. The mechanism: `CKM_AES_GCM` with a 96-bit nonce of ours and a tag of 128 bits.

use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

use super::root::without_line_end;
use crate::secret::{Entropy, EntropyError, SecretBytes};

/// A token that can't be used, or would not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The module can't be loaded.
    #[error(
        "the token's module `{path}` can't be loaded; check `root_key.token_module`, and that it is a PKCS#11 module for this machine"
    )]
    Module {
        /// The module.
        path: PathBuf,
        /// What the loader says.
        source: Error,
    },
    /// The module is there and does not start.
    #[error(
        "the token's module `{path}` does not start; check its own configuration and its service (`pkcs11-tool --module {path} --list-slots`)"
    )]
    Start {
        /// The module.
        path: PathBuf,
        /// What the module says.
        source: Error,
    },
    /// No token of the name.
    #[error("there is no token `{label}`; plug it in, or correct `root_key.token_label` (there: {there})")]
    Missing {
        /// The label that was looked for.
        label: String,
        /// The labels that are there.
        there: String,
    },
    /// Two tokens of the name.
    #[error("{count} tokens are called `{label}`; unplug all but one, or give them labels of their own")]
    Ambiguous {
        /// The label.
        label: String,
        /// How many have it.
        count: usize,
    },
    /// Not asked, because the last try was wrong.
    #[error(
        "the PIN of token `{0}` was wrong the last time, so it was not tried again: restarts would use up its tries; put the right PIN in place and try it once with `onebit keys token try`"
    )]
    PinLow(String),
    /// Locked.
    #[error("the PIN of token `{0}` is locked; have its security officer set a new one")]
    PinLocked(String),
    /// Wrong.
    #[error("wrong PIN for token `{0}`; one try was used, so put the right PIN in place before the next one")]
    Pin(String),
    /// No PIN was ever set.
    #[error("token `{0}` has no user PIN yet; have its security officer set one")]
    PinUnset(String),
    /// A PIN that is no text.
    #[error("the PIN is not text in UTF-8; write it anew")]
    PinForm,
    /// No key of the name.
    #[error(
        "token `{label}` has no AES key `{key}`; make it with `onebit keys token new`, or correct `root_key.token_key`"
    )]
    NoKey {
        /// The token.
        label: String,
        /// The key.
        key: String,
    },
    /// Keys of the name that can't be told apart, or one where none may be.
    #[error(
        "token `{label}` has {count} keys `{key}`; give one another label, or choose another in `root_key.token_key`"
    )]
    Keys {
        /// The token.
        label: String,
        /// The key.
        key: String,
        /// How many there are.
        count: usize,
    },
    /// A key that could leave the token.
    #[error(
        "the key `{key}` of token `{label}` could be taken out of it; make another one with `onebit keys token new`"
    )]
    Loose {
        /// The token.
        label: String,
        /// The key.
        key: String,
    },
    /// It was wrapped by another key, or changed.
    #[error(
        "the token's key `{0}` does not open this root file: it was wrapped by another key of that name, or changed; check that token and root file belong together"
    )]
    Closed(String),
    /// Anything else.
    #[error("the token failed while {doing}; look at its own log, and whether it knows CKM_AES_GCM")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// What the module says.
        source: Error,
    },
    /// No randomness for the nonce.
    #[error("no nonce could be drawn")]
    Entropy(#[from] EntropyError),
}

/// Where the key is: module, token and key, each by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The PKCS#11 module, a shared library.
    pub module: PathBuf,
    /// The label of the token.
    pub label: String,
    /// The label of the key.
    pub key: String,
}

/// Whether a PIN is tried although it was wrong the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tries {
    /// It is not: what restarts by itself must not use up the tries.
    Spared,
    /// It is, because a person says so.
    Used,
}

impl Token {
    /// Loads the module and logs in, once.
    ///
    /// # Errors
    /// [`TokenError`], which says of each cause what to do.
    pub fn log_in(&self, pin: &SecretBytes, tries: Tries) -> Result<TokenSession, TokenError> {
        let pin = std::str::from_utf8(without_line_end(pin.expose())).map_err(|_| TokenError::PinForm)?;
        let module = started(&self.module)?;
        let (slot, info) = self.slot(&module)?;
        match pin_state(&info) {
            PinState::Locked => return Err(TokenError::PinLocked(self.label.clone())),
            PinState::WasWrong if tries == Tries::Spared => {
                return Err(TokenError::PinLow(self.label.clone()));
            }
            PinState::WasWrong | PinState::Good => {}
        }
        let session = module.open_rw_session(slot).map_err(failed("opening a session"))?;
        let pin = AuthPin::new(pin.to_owned().into_boxed_str());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) => Ok(TokenSession { session, token: self.clone(), _module: module }),
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(TokenError::PinLocked(self.label.clone())),
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                Err(TokenError::Pin(self.label.clone()))
            }
            Err(Error::Pkcs11(RvError::UserPinNotInitialized, _)) => {
                Err(TokenError::PinUnset(self.label.clone()))
            }
            Err(source) => Err(TokenError::Failed { doing: "logging in", source }),
        }
    }

    fn slot(&self, module: &Pkcs11) -> Result<(Slot, TokenInfo), TokenError> {
        let slots = module.get_slots_with_token().map_err(failed("looking for tokens"))?;
        let mut labels = Vec::new();
        let mut found = Vec::new();
        for slot in slots {
            let info = module.get_token_info(slot).map_err(failed("looking at a token"))?;
            if !info.token_initialized() {
                continue;
            }
            if info.label() == self.label {
                found.push((slot, info));
            } else {
                labels.push(format!("`{}`", info.label()));
            }
        }
        let count = found.len();
        match found.pop() {
            Some(one) if count == 1 => Ok(one),
            Some(_) => Err(TokenError::Ambiguous { label: self.label.clone(), count }),
            None => {
                let there = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
                Err(TokenError::Missing { label: self.label.clone(), there })
            }
        }
    }
}

/// A token that is logged in to; logged out of when dropped.
pub struct TokenSession {
    session: Session,
    token: Token,
    // Last, so that the session is closed before its module is let go of.
    _module: Pkcs11,
}

impl TokenSession {
    /// Where it is.
    pub(super) const fn token(&self) -> &Token {
        &self.token
    }

    /// Makes the key in the token, as this module wants it.
    ///
    /// # Errors
    /// [`TokenError::Keys`] when there is one of that name, [`TokenError::Failed`].
    pub fn key_make(&self) -> Result<(), TokenError> {
        let count = self.keys()?.len();
        if count > 0 {
            return Err(self.several(count));
        }
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(KEY_BYTES.into()),
            Attribute::Label(self.token.key.clone().into_bytes()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Wrap(false),
            Attribute::Unwrap(false),
        ];
        let made = self.session.generate_key(&Mechanism::AesKeyGen, &template);
        made.map(|_| ()).map_err(failed("making the key"))
    }

    /// Whether the key is there, and can't leave.
    ///
    /// # Errors
    /// [`TokenError::NoKey`], [`TokenError::Keys`], [`TokenError::Loose`], [`TokenError::Failed`].
    pub fn key_check(&self) -> Result<(), TokenError> {
        self.key().map(|_| ())
    }

    /// Encrypts a message: nonce, ciphertext, tag.
    ///
    /// # Errors
    /// As [`TokenSession::key_check`].
    pub fn encrypt(
        &self,
        associated: &[u8],
        plain: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, TokenError> {
        let key = self.key()?;
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce)?;
        let mut given = nonce;
        let parameters = GcmParams::new(&mut given, associated, TAG_BITS.into());
        let mechanism = Mechanism::AesGcm(parameters.map_err(failed("wrapping the root key"))?);
        let sealed = self.session.encrypt(&mechanism, key, plain).map_err(failed("wrapping the root key"))?;
        drop(mechanism);
        // Some modules insist on a nonce of their own and write it where ours was.
        Ok([given.as_slice(), &sealed].concat())
    }

    /// Opens what [`TokenSession::encrypt`] made.
    ///
    /// # Errors
    /// [`TokenError::Closed`] for another key or changed bytes, and as [`TokenSession::key_check`].
    pub fn decrypt(&self, associated: &[u8], sealed: &[u8]) -> Result<SecretBytes, TokenError> {
        let key = self.key()?;
        let closed = || TokenError::Closed(self.token.key.clone());
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(closed)?;
        let mut nonce = *nonce;
        let parameters = GcmParams::new(&mut nonce, associated, TAG_BITS.into());
        let mechanism = Mechanism::AesGcm(parameters.map_err(failed("opening the root key"))?);
        match self.session.decrypt(&mechanism, key, sealed) {
            Ok(plain) => Ok(SecretBytes::new(plain)),
            // Modules differ in what they say of a tag that does not fit.
            Err(Error::Pkcs11(
                RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::SignatureInvalid
                | RvError::DataInvalid
                | RvError::GeneralError
                | RvError::FunctionFailed,
                _,
            )) => Err(closed()),
            Err(source) => Err(TokenError::Failed { doing: "opening the root key", source }),
        }
    }

    fn keys(&self) -> Result<Vec<ObjectHandle>, TokenError> {
        let wanted = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(self.token.key.clone().into_bytes()),
        ];
        self.session.find_objects(&wanted).map_err(failed("looking for the key"))
    }

    fn key(&self) -> Result<ObjectHandle, TokenError> {
        let keys = self.keys()?;
        let Token { label, key, .. } = &self.token;
        let handle = match keys.as_slice() {
            [one] => *one,
            [] => return Err(TokenError::NoKey { label: label.clone(), key: key.clone() }),
            several => return Err(self.several(several.len())),
        };
        let asked = [AttributeType::Sensitive, AttributeType::Extractable];
        let said = self.session.get_attributes(handle, &asked).map_err(failed("looking at the key"))?;
        let says = |attribute: &Attribute| said.contains(attribute);
        if says(&Attribute::Sensitive(true)) && says(&Attribute::Extractable(false)) {
            Ok(handle)
        } else {
            Err(TokenError::Loose { label: label.clone(), key: key.clone() })
        }
    }

    fn several(&self, count: usize) -> TokenError {
        let Token { label, key, .. } = &self.token;
        TokenError::Keys { label: label.clone(), key: key.clone(), count }
    }
}

impl Drop for TokenSession {
    fn drop(&mut self) {
        // Closing the session logs out as well; nobody is left to hear that it failed.
        let _out = self.session.logout();
    }
}

/// What a token says of its PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PinState {
    Good,
    WasWrong,
    Locked,
}

fn pin_state(info: &TokenInfo) -> PinState {
    if info.user_pin_locked() {
        PinState::Locked
    } else if info.user_pin_count_low() || info.user_pin_final_try() {
        PinState::WasWrong
    } else {
        PinState::Good
    }
}

fn started(path: &Path) -> Result<Pkcs11, TokenError> {
    let module = Pkcs11::new(path).map_err(|source| TokenError::Module { path: path.to_owned(), source })?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) => Ok(module),
        // Another part of this process uses it.
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(module),
        Err(source) => Err(TokenError::Start { path: path.to_owned(), source }),
    }
}

fn failed(doing: &'static str) -> impl FnOnce(Error) -> TokenError {
    move |source| TokenError::Failed { doing, source }
}

const KEY_BYTES: u64 = 32;
const NONCE_BYTES: usize = 12;
const TAG_BITS: u64 = 128;
/// Nonce and tag.
pub(super) const TOKEN_OVERHEAD_BYTES: usize = NONCE_BYTES + 16;

#[cfg(test)]
mod tests;
