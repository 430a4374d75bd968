//! People, systems and partners: who holds a credential and may act.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::authz::{Actor, Role, Standing, Standings};
use crate::clock::Timestamp;
use crate::ids::{ActorName, AgreementName, ChangeId, PartnerName, UnitName};
use crate::keys::Tag;

use super::change::Delegating;

/// A natural person or a system that holds one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name in the log.
    pub name: ActorName,
    /// What the credential may be used as.
    pub role: Role,
    /// The SPIFFE id in its certificates; empty for a person who has none and signs in by passkey.
    pub spiffe_id: String,
    /// The public key of its certificates, DER SubjectPublicKeyInfo; empty without certificates.
    pub public_key: Vec<u8>,
    /// The partner of a partner system.
    pub partner: Option<PartnerName>,
    /// Whether they may act.
    pub standing: Standing,
    /// How to reach them; sealed at rest.
    pub contact: Option<String>,
    /// The unit of the holder that they belong to, if it is known.
    pub unit: Option<UnitName>,
}

impl Person {
    /// Whether they have certificates, and not passkeys alone.
    #[must_use]
    pub const fn has_certificate(&self) -> bool {
        !self.spiffe_id.is_empty() && !self.public_key.is_empty()
    }
}

/// An agency that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partner {
    /// The name in the log, in `policy/` and in resource names.
    pub name: PartnerName,
    /// The agency's title.
    pub title: String,
    /// The trust domain of its certificates.
    pub trust_domain: String,
    /// The certificates of its authorities, DER.
    pub authorities: Vec<Vec<u8>>,
    /// Whether it may act.
    pub standing: Standing,
    /// The X25519 key that releases are sealed to.
    pub release_key: Option<[u8; 32]>,
    /// How to reach it; sealed at rest.
    pub contact: Option<String>,
}

/// A seat that is delegated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// The change that made it.
    pub change: ChangeId,
    /// Whose seat, to whom, from when until when.
    pub what: Delegating,
    /// Whether it was ended before its time: by a person, or with the suspension of either.
    pub ended: bool,
}

impl Delegation {
    /// Whether the seat is delegated at this moment.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        !self.ended && self.what.since <= now && now < self.what.until
    }
}

/// What is suspended beside partners and people.
#[derive(Debug, Clone, Default)]
pub struct Suspended {
    /// Agreements.
    pub agreements: BTreeSet<AgreementName>,
    /// Officials, by keyed tags and by partner.
    pub officials: BTreeMap<PartnerName, BTreeSet<[u8; 16]>>,
}

impl Suspended {
    /// What rules may read of it, for a call of a partner on behalf of an official.
    #[must_use]
    pub fn standings(&self, partner: Option<&PartnerName>, official: Tag) -> Standings<'_> {
        let of_partner = partner.and_then(|partner| self.officials.get(partner));
        let official = match of_partner.is_some_and(|tags| tags.contains(official.as_bytes())) {
            true => Standing::Suspended,
            false => Standing::Active,
        };
        Standings { suspended: &self.agreements, official }
    }
}

/// Everybody who may act, as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// People and systems, by name.
    pub people: Vec<Person>,
    /// Partners, by name.
    pub partners: Vec<Partner>,
    /// Seats that are or were delegated, in the order in which they begin.
    pub delegations: Vec<Delegation>,
    /// What is suspended beside partners and people.
    pub suspended: Suspended,
}

impl Registry {
    /// The person or system whose certificates carry this SPIFFE id.
    #[must_use]
    pub fn person_by_spiffe(&self, spiffe_id: &str) -> Option<&Person> {
        self.people
            .iter()
            .filter(|person| person.has_certificate())
            .find(|person| person.spiffe_id == spiffe_id)
    }

    /// The person or system of this name.
    #[must_use]
    pub fn person(&self, name: &ActorName) -> Option<&Person> {
        self.people.iter().find(|person| person.name == *name)
    }

    /// The partner of this name.
    #[must_use]
    pub fn partner(&self, name: &PartnerName) -> Option<&Partner> {
        self.partners.iter().find(|partner| partner.name == *name)
    }

    /// A person as an actor; a partner's suspension suspends its systems.
    #[must_use]
    pub fn actor(&self, person: &Person) -> Actor {
        let of_partner = person.partner.as_ref().and_then(|name| self.partner(name));
        let standing = match of_partner.map(|partner| partner.standing) {
            Some(Standing::Suspended) => Standing::Suspended,
            Some(Standing::Active) | None => person.standing,
        };
        Actor { name: person.name.clone(), role: person.role, partner: person.partner.clone(), standing }
    }
}

/// A registry that many readers share.
pub type SharedRegistry = Arc<Registry>;
