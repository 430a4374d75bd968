//! What is held of one person, put together for the person.
//!
//! Who matched is no tag of a query, so that a hit has as many as any other answer. So every outcome that is kept is opened
//! here and looked at; that takes seconds for a million questions, beside the writer, and is asked for a few times a year.

use rusqlite::{Connection, params};

use crate::approval::{Disclosure, State};
use crate::audit::event::{Event, Fact, Kind};
use crate::authz::{PayloadClass, Permit};
use crate::clock::Timestamp;
use crate::ids::{DisclosureId, FieldName, QueryId, SubjectId};
use crate::keys::Domain;
use crate::store::subject::{
    DisclosureTold, FieldHeld, QueryTold, ReportItem, ReportNew, ReportOf, ReportPart, RestrictionHeld,
    SubjectReport, TemplateHeld, Withholding,
};
use crate::store::{FoundEntry, StoreError};

use super::day_key::mark;
use super::disclosure_row::get;
use super::disposal::disposed_before;
use super::enrolment::{restrictions_of, subject_fact, subject_find, subject_tags};
use super::log::event_at;
use super::release::field_open;
use super::tx::Tx;
use super::{Context, database, name, one_person, query, search, statement};

/// Reads what is held of whoever it is, as far as it is not withheld; and who that is.
pub(super) fn read(
    context: &Context,
    sql: &Connection,
    new: &ReportNew,
) -> Result<(Option<SubjectId>, SubjectReport), StoreError> {
    let who = match &new.of {
        ReportOf::Source(source) => subject_find(sql, source)?.map(|known| known.id),
        ReportOf::Subject(subject) => restrictions_of(sql, *subject)?.map(|_| *subject),
        ReportOf::Sample(found) => *found.inside(),
    };
    let classes = [PayloadClass::Query, PayloadClass::Disclosure, PayloadClass::Enrolment];
    let [queries, disclosures, enrolment] = classes.map(|class| disposed_before(sql, class.number()));
    let day = |day: Result<i64, StoreError>| day.map(|day| Some(day).filter(|day| *day != i64::MIN));
    let mut report = SubjectReport {
        at: context.clock.now(),
        is_known: false,
        templates: Vec::new(),
        fields: Vec::new(),
        statements: Vec::new(),
        restrictions: Vec::new(),
        queries: Vec::new(),
        hidden_queries: Vec::new(),
        disclosures: Vec::new(),
        disposed_before: [day(queries)?, day(disclosures)?, day(enrolment)?],
    };
    let Some(subject) = who else { return Ok((None, report)) };
    report.is_known = true;
    for one in one_person::all_of(sql, subject)? {
        Reading { context, sql, subject: one, withheld: &new.withheld }.fill(&mut report)?;
    }
    Ok((Some(subject), report))
}

struct Reading<'a> {
    context: &'a Context,
    sql: &'a Connection,
    subject: SubjectId,
    withheld: &'a [Withholding],
}

impl Reading<'_> {
    /// INVARIANT: what is withheld as a whole is not read at all.
    fn fill(&self, report: &mut SubjectReport) -> Result<(), StoreError> {
        if self.is_given(ReportPart::Templates) {
            report.templates.extend(self.templates()?);
        }
        if self.is_given(ReportPart::Record) {
            report.fields.extend(self.fields()?);
        }
        if self.is_given(ReportPart::Statements) {
            report.statements.extend(statement::of_subject(self.context, self.sql, self.subject)?);
        }
        if self.is_given(ReportPart::Restrictions) {
            self.restrictions(&mut report.restrictions)?;
        }
        if self.is_given(ReportPart::Queries) || self.is_given(ReportPart::HiddenQueries) {
            let (seen, hidden) = self.queries()?;
            report.queries.extend(seen);
            report.hidden_queries.extend(hidden);
        }
        if self.is_given(ReportPart::Disclosures) {
            report.disclosures.extend(self.disclosures()?);
        }
        Ok(())
    }

    fn is_given(&self, part: ReportPart) -> bool {
        !self.withheld.iter().any(|one| one.part == part && one.item.is_none())
    }

    fn is_item_given(&self, item: ReportItem) -> bool {
        !self.withheld.iter().any(|one| one.item == Some(item))
    }

    fn templates(&self) -> Result<Vec<TemplateHeld>, StoreError> {
        let read = "SELECT t.collection, c.scheme, t.enrolled_ms, t.enrolled_by
                    FROM templates t JOIN collections c ON c.name = t.collection WHERE t.subject = ?1
                    ORDER BY t.enrolled_ms, t.slot";
        let rows = self.sql.prepare_cached(read).and_then(|mut statement| {
            let row = |row: &rusqlite::Row<'_>| {
                let names: [String; 3] = [row.get(0)?, row.get(1)?, row.get(3)?];
                Ok((names, row.get::<_, i64>(2)?))
            };
            statement.query_map(params![self.subject.as_bytes()], row)?.collect::<Result<Vec<_>, _>>()
        });
        let held = |([collection, scheme, by], at): ([String; 3], i64)| {
            Ok(TemplateHeld {
                collection: name(&collection)?,
                scheme: name(&scheme)?,
                enrolled: Timestamp::from_millis(at),
                enrolled_by: name(&by)?,
            })
        };
        database("reading templates", rows)?.into_iter().map(held).collect()
    }

    fn fields(&self) -> Result<Vec<FieldHeld>, StoreError> {
        let read = "SELECT field FROM records WHERE subject = ?1 ORDER BY field";
        let rows = self.sql.prepare_cached(read).and_then(|mut statement| {
            let of = params![self.subject.as_bytes()];
            statement.query_map(of, |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()
        });
        let fields = database("reading fields", rows)?;
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        let key = self.context.keys.subject_key(&self.subject)?;
        let key = key.ok_or(StoreError::Damaged { what: "a subject without its key" })?;
        let mut held = Vec::with_capacity(fields.len());
        for field in &fields {
            let field: FieldName = name(field)?;
            if let Some(stored) = field_open(self.sql, &key, self.subject, &field)? {
                held.push(FieldHeld {
                    field,
                    value: stored.value,
                    classification: stored.classification,
                    source: stored.source,
                    permitted_uses: stored.permitted_uses,
                });
            }
        }
        Ok(held)
    }

    /// Adds what restricts; who is one person has the same restrictions, and one of them knows why.
    fn restrictions(&self, held: &mut Vec<RestrictionHeld>) -> Result<(), StoreError> {
        let names = restrictions_of(self.sql, self.subject)?.unwrap_or_default();
        if names.is_empty() {
            return Ok(());
        }
        let tag = self.context.keys.ring.tags().tag(Domain::Subject, self.subject.as_bytes());
        let events = search::of_tag(self.context, self.sql, tag)?;
        for name in names {
            // The newest first: up to where it was lifted the last time, the oldest gave it.
            let of_name = |event: &&FoundEntry| event.event.text_of(Fact::Restriction) == Some(name.as_str());
            let since = events.iter().filter(of_name);
            let since = since.take_while(|found| found.event.kind == Kind::SubjectRestricted);
            let given = since
                .last()
                .map(|found| (found.at, found.event.text_of(Fact::Reason).unwrap_or_default().to_owned()));
            match held.iter_mut().find(|one| one.name == name) {
                Some(known) => known.given = known.given.take().or(given),
                None => held.push(RestrictionHeld { name, given }),
            }
        }
        Ok(())
    }

    /// Questions that matched, and that would have.
    fn queries(&self) -> Result<(Vec<QueryTold>, Vec<QueryTold>), StoreError> {
        let (mut seen, mut hidden) = (Vec::new(), Vec::new());
        let read = "SELECT id, received_ms, outcome, journal, idx, partner FROM queries ORDER BY rowid";
        let mut statement = database(LOOKING, self.sql.prepare_cached(read))?;
        let mut rows = database(LOOKING, statement.query([]))?;
        while let Some(row) = database(LOOKING, rows.next())? {
            let read = || Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?));
            let (id, received, outcome) = database(LOOKING, read())?;
            let (id, received) = (QueryId::from_bytes(id), Timestamp::from_millis(received));
            // What is disposed of opens no more.
            let Some(verdict) = query::outcome_open(self.context, id, received, &outcome)? else { continue };
            let is_seen = verdict.subject == Some(self.subject);
            if !(is_seen || verdict.hidden == Some(self.subject))
                || !self.is_item_given(ReportItem::Query(id))
            {
                continue;
            }
            let part = if is_seen { ReportPart::Queries } else { ReportPart::HiddenQueries };
            if !self.is_given(part) {
                continue;
            }
            let read = || Ok((row.get(3)?, row.get(4)?, row.get::<_, String>(5)?));
            let (journal, index, partner): (i64, u64, String) = database(LOOKING, read())?;
            let Some(event) = event_at(self.context, self.sql, journal, index)? else { continue };
            let told = query_told(id, &partner, &event)?;
            if is_seen { seen.push(told) } else { hidden.push(told) }
        }
        Ok((seen, hidden))
    }

    fn disclosures(&self) -> Result<Vec<DisclosureTold>, StoreError> {
        let tags = self.context.keys.ring.tags();
        let tag = tags.tag(Domain::Subject, self.subject.as_bytes());
        let kept = mark(disposed_before(self.sql, PayloadClass::Disclosure.number())?);
        let rows = self.sql.prepare_cached(ABOUT).and_then(|mut statement| {
            let of = params![tag.as_bytes(), kept];
            statement.query_map(of, |row| row.get::<_, [u8; 16]>(0))?.collect::<Result<Vec<_>, _>>()
        });
        let mut told = Vec::new();
        for id in database("looking for disclosures", rows)?.into_iter().map(DisclosureId::from_bytes) {
            if !self.is_item_given(ReportItem::Disclosure(id)) {
                continue;
            }
            let Some(row) = get(self.context, self.sql, id)? else { continue };
            let tag = tags.tag(Domain::Disclosure, id.as_bytes());
            let mut events = search::of_tag(self.context, self.sql, tag)?;
            events.reverse();
            told.push(disclosure_told(&row.case.disclosure, &events));
        }
        Ok(told)
    }
}

fn query_told(query: QueryId, partner: &str, event: &Event) -> Result<QueryTold, StoreError> {
    let text = |fact| event.text_of(fact).unwrap_or_default();
    Ok(QueryTold {
        query,
        partner: name(partner)?,
        agreement: name(text(Fact::Agreement))?,
        purpose: name(text(Fact::Purpose))?,
        legal_basis: text(Fact::LegalBasis).to_owned(),
        collection: name(text(Fact::Collection))?,
        at: event.at,
    })
}

/// What a partner asked for and received. Who decided, and what officers wrote to one another, is of other people.
fn disclosure_told(disclosure: &Disclosure, events: &[FoundEntry]) -> DisclosureTold {
    let (request, ask) = (disclosure.request(), disclosure.request().ask());
    let first = |kind| events.iter().map(|found| &found.event).find(|event| event.kind == kind);
    let rule = first(Kind::DisclosureRequested).and_then(|event| event.text_of(Fact::Rule));
    // Before a release nothing is there to tell of, whatever was granted.
    let fields = disclosure.fetch_by().and_then(|_| disclosure.granted());
    let released = fields.map(|fields| {
        let at = first(Kind::DisclosureReleased).map_or(request.received(), |event| event.at);
        (at, fields.iter().cloned().collect())
    });
    let acknowledged = first(Kind::DisclosureAcknowledged).map(|event| event.at);
    DisclosureTold {
        disclosure: request.disclosure(),
        partner: request.partner().clone(),
        agreement: request.agreement().clone(),
        rule: rule.unwrap_or_default().to_owned(),
        purpose: ask.purpose().clone(),
        legal_basis: ask.legal_basis().to_owned(),
        asked: ask.fields().iter().cloned().collect(),
        at: request.received(),
        state: disclosure.state(),
        released,
        fetched: first(Kind::DisclosureFetched).map(|event| event.at),
        acknowledged: acknowledged.filter(|_| disclosure.state() == State::Acknowledged),
        corrections: disclosure.corrections().to_vec(),
    }
}

/// Enters that a report was put together, of whom, and what of it was withheld for what reason.
pub(super) fn enter(
    tx: &mut Tx<'_>,
    permit: &Permit,
    new: &ReportNew,
    subject: Option<SubjectId>,
) -> Result<(), StoreError> {
    let by = match new.of {
        ReportOf::Source(_) => BY_SOURCE,
        ReportOf::Subject(_) => BY_SUBJECT,
        ReportOf::Sample(_) => BY_SAMPLE,
    };
    let event = tx
        .event(Kind::SubjectReported, permit)
        .with(Fact::Subject, &subject_fact(subject))
        .text(Fact::Attribute, by)
        .text(Fact::Reason, &new.why);
    let lines: Vec<String> = new.withheld.iter().map(Withholding::line).collect();
    let event = if lines.is_empty() { event } else { event.text(Fact::Withholding, &lines.join("\n")) };
    let event = match new.request {
        Some(request) => event.with(Fact::SubjectRequest, request.as_bytes()),
        None => event,
    };
    tx.enter_private(&event, &subject_tags(tx.context, subject)).map(|_| ())
}

const ABOUT: &str = "SELECT id FROM disclosures INDEXED BY disclosures_by_subject
    WHERE subject_tag = ?1 AND substr(body, 1, 8) >= ?2 ORDER BY sequence";
const LOOKING: &str = "looking for questions about a person";
const BY_SOURCE: &str = "source-id";
const BY_SUBJECT: &str = "subject";
const BY_SAMPLE: &str = "sample";
