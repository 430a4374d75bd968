//! What a case shows of the samples behind it: their quality, and what a fresh one said about the hit. Never a score.

use crate::approval::{ConfirmationWord, Request};
use crate::template::Quality;

/// The part of a case's page.
pub(super) struct SamplesShown {
    /// Of the samples of the query; empty where they are not known any more.
    pub(super) asked: Vec<String>,
    pub(super) fresh: Option<FreshShown>,
}

/// What a fresh sample said.
pub(super) struct FreshShown {
    pub(super) word: &'static str,
    pub(super) colour: &'static str,
    pub(super) means: &'static str,
    pub(super) quality: String,
}

impl SamplesShown {
    pub(super) fn of(request: &Request) -> Self {
        let fresh = request.confirmation().map(|confirmation| {
            let (word, colour, means) = words(confirmation.word);
            FreshShown { word, colour, means, quality: quality(confirmation.quality) }
        });
        Self { asked: request.qualities().iter().map(|one| quality(*one)).collect(), fresh }
    }
}

const fn words(word: ConfirmationWord) -> (&'static str, &'static str, &'static str) {
    match word {
        ConfirmationWord::Confirms => (
            "Confirms",
            "govuk-tag--green",
            "It is as like the person in the record as two samples of one person are",
        ),
        ConfirmationWord::Inconclusive => {
            ("Inconclusive", "govuk-tag--yellow", "It neither confirms the hit nor contradicts it")
        }
        ConfirmationWord::Contradicts => (
            "Contradicts",
            "govuk-tag--red",
            "It is no more like the person in the record than samples of two people are",
        ),
    }
}

fn quality(quality: Quality) -> String {
    match quality {
        Quality::Unknown => "Unknown".to_owned(),
        Quality::Score(score) => format!("{} of 100", score.get()),
    }
}
