//! Reading files back: any four fragments of each segment, checked, decoded, in order.
//!
//! Owns read-ahead, ranges and the check of every hash. Must not know who asked. Invariants: no byte is handed out whose
//! fragment or segment hash was not checked; memory is bounded by [`READ_AHEAD_SEGMENTS`] segments a stream; a reader that
//! goes away stops the fetching.

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
    runtime::{Criticality, Node, Phase},
    types::{
        Address, SegmentId,
        params::{DATA_FRAGMENTS, FRAGMENTS, SEGMENT_MAX_BYTES},
    },
};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use gather::Piece;
use scores::Scores;
use std::{ops::Range, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Segments fetched ahead of the reader.
pub const READ_AHEAD_SEGMENTS: usize = 2;

/// Why a file could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// Fewer than four good fragments can be had.
    #[error("segment {segment}: {have} of the {DATA_FRAGMENTS} fragments needed can be had ({failures})")]
    TooFew { segment: usize, have: usize, failures: String },
    /// Good fragments that are not this segment's: the manifest contradicts itself.
    #[error("segment {segment} decodes to {found}, its manifest says {expected}")]
    WrongSegment { segment: usize, found: SegmentId, expected: SegmentId },
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
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            hedge_floor: Duration::from_millis(250),
            slow_bytes_per_second: 8 << 20,
            deadline: Duration::from_secs(60),
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
}

impl Fetcher {
    /// A fetcher over `data`.
    pub fn new(node: &Node, data: DataClient, limits: FetchLimits) -> Self {
        Self { node: node.clone(), data, limits, scores: Arc::default() }
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
        let first = range.start / SEGMENT_MAX_BYTES;
        let last = if range.is_empty() { first } else { range.end.div_ceil(SEGMENT_MAX_BYTES) };
        let cancel = CancellationToken::new();
        let (this, source, guard) = (self.clone(), Arc::new(source), cancel.clone().drop_guard());
        let segments = stream::iter(first..last).map(move |segment| {
            let base = segment * SEGMENT_MAX_BYTES;
            let part = range.start.max(base) - base..(range.end - base).min(SEGMENT_MAX_BYTES);
            let job = this.spawn_segment(source.clone(), segment, part, cancel.clone());
            // The guard travels with the stream: dropping the stream cancels what is under way.
            let _keep = &guard;
            async move { job.await.unwrap_or(Err(FetchError::Stopping)) }
        });
        let chunks = segments.buffered(READ_AHEAD_SEGMENTS).map_ok(|chunks| stream::iter(chunks).map(Ok)).try_flatten();
        Ok(chunks)
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
        let id = entry.fragments[column];
        let rebuilt = self.node.pool.run(move || {
            let given: Vec<(usize, &[u8])> = pieces.iter().map(|(column, bytes)| (*column, &bytes[..])).collect();
            let bytes = erasure::rebuild_one(column, &given)?;
            Ok((slicer::fragment_id(&bytes), bytes))
        });
        let (found, bytes) = rebuilt.await.map_err(|reason| FetchError::Decode { segment, reason })?;
        if found != id {
            return Err(FetchError::WrongSegment { segment, found: SegmentId(found.0), expected: SegmentId(id.0) });
        }
        Ok(bytes.into())
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
        let (ids, columns) = (entry.fragments, columns.to_vec());
        let pieces = self.any_four(source, segment, Vec::new()).await?;
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
            (None, fragments) => Ok(fragments),
            (Some((expected, found)), _) => {
                let (found, expected) = (SegmentId(found.0), SegmentId(expected.0));
                Err(FetchError::WrongSegment { segment, found, expected })
            }
        }
    }

    /// Fetches a segment in a task of its own, so that it goes on while the reader is busy.
    fn spawn_segment(
        &self,
        source: Arc<FileSource>,
        segment: u64,
        part: Range<u64>,
        cancel: CancellationToken,
    ) -> oneshot::Receiver<Result<Vec<Bytes>, FetchError>> {
        let (done, result) = oneshot::channel();
        let this = self.clone();
        let name = format!("fetch segment {segment}");
        self.node.tasks.spawn(Phase::Drain, name, Criticality::Optional, async move {
            let index = usize::try_from(segment).unwrap_or(usize::MAX);
            tokio::select! {
                fetched = this.segment(&source, index, part) => {
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
        if wanted.len() == DATA_FRAGMENTS {
            let pieces = self.any_four(source, segment, Vec::new()).await?;
            return Ok(cut(entry, self.assemble(entry, segment, pieces).await?, &part));
        }
        match self.exactly(source, segment, &wanted).await {
            Ok(pieces) => Ok(cut(entry, pieces, &part)),
            Err(have) => {
                let pieces = self.any_four(source, segment, have).await?;
                Ok(cut(entry, self.assemble(entry, segment, pieces).await?, &part))
            }
        }
    }

    /// All four data fragments from any four. What had to be decoded is checked by the segment's hash; data fragments that came
    /// as they are were each checked by their own.
    async fn assemble(
        &self,
        entry: &SegmentEntry,
        segment: usize,
        mut pieces: Vec<Piece>,
    ) -> Result<Vec<Piece>, FetchError> {
        if pieces.iter().all(|(column, _)| *column < DATA_FRAGMENTS) {
            return Ok(pieces);
        }
        let (expected, len) = (entry.id, usize::try_from(entry.len).unwrap_or(usize::MAX));
        let work = self.node.pool.run(move || {
            pieces.sort_by_key(|(column, _)| *column);
            let missing: Vec<usize> =
                (0..DATA_FRAGMENTS).filter(|column| pieces.iter().all(|(have, _)| have != column)).collect();
            let given: Vec<(usize, &[u8])> = pieces.iter().map(|(column, bytes)| (*column, &bytes[..])).collect();
            let rebuilt = erasure::rebuild(&missing, &given)?;
            pieces.retain(|(column, _)| *column < DATA_FRAGMENTS);
            pieces.extend(missing.into_iter().zip(rebuilt.into_iter().map(Bytes::from)));
            pieces.sort_by_key(|(column, _)| *column);
            let data: [&[u8]; DATA_FRAGMENTS] = std::array::from_fn(|column| &pieces[column].1[..]);
            let found = slicer::segment_id(data, len);
            Ok((found, pieces))
        });
        let (found, pieces) = work.await.map_err(|reason| FetchError::Decode { segment, reason })?;
        if found != expected {
            return Err(FetchError::WrongSegment { segment, found, expected });
        }
        Ok(pieces)
    }
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
