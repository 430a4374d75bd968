//! Tags and pseudonyms: keyed hashes that let the store find a value without holding it.
//!
//! BLAKE3 in keyed mode (BLAKE3 paper, section 2.3), a pseudorandom function: without the key, a tag tells
//! nothing about its value, not even to somebody who can guess every value. With the table in hand one still
//! sees which rows have equal values; that is what a search needs and all that it shows.

use std::fmt;

use data_encoding::HEXLOWER;

use crate::ids::Digest;
use crate::secret::Secret;

/// What a tag stands for. Equal values in two domains have unrelated tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Domain {
    /// A partner's case reference.
    Case,
    /// A partner's pseudonymous person behind a query.
    Official,
    /// The caller's own name for a request.
    RequestId,
    /// The content of a request, to notice another one under the same name.
    Request,
    /// A source system's own id for a subject.
    Source,
    /// A partner.
    Partner,
    /// A query.
    Query,
    /// A disclosure.
    Disclosure,
    /// A purpose.
    Purpose,
    /// A kind of entry.
    Kind,
    /// A person or a system that acts.
    Actor,
    /// A subject.
    Subject,
    /// A collection.
    Collection,
    /// An agreement.
    Agreement,
    /// A restriction.
    Restriction,
    /// A batch of enrolment.
    Batch,
    /// A change that two people make.
    Change,
    /// A session of somebody who signed in.
    Session,
    /// The legal basis that a partner names.
    LegalBasis,
}

impl Domain {
    /// Every domain, in the order of their declaration.
    pub const ALL: [Self; 19] = [
        Self::Case,
        Self::Official,
        Self::RequestId,
        Self::Request,
        Self::Source,
        Self::Partner,
        Self::Query,
        Self::Disclosure,
        Self::Purpose,
        Self::Kind,
        Self::Actor,
        Self::Subject,
        Self::Collection,
        Self::Agreement,
        Self::Restriction,
        Self::Batch,
        Self::Change,
        Self::Session,
        Self::LegalBasis,
    ];

    /// The name that is hashed. Never change one: stored tags would not be found any more.
    const fn name(self) -> &'static str {
        match self {
            Self::Case => "case",
            Self::Official => "official",
            Self::RequestId => "request-id",
            Self::Request => "request",
            Self::Source => "source",
            Self::Partner => "partner",
            Self::Query => "query",
            Self::Disclosure => "disclosure",
            Self::Purpose => "purpose",
            Self::Kind => "kind",
            Self::Actor => "actor",
            Self::Subject => "subject",
            Self::Collection => "collection",
            Self::Agreement => "agreement",
            Self::Restriction => "restriction",
            Self::Batch => "batch",
            Self::Change => "change",
            Self::Session => "session",
            Self::LegalBasis => "legal-basis",
        }
    }
}

/// A 128-bit keyed tag of a value, for a searchable column.
///
/// 128 bits: among 2^40 values of one domain, any two share a tag with a chance below 2^-48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag([u8; TAG_BYTES]);

impl Tag {
    /// The tag with these bytes, as a row holds them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; TAG_BYTES]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the tag.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; TAG_BYTES] {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// The key of the searchable tags.
pub struct TagKey(Secret<KEY_BYTES>);

impl TagKey {
    /// The tag key with these bytes.
    #[must_use]
    pub const fn new(bytes: Secret<KEY_BYTES>) -> Self {
        Self(bytes)
    }

    /// The tag of a value in a domain: keyed BLAKE3 of name, 0x00, value; its first 16 bytes.
    #[must_use]
    pub fn tag(&self, domain: Domain, value: &[u8]) -> Tag {
        Tag(first_bytes(&self.digest(domain, value)))
    }

    /// The tag of several values together, such as a case of a partner: name, 0x01, then each value after its
    /// length (u64 big-endian). Never equal to the tag of one value.
    #[must_use]
    pub fn tag_of(&self, domain: Domain, values: &[&[u8]]) -> Tag {
        let mut hasher = blake3::Hasher::new_keyed(self.0.expose());
        hasher.update(domain.name().as_bytes()).update(&[1]);
        update_with_lengths(&mut hasher, values);
        Tag(first_bytes(&Digest::from_bytes(hasher.finalize().into())))
    }

    /// All 256 bits of what [`TagKey::tag`] shortens, for comparing contents.
    #[must_use]
    pub fn digest(&self, domain: Domain, value: &[u8]) -> Digest {
        let mut hasher = blake3::Hasher::new_keyed(self.0.expose());
        hasher.update(domain.name().as_bytes()).update(&[0]).update(value);
        Digest::from_bytes(hasher.finalize().into())
    }
}

/// The keyed pseudonym of a source system's own id for a person: enrolling the same person again finds it,
/// and nobody without the key learns the id. The subject id, not this, is the common identifier in the sense
/// of ISO/IEC 24745 that joins template and record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym([u8; PSEUDONYM_BYTES]);

impl Pseudonym {
    /// The pseudonym with these bytes, as a row holds them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; PSEUDONYM_BYTES]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the pseudonym.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; PSEUDONYM_BYTES] {
        &self.0
    }
}

/// The key of the pseudonyms. It is not the tags' key, so that it can stay behind when tags are renewed.
pub struct PseudonymKey(Secret<KEY_BYTES>);

impl PseudonymKey {
    /// The pseudonym key with these bytes.
    #[must_use]
    pub const fn new(bytes: Secret<KEY_BYTES>) -> Self {
        Self(bytes)
    }

    /// The pseudonym of the id that `source` (the name of a source system) gave to a person.
    #[must_use]
    pub fn pseudonym(&self, source: &str, id: &[u8]) -> Pseudonym {
        let mut hasher = blake3::Hasher::new_keyed(self.0.expose());
        hasher.update(PSEUDONYM_DOMAIN);
        update_with_lengths(&mut hasher, &[source.as_bytes(), id]);
        Pseudonym(hasher.finalize().into())
    }
}

fn update_with_lengths(hasher: &mut blake3::Hasher, values: &[&[u8]]) {
    for value in values {
        // Lossless: no value in memory is longer than u64 can say.
        let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
        hasher.update(&length.to_be_bytes()).update(value);
    }
}

fn first_bytes(digest: &Digest) -> [u8; TAG_BYTES] {
    let mut out = [0; TAG_BYTES];
    for (to, from) in out.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    out
}

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const PSEUDONYM_BYTES: usize = 32;
const PSEUDONYM_DOMAIN: &[u8] = b"onebit/pseudonym/v1\0";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn key() -> TagKey {
        TagKey::new(Secret::take(&mut [3; 32]))
    }

    #[test]
    fn equal_values_have_unrelated_tags_in_each_domain_and_key() {
        let other = TagKey::new(Secret::take(&mut [4; 32]));
        let tags: HashSet<Tag> = Domain::ALL
            .into_iter()
            .flat_map(|domain| {
                [key().tag(domain, b"x"), key().tag_of(domain, &[b"x"]), other.tag(domain, b"x")]
            })
            .collect();
        assert_eq!(tags.len(), 3 * Domain::ALL.len(), "two domains share a name, or the key is not used");
        assert_eq!(key().tag(Domain::Case, b"x"), key().tag(Domain::Case, b"x"));
    }

    #[test]
    fn stored_tags_are_found_after_an_upgrade() {
        let tag = key().tag(Domain::Case, b"AU-2026-17");
        let case = key().tag_of(Domain::Case, &[b"au-border", b"AU-2026-17"]);
        let pseudonym = PseudonymKey::new(Secret::take(&mut [3; 32])).pseudonym("registry", b"4711");
        assert_eq!(tag.to_string(), GOLDEN_TAG, "tags of stored rows must never change");
        assert_eq!(case.to_string(), GOLDEN_TAG_OF, "tags of stored rows must never change");
        assert_eq!(HEXLOWER.encode(pseudonym.as_bytes()), GOLDEN_PSEUDONYM, "pseudonyms must never change");
    }

    #[test]
    fn sources_do_not_share_pseudonyms() {
        let key = PseudonymKey::new(Secret::take(&mut [3; 32]));
        let pseudonyms = [("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", "")]
            .map(|(s, id)| key.pseudonym(s, id.as_bytes()));
        assert_eq!(HashSet::from(pseudonyms).len(), 4);
    }

    proptest! {
        #[test]
        fn joined_values_keep_their_bounds(
            one in proptest::collection::vec(proptest::collection::vec(0..2u8, 0..3), 0..3),
            two in proptest::collection::vec(proptest::collection::vec(0..2u8, 0..3), 0..3),
        ) {
            let tag = |values: &[Vec<u8>]| {
                key().tag_of(Domain::Case, &values.iter().map(Vec::as_slice).collect::<Vec<_>>())
            };
            prop_assert_eq!(one == two, tag(&one) == tag(&two));
        }
    }

    const GOLDEN_TAG: &str = "7b4f6d53bf0880b817501c2ca6b21cb9";
    const GOLDEN_TAG_OF: &str = "099d407e9e028dd084d3c34caa1a6f90";
    const GOLDEN_PSEUDONYM: &str = "9e218801dc0551fe64141057d90f57a15eb94303c844924ef1232d2a3847695b";
}
