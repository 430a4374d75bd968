//! The section `[notices]`: who is told what happened, by mail and by webhook.
//!
//! Addresses of people are personal data. They stand in this file, which the operator keeps and may correct or erase at
//! once, and nowhere in the store: there a receiver is a name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::document::{Document, Place};
use super::material::{self, MaterialError};
use super::{Config, Range, number};
use crate::authz::{Webhook, WebhookUrl, is_certificates};
use crate::ids::{ActorName, AgreementName};
use crate::outbox::{
    MailAddress, MailError, MailSecurity, MailSettings, Mailer, NoticeSettings, PersonSettings,
    SystemSettings,
};
use crate::store::NoticeKind;

/// Who is told what happened.
#[derive(Debug, Clone)]
pub struct NoticesConfig {
    /// The mail server; nobody is told by mail without.
    pub smtp: Option<SmtpConfig>,
    /// People by their names in the registry.
    pub people: BTreeMap<ActorName, PersonConfig>,
    /// The holder's own systems.
    pub systems: BTreeMap<String, SystemConfig>,
    /// Whether partners are told whose agreement names a webhook.
    pub to_partners: bool,
    /// Hosts that may be in a private network.
    pub private_hosts: BTreeSet<String>,
    /// The hour (UTC) of the daily mail.
    pub digest_hour: u8,
    /// The first pause after a failure.
    pub retry_after: Duration,
    /// After how long a notice is given up.
    pub give_up_after: Duration,
}

/// The mail server.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    /// Where it is and whom mails come from.
    pub settings: MailSettings,
    /// The file with the certificates of its authority, PEM; not without TLS.
    pub authority: Option<PathBuf>,
    /// Name and file with the password, where it asks for them.
    pub login: Option<(String, PathBuf)>,
}

/// How a person is told.
pub type PersonConfig = PersonSettings;

/// A system of the holder.
#[derive(Debug, Clone)]
pub struct SystemConfig {
    /// Where it listens.
    pub url: WebhookUrl,
    /// The file with the certificates of its authority, PEM.
    pub authority: PathBuf,
    /// Of what it is told.
    pub kinds: BTreeSet<NoticeKind>,
}

/// What notices are sent with can't be used.
#[derive(Debug, thiserror::Error)]
pub enum NoticesError {
    /// A file that the section names.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// A file with something else than certificates.
    #[error("`{0}` holds no certificates in PEM; copy the authority's file as it is")]
    Authority(PathBuf),
    /// The mail server's TLS.
    #[error("the mail server can't be spoken to")]
    Mail(#[from] MailError),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct NoticesKeys {
    digest_hour: Option<Spanned<u64>>,
    retry_after_s: Option<Spanned<u64>>,
    give_up_hours: Option<Spanned<u64>>,
    to_partners: Option<bool>,
    private_hosts: Vec<String>,
    smtp: Option<SmtpKeys>,
    people: BTreeMap<Spanned<String>, PersonKeys>,
    systems: BTreeMap<Spanned<String>, SystemKeys>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct SmtpKeys {
    host: Option<Spanned<String>>,
    port: Option<Spanned<u64>>,
    security: Option<Spanned<String>>,
    authority: Option<PathBuf>,
    from: Option<Spanned<String>>,
    user: Option<Spanned<String>>,
    password_file: Option<Spanned<PathBuf>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PersonKeys {
    address: Option<Spanned<String>>,
    kinds: Option<Vec<Spanned<String>>>,
    digest: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct SystemKeys {
    url: Option<Spanned<String>>,
    authority: Option<PathBuf>,
    kinds: Option<Vec<Spanned<String>>>,
}

/// The outer `None` stands for faults, the inner one for nothing configured.
pub(super) fn notices(document: &mut Document<'_>, folder: &Path) -> Option<Option<NoticesConfig>> {
    let (place, keys): (Place, NoticesKeys) = document.section("notices");
    let to_partners = keys.to_partners.unwrap_or(false);
    let is_for_nobody =
        keys.people.is_empty() && keys.systems.is_empty() && !to_partners && keys.smtp.is_none();
    let mut ranged = |key, value: &Option<Spanned<u64>>, least, most, default| {
        number(document, &place, value.as_ref(), &Range { key, least, most, default })
    };
    let digest_hour = ranged("digest_hour", &keys.digest_hour, 0, 23, DIGEST_HOUR);
    let retry_after = ranged("retry_after_s", &keys.retry_after_s, 1, RETRY_AFTER_MAX_S, RETRY_AFTER_S);
    let give_up = ranged("give_up_hours", &keys.give_up_hours, 1, GIVE_UP_MAX_H, GIVE_UP_H);
    if !keys.people.is_empty() && keys.smtp.is_none() {
        document
            .fault_of::<()>(&place, "people are named and no mail server; add a section `[notices.smtp]`");
    }
    let has_people = !keys.people.is_empty();
    let smtp = match keys.smtp {
        Some(keys) => smtp(document, &place, folder, keys).map(Some),
        None => Some(None).filter(|_: &Option<SmtpConfig>| !has_people),
    };
    let people = people(document, &place, keys.people);
    let systems = systems(document, &place, folder, keys.systems);
    let (digest_hour, retry_after, give_up) = (digest_hour?, retry_after?, give_up?);
    let config = NoticesConfig {
        smtp: smtp?,
        people: people?,
        systems: systems?,
        to_partners,
        private_hosts: keys.private_hosts.into_iter().collect(),
        digest_hour: u8::try_from(digest_hour).ok()?,
        retry_after: Duration::from_secs(retry_after),
        give_up_after: Duration::from_secs(give_up.saturating_mul(3_600)),
    };
    Some(Some(config).filter(|_| !is_for_nobody))
}

fn smtp(document: &mut Document<'_>, place: &Place, folder: &Path, keys: SmtpKeys) -> Option<SmtpConfig> {
    let host = document.required(place, "smtp.host", keys.host);
    let security = match &keys.security {
        None => Some(MailSecurity::default()),
        Some(text) => text
            .get_ref()
            .parse()
            .map_or_else(|error: String| document.fault(place, "smtp.security", text, error), Some),
    };
    let from = document.required(place, "smtp.from", keys.from);
    let from = from.and_then(|from| address(document, place, "smtp.from", &from));
    let (host, security) = (host?, security?);
    let port = match security {
        MailSecurity::StartTls => SUBMISSION,
        MailSecurity::Tls => SUBMISSIONS,
        MailSecurity::None => SMTP,
    };
    let range = Range { key: "smtp.port", least: 1, most: u64::from(u16::MAX), default: port };
    let port = number(document, place, keys.port.as_ref(), &range);
    let is_here = matches!(host.get_ref().as_str(), "localhost" | "127.0.0.1" | "::1");
    if security == MailSecurity::None && !is_here {
        let message = "mail would cross the network in the clear; write `starttls` or `tls`, or use a server on this machine";
        return document.fault(place, "smtp.host", &host, message);
    }
    if security != MailSecurity::None && keys.authority.is_none() {
        let message = "nothing says by which authority the mail server is verified; add `smtp.authority`, on Debian `/etc/ssl/certs/ca-certificates.crt` for the public ones";
        return document.fault_of(place, message);
    }
    let login = match (keys.user, keys.password_file) {
        (None, None) => None,
        (Some(user), Some(file)) => Some((user.into_inner(), folder.join(file.get_ref()))),
        (Some(user), None) => {
            return document.fault(
                place,
                "smtp.user",
                &user,
                "a name without a password; add `smtp.password_file`",
            );
        }
        (None, Some(file)) => {
            return document.fault(
                place,
                "smtp.password_file",
                &file,
                "a password without a name; add `smtp.user`",
            );
        }
    };
    let settings =
        MailSettings { host: host.into_inner(), port: u16::try_from(port?).ok()?, security, from: from? };
    Some(SmtpConfig { settings, authority: keys.authority.map(|file| folder.join(file)), login })
}

fn people(
    document: &mut Document<'_>,
    place: &Place,
    keys: BTreeMap<Spanned<String>, PersonKeys>,
) -> Option<BTreeMap<ActorName, PersonConfig>> {
    let mut sound = Some(BTreeMap::new());
    for (name, keys) in keys {
        let at = |key: &str| format!("people.{}.{key}", name.get_ref());
        let person = match ActorName::parse(name.get_ref()) {
            Ok(person) => Some(person),
            Err(error) => document.fault(place, "people", &name, error.to_string()),
        };
        let address = match keys.address {
            Some(given) => address(document, place, &at("address"), &given),
            None => document.fault_of(place, format!("`{}` is missing; add it", at("address"))),
        };
        let kinds = kinds(document, place, &at("kinds"), keys.kinds, &FOR_PEOPLE);
        sound = match (sound, person, address, kinds) {
            (Some(mut all), Some(person), Some(address), Some(kinds)) => {
                all.insert(person, PersonSettings { address, kinds, digest: keys.digest });
                Some(all)
            }
            _ => None,
        };
    }
    sound
}

fn systems(
    document: &mut Document<'_>,
    place: &Place,
    folder: &Path,
    keys: BTreeMap<Spanned<String>, SystemKeys>,
) -> Option<BTreeMap<String, SystemConfig>> {
    let mut sound = Some(BTreeMap::new());
    for (name, keys) in keys {
        let at = |key: &str| format!("systems.{}.{key}", name.get_ref());
        // A name like any other here.
        let is_name = match AgreementName::parse(name.get_ref()) {
            Ok(_) => Some(()),
            Err(error) => document.fault(place, "systems", &name, error.to_string()),
        };
        let url = match keys.url {
            Some(given) => match given.get_ref().parse::<WebhookUrl>() {
                Ok(url) => Some(url),
                Err(error) => document.fault(place, &at("url"), &given, error.to_string()),
            },
            None => document.fault_of(place, format!("`{}` is missing; add it", at("url"))),
        };
        let authority = match keys.authority {
            Some(file) => Some(folder.join(file)),
            None => document
                .fault_of(place, format!("`{}` is missing; name a file with certificates", at("authority"))),
        };
        let kinds = kinds(document, place, &at("kinds"), keys.kinds, &NoticeKind::ALL);
        sound = match (sound, is_name, url, authority, kinds) {
            (Some(mut all), Some(()), Some(url), Some(authority), Some(kinds)) => {
                all.insert(name.into_inner(), SystemConfig { url, authority, kinds });
                Some(all)
            }
            _ => None,
        };
    }
    sound
}

fn address(
    document: &mut Document<'_>,
    place: &Place,
    key: &str,
    given: &Spanned<String>,
) -> Option<MailAddress> {
    // What was written is not repeated: it may be somebody's address but for a slip.
    match given.get_ref().parse::<MailAddress>() {
        Ok(address) => Some(address),
        Err(error) => document.fault(place, key, given, error.to_string()),
    }
}

fn kinds(
    document: &mut Document<'_>,
    place: &Place,
    key: &str,
    given: Option<Vec<Spanned<String>>>,
    default: &[NoticeKind],
) -> Option<BTreeSet<NoticeKind>> {
    let Some(given) = given else { return Some(default.iter().copied().collect()) };
    let mut sound = Some(BTreeSet::new());
    for kind in given {
        match kind.get_ref().parse::<NoticeKind>() {
            Ok(kind) => {
                if let Some(all) = &mut sound {
                    all.insert(kind);
                }
            }
            Err(error) => sound = document.fault(place, key, &kind, error),
        }
    }
    sound
}

impl Config {
    /// Reads what notices are sent with; settings that tell nobody where nothing is configured.
    ///
    /// # Errors
    /// [`NoticesError`] when a file can't be used.
    pub fn notices_open(&self) -> Result<NoticeSettings, NoticesError> {
        let Some(notices) = &self.notices else { return Ok(NoticeSettings::default()) };
        let mailer = notices.smtp.as_ref().map(SmtpConfig::open).transpose()?;
        let systems = notices.systems.iter().map(|(name, system)| {
            let pem = material::read("the authority's certificates", &system.authority)?;
            let pem = String::from_utf8(pem).ok().filter(|pem| is_certificates(pem));
            let authority = pem.ok_or_else(|| NoticesError::Authority(system.authority.clone()))?;
            let webhook = Webhook { url: system.url.clone(), authority };
            Ok((name.clone(), SystemSettings { webhook, kinds: system.kinds.clone() }))
        });
        Ok(NoticeSettings {
            mailer,
            people: notices.people.clone(),
            systems: systems.collect::<Result<_, NoticesError>>()?,
            to_partners: notices.to_partners,
            private_hosts: notices.private_hosts.clone(),
            digest_hour: notices.digest_hour,
            retry_after: notices.retry_after,
            give_up_after: notices.give_up_after,
            console: self.console.as_ref().map(|console| console.settings.origin.to_string()),
        })
    }
}

impl SmtpConfig {
    fn open(&self) -> Result<Mailer, NoticesError> {
        let authority = match &self.authority {
            None => None,
            Some(file) => {
                let pem = material::read("the mail server's authority", file)?;
                let is_pem = std::str::from_utf8(&pem).is_ok_and(is_certificates);
                Some(pem).filter(|_| is_pem).ok_or_else(|| NoticesError::Authority(file.clone())).map(Some)?
            }
        };
        let login = self.login.as_ref().map(|(user, file)| {
            let password = material::read_secret("the mail server's password", file)?;
            let text = password.expose().trim_ascii_end().to_vec();
            Ok::<_, MaterialError>((user.clone(), crate::secret::SecretBytes::new(text)))
        });
        Ok(Mailer::new(&self.settings, authority.as_deref(), login.transpose()?)?)
    }
}

const FOR_PEOPLE: [NoticeKind; 3] = [NoticeKind::New, NoticeKind::Expiring, NoticeKind::Answered];
/// Evening in New Zealand is morning in UTC; seven there is nineteen here, in its winter.
const DIGEST_HOUR: u64 = 19;
const RETRY_AFTER_S: u64 = 30;
const RETRY_AFTER_MAX_S: u64 = 3_600;
/// A long weekend.
const GIVE_UP_H: u64 = 72;
/// A month.
const GIVE_UP_MAX_H: u64 = 31 * 24;
/// RFC 6409, RFC 8314, RFC 5321.
const SUBMISSION: u64 = 587;
const SUBMISSIONS: u64 = 465;
const SMTP: u64 = 25;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const REST: &str = "[store]\nfolder = 's'\nheads_folder = 'h'\n[root_key]\nfile = 'r'\npassphrase_file = 'p'\n\
                        [server]\ncertificate = 'c'\nkey = 'k'\n";

    fn faults(section: &str) -> String {
        match Config::parse(Path::new("onebit.toml"), &format!("{REST}{section}")) {
            Ok(_) => String::new(),
            Err(faults) => faults.to_string(),
        }
    }

    #[test]
    fn every_fault_of_notices_is_named() {
        let smtp =
            "[notices.smtp]\nhost = 'mail.example'\nauthority = 'a.pem'\nfrom = 'onebit@holder.example'\n";
        for (section, wanted) in [
            ("[notices]\ndigest_hour = 24\n", "0 to 23"),
            ("[notices]\ngive_up_hours = 0\n", "write 1 to 744"),
            ("[notices]\nto_everybody = true\n", "to_everybody"),
            ("[notices.people.anna]\naddress = 'anna@holder.example'\n", "add a section `[notices.smtp]`"),
            (&format!("{smtp}[notices.people.anna]\nkinds = ['new']\n"), "`people.anna.address` is missing"),
            (&format!("{smtp}[notices.people.anna]\naddress = 'anna'\n"), "write `name@host`"),
            (
                &format!("{smtp}[notices.people.anna]\naddress = 'a@b.example'\nkinds = ['old']\n"),
                "`old` is no kind",
            ),
            (&format!("{smtp}[notices.people.'An na']\naddress = 'a@b.example'\n"), "An na"),
            (&format!("{smtp}user = 'onebit'\n"), "add `smtp.password_file`"),
            (&format!("{smtp}security = 'none'\n"), "in the clear"),
            (&format!("{smtp}security = 'some'\n"), "write `starttls`, `tls` or `none`"),
            (&format!("{smtp}port = 70000\n"), "write 1 to 65535"),
            (&smtp.replace("authority = 'a.pem'\n", ""), "add `smtp.authority`"),
            (&smtp.replace("from = 'onebit@holder.example'\n", ""), "the key is missing"),
            (
                "[notices.systems.desk]\nurl = 'http://desk.example/'\nauthority = 'a.pem'\n",
                "write it as `https://",
            ),
            (
                "[notices.systems.desk]\nurl = 'https://desk.example/'\n",
                "`systems.desk.authority` is missing",
            ),
        ] {
            let told = faults(section);
            assert!(told.contains(wanted), "{section} should say `{wanted}`, and says: {told}");
            assert!(!told.contains("anna@holder"), "an address is personal data: {told}");
        }
    }

    #[test]
    fn notices_are_for_nobody_unless_somebody_is_named() {
        let parse =
            |section: &str| Config::parse(Path::new("x"), &format!("{REST}{section}")).unwrap().notices;
        assert!(parse("").is_none() && parse("[notices]\ngive_up_hours = 3\n").is_none());
        assert!(parse("[notices]\nto_partners = true\n").unwrap().to_partners);
        let smtp = "[notices.smtp]\nhost = 'localhost'\nsecurity = 'none'\nfrom = 'o@h.example'\n";
        let config =
            parse(&format!("{smtp}[notices.people.anna]\naddress = 'a@h.example'\ndigest = true\n")).unwrap();
        let person = config.people.values().next().unwrap();
        assert!(person.digest && person.kinds == FOR_PEOPLE.into_iter().collect());
        assert_eq!(config.smtp.unwrap().settings.port, 25);
    }
}
