//! Whom a breach affects: what entries of the log come to, by person. People are named by random id, and fields by name.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::event::{Event, Fact, Kind};
use crate::ids::{Digest, SubjectId};

/// What happened to one person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AffectedOne {
    /// Answers of `HIT`.
    pub hits: u64,
    /// Times that somebody looked at a field or had the whole record put together.
    pub views: u64,
    /// Times that fields were released or fetched.
    pub disclosures: u64,
    /// Times that the person was hidden, shown again or erased.
    pub changes: u64,
    /// Fields that were looked at.
    pub viewed: BTreeSet<String>,
    /// Fields that were released.
    pub disclosed: BTreeSet<String>,
    /// Who received something: `partner NAME` or `person NAME`.
    pub recipients: BTreeSet<String>,
}

/// Everybody who is affected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affected {
    /// By random id.
    pub people: BTreeMap<SubjectId, AffectedOne>,
}

impl Affected {
    /// The kinds of entries that say something of a person, or of a disclosure whose person is known by it.
    pub const KINDS: [Kind; 8] = [
        Kind::QueryAnswered,
        Kind::FieldViewed,
        Kind::DisclosureReleased,
        Kind::DisclosureFetched,
        Kind::SubjectReported,
        Kind::SubjectRestricted,
        Kind::SubjectUnrestricted,
        Kind::SubjectErased,
    ];

    /// Takes what an entry says of a person. A person who was hidden from the partner was not told of, and does not count.
    pub fn take(&mut self, event: &Event) {
        let Some(subject) = subject_of(event) else { return };
        let actor = format!("person {}", event.actor);
        match event.kind {
            Kind::QueryAnswered => {
                let one = self.people.entry(subject).or_default();
                one.hits = one.hits.saturating_add(1);
                one.recipients
                    .extend(event.text_of(Fact::Partner).map(|partner| format!("partner {partner}")));
            }
            Kind::FieldViewed | Kind::SubjectReported => {
                let one = self.people.entry(subject).or_default();
                one.views = one.views.saturating_add(1);
                let report = (event.kind == Kind::SubjectReported).then_some(WHOLE_RECORD);
                one.viewed.extend(event.text_of(Fact::Field).or(report).map(str::to_owned));
                one.recipients.insert(actor);
            }
            Kind::SubjectRestricted | Kind::SubjectUnrestricted | Kind::SubjectErased => {
                let one = self.people.entry(subject).or_default();
                one.changes = one.changes.saturating_add(1);
            }
            _ => {}
        }
    }

    /// Takes that fields of a person went to a partner.
    pub fn disclosed(&mut self, subject: SubjectId, fields: impl Iterator<Item = String>, partner: &str) {
        let one = self.people.entry(subject).or_default();
        one.disclosures = one.disclosures.saturating_add(1);
        one.disclosed.extend(fields);
        one.recipients.insert(format!("partner {partner}"));
    }

    /// How many people.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.people.len()).unwrap_or(u64::MAX)
    }

    /// Every field that was looked at or released.
    #[must_use]
    pub fn fields(&self) -> BTreeSet<&str> {
        self.people
            .values()
            .flat_map(|one| one.viewed.iter().chain(&one.disclosed))
            .map(String::as_str)
            .collect()
    }

    /// Everybody who received something.
    #[must_use]
    pub fn recipients(&self) -> BTreeSet<&str> {
        self.people.values().flat_map(|one| &one.recipients).map(String::as_str).collect()
    }

    /// The SHA-256 of the list: a line for each person in the order of their ids, fields parted by tabs, names by commas.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let joined =
            |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        let line = |(subject, one): (&SubjectId, &AffectedOne)| {
            let AffectedOne { hits, views, disclosures, changes, viewed, disclosed, recipients } = one;
            let names = [viewed, disclosed, recipients].map(joined).join("\t");
            format!("{subject}\t{hits}\t{views}\t{disclosures}\t{changes}\t{names}\n")
        };
        Digest::sha256(self.people.iter().map(line).collect::<String>().as_bytes())
    }
}

fn subject_of(event: &Event) -> Option<SubjectId> {
    let bytes: [u8; 16] = event.fact(Fact::Subject)?.try_into().ok()?;
    Some(SubjectId::from_bytes(bytes)).filter(|_| bytes != [0; 16])
}

/// What a person's report holds: the fields of the record, whichever there were.
const WHOLE_RECORD: &str = "record";
