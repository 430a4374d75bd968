//! What an entry is found by: keyed tags of what it says, and of what it is about.

use crate::audit::event::{Event, Fact, Kind};
use crate::keys::{Domain, Tag, TagKey};
use crate::store::Journal;

/// The tags of an entry: those given, and those of what the holder's side of it says, in their own order, each once;
/// that of its kind is the last.
///
/// Who matched is no tag of a query, so that a hit has as many as any other answer.
pub(super) fn of_entry(key: &TagKey, journal: &Journal, event: &Event, given: &[Tag]) -> Vec<Tag> {
    let partner = match journal {
        Journal::Partner(partner) => Some(partner.as_str()),
        Journal::Holder => event.text_of(Fact::Partner),
    };
    let partner = partner.map(|partner| key.tag(Domain::Partner, partner.as_bytes()));
    let stated = STATED.iter().filter_map(|(domain, fact)| Some(key.tag(*domain, event.fact(*fact)?)));
    let actor = key.tag(Domain::Actor, event.actor.as_bytes());
    let mut tags: Vec<Tag> = given.iter().copied().chain(stated).chain(partner).chain([actor]).collect();
    tags.sort_unstable();
    tags.dedup();
    tags.push(of_kind(key, event.kind));
    tags
}

/// The tag of a kind of entry.
pub(super) fn of_kind(key: &TagKey, kind: Kind) -> Tag {
    key.tag(Domain::Kind, kind.name().as_bytes())
}

/// Tags as a row holds them.
pub(super) fn bytes(tags: &[Tag]) -> Vec<u8> {
    tags.iter().flat_map(|tag| *tag.as_bytes()).collect()
}

/// Whether a row holds these tags, in this order.
pub(super) fn are(stored: &[u8], due: &[Tag]) -> bool {
    stored.len() == due.len().saturating_mul(TAG_BYTES)
        && stored.chunks_exact(TAG_BYTES).zip(due).all(|(stored, due)| stored == due.as_bytes())
}

/// Whether a row holds a tag.
pub(super) fn has(stored: &[u8], tag: Tag) -> bool {
    stored.chunks_exact(TAG_BYTES).any(|stored| stored == tag.as_bytes())
}

/// What entries say and are found by.
const STATED: [(Domain, Fact); 10] = [
    (Domain::Query, Fact::Query),
    (Domain::Disclosure, Fact::Disclosure),
    (Domain::Case, Fact::Case),
    (Domain::Official, Fact::Official),
    (Domain::RequestId, Fact::RequestId),
    (Domain::Agreement, Fact::Agreement),
    (Domain::Purpose, Fact::Purpose),
    (Domain::Batch, Fact::Batch),
    (Domain::Change, Fact::Change),
    (Domain::Actor, Fact::Person),
];
/// The bytes of one.
pub(super) const TAG_BYTES: usize = 16;
