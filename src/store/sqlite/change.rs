//! Changes, suspensions and release keys in SQLite.

use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::event::{Event, Fact, Kind};
use crate::authz::{Disposable, PayloadClass, Permit, Standing};
use crate::clock::{Timestamp, day_of};
use crate::ids::{ActorName, ChangeId, Digest, PartnerName};
use crate::keys::{Domain, Place};
use crate::store::change::{
    Change, ChangeEnd, ChangeNew, ChangeRecord, ChangeState, Ended, Found, ReleaseKeyOffer, ReleaseKeyProof,
    ReleaseKeyProven, digest,
};
use crate::store::{GalleryChange, Journal, StoreError, StoreKeys};

use super::day_key::{DayKey, mark};
use super::disposal::{Span, Taken};
use super::tx::Tx;
use super::{
    Context, account, count, database, delegation, disposal, enrolment, holder, log_key, name, one_person,
    passkey, renewal, session,
};

/// Keeps a proposed change; the same id again gives the change that is there.
pub(super) fn propose(tx: &mut Tx<'_>, permit: &Permit, new: ChangeNew) -> Result<ChangeRecord, StoreError> {
    if let Some(before) = get(tx.context, tx.sql, new.id)? {
        let event = proposed_event(tx, permit, &before).text(Fact::Detail, "proposed again");
        tx.enter_private(&event, &[])?;
        return Ok(before);
    }
    let record = ChangeRecord {
        id: new.id,
        digest: digest(new.id, &new.change, &new.reason),
        change: new.change,
        reason: new.reason,
        state: ChangeState::Proposed,
        proposer: permit.actor().name.clone(),
        decider: None,
        created: tx.now,
    };
    insert(tx, &record, Some(&new.signature))?;
    let event = proposed_event(tx, permit, &record).with(Fact::Signature, &new.signature);
    let tag = tx.context.keys.ring.tags().tag(Domain::Change, record.id.as_bytes());
    tx.enter_private(&event, &[tag])?;
    Ok(record)
}

fn proposed_event(tx: &Tx<'_>, permit: &Permit, record: &ChangeRecord) -> Event {
    tx.event(Kind::ChangeProposed, permit)
        .with(Fact::Change, record.id.as_bytes())
        .with(Fact::ChangeDigest, record.digest.as_bytes())
        .text(Fact::ChangeKind, record.change.kind())
        .text(Fact::Reason, &record.reason)
}

pub(super) fn insert(tx: &Tx<'_>, record: &ChangeRecord, signature: Option<&[u8]>) -> Result<(), StoreError> {
    let bytes = record.change.to_bytes();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    let plain = [length.as_slice(), &bytes, record.reason.as_bytes()].concat();
    let key = DayKey::of_day(tx.context, PayloadClass::Administration, tx.now.day())?;
    let body = key.seal(tx.context, "sealing a change", body_place(&record.id), &plain)?;
    let inserted = tx.sql.execute(
        "INSERT INTO changes (id, sequence, kind, state, body, digest, proposer, proposer_signature, created_ms)
         VALUES (?1, (SELECT coalesce(max(sequence), 0) + 1 FROM changes), ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            record.id.as_bytes(),
            record.change.kind(),
            record.state.as_str(),
            body,
            record.digest.as_bytes(),
            record.proposer.as_str(),
            signature,
            record.created.as_millis()
        ],
    );
    database("writing a change", inserted).map(count)
}

/// Seals the body of a change under the key of today: an entry about it was made.
fn seal_today(tx: &Tx<'_>, id: ChangeId) -> Result<(), StoreError> {
    let read = "SELECT body FROM changes WHERE id = ?1";
    let body = tx.sql.query_row(read, params![id.as_bytes()], |row| row.get::<_, Vec<u8>>(0));
    let body = database("reading a change", body)?;
    let key = DayKey::of_value(tx.context, tx.sql, PayloadClass::Administration, &body)?;
    let key = key.ok_or(StoreError::Damaged { what: "a change" })?;
    let Some(later) = key.later(tx.context, tx.now.day())? else { return Ok(()) };
    let body = key.seal_again(tx.context, &later, body_place(&id), &body)?;
    let kept = tx.sql.execute("UPDATE changes SET body = ?2 WHERE id = ?1", params![id.as_bytes(), body]);
    database("writing a change", kept).map(count)
}

/// Puts a change into effect, ends it without, or has a person take it over.
pub(super) fn end(tx: &mut Tx<'_>, permit: &Permit, end: &ChangeEnd) -> Result<Ended, StoreError> {
    let (ChangeEnd::Confirm { id, .. } | ChangeEnd::TakeOver { id, .. } | ChangeEnd::Reject { id, .. }) = end;
    let Some(record) = get(tx.context, tx.sql, *id)? else {
        return refused(tx, permit, *id, Ended::NoChange);
    };
    if record.state != ChangeState::Proposed {
        return refused(tx, permit, *id, Ended::EndedAlready);
    }
    if let (Change::Dispose { class, before }, ChangeEnd::Confirm { .. }) = (&record.change, end) {
        let span = Span { class: *class, before: day_of(*before) };
        if let Some(what) = disposal::needed(tx.context, tx.sql, span)? {
            return refused(tx, permit, *id, Ended::StillNeeded(what));
        }
    }
    let tag = tx.context.keys.ring.tags().tag(Domain::Change, id.as_bytes());
    let event = ended_event(tx, permit, &record, end);
    tx.enter_private(&event, &[tag])?;
    seal_today(tx, *id)?;
    let me = permit.actor().name.clone();
    match end {
        ChangeEnd::TakeOver { signature, .. } => {
            let taken = tx.sql.execute(
                "UPDATE changes SET proposer = ?2, proposer_signature = ?3 WHERE id = ?1",
                params![id.as_bytes(), me.as_str(), signature],
            );
            database("taking a change over", taken)?;
            Ok(Ended::Done(Box::new(ChangeRecord { proposer: me, ..record }), GalleryChange::default()))
        }
        ChangeEnd::Reject { .. } => {
            state_set(tx.sql, *id, ChangeState::Rejected, &me, None)?;
            if let Change::PutPasskey { credential, .. } = &record.change {
                passkey::forget(tx, credential)?;
            }
            let ended = ChangeRecord { state: ChangeState::Rejected, decider: Some(me), ..record };
            Ok(Ended::Done(Box::new(ended), GalleryChange::default()))
        }
        ChangeEnd::Confirm { signature, leave, .. } => {
            let Effect::Done(gallery) = take_effect(tx, permit, &record, leave.as_ref())? else {
                return refused(tx, permit, *id, Ended::NothingToChange);
            };
            state_set(tx.sql, *id, ChangeState::Confirmed, &me, Some(signature))?;
            let ended = ChangeRecord { state: ChangeState::Confirmed, decider: Some(me), ..record };
            Ok(Ended::Done(Box::new(ended), gallery))
        }
    }
}

fn ended_event(tx: &Tx<'_>, permit: &Permit, record: &ChangeRecord, end: &ChangeEnd) -> Event {
    let begin = |kind| {
        tx.event(kind, permit)
            .with(Fact::Change, record.id.as_bytes())
            .with(Fact::ChangeDigest, record.digest.as_bytes())
            .text(Fact::ChangeKind, record.change.kind())
    };
    match end {
        ChangeEnd::Confirm { signature, .. } => begin(Kind::ChangeConfirmed).with(Fact::Signature, signature),
        ChangeEnd::TakeOver { signature, .. } => begin(Kind::ChangeProposed).with(Fact::Signature, signature),
        ChangeEnd::Reject { reason, .. } => begin(Kind::ChangeRejected).text(Fact::Reason, reason),
    }
}

fn state_set(
    sql: &Connection,
    id: ChangeId,
    state: ChangeState,
    decider: &ActorName,
    signature: Option<&[u8]>,
) -> Result<(), StoreError> {
    let updated = sql.execute(
        "UPDATE changes SET state = ?2, decider = ?3, decider_signature = ?4 WHERE id = ?1",
        params![id.as_bytes(), state.as_str(), decider.as_str(), signature],
    );
    database("ending a change", updated).map(count)
}

fn refused(tx: &mut Tx<'_>, permit: &Permit, id: ChangeId, what: Ended) -> Result<Ended, StoreError> {
    let reason = match what {
        Ended::NothingToChange => "NOTHING_TO_CHANGE",
        Ended::EndedAlready => "ENDED_ALREADY",
        Ended::StillNeeded(_) => "STILL_NEEDED",
        Ended::NoChange | Ended::Done(..) => "NOT_FOUND",
    };
    let event =
        tx.event(Kind::RequestRefused, permit).with(Fact::Change, id.as_bytes()).text(Fact::Reason, reason);
    tx.enter_private(&event, &[])?;
    Ok(what)
}

enum Effect {
    Done(GalleryChange),
    Nothing,
}

fn take_effect(
    tx: &mut Tx<'_>,
    permit: &Permit,
    record: &ChangeRecord,
    leave: Option<&Disposable>,
) -> Result<Effect, StoreError> {
    let (event, changed) = match &record.change {
        Change::PutPerson(person) => {
            let event = tx
                .event(Kind::PersonAdded, permit)
                .text(Fact::Role, person.role.as_str())
                .text(Fact::Person, person.name.as_str())
                .with(Fact::PublicKey, Digest::sha256(&person.public_key).as_bytes());
            (event, holder::person_put(tx, person)?)
        }
        Change::PutPartner(partner) => {
            let host = holder::text(tx.sql, "host")?;
            let journal = tx.journal_open(&Journal::Partner(partner.name.clone()), &host)?;
            let event = tx.event(Kind::PartnerAdded, permit).text(Fact::Partner, partner.name.as_str());
            (event, holder::partner_put(tx, partner, journal)?)
        }
        Change::PutReleaseKey { partner, key } => {
            let event = tx
                .event(Kind::ReleaseKeyConfirmed, permit)
                .text(Fact::Partner, partner.as_str())
                .with(Fact::ReleaseKey, key);
            let put = "UPDATE partners SET release_key = ?2 WHERE name = ?1";
            let updated = tx.sql.execute(put, params![partner.as_str(), key]);
            (event, database("confirming a release key", updated)?)
        }
        Change::ActivatePolicy(bundle) => {
            let event =
                tx.event(Kind::PolicyActivated, permit).with(Fact::ContentDigest, bundle.digest().as_bytes());
            (event, holder::policy_activate(tx.sql, bundle)?)
        }
        Change::LiftRestriction { source_id, restriction } => {
            let source = StoreKeys::new(std::sync::Arc::clone(&tx.context.keys.ring)).pseudonym(source_id);
            let gallery = enrolment::restriction_lift(tx, permit, &source, restriction)?;
            return Ok(if gallery.subject_known { Effect::Done(gallery) } else { Effect::Nothing });
        }
        Change::MergeSubjects(both) => {
            return Ok(one_person::merge(tx, permit, record.id, *both)?.map_or(Effect::Nothing, Effect::Done));
        }
        Change::SplitSubject(subject) => {
            let parted = one_person::split(tx, permit, record.id, *subject)?;
            return Ok(parted.map_or(Effect::Nothing, Effect::Done));
        }
        Change::RestorePartner(partner) => {
            let event = tx.event(Kind::PartnerRestored, permit).text(Fact::Partner, partner.as_str());
            (event, standing_set(tx.sql, "partners", partner.as_str(), Standing::Active)?)
        }
        Change::RestorePerson(person) => {
            let event = tx.event(Kind::PersonRestored, permit).text(Fact::Person, person.as_str());
            (event, standing_set(tx.sql, "people", person.as_str(), Standing::Active)?)
        }
        Change::Dispose { class, before } => {
            let leave = leave.filter(|leave| (leave.class(), leave.before()) == (*class, *before));
            let leave = leave.ok_or(StoreError::Damaged { what: "a disposal without the rules' leave" })?;
            return Ok(taken(disposal::take(tx, permit, record, leave)?));
        }
        Change::InvitePerson(invitation) => {
            let event = tx
                .event(Kind::PersonInvited, permit)
                .text(Fact::Role, invitation.role.as_str())
                .text(Fact::Person, invitation.person.as_str())
                .with(Fact::ContentDigest, invitation.secret.as_bytes());
            (event, passkey::invite(tx, invitation)?)
        }
        Change::PutPasskey { person, credential, public_key } => {
            let event = tx
                .event(Kind::PasskeyConfirmed, permit)
                .text(Fact::Person, person.as_str())
                .with(Fact::PublicKey, Digest::sha256(public_key).as_bytes());
            (event, passkey::confirm(tx, person, credential)?)
        }
        Change::PutDelegation(what) => {
            let event = delegation::told(tx.event(Kind::DelegationMade, permit), what)
                .with(Fact::Change, record.id.as_bytes());
            (event, delegation::put(tx, record.id, what)?)
        }
        Change::BindAccount { person, account } => {
            let event = tx.event(Kind::AccountBound, permit).text(Fact::Person, person.as_str());
            (account::named(event, account), account::bind(tx, person, account)?)
        }
        Change::ChangeLogKey => return Ok(taken(log_key::take(tx, permit, record)?)),
        Change::RenewCollection(collection) => {
            return Ok(taken(renewal::begin(tx, permit, record, collection)?));
        }
    };
    tx.enter_private(&event, &[])?;
    Ok(if changed == 0 { Effect::Nothing } else { Effect::Done(GalleryChange::default()) })
}

fn taken(taken: Taken) -> Effect {
    match taken {
        Taken::Something => Effect::Done(GalleryChange::default()),
        Taken::Nothing => Effect::Nothing,
    }
}

fn standing_set(
    sql: &Connection,
    table: &'static str,
    name: &str,
    standing: Standing,
) -> Result<usize, StoreError> {
    let updated = sql.execute(
        &format!("UPDATE {table} SET standing = ?2 WHERE name = ?1"),
        params![name, standing.as_str()],
    );
    database("changing a standing", updated)
}

/// Suspends a partner.
pub(super) fn partner_suspend(
    tx: &mut Tx<'_>,
    permit: &Permit,
    partner: &PartnerName,
    why: &str,
) -> Result<Found, StoreError> {
    let changed = standing_set(tx.sql, "partners", partner.as_str(), Standing::Suspended)?;
    let event = tx
        .event(Kind::PartnerSuspended, permit)
        .text(Fact::Partner, partner.as_str())
        .text(Fact::Reason, why);
    suspended(tx, changed, &event)
}

/// Suspends a person or a system.
pub(super) fn person_suspend(
    tx: &mut Tx<'_>,
    permit: &Permit,
    person: &ActorName,
    why: &str,
) -> Result<Found, StoreError> {
    let changed = standing_set(tx.sql, "people", person.as_str(), Standing::Suspended)?;
    session::end_all_of(tx, person)?;
    passkey::end_all_of(tx, person)?;
    delegation::end_all_of(tx, person)?;
    account::unbind_all_of(tx, person)?;
    let event =
        tx.event(Kind::PersonSuspended, permit).text(Fact::Person, person.as_str()).text(Fact::Reason, why);
    suspended(tx, changed, &event)
}

fn suspended(tx: &mut Tx<'_>, changed: usize, event: &Event) -> Result<Found, StoreError> {
    let found = if changed == 0 { Found::No } else { Found::Yes };
    let event = if changed == 0 { event.clone().text(Fact::Detail, "NOT_FOUND") } else { event.clone() };
    tx.enter_private(&event, &[])?;
    Ok(found)
}

/// Keeps the challenge to an offered key.
pub(super) fn release_key_start(
    tx: &mut Tx<'_>,
    permit: &Permit,
    offer: &ReleaseKeyOffer,
) -> Result<(), StoreError> {
    let partner = partner_of(permit)?;
    let kept = tx.sql.execute(
        "INSERT INTO release_key_challenges (partner, public_key, challenge, expires_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (partner, public_key) DO UPDATE
         SET challenge = excluded.challenge, expires_ms = excluded.expires_ms",
        params![partner.as_str(), offer.public_key, offer.challenge.as_bytes(), offer.expires.as_millis()],
    );
    database("keeping a challenge", kept)?;
    let event = tx.event(Kind::ReleaseKeyStarted, permit).with(Fact::ReleaseKey, &offer.public_key);
    tx.enter(Journal::Partner(partner), &event, &event, &[]).map(|_| ())
}

/// Checks the answer to a challenge; a right one proposes the key. Either way the challenge is used up.
pub(super) fn release_key_prove(
    tx: &mut Tx<'_>,
    permit: &Permit,
    proof: &ReleaseKeyProof,
) -> Result<ReleaseKeyProven, StoreError> {
    let partner = partner_of(permit)?;
    let kept = tx
        .sql
        .query_row(
            "DELETE FROM release_key_challenges WHERE partner = ?1 AND public_key = ?2
             RETURNING challenge, expires_ms",
            params![partner.as_str(), proof.public_key],
            |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)),
        )
        .optional();
    let proven = database("using a challenge up", kept)?.is_some_and(|(challenge, expires)| {
        challenge == proof.challenge.as_bytes() && tx.now < Timestamp::from_millis(expires)
    });
    let event = tx.event(Kind::ReleaseKeyProven, permit).with(Fact::ReleaseKey, &proof.public_key);
    if !proven {
        let event = event.text(Fact::Reason, "NOT_PROVEN");
        tx.enter(Journal::Partner(partner), &event, &event, &[])?;
        return Ok(ReleaseKeyProven::NotProven);
    }
    let change = Change::PutReleaseKey { partner: partner.clone(), key: proof.public_key };
    let reason = "the partner has proven that it holds this key".to_owned();
    let record = ChangeRecord {
        id: proof.change,
        digest: digest(proof.change, &change, &reason),
        change,
        reason,
        state: ChangeState::Proposed,
        proposer: permit.actor().name.clone(),
        decider: None,
        created: tx.now,
    };
    insert(tx, &record, None)?;
    let event =
        event.with(Fact::Change, record.id.as_bytes()).with(Fact::ChangeDigest, record.digest.as_bytes());
    let tag = tx.context.keys.ring.tags().tag(Domain::Change, record.id.as_bytes());
    tx.enter(Journal::Partner(partner), &event, &event, &[tag])?;
    Ok(ReleaseKeyProven::Proposed(record.id))
}

/// One change; `None` also when a disposal has taken it.
pub(super) fn get(
    context: &Context,
    sql: &Connection,
    id: ChangeId,
) -> Result<Option<ChangeRecord>, StoreError> {
    let row = sql
        .query_row(
            "SELECT state, body, digest, proposer, decider, created_ms FROM changes WHERE id = ?1",
            params![id.as_bytes()],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, Vec<u8>>(1)?,
                    row.get::<_, [u8; 32]>(2)?,
                    row.get::<_, String>(3)?,
                    row.get::<_, Option<String>>(4)?,
                    row.get::<_, i64>(5)?,
                ))
            },
        )
        .optional();
    let Some((state, body, digest, proposer, decider, created)) = database("reading a change", row)? else {
        return Ok(None);
    };
    let Some(key) = DayKey::of_value(context, sql, PayloadClass::Administration, &body)? else {
        return Ok(None);
    };
    let body = key.open("opening a change", body_place(&id), &body)?;
    let damaged = || StoreError::Damaged { what: "a change" };
    let (length, rest) = body.expose().split_first_chunk::<4>().ok_or_else(damaged)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged())?;
    let (change, reason) = rest.split_at_checked(length).ok_or_else(damaged)?;
    Ok(Some(ChangeRecord {
        id,
        change: Change::from_bytes(change)?,
        reason: std::str::from_utf8(reason).map_err(|_| damaged())?.to_owned(),
        state: ChangeState::parse(&state).ok_or_else(damaged)?,
        digest: Digest::from_bytes(digest),
        proposer: name(&proposer)?,
        decider: decider.map(|decider| name(&decider)).transpose()?,
        created: Timestamp::from_millis(created),
    }))
}

/// Changes, newest first.
pub(super) fn list(
    context: &Context,
    sql: &Connection,
    after: Option<ChangeId>,
    limit: u32,
) -> Result<Vec<ChangeRecord>, StoreError> {
    let kept = mark(disposal::disposed_before(sql, PayloadClass::Administration.number())?);
    let rows = sql
        .prepare_cached(
            "SELECT id FROM changes
             WHERE (?1 IS NULL OR sequence < (SELECT sequence FROM changes WHERE id = ?1))
               AND substr(body, 1, 8) >= ?3
             ORDER BY sequence DESC LIMIT ?2",
        )
        .and_then(|mut statement| {
            let after = after.map(|id| *id.as_bytes());
            statement
                .query_map(params![after, limit, kept], |row| row.get::<_, [u8; 16]>(0))?
                .collect::<Result<Vec<_>, _>>()
        });
    let ids = database("listing changes", rows)?.into_iter().map(ChangeId::from_bytes);
    ids.filter_map(|id| get(context, sql, id).transpose()).collect()
}

fn partner_of(permit: &Permit) -> Result<PartnerName, StoreError> {
    permit
        .actor()
        .partner
        .clone()
        .ok_or(StoreError::Damaged { what: "a permit of a partner without its name" })
}

pub(super) const fn body_place(id: &ChangeId) -> Place<'_> {
    Place { table: "changes", row: id.as_bytes(), column: "body", version: 1 }
}
