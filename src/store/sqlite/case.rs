//! What officers do with a case beside deciding it, and what the partner answers.

use crate::approval::{Deed, DeedKind, Disclosure, Eligible, SignedAnswer, State, Transition};
use crate::audit::event::{Event, Fact, Kind};
use crate::authz::Permit;
use crate::ids::{Digest, DisclosureId, SubjectId};
use crate::store::disclosure::Stepped;
use crate::store::{Journal, StoreError};

use super::disclosure::{own, stepped, tags};
use super::disclosure_row::{get, step_keep};
use super::tx::Tx;
use super::{correction, release, review};

/// Keeps what an officer did. What the partner can see of it is an entry of the partner's journal, without who and
/// why; the rest is the holder's own.
pub(super) fn tend(
    tx: &mut Tx<'_>,
    permit: &Permit,
    id: DisclosureId,
    deed: Deed,
    eligible: &[Eligible],
) -> Result<Stepped, StoreError> {
    let Some(mut row) = get(tx.context, tx.sql, id)? else {
        let event = tx.event(Kind::RequestRefused, permit).text(Fact::Reason, "NOT_FOUND");
        tx.enter_private(&event, &[])?;
        return Ok(Stepped::NoCase);
    };
    let (after, transition) = match row.case.disclosure.tend(deed, eligible, tx.now) {
        Ok(taken) => taken,
        Err(refused) => {
            let event = tx
                .event(Kind::RequestRefused, permit)
                .with(Fact::Disclosure, id.as_bytes())
                .text(Fact::Reason, &refused.to_string());
            tx.enter_private(&event, &[])?;
            return Ok(Stepped::Refused(refused));
        }
    };
    enter(tx, permit, &after, &transition, row.subject)?;
    let is_stated = is_stated(&transition);
    if transition.from == State::Released && transition.to.is_final() {
        release::delete(tx.sql, id)?;
    }
    let case = step_keep(tx, &mut row, after, &transition)?;
    if is_stated {
        correction::stated(tx, permit, &case.disclosure, row.subject)?;
    }
    Ok(Stepped::Done(Box::new(case)))
}

/// Whether a statement was made, which holds for the same fields elsewhere.
fn is_stated(transition: &Transition) -> bool {
    matches!(&transition.step.event, crate::approval::Event::Done(deed) if deed.kind() == DeedKind::StateCorrection)
}

fn enter(
    tx: &mut Tx<'_>,
    permit: &Permit,
    after: &Disclosure,
    transition: &Transition,
    subject: SubjectId,
) -> Result<(), StoreError> {
    let crate::approval::Event::Done(deed) = &transition.step.event else {
        return Err(StoreError::Damaged { what: "a step of an officer" });
    };
    let id = after.request().disclosure();
    let tags = tags(tx.context, after, Some(subject));
    let kind = kind_of(deed.kind(), transition.from);
    // The words stand sealed in the step; the entry holds them by the digest of it.
    let digest = match after.open_question() {
        Some(question) if deed.kind() == DeedKind::Question => question.digest,
        _ => Digest::sha256(&transition.step.to_bytes()),
    };
    let holder = tx
        .event(kind, permit)
        .with(Fact::Disclosure, id.as_bytes())
        .text(Fact::Role, deed.role().as_str())
        .text(Fact::State, transition.to.as_str())
        .with(Fact::Subject, subject.as_bytes())
        .with(Fact::ContentDigest, digest.as_bytes());
    let partner = tx.system_event(kind, permit.policy()).with(Fact::Disclosure, id.as_bytes());
    let (partner, holder) = match deed.kind() {
        _ if kind == Kind::CorrectionMade => return tx.enter_private(&holder, &tags).map(|_| ()),
        DeedKind::Claim
        | DeedKind::PutBack
        | DeedKind::Recuse
        | DeedKind::Note
        | DeedKind::StateCorrection => {
            return tx.enter_private(&holder, &tags).map(|_| ());
        }
        DeedKind::FindJustified | DeedKind::FindNotJustified => {
            return tx.enter_private(&review::found(holder, deed), &tags).map(|_| ());
        }
        // What the partner is asked, it can hold against this.
        DeedKind::Question => (partner.with(Fact::ContentDigest, digest.as_bytes()), holder),
        // What it was answered, it can hold against this.
        DeedKind::AcceptCorrection | DeedKind::RefuseCorrection => {
            let asked = after.corrections_asked().last().map(|asked| asked.signed.ask.digest());
            let partner = partner
                .text(Fact::Decision, deed.kind().as_str())
                .with(Fact::DecisionDigest, Digest::sha256(deed.words().as_bytes()).as_bytes());
            (
                asked.into_iter().fold(partner, |it, asked| it.with(Fact::ContentDigest, asked.as_bytes())),
                holder,
            )
        }
        DeedKind::HitErroneous | DeedKind::Revoke | DeedKind::Lock => {
            (partner, holder.text(Fact::Reason, deed.kind().as_str()))
        }
    };
    let journal = Journal::Partner(after.request().partner().clone());
    tx.enter(journal, &partner, &holder, &tags).map(|_| ())
}

/// The kind of the entry by which something done with a disclosure in this state is told.
pub(super) const fn kind_of(deed: DeedKind, from: State) -> Kind {
    match deed {
        DeedKind::Question => Kind::DisclosureQuestioned,
        DeedKind::Claim => Kind::DisclosureClaimed,
        DeedKind::PutBack => Kind::DisclosurePutBack,
        DeedKind::Recuse => Kind::DisclosureRecused,
        DeedKind::Note => Kind::DisclosureNoted,
        DeedKind::FindJustified | DeedKind::FindNotJustified => Kind::ReviewClosed,
        DeedKind::HitErroneous if from.is_open() => Kind::DisclosureDenied,
        DeedKind::HitErroneous | DeedKind::StateCorrection => Kind::CorrectionMade,
        DeedKind::AcceptCorrection | DeedKind::RefuseCorrection => Kind::CorrectionAnswered,
        DeedKind::Revoke => Kind::DisclosureRevoked,
        // The partner sees of a lock what it sees of the ends that there are anyway.
        DeedKind::Lock => match from {
            State::Released => Kind::DisclosureRevoked,
            _ => Kind::DisclosureDenied,
        },
    }
}

/// Keeps the partner's answer.
pub(super) fn answer(tx: &mut Tx<'_>, permit: &Permit, answer: SignedAnswer) -> Result<Stepped, StoreError> {
    let id = answer.answer.disclosure();
    let Some((_, mut row)) = own(tx, permit, id)? else { return Ok(Stepped::NoCase) };
    let event: Event = tx
        .event(Kind::DisclosureAnswered, permit)
        .with(Fact::Disclosure, id.as_bytes())
        .with(Fact::ContentDigest, answer.answer.digest().as_bytes())
        .text(Fact::Official, answer.answer.official())
        .with(Fact::RequestSignature, &answer.signature);
    let taken = row.case.disclosure.answer(answer, tx.now);
    stepped(tx, permit, &mut row, taken, &event)
}
