//! The tags that an entry must have.

use super::super::tags;
use crate::audit::event::{Event, Fact, Kind};
use crate::keys::{Domain, Tag, TagKey};
use crate::store::Journal;

pub(super) use super::super::tags::are;

/// The tags that follow from an event alone; `None` for events of a disclosure, whose tags follow from its request, too.
pub(super) fn of_event(key: &TagKey, journal: &Journal, event: &Event) -> Option<Vec<Tag>> {
    let somebody = |subject: &[u8]| subject.iter().any(|byte| *byte != 0);
    let subject = match event.kind {
        kind if is_of_request(kind) => return None,
        Kind::FieldViewed
        | Kind::DisclosureClaimed
        | Kind::DisclosurePutBack
        | Kind::DisclosureRecused
        | Kind::DisclosureNoted
        | Kind::ReviewOwed
        | Kind::ReviewClosed
        | Kind::ReviewLate
        | Kind::CorrectionMade
        | Kind::CorrectionOverdue
            if event.fact(Fact::Subject).is_some() =>
        {
            return None;
        }
        Kind::SubjectRestricted
        | Kind::SubjectUnrestricted
        | Kind::SubjectErased
        | Kind::SubjectReported
        | Kind::SubjectRequestOpened
        | Kind::SubjectRequestExtended
        | Kind::SubjectRequestOverdue
        | Kind::SubjectRequestClosed
        | Kind::SubjectSplit
        | Kind::SubjectsMerged
        | Kind::SubjectStated => event.fact(Fact::Subject).filter(|subject| somebody(subject)),
        _ => None,
    };
    let given = subject.into_iter().chain(event.fact(Fact::OtherSubject));
    let given: Vec<Tag> = given.map(|subject| key.tag(Domain::Subject, subject)).collect();
    Some(tags::of_entry(key, journal, event, &given))
}

/// The tags of an event of a disclosure, by what was requested.
pub(super) fn of_request(key: &TagKey, journal: &Journal, event: &Event, requested: &Event) -> Vec<Tag> {
    let parts = [
        (Domain::Disclosure, Fact::Disclosure),
        (Domain::Query, Fact::Query),
        (Domain::Official, Fact::Official),
        (Domain::Subject, Fact::Subject),
        (Domain::Partner, Fact::Partner),
        (Domain::Agreement, Fact::Agreement),
        (Domain::Purpose, Fact::Purpose),
    ];
    let given = parts.iter().filter_map(|(domain, fact)| Some(key.tag(*domain, requested.fact(*fact)?)));
    tags::of_entry(key, journal, event, &given.collect::<Vec<_>>())
}

const fn is_of_request(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::DisclosureRequested
            | Kind::DisclosureDecided
            | Kind::DisclosureApproved
            | Kind::DisclosureReleased
            | Kind::DisclosureAcknowledged
            | Kind::DisclosureDenied
            | Kind::DisclosureWithdrawn
            | Kind::DisclosureExpired
            | Kind::DisclosureQuestioned
            | Kind::DisclosureAnswered
            | Kind::DisclosureRevoked
            | Kind::CorrectionAsked
            | Kind::CorrectionAnswered
            | Kind::CorrectionTold
            | Kind::CorrectionAcknowledged
    )
}
