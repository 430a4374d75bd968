//! Witnesses of the holder's journal: who cosigns it, how many must, and what may be claimed of that.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::fault::PolicyFault;
use super::reader::{Section, read_document};
use crate::ids::{Digest, WitnessName};

/// The witnesses that `policy/witnesses.toml` names; none when there is no such file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Witnesses {
    /// Each of them; no two have one name or one key.
    pub all: Vec<WitnessFile>,
    /// How many of them must have cosigned a checkpoint; never more than there are.
    pub needed: usize,
    /// How many of them may be dishonest, by the holder's own judgement.
    pub assumed_dishonest: usize,
    /// Whether a release waits for them.
    pub before_release: BeforeRelease,
}

/// Whether a release waits for the witnesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BeforeRelease {
    /// It can be fetched only when enough witnesses have seen that it stands in the log.
    Required,
    /// It does not wait.
    #[default]
    NotRequired,
}

/// A witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessFile {
    /// What it is called here.
    pub name: WitnessName,
    /// Where it takes checkpoints.
    pub url: WitnessUrl,
    /// The key that verifies its cosignatures.
    pub key: WitnessKeyText,
    /// The certificates of the authority that its certificate is issued by, PEM; only for https, and always there.
    pub authority: Option<String>,
}

/// The verifier key of a witness, `name+id+key` (C2SP signed-note, type 4), in its form and with the id that belongs to
/// its name and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKeyText {
    text: String,
    public_key: [u8; 32],
}

impl WitnessKeyText {
    /// The key as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Text that is no verifier key of a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not the verifier key of a witness, `name+id+key`; copy it as `onebit witness new` printed it"
)]
pub struct WitnessKeyError;

impl FromStr for WitnessKeyText {
    type Err = WitnessKeyError;

    fn from_str(text: &str) -> Result<Self, WitnessKeyError> {
        let taken = || {
            let (name, rest) = text.split_once('+')?;
            let (id, key) = rest.split_once('+')?;
            let is_name = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control());
            let key = BASE64.decode(key.as_bytes()).ok()?;
            let (algorithm, public_key) = key.split_first()?;
            let due = Digest::sha256(&[name.as_bytes(), b"\n", &key].concat());
            let id = HEXLOWER.decode(id.as_bytes()).ok()?;
            let belongs = id.len() == KEY_ID_BYTES && due.as_bytes().starts_with(&id);
            let public_key = public_key.try_into().ok()?;
            (is_name && *algorithm == ALGORITHM_COSIGNATURE && belongs).then_some(public_key)
        };
        let public_key = taken().ok_or(WitnessKeyError)?;
        Ok(Self { text: text.to_owned(), public_key })
    }
}

/// Where a witness takes checkpoints: the submission prefix of C2SP tlog-witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessUrl {
    /// Whether TLS is spoken.
    pub scheme: WitnessScheme,
    /// The host, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path before `/add-checkpoint`: empty, or it begins with a slash and does not end with one.
    pub prefix: String,
}

/// Whether TLS is spoken with a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WitnessScheme {
    /// It is not: for a witness on this machine or behind a tunnel. Cosignatures prove themselves.
    Http,
    /// It is.
    Https,
}

/// An address that is none of a witness.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the address of a witness; write it as `https://host:port/prefix`, without `?`, `#` and `@`"
)]
pub struct WitnessUrlError(String);

impl FromStr for WitnessUrl {
    type Err = WitnessUrlError;

    fn from_str(text: &str) -> Result<Self, WitnessUrlError> {
        let wrong = || WitnessUrlError(text.chars().take(URL_SHOWN_CHARS).collect());
        let plain =
            |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '\\' | '"' | '<' | '>' | '`');
        if !text.chars().all(plain) {
            return Err(wrong());
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => (WitnessScheme::Https, rest),
            Some(("http", rest)) => (WitnessScheme::Http, rest),
            _ => return Err(wrong()),
        };
        let (place, path) = rest.split_once('/').map_or((rest, ""), |(place, path)| (place, path));
        let path = path.trim_end_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| wrong())?,
            None => scheme.port(),
        };
        if host.is_empty() { Err(wrong()) } else { Ok(Self { scheme, host: host.to_owned(), port, prefix }) }
    }
}

impl fmt::Display for WitnessUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.scheme == WitnessScheme::Https { "https" } else { "http" };
        write!(out, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

impl WitnessUrl {
    /// Host and port, as they stand in the address.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl WitnessScheme {
    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Witnesses {
    /// How many witnesses any two quorums have in common at least: 2k − n.
    #[must_use]
    pub fn overlap(&self) -> usize {
        (2 * self.needed).saturating_sub(self.all.len())
    }

    /// Whether a journal with two faces would be noticed: any two quorums have an honest witness in common, which
    /// has cosigned one of the two faces only. So it takes 2k − n > d.
    #[must_use]
    pub fn two_faces(&self) -> TwoFaces {
        if self.overlap() > self.assumed_dishonest { TwoFaces::Noticed } else { TwoFaces::NotClaimed }
    }

    /// The same in a sentence, for people.
    #[must_use]
    pub fn claim(&self) -> String {
        let (needed, number, overlap) = (self.needed, self.all.len(), self.overlap());
        let dishonest = self.assumed_dishonest;
        match self.two_faces() {
            TwoFaces::Noticed => format!(
                "protected against two faces of the journal: any two quorums of {needed} of {number} have {overlap} in common, more than the {dishonest} assumed dishonest"
            ),
            TwoFaces::NotClaimed if number == 0 => {
                "no witnesses: no protection against two faces of the journal is claimed".to_owned()
            }
            TwoFaces::NotClaimed => format!(
                "no protection against two faces of the journal is claimed: two quorums of {needed} of {number} may have as few as {overlap} in common, and that must be more than the {dishonest} assumed dishonest"
            ),
        }
    }

    pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Self, Vec<PolicyFault>> {
        read_document(file, bytes, witnesses).map(|(witnesses, _)| witnesses)
    }
}

/// Whether a journal with two faces would be noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TwoFaces {
    /// By every quorum.
    Noticed,
    /// There are too few witnesses, too few are needed, or too many are assumed dishonest.
    NotClaimed,
}

fn witnesses(top: &Section<'_>) -> Option<Witnesses> {
    let (names, keys) = (RefCell::new(BTreeSet::new()), RefCell::new(BTreeSet::new()));
    let all = top.each("witnesses", |part| {
        let witness = witness(part)?;
        if !names.borrow_mut().insert(witness.name.clone()) {
            return part.fault_at("name", format!("the witness `{}` stands twice; keep one", witness.name));
        }
        if !keys.borrow_mut().insert(witness.key.public_key) {
            return part.fault_at("key", "another witness has this key; two with one key are one");
        }
        Some(witness)
    });
    let needed = top.number("needed", 0..=WITNESSES_MAX);
    let assumed_dishonest = top.number("assumed_dishonest", 0..=WITNESSES_MAX);
    let before_release = top.word("before_release", &["required", "not-required"]);
    let (all, needed, assumed_dishonest) = (all?, needed?, assumed_dishonest?);
    let before_release =
        if before_release? == "required" { BeforeRelease::Required } else { BeforeRelease::NotRequired };
    let (needed, assumed_dishonest) =
        (usize::try_from(needed).ok()?, usize::try_from(assumed_dishonest).ok()?);
    if needed > all.len() {
        return top.fault_at(
            "needed",
            format!("`needed` is {needed}, and there are {} witnesses; lower it or name more", all.len()),
        );
    }
    if needed == 0 && before_release == BeforeRelease::Required {
        return top
            .fault_at("needed", "a release can't wait for 0 witnesses; write how many, or `not-required`");
    }
    if assumed_dishonest > all.len() {
        return top
            .fault_at("assumed_dishonest", "`assumed_dishonest` is more than there are witnesses; lower it");
    }
    if all.len() > usize::try_from(WITNESSES_MAX).ok()? {
        return top
            .fault_at("witnesses", format!("there are more than {WITNESSES_MAX} witnesses; remove some"));
    }
    Some(Witnesses { all, needed, assumed_dishonest, before_release })
}

fn witness(part: &Section<'_>) -> Option<WitnessFile> {
    let name = part.parsed("name");
    let url: Option<WitnessUrl> = part.parsed("url");
    let key: Option<WitnessKeyText> = part.parsed("key");
    let authority = part.optional_text("authority");
    let (name, url, key, authority) = (name?, url?, key?, authority?);
    match (url.scheme, &authority) {
        (WitnessScheme::Https, None) => {
            return part.fault_at(
                "url",
                "`authority` is missing; give the certificates of the authority that issued the witness's certificate, PEM",
            );
        }
        (WitnessScheme::Http, Some(_)) => {
            return part.fault_at("authority", "an authority is for https; write `https://`, or remove it");
        }
        (WitnessScheme::Https, Some(pem)) if !is_certificates(pem) => {
            return part.fault_at(
                "authority",
                "this holds no certificates in PEM; copy the authority's file as it is",
            );
        }
        _ => {}
    }
    Some(WitnessFile { name, url, key, authority })
}

fn is_certificates(pem: &str) -> bool {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    read.is_ok_and(|certificates| !certificates.is_empty())
}

/// A note may have 32 signatures; half of them leave room for the log's own and for witnesses that change keys.
const WITNESSES_MAX: u32 = 16;
const URL_SHOWN_CHARS: usize = 128;
/// The signature type of C2SP tlog-cosignature for Ed25519.
const ALGORITHM_COSIGNATURE: u8 = 4;
const KEY_ID_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> String {
        let (name, key) = (format!("w{seed}"), [[ALGORITHM_COSIGNATURE].as_slice(), &[seed; 32]].concat());
        let id = Digest::sha256(&[name.as_bytes(), b"\n", &key].concat());
        format!("{name}+{}+{}", HEXLOWER.encode(&id.as_bytes()[..KEY_ID_BYTES]), BASE64.encode(&key))
    }

    fn file(head: &str, witnesses: &[(&str, String)]) -> String {
        let each = witnesses.iter().map(|(name, key)| {
            format!("[[witnesses]]\nname = '{name}'\nurl = 'http://{name}.example'\nkey = '{key}'\n")
        });
        head.to_owned() + &each.collect::<String>()
    }

    fn faults(text: &str) -> Vec<String> {
        match Witnesses::parse("witnesses.toml", text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }

    fn three(head: &str) -> String {
        file(head, &[("one", key(1)), ("two", key(2)), ("three", key(3))])
    }

    #[test]
    fn two_faces_are_noticed_only_when_quorums_overlap_in_somebody_honest() {
        for (needed, dishonest, claimed) in [
            (2, 0, true),
            (2, 1, false),
            (3, 1, true),
            (3, 2, true),
            (3, 3, false),
            (1, 0, false),
            (0, 0, false),
        ] {
            let head = format!(
                "needed = {needed}\nassumed_dishonest = {dishonest}\nbefore_release = 'not-required'\n"
            );
            let read = Witnesses::parse("witnesses.toml", three(&head).as_bytes()).unwrap();
            assert_eq!(
                read.two_faces() == TwoFaces::Noticed,
                claimed,
                "{needed} of 3, {dishonest} dishonest"
            );
            assert_eq!(read.claim().starts_with("protected"), claimed, "{}", read.claim());
            assert_eq!(read.claim().starts_with("no protection"), !claimed, "{}", read.claim());
        }
        assert_eq!(Witnesses::default().two_faces(), TwoFaces::NotClaimed);
        assert!(Witnesses::default().claim().starts_with("no witnesses"));
    }

    #[test]
    fn the_example_of_the_guide_is_read() {
        let guide = include_str!("../../docs/policy.md");
        let (_, example) = guide.split_once("```toml witnesses\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        assert_eq!(faults(example), Vec::<String>::new());
        let read = Witnesses::parse("witnesses.toml", example.as_bytes()).unwrap();
        assert_eq!((read.all.len(), read.needed, read.two_faces()), (3, 2, TwoFaces::Noticed));
    }

    #[test]
    fn faults_are_told_with_their_place() {
        let head = |needed: &str, before: &str| {
            format!("needed = {needed}\nassumed_dishonest = 0\nbefore_release = '{before}'\n")
        };
        let told = |text: &str, start: &str| {
            let faults = faults(text);
            assert!(
                faults.len() == 1 && faults[0].starts_with(&format!("policy/witnesses.toml:{start}")),
                "`{start}` should be the one fault of {text}:\n{faults:#?}"
            );
        };
        told(&three(&head("4", "required")), "1:10: `needed` is 4, and there are 3");
        told(&three(&head("0", "required")), "1:10: a release can't wait");
        assert_eq!(faults(&three(&head("0", "not-required"))), Vec::<String>::new());
        told(&three(&head("2", "maybe")), "3:18: `maybe` is not a before_release");
        let fine = head("1", "required");
        told(&file(&fine, &[("one", key(1)), ("one", key(2))]), "9:8: the witness `one` stands twice");
        told(&file(&fine, &[("one", key(1)), ("two", key(1))]), "11:7: another witness has this key");
        told(&three(&fine).replace(&key(2), "x"), "11:7: this is not the verifier key of a witness");
        told(
            &three(&fine).replace("http://two.example", "ftp://two.example"),
            "10:7: `ftp://two.example` is not",
        );
        told(&three(&fine).replace("http://two", "https://two"), "10:7: `authority` is missing");
        told(&(three(&fine) + "authority = 'x'\n"), "16:13: an authority is for https");
        told(
            &(three(&fine).replace("http://three", "https://three") + "authority = 'x'\n"),
            "16:13: this holds no",
        );
        told(&(three(&fine) + "odd = 1\n"), "16:1: `odd` is not a key");
        told(&three(&fine.replace("dishonest = 0", "dishonest = 4")), "2:21: `assumed_dishonest` is more");
        told(&fine, "1:1: `witnesses` is missing");
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (text, host, port, prefix) in [
            ("http://a.example", "a.example", 80, ""),
            ("https://a.example/", "a.example", 443, ""),
            ("https://a.example:7380/w/1/", "a.example", 7_380, "/w/1"),
            ("http://127.0.0.1:1", "127.0.0.1", 1, ""),
            ("http://[::1]:8080/x", "::1", 8_080, "/x"),
        ] {
            let url: WitnessUrl = text.parse().unwrap();
            assert_eq!((url.host.as_str(), url.port, url.prefix.as_str()), (host, port, prefix), "`{text}`");
            assert_eq!(url.to_string().parse(), Ok(url));
        }
        for bad in [
            "",
            "a.example",
            "http://",
            "http:///x",
            "ftp://a",
            "http://a:x",
            "http://a:70000",
            "http://u@a",
            "http://a?b",
            "http://a b",
        ] {
            assert!(bad.parse::<WitnessUrl>().is_err(), "`{bad}` should have been refused");
        }
    }
}
