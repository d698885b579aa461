//! The port through which objects reach their bytes: bodies go in as streams and come out as ranges.
//!
//! Owns what a stored body is: segments of packs. A pack is a file of the chain in the making, whose segments come from many bodies.
//! Must not know buckets, keys or encryption. Invariants: what [`Blobs::put`] returned survives the loss of this gateway and of any eight
//! of the twelve holders; a body's bytes are its extents in their order; a range touches no byte that was not checked.

mod memory;

pub use memory::MemoryBlobs;

use crate::{
    codec::Wire,
    ledger::manifest::SegmentEntry,
    types::{Address, FileId, Height, SegmentId, params::FRAGMENTS},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::{fmt, ops::Range};
use tokio::sync::broadcast;

/// Earlier holders a head remembers.
pub const FORMER_HOLDERS_MAX: usize = 48;
/// Most segments of one body, as of one manifest.
pub const BODY_MAX_SEGMENTS: usize = 4_096;
/// Outcomes a slow listener may lag behind before it misses some and has to ask.
pub const OUTCOMES_MAX: usize = 1_024;

/// Bytes as they are sent. The first error ends the stream.
pub type BodyStream = BoxStream<'static, Result<Bytes, BlobError>>;

/// Why bytes could not be stored or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Whoever sends the body failed.
    #[error("the body cannot be read at byte {offset}: {reason}")]
    Body { offset: u64, reason: String },
    /// Fewer or more bytes than were announced.
    #[error("{got} B were sent, {expected} B were announced")]
    Size { got: u64, expected: u64 },
    /// More than one body may have.
    #[error("a body has at most {BODY_MAX_SEGMENTS} segments")]
    TooLarge,
    /// Not enough miners took it. Trying again later may help.
    #[error("the bytes cannot be stored: {0}")]
    Store(String),
    /// Segments are not to be had. Trying again later may help.
    #[error("the bytes cannot be read: {0}")]
    Fetch(String),
    /// Outside of the body.
    #[error("bytes {start} to {end} are outside of the body of {size} B")]
    Range { start: u64, end: u64, size: u64 },
    /// An extent that is not inside of its segment, or whose pack has no head.
    #[error("extent {index} of the body is damaged: {reason}")]
    Extent { index: usize, reason: String },
    /// The chain refused, or was not reached.
    #[error("the chain did not take {what}: {reason}")]
    Ledger { what: String, reason: String },
    /// Bytes that do not decrypt: changed, reordered, cut, or another key.
    #[error("the bytes of chunk {chunk} are not authentic")]
    Tampered { chunk: u64 },
    /// The node stops.
    #[error("this node stops")]
    Stopping,
}

/// Whose bytes: packs are shared within a scope, so that whoever has the bucket's records can finish its packs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Scope {
    /// Account the files belong to, and whose territory is charged.
    pub owner: [u8; 20],
    /// Bucket, or whatever else has records of its own.
    pub bucket: [u8; 16],
}

impl Scope {
    /// The scope of a bucket.
    pub fn new(owner: Address, bucket: [u8; 16]) -> Self {
        Self { owner: owner.into(), bucket }
    }

    /// Account the files belong to.
    pub fn owner(&self) -> Address {
        self.owner.into()
    }
}

/// Identity of a pack: random.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, borsh::BorshSerialize, borsh::BorshDeserialize,
)]
pub struct PackId(pub [u8; 16]);

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", hex::encode(&self.0[..4]))
    }
}

/// Where the segments of a pack lie.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct PackHead {
    /// Height of the beacon its miners were drawn with.
    pub beacon_height: Height,
    /// Holder of each column. Once the file is final, the chain's holders count.
    pub holders: [[u8; 20]; FRAGMENTS],
    /// Earlier holders of columns, who may still have fragments, at most [`FORMER_HOLDERS_MAX`].
    pub former: Vec<(u8, [u8; 20])>,
    /// When it was opened, Unix milliseconds.
    pub opened_ms: u64,
    /// The gateway that opened it and is the first to finish it.
    pub gateway: [u8; 20],
    /// The file it became.
    pub file: Option<FileId>,
}

impl Wire for PackHead {
    const NAME: &'static str = "pack head";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 1 + 8 + FRAGMENTS * 20 + 4 + FORMER_HOLDERS_MAX * 21 + 8 + 20 + 33;
}

/// Bytes `skip..skip + len` of a segment of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Extent {
    /// The pack.
    pub pack: PackId,
    /// The segment's number in the pack. Numbers may have gaps.
    pub index: u32,
    /// Bytes of the segment before the first.
    pub skip: u32,
    /// Bytes.
    pub len: u32,
}

/// A part of a stored body: the segment it lies in, and where.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Piece {
    /// The segment.
    pub entry: SegmentEntry,
    /// Where in it.
    pub extent: Extent,
}

/// A body that lies on miners.
#[derive(Debug, Clone, PartialEq, Eq, Default, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct StoredBody {
    /// Its parts, in order.
    pub pieces: Vec<Piece>,
    /// Heads of the packs the pieces are in, as they are now.
    pub heads: Vec<(PackId, PackHead)>,
    /// Bytes of the body as stored: the sum of the extents.
    pub stored: u64,
}

impl StoredBody {
    /// The head of a pack.
    pub fn head(&self, pack: PackId) -> Option<&PackHead> {
        self.heads.iter().find(|(id, _)| *id == pack).map(|(_, head)| head)
    }
}

/// What became of a pack that this gateway opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackOutcome {
    /// Whose it is.
    pub scope: Scope,
    /// Which pack.
    pub pack: PackId,
    /// The final file, or why there is none yet. A pack that failed is tried again; whoever has its records may finish it too.
    pub file: Result<FileId, BlobError>,
    /// Segments too many of whose fragments were lost before the pack was finished.
    pub lost: Vec<SegmentId>,
}

/// Bytes of bodies on miners.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Stores a stream; its bytes are on twelve miners' disks when this returns. An empty body has no pieces. The transaction that makes
    /// the packs files of the scope's owner follows in the background, see [`Blobs::outcomes`].
    async fn put(&self, scope: Scope, size: Option<u64>, body: BodyStream) -> Result<StoredBody, BlobError>;

    /// The bytes `range`, counted over the body's extents.
    async fn get(&self, body: StoredBody, range: Range<u64>) -> Result<BodyStream, BlobError>;

    /// Makes a pack a final file from its records: collects the receipts, rebuilds what holders lack, sends the transaction. For packs of
    /// a gateway that is gone, and of this one after a restart. Segments with their numbers in the pack, in any order.
    async fn finish(
        &self,
        scope: Scope,
        pack: PackId,
        head: PackHead,
        segments: Vec<(u32, SegmentEntry)>,
    ) -> Result<FileId, BlobError>;

    /// Deletes a file of the owner. One that is not there is no error.
    async fn remove(&self, owner: Address, file: FileId) -> Result<(), BlobError>;

    /// What becomes of the packs this gateway opens. A listener that lagged asks for the packs it has no file for with [`Blobs::finish`].
    fn outcomes(&self) -> broadcast::Receiver<PackOutcome>;
}

/// A body of bytes at hand.
pub fn body_of(bytes: impl Into<Bytes>) -> BodyStream {
    let bytes: Bytes = bytes.into();
    let parts = (!bytes.is_empty()).then_some(Ok(bytes));
    Box::pin(futures::stream::iter(parts))
}

/// The parts of `pieces` that `range` touches, with the bytes wanted of each segment. Checks that the extents are inside of their segments.
pub fn parts_of(body: &StoredBody, range: &Range<u64>) -> Result<Vec<(usize, Range<u64>)>, BlobError> {
    let mut parts = Vec::new();
    let mut base = 0u64;
    for (index, Piece { entry, extent }) in body.pieces.iter().enumerate() {
        let (skip, len) = (u64::from(extent.skip), u64::from(extent.len));
        if skip + len > u64::from(entry.len) {
            let reason = format!("bytes {skip} to {} are outside of the segment of {} B", skip + len, entry.len);
            return Err(BlobError::Extent { index, reason });
        }
        if body.head(extent.pack).is_none() {
            return Err(BlobError::Extent { index, reason: format!("pack {} has no head", extent.pack) });
        }
        let (start, end) = (range.start.max(base), range.end.min(base + len));
        if start < end {
            parts.push((index, skip + start - base..skip + end - base));
        }
        base += len;
    }
    if range.start > range.end || range.end > base {
        return Err(BlobError::Range { start: range.start, end: range.end, size: base });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec::golden::check, types::FragmentId};

    fn head() -> PackHead {
        PackHead {
            beacon_height: 9,
            holders: [[3; 20]; FRAGMENTS],
            former: vec![(11, [4; 20])],
            opened_ms: 5,
            gateway: [6; 20],
            file: Some(FileId([7; 32])),
        }
    }

    fn body(lens: &[(u32, u32)]) -> StoredBody {
        let pack = PackId([1; 16]);
        let piece = |(index, (skip, len)): (usize, &(u32, u32))| Piece {
            entry: SegmentEntry { id: SegmentId([1; 32]), len: 100, fragments: [FragmentId([2; 32]); FRAGMENTS] },
            extent: Extent { pack, index: u32::try_from(index).unwrap(), skip: *skip, len: *len },
        };
        let pieces: Vec<Piece> = lens.iter().enumerate().map(piece).collect();
        let stored = pieces.iter().map(|piece| u64::from(piece.extent.len)).sum();
        StoredBody { pieces, heads: vec![(pack, head())], stored }
    }

    #[test]
    fn encodings_are_stable_and_fit() {
        check(&head());
        let full = PackHead { former: vec![(1, [1; 20]); FORMER_HOLDERS_MAX], ..head() };
        crate::codec::encode(&full);
    }

    #[test]
    fn a_range_is_found_in_the_extents() {
        let body = body(&[(0, 100), (16, 10), (90, 10)]);
        let parts = |range| parts_of(&body, &range).unwrap();
        assert_eq!(parts(0..120), [(0, 0..100), (1, 16..26), (2, 90..100)]);
        assert_eq!(parts(99..101), [(0, 99..100), (1, 16..17)]);
        assert_eq!(parts(110..111), [(2, 90..91)]);
        assert_eq!(parts(5..5), []);
        let outside = parts_of(&body, &(0..121)).unwrap_err();
        assert_eq!(outside, BlobError::Range { start: 0, end: 121, size: 120 });
    }

    #[test]
    fn damaged_extents_are_refused() {
        let outside = parts_of(&body(&[(1, 100)]), &(0..1)).unwrap_err();
        assert!(matches!(outside, BlobError::Extent { index: 0, .. }), "{outside}");
        let mut headless = body(&[(0, 100)]);
        headless.heads.clear();
        assert!(matches!(parts_of(&headless, &(0..1)), Err(BlobError::Extent { index: 0, .. })));
    }
}
