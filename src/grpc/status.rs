//! Refusals on the wire: one match turns whatever stopped a call into a status.
//!
//! Outside stand fixed words: a code, an `ErrorInfo` with a stable reason, one sentence, a link to
//! `docs/status-codes.md`, and where asking again can help, how soon. What varies is only what the caller's own
//! request is told about: the field that is not in its form, and the state that stands against a step. Inside,
//! the chain of errors is logged once.

use std::borrow::Cow;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::change_form::FormFault;
use super::pb::partner as pb;
use super::refused::code_name;
use crate::authz::{Action, Reason};
use crate::door::SlotsError;
use crate::gate::GateError;
use crate::store::StoreError;
use crate::telemetry;

/// Why a call was not answered.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The use case did not happen.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A field of the request is not in its form.
    #[error(transparent)]
    Form(#[from] FormFault),
    /// There is no room for another call.
    #[error(transparent)]
    Slots(#[from] SlotsError),
    /// The call came in by something other than the door, so nobody knows whose it is.
    #[error("the call carries no certificate; connect over mutual TLS")]
    NoPeer,
    /// A part of the answer ended before its time.
    #[error("the work on a question ended before its time")]
    Worker,
}

impl CallError {
    /// The status that the call ends with.
    #[must_use]
    pub fn status(&self) -> Status {
        let answer = self.answer();
        let mut details = ErrorDetails::new();
        details.set_error_info(answer.why.as_str(), DOMAIN, []);
        if let Some((field, what)) = answer.violation {
            details.add_bad_request_violation(field, what);
        }
        if let Again::After(wait) = answer.why.again() {
            details.set_retry_info(Some(wait));
        }
        details.add_help_link(HELP, help_url(answer.why.as_str()));
        Status::with_error_details(answer.why.code(), answer.message, details)
    }

    /// The refusal of one item of a stream, alike to [`CallError::status`]. It has no details, so the field that
    /// is not in its form stands in the message.
    #[must_use]
    pub fn refusal(&self) -> pb::Refusal {
        let answer = self.answer();
        let message = match answer.violation {
            Some((field, what)) => format!("`{field}`: {what}"),
            None => answer.message.into_owned(),
        };
        let code = i32::from(answer.why.code());
        pb::Refusal { code, reason: answer.why.as_str().to_owned(), message }
    }

    /// Whether it holds for everything that this caller asks, and so for the rest of a stream.
    #[must_use]
    pub const fn is_about_the_caller(&self) -> bool {
        matches!(
            self,
            Self::NoPeer
                | Self::Gate(
                    GateError::Unknown
                        | GateError::Refused(
                            Reason::PartnerSuspended | Reason::PersonSuspended | Reason::RoleNotAllowed
                        )
                )
        )
    }

    /// The code's name, for metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        code_name(self.why().code())
    }

    /// Logs what went wrong on our side, once; a refusal is not an error of ours.
    pub fn log(&self, action: Action) {
        let why = self.why();
        let (rpc, code, reason) = (action.id(), code_name(why.code()), why.as_str());
        match why {
            Why::Told(Told::Unavailable | Told::Internal | Told::ChangeNotLoaded) => {
                tracing::error!(rpc, code, reason, error = %telemetry::chain(self), "call failed");
            }
            Why::Told(_) | Why::Rule(_) => tracing::debug!(rpc, code, reason, "call refused"),
        }
    }

    fn answer(&self) -> Answer<'_> {
        let why = self.why();
        let violation = match self {
            Self::Gate(GateError::Invalid { field, what }) => Some((*field, what.as_str())),
            Self::Form(fault) => Some((fault.field.as_str(), fault.what.as_str())),
            _ => None,
        };
        let message = match self {
            // The gate writes these for whoever they are shown to: a partner reads its disclosure's state and
            // no more.
            Self::Gate(GateError::NotNow(what)) => Cow::Owned(what.clone()),
            _ => Cow::Borrowed(why.sentence()),
        };
        Answer { why, message, violation }
    }

    /// The one place where errors become reasons.
    fn why(&self) -> Why {
        let told = match self {
            Self::Gate(GateError::Refused(Reason::NotYours) | GateError::NotFound(_)) => Told::NotFound,
            Self::Gate(GateError::Refused(reason)) => return Why::Rule(*reason),
            Self::Gate(GateError::Unknown) | Self::NoPeer => Told::CredentialUnknown,
            Self::Gate(GateError::Invalid { .. }) | Self::Form(_) => Told::FieldInvalid,
            Self::Gate(GateError::ClockSkew { .. }) => Told::ClockSkew,
            Self::Gate(GateError::RequestIdUsed) => Told::RequestIdUsed,
            Self::Gate(GateError::RequestIdOver) => Told::RequestIdOver,
            Self::Gate(GateError::Signature | GateError::Passkey(_)) => Told::SignatureInvalid,
            Self::Gate(GateError::NotNow(_)) => Told::NotNow,
            Self::Gate(GateError::Unwitnessed) => Told::Unwitnessed,
            Self::Gate(GateError::NoHit) => Told::NoHitOfYourOwn,
            Self::Gate(GateError::SameRole) => Told::SameRole,
            Self::Gate(GateError::Store(StoreError::Overloaded))
            | Self::Slots(SlotsError::All | SlotsError::Domain) => Told::Overloaded,
            Self::Gate(GateError::Matching(_) | GateError::Store(_)) => Told::Unavailable,
            Self::Gate(GateError::Internal { .. }) | Self::Worker => Told::Internal,
            Self::Gate(GateError::Reload(_)) => Told::ChangeNotLoaded,
        };
        Why::Told(told)
    }
}

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        error.status()
    }
}

/// Whether the same request can be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It would be refused again as long as nothing else changes.
    No,
    /// It can, after this long.
    After(Duration),
}

/// What a caller is told: a reason of the rules, or one of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The rules refused.
    Rule(Reason),
    /// Something else.
    Told(Told),
}

impl Why {
    /// Everything that a status can tell.
    pub fn all() -> impl Iterator<Item = Self> {
        let rules = Reason::ALL.iter().filter(|reason| **reason != Reason::NotYours);
        rules.map(|reason| Self::Rule(*reason)).chain(Told::ALL.iter().map(|told| Self::Told(*told)))
    }

    /// The stable name in `ErrorInfo`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rule(reason) => reason.as_str(),
            Self::Told(told) => told.as_str(),
        }
    }

    /// The gRPC code.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Rule(Reason::VolumeDayExhausted | Reason::VolumeYearExhausted) => Code::ResourceExhausted,
            Self::Rule(_) => Code::PermissionDenied,
            Self::Told(told) => told.code(),
        }
    }

    /// Whether the same request can be sent again.
    #[must_use]
    pub const fn again(self) -> Again {
        match self {
            Self::Rule(_) => Again::No,
            Self::Told(told) => told.again(),
        }
    }

    /// One fixed sentence for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Rule(reason) => reason.sentence(),
            Self::Told(told) => told.sentence(),
        }
    }
}

macro_rules! told {
    ($($(#[$doc:meta])* $variant:ident = $text:literal $code:ident $again:expr, $sentence:literal;)+) => {
        /// What a caller is told beside the reasons of the rules.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Told {
            $($(#[$doc])* $variant,)+
        }

        impl Told {
            /// Each of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            const fn code(self) -> Code {
                match self { $(Self::$variant => Code::$code,)+ }
            }

            const fn again(self) -> Again {
                match self { $(Self::$variant => $again,)+ }
            }

            const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }
        }
    };
}

told! {
    /// The certificate is nobody's.
    CredentialUnknown = "CREDENTIAL_UNKNOWN" Unauthenticated Again::No,
        "this certificate is not registered; ask an administrator of the holder to register its id and key";
    /// A field is not in its form.
    FieldInvalid = "FIELD_INVALID" InvalidArgument Again::No,
        "a field of the request is not in its form; see which one and why";
    /// The clocks are too far apart.
    ClockSkew = "CLOCK_SKEW" InvalidArgument Again::No,
        "the request's time is more than 5 minutes from the holder's clock; set your clock";
    /// The signature does not hold.
    SignatureInvalid = "SIGNATURE_INVALID" InvalidArgument Again::No,
        "the signature does not hold; sign the digest of exactly this request with the key of your certificate";
    /// There is none, or it is somebody else's.
    NotFound = "NOT_FOUND" NotFound Again::No,
        "there is no such thing of yours; check the name";
    /// The request id was used for something else.
    RequestIdUsed = "REQUEST_ID_USED" AlreadyExists Again::No,
        "this request id was used for another request; use a new one for each request";
    /// The request id was used too long ago.
    RequestIdOver = "REQUEST_ID_OVER" FailedPrecondition Again::No,
        "this request id is older than its window; use a new one";
    /// Disclosures follow on hits.
    NoHitOfYourOwn = "NO_HIT_OF_YOUR_OWN" FailedPrecondition Again::No,
        "the query is not a hit of your own; a disclosure follows on a hit";
    /// Something else must be there first. The sentence is the step's own.
    NotNow = "NOT_NOW" FailedPrecondition Again::No,
        "this can't be done in the present state; look at the state first";
    /// One person or role can't do both halves.
    SameRole = "SAME_ROLE" PermissionDenied Again::No,
        "a change takes two people of different roles, an administrator and a privacy officer; ask somebody of the other role";
    /// There is no room at this moment.
    Overloaded = "OVERLOADED" ResourceExhausted Again::After(RETRY),
        "too much is under way; nothing was done and nothing counted, ask again";
    /// The search or the store failed.
    Unavailable = "UNAVAILABLE" Unavailable Again::After(RETRY),
        "nothing was answered; ask again";
    /// The witnesses have not seen it yet.
    Unwitnessed = "UNWITNESSED" Unavailable Again::After(RETRY_WITNESSES),
        "not enough witnesses have seen this in the holder's log yet; ask again in a minute";
    /// Something of our own went wrong.
    Internal = "INTERNAL" Unavailable Again::After(RETRY),
        "nothing was answered; ask again, and tell the holder if it stays so";
    /// A change is in effect and this server does not know it yet.
    ChangeNotLoaded = "CHANGE_NOT_LOADED" Internal Again::No,
        "the change is in effect, but the server could not load it; ask an operator to restart it";
}

struct Answer<'a> {
    why: Why,
    message: Cow<'static, str>,
    violation: Option<(&'a str, &'a str)>,
}

/// The place in `docs/status-codes.md` that tells about a reason.
fn help_url(reason: &str) -> String {
    format!("{DOCUMENTATION}/status-codes#{}", reason.to_ascii_lowercase())
}

/// The domain of the reasons in `ErrorInfo`.
pub const DOMAIN: &str = "onebit";
/// Where the project's `docs/` are published.
pub const DOCUMENTATION: &str = "https://docs.onebit.example";
const HELP: &str = "what this status means and what to do";
/// A group commit on a busy disk, many times over; long enough that a retry does not add to what it waits for.
const RETRY: Duration = Duration::from_secs(1);
/// Half of the time between two runs of the jobs that record heads and ask witnesses.
const RETRY_WITNESSES: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;
    use crate::gate::OpenError;
    use crate::matching::MatchingError;

    /// Everything that a client gets of a status.
    fn sent(error: impl Into<CallError>) -> (Code, String, Vec<u8>) {
        let status = error.into().status();
        (status.code(), status.message().to_owned(), status.details().to_vec())
    }

    fn store_errors(text: &str) -> Vec<StoreError> {
        let io = std::io::Error::other(text.to_owned());
        vec![
            StoreError::Stopped,
            StoreError::File { path: text.to_owned(), source: io },
            StoreError::Tree { doing: "recording a query" },
            StoreError::TooNew { found: 9, known: 1 },
            StoreError::Damaged { what: "an outcome" },
            StoreError::Closed,
        ]
    }

    #[test]
    fn anothers_and_none_are_refused_with_the_same_bytes() {
        let none = sent(GateError::NotFound("disclosure"));
        assert_eq!(sent(GateError::Refused(Reason::NotYours)), none);
        assert_eq!(sent(GateError::NotFound("journal")), none);
        assert_eq!(none.0, Code::NotFound);
    }

    #[test]
    fn what_holds_for_all_that_somebody_asks_ends_a_stream_and_nothing_else_does() {
        let ends = |error: GateError| CallError::Gate(error).is_about_the_caller();
        for reason in [Reason::PartnerSuspended, Reason::PersonSuspended, Reason::RoleNotAllowed] {
            assert!(ends(GateError::Refused(reason)), "{reason:?}");
        }
        for reason in [Reason::VolumeDayExhausted, Reason::PurposeNotInAgreement, Reason::AgreementUnknown] {
            assert!(!ends(GateError::Refused(reason)), "{reason:?}");
        }
        assert!(ends(GateError::Unknown) && CallError::NoPeer.is_about_the_caller());
        assert!(!ends(GateError::RequestIdUsed) && !CallError::Worker.is_about_the_caller());
    }

    #[test]
    fn every_status_has_one_reason_a_link_and_what_its_retry_needs() {
        for why in Why::all() {
            let error = match why {
                Why::Rule(reason) => CallError::Gate(GateError::Refused(reason)),
                Why::Told(told) => example(told),
            };
            let status = error.status();
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (why.as_str(), DOMAIN));
            assert!(info.metadata.is_empty(), "`{}` tells more than its reason", why.as_str());
            assert_eq!(status.code(), why.code());
            assert_eq!(details.help().unwrap().links.len(), 1);
            let wait = details.retry_info().and_then(|retry| retry.retry_delay);
            let due = match why.again() {
                Again::No => None,
                Again::After(wait) => Some(wait),
            };
            assert_eq!(wait, due);
            let refusal = error.refusal();
            assert_eq!((refusal.code, refusal.reason.as_str()), (i32::from(why.code()), why.as_str()));
            assert!(!why.sentence().ends_with('.'), "`{}`: no full stop", why.as_str());
        }
    }

    /// An error of each kind; a new one does not compile until it has an example.
    fn example(told: Told) -> CallError {
        let gate = match told {
            Told::CredentialUnknown => GateError::Unknown,
            Told::FieldInvalid => {
                GateError::Invalid { field: "name", what: "is missing; give it".to_owned() }
            }
            Told::ClockSkew => GateError::ClockSkew { now: Timestamp::from_millis(0) },
            Told::SignatureInvalid => GateError::Signature,
            Told::NotFound => GateError::NotFound("case"),
            Told::RequestIdUsed => GateError::RequestIdUsed,
            Told::RequestIdOver => GateError::RequestIdOver,
            Told::Unwitnessed => GateError::Unwitnessed,
            Told::NoHitOfYourOwn => GateError::NoHit,
            Told::NotNow => GateError::NotNow("the disclosure has ended as denied; ask anew".to_owned()),
            Told::SameRole => GateError::SameRole,
            Told::Overloaded => return SlotsError::Domain.into(),
            Told::Unavailable => GateError::Matching(MatchingError::Moving),
            Told::Internal => return CallError::Worker,
            Told::ChangeNotLoaded => GateError::Reload(Box::new(OpenError::NotFounded)),
        };
        gate.into()
    }

    #[test]
    fn a_field_is_named_in_the_details_and_in_a_streams_refusal() {
        let error = CallError::from(FormFault::new("question.purpose", "is missing; give it"));
        let details = error.status().get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(violations.len(), 1);
        assert_eq!(
            (violations[0].field.as_str(), violations[0].description.as_str()),
            ("question.purpose", "is missing; give it")
        );
        assert_eq!(error.refusal().message, "`question.purpose`: is missing; give it");
    }

    #[test]
    fn a_failed_search_is_unavailable_and_never_an_answer() {
        for error in [
            GateError::Matching(MatchingError::Moving),
            GateError::Store(StoreError::Stopped),
            GateError::Internal { doing: "finding a collection of the rules" },
        ] {
            assert_eq!(sent(error).0, Code::Unavailable);
        }
    }

    /// Holds the page to the code and the code to the page: both tell the same reasons, codes and retries.
    #[test]
    fn the_page_tells_every_reason_as_the_code_does() {
        let page = include_str!("../../docs/status-codes.md");
        let mut rows: Vec<(String, String, String)> = Vec::new();
        for line in page.lines().filter(|line| line.starts_with("| <a id=")) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 5, "this row has not five cells: {line}");
            let reason = cells[0].split('`').nth(1).unwrap_or_default().to_owned();
            let anchor = format!("<a id=\"{}\"></a>", reason.to_ascii_lowercase());
            assert!(cells[0].starts_with(&anchor), "the anchor of `{reason}` is not `{anchor}`");
            rows.push((reason, cells[1].trim_matches('`').to_owned(), cells[4].to_owned()));
        }
        let told: Vec<_> = Why::all()
            .map(|why| {
                let again = if why.again() == Again::No { "no" } else { "yes" };
                (why.as_str().to_owned(), code_name(why.code()).to_owned(), again.to_owned())
            })
            .collect();
        for why in &told {
            assert!(rows.contains(why), "docs/status-codes.md lacks a row for {why:?}");
        }
        for row in &rows {
            assert!(told.contains(row), "no status is {row:?}; remove the row from docs/status-codes.md");
        }
        assert_eq!(rows.len(), told.len(), "a reason stands twice in docs/status-codes.md");
    }

    proptest! {
        /// Whatever went wrong inside, and whatever text it carries: outside stand the same bytes.
        #[test]
        fn what_happened_inside_stays_inside(text in "[a-z0-9/ ]{0,60}", millis: i64) {
            let outside = sent(GateError::Store(StoreError::Stopped));
            for error in store_errors(&text) {
                prop_assert_eq!(&sent(GateError::Store(error)), &outside);
            }
            for error in store_errors(&text) {
                prop_assert_eq!(&sent(GateError::Matching(MatchingError::Store(error))), &outside);
            }
            for error in store_errors(&text) {
                let reload = GateError::Reload(Box::new(OpenError::Store(error)));
                prop_assert_eq!(sent(reload), sent(GateError::Reload(Box::new(OpenError::NotFounded))));
            }
            prop_assert_eq!(
                sent(GateError::ClockSkew { now: Timestamp::from_millis(millis) }),
                sent(GateError::ClockSkew { now: Timestamp::from_millis(0) })
            );
        }

        /// What a caller is told of its own field never reaches the message, which logs and tools show first.
        #[test]
        fn a_fields_fault_stands_in_its_violation_only(what in "[a-z0-9]{6,60}") {
            let status = CallError::Gate(GateError::Invalid { field: "reason", what: what.clone() }).status();
            prop_assert_eq!(status.message(), Told::FieldInvalid.sentence());
            prop_assert!(!status.message().contains(&what));
        }
    }

    #[test]
    fn every_reason_of_the_rules_has_a_code() {
        for reason in Reason::ALL {
            let code = sent(GateError::Refused(*reason)).0;
            let expected = match reason {
                Reason::VolumeDayExhausted | Reason::VolumeYearExhausted => Code::ResourceExhausted,
                Reason::NotYours => Code::NotFound,
                _ => Code::PermissionDenied,
            };
            assert_eq!(code, expected, "`{reason}`");
        }
    }
}
