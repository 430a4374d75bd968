//! Disclosures as lists: what officers and partners look through, and what else was asked about the same person or by
//! the same official. Whatever is asked for, the walk goes along an index that begins with it.

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
    // State by state: each is a walk along an index, however many cases there are, until there are enough.
    let mut found = Vec::new();
    for part in walks(filter) {
        found.extend(listed(context, sql, filter, part)?);
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
    for part in walks(filter) {
        let walk = Walk::of(filter, part);
        let statement = format!("SELECT count(*) FROM ({})", walk.statement());
        let number = rows(context, sql, filter, part, &statement, |row| row.get::<_, u32>(0))?;
        counted = counted.saturating_add(number.first().copied().unwrap_or(0));
    }
    Ok(CaseCount { cases: counted.min(limit), is_more: counted > limit })
}

/// What is walked: cases of one state and one turn, or all of them.
type Part = Option<(State, u8)>;

/// Each state and turn by itself in the orders of officers, and all of them in those by number.
fn walks(filter: &CaseFilter) -> Vec<Part> {
    let states = if filter.states.is_empty() { State::ALL.as_slice() } else { &filter.states };
    match filter.order {
        CaseOrder::Newest | CaseOrder::Oldest => vec![None],
        CaseOrder::EndsSoonest | CaseOrder::Queue => {
            states.iter().flat_map(|state| TURNS.map(|turn| Some((*state, turn)))).collect()
        }
    }
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
    part: Part,
) -> Result<Vec<Listed>, StoreError> {
    let statement = Walk::of(filter, part).statement();
    rows(context, sql, filter, part, &statement, |row| {
        Ok(Listed { id: row.get(0)?, place: (row.get(1)?, row.get(2)?, row.get(3)?) })
    })
}

fn rows<T>(
    context: &Context,
    sql: &Connection,
    filter: &CaseFilter,
    part: Part,
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
            part.map(|(state, _)| state.as_str()),
            purpose.as_ref().map(|tag| tag.as_bytes().as_slice()),
            basis.as_ref().map(|tag| tag.as_bytes().as_slice()),
            filter.ended_before.map(Timestamp::as_millis),
            filter.asked_since.map(Timestamp::as_millis),
            filter.asked_before.map(Timestamp::as_millis),
            filter.after.map(|id| *id.as_bytes()),
            filter.after_ends.map(Timestamp::as_millis),
            filter.limit.saturating_add(1),
            kept,
            part.map(|(_, turn)| turn),
            due_at
        ];
        statement.query_map(parameters, read)?.collect::<Result<Vec<_>, _>>()
    });
    database("listing disclosures", found)
}

/// A walk along one index.
struct Walk {
    index: &'static str,
    conditions: Vec<String>,
    place: &'static str,
    order: &'static str,
}

impl Walk {
    fn of(filter: &CaseFilter, part: Part) -> Self {
        let (partner, purpose) = (filter.partner.is_some(), filter.purpose.is_some());
        let basis = filter.legal_basis.is_some();
        let index = match (part, partner, purpose, basis) {
            (None, true, ..) => "INDEXED BY disclosures_by_asker",
            (None, false, ..) => "",
            (Some(_), true, _, true) => "INDEXED BY disclosures_by_partner_basis",
            (Some(_), true, true, false) => "INDEXED BY disclosures_by_partner_purpose",
            (Some(_), true, false, false) => "INDEXED BY disclosures_by_partner",
            (Some(_), false, _, true) => "INDEXED BY disclosures_by_basis",
            (Some(_), false, true, false) => "INDEXED BY disclosures_by_purpose",
            (Some(_), false, false, false) => "INDEXED BY disclosures_by_turn",
        };
        let (place, order, behind) = match filter.order {
            CaseOrder::Newest => ("-walked.sequence, 0, 0", "walked.sequence DESC", BEHIND_NEWEST),
            CaseOrder::Oldest => ("walked.sequence, 0, 0", "walked.sequence", BEHIND_OLDEST),
            CaseOrder::EndsSoonest => {
                ("walked.ends_ms, walked.sequence, 0", "walked.ends_ms, walked.sequence", BEHIND_ENDS)
            }
            CaseOrder::Queue => (
                "walked.turn, walked.ends_ms, walked.sequence",
                "walked.ends_ms, walked.sequence",
                BEHIND_QUEUE,
            ),
        };
        let (owed, late) = match filter.reviews {
            None => (false, false),
            Some(ReviewsOwed::All) => (true, false),
            Some(ReviewsOwed::DueAt(_)) => (true, true),
        };
        let conditions = [
            (partner, "walked.partner = ?1"),
            (part.is_some(), "walked.state = ?2 AND walked.turn = ?12"),
            (purpose, "walked.purpose_tag = ?3"),
            (basis, "walked.basis_tag = ?4"),
            (filter.ended_before.is_some(), "walked.ends_ms <= ?5"),
            // Nothing ends before it is asked for: the walk begins there.
            (filter.asked_since.is_some(), "walked.created_ms >= ?6 AND walked.ends_ms >= ?6"),
            (filter.asked_before.is_some(), "walked.created_ms <= ?7"),
            (owed, "walked.review_ms IS NOT NULL"),
            (late, "walked.review_ms <= ?13 AND walked.review_late = 0"),
            (filter.after.is_some(), behind),
        ];
        let mut conditions: Vec<String> = conditions
            .into_iter()
            .filter(|(is_asked, _)| *is_asked)
            .map(|(_, text)| text.to_owned())
            .collect();
        if part.is_none() && !filter.states.is_empty() {
            let names: Vec<String> = filter.states.iter().map(|state| format!("'{state}'")).collect();
            conditions.push(format!("walked.state IN ({})", names.join(", ")));
        }
        Self { index, conditions, place, order }
    }

    /// The index holds all that the walk looks at; only what it finds is looked up, to see whether it is disposed of.
    fn statement(&self) -> String {
        let Self { index, place, order, .. } = self;
        let conditions: String = self.conditions.iter().map(|text| format!(" AND {text}")).collect();
        format!(
            "SELECT walked.id, {place} FROM disclosures AS walked {index}
             CROSS JOIN disclosures AS row ON row.id = walked.id
             WHERE substr(row.body, 1, 8) >= ?11 AND coalesce(?13, 0) IS NOT NULL{conditions}
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

/// The urgent path first.
const TURNS: [u8; 2] = [0, 1];
const BEHIND_NEWEST: &str = "walked.sequence < (SELECT sequence FROM disclosures WHERE id = ?8)";
const BEHIND_OLDEST: &str = "walked.sequence > (SELECT sequence FROM disclosures WHERE id = ?8)";
const BEHIND_ENDS: &str = "(walked.ends_ms, walked.sequence) > (
    coalesce(?9, (SELECT ends_ms FROM disclosures WHERE id = ?8)), (SELECT sequence FROM disclosures WHERE id = ?8))";
/// A turn before that of the last case is done with, and one behind it has not begun.
const BEHIND_QUEUE: &str = "(walked.ends_ms, walked.sequence) > (
    CASE WHEN ?12 > (SELECT turn FROM disclosures WHERE id = ?8) THEN -9223372036854775807
         WHEN ?12 < (SELECT turn FROM disclosures WHERE id = ?8) THEN 9223372036854775807
         ELSE coalesce(?9, (SELECT ends_ms FROM disclosures WHERE id = ?8)) END,
    (SELECT sequence FROM disclosures WHERE id = ?8))";
const SAME_PERSON: &str = "SELECT id FROM disclosures INDEXED BY disclosures_by_subject
    WHERE subject_tag = ?1 AND id <> ?2 AND substr(body, 1, 8) >= ?3 ORDER BY sequence DESC LIMIT ?4";
const SAME_OFFICIAL: &str = "SELECT id FROM disclosures INDEXED BY disclosures_by_official
    WHERE official_tag = ?1 AND id <> ?2 AND substr(body, 1, 8) >= ?3 ORDER BY sequence DESC LIMIT ?4";

#[cfg(test)]
mod tests;
