//! Alerts that people judged: what a detector found in the journals, and what came of looking.

use crate::ids::{ActorName, AgreementName, Digest, PartnerName};

use super::subject::words;

words! {
    /// What came of looking at an alert.
    AlertFinding: "finding",
    Explained "explained": "It has an honest explanation.";
    Wrong "wrong": "Something went wrong, without intent.";
    Misuse "misuse": "Somebody misused the exchange.";
}

/// Whom a judgement stops at once; going on takes two people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A partner, with all its systems.
    Partner(PartnerName),
    /// An official of a partner, by the partner's pseudonym.
    Official(PartnerName, String),
    /// An agreement.
    Agreement(AgreementName),
    /// A person or a system.
    Person(ActorName),
}

/// A judgement.
pub struct JudgementNew {
    /// The alert, by what it follows from.
    pub alert: Digest,
    /// What found it.
    pub detector: String,
    /// Whom it is about, in the detector's words.
    pub whom: String,
    /// Its entries, each as `JOURNAL/INDEX`.
    pub entries: Vec<String>,
    /// What came of looking.
    pub finding: AlertFinding,
    /// Why.
    pub why: String,
    /// Whom it stops, if anybody.
    pub stop: Option<Stop>,
}

/// What came of keeping a judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// It stands in the log, and whom it stops is stopped.
    Kept,
    /// Whom it would stop is not there; nothing was judged.
    NobodyToStop,
}
