//! The root key and the text form in which a passphrase wraps it; the form for a token is in `token_file.rs`.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::seal::{Place, SEAL_OVERHEAD_BYTES, SealError, SealingKey};
use crate::secret::{Entropy, EntropyError, Secret, SecretBytes};

/// A root file that was not written or does not open.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// Text that is not a root file.
    #[error(
        "this is not a root file; give the file that was written when the root key was made, or a copy of it"
    )]
    Form(#[source] toml::de::Error),
    /// A version that this release does not know.
    #[error("root files of version {0} are not known; use the release of Onebit that wrote it")]
    Version(u32),
    /// Wrapped by a token, where a passphrase was to open it.
    #[error(
        "this root file is wrapped by a token and not by a passphrase; name the token in the configuration (`root_key.token_module` and the keys beside it)"
    )]
    ByToken,
    /// Wrapped by a passphrase, where a token was to open it.
    #[error(
        "this root file is wrapped by a passphrase and not by a token; name the passphrase in the configuration, or move the root into the token with `onebit keys rotate root`"
    )]
    ByPassphrase,
    /// The token did not wrap or open it.
    #[error("the token does not give the root key")]
    Token(#[source] Box<super::token::TokenError>),
    /// The file's own checksum does not fit: the passphrase may well be right.
    #[error("the root file is damaged; restore it from its copy")]
    Damaged,
    /// Costs outside what is worth trying.
    #[error(
        "the root file asks for a passphrase hash of more than {MEMORY_MAX_KIB} KiB, {PASSES_MAX} passes or {LANES_MAX} lanes, or for none; restore it from its copy"
    )]
    Cost,
    /// The file is whole, but this passphrase does not open it.
    #[error("wrong passphrase for root key `{0}`; check that passphrase and root file belong together")]
    Passphrase(KeyId),
    /// Too short to withstand guessing by somebody who has the file.
    #[error(
        "the passphrase is too short; use at least {PASSPHRASE_MIN_BYTES} bytes, such as six random words"
    )]
    Short,
    /// The passphrase hash could not be computed.
    #[error("the passphrase could not be hashed; check that {MEMORY_KIB} KiB of memory are free")]
    Hash,
    /// The root key could not be wrapped.
    #[error("the root key could not be wrapped")]
    Wrap(#[source] SealError),
    /// The text could not be written.
    #[error("the root file could not be written as text")]
    Write(#[source] toml::ser::Error),
    /// No randomness for key or salt.
    #[error("no root key could be drawn")]
    Entropy(#[from] EntropyError),
}

/// The name of a root key: it tells keys apart and nothing about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub(super) [u8; KEY_ID_BYTES]);

impl KeyId {
    /// The name with these bytes, as a row or a file holds them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; KEY_ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// The 8 bytes of the name.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_ID_BYTES] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| KeyIdError)?;
        bytes.try_into().map(Self).map_err(|_| KeyIdError)
    }
}

/// Text that is no key's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a root key's name has 16 lowercase hexadecimal digits; copy it from `onebit keys status`")]
pub struct KeyIdError;

/// 32 secret bytes that every other key is derived from or wrapped under.
pub struct RootKey(Secret<ROOT_BYTES>);

impl RootKey {
    /// The root key with these bytes, such as a systemd credential or a token holds them.
    #[must_use]
    pub const fn new(bytes: Secret<ROOT_BYTES>) -> Self {
        Self(bytes)
    }

    /// Draws a new root key.
    ///
    /// # Errors
    /// [`EntropyError`] when the system gives no randomness.
    pub fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Secret::random(entropy).map(Self)
    }

    /// A second copy, which wipes itself as well.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }

    /// The key's name: the first 8 bytes of BLAKE3 `derive_key` over it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(first(&blake3::derive_key(KEY_ID_CONTEXT, self.0.expose())))
    }

    pub(super) const fn secret(&self) -> &Secret<ROOT_BYTES> {
        &self.0
    }
}

/// The text form of a wrapped root key (TOML): AES-256-GCM under an Argon2id hash of a passphrase.
///
/// Whoever has the text can guess passphrases at the price of the hash, so keep it as you keep a key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootFile {
    version: u32,
    key_id: Hex<KEY_ID_BYTES>,
    cost: Cost,
    salt: Hex<SALT_BYTES>,
    wrapped: Base64,
    checksum: Hex<CHECKSUM_BYTES>,
}

impl RootFile {
    /// Draws a root key and wraps it; gives the key and the text of its file.
    ///
    /// A line end at the end of the passphrase does not count, here and in [`RootFile::open`], so that it may
    /// come from a file.
    ///
    /// # Errors
    /// [`RootError::Short`] for a passphrase under 15 bytes, others when the machine lacks randomness or memory.
    pub fn create(passphrase: &SecretBytes, entropy: &dyn Entropy) -> Result<(RootKey, String), RootError> {
        let root = RootKey::random(entropy)?;
        let text = Self::wrap(&root, passphrase, entropy)?;
        Ok((root, text))
    }

    /// Wraps a root key that exists, for instance under a new passphrase; gives the text of the new file.
    ///
    /// # Errors
    /// Those of [`RootFile::create`].
    pub fn wrap(
        root: &RootKey,
        passphrase: &SecretBytes,
        entropy: &dyn Entropy,
    ) -> Result<String, RootError> {
        let passphrase = without_line_end(passphrase.expose());
        if passphrase.len() < PASSPHRASE_MIN_BYTES {
            return Err(RootError::Short);
        }
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt)?;
        let mut file = Self {
            version: FILE_VERSION,
            key_id: Hex(root.id().0),
            cost: Cost { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES },
            salt: Hex(salt),
            wrapped: Base64(Vec::new()),
            checksum: Hex([0; CHECKSUM_BYTES]),
        };
        let wrapping = file.cost.hash(passphrase, &salt)?;
        let head = file.head();
        let wrapped = wrapping.seal(place(&head), root.0.expose(), entropy).map_err(RootError::Wrap)?;
        file.wrapped = Base64(wrapped.into_bytes());
        file.checksum = Hex(file.checksum());
        let text = toml::to_string(&file).map_err(RootError::Write)?;
        Ok(format!("{FILE_COMMENT}{text}"))
    }

    /// Unwraps the root key that `text` holds. Takes about a fifth of a second and 64 MiB, on purpose.
    ///
    /// # Errors
    /// [`RootError::Passphrase`] when only the passphrase is wrong; [`RootError::Form`], [`RootError::Version`],
    /// [`RootError::Cost`] and [`RootError::Damaged`] when the text is.
    pub fn open(text: &str, passphrase: &SecretBytes) -> Result<RootKey, RootError> {
        let file = Self::parse(text)?;
        let wrapping = file.cost.hash(without_line_end(passphrase.expose()), &file.salt.0)?;
        let head = file.head();
        let bytes = match wrapping.open_fixed(place(&head), &file.wrapped.0) {
            Ok(bytes) => bytes,
            Err(SealError::Closed) => return Err(RootError::Passphrase(file.key_id())),
            Err(_) => return Err(RootError::Damaged),
        };
        let root = RootKey::new(bytes);
        if root.id() == file.key_id() { Ok(root) } else { Err(RootError::Damaged) }
    }

    /// Reads the text without opening it: to say which root key a file holds.
    ///
    /// # Errors
    /// Those of [`RootFile::open`], without [`RootError::Passphrase`].
    pub fn parse(text: &str) -> Result<Self, RootError> {
        match version(text)? {
            FILE_VERSION => {}
            TOKEN_FILE_VERSION => return Err(RootError::ByToken),
            version => return Err(RootError::Version(version)),
        }
        let file: Self = toml::from_str(text).map_err(RootError::Form)?;
        if file.checksum.0 != file.checksum() || file.wrapped.0.len() != SEAL_OVERHEAD_BYTES + ROOT_BYTES {
            return Err(RootError::Damaged);
        }
        Ok(file)
    }

    /// The name of the root key inside.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        KeyId(self.key_id.0)
    }

    /// Everything but the wrapped key, in canonical bytes of fixed size: bound to it as associated data, so that
    /// nobody can lower the cost or change the name of a file and have it open.
    fn head(&self) -> Vec<u8> {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let mut out = Vec::with_capacity(4 * 4 + KEY_ID_BYTES + SALT_BYTES);
        for number in [self.version, memory_kib, passes, lanes] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.key_id.0);
        out.extend_from_slice(&self.salt.0);
        out
    }

    /// Against accidents only: it lets a damaged file be told from a wrong passphrase.
    fn checksum(&self) -> [u8; CHECKSUM_BYTES] {
        first(blake3::Hasher::new().update(&self.head()).update(&self.wrapped.0).finalize().as_bytes())
    }
}

/// What one guess of the passphrase costs: parameters of Argon2id (RFC 9106), version 0x13.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    fn hash(self, passphrase: &[u8], salt: &[u8]) -> Result<SealingKey, RootError> {
        if self.memory_kib > MEMORY_MAX_KIB || self.passes > PASSES_MAX || self.lanes > LANES_MAX {
            return Err(RootError::Cost);
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(ROOT_BYTES))
            .map_err(|_| RootError::Cost)?;
        let mut blocks = vec![Block::default(); params.block_count()];
        let mut key = Zeroizing::new([0; ROOT_BYTES]);
        let hashed = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
            passphrase,
            salt,
            key.as_mut_slice(),
            &mut blocks,
        );
        for block in &mut blocks {
            let words: &mut [u64] = block.as_mut();
            words.zeroize();
        }
        hashed.map_err(|_| RootError::Hash)?;
        Ok(SealingKey::new(&Secret::take(&mut key)))
    }
}

/// The version that stands in the text of a root file.
pub(super) fn version(text: &str) -> Result<u32, RootError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    toml::from_str(text).map(|Versioned { version }| version).map_err(RootError::Form)
}

/// `N` bytes as lowercase hexadecimal digits.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Hex<const N: usize>(pub(super) [u8; N]);

impl<const N: usize> TryFrom<String> for Hex<N> {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| format!("expected {} lowercase hexadecimal digits", 2 * N))
    }
}

impl<const N: usize> From<Hex<N>> for String {
    fn from(bytes: Hex<N>) -> Self {
        HEXLOWER.encode(&bytes.0)
    }
}

/// Bytes in the base64 of RFC 4648, section 4.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Base64(pub(super) Vec<u8>);

impl TryFrom<String> for Base64 {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        BASE64.decode(text.as_bytes()).map(Self).map_err(|_| "expected base64 with padding".to_owned())
    }
}

impl From<Base64> for String {
    fn from(bytes: Base64) -> Self {
        BASE64.encode(&bytes.0)
    }
}

fn place(head: &[u8]) -> Place<'_> {
    Place { table: "root_file", row: head, column: "wrapped", version: FILE_VERSION }
}

pub(super) fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

pub(super) fn first<const N: usize>(bytes: &[u8; 32]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

/// Second recommended option of RFC 9106, section 4: 64 MiB, 3 passes, 4 lanes, 128-bit salt.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
const SALT_BYTES: usize = 16;
/// A file may ask for more than we do, but not for more than a start can bear.
const MEMORY_MAX_KIB: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;
/// NIST SP 800-63B-4, section 3.1.1.2: a password that stands alone has 15 characters or more.
const PASSPHRASE_MIN_BYTES: usize = 15;
pub(super) const ROOT_BYTES: usize = 32;
pub(super) const KEY_ID_BYTES: usize = 8;
pub(super) const CHECKSUM_BYTES: usize = 8;
/// The form of `token_file.rs`.
pub(super) const TOKEN_FILE_VERSION: u32 = 2;
const FILE_VERSION: u32 = 1;
const KEY_ID_CONTEXT: &str = "onebit/v1/root key id";
const FILE_COMMENT: &str = "\
# The root key of a Onebit holder, wrapped by a passphrase. Without this file and its passphrase nothing\n\
# that Onebit has sealed can be read again. Keep a copy apart from the database and its backups.\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SystemEntropy;

    fn passphrase(text: &str) -> SecretBytes {
        SecretBytes::new(text.as_bytes().to_vec())
    }

    fn refusal(text: &str, words: &str) -> RootError {
        match RootFile::open(text, &passphrase(words)) {
            Ok(_) => panic!("this root file opened, but must not:\n{text}"),
            Err(error) => error,
        }
    }

    const WORDS: &str = "otter lantern mosaic gravel";

    #[test]
    fn root_files_open_with_their_passphrase_only() {
        let (root, text) = RootFile::create(&passphrase(WORDS), &SystemEntropy::new()).unwrap();
        let again = RootFile::open(&text, &passphrase(&format!("{WORDS}\r\n"))).unwrap();
        assert!(again.secret().expose() == root.secret().expose(), "another key came back");
        assert_eq!(RootFile::parse(&text).unwrap().key_id(), root.id());
        let wrong = refusal(&text, "otter lantern mosaic gravel!");
        assert!(matches!(wrong, RootError::Passphrase(id) if id == root.id()), "{wrong}");
    }

    #[test]
    fn a_new_passphrase_wraps_the_same_key() {
        let root = RootKey::new(Secret::take(&mut [5; 32]));
        let (one, two) = ("otter lantern mosaic", "gravel harbour violin");
        let first = RootFile::wrap(&root, &passphrase(one), &SystemEntropy::new()).unwrap();
        let second = RootFile::wrap(&root, &passphrase(two), &SystemEntropy::new()).unwrap();
        assert_ne!(RootFile::parse(&first).unwrap().salt.0, RootFile::parse(&second).unwrap().salt.0);
        assert!(RootFile::open(&second, &passphrase(two)).unwrap().id() == root.id());
        assert!(matches!(refusal(&second, one), RootError::Passphrase(_)));
    }

    #[test]
    fn damage_is_told_from_a_wrong_passphrase() {
        let root = RootKey::new(Secret::take(&mut [5; 32]));
        let text = RootFile::wrap(&root, &passphrase(WORDS), &SystemEntropy::new()).unwrap();
        let mut checked = 0;
        for (index, byte) in text.bytes().enumerate().skip(FILE_COMMENT.len()) {
            if !byte.is_ascii_hexdigit() {
                continue;
            }
            let mut bytes = text.clone().into_bytes();
            bytes[index] = if byte == b'1' { b'2' } else { b'1' };
            let damaged = String::from_utf8(bytes).unwrap();
            match RootFile::parse(&damaged).err() {
                Some(
                    RootError::Damaged | RootError::Form(_) | RootError::Version(_) | RootError::ByToken,
                ) => checked += 1,
                other => panic!("byte {index} was changed, but: {:?}", other.map(|e| e.to_string())),
            }
        }
        assert!(checked > 100, "only {checked} changes were tried; look at the file's form");
    }

    #[test]
    fn a_cheaper_hash_cannot_be_forged() {
        let root = RootKey::new(Secret::take(&mut [5; 32]));
        let text = RootFile::wrap(&root, &passphrase(WORDS), &SystemEntropy::new()).unwrap();
        let mut file = RootFile::parse(&text).unwrap();
        file.cost.passes = 1;
        file.checksum = Hex(file.checksum());
        assert!(matches!(refusal(&toml::to_string(&file).unwrap(), WORDS), RootError::Passphrase(_)));
        file.cost.memory_kib = MEMORY_MAX_KIB + 1;
        file.checksum = Hex(file.checksum());
        assert!(matches!(refusal(&toml::to_string(&file).unwrap(), WORDS), RootError::Cost));
    }

    #[test]
    fn other_texts_are_refused_by_what_they_are() {
        assert!(matches!(refusal("version = 3\nfuture = true\n", WORDS), RootError::Version(3)));
        assert!(matches!(refusal("version = 2\n", WORDS), RootError::ByToken));
        assert!(matches!(refusal("not a root file", WORDS), RootError::Form(_)));
        assert!(matches!(refusal("version = 1\n", WORDS), RootError::Form(_)));
        let short = RootFile::create(&passphrase("fourteen chars\n"), &SystemEntropy::new());
        assert!(matches!(short, Err(RootError::Short)));
    }

    #[test]
    fn root_files_of_the_first_version_open() {
        // Hashed and wrapped with the Python package `cryptography` 48 (OpenSSL's Argon2id and AES-GCM).
        let root = RootFile::open(GOLDEN_FILE, &passphrase(WORDS)).map_err(|e| e.to_string());
        assert!(root.unwrap().secret().expose() == &[0; 32], "files that were handed out must always open");
        assert_eq!(RootFile::parse(GOLDEN_FILE).unwrap().key_id().to_string(), "b551cbe87754e1d0");
    }

    const GOLDEN_FILE: &str = r#"version = 1
key_id = "b551cbe87754e1d0"
salt = "000102030405060708090a0b0c0d0e0f"
wrapped = "AQABAgMEBQYHCAkKC0jM5dAH8FZR2ZWvgBQ5QdpMuuEM0wDdt0vvWGj4vQRmgr9KwQ/vAHWmeliLF1aEkQ=="
checksum = "18e9d0167a72e119"

[cost]
memory_kib = 65536
passes = 3
lanes = 4
"#;
}
