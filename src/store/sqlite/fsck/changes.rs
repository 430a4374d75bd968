//! Changes that take two people: their bodies, their state, and both signatures.

use std::collections::BTreeMap;

use crate::audit::event::{Event, Fact, Kind};
use crate::authz::PayloadClass;
use crate::clock::Timestamp;
use crate::ids::{ChangeId, Digest};
use crate::keys::SignatureDomain;
use crate::store::StoreError;
use crate::store::change::{Change, digest};

use super::super::change::body_place;
use super::super::database;
use super::disposals::Disposals;
use super::history::{History, Of};
use super::people::{PeopleKeys, Signed};
use super::report::{FaultPlace, FsckReport};
use super::view::{Sealed, View};

/// All changes as they are stored.
pub(super) struct Changes(BTreeMap<ChangeId, Row>);

struct Row {
    sequence: i64,
    kind: String,
    state: String,
    digest: Vec<u8>,
    proposer: String,
    proposer_signature: Option<Vec<u8>>,
    decider: Option<String>,
    decider_signature: Option<Vec<u8>>,
    created: i64,
    /// What changes and why, with the day of the key that it lies under; nothing when it did not open.
    body: Option<Body>,
}

struct Body {
    day: i64,
    change: Change,
    reason: String,
}

impl Changes {
    /// Reads and opens all changes.
    pub(super) fn read(view: &View, report: &mut FsckReport) -> Result<Self, StoreError> {
        let mut changes = BTreeMap::new();
        let read = "SELECT id, sequence, kind, state, body, digest, proposer, proposer_signature, decider,
                    decider_signature, created_ms FROM changes";
        let mut statement = database("reading changes", view.sql.prepare(read))?;
        let mut rows = database("reading changes", statement.query([]))?;
        while let Some(row) = database("reading changes", rows.next())? {
            let id: Vec<u8> = database("reading changes", row.get(0))?;
            let sealed: Vec<u8> = database("reading changes", row.get(4))?;
            let id = ChangeId::from_bytes(id.try_into().unwrap_or_default());
            let body = body(view, id, &sealed).unwrap_or_else(|what| {
                report.fault(FaultPlace::Change(id), format!("its body is not readable: {what}"));
                None
            });
            let read = || -> Result<Row, rusqlite::Error> {
                Ok(Row {
                    sequence: row.get(1)?,
                    kind: row.get(2)?,
                    state: row.get(3)?,
                    digest: row.get(5)?,
                    proposer: row.get(6)?,
                    proposer_signature: row.get(7)?,
                    decider: row.get(8)?,
                    decider_signature: row.get(9)?,
                    created: row.get(10)?,
                    body,
                })
            };
            changes.insert(id, database("reading changes", read())?);
        }
        Ok(Self(changes))
    }

    /// What a change changes.
    pub(super) fn body(&self, id: ChangeId) -> Option<&Change> {
        self.0.get(&id).and_then(|row| row.body.as_ref()).map(|body| &body.change)
    }

    /// What all changes change.
    pub(super) fn bodies(&self) -> impl Iterator<Item = &Change> {
        self.0.values().filter_map(|row| row.body.as_ref()).map(|body| &body.change)
    }

    /// Holds all changes against their entries.
    pub(super) fn compare(
        &self,
        history: &History,
        disposals: &Disposals,
        keys: &PeopleKeys,
        report: &mut FsckReport,
    ) {
        for (id, row) in &self.0 {
            report.counts.changes = report.counts.changes.saturating_add(1);
            let place = FaultPlace::Change(*id);
            if let Some(Body { day, change, reason }) = &row.body {
                let entries = history.changes.get(id).into_iter().flatten();
                let last = entries.map(|of| of.event.at.day()).max();
                if *day < Timestamp::from_millis(row.created).day() || last.is_some_and(|last| *day < last) {
                    report.fault(place.clone(), KEY_OF_ANOTHER_DAY);
                }
                if digest(*id, change, reason).as_bytes().as_slice() != row.digest {
                    report.fault(place.clone(), "its digest is not that of its body");
                }
                if change.kind() != row.kind {
                    report.fault(place.clone(), "its kind is not that of its body");
                }
            }
            match history.changes.get(id) {
                Some(entries) => row.follow(place, entries, row.is_covered(disposals), history, keys, report),
                // Its entries go before it.
                None if row.is_covered(disposals) && !row.is_done(disposals) => {}
                None => report.fault(place, "no entry says that it was proposed"),
            }
        }
        for (id, entries) in &history.changes {
            if let (false, Some(first)) = (self.0.contains_key(id), entries.first()) {
                report.fault(first.place.clone(), format!("there is no change {}", id.resource()));
            }
        }
        let mut rows: Vec<(&ChangeId, &Row)> = self.0.iter().collect();
        rows.sort_by_key(|(_, row)| row.sequence);
        // Only what was proposed no earlier than the one before a gap can have stood in it.
        let (mut due, mut gap) = (1_i64, disposals.any(PayloadClass::Administration));
        for (id, row) in rows {
            if row.sequence != due && !(gap && row.sequence > due) {
                let what = format!("its number is {}, and {due} is due", row.sequence);
                report.fault(FaultPlace::Change(*id), what);
            }
            due = row.sequence.saturating_add(1);
            gap = row.is_covered(disposals);
        }
    }
}

impl Row {
    fn is_covered(&self, disposals: &Disposals) -> bool {
        disposals.covers(PayloadClass::Administration, Timestamp::from_millis(self.created))
    }

    fn is_done(&self, disposals: &Disposals) -> bool {
        let day = Timestamp::from_millis(self.created).day();
        disposals.is_done(PayloadClass::Administration.number(), day)
    }

    fn follow(
        &self,
        place: FaultPlace,
        entries: &[Of],
        begin_is_gone: bool,
        history: &History,
        keys: &PeopleKeys,
        report: &mut FsckReport,
    ) {
        let digest = Digest::from_bytes(self.digest.clone().try_into().unwrap_or([0; 32]));
        let (mut state, mut proposer, mut decider) = ("proposed", None, None);
        for (number, Of { place: entry, event }) in entries.iter().enumerate() {
            if event.fact(Fact::ChangeDigest) != Some(&self.digest) {
                report.fault(place.clone(), format!("its digest is not that of {entry}"));
            }
            let of_kind = event.text_of(Fact::ChangeKind);
            if of_kind.is_some_and(|kind| kind != self.kind) {
                report.fault(place.clone(), format!("its kind is not that of {entry}"));
            }
            let follows = match event.kind {
                Kind::ReleaseKeyProven | Kind::PasskeyRegistered => number == 0,
                Kind::ChangeProposed => state == "proposed",
                _ => (number > 0 || begin_is_gone) && state == "proposed",
            };
            if !follows {
                report.fault(entry.clone(), "it does not follow from the entries of its change before it");
            }
            match event.kind {
                Kind::ChangeConfirmed => (state, decider) = ("confirmed", Some(event)),
                Kind::ChangeRejected => (state, decider) = ("rejected", Some(event)),
                _ => proposer = Some(event),
            }
            if let Some(signature) = event.fact(Fact::Signature) {
                let signed = Signed {
                    by: &event.actor,
                    role: None,
                    at: event.at,
                    domain: SignatureDomain::Change,
                    digest,
                    signature,
                };
                keys.check(history, &signed, "the signature that it states", entry.clone(), report);
            }
        }
        let begun = entries.first().is_some_and(|first| first.event.at.as_millis() == self.created);
        if !begun && !begin_is_gone {
            report.fault(place.clone(), "it was not proposed at the time that it says");
        }
        if self.state != state {
            report.fault(place.clone(), format!("it is {}, and its entries come to {state}", self.state));
        }
        let signature =
            |event: Option<&Event>| event.and_then(|event| event.fact(Fact::Signature)).map(<[u8]>::to_vec);
        let actor = |event: Option<&Event>| event.map(|event| event.actor.clone());
        let same = Some(&self.proposer) == actor(proposer).as_ref()
            && self.proposer_signature == signature(proposer);
        if !(same || (proposer.is_none() && begin_is_gone)) {
            report
                .fault(place.clone(), "its proposer or the proposer's signature is not that of its entries");
        }
        if self.decider != actor(decider) || self.decider_signature != signature(decider) {
            report.fault(place, "who ended it, or that signature, is not that of its entries");
        }
    }
}

/// The body of a change; nothing when a disposal is about to take it.
fn body(view: &View, id: ChangeId, stored: &[u8]) -> Result<Option<Body>, String> {
    let (day, plain) = match view.open_sealed(PayloadClass::Administration, body_place(&id), stored) {
        Sealed::Opened(day, plain) => (day, plain),
        Sealed::Going => return Ok(None),
        Sealed::Closed(what) => return Err(what),
    };
    let read = || {
        let (length, rest) = plain.expose().split_first_chunk::<4>()?;
        let (change, reason) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let (change, reason) = (Change::from_bytes(change).ok()?, String::from_utf8(reason.to_vec()).ok()?);
        Some(Body { day, change, reason })
    };
    read().map(Some).ok_or_else(|| "it is none of a change".to_owned())
}

/// It would outlive its key, or its entries would.
pub(super) const KEY_OF_ANOTHER_DAY: &str = "it lies under the key of a day before its last entry";
