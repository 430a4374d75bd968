//! What can be proposed, made from options and files.

use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use jiff::civil::Date;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::Proposing;
use crate::authz::{Bundle, PayloadClass, Role, Rules, Standing};
use crate::cli::fault::CliError;
use crate::cli::{certs, files, print, wire};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::console::Origin;
use crate::ids::Digest;
use crate::keys::PublicKey;
use crate::secret::{Secret, SystemEntropy};
use crate::store::ProviderAccount;
use crate::store::change::{Change, Delegating, Invitation};
use crate::store::registry::{Partner, Person};

/// A change to propose.
#[derive(Debug, clap::Subcommand)]
pub enum Proposal {
    /// Adds a person or a system, or gives one a new key
    ///
    /// With `--certificate`, id and key are taken from it. A person has one role; nobody is officer, privacy
    /// officer and administrator at once.
    Person(PersonArgs),
    /// Adds a partner, or changes its certificate authorities
    Partner(PartnerArgs),
    /// Confirms a key that a partner's releases are sealed to
    ReleaseKey(ReleaseKeyArgs),
    /// Makes a policy folder the active one
    Policy(PolicyArgs),
    /// Shows a hidden person to partners again
    LiftRestriction(LiftArgs),
    /// Takes two subjects for one person: what restricts one restricts both
    ///
    /// Each keeps its source id, its templates and its record. `onebit subject duplicates` suspects pairs.
    MergeSubjects(MergeArgs),
    /// Parts a subject from the person it was made one with
    ///
    /// What restricted only the others restricts it no more.
    SplitSubject(SplitArgs),
    /// Lets a suspended partner act again
    RestorePartner(RestoreArgs),
    /// Lets a suspended person or system act again
    RestorePerson(RestoreArgs),
    /// Destroys payloads of the log whose retention is over; exact totals stay
    ///
    /// `onebit retention` shows what may go. One of the two people is a privacy officer.
    Dispose(DisposeArgs),
    /// Invites a person to register a passkey for the console, and adds them where they are not there yet
    ///
    /// Prints the link for the person, once. It works after somebody else has confirmed the invitation, another
    /// administrator for example, and until it was used or ends. What comes of it waits for a privacy officer.
    Invite(InviteArgs),
    /// Has an officer decide in another officer's seat between two moments
    ///
    /// Both hold one role and are of different units. A decision there counts for the unit of the seat, and the seat is
    /// filled once in each case. `onebit delegation end` ends it before its time.
    Delegation(DelegationArgs),
    /// Has an account at the agency's OpenID provider sign a person in at the console
    ///
    /// In place of any other account there. The provider's administrator tells issuer and subject; the page for signing
    /// in shows both to somebody whose account is bound to nobody yet. The person must be in the registry.
    BindAccount(BindArgs),
    /// Has a new key sign the log's checkpoints
    ///
    /// The server makes the key and destroys the present one. Partners learn the new key from the hand-over that both
    /// keys sign, or from you on another way. When the present key was stolen, read docs/operating.md first.
    LogKey(LogKeyArgs),
    /// Moves the templates of a collection to new keys and another transform
    ///
    /// The server does it beside its work and destroys the old keys at the end. Backups from before then give nobody's
    /// templates back; where there is a place for backups, it makes one first.
    RenewCollection(RenewArgs),
}

/// A person or a system.
#[derive(Debug, clap::Args)]
pub struct PersonArgs {
    /// The name in the registry and the log
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The role: `partner-system`, `enrolment-system`, `witness`, `approving-officer`, `examiner`, `privacy-officer` or `administrator`
    #[arg(long, value_name = "ROLE")]
    pub role: Role,
    /// The certificate, PEM, from which id and key are taken
    #[arg(long, value_name = "FILE", required_unless_present_all = ["spiffe_id", "public_key"])]
    pub certificate: Option<PathBuf>,
    /// The SPIFFE id, if there is no certificate yet
    #[arg(long, value_name = "URI", conflicts_with = "certificate", requires = "public_key")]
    pub spiffe_id: Option<String>,
    /// The unit of the holder that they belong to; agreements may ask for officers of different units
    #[arg(long, value_name = "NAME")]
    pub unit: Option<String>,
    /// The public key, PEM, if there is no certificate yet
    #[arg(long, value_name = "FILE", conflicts_with = "certificate", requires = "spiffe_id")]
    pub public_key: Option<PathBuf>,
    /// The partner of a partner system
    #[arg(long, value_name = "NAME", required_if_eq("role", "partner-system"))]
    pub partner: Option<String>,
    /// How to reach them; kept sealed, not signed
    #[arg(long, value_name = "TEXT")]
    pub contact: Option<String>,
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

/// A partner.
#[derive(Debug, clap::Args)]
pub struct PartnerArgs {
    /// The name in the registry, the log and `policy/`
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The agency's title
    #[arg(long, value_name = "TEXT")]
    pub title: String,
    /// The trust domain of its certificates
    #[arg(long, value_name = "DOMAIN")]
    pub trust_domain: String,
    /// The certificates of its authorities, PEM; give it again for more
    #[arg(long = "authority", value_name = "FILE", required = true)]
    pub authorities: Vec<PathBuf>,
    /// How to reach it; kept sealed, not signed
    #[arg(long, value_name = "TEXT")]
    pub contact: Option<String>,
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

/// A release key.
#[derive(Debug, clap::Args)]
pub struct ReleaseKeyArgs {
    /// The partner
    #[arg(long, value_name = "NAME")]
    pub partner: String,
    /// The public key, 64 hexadecimal digits
    #[arg(long, value_name = "KEY")]
    pub public_key: Digest,
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

/// A policy folder.
#[derive(Debug, clap::Args)]
pub struct PolicyArgs {
    /// The folder; it is checked first, as by `onebit policy check`
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

/// A restriction to lift.
#[derive(Debug, clap::Args)]
pub struct LiftArgs {
    /// The source system's id of the person
    #[arg(long, value_name = "ID")]
    pub source_id: String,
    /// The restriction
    #[arg(long, value_name = "NAME")]
    pub restriction: String,
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

/// Two subjects that are one person.
#[derive(Debug, clap::Args)]
pub struct MergeArgs {
    /// One of them, as `onebit subject duplicates` and `onebit subject show` name it
    #[arg(long, value_name = "SUBJECT")]
    pub subject: String,
    /// The other
    #[arg(long, value_name = "SUBJECT")]
    pub same_as: String,
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

/// A subject that is a person by itself.
#[derive(Debug, clap::Args)]
pub struct SplitArgs {
    /// Which, as `onebit subject show` names it
    #[arg(long, value_name = "SUBJECT")]
    pub subject: String,
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

/// Payloads to dispose of.
#[derive(Debug, clap::Args)]
pub struct DisposeArgs {
    /// The payloads: `query`, `disclosure`, `enrolment`, `administration` or `access`
    #[arg(long, value_name = "CLASS")]
    pub class: PayloadClass,
    /// What is of earlier days (UTC) than this date goes, for example 2026-07-01
    #[arg(long, value_name = "DATE")]
    pub before: Date,
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

/// Somebody to invite.
#[derive(Debug, clap::Args)]
pub struct InviteArgs {
    /// The name in the registry and the log
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The role: `approving-officer`, `examiner` or `privacy-officer`
    #[arg(long, value_name = "ROLE")]
    pub role: Role,
    /// The address of the console, as browsers show it
    #[arg(long, value_name = "URL")]
    pub console: Origin,
    /// How many days the invitation lasts
    #[arg(long, value_name = "NUMBER", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=30))]
    pub days: u64,
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

/// A seat to delegate.
#[derive(Debug, clap::Args)]
pub struct DelegationArgs {
    /// Whose seat
    #[arg(long, value_name = "NAME")]
    pub seat_of: String,
    /// Who fills it
    #[arg(long, value_name = "NAME")]
    pub to: String,
    /// From when on, for example 2026-12-01T00:00:00+13:00
    #[arg(long, value_name = "TIME")]
    pub since: jiff::Timestamp,
    /// Until when, 366 days later at most
    #[arg(long, value_name = "TIME")]
    pub until: jiff::Timestamp,
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

/// An account at the agency's provider.
#[derive(Debug, clap::Args)]
pub struct BindArgs {
    /// The person in the registry
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The provider's issuer (`iss`), letter by letter
    #[arg(long, value_name = "URL")]
    pub issuer: String,
    /// The provider's own name for the person (`sub`)
    #[arg(long, value_name = "TEXT")]
    pub subject: String,
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

/// Another key of the log.
#[derive(Debug, clap::Args)]
pub struct LogKeyArgs {
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

/// A collection to renew.
#[derive(Debug, clap::Args)]
pub struct RenewArgs {
    /// The collection
    #[arg(long, value_name = "NAME")]
    pub collection: String,
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

/// Somebody to restore.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The name in the registry
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The rest.
    #[command(flatten)]
    pub proposing: Proposing,
}

impl Proposal {
    /// The change.
    ///
    /// # Errors
    /// [`CliError`] for options and files that are not in their form.
    pub fn change(&self) -> Result<Change, CliError> {
        Ok(match self {
            Self::Person(args) => Change::PutPerson(person(args)?),
            Self::Partner(args) => Change::PutPartner(partner(args)?),
            Self::ReleaseKey(args) => {
                let partner = name("--partner", &args.partner)?;
                Change::PutReleaseKey { partner, key: *args.public_key.as_bytes() }
            }
            Self::Policy(args) => Change::ActivatePolicy(checked_folder(&args.folder)?),
            Self::LiftRestriction(args) => {
                let restriction = name("--restriction", &args.restriction)?;
                Change::LiftRestriction { source_id: args.source_id.clone(), restriction }
            }
            Self::MergeSubjects(args) => {
                Change::MergeSubjects([name("--subject", &args.subject)?, name("--same-as", &args.same_as)?])
            }
            Self::SplitSubject(args) => Change::SplitSubject(name("--subject", &args.subject)?),
            Self::RestorePartner(args) => Change::RestorePartner(name("NAME", &args.name)?),
            Self::RestorePerson(args) => Change::RestorePerson(name("NAME", &args.name)?),
            Self::Dispose(args) => Change::Dispose { class: args.class, before: args.before },
            Self::LogKey(_) => Change::ChangeLogKey,
            Self::RenewCollection(args) => Change::RenewCollection(name("--collection", &args.collection)?),
            Self::Invite(args) => Change::InvitePerson(invitation(args)?),
            Self::Delegation(args) => Change::PutDelegation(Delegating {
                delegator: name("--seat-of", &args.seat_of)?,
                delegate: name("--to", &args.to)?,
                since: Timestamp::from_millis(args.since.as_millisecond()),
                until: Timestamp::from_millis(args.until.as_millisecond()),
            }),
            Self::BindAccount(args) => Change::BindAccount {
                person: name("--name", &args.name)?,
                account: ProviderAccount { issuer: args.issuer.clone(), subject: args.subject.clone() },
            },
        })
    }

    /// What it says beside the change.
    #[must_use]
    pub const fn proposing(&self) -> &Proposing {
        match self {
            Self::Person(args) => &args.proposing,
            Self::Partner(args) => &args.proposing,
            Self::ReleaseKey(args) => &args.proposing,
            Self::Policy(args) => &args.proposing,
            Self::LiftRestriction(args) => &args.proposing,
            Self::MergeSubjects(args) => &args.proposing,
            Self::SplitSubject(args) => &args.proposing,
            Self::RestorePartner(args) | Self::RestorePerson(args) => &args.proposing,
            Self::Dispose(args) => &args.proposing,
            Self::LogKey(args) => &args.proposing,
            Self::RenewCollection(args) => &args.proposing,
            Self::Invite(args) => &args.proposing,
            Self::Delegation(args) => &args.proposing,
            Self::BindAccount(args) => &args.proposing,
        }
    }
}

/// What a summary leaves out, for whoever confirms: fingerprints and digests of what is in the change.
pub(super) fn details(change: &Change) -> String {
    let lines: Vec<String> = match change {
        Change::PutPerson(person) => {
            let unit = person.unit.as_ref().map(|unit| format!("unit      {unit}"));
            let key = format!("key       {}", Digest::sha256(&person.public_key));
            std::iter::once(key).chain(unit).collect()
        }
        Change::PutPartner(partner) => partner
            .authorities
            .iter()
            .map(|authority| format!("authority {}", Digest::sha256(authority)))
            .collect(),
        Change::PutReleaseKey { key, .. } => vec![format!("key       {}", wire::hex(key))],
        Change::ActivatePolicy(bundle) => bundle
            .files()
            .map(|(path, content)| format!("file      {path}  {}", Digest::sha256(content)))
            .collect(),
        Change::LiftRestriction { source_id, .. } => vec![format!("source id {source_id}")],
        Change::MergeSubjects([one, other]) => {
            vec![format!("subject   {}", one.resource()), format!("same as   {}", other.resource())]
        }
        Change::SplitSubject(subject) => vec![format!("subject   {}", subject.resource())],
        Change::RenewCollection(collection) => vec![format!("collection {collection}")],
        Change::RestorePartner(_) | Change::RestorePerson(_) | Change::ChangeLogKey => Vec::new(),
        Change::Dispose { class, before } => {
            vec![format!("payloads  {class}"), format!("before    {before}")]
        }
        Change::InvitePerson(invitation) => vec![format!("secret    {}", invitation.secret)],
        Change::PutDelegation(it) => {
            vec![format!("seat of   {}", it.delegator), format!("to        {}", it.delegate)]
        }
        Change::BindAccount { person, account } => vec![
            format!("person    {person}"),
            format!("issuer    {}", account.issuer),
            format!("subject   {}", account.subject),
        ],
        Change::PutPasskey { public_key, .. } => vec![format!("key       {}", Digest::sha256(public_key))],
    };
    lines.join("\n")
}

/// Draws the secret of the link and shows the link; nothing but its hash is sent or kept.
fn invitation(args: &InviteArgs) -> Result<Invitation, CliError> {
    let person = name("--name", &args.name)?;
    let secret = Secret::<32>::random(&SystemEntropy::new());
    let secret = secret.map_err(|error| CliError::because("no invitation was made", error))?;
    // Behind `#`, so that browsers send it to nobody.
    let link = format!("{}/register#{}", args.console, BASE64URL_NOPAD.encode(secret.expose()));
    print::note(&format!("the link for `{person}`, shown this once: {link}"));
    let days = std::time::Duration::from_secs(args.days.saturating_mul(24 * 3_600));
    Ok(Invitation {
        person,
        role: args.role,
        secret: Digest::sha256(secret.expose()),
        ends: SystemClock.now().after(days),
    })
}

fn person(args: &PersonArgs) -> Result<Person, CliError> {
    let (spiffe_id, public_key) = match (&args.certificate, &args.spiffe_id, &args.public_key) {
        (Some(path), ..) => from_certificate(path)?,
        (None, Some(id), Some(path)) => {
            let key = PublicKey::from_pem(&files::read_text(path)?);
            (id.clone(), key.map_err(|error| unusable(path, error))?)
        }
        _ => return Err(CliError::Usage("give --certificate, or --spiffe-id and --public-key".to_owned())),
    };
    let partner = args.partner.as_deref().map(|partner| name("--partner", partner)).transpose()?;
    if partner.is_some() && args.role != Role::PartnerSystem {
        return Err(CliError::Usage(format!(
            "--partner: a {} belongs to no partner; leave it out",
            args.role
        )));
    }
    Ok(Person {
        name: name("--name", &args.name)?,
        role: args.role,
        spiffe_id,
        public_key: public_key.spki_der().to_vec(),
        partner,
        standing: Standing::Active,
        contact: args.contact.clone(),
        unit: args.unit.as_deref().map(|unit| name("--unit", unit)).transpose()?,
    })
}

fn partner(args: &PartnerArgs) -> Result<Partner, CliError> {
    let mut authorities = Vec::new();
    for path in &args.authorities {
        let pem = files::read(path)?;
        let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let found = found.map_err(|error| unusable(path, error))?;
        if found.is_empty() {
            return Err(CliError::Found(format!("`{}` holds no certificate, in PEM", path.display())));
        }
        authorities.extend(found.iter().map(|der| der.to_vec()));
    }
    Ok(Partner {
        name: name("--name", &args.name)?,
        title: args.title.clone(),
        trust_domain: args.trust_domain.clone(),
        authorities,
        standing: Standing::Active,
        release_key: None,
        contact: args.contact.clone(),
    })
}

/// The folder, if nothing in it is wrong.
fn checked_folder(folder: &Path) -> Result<Bundle, CliError> {
    let unreadable =
        |error| CliError::because(format!("`{}` is not a policy folder", folder.display()), error);
    let bundle = Bundle::read_folder(folder).map_err(unreadable)?;
    match Rules::load(bundle.clone()) {
        Ok(_) => Ok(bundle),
        Err(faults) => {
            Err(CliError::Found(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
        }
    }
}

fn from_certificate(path: &Path) -> Result<(String, PublicKey), CliError> {
    let pem = files::read_text(path)?;
    let facts = certs::describe(pem.as_bytes()).map_err(|error| unusable(path, error))?;
    let id = facts.peer.map_err(|error| unusable(path, error))?;
    let key = PublicKey::from_pem(&pem).map_err(|error| unusable(path, error))?;
    Ok((id.to_string(), key))
}

fn unusable(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CliError {
    CliError::because(format!("`{}` can't be used", path.display()), error)
}

fn name<T: std::str::FromStr<Err = crate::ids::IdError>>(option: &str, given: &str) -> Result<T, CliError> {
    wire::last_part(given).parse().map_err(|error| CliError::Usage(format!("{option}: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::certs::{Authority, Validity};
    use crate::clock::Timestamp;
    use crate::door::TrustDomainName;
    use crate::secret::SystemEntropy;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        proposal: Proposal,
    }

    fn proposed(line: &[&str]) -> Result<Change, String> {
        let words = ["onebit"].iter().chain(line).chain(&["--reason", "as agreed"]);
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.proposal.change().map_err(|error| error.chain())
    }

    #[test]
    fn a_person_is_made_from_a_certificate() {
        let validity = Validity::starting(
            Timestamp::from_millis(1_767_225_600_000),
            std::time::Duration::from_secs(86_400),
        );
        let domain = TrustDomainName::parse("immigration.example").unwrap();
        let authority = Authority::new(&domain, validity, &SystemEntropy::new()).unwrap();
        let issued = authority.issue_client("person/mere", validity, &SystemEntropy::new()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mere.pem");
        std::fs::write(&path, &issued.certificate_pem).unwrap();
        let path = path.to_str().unwrap();
        let line = ["person", "--name", "mere", "--role", "approving-officer", "--certificate", path];
        let Ok(Change::PutPerson(person)) = proposed(&line) else { panic!("the certificate should do") };
        assert_eq!(person.spiffe_id, "spiffe://immigration.example/person/mere");
        assert_eq!(person.public_key, PublicKey::from_pem(&issued.certificate_pem).unwrap().spki_der());
        let belongs = [&line[..], &["--partner", "au-border"]].concat();
        assert!(proposed(&belongs).err().unwrap().contains("belongs to no partner"));
        let system = ["person", "--name", "gate", "--role", "partner-system", "--certificate", path];
        assert!(proposed(&system).err().unwrap().contains("--partner"));
    }

    #[test]
    fn names_and_keys_must_have_their_form() {
        assert!(matches!(proposed(&["restore-person", "people/mere"]), Ok(Change::RestorePerson(_))));
        assert!(proposed(&["restore-person", "Mere T"]).is_err());
        let key = "ab".repeat(32);
        let line = ["release-key", "--partner", "au-border", "--public-key", &key];
        assert!(matches!(proposed(&line), Ok(Change::PutReleaseKey { .. })));
        assert!(proposed(&["release-key", "--partner", "au-border", "--public-key", "ab"]).is_err());
    }

    #[test]
    fn a_faulty_policy_folder_is_never_proposed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stray.txt"), "x").unwrap();
        let fault = proposed(&["policy", folder.path().to_str().unwrap()]).err().unwrap();
        assert!(fault.contains("policy/stray.txt:1:1"), "{fault}");
    }
}
