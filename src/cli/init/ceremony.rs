//! The ceremony's file: who and what a holder begins with, checked as a whole before anything is written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use toml::Spanned;

use crate::authz::{Bundle, Role, Rules, Standing};
use crate::cli::fault::CliError;
use crate::clock::Timestamp;
use crate::config::document::{Document, Faults, Place};
use crate::door::{PeerIdentity, SpiffeId, Trust, TrustDomain, TrustDomainName};
use crate::ids::{ActorName, Digest, PartnerName, UnitName};
use crate::store::{Founding, Partner, Person};

/// A ceremony whose file has no fault.
pub(super) struct Ceremony {
    /// What the store is founded with.
    pub(super) founding: Founding,
}

/// Reads a ceremony and everything that its file names. `policy` stands for the folder that the file may name.
pub(super) fn read(file: &Path, policy: Option<&Path>, now: Timestamp) -> Result<Ceremony, CliError> {
    let text = crate::cli::files::read_text(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut document = Document::parse(file, &text).map_err(|faults| faulty(&faults))?;
    let mut reading = Reading { document: &mut document, folder, seen: Seen::default() };
    let founding = reading.founding(policy, now)?;
    document.finish(founding).map(|founding| Ceremony { founding }).map_err(|faults| faulty(&faults))
}

/// The faults of a ceremony's file tell everything by themselves.
fn faulty(faults: &Faults) -> CliError {
    CliError::Found(faults.to_string())
}

/// The rules of a policy folder that holds, and the folder itself.
fn rules(folder: &Path) -> Result<Rules, CliError> {
    let refused =
        |error| CliError::because(format!("the policy folder `{}` can't be read", folder.display()), error);
    let bundle = Bundle::read_folder(folder).map_err(refused)?;
    Rules::load(bundle).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        CliError::Found(format!(
            "the policy folder `{}` does not hold:\n{}",
            folder.display(),
            faults.join("\n")
        ))
    })
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct HolderKeys {
    host: Option<Spanned<String>>,
    trust_domain: Option<Spanned<String>>,
    authorities: Option<Spanned<Vec<PathBuf>>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PartnerKeys {
    name: Option<Spanned<String>>,
    title: Option<Spanned<String>>,
    trust_domain: Option<Spanned<String>>,
    authorities: Option<Spanned<Vec<PathBuf>>>,
    contact: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PersonKeys {
    name: Option<Spanned<String>>,
    role: Option<Spanned<String>>,
    partner: Option<Spanned<String>>,
    spiffe_id: Option<Spanned<String>>,
    certificate: Option<Spanned<PathBuf>>,
    contact: Option<String>,
    unit: Option<Spanned<String>>,
}

/// Whether an item of the file is a natural person or a machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nature {
    Person,
    System,
}

struct Reading<'d, 't> {
    document: &'d mut Document<'t>,
    folder: &'d Path,
    seen: Seen,
}

/// Who has a name, an id or a key already.
#[derive(Default)]
struct Seen {
    names: BTreeMap<ActorName, Role>,
    ids: BTreeMap<String, ActorName>,
    keys: BTreeMap<Digest, ActorName>,
}

/// The holder as the file has it.
struct Holder {
    host: String,
    domain: TrustDomain,
}

/// A partner as the file has it, with its trust domain as the door knows it.
struct PartnerRead {
    partner: Partner,
    domain: TrustDomain,
}

impl Reading<'_, '_> {
    /// Everything is read before anything is missed, so that all faults come out at once.
    fn founding(&mut self, policy: Option<&Path>, now: Timestamp) -> Result<Option<Founding>, CliError> {
        let named: Option<Spanned<PathBuf>> = self.document.key("policy");
        let policy = match (policy, named) {
            (Some(policy), _) => Some(policy.to_owned()),
            (None, Some(named)) => Some(self.folder.join(named.get_ref())),
            (None, None) => self.document.fault_of_file(
                "no policy folder is named; add `policy = \"FOLDER\"`, or give `--policy FOLDER`",
            ),
        };
        let holder = self.holder();
        let partners = self.partners();
        let trust = self.trust(holder.as_ref(), &partners);
        let people = self.people(Nature::Person, holder.as_ref(), &partners, trust.as_ref(), now);
        let systems = self.people(Nature::System, holder.as_ref(), &partners, trust.as_ref(), now);
        self.check_roles(&people);
        let rules = policy.map(|policy| rules(&policy)).transpose()?;
        if let Some(rules) = &rules {
            self.check_agreements(rules, &partners);
        }
        let (Some(holder), Some(rules)) = (holder, rules) else { return Ok(None) };
        Ok(Some(Founding {
            host: holder.host,
            trust_domain: holder.domain.name.to_string(),
            authorities: holder.domain.roots.iter().map(|root| root.to_vec()).collect(),
            people: people.into_iter().chain(systems).collect(),
            partners: partners.into_iter().map(|read| read.partner).collect(),
            bundle: rules.bundle().clone(),
        }))
    }

    fn holder(&mut self) -> Option<Holder> {
        let (place, keys): (Place, HolderKeys) = self.document.section("holder");
        let host = self.document.required(&place, "host", keys.host).and_then(|host| {
            if is_host(host.get_ref()) {
                return Some(host.into_inner());
            }
            let message =
                format!("`{}` is not a host name; use letters, digits, `-` and `.`", host.get_ref());
            self.document.fault(&place, "host", &host, message)
        });
        let domain = self.domain(&place, keys.trust_domain, keys.authorities);
        Some(Holder { host: host?, domain: domain? })
    }

    fn partners(&mut self) -> Vec<PartnerRead> {
        let items: Vec<(Place, PartnerKeys)> = self.document.items("partners");
        let mut partners: Vec<PartnerRead> = Vec::new();
        for (place, keys) in items {
            let name: Option<PartnerName> = self.name(&place, keys.name);
            let title = self.document.required(&place, "title", keys.title);
            let domain = self.domain(&place, keys.trust_domain, keys.authorities);
            let (Some(name), Some(title), Some(domain)) = (name, title, domain) else { continue };
            if name.as_str() == HOLDER_JOURNAL {
                let message = "`holder` is the name of the holder's own journal; choose another";
                let _: Option<()> = self.document.fault_of(&place, message);
                continue;
            }
            if partners.iter().any(|known| known.partner.name == name) {
                let _: Option<()> =
                    self.document.fault_of(&place, format!("`{name}` stands twice; keep one"));
                continue;
            }
            let partner = Partner {
                name,
                title: title.into_inner(),
                trust_domain: domain.name.to_string(),
                authorities: domain.roots.iter().map(|root| root.to_vec()).collect(),
                standing: Standing::Active,
                release_key: None,
                contact: keys.contact,
            };
            partners.push(PartnerRead { partner, domain });
        }
        partners
    }

    /// A trust domain of its own for the holder and for each partner, or the door would not open.
    fn trust(&mut self, holder: Option<&Holder>, partners: &[PartnerRead]) -> Option<Trust> {
        let domains = partners.iter().map(|read| &read.domain).chain([&holder?.domain]);
        match Trust::build(domains.cloned().collect()) {
            Ok(trust) => Some(trust),
            Err(error) => self.document.fault_of_file(error.to_string()),
        }
    }

    fn people(
        &mut self,
        nature: Nature,
        holder: Option<&Holder>,
        partners: &[PartnerRead],
        trust: Option<&Trust>,
        now: Timestamp,
    ) -> Vec<Person> {
        let section = if nature == Nature::Person { "people" } else { "systems" };
        let items: Vec<(Place, PersonKeys)> = self.document.items(section);
        let mut people = Vec::new();
        for (place, keys) in items {
            let name: Option<ActorName> = self.name(&place, keys.name);
            let role = self.role(&place, nature, keys.role);
            let partner = role.and_then(|role| self.partner_of(&place, role, keys.partner, partners));
            let id = self.spiffe_id(&place, keys.spiffe_id);
            let peer = self.certificate(&place, keys.certificate, id.as_ref(), trust, now);
            let unit: Option<UnitName> = keys.unit.and_then(|unit| self.name(&place, Some(unit)));
            let (Some(name), Some(role), Some(partner), Some((id, at))) = (name, role, partner, id) else {
                continue;
            };
            let home = partner.map_or(holder.map(|holder| &holder.domain), |read| Some(&read.domain));
            if let Some(home) = home.filter(|home| home.name != *id.trust_domain()) {
                let message = format!(
                    "`{id}` is not of the trust domain `{}`; have a certificate issued there",
                    home.name
                );
                let _: Option<()> = self.document.fault(&place, "spiffe_id", &at, message);
                continue;
            }
            let Some(peer) = peer else { continue };
            let partner = partner.map(|read| read.partner.name.clone());
            let public_key = peer.spki_der().to_vec();
            if self.is_new(&place, &name, role, &peer) {
                let (spiffe_id, standing, contact) = (id.to_string(), Standing::Active, keys.contact);
                people.push(Person { name, role, spiffe_id, public_key, partner, standing, contact, unit });
            }
        }
        people
    }

    /// Nobody has two roles, and no id and no key is two people's.
    fn is_new(&mut self, place: &Place, name: &ActorName, role: Role, peer: &PeerIdentity) -> bool {
        if name.as_str() == SYSTEM_ACTOR {
            let message = "`onebit` is the name of the server in the log; choose another";
            return self.document.fault_of(place, message).unwrap_or(false);
        }
        if let Some(known) = self.seen.names.insert(name.clone(), role) {
            let message = if known == role {
                format!("`{name}` stands twice; keep one")
            } else {
                format!("`{name}` is {known} already; nobody has two roles, so name another person")
            };
            return self.document.fault_of(place, message).unwrap_or(false);
        }
        if let Some(known) = self.seen.ids.insert(peer.spiffe().to_string(), name.clone()) {
            let message = format!("`{known}` has the same SPIFFE id; everybody has an id of their own");
            return self.document.fault_of(place, message).unwrap_or(false);
        }
        if let Some(known) = self.seen.keys.insert(peer.fingerprint(), name.clone()) {
            let message = format!("`{known}` has the same key; everybody has a key of their own");
            return self.document.fault_of(place, message).unwrap_or(false);
        }
        true
    }

    /// Promise 9: changes take two people of different roles from the first day on.
    fn check_roles(&mut self, people: &[Person]) {
        let count = |role| people.iter().filter(|person| person.role == role).count();
        let (administrators, privacy_officers) = (count(Role::Administrator), count(Role::PrivacyOfficer));
        if administrators < ADMINISTRATORS_MIN {
            let message = format!(
                "there must be {ADMINISTRATORS_MIN} administrators at least, and {administrators} are sound here; add one under `[[people]]`"
            );
            let _: Option<()> = self.document.fault_of_file(message);
        }
        if privacy_officers == 0 {
            let message = "there must be a privacy officer at least; add one under `[[people]]`";
            let _: Option<()> = self.document.fault_of_file(message);
        }
    }

    fn check_agreements(&mut self, rules: &Rules, partners: &[PartnerRead]) {
        for agreement in rules.agreements() {
            let (name, partner) = (&agreement.name, &agreement.partner);
            let found = partners.iter().find(|read| read.partner.name == *partner);
            let message = match (found, &agreement.trust_domain) {
                (None, _) => format!(
                    "the agreement `{name}` is with `{partner}`, which does not stand here; add it under `[[partners]]`, or take the agreement out of the policy folder"
                ),
                (Some(read), Some(domain)) if read.partner.trust_domain != *domain => format!(
                    "the agreement `{name}` says that the trust domain of `{partner}` is `{domain}`, and here it is `{}`; correct the wrong one",
                    read.partner.trust_domain
                ),
                (Some(_), _) => continue,
            };
            let _: Option<()> = self.document.fault_of_file(message);
        }
    }

    fn name<T: FromStr<Err: ToString>>(&mut self, place: &Place, name: Option<Spanned<String>>) -> Option<T> {
        let name = self.document.required(place, "name", name)?;
        match name.get_ref().parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => self.document.fault(place, "name", &name, T::Err::to_string(&error)),
        }
    }

    fn role(&mut self, place: &Place, nature: Nature, role: Option<Spanned<String>>) -> Option<Role> {
        let role = self.document.required(place, "role", role)?;
        let parsed = match role.get_ref().parse::<Role>() {
            Ok(parsed) => parsed,
            Err(error) => return self.document.fault(place, "role", &role, error.to_string()),
        };
        match (nature, parsed.is_of_systems()) {
            (Nature::Person, true) => self.document.fault(
                place,
                "role",
                &role,
                format!("`{parsed}` is no person's role; move it to `[[systems]]`"),
            ),
            (Nature::System, false) => self.document.fault(
                place,
                "role",
                &role,
                format!("`{parsed}` is no system's role; move it to `[[people]]`"),
            ),
            _ => Some(parsed),
        }
    }

    /// The partner of a partner system; `Some(None)` for everybody at the holder.
    fn partner_of<'p>(
        &mut self,
        place: &Place,
        role: Role,
        partner: Option<Spanned<String>>,
        partners: &'p [PartnerRead],
    ) -> Option<Option<&'p PartnerRead>> {
        match (role, partner) {
            (Role::PartnerSystem, partner) => {
                let partner = self.document.required(place, "partner", partner)?;
                let found = partners.iter().find(|read| read.partner.name.as_str() == partner.get_ref());
                if found.is_some() {
                    return Some(found);
                }
                let message = format!(
                    "there is no partner `{}` that is sound here; add it under `[[partners]]`",
                    partner.get_ref()
                );
                self.document.fault(place, "partner", &partner, message)
            }
            (_, None) => Some(None),
            (role, Some(partner)) => {
                let message = format!("`{role}` is a role at the holder; take `partner` out");
                self.document.fault(place, "partner", &partner, message)
            }
        }
    }

    /// The id, and where it stands.
    fn spiffe_id(
        &mut self,
        place: &Place,
        id: Option<Spanned<String>>,
    ) -> Option<(SpiffeId, Spanned<String>)> {
        let id = self.document.required(place, "spiffe_id", id)?;
        match SpiffeId::parse(id.get_ref()) {
            Ok(parsed) => Some((parsed, id)),
            Err(error) => self.document.fault(place, "spiffe_id", &id, error.to_string()),
        }
    }

    /// Who the certificate names; it must be whom the file names, and the door must let it in today.
    fn certificate(
        &mut self,
        place: &Place,
        path: Option<Spanned<PathBuf>>,
        id: Option<&(SpiffeId, Spanned<String>)>,
        trust: Option<&Trust>,
        now: Timestamp,
    ) -> Option<PeerIdentity> {
        let path = self.document.required(place, "certificate", path)?;
        let chain = match self.certificates(path.get_ref()) {
            Ok(chain) => chain,
            Err(message) => return self.document.fault(place, "certificate", &path, message),
        };
        let peer = match chain.first().map(|der| PeerIdentity::from_certificate(der)) {
            Some(Ok(peer)) => peer,
            Some(Err(error)) => {
                return self.document.fault(
                    place,
                    "certificate",
                    &path,
                    CliError::because(error.to_string(), error).chain(),
                );
            }
            None => return self.document.fault(place, "certificate", &path, "there is no certificate in it"),
        };
        if let Some((id, _)) = id.filter(|(id, _)| id != peer.spiffe()) {
            let message = format!(
                "the certificate is that of `{}` and not of `{id}`; give the right one",
                peer.spiffe()
            );
            return self.document.fault(place, "certificate", &path, message);
        }
        match trust.map(|trust| trust.identify(&chain, now)) {
            Some(Err(refusal)) => {
                let reason = refusal.reason();
                self.document.fault(place, "certificate", &path, format!("{refusal} ({reason})"))
            }
            _ => Some(peer),
        }
    }

    fn domain(
        &mut self,
        place: &Place,
        name: Option<Spanned<String>>,
        files: Option<Spanned<Vec<PathBuf>>>,
    ) -> Option<TrustDomain> {
        let name = self.document.required(place, "trust_domain", name);
        let name = name.and_then(|name| match TrustDomainName::parse(name.get_ref()) {
            Ok(parsed) => Some(parsed),
            Err(error) => self.document.fault(place, "trust_domain", &name, error.to_string()),
        });
        let files = self.document.required(place, "authorities", files)?;
        let mut roots = Vec::new();
        for file in files.get_ref() {
            match self.certificates(file) {
                Ok(read) => roots.extend(read),
                Err(message) => return self.document.fault(place, "authorities", &files, message),
            }
        }
        if roots.is_empty() {
            let message = "there is no authority; name the PEM file with its certificate";
            return self.document.fault(place, "authorities", &files, message);
        }
        Some(TrustDomain { name: name?, roots, revocation_lists: Vec::new() })
    }

    fn certificates(&self, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
        let path = self.folder.join(file);
        let pem = fs::read(&path).map_err(|error| format!("`{}` can't be read: {error}", path.display()))?;
        CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| format!("`{}` can't be read; give PEM blocks of type `CERTIFICATE`", path.display()))
    }
}

/// RFC 1123, section 2.1, in lower case: it stands in the origins of all journals.
fn is_host(host: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    host.len() <= HOST_MAX_BYTES && host.split('.').all(part)
}

/// Two, so that one can be re-keyed or replaced by the other.
const ADMINISTRATORS_MIN: usize = 2;
/// RFC 1035, section 2.3.4.
const HOST_MAX_BYTES: usize = 253;
const HOLDER_JOURNAL: &str = "holder";
const SYSTEM_ACTOR: &str = "onebit";
