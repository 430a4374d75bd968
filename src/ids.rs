//! Names and identifiers: what things are called on the wire, in the store and in the log.
//!
//! Names (`PartnerName`, `PurposeName`, …) are chosen by people and stand in files of `policy/`;
//! identifiers (`QueryId`, `SubjectId`, …) are 128 random bits, so that no partner can join what it sees
//! with what another sees, or read a volume out of them.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;

/// A name or an identifier that is not in its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A name with characters or a length that names do not have.
    #[error(
        "`{0}` is not a name; use 2 to 63 characters from a-z, 0-9 and `-`, starting with a letter and not ending with `-`"
    )]
    Name(String),
    /// An identifier that is not 32 lowercase hexadecimal digits.
    #[error("`{0}` is not an identifier; use 32 lowercase hexadecimal digits as they were given to you")]
    Id(String),
    /// A digest that is not 64 lowercase hexadecimal digits.
    #[error("`{0}` is not a digest; use 64 lowercase hexadecimal digits")]
    Digest(String),
    /// A resource name that does not start with its collection.
    #[error("`{given}` is not a resource name of the form `{collection}/…`")]
    Resource {
        /// What the caller sent.
        given: String,
        /// The collection the name should start with.
        collection: &'static str,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// Parses a name: 2 to 63 characters from `a-z`, `0-9` and `-`.
            ///
            /// # Errors
            /// [`IdError::Name`] when `text` has another form.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                if is_name(text) { Ok(Self(text.to_owned())) } else { Err(IdError::Name(shortened(text))) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

macro_rules! id {
    ($(#[$doc:meta])* $type:ident, $collection:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type([u8; ID_BYTES]);

        impl $type {
            /// The collection in resource names: `collection/identifier`.
            pub const COLLECTION: &'static str = $collection;

            /// The identifier with these bytes; a new one takes them from `secret::random_bytes`.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes of the identifier.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
                &self.0
            }

            /// The resource name, `collection/identifier`.
            #[must_use]
            pub fn resource(&self) -> String {
                format!("{}/{self}", $collection)
            }

            /// Parses a resource name, `collection/identifier`.
            ///
            /// # Errors
            /// [`IdError::Resource`] for another collection, [`IdError::Id`] for another form.
            pub fn parse_resource(text: &str) -> Result<Self, IdError> {
                match text.split_once('/') {
                    Some(($collection, id)) => id.parse(),
                    _ => Err(IdError::Resource { given: shortened(text), collection: $collection }),
                }
            }
        }

        impl FromStr for $type {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                HEXLOWER
                    .decode(text.as_bytes())
                    .ok()
                    .and_then(|bytes| bytes.try_into().ok())
                    .map(Self)
                    .ok_or_else(|| IdError::Id(shortened(text)))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&HEXLOWER.encode(&self.0))
            }
        }
    };
}

name!(
    /// An agency, with its unit, that asks.
    PartnerName
);
name!(
    /// A natural person or a system that holds a credential.
    ActorName
);
name!(
    /// A unit of the holder, such as an office or a branch.
    UnitName
);
name!(
    /// A witness of the holder's journal, as the policy folder names it.
    WitnessName
);
name!(
    /// The templates of one scheme that are searched together.
    CollectionName
);
name!(
    /// How templates were made and are compared.
    SchemeName
);
name!(
    /// The legal instrument between holder and partner.
    AgreementName
);
name!(
    /// What a query or a disclosure is for, as its agreement names it.
    PurposeName
);
name!(
    /// A biographic field of a record.
    FieldName
);
name!(
    /// A reason for which a subject is hidden from partners.
    RestrictionName
);

id!(
    /// A person in the gallery.
    SubjectId,
    "subjects"
);
id!(
    /// A template of a subject in a collection.
    TemplateId,
    "templates"
);
id!(
    /// One question about one person.
    QueryId,
    "queries"
);
id!(
    /// A request for named fields after a hit.
    DisclosureId,
    "disclosures"
);
id!(
    /// A run of enrolment that can be taken up again.
    BatchId,
    "batches"
);
id!(
    /// A change of promise 9: proposed by one, confirmed by another.
    ChangeId,
    "changes"
);
id!(
    /// A request of a person for access to what is held of them, or for its correction.
    SubjectRequestId,
    "subject-requests"
);
id!(
    /// A case about a breach of privacy.
    BreachId,
    "breaches"
);
id!(
    /// The caller's own name for a request, an RFC 9562 UUID: promise 12.
    RequestId,
    "requests"
);

impl RequestId {
    /// Parses a UUID in its hyphenated form, as callers send it.
    ///
    /// # Errors
    /// [`IdError::Id`] when it has another form or is the nil UUID.
    pub fn parse_uuid(text: &str) -> Result<Self, IdError> {
        let refused = || IdError::Id(shortened(text));
        let groups: Vec<&str> = text.split('-').collect();
        if groups.iter().map(|group| group.len()).ne(UUID_GROUPS) {
            return Err(refused());
        }
        let id: Self = groups.concat().to_ascii_lowercase().parse().map_err(|_| refused())?;
        if id.0 == [0; ID_BYTES] { Err(refused()) } else { Ok(id) }
    }
}

/// A 256-bit digest of something named beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; DIGEST_BYTES]);

impl Digest {
    /// The digest with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; DIGEST_BYTES]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }

    /// SHA-256 of `bytes` (FIPS 180-4): for all that others verify with tools of their own.
    #[must_use]
    pub fn sha256(bytes: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        let mut out = [0; DIGEST_BYTES];
        for (to, from) in out.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(out)
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        HEXLOWER
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| IdError::Digest(shortened(text)))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&HEXLOWER.encode(&self.0))
    }
}

fn is_name(text: &str) -> bool {
    (NAME_MIN_CHARS..=NAME_MAX_CHARS).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// What an error may repeat of its input: enough to find it, not enough to flood a log.
fn shortened(text: &str) -> String {
    text.chars().take(NAME_MAX_CHARS).collect()
}

/// 128 bits: a guess among 2^40 live identifiers succeeds once in 2^88 tries.
/// The most that an id of a person in a source system has.
pub const SOURCE_ID_MAX_CHARS: usize = 256;
const ID_BYTES: usize = 16;
const DIGEST_BYTES: usize = 32;
const NAME_MIN_CHARS: usize = 2;
/// The length of a DNS label (RFC 1035, section 2.3.4), so that names can stand in host names and URIs.
const NAME_MAX_CHARS: usize = 63;
/// RFC 9562, section 4.
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        for good in ["nz", "au-border", "a1"] {
            assert_eq!(PartnerName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a", "A1", "1a", "a-", "a b", "a/b", "é1", &"a".repeat(64)] {
            assert!(PartnerName::parse(bad).is_err(), "`{bad}` should have been refused");
        }
    }

    #[test]
    fn resource_names_go_there_and_back() {
        let id = QueryId::from_bytes([7; 16]);
        assert_eq!(QueryId::parse_resource(&id.resource()), Ok(id));
        assert!(QueryId::parse_resource(&DisclosureId::from_bytes([7; 16]).resource()).is_err());
    }

    #[test]
    fn request_ids_are_uuids() {
        assert!(RequestId::parse_uuid("0b7c8a52-6e1f-4b0e-9a44-0a1c2d3e4f50").is_ok());
        assert!(RequestId::parse_uuid("00000000-0000-0000-0000-000000000000").is_err());
        assert!(RequestId::parse_uuid("0b7c8a526e1f4b0e9a440a1c2d3e4f50").is_err());
    }
}
