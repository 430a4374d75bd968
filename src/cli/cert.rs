//! `onebit cert`: certificates for development, and what a certificate says.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::certs::{Authority, Issued, Validity, describe};
use super::fault::CliError;
use super::print::{self, OutputOption};
use super::{files, wire};
use crate::clock::{Clock, SystemClock};
use crate::door::{SpiffeId, TrustDomainName};
use crate::secret::SystemEntropy;

/// Shows what a certificate says, and issues certificates for development
///
/// Who somebody is stands in the one URI of their certificate, `spiffe://TRUST-DOMAIN/PATH`. Each trust domain
/// is bound to its own authority. The authorities made here keep their key in a file: they are for development
/// and demonstrations. In production each agency has an authority of its own, in its own hardware.
#[derive(Debug, clap::Args)]
pub struct CertArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CertCommand,
}

/// What can be done with certificates.
#[derive(Debug, clap::Subcommand)]
pub enum CertCommand {
    /// Shows what a certificate says, and whether Onebit would take it
    Show {
        /// The certificate, PEM
        #[arg(value_name = "FILE")]
        certificate: PathBuf,
        /// The form of the output.
        #[command(flatten)]
        output: OutputOption,
    },
    /// Makes an authority for a trust domain: `authority.pem` and `authority.key`
    Authority {
        /// The trust domain
        #[arg(long, value_name = "DOMAIN")]
        trust_domain: String,
        /// The folder to write to; nothing in it is overwritten
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// For how many days it is valid
        #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
        days: u32,
        /// The form of the output.
        #[command(flatten)]
        output: OutputOption,
    },
    /// Issues a certificate for a person or a system: `NAME.pem` and `NAME.key`, by the last part of the URI
    Issue {
        /// The folder of the authority
        #[arg(long, value_name = "DIR")]
        authority: PathBuf,
        /// Who it is for, `spiffe://TRUST-DOMAIN/PATH`
        #[arg(long, value_name = "URI")]
        uri: String,
        /// The folder to write to; nothing in it is overwritten
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// For how many days it is valid
        #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
        days: u32,
        /// The form of the output.
        #[command(flatten)]
        output: OutputOption,
    },
    /// Issues a certificate for a server: `server.pem` and `server.key`
    Server {
        /// The folder of the authority
        #[arg(long, value_name = "DIR")]
        authority: PathBuf,
        /// A host name; give it again for more
        #[arg(long, value_name = "HOST", required_unless_present = "ip")]
        dns: Vec<String>,
        /// An address; give it again for more
        #[arg(long, value_name = "ADDRESS")]
        ip: Vec<IpAddr>,
        /// The folder to write to; nothing in it is overwritten
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// For how many days it is valid
        #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
        days: u32,
        /// The form of the output.
        #[command(flatten)]
        output: OutputOption,
    },
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when a file can't be read or written, or no certificate can be made.
pub fn run(args: &CertArgs) -> Result<(), CliError> {
    match &args.command {
        CertCommand::Show { certificate, output } => show(certificate, *output),
        CertCommand::Authority { trust_domain, out, days, output } => {
            let domain = TrustDomainName::parse(trust_domain)
                .map_err(|error| CliError::Usage(format!("--trust-domain: {error}")))?;
            let made = Authority::new(&domain, validity(*days), &SystemEntropy::new()).map_err(not_made)?;
            write(out, "authority", made.certificate_pem(), &made.key_pem(), *output)
        }
        CertCommand::Issue { authority, uri, out, days, output } => {
            let authority = read_authority(authority)?;
            let id = SpiffeId::parse(uri).map_err(|error| CliError::Usage(format!("--uri: {error}")))?;
            if id.trust_domain() != authority.trust_domain() {
                return Err(CliError::Usage(format!(
                    "--uri: the authority is that of `{}`, and issues nothing for `{}`",
                    authority.trust_domain(),
                    id.trust_domain()
                )));
            }
            let path = id.path().trim_start_matches('/');
            let issued =
                authority.issue_client(path, validity(*days), &SystemEntropy::new()).map_err(not_made)?;
            write_issued(out, wire::last_part(path), &issued, *output)
        }
        CertCommand::Server { authority, dns, ip, out, days, output } => {
            let dns: Vec<&str> = dns.iter().map(String::as_str).collect();
            let issued = read_authority(authority)?
                .issue_server(&dns, ip, validity(*days), &SystemEntropy::new())
                .map_err(not_made)?;
            write_issued(out, "server", &issued, *output)
        }
    }
}

fn show(path: &Path, output: OutputOption) -> Result<(), CliError> {
    let facts = describe(&files::read(path)?)
        .map_err(|error| CliError::because(format!("`{}` can't be used", path.display()), error))?;
    let taken = match (&facts.peer, facts.authority) {
        (_, true) => "an authority, not a caller".to_owned(),
        (Ok(id), false) => id.to_string(),
        (Err(error), false) => format!("nobody: {error}"),
    };
    let key = facts.key_type.map_or("of a kind that Onebit does not verify", |kind| kind.as_str());
    let (from, until) = (facts.validity.not_before.to_string(), facts.validity.not_after.to_string());
    let mut names = facts.uris.clone();
    names.extend(facts.dns.iter().cloned());
    output.show(
        || {
            format!(
                "caller       {taken}\nnames        {}\nissuer       {}\nserial       {}\n\
                 valid        {from} to {until}\nkey          {key}\nfingerprint  {}",
                names.join(", "),
                facts.issuer,
                facts.serial,
                facts.fingerprint
            )
        },
        &json!({
            "caller": facts.peer.as_ref().ok().map(ToString::to_string), "authority": facts.authority,
            "refused": facts.peer.as_ref().err().map(ToString::to_string),
            "trust_domain": facts.trust_domain.as_ref().map(ToString::to_string),
            "uris": facts.uris, "dns": facts.dns, "issuer": facts.issuer, "serial": facts.serial,
            "not_before": from, "not_after": until, "key": key, "fingerprint": facts.fingerprint.to_string(),
        }),
    )
}

fn read_authority(folder: &Path) -> Result<Authority, CliError> {
    let certificate = files::read_text(&folder.join("authority.pem"))?;
    let key = files::read_secret(&folder.join("authority.key"))?;
    Authority::from_pem(&certificate, &key).map_err(|error| {
        CliError::because(format!("the authority in `{}` can't be used", folder.display()), error)
    })
}

fn write_issued(out: &Path, name: &str, issued: &Issued, output: OutputOption) -> Result<(), CliError> {
    write(out, name, &issued.certificate_pem, &issued.key_pem, output)
}

/// Writes the key first: a certificate whose key could not be kept is worth nothing.
fn write(
    out: &Path,
    name: &str,
    certificate_pem: &str,
    key_pem: &str,
    output: OutputOption,
) -> Result<(), CliError> {
    files::folder(out)?;
    let (certificate, key) = (out.join(format!("{name}.pem")), out.join(format!("{name}.key")));
    files::write_private(&key, key_pem.as_bytes())?;
    files::write_new(&certificate, certificate_pem.as_bytes())?;
    if output.output == print::Output::Text {
        print::note("for development only: the key lies in a file");
    }
    output.show(
        || format!("certificate  {}\nkey          {}", certificate.display(), key.display()),
        &json!({ "certificate": certificate, "key": key }),
    )
}

fn validity(days: u32) -> Validity {
    Validity::starting(SystemClock.now(), Duration::from_secs(u64::from(days).saturating_mul(DAY_S)))
}

fn not_made(error: super::certs::CertError) -> CliError {
    CliError::because("no certificate was made", error)
}

const DAY_S: u64 = 86_400;
/// Ten years; a development authority that lives longer has become something else.
const DAYS_MAX: i64 = 3_653;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::client::CredentialOptions;

    #[test]
    fn what_is_issued_can_be_used_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_owned();
        let output = OutputOption::default();
        let trust_domain = "immigration.example".to_owned();
        let authority = CertCommand::Authority { trust_domain, out: out.clone(), days: 1, output };
        let issue = |uri: &str| CertCommand::Issue {
            authority: out.clone(),
            uri: uri.to_owned(),
            out: out.join("people"),
            days: 1,
            output,
        };
        run(&CertArgs { command: authority }).unwrap();
        run(&CertArgs { command: issue("spiffe://immigration.example/person/mere") }).unwrap();
        let again = run(&CertArgs { command: issue("spiffe://immigration.example/person/mere") });
        assert!(matches!(again, Err(CliError::Write { .. })), "a key must never be overwritten");
        let foreign = run(&CertArgs { command: issue("spiffe://border.au.example/system/gateway") });
        assert!(matches!(foreign, Err(CliError::Usage(_))));
        let options = CredentialOptions {
            cert: Some(out.join("people/mere.pem")),
            key: Some(out.join("people/mere.key")),
            ..CredentialOptions::default()
        };
        assert_eq!(options.spiffe_id().unwrap().to_string(), "spiffe://immigration.example/person/mere");
        options.signing_key().unwrap();
        show(&out.join("people/mere.pem"), output).unwrap();
    }
}
