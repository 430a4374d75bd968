//! Queries in SQLite.

use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::event::{Event, Fact, Kind};
use crate::authz::{Action, Actor, PayloadClass, Permit, Reason};
use crate::clock::Timestamp;
use crate::ids::{AgreementName, Digest, PartnerName, QueryId, RequestId, SubjectId};
use crate::keys::{Domain, Place};
use crate::store::query::{
    Answer, AskedUnder, HitTemplate, QueryNew, QuerySeen, StoredAnswer, Usage, Verdict,
};
use crate::store::{Journal, StoreError};
use crate::template::{Quality, QualityScore};

use super::tx::Tx;
use super::{Context, count, database, enrolment, log, name, opened, sealed};

/// What recording came to, before the receipt is there.
pub(super) enum Recording {
    New,
    Seen,
    DayExhausted,
    YearExhausted,
}

/// Whether a request id of this partner was seen before.
pub(super) fn seen(
    context: &Context,
    sql: &Connection,
    partner: &PartnerName,
    request: RequestId,
    content: Digest,
    since: Timestamp,
) -> Result<QuerySeen, StoreError> {
    let tag = context.keys.ring.tags().tag(Domain::RequestId, request.as_bytes());
    let row = database(
        "looking for a request id",
        sql.prepare_cached(
            "SELECT id, content, received_ms, outcome, journal, idx FROM queries WHERE partner = ?1 AND request_tag = ?2",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![partner.as_str(), tag.as_bytes()], |row| {
                    Ok((
                        row.get::<_, [u8; 16]>(0)?,
                        row.get::<_, [u8; 32]>(1)?,
                        row.get::<_, i64>(2)?,
                        row.get::<_, Vec<u8>>(3)?,
                        row.get::<_, i64>(4)?,
                        row.get::<_, u64>(5)?,
                    ))
                })
                .optional()
        }),
    )?;
    let Some((id, first_content, received, outcome, journal, index)) = row else { return Ok(QuerySeen::New) };
    if Timestamp::from_millis(received) < since {
        return Ok(QuerySeen::WindowOver);
    }
    if first_content != *content.as_bytes() {
        return Ok(QuerySeen::OtherContent);
    }
    let id = QueryId::from_bytes(id);
    let Some(verdict) = outcome_open(context, id, Timestamp::from_millis(received), &outcome)? else {
        return Ok(QuerySeen::WindowOver);
    };
    let receipt = log::receipt_text(context, sql, journal, index)?;
    Ok(QuerySeen::Answered(StoredAnswer { query: id, answer: verdict.answer, receipt }))
}

/// What a partner used of an agreement.
pub(super) fn usage(
    sql: &Connection,
    partner: &PartnerName,
    agreement: &AgreementName,
    now: Timestamp,
) -> Result<Usage, StoreError> {
    let (first, last) = year_days(now);
    let sums = sql
        .prepare_cached(
            "SELECT coalesce(sum(CASE WHEN day = ?3 THEN queries END), 0), coalesce(sum(queries), 0)
             FROM query_usage WHERE partner = ?1 AND agreement = ?2 AND day BETWEEN ?4 AND ?5",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![partner.as_str(), agreement.as_str(), now.day(), first, last], |row| {
                    Ok(Usage { today: row.get(0)?, this_year: row.get(1)? })
                })
        });
    database("counting queries", sums)
}

/// Records a query: the same rows of the same sizes whatever the verdict.
pub(super) fn record(
    tx: &mut Tx<'_>,
    permit: &Permit,
    new: &QueryNew,
    verdict: &Verdict,
) -> Result<Recording, StoreError> {
    let (partner, agreement) = partner_and_agreement(permit)?;
    // INVARIANT: the first answer is not read here, because the checkpoint of its batch may not be there yet.
    if is_used(tx, &partner, new.request)? {
        return Ok(Recording::Seen);
    }
    let used = usage(tx.sql, &partner, &agreement.name, tx.now)?;
    if used.today >= u64::from(agreement.volumes.per_day) {
        return Ok(Recording::DayExhausted);
    }
    if used.this_year >= u64::from(agreement.volumes.per_year) {
        return Ok(Recording::YearExhausted);
    }
    let index = enter(tx, permit, &partner, &agreement.name, new, verdict)?;
    insert(tx, &partner, &agreement.name, new, verdict, index)?;
    let counted = tx
        .sql
        .prepare_cached(
            "INSERT INTO query_usage (partner, agreement, day, queries) VALUES (?1, ?2, ?3, 1)
             ON CONFLICT (partner, agreement, day) DO UPDATE SET queries = queries + 1",
        )
        .and_then(|mut statement| {
            statement.execute(params![partner.as_str(), agreement.name.as_str(), tx.now.day()])
        });
    database("counting a query", counted)?;
    Ok(Recording::New)
}

fn is_used(tx: &Tx<'_>, partner: &PartnerName, request: RequestId) -> Result<bool, StoreError> {
    let tag = tx.context.keys.ring.tags().tag(Domain::RequestId, request.as_bytes());
    let used = tx
        .sql
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM queries WHERE partner = ?1 AND request_tag = ?2)")
        .and_then(|mut statement| {
            statement.query_row(params![partner.as_str(), tag.as_bytes()], |row| row.get(0))
        });
    database("looking for a request id", used)
}

fn enter(
    tx: &mut Tx<'_>,
    permit: &Permit,
    partner: &PartnerName,
    agreement: &AgreementName,
    new: &QueryNew,
    verdict: &Verdict,
) -> Result<u64, StoreError> {
    let shared = tx
        .event(Kind::QueryAnswered, permit)
        .with(Fact::Query, new.id.as_bytes())
        .with(Fact::RequestId, new.request.as_bytes())
        .with(Fact::RequestDigest, permit.content().as_bytes())
        .text(Fact::Agreement, agreement.as_str())
        .text(Fact::Purpose, new.purpose.as_str())
        .text(Fact::Collection, new.collection.as_str())
        .text(Fact::Case, &new.case)
        .text(Fact::Official, &new.official)
        .text(Fact::LegalBasis, &new.legal_basis)
        .text(Fact::Urgency, new.urgency)
        .with(Fact::Samples, &[u8::try_from(new.qualities.len()).unwrap_or(u8::MAX)])
        .text(Fact::Qualities, &qualities_text(&new.qualities))
        .with(Fact::Outcome, &[answer_byte(verdict.answer)]);
    let (subject, hidden) = (subject_bytes(verdict.subject), subject_bytes(verdict.hidden));
    let holder = shared
        .clone()
        .text(Fact::Partner, partner.as_str())
        .with(Fact::Subject, &subject)
        .with(Fact::HiddenSubject, &hidden);
    tx.enter(Journal::Partner(partner.clone()), &shared, &holder, &[])
}

fn insert(
    tx: &Tx<'_>,
    partner: &PartnerName,
    agreement: &AgreementName,
    new: &QueryNew,
    verdict: &Verdict,
    index: u64,
) -> Result<(), StoreError> {
    let tag = tx.context.keys.ring.tags().tag(Domain::RequestId, new.request.as_bytes());
    let outcome = outcome_seal(tx.context, new.id, new.received, verdict)?;
    let inserted = tx
        .sql
        .prepare_cached(
            "INSERT INTO queries
               (id, partner, request_tag, content, agreement, collection, received_ms, outcome, idx, journal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, (SELECT journal FROM partners WHERE name = ?2))",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                new.id.as_bytes(),
                partner.as_str(),
                tag.as_bytes(),
                new.content.as_bytes(),
                agreement.as_str(),
                new.collection.as_str(),
                new.received.as_millis(),
                outcome,
                index
            ])
        });
    database("writing a query", inserted).map(count)
}

/// Notes that an authenticated caller was refused: in its partner's journal, or in the holder's.
pub(super) fn refusal(
    tx: &mut Tx<'_>,
    policy: Digest,
    actor: &Actor,
    action: Action,
    reason: Reason,
    rule: &str,
) -> Result<(), StoreError> {
    let kind = match action {
        Action::AskQuery | Action::AskQueries => Kind::QueryRefused,
        _ => Kind::RequestRefused,
    };
    let event = Event::new(kind, tx.now, actor.name.as_str(), policy)
        .text(Fact::Action, action.id())
        .text(Fact::Reason, reason.as_str())
        .text(Fact::Rule, rule);
    match &actor.partner {
        Some(partner) => tx.enter(Journal::Partner(partner.clone()), &event, &event, &[])?,
        None => tx.enter_private(&event, &[])?,
    };
    Ok(())
}

/// Under which agreement a partner asked a query, whatever came of it.
pub(super) fn asked_under(
    sql: &Connection,
    partner: &PartnerName,
    query: QueryId,
) -> Result<Option<AskedUnder>, StoreError> {
    let row = database(
        "looking for a query",
        sql.prepare_cached("SELECT agreement, collection FROM queries WHERE id = ?1 AND partner = ?2")
            .and_then(|mut statement| {
                statement
                    .query_row(params![query.as_bytes(), partner.as_str()], |row| {
                        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
                    })
                    .optional()
            }),
    )?;
    row.map(|(agreement, collection)| {
        Ok(AskedUnder { agreement: name(&agreement)?, collection: name(&collection)? })
    })
    .transpose()
}

/// The outcome of a partner's own query; `None` when there is no such query of this partner.
pub(super) fn outcome(
    context: &Context,
    sql: &Connection,
    partner: &PartnerName,
    query: QueryId,
) -> Result<Option<Verdict>, StoreError> {
    let row = sql
        .prepare_cached("SELECT received_ms, outcome FROM queries WHERE id = ?1 AND partner = ?2")
        .and_then(|mut statement| {
            statement
                .query_row(params![query.as_bytes(), partner.as_str()], |row| {
                    Ok((Timestamp::from_millis(row.get(0)?), row.get::<_, Vec<u8>>(1)?))
                })
                .optional()
        });
    match database("reading an outcome", row)? {
        None => Ok(None),
        Some((received, bytes)) => outcome_open(context, query, received, &bytes),
    }
}

/// The qualities of a query's samples; none when its entry was disposed of.
pub(super) fn qualities(
    context: &Context,
    sql: &Connection,
    query: QueryId,
) -> Result<Vec<Quality>, StoreError> {
    let at =
        sql.prepare_cached("SELECT journal, idx FROM queries WHERE id = ?1").and_then(|mut statement| {
            statement.query_row(params![query.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        });
    let Some((journal, index)) = database("looking for a query", at)? else { return Ok(Vec::new()) };
    let event = log::event_at(context, sql, journal, index)?;
    let text = event.as_ref().and_then(|event| event.text_of(Fact::Qualities)).unwrap_or_default();
    let damaged = || StoreError::Damaged { what: "the qualities of a query's samples" };
    let words = text.split(',').filter(|word| !word.is_empty());
    words.map(|word| quality_of(word).ok_or_else(damaged)).collect()
}

fn qualities_text(qualities: &[Quality]) -> String {
    qualities.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn quality_of(word: &str) -> Option<Quality> {
    if word == Quality::Unknown.to_string() {
        return Some(Quality::Unknown);
    }
    QualityScore::new(word.parse().ok()?).ok().map(Quality::Score)
}

/// The templates of whoever a partner's own query matched, of the collection that it searched; none without a hit, or
/// when nothing is held any more.
pub(super) fn hit_templates(
    context: &Context,
    sql: &Connection,
    partner: &PartnerName,
    query: QueryId,
) -> Result<Vec<HitTemplate>, StoreError> {
    let verdict = outcome(context, sql, partner, query)?;
    let subject = verdict.and_then(|verdict| verdict.subject);
    let (Some(subject), Some(under)) = (subject, asked_under(sql, partner, query)?) else {
        return Ok(Vec::new());
    };
    enrolment::templates_of(context, sql, subject, &under.collection)
}

/// The partner and the agreement that a permit to ask was given for.
pub(super) fn partner_and_agreement(
    permit: &Permit,
) -> Result<(PartnerName, std::sync::Arc<crate::authz::Agreement>), StoreError> {
    let unbound = StoreError::Damaged { what: "a permit without the partner and agreement it must carry" };
    match (&permit.actor().partner, permit.agreement()) {
        (Some(partner), Some(agreement)) => Ok((partner.clone(), std::sync::Arc::clone(agreement))),
        _ => Err(unbound),
    }
}

fn outcome_seal(
    context: &Context,
    id: QueryId,
    received: Timestamp,
    verdict: &Verdict,
) -> Result<Vec<u8>, StoreError> {
    let mut plain = zeroize::Zeroizing::new(Vec::with_capacity(OUTCOME_BYTES));
    plain.push(answer_byte(verdict.answer));
    plain.extend_from_slice(&subject_bytes(verdict.subject));
    plain.extend_from_slice(&subject_bytes(verdict.hidden));
    let class = PayloadClass::Query.number();
    let key = context.keys.payload_key(class, received.day(), context.entropy.as_ref())?;
    let place = outcome_place(id.as_bytes());
    sealed("sealing an outcome", key.sealing().seal(place, &plain, context.entropy.as_ref()))
}

/// `None` when the outcome is disposed of: its key is shredded.
pub(super) fn outcome_open(
    context: &Context,
    id: QueryId,
    received: Timestamp,
    bytes: &[u8],
) -> Result<Option<Verdict>, StoreError> {
    let key = context.keys.payload_key_find(PayloadClass::Query.number(), received.day())?;
    let Some(key) = key else { return Ok(None) };
    let plain = opened("opening an outcome", key.sealing().open(outcome_place(id.as_bytes()), bytes))?;
    let damaged = || StoreError::Damaged { what: "the outcome of a query" };
    let (answer, subjects) = plain.expose().split_first().ok_or_else(damaged)?;
    let (subject, hidden) = subjects.split_at_checked(16).ok_or_else(damaged)?;
    let answer = match *answer {
        ANSWER_HIT => Answer::Hit,
        ANSWER_NO_HIT => Answer::NoHit,
        _ => return Err(damaged()),
    };
    Ok(Some(Verdict {
        answer,
        subject: subject_from(subject).ok_or_else(damaged)?,
        hidden: subject_from(hidden).ok_or_else(damaged)?,
    }))
}

pub(super) const fn outcome_place(row: &[u8]) -> Place<'_> {
    Place { table: "queries", row, column: "outcome", version: 1 }
}

const fn answer_byte(answer: Answer) -> u8 {
    match answer {
        Answer::Hit => ANSWER_HIT,
        Answer::NoHit => ANSWER_NO_HIT,
    }
}

/// Sixteen bytes always, so that the sizes don't tell; all zero means nobody.
fn subject_bytes(subject: Option<SubjectId>) -> [u8; 16] {
    subject.map_or([0; 16], |subject| *subject.as_bytes())
}

fn subject_from(bytes: &[u8]) -> Option<Option<SubjectId>> {
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    Some(if bytes == [0; 16] { None } else { Some(SubjectId::from_bytes(bytes)) })
}

/// The first and last day (UTC, from 1970-01-01) of the year of `now`.
fn year_days(now: Timestamp) -> (i64, i64) {
    let start = |year| {
        jiff::civil::Date::new(year, 1, 1)
            .ok()
            .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok())
            .map_or(0, |at| Timestamp::from_millis(at.timestamp().as_millisecond()).day())
    };
    (start(now.year()), start(now.year().saturating_add(1)) - 1)
}

const ANSWER_NO_HIT: u8 = 0;
const ANSWER_HIT: u8 = 1;
const OUTCOME_BYTES: usize = 33;
