//! `onebit config`: whether a configuration holds.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::certs::{self, CertificateFacts};
use super::fault::CliError;
use super::init::unusable;
use super::print;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::material::{TlsFiles, process_environment};
use crate::config::{Config, RootGuard, SecretSource};
use crate::console::assets::{NO_STYLE, is_built};
use crate::door::{GuestTls, SettingsError, TlsSettings, TrustDomain, TrustError};
use crate::grpc::AnswerTime;
use crate::store::sqlite;

/// Looks at configurations
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done with a configuration.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Reads a configuration and every file that it names, and says what it found
    ///
    /// Nothing is changed, and a running server is not disturbed. The exit code is 1 when a server would not
    /// start with it.
    Check {
        /// The configuration
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] with everything that is wrong.
pub fn run(args: &ConfigArgs) -> Result<(), CliError> {
    let ConfigCommand::Check { file } = &args.command;
    let config = Config::read(file).map_err(unusable)?;
    let clock: std::sync::Arc<dyn Clock> = std::sync::Arc::new(SystemClock);
    let mut findings = Findings::default();
    findings.store(&config);
    findings.tls(&config, &clock);
    findings.rest(&config);
    print::line(&findings.good.join("\n"))?;
    if findings.bad.is_empty() {
        return print::line("The configuration holds.");
    }
    Err(CliError::Found(findings.bad.join("\n")))
}

/// What was found, in the order of looking.
#[derive(Default)]
struct Findings {
    good: Vec<String>,
    bad: Vec<String>,
}

impl Findings {
    fn store(&mut self, config: &Config) {
        let folder = config.store_folder.display();
        let [database, keys] = sqlite::files(&config.store_folder);
        let size = |path: &PathBuf| std::fs::metadata(path).map(|file| file.size());
        match (size(&database), size(&keys)) {
            (Ok(bytes), Ok(_)) => {
                self.good.push(format!("store: {folder}, {} MiB", bytes >> 20));
                self.heads(config);
            }
            (Err(_), Err(_)) if !config.root_key.file.exists() => {
                let hint = match config.root_key.guard {
                    RootGuard::Passphrase(SecretSource::File(_)) => {
                        "; with `--generate-passphrase` it makes the passphrase as well"
                    }
                    RootGuard::Passphrase(_) => "",
                    RootGuard::Token(..) => "; the token's key is made before, with `onebit keys token new`",
                };
                self.bad.push(format!(
                    "store: {folder} holds none and there is no root key yet; hold the first-start ceremony with `onebit init`{hint}"
                ));
                return;
            }
            (Err(_), Err(_)) => self.bad.push(format!(
                "store: {folder} holds none, but there is a root key; correct `store.folder`, or restore the store from its backup"
            )),
            (Err(_), Ok(_)) | (Ok(_), Err(_)) => self.bad.push(format!(
                "store: {folder} holds only one of its two databases; restore the other from its backup"
            )),
        }
        match config.root_key.open(&process_environment) {
            Ok(root)
                if sqlite::keys_status(&config.store_folder)
                    .is_ok_and(|status| status.roots.iter().all(|(known, _)| *known != root.id())) =>
            {
                self.bad.push(format!(
                    "root key: {} in {} opens nothing of the store; correct `root_key.file`, or finish what `onebit keys rotate root` began",
                    root.id(),
                    config.root_key.file.display()
                ));
            }
            Ok(root) => self.good.push(format!(
                "root key: {} in {}, opened by {}",
                root.id(),
                config.root_key.file.display(),
                config.root_key.guard.shown()
            )),
            Err(error) => self.bad("root key", error),
        }
    }

    fn heads(&mut self, config: &Config) {
        let file = sqlite::heads_file(&config.heads_folder);
        if file.exists() {
            self.good.push(format!("newest signed checkpoints: {}", file.display()));
        } else {
            self.bad.push(format!(
                "newest signed checkpoints: `{}` is not there; correct `store.heads_folder`, or see \"When the server refuses to sign\" in docs/operating.md",
                file.display()
            ));
        }
    }

    fn tls(&mut self, config: &Config, clock: &std::sync::Arc<dyn Clock>) {
        let files = match TlsFiles::read(config) {
            Ok(files) => files,
            Err(error) => return self.bad("certificate, key and revocation lists", error),
        };
        if let Some((certificate, key)) = files.console() {
            match GuestTls::new(certificate, key, std::sync::Arc::clone(clock)) {
                Ok(_) => self.good.push("console's certificate: it serves, with its key".to_owned()),
                Err(error) => self.bad("console's certificate", error),
            }
        }
        match certificate(&files, clock) {
            Ok(facts) => self.good.push(format!(
                "certificate: for {}, valid until {}, and the key is its own",
                names(&facts),
                facts.validity.not_after
            )),
            Err(error) => self.bad.push(format!("certificate: {}", error.chain())),
        }
        match files.revocation_lists() {
            Ok(domains) if domains.is_empty() => {
                self.good.push("revocation lists: none, so revocation is not checked".to_owned());
            }
            Ok(domains) => domains.iter().for_each(|domain| self.lists(domain, clock.now())),
            Err(error) => self.bad("revocation lists", error),
        }
    }

    fn lists(&mut self, domain: &TrustDomain, now: Timestamp) {
        for list in &domain.revocation_lists {
            let name = &domain.name;
            let Ok((_, list)) = CertificateRevocationList::from_der(list) else {
                self.bad.push(format!(
                    "revocation lists: one of `{name}` can't be read; take it from its authority again"
                ));
                continue;
            };
            let count = list.iter_revoked_certificates().count();
            let next =
                list.next_update().map(|next| Timestamp::from_millis(next.timestamp().saturating_mul(1_000)));
            match next {
                Some(next) if next > now => self.good.push(format!(
                    "revocation lists: one of `{name}` with {count} certificates, valid until {next}"
                )),
                _ => self.bad.push(format!(
                    "revocation lists: one of `{name}` has expired, so everybody of `{name}` would be refused; fetch the present one"
                )),
            }
        }
    }

    fn rest(&mut self, config: &Config) {
        self.good.push(format!("listens at: {}", config.server.listen));
        if config.server.answer_time == AnswerTime::AtOnce {
            self.good.push(
                "answers: as soon as they are ready, so that their time tells about the gallery".to_owned(),
            );
        }
        self.good.push(match config.tiles_listen {
            Some(listen) => format!("log over HTTPS: at https://{listen}"),
            None => "log over HTTPS: not served".to_owned(),
        });
        match &config.console {
            Some(_) if !is_built() => self.bad.push(format!("console: {NO_STYLE}")),
            Some(console) => {
                self.good.push(format!("console: {} at {}", console.settings.origin, console.listen));
            }
            None => self.good.push("console: none".to_owned()),
        }
        match config.oidc_open() {
            Ok(Some(oidc)) => self.good.push(format!(
                "sign-in by a provider: {}, {} passkeys",
                oidc.issuer,
                if oidc.passkeys { "beside" } else { "instead of" }
            )),
            Ok(None) => {}
            Err(error) => self.bad("sign-in by a provider", error),
        }
        self.good.push(match config.metrics_listen {
            Some(listen) => format!("metrics: at http://{listen}/metrics"),
            None => "metrics: not served".to_owned(),
        });
        match (config.notices_open(), &config.notices) {
            (Err(error), _) => self.bad("notices", error),
            (Ok(_), None) => self.good.push("notices: nobody is told".to_owned()),
            (Ok(_), Some(notices)) => self.good.push(format!(
                "notices: {} by mail, {} by webhook{}",
                notices.people.len(),
                notices.systems.len(),
                if notices.to_partners { ", and partners whose agreement names one" } else { "" }
            )),
        }
        self.good.push(format!(
            "search: {} threads, first stage `{}`",
            config.search.threads, config.search.index
        ));
    }

    fn bad(&mut self, what: &str, error: impl std::error::Error + Send + Sync + 'static) {
        self.bad.push(CliError::because(what, error).chain());
    }
}

fn names(facts: &CertificateFacts) -> String {
    if facts.dns.is_empty() { "no host name".to_owned() } else { facts.dns.join(", ") }
}

/// What the server's certificate says, if a server can be set up with it and its key.
fn certificate(files: &TlsFiles, clock: &std::sync::Arc<dyn Clock>) -> Result<CertificateFacts, CliError> {
    // Whose clients may connect stands in the store, which is not opened here; certificate and key come first.
    match TlsSettings::build(files.material_for(Vec::new()), clock) {
        Ok(_) | Err(SettingsError::Trust(TrustError::Empty)) => {}
        Err(error) => return Err(CliError::because("it can't be used", error)),
    }
    certs::describe(files.certificate_pem()).map_err(|error| CliError::because("it can't be read", error))
}

#[cfg(test)]
mod tests;
