//! A person asks: what is held of them, put together; their requests; and their statements beside fields.

use crate::approval::{Correction, State};
use crate::clock::Timestamp;
use crate::ids::{
    ActorName, AgreementName, CollectionName, DisclosureId, FieldName, PartnerName, PurposeName, QueryId,
    RestrictionName, SchemeName, SubjectId, SubjectRequestId,
};
use crate::keys::Pseudonym;

use super::Withheld;

macro_rules! words {
    ($(#[$meta:meta])* $type:ident: $what:literal, $($variant:ident $word:literal: $doc:literal;)*) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type {
            $(#[doc = $doc] $variant,)*
        }

        impl $type {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word in the log, in files and on the command line; these words never change.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What it means, as a sentence.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::store::subject::WordError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().copied().find(|one| one.as_str() == text);
                found.ok_or_else(|| {
                    let known: Vec<&str> = Self::ALL.iter().map(|one| one.as_str()).collect();
                    $crate::store::subject::WordError::new($what, text, &known)
                })
            }
        }
    };
}

pub(super) use words;

/// A word that is none of those that there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no {what}; write one of {known}")]
pub struct WordError {
    what: &'static str,
    given: String,
    known: String,
}

impl WordError {
    /// That a text is none of the words that are known.
    pub(super) fn new(what: &'static str, given: &str, known: &[&str]) -> Self {
        Self { what, given: given.chars().take(SHOWN_CHARS).collect(), known: known.join(", ") }
    }
}

words! {
    /// A part of what is held of a person.
    ReportPart: "part of a report",
    Templates "templates": "Which templates are held, of which collection, since when. Never the templates themselves.";
    Record "record": "The fields of the record, with their values.";
    Statements "statements": "Statements of the person beside fields of the record.";
    Restrictions "restrictions": "Reasons for which partners are not told of the person.";
    Queries "queries": "Questions of partners that matched the person.";
    HiddenQueries "hidden-queries": "Questions that would have matched, had the partner been allowed to see the person.";
    Disclosures "disclosures": "What partners asked for and received, and what became of it.";
}

words! {
    /// A section of the Privacy Act 2020 by which access may be refused (sections 49 to 53).
    Ground: "ground",
    Safety "49": "Protection of an individual: a serious threat, harassment, distress of a victim, health, or the interests of a child.";
    Evaluative "50": "Evaluative material.";
    Security "51": "Security, defence, or international relations.";
    TradeSecret "52": "A trade secret, or somebody's commercial position.";
    NotHeld "53(a)": "It does not exist, or can't be found.";
    OthersAffairs "53(b)": "It would unwarrantedly disclose the affairs of somebody else.";
    MaintenanceOfLaw "53(c)": "It would be likely to prejudice the maintenance of the law.";
    Privilege "53(d)": "Legal professional privilege.";
    Deposited "53(e)": "A condition under which material was placed in a library, museum or archive.";
    Contempt "53(f)": "Contempt of court or of the House of Representatives.";
    CriminalDisclosure "53(g)": "A defendant could ask for it under the Criminal Disclosure Act 2008.";
    Frivolous "53(h)": "The request is frivolous or vexatious, or the information is trivial.";
}

words! {
    /// What a person asks for.
    SubjectRequestKind: "kind of request",
    Access "access": "Access to what is held.";
    Correction "correction": "A correction of what is held.";
}

words! {
    /// What came of a person's request.
    SubjectOutcome: "outcome",
    Granted "granted": "Access was given.";
    GrantedInPart "granted-in-part": "Access was given to a part.";
    Refused "refused": "It was refused.";
    Corrected "corrected": "It was corrected.";
    Stated "statement-attached": "It was not corrected, and the person's statement was attached.";
    Transferred "transferred": "It was transferred to another agency.";
    Withdrawn "withdrawn": "The person withdrew it.";
}

impl SubjectOutcome {
    /// Whether a request of this kind can come to it.
    #[must_use]
    pub const fn is_of(self, kind: SubjectRequestKind) -> bool {
        match self {
            Self::Granted | Self::GrantedInPart => matches!(kind, SubjectRequestKind::Access),
            Self::Corrected | Self::Stated => matches!(kind, SubjectRequestKind::Correction),
            Self::Refused | Self::Transferred | Self::Withdrawn => true,
        }
    }

    /// Whether it takes a ground: something of a request for access was refused.
    #[must_use]
    pub const fn takes_grounds(self, kind: SubjectRequestKind) -> bool {
        matches!(kind, SubjectRequestKind::Access) && matches!(self, Self::GrantedInPart | Self::Refused)
    }
}

/// Something that the person is not given, with its ground.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withholding {
    /// Of which part.
    pub part: ReportPart,
    /// One query or disclosure alone; otherwise the whole part.
    pub item: Option<ReportItem>,
    /// By which section.
    pub ground: Ground,
    /// Why, in the officer's words.
    pub reason: String,
}

/// One thing of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportItem {
    /// A query.
    Query(QueryId),
    /// A disclosure.
    Disclosure(DisclosureId),
}

impl Withholding {
    /// The line of it in the entry.
    #[must_use]
    pub fn line(&self) -> String {
        let item = match self.item {
            None => String::new(),
            Some(ReportItem::Query(id)) => format!(" {}", id.resource()),
            Some(ReportItem::Disclosure(id)) => format!(" {}", id.resource()),
        };
        let Self { part, ground, reason, .. } = self;
        format!("{part}{item} {ground}: {}", reason.replace('\n', " "))
    }
}

/// Whose report it is.
pub enum ReportOf {
    /// Whoever has this pseudonym.
    Source(Pseudonym),
    /// Whoever has this id here.
    Subject(SubjectId),
    /// Whoever was found by a sample.
    Sample(Withheld<Option<SubjectId>>),
}

/// A report that is asked for.
pub struct ReportNew {
    /// Of whom.
    pub of: ReportOf,
    /// What is withheld.
    pub withheld: Vec<Withholding>,
    /// Upon which request.
    pub request: Option<SubjectRequestId>,
    /// Why.
    pub why: String,
}

/// What is held of a person, as far as it is not withheld.
pub struct SubjectReport {
    /// When it was put together.
    pub at: Timestamp,
    /// Whether anybody was found.
    pub is_known: bool,
    /// The templates.
    pub templates: Vec<TemplateHeld>,
    /// The fields of the record.
    pub fields: Vec<FieldHeld>,
    /// The statements beside them.
    pub statements: Vec<StatementHeld>,
    /// The restrictions in effect.
    pub restrictions: Vec<RestrictionHeld>,
    /// Questions that matched, oldest first.
    pub queries: Vec<QueryTold>,
    /// Questions that would have matched, oldest first.
    pub hidden_queries: Vec<QueryTold>,
    /// What was asked for and disclosed, oldest first.
    pub disclosures: Vec<DisclosureTold>,
    /// Days (from 1970-01-01) before which records of queries, of disclosures and of enrolment were disposed of.
    pub disposed_before: [Option<i64>; 3],
}

/// A template that is held, without what is in it.
pub struct TemplateHeld {
    /// Its collection.
    pub collection: CollectionName,
    /// The scheme of the collection.
    pub scheme: SchemeName,
    /// When it was enrolled.
    pub enrolled: Timestamp,
    /// By which system.
    pub enrolled_by: ActorName,
}

/// A field of the record.
pub struct FieldHeld {
    /// Which.
    pub field: FieldName,
    /// Its value.
    pub value: zeroize::Zeroizing<String>,
    /// Its classification.
    pub classification: String,
    /// Where it came from.
    pub source: String,
    /// What it may be used for.
    pub permitted_uses: Vec<String>,
}

/// A statement of the person beside a field.
pub struct StatementHeld {
    /// The field.
    pub field: FieldName,
    /// The statement.
    pub text: String,
    /// When it was attached.
    pub at: Timestamp,
}

/// A restriction in effect.
pub struct RestrictionHeld {
    /// Which.
    pub name: RestrictionName,
    /// When it was given and why, as far as an entry says; one that came with enrolment has none.
    pub given: Option<(Timestamp, String)>,
}

/// A question that matched.
pub struct QueryTold {
    /// Its id.
    pub query: QueryId,
    /// Who asked.
    pub partner: PartnerName,
    /// Under which agreement.
    pub agreement: AgreementName,
    /// What for.
    pub purpose: PurposeName,
    /// On which legal basis, in the partner's words.
    pub legal_basis: String,
    /// In which collection.
    pub collection: CollectionName,
    /// When.
    pub at: Timestamp,
}

/// What a partner asked for after a hit.
pub struct DisclosureTold {
    /// Its id.
    pub disclosure: DisclosureId,
    /// Who asked.
    pub partner: PartnerName,
    /// Under which agreement.
    pub agreement: AgreementName,
    /// By which rule the request was taken.
    pub rule: String,
    /// What for.
    pub purpose: PurposeName,
    /// On which legal basis, in the partner's words.
    pub legal_basis: String,
    /// Which fields.
    pub asked: Vec<FieldName>,
    /// When.
    pub at: Timestamp,
    /// Where it stands.
    pub state: State,
    /// When fields were released, and which; none when none were.
    pub released: Option<(Timestamp, Vec<FieldName>)>,
    /// When the partner fetched them first.
    pub fetched: Option<Timestamp>,
    /// When the partner acknowledged them.
    pub acknowledged: Option<Timestamp>,
    /// Corrections to the partner, and where they stand.
    pub corrections: Vec<Correction>,
}

impl DisclosureTold {
    /// The day (from 1970-01-01) of the last that happened to it, from which its record is kept.
    #[must_use]
    pub fn last_day(&self) -> i64 {
        let released = self.released.as_ref().map(|(at, _)| *at);
        let steps = [released, self.fetched, self.acknowledged].into_iter().flatten();
        steps
            .chain(self.corrections.iter().map(|one| one.made))
            .max()
            .map_or(self.at, |last| last.max(self.at))
            .day()
    }
}

/// A statement to attach.
pub struct StatementNew {
    /// Whose.
    pub source: Pseudonym,
    /// Beside which field.
    pub field: FieldName,
    /// What the person says.
    pub text: String,
    /// Upon which request.
    pub request: Option<SubjectRequestId>,
}

/// What came of attaching a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stated {
    /// It is attached; so many fields stand with recipients who are told.
    Attached,
    /// Nobody is there.
    NoSubject,
    /// The record has no such field.
    NoField,
}

/// A request to open.
pub struct SubjectRequestNew {
    /// Its id.
    pub id: SubjectRequestId,
    /// What for.
    pub kind: SubjectRequestKind,
    /// Of whom, where it is known.
    pub source: Option<Pseudonym>,
    /// The holder's own reference of it.
    pub reference: String,
    /// The first moment of the date (in UTC) on which it came.
    pub received: Timestamp,
    /// When it is due.
    pub due: Timestamp,
    /// Hide the person at once, because they dispute what is held.
    pub disputed: Option<RestrictionName>,
}

/// What happens to a request that is open.
#[derive(Debug, Clone)]
pub enum SubjectRequestStep {
    /// It takes longer.
    Extend {
        /// The new end.
        due: Timestamp,
        /// Why.
        why: String,
    },
    /// It is decided.
    Close {
        /// What came of it.
        outcome: SubjectOutcome,
        /// By which sections something was refused.
        grounds: Vec<Ground>,
        /// Why, in the officer's words.
        why: String,
    },
}

/// A request of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectRequest {
    /// Its id.
    pub id: SubjectRequestId,
    /// What for.
    pub kind: SubjectRequestKind,
    /// Of whom; none where nobody was named, or the holder has nobody of that name.
    pub subject: Option<SubjectId>,
    /// The holder's own reference of it.
    pub reference: String,
    /// The date on which it came.
    pub received: String,
    /// When it was opened, and by whom.
    pub opened: (Timestamp, ActorName),
    /// When it is due.
    pub due: Timestamp,
    /// Its extensions.
    pub extensions: Vec<Extension>,
    /// When it was noted that it was not decided in time.
    pub late: Option<Timestamp>,
    /// How it ended.
    pub closed: Option<Closed>,
}

/// An extension of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: ActorName,
    /// The new end.
    pub due: Timestamp,
    /// Why.
    pub why: String,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: ActorName,
    /// What came of it.
    pub outcome: SubjectOutcome,
    /// By which sections something was refused.
    pub grounds: Vec<Ground>,
    /// Why.
    pub why: String,
}

/// What came of a step.
pub enum SubjectRequestStepped {
    /// It is kept.
    Done(Box<SubjectRequest>),
    /// It can't be done, and what to do.
    Refused(StepRefused),
    /// There is no such request.
    NoRequest,
}

/// Why a step of a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StepRefused {
    /// It has ended.
    #[error("the request is closed; open another one if the person asks again")]
    Closed,
    /// Extensions are told within the time that they extend.
    #[error("the time of the request is over, and an extension is told within it; decide the request")]
    Late,
    /// The new end is no later.
    #[error("the request is due no earlier than that already; name a later date")]
    NotLater,
    /// The outcome is of the other kind of request.
    #[error("that is no outcome of this kind of request; `onebit subject request close --help` lists them")]
    Outcome,
    /// A refusal needs a ground.
    #[error("something is refused by it; name the section with --ground")]
    NoGround,
    /// A ground without a refusal.
    #[error("nothing is refused by it; leave --ground out")]
    Ground,
}

impl SubjectRequest {
    /// Whether a step can be taken now.
    ///
    /// # Errors
    /// [`StepRefused`].
    pub fn takes(&self, step: &SubjectRequestStep, now: Timestamp) -> Result<(), StepRefused> {
        if self.closed.is_some() {
            return Err(StepRefused::Closed);
        }
        match step {
            SubjectRequestStep::Extend { .. } if self.due <= now => Err(StepRefused::Late),
            SubjectRequestStep::Extend { due, .. } if *due <= self.due => Err(StepRefused::NotLater),
            SubjectRequestStep::Extend { .. } => Ok(()),
            SubjectRequestStep::Close { outcome, .. } if !outcome.is_of(self.kind) => {
                Err(StepRefused::Outcome)
            }
            SubjectRequestStep::Close { outcome, grounds, .. } => {
                match (outcome.takes_grounds(self.kind), grounds.is_empty()) {
                    (true, true) => Err(StepRefused::NoGround),
                    (false, false) => Err(StepRefused::Ground),
                    (true, false) | (false, true) => Ok(()),
                }
            }
        }
    }
}

/// A page of requests.
#[derive(Debug, Clone, Default)]
pub struct SubjectRequestFilter {
    /// Those that have ended, the newest first; otherwise open ones, those that are due soonest first.
    pub closed: bool,
    /// Only open ones that were due at this time and are not noted as late.
    pub due_at: Option<Timestamp>,
    /// The last of the page before.
    pub after: Option<SubjectRequestId>,
    /// How many at most.
    pub limit: u32,
}

const SHOWN_CHARS: usize = 40;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(kind: SubjectRequestKind) -> SubjectRequest {
        SubjectRequest {
            id: SubjectRequestId::from_bytes([7; 16]),
            kind,
            subject: None,
            reference: "R-1".to_owned(),
            received: "2026-03-02".to_owned(),
            opened: (Timestamp::from_millis(0), "mere".parse().unwrap()),
            due: Timestamp::from_millis(1_000),
            extensions: Vec::new(),
            late: None,
            closed: None,
        }
    }

    fn close(outcome: SubjectOutcome, grounds: Vec<Ground>) -> SubjectRequestStep {
        SubjectRequestStep::Close { outcome, grounds, why: "a test".to_owned() }
    }

    #[test]
    fn words_lead_back_to_what_they_mean() {
        for ground in Ground::ALL {
            assert_eq!(ground.as_str().parse(), Ok(*ground));
        }
        for part in ReportPart::ALL {
            assert_eq!(part.as_str().parse(), Ok(*part));
        }
        let told = "54".parse::<Ground>().unwrap_err().to_string();
        assert!(told.contains("53(h)"), "{told}");
    }

    proptest! {
        #[test]
        fn what_refuses_access_names_a_section_and_nothing_else_does(
            kind in prop::sample::select(SubjectRequestKind::ALL),
            outcome in prop::sample::select(SubjectOutcome::ALL),
            grounds in prop::collection::vec(prop::sample::select(Ground::ALL), 0..3),
        ) {
            let is_given = !grounds.is_empty();
            let taken = request(kind).takes(&close(outcome, grounds), Timestamp::from_millis(0));
            let refuses = kind == SubjectRequestKind::Access
                && matches!(outcome, SubjectOutcome::GrantedInPart | SubjectOutcome::Refused);
            prop_assert_eq!(taken.is_ok(), outcome.is_of(kind) && refuses == is_given);
        }

        #[test]
        fn a_clock_goes_on_only_while_it_runs(now in 0_i64..2_000, due in 0_i64..2_000) {
            let extend =
                SubjectRequestStep::Extend { due: Timestamp::from_millis(due), why: "a test".to_owned() };
            let taken = request(SubjectRequestKind::Access).takes(&extend, Timestamp::from_millis(now));
            prop_assert_eq!(taken.is_ok(), now < 1_000 && due > 1_000);
        }

        #[test]
        fn nothing_follows_an_end(outcome in prop::sample::select(SubjectOutcome::ALL), now in 0_i64..2_000) {
            let mut ended = request(SubjectRequestKind::Access);
            ended.closed = Some(Closed {
                at: Timestamp::from_millis(5),
                by: "mere".parse().unwrap(),
                outcome: SubjectOutcome::Withdrawn,
                grounds: Vec::new(),
                why: String::new(),
            });
            let taken = ended.takes(&close(outcome, Vec::new()), Timestamp::from_millis(now));
            prop_assert_eq!(taken, Err(StepRefused::Closed));
        }
    }
}
