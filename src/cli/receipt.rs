//! What a receipt proves, checked here and now, without the server.

use std::path::Path;

use serde_json::{Value, json};

use super::fault::CliError;
use super::files;
use crate::audit::cosignature::WitnessKey;
use crate::audit::event::{Event, Fact, Kind};
use crate::audit::handover::KeyChain;
use crate::audit::note::VerifierKey;
use crate::audit::receipt::{Receipt, Verified};

/// The key of the log, as the holder handed it over.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LogKeyOption {
    /// The log's verifier key, or a file that holds it; receipts are then checked at once
    ///
    /// It has the form `origin+id+key`. Take it from the holder on another way than this connection: a server
    /// that lies about the log would lie about the key too.
    #[arg(long, env = "ONEBIT_LOG_KEY", value_name = "KEY|FILE")]
    pub log_key: Option<String>,
}

impl LogKeyOption {
    /// The key, if one was given.
    ///
    /// # Errors
    /// [`CliError`] when it is neither a key nor a file that holds one.
    pub fn key(&self) -> Result<Option<VerifierKey>, CliError> {
        self.log_key.as_deref().map(parse_key).transpose()
    }

    /// Checks a receipt and that its entry says what the caller was told. Without a key nothing is checked.
    ///
    /// # Errors
    /// [`CliError`] when the receipt proves nothing, or something else.
    pub fn check(&self, receipt: &str, kind: Kind, facts: &[(Fact, &[u8])]) -> Result<Checked, CliError> {
        let Some(key) = self.key()? else { return Ok(Checked(None)) };
        let verified = verify(receipt, &key)?;
        if let Some(event) = &verified.event {
            states(event, kind, facts)?;
        }
        Ok(Checked(Some((key.name().to_owned(), verified))))
    }
}

/// What came of checking a receipt: nothing when there was no key.
pub struct Checked(Option<(String, Verified)>);

impl Checked {
    /// In a sentence.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.0 {
            None => "not checked (give --log-key to check it)".to_owned(),
            Some((origin, Verified { index, size, .. })) => {
                format!("holds: entry {index} of {size} in the journal {origin}")
            }
        }
    }

    /// As JSON: `null` when nothing was checked.
    #[must_use]
    pub fn json(&self) -> Value {
        match &self.0 {
            None => Value::Null,
            Some((origin, Verified { index, size, .. })) => {
                json!({ "origin": origin, "index": index, "size": size })
            }
        }
    }
}

/// The verifier key in `text`, or in the file that `text` names.
///
/// # Errors
/// [`CliError`] when it is neither a key nor a file that holds one.
pub fn parse_key(text: &str) -> Result<VerifierKey, CliError> {
    match text.trim().parse() {
        Ok(key) => Ok(key),
        Err(error) if text.contains('+') && !Path::new(text).exists() => {
            Err(CliError::because("the log's verifier key can't be used", error))
        }
        Err(_) => files::read_text(Path::new(text))?
            .trim()
            .parse()
            .map_err(|error| CliError::because(format!("`{text}` holds no verifier key"), error)),
    }
}

/// The verifier key of a witness in `text`, or in the file that `text` names.
///
/// # Errors
/// [`CliError`] when it is neither a key nor a file that holds one.
pub fn parse_witness_key(text: &str) -> Result<WitnessKey, CliError> {
    match text.trim().parse() {
        Ok(key) => Ok(key),
        Err(error) if text.contains('+') && !Path::new(text).exists() => {
            Err(CliError::because("the witness's verifier key can't be used", error))
        }
        Err(_) => files::read_text(Path::new(text))?.trim().parse().map_err(|error| {
            CliError::because(format!("`{text}` holds no verifier key of a witness"), error)
        }),
    }
}

/// Checks a receipt against the log's key.
///
/// # Errors
/// [`CliError`] with what does not hold.
pub fn verify(receipt: &str, key: &VerifierKey) -> Result<Verified, CliError> {
    let refused = |error| CliError::because("the receipt does not hold", error);
    Receipt::parse(receipt).map_err(refused)?.verify(key).map_err(refused)
}

/// Checks a receipt against the key of its time.
///
/// # Errors
/// [`CliError`] with what does not hold.
pub fn verify_with(receipt: &str, keys: &KeyChain) -> Result<Verified, CliError> {
    let refused = |error| CliError::because("the receipt does not hold", error);
    let receipt = Receipt::parse(receipt).map_err(refused)?;
    keys.verify(&receipt).map_err(|error| CliError::because("the receipt does not hold", error))
}

/// Checks that an entry is of this kind and states these facts.
fn states(event: &Event, kind: Kind, facts: &[(Fact, &[u8])]) -> Result<(), CliError> {
    let wrong = |what: &str| {
        CliError::Found(format!(
            "the receipt holds, but its entry {what}; keep answer and receipt, and take it up with the holder"
        ))
    };
    if event.kind != kind {
        return Err(wrong(&format!("is of kind `{}` where `{kind}` was expected", event.kind)));
    }
    match facts.iter().find(|(fact, value)| event.fact(*fact) != Some(*value)) {
        Some((fact, _)) => Err(wrong(&format!("says something else about `{fact}` than the answer does"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::checkpoint::Checkpoint;
    use crate::audit::entry::Draft;
    use crate::audit::note::{Ed25519Signer, NoteSigner};
    use crate::clock::Timestamp;
    use crate::ids::Digest;
    use crate::secret::SystemEntropy;

    const ORIGIN: &str = "immigration.example/onebit/au-border";

    /// A receipt of a hit in a journal of one entry, with the key that verifies it.
    fn receipt(outcome: u8) -> (String, String) {
        let policy = Digest::sha256(b"policy");
        let event = Event::new(Kind::QueryAnswered, Timestamp::from_millis(0), "gateway", policy)
            .with(Fact::Outcome, &[outcome]);
        let draft = Draft::blind(&event, &event, &SystemEntropy::new()).unwrap();
        let signer = Ed25519Signer::from_seed(&[7; 32]);
        let head = Checkpoint { origin: ORIGIN.to_owned(), size: 1, root: draft.entry.leaf_hash() };
        let receipt = Receipt {
            entry: draft.entry,
            opening: Some(draft.partner),
            index: 0,
            proof: Vec::new(),
            checkpoint: head.sign(&signer),
        };
        (receipt.to_text(), VerifierKey::new(ORIGIN, signer.public_key()).unwrap().to_string())
    }

    #[test]
    fn a_receipt_that_says_something_else_than_the_answer_is_found_out() {
        let (text, key) = receipt(1);
        let option = LogKeyOption { log_key: Some(key) };
        let checked = option.check(&text, Kind::QueryAnswered, &[(Fact::Outcome, &[1])]).unwrap();
        assert_eq!(checked.text(), format!("holds: entry 0 of 1 in the journal {ORIGIN}"));
        assert!(option.check(&text, Kind::QueryAnswered, &[(Fact::Outcome, &[0])]).is_err());
        assert!(option.check(&text, Kind::QueryRefused, &[]).is_err());
        let changed = text.replacen("index 0", "index 1", 1);
        assert!(option.check(&changed, Kind::QueryAnswered, &[]).is_err());
    }

    #[test]
    fn a_key_is_given_as_text_or_in_a_file() {
        let (_, key) = receipt(0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.key");
        std::fs::write(&path, format!("{key}\n")).unwrap();
        assert_eq!(parse_key(path.to_str().unwrap()).unwrap().to_string(), key);
        assert_eq!(parse_key(&key).unwrap().name(), ORIGIN);
        assert!(parse_key(&key.replace("+", "-")).is_err());
    }

    #[test]
    fn without_a_key_nothing_is_claimed() {
        let checked = LogKeyOption::default().check("anything", Kind::QueryAnswered, &[]).unwrap();
        assert!(checked.text().contains("not checked") && checked.json().is_null());
    }
}
