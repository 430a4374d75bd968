//! The text form in which a token wraps the root key (TOML): AES-256-GCM under a key that never leaves the token.
//!
//! It names the token's key, so that people find it, and holds nothing that opens without the token.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::root::{
    Base64, CHECKSUM_BYTES, Hex, KEY_ID_BYTES, KeyId, ROOT_BYTES, RootError, RootKey, TOKEN_FILE_VERSION,
    first, version,
};
use super::token::{TOKEN_OVERHEAD_BYTES, TokenError, TokenSession};
use crate::secret::{Entropy, Secret};

/// A root key that a token wraps, as text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRootFile {
    version: u32,
    key_id: Hex<KEY_ID_BYTES>,
    token: String,
    token_key: String,
    wrapped: Base64,
    checksum: Hex<CHECKSUM_BYTES>,
}

impl TokenRootFile {
    /// Draws a root key and has the token wrap it; gives the key and the text of its file.
    ///
    /// # Errors
    /// [`RootError::Token`] when the token does not, [`RootError::Entropy`].
    pub fn create(token: &TokenSession, entropy: &dyn Entropy) -> Result<(RootKey, String), RootError> {
        let root = RootKey::random(entropy)?;
        let text = Self::wrap(&root, token, entropy)?;
        Ok((root, text))
    }

    /// Has the token wrap a root key that exists; gives the text of the new file.
    ///
    /// # Errors
    /// Those of [`TokenRootFile::create`].
    pub fn wrap(root: &RootKey, token: &TokenSession, entropy: &dyn Entropy) -> Result<String, RootError> {
        let named = token.token();
        let mut file = Self {
            version: TOKEN_FILE_VERSION,
            key_id: Hex(root.id().0),
            token: named.label.clone(),
            token_key: named.key.clone(),
            wrapped: Base64(Vec::new()),
            checksum: Hex([0; CHECKSUM_BYTES]),
        };
        file.wrapped = Base64(token.encrypt(&file.head(), root.secret().expose(), entropy)?);
        file.checksum = Hex(file.checksum());
        let text = toml::to_string(&file).map_err(RootError::Write)?;
        Ok(format!("{FILE_COMMENT}{text}"))
    }

    /// Has the token open the root key that `text` holds.
    ///
    /// # Errors
    /// [`RootError::Token`] when the token does not; [`RootError::Form`], [`RootError::Version`],
    /// [`RootError::ByPassphrase`] and [`RootError::Damaged`] for another text.
    pub fn open(text: &str, token: &TokenSession) -> Result<RootKey, RootError> {
        let file = Self::parse(text)?;
        let opened = token.decrypt(&file.head(), &file.wrapped.0)?;
        let bytes = <[u8; ROOT_BYTES]>::try_from(opened.expose()).map_err(|_| RootError::Damaged)?;
        let root = RootKey::new(Secret::take(&mut Zeroizing::new(bytes)));
        if root.id() == file.key_id() { Ok(root) } else { Err(RootError::Damaged) }
    }

    /// Reads the text without opening it.
    ///
    /// # Errors
    /// Those of [`TokenRootFile::open`], without [`RootError::Token`].
    pub fn parse(text: &str) -> Result<Self, RootError> {
        match version(text)? {
            TOKEN_FILE_VERSION => {}
            1 => return Err(RootError::ByPassphrase),
            version => return Err(RootError::Version(version)),
        }
        let file: Self = toml::from_str(text).map_err(RootError::Form)?;
        let whole = file.checksum.0 == file.checksum();
        if whole && file.wrapped.0.len() == TOKEN_OVERHEAD_BYTES + ROOT_BYTES {
            Ok(file)
        } else {
            Err(RootError::Damaged)
        }
    }

    /// The name of the root key inside.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        KeyId(self.key_id.0)
    }

    /// What the token authenticates beside the key. Labels are not in it: they may be changed in the token.
    fn head(&self) -> Vec<u8> {
        let mut out = HEAD_DOMAIN.to_vec();
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&self.key_id.0);
        out
    }

    /// Against accidents only: it lets a damaged file be told from another token.
    fn checksum(&self) -> [u8; CHECKSUM_BYTES] {
        first(blake3::Hasher::new().update(&self.head()).update(&self.wrapped.0).finalize().as_bytes())
    }
}

impl From<TokenError> for RootError {
    fn from(error: TokenError) -> Self {
        Self::Token(Box::new(error))
    }
}

const HEAD_DOMAIN: &[u8] = b"onebit/root-file/v2\0";
const FILE_COMMENT: &str = "\
# The root key of a Onebit holder, wrapped by a token. Without this file and that token nothing that Onebit has\n\
# sealed can be read again. Keep a copy apart from the database and its backups, and a backup of the token's key.\n";

#[cfg(test)]
impl TokenRootFile {
    /// The same text under another name, with a checksum that fits.
    pub(super) fn renamed(mut self, id: KeyId) -> String {
        self.key_id = Hex(id.0);
        self.checksum = Hex(self.checksum());
        toml::to_string(&self).unwrap()
    }
}
