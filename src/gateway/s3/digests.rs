//! Digests of a body while it streams: MD5 and checksums on the compute threads, beside the path of the bytes.
//!
//! Owns the order of a body's chunks on their way through the hashers, and the comparison with what the client announced. Must not
//! know where the bytes go. Invariants: chunks are hashed in order; at most [`BEHIND_MAX_BYTES`] and one chunk wait to be hashed,
//! then the body waits too; the outcome is there when the body has ended, and not before; MD5 is made only where somebody sees it.

use super::etag::{Md5, Md5s};
use crate::{
    access::{
        blobs::{BlobError, BodyStream},
        objects::attributes::ChecksumKind,
    },
    runtime::CpuPool,
};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture};
use parking_lot::Mutex;
use s3s::{checksum::ChecksumHasher, crypto::Checksum as _};
use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// Bytes that may wait for the hashers before the body waits for them.
const BEHIND_MAX_BYTES: usize = 2 << 20;
/// Bytes a job of the compute threads is worth starting for; smaller ends are hashed on the spot.
pub const JOB_MIN_BYTES: usize = 64 << 10;

/// All checksums, in the order of their preference.
pub const ALGORITHMS: [ChecksumKind; 5] =
    [ChecksumKind::Crc32, ChecksumKind::Crc32c, ChecksumKind::Crc64Nvme, ChecksumKind::Sha1, ChecksumKind::Sha256];

/// Name in headers and documents.
pub const fn name_of(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::Crc32 => "CRC32",
        ChecksumKind::Crc32c => "CRC32C",
        ChecksumKind::Crc64Nvme => "CRC64NVME",
        ChecksumKind::Sha1 => "SHA1",
        ChecksumKind::Sha256 => "SHA256",
    }
}

/// The header, or trailer, that carries its value.
pub const fn header_of(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::Crc32 => "x-amz-checksum-crc32",
        ChecksumKind::Crc32c => "x-amz-checksum-crc32c",
        ChecksumKind::Crc64Nvme => "x-amz-checksum-crc64nvme",
        ChecksumKind::Sha1 => "x-amz-checksum-sha1",
        ChecksumKind::Sha256 => "x-amz-checksum-sha256",
    }
}

/// From its name, in either case.
pub fn kind_of(name: &str) -> Option<ChecksumKind> {
    ALGORITHMS.into_iter().find(|kind| name_of(*kind).eq_ignore_ascii_case(name))
}

/// Bytes of a value.
pub const fn len_of(kind: ChecksumKind) -> usize {
    match kind {
        ChecksumKind::Crc32 | ChecksumKind::Crc32c => 4,
        ChecksumKind::Crc64Nvme => 8,
        ChecksumKind::Sha1 => 20,
        ChecksumKind::Sha256 => 32,
    }
}

/// What a finished body hashed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// MD5, where it was wanted.
    pub md5: Option<[u8; 16]>,
    /// The checksum, where one was wanted.
    pub checksum: Option<(ChecksumKind, Vec<u8>)>,
}

/// Gives a checksum that comes after its body.
pub type ReadTrailer = Box<dyn FnOnce() -> Result<Option<Vec<u8>>, String> + Send>;

/// What a body must hash to.
#[derive(Default)]
pub struct Expected {
    /// Header `Content-MD5`.
    pub md5: Option<[u8; 16]>,
    /// A checksum header.
    pub checksum: Option<Vec<u8>>,
    /// Gives the checksum that came after the body, once that was read.
    pub trailer: Option<ReadTrailer>,
}

/// How a body failed its comparison.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// `Content-MD5`.
    #[error("The Content-MD5 you specified did not match what we received.")]
    Md5,
    /// A checksum.
    #[error("The {0} you specified did not match the calculated checksum.")]
    Checksum(&'static str),
    /// The trailer that was announced is missing or not a checksum.
    #[error("The trailing checksum is not usable: {0}")]
    Trailer(String),
}

/// Where digests are made. Cheap to clone.
#[derive(Clone)]
pub struct Workshop {
    pool: CpuPool,
    md5s: Md5s,
}

impl Workshop {
    /// On the threads of `pool`.
    pub fn new(pool: CpuPool) -> Self {
        Self { md5s: Md5s::new(pool.clone()), pool }
    }

    /// Hashes chunks, MD5 and the checksum beside each other.
    async fn update(&self, hashers: Hashers, chunks: Vec<Bytes>) -> Hashers {
        let Hashers { md5, checksum } = hashers;
        let tag = async {
            match md5 {
                Some(md5) => Some(self.md5s.update(md5, chunks.clone()).await),
                None => None,
            }
        };
        let sum = async {
            let mut checksum = checksum?;
            let chunks = chunks.clone();
            let hash = move || {
                chunks.iter().for_each(|chunk| checksum.update(chunk));
                checksum
            };
            Some(self.pool.run(hash).await)
        };
        let (md5, checksum) = futures::join!(tag, sum);
        Hashers { md5, checksum }
    }
}

/// The hashers of a body.
struct Hashers {
    md5: Option<Md5>,
    checksum: Option<ChecksumHasher>,
}

impl Hashers {
    fn update(&mut self, chunks: &[Bytes]) {
        for chunk in chunks {
            if let Some(md5) = &mut self.md5 {
                md5.update(chunk);
            }
            if let Some(checksum) = &mut self.checksum {
                checksum.update(chunk);
            }
        }
    }
}

/// Which digests are made of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// MD5.
    pub md5: bool,
    /// A checksum.
    pub checksum: Option<ChecksumKind>,
}

fn hasher(algorithm: ChecksumKind) -> ChecksumHasher {
    let mut hasher = ChecksumHasher::default();
    match algorithm {
        ChecksumKind::Crc32 => hasher.crc32 = Some(s3s::crypto::Crc32::new()),
        ChecksumKind::Crc32c => hasher.crc32c = Some(s3s::crypto::Crc32c::new()),
        ChecksumKind::Crc64Nvme => hasher.crc64nvme = Some(s3s::crypto::Crc64Nvme::new()),
        ChecksumKind::Sha1 => hasher.sha1 = Some(s3s::crypto::Sha1::new()),
        ChecksumKind::Sha256 => hasher.sha256 = Some(s3s::crypto::Sha256::new()),
    }
    hasher
}

/// The checksum of bytes at hand.
pub fn checksum(algorithm: ChecksumKind, bytes: &[u8]) -> Vec<u8> {
    let mut hasher = hasher(algorithm);
    hasher.update(bytes);
    value_of(algorithm, hasher)
}

fn value_of(algorithm: ChecksumKind, hasher: ChecksumHasher) -> Vec<u8> {
    match algorithm {
        ChecksumKind::Crc32 => hasher.crc32.map(|h| h.finalize().to_vec()),
        ChecksumKind::Crc32c => hasher.crc32c.map(|h| h.finalize().to_vec()),
        ChecksumKind::Crc64Nvme => hasher.crc64nvme.map(|h| h.finalize().to_vec()),
        ChecksumKind::Sha1 => hasher.sha1.map(|h| h.finalize().to_vec()),
        ChecksumKind::Sha256 => hasher.sha256.map(|h| h.finalize().to_vec()),
    }
    .unwrap_or_default()
}

/// Where the result of a body is found after its end.
#[derive(Clone, Default)]
pub struct Outcome(Arc<Mutex<Option<Result<Digests, Mismatch>>>>);

impl Outcome {
    /// The result; none when the body did not come to its end.
    pub fn get(&self) -> Option<Result<Digests, Mismatch>> {
        self.0.lock().clone()
    }
}

struct Hashed {
    body: BodyStream,
    workshop: Workshop,
    wanted: Wanted,
    expected: Expected,
    hashers: Option<Hashers>,
    job: Option<BoxFuture<'static, Hashers>>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    ended: bool,
    outcome: Outcome,
}

/// The same body, hashed on its way.
pub fn hashed(body: BodyStream, wanted: Wanted, expected: Expected, workshop: &Workshop) -> (BodyStream, Outcome) {
    let outcome = Outcome::default();
    let hashers = Hashers { md5: wanted.md5.then(Md5::default), checksum: wanted.checksum.map(hasher) };
    let hashed = Hashed {
        body,
        workshop: workshop.clone(),
        wanted,
        expected,
        hashers: Some(hashers),
        job: None,
        waiting: Vec::new(),
        waiting_bytes: 0,
        ended: false,
        outcome: outcome.clone(),
    };
    (hashed.boxed(), outcome)
}

impl Hashed {
    /// Takes hashers back from a job that is done.
    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(job) = &mut self.job {
            let hashers = ready!(job.poll_unpin(cx));
            self.hashers = Some(hashers);
            self.job = None;
        }
        Poll::Ready(())
    }

    /// Gives what waits to the compute threads, when the hashers are here.
    fn start_job(&mut self) {
        if let Some(hashers) = self.hashers.take() {
            let chunks = mem::take(&mut self.waiting);
            self.waiting_bytes = 0;
            let workshop = self.workshop.clone();
            self.job = Some(async move { workshop.update(hashers, chunks).await }.boxed());
        }
    }

    fn finish(&mut self, mut hashers: Hashers) {
        hashers.update(&mem::take(&mut self.waiting));
        let checksum = self.wanted.checksum.zip(hashers.checksum);
        let checksum = checksum.map(|(algorithm, hasher)| (algorithm, value_of(algorithm, hasher)));
        let digests = Digests { md5: hashers.md5.map(Md5::finish), checksum };
        let result = compare(&digests, mem::take(&mut self.expected)).map(|()| digests);
        *self.outcome.0.lock() = Some(result);
    }
}

fn compare(digests: &Digests, expected: Expected) -> Result<(), Mismatch> {
    if expected.md5.is_some() && expected.md5 != digests.md5 {
        return Err(Mismatch::Md5);
    }
    let trailer = expected.trailer.map_or(Ok(None), |read| read()).map_err(Mismatch::Trailer)?;
    let Some((algorithm, actual)) = &digests.checksum else { return Ok(()) };
    match [expected.checksum, trailer].iter().flatten().all(|value| value == actual) {
        true => Ok(()),
        false => Err(Mismatch::Checksum(name_of(*algorithm))),
    }
}

impl Stream for Hashed {
    type Item = Result<Bytes, BlobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let job = this.poll_job(cx);
            if this.waiting_bytes > BEHIND_MAX_BYTES || this.ended {
                ready!(job);
            }
            if this.waiting_bytes >= JOB_MIN_BYTES && this.hashers.is_some() {
                this.start_job();
                // Polled at once, so that it is on its way and wakes this task.
                continue;
            }
            if this.ended {
                if let Some(hashers) = this.hashers.take() {
                    this.finish(hashers);
                }
                return Poll::Ready(None);
            }
            match ready!(this.body.poll_next_unpin(cx)) {
                Some(Ok(chunk)) => {
                    this.waiting_bytes += chunk.len();
                    this.waiting.push(chunk.clone());
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Some(Err(error)) => {
                    (this.ended, this.hashers, this.job) = (true, None, None);
                    return Poll::Ready(Some(Err(error)));
                }
                None => this.ended = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::blobs::body_of;
    use md5::Digest;

    fn workshop() -> Workshop {
        Workshop::new(CpuPool::new("hash", 1))
    }

    const fn with(checksum: ChecksumKind) -> Wanted {
        Wanted { md5: true, checksum: Some(checksum) }
    }

    fn chunks(sizes: &[usize]) -> (BodyStream, Vec<u8>) {
        let mut all = Vec::new();
        let mut parts = Vec::new();
        for (n, size) in sizes.iter().enumerate() {
            let part: Vec<u8> = (0..*size).map(|i| u8::try_from((i * 31 + n) % 251).unwrap()).collect();
            all.extend_from_slice(&part);
            parts.push(Ok(Bytes::from(part)));
        }
        (futures::stream::iter(parts).boxed(), all)
    }

    async fn run(body: BodyStream) -> Result<Vec<u8>, BlobError> {
        let mut body = body;
        let mut out = Vec::new();
        while let Some(chunk) = body.next().await {
            out.extend_from_slice(&chunk?);
        }
        Ok(out)
    }

    #[tokio::test]
    async fn passes_bytes_on_and_hashes_them_in_order() {
        for sizes in [vec![], vec![1], vec![100_000, 100_000, 3], vec![1 << 20; 20], vec![9 << 20, 5]] {
            let (body, all) = chunks(&sizes);
            let (body, outcome) = hashed(body, with(ChecksumKind::Crc32), Expected::default(), &workshop());
            assert_eq!(outcome.get(), None);
            assert!(run(body).await.unwrap() == all);
            let digests = outcome.get().unwrap().unwrap();
            assert_eq!(digests.md5, Some(md5::Md5::digest(&all).into()));
            assert_eq!(digests.checksum, Some((ChecksumKind::Crc32, checksum(ChecksumKind::Crc32, &all))));
        }
    }

    #[tokio::test]
    async fn a_wrong_digest_is_the_outcome() {
        let wrong = |expected: Expected| hashed(body_of("hello"), with(ChecksumKind::Sha256), expected, &workshop());
        let (body, outcome) = wrong(Expected { md5: Some([0; 16]), ..Expected::default() });
        assert_eq!(run(body).await.unwrap(), b"hello");
        assert_eq!(outcome.get(), Some(Err(Mismatch::Md5)));
        let (body, outcome) = wrong(Expected { checksum: Some(vec![0; 32]), ..Expected::default() });
        assert_eq!(run(body).await.unwrap(), b"hello");
        assert_eq!(outcome.get(), Some(Err(Mismatch::Checksum("SHA256"))));
        let (body, outcome) =
            wrong(Expected { trailer: Some(Box::new(|| Ok(Some(vec![1; 32])))), ..Expected::default() });
        assert_eq!(run(body).await.unwrap(), b"hello");
        assert_eq!(outcome.get(), Some(Err(Mismatch::Checksum("SHA256"))));
        let right = checksum(ChecksumKind::Sha256, b"hello");
        let trailer = right.clone();
        let (body, outcome) = wrong(Expected {
            md5: Some(md5::Md5::digest(b"hello").into()),
            checksum: Some(right),
            trailer: Some(Box::new(move || Ok(Some(trailer)))),
        });
        assert_eq!(run(body).await.unwrap(), b"hello");
        assert!(outcome.get().unwrap().is_ok());
    }

    const NOTHING: Wanted = Wanted { md5: false, checksum: None };

    #[tokio::test]
    async fn what_nobody_wants_is_not_made() {
        let (body, all) = chunks(&[1 << 20; 3]);
        let (body, outcome) = hashed(body, NOTHING, Expected::default(), &workshop());
        assert!(run(body).await.unwrap() == all);
        assert_eq!(outcome.get(), Some(Ok(Digests { md5: None, checksum: None })));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_has_no_digests() {
        let broken = BlobError::Body { offset: 2, reason: "gone".into() };
        let parts = vec![Ok(Bytes::from_static(b"he")), Err(broken.clone())];
        let (body, outcome) = hashed(futures::stream::iter(parts).boxed(), NOTHING, Expected::default(), &workshop());
        assert_eq!(run(body).await, Err(broken));
        assert_eq!(outcome.get(), None);
    }

    #[test]
    fn checksums_of_known_text() {
        let hex = |algorithm| hex::encode(checksum(algorithm, b"123456789"));
        assert_eq!(hex(ChecksumKind::Crc32), "cbf43926");
        assert_eq!(hex(ChecksumKind::Crc32c), "e3069283");
        assert_eq!(hex(ChecksumKind::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(hex(ChecksumKind::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        for kind in ALGORITHMS {
            assert_eq!(checksum(kind, b"x").len(), len_of(kind));
            assert_eq!(kind_of(&name_of(kind).to_lowercase()), Some(kind));
        }
    }
}
