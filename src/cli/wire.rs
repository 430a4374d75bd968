//! What crosses the wire, as people write and read it.

use std::future::Future;

use data_encoding::{BASE64, HEXLOWER};
use uuid::Uuid;

use super::fault::CliError;
use crate::grpc::timestamp::timestamp_from_pb;
use crate::ids::{Digest, RequestId};

/// Runs a subcommand that calls a server.
///
/// # Errors
/// Those of the subcommand, and [`CliError::Because`] when the runtime can't be started.
pub fn calling<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::because("the network can't be used", error))?
        .block_on(work)
}

/// A resource name: as it was given, or with its collection put before it.
#[must_use]
pub fn resource(collection: &str, given: &str) -> String {
    match given.split_once('/') {
        Some((prefix, _)) if prefix == collection => given.to_owned(),
        _ => format!("{collection}/{given}"),
    }
}

/// The last part of a resource name.
#[must_use]
pub fn last_part(resource: &str) -> &str {
    resource.rsplit('/').next().unwrap_or(resource)
}

/// A time as people read it; `-` when there is none.
#[must_use]
pub fn moment(sent: Option<&prost_types::Timestamp>) -> String {
    sent.and_then(timestamp_from_pb).map_or_else(|| "-".to_owned(), |instant| instant.to_string())
}

/// The request id that was given, or a new one, as a UUID.
///
/// # Errors
/// [`CliError::Usage`] when what was given is no UUID.
pub fn request_id(given: Option<&str>) -> Result<String, CliError> {
    let text = given.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    RequestId::parse_uuid(&text)
        .map_err(|error| CliError::Usage(format!("--request-id: {error}, as a UUID")))?;
    Ok(text)
}

/// Bytes in base64.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The bytes of base64.
///
/// # Errors
/// [`CliError::Found`], naming `what` it is.
pub fn from_base64(what: &str, text: &str) -> Result<Vec<u8>, CliError> {
    BASE64
        .decode(text.as_bytes())
        .map_err(|_| CliError::Found(format!("{what} is not base64; give the file unchanged")))
}

/// Bytes in lowercase hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// A digest that the server sent.
///
/// # Errors
/// [`CliError::Client`] when it has not 32 bytes, naming `what` it is.
pub fn digest(what: &'static str, bytes: &[u8]) -> Result<Digest, CliError> {
    bytes.try_into().map(Digest::from_bytes).map_err(|_| CliError::incomplete(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_with_and_without_their_collection() {
        assert_eq!(resource("queries", "ab"), "queries/ab");
        assert_eq!(resource("queries", "queries/ab"), "queries/ab");
        assert_eq!((last_part("people/mere"), last_part("mere")), ("mere", "mere"));
    }

    #[test]
    fn request_ids_are_uuids() {
        assert!(request_id(None).is_ok());
        assert!(matches!(request_id(Some("7")), Err(CliError::Usage(_))));
    }
}
