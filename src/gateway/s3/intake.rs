//! A request's body before the library reads it: senders that are too slow, memory, chunks that are too long, digests of documents.
//!
//! Owns which of these a body needs, and why one ended early. Must not know what requests mean. Invariants: only the time in which a sender
//! was waited for counts against it; a body that the library keeps whole has all its memory before its first byte is read.

use super::{
    access::query,
    chunked,
    digests::{self, Expected, Outcome, Wanted, Workshop},
    error, incoming,
    memory::{Budget, NO_MEMORY, Need},
    server::FORM_FILE_MAX_BYTES,
};
use crate::access::{
    blobs::{BlobError, BodyStream},
    objects::attributes::ChecksumKind,
};
use axum::{
    body::{Body, HttpBody},
    http::{HeaderMap, Method, Uri, header, request::Parts},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use s3s::{S3Error, S3ErrorCode};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// How long a sender may be silent.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Bytes a second a body must have on average once it was waited for longer than [`SILENCE_MAX`].
const RATE_MIN: u64 = 1 << 10;
/// Largest document of a request: the list of ten thousand parts with checksums fits.
pub const DOCUMENT_MAX_BYTES: u64 = 4 << 20;
/// Header that says how a body is signed.
pub const CONTENT_HASH: &str = "x-amz-content-sha256";
/// What its value begins with when the body comes in chunks.
const CHUNKS: &str = "STREAMING-";
/// Its value when they are not signed.
const UNSIGNED_CHUNKS: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
/// Queries that make a put of an object one of a document about it.
const OBJECT_DOCUMENTS: [&str; 4] = ["acl", "legal-hold", "retention", "tagging"];
/// Queries that make a request one about a document, whose body is that document.
const DOCUMENT_QUERIES: [&str; 19] = [
    "accelerate",
    "acl",
    "cors",
    "delete",
    "encryption",
    "legal-hold",
    "lifecycle",
    "logging",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "publicAccessBlock",
    "requestPayment",
    "retention",
    "tagging",
    "versioning",
    "website",
    "restore",
];

/// What became of a body that the library reads.
#[derive(Clone, Default)]
pub struct Watch {
    slow: Arc<Mutex<bool>>,
    without_memory: Arc<Mutex<bool>>,
    digests: Option<Outcome>,
}

impl Watch {
    /// Why a request was refused, where its body says more than the library.
    pub fn refusal(&self) -> Option<S3Error> {
        if *self.slow.lock() {
            return Some(incoming::too_slow());
        }
        if *self.without_memory.lock() {
            return Some(error::refuse(S3ErrorCode::SlowDown, "Please reduce your request rate."));
        }
        let mismatch = self.digests.as_ref()?.get()?.err()?;
        Some(error::refuse(S3ErrorCode::BadDigest, mismatch.to_string()))
    }
}

/// What bodies are taken in with.
pub struct Intake {
    budget: Budget,
    workshop: Workshop,
}

impl Intake {
    /// Within a budget of memory.
    pub fn new(budget: Budget, workshop: Workshop) -> Self {
        Self { budget, workshop }
    }

    /// The memory of bodies.
    #[cfg(test)]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The body of a request to an object, or to anything else.
    pub fn take(&self, head: &Parts, is_object: bool, body: Body) -> Result<(s3s::Body, Watch), S3Error> {
        let mut watch = Watch::default();
        if body.size_hint().exact() == Some(0) {
            // As a stream it would have no length any more, and the library refuses a signed request whose length it cannot know.
            return Ok((s3s::Body::empty(), watch));
        }
        let stream = patient(body, SILENCE_MAX, watch.slow.clone());
        let chunks = chunks_of(&head.headers);
        let is_put = is_object && head.method == Method::PUT;
        let passes = is_put && !OBJECT_DOCUMENTS.iter().any(|name| asks(&head.uri, name));
        let length = length_of(&head.headers);
        let need = match (passes, chunks) {
            (true, Some(most)) => Need::Chunks(most),
            (true, None) => Need::Passing(length),
            (false, _) => {
                let most = if is_form(&head.headers) { FORM_FILE_MAX_BYTES } else { DOCUMENT_MAX_BYTES };
                Need::Whole(length.unwrap_or(most).min(most))
            }
        };
        let full = watch.without_memory.clone();
        let stream = self.budget.bounded(stream, need).inspect(move |part| match part {
            Err(BlobError::Body { reason, .. }) if reason.starts_with(NO_MEMORY) => *full.lock() = true,
            _ => {}
        });
        let stream = stream.boxed();
        if let Some(most) = chunks.filter(|_| passes) {
            return Ok((incoming_body(chunked::bounded(stream, most)), watch));
        }
        let Some((kind, expected)) = document_digests(&head.method, &head.uri, &head.headers)? else {
            return Ok((incoming_body(stream), watch));
        };
        let wanted = Wanted { md5: expected.md5.is_some(), checksum: kind };
        let (hashed, outcome) = digests::hashed(stream, wanted, expected, &self.workshop);
        let verdict = outcome.clone();
        let last = stream::once(async move {
            match verdict.get() {
                Some(Err(mismatch)) => Some(Err(BlobError::Body { offset: 0, reason: mismatch.to_string() })),
                _ => None,
            }
        });
        watch.digests = Some(outcome);
        Ok((incoming_body(hashed.chain(last.filter_map(futures::future::ready)).boxed()), watch))
    }
}

/// A body that ends with an error when its sender is too slow, for those who read it without the library.
pub fn patiently(body: Body) -> Body {
    Body::from_stream(patient(body, SILENCE_MAX, Arc::default()))
}

/// The length a body is announced with.
pub fn length_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Longest chunk of a body that comes in chunks.
pub fn chunks_of(headers: &HeaderMap) -> Option<u64> {
    match headers.get(CONTENT_HASH)?.to_str().ok()? {
        UNSIGNED_CHUNKS => Some(chunked::CUT_BYTES),
        hash => hash.starts_with(CHUNKS).then_some(chunked::SIGNED_MAX_BYTES),
    }
}

/// Whether a body is a browser's form.
pub fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

/// Whether a request's body is a document.
pub fn is_document(method: &Method, uri: &Uri) -> bool {
    matches!(*method, Method::PUT | Method::POST) && DOCUMENT_QUERIES.iter().any(|name| asks(uri, name))
}

fn asks(uri: &Uri, name: &str) -> bool {
    uri.query().is_some() && query(uri, name).is_some()
}

fn incoming_body(stream: BodyStream) -> s3s::Body {
    s3s::Body::http_body_unsync(Body::from_stream(stream))
}

type DocumentDigests = (Option<ChecksumKind>, Expected);

/// The digests announced of a document, where the body is one.
fn document_digests(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Option<DocumentDigests>, S3Error> {
    if !is_document(method, uri) || chunks_of(headers).is_some() {
        return Ok(None);
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let announced: Vec<(ChecksumKind, String)> = digests::ALGORITHMS
        .into_iter()
        .filter_map(|kind| text(digests::header_of(kind)).map(|value| (kind, value)))
        .collect();
    let checksum = incoming::single(&announced)?;
    let md5 = text("content-md5").map(|value| incoming::md5_of(&value)).transpose()?;
    if checksum.is_none() && md5.is_none() {
        return Ok(None);
    }
    let (kind, checksum) = checksum.map_or((None, None), |(kind, value)| (Some(kind), Some(value)));
    Ok(Some((kind, Expected { md5, checksum, trailer: None })))
}

/// The chunks of a body, as long as its sender keeps sending.
fn patient(body: Body, silence: Duration, slow: Arc<Mutex<bool>>) -> BodyStream {
    struct State {
        chunks: axum::body::BodyDataStream,
        slow: Arc<Mutex<bool>>,
        waited: Duration,
        offset: u64,
        over: bool,
    }
    let state = State { chunks: body.into_data_stream(), slow, waited: Duration::ZERO, offset: 0, over: false };
    let next = move |mut state: State| async move {
        if state.over {
            return None;
        }
        let too_slow = |state: &State| {
            *state.slow.lock() = true;
            BlobError::Body { offset: state.offset, reason: incoming::TOO_SLOW.to_owned() }
        };
        let asked = Instant::now();
        let item = match timeout(silence, state.chunks.next()).await {
            Err(_) => Err(too_slow(&state)),
            Ok(None) => return None,
            Ok(Some(Err(cause))) => Err(BlobError::Body { offset: state.offset, reason: cause.to_string() }),
            Ok(Some(Ok(chunk))) => {
                state.offset = state.offset.saturating_add(chunk.len() as u64);
                // Never more for one read than a sender may be silent: the rest of the time nobody was waiting for it.
                state.waited += asked.elapsed().min(silence);
                let seconds = state.waited.as_secs();
                let crawls = seconds > silence.as_secs().max(1) && state.offset / seconds < RATE_MIN;
                if crawls { Err(too_slow(&state)) } else { Ok::<Bytes, BlobError>(chunk) }
            }
        };
        state.over = item.is_err();
        Some((item, state))
    };
    // Readers ask once more after the end.
    stream::unfold(state, next).fuse().boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;

    /// Lets the time of a test pass, which stands still otherwise.
    async fn wait_simulated(time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn slowly(every: Duration, bytes: usize, pieces: usize) -> Body {
        let pieces = stream::iter(0..pieces).then(move |_| async move {
            wait_simulated(every).await;
            Ok::<Bytes, std::io::Error>(vec![0; bytes].into())
        });
        Body::from_stream(pieces)
    }

    async fn taken(body: Body) -> (usize, bool) {
        let slow = Arc::new(Mutex::new(false));
        let mut body = patient(body, SILENCE_MAX, slow.clone());
        let mut got = 0;
        while let Ok(Some(chunk)) = body.try_next().await {
            got += chunk.len();
        }
        assert!(body.next().await.is_none());
        let watch = Watch { slow, ..Watch::default() };
        let refused = watch.refusal().is_some_and(|error| *error.code() == S3ErrorCode::RequestTimeout);
        (got, refused)
    }

    #[tokio::test(start_paused = true)]
    async fn senders_that_are_silent_or_crawl_are_cut_off() {
        let silent = stream::pending::<Result<Bytes, std::io::Error>>();
        let began = Instant::now();
        assert_eq!(taken(Body::from_stream(silent)).await, (0, true));
        assert_eq!(began.elapsed().as_secs(), SILENCE_MAX.as_secs());
        // 59 s between pieces of 2 KiB: 35 B a second.
        assert_eq!(taken(slowly(Duration::from_secs(59), 2 << 10, 9)).await, (2 << 10, true));
        // As slow as is allowed.
        assert_eq!(taken(slowly(Duration::from_secs(50), 60 << 10, 9)).await, (9 * (60 << 10), false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_is_not_blamed_for_a_slow_reader() {
        let slow = Arc::new(Mutex::new(false));
        let mut body = patient(slowly(Duration::ZERO, 100, 10), SILENCE_MAX, slow.clone());
        for _ in 0..10 {
            wait_simulated(Duration::from_secs(600)).await;
            assert_eq!(body.try_next().await.unwrap().unwrap().len(), 100);
        }
        assert!(body.try_next().await.unwrap().is_none());
        assert!(!*slow.lock());
    }

    #[test]
    fn only_documents_are_hashed_here() {
        let mut headers = HeaderMap::new();
        headers.insert("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==".parse().unwrap());
        let asked = |method, uri: &str| document_digests(&method, &uri.parse().unwrap(), &headers).unwrap().is_some();
        assert!(asked(Method::PUT, "/b?policy"));
        assert!(asked(Method::POST, "/b?delete"));
        assert!(asked(Method::PUT, "/b/k?tagging"));
        assert!(!asked(Method::PUT, "/b/k"));
        assert!(!asked(Method::POST, "/b/k?uploadId=1"));
        headers.insert("content-md5", "nonsense".parse().unwrap());
        assert!(document_digests(&Method::PUT, &"/b?policy".parse().unwrap(), &headers).is_err());
    }
}
