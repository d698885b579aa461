//! A request's body on its way to the object layer: digests are made and compared, and the reason of a
//! failure is kept for the answer.
//!
//! Invariants: exactly one checksum is kept for a body; a body is acknowledged only when everything announced about it holds.

use super::{
    Protocol, base64,
    chunked::CHUNK_TOO_LARGE,
    digests::{self, Expected, Mismatch, Outcome, ReadTrailer, Wanted},
    error,
    memory::NO_MEMORY,
};
use crate::access::{
    blobs::{BlobError, BodyStream},
    objects::{
        ObjectsError,
        attributes::{Checksum, ChecksumKind, ChecksumScope},
        request::{Body, BodyDigests},
    },
};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use parking_lot::Mutex;
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders, dto::StreamingBlob};
use std::sync::Arc;

/// Longest reason kept of a body that failed.
const REASON_MAX_CHARS: usize = 200;

/// What a request says about its body.
#[derive(Default)]
pub struct Announced {
    /// Bytes.
    pub size: Option<u64>,
    /// Header `Content-MD5`.
    pub md5: Option<String>,
    /// Values of checksum headers.
    pub checksums: Vec<(ChecksumKind, String)>,
    /// The checksum to make where none is announced.
    pub algorithm: Option<ChecksumKind>,
    /// Trailers, when the body comes in chunks with some.
    pub trailers: Option<(ChecksumKind, TrailingHeaders)>,
    /// Whether the entity tag is to say nothing about the bytes: those of a customer's key, as at AWS.
    pub is_opaque: bool,
}

/// The checksum fields of an input, by kind.
macro_rules! announced_checksums {
    ($input:expr) => {
        [
            (ChecksumKind::Crc32, $input.checksum_crc32.take()),
            (ChecksumKind::Crc32c, $input.checksum_crc32c.take()),
            (ChecksumKind::Crc64Nvme, $input.checksum_crc64nvme.take()),
            (ChecksumKind::Sha1, $input.checksum_sha1.take()),
            (ChecksumKind::Sha256, $input.checksum_sha256.take()),
        ]
        .into_iter()
        .filter_map(|(kind, value)| value.map(|value| (kind, value)))
        .collect::<Vec<_>>()
    };
}
pub(super) use announced_checksums;

/// The trailing checksum a request announces.
pub fn trailer(headers: &HeaderMap, trailers: Option<TrailingHeaders>) -> Option<(ChecksumKind, TrailingHeaders)> {
    let named = headers.get("x-amz-trailer")?.to_str().ok()?;
    let kind = digests::ALGORITHMS.into_iter().find(|kind| named.eq_ignore_ascii_case(digests::header_of(*kind)))?;
    Some((kind, trailers?))
}

/// The one checksum that is announced in headers, decoded.
pub fn single(checksums: &[(ChecksumKind, String)]) -> S3Result<Option<(ChecksumKind, Vec<u8>)>> {
    match checksums {
        [] => Ok(None),
        [(kind, value)] => decoded(*kind, value).map(|value| Some((*kind, value))),
        _ => Err(error::refuse(
            S3ErrorCode::InvalidRequest,
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        )),
    }
}

/// The bytes of a checksum.
pub fn decoded(kind: ChecksumKind, value: &str) -> S3Result<Vec<u8>> {
    base64::decode(value).filter(|bytes| bytes.len() == digests::len_of(kind)).ok_or_else(|| {
        let message = format!("Value for {} header is invalid.", digests::header_of(kind));
        error::refuse(S3ErrorCode::InvalidRequest, message)
    })
}

/// Why a body failed, for the answer.
#[derive(Clone, Default)]
pub struct Failure(Arc<Mutex<Option<Reason>>>);

/// Code, status where the code has none of its own, and message of an answer.
type Reason = (S3ErrorCode, Option<StatusCode>, String);

impl Failure {
    fn set(&self, code: S3ErrorCode, status: Option<StatusCode>, message: String) {
        self.0.lock().get_or_insert((code, status, message));
    }

    /// The answer to a request that failed with `refused`: what is known of its body says more.
    pub fn refusal(&self, refused: ObjectsError) -> S3Error {
        match self.0.lock().take() {
            None => error::refusal(refused),
            Some((code, status, message)) => {
                let mut answer = error::refuse(code, message);
                if let Some(status) = status {
                    answer.set_status_code(status);
                }
                answer
            }
        }
    }
}

/// Makes a body of a request's stream.
pub fn body(
    protocol: &Protocol,
    key: &str,
    blob: Option<StreamingBlob>,
    announced: Announced,
) -> S3Result<(Body, Failure)> {
    let md5 = announced.md5.as_deref().map(md5_of).transpose()?;
    let checksum = single(&announced.checksums)?;
    let kind = match (&checksum, &announced.trailers) {
        (Some((kind, _)), _) | (None, Some((kind, _))) => Some(*kind),
        (None, None) => announced.algorithm,
    };
    let failure = Failure::default();
    let expected = Expected {
        md5,
        checksum: checksum.map(|(_, value)| value),
        trailer: announced.trailers.map(|(kind, trailers)| read_trailer(kind, trailers)),
    };
    let stream = match blob {
        Some(blob) => noted(blob, failure.clone()),
        None => stream::empty().boxed(),
    };
    let wanted = Wanted { md5: md5.is_some() || !announced.is_opaque, checksum: kind };
    let (stream, outcome) = digests::hashed(stream, wanted, expected, &protocol.workshop);
    let opaque = announced.is_opaque.then(|| random_tag(protocol));
    let (key, kept) = (key.to_owned(), failure.clone());
    let finish = move |_size: u64| async move { verdict(&key, &outcome, &kept, opaque) }.boxed();
    Ok((Body { size: announced.size, stream, finish: Box::new(finish) }, failure))
}

fn random_tag(protocol: &Protocol) -> [u8; 16] {
    let mut tag = [0; 16];
    protocol.node.rng.fill(&mut tag);
    tag
}

/// The digest of a header `Content-MD5`.
pub fn md5_of(header: &str) -> S3Result<[u8; 16]> {
    let bytes = base64::decode(header).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    bytes.ok_or_else(|| error::refuse(S3ErrorCode::InvalidDigest, "The Content-MD5 you specified was invalid."))
}

fn read_trailer(kind: ChecksumKind, trailers: TrailingHeaders) -> ReadTrailer {
    Box::new(move || {
        let name = digests::header_of(kind);
        let headers = trailers.take().unwrap_or_default();
        let value = headers.get(name).and_then(|value| value.to_str().ok()).ok_or(format!("{name} is missing"))?;
        let bytes = base64::decode(value.trim()).filter(|bytes| bytes.len() == digests::len_of(kind));
        bytes.map(Some).ok_or_else(|| format!("{name} is not a checksum"))
    })
}

/// What a body turned out to be; its tag is `opaque`, or its MD5.
fn verdict(
    key: &str,
    outcome: &Outcome,
    failure: &Failure,
    opaque: Option<[u8; 16]>,
) -> Result<BodyDigests, ObjectsError> {
    let refused = |reason: String| ObjectsError::InvalidArgument(format!("object `{key}`: {reason}"));
    match outcome.get() {
        Some(Ok(digests)) => {
            let keep = |(kind, value)| Checksum { kind, scope: ChecksumScope::FullObject, value };
            let md5 = opaque.or(digests.md5).ok_or_else(|| refused("no entity tag was made".to_owned()))?;
            Ok(BodyDigests { md5, checksums: digests.checksum.map(keep).into_iter().collect() })
        }
        Some(Err(mismatch)) => {
            let code = match mismatch {
                Mismatch::Md5 | Mismatch::Checksum(_) => S3ErrorCode::BadDigest,
                Mismatch::Trailer(_) => S3ErrorCode::InvalidRequest,
            };
            failure.set(code, None, mismatch.to_string());
            Err(refused(mismatch.to_string()))
        }
        None => Err(refused("the body did not end".to_owned())),
    }
}

/// What a body says whose sender was too slow.
pub const TOO_SLOW: &str = "RequestTimeout";

/// The refusal of a sender that was too slow.
pub fn too_slow() -> S3Error {
    let message = "Your socket connection to the server was not read from or written to within the timeout period.";
    error::refuse(S3ErrorCode::RequestTimeout, message)
}

/// The chunks of a body; why it broke off is noted.
fn noted(blob: StreamingBlob, failure: Failure) -> BodyStream {
    let mut offset = 0u64;
    let note = move |part: Result<Bytes, s3s::StdError>| match part {
        Ok(chunk) => {
            offset = offset.saturating_add(chunk.len() as u64);
            Ok(chunk)
        }
        Err(cause) => Err(broken(&failure, offset, &cause.to_string())),
    };
    blob.map(note).boxed()
}

/// The library tells its reasons as text alone.
fn broken(failure: &Failure, offset: u64, cause: &str) -> BlobError {
    let (code, message) = if cause.contains(NO_MEMORY) {
        (S3ErrorCode::SlowDown, "Please reduce your request rate.")
    } else if cause.contains(CHUNK_TOO_LARGE) {
        (S3ErrorCode::Custom("InvalidChunkSizeError".into()), "A signed chunk has at most 1 MiB.")
    } else if cause.contains(TOO_SLOW) {
        (S3ErrorCode::RequestTimeout, "The request body was sent too slowly.")
    } else if cause.contains("SignatureMismatch") {
        let message = "The request signature we calculated does not match the signature you provided.";
        (S3ErrorCode::SignatureDoesNotMatch, message)
    } else if cause.contains("Sha256Mismatch") {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        (S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()), message)
    } else if cause.contains("FormatError") || cause.contains("TooLarge") || cause.contains("TooMany") {
        (S3ErrorCode::InvalidRequest, "The chunks of the body do not have the form of aws-chunked.")
    } else {
        let message = "You did not provide the number of bytes specified by the Content-Length HTTP header.";
        (S3ErrorCode::IncompleteBody, message)
    };
    let status = match code {
        S3ErrorCode::SignatureDoesNotMatch => StatusCode::FORBIDDEN,
        S3ErrorCode::SlowDown => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    failure.set(code, Some(status), message.to_owned());
    BlobError::Body { offset, reason: cause.chars().take(REASON_MAX_CHARS).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_reason_of_a_broken_body_is_kept() {
        for (cause, code) in [
            ("the body cannot be read at byte 0: SlowDown: 512 B for all uploads are in use", "SlowDown"),
            ("the body cannot be read at byte 9: ChunkTooLarge: a signed chunk", "InvalidChunkSizeError"),
            ("UploadStreamError: Sha256Mismatch", "XAmzContentSHA256Mismatch"),
            ("AwsChunkedStreamError: SignatureMismatch", "SignatureDoesNotMatch"),
            ("AwsChunkedStreamError: FormatError", "InvalidRequest"),
            ("the body cannot be read at byte 5: RequestTimeout", "RequestTimeout"),
            ("connection closed before message completed", "IncompleteBody"),
        ] {
            let parts = stream::iter([Ok(Bytes::from_static(b"x")), Err(std::io::Error::other(cause))]);
            let failure = Failure::default();
            let mut body = noted(StreamingBlob::wrap(parts), failure.clone());
            assert!(body.next().await.unwrap().is_ok());
            assert!(matches!(body.next().await, Some(Err(BlobError::Body { offset: 1, .. }))));
            let refused = failure.refusal(ObjectsError::InvalidArgument("x".into()));
            assert_eq!(refused.code().as_str(), code);
        }
    }

    #[test]
    fn checksums_are_announced_once_and_in_form() {
        let crc = |value: &str| (ChecksumKind::Crc32, value.to_owned());
        assert_eq!(single(&[]).unwrap(), None);
        assert_eq!(single(&[crc("AAAAAA==")]).unwrap(), Some((ChecksumKind::Crc32, vec![0; 4])));
        assert!(single(&[crc("AAAA")]).is_err());
        assert!(single(&[crc("AAAAAA=="), (ChecksumKind::Sha1, String::new())]).is_err());
        assert_eq!(md5_of("x").unwrap_err().code(), &S3ErrorCode::InvalidDigest);
    }
}
