//! Reading files back: any four fragments of each segment, checked, decoded, in order.
//!
//! Owns read-ahead, ranges and the check of every hash. Must not know who asked. Invariants: no byte is handed out whose
//! fragment's hash was not checked; memory is bounded by [`READ_AHEAD_SEGMENTS`] segments a stream and by
//! [`FetchLimits::memory_bytes`] for all streams together, which are served in order; a reader that goes away stops the fetching.

mod cache;
mod gather;
mod health;
mod scores;
#[cfg(test)]
mod tests;

pub use health::{FileHealth, HolderHealth};
pub use scores::Blame;

use super::{directory::MinerDirectory, erasure, link::DataClient, slicer};
use crate::{
    client::ChainError,
    ledger::manifest::{Manifest, SegmentEntry},
    network::PeerId,
    runtime::{Counter, Criticality, Node, Phase},
    types::{
        Address, FragmentId,
        params::{DATA_FRAGMENTS, FRAGMENTS, SEGMENT_MAX_BYTES},
    },
};
use bytes::Bytes;
use cache::FragmentCache;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use gather::Piece;
use scores::Scores;
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

/// Segments fetched ahead of the reader.
pub const READ_AHEAD_SEGMENTS: usize = 2;

/// Readers from which on each gets one fragment at a time instead of whole segments, so that slow ones hold less.
const CROWD_READERS: usize = 8;
/// Parts of one stream in memory at once: the one being read and those fetched ahead.
const PARTS_HELD_MAX: usize = READ_AHEAD_SEGMENTS + 1;
/// What memory for readers is counted in.
const MEMORY_UNIT_BYTES: u64 = 4 << 10;

/// Why a file could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// Fewer than four good fragments can be had.
    #[error("segment {segment}: {have} of the {DATA_FRAGMENTS} fragments needed can be had ({failures})")]
    TooFew { segment: usize, have: usize, failures: String },
    /// Good fragments that do not belong together: the manifest contradicts itself.
    #[error("segment {segment} decodes to fragment {found}, its manifest says {expected}")]
    WrongFragment { segment: usize, found: FragmentId, expected: FragmentId },
    /// Decoding failed.
    #[error("segment {segment} cannot be decoded: {reason}")]
    Decode { segment: usize, reason: erasure::ErasureError },
    /// Outside of the file.
    #[error("bytes {start} to {end} are outside of the file of {size} B")]
    Range { start: u64, end: u64, size: u64 },
    /// No such segment or column.
    #[error("the file has no fragment {column} of segment {segment}")]
    NoFragment { segment: usize, column: usize },
    /// The chain did not say who holds the file.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The node stops.
    #[error("this node stops")]
    Stopping,
}

/// A file and where its columns may be had.
#[derive(Debug, Clone)]
pub struct FileSource {
    /// What the file consists of. Checked.
    pub manifest: Arc<Manifest>,
    /// Peers that may hold each column, the best first.
    pub columns: [Vec<PeerId>; FRAGMENTS],
}

/// How patient a fetcher is.
#[derive(Debug, Clone)]
pub struct FetchLimits {
    /// Least time before one more holder is asked.
    pub hedge_floor: Duration,
    /// Speed below which a sender counts as slow.
    pub slow_bytes_per_second: u64,
    /// Longest wait for one fragment.
    pub deadline: Duration,
    /// Bytes that were fetched for readers and not yet read by them, at most; at least one segment.
    pub memory_bytes: u64,
    /// Bytes of fragments that are kept for whoever reads them next, at most. Below one segment nothing is kept.
    pub cache_bytes: u64,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            hedge_floor: Duration::from_millis(250),
            slow_bytes_per_second: 8 << 20,
            deadline: Duration::from_secs(60),
            memory_bytes: 512 << 20,
            cache_bytes: 0,
        }
    }
}

/// Reads files. Cheap to clone; clones share what was learnt about peers.
#[derive(Clone)]
pub struct Fetcher {
    node: Node,
    data: DataClient,
    limits: FetchLimits,
    scores: Arc<Scores>,
    cache: FragmentCache,
    memory: Arc<Semaphore>,
    readers: Arc<AtomicUsize>,
}

/// Bytes of one segment of a file.
#[derive(Debug, Clone)]
pub struct SegmentPart {
    /// The file.
    pub source: Arc<FileSource>,
    /// Number of the segment.
    pub segment: usize,
    /// Bytes of the segment.
    pub bytes: Range<u64>,
}

/// The memory of a part, and its place among its stream's.
struct Memory {
    _turn: Option<OwnedSemaphorePermit>,
    _bytes: Option<OwnedSemaphorePermit>,
}

/// One who reads, counted until it is dropped.
struct Reader(Arc<AtomicUsize>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FileSource {
    /// A file as the chain knows it: `holders[i]` keeps column i.
    pub async fn resolve(
        directory: &MinerDirectory,
        manifest: Arc<Manifest>,
        holders: &[Address],
    ) -> Result<Self, FetchError> {
        let peers = directory.peers(holders).await?;
        let columns = std::array::from_fn(|column| peers.get(column).copied().flatten().into_iter().collect());
        Ok(Self { manifest, columns })
    }

    /// A file each of whose columns may be with any of `accounts[column]`, the best first.
    pub async fn among(
        directory: &MinerDirectory,
        manifest: Arc<Manifest>,
        accounts: &[Vec<Address>; FRAGMENTS],
    ) -> Result<Self, ChainError> {
        let mut columns: [Vec<PeerId>; FRAGMENTS] = std::array::from_fn(|_| Vec::new());
        for (peers, accounts) in columns.iter_mut().zip(accounts) {
            peers.extend(directory.peers(accounts).await?.into_iter().flatten());
        }
        Ok(Self { manifest, columns })
    }
}

impl Fetcher {
    /// A fetcher over `data`.
    pub fn new(node: &Node, data: DataClient, limits: FetchLimits) -> Self {
        let units = limits.memory_bytes.max(SEGMENT_MAX_BYTES) / MEMORY_UNIT_BYTES;
        let memory = Arc::new(Semaphore::new(usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS)));
        let cache = FragmentCache::new(limits.cache_bytes);
        Self { node: node.clone(), data, limits, scores: Arc::default(), cache, memory, readers: Arc::default() }
    }

    /// The same fetcher for somebody who wants bytes from the network, whatever is kept here.
    pub fn past_cache(&self) -> Self {
        Self { cache: FragmentCache::default(), ..self.clone() }
    }

    /// Peers that sent bad bytes, the latest last.
    pub fn blamed(&self) -> Vec<Blame> {
        self.scores.blames()
    }

    /// The bytes of `range`, in order. The first error ends the stream.
    pub fn stream(
        &self,
        source: FileSource,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, FetchError>> + Send + 'static, FetchError> {
        let size = source.manifest.size;
        if range.start > range.end || range.end > size {
            return Err(FetchError::Range { start: range.start, end: range.end, size });
        }
        let source = Arc::new(source);
        let mut parts = Vec::new();
        let mut base = 0;
        for (segment, entry) in source.manifest.segments.iter().enumerate() {
            let next = base + u64::from(entry.len);
            let (start, end) = (range.start.max(base), range.end.min(next));
            if start < end {
                parts.push(SegmentPart { source: source.clone(), segment, bytes: start - base..end - base });
            }
            base = next;
        }
        Ok(self.parts(parts))
    }

    /// The bytes of `parts`, in order. The first error ends the stream.
    pub fn parts(&self, parts: Vec<SegmentPart>) -> impl Stream<Item = Result<Bytes, FetchError>> + Send + 'static {
        let cancel = CancellationToken::new();
        self.readers.fetch_add(1, Ordering::Relaxed);
        // Both travel with the stream: dropping it cancels what is under way.
        let keep = (cancel.clone().drop_guard(), Reader(self.readers.clone()));
        let (splitting, fetching, taking) = (self.clone(), self.clone(), self.clone());
        let ahead = Arc::new(Semaphore::new(PARTS_HELD_MAX));
        stream::iter(parts)
            .flat_map(move |part| stream::iter(splitting.portions(part)))
            // One after the other, so that no later part takes the memory an earlier one waits for.
            .then(move |part| taking.clone().take_memory(part, ahead.clone()))
            .map(move |(part, memory)| {
                let _keep = &keep;
                let job = fetching.spawn_segment(part, cancel.clone());
                async move { job.await.unwrap_or(Err(FetchError::Stopping)).map(|chunks| held(chunks, memory)) }
            })
            .buffered(READ_AHEAD_SEGMENTS)
            .try_flatten()
    }

    /// Waits for the memory of a part. Where there are many readers, each has one part at a time.
    async fn take_memory(self, part: SegmentPart, ahead: Arc<Semaphore>) -> (SegmentPart, Memory) {
        let turns = if self.is_crowded() { PARTS_HELD_MAX } else { 1 };
        let turn = ahead.acquire_many_owned(u32::try_from(turns).expect("a few")).await;
        let bytes = self.memory.acquire_many_owned(memory_units(&part)).await;
        (part, Memory { _turn: turn.ok(), _bytes: bytes.ok() })
    }

    fn is_crowded(&self) -> bool {
        self.readers.load(Ordering::Relaxed) > CROWD_READERS
    }

    /// A part as a whole, or cut where its fragments end if there are many readers.
    fn portions(&self, part: SegmentPart) -> Vec<SegmentPart> {
        let fragment = part.source.manifest.segments.get(part.segment).map_or(0, SegmentEntry::fragment_len);
        if fragment == 0 || !self.is_crowded() {
            return vec![part];
        }
        let mut portions = Vec::with_capacity(DATA_FRAGMENTS);
        let mut start = part.bytes.start;
        while start < part.bytes.end {
            let end = part.bytes.end.min((start / fragment + 1) * fragment);
            portions.push(SegmentPart { bytes: start..end, ..part.clone() });
            start = end;
        }
        portions
    }

    /// One fragment, from its holder or rebuilt from four others.
    pub async fn fragment(&self, source: &FileSource, segment: usize, column: usize) -> Result<Bytes, FetchError> {
        let entry = source.manifest.segments.get(segment).filter(|_| column < FRAGMENTS);
        let entry = entry.ok_or(FetchError::NoFragment { segment, column })?;
        let have = match self.exactly(source, segment, &[column]).await {
            Ok(mut pieces) => match pieces.pop() {
                Some((_, bytes)) => return Ok(bytes),
                None => Vec::new(),
            },
            Err(have) => have,
        };
        let pieces = self.any_four(source, segment, have).await?;
        let mut rebuilt = self.rebuild(entry, segment, vec![column], pieces).await?;
        rebuilt.pop().map(|(_, bytes)| bytes).ok_or(FetchError::NoFragment { segment, column })
    }

    /// These columns' fragments of a segment with their columns, each checked. One alone is asked of its holder, several are computed
    /// from any four.
    pub async fn fragments(
        &self,
        source: &FileSource,
        segment: usize,
        columns: &[usize],
    ) -> Result<Vec<(usize, Bytes)>, FetchError> {
        if let [column] = *columns {
            return Ok(vec![(column, self.fragment(source, segment, column).await?)]);
        }
        let none = |column| FetchError::NoFragment { segment, column };
        let entry = source.manifest.segments.get(segment).ok_or(none(0))?;
        if let Some(&column) = columns.iter().find(|column| **column >= FRAGMENTS) {
            return Err(none(column));
        }
        let pieces = self.any_four(source, segment, Vec::new()).await?;
        self.rebuild(entry, segment, columns.to_vec(), pieces).await
    }

    /// Fetches a part in a task of its own, so that it goes on while the reader is busy.
    fn spawn_segment(
        &self,
        part: SegmentPart,
        cancel: CancellationToken,
    ) -> oneshot::Receiver<Result<Vec<Bytes>, FetchError>> {
        let (done, result) = oneshot::channel();
        let this = self.clone();
        let name = format!("fetch segment {}", part.segment);
        self.node.tasks.spawn(Phase::Drain, name, Criticality::Optional, async move {
            tokio::select! {
                fetched = this.segment(&part.source, part.segment, part.bytes) => {
                    // A reader that went away has no use for it.
                    let _ = done.send(fetched);
                }
                () = cancel.cancelled() => {}
            }
            Ok(())
        });
        result
    }

    /// Bytes `part` of a segment, in pieces.
    async fn segment(&self, source: &FileSource, segment: usize, part: Range<u64>) -> Result<Vec<Bytes>, FetchError> {
        let missing = FetchError::NoFragment { segment, column: 0 };
        let entry = source.manifest.segments.get(segment).ok_or(missing)?;
        let part = part.start..part.end.min(u64::from(entry.len));
        let wanted = columns_of(entry, &part);
        if let Some(pieces) = self.cache.all(entry, &wanted) {
            self.node.metrics.add(Counter::CachedBytesOut, part.end - part.start);
            return Ok(cut(entry, pieces, &part));
        }
        let pieces = self.data_fragments(source, segment, entry, &wanted).await?;
        self.cache.keep(entry, &pieces);
        Ok(cut(entry, pieces, &part))
    }

    /// Data fragments of a segment, the wanted ones among them.
    async fn data_fragments(
        &self,
        source: &FileSource,
        segment: usize,
        entry: &SegmentEntry,
        wanted: &[usize],
    ) -> Result<Vec<Piece>, FetchError> {
        let have = match wanted.len() {
            DATA_FRAGMENTS => Vec::new(),
            _ => match self.exactly(source, segment, wanted).await {
                Ok(pieces) => return Ok(pieces),
                Err(have) => have,
            },
        };
        let pieces = self.any_four(source, segment, have).await?;
        self.assemble(entry, segment, pieces).await
    }

    /// All four data fragments from any four.
    async fn assemble(
        &self,
        entry: &SegmentEntry,
        segment: usize,
        pieces: Vec<Piece>,
    ) -> Result<Vec<Piece>, FetchError> {
        if pieces.iter().all(|(column, _)| *column < DATA_FRAGMENTS) {
            return Ok(pieces);
        }
        self.rebuild(entry, segment, (0..DATA_FRAGMENTS).collect(), pieces).await
    }

    /// These columns from any four: as they came, or decoded and checked by their own hashes.
    async fn rebuild(
        &self,
        entry: &SegmentEntry,
        segment: usize,
        columns: Vec<usize>,
        pieces: Vec<Piece>,
    ) -> Result<Vec<Piece>, FetchError> {
        let ids = entry.fragments;
        let built = self.node.pool.run(move || {
            let given: Vec<(usize, &[u8])> = pieces.iter().map(|(column, bytes)| (*column, &bytes[..])).collect();
            let is_here = |column: &usize| pieces.iter().any(|(here, _)| here == column);
            let missing: Vec<usize> = columns.iter().copied().filter(|column| !is_here(column)).collect();
            let rebuilt = erasure::rebuild(&missing, &given)?;
            let wrong = missing.iter().zip(&rebuilt).map(|(column, bytes)| (ids[*column], slicer::fragment_id(bytes)));
            let wrong = wrong.into_iter().find(|(expected, found)| expected != found);
            let here = pieces.into_iter().filter(|(column, _)| columns.contains(column));
            let all: Vec<Piece> = here.chain(missing.into_iter().zip(rebuilt.into_iter().map(Bytes::from))).collect();
            Ok((wrong, all))
        });
        match built.await.map_err(|reason| FetchError::Decode { segment, reason })? {
            (None, all) => Ok(all),
            (Some((expected, found)), _) => Err(FetchError::WrongFragment { segment, found, expected }),
        }
    }
}

/// Memory that a part takes while it is fetched and read: all fragments it touches.
fn memory_units(part: &SegmentPart) -> u32 {
    let Some(entry) = part.source.manifest.segments.get(part.segment) else { return 0 };
    let bytes = columns_of(entry, &part.bytes).len() as u64 * entry.fragment_len();
    u32::try_from(bytes.min(SEGMENT_MAX_BYTES).div_ceil(MEMORY_UNIT_BYTES)).expect("32 MiB are 8,192 units")
}

/// Chunks that give their memory back when the last one was taken.
fn held(chunks: Vec<Bytes>, memory: Memory) -> impl Stream<Item = Result<Bytes, FetchError>> + Send {
    stream::iter(chunks).map(move |chunk| {
        let _held = &memory;
        Ok(chunk)
    })
}

/// Data columns that hold bytes of `part`.
fn columns_of(entry: &SegmentEntry, part: &Range<u64>) -> Vec<usize> {
    let len = entry.fragment_len();
    (0..DATA_FRAGMENTS)
        .filter(|&column| {
            let start = column as u64 * len;
            start < part.end && part.start < start + len
        })
        .collect()
}

/// The bytes `part` of a segment out of its data fragments.
fn cut(entry: &SegmentEntry, mut pieces: Vec<Piece>, part: &Range<u64>) -> Vec<Bytes> {
    pieces.sort_by_key(|(column, _)| *column);
    let len = entry.fragment_len();
    let mut chunks = Vec::with_capacity(pieces.len());
    for (column, bytes) in pieces {
        let base = column as u64 * len;
        let start = part.start.saturating_sub(base).min(len);
        let end = part.end.saturating_sub(base).min(len);
        let bound = |offset| usize::try_from(offset).expect("an offset in a fragment is at most 8 MiB");
        if start < end {
            chunks.push(bytes.slice(bound(start)..bound(end)));
        }
    }
    chunks
}
