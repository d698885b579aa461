//! Bodies on their way: sealed as they come in, opened as they go out.
//!
//! Owns the cutting of streams into chunks, their encryption and decryption. Must not know miners. A chunk is worked on where it is asked for:
//! that takes microseconds, and its bytes are in the processor's cache before and after. Invariants: one chunk is in memory a stream beside
//! what was read; no plain byte leaves before its chunk was found authentic; a stored body that ends early is an error, never a short body.

use super::seal::{BODY_MAX_BYTES, BodyCipher, CHUNK_BYTES, Cover, SEALED_CHUNK_BYTES, TAG_BYTES};
use crate::access::blobs::{BlobError, BodyStream};
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::collections::VecDeque;

/// Sealed bytes a body has in memory at most: the chunk that is read and the next one.
pub const SEALING_MAX_BYTES: u64 = 2 * SEALED_CHUNK_BYTES;

const CHUNK: usize = CHUNK_BYTES as usize;
const SEALED: usize = SEALED_CHUNK_BYTES as usize;
const TAG: usize = TAG_BYTES as usize;
const _: () = assert!(CHUNK as u64 == CHUNK_BYTES && SEALED as u64 == SEALED_CHUNK_BYTES);

/// Bytes of a stream, which are divided without being copied.
trait Piece: AsRef<[u8]> + Send {
    /// The first `len` bytes; the others stay.
    fn first(&mut self, len: usize) -> Self;

    fn len(&self) -> usize {
        self.as_ref().len()
    }
}

impl Piece for Bytes {
    fn first(&mut self, len: usize) -> Self {
        self.split_to(len)
    }
}

/// Sealed bytes on their way out.
enum Sealed {
    /// They were fetched for this reader alone and are opened where they lie.
    Own(BytesMut),
    /// Others may read them, too: each chunk is copied before.
    Shared(Bytes),
}

impl Sealed {
    fn of(bytes: Bytes) -> Self {
        bytes.try_into_mut().map_or_else(Self::Shared, Self::Own)
    }

    fn into_own(self) -> BytesMut {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => {
                let mut own = BytesMut::with_capacity(SEALED);
                own.extend_from_slice(&bytes);
                own
            }
        }
    }
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Piece for Sealed {
    fn first(&mut self, len: usize) -> Self {
        match self {
            Self::Own(bytes) => Self::Own(bytes.split_to(len)),
            Self::Shared(bytes) => Self::Shared(bytes.split_to(len)),
        }
    }
}

/// A whole chunk, in pieces as they came.
struct Cut<P> {
    number: u32,
    /// Whether it is the body's last one.
    last: bool,
    pieces: VecDeque<P>,
}

/// `body` sealed. What it is read in is let go chunk by chunk.
pub fn sealed(cipher: BodyCipher, body: BodyStream) -> BodyStream {
    cuts(body, CHUNK, 0).map_ok(move |cut| seal(&cipher, &cut)).boxed()
}

/// The plain bytes of a range out of `stored`, which are the sealed bytes that `cover` asks for.
pub fn opened(cipher: BodyCipher, cover: &Cover, stored: BodyStream) -> BodyStream {
    let (ends, expected) = (cover.ends, cover.sealed.end - cover.sealed.start);
    let (mut skip, mut left) = (cover.skip, cover.len);
    let stored = exactly(stored, expected).map_ok(Sealed::of);
    let chunks = cuts(stored, SEALED, cover.first).map(move |cut| open(&cipher, cut?, ends));
    let plain = chunks.map_ok(move |mut bytes: Bytes| {
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

/// Seals a copy of a chunk.
fn seal(cipher: &BodyCipher, cut: &Cut<Bytes>) -> Bytes {
    let len: usize = cut.pieces.iter().map(Bytes::len).sum();
    let mut out = Vec::with_capacity(len + TAG);
    cut.pieces.iter().for_each(|piece| out.extend_from_slice(piece));
    cipher.seal_tail(cut.number, cut.last, &mut out, 0);
    out.into()
}

/// Opens a chunk where it lies; one in several pieces is put together before.
fn open(cipher: &BodyCipher, mut cut: Cut<Sealed>, ends: bool) -> Result<Bytes, BlobError> {
    let mut chunk = cut.pieces.pop_front().map(Sealed::into_own).unwrap_or_default();
    cut.pieces.iter().for_each(|piece| chunk.extend_from_slice(piece.as_ref()));
    let len = cipher.open_chunk(cut.number, cut.last && ends, &mut chunk)?.len();
    chunk.truncate(len);
    Ok(chunk.freeze())
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

/// Whole chunks of `len` bytes, numbered from `first` on. The last one is known as such: a chunk is held back until more bytes or the end
/// have come. An empty body is one chunk of nothing.
fn cuts<P: Piece>(
    body: impl Stream<Item = Result<P, BlobError>> + Send + Unpin,
    len: usize,
    first: u32,
) -> impl Stream<Item = Result<Cut<P>, BlobError>> + Send {
    let cutter = Cutter { body, held: VecDeque::new(), held_bytes: 0, offset: 0, next: first, done: false };
    stream::try_unfold(cutter, move |mut cutter| async move {
        if cutter.done {
            return Ok(None);
        }
        while cutter.held_bytes <= len {
            let Some(piece) = cutter.body.try_next().await? else {
                cutter.done = true;
                break;
            };
            cutter.offset += piece.len() as u64;
            if cutter.offset > BODY_MAX_BYTES {
                return Err(BlobError::TooLarge);
            }
            cutter.held_bytes += piece.len();
            cutter.held.push_back(piece);
        }
        // What came in one piece may be more than a chunk.
        let last = cutter.done && cutter.held_bytes <= len;
        cutter.done = last;
        let pieces = cutter.split(if last { cutter.held_bytes } else { len });
        let number = cutter.next;
        cutter.next = number.checked_add(1).ok_or(BlobError::TooLarge)?;
        Ok(Some((Cut { number, last, pieces }, cutter)))
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
            let own = piece.first(bytes.min(piece.len()));
            bytes -= own.len();
            pieces.push_back(own);
            if piece.len() > 0 {
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
        for (len, step) in [
            (0, 1),
            (1, 1),
            (CHUNK, 1_000),
            (2 * CHUNK, CHUNK),
            (16 * CHUNK, 5),
            (40 * CHUNK + 3, 700_001),
            (3 << 20, 3 << 20),
        ] {
            let plain = sample(len);
            let stream = all(sealed(cipher(), pieces(&plain, step))).await.unwrap();
            assert!(stream == cipher().seal(&plain), "{len} B in pieces of {step} B");
        }
    }

    #[tokio::test]
    async fn ranges_are_opened() {
        let plain = sample(40 * CHUNK + 3);
        let stored = cipher().seal(&plain);
        let (len, chunk) = (plain.len() as u64, CHUNK as u64);
        for range in [0..len, 0..1, len - 1..len, chunk - 1..17 * chunk + 1, 5..5, len..len, 3 * chunk..4 * chunk] {
            let cover = cover(len, &range).unwrap();
            let part = &stored[cover.sealed.start as usize..cover.sealed.end as usize];
            let got = all(opened(cipher(), &cover, pieces(part, 100_003))).await.unwrap();
            assert!(got == plain[range.start as usize..range.end as usize], "{range:?}");
        }
    }

    #[tokio::test]
    async fn what_others_may_read_too_stays_as_it_is() {
        let plain = sample(3 * CHUNK + 3);
        let stored = Bytes::from(cipher().seal(&plain));
        let len = plain.len() as u64;
        for range in [0..len, 5..2 * CHUNK as u64, 0..len] {
            let cover = cover(len, &range).unwrap();
            let part = stored.slice(cover.sealed.start as usize..cover.sealed.end as usize);
            // In two pieces, of which neither ends with a chunk.
            let (one, two) = (part.slice(..part.len() / 2), part.slice(part.len() / 2..));
            let body = stream::iter([Ok(one), Ok(two)]).boxed();
            let got = all(opened(cipher(), &cover, body)).await.unwrap();
            assert!(got == plain[range.start as usize..range.end as usize], "{range:?}");
        }
    }

    #[tokio::test]
    async fn cut_long_changed_and_failing_streams_are_errors() {
        let plain = sample(20 * CHUNK);
        let mut stored = cipher().seal(&plain);
        assert_eq!(stored.len() as u64, sealed_len(plain.len() as u64));
        let cover = cover(plain.len() as u64, &(0..plain.len() as u64)).unwrap();
        let read = |stored: BodyStream| all(opened(cipher(), &cover, stored));
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
        assert_eq!(all(sealed(cipher(), failing)).await, Err(gone));
        assert!(all(sealed(cipher(), body_of(""))).await.unwrap().len() == 16);
    }
}
