//! Searches of the log: one attribute, one value, a range of time.

use std::fmt;

use crate::audit::event::{Event, Kind};
use crate::clock::Timestamp;
use crate::ids::{
    ActorName, AgreementName, DisclosureId, IdError, PartnerName, PurposeName, QueryId, RequestId,
};
use crate::keys::{Domain, Tag, TagKey};

use super::Journal;

macro_rules! attributes {
    ($($variant:ident $name:literal: $doc:literal;)*) => {
        /// What entries of the log can be searched by.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Attribute {
            $(#[doc = $doc] $variant,)*
        }

        impl Attribute {
            /// Every attribute, in the order that people are shown.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, as entries and commands have it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The attribute of this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

attributes! {
    Case "case": "A partner's case reference.";
    Official "official": "A partner's pseudonymous person behind a query or a disclosure.";
    Officer "officer": "A person or system that acted, or that was acted upon.";
    Partner "partner": "A partner.";
    Agreement "agreement": "An agreement.";
    Purpose "purpose": "A purpose.";
    Query "query": "A query.";
    Disclosure "disclosure": "A disclosure.";
    Request "request": "A partner's own name for its request.";
    Kind "kind": "A kind of entry.";
    Index "index": "A journal and the index of an entry in it.";
}

impl fmt::Display for Attribute {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A value that no entry can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SoughtError {
    /// A name or an identifier that is not in its form.
    #[error(transparent)]
    Id(#[from] IdError),
    /// No such kind.
    #[error("`{0}` is no kind of entry; docs/audit-log.md lists them, such as `query.answered`")]
    Kind(String),
    /// No place of an entry.
    #[error("`{0}` is no place of an entry; write the journal and the index, such as `au-border/41`")]
    Index(String),
    /// Empty or too long.
    #[error("the value has {0} characters; use 1 to {VALUE_MAX_CHARS}")]
    Length(usize),
    /// A range that ends before it begins.
    #[error("the range of time ends before it begins; exchange its ends")]
    Range,
}

/// What is searched for. The value is in the one form that entries have it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    attribute: Attribute,
    value: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Sought {
    /// What is searched for, by an attribute and its value, from one moment on and before another.
    ///
    /// # Errors
    /// [`SoughtError`] when no entry can have this value.
    pub fn new(
        attribute: Attribute,
        value: &str,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Self, SoughtError> {
        let value = value.trim();
        let length = value.chars().count();
        if !(1..=VALUE_MAX_CHARS).contains(&length) {
            return Err(SoughtError::Length(length));
        }
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err(SoughtError::Range);
        }
        Ok(Self { attribute, value: attribute.form(value)?, since, until })
    }

    /// By what.
    #[must_use]
    pub const fn attribute(&self) -> Attribute {
        self.attribute
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The first moment of the range.
    #[must_use]
    pub const fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// The first moment behind the range.
    #[must_use]
    pub const fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Whether a moment is in the range.
    #[must_use]
    pub fn covers(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// The tag of the value; `None` for the place of an entry, which has none.
    pub(super) fn tag(&self, key: &TagKey) -> Option<Tag> {
        let id = |bytes: Option<[u8; 16]>, domain| Some(key.tag(domain, &bytes?));
        let text = |domain| Some(key.tag(domain, self.value.as_bytes()));
        match self.attribute {
            Attribute::Partner => text(Domain::Partner),
            Attribute::Agreement => text(Domain::Agreement),
            Attribute::Purpose => text(Domain::Purpose),
            Attribute::Case => text(Domain::Case),
            Attribute::Official => text(Domain::Official),
            Attribute::Officer => text(Domain::Actor),
            Attribute::Kind => text(Domain::Kind),
            Attribute::Request => {
                id(self.value.parse::<RequestId>().ok().map(|id| *id.as_bytes()), Domain::RequestId)
            }
            Attribute::Disclosure => {
                id(self.value.parse::<DisclosureId>().ok().map(|id| *id.as_bytes()), Domain::Disclosure)
            }
            Attribute::Query => {
                id(self.value.parse::<QueryId>().ok().map(|id| *id.as_bytes()), Domain::Query)
            }
            Attribute::Index => None,
        }
    }

    /// The place that is searched for, if it is one.
    pub(super) fn place(&self) -> Option<(Journal, u64)> {
        (self.attribute == Attribute::Index).then(|| place(&self.value)).flatten()
    }
}

impl Attribute {
    /// A value as entries have it.
    fn form(self, value: &str) -> Result<String, SoughtError> {
        let bare = |collection: &str| {
            value.strip_prefix(collection).and_then(|rest| rest.strip_prefix('/')).unwrap_or(value)
        };
        Ok(match self {
            Self::Case | Self::Official => value.to_owned(),
            Self::Officer => value.parse::<ActorName>()?.to_string(),
            Self::Partner => bare("partners").parse::<PartnerName>()?.to_string(),
            Self::Agreement => bare("agreements").parse::<AgreementName>()?.to_string(),
            Self::Purpose => value.parse::<PurposeName>()?.to_string(),
            Self::Query => bare(QueryId::COLLECTION).parse::<QueryId>()?.to_string(),
            Self::Disclosure => bare(DisclosureId::COLLECTION).parse::<DisclosureId>()?.to_string(),
            // Callers write it with hyphens, entries without.
            Self::Request => match RequestId::parse_uuid(value) {
                Ok(id) => id.to_string(),
                Err(_) => value.parse::<RequestId>()?.to_string(),
            },
            Self::Kind => match Kind::ALL.iter().find(|kind| kind.name() == value) {
                Some(kind) => kind.name().to_owned(),
                None => return Err(SoughtError::Kind(value.to_owned())),
            },
            Self::Index => match place(bare("journals")) {
                Some((journal, index)) => format!("{journal}/{index}"),
                None => return Err(SoughtError::Index(value.to_owned())),
            },
        })
    }
}

fn place(value: &str) -> Option<(Journal, u64)> {
    let (journal, index) = value.split_once('/')?;
    let digits = index.bytes().all(|byte| byte.is_ascii_digit());
    Some((Journal::parse(journal).ok()?, index.parse().ok().filter(|_| digits)?))
}

/// A search of the log by a privacy officer.
#[derive(Debug, Clone)]
pub struct Search {
    /// For what.
    pub sought: Sought,
    /// Only what stands before this place; everything without it.
    pub before: Option<u64>,
    /// How many entries at most. None: the search is kept, and shows nothing.
    pub limit: u32,
    /// Why.
    pub why: String,
}

/// What a search came to.
pub struct Searched {
    /// The index of the entry about the search, in the holder's journal: by it the search is found again.
    pub entry: u64,
    /// The entries, the newest first.
    pub found: Vec<FoundEntry>,
}

/// An entry that was found, opened on the holder's side.
pub struct FoundEntry {
    /// Its place in the order in which all entries were written, whatever their journal.
    pub place: u64,
    /// The journal.
    pub journal: Journal,
    /// The index in the journal, from zero.
    pub index: u64,
    /// When it was entered.
    pub at: Timestamp,
    /// What the holder's side says.
    pub event: Event,
}

/// What was written after a place.
pub struct Followed {
    /// Entries that can still be opened, the oldest first.
    pub entries: Vec<FoundEntry>,
    /// The place of the last one that was looked at; `None` when nothing was written.
    pub last: Option<u64>,
}

/// Longer than any case reference or name that entries have.
const VALUE_MAX_CHARS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn value(attribute: Attribute, text: &str) -> Result<String, SoughtError> {
        Sought::new(attribute, text, None, None).map(|sought| sought.value().to_owned())
    }

    #[test]
    fn names_of_attributes_lead_back_to_them() {
        for attribute in Attribute::ALL {
            assert_eq!(Attribute::from_name(attribute.name()), Some(*attribute));
        }
        assert_eq!(Attribute::from_name("subject"), None, "people are not searched by here");
    }

    #[test]
    fn a_value_is_brought_to_the_form_that_entries_have() {
        let id = "0123456789abcdef0123456789abcdef";
        for (attribute, text, wanted) in [
            (Attribute::Case, " C-2026-17 ", "C-2026-17"),
            (Attribute::Partner, "partners/au-border", "au-border"),
            (Attribute::Query, "queries/0123456789abcdef0123456789abcdef", id),
            (Attribute::Disclosure, id, id),
            (Attribute::Request, "01234567-89AB-CDEF-0123-456789abcdef", id),
            (Attribute::Kind, "query.answered", "query.answered"),
            (Attribute::Index, "journals/au-border/41", "au-border/41"),
        ] {
            assert_eq!(value(attribute, text).as_deref(), Ok(wanted), "{attribute}");
        }
    }

    #[test]
    fn what_no_entry_can_have_is_refused_with_what_to_write() {
        for (attribute, text, says) in [
            (Attribute::Partner, "AU", "is not a name"),
            (Attribute::Query, "17", "is not an identifier"),
            (Attribute::Kind, "query", "no kind of entry"),
            (Attribute::Index, "au-border/+1", "no place of an entry"),
            (Attribute::Index, "41", "no place of an entry"),
            (Attribute::Case, "  ", "0 characters"),
        ] {
            let told = value(attribute, text).unwrap_err().to_string();
            assert!(told.contains(says), "{attribute} `{text}`: {told}");
        }
        let [late, early] = [9, 3].map(Timestamp::from_millis);
        let turned = Sought::new(Attribute::Case, "C-1", Some(late), Some(early));
        assert_eq!(turned, Err(SoughtError::Range));
    }
}
