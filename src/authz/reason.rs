//! Why a call is refused, in words that tell about the caller only (promise 4).

use std::fmt;
use std::str::FromStr;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $text:literal: $sentence:literal,)+) => {
        /// Why a call is refused. When several rules refuse, the first of this order is told.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $variant,)+
        }

        impl Reason {
            /// Every reason, the first to tell first.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason's stable name, for programs and for `@reason` in rules.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// One fixed sentence for people: what is the matter and what to do.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)+
                }
            }
        }
    };
}

reasons! {
    /// The partner or its system is suspended.
    PartnerSuspended = "PARTNER_SUSPENDED":
        "your agency or this system is suspended; ask your contact at the holder",
    /// The person or the holder's system is suspended.
    PersonSuspended = "PERSON_SUSPENDED":
        "your credential is suspended; ask an administrator",
    /// No rule permits the call to the role.
    RoleNotAllowed = "ROLE_NOT_ALLOWED":
        "your role does not make this call; use a credential of a role that does",
    /// It belongs to another partner; to the caller it does not exist.
    NotYours = "NOT_YOURS":
        "there is no such thing of yours; check the name",
    /// No agreement applies, or not exactly one.
    AgreementUnknown = "AGREEMENT_UNKNOWN":
        "none of your agreements applies; name one that `ListAgreements` shows you",
    /// The agreement is suspended.
    AgreementSuspended = "AGREEMENT_SUSPENDED":
        "the agreement is suspended; ask a privacy officer of the holder",
    /// The partner's official is suspended.
    OfficialSuspended = "OFFICIAL_SUSPENDED":
        "the official behind this is suspended; ask a privacy officer of the holder",
    /// Before the first or after the last day of the agreement.
    AgreementNotInForce = "AGREEMENT_NOT_IN_FORCE":
        "the agreement has not begun or has ended; see its dates with `ListAgreements`",
    /// The agreement should have been reviewed.
    AgreementReviewOverdue = "AGREEMENT_REVIEW_OVERDUE":
        "the review of the agreement is overdue; ask both sides' privacy officers to complete it",
    /// The agreement does not name the collection.
    CollectionNotInAgreement = "COLLECTION_NOT_IN_AGREEMENT":
        "the agreement does not name this collection; see its collections with `ListAgreements`",
    /// The agreement does not name the purpose.
    PurposeNotInAgreement = "PURPOSE_NOT_IN_AGREEMENT":
        "the agreement does not name this purpose; see its purposes with `ListAgreements`",
    /// No sample, or more than the agreement allows.
    SamplesOutsideAgreement = "SAMPLES_OUTSIDE_AGREEMENT":
        "send one sample at least and no more than the agreement allows",
    /// The day's volume is used up.
    VolumeDayExhausted = "VOLUME_DAY_EXHAUSTED":
        "the agreement's volume for today is used up; ask again tomorrow (UTC)",
    /// The year's volume is used up.
    VolumeYearExhausted = "VOLUME_YEAR_EXHAUSTED":
        "the agreement's volume for this year is used up; ask the holder to amend the agreement",
    /// The agreement does not disclose the field for the purpose.
    FieldNotDisclosable = "FIELD_NOT_DISCLOSABLE":
        "name fields that the agreement discloses for this purpose; see them with `ListAgreements`",
    /// The partner that asked is suspended; told to people of the holder only.
    RequesterSuspended = "REQUESTER_SUSPENDED":
        "the partner that asks is suspended; deny, or wait until the suspension is lifted",
    /// Nobody confirms their own change.
    ChangeIsYourOwn = "CHANGE_IS_YOUR_OWN":
        "you proposed this change; somebody else of another role must confirm it",
    /// Two people of one role do not make a change.
    ChangeNeedsAnotherRole = "CHANGE_NEEDS_ANOTHER_ROLE":
        "somebody of your role proposed this change; somebody of another role must confirm it",
    /// A disposal without a privacy officer.
    ChangeNeedsPrivacyOfficer = "CHANGE_NEEDS_PRIVACY_OFFICER":
        "a privacy officer must propose or confirm a disposal, and confirm a passkey; ask one",
    /// The collection is not one of the policy folder's.
    CollectionUnknown = "COLLECTION_UNKNOWN":
        "there is no such collection; add it to the policy folder first",
    /// Nothing permits it, or the rules could not be read to the end.
    NotPermitted = "NOT_PERMITTED":
        "no rule permits this; ask a privacy officer of the holder which rules apply",
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;
    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text).ok_or(UnknownReason)
    }
}

/// A text that is no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such reason; use one of docs/policy.md")]
pub struct UnknownReason;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_one_form_and_tell_what_to_do() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
            assert!(reason.as_str().chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{reason}");
            assert!(!reason.sentence().ends_with('.'), "`{reason}`: no full stop");
        }
    }

    #[test]
    fn every_reason_is_documented() {
        let documented = include_str!("../../docs/policy.md");
        for reason in Reason::ALL {
            assert!(documented.contains(&format!("`{reason}`")), "add `{reason}` to docs/policy.md");
        }
    }
}
