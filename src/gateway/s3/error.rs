//! Refusals of the object layer as S3 clients know them: code, status, message and headers.
//!
//! Invariant: one place maps every refusal; a client that repeats what it may repeat sees 503 or 500, never 4xx.

use super::time;
use crate::access::objects::{ObjectsError, VersionRef};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use s3s::{S3Error, S3ErrorCode, S3Result};

/// Codes the library has no name for.
const NO_PUBLIC_ACCESS_BLOCK: &str = "NoSuchPublicAccessBlockConfiguration";
const QUOTA_EXCEEDED: &str = "QuotaExceeded";
const INVALID_PART_NUMBER: &str = "InvalidPartNumber";

/// A refusal with a message of our own.
pub fn refuse(code: S3ErrorCode, message: impl Into<String>) -> S3Error {
    S3Error::with_message(code, message.into())
}

/// A refusal whose code the library does not name.
pub fn custom(code: &'static str, status: StatusCode, message: impl Into<String>) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message.into());
    error.set_status_code(status);
    error
}

/// The refusal of somebody who may not.
pub fn access_denied() -> S3Error {
    refuse(S3ErrorCode::AccessDenied, "Access Denied")
}

/// A field or header that makes no sense.
pub fn invalid_argument(message: impl Into<String>) -> S3Error {
    refuse(S3ErrorCode::InvalidArgument, message)
}

/// A document that makes no sense.
pub fn malformed_xml(message: impl Into<String>) -> S3Error {
    refuse(S3ErrorCode::MalformedXML, message)
}

/// An operation, or a form of one, that this service does not have.
pub fn not_implemented(message: impl Into<String>) -> S3Error {
    refuse(S3ErrorCode::NotImplemented, message)
}

/// The refusal a client gets for one of the object layer's.
#[expect(clippy::needless_pass_by_value, reason = "used as `map_err(refusal)`")]
pub fn refusal(error: ObjectsError) -> S3Error {
    use ObjectsError as E;
    use S3ErrorCode as C;
    if let Some(refused) = of_bucket(&error).or_else(|| of_upload(&error)).or_else(|| of_version(&error)) {
        return refused;
    }
    let text = error.to_string();
    match &error {
        E::InvalidTag { .. } => refuse(C::InvalidTag, text),
        E::DocumentTooLarge { .. } => refuse(C::EntityTooLarge, text),
        E::BadDigest { .. } => refuse(C::BadDigest, text),
        E::InvalidLock { .. } | E::CustomerKey { .. } => refuse(C::InvalidRequest, text),
        E::Quota { .. } => custom(QUOTA_EXCEEDED, StatusCode::FORBIDDEN, text),
        E::Account { .. } => refuse(C::AccountProblem, text),
        E::Moved { .. } | E::Unavailable { .. } => {
            tracing::debug!(%error, "a request is to be repeated");
            refuse(C::ServiceUnavailable, text)
        }
        E::Damaged { .. } => {
            tracing::error!(%error, "stored data does not make sense");
            refuse(C::InternalError, "We encountered an internal error. Please try again.")
        }
        _ => invalid_argument(text),
    }
}

fn of_bucket(error: &ObjectsError) -> Option<S3Error> {
    use ObjectsError as E;
    use S3ErrorCode as C;
    Some(match error {
        E::NoSuchBucket { .. } => refuse(C::NoSuchBucket, "The specified bucket does not exist"),
        E::BucketAlreadyExists { .. } => refuse(
            C::BucketAlreadyExists,
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.",
        ),
        E::BucketAlreadyOwnedByYou { .. } => refuse(
            C::BucketAlreadyOwnedByYou,
            "Your previous request to create the named bucket succeeded and you already own it.",
        ),
        E::BucketNotEmpty { .. } => refuse(C::BucketNotEmpty, "The bucket you tried to delete is not empty"),
        E::InvalidBucketName { .. } => refuse(C::InvalidBucketName, "The specified bucket is not valid."),
        E::TooManyBuckets { .. } => refuse(C::TooManyBuckets, error.to_string()),
        E::InvalidBucketState { .. } => refuse(C::InvalidBucketState, error.to_string()),
        E::NoSuchConfiguration { document, .. } => unset(document),
        _ => return None,
    })
}

fn of_upload(error: &ObjectsError) -> Option<S3Error> {
    use ObjectsError as E;
    use S3ErrorCode as C;
    Some(match error {
        E::NoSuchUpload { .. } | E::InvalidUploadId { .. } => refuse(
            C::NoSuchUpload,
            "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might have been aborted or completed.",
        ),
        E::InvalidPart { .. } => refuse(
            C::InvalidPart,
            "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
        ),
        E::InvalidPartOrder { .. } => refuse(
            C::InvalidPartOrder,
            "The list of parts was not in ascending order. The parts list must be specified in order by part number.",
        ),
        E::EntityTooSmall { .. } => {
            refuse(C::EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size")
        }
        E::EntityTooLarge { .. } => refuse(C::EntityTooLarge, "Your proposed upload exceeds the maximum allowed size"),
        E::TooManyParts { .. } => malformed_xml(error.to_string()),
        E::IncompleteBody { .. } => refuse(
            C::IncompleteBody,
            "You did not provide the number of bytes specified by the Content-Length HTTP header.",
        ),
        _ => return None,
    })
}

fn of_version(error: &ObjectsError) -> Option<S3Error> {
    use ObjectsError as E;
    use S3ErrorCode as C;
    Some(match error {
        E::NoSuchKey { .. } => refuse(C::NoSuchKey, "The specified key does not exist."),
        E::DeleteMarker { version, .. } => {
            with_marker(refuse(C::NoSuchKey, "The specified key does not exist."), version)
        }
        E::NoSuchVersion { .. } => refuse(C::NoSuchVersion, "The specified version does not exist."),
        E::InvalidVersionId { .. } => invalid_argument("Invalid version id specified"),
        E::PreconditionFailed { .. } => {
            refuse(C::PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
        }
        E::NotModified { .. } => refuse(C::NotModified, "Not Modified"),
        E::Conflict { .. } => refuse(
            C::ConditionalRequestConflict,
            "The conditional request cannot succeed due to a conflicting operation against this resource.",
        ),
        E::MethodNotAllowed { version, .. } => {
            let message = "The specified method is not allowed against this resource.";
            with_marker(refuse(C::MethodNotAllowed, message), version)
        }
        E::ObjectLocked { .. } => refuse(C::AccessDenied, "Access Denied because object protected by object lock."),
        E::NoSuchLock { .. } => {
            let message = "The specified object does not have a ObjectLock configuration";
            refuse(C::NoSuchObjectLockConfiguration, message)
        }
        E::KeyTooLong { .. } => refuse(C::KeyTooLongError, "Your key is too long"),
        E::MetadataTooLarge { .. } => {
            refuse(C::MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size")
        }
        E::InvalidRange { .. } => refuse(C::InvalidRange, "The requested range is not satisfiable"),
        _ => return None,
    })
}

/// The part a request names does not exist in the object.
pub fn no_such_part() -> S3Error {
    let message = "The requested partnumber is not satisfiable";
    custom(INVALID_PART_NUMBER, StatusCode::RANGE_NOT_SATISFIABLE, message)
}

/// A configuration that is not set, by the name of its document.
pub fn unset(document: &str) -> S3Error {
    use S3ErrorCode as C;
    match document {
        "CORS" => refuse(C::NoSuchCORSConfiguration, "The CORS configuration does not exist"),
        "policy" => refuse(C::NoSuchBucketPolicy, "The bucket policy does not exist"),
        "lifecycle" => refuse(C::NoSuchLifecycleConfiguration, "The lifecycle configuration does not exist"),
        "website" => {
            refuse(C::NoSuchWebsiteConfiguration, "The specified bucket does not have a website configuration")
        }
        "tagging" => refuse(C::NoSuchTagSet, "The TagSet does not exist"),
        "encryption" => {
            let code = C::ServerSideEncryptionConfigurationNotFoundError;
            let mut error = refuse(code, "The server side encryption configuration was not found");
            error.set_status_code(StatusCode::NOT_FOUND);
            error
        }
        "ownership controls" => {
            refuse(C::OwnershipControlsNotFoundError, "The bucket ownership controls were not found")
        }
        "public access block" => {
            custom(NO_PUBLIC_ACCESS_BLOCK, StatusCode::NOT_FOUND, "The public access block configuration was not found")
        }
        _ => {
            refuse(C::ObjectLockConfigurationNotFoundError, "Object Lock configuration does not exist for this bucket")
        }
    }
}

fn with_marker(mut error: S3Error, version: &VersionRef) -> S3Error {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-amz-delete-marker"), HeaderValue::from_static("true"));
    if let Ok(value) = HeaderValue::try_from(version.to_string()) {
        headers.insert(HeaderName::from_static("x-amz-version-id"), value);
    }
    error.set_headers(headers);
    error
}

/// `304 Not Modified` with the headers a cache needs.
pub fn not_modified(etag: &str, modified_ms: u64) -> S3Error {
    let mut error = refuse(S3ErrorCode::NotModified, "Not Modified");
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::try_from(format!("\"{etag}\"")) {
        headers.insert(axum::http::header::ETAG, value);
    }
    if let Ok(value) = HeaderValue::try_from(time::http_date(modified_ms)) {
        headers.insert(axum::http::header::LAST_MODIFIED, value);
    }
    error.set_headers(headers);
    error
}

/// Text of S3 as one of our types, or the refusal of that type.
pub fn parsed<T: std::str::FromStr<Err = ObjectsError>>(text: &str) -> S3Result<T> {
    text.parse().map_err(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(error: ObjectsError) -> (String, u16) {
        let refused = refusal(error);
        let status = refused.status_code().map_or(500, |status| status.as_u16());
        (refused.code().as_str().to_owned(), status)
    }

    #[test]
    fn codes_and_status_are_those_of_s3() {
        let key = || "k".to_owned();
        let bucket = || "bbb".parse().unwrap();
        for (error, code, status) in [
            (ObjectsError::NoSuchBucket { bucket: bucket() }, "NoSuchBucket", 404),
            (ObjectsError::BucketAlreadyExists { bucket: bucket() }, "BucketAlreadyExists", 409),
            (ObjectsError::NoSuchKey { key: key() }, "NoSuchKey", 404),
            (ObjectsError::DeleteMarker { key: key(), version: VersionRef::Null }, "NoSuchKey", 404),
            (ObjectsError::MethodNotAllowed { key: key(), version: VersionRef::Null }, "MethodNotAllowed", 405),
            (ObjectsError::NoSuchVersion { key: key(), version: VersionRef::Null }, "NoSuchVersion", 404),
            (ObjectsError::InvalidUploadId { text: "x".into() }, "NoSuchUpload", 404),
            (ObjectsError::PreconditionFailed { key: key(), condition: "If-Match".into() }, "PreconditionFailed", 412),
            (ObjectsError::NotModified { key: key() }, "NotModified", 304),
            (ObjectsError::Conflict { key: key() }, "ConditionalRequestConflict", 409),
            (ObjectsError::InvalidRange { key: key(), size: 1, asked: "5-".into() }, "InvalidRange", 416),
            (ObjectsError::Unavailable { reason: "x".into() }, "ServiceUnavailable", 503),
            (ObjectsError::Moved { bucket: bucket() }, "ServiceUnavailable", 503),
            (ObjectsError::Damaged { reason: "x".into() }, "InternalError", 500),
            (
                ObjectsError::NoSuchConfiguration { bucket: bucket(), document: "CORS".into() },
                "NoSuchCORSConfiguration",
                404,
            ),
            (ObjectsError::Quota { bucket: bucket(), what: "bytes".into(), asked: 2, max: 1 }, "QuotaExceeded", 403),
        ] {
            assert_eq!(seen(error), (code.to_owned(), status));
        }
        assert_eq!(no_such_part().status_code().unwrap().as_u16(), 416);
    }
}
