//! What a case by the urgent path shows besides: why it can't wait, and the review that its release owes.

use super::words;
use crate::approval::Disclosure;

/// The part of a case's page.
pub(super) struct UrgentShown {
    pub(super) reason: String,
    pub(super) due: Option<String>,
    pub(super) is_late: bool,
    pub(super) closed: Option<ClosedShown>,
}

/// A review that was closed.
pub(super) struct ClosedShown {
    pub(super) finding: &'static str,
    pub(super) officer: String,
    pub(super) words: String,
    pub(super) at: String,
}

impl UrgentShown {
    /// Nothing for a case by the ordinary path.
    pub(super) fn of(disclosure: &Disclosure) -> Option<Self> {
        let reason = disclosure.request().ask().urgent()?.to_owned();
        let review = disclosure.review();
        let closed = review.and_then(|review| review.closed()).map(|(deed, at)| ClosedShown {
            finding: if deed.kind().finding() == Some("justified") { "Justified" } else { "Not justified" },
            officer: deed.officer().to_string(),
            words: deed.words().to_owned(),
            at: words::of_time(*at),
        });
        Some(Self {
            reason,
            due: review.map(|review| words::of_time(review.due())),
            is_late: review.is_some_and(crate::approval::Review::is_late),
            closed,
        })
    }
}
