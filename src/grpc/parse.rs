//! From messages to types: every field is read here into something that can't be wrong, or refused with its name.

use std::str::FromStr;

use prost_types::Timestamp as SentTime;
use zeroize::Zeroizing;

use super::change_form::FormFault;
use super::timestamp::timestamp_from_pb;
use crate::clock::Timestamp;
use crate::ids::{
    AgreementName, BatchId, ChangeId, CollectionName, Digest, DisclosureId, IdError, QueryId, RequestId,
    SOURCE_ID_MAX_CHARS,
};
use crate::store::Journal;
use crate::template::{Quality, QualityScore, Sample};

/// A bare name, such as a purpose's or a field's.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or not in its form.
pub(super) fn name<T: FromStr<Err = IdError>>(field: &str, text: &str) -> Result<T, FormFault> {
    present(field, text)?.parse().map_err(|error: IdError| FormFault::new(field, error.to_string()))
}

/// Bare names, in the order they were sent.
///
/// # Errors
/// [`FormFault`] of the first that is not in its form.
pub(super) fn names<T: FromStr<Err = IdError>>(field: &str, texts: &[String]) -> Result<Vec<T>, FormFault> {
    texts.iter().enumerate().map(|(place, text)| name(&format!("{field}[{place}]"), text)).collect()
}

/// `collections/{collection}`.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or not in its form.
pub(super) fn collection(field: &str, text: &str) -> Result<CollectionName, FormFault> {
    name(field, inside(field, text, COLLECTIONS)?)
}

/// `agreements/{agreement}`; `None` where none is named.
///
/// # Errors
/// [`FormFault`] of `field` when it is not in its form.
pub(super) fn agreement(field: &str, text: &str) -> Result<Option<AgreementName>, FormFault> {
    match text {
        "" => Ok(None),
        text => name(field, inside(field, text, AGREEMENTS)?).map(Some),
    }
}

/// What may be left out: `None` where nothing is sent.
///
/// # Errors
/// Those of reading it.
pub(super) fn left_out<T>(
    text: &str,
    read: impl FnOnce(&str) -> Result<T, FormFault>,
) -> Result<Option<T>, FormFault> {
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

/// `journals/{journal}`.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or not in its form.
pub(super) fn journal(field: &str, text: &str) -> Result<Journal, FormFault> {
    let name = present(field, inside(field, text, JOURNALS)?)?;
    Journal::parse(name).map_err(|error| FormFault::new(field, error.to_string()))
}

/// `queries/{query}`.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or not in its form.
pub(super) fn query(field: &str, text: &str) -> Result<QueryId, FormFault> {
    resource(field, text, QueryId::parse_resource)
}

/// `disclosures/{disclosure}`.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or not in its form.
pub(super) fn disclosure(field: &str, text: &str) -> Result<DisclosureId, FormFault> {
    resource(field, text, DisclosureId::parse_resource)
}

/// `batches/{batch}`.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or not in its form.
pub(super) fn batch(field: &str, text: &str) -> Result<BatchId, FormFault> {
    resource(field, text, BatchId::parse_resource)
}

/// `changes/{change}`.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or not in its form.
pub(super) fn change(field: &str, text: &str) -> Result<ChangeId, FormFault> {
    resource(field, text, ChangeId::parse_resource)
}

/// The caller's own UUID.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or no UUID (RFC 9562), or the nil one.
pub(super) fn request_id(field: &str, text: &str) -> Result<RequestId, FormFault> {
    RequestId::parse_uuid(present(field, text)?).map_err(|_| {
        FormFault::new(
            field,
            "is not a UUID; send 32 hexadecimal digits in groups of 8-4-4-4-12, not all zero",
        )
    })
}

/// A moment.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or outside the years 1 to 9999.
pub(super) fn moment(field: &str, sent: Option<&SentTime>) -> Result<Timestamp, FormFault> {
    let sent = sent.ok_or_else(|| FormFault::new(field, MISSING))?;
    let refused = || FormFault::new(field, "is not a time of the years 1 to 9999; send the present one");
    if !(SECONDS_MIN..=SECONDS_MAX).contains(&sent.seconds) {
        return Err(refused());
    }
    timestamp_from_pb(sent).ok_or_else(refused)
}

/// A SHA-256.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or has another length.
pub(super) fn digest(field: &str, sent: &[u8]) -> Result<Digest, FormFault> {
    bytes_32(field, sent).map(Digest::from_bytes)
}

/// 32 bytes: a digest or a key.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or has another length.
pub(super) fn bytes_32(field: &str, sent: &[u8]) -> Result<[u8; 32], FormFault> {
    match sent.len() {
        0 => Err(FormFault::new(field, MISSING)),
        length => sent.try_into().map_err(|_| FormFault::new(field, format!("has {length} bytes; send 32"))),
    }
}

/// A value of an enum; the unspecified one is for `specified` to turn into `None`.
///
/// # Errors
/// [`FormFault`] of `field` when it is unspecified or unknown.
pub(super) fn choice<E: TryFrom<i32>, T>(
    field: &str,
    sent: i32,
    specified: impl FnOnce(E) -> Option<T>,
) -> Result<T, FormFault> {
    let known = E::try_from(sent)
        .map_err(|_| FormFault::new(field, "is a value that is not known here; see the schema"))?;
    specified(known).ok_or_else(|| FormFault::new(field, "is unspecified; say which"))
}

/// The source system's id of a person.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or longer than any that is enrolled.
pub(super) fn source_id<'a>(field: &str, sent: &'a str) -> Result<&'a str, FormFault> {
    match present(field, sent)?.chars().count() {
        1..=SOURCE_ID_MAX_CHARS => Ok(sent),
        length => {
            Err(FormFault::new(field, format!("has {length} characters; send 1 to {SOURCE_ID_MAX_CHARS}")))
        }
    }
}

/// A number that is not zero.
///
/// # Errors
/// [`FormFault`] of `field` when it is.
pub(super) fn at_least_one(field: &str, sent: u64) -> Result<u64, FormFault> {
    if sent == 0 { Err(FormFault::new(field, "is zero or missing; send one at least")) } else { Ok(sent) }
}

/// What the oneof of a message must hold.
///
/// # Errors
/// [`FormFault`] of `field` when it holds nothing.
pub(super) fn held<T>(field: &str, held: Option<T>) -> Result<T, FormFault> {
    held.ok_or_else(|| FormFault::new(field, MISSING))
}

/// A signature.
///
/// # Errors
/// [`FormFault`] of `field` when it is empty or longer than any signature that is taken.
pub(super) fn signature(field: &str, sent: Vec<u8>) -> Result<Vec<u8>, FormFault> {
    match sent.len() {
        0 => Err(FormFault::new(field, MISSING)),
        1..=SIGNATURE_MAX_BYTES => Ok(sent),
        length => {
            Err(FormFault::new(field, format!("has {length} bytes; send at most {SIGNATURE_MAX_BYTES}")))
        }
    }
}

/// A sample of its parts. The components are wiped whatever comes of it.
///
/// # Errors
/// [`FormFault`] of `field` when the quality is above 100.
pub(super) fn sample(
    field: &str,
    mut values: Zeroizing<Vec<f32>>,
    quality: Option<u32>,
) -> Result<Sample, FormFault> {
    let quality = match quality {
        None => Quality::Unknown,
        Some(score) => Quality::Score(
            QualityScore::new(score)
                .map_err(|_| FormFault::new(field, format!("is {score}; send 0 to 100, or none")))?,
        ),
    };
    // The buffer moves; no second copy of it is made.
    Ok(Sample::embedding(std::mem::take(&mut *values), quality))
}

fn resource<T>(
    field: &str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, IdError>,
) -> Result<T, FormFault> {
    parse(present(field, text)?).map_err(|error| FormFault::new(field, error.to_string()))
}

/// What follows the collection in a resource name.
fn inside<'a>(field: &str, text: &'a str, collection: &str) -> Result<&'a str, FormFault> {
    present(field, text)?.strip_prefix(collection).ok_or_else(|| {
        FormFault::new(field, format!("does not begin with `{collection}`; write the whole name"))
    })
}

fn present<'a>(field: &str, text: &'a str) -> Result<&'a str, FormFault> {
    if text.is_empty() { Err(FormFault::new(field, MISSING)) } else { Ok(text) }
}

/// The collection of agreements in resource names.
pub(super) const AGREEMENTS: &str = "agreements/";
/// The collection of collections in resource names.
pub(super) const COLLECTIONS: &str = "collections/";
/// The collection of journals in resource names.
pub(super) const JOURNALS: &str = "journals/";
/// The collection of schemes in resource names.
pub(super) const SCHEMES: &str = "schemes/";
const MISSING: &str = "is missing; give it";
/// ASN.1 around two integers of P-256 is 72 bytes at most, Ed25519 is 64; more is another kind of signature.
const SIGNATURE_MAX_BYTES: usize = 128;
/// 0001-01-01T00:00:00Z, the first second of google.protobuf.Timestamp.
const SECONDS_MIN: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z, its last one.
const SECONDS_MAX: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::PurposeName;

    fn why<T>(result: Result<T, FormFault>) -> String {
        result.err().map_or_else(|| "it was taken".to_owned(), |fault| fault.what)
    }

    #[test]
    fn resource_names_need_their_collection() {
        assert_eq!(collection("c", "collections/watch-face").unwrap().as_str(), "watch-face");
        for bad in
            ["", "watch-face", "agreements/watch-face", "collections/", "collections/A", "/collections/aa"]
        {
            assert!(collection("c", bad).is_err(), "`{bad}` should have been refused");
        }
        let id = DisclosureId::from_bytes([3; 16]);
        assert_eq!(disclosure("name", &id.resource()).unwrap(), id);
        assert!(disclosure("name", &QueryId::from_bytes([3; 16]).resource()).is_err());
        assert_eq!(why(query("query", "")), MISSING);
        assert_eq!(journal("journal", "journals/holder").unwrap(), Journal::Holder);
        assert!(journal("journal", "journals/").is_err());
    }

    #[test]
    fn an_agreement_may_be_left_out_but_not_misspelt() {
        assert_eq!(agreement("a", "").unwrap(), None);
        assert!(agreement("a", "agreements/au-border-identity").unwrap().is_some());
        assert!(agreement("a", "au-border-identity").is_err());
    }

    #[test]
    fn faults_of_a_list_name_the_place() {
        let fault = names::<PurposeName>("fields", &["given-name".to_owned(), "No".to_owned()]).unwrap_err();
        assert_eq!(fault.field, "fields[1]");
    }

    #[test]
    fn moments_lie_in_the_range_of_the_schema() {
        let sent = |seconds, nanos| SentTime { seconds, nanos };
        assert_eq!(moment("t", Some(&sent(1, 5_000_000))).unwrap(), Timestamp::from_millis(1_005));
        for bad in [sent(SECONDS_MIN - 1, 0), sent(SECONDS_MAX + 1, 0), sent(0, -1), sent(0, 1_000_000_000)] {
            assert!(
                moment("t", Some(&bad)).is_err(),
                "{} s and {} ns should have been refused",
                bad.seconds,
                bad.nanos
            );
        }
        assert_eq!(why(moment("t", None)), MISSING);
    }

    #[test]
    fn digests_have_32_bytes() {
        assert!(digest("d", &[1; 32]).is_ok());
        assert_eq!(why(digest("d", &[])), MISSING);
        assert_eq!(why(digest("d", &[1; 31])), "has 31 bytes; send 32");
    }

    #[test]
    fn qualities_end_at_100() {
        let values = || Zeroizing::new(vec![1.0]);
        assert!(sample("q", values(), None).is_ok());
        assert!(sample("q", values(), Some(100)).is_ok());
        assert!(sample("q", values(), Some(101)).is_err());
        assert!(sample("q", values(), Some(255)).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_sent_parses_or_is_refused_with_its_field(text in ".{0,80}", seconds: i64, nanos: i32) {
            for fault in [
                collection("the-field", &text).err(),
                agreement("the-field", &text).err(),
                journal("the-field", &text).err(),
                disclosure("the-field", &text).err(),
                request_id("the-field", &text).err(),
                name::<PurposeName>("the-field", &text).err(),
                moment("the-field", Some(&SentTime { seconds, nanos })).err(),
            ].into_iter().flatten() {
                prop_assert_eq!(fault.field, "the-field");
                prop_assert!(!fault.what.is_empty());
            }
        }

        #[test]
        fn request_ids_are_read_in_either_case(bytes in prop::array::uniform16(1_u8..)) {
            let uuid = uuid::Uuid::from_bytes(bytes).to_string();
            let id = RequestId::from_bytes(bytes);
            prop_assert_eq!(request_id("r", &uuid).unwrap(), id);
            prop_assert_eq!(request_id("r", &uuid.to_ascii_uppercase()).unwrap(), id);
        }
    }
}
