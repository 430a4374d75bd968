//! What came after the release, as a part of a case.

use super::words;
use crate::approval::{Correction, CorrectionAsked, CorrectionKind, Disclosure};

/// What the partner asked for, and what was corrected.
pub(super) struct CorrectionsShown {
    pub(super) asked: Vec<AskedShown>,
    pub(super) made: Vec<MadeShown>,
}

/// What the partner asked for.
pub(super) struct AskedShown {
    pub(super) what: String,
    pub(super) at: String,
    pub(super) text: String,
    pub(super) outcome: &'static str,
    pub(super) answer: String,
}

/// A correction.
pub(super) struct MadeShown {
    pub(super) kind: &'static str,
    pub(super) fields: String,
    pub(super) at: String,
    pub(super) statement: String,
    pub(super) standing: String,
}

impl CorrectionsShown {
    pub(super) fn of(disclosure: &Disclosure) -> Self {
        Self {
            asked: disclosure.corrections_asked().iter().map(asked).collect(),
            made: disclosure.corrections().iter().map(made).collect(),
        }
    }
}

fn asked(asked: &CorrectionAsked) -> AskedShown {
    let ask = &asked.signed.ask;
    let what = ask.field().map_or_else(
        || "Its need is over".to_owned(),
        |field| format!("To correct: {}", words::of_name(field.as_str())),
    );
    let outcome = match &asked.answer {
        None => "Not answered",
        Some(answer) if answer.accepted => "Accepted",
        Some(_) => "Refused",
    };
    let answer = asked.answer.as_ref().map(|answer| answer.text.clone()).unwrap_or_default();
    AskedShown { what, at: words::of_time(asked.at), text: ask.text().to_owned(), outcome, answer }
}

fn made(one: &Correction) -> MadeShown {
    let kind = match one.new.kind {
        CorrectionKind::Changed => "The record was corrected",
        CorrectionKind::Withdrawn => "The hit was erroneous",
        CorrectionKind::Statement => "A statement was made",
    };
    let fields: Vec<String> = one.new.fields.iter().map(|field| words::of_name(field.as_str())).collect();
    let standing = match &one.told {
        None => "Not told yet".to_owned(),
        Some(told) => match told.acknowledged {
            Some(at) => format!("Acknowledged it, {}", words::of_time(at)),
            None if told.is_overdue => {
                format!("Overdue since {}", words::of_time(told.acknowledge_by))
            }
            None => format!("To acknowledge it by {}", words::of_time(told.acknowledge_by)),
        },
    };
    let (fields, at) = (fields.join(", "), words::of_time(one.made));
    MadeShown { kind, fields, at, statement: one.new.statement.clone(), standing }
}
