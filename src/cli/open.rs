//! `onebit open`: opens a fetched release with the partner's own key.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::fault::CliError;
use super::request::{self, ReleaseFile, Way};
use super::{files, print, wire};
use crate::audit::event::{Fact, Kind};
use crate::ids::Digest;
use crate::keys::{ReleaseSecretKey, open_release_with_info};
use crate::secret::SecretBytes;

/// Opens a release and shows its fields
///
/// The file is what `onebit request fetch` wrote. It opens with the release key that was registered when it was
/// released, and with nothing else; the holder can't open it either. Each field comes with its classification,
/// its source and what it may be used for.
///
/// With `--acknowledge` the holder is told that it was opened, and deletes it.
#[derive(Debug, clap::Args)]
pub struct OpenArgs {
    /// The file that `onebit request fetch` wrote
    #[arg(value_name = "FILE")]
    pub release: PathBuf,
    /// The secret release key, as `onebit release-key new` wrote it
    #[arg(long, value_name = "FILE", env = "ONEBIT_RELEASE_KEY")]
    pub release_key: PathBuf,
    /// Tell the holder that it was opened; needs a connection
    #[arg(long)]
    pub acknowledge: bool,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// What a release holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Released {
    fields: Vec<ReleasedField>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleasedField {
    field: String,
    value: String,
    classification: String,
    source: String,
    permitted_uses: Vec<String>,
    /// Statements of correction: what the person says of the field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    statements: Vec<String>,
}

/// Opens the release and shows it.
///
/// # Errors
/// [`CliError`] when it does not open, holds something else, or its receipt does not hold.
pub fn run(args: &OpenArgs) -> Result<(), CliError> {
    let file = ReleaseFile::read(&args.release)?;
    let ciphertext = file.ciphertext()?;
    let digest = Digest::sha256(&ciphertext);
    let facts = [(Fact::CiphertextDigest, digest.as_bytes().as_slice())];
    let checked = args.way.log_key.check(&file.receipt, Kind::DisclosureReleased, &facts)?;
    let opened = open_release_with_info(&read_key(&args.release_key)?, &file.info()?, &ciphertext)
        .map_err(|error| CliError::because(format!("`{}` stays closed", args.release.display()), error))?;
    let released = read_fields(&opened)?;
    args.way.output.show(
        || format!("{}\n\nfrom     {}\nreceipt  {}", as_text(&released), file.disclosure, checked.text()),
        &released,
    )?;
    if args.acknowledge {
        print::note("telling the holder that it was opened");
        wire::calling(request::acknowledge(&file, &args.way))?;
    }
    Ok(())
}

/// Reads a secret release key.
///
/// # Errors
/// [`CliError`] when the file can't be read or holds none.
pub(super) fn read_key(path: &std::path::Path) -> Result<ReleaseSecretKey, CliError> {
    let text = files::read_secret(path)?;
    ReleaseSecretKey::from_text(&text)
        .map_err(|error| CliError::because(format!("`{}` can't be used", path.display()), error))
}

fn read_fields(opened: &SecretBytes) -> Result<Released, CliError> {
    serde_json::from_slice(opened.expose()).map_err(|error| {
        CliError::because("the release opened, but holds something that this version can't read", error)
    })
}

fn as_text(released: &Released) -> String {
    let parts = released.fields.iter().map(|it| {
        let statements = it.statements.iter().map(|words| format!("\n  stated by the person  {words}"));
        format!(
            "{}: {}\n  classification  {}\n  source          {}\n  permitted uses  {}{}",
            it.field,
            it.value,
            it.classification,
            it.source,
            it.permitted_uses.join(", "),
            statements.collect::<String>()
        )
    });
    parts.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_shown_with_what_they_may_be_used_for() {
        let plain = br#"{"fields":[{"field":"family-name","value":"Ng\u0101ta","classification":"IN-CONFIDENCE","source":"register","permitted_uses":["border-identity"]}]}"#;
        let released = read_fields(&SecretBytes::new(plain.to_vec())).unwrap();
        assert_eq!(
            as_text(&released),
            "family-name: Ngāta\n  classification  IN-CONFIDENCE\n  source          register\n  permitted uses  border-identity"
        );
        assert!(read_fields(&SecretBytes::new(b"[]".to_vec())).is_err());
    }
}
