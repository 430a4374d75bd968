//! Disclosures in SQLite: the request and its steps, sealed; the state is what the steps come to.

use rusqlite::{Connection, OptionalExtension, params};

use crate::approval::{Approval, DecisionSignature, Disclosure, SignedDecision, State, Transition};
use crate::audit::event::{Event, Fact, Kind};
use crate::authz::{PayloadClass, Permit};
use crate::clock::Timestamp;
use crate::ids::{Digest, DisclosureId, FieldName, PartnerName, QueryId, RequestId, SubjectId};
use crate::keys::webauthn::Assertion;
use crate::keys::{Domain, ReleaseInfo, ReleasePublicKey, Tag};
use crate::store::disclosure::{
    ConfirmationNew, Decided, DecisionNew, DisclosureNew, DisclosureSeen, FieldFacts, FieldValue, Release,
    ReleaseTerms, Released, Requested, Stepped,
};
use crate::store::query::{Answer, Verdict};
use crate::store::{Case, Journal, PasskeySigned, StoreError};

use super::day_key::DayKey;
use super::disclosure_row::{Row, case, get, insert, seal_today, step_keep};
use super::tx::Tx;
use super::{
    Context, correction, database, delegation, log, passkey, query, refusal, release, review, statement,
    suspension,
};

/// Whether a request id of this partner was seen before.
pub(super) fn seen(
    context: &Context,
    sql: &Connection,
    partner: &PartnerName,
    request: RequestId,
    content: Digest,
    since: Timestamp,
) -> Result<DisclosureSeen, StoreError> {
    let tag = context.keys.ring.tags().tag(Domain::RequestId, request.as_bytes());
    let row = sql
        .query_row(
            "SELECT id, content, created_ms, journal, idx FROM disclosures WHERE partner = ?1 AND request_tag = ?2",
            params![partner.as_str(), tag.as_bytes()],
            |row| {
                let id = DisclosureId::from_bytes(row.get(0)?);
                Ok((id, row.get::<_, [u8; 32]>(1)?, row.get::<_, i64>(2)?, row.get(3)?, row.get::<_, u64>(4)?))
            },
        )
        .optional();
    let Some((id, first_content, created, journal, index)) = database("looking for a request id", row)?
    else {
        return Ok(DisclosureSeen::New);
    };
    if Timestamp::from_millis(created) < since {
        return Ok(DisclosureSeen::WindowOver);
    }
    if first_content != *content.as_bytes() {
        return Ok(DisclosureSeen::OtherContent);
    }
    // What was disposed of is long out of its window.
    let Some(row) = get(context, sql, id)? else { return Ok(DisclosureSeen::WindowOver) };
    let receipt = log::receipt_text(context, sql, journal, index)?;
    Ok(DisclosureSeen::Kept(Box::new(row.case), receipt))
}

/// Keeps a request, if its query is a hit of the caller's own.
pub(super) fn request(tx: &mut Tx<'_>, permit: &Permit, new: DisclosureNew) -> Result<Requested, StoreError> {
    let partner = new.request.partner().clone();
    // INVARIANT: the first answer is not read here, because the checkpoint of its batch may not be there yet.
    if is_used(tx, &partner, new.request_id)? {
        refuse(tx, permit, &partner, "REQUEST_ID_USED")?;
        return Ok(Requested::Seen);
    }
    let verdict = query::outcome(tx.context, tx.sql, &partner, new.request.ask().query())?;
    let Some(Verdict { answer: Answer::Hit, subject: Some(subject), .. }) = verdict else {
        refuse(tx, permit, &partner, "NO_HIT_OF_YOUR_OWN")?;
        return Ok(Requested::NoHit);
    };
    let qualities = query::qualities(tx.context, tx.sql, new.request.ask().query())?;
    let confirmation = new.confirmation.as_ref().map(ConfirmationNew::inside);
    let disclosure = Disclosure::new(new.request.with_samples(qualities, confirmation));
    let ask = disclosure.request().ask();
    let fields = ask.fields().iter().map(FieldName::as_str).collect::<Vec<_>>().join(",");
    let mut shared = tx
        .event(Kind::DisclosureRequested, permit)
        .with(Fact::Disclosure, disclosure.request().disclosure().as_bytes())
        .with(Fact::Query, ask.query().as_bytes())
        .with(Fact::RequestId, new.request_id.as_bytes())
        .with(Fact::RequestDigest, disclosure.digest().as_bytes())
        .text(Fact::Agreement, disclosure.request().agreement().as_str())
        .text(Fact::Purpose, ask.purpose().as_str())
        .text(Fact::Fields, &fields)
        .text(Fact::Official, ask.official())
        .text(Fact::LegalBasis, ask.legal_basis())
        .with(Fact::ContentDigest, new.signature.digest.as_bytes())
        .with(Fact::RequestSignature, &new.signature.bytes);
    if ask.urgent().is_some() {
        shared = shared.text(Fact::Urgency, URGENT);
    }
    let holder = shared.clone().text(Fact::Partner, partner.as_str()).with(Fact::Subject, subject.as_bytes());
    let holder = match disclosure.request().confirmation() {
        Some(confirmation) => holder.text(Fact::Confirmation, confirmation.word.as_str()),
        None => holder,
    };
    let tags = tags(tx.context, &disclosure, Some(subject));
    let index = tx.enter(Journal::Partner(partner), &shared, &holder, &tags)?;
    let day = disclosure.request().received().day().max(tx.now.day());
    let key = DayKey::of_day(tx.context, PayloadClass::Disclosure, day)?;
    let row = Row { subject, case: case(tx.sql, disclosure, subject)?, key };
    insert(tx, &row, new.request_id, new.content, index)?;
    Ok(Requested::Kept(row.case))
}

fn is_used(tx: &Tx<'_>, partner: &PartnerName, request: RequestId) -> Result<bool, StoreError> {
    let tag = tx.context.keys.ring.tags().tag(Domain::RequestId, request.as_bytes());
    let used = tx.sql.query_row(
        "SELECT EXISTS (SELECT 1 FROM disclosures WHERE partner = ?1 AND request_tag = ?2)",
        params![partner.as_str(), tag.as_bytes()],
        |row| row.get(0),
    );
    database("looking for a request id", used)
}

pub(super) fn refuse(
    tx: &mut Tx<'_>,
    permit: &Permit,
    partner: &PartnerName,
    reason: &str,
) -> Result<(), StoreError> {
    let event = tx.event(Kind::RequestRefused, permit).text(Fact::Reason, reason);
    tx.enter(Journal::Partner(partner.clone()), &event, &event, &[]).map(|_| ())
}

/// Keeps a decision.
pub(super) fn decide(tx: &mut Tx<'_>, permit: &Permit, new: DecisionNew) -> Result<Decided, StoreError> {
    let DecisionNew { signed, eligible, visible } = new;
    let id = signed.decision.disclosure();
    let Some(mut row) = get(tx.context, tx.sql, id)? else {
        let event = tx.event(Kind::RequestRefused, permit).text(Fact::Reason, "NOT_FOUND");
        tx.enter_private(&event, &[])?;
        return Ok(Decided::NoCase);
    };
    let digest = signed.decision.digest();
    if !passkey_signed(tx, &signed)? {
        let event = tx
            .event(Kind::RequestRefused, permit)
            .with(Fact::Disclosure, id.as_bytes())
            .text(Fact::Reason, "PASSKEY_COUNTER");
        tx.enter_private(&event, &[])?;
        return Ok(Decided::NotSigned);
    }
    let signature = signed.signature.to_bytes();
    let (role, on_behalf) = (signed.decision.role(), signed.decision.on_behalf().cloned());
    let eligible = delegation::still_held(tx, &eligible)?;
    let (after, transition) = match row.case.disclosure.decide(signed, &eligible, tx.now) {
        Ok(taken) => taken,
        Err(refused) => {
            let event = tx
                .event(Kind::RequestRefused, permit)
                .with(Fact::Disclosure, id.as_bytes())
                .text(Fact::Reason, &refused.to_string());
            tx.enter_private(&event, &[])?;
            return Ok(Decided::Refused(refused));
        }
    };
    // INVARIANT: a partner that reads its journal sees that somebody decided, not who nor what; both decisions
    // of an approval look alike until the release or the refusal stands beside them.
    let partner =
        tx.system_event(Kind::DisclosureDecided, permit.policy()).with(Fact::Disclosure, id.as_bytes());
    let holder = tx
        .event(Kind::DisclosureDecided, permit)
        .with(Fact::Disclosure, id.as_bytes())
        .text(Fact::Role, role.as_str())
        .text(Fact::State, transition.to.as_str())
        .with(Fact::RequestDigest, after.digest().as_bytes())
        .with(Fact::DecisionDigest, digest.as_bytes())
        .with(Fact::Signature, &signature);
    let holder = match &on_behalf {
        Some(delegator) => holder.text(Fact::OnBehalfOf, delegator.as_str()),
        None => holder,
    };
    let tags = tags(tx.context, &after, Some(row.subject));
    tx.enter(Journal::Partner(after.request().partner().clone()), &partner, &holder, &tags)?;
    if transition.to == State::Denied {
        denied_enter(tx, &after, permit.policy(), row.subject, "by decision")?;
    }
    let case = step_keep(tx, &mut row, after, &transition)?;
    if refusal::is_due(tx, &case.disclosure, row.subject, &visible)? {
        row.case = case;
        return Ok(Decided::Kept(Box::new(withhold(tx, &mut row, permit.policy())?)));
    }
    Ok(Decided::Kept(Box::new(case)))
}

/// Whether the passkey that signed a decision, if one did, still stands for the officer and was not used twice.
fn passkey_signed(tx: &Tx<'_>, signed: &SignedDecision) -> Result<bool, StoreError> {
    let DecisionSignature::Passkey(signature) = &signed.signature else { return Ok(true) };
    let assertion = Assertion {
        client_data: Vec::new(),
        authenticator_data: signature.authenticator_data.clone(),
        signature: Vec::new(),
    };
    let Ok(sign_count) = assertion.sign_count() else { return Ok(false) };
    let noted = PasskeySigned { credential: signature.credential.clone(), sign_count };
    passkey::signed(tx, signed.decision.officer(), &noted)
}

/// Opens the approved fields, seals them to the partner's key, and keeps the one ciphertext; or ends the
/// disclosure, when the person was hidden or erased since.
pub(super) fn release(
    tx: &mut Tx<'_>,
    approval: Approval,
    terms: &ReleaseTerms,
) -> Result<Released, StoreError> {
    let id = approval.disclosure();
    let Some(mut row) = get(tx.context, tx.sql, id)? else {
        return note(tx, id, terms, Released::NotApproved);
    };
    let key = release::release_key(tx.sql, &terms.partner)?;
    let Some(key) = key.and_then(|bytes| ReleasePublicKey::from_bytes(bytes).ok()) else {
        return note(tx, id, terms, Released::NoReleaseKey);
    };
    if !refusal::is_visible(tx.sql, row.subject, &terms.visible)? {
        // INVARIANT: what has an approval is open, and what is open can be withheld.
        return withhold(tx, &mut row, terms.policy).map(Box::new).map(Released::Denied);
    }
    // The gate looked at all of this a moment ago.
    let stands = suspension::stand(tx, row.case.disclosure.request())?
        && suspension::deciders_stand(tx, approval.deciders())?
        && delegation::stand_for(tx, approval.deciders())?;
    if !stands {
        return note(tx, id, terms, Released::NotApproved);
    }
    let (plain, held) = release::fields_open(tx, row.subject, approval.fields())?;
    let granted = Granted::of(&approval);
    let fields = approval.fields().clone();
    let Ok((after, transition)) = row.case.disclosure.release(approval, terms.ends, terms.review_by) else {
        return note(tx, id, terms, Released::NotApproved);
    };
    let journal = Journal::Partner(terms.partner.clone());
    let tags = tags(tx.context, &after, Some(row.subject));
    let approval_entry = approval_enter(tx, &after, &granted, terms, &tags)?;
    let origin = log::origin(tx.sql, &journal)?;
    let info = ReleaseInfo {
        journal: &origin,
        approval_entry,
        partner: &terms.partner,
        disclosure: id,
        request: after.digest(),
    };
    let (ciphertext, info) = release::seal(&key, &info, &plain, tx.context)?;
    let shared = tx
        .system_event(Kind::DisclosureReleased, terms.policy)
        .with(Fact::Disclosure, id.as_bytes())
        .with(Fact::RequestDigest, after.digest().as_bytes())
        .text(Fact::Purpose, terms.purpose.as_str())
        .text(Fact::Fields, &granted.fields)
        .with(Fact::CiphertextDigest, Digest::sha256(&ciphertext).as_bytes());
    let holder = shared
        .clone()
        .text(Fact::Partner, terms.partner.as_str())
        .with(Fact::Subject, row.subject.as_bytes());
    let index = tx.enter(journal, &shared, &holder, &tags)?;
    review::owed_enter(tx, &after, terms.policy, row.subject)?;
    seal_today(tx, &mut row)?;
    release::keep(tx, id, &ciphertext, &info, index, &row.key)?;
    correction::released(tx, id, row.subject, (&fields, &held))?;
    Ok(Released::Sealed(Box::new(step_keep(tx, &mut row, after, &transition)?)))
}

/// What an approval says, in the words of the log; the approval itself is used up by the release.
struct Granted {
    fields: String,
    deciders: String,
}

impl Granted {
    fn of(approval: &Approval) -> Self {
        let fields = approval.fields().iter().map(FieldName::as_str).collect::<Vec<_>>().join(",");
        let deciders = approval.deciders().iter().map(|one| {
            let seat =
                one.on_behalf.as_ref().map(|delegator| format!(" for {delegator}")).unwrap_or_default();
            format!("{} as {}{seat}", one.officer, one.role)
        });
        Self { fields, deciders: deciders.collect::<Vec<_>>().join(", ") }
    }
}

fn approval_enter(
    tx: &mut Tx<'_>,
    after: &Disclosure,
    granted: &Granted,
    terms: &ReleaseTerms,
    tags: &[Tag],
) -> Result<u64, StoreError> {
    let partner = tx
        .system_event(Kind::DisclosureApproved, terms.policy)
        .with(Fact::Disclosure, after.request().disclosure().as_bytes())
        .with(Fact::RequestDigest, after.digest().as_bytes());
    let holder = partner.clone().text(Fact::Officer, &granted.deciders);
    tx.enter(Journal::Partner(terms.partner.clone()), &partner, &holder, tags)
}

/// Ends an open case because nothing of its person is disclosed to this partner any more.
fn withhold(tx: &mut Tx<'_>, row: &mut Row, policy: Digest) -> Result<Case, StoreError> {
    let taken = row.case.disclosure.withhold(tx.now);
    let (after, transition) = taken.map_err(|_| StoreError::Damaged { what: "a case that is not open" })?;
    denied_enter(tx, &after, policy, row.subject, "withheld")?;
    step_keep(tx, row, after, &transition)
}

pub(super) fn denied_enter(
    tx: &mut Tx<'_>,
    after: &Disclosure,
    policy: Digest,
    subject: SubjectId,
    why: &str,
) -> Result<u64, StoreError> {
    let partner = tx
        .system_event(Kind::DisclosureDenied, policy)
        .with(Fact::Disclosure, after.request().disclosure().as_bytes());
    let holder = partner.clone().text(Fact::Reason, why).with(Fact::Subject, subject.as_bytes());
    let tags = tags(tx.context, after, Some(subject));
    tx.enter(Journal::Partner(after.request().partner().clone()), &partner, &holder, &tags)
}

fn note(
    tx: &mut Tx<'_>,
    id: DisclosureId,
    terms: &ReleaseTerms,
    what: Released,
) -> Result<Released, StoreError> {
    let reason = if matches!(what, Released::NoReleaseKey) { "NO_RELEASE_KEY" } else { "NOT_APPROVED" };
    let event = tx
        .system_event(Kind::RequestRefused, terms.policy)
        .with(Fact::Disclosure, id.as_bytes())
        .text(Fact::Reason, reason);
    tx.enter_private(&event, &[])?;
    Ok(what)
}

/// Fetches a release: the entry first, the same bytes each time.
pub(super) fn fetch(
    tx: &mut Tx<'_>,
    permit: &Permit,
    id: DisclosureId,
) -> Result<Option<Release>, StoreError> {
    let Some((partner, mut row)) = own(tx, permit, id)? else { return Ok(None) };
    // A release of this very batch has no checkpoint yet: it is there from the next one on.
    let kept = release::get(tx.context, tx.sql, id)?;
    let is_signed =
        |kept: &release::Kept| log::committed_size(tx.sql, kept.journal).map(|size| kept.index < size);
    let signed = kept.as_ref().map(is_signed).transpose()?.unwrap_or(false);
    let Some(kept) = kept.filter(|_| signed) else {
        refuse(tx, permit, &partner, "NO_RELEASE")?;
        return Ok(None);
    };
    let event = tx
        .event(Kind::DisclosureFetched, permit)
        .with(Fact::Disclosure, id.as_bytes())
        .with(Fact::CiphertextDigest, Digest::sha256(&kept.ciphertext).as_bytes());
    let journal = Journal::Partner(partner);
    let receipt = log::receipt_text(tx.context, tx.sql, kept.journal, kept.index)?;
    let tag = tx.context.keys.ring.tags().tag(Domain::Disclosure, id.as_bytes());
    tx.enter(journal, &event, &event, &[tag])?;
    seal_today(tx, &mut row)?;
    correction::fetched(tx.sql, id)?;
    Ok(Some(Release { ciphertext: kept.ciphertext, info: kept.info, receipt }))
}

/// The disclosure when it is the caller's own; otherwise the same refusal as for one that does not exist.
pub(super) fn own(
    tx: &mut Tx<'_>,
    permit: &Permit,
    id: DisclosureId,
) -> Result<Option<(PartnerName, Row)>, StoreError> {
    let partner = permit.actor().partner.clone();
    let partner = partner.ok_or(StoreError::Damaged { what: "a permit of a partner without its name" })?;
    match get(tx.context, tx.sql, id)? {
        Some(row) if *row.case.disclosure.request().partner() == partner => Ok(Some((partner, row))),
        _ => {
            refuse(tx, permit, &partner, "NOT_FOUND")?;
            Ok(None)
        }
    }
}

/// Acknowledges a release; its ciphertext is deleted in the same transaction.
pub(super) fn acknowledge(
    tx: &mut Tx<'_>,
    permit: &Permit,
    id: DisclosureId,
    ciphertext: Digest,
) -> Result<Stepped, StoreError> {
    let Some((partner, mut row)) = own(tx, permit, id)? else { return Ok(Stepped::NoCase) };
    let kept = release::get(tx.context, tx.sql, id)?;
    if kept.is_some_and(|kept| Digest::sha256(&kept.ciphertext) != ciphertext) {
        refuse(tx, permit, &partner, "OTHER_CIPHERTEXT")?;
        return Ok(Stepped::OtherCiphertext);
    }
    let event = tx
        .event(Kind::DisclosureAcknowledged, permit)
        .with(Fact::Disclosure, id.as_bytes())
        .with(Fact::CiphertextDigest, ciphertext.as_bytes());
    let taken = row.case.disclosure.acknowledge(tx.now);
    let done = stepped(tx, permit, &mut row, taken, &event)?;
    if matches!(done, Stepped::Done(_)) {
        release::delete(tx.sql, id)?;
    }
    Ok(done)
}

/// Takes a request back.
pub(super) fn withdraw(tx: &mut Tx<'_>, permit: &Permit, id: DisclosureId) -> Result<Stepped, StoreError> {
    let Some((_, mut row)) = own(tx, permit, id)? else { return Ok(Stepped::NoCase) };
    let event = tx.event(Kind::DisclosureWithdrawn, permit).with(Fact::Disclosure, id.as_bytes());
    let taken = row.case.disclosure.withdraw(tx.now);
    stepped(tx, permit, &mut row, taken, &event)
}

pub(super) fn stepped(
    tx: &mut Tx<'_>,
    permit: &Permit,
    row: &mut Row,
    taken: Result<(Disclosure, Transition), crate::approval::Refused>,
    event: &Event,
) -> Result<Stepped, StoreError> {
    let partner = row.case.disclosure.request().partner().clone();
    match taken {
        Err(refused) => {
            refuse(tx, permit, &partner, "NOT_NOW")?;
            Ok(Stepped::Refused(refused))
        }
        Ok((after, transition)) => {
            let tags = tags(tx.context, &after, Some(row.subject));
            tx.enter(Journal::Partner(partner), event, event, &tags)?;
            Ok(Stepped::Done(Box::new(step_keep(tx, row, after, &transition)?)))
        }
    }
}

/// Ends a disclosure whose time is over; a ciphertext that nobody fetched is deleted.
pub(super) fn expire(
    tx: &mut Tx<'_>,
    id: DisclosureId,
    policy: Digest,
    now: Timestamp,
) -> Result<Stepped, StoreError> {
    let Some(mut row) = get(tx.context, tx.sql, id)? else {
        return Err(StoreError::Damaged { what: "a disclosure that is to expire" });
    };
    let partner = Journal::Partner(row.case.disclosure.request().partner().clone());
    let event = tx.system_event(Kind::DisclosureExpired, policy).with(Fact::Disclosure, id.as_bytes());
    let tags = tags(tx.context, &row.case.disclosure, Some(row.subject));
    match row.case.disclosure.expire(now) {
        Err(refused) => {
            let event = tx.system_event(Kind::RequestRefused, policy).with(Fact::Disclosure, id.as_bytes());
            tx.enter_private(&event, &[])?;
            Ok(Stepped::Refused(refused))
        }
        Ok((after, transition)) => {
            tx.enter(partner, &event, &event, &tags)?;
            release::delete(tx.sql, id)?;
            Ok(Stepped::Done(Box::new(step_keep(tx, &mut row, after, &transition)?)))
        }
    }
}

/// What is known of the fields asked for, without their values.
pub(super) fn fields(
    context: &Context,
    sql: &Connection,
    id: DisclosureId,
) -> Result<Vec<FieldFacts>, StoreError> {
    let Some(row) = get(context, sql, id)? else { return Ok(Vec::new()) };
    let ask = row.case.disclosure.request().ask();
    let key = context.keys.subject_key(&row.subject)?;
    ask.fields()
        .iter()
        .map(|field| {
            let stored = match &key {
                Some(key) => release::field_open(sql, key, row.subject, field)?,
                None => None,
            };
            Ok(stored.map_or_else(
                || FieldFacts {
                    field: field.clone(),
                    classification: String::new(),
                    source: String::new(),
                    permitted_uses: Vec::new(),
                },
                |stored| FieldFacts {
                    field: field.clone(),
                    classification: stored.classification,
                    source: stored.source,
                    permitted_uses: stored.permitted_uses,
                },
            ))
        })
        .collect()
}

/// The value of one field of the case's person, and the entry that it was seen.
pub(super) fn field_view(
    tx: &mut Tx<'_>,
    permit: &Permit,
    id: DisclosureId,
    field: &FieldName,
) -> Result<Option<FieldValue>, StoreError> {
    let row = get(tx.context, tx.sql, id)?;
    let asked = row.filter(|row| row.case.disclosure.request().ask().fields().contains(field));
    let event = tx
        .event(Kind::FieldViewed, permit)
        .with(Fact::Disclosure, id.as_bytes())
        .text(Fact::Field, field.as_str());
    let Some(mut row) = asked else {
        tx.enter_private(&event.text(Fact::Reason, "NOT_FOUND"), &[])?;
        return Ok(None);
    };
    let tags = tags(tx.context, &row.case.disclosure, Some(row.subject));
    tx.enter_private(&event.with(Fact::Subject, row.subject.as_bytes()), &tags)?;
    seal_today(tx, &mut row)?;
    let Some(key) = tx.context.keys.subject_key(&row.subject)? else { return Ok(None) };
    let Some(stored) = release::field_open(tx.sql, &key, row.subject, field)? else { return Ok(None) };
    let statements = statement::of_field(tx.sql, &key, row.subject, field)?;
    Ok(Some(FieldValue { value: stored.value, statements }))
}

/// What the entries of a disclosure are found by, besides what each of them says itself.
pub(super) fn tags(context: &Context, disclosure: &Disclosure, subject: Option<SubjectId>) -> Vec<Tag> {
    let tags = context.keys.ring.tags();
    let request = disclosure.request();
    let ask = request.ask();
    let query: QueryId = ask.query();
    let subject = subject.map(|subject| tags.tag(Domain::Subject, subject.as_bytes()));
    [
        tags.tag(Domain::Disclosure, request.disclosure().as_bytes()),
        tags.tag(Domain::Query, query.as_bytes()),
        tags.tag(Domain::Official, ask.official().as_bytes()),
        tags.tag(Domain::Partner, request.partner().as_str().as_bytes()),
        tags.tag(Domain::Agreement, request.agreement().as_str().as_bytes()),
        tags.tag(Domain::Purpose, ask.purpose().as_str().as_bytes()),
    ]
    .into_iter()
    .chain(subject)
    .collect()
}

/// What an entry says of a request by the urgent path.
pub(super) const URGENT: &str = "urgent";
