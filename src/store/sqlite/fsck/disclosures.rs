//! Disclosures: the recorded steps give the stored state, and the entries say the same steps with the same digests.

mod corrections;

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};

use crate::approval::{
    self, Choice, DecisionSignature, Deed, DeedKind, Disclosure, Request, SignedAnswer, SignedDecision,
    State, Step,
};
use crate::audit::event::{Event, Fact, Kind};
use crate::authz::PayloadClass;
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest, DisclosureId, FieldName, PartnerName, SubjectId};
use crate::keys::{Domain, ReleaseInfo, SignatureDomain};
use crate::store::StoreError;

use super::super::case::kind_of;
use super::super::database;
use super::super::disclosure::URGENT;
use super::super::disclosure_list::CaseTags;
use super::super::disclosure_row::{body_place, review, step_place, step_row, turn};
use super::super::release;
use super::changes::KEY_OF_ANOTHER_DAY;
use super::history::History;
use super::is_of_disclosure;
use super::people::{PeopleKeys, Signed};
use super::queries;
use super::report::{FaultPlace, FsckReport};
use super::view::{Sealed, View};

/// The entries of one partner's disclosures.
#[derive(Default)]
pub(super) struct Cases(BTreeMap<DisclosureId, Vec<Said>>);

/// An entry of a disclosure, the holder's side.
struct Said {
    /// The tree in which it stands: its row, its name and its origin.
    tree: (i64, String, String),
    index: u64,
    event: Event,
}

impl Said {
    fn place(&self) -> FaultPlace {
        FaultPlace::Entry { journal: self.tree.1.clone(), index: self.index }
    }
}

/// A disclosure as it is stored.
struct Row {
    sequence: i64,
    partner: String,
    request_tag: Vec<u8>,
    content: Vec<u8>,
    state: String,
    body: Vec<u8>,
    created: i64,
    ends: i64,
    index: i64,
    journal: Option<i64>,
    turn: i64,
    review: (Option<i64>, i64),
    /// Of purpose, legal basis, subject and official.
    tags: [Vec<u8>; 4],
}

/// What everything is held against.
pub(super) struct Against<'a> {
    pub(super) view: &'a View,
    pub(super) history: &'a History,
    pub(super) keys: &'a PeopleKeys,
    /// Whose disclosures they are.
    pub(super) partner: &'a str,
}

impl Cases {
    /// Takes an entry of a disclosure. Gives the entry by which it was requested.
    pub(super) fn take(&mut self, tree: (i64, &str, &str), index: u64, event: &Event) -> Option<&Event> {
        let id = event.fact(Fact::Disclosure).and_then(|id| id.try_into().ok())?;
        let entries = self.0.entry(DisclosureId::from_bytes(id)).or_default();
        let tree = (tree.0, tree.1.to_owned(), tree.2.to_owned());
        entries.push(Said { tree, index, event: event.clone() });
        entries.iter().map(|said| &said.event).find(|event| event.kind == Kind::DisclosureRequested)
    }

    /// The partner's journal was read: holds its disclosures against their entries.
    pub(super) fn end(&self, against: &Against<'_>, report: &mut FsckReport) -> Result<(), StoreError> {
        let partner = against.partner;
        for (id, entries) in &self.0 {
            match find(against.view, *id)? {
                Some(row) => compare(against, *id, &row, entries, report)?,
                None => {
                    let what = format!("there is no disclosure {}", id.resource());
                    if let Some(first) = entries.first() {
                        report.fault(first.place(), what);
                    }
                }
            }
        }
        let read =
            "SELECT id, idx, created_ms, journal FROM disclosures WHERE partner = ?1 ORDER BY sequence";
        let rows = against.view.sql.prepare(read).and_then(|mut statement| {
            statement
                .query_map(params![partner], |row| {
                    let place = (row.get::<_, Option<i64>>(3)?, row.get::<_, i64>(1)?);
                    Ok((row.get::<_, Vec<u8>>(0)?, place, Timestamp::from_millis(row.get(2)?)))
                })?
                .collect::<Result<Vec<_>, _>>()
        });
        let mut before = (None, i64::MIN);
        for (id, index, created) in database("reading disclosures", rows)? {
            let id = DisclosureId::from_bytes(id.try_into().unwrap_or_default());
            let covered = against.view.disposals.covers(PayloadClass::Disclosure, created);
            let done = against.view.disposals.is_done(PayloadClass::Disclosure.number(), created.day());
            // Looks at fields are entries of the holder's, and may be all that is left.
            let viewed = against.history.viewed.get(&id).is_some_and(|day| *day >= created.day());
            match find(against.view, id)?.filter(|_| !self.0.contains_key(&id)) {
                Some(row) if covered && viewed => compare(against, id, &row, &[], report)?,
                Some(row) if !covered || done => {
                    report.fault(FaultPlace::Disclosure(id), "no entry says that it was requested");
                    if let Err(what) = body(against.view, id, &row.body) {
                        report.fault(FaultPlace::Disclosure(id), unreadable(&what));
                    }
                }
                _ => {}
            }
            if index <= before {
                report.fault(FaultPlace::Disclosure(id), "its number is not in the order of the entries");
            }
            before = index;
        }
        Ok(())
    }
}

/// Numbers of disclosures and rows without a disclosure, over all partners.
pub(super) fn compare_all(view: &View, report: &mut FsckReport) -> Result<(), StoreError> {
    let read = "SELECT id, sequence, created_ms FROM disclosures ORDER BY sequence";
    let rows = view.sql.prepare(read).and_then(|mut statement| {
        statement
            .query_map([], |row| {
                let created = Timestamp::from_millis(row.get(2)?);
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, created))
            })?
            .collect::<Result<Vec<_>, _>>()
    });
    // Only what was asked for no earlier than the one before a gap can have stood in it.
    let (mut due, mut gap) = (1_i64, view.disposals.any(PayloadClass::Disclosure));
    for (id, sequence, created) in database("reading disclosures", rows)? {
        if sequence != due && !(gap && sequence > due) {
            let id = DisclosureId::from_bytes(id.try_into().unwrap_or_default());
            report.fault(FaultPlace::Disclosure(id), format!("its number is {sequence}, and {due} is due"));
        }
        due = sequence.saturating_add(1);
        gap = view.disposals.covers(PayloadClass::Disclosure, created);
    }
    for table in ["disclosure_steps", "releases", "recipients", "released_fields"] {
        let read = format!(
            "SELECT DISTINCT disclosure FROM {table} WHERE disclosure NOT IN (SELECT id FROM disclosures)"
        );
        let strays = view.sql.prepare(&read).and_then(|mut statement| {
            statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?.collect::<Result<Vec<_>, _>>()
        });
        for id in database("reading disclosures", strays)? {
            let id = DisclosureId::from_bytes(id.try_into().unwrap_or_default());
            report.fault(FaultPlace::Disclosure(id), format!("it has rows in `{table}`, and is not there"));
        }
    }
    Ok(())
}

/// The request of a disclosure, for what must be known of it beside its entries.
pub(super) fn request(view: &View, id: DisclosureId) -> Result<Option<([u8; 16], Request)>, StoreError> {
    let body = find(view, id)?.and_then(|row| body(view, id, &row.body).ok().flatten());
    Ok(body.map(|body| (body.subject, body.request)))
}

fn find(view: &View, id: DisclosureId) -> Result<Option<Row>, StoreError> {
    let row = view
        .sql
        .prepare_cached(
            "SELECT sequence, partner, request_tag, content, state, body, created_ms, ends_ms, idx, journal,
                    turn, review_ms, review_late, purpose_tag, basis_tag, subject_tag, official_tag
             FROM disclosures WHERE id = ?1",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![id.as_bytes()], |row| {
                    Ok(Row {
                        sequence: row.get(0)?,
                        partner: row.get(1)?,
                        request_tag: row.get(2)?,
                        content: row.get(3)?,
                        state: row.get(4)?,
                        body: row.get(5)?,
                        created: row.get(6)?,
                        ends: row.get(7)?,
                        index: row.get(8)?,
                        journal: row.get(9)?,
                        turn: row.get(10)?,
                        review: (row.get(11)?, row.get(12)?),
                        tags: [row.get(13)?, row.get(14)?, row.get(15)?, row.get(16)?],
                    })
                })
                .optional()
        });
    database("reading a disclosure", row)
}

/// What is sealed of a request, with the day of the key that all of the disclosure lies under.
struct Body {
    day: i64,
    subject: [u8; 16],
    request: Request,
}

/// The body of a disclosure; nothing when a disposal is about to take it.
fn body(view: &View, id: DisclosureId, stored: &[u8]) -> Result<Option<Body>, String> {
    let (day, plain) = match view.open_sealed(PayloadClass::Disclosure, body_place(&id), stored) {
        Sealed::Opened(day, plain) => (day, plain),
        Sealed::Going => return Ok(None),
        Sealed::Closed(what) => return Err(what),
    };
    let read = || {
        let (subject, request) = plain.expose().split_first_chunk::<16>()?;
        Some(Body { day, subject: *subject, request: Request::from_bytes(request).ok()? })
    };
    read().map(Some).ok_or_else(|| "it is none of a disclosure".to_owned())
}

fn compare(
    against: &Against<'_>,
    id: DisclosureId,
    row: &Row,
    entries: &[Said],
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let place = FaultPlace::Disclosure(id);
    report.counts.disclosures = report.counts.disclosures.saturating_add(1);
    let Body { day, subject, request } = match body(against.view, id, &row.body) {
        Ok(Some(body)) => body,
        Ok(None) => return Ok(()),
        Err(what) => {
            report.fault(place, unreadable(&what));
            return Ok(());
        }
    };
    let viewed = against.history.viewed.get(&id).copied();
    let last = entries.iter().map(|said| said.event.at.day()).chain(viewed).max();
    if day < Timestamp::from_millis(row.created).day() || last.is_some_and(|last| day < last) {
        report.fault(place.clone(), KEY_OF_ANOTHER_DAY);
    }
    let Some(steps) = steps(against.view, id, day, report)? else { return Ok(()) };
    let mut states = Vec::new();
    for taken in 1..=steps.len() {
        match Disclosure::replay(request.clone(), steps.iter().take(taken)) {
            Ok(after) => states.push(after),
            Err(error) => {
                report.fault(place, super::report::chain(&error));
                return Ok(());
            }
        }
    }
    let begun = Disclosure::new(request);
    let now = states.last().unwrap_or(&begun);
    let mut follow = Follow {
        against,
        id,
        day,
        subject,
        entries,
        at: 0,
        tended: 0,
        released: None,
        is_fetched: false,
        approved: None,
        partial: false,
        report,
    };
    follow.row(row, now);
    follow.requested(row, &begun);
    let before = std::iter::once(&begun).chain(&states);
    for (((step, before), after), number) in steps.iter().zip(before).zip(&states).zip(1_usize..) {
        follow.step(number, step, (before, after));
    }
    follow.rest();
    follow.asked(&begun)?;
    follow.recipient(now)?;
    follow.release(now)
}

fn steps(
    view: &View,
    id: DisclosureId,
    day: i64,
    report: &mut FsckReport,
) -> Result<Option<Vec<Step>>, StoreError> {
    let read = "SELECT sequence, step FROM disclosure_steps WHERE disclosure = ?1 ORDER BY sequence";
    let rows = view.sql.prepare_cached(read).and_then(|mut statement| {
        statement
            .query_map(params![id.as_bytes()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?
            .collect::<Result<Vec<_>, _>>()
    });
    let mut steps = Vec::new();
    for ((sequence, sealed), due) in database("reading steps", rows)?.into_iter().zip(1_i64..) {
        let place = FaultPlace::Disclosure(id);
        if sequence != due {
            report.fault(place, format!("its step {due} is missing"));
            return Ok(None);
        }
        let step_row = step_row(id, u64::try_from(sequence).unwrap_or_default());
        let what = match view.open_sealed(PayloadClass::Disclosure, step_place(&step_row), &sealed) {
            Sealed::Opened(under, _) if under != day => ANOTHER_KEY.to_owned(),
            Sealed::Opened(_, plain) => match Step::from_bytes(plain.expose()) {
                Ok(step) => {
                    steps.push(step);
                    continue;
                }
                Err(error) => super::report::chain(&error),
            },
            Sealed::Going => ANOTHER_KEY.to_owned(),
            Sealed::Closed(what) => what,
        };
        report.fault(place, format!("its step {due} is not readable: {what}"));
        return Ok(None);
    }
    Ok(Some(steps))
}

/// A disclosure on its way through its entries.
struct Follow<'a, 'r> {
    against: &'a Against<'a>,
    id: DisclosureId,
    /// Of the key that all of it lies under.
    day: i64,
    subject: [u8; 16],
    entries: &'a [Said],
    at: usize,
    /// How many of the holder's own entries about it were taken.
    tended: usize,
    released: Option<&'a Said>,
    /// Whether an entry says that the partner fetched it, or has it.
    is_fetched: bool,
    approved: Option<&'a Said>,
    /// Whether some of its entries are disposed of.
    partial: bool,
    report: &'r mut FsckReport,
}

impl<'a> Follow<'a, '_> {
    fn fault(&mut self, what: impl Into<String>) {
        self.report.fault(FaultPlace::Disclosure(self.id), what);
    }

    fn must(&mut self, same: bool, what: &str) {
        if !same {
            self.fault(what);
        }
    }

    /// The next entry that changed its state; fetches stand between.
    fn next(&mut self, kind: Kind, step: &str, at: Timestamp) -> Option<&'a Said> {
        let is_gone = self.against.view.disposals.covers(PayloadClass::Disclosure, at);
        while let Some(said) = self.entries.get(self.at) {
            // What is disposed of is older than all that is left.
            if is_gone && !self.against.view.disposals.covers(PayloadClass::Disclosure, said.event.at) {
                break;
            }
            self.at += 1;
            if said.event.kind == kind {
                return Some(said);
            }
            if said.event.kind == Kind::DisclosureFetched {
                self.fetched(said);
                continue;
            }
            let what = format!("it says `{}` where the recorded steps say `{kind}`", said.event.kind);
            self.report.fault(said.place(), what);
            return None;
        }
        if is_gone {
            self.partial = true;
            return None;
        }
        self.fault(format!("no entry says its {step}"));
        None
    }

    fn fetched(&mut self, said: &Said) {
        self.is_fetched = true;
        let digest = self.released.and_then(|said| said.event.fact(Fact::CiphertextDigest));
        if self.partial && digest.is_none() {
            return;
        }
        if digest.is_none() || digest != said.event.fact(Fact::CiphertextDigest) {
            self.report.fault(said.place(), "it says that something was fetched that was not released");
        }
    }

    /// What the row says beside the sealed request.
    fn row(&mut self, row: &Row, now: &Disclosure) {
        let (request, tags) = (now.request(), self.against.view.ring.tags());
        let tag = tags.tag(Domain::RequestId, request.ask().request_id().as_bytes());
        let content = tags.digest(Domain::Request, &request.ask().to_bytes());
        let ends = now.fetch_by().unwrap_or_else(|| request.decide_by());
        self.must(row.sequence > 0, "its number is none");
        self.must(request.disclosure() == self.id, "its request is another disclosure's");
        self.must(
            row.state == now.state().as_str(),
            &format!("it is {}, and its steps come to {}", row.state, now.state()),
        );
        self.must(
            row.partner == self.against.partner && row.partner == request.partner().as_str(),
            "its partner is not the one who asked",
        );
        self.must(row.request_tag == tag.as_bytes(), "the tag of its request id is not that of its request");
        let due = CaseTags::of(tags, request, SubjectId::from_bytes(self.subject));
        let due = [due.purpose, due.basis, due.subject, due.official];
        let same = row.tags.iter().zip(&due).all(|(stored, due)| stored == due.as_bytes());
        self.must(same, "the tags that it is found by are not those of its request");
        self.must(row.content == content.as_bytes(), "the digest of its content is not that of its request");
        self.must(row.created == request.received().as_millis(), "it was not asked at the time that it says");
        self.must(row.ends == ends.as_millis(), "its time does not end when its steps say");
        self.must(row.turn == turn(now), "its place in the queue is not that of its request");
        self.must(row.review == review(now), "the review that it owes is not the one that its steps come to");
    }

    fn requested(&mut self, row: &Row, begun: &Disclosure) {
        let Some(said) = self.next(Kind::DisclosureRequested, "request", begun.request().received()) else {
            return;
        };
        let (event, request, ask) = (&said.event, begun.request(), begun.request().ask());
        let same = event.fact(Fact::RequestDigest) == Some(begun.digest().as_bytes())
            && event.fact(Fact::ContentDigest) == Some(ask.digest().as_bytes())
            && event.fact(Fact::RequestId) == Some(ask.request_id().as_bytes())
            && event.fact(Fact::Query) == Some(ask.query().as_bytes())
            && event.fact(Fact::Subject) == Some(&self.subject)
            && event.text_of(Fact::Partner) == Some(request.partner().as_str())
            && event.text_of(Fact::Agreement) == Some(request.agreement().as_str())
            && event.text_of(Fact::Purpose) == Some(ask.purpose().as_str())
            && event.text_of(Fact::Fields) == Some(&joined(ask.fields().iter()))
            && event.text_of(Fact::Official) == Some(ask.official())
            && event.text_of(Fact::LegalBasis) == Some(ask.legal_basis())
            && event.text_of(Fact::Urgency) == ask.urgent().map(|_| URGENT)
            && event.actor == request.requester().as_str();
        self.must(same, "its request is not the one that its entry states");
        self.must(
            (i64::try_from(said.index), Some(said.tree.0)) == (Ok(row.index), row.journal),
            "it names another entry than that of its request",
        );
        let signed = Signed {
            by: &event.actor,
            role: Some("partner-system"),
            at: event.at,
            domain: SignatureDomain::DisclosureRequest,
            digest: ask.digest(),
            signature: event.fact(Fact::RequestSignature).unwrap_or_default(),
        };
        let place = FaultPlace::Disclosure(self.id);
        self.against.keys.check(self.against.history, &signed, "the partner's signature", place, self.report);
    }

    fn step(&mut self, number: usize, step: &Step, (before, after): (&Disclosure, &Disclosure)) {
        let kind = match &step.event {
            approval::Event::Decided(_) => Kind::DisclosureDecided,
            approval::Event::Done(deed) => {
                let kind = kind_of(deed.kind(), before.state());
                return self.tended(number, step, deed, (kind, after));
            }
            approval::Event::Answered(_) => Kind::DisclosureAnswered,
            approval::Event::CorrectionMade(_)
            | approval::Event::CorrectionTold { .. }
            | approval::Event::CorrectionAcknowledged { .. }
            | approval::Event::CorrectionOverdue { .. }
            | approval::Event::CorrectionAsked(_) => return self.corrected(number, step, after),
            approval::Event::Withdrawn => Kind::DisclosureWithdrawn,
            approval::Event::Withheld => Kind::DisclosureDenied,
            approval::Event::Expired => Kind::DisclosureExpired,
            approval::Event::Released { .. } => Kind::DisclosureApproved,
            approval::Event::Acknowledged => Kind::DisclosureAcknowledged,
            approval::Event::ReviewLate => {
                return self.review(&format!("step {number}"), Kind::ReviewLate, step.at, after);
            }
        };
        let named = format!("step {number}");
        let Some(said) = self.next(kind, &named, step.at) else { return };
        let at_once = !matches!(step.event, approval::Event::Expired | approval::Event::Released { .. });
        let timely = if at_once { step.at == said.event.at } else { step.at <= said.event.at };
        self.must(timely, &format!("its {named} was not taken at the time of its entry"));
        match &step.event {
            approval::Event::Decided(decided) => self.decided(&named, &decided.signed, after, &said.event),
            approval::Event::Answered(answer) => self.answered(&named, answer, &said.event),
            approval::Event::Withheld => self.denied(&said.event, "withheld"),
            approval::Event::Released { .. } => self.released(&named, said, after),
            approval::Event::Acknowledged => {
                let released = self.released.and_then(|said| said.event.fact(Fact::CiphertextDigest));
                let gone = self.partial && released.is_none();
                let same = gone || released.is_some() && released == said.event.fact(Fact::CiphertextDigest);
                self.must(same, "what was acknowledged is not what was released");
            }
            _ => {}
        }
    }

    fn decided(&mut self, named: &str, signed: &SignedDecision, after: &Disclosure, event: &Event) {
        let SignedDecision { decision, signature } = signed;
        let bytes = signature.to_bytes();
        let same = event.actor == decision.officer().as_str()
            && event.text_of(Fact::Role) == Some(decision.role().as_str())
            && event.text_of(Fact::State) == Some(after.state().as_str())
            && event.text_of(Fact::OnBehalfOf) == decision.on_behalf().map(ActorName::as_str)
            && event.fact(Fact::RequestDigest) == Some(after.digest().as_bytes())
            && event.fact(Fact::DecisionDigest) == Some(decision.digest().as_bytes())
            && event.fact(Fact::Signature) == Some(&bytes);
        self.must(same, &format!("the decision of its {named} is not the one that its entry states"));
        if let Some(delegator) = decision.on_behalf()
            && !self.against.history.was_delegated(delegator.as_str(), decision.officer().as_str(), event.at)
        {
            self.fault(format!("no entry says that the seat of its {named} was delegated at that time"));
        }
        let checked = Signed {
            by: decision.officer().as_str(),
            role: Some(decision.role().as_str()),
            at: event.at,
            domain: SignatureDomain::Decision,
            digest: decision.digest(),
            signature: &bytes,
        };
        let (what, place) = (format!("the signature of its {named}"), FaultPlace::Disclosure(self.id));
        let (keys, history) = (self.against.keys, self.against.history);
        match signature {
            DecisionSignature::Certificate(_) => keys.check(history, &checked, &what, place, self.report),
            DecisionSignature::Passkey(signature) => {
                keys.check_passkey(history, &checked, signature, (&what, place), self.report);
            }
        }
        if after.state() == State::Denied
            && let Some(said) = self.next(Kind::DisclosureDenied, named, event.at)
        {
            self.denied(&said.event, "by decision");
        }
    }

    /// What an officer did beside deciding, in the partner's journal or in the holder's.
    fn tended(&mut self, number: usize, step: &Step, deed: &Deed, (kind, after): (Kind, &Disclosure)) {
        let named = format!("step {number}");
        let event = if is_of_disclosure(kind) {
            self.next(kind, &named, step.at).map(|said| &said.event)
        } else {
            self.own_next(kind, &named, step.at)
        };
        let Some(event) = event else { return };
        self.must(step.at == event.at, &format!("its {named} was not taken at the time of its entry"));
        let question = after.questions().last().filter(|_| deed.kind() == DeedKind::Question);
        let digest = question.map_or_else(|| Digest::sha256(&step.to_bytes()), |question| question.digest);
        let same = event.actor == deed.officer().as_str()
            && event.text_of(Fact::Role) == Some(deed.role().as_str())
            && event.text_of(Fact::State) == Some(after.state().as_str())
            && event.fact(Fact::Subject) == Some(&self.subject)
            && event.fact(Fact::ContentDigest) == Some(digest.as_bytes())
            && event.text_of(Fact::Finding) == deed.kind().finding();
        self.must(same, &format!("its {named} is not what its entry states"));
    }

    /// The next of the holder's own entries about it.
    fn own_next(&mut self, kind: Kind, step: &str, at: Timestamp) -> Option<&'a Event> {
        let entries = self.against.history.tended.get(&self.id).map(Vec::as_slice).unwrap_or_default();
        let is_gone = self.against.view.disposals.covers(PayloadClass::Disclosure, at);
        match entries.get(self.tended) {
            Some(of) if of.event.kind == kind && of.event.at == at => {
                self.tended += 1;
                Some(&of.event)
            }
            // What is disposed of is older than all that is left.
            _ if is_gone => None,
            Some(of) => {
                self.tended += 1;
                let what = format!("it says `{}` where the recorded steps say `{kind}`", of.event.kind);
                self.report.fault(of.place.clone(), what);
                None
            }
            None => {
                self.fault(format!("no entry says its {step}"));
                None
            }
        }
    }

    fn answered(&mut self, named: &str, signed: &SignedAnswer, event: &Event) {
        let SignedAnswer { answer, signature, by } = signed;
        let same = event.actor == by.as_str()
            && event.fact(Fact::ContentDigest) == Some(answer.digest().as_bytes())
            && event.text_of(Fact::Official) == Some(answer.official())
            && event.fact(Fact::RequestSignature) == Some(signature);
        self.must(same, &format!("the answer of its {named} is not the one that its entry states"));
        let checked = Signed {
            by: by.as_str(),
            role: Some("partner-system"),
            at: event.at,
            domain: SignatureDomain::DisclosureAnswer,
            digest: answer.digest(),
            signature,
        };
        let (what, place) = (format!("the signature of its {named}"), FaultPlace::Disclosure(self.id));
        self.against.keys.check(self.against.history, &checked, &what, place, self.report);
    }

    fn denied(&mut self, event: &Event, why: &str) {
        let same =
            event.text_of(Fact::Reason) == Some(why) && event.fact(Fact::Subject) == Some(&self.subject);
        self.must(same, "its denial is not the one that its entry states");
    }

    fn released(&mut self, named: &str, approved: &'a Said, after: &Disclosure) {
        self.approved = Some(approved);
        let granted = after.granted().map(|fields| joined(fields.iter()));
        let grants: Vec<String> = after
            .decisions()
            .filter(|signed| matches!(signed.decision.choice(), Choice::Grant(_)))
            .map(|signed| {
                let decision = &signed.decision;
                let seat =
                    decision.on_behalf().map(|delegator| format!(" for {delegator}")).unwrap_or_default();
                format!("{} as {}{seat}", decision.officer(), decision.role())
            })
            .collect();
        let deciders = approved.event.text_of(Fact::Officer).unwrap_or_default();
        let approved_by = deciders.split(", ").all(|one| grants.iter().any(|grant| grant == one));
        let digest = after.digest();
        let same = approved_by && approved.event.fact(Fact::RequestDigest) == Some(digest.as_bytes());
        self.must(same, "its approval is not the one that its entry states");
        let seats = after.decisions().filter_map(|signed| {
            let decision = &signed.decision;
            let counts =
                deciders.split(", ").any(|one| one.starts_with(&format!("{} as ", decision.officer())));
            decision.on_behalf().filter(|_| counts).map(|seat| (seat, decision.officer()))
        });
        for (seat, officer) in seats {
            if !self.against.history.was_delegated(seat.as_str(), officer.as_str(), approved.event.at) {
                self.fault(format!(
                    "no entry says that the seat of `{seat}` was delegated when it was approved"
                ));
            }
        }
        let Some(said) = self.next(Kind::DisclosureReleased, named, approved.event.at) else { return };
        let same = said.event.fact(Fact::RequestDigest) == Some(digest.as_bytes())
            && said.event.text_of(Fact::Fields) == granted.as_deref()
            && said.event.text_of(Fact::Purpose) == Some(after.request().ask().purpose().as_str())
            && said.event.fact(Fact::Subject) == Some(&self.subject);
        self.must(same, "its release is not the one that its entry states");
        self.released = Some(said);
        if after.review().is_some() {
            self.review(named, Kind::ReviewOwed, said.event.at, after);
        }
    }

    /// The holder's own entry that a review is owed, or late.
    fn review(&mut self, named: &str, kind: Kind, at: Timestamp, after: &Disclosure) {
        let Some(event) = self.own_next(kind, named, at) else { return };
        let due = after.review().map(|review| review.due().to_string());
        let same = event.fact(Fact::Subject) == Some(&self.subject)
            && due.is_some()
            && event.text_of(Fact::ReviewBy) == due.as_deref();
        self.must(same, &format!("the review of its {named} is not the one that its entry states"));
    }

    /// Entries after the last recorded step.
    fn rest(&mut self) {
        let own = self.against.history.tended.get(&self.id).map(Vec::as_slice).unwrap_or_default();
        for of in own.iter().skip(self.tended) {
            let kind = of.event.kind;
            self.fault(format!(
                "an entry of the holder's journal says `{kind}`, and no step is recorded for it"
            ));
        }
        while let Some(said) = self.entries.get(self.at) {
            self.at += 1;
            if said.event.kind == Kind::DisclosureFetched {
                self.fetched(said);
            } else {
                let what = format!("it says `{}`, and no step is recorded for it", said.event.kind);
                self.report.fault(said.place(), what);
            }
        }
    }

    /// The query that it follows matched the subject that it is about.
    fn asked(&mut self, begun: &Disclosure) -> Result<(), StoreError> {
        let matched = queries::subject(self.against.view, begun.request().ask().query())?;
        self.must(
            matched.is_none_or(|matched| matched == self.subject),
            "it is about another subject than its query matched",
        );
        Ok(())
    }

    /// The one ciphertext is there from the release to the end, and is the one of the entry.
    fn release(&mut self, now: &Disclosure) -> Result<(), StoreError> {
        let view = self.against.view;
        let row = view
            .sql
            .prepare_cached("SELECT ciphertext, info, idx, journal FROM releases WHERE disclosure = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row(params![self.id.as_bytes()], |row| {
                        let place = (row.get::<_, i64>(2)?, row.get::<_, Option<i64>>(3)?);
                        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?, place))
                    })
                    .optional()
            });
        let row = database("reading a release", row)?;
        let (sealed, info, place) = match (row, now.state() == State::Released) {
            (None, false) => return Ok(()),
            (None, true) => {
                self.fault("it is released, and its ciphertext is not there");
                return Ok(());
            }
            (Some(_), false) => {
                self.fault("its ciphertext is still there, and its time is over");
                return Ok(());
            }
            (Some(row), true) => row,
        };
        let entry = self.released;
        self.must(
            entry.and_then(|said| Some((i64::try_from(said.index).ok()?, Some(said.tree.0)))) == Some(place),
            "its ciphertext names another entry than that of its release",
        );
        match view.open_sealed(PayloadClass::Disclosure, release::place(&self.id), &sealed) {
            Sealed::Closed(what) => self.fault(format!("its ciphertext is not readable: {what}")),
            Sealed::Going => self.fault(format!("its ciphertext is not readable: {ANOTHER_KEY}")),
            Sealed::Opened(day, plain) => {
                self.must(day == self.day, "its ciphertext lies under another key than its request");
                let digest = Digest::sha256(plain.expose());
                let due = entry.and_then(|said| said.event.fact(Fact::CiphertextDigest));
                self.must(
                    due == Some(digest.as_bytes()),
                    "its ciphertext is not the one that its entry states",
                );
            }
        }
        let partner: Result<PartnerName, _> = self.against.partner.parse();
        let due = partner.ok().zip(self.approved).and_then(|(partner, approved)| {
            let (journal, approval_entry) = (approved.tree.2.as_str(), approved.index);
            let (disclosure, request) = (self.id, now.digest());
            ReleaseInfo { journal, approval_entry, partner: &partner, disclosure, request }.to_bytes().ok()
        });
        self.must(due.as_ref() == Some(&info), "what binds its ciphertext is not what its entries say");
        Ok(())
    }
}

fn unreadable(what: &str) -> String {
    format!("its request is not readable: {what}")
}

/// All of a disclosure lies under one key, so that all of it goes together.
const ANOTHER_KEY: &str = "it lies under another key than the request";

fn joined<'a>(fields: impl Iterator<Item = &'a FieldName>) -> String {
    fields.map(FieldName::as_str).collect::<Vec<_>>().join(",")
}
