//! The tags that an entry must have.

use crate::audit::event::{Event, Fact, Kind};
use crate::keys::{Domain, Tag, TagKey};

/// The tags that follow from an event alone; `None` for events of a disclosure, whose tags follow from its request.
pub(super) fn of_event(key: &TagKey, event: &Event) -> Option<Vec<Tag>> {
    let fact = |domain, fact| event.fact(fact).map(|value| key.tag(domain, value));
    let of_kind = kind_tag(key, event.kind);
    let of_what = match event.kind {
        Kind::DisclosureFetched => vec![fact(Domain::Disclosure, Fact::Disclosure)],
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
        Kind::QueryAnswered => vec![
            fact(Domain::Query, Fact::Query),
            fact(Domain::Case, Fact::Case),
            fact(Domain::Official, Fact::Official),
        ],
        Kind::EnrolmentBatch | Kind::EnrolmentChunk => vec![fact(Domain::Batch, Fact::Batch)],
        Kind::SubjectRestricted | Kind::SubjectUnrestricted | Kind::SubjectErased => {
            let somebody = event.fact(Fact::Subject).is_some_and(|subject| subject.iter().any(|b| *b != 0));
            vec![fact(Domain::Subject, Fact::Subject).filter(|_| somebody)]
        }
        Kind::ChangeProposed if event.text_of(Fact::Detail).is_some() => Vec::new(),
        Kind::PasskeyRegistered if event.text_of(Fact::Detail).is_some() => Vec::new(),
        Kind::ChangeProposed
        | Kind::PasskeyRegistered
        | Kind::ChangeConfirmed
        | Kind::ChangeRejected
        | Kind::ReleaseKeyProven
        | Kind::PayloadsDisposed
        | Kind::LogKeyChanged
        | Kind::CollectionRenewing => {
            vec![fact(Domain::Change, Fact::Change)]
        }
        _ => Vec::new(),
    };
    Some(of_what.into_iter().flatten().chain([of_kind]).collect())
}

/// The tags of an event of a disclosure, by what was requested.
pub(super) fn of_request(key: &TagKey, event: &Event, requested: &Event) -> Vec<Tag> {
    let parts = [
        (Domain::Disclosure, Fact::Disclosure),
        (Domain::Query, Fact::Query),
        (Domain::Official, Fact::Official),
        (Domain::Subject, Fact::Subject),
    ];
    let of_request = parts.iter().filter_map(|(domain, fact)| Some(key.tag(*domain, requested.fact(*fact)?)));
    of_request.chain([kind_tag(key, event.kind)]).collect()
}

/// The tag of a kind of entry.
pub(super) fn kind_tag(key: &TagKey, kind: Kind) -> Tag {
    key.tag(Domain::Kind, kind.name().as_bytes())
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

/// Whether a row holds these tags, in this order.
pub(super) fn are(stored: &[u8], due: &[Tag]) -> bool {
    stored.len() == due.len().saturating_mul(16)
        && stored.chunks_exact(16).zip(due).all(|(stored, due)| stored == due.as_bytes())
}
