//! Refusals as users of object stores know them.
//!
//! Invariant: an error names bucket and key; that a condition did not hold is said only if no earlier attempt of the same request may be why.

use super::super::S3Error;
use object_store::Error;

/// Name of the store in errors.
pub const STORE: &str = "S3 bucket";

/// Codes of a key that is not known, or of a signature that is not its.
const UNAUTHENTICATED: [&str; 7] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "RequestTimeTooSkewed",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidToken",
    "Unauthorized",
];
/// Codes of what is not there.
const MISSING: [&str; 5] = ["NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NoSuchUpload", "NotFound"];

/// Why a request failed for good.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was said last.
    pub error: S3Error,
    /// Whether an earlier attempt may have been carried out all the same.
    pub was_lost: bool,
}

/// Under which condition something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Always,
    /// Nothing is there.
    Absent,
    /// It is still the version the writer knows.
    Unchanged,
}

/// An error of no kind that callers tell apart.
pub fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: STORE, source: source.into() }
}

/// The error of a request about `path`, which names bucket and key.
pub fn failed(path: &str, failure: Failure) -> Error {
    let error = failure.error;
    let S3Error::Refused { status, code, .. } = &error else { return generic(error) };
    let (status, code) = (*status, code.as_str());
    let (path, is_missing) = (path.to_owned(), MISSING.contains(&code));
    let source = |error: S3Error| error.into();
    match (status, code) {
        _ if UNAUTHENTICATED.contains(&code) => Error::Unauthenticated { path, source: source(error) },
        _ if is_missing => Error::NotFound { path, source: source(error) },
        // Full is not forbidden.
        (_, "QuotaExceeded") => generic(error),
        (401, _) => Error::Unauthenticated { path, source: source(error) },
        (403, _) | (_, "AccessDenied") => Error::PermissionDenied { path, source: source(error) },
        (404, _) => Error::NotFound { path, source: source(error) },
        (304, _) => Error::NotModified { path, source: source(error) },
        (412, _) | (_, "PreconditionFailed") => Error::Precondition { path, source: source(error) },
        (501, _) | (_, "NotImplemented") => Error::NotSupported { source: source(error) },
        _ => generic(error),
    }
}

/// The error of a write under a condition.
pub fn write_failed(path: &str, when: When, failure: Failure) -> Error {
    let is_unmet = is_unmet(&failure.error) || (when == When::Unchanged && failure.error.code() == "NoSuchKey");
    match when {
        When::Absent | When::Unchanged if is_unmet && failure.was_lost => {
            let outcome =
                "an attempt was not answered and then the condition did not hold: whether it was written is unknown";
            generic(format!("{outcome} ({path}: {})", failure.error))
        }
        When::Absent if is_unmet => Error::AlreadyExists { path: path.to_owned(), source: failure.error.into() },
        When::Unchanged if is_unmet => Error::Precondition { path: path.to_owned(), source: failure.error.into() },
        _ => failed(path, failure),
    }
}

/// Whether the server says that a condition does not hold.
pub fn is_unmet(error: &S3Error) -> bool {
    matches!(error, S3Error::Refused { status, code, .. } if *status == 412 || code == "PreconditionFailed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> S3Error {
        S3Error::Refused { what: "GET of `b/k`".into(), status, code: code.into(), message: "no".into() }
    }

    fn failure(status: u16, code: &str, was_lost: bool) -> Failure {
        Failure { error: refused(status, code), was_lost }
    }

    /// The variant's name.
    fn kind(error: &Error) -> String {
        format!("{error:?}").split([' ', '{', '(']).next().unwrap_or_default().to_owned()
    }

    #[test]
    fn refusals_are_those_of_object_stores() {
        for (status, code, expected) in [
            (404, "NoSuchKey", "NotFound"),
            (404, "NoSuchBucket", "NotFound"),
            (404, "NotFound", "NotFound"),
            (200, "NoSuchUpload", "NotFound"),
            (403, "AccessDenied", "PermissionDenied"),
            (200, "AccessDenied", "PermissionDenied"),
            (403, "Forbidden", "PermissionDenied"),
            (403, "QuotaExceeded", "Generic"),
            (403, "InvalidAccessKeyId", "Unauthenticated"),
            (403, "SignatureDoesNotMatch", "Unauthenticated"),
            (401, "Other", "Unauthenticated"),
            (304, "NotModified", "NotModified"),
            (412, "PreconditionFailed", "Precondition"),
            (501, "NotImplemented", "NotSupported"),
            (416, "InvalidRange", "Generic"),
            (503, "SlowDown", "Generic"),
        ] {
            let error = failed("b/k", failure(status, code, false));
            assert_eq!(kind(&error), expected, "{status} {code}");
            assert!(error.to_string().contains("b/k"), "{error}");
        }
    }

    #[test]
    fn a_condition_that_does_not_hold_is_told_by_its_kind() {
        let unmet = || failure(412, "PreconditionFailed", false);
        assert_eq!(kind(&write_failed("b/k", When::Absent, unmet())), "AlreadyExists");
        assert_eq!(kind(&write_failed("b/k", When::Unchanged, unmet())), "Precondition");
        assert_eq!(kind(&write_failed("b/k", When::Always, unmet())), "Precondition");
        assert_eq!(kind(&write_failed("b/k", When::Unchanged, failure(404, "NoSuchKey", false))), "Precondition");
        assert_eq!(kind(&write_failed("b/k", When::Unchanged, failure(404, "NoSuchBucket", false))), "NotFound");
        for when in [When::Absent, When::Unchanged] {
            let error = write_failed("b/k", when, failure(412, "PreconditionFailed", true));
            assert!(kind(&error) == "Generic" && error.to_string().contains("unknown"), "{error}");
        }
    }
}
