//! A status as people read it: what the server said, in words, with what to do next.

use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// A call that the server refused, with the details of its google.rpc.Status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The gRPC code, such as `PERMISSION_DENIED`.
    pub code: &'static str,
    /// The reason of the ErrorInfo, such as `PURPOSE_NOT_IN_AGREEMENT`; empty when there is none.
    pub reason: String,
    /// What the server says.
    pub message: String,
    /// Fields of the request that are not in their form, each with what is wrong with it.
    pub violations: Vec<(String, String)>,
    /// How long to wait before asking again, where asking again can help.
    pub retry_after: Option<Duration>,
    /// Where more is said: what stands there, and its address.
    pub help: Vec<(String, String)>,
}

impl Refused {
    /// Reads a status and its details.
    #[must_use]
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let mut violations: Vec<(String, String)> = details
            .bad_request()
            .map(|bad| {
                bad.field_violations.iter().map(|it| (it.field.clone(), it.description.clone())).collect()
            })
            .unwrap_or_default();
        if let Some(failure) = details.precondition_failure() {
            violations
                .extend(failure.violations.iter().map(|it| (it.subject.clone(), it.description.clone())));
        }
        Self {
            code: code_name(status.code()),
            reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            violations,
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            help: details
                .help()
                .map(|help| {
                    help.links.iter().map(|link| (link.description.clone(), link.url.clone())).collect()
                })
                .unwrap_or_default(),
        }
    }

    /// The refusal of an item in a stream, which has no status of its own.
    #[must_use]
    pub fn from_item(code: i32, reason: &str, message: &str) -> Self {
        Self {
            code: code_name(Code::from_i32(code)),
            reason: reason.to_owned(),
            message: message.to_owned(),
            violations: Vec::new(),
            retry_after: None,
            help: Vec::new(),
        }
    }
}

impl fmt::Display for Refused {
    /// One line with code, reason and message, then an indented line for each detail.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.as_str() {
            "" => write!(out, "refused ({}): {}", self.code, self.message)?,
            reason => write!(out, "refused ({}, {reason}): {}", self.code, self.message)?,
        }
        for (field, what) in &self.violations {
            write!(out, "\n  {field}: {what}")?;
        }
        if let Some(wait) = self.retry_after {
            write!(out, "\n  ask again in {} s", wait.as_millis().div_ceil(1_000))?;
        }
        for (what, url) in &self.help {
            write!(out, "\n  {what}: {url}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// The name of a code as it stands in the gRPC specification.
#[must_use]
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn details_come_out_in_words() {
        let mut details = ErrorDetails::new();
        details
            .set_error_info("FIELD_INVALID", "onebit", [])
            .add_bad_request_violation("question.samples[0].embedding.values", "has 3 components; send 256")
            .set_retry_info(Some(Duration::from_millis(1_500)))
            .add_help_link("what each status means", "https://example.org/status-codes.md");
        let status =
            Status::with_error_details(Code::InvalidArgument, "a sample is not in its form", details);
        let refused = Refused::from_status(&status);
        assert_eq!(
            refused.to_string(),
            "refused (INVALID_ARGUMENT, FIELD_INVALID): a sample is not in its form\n  \
             question.samples[0].embedding.values: has 3 components; send 256\n  ask again in 2 s\n  \
             what each status means: https://example.org/status-codes.md"
        );
    }

    #[test]
    fn a_bare_status_needs_no_details() {
        let refused = Refused::from_status(&Status::not_found("no such disclosure"));
        assert_eq!(refused.to_string(), "refused (NOT_FOUND): no such disclosure");
    }
}
