//! Disclosures as lists: what officers and partners look through, and what else was asked about the same person or by
//! the same official. Whatever is asked for, the walk goes along an index that begins with it.

use std::cmp::Ordering;

use rusqlite::{Connection, OptionalExtension, params};

use crate::approval::{Request, State};
use crate::authz::PayloadClass;
use crate::clock::Timestamp;
use crate::ids::{DisclosureId, PartnerName, SubjectId};
use crate::keys::{Domain, Tag, TagKey};
use crate::store::StoreError;
use crate::store::disclosure::{Case, CaseCount, CaseFilter, CaseOrder, CasesRelated, ReviewsOwed};

use super::day_key::mark;
use super::disclosure_row::get;
use super::disposal::disposed_before;
use super::{Context, database};

/// The tags of what a request is found by.
pub(super) struct CaseTags {
    pub(super) purpose: Tag,
    pub(super) basis: Tag,
    pub(super) subject: Tag,
    pub(super) official: Tag,
}

impl CaseTags {
    pub(super) fn of(key: &TagKey, request: &Request, subject: SubjectId) -> Self {
        let ask = request.ask();
        // An official is a partner's own pseudonym: the same word of another partner is somebody else.
        let official = [request.partner().as_str().as_bytes(), ask.official().as_bytes()];
        Self {
            purpose: key.tag(Domain::Purpose, ask.purpose().as_str().as_bytes()),
            basis: key.tag(Domain::LegalBasis, ask.legal_basis().as_bytes()),
            subject: key.tag(Domain::Subject, subject.as_bytes()),
            official: key.tag_of(Domain::Official, &official),
        }
    }
}

/// Cases that a filter lets through, in its order.
pub(super) fn list(
    context: &Context,
    sql: &Connection,
    filter: &CaseFilter,
) -> Result<Vec<Case>, StoreError> {
    // Stretch by stretch: each is a walk along an index, however many cases there are, until there are enough.
    let mut found = Vec::new();
    for stretch in stretches(sql, filter)? {
        found.extend(listed(context, sql, filter, stretch)?);
    }
    found.sort_unstable();
    found.truncate(usize::try_from(filter.limit).unwrap_or(usize::MAX));
    let ids = found.into_iter().map(|Listed { id, .. }| DisclosureId::from_bytes(id));
    ids.filter_map(|id| get(context, sql, id).transpose()).map(|row| row.map(|row| row.case)).collect()
}

/// How many cases a filter lets through, counted up to its limit.
pub(super) fn count(
    context: &Context,
    sql: &Connection,
    filter: &CaseFilter,
) -> Result<CaseCount, StoreError> {
    let (mut counted, limit) = (0_u32, filter.limit);
    for stretch in stretches(sql, filter)? {
        let walk = Walk::of(filter, stretch);
        let statement = format!("SELECT count(*) FROM ({})", walk.statement());
        let number = rows(context, sql, filter, stretch, &statement, |row| row.get::<_, u32>(0))?;
        counted = counted.saturating_add(number.first().copied().unwrap_or(0));
    }
    Ok(CaseCount { cases: counted.min(limit), is_more: counted > limit })
}

/// What one walk goes through: in the order of officers a state, and in it the urgent cases or the others.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    state: Option<State>,
    turn: Option<i64>,
    /// Whether the last case of the page before stands in it, so that the walk begins behind that.
    holds_last: bool,
}

/// What is walked: each state and turn by itself in the order of officers, and all of it in the others.
fn stretches(sql: &Connection, filter: &CaseFilter) -> Result<Vec<Stretch>, StoreError> {
    let states = match (filter.states.is_empty(), filter.order) {
        (true, CaseOrder::Newest | CaseOrder::Oldest) => vec![None],
        (true, CaseOrder::Queue) => State::ALL.map(Some).to_vec(),
        (false, _) => filter.states.iter().copied().map(Some).collect(),
    };
    let last = match filter.after {
        Some(id) => turn_of(sql, id)?,
        None => None,
    };
    if filter.after.is_some() && last.is_none() {
        return Ok(Vec::new());
    }
    let turns: &[Option<i64>] = if filter.order == CaseOrder::Queue { &[Some(0), Some(1)] } else { &[None] };
    let of = |state| {
        turns.iter().filter_map(move |turn| {
            let behind = turn.zip(last).map_or(Ordering::Equal, |(turn, last)| turn.cmp(&last));
            let holds_last = last.is_some() && behind.is_eq();
            (!behind.is_lt()).then_some(Stretch { state, turn: *turn, holds_last })
        })
    };
    Ok(states.into_iter().flat_map(of).collect())
}

/// Whether a case is urgent, by its turn.
fn turn_of(sql: &Connection, id: DisclosureId) -> Result<Option<i64>, StoreError> {
    let read = "SELECT turn FROM disclosures WHERE id = ?1";
    let turn = sql
        .prepare_cached(read)
        .and_then(|mut statement| statement.query_row(params![id.as_bytes()], |row| row.get(0)).optional());
    database("reading a disclosure", turn)
}

/// A case in its place of the order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Listed {
    place: (i64, i64, i64),
    id: [u8; 16],
}

/// The first cases of one state, or of any.
fn listed(
    context: &Context,
    sql: &Connection,
    filter: &CaseFilter,
    stretch: Stretch,
) -> Result<Vec<Listed>, StoreError> {
    let statement = Walk::of(filter, stretch).statement();
    rows(context, sql, filter, stretch, &statement, |row| {
        Ok(Listed { id: row.get(0)?, place: (row.get(1)?, row.get(2)?, row.get(3)?) })
    })
}

fn rows<T>(
    context: &Context,
    sql: &Connection,
    filter: &CaseFilter,
    stretch: Stretch,
    statement: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let tags = context.keys.ring.tags();
    let purpose =
        filter.purpose.as_ref().map(|purpose| tags.tag(Domain::Purpose, purpose.as_str().as_bytes()));
    let basis = filter.legal_basis.as_ref().map(|basis| tags.tag(Domain::LegalBasis, basis.as_bytes()));
    let due_at = match filter.reviews {
        Some(ReviewsOwed::DueAt(at)) => Some(at.as_millis()),
        Some(ReviewsOwed::All) | None => None,
    };
    // A count looks one further, to know that there are more.
    let kept = mark(disposed_before(sql, PayloadClass::Disclosure.number())?);
    let found = sql.prepare_cached(statement).and_then(|mut statement| {
        let parameters = params![
            filter.partner.as_ref().map(PartnerName::as_str),
            stretch.state.map(State::as_str),
            purpose.as_ref().map(|tag| tag.as_bytes().as_slice()),
            basis.as_ref().map(|tag| tag.as_bytes().as_slice()),
            filter.ended_before.map(Timestamp::as_millis),
            filter.asked_since.map(Timestamp::as_millis),
            filter.asked_before.map(Timestamp::as_millis),
            filter.after.map(|id| *id.as_bytes()),
            filter.after_ends.map(Timestamp::as_millis),
            filter.limit.saturating_add(1),
            due_at,
            stretch.turn,
            kept
        ];
        statement.query_map(parameters, read)?.collect::<Result<Vec<_>, _>>()
    });
    database("listing disclosures", found)
}

/// A walk along one index.
struct Walk {
    index: &'static str,
    conditions: Vec<&'static str>,
    place: &'static str,
    order: &'static str,
}

impl Walk {
    fn of(filter: &CaseFilter, stretch: Stretch) -> Self {
        let (partner, purpose) = (filter.partner.is_some(), filter.purpose.is_some());
        let basis = filter.legal_basis.is_some();
        let index = match (filter.order, partner, purpose, basis) {
            (CaseOrder::Oldest, ..) if filter.reviews.is_some() => "INDEXED BY disclosures_by_review",
            (CaseOrder::Newest, true, ..) => "INDEXED BY disclosures_by_asker",
            (CaseOrder::Newest | CaseOrder::Oldest, ..) => "",
            (CaseOrder::Queue, true, _, true) => "INDEXED BY disclosures_by_partner_basis",
            (CaseOrder::Queue, true, true, false) => "INDEXED BY disclosures_by_partner_purpose",
            (CaseOrder::Queue, true, false, false) => "INDEXED BY disclosures_by_partner",
            (CaseOrder::Queue, false, _, true) => "INDEXED BY disclosures_by_basis",
            (CaseOrder::Queue, false, true, false) => "INDEXED BY disclosures_by_purpose",
            (CaseOrder::Queue, false, false, false) => "INDEXED BY disclosures_by_state",
        };
        let (place, order, behind) = match filter.order {
            CaseOrder::Newest => (
                "-walked.sequence, 0, 0",
                "walked.sequence DESC",
                "walked.sequence < (SELECT sequence FROM disclosures WHERE id = ?8)",
            ),
            CaseOrder::Oldest => (
                "walked.sequence, 0, 0",
                "walked.sequence",
                "walked.sequence > (SELECT sequence FROM disclosures WHERE id = ?8)",
            ),
            CaseOrder::Queue => (
                "walked.turn, walked.ends_ms, walked.sequence",
                "walked.ends_ms, walked.sequence",
                "(walked.ends_ms, walked.sequence) > (coalesce(?9, (SELECT ends_ms FROM disclosures WHERE id = ?8)), \
                 (SELECT sequence FROM disclosures WHERE id = ?8))",
            ),
        };
        let reviews = match filter.reviews {
            Some(ReviewsOwed::DueAt(_)) => "walked.review_ms <= ?11 AND walked.review_late = 0",
            Some(ReviewsOwed::All) | None => "walked.review_ms IS NOT NULL",
        };
        let conditions = [
            (partner, "walked.partner = ?1"),
            (stretch.state.is_some(), "walked.state = ?2"),
            (stretch.turn.is_some(), "walked.turn = ?12"),
            (purpose, "walked.purpose_tag = ?3"),
            (basis, "walked.basis_tag = ?4"),
            (filter.ended_before.is_some(), "walked.ends_ms <= ?5"),
            // Nothing ends before it is asked for: the walk begins there.
            (filter.asked_since.is_some(), "walked.created_ms >= ?6 AND walked.ends_ms >= ?6"),
            (filter.asked_before.is_some(), "walked.created_ms <= ?7"),
            (filter.reviews.is_some(), reviews),
            (stretch.holds_last, behind),
        ];
        let conditions = conditions.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, text)| text);
        Self { index, conditions: conditions.collect(), place, order }
    }

    /// The index holds all that the walk looks at; only what it finds is looked up, to see whether it is disposed of.
    fn statement(&self) -> String {
        let Self { index, place, order, .. } = self;
        let conditions: String = self.conditions.iter().map(|text| format!(" AND {text}")).collect();
        format!(
            "SELECT walked.id, {place} FROM disclosures AS walked {index}
             CROSS JOIN disclosures AS row ON row.id = walked.id
             WHERE substr(row.body, 1, 8) >= ?13{conditions}
             ORDER BY {order} LIMIT ?10"
        )
    }
}

/// What else was asked about the person of a case, and by its official: newest first, this many of each and one more.
pub(super) fn related(
    context: &Context,
    sql: &Connection,
    id: DisclosureId,
    limit: u32,
) -> Result<CasesRelated, StoreError> {
    let read = "SELECT subject_tag, official_tag FROM disclosures WHERE id = ?1";
    let tags = sql.prepare_cached(read).and_then(|mut statement| {
        statement
            .query_row(params![id.as_bytes()], |row| {
                Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, [u8; 16]>(1)?))
            })
            .optional()
    });
    let Some((subject, official)) = database("reading a disclosure", tags)? else {
        return Ok(CasesRelated::default());
    };
    let kept = mark(disposed_before(sql, PayloadClass::Disclosure.number())?);
    let cases = |statement: &str, tag: [u8; 16]| -> Result<Vec<Case>, StoreError> {
        let ids = sql.prepare_cached(statement).and_then(|mut statement| {
            let bounds = params![tag, id.as_bytes(), kept, limit];
            statement.query_map(bounds, |row| row.get::<_, [u8; 16]>(0))?.collect::<Result<Vec<_>, _>>()
        });
        let ids = database("looking for what else was asked", ids)?.into_iter().map(DisclosureId::from_bytes);
        ids.filter_map(|id| get(context, sql, id).transpose()).map(|row| row.map(|row| row.case)).collect()
    };
    Ok(CasesRelated { person: cases(SAME_PERSON, subject)?, official: cases(SAME_OFFICIAL, official)? })
}

const SAME_PERSON: &str = "SELECT id FROM disclosures INDEXED BY disclosures_by_subject
    WHERE subject_tag = ?1 AND id <> ?2 AND substr(body, 1, 8) >= ?3 ORDER BY sequence DESC LIMIT ?4";
const SAME_OFFICIAL: &str = "SELECT id FROM disclosures INDEXED BY disclosures_by_official
    WHERE official_tag = ?1 AND id <> ?2 AND substr(body, 1, 8) >= ?3 ORDER BY sequence DESC LIMIT ?4";

#[cfg(test)]
mod tests;
