//! Replies: files with how long they may be kept, and refusals in fixed words that tell about the caller only.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode};

use super::path::File;
use crate::authz::Reason;
use crate::door::SlotsError;
use crate::gate::GateError;

/// A reply with its body in one piece.
pub(super) type Reply = Response<Full<Bytes>>;

/// Why a request was not answered with a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// No such file of a journal that the caller may read, for whatever reason.
    #[error("there is no such file for you; check the name of the journal and the path")]
    NotFound,
    /// The caller is suspended.
    #[error("{}", .0.sentence())]
    Suspended(Reason),
    /// The certificate is nobody's.
    #[error(transparent)]
    Unknown(GateError),
    /// Another method than `GET` and `HEAD`.
    #[error("files are only read here; use `GET`")]
    Method,
    /// A request with a body.
    #[error("a request here has no body; leave it out")]
    Body,
    /// No room for another request.
    #[error(transparent)]
    Busy(#[from] SlotsError),
    /// The work took too long.
    #[error("nothing was answered in time; ask again")]
    Late,
    /// Something went wrong on our side.
    #[error("nothing was answered; ask again")]
    Failed(#[source] GateError),
}

impl From<GateError> for Refused {
    /// Whatever the rules refuse, and for whatever reason nothing is there, is one and the same to the caller;
    /// only its own standing is told.
    fn from(error: GateError) -> Self {
        match error {
            GateError::Refused(reason @ (Reason::PartnerSuspended | Reason::PersonSuspended)) => {
                Self::Suspended(reason)
            }
            GateError::Refused(_) | GateError::NotFound(_) => Self::NotFound,
            GateError::Unknown => Self::Unknown(GateError::Unknown),
            failed => Self::Failed(failed),
        }
    }
}

impl Refused {
    const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Suspended(_) | Self::Unknown(_) => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy(SlotsError::Domain) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy(SlotsError::All) | Self::Late | Self::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The refusal as it is sent.
    pub(super) fn reply(&self) -> Reply {
        let mut reply = sent(Bytes::from(format!("{self}\n")), TEXT, KEPT_NEVER);
        *reply.status_mut() = self.status();
        let headers = reply.headers_mut();
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            Self::Busy(_) | Self::Late | Self::Failed(_) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
            }
            _ => {}
        }
        reply
    }
}

/// A file as it is sent.
pub(super) fn file(file: File, content: Vec<u8>) -> Reply {
    let content = Bytes::from(content);
    match file {
        File::Checkpoint => sent(content, TEXT, KEPT_NEVER),
        // A partial one as well: of the hashes that it has, none ever changes.
        File::Tile(_) | File::Bundle(_) => sent(content, BYTES, KEPT_FOR_EVER),
    }
}

/// The reply to `method`: to `HEAD` without its body.
pub(super) fn to(method: &Method, reply: Reply) -> Reply {
    if *method == Method::HEAD { reply.map(|_| Full::default()) } else { reply }
}

fn sent(content: Bytes, kind: &'static str, kept: &'static str) -> Reply {
    let length = HeaderValue::from(content.len());
    let mut reply = Response::new(Full::new(content));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// C2SP tlog-tiles, `Checkpoints`.
const TEXT: &str = "text/plain; charset=utf-8";
/// C2SP tlog-tiles, `Merkle Tree` and `Log entries`.
const BYTES: &str = "application/octet-stream";
const KEPT_NEVER: &str = "no-store";
/// A year, the longest that caches heed (RFC 8246). `private`: what one caller may read another may not.
const KEPT_FOR_EVER: &str = "private, max-age=31536000, immutable";
/// Slots are free again within milliseconds; a second spares both sides.
const RETRY_AFTER_S: &str = "1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn what_is_not_there_and_what_is_not_the_callers_are_told_alike() {
        let alike = [
            GateError::NotFound("file"),
            GateError::Refused(Reason::NotYours),
            GateError::Refused(Reason::RoleNotAllowed),
            GateError::Refused(Reason::NotPermitted),
        ];
        for error in alike {
            let refused = Refused::from(error);
            assert_eq!(
                (refused.status(), refused.to_string()),
                (StatusCode::NOT_FOUND, Refused::NotFound.to_string())
            );
        }
    }

    #[test]
    fn only_the_callers_own_standing_is_told() {
        for reason in Reason::ALL {
            let told = Refused::from(GateError::Refused(*reason)).status() == StatusCode::FORBIDDEN;
            let due = matches!(reason, Reason::PartnerSuspended | Reason::PersonSuspended);
            assert_eq!(told, due, "{reason}");
        }
    }

    #[test]
    fn a_fault_of_ours_is_told_without_its_cause() {
        let reply = Refused::from(GateError::Store(StoreError::Stopped)).reply();
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.headers().get(RETRY_AFTER).unwrap(), "1");
        assert_eq!(reply.headers().get(CACHE_CONTROL).unwrap(), "no-store");
    }
}
