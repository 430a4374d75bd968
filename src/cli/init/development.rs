//! A holder for development in one folder: authorities, certificates, configuration and ceremony, ready to be
//! founded. `docs/operating.md` lists what lies where.
//!
//! What is not protected: every key lies in the folder, the authorities' as well.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use crate::authz::{Bundle, Role, Rules};
use crate::cli::certs::{Authority, CertError, Issued, Validity};
use crate::cli::fault::CliError;
use crate::cli::files;
use crate::clock::Timestamp;
use crate::door::TrustDomainName;
use crate::ids::PartnerName;
use crate::secret::Entropy;

/// The configuration of a development holder, within its folder.
pub(super) const CONFIG_FILE: &str = "onebit.toml";
/// The ceremony's file, within its folder.
pub(super) const CEREMONY_FILE: &str = "ceremony.toml";
/// The verifier key of the holder's journal, within its folder; a partner's lies in the partner's folder.
pub(super) const LOG_KEY_FILE: &str = "log-key.txt";

/// Makes the folder, for this holder alone: nothing of another is ever mixed in.
pub(super) fn new_folder(dir: &Path) -> Result<(), CliError> {
    if std::fs::read_dir(dir).is_ok_and(|mut inside| inside.next().is_some()) {
        return Err(CliError::Usage(format!(
            "`{}` is not empty; give a folder that is not there yet",
            dir.display()
        )));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| CliError::write(dir, error))
}

/// Writes everything but the store into the new folder.
pub(super) fn write(
    dir: &Path,
    policy: &Path,
    listen: SocketAddr,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<(), CliError> {
    let partners = policy_copy(policy, &dir.join("policy"))?;
    let mut folder =
        Folder { dir, validity: Validity::starting(now, VALID), entropy, ceremony: String::new() };
    folder.holder()?;
    for (partner, domain) in &partners {
        folder.partner(partner, domain)?;
    }
    files::write_new(&dir.join(CEREMONY_FILE), folder.ceremony.as_bytes())?;
    files::write_new(&dir.join(CONFIG_FILE), config(listen).as_bytes())
}

/// The folder of a partner, within the folder of the holder.
pub(super) fn partner_folder(partner: &str) -> String {
    format!("partners/{partner}")
}

/// Copies a policy folder that holds; gives the partners of its agreements with their trust domains.
fn policy_copy(from: &Path, to: &Path) -> Result<BTreeMap<PartnerName, TrustDomainName>, CliError> {
    let unread = |error| {
        CliError::because(
            format!("the policy folder `{}` can't be read; give `--policy FOLDER`", from.display()),
            error,
        )
    };
    let bundle = Bundle::read_folder(from).map_err(unread)?;
    let rules = Rules::load(bundle.clone()).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        CliError::Found(format!(
            "the policy folder `{}` does not hold:\n{}",
            from.display(),
            faults.join("\n")
        ))
    })?;
    for (path, content) in bundle.files() {
        let path = to.join(path);
        files::folder(path.parent().unwrap_or(to))?;
        files::write_new(&path, content)?;
    }
    let mut partners = BTreeMap::new();
    for agreement in rules.agreements() {
        let domain =
            agreement.trust_domain.clone().unwrap_or_else(|| format!("{}.example", agreement.partner));
        let domain = TrustDomainName::parse(&domain).map_err(|error| not_made(error.into()))?;
        partners.insert(agreement.partner.clone(), domain);
    }
    Ok(partners)
}

struct Folder<'a> {
    dir: &'a Path,
    validity: Validity,
    entropy: &'a dyn Entropy,
    ceremony: String,
}

impl Folder<'_> {
    /// The holder's authority, its server, its people and its systems.
    fn holder(&mut self) -> Result<(), CliError> {
        let domain = TrustDomainName::parse(HOLDER).map_err(|error| not_made(error.into()))?;
        let authority = self.authority("holder", &domain)?;
        files::write_new(&self.dir.join("ca.pem"), authority.certificate_pem().as_bytes())?;
        let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let server = authority.issue_server(&["localhost", HOLDER], &addresses, self.validity, self.entropy);
        self.credential("server", &server.map_err(not_made)?)?;
        self.note(&format!(
            "# Made for development by `onebit init --development`. Its people do not exist.\n\
             policy = \"policy\"\n\n\
             [holder]\nhost = \"{HOLDER}\"\ntrust_domain = \"{HOLDER}\"\nauthorities = [\"ca.pem\"]\n"
        ));
        for (name, role) in PEOPLE {
            self.registered(&authority, "people", name, role, None)?;
        }
        self.registered(&authority, "systems", ENROLMENT, Role::EnrolmentSystem, None)?;
        self.registered(&authority, "systems", WITNESS, Role::Witness, None)
    }

    /// A partner's authority and its one system.
    fn partner(&mut self, partner: &PartnerName, domain: &TrustDomainName) -> Result<(), CliError> {
        let authority = self.authority(partner.as_str(), domain)?;
        self.note(&format!(
            "\n[[partners]]\nname = \"{partner}\"\ntitle = \"{partner} (development)\"\ntrust_domain = \"{domain}\"\n\
             authorities = [\"authorities/{partner}/authority.pem\"]\n"
        ));
        self.registered(&authority, "systems", PARTNER_SYSTEM, Role::PartnerSystem, Some(partner))
    }

    /// Issues a certificate and enters whom it is for into the ceremony.
    fn registered(
        &mut self,
        authority: &Authority,
        section: &str,
        name: &str,
        role: Role,
        partner: Option<&PartnerName>,
    ) -> Result<(), CliError> {
        let (folder, name_in_log, of_partner) = match partner {
            None => (format!("{section}/{name}"), name.to_owned(), String::new()),
            Some(partner) => {
                let folder = format!("{}/{name}", partner_folder(partner.as_str()));
                (folder, format!("{partner}-{name}"), format!("partner = \"{partner}\"\n"))
            }
        };
        let issued = authority.issue_client(&format!("{section}/{name}"), self.validity, self.entropy);
        self.credential(&folder, &issued.map_err(not_made)?)?;
        self.note(&format!(
            "\n[[{section}]]\nname = \"{name_in_log}\"\nrole = \"{role}\"\n{of_partner}\
             spiffe_id = \"spiffe://{}/{section}/{name}\"\ncertificate = \"{folder}/certificate.pem\"\n",
            authority.trust_domain()
        ));
        Ok(())
    }

    /// An authority, in the form that `onebit cert issue --authority` takes.
    fn authority(&self, name: &str, domain: &TrustDomainName) -> Result<Authority, CliError> {
        let authority = Authority::new(domain, self.validity, self.entropy).map_err(not_made)?;
        let folder = self.dir.join("authorities").join(name);
        files::folder(&folder)?;
        files::write_new(&folder.join("authority.pem"), authority.certificate_pem().as_bytes())?;
        files::write_private(&folder.join("authority.key"), authority.key_pem().as_bytes())?;
        Ok(authority)
    }

    fn credential(&self, folder: &str, issued: &Issued) -> Result<(), CliError> {
        let folder = self.dir.join(folder);
        files::folder(&folder)?;
        files::write_new(&folder.join("certificate.pem"), issued.certificate_pem.as_bytes())?;
        files::write_private(&folder.join("key.pem"), issued.key_pem.as_bytes())
    }

    fn note(&mut self, text: &str) {
        self.ceremony.push_str(text);
    }
}

fn config(listen: SocketAddr) -> String {
    format!(
        "\
# Made for development by `onebit init --development`. `onebit.sample.toml` explains every key.
[store]
folder = \"store\"
heads_folder = \"heads\"

[root_key]
file = \"secrets/root-key.toml\"
passphrase_file = \"secrets/passphrase\"

[server]
listen = \"{listen}\"
certificate = \"server/certificate.pem\"
key = \"server/key.pem\"
reflection = true

[log]
format = \"text\"
"
    )
}

fn not_made(error: CertError) -> CliError {
    CliError::because("a certificate can't be made", error)
}

/// Host and trust domain of the development holder.
const HOLDER: &str = "immigration.example";
/// Enough people for every role, and two where two are needed.
const PEOPLE: [(&str, Role); 6] = [
    ("ada", Role::Administrator),
    ("wei", Role::Administrator),
    ("tama", Role::ApprovingOfficer),
    ("sina", Role::ApprovingOfficer),
    ("priya", Role::Examiner),
    ("mere", Role::PrivacyOfficer),
];
const ENROLMENT: &str = "enrolment";
const WITNESS: &str = "witness";
const PARTNER_SYSTEM: &str = "gateway";
/// A year: a development holder that is older is better made anew.
const VALID: Duration = Duration::from_secs(365 * 24 * 60 * 60);
