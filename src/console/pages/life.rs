//! What has happened in a case beside decisions, and what else was asked.

use super::case::{DecisionShown, address};
use super::words;
use crate::approval::{DeedKind, Disclosure};
use crate::store::{Case, CasesRelated};

/// Words of one of the holder's people.
pub(super) struct WordsShown {
    pub(super) who: String,
    pub(super) role: String,
    pub(super) at: String,
    pub(super) words: String,
}

/// A question to the partner, and its answer.
pub(super) struct QuestionShown {
    pub(super) asked: WordsShown,
    /// Who answered and when; nothing until there is an answer.
    pub(super) answer: Option<WordsShown>,
}

/// What has happened beside decisions that count.
pub(super) struct LifeShown {
    pub(super) questions: Vec<QuestionShown>,
    pub(super) set_aside: Vec<DecisionShown>,
    pub(super) claims: Vec<(String, String)>,
    /// Why people stepped back, and notes: a heading, what the words are, and the words.
    pub(super) said: [(&'static str, &'static str, Vec<WordsShown>); 2],
    /// What ended it otherwise than by a decision, and the words.
    pub(super) ending: Option<(&'static str, WordsShown)>,
}

impl LifeShown {
    pub(super) fn new(disclosure: &Disclosure) -> Self {
        let words_of = |kind: DeedKind| {
            let of_kind = disclosure.notes().iter().filter(move |(deed, _)| deed.kind() == kind);
            let shown = of_kind.map(|(deed, at)| WordsShown {
                who: deed.officer().to_string(),
                role: words::of_name(deed.role().as_str()),
                at: words::of_time(*at),
                words: deed.words().to_owned(),
            });
            shown.collect::<Vec<_>>()
        };
        Self {
            questions: questions(disclosure),
            set_aside: disclosure.set_aside().map(DecisionShown::new).collect(),
            claims: disclosure
                .claims()
                .iter()
                .map(|(officer, since)| (officer.to_string(), words::of_time(*since)))
                .collect(),
            said: [
                ("Stepped back", "Reason", words_of(DeedKind::Recuse)),
                ("Notes", "Note", words_of(DeedKind::Note)),
            ],
            ending: disclosure.ended_by().map(|deed| {
                let shown = WordsShown {
                    who: deed.officer().to_string(),
                    role: words::of_name(deed.role().as_str()),
                    at: String::new(),
                    words: deed.words().to_owned(),
                };
                (ending(deed.kind()), shown)
            }),
        }
    }
}

fn questions(disclosure: &Disclosure) -> Vec<QuestionShown> {
    let questions = disclosure.questions().iter().map(|question| {
        let answer = question.answer.as_ref().zip(question.answered).map(|(signed, at)| WordsShown {
            who: signed.answer.official().to_owned(),
            role: String::new(),
            at: words::of_time(at),
            words: signed.answer.text().to_owned(),
        });
        let asked = WordsShown {
            who: question.officer.to_string(),
            role: words::of_name(question.role.as_str()),
            at: words::of_time(question.at),
            words: question.text.clone(),
        };
        QuestionShown { asked, answer }
    });
    questions.collect()
}

const fn ending(kind: DeedKind) -> &'static str {
    match kind {
        DeedKind::HitErroneous => "The hit was found to be of somebody else",
        DeedKind::Revoke => "The release was taken back",
        DeedKind::Lock => "The case was locked",
        _ => "The case was ended",
    }
}

/// Another request.
pub(super) struct OtherShown {
    pub(super) address: String,
    pub(super) purpose: String,
    pub(super) partner: String,
    pub(super) asked: String,
    pub(super) state: String,
    pub(super) colour: &'static str,
}

/// What else was asked.
pub(super) struct OthersShown {
    /// Each with its heading, and what is said where there is none.
    pub(super) groups: [(&'static str, &'static str, Vec<OtherShown>); 2],
}

impl OthersShown {
    pub(super) fn new(related: &CasesRelated) -> Self {
        let shown = |cases: &[Case]| cases.iter().map(other).collect::<Vec<_>>();
        Self {
            groups: [
                (
                    "Other requests for the same person",
                    "Nobody has asked for anything else of this person.",
                    shown(&related.person),
                ),
                (
                    "Other requests from the same official",
                    "This official has asked for nothing else.",
                    shown(&related.official),
                ),
            ],
        }
    }
}

fn other(case: &Case) -> OtherShown {
    let request = case.disclosure.request();
    let (state, colour) = words::of_state(case.disclosure.state());
    OtherShown {
        address: address(request.disclosure()),
        purpose: words::of_name(request.ask().purpose().as_str()),
        partner: request.partner().to_string(),
        asked: words::of_time(request.received()),
        state,
        colour,
    }
}
