//! Bodies on their way: sealed as they come in, opened as they go out.
//!
//! Owns the cutting of streams into batches of chunks and their encryption on the compute threads. Must not know miners. Invariants: at
//! most [`BATCHES_AHEAD`] batches are in memory a stream; no plain byte leaves before its chunk was found authentic; a stored body that
//! ends early is an error, never a short body.

use super::seal::{BODY_MAX_BYTES, BodyCipher, CHUNK_BYTES, Cover, SEALED_CHUNK_BYTES, nth};
use crate::{
    access::blobs::{BlobError, BodyStream},
    runtime::CpuPool,
};
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::collections::VecDeque;

/// Chunks sealed by one job.
const SEALED_CHUNKS: usize = 2;
/// Chunks opened by one job.
const OPENED_CHUNKS: usize = 16;
/// Batches in work at once.
const BATCHES_AHEAD: usize = 2;
/// Bytes that are gathered before they are sealed.
pub const SEALED_BATCH_BYTES: u64 = SEALED_CHUNKS as u64 * CHUNK_BYTES;
/// Sealed bytes a body has in memory at most: batches in work, and the one that is read.
pub const SEALING_MAX_BYTES: u64 = (BATCHES_AHEAD as u64 + 1) * SEALED_CHUNKS as u64 * SEALED_CHUNK_BYTES;

const CHUNK: usize = CHUNK_BYTES as usize;
const SEALED: usize = SEALED_CHUNK_BYTES as usize;
const _: () = assert!(CHUNK as u64 == CHUNK_BYTES && SEALED as u64 == SEALED_CHUNK_BYTES);

/// Bytes of a stream, which are divided without being copied.
trait Piece: AsRef<[u8]> + Buf + Send {
    /// The first `len` bytes; the others stay.
    fn first(&mut self, len: usize) -> Self;
}

impl Piece for Bytes {
    fn first(&mut self, len: usize) -> Self {
        self.split_to(len)
    }
}

impl Piece for BytesMut {
    fn first(&mut self, len: usize) -> Self {
        self.split_to(len)
    }
}

/// Consecutive whole chunks, in pieces as they came.
struct Batch<P> {
    first: u32,
    /// Whether the body's last chunk is among them.
    ends: bool,
    pieces: VecDeque<P>,
}

/// `body` sealed. What it is read in is let go batch by batch.
pub fn sealed(cipher: BodyCipher, pool: CpuPool, body: BodyStream) -> BodyStream {
    let batches = batches(body, CHUNK, SEALED_CHUNKS, 0).map_ok(move |batch| {
        let (cipher, pool) = (cipher.clone(), pool.clone());
        async move { Ok(pool.run(move || seal_batch(&cipher, batch)).await) }
    });
    batches.try_buffered(BATCHES_AHEAD).boxed()
}

/// The plain bytes of a range out of `stored`, which are the sealed bytes that `cover` asks for.
pub fn opened(cipher: BodyCipher, pool: CpuPool, cover: &Cover, stored: BodyStream) -> BodyStream {
    let (ends, expected) = (cover.ends, cover.sealed.end - cover.sealed.start);
    let (mut skip, mut left) = (cover.skip, cover.len);
    let stored = exactly(stored, expected).map_ok(own);
    let batches = batches(stored, SEALED, OPENED_CHUNKS, cover.first).map_ok(move |batch| {
        let (cipher, pool) = (cipher.clone(), pool.clone());
        async move {
            let chunks = pool.run(move || open_batch(&cipher, batch, ends)).await?;
            Ok(stream::iter(chunks.into_iter().map(Ok::<Bytes, BlobError>)))
        }
    });
    let plain = batches.try_buffered(BATCHES_AHEAD).try_flatten().map_ok(move |mut bytes: Bytes| {
        let before = skip.min(bytes.len() as u64);
        bytes.advance(usize::try_from(before).unwrap_or(usize::MAX));
        skip -= before;
        let wanted = left.min(bytes.len() as u64);
        bytes.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
        left -= wanted;
        bytes
    });
    plain.try_filter(|bytes| std::future::ready(!bytes.is_empty())).boxed()
}

/// What was fetched for this reader alone is opened where it lies.
fn own(stored: Bytes) -> BytesMut {
    stored.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]))
}

/// Copies each chunk to where it is sealed.
fn seal_batch(cipher: &BodyCipher, mut batch: Batch<Bytes>) -> Bytes {
    let (chunks, len) = batch.shape(CHUNK);
    let mut out = Vec::with_capacity(len + chunks * (SEALED - CHUNK));
    for number in 0..chunks {
        let start = out.len();
        batch.take(CHUNK, |bytes| out.extend_from_slice(bytes));
        cipher.seal_tail(nth(batch.first, number), batch.ends && number + 1 == chunks, &mut out, start);
    }
    out.into()
}

/// Opens each chunk where it lies, or in a copy if it lies in several pieces.
fn open_batch(cipher: &BodyCipher, mut batch: Batch<BytesMut>, ends: bool) -> Result<Vec<Bytes>, BlobError> {
    let chunks = batch.shape(SEALED).0;
    let mut plain = Vec::with_capacity(chunks);
    for number in 0..chunks {
        let mut chunk = batch.chunk(SEALED);
        let last = batch.ends && ends && number + 1 == chunks;
        let len = cipher.open_chunk(nth(batch.first, number), last, &mut chunk)?.len();
        chunk.truncate(len);
        plain.push(chunk.freeze());
    }
    Ok(plain)
}

impl<P: Piece> Batch<P> {
    /// How many chunks of `chunk` bytes there are, at least one, and all their bytes.
    fn shape(&self, chunk: usize) -> (usize, usize) {
        let len: usize = self.pieces.iter().map(Buf::remaining).sum();
        (len.div_ceil(chunk).max(1), len)
    }

    /// The next `most` bytes, or all that are left, piece by piece.
    fn take(&mut self, mut most: usize, mut to: impl FnMut(&[u8])) {
        while most > 0
            && let Some(piece) = self.pieces.front_mut()
        {
            let len = most.min(piece.remaining());
            to(&piece.as_ref()[..len]);
            piece.advance(len);
            most -= len;
            if !piece.has_remaining() {
                self.pieces.pop_front();
            }
        }
    }
}

impl Batch<BytesMut> {
    /// The next chunk of `most` bytes, or all that are left, in one piece.
    fn chunk(&mut self, most: usize) -> BytesMut {
        let whole = self.pieces.front_mut().filter(|piece| piece.len() >= most);
        if let Some(piece) = whole {
            return piece.first(most);
        }
        let mut chunk = BytesMut::with_capacity(most);
        self.take(most, |bytes| chunk.extend_from_slice(bytes));
        chunk
    }
}

/// A stream that fails unless it has `expected` bytes.
fn exactly(stored: BodyStream, expected: u64) -> BodyStream {
    let counted = stream::try_unfold((stored, 0u64), move |(mut stored, got)| async move {
        match stored.try_next().await? {
            Some(bytes) if got + bytes.len() as u64 <= expected => {
                let got = got + bytes.len() as u64;
                Ok(Some((bytes, (stored, got))))
            }
            Some(bytes) => Err(BlobError::Size { got: got + bytes.len() as u64, expected }),
            None if got < expected => Err(BlobError::Size { got, expected }),
            None => Ok(None),
        }
    });
    counted.boxed()
}

struct Cutter<S, P> {
    body: S,
    held: VecDeque<P>,
    held_bytes: usize,
    offset: u64,
    next: u32,
    done: bool,
}

/// Whole chunks of `chunk` bytes, numbered from `first` on, so many at a time. The last batch is known as such: a chunk is held back until
/// more bytes or the end have come. An empty body is one batch of nothing.
fn batches<P: Piece>(
    body: impl Stream<Item = Result<P, BlobError>> + Send + Unpin,
    chunk: usize,
    count: usize,
    first: u32,
) -> impl Stream<Item = Result<Batch<P>, BlobError>> + Send {
    let cutter = Cutter { body, held: VecDeque::new(), held_bytes: 0, offset: 0, next: first, done: false };
    stream::try_unfold(cutter, move |mut cutter| async move {
        if cutter.done {
            return Ok(None);
        }
        while cutter.held_bytes <= chunk * count {
            let Some(piece) = cutter.body.try_next().await? else {
                cutter.done = true;
                break;
            };
            cutter.offset += piece.remaining() as u64;
            if cutter.offset > BODY_MAX_BYTES {
                return Err(BlobError::TooLarge);
            }
            cutter.held_bytes += piece.remaining();
            cutter.held.push_back(piece);
        }
        // What came in one piece may be more than a batch.
        let ends = cutter.done && cutter.held_bytes <= chunk * count;
        cutter.done = ends;
        let bytes = if ends { cutter.held_bytes } else { chunk * count };
        let pieces = cutter.split(bytes);
        let first = cutter.next;
        let chunks = u32::try_from(bytes.div_ceil(chunk)).map_err(|_| BlobError::TooLarge)?;
        cutter.next = first.checked_add(chunks).ok_or(BlobError::TooLarge)?;
        Ok(Some((Batch { first, ends, pieces }, cutter)))
    })
}

impl<S, P: Piece> Cutter<S, P> {
    /// The first `bytes` bytes that are held.
    fn split(&mut self, mut bytes: usize) -> VecDeque<P> {
        self.held_bytes -= bytes;
        let mut pieces = VecDeque::new();
        while bytes > 0
            && let Some(mut piece) = self.held.pop_front()
        {
            let own = piece.first(bytes.min(piece.remaining()));
            bytes -= own.remaining();
            pieces.push_back(own);
            if piece.has_remaining() {
                self.held.push_front(piece);
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::seal::{DataKey, cover, sealed_len},
        *,
    };
    use crate::access::blobs::body_of;

    fn cipher() -> BodyCipher {
        BodyCipher::new(&DataKey::new([9; 32]), [1; 7])
    }

    fn sample(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        crate::crypto::hash::stream("cess 2026 body test", &len.to_le_bytes()).fill(&mut bytes);
        bytes
    }

    /// A body that comes in pieces of `step` bytes.
    fn pieces(bytes: &[u8], step: usize) -> BodyStream {
        let pieces: Vec<_> = bytes.chunks(step).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        stream::iter(pieces).boxed()
    }

    async fn all(body: BodyStream) -> Result<Vec<u8>, BlobError> {
        Ok(body.try_collect::<Vec<Bytes>>().await?.concat())
    }

    #[tokio::test]
    async fn streams_seal_as_whole_bodies_do() {
        let pool = CpuPool::new("body", 2);
        for (len, step) in [
            (0, 1),
            (1, 1),
            (CHUNK, 1_000),
            (SEALED_CHUNKS * CHUNK, CHUNK),
            (OPENED_CHUNKS * CHUNK, 5),
            (40 * CHUNK + 3, 700_001),
            (3 << 20, 3 << 20),
        ] {
            let plain = sample(len);
            let stream = all(sealed(cipher(), pool.clone(), pieces(&plain, step))).await.unwrap();
            assert!(stream == cipher().seal(&plain), "{len} B in pieces of {step} B");
        }
    }

    #[tokio::test]
    async fn ranges_are_opened() {
        let pool = CpuPool::new("body", 2);
        let plain = sample(40 * CHUNK + 3);
        let stored = cipher().seal(&plain);
        let (len, chunk) = (plain.len() as u64, CHUNK as u64);
        for range in [0..len, 0..1, len - 1..len, chunk - 1..17 * chunk + 1, 5..5, len..len, 3 * chunk..4 * chunk] {
            let cover = cover(len, &range).unwrap();
            let part = &stored[cover.sealed.start as usize..cover.sealed.end as usize];
            let got = all(opened(cipher(), pool.clone(), &cover, pieces(part, 100_003))).await.unwrap();
            assert!(got == plain[range.start as usize..range.end as usize], "{range:?}");
        }
    }

    #[tokio::test]
    async fn cut_long_changed_and_failing_streams_are_errors() {
        let pool = CpuPool::new("body", 2);
        let plain = sample(20 * CHUNK);
        let mut stored = cipher().seal(&plain);
        assert_eq!(stored.len() as u64, sealed_len(plain.len() as u64));
        let cover = cover(plain.len() as u64, &(0..plain.len() as u64)).unwrap();
        let read = |stored: BodyStream| all(opened(cipher(), pool.clone(), &cover, stored));
        // Cut where a chunk ends, too.
        for cut in [0, SEALED, stored.len() - 1] {
            let cut = read(pieces(&stored[..cut], 1 << 20)).await.unwrap_err();
            assert!(matches!(cut, BlobError::Size { .. } | BlobError::Tampered { .. }), "{cut}");
        }
        let long = [&stored[..], b"x"].concat();
        assert!(matches!(read(pieces(&long, 1 << 20)).await, Err(BlobError::Size { .. })));
        stored[17 * SEALED] ^= 1;
        assert_eq!(read(pieces(&stored, 1 << 20)).await, Err(BlobError::Tampered { chunk: 17 }));
        let gone = BlobError::Body { offset: 3, reason: "gone".into() };
        let failing = stream::iter([Ok(Bytes::from_static(b"abc")), Err(gone.clone())]).boxed();
        assert_eq!(all(sealed(cipher(), pool.clone(), failing)).await, Err(gone));
        assert!(all(sealed(cipher(), pool.clone(), body_of(""))).await.unwrap().len() == 16);
    }
}
