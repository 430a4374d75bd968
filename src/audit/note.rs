//! Signed notes: text with Ed25519 signatures under it, as C2SP signed-note specifies
//! (<https://c2sp.org/signed-note>).
//!
//! A note's text is worth nothing before one known key's signature was verified, so [`open_note`] gives the
//! text only then. Signatures of other keys, such as those of witnesses, are ignored, but must have the form.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::ids::Digest;

/// A note or a key that is not in its form, or whose signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A name that no key can have.
    #[error("`{0}` can't name a key; use visible characters without `+`")]
    Name(String),
    /// Text that is no verifier key.
    #[error("this is not a verifier key of the form `name+id+key`; copy it as it was handed over")]
    KeyForm,
    /// A verifier key whose id is not that of its name and key.
    #[error("the id of the verifier key `{0}` does not belong to its name and key; ask for the key again")]
    KeyId(String),
    /// A key of another type than the one that belongs here.
    #[error(
        "the verifier key is of type {found} where {wanted} is due; a log's has type 1, a witness's type 4"
    )]
    KeyType {
        /// The type that was found.
        found: u8,
        /// The type that is due.
        wanted: u8,
    },
    /// More bytes than a note may have.
    #[error("the note has {0} bytes and {NOTE_MAX_BYTES} are allowed; check that it is a note")]
    TooLong(usize),
    /// More signatures than a note may have.
    #[error("the note has more than {NOTE_MAX_SIGNATURES} signatures; remove those of keys you don't know")]
    TooManySignatures,
    /// Text and signatures can't be told apart, or hold what a note may not.
    #[error(
        "this is not a signed note; check that the right file was given and that nothing changed its line ends"
    )]
    Malformed,
    /// A signature line that is not in its form.
    #[error("signature line {0} of the note is not in its form; ask for the note again")]
    SignatureLine(usize),
    /// No signature of the known key.
    #[error("the note is not signed by `{0}`; check that the verifier key is the one of this log")]
    Unsigned(String),
    /// Signed under the known key's name, but by another key.
    #[error(
        "the note is signed by `{name}` with the key {found}, and the key you gave is {given}; the log's key may have \
         changed: ask the holder, on another way, for the key or the hand-over of that time"
    )]
    OtherKey {
        /// The name of both keys.
        name: String,
        /// The id of the key that signed.
        found: String,
        /// The id of the known key.
        given: String,
    },
    /// A signature of the known key that does not hold.
    #[error("the signature of `{0}` on the note is wrong; the note was changed or forged, so don't use it")]
    Signature(String),
}

/// The public half of a signer, with the name that it signs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; KEY_ID_BYTES],
    public_key: [u8; PUBLIC_KEY_BYTES],
}

impl VerifierKey {
    /// The verifier of Ed25519 signatures (RFC 8032) that are made under `name`.
    ///
    /// # Errors
    /// [`NoteError::Name`] when `name` is empty or holds spaces, control characters or `+`.
    pub fn new(name: &str, public_key: [u8; PUBLIC_KEY_BYTES]) -> Result<Self, NoteError> {
        check_key_name(name)?;
        Ok(Self { name: name.to_owned(), id: key_id(name, ALGORITHM_ED25519, &public_key), public_key })
    }

    /// The name; a log's is its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256 over name, line feed, algorithm and key.
    #[must_use]
    pub const fn id(&self) -> [u8; KEY_ID_BYTES] {
        self.id
    }

    /// The Ed25519 public key.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.public_key
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public_key).verify(message, signature).is_ok()
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    /// Parses `name+id+key`: eight hexadecimal digits, then base64 of the algorithm and the key.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, public_key) = parse_key(text, ALGORITHM_ED25519)?;
        Self::new(name, public_key)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&key_text(&self.name, ALGORITHM_ED25519, &self.public_key))
    }
}

/// Takes `name+id+key` apart, for a key of this algorithm.
pub(super) fn parse_key(text: &str, algorithm: u8) -> Result<(&str, [u8; PUBLIC_KEY_BYTES]), NoteError> {
    let (name, rest) = text.split_once('+').ok_or(NoteError::KeyForm)?;
    let (id, key) = rest.split_once('+').ok_or(NoteError::KeyForm)?;
    let id = HEXLOWER.decode(id.as_bytes()).map_err(|_| NoteError::KeyForm)?;
    let key = BASE64.decode(key.as_bytes()).map_err(|_| NoteError::KeyForm)?;
    let (found, key) = key.split_first().ok_or(NoteError::KeyForm)?;
    if *found != algorithm {
        return Err(NoteError::KeyType { found: *found, wanted: algorithm });
    }
    let key = key.try_into().map_err(|_| NoteError::KeyForm)?;
    check_key_name(name)?;
    if id == key_id(name, algorithm, &key) { Ok((name, key)) } else { Err(NoteError::KeyId(name.to_owned())) }
}

/// A key as [`parse_key`] takes it apart.
pub(super) fn key_text(name: &str, algorithm: u8, public_key: &[u8; PUBLIC_KEY_BYTES]) -> String {
    let id = key_id(name, algorithm, public_key);
    let key = [[algorithm].as_slice(), public_key].concat();
    format!("{name}+{}+{}", HEXLOWER.encode(&id), BASE64.encode(&key))
}

/// Whoever signs notes with an Ed25519 key (RFC 8032).
pub trait NoteSigner {
    /// The public half of the key.
    fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES];

    /// The signature over `message`.
    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES];
}

/// A signer that holds its key in memory, for tests and tools. A server's log key lives in its key ring.
pub struct Ed25519Signer(Ed25519KeyPair);

impl Ed25519Signer {
    /// The signer of this seed (RFC 8032, section 5.1.5).
    #[must_use]
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Self {
        #[expect(clippy::expect_used, reason = "only another length is refused, and the type fixes it")]
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("Ed25519 takes 32 bytes");
        Self(pair)
    }
}

impl NoteSigner for Ed25519Signer {
    fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES] {
        copied(self.0.public_key().as_ref())
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        copied(self.0.sign(message).as_ref())
    }
}

/// The note of `text` with one signature under `name`. A text that does not end with a line feed gets one.
///
/// Nothing is checked here: under a name that [`VerifierKey::new`] refuses, or over a text with control
/// characters, the note is one that nobody opens.
#[must_use]
pub fn sign_note(name: &str, text: &str, signer: &dyn NoteSigner) -> String {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let text = format!("{text}{end}");
    let line = signed_line(name, &text, signer);
    format!("{text}\n{line}")
}

/// The line that signs `text`, which ends with a line feed, to be put under a note that has other signatures.
#[must_use]
pub fn signed_line(name: &str, text: &str, signer: &dyn NoteSigner) -> String {
    let id = key_id(name, ALGORITHM_ED25519, &signer.public_key());
    signature_line(name, id, &signer.sign(text.as_bytes()))
}

/// A line with a signature, as it stands in a note.
pub(super) fn signature_line(name: &str, id: [u8; KEY_ID_BYTES], signature: &[u8]) -> String {
    format!("{SIGNATURE_MARK}{name} {}\n", BASE64.encode(&[id.as_slice(), signature].concat()))
}

/// The text of a note that `key` signed, with its final line feed.
///
/// # Errors
/// [`NoteError`] when the note is not in its form, `key` did not sign it, or any signature by that name and
/// id does not hold.
pub fn open_note<'a>(note: &'a str, key: &VerifierKey) -> Result<&'a str, NoteError> {
    open_note_of(note, std::slice::from_ref(key)).map(|(text, _)| text)
}

/// The text of a note that one of `keys` signed at least, with the lines of those of them that did, one each.
///
/// # Errors
/// [`NoteError`] when the note is not in its form, none of the keys signed it, or any signature by the name and
/// id of one of them does not hold.
pub fn open_note_of<'a>(note: &'a str, keys: &[VerifierKey]) -> Result<(&'a str, String), NoteError> {
    let (text, signatures) = parts(note)?;
    let (mut signed, mut lines) = (Vec::new(), String::new());
    for line in &signatures {
        let Some(key) = keys.iter().find(|key| line.name == key.name && line.id == key.id) else { continue };
        if !key.verifies(text.as_bytes(), &line.signature) {
            return Err(NoteError::Signature(key.name.clone()));
        }
        if !signed.contains(&key.id) {
            signed.push(key.id);
            lines.push_str(&signature_line(line.name, line.id, &line.signature));
        }
    }
    if signed.is_empty() { Err(unsigned(&signatures, keys)) } else { Ok((text, lines)) }
}

/// What is the matter with a note that none of the keys signed: another key of the same name may have.
fn unsigned(signatures: &[SignatureLine<'_>], keys: &[VerifierKey]) -> NoteError {
    let Some(first) = keys.first() else { return NoteError::Unsigned(String::new()) };
    let name = first.name.clone();
    match signatures.iter().rfind(|line| line.name == name) {
        Some(line) => {
            NoteError::OtherKey { name, found: HEXLOWER.encode(&line.id), given: HEXLOWER.encode(&first.id) }
        }
        None => NoteError::Unsigned(name),
    }
}

/// The first line of a note that nobody has verified yet: enough to look for the keys of whom it claims to be
/// from, and to be used for nothing else.
///
/// # Errors
/// [`NoteError`] when the note is not in its form.
pub fn claimed_origin(note: &str) -> Result<&str, NoteError> {
    let (text, _) = parts(note)?;
    Ok(text.lines().next().unwrap_or_default())
}

/// The text of a note and its signatures, none of which is verified.
pub(super) fn parts(note: &str) -> Result<(&str, Vec<SignatureLine<'_>>), NoteError> {
    let (text, signatures) = split(note)?;
    let mut lines = Vec::new();
    for (at, line) in signatures.lines().enumerate() {
        if at >= NOTE_MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        lines.push(SignatureLine::parse(line).ok_or(NoteError::SignatureLine(at.saturating_add(1)))?);
    }
    Ok((text, lines))
}

/// A signature as it stands in a note.
pub(super) struct SignatureLine<'a> {
    pub(super) name: &'a str,
    pub(super) id: [u8; KEY_ID_BYTES],
    pub(super) signature: Vec<u8>,
}

impl<'a> SignatureLine<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
        let bytes = BASE64.decode(encoded.as_bytes()).ok()?;
        let (id, signature) = bytes.split_first_chunk()?;
        (is_key_name(name) && !signature.is_empty()).then(|| Self {
            name,
            id: *id,
            signature: signature.to_vec(),
        })
    }
}

/// Splits a note at its last empty line, into the text with its final line feed and the signature lines.
fn split(note: &str) -> Result<(&str, &str), NoteError> {
    if note.len() > NOTE_MAX_BYTES {
        return Err(NoteError::TooLong(note.len()));
    }
    if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteError::Malformed);
    }
    let at = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
    let (text, rest) = note.split_at_checked(at.saturating_add(1)).ok_or(NoteError::Malformed)?;
    let signatures =
        rest.strip_prefix('\n').filter(|lines| lines.ends_with('\n')).ok_or(NoteError::Malformed)?;
    Ok((text, signatures))
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// Refuses a name that no key can have.
pub(super) fn check_key_name(name: &str) -> Result<(), NoteError> {
    if is_key_name(name) {
        return Ok(());
    }
    Err(NoteError::Name(name.chars().filter(|c| !c.is_control()).take(NAME_SHOWN_CHARS).collect()))
}

/// The first bytes of SHA-256 over name, line feed, algorithm and key.
pub(super) fn key_id(name: &str, algorithm: u8, public_key: &[u8; PUBLIC_KEY_BYTES]) -> [u8; KEY_ID_BYTES] {
    let hashed = [name.as_bytes(), b"\n", &[algorithm], public_key].concat();
    copied(Digest::sha256(&hashed).as_bytes())
}

/// The first `N` bytes of something that has at least so many.
fn copied<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

/// The bytes of an Ed25519 public key (RFC 8032, section 5.1.5).
pub const PUBLIC_KEY_BYTES: usize = 32;
/// The bytes of an Ed25519 signature (RFC 8032, section 5.1.6).
pub const SIGNATURE_BYTES: usize = 64;
/// The bytes of an Ed25519 seed, which RFC 8032 calls the private key.
pub const SEED_BYTES: usize = 32;
/// The bytes of a key's id.
pub const KEY_ID_BYTES: usize = 4;
/// The most signatures that a note may have: C2SP asks for 16 at least, and twice that leaves room for
/// witnesses that change their keys.
pub const NOTE_MAX_SIGNATURES: usize = 32;
/// The most bytes that a note may have: that many signatures of 5 kB, as post-quantum ones have, in base64,
/// and the text.
pub const NOTE_MAX_BYTES: usize = 256 * 1_024;
/// The signature type of C2SP signed-note.
const ALGORITHM_ED25519: u8 = 1;
/// An em dash and a space.
const SIGNATURE_MARK: &str = "\u{2014} ";
/// What an error repeats of a name: enough to find it, not enough to flood a log.
const NAME_SHOWN_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "example.com/log";

    fn signer(seed: u8) -> Ed25519Signer {
        Ed25519Signer::from_seed(&[seed; 32])
    }

    fn key(seed: u8) -> VerifierKey {
        VerifierKey::new(NAME, signer(seed).public_key()).unwrap()
    }

    /// The example of Go's golang.org/x/mod/sumdb/note, with its private key's seed.
    const PETER_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const PETER_SEED: &str = "gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM=";
    const PETER_TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const PETER_SIGNATURE: &str = "\u{2014} PeterNeumann \
        x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn the_example_of_gos_implementation_holds() {
        let key: VerifierKey = PETER_KEY.parse().unwrap();
        assert_eq!((key.name(), key.id()), ("PeterNeumann", [0xc7, 0x4f, 0x20, 0xa3]));
        assert_eq!(key.to_string(), PETER_KEY);
        let note = format!("{PETER_TEXT}\n{PETER_SIGNATURE}");
        assert_eq!(open_note(&note, &key), Ok(PETER_TEXT));
    }

    #[test]
    fn ed25519_is_that_of_rfc_8032() {
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
        let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let signer = Ed25519Signer::from_seed(&seed.try_into().unwrap());
        let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(signer.public_key().as_slice(), public, "RFC 8032, section 7.1, test 1");
        let signature = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b4\
                         6bd25bf5f0595bbe24655141438e7a100b";
        assert_eq!(signer.sign(b"").as_slice(), hex(signature), "RFC 8032, section 7.1, test 1");
    }

    #[test]
    fn keys_have_one_text() {
        let golang = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        assert_eq!(golang.parse::<VerifierKey>().unwrap().to_string(), golang);
        let parsed = |text: &str| text.parse::<VerifierKey>();
        assert_eq!(
            parsed(&golang.replace("033d", "033e")),
            Err(NoteError::KeyId("sum.golang.org".to_owned()))
        );
        assert_eq!(
            parsed(&golang.replace("golang", "g0lang")),
            Err(NoteError::KeyId("sum.g0lang.org".to_owned()))
        );
        assert_eq!(parsed(&golang.replace("+Ac4", "+As4")), Err(NoteError::KeyType { found: 2, wanted: 1 }));
        for bad in [
            "",
            "a",
            "a+b",
            &golang.replace("033d", "033D"),
            &golang.replace("An8", "An"),
            golang.trim_end_matches("An8"),
        ] {
            assert_eq!(parsed(bad), Err(NoteError::KeyForm), "`{bad}`");
        }
        for name in ["", "a b", "a+b", "a\u{a0}b", "a\nb", "a\0b"] {
            assert!(matches!(VerifierKey::new(name, [0; 32]), Err(NoteError::Name(_))), "{name:?}");
        }
    }

    #[test]
    fn a_text_may_have_empty_lines() {
        for text in ["a\n", "a\n\nb\n", "a\n\n", "\n"] {
            assert_eq!(open_note(&sign_note(NAME, text, &signer(1)), &key(1)), Ok(text));
        }
        assert_eq!(open_note(&sign_note(NAME, "a", &signer(1)), &key(1)), Ok("a\n"));
    }

    #[test]
    fn signatures_of_others_are_ignored() {
        let note = sign_note(NAME, "text\n", &signer(1));
        let theirs = sign_note("witness.example", "text\n", &signer(2));
        let theirs = theirs.lines().last().unwrap();
        let long = format!("\u{2014} pq.example {}", BASE64.encode(&[9; 5_000]));
        assert_eq!(open_note(&format!("{note}{theirs}\n{long}\n"), &key(1)), Ok("text\n"));
        let first = note.replace("\n\n", &format!("\n\n{theirs}\n"));
        assert_eq!(open_note(&first, &key(1)), Ok("text\n"));
        assert_eq!(
            open_note(&note, &key(2)),
            Err(NoteError::OtherKey {
                name: NAME.to_owned(),
                found: HEXLOWER.encode(&key(1).id()),
                given: HEXLOWER.encode(&key(2).id()),
            }),
            "same name, other key"
        );
        let other = VerifierKey::new("example.com/other", signer(1).public_key()).unwrap();
        assert_eq!(open_note(&note, &other), Err(NoteError::Unsigned("example.com/other".to_owned())));
    }

    #[test]
    fn one_of_several_keys_is_enough_and_its_line_is_kept_once() {
        let keys = [key(1), key(2), key(3)];
        let note = sign_note(NAME, "text\n", &signer(1));
        let (first, second) = (
            note.lines().last().unwrap().to_owned(),
            sign_note(NAME, "text\n", &signer(2)).lines().last().unwrap().to_owned(),
        );
        let long = format!("{note}{second}\n{second}\n\u{2014} w AAAAAAA=\n");
        assert_eq!(open_note_of(&long, &keys), Ok(("text\n", format!("{first}\n{second}\n"))));
        assert!(matches!(open_note_of(&note, &keys[1..]), Err(NoteError::OtherKey { .. })));
        assert_eq!(claimed_origin(&long), Ok("text"));
    }

    #[test]
    fn one_wrong_signature_of_the_known_key_spoils_the_note() {
        let note = sign_note(NAME, "text\n", &signer(1));
        let wrong = sign_note(NAME, "other\n", &signer(1));
        let wrong = wrong.lines().last().unwrap();
        assert_eq!(
            open_note(&format!("{note}{wrong}\n"), &key(1)),
            Err(NoteError::Signature(NAME.to_owned()))
        );
        let short = format!(
            "text\n\n\u{2014} {NAME} {}\n",
            BASE64.encode(&[key(1).id().as_slice(), &[0; 63]].concat())
        );
        assert_eq!(open_note(&short, &key(1)), Err(NoteError::Signature(NAME.to_owned())));
    }

    #[test]
    fn notes_out_of_form_are_refused() {
        let note = sign_note(NAME, "text\n", &signer(1));
        let line = note.lines().last().unwrap().to_owned();
        let opened = |note: &str| open_note(note, &key(1)).map(str::to_owned);
        for bad in [
            String::new(),
            "text\n".to_owned(),
            "text\n\n".to_owned(),
            note.trim_end().to_owned(),
            note.replace('\n', "\r\n"),
            note.replace("text", "te\txt"),
            note.replace("\n\n", "\n"),
        ] {
            assert_eq!(opened(&bad), Err(NoteError::Malformed), "{bad:?}");
        }
        for bad in [
            line.replace('\u{2014}', "-"),
            line.replace('\u{2014}', ""),
            line.replace("example.com/log", "example.com+log"),
            line.replace("example.com/log", ""),
            format!("{line} "),
            format!("{line}="),
            format!("\u{2014} {NAME} AAAAAA=="),
            format!("\u{2014} {NAME} "),
            "x".to_owned(),
        ] {
            assert_eq!(opened(&format!("{note}{bad}\n")), Err(NoteError::SignatureLine(2)), "{bad:?}");
        }
    }

    #[test]
    fn notes_have_limits() {
        let note = sign_note(NAME, "text\n", &signer(1));
        let other = "\u{2014} w AAAAAAA=\n";
        let with = |others: usize| format!("{note}{}", other.repeat(others));
        assert_eq!(open_note(&with(NOTE_MAX_SIGNATURES - 1), &key(1)), Ok("text\n"));
        assert_eq!(open_note(&with(NOTE_MAX_SIGNATURES), &key(1)), Err(NoteError::TooManySignatures));
        let long = sign_note(NAME, &"x".repeat(NOTE_MAX_BYTES), &signer(1));
        assert_eq!(open_note(&long, &key(1)), Err(NoteError::TooLong(long.len())));
    }

    #[test]
    fn go_and_we_sign_alike() {
        let seed = BASE64.decode(PETER_SEED.as_bytes()).unwrap();
        let signer = Ed25519Signer::from_seed(&seed.try_into().unwrap());
        assert_eq!(
            sign_note("PeterNeumann", PETER_TEXT, &signer),
            format!("{PETER_TEXT}\n{PETER_SIGNATURE}")
        );
    }

    proptest! {
        #[test]
        fn what_is_signed_is_opened(text in "([^\\x00-\\x1f]{0,20}\n){1,5}", seed in any::<[u8; 32]>()) {
            let signer = Ed25519Signer::from_seed(&seed);
            let key = VerifierKey::new(NAME, signer.public_key()).unwrap();
            prop_assert_eq!(key.to_string().parse(), Ok(key.clone()));
            let note = sign_note(NAME, &text, &signer);
            prop_assert_eq!(open_note(&note, &key), Ok(text.as_str()));
        }

        #[test]
        fn no_text_makes_opening_panic(note in "(.|\n|\u{2014} | ){0,80}") {
            prop_assert!(open_note(&note, &key(1)).is_err());
        }
    }
}
