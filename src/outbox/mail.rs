//! Notices to people: short mails in plain text, handed to the holder's own mail server.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use data_encoding::HEXLOWER;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::clock::Timestamp;
use crate::ids::Digest;
use crate::secret::SecretBytes;
use crate::store::{Notice, NoticeKind};

/// An address for mail. It is personal data, so it is shown nowhere but in the mail itself.
#[derive(Clone, PartialEq, Eq)]
pub struct MailAddress(Address);

/// Text that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not an address for mail; write `name@host`, in ASCII")]
pub struct MailAddressError;

impl FromStr for MailAddress {
    type Err = MailAddressError;
    fn from_str(text: &str) -> Result<Self, MailAddressError> {
        // Others need an extension that many servers do not have (RFC 6531).
        text.parse().ok().filter(|_| text.is_ascii()).map(Self).ok_or(MailAddressError)
    }
}

impl fmt::Debug for MailAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("MailAddress")
    }
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MailSecurity {
    /// It begins in the clear and goes on under TLS, or not at all (RFC 3207).
    #[default]
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// In the clear: only for a server on this machine.
    None,
}

impl FromStr for MailSecurity {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "starttls" => Ok(Self::StartTls),
            "tls" => Ok(Self::Tls),
            "none" => Ok(Self::None),
            _ => Err(format!("`{text}` protects no connection; write `starttls`, `tls` or `none`")),
        }
    }
}

/// The holder's mail server.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: MailSecurity,
    /// Whom mails come from.
    pub from: MailAddress,
}

/// Mail that did not leave.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// What the server is verified by.
    #[error("the authority's certificates can't be used; copy the authority's file as it is, in PEM")]
    Authority(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A mail that can't be written.
    #[error("the mail can't be written")]
    Form(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server did not take it.
    #[error("the mail server did not take it")]
    Refused(#[source] lettre::transport::smtp::Error),
    /// No word with the server.
    #[error("the mail server can't be reached, or there is no TLS with it")]
    Silent(#[source] lettre::transport::smtp::Error),
}

impl MailError {
    /// A fixed word for metrics, log lines and the status. What the server said may hold an address, and is not told.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Authority(_) => "tls",
            Self::Form(_) => "malformed",
            Self::Refused(error) if error.is_permanent() => "refused",
            Self::Refused(_) => "deferred",
            Self::Silent(error) if error.is_timeout() => "timed-out",
            Self::Silent(error) if error.is_tls() => "tls",
            Self::Silent(_) => "unreachable",
        }
    }

    /// Whether the next mail would find it no better: nothing was heard from the server.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        matches!(self, Self::Silent(_) | Self::Authority(_))
    }
}

/// Hands mails to the holder's mail server.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Address,
}

impl Mailer {
    /// Set up with the certificates of the server's authority, PEM, and name and password where it asks for them.
    ///
    /// # Errors
    /// [`MailError::Authority`].
    pub fn new(
        settings: &MailSettings,
        authority: Option<&[u8]>,
        login: Option<(String, SecretBytes)>,
    ) -> Result<Self, MailError> {
        let tls = || {
            let unusable = |error: lettre::transport::smtp::Error| MailError::Authority(error.into());
            let mut parameters =
                TlsParameters::builder(settings.host.clone()).certificate_store(CertificateStore::None);
            if let Some(pem) = authority {
                parameters = parameters.add_root_certificate(Certificate::from_pem(pem).map_err(unusable)?);
            }
            parameters.build_rustls().map_err(unusable)
        };
        let tls = match settings.security {
            MailSecurity::StartTls => Tls::Required(tls()?),
            MailSecurity::Tls => Tls::Wrapper(tls()?),
            MailSecurity::None => Tls::None,
        };
        let from = settings.from.0.clone();
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(settings.host.clone())
            .port(settings.port)
            .tls(tls)
            .hello_name(ClientId::Domain(from.domain().to_owned()))
            .timeout(Some(WAIT_LONGEST));
        if let Some((user, password)) = login {
            let password = String::from_utf8_lossy(password.expose()).into_owned();
            builder = builder.credentials(Credentials::new(user, password));
        }
        Ok(Self { transport: builder.build(), from })
    }

    /// Hands over one mail.
    ///
    /// # Errors
    /// [`MailError`] when the server did not take it.
    pub async fn send(&self, mail: &Mail, to: &MailAddress, now: Timestamp) -> Result<(), MailError> {
        let envelope = Envelope::new(Some(self.from.clone()), vec![to.0.clone()])
            .map_err(|error| MailError::Form(error.into()))?;
        let message = self.message(mail, to, now)?;
        self.transport.send_raw(&envelope, message.as_bytes()).await.map(drop).map_err(|error| {
            let is_answer = error.is_permanent() || error.is_transient();
            if is_answer { MailError::Refused(error) } else { MailError::Silent(error) }
        })
    }

    /// The mail by RFC 5322. All of it is ASCII and in short lines, so that nothing needs an encoding.
    fn message(&self, mail: &Mail, to: &MailAddress, now: Timestamp) -> Result<String, MailError> {
        let instant = jiff::Timestamp::from_millisecond(now.as_millis());
        let date =
            instant.and_then(|at| jiff::fmt::rfc2822::to_string(&at.to_zoned(jiff::tz::TimeZone::UTC)));
        let date = date.map_err(|error| MailError::Form(error.into()))?;
        let Mail { id, subject, text } = mail;
        let Self { from, .. } = self;
        let head = [
            format!("Date: {date}"),
            format!("From: {SENDER} <{from}>"),
            format!("To: {}", to.0),
            format!("Message-ID: <{id}@{}>", from.domain()),
            format!("Subject: {subject}"),
            // RFC 3834: nobody's holiday answers it.
            "Auto-Submitted: auto-generated".to_owned(),
            "MIME-Version: 1.0".to_owned(),
            "Content-Type: text/plain; charset=us-ascii".to_owned(),
            "Content-Transfer-Encoding: 7bit".to_owned(),
        ];
        Ok(format!("{}\r\n\r\n{}", head.join("\r\n"), text.replace('\n', "\r\n")))
    }
}

/// A mail: what stands in it for anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    id: String,
    subject: String,
    text: String,
}

impl Mail {
    /// One notice, or several at once. `receiver` makes the mail's id one of its own; a mail that is sent again has the
    /// same.
    #[must_use]
    pub fn of(notices: &[Notice], receiver: &str, console: Option<&str>) -> Self {
        let ids: Vec<u8> = notices.iter().flat_map(|notice| notice.id).collect();
        let digest = Digest::sha256(&[receiver.as_bytes(), b"\n", &ids].concat());
        let id = digest.as_bytes().first_chunk::<16>().map(|id| HEXLOWER.encode(id)).unwrap_or_default();
        let id = format!("notice.{id}");
        let lines: Vec<String> = notices.iter().map(|notice| line(notice, console)).collect();
        let (subject, first) = match notices {
            [one] => (subject(one.kind).to_owned(), String::new()),
            many => {
                (format!("{} notices about disclosures", many.len()), "Since the last mail:\n\n".to_owned())
            }
        };
        let text = format!(
            "{first}{}\n\nThis mail tells nothing else, and nobody reads answers to it.\n",
            lines.join("\n\n")
        );
        Self { id, subject, text }
    }

    /// A mail that tells nothing, for trying.
    #[must_use]
    pub fn test(id: &[u8; 16]) -> Self {
        Self {
            id: format!("test.{}", HEXLOWER.encode(id)),
            subject: "A test of Onebit's notices".to_owned(),
            text: "Notices arrive here. Nothing happened.\n".to_owned(),
        }
    }
}

fn line(notice: &Notice, console: Option<&str>) -> String {
    let place = match console {
        Some(origin) => format!("{origin}/cases/{}", notice.disclosure),
        None => notice.disclosure.resource(),
    };
    format!("{}, {}\n{place}", subject(notice.kind), notice.at)
}

const fn subject(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::New => "A new request for disclosure",
        NoticeKind::Expiring => "A request for disclosure comes to its end",
        NoticeKind::NeedsInformation => "A partner was asked for information",
        NoticeKind::Answered => "A partner has answered",
        NoticeKind::Decided => "A request for disclosure is decided",
        NoticeKind::Collected => "A release was collected",
        NoticeKind::Lapsed => "The time of a disclosure is over",
        NoticeKind::Withdrawn => "A request for disclosure was taken back",
        NoticeKind::Revoked => "A release was taken back",
    }
}

const SENDER: &str = "Onebit";
/// RFC 5321 has minutes for each command; a mail server of one's own is quicker, or is tried again.
const WAIT_LONGEST: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DisclosureId;

    fn notice(id: u8, kind: NoticeKind) -> Notice {
        let disclosure = DisclosureId::from_bytes([id; 16]);
        Notice { sequence: 1, id: [id; 16], kind, disclosure, at: Timestamp::from_millis(0) }
    }

    #[test]
    fn a_mail_has_proper_headers_and_tells_an_id_alone() {
        let settings = MailSettings {
            host: "localhost".to_owned(),
            port: 25,
            security: MailSecurity::None,
            from: "onebit@holder.example".parse().unwrap(),
        };
        let mailer = Mailer::new(&settings, None, None).unwrap();
        let mail = Mail::of(&[notice(1, NoticeKind::New)], "person/anna", Some("https://console.example"));
        let to = "anna@holder.example".parse().unwrap();
        let message = mailer.message(&mail, &to, Timestamp::from_millis(0)).unwrap();
        for wanted in [
            "From: Onebit <onebit@holder.example>\r\n",
            "To: anna@holder.example\r\n",
            "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Subject: A new request for disclosure\r\n",
            "https://console.example/cases/01010101010101010101010101010101",
        ] {
            assert!(message.contains(wanted), "`{wanted}` is missing in:\n{message}");
        }
        assert!(message.contains(&format!("Message-ID: <{}@holder.example>", mail.id)), "{message}");
        assert!(message.is_ascii() && message.lines().all(|line| line.len() <= 98), "{message}");
        assert_eq!(
            message.matches('\n').count(),
            message.matches("\r\n").count(),
            "lines end as RFC 5322 says"
        );
    }

    #[test]
    fn a_mail_that_is_sent_again_has_the_same_id_and_anothers_has_another() {
        let both = [notice(1, NoticeKind::New), notice(2, NoticeKind::Answered)];
        let mail = |receiver| Mail::of(&both, receiver, None);
        assert_eq!(mail("person/anna"), mail("person/anna"));
        assert_ne!(mail("person/anna").id, mail("person/ben").id);
        assert!(mail("person/anna").subject.starts_with("2 notices"));
    }

    #[test]
    fn an_address_is_shown_nowhere() {
        let address: MailAddress = "anna@holder.example".parse().unwrap();
        assert!(!format!("{address:?}").contains("anna"));
        assert!("anna".parse::<MailAddress>().is_err() && "a@b\r\nTo: c@d".parse::<MailAddress>().is_err());
    }
}
