//! People, partners, rules and the holder against what the entries say of them; and whose key signed what.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;

use crate::approval::PasskeySignature;
use crate::authz::{Bundle, Standing};
use crate::clock::Timestamp;
use crate::ids::Digest;
use crate::keys::webauthn::{Assertion, decision_challenge};
use crate::keys::{Domain, Place, PublicKey, Purpose, SignatureDomain};
use crate::store::StoreError;
use crate::store::change::{Change, authorities_decode, authorities_encode};
use crate::store::session::ProviderAccount;

use super::super::{database, delegation, suspension};
use super::changes::Changes;
use super::history::{Added, History};
use super::report::{FaultPlace, FsckReport};
use super::view::View;

/// The keys of people and systems, as far as they are kept: those in the registry, and those in changes.
#[derive(Default)]
pub(super) struct PeopleKeys {
    of_certificates: BTreeMap<String, Vec<PublicKey>>,
    of_passkeys: BTreeMap<String, Vec<PublicKey>>,
}

/// Something that somebody signed.
pub(super) struct Signed<'a> {
    pub(super) by: &'a str,
    /// The role that it took; none when any does.
    pub(super) role: Option<&'a str>,
    pub(super) at: Timestamp,
    pub(super) domain: SignatureDomain,
    pub(super) digest: Digest,
    pub(super) signature: &'a [u8],
}

impl PeopleKeys {
    /// Reads the keys of the registry.
    pub(super) fn read(view: &View, changes: &Changes) -> Result<Self, StoreError> {
        let mut keys = Self::default();
        let mut statement = database(
            "reading people",
            view.sql.prepare("SELECT name, coalesce(public_key, x'') FROM people"),
        )?;
        let mut rows = database("reading people", statement.query([]))?;
        while let Some(row) = database("reading people", rows.next())? {
            let read = row.get::<_, String>(0).and_then(|name| Ok((name, row.get::<_, Vec<u8>>(1)?)));
            let (name, key) = database("reading people", read)?;
            add(&mut keys.of_certificates, &name, &key);
        }
        let read = "SELECT person, public_key FROM passkeys WHERE state != 'registered'";
        let mut statement = database("reading passkeys", view.sql.prepare(read))?;
        let mut rows = database("reading passkeys", statement.query([]))?;
        while let Some(row) = database("reading passkeys", rows.next())? {
            let read = row.get::<_, String>(0).and_then(|name| Ok((name, row.get::<_, Vec<u8>>(1)?)));
            let (name, key) = database("reading passkeys", read)?;
            add(&mut keys.of_passkeys, &name, &key);
        }
        for change in changes.bodies() {
            match change {
                Change::PutPerson(person) => {
                    add(&mut keys.of_certificates, person.name.as_str(), &person.public_key);
                }
                Change::PutPasskey { person, public_key, .. } => {
                    add(&mut keys.of_passkeys, person.as_str(), public_key);
                }
                _ => {}
            }
        }
        Ok(keys)
    }

    /// Holds a passkey's signature of a decision against the passkeys that stood for its person at the time.
    pub(super) fn check_passkey(
        &self,
        history: &History,
        signed: &Signed<'_>,
        signature: &PasskeySignature,
        (what, place): (&str, FaultPlace),
        report: &mut FsckReport,
    ) {
        let had = history.passkeys.get(signed.by).map(Vec::as_slice).unwrap_or_default();
        let due: Vec<&[u8]> =
            had.iter().filter(|added| added.at <= signed.at).map(|added| added.key.as_slice()).collect();
        if due.is_empty() {
            let what = format!("{what} is of somebody for whom no entry had confirmed a passkey by then");
            return if history.forgotten { report.unchecked(place, what) } else { report.fault(place, what) };
        }
        let added = history.people.get(signed.by).and_then(|added| added.last());
        let role = added.or_else(|| history.invited.get(signed.by)).map(|added| added.role.as_str());
        if let (Some(due), Some(role)) = (signed.role, role)
            && due != role
        {
            return report.fault(place, format!("{what} is of somebody who had another role"));
        }
        let kept = self.of_passkeys.get(signed.by).map(Vec::as_slice).unwrap_or_default();
        let mut fitting =
            kept.iter().filter(|key| due.contains(&key.fingerprint().as_bytes().as_slice())).peekable();
        if fitting.peek().is_none() {
            return report.unchecked(place, format!("{what} is of a passkey whose key is not kept"));
        }
        report.counts.signatures = report.counts.signatures.saturating_add(1);
        let challenge = decision_challenge(&signed.digest, &signature.nonce);
        let assertion = Assertion {
            client_data: signature.client_data.clone(),
            authenticator_data: signature.authenticator_data.clone(),
            signature: signature.signature.clone(),
        };
        if !fitting.any(|key| assertion.verify_again(challenge.as_bytes(), key).is_ok()) {
            report.fault(place, format!("{what} does not fit"));
        }
    }

    /// Holds a signature against the key that its person had at the time.
    pub(super) fn check(
        &self,
        history: &History,
        signed: &Signed<'_>,
        what: &str,
        place: FaultPlace,
        report: &mut FsckReport,
    ) {
        let had = history.people.get(signed.by).map(Vec::as_slice).unwrap_or_default();
        let before: Vec<&Added> = had.iter().filter(|added| added.at <= signed.at).collect();
        let Some(newest) = before.last() else {
            let what = format!("{what} is of somebody whom no entry had added by then");
            return if history.forgotten { report.unchecked(place, what) } else { report.fault(place, what) };
        };
        if signed.role.is_some_and(|role| role != newest.role) {
            return report.fault(place, format!("{what} is of somebody who had another role"));
        }
        // Within one millisecond nobody knows whether the key or the signature came first.
        let due =
            before.iter().rev().enumerate().take_while(|(back, _)| *back == 0 || newest.at == signed.at);
        let due: Vec<&[u8]> = due.take(2).map(|(_, added)| added.key.as_slice()).collect();
        let kept = self.of_certificates.get(signed.by).map(Vec::as_slice).unwrap_or_default();
        let mut fitting =
            kept.iter().filter(|key| due.contains(&key.fingerprint().as_bytes().as_slice())).peekable();
        if fitting.peek().is_none() {
            return report
                .unchecked(place, format!("{what} is of a key that was replaced since and is not kept"));
        }
        report.counts.signatures = report.counts.signatures.saturating_add(1);
        if !fitting.any(|key| key.verify(signed.domain, &signed.digest, signed.signature).is_ok()) {
            report.fault(place, format!("{what} does not fit"));
        }
    }
}

fn add(keys: &mut BTreeMap<String, Vec<PublicKey>>, name: &str, key: &[u8]) {
    if let Ok(key) = PublicKey::from_spki_der(key) {
        keys.entry(name.to_owned()).or_default().push(key);
    }
}

/// Holds the registry, the rules and the holder's own row against the entries.
pub(super) fn compare(
    view: &View,
    history: &History,
    changes: &Changes,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    people(view, history, changes, report)?;
    partners(view, history, changes, report)?;
    policies(view, history, report)?;
    challenges(view, history, report)?;
    passkeys(view, history, report)?;
    delegations(view, history, report)?;
    accounts(view, history, report)?;
    suspensions(view, history, report)?;
    holder(view, history, report)
}

fn people(
    view: &View,
    history: &History,
    changes: &Changes,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let mut seen = BTreeSet::new();
    let read =
        "SELECT name, role, coalesce(spiffe_id, ''), coalesce(public_key, x''), partner, standing, contact, unit
                FROM people ORDER BY name";
    let mut statement = database("reading people", view.sql.prepare(read))?;
    let mut rows = database("reading people", statement.query([]))?;
    let mut number = 0_u32;
    while let Some(row) = database("reading people", rows.next())? {
        number = number.saturating_add(1);
        let place =
            || FaultPlace::Row { table: "people", row: format!("no. {number} in the order of names") };
        let read = || -> Result<_, rusqlite::Error> {
            let texts: (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let key: Vec<u8> = row.get(3)?;
            let partner: Option<String> = row.get(4)?;
            let standing: String = row.get(5)?;
            let (contact, unit): (Option<Vec<u8>>, String) = (row.get(6)?, row.get(7)?);
            Ok((texts, key, partner, standing, (contact, unit)))
        };
        let ((name, role, spiffe), key, partner, standing, (contact, unit)) =
            database("reading people", read())?;
        let contact = contact_open(view, "people", &name, contact, place, report);
        let with_key = history.people.get(&name).and_then(|added| added.last());
        let Some(newest) = with_key.or_else(|| history.invited.get(&name)) else {
            if !history.forgotten {
                report.fault(place(), "no entry says that somebody of this name was added");
            }
            continue;
        };
        if with_key.is_none() && !(key.is_empty() && spiffe.is_empty()) {
            report.fault(place(), "it has a certificate, and no entry gave it one");
        }
        if with_key.is_some() && Digest::sha256(&key).as_bytes().as_slice() != newest.key {
            report.fault(place(), "the key is not the one that the log names");
        }
        if role != newest.role {
            report.fault(place(), "the role is not the one that the log names");
        }
        if !stands(history, &history.people_suspended, &name, &standing) {
            report.fault(place(), "the standing is not the one that follows from the log");
        }
        if let Some(Change::PutPerson(person)) = newest.change.and_then(|id| changes.body(id)) {
            let of_partner = person.partner.as_ref().map(|partner| partner.as_str().to_owned());
            let same = (spiffe.as_str(), partner.as_deref())
                == (person.spiffe_id.as_str(), of_partner.as_deref())
                && unit == person.unit.as_ref().map_or("", |unit| unit.as_str());
            if !same || contact.as_ref().is_some_and(|contact| *contact != person.contact) {
                report.fault(place(), "it is not what the change says that added it");
            }
        }
        seen.insert(name);
    }
    for (name, added) in &history.people {
        if let (false, Some(newest)) = (seen.contains(name), added.last()) {
            let place = FaultPlace::Entry { journal: "holder".to_owned(), index: newest.entry };
            report.fault(place, "the registry has nobody of the name that was added");
        }
    }
    Ok(())
}

fn partners(
    view: &View,
    history: &History,
    changes: &Changes,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let mut seen = BTreeSet::new();
    let read =
        "SELECT p.name, p.title, p.trust_domain, p.authorities, p.standing, p.contact, p.release_key, j.name
                FROM partners p LEFT JOIN journals j ON j.id = p.journal ORDER BY p.name";
    let mut statement = database("reading partners", view.sql.prepare(read))?;
    let mut rows = database("reading partners", statement.query([]))?;
    while let Some(row) = database("reading partners", rows.next())? {
        let read = || -> Result<_, rusqlite::Error> {
            let texts: (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let authorities: Vec<u8> = row.get(3)?;
            let standing: String = row.get(4)?;
            let blobs: (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(5)?, row.get(6)?);
            Ok((texts, authorities, standing, blobs, row.get::<_, Option<String>>(7)?))
        };
        let ((name, title, domain), authorities, standing, (contact, key), journal) =
            database("reading partners", read())?;
        let place = || FaultPlace::Row { table: "partners", row: name.clone() };
        let contact = contact_open(view, "partners", &name, contact, place, report);
        if journal.as_deref().map(super::owner) != Some(name.as_str()) {
            report.fault(place(), "its journal is not the one of its name");
        }
        if authorities_decode(&authorities).is_err() {
            report.fault(place(), "its certificate authorities are damaged");
        }
        if history.release_keys.get(&name).is_some_and(|due| Some(due) != key.as_ref()) {
            report.fault(place(), "its release key is not the one that was confirmed");
        }
        let Some(newest) = history.partners.get(&name) else {
            if !history.forgotten {
                report.fault(place(), "no entry says that it was added");
            }
            continue;
        };
        if !stands(history, &history.partners_suspended, &name, &standing) {
            report.fault(place(), "the standing is not the one that follows from the log");
        }
        if let Some(Change::PutPartner(partner)) = newest.change.and_then(|id| changes.body(id)) {
            let same = (title, domain) == (partner.title.clone(), partner.trust_domain.clone())
                && authorities == authorities_encode(&partner.authorities);
            if !same || contact.as_ref().is_some_and(|contact| *contact != partner.contact) {
                report.fault(place(), "it is not what the change says that added it");
            }
        }
        seen.insert(name);
    }
    for (name, added) in &history.partners {
        if !seen.contains(name) {
            let place = FaultPlace::Entry { journal: "holder".to_owned(), index: added.entry };
            report.fault(place, "the registry has no partner of the name that was added");
        }
    }
    Ok(())
}

fn stands(history: &History, suspended: &BTreeMap<String, bool>, name: &str, standing: &str) -> bool {
    match suspended.get(name) {
        Some(true) => standing == Standing::Suspended.as_str(),
        Some(false) => standing == Standing::Active.as_str(),
        None => history.forgotten || standing == Standing::Active.as_str(),
    }
}

/// The contact as it stands in a row; `None` when it did not open, which is told.
fn contact_open(
    view: &View,
    table: &'static str,
    row: &str,
    contact: Option<Vec<u8>>,
    told: impl Fn() -> FaultPlace,
    report: &mut FsckReport,
) -> Option<Option<String>> {
    let Some(sealed) = contact else { return Some(None) };
    let place = Place { table, row: row.as_bytes(), column: "contact", version: 1 };
    match view.ring.sealing(Purpose::Registry).open(place, &sealed) {
        Ok(plain) => Some(Some(String::from_utf8_lossy(plain.expose()).into_owned())),
        Err(error) => {
            report.fault(told(), format!("the contact does not open in its place: {error}"));
            None
        }
    }
}

fn policies(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let mut kept = BTreeSet::new();
    let mut statement = database("reading rules", view.sql.prepare("SELECT digest, bundle FROM policies"))?;
    let mut rows = database("reading rules", statement.query([]))?;
    while let Some(row) = database("reading rules", rows.next())? {
        let read = row.get::<_, Vec<u8>>(0).and_then(|digest| Ok((digest, row.get::<_, Vec<u8>>(1)?)));
        let (digest, bundle) = database("reading rules", read)?;
        let digest = Digest::from_bytes(digest.try_into().unwrap_or([0; 32]));
        kept.insert(digest);
        if Bundle::from_bytes(&bundle).ok().map(|bundle| bundle.digest()) != Some(digest) {
            let place = FaultPlace::Row { table: "policies", row: digest.to_string() };
            report.fault(place, "the kept folder is not the one of this digest");
        }
    }
    for named in history.policies.difference(&kept) {
        let place = FaultPlace::Row { table: "policies", row: named.to_string() };
        report.fault(place, "entries name these rules, and they are not kept");
    }
    for strange in kept.difference(&history.policies) {
        let place = FaultPlace::Row { table: "policies", row: strange.to_string() };
        let active = history.policy_active.as_deref() == Some(strange.as_bytes().as_slice());
        if !active && !history.forgotten {
            report.unchecked(place, "no entry names these rules");
        }
    }
    Ok(())
}

fn challenges(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let read = "SELECT partner, public_key FROM release_key_challenges ORDER BY partner, public_key";
    let mut statement = database("reading challenges", view.sql.prepare(read))?;
    let mut rows = database("reading challenges", statement.query([]))?;
    while let Some(row) = database("reading challenges", rows.next())? {
        let read = row.get::<_, String>(0).and_then(|partner| Ok((partner, row.get::<_, Vec<u8>>(1)?)));
        let offer = database("reading challenges", read)?;
        if !history.offers.contains(&offer) && !history.forgotten {
            let place = FaultPlace::Row { table: "release_key_challenges", row: offer.0 };
            report.fault(place, "no entry says that this key was offered");
        }
    }
    Ok(())
}

fn passkeys(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let read =
        "SELECT person, public_key, state FROM passkeys WHERE state != 'registered' ORDER BY credential";
    let mut statement = database("reading passkeys", view.sql.prepare(read))?;
    let mut rows = database("reading passkeys", statement.query([]))?;
    let mut kept = BTreeSet::new();
    while let Some(row) = database("reading passkeys", rows.next())? {
        let read = || Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, String>(2)?));
        let (person, key, state) = database("reading passkeys", read())?;
        let passkey = (person, Digest::sha256(&key).as_bytes().to_vec());
        let had =
            history.passkeys.get(&passkey.0).is_some_and(|had| had.iter().any(|had| had.key == passkey.1));
        let stands = history.passkeys_standing.contains(&passkey);
        if (!had || stands != (state == "confirmed")) && !history.forgotten {
            let place = FaultPlace::Row { table: "passkeys", row: passkey.0.clone() };
            report.fault(place, "it does not stand for this person as the log says");
        }
        kept.insert(passkey);
    }
    for (person, had) in &history.passkeys {
        for added in had.iter().filter(|added| !kept.contains(&(person.clone(), added.key.clone()))) {
            let place = FaultPlace::Entry { journal: "holder".to_owned(), index: added.entry };
            report.fault(place, "the passkey that was confirmed is not kept");
        }
    }
    Ok(())
}

fn suspensions(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let kept = suspension::all(&view.sql)?;
    let is_known = |stated: Option<bool>| stated.unwrap_or(history.forgotten);
    for agreement in &kept.agreements {
        let stated = history.agreements_suspended.get(agreement.as_str()).map(|(suspended, _)| *suspended);
        if !is_known(stated) {
            let row = agreement.as_str().to_owned();
            report.fault(FaultPlace::Row { table: "suspended_agreements", row }, NO_SUSPENSION);
        }
    }
    let mut officials = BTreeSet::new();
    for ((partner, official), (suspended, entry)) in &history.officials_suspended {
        let tag = *view.ring.tags().tag(Domain::Official, official.as_bytes()).as_bytes();
        let of_partner = kept.officials.iter().find(|(name, _)| name.as_str() == partner);
        match (suspended, of_partner.is_some_and(|(_, tags)| tags.contains(&tag))) {
            (true, true) => drop(officials.insert((partner.clone(), tag))),
            (true, false) => report.fault(holder_entry(*entry), NOT_SUSPENDED),
            (false, true) => report.fault(holder_entry(*entry), STILL_SUSPENDED),
            (false, false) => {}
        }
    }
    for (partner, tags) in &kept.officials {
        for tag in tags {
            let named = officials.contains(&(partner.as_str().to_owned(), *tag));
            if !named && !history.forgotten {
                let row = partner.as_str().to_owned();
                report.fault(FaultPlace::Row { table: "suspended_officials", row }, NO_SUSPENSION);
            }
        }
    }
    for (agreement, (suspended, entry)) in &history.agreements_suspended {
        if *suspended && !kept.agreements.iter().any(|kept| kept.as_str() == agreement) {
            report.fault(holder_entry(*entry), NOT_SUSPENDED);
        }
    }
    Ok(())
}

fn holder_entry(index: u64) -> FaultPlace {
    FaultPlace::Entry { journal: "holder".to_owned(), index }
}

fn delegations(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let mut kept = BTreeSet::new();
    for delegation in delegation::all(&view.sql)? {
        let (change, what) = (delegation.change, &delegation.what);
        kept.insert(change);
        let same = history.delegations.get(&change).is_some_and(|said| {
            (said.delegator.as_str(), said.delegate.as_str())
                == (what.delegator.as_str(), what.delegate.as_str())
                && (&said.since, &said.until) == (&what.since.to_string(), &what.until.to_string())
                && said.ended.is_some() == delegation.ended
        });
        if !same && !history.forgotten {
            let place = FaultPlace::Row { table: "delegations", row: change.resource() };
            report.fault(place, "it does not stand as the log says");
        }
    }
    for (change, said) in history.delegations.iter().filter(|(change, _)| !kept.contains(*change)) {
        let place = FaultPlace::Entry { journal: "holder".to_owned(), index: said.entry };
        report.fault(place, format!("the delegation of {} is not kept", change.resource()));
    }
    Ok(())
}

/// Accounts at the agency's provider, and the sessions that they opened.
fn accounts(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let read = "SELECT person, issuer, subject FROM provider_accounts ORDER BY person, issuer";
    let mut statement = database("reading accounts", view.sql.prepare(read))?;
    let mut rows = database("reading accounts", statement.query([]))?;
    let mut kept = BTreeSet::new();
    let mut digests = BTreeSet::new();
    while let Some(row) = database("reading accounts", rows.next())? {
        let read = || Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?));
        let (person, issuer, subject) = database("reading accounts", read())?;
        let account = ProviderAccount { issuer, subject };
        let digest = account.digest().as_bytes().to_vec();
        let bound = (person, account.issuer);
        let said = history.accounts.get(&bound).is_some_and(|(said, _)| *said == digest);
        if !said && !history.forgotten {
            let place = FaultPlace::Row { table: "provider_accounts", row: bound.0.clone() };
            report.fault(place, "it is not the account that the log says was bound to this person");
        }
        digests.insert((bound.0.clone(), digest));
        kept.insert(bound);
    }
    for (bound, (_, entry)) in history.accounts.iter().filter(|(bound, _)| !kept.contains(*bound)) {
        let place = FaultPlace::Entry { journal: "holder".to_owned(), index: *entry };
        report.fault(place, format!("the account of `{}` that was bound is not kept", bound.0));
    }
    let read = "SELECT person, account FROM sessions WHERE account IS NOT NULL ORDER BY person";
    let mut statement = database("reading sessions", view.sql.prepare(read))?;
    let mut rows = database("reading sessions", statement.query([]))?;
    while let Some(row) = database("reading sessions", rows.next())? {
        let read = row.get::<_, String>(0).and_then(|person| Ok((person, row.get::<_, Vec<u8>>(1)?)));
        let session = database("reading sessions", read)?;
        if !digests.contains(&session) {
            let place = FaultPlace::Row { table: "sessions", row: session.0 };
            report.fault(place, "an account opened it that is not bound to this person");
        }
    }
    Ok(())
}

fn holder(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let value = |name: &str| -> Result<Option<Vec<u8>>, StoreError> {
        use rusqlite::OptionalExtension;
        let read = "SELECT value FROM holder WHERE name = ?1";
        database("reading the holder", view.sql.query_row(read, params![name], |row| row.get(0)).optional())
    };
    let place = |row: &str| FaultPlace::Row { table: "holder", row: row.to_owned() };
    let known = |known: bool| known || !history.forgotten;
    if known(history.host.is_some())
        && value("host")?.as_deref() != history.host.as_deref().map(str::as_bytes)
    {
        report.fault(place("host"), "it is not the host of the founding");
    }
    if known(history.policy_active.is_some()) && value("policy")? != history.policy_active {
        report.fault(place("policy"), "the active rules are not those that the log names");
    }
    if value("trust-domain")?.is_none_or(|text| text.is_empty() || std::str::from_utf8(&text).is_err()) {
        report.fault(place("trust-domain"), "it is missing or no text");
    }
    if value("authorities")?.is_none_or(|bytes| authorities_decode(&bytes).is_err()) {
        report.fault(place("authorities"), "they are missing or damaged");
    }
    Ok(())
}

const NO_SUSPENSION: &str = "no entry says that it is suspended";
const STILL_SUSPENDED: &str = "the suspension that was lifted is still kept";
const NOT_SUSPENDED: &str = "what it suspended is not kept as suspended, and no entry lifts it";
