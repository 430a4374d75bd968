//! What the entries say of people, partners, rules, changes and batches, in the order in which it happened.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::event::{Event, Fact, Kind};
use crate::clock::Timestamp;
use crate::ids::{BatchId, BreachId, ChangeId, Digest, DisclosureId, SubjectId, SubjectRequestId};

use super::report::FaultPlace;
use super::tree::HeadStated;

/// All of it.
#[derive(Default)]
pub(super) struct History {
    /// By name, each time that the person was added or given another key.
    pub(super) people: BTreeMap<String, Vec<Added>>,
    /// By name, the first time that the person was invited to register a passkey.
    pub(super) invited: BTreeMap<String, Added>,
    /// By name, each passkey that was confirmed.
    pub(super) passkeys: BTreeMap<String, Vec<Added>>,
    /// Passkeys that stand at last: name and SHA-256 of the key.
    pub(super) passkeys_standing: BTreeSet<(String, Vec<u8>)>,
    /// By change, each delegation that was made.
    pub(super) delegations: BTreeMap<ChangeId, Delegated>,
    /// By name and provider, the account that is bound at last: its digest, and the entry.
    pub(super) accounts: BTreeMap<(String, String), (Vec<u8>, u64)>,
    /// By name, the newest time that the partner was added or changed.
    pub(super) partners: BTreeMap<String, Added>,
    /// By name, whether the person was suspended at last.
    pub(super) people_suspended: BTreeMap<String, bool>,
    pub(super) partners_suspended: BTreeMap<String, bool>,
    /// By partner, the release key that was confirmed last.
    pub(super) release_keys: BTreeMap<String, Vec<u8>>,
    /// Offers of release keys: partner and key.
    pub(super) offers: BTreeSet<(String, Vec<u8>)>,
    /// Every digest of rules that an entry names.
    pub(super) policies: BTreeSet<Digest>,
    pub(super) policy_active: Option<Vec<u8>>,
    pub(super) host: Option<String>,
    /// By change, its entries.
    pub(super) changes: BTreeMap<ChangeId, Vec<Of>>,
    pub(super) batches: BTreeMap<BatchId, BatchSaid>,
    /// By collection.
    pub(super) renewals: BTreeMap<String, Renewals>,
    /// The heads that the holder's journal states, as long as nobody compared them.
    pub(super) heads: Vec<HeadStated>,
    /// All of them: partner, size and entry, and when.
    pub(super) stated: BTreeMap<(String, u64, u64), Timestamp>,
    /// By disclosure, the last day on which somebody looked at a field of its subject, or did something else with it
    /// that only the holder's journal tells.
    pub(super) viewed: BTreeMap<DisclosureId, i64>,
    /// By disclosure, what the holder's people did with it that the partner sees nothing of.
    pub(super) tended: BTreeMap<DisclosureId, Vec<Of>>,
    /// Chunks of enrolment: when, and by which system.
    pub(super) chunks: BTreeSet<(i64, String)>,
    /// By request of a person, its entries.
    pub(super) subject_requests: BTreeMap<SubjectRequestId, Vec<Event>>,
    /// What happened to each case about a breach, in the order of its entries.
    pub(super) breaches: BTreeMap<BreachId, Vec<Event>>,
    /// Statements beside fields: subject, field and digest, and where the entry stands.
    pub(super) statements: BTreeMap<(Vec<u8>, String, Vec<u8>), FaultPlace>,
    /// Subjects that were made one person: by which change last, and since when; the last of a person too, who is one no more.
    pub(super) one_person: BTreeMap<SubjectId, (ChangeId, Timestamp)>,
    /// Notices that were given up: receiver and id.
    pub(super) notices_given_up: BTreeSet<String>,
    /// Whether entries about people, partners and rules are disposed of.
    pub(super) forgotten: bool,
    /// What a confirmed change did, until the next entry shows that it found something to change.
    held: Option<(Option<ChangeId>, u64, Event)>,
    confirmed: Option<ChangeId>,
}

/// Somebody was added.
#[derive(Clone)]
pub(super) struct Added {
    pub(super) at: Timestamp,
    pub(super) entry: u64,
    /// SHA-256 of the key of a person.
    pub(super) key: Vec<u8>,
    pub(super) role: String,
    /// By which change; the founding had none.
    pub(super) change: Option<ChangeId>,
}

/// A seat was delegated.
pub(super) struct Delegated {
    pub(super) entry: u64,
    pub(super) made: Timestamp,
    pub(super) delegator: String,
    pub(super) delegate: String,
    pub(super) since: String,
    pub(super) until: String,
    /// When it was ended before its time.
    pub(super) ended: Option<Timestamp>,
}

/// How often a collection began to be renewed, and was.
#[derive(Default, Clone, Copy)]
pub(super) struct Renewals {
    pub(super) begun: i64,
    pub(super) ended: i64,
}

/// An entry of a change or of a disclosure.
pub(super) struct Of {
    pub(super) place: FaultPlace,
    pub(super) event: Event,
}

/// What the entries say of a batch of enrolment.
#[derive(Default)]
pub(super) struct BatchSaid {
    /// When it began; nothing when the entry is disposed of.
    pub(super) begun: Option<Timestamp>,
    pub(super) owner: String,
    pub(super) official: Vec<u8>,
    pub(super) collection: String,
    pub(super) rows_done: u64,
    pub(super) rows_accepted: u64,
    /// Of the newest chunk: its first row, its rows, those rejected, its content.
    pub(super) newest: Option<(u64, u64, u64, Vec<u8>)>,
}

impl History {
    /// Takes an entry of the holder's journal.
    pub(super) fn take(&mut self, tree: &str, index: u64, event: &Event) {
        self.policies.insert(event.policy);
        let undone = event.kind == Kind::RequestRefused && event.text_of(Fact::Reason) == Some(NOTHING);
        match self.held.take() {
            Some((change, ..)) if undone && change == change_of(event) => self.undo(change),
            Some((change, index, before)) => self.effect(change, index, &before),
            None => {}
        }
        let confirmed = self.confirmed.take();
        match event.kind {
            Kind::ChangeProposed | Kind::ChangeConfirmed | Kind::ChangeRejected => {
                if event.kind == Kind::ChangeConfirmed {
                    self.confirmed = change_of(event);
                }
                self.change(FaultPlace::Entry { journal: tree.to_owned(), index }, event);
            }
            Kind::PasskeyRegistered if event.fact(Fact::Change).is_some() => {
                self.change(FaultPlace::Entry { journal: tree.to_owned(), index }, event);
            }
            Kind::PersonAdded
            | Kind::PersonInvited
            | Kind::PasskeyConfirmed
            | Kind::AccountBound
            | Kind::PartnerAdded
            | Kind::ReleaseKeyConfirmed
            | Kind::PolicyActivated
            | Kind::SubjectUnrestricted
            | Kind::PartnerRestored
            | Kind::PayloadsDisposed
            | Kind::LogKeyChanged
            | Kind::CollectionRenewing
            | Kind::DelegationMade
            | Kind::PersonRestored => self.held = Some((confirmed, index, event.clone())),
            Kind::PasskeyEnded if event.text_of(Fact::Detail).is_none() => {
                let key = event.fact(Fact::PublicKey).unwrap_or_default().to_vec();
                self.passkeys_standing.remove(&(text(event, Fact::Person).unwrap_or_default(), key));
            }
            Kind::DelegationEnded if event.text_of(Fact::Detail).is_none() => {
                let ended = change_of(event).and_then(|change| self.delegations.get_mut(&change));
                if let Some(delegated) = ended {
                    delegated.ended.get_or_insert(event.at);
                }
            }
            Kind::PersonSuspended if event.text_of(Fact::Detail).is_none() => {
                let name = text(event, Fact::Person).unwrap_or_default();
                self.delegations_end(&name, event.at);
                self.passkeys_standing.retain(|(person, _)| *person != name);
                self.accounts.retain(|(person, _), _| *person != name);
                self.people_suspended.insert(name, true);
            }
            Kind::PartnerSuspended if event.text_of(Fact::Detail).is_none() => {
                self.partners_suspended.extend(text(event, Fact::Partner).map(|name| (name, true)));
            }
            Kind::Founding => {
                self.host = text(event, Fact::Host);
                self.policy_active = event.fact(Fact::ContentDigest).map(<[u8]>::to_vec);
            }
            Kind::JournalHead => {
                let head = stated_head(tree, index, event);
                self.stated.insert((head.journal.clone(), head.size, index), event.at);
                self.heads.push(head);
            }
            Kind::CollectionRenewed => {
                let renewals = self.renewals.entry(text(event, Fact::Collection).unwrap_or_default());
                renewals.or_default().ended += 1;
            }
            Kind::NoticeGivenUp => self.notices_given_up.extend(text(event, Fact::Detail)),
            Kind::EnrolmentBatch | Kind::EnrolmentChunk => self.batch(event),
            Kind::SubjectRequestOpened
            | Kind::SubjectRequestExtended
            | Kind::SubjectRequestOverdue
            | Kind::SubjectRequestClosed => {
                let id = event.fact(Fact::SubjectRequest).and_then(|id| id.try_into().ok());
                if let Some(id) = id.map(SubjectRequestId::from_bytes) {
                    self.subject_requests.entry(id).or_default().push(event.clone());
                }
            }
            Kind::SubjectsMerged => {
                let both = [Fact::Subject, Fact::OtherSubject].map(|fact| subject_of(event, fact));
                if let ([Some(one), Some(other)], Some(change)) = (both, change_of(event)) {
                    self.merged([one, other], change, event.at);
                }
            }
            Kind::SubjectSplit | Kind::SubjectErased => {
                let parted = subject_of(event, Fact::Subject);
                self.one_person.retain(|one, _| Some(*one) != parted);
            }
            Kind::BreachOpened
            | Kind::BreachContained
            | Kind::BreachTraced
            | Kind::BreachAssessed
            | Kind::BreachConfirmed
            | Kind::BreachNotified
            | Kind::BreachOverdue
            | Kind::BreachClosed => {
                let id = event.fact(Fact::Breach).and_then(|id| id.try_into().ok());
                if let Some(id) = id.map(BreachId::from_bytes) {
                    self.breaches.entry(id).or_default().push(event.clone());
                }
            }
            Kind::SubjectStated => {
                let bytes = |fact| event.fact(fact).unwrap_or_default().to_vec();
                let field = text(event, Fact::Field).unwrap_or_default();
                let place = FaultPlace::Entry { journal: tree.to_owned(), index };
                self.statements.insert((bytes(Fact::Subject), field, bytes(Fact::ContentDigest)), place);
            }
            Kind::FieldViewed if event.fact(Fact::Reason).is_none() => {
                if let Some(id) = disclosure_of(event) {
                    self.viewed(id, event.at.day());
                }
            }
            Kind::DisclosureClaimed
            | Kind::DisclosurePutBack
            | Kind::DisclosureRecused
            | Kind::DisclosureNoted
            | Kind::ReviewOwed
            | Kind::ReviewClosed
            | Kind::ReviewLate
            | Kind::CorrectionMade
            | Kind::CorrectionOverdue => {
                if let Some(id) = disclosure_of(event) {
                    self.viewed(id, event.at.day());
                    let place = FaultPlace::Entry { journal: tree.to_owned(), index };
                    self.tended.entry(id).or_default().push(Of { place, event: event.clone() });
                }
            }
            _ => {}
        }
    }

    /// Takes an entry of a partner's journal.
    pub(super) fn take_of_partner(&mut self, journal: &str, partner: &str, index: u64, event: &Event) {
        // Most entries name the rules of the one before.
        if !self.policies.contains(&event.policy) {
            self.policies.insert(event.policy);
        }
        match event.kind {
            Kind::ReleaseKeyProven => {
                self.change(FaultPlace::Entry { journal: journal.to_owned(), index }, event);
            }
            Kind::ReleaseKeyStarted => {
                let key = event.fact(Fact::ReleaseKey).unwrap_or_default();
                self.offers.insert((partner.to_owned(), key.to_vec()));
            }
            _ => {}
        }
    }

    fn merged(&mut self, both: [SubjectId; 2], change: ChangeId, at: Timestamp) {
        let persons = both.map(|one| self.one_person.get(&one).map(|(person, _)| *person));
        for (person, _) in self.one_person.values_mut() {
            if persons.contains(&Some(*person)) {
                *person = change;
            }
        }
        for one in both {
            self.one_person.entry(one).or_insert((change, at));
        }
    }

    fn viewed(&mut self, id: DisclosureId, on: i64) {
        let day = self.viewed.entry(id).or_insert(i64::MIN);
        *day = on.max(*day);
    }

    /// The holder's journal ended.
    pub(super) fn end(&mut self) {
        if let Some((change, index, event)) = self.held.take() {
            self.effect(change, index, &event);
        }
    }

    fn change(&mut self, place: FaultPlace, event: &Event) {
        // A change that was proposed again is the one that is there; a key that was not proven proposes none.
        if event.kind == Kind::ChangeProposed && event.text_of(Fact::Detail).is_some() {
            return;
        }
        if let Some(change) = change_of(event) {
            let entries = self.changes.entry(change).or_default();
            // A partner's proof comes before all that people do about it, and its journal is read after theirs.
            let at = if event.kind == Kind::ReleaseKeyProven { 0 } else { entries.len() };
            entries.insert(at, Of { place, event: event.clone() });
        }
    }

    /// A change was confirmed and found nothing to change: it goes on waiting.
    fn undo(&mut self, change: Option<ChangeId>) {
        if let Some(entries) = change.and_then(|change| self.changes.get_mut(&change))
            && entries.last().is_some_and(|last| last.event.kind == Kind::ChangeConfirmed)
        {
            entries.pop();
        }
    }

    fn effect(&mut self, change: Option<ChangeId>, entry: u64, event: &Event) {
        let added = |key: Fact| Added {
            at: event.at,
            entry,
            key: event.fact(key).unwrap_or_default().to_vec(),
            role: text(event, Fact::Role).unwrap_or_default(),
            change,
        };
        match event.kind {
            Kind::PersonAdded => {
                let name = text(event, Fact::Person).unwrap_or_default();
                self.people.entry(name).or_default().push(added(Fact::PublicKey));
            }
            Kind::PersonInvited => {
                let name = text(event, Fact::Person).unwrap_or_default();
                self.invited.entry(name).or_insert(added(Fact::ContentDigest));
            }
            Kind::PasskeyConfirmed => {
                let name = text(event, Fact::Person).unwrap_or_default();
                let confirmed = added(Fact::PublicKey);
                self.passkeys_standing.insert((name.clone(), confirmed.key.clone()));
                self.passkeys.entry(name).or_default().push(confirmed);
            }
            Kind::DelegationMade => self.delegated(entry, event),
            Kind::AccountBound => {
                let names = [Fact::Person, Fact::Issuer].map(|fact| text(event, fact).unwrap_or_default());
                let account = event.fact(Fact::Account).unwrap_or_default().to_vec();
                self.accounts.insert(names.into(), (account, entry));
            }
            Kind::PartnerAdded => {
                let name = text(event, Fact::Partner).unwrap_or_default();
                self.partners.insert(name, added(Fact::PublicKey));
            }
            Kind::ReleaseKeyConfirmed => {
                let name = text(event, Fact::Partner).unwrap_or_default();
                let key = event.fact(Fact::ReleaseKey).unwrap_or_default().to_vec();
                self.release_keys.insert(name, key);
            }
            Kind::PolicyActivated => {
                self.policy_active = event.fact(Fact::ContentDigest).map(<[u8]>::to_vec);
            }
            Kind::CollectionRenewing => {
                let renewals = self.renewals.entry(text(event, Fact::Collection).unwrap_or_default());
                renewals.or_default().begun += 1;
            }
            Kind::PartnerRestored => {
                self.partners_suspended.extend(text(event, Fact::Partner).map(|name| (name, false)));
            }
            Kind::PersonRestored => {
                self.people_suspended.extend(text(event, Fact::Person).map(|name| (name, false)));
            }
            _ => {}
        }
    }

    fn delegated(&mut self, entry: u64, event: &Event) {
        let said = |fact| text(event, fact).unwrap_or_default();
        let delegated = Delegated {
            entry,
            made: event.at,
            delegator: said(Fact::OnBehalfOf),
            delegate: said(Fact::Person),
            since: said(Fact::Since),
            until: said(Fact::Until),
            ended: None,
        };
        self.delegations.extend(change_of(event).map(|change| (change, delegated)));
    }

    /// A suspension ends those that are not over, by and to the person.
    fn delegations_end(&mut self, person: &str, at: Timestamp) {
        let now = at.to_string();
        for one in self.delegations.values_mut() {
            if (one.delegator == person || one.delegate == person) && is_before(&now, &one.until) {
                one.ended.get_or_insert(at);
            }
        }
    }

    /// Whether a seat was delegated at a moment, or may have been by an entry that is disposed of.
    pub(super) fn was_delegated(&self, delegator: &str, delegate: &str, at: Timestamp) -> bool {
        let now = at.to_string();
        let mut found = self.delegations.values();
        self.forgotten
            || found.any(|one| {
                (one.delegator.as_str(), one.delegate.as_str()) == (delegator, delegate)
                    && one.made <= at
                    && !is_before(&now, &one.since)
                    && is_before(&now, &one.until)
                    && one.ended.is_none_or(|ended| at <= ended)
            })
    }

    fn batch(&mut self, event: &Event) {
        let Some(id) = event.fact(Fact::Batch).and_then(|id| id.try_into().ok()) else { return };
        let batch = self.batches.entry(BatchId::from_bytes(id)).or_default();
        if event.kind == Kind::EnrolmentBatch {
            batch.begun = Some(event.at);
            batch.owner.clone_from(&event.actor);
            batch.official = event.fact(Fact::Official).unwrap_or_default().to_vec();
            batch.collection = text(event, Fact::Collection).unwrap_or_default();
            return;
        }
        self.chunks.insert((event.at.as_millis(), event.actor.clone()));
        let number = |fact| event.number_of(fact).unwrap_or_default();
        let (accepted, rejected) = (number(Fact::RowsAccepted), number(Fact::RowsRejected));
        let rows = accepted.saturating_add(rejected);
        let first = number(Fact::FirstRow);
        batch.rows_done = first.saturating_add(rows);
        batch.rows_accepted = batch.rows_accepted.saturating_add(accepted);
        let content = event.fact(Fact::ContentDigest).unwrap_or_default().to_vec();
        batch.newest = Some((first, rows, rejected, content));
    }
}

/// Whether one moment is before another, both as the log writes them.
fn is_before(one: &str, other: &str) -> bool {
    let read = |text: &str| text.parse::<jiff::Timestamp>().ok();
    matches!((read(one), read(other)), (Some(one), Some(other)) if one < other)
}

fn stated_head(tree: &str, entry: u64, event: &Event) -> HeadStated {
    HeadStated {
        journal: text(event, Fact::Journal).unwrap_or_default(),
        at: event.at,
        size: event.number_of(Fact::TreeSize).unwrap_or_default(),
        root: event.fact(Fact::Root).unwrap_or_default().to_vec(),
        place: FaultPlace::Entry { journal: tree.to_owned(), index: entry },
    }
}

fn disclosure_of(event: &Event) -> Option<DisclosureId> {
    event.fact(Fact::Disclosure).and_then(|id| id.try_into().ok()).map(DisclosureId::from_bytes)
}

fn subject_of(event: &Event, fact: Fact) -> Option<SubjectId> {
    event.fact(fact).and_then(|id| id.try_into().ok()).map(SubjectId::from_bytes)
}

fn change_of(event: &Event) -> Option<ChangeId> {
    event.fact(Fact::Change).and_then(|id| id.try_into().ok()).map(ChangeId::from_bytes)
}

fn text(event: &Event, fact: Fact) -> Option<String> {
    event.text_of(fact).map(str::to_owned)
}

/// Why a confirmed change had no effect.
const NOTHING: &str = "NOTHING_TO_CHANGE";
