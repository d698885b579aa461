//! From a stream of bytes to segments, their fragments and their ids.
//!
//! Owns reading, padding, encoding and hashing. Must not know miners or the chain. Invariants: every segment of a file but the last is
//! full, so that the same bytes always give the same manifest; segments of packs may be shorter where many share the memory; a stream is
//! read exactly as fast as buffers come back.

use super::{
    buffers::{Buffer, BufferPool, Reservation, Sharer},
    erasure,
};
use crate::{
    ledger::manifest::{MANIFEST_MAX_SEGMENTS, Manifest, ManifestError, SegmentEntry, fragment_len},
    runtime::CpuPool,
    types::{
        ByteCount, FragmentId, SegmentId,
        params::{
            DATA_FRAGMENTS, FILE_MAX_BYTES, FRAGMENT_ALIGN_BYTES, FRAGMENT_MAX_BYTES, FRAGMENTS, PARITY_FRAGMENTS,
            SEGMENT_MAX_BYTES,
        },
    },
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Segments encoded at once.
const ENCODING_MAX: usize = 2;
/// Large bodies have about so many segments at most, however many share the memory.
const SEGMENTS_AIM: u64 = 2_048;
/// What even lengths are multiples of, so that data fragments need no padding.
const EVEN_BYTES: u64 = DATA_FRAGMENTS as u64 * FRAGMENT_ALIGN_BYTES;
/// Input up to this size never takes full-sized buffers.
const SMALL_MAX_BYTES: usize = 1 << 20;
const SLAB_BYTES: usize = FRAGMENT_MAX_BYTES as usize;
const _: () =
    assert!(SLAB_BYTES as u64 == FRAGMENT_MAX_BYTES && DATA_FRAGMENTS as u64 * FRAGMENT_MAX_BYTES == SEGMENT_MAX_BYTES);
const FRAGMENT_BUFFERS: u32 = FRAGMENTS as u32;

/// Why a stream could not be sliced.
#[derive(Debug, thiserror::Error)]
pub enum SliceError {
    /// The source failed.
    #[error("the file cannot be read at byte {offset}: {reason}")]
    Read { offset: u64, reason: io::Error },
    /// More than a file may hold.
    #[error("the file is larger than {FILE_MAX_BYTES} B, the limit of one file")]
    TooLarge,
    /// Fewer or more bytes than were announced.
    #[error("{} were sent, {} were announced", ByteCount(*got), ByteCount(*expected))]
    Size { got: u64, expected: u64 },
}

/// Reads segments off a stream.
pub struct Slicer<R> {
    input: R,
    buffers: BufferPool,
    next: usize,
    offset: u64,
    expected: Option<u64>,
    done: bool,
    /// Set if segments are as long as the others who share the memory allow.
    sharer: Option<Sharer>,
}

/// A segment's bytes in four buffers, not yet encoded.
pub struct RawSegment {
    index: usize,
    len: usize,
    data: [Buffer; DATA_FRAGMENTS],
    rest: Reservation,
}

/// A segment ready to be pushed.
#[derive(Clone)]
pub struct EncodedSegment {
    /// Position in the file.
    pub index: usize,
    /// Its line in the manifest.
    pub entry: SegmentEntry,
    /// Its fragments, in buffers of the pool.
    pub fragments: [Bytes; FRAGMENTS],
}

impl<R: AsyncRead + Unpin> Slicer<R> {
    /// Slices `input`, whose first byte is byte `offset` of the file and belongs to segment `first`. A file that then does not
    /// have the `expected` length is refused, so that a stream cut short is never taken for a short file.
    pub fn new(input: R, buffers: BufferPool, first: usize, offset: u64, expected: Option<u64>) -> Self {
        Self { input, buffers, next: first, offset, expected, done: false, sharer: None }
    }

    /// Slices `input` for packs: memory is reserved before a byte is read, and segments are only as long as is fair.
    pub fn sharing(input: R, buffers: BufferPool, expected: Option<u64>) -> Self {
        let sharer = Some(buffers.join());
        Self { sharer, ..Self::new(input, buffers, 0, 0, expected) }
    }

    /// Whether the stream has ended: no segment follows.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The next segment, once there are buffers for it; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<RawSegment>, SliceError> {
        if self.done {
            return Ok(None);
        }
        if let Some(fair) = self.sharer.as_ref().map(Sharer::segment_bytes) {
            let least = self.expected.unwrap_or(self.offset) / SEGMENTS_AIM;
            return self.next_shared(fair.max(least.next_power_of_two()).min(SEGMENT_MAX_BYTES)).await;
        }
        let mut head = Vec::new();
        self.read_head(&mut head).await?;
        if head.is_empty() {
            self.check_size()?;
            return Ok(None);
        }
        if self.next >= MANIFEST_MAX_SEGMENTS {
            return Err(SliceError::TooLarge);
        }
        let slab = if self.done { fragment_bytes(head.len()) } else { SLAB_BYTES };
        let mut lease = self.buffers.reserve(FRAGMENT_BUFFERS, slab).await;
        let (len, data) = if self.done {
            (head.len(), spread(&head, &mut lease))
        } else {
            let mut data = std::array::from_fn(|_| lease.take(SLAB_BYTES));
            data[0][..head.len()].copy_from_slice(&head);
            (self.fill(&mut data, head.len(), DATA_FRAGMENTS * SLAB_BYTES).await?, data)
        };
        self.check_size()?;
        Ok(Some(self.raw(len, data, lease)))
    }

    /// A segment of up to `length` bytes, or of what is left if that is known.
    async fn next_shared(&mut self, length: u64) -> Result<Option<RawSegment>, SliceError> {
        let target = self.expected.map_or(length, |expected| even(expected.saturating_sub(self.offset), length));
        let target = usize::try_from(target).expect("a segment is at most 32 MiB");
        if target > 0 {
            let slab = fragment_bytes(target);
            let mut lease = self.buffers.reserve(FRAGMENT_BUFFERS, slab).await;
            let mut data = std::array::from_fn(|_| lease.take(slab));
            let len = self.fill(&mut data, 0, target).await?;
            if self.expected == Some(self.offset) {
                self.expect_end().await?;
            }
            self.check_size()?;
            return Ok((len > 0).then(|| self.raw(len, data, lease)));
        }
        self.expect_end().await?;
        self.check_size().map(|()| None)
    }

    /// All that was announced was read: nothing may follow.
    async fn expect_end(&mut self) -> Result<(), SliceError> {
        let more = self.input.read(&mut [0]).await;
        let more = more.map_err(|reason| SliceError::Read { offset: self.offset, reason })?;
        self.offset += more as u64;
        self.done = true;
        Ok(())
    }

    fn raw(&mut self, len: usize, data: [Buffer; DATA_FRAGMENTS], rest: Reservation) -> RawSegment {
        let index = self.next;
        self.next += 1;
        RawSegment { index, len, data, rest }
    }

    /// Whether the stream may end here, or has not gone on for too long.
    fn check_size(&self) -> Result<(), SliceError> {
        let Some(expected) = self.expected else { return Ok(()) };
        match (self.done && self.offset != expected) || self.offset > expected {
            true => Err(SliceError::Size { got: self.offset, expected }),
            false => Ok(()),
        }
    }

    /// Reads up to [`SMALL_MAX_BYTES`]; sets `done` at the end of the stream.
    async fn read_head(&mut self, head: &mut Vec<u8>) -> Result<(), SliceError> {
        let mut limited = (&mut self.input).take(SMALL_MAX_BYTES as u64);
        let read = limited.read_to_end(head).await;
        read.map_err(|reason| SliceError::Read { offset: self.offset, reason })?;
        self.offset += head.len() as u64;
        self.done = head.len() < SMALL_MAX_BYTES;
        Ok(())
    }

    /// Fills the four slabs from byte `len` up to byte `target`; returns the segment's length. What is left of the slabs is zero.
    async fn fill(
        &mut self,
        data: &mut [Buffer; DATA_FRAGMENTS],
        mut len: usize,
        target: usize,
    ) -> Result<usize, SliceError> {
        let slab = data[0].len();
        while len < target {
            let start = len % slab;
            let end = slab.min(start + target - len);
            let read = self.input.read(&mut data[len / slab][start..end]).await;
            let read = read.map_err(|reason| SliceError::Read { offset: self.offset, reason })?;
            if read == 0 {
                self.done = true;
                break;
            }
            self.offset += read as u64;
            len += read;
        }
        for (index, buffer) in data.iter_mut().enumerate() {
            buffer[len.saturating_sub(index * slab).min(slab)..].fill(0);
        }
        Ok(len)
    }
}

/// The next segment's length of `left` bytes, so that they make as few segments of up to `length` bytes as they can, all of about one length:
/// a short one at the end would cost as many files and syncs at the miners as a long one.
fn even(left: u64, length: u64) -> u64 {
    let segments = left.div_ceil(length).max(1);
    left.div_ceil(segments).next_multiple_of(EVEN_BYTES).min(length).min(left)
}

/// The segments of a stream as they come, encoded on the threads of `pool`, in order.
pub fn encoded<R: AsyncRead + Unpin + Send>(
    slicer: Slicer<R>,
    pool: CpuPool,
) -> impl Stream<Item = Result<EncodedSegment, SliceError>> + Send {
    let raw = stream::unfold(Some(slicer), |slicer| async {
        let mut slicer = slicer?;
        match slicer.next().await {
            Ok(Some(segment)) => Some((Ok(segment), Some(slicer))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    raw.map(move |raw| {
        let pool = pool.clone();
        async move {
            match raw {
                Ok(raw) => Ok(pool.run(move || raw.encode()).await),
                Err(error) => Err(error),
            }
        }
    })
    .buffered(ENCODING_MAX)
}

impl RawSegment {
    /// Length of the segment.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the segment has no bytes; the slicer never makes such a one.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Encodes and hashes. Heavy: belongs on a compute thread.
    pub fn encode(self) -> EncodedSegment {
        let Self { index, len, mut data, mut rest } = self;
        let fragment = fragment_bytes(len);
        if data[0].len() != fragment {
            tighten(&mut data, len, fragment);
        }
        let mut parity: [Buffer; PARITY_FRAGMENTS] = std::array::from_fn(|_| rest.take(fragment));
        let pieces = data.each_ref().map(|buffer| &buffer[..]);
        let outputs = parity.each_mut().map(|buffer| &mut buffer[..]);
        let (id, ids) = rayon::join(|| segment_id(pieces, len), || encode_and_hash(pieces, outputs));
        let entry = SegmentEntry { id, len: u32::try_from(len).expect("a segment is at most 32 MiB"), fragments: ids };
        let mut buffers = data.into_iter().chain(parity).map(Buffer::freeze);
        let fragments = std::array::from_fn(|_| buffers.next().expect("four and eight are twelve"));
        EncodedSegment { index, entry, fragments }
    }
}

/// Collects segment entries into a manifest.
#[derive(Debug, Default)]
pub struct ManifestBuilder {
    size: u64,
    segments: Vec<SegmentEntry>,
}

impl ManifestBuilder {
    /// Starts from the entries of an interrupted upload.
    pub fn resume(segments: Vec<SegmentEntry>) -> Self {
        Self { size: segments.iter().map(|entry| u64::from(entry.len)).sum(), segments }
    }

    /// Adds the next segment.
    pub fn push(&mut self, entry: SegmentEntry) {
        self.size += u64::from(entry.len);
        self.segments.push(entry);
    }

    /// Entries so far.
    pub fn segments(&self) -> &[SegmentEntry] {
        &self.segments
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The checked manifest. An empty file is refused.
    pub fn finish(self) -> Result<Manifest, ManifestError> {
        let manifest = Manifest { size: self.size, segments: self.segments };
        manifest.check()?;
        Ok(manifest)
    }
}

/// BLAKE3 of a fragment.
pub fn fragment_id(bytes: &[u8]) -> FragmentId {
    FragmentId(crate::crypto::hash::content(bytes))
}

/// BLAKE3 of a segment of `len` bytes that lies in four padded data fragments.
pub fn segment_id(data: [&[u8]; DATA_FRAGMENTS], len: usize) -> SegmentId {
    let mut hasher = blake3::Hasher::new();
    let mut left = len;
    for piece in data {
        let own = left.min(piece.len());
        hasher.update(&piece[..own]);
        left -= own;
    }
    assert!(left == 0, "a segment of {len} B fits its four data fragments");
    SegmentId(*hasher.finalize().as_bytes())
}

fn encode_and_hash(data: [&[u8]; DATA_FRAGMENTS], parity: [&mut [u8]; PARITY_FRAGMENTS]) -> [FragmentId; FRAGMENTS] {
    let mut hashers: [blake3::Hasher; FRAGMENTS] = std::array::from_fn(|_| blake3::Hasher::new());
    erasure::encode_parity_with(data, parity, |_, pieces| {
        for (hasher, piece) in hashers.iter_mut().zip(pieces) {
            hasher.update(piece);
        }
    });
    hashers.map(|hasher| FragmentId(*hasher.finalize().as_bytes()))
}

/// Four buffers of exactly the fragment length, from a small segment that lies in one piece.
fn spread(segment: &[u8], lease: &mut Reservation) -> [Buffer; DATA_FRAGMENTS] {
    let fragment = fragment_bytes(segment.len());
    std::array::from_fn(|index| {
        let mut buffer = lease.take(fragment);
        copy_padded(&mut buffer, segment, index * fragment);
        buffer
    })
}

/// Lays a short segment, read into full slabs, out over fragments of its own length.
fn tighten(data: &mut [Buffer; DATA_FRAGMENTS], len: usize, fragment: usize) {
    let mut whole = Vec::with_capacity(len);
    for slab in data.iter() {
        whole.extend_from_slice(&slab[..(len - whole.len()).min(slab.len())]);
    }
    for (index, buffer) in data.iter_mut().enumerate() {
        let mut slab = buffer.replace(Vec::new());
        slab.truncate(fragment);
        copy_padded(&mut slab, &whole, index * fragment);
        buffer.replace(slab);
    }
}

fn copy_padded(target: &mut [u8], segment: &[u8], start: usize) {
    let start = start.min(segment.len());
    let own = &segment[start..(start + target.len()).min(segment.len())];
    target[..own.len()].copy_from_slice(own);
    target[own.len()..].fill(0);
}

fn fragment_bytes(segment: usize) -> usize {
    let bytes = u64::try_from(segment).expect("a length fits 64 bits");
    usize::try_from(fragment_len(bytes)).expect("a fragment is at most 8 MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        crate::crypto::hash::stream("cess 2026 slicer test", &len.to_le_bytes()).fill(&mut bytes);
        bytes
    }

    async fn slice(bytes: &[u8], buffers: &BufferPool) -> Vec<EncodedSegment> {
        let mut slicer = Slicer::new(bytes, buffers.clone(), 0, 0, None);
        let mut out = Vec::new();
        while let Some(raw) = slicer.next().await.unwrap() {
            let encoded = raw.encode();
            let copied = encoded.fragments.each_ref().map(|f| Bytes::copy_from_slice(f));
            out.push(EncodedSegment { fragments: copied, ..encoded });
        }
        out
    }

    #[tokio::test]
    async fn segments_equal_plain_encoding_at_every_kind_of_length() {
        let buffers = BufferPool::new(FRAGMENTS);
        let full = SLAB_BYTES * DATA_FRAGMENTS;
        for len in [1, 256, 1_000, SMALL_MAX_BYTES - 1, SMALL_MAX_BYTES, SMALL_MAX_BYTES + 13, 9 << 20, full + 7] {
            let bytes = sample(len);
            let segments = slice(&bytes, &buffers).await;
            assert_eq!(segments.len(), len.div_ceil(full));
            let mut builder = ManifestBuilder::default();
            for (part, segment) in bytes.chunks(full).zip(&segments) {
                assert_eq!(segment.entry.id.0, crate::crypto::hash::content(part));
                let expected = erasure::encode(part);
                for (index, fragment) in segment.fragments.iter().enumerate() {
                    assert_eq!(fragment[..], expected[index][..], "fragment {index} of {len} B");
                    assert_eq!(fragment_id(fragment), segment.entry.fragments[index]);
                }
                builder.push(segment.entry.clone());
            }
            assert_eq!(builder.finish().unwrap().size, len as u64);
        }
        assert!(buffers.peak() <= FRAGMENTS);
        assert_eq!(buffers.lent(), 0);
    }

    #[tokio::test]
    async fn what_a_buffer_held_before_does_not_get_into_the_padding() {
        let buffers = BufferPool::new(FRAGMENTS + 1);
        // One buffer stays lent, so that the others are used again.
        let _keep = buffers.reserve(1, SLAB_BYTES).await.take(SLAB_BYTES);
        let full = SLAB_BYTES * DATA_FRAGMENTS;
        let bytes = sample(2 * full - 10);
        let mut slicer = Slicer::new(&bytes[..], buffers, 0, 0, None);
        let mut last = None;
        while let Some(raw) = slicer.next().await.unwrap() {
            let mut encoded = raw.encode();
            let copied = encoded.fragments.each_ref().map(|fragment| Bytes::copy_from_slice(fragment));
            encoded.fragments = copied;
            last = Some(encoded);
        }
        let expected = erasure::encode(&bytes[full..]);
        assert!(last.unwrap().fragments[3][..] == expected[3][..], "the end of the last data fragment is zero");
    }

    #[tokio::test]
    async fn shared_memory_makes_shorter_segments_of_the_same_bytes() {
        let buffers = BufferPool::new(2 * FRAGMENTS);
        let crowd: Vec<Sharer> = (0..30).map(|_| buffers.join()).collect();
        for (len, announced) in
            [(5 << 20, true), ((5 << 20) + 3, false), (1_000, true), (1_000, false), (0, true), (0, false)]
        {
            let bytes = sample(len);
            let mut slicer = Slicer::sharing(&bytes[..], buffers.clone(), announced.then_some(len as u64));
            let mut got = Vec::new();
            while let Some(raw) = slicer.next().await.unwrap() {
                let (len, segment) = (raw.len(), raw.encode());
                assert!(len <= 2 << 20);
                let data: Vec<u8> = segment.fragments[..DATA_FRAGMENTS].concat();
                assert!(data[len..].iter().all(|byte| *byte == 0));
                let expected = erasure::encode(&data[..len]);
                assert!(segment.fragments.iter().zip(&expected).all(|(have, want)| have[..] == want[..]));
                got.extend_from_slice(&data[..len]);
            }
            assert!(slicer.is_done() && got == bytes, "{len} B");
        }
        for wrong in [2, 4] {
            let mut slicer = Slicer::sharing(&b"abc"[..], buffers.clone(), Some(wrong));
            assert!(matches!(slicer.next().await, Err(SliceError::Size { got: 3, expected }) if expected == wrong));
        }
        drop(crowd);
        assert_eq!(buffers.lent(), 0);
    }

    #[test]
    fn a_known_length_is_cut_evenly() {
        const MIB: u64 = 1 << 20;
        for (len, length, expected) in [
            // 64 MiB as they are sealed: not two segments and a crumb.
            (64 * MIB + 16_384, 32 * MIB, vec![22_375_168, 22_375_168, 22_374_912]),
            (32 * MIB + 8_192, 32 * MIB, vec![16 * MIB + 4_096; 2]),
            (32 * MIB, 32 * MIB, vec![32 * MIB]),
            (1_000, 32 * MIB, vec![1_000]),
            (257, 256, vec![256, 1]),
        ] {
            let (mut left, mut lengths) = (len, Vec::new());
            while left > 0 {
                lengths.push(even(left, length));
                left -= lengths.last().unwrap();
            }
            assert_eq!(lengths, expected, "{len} B");
        }
        assert_eq!(even(0, 32 * MIB), 0);
    }

    #[tokio::test]
    async fn empty_and_failing_input_are_errors() {
        let buffers = BufferPool::new(FRAGMENTS);
        assert!(slice(&[], &buffers).await.is_empty());
        assert_eq!(ManifestBuilder::default().finish(), Err(ManifestError::Empty));
        let broken = tokio_util::io::StreamReader::new(futures::stream::iter([
            Ok(Bytes::from_static(b"abc")),
            Err(io::Error::other("cable pulled")),
        ]));
        let error = Slicer::new(broken, buffers.clone(), 0, 0, None).next().await.err().unwrap();
        assert!(error.to_string().contains("cable pulled"), "{error}");
        let mut full = Slicer::new(&b"x"[..], buffers.clone(), MANIFEST_MAX_SEGMENTS, FILE_MAX_BYTES, None);
        assert!(matches!(full.next().await, Err(SliceError::TooLarge)));
        for expected in [2, 4] {
            let mut wrong = Slicer::new(&b"abc"[..], buffers.clone(), 0, 0, Some(expected));
            assert!(matches!(wrong.next().await, Err(SliceError::Size { got: 3, expected: e }) if e == expected));
        }
        let mut right = Slicer::new(&b"abc"[..], buffers, 1, SEGMENT_MAX_BYTES, Some(SEGMENT_MAX_BYTES + 3));
        assert!(right.next().await.unwrap().is_some() && right.next().await.unwrap().is_none());
    }
}
