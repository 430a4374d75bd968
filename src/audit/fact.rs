//! The facts that an event can state, each with its tag, its name and the form of its bytes.
//!
//! Tags are kept in logs for decades: none is ever given to another fact, and no form changes.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};

macro_rules! facts {
    ($($tag:literal $variant:ident $name:literal $form:ident: $doc:literal;)*) => {
        /// A fact that an event can state beside its kind, time, actor and rules.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Fact {
            $(#[doc = $doc] $variant = $tag,)*
        }

        impl Fact {
            /// Every fact, by tag.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The tag in the log.
            #[must_use]
            pub const fn tag(self) -> u8 {
                match self { $(Self::$variant => $tag,)* }
            }

            /// The name that people read.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The form that its bytes must have.
            #[must_use]
            pub const fn form(self) -> Form {
                match self { $(Self::$variant => Form::$form,)* }
            }
        }
    };
}

facts! {
    16 Action "action" Text: "The call that led here, such as `partner.QueryService/AskQuery`.";
    17 Rule "rule" Text: "The rule that decided.";
    18 Reason "reason" Text: "Why it was done or refused.";
    19 Query "query" Id: "The query.";
    20 RequestId "request-id" Id: "The caller's own name for its request.";
    21 RequestDigest "request-digest" Digest: "The SHA-256 of the canonical request.";
    22 Agreement "agreement" Text: "The agreement it happened under.";
    23 Purpose "purpose" Text: "What the caller stated it is for.";
    24 Collection "collection" Text: "The collection that was searched or enrolled into.";
    25 Case "case" Text: "The partner's case reference.";
    26 Official "official" Text: "The partner's pseudonymous person behind it.";
    27 LegalBasis "legal-basis" Text: "The legal basis that the caller stated.";
    28 Urgency "urgency" Text: "How urgent the caller said it is.";
    29 Samples "samples" Count: "The number of samples in a query.";
    30 Outcome "outcome" Outcome: "The one bit that the partner was told.";
    31 Partner "partner" Text: "The partner concerned.";
    32 Subject "subject" Subject: "The subject that matched, or that it is about.";
    33 HiddenSubject "hidden-subject" Subject: "The subject that would have matched, had the partner been allowed to see it.";
    34 Disclosure "disclosure" Id: "The disclosure.";
    35 Fields "fields" Text: "Names of fields, separated by commas.";
    36 RequestSignature "request-signature" Bytes: "The partner's signature over the request's digest.";
    37 Decision "decision" Text: "The decision, as a word.";
    38 DecisionDigest "decision-digest" Digest: "The SHA-256 of the canonical decision.";
    39 Signature "signature" Bytes: "The signature over the decision's or the change's digest.";
    40 Officer "officer" Text: "The person who decided.";
    41 Role "role" Text: "The role in which somebody acted.";
    42 State "state" Text: "The state that followed.";
    43 CiphertextDigest "ciphertext-digest" Digest: "The SHA-256 of a release as it is fetched.";
    44 ReleaseKey "release-key" Digest: "The partner's key for releases, or its fingerprint: 32 bytes.";
    45 Field "field" Text: "The field that was looked at.";
    46 Restriction "restriction" Text: "The restriction that was given or lifted.";
    47 Batch "batch" Id: "The run of enrolment.";
    48 FirstRow "first-row" Number: "The first row of a chunk, counted from zero.";
    49 Rows "rows" Number: "The number of rows.";
    50 RowsAccepted "rows-accepted" Number: "The number of rows that were taken over.";
    51 RowsRejected "rows-rejected" Number: "The number of rows that were not.";
    52 ContentDigest "content-digest" Digest: "The digest of what was handed in.";
    53 Change "change" Id: "The change that takes two people.";
    54 ChangeDigest "change-digest" Digest: "The SHA-256 of the canonical change.";
    55 ChangeKind "change-kind" Text: "What kind of change it is.";
    56 Person "person" Text: "The person or system concerned.";
    57 Journal "journal" Text: "The journal concerned.";
    58 TreeSize "tree-size" Number: "The number of entries of that journal.";
    59 Root "root" Root: "The root of that journal's tree, as its checkpoint shows it.";
    60 RangeStart "range-start" Number: "The index of the first entry that was read.";
    61 RangeCount "range-count" Number: "The number of entries that were read.";
    62 Detail "detail" Text: "What else is to be said.";
    63 Version "version" Text: "A version of Onebit.";
    64 Host "host" Text: "The host that journals' origins begin with.";
    65 PublicKey "public-key" Digest: "SHA-256 of a public key (DER SubjectPublicKeyInfo).";
    66 People "people" Number: "A number of people and systems.";
    67 Restrictions "restrictions" Text: "Names of restrictions, separated by commas.";
    68 Origin "origin" Text: "The origin in a journal's checkpoints.";
    69 Class "class" Text: "The class that payloads are kept and disposed of by.";
    70 Before "before" Text: "A date: what is older is meant.";
    71 Entries "entries" Number: "A number of entries.";
    72 Totals "totals" Text: "Exact totals of what was disposed of.";
    73 OldPublicKey "old-public-key" Digest: "The raw Ed25519 public key that is replaced.";
    74 NewPublicKey "new-public-key" Digest: "The raw Ed25519 public key that replaces it.";
    75 Witnesses "witnesses" Text: "Names of witnesses, separated by commas.";
    76 Operation "operation" Text: "What was done to a key, as a word.";
    77 Key "key" Text: "A key of the holder, by its class and generation, or as a root by its name.";
    78 NewKey "new-key" Text: "The key that takes its place.";
    145 ReviewBy "review-by" Text: "When a review is due.";
    146 Finding "finding" Text: "What a review found, as a word.";
    148 OnBehalfOf "on-behalf-of" Text: "The officer in whose delegated seat it is done.";
    155 Issuer "issuer" Text: "The agency's OpenID provider.";
    156 Account "account" Digest: "SHA-256 of an account there: issuer, zero byte, subject.";
    157 Assurance "assurance" Text: "How the provider recognised the person, as it says.";
    180 Attribute "attribute" Text: "What the log was searched by.";
    181 Value "value" Text: "The value that was searched for.";
    182 Since "since" Text: "From which moment on, if from one.";
    183 Until "until" Text: "Before which moment, if before one.";
    190 SubjectRequest "subject-request" Id: "The request of a person for access or for a correction.";
    191 RequestKind "request-kind" Text: "What a person asks for, as a word.";
    192 Reference "reference" Text: "The holder's own reference of a person's request.";
    193 Received "received" Text: "The date on which a person's request came.";
    194 Due "due" Text: "When a person's request is due.";
    195 Withholding "withholding" Text: "What is withheld from a person: part, section and reason, one a line.";
    196 Grounds "grounds" Text: "The sections that a refusal rests on, separated by commas.";
    210 Breach "breach" Id: "The case about a breach of privacy.";
    211 BreachKind "breach-kind" Text: "What kind of breach it is, as a word.";
    212 Aware "aware" Text: "When the holder came to know of a breach.";
    213 FoundBy "found-by" Text: "Where a breach was found: an alert, or entries of the log, one a line.";
    214 Factors "factors" Text: "What was considered of the harm of a breach: factor and words, one a line.";
    215 Told "told" Text: "Who was told of a breach, as a word.";
    216 ToldAt "told-at" Text: "When somebody was told of a breach.";
    217 Scope "scope" Text: "What was looked through for whom a breach affects.";
    218 Affected "affected" Number: "A number of people whom a breach affects.";
    219 Recipients "recipients" Text: "Partners and people who received something, separated by commas.";
    220 OtherSubject "other-subject" Subject: "The subject that is the same person.";
    230 Qualities "qualities" Text: "The qualities of a query's samples, 0 to 100 or unknown, separated by commas.";
    231 Confirmation "confirmation" Text: "What a fresh sample said about a hit, as a word.";
}

/// The form of a fact's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// UTF-8 text.
    Text,
    /// A number, eight bytes, big-endian.
    Number,
    /// A small number, one byte.
    Count,
    /// An identifier, 16 bytes.
    Id,
    /// A subject's identifier, 16 bytes; all zero means nobody, so that both have the same size.
    Subject,
    /// A digest, 32 bytes, shown in hexadecimal.
    Digest,
    /// A root of a tree, 32 bytes, shown in base64 as in checkpoints.
    Root,
    /// One byte: 0 for no hit, 1 for a hit.
    Outcome,
    /// Bytes of any length, shown in base64.
    Bytes,
}

impl Form {
    /// What an error says was wanted.
    pub(super) const fn wanted(self) -> &'static str {
        match self {
            Self::Text => "UTF-8 text",
            Self::Number => "a number of 8 bytes",
            Self::Count => "a number of 1 byte",
            Self::Id | Self::Subject => "an identifier of 16 bytes",
            Self::Digest | Self::Root => "a digest of 32 bytes",
            Self::Outcome => "0 or 1 in one byte",
            Self::Bytes => "a sequence of bytes",
        }
    }

    /// Whether these bytes have the form.
    pub(super) fn accepts(self, value: &[u8]) -> bool {
        match self {
            Self::Text => std::str::from_utf8(value).is_ok(),
            Self::Number => value.len() == NUMBER_BYTES,
            Self::Count => value.len() == 1,
            Self::Id | Self::Subject => value.len() == ID_BYTES,
            Self::Digest | Self::Root => value.len() == DIGEST_BYTES,
            Self::Outcome => matches!(value, [NO_HIT | HIT]),
            Self::Bytes => true,
        }
    }

    /// The bytes as people read them; those that lack the form in hexadecimal.
    pub(super) fn shown(self, value: &[u8]) -> String {
        match (self, value) {
            (Self::Text, _) => std::str::from_utf8(value).map_or_else(|_| HEXLOWER.encode(value), shown_text),
            (Self::Number | Self::Count, _) => {
                number(value).map_or_else(|| HEXLOWER.encode(value), |number| number.to_string())
            }
            (Self::Subject, _) if value.iter().all(|byte| *byte == 0) => NOBODY.to_owned(),
            (Self::Outcome, [NO_HIT]) => "NO_HIT".to_owned(),
            (Self::Outcome, [HIT]) => "HIT".to_owned(),
            (Self::Root | Self::Bytes, _) => BASE64.encode(value),
            (Self::Id | Self::Subject | Self::Digest | Self::Outcome, _) => HEXLOWER.encode(value),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// The number in one byte or in eight.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    match value {
        [count] => Some(u64::from(*count)),
        _ => value.try_into().ok().map(u64::from_be_bytes),
    }
}

fn shown_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_turning(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Line separators, and marks that turn the direction of text (Unicode Standard Annex 9, section 2).
const fn is_turning(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const NOBODY: &str = "nobody";
const NO_HIT: u8 = 0;
const HIT: u8 = 1;
const NUMBER_BYTES: usize = 8;
const ID_BYTES: usize = 16;
const DIGEST_BYTES: usize = 32;
