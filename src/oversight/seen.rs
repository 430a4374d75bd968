//! What detectors look at, taken out of opened entries.

use crate::audit::event::{Event, Fact, Kind};
use crate::clock::Timestamp;
use crate::ids::{DisclosureId, SubjectId};

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The journal, by its partner.
    pub journal: String,
    /// The index in it.
    pub index: u64,
}

/// Something that happened, as far as detectors care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Where it stands in the log.
    pub place: Place,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A question was answered.
    Asked {
        /// The partner's case reference.
        case: String,
        /// The partner's pseudonym of the official.
        official: String,
        /// Whether the partner was told HIT.
        is_hit: bool,
        /// Who matched, hidden or not.
        matched: Vec<SubjectId>,
    },
    /// Fields were asked for after a hit.
    Requested {
        /// The disclosure.
        disclosure: DisclosureId,
        /// Whose fields.
        subject: SubjectId,
    },
    /// A person decided.
    Decided {
        /// The disclosure.
        disclosure: DisclosureId,
        /// Who.
        officer: String,
        /// Whether fields were granted.
        is_granted: bool,
    },
}

impl Seen {
    /// Reads the holder's side of an entry; `None` for what detectors don't look at.
    #[must_use]
    pub fn of(journal: &str, index: u64, event: &Event) -> Option<Self> {
        let what = match event.kind {
            Kind::QueryAnswered => {
                let subjects = [Fact::Subject, Fact::HiddenSubject].map(|fact| subject(event, fact));
                let matched: Vec<SubjectId> = subjects.into_iter().flatten().collect();
                What::Asked {
                    case: event.text_of(Fact::Case)?.to_owned(),
                    official: event.text_of(Fact::Official)?.to_owned(),
                    is_hit: event.fact(Fact::Outcome)? == [HIT],
                    matched,
                }
            }
            Kind::DisclosureRequested => {
                What::Requested { disclosure: disclosure(event)?, subject: subject(event, Fact::Subject)? }
            }
            Kind::DisclosureDecided => What::Decided {
                disclosure: disclosure(event)?,
                officer: event.actor.clone(),
                is_granted: event.text_of(Fact::State)? != DENIED,
            },
            _ => return None,
        };
        Some(Self { place: Place { journal: journal.to_owned(), index }, at: event.at, what })
    }
}

fn disclosure(event: &Event) -> Option<DisclosureId> {
    event.fact(Fact::Disclosure)?.try_into().ok().map(DisclosureId::from_bytes)
}

/// All zero means nobody.
fn subject(event: &Event, fact: Fact) -> Option<SubjectId> {
    let bytes: [u8; 16] = event.fact(fact)?.try_into().ok()?;
    (bytes != [0; 16]).then(|| SubjectId::from_bytes(bytes))
}

/// The outcome in the log of a query that was answered HIT.
const HIT: u8 = 1;
const DENIED: &str = "denied";
