//! The review that an urgent release owes: its entries are the holder's own, and no partner sees that there is one.

use crate::approval::{Deed, Disclosure};
use crate::audit::event::{Event, Fact, Kind};
use crate::clock::Timestamp;
use crate::ids::{Digest, DisclosureId, SubjectId};
use crate::store::StoreError;
use crate::store::disclosure::Stepped;

use super::disclosure::tags;
use super::disclosure_row::{get, step_keep};
use super::tx::Tx;

/// Says with a release that its review is owed, if it is.
pub(super) fn owed_enter(
    tx: &mut Tx<'_>,
    after: &Disclosure,
    policy: Digest,
    subject: SubjectId,
) -> Result<(), StoreError> {
    enter(tx, after, policy, subject, Kind::ReviewOwed)
}

/// Notes that a review is late; nothing when it was closed, or noted, in between.
pub(super) fn late(
    tx: &mut Tx<'_>,
    id: DisclosureId,
    policy: Digest,
    now: Timestamp,
) -> Result<Stepped, StoreError> {
    let Some(mut row) = get(tx.context, tx.sql, id)? else {
        return Err(StoreError::Damaged { what: "a disclosure whose review is owed" });
    };
    match row.case.disclosure.review_late(now) {
        Err(refused) => {
            let event = tx.system_event(Kind::RequestRefused, policy).with(Fact::Disclosure, id.as_bytes());
            tx.enter_private(&event, &[])?;
            Ok(Stepped::Refused(refused))
        }
        Ok((after, transition)) => {
            enter(tx, &after, policy, row.subject, Kind::ReviewLate)?;
            Ok(Stepped::Done(Box::new(step_keep(tx, &mut row, after, &transition)?)))
        }
    }
}

/// What a review found, beside what any entry about something done with a case says.
pub(super) fn found(event: Event, deed: &Deed) -> Event {
    event.text(Fact::Finding, deed.kind().finding().unwrap_or_default())
}

fn enter(
    tx: &mut Tx<'_>,
    after: &Disclosure,
    policy: Digest,
    subject: SubjectId,
    kind: Kind,
) -> Result<(), StoreError> {
    let Some(review) = after.review() else { return Ok(()) };
    let id = after.request().disclosure();
    let event = tx
        .system_event(kind, policy)
        .with(Fact::Disclosure, id.as_bytes())
        .with(Fact::Subject, subject.as_bytes())
        .text(Fact::ReviewBy, &review.due().to_string());
    let tags = tags(tx.context, after, Some(subject));
    tx.enter_private(&event, &tags).map(|_| ())
}
