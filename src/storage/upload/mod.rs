//! Storing a file: slice, encode, push to twelve miners, collect their receipts.
//!
//! Owns an upload from its first byte to the call that makes it a file; the transaction is the caller's. Must not know HTTP.
//! Invariants: memory is bounded by the buffer pool; a segment counts only when twelve miners have it on disk; a failed upload
//! leaves nothing but unclaimed fragments, which miners collect; no wait is without a deadline.

mod columns;
mod journal;
mod pack;
mod push;
mod receipts;
#[cfg(test)]
mod tests;

pub use journal::{JournalError, Placement, UPLOAD_NAME_MAX_BYTES, Upload, UploadHead, UploadId, UploadJournal};
pub use pack::{LABEL_BYTES, Label, Pack, PackSeal, Packer};

use super::{
    buffers::BufferPool,
    directory::MinerDirectory,
    fetch::{FetchError, Fetcher},
    link::DataClient,
    slicer::{EncodedSegment, ManifestBuilder, SliceError, Slicer, encoded},
};
use crate::{
    client::{ChainClient, ChainError},
    crypto::Signature,
    ledger::{
        abi::IFiles,
        manifest::{Manifest, ManifestError, SegmentEntry, fragment_len},
    },
    runtime::Node,
    types::{
        Address, ByteCount, FileId, Height, SegmentId,
        params::{FILE_MAX_BYTES, FRAGMENTS, SEGMENT_MAX_BYTES},
    },
};
use alloy_primitives::Bytes as EthBytes;
use alloy_sol_types::SolCall;
use columns::Columns;
use futures::{Stream, StreamExt};
use std::{sync::Arc, time::Duration};
use tokio::io::AsyncRead;

/// Buffers of an uploader's pool: two full segments with their parity, 192 MiB.
pub const UPLOAD_BUFFERS: usize = 2 * FRAGMENTS;
/// Segments on their way to miners at once.
const PUSHING_MAX: usize = 3;

/// Why a file could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The source failed or is too large.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// The file is empty or otherwise not a file.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The chain failed.
    #[error("the file cannot be placed: {0}")]
    Chain(#[from] ChainError),
    /// Not enough miners on the network.
    #[error("{FRAGMENTS} miners are needed, {eligible} of the {registered} registered are eligible")]
    TooFewMiners { registered: usize, eligible: usize },
    /// Not enough of them have room.
    #[error(
        "{FRAGMENTS} miners with {} free are needed, {with_room} of the {eligible} eligible have that; the emptiest has {}",
        ByteCount(*needed), ByteCount(*largest_free)
    )]
    NoRoom { eligible: usize, with_room: usize, needed: u64, largest_free: u64 },
    /// Miners failed and nobody is left to take over.
    #[error("too many miners failed and none is left to take over: {}", failures.join("; "))]
    MinersFailed { failures: Vec<String> },
    /// The miners dropped a segment before the upload was finished. The upload was set back to before it.
    #[error(
        "too few fragments of segment {segment} are left, miners keep them only for a while before the file is stored; \
         the upload goes on from byte {offset}"
    )]
    Lost { segment: usize, offset: u64 },
    /// A fragment had to be rebuilt and could not be.
    #[error("a fragment for a replacement miner cannot be rebuilt: {0}")]
    Rebuild(#[from] FetchError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// How patient an uploader is.
#[derive(Debug, Clone)]
pub struct UploadLimits {
    /// Longest wait for one acknowledgement.
    pub put_deadline: Duration,
    /// Longest wait for one receipt.
    pub receipt_deadline: Duration,
    /// A miner is never called slow before so long.
    pub slow_floor: Duration,
    /// A miner is slow when it takes so many times longer than most others.
    pub slow_factor: u32,
    /// A miner that nobody can replace is given up no sooner than this, and not before four times what makes it slow.
    pub stuck_floor: Duration,
    /// How long a failing miner is tried again when nobody can take over.
    pub patience: Duration,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            put_deadline: Duration::from_secs(120),
            receipt_deadline: Duration::from_secs(30),
            slow_floor: Duration::from_secs(4),
            slow_factor: 4,
            stuck_floor: Duration::from_secs(20),
            patience: Duration::from_secs(15),
        }
    }
}

/// What an upload is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UploadPhase {
    /// Fragments are sent to miners.
    Sending,
    /// Receipts are collected; lost fragments are rebuilt.
    Confirming,
}

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UploadProgress {
    /// What it is doing.
    pub phase: UploadPhase,
    /// Bytes of the file that twelve miners acknowledged.
    pub stored: u64,
    /// Segments that twelve miners acknowledged.
    pub segments: usize,
    /// Receipts collected.
    pub receipts: usize,
    /// Miners that were replaced.
    pub replaced: u32,
}

/// Everything the transaction that makes an upload a file must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreCall {
    /// The file's id.
    pub file: FileId,
    /// What it consists of.
    pub manifest: Manifest,
    /// The canonical encoding of the manifest.
    pub manifest_bytes: EthBytes,
    /// Height of the beacon its miners were drawn with.
    pub beacon_height: Height,
    /// Holder of each column.
    pub holders: Vec<Address>,
    /// Receipt of each holder.
    pub receipts: Vec<Signature>,
}

impl StoreCall {
    /// Input of the transaction to [`crate::ledger::abi::FILES`].
    pub fn calldata(&self) -> EthBytes {
        let call = IFiles::storeCall {
            manifest: self.manifest_bytes.clone(),
            beaconHeight: self.beacon_height,
            holders: self.holders.clone(),
            receipts: self.receipts.iter().map(|receipt| receipt.0.to_vec().into()).collect(),
        };
        call.abi_encode().into()
    }
}

/// Stores files. Cheap to clone; clones share buffers and streams.
#[derive(Clone)]
pub struct Uploader {
    node: Node,
    chain: Arc<dyn ChainClient>,
    directory: MinerDirectory,
    data: DataClient,
    fetcher: Fetcher,
    buffers: BufferPool,
    journal: UploadJournal,
    limits: UploadLimits,
}

/// What an uploader works with.
pub struct UploaderParts {
    /// The chain.
    pub chain: Arc<dyn ChainClient>,
    /// Who the miners are.
    pub directory: MinerDirectory,
    /// Streams to them.
    pub data: DataClient,
    /// Reads fragments back when a column must be rebuilt.
    pub fetcher: Fetcher,
    /// Memory for fragments, at least twelve buffers.
    pub buffers: BufferPool,
    /// Where unfinished uploads are noted.
    pub journal: UploadJournal,
}

/// Told how far an upload is.
pub type OnProgress<'a> = &'a (dyn Fn(UploadProgress) + Send + Sync);

impl Uploader {
    /// An uploader of `node`.
    pub fn new(node: &Node, parts: UploaderParts, limits: UploadLimits) -> Self {
        let UploaderParts { chain, directory, data, fetcher, buffers, journal } = parts;
        Self { node: node.clone(), chain, directory, data, fetcher, buffers, journal, limits }
    }

    /// The journal of unfinished uploads.
    pub fn journal(&self) -> &UploadJournal {
        &self.journal
    }

    /// Memory the uploader uses for fragments.
    pub fn buffers(&self) -> &BufferPool {
        &self.buffers
    }

    /// Stores what `input` still has to give, from byte [`Upload::offset`] on, and collects the receipts.
    ///
    /// On an error `upload` and the journal know how far it got, or how far it was set back; calling again with the rest of the bytes goes on from there.
    /// After the returned call was made final, the journal's record is the caller's to remove.
    pub async fn upload<R: AsyncRead + Unpin + Send>(
        &self,
        upload: &mut Upload,
        input: R,
        progress: OnProgress<'_>,
    ) -> Result<StoreCall, UploadError> {
        let result = self.store(upload, input, progress).await;
        if let (Err(UploadError::MinersFailed { .. }), Some(placement)) = (&result, upload.head.placement.as_mut()) {
            placement.expire();
            self.journal.save_head(upload)?;
        }
        result
    }

    async fn store<R: AsyncRead + Unpin + Send>(
        &self,
        upload: &mut Upload,
        input: R,
        progress: OnProgress<'_>,
    ) -> Result<StoreCall, UploadError> {
        self.journal.save_head(upload)?;
        if let Some(size) = upload.head.size.filter(|size| *size > FILE_MAX_BYTES) {
            return Err(ManifestError::TooLarge { size, max: FILE_MAX_BYTES }.into());
        }
        let slicer = Slicer::new(input, self.buffers.clone(), upload.segments.len(), upload.offset(), upload.head.size);
        let mut segments = Box::pin(encoded(slicer, self.node.pool.clone()).peekable());
        let first = match upload.segments.first() {
            Some(entry) => entry.id,
            None => match segments.as_mut().peek().await {
                Some(Ok(segment)) => segment.entry.id,
                Some(Err(_)) => {
                    return Err(segments.next().await.and_then(Result::err).expect("it was peeked at").into());
                }
                None => return Err(ManifestError::Empty.into()),
            },
        };
        let columns = self.place(upload, first).await?;
        self.send(upload, &columns, segments, progress).await?;
        self.confirm(upload, Arc::new(columns), first, progress).await
    }

    /// Draws the miners, or finds those of an interrupted upload again.
    async fn place(&self, upload: &mut Upload, first: SegmentId) -> Result<Columns, UploadError> {
        let needed = needed_bytes(upload);
        let earlier = upload.head.placement.as_ref();
        let columns = Columns::draw(self.chain.as_ref(), &self.directory, first, needed, earlier).await?;
        self.note(upload, &columns)?;
        Ok(columns)
    }

    /// Writes the placement into the journal.
    fn note(&self, upload: &mut Upload, columns: &Columns) -> Result<(), UploadError> {
        upload.head.placement = Some(columns.placement());
        Ok(self.journal.save_head(upload)?)
    }

    /// Pushes all segments; records each once twelve miners have it.
    async fn send(
        &self,
        upload: &mut Upload,
        columns: &Columns,
        segments: impl Stream<Item = Result<EncodedSegment, SliceError>> + Send,
        progress: OnProgress<'_>,
    ) -> Result<(), UploadError> {
        let (mut builder, mut replaced) = (ManifestBuilder::resume(upload.segments.clone()), 0);
        let pushed = segments.map(|segment| async {
            match segment {
                Ok(segment) => self.push(columns, segment).await,
                Err(error) => Err(error.into()),
            }
        });
        let mut pushed = Box::pin(pushed.buffered(PUSHING_MAX));
        while let Some(entry) = pushed.next().await {
            let entry = entry?;
            self.journal.save_segment(upload.id, upload.segments.len(), &entry)?;
            builder.push(entry.clone());
            upload.segments.push(entry);
            if columns.replaced() != replaced {
                replaced = columns.replaced();
                self.note(upload, columns)?;
            }
            let (stored, segments) = (builder.size(), upload.segments.len());
            progress(UploadProgress { phase: UploadPhase::Sending, stored, segments, receipts: 0, replaced });
        }
        Ok(())
    }
}

/// Bytes each holder must have room for, as far as that is known.
fn needed_bytes(upload: &Upload) -> u64 {
    let sent: u64 = upload.segments.iter().map(SegmentEntry::fragment_len).sum();
    let Some(size) = upload.head.size else { return sent.max(fragment_len(1)) };
    let (full, last) = (size / SEGMENT_MAX_BYTES, size % SEGMENT_MAX_BYTES);
    let tail = if last == 0 { 0 } else { fragment_len(last) };
    full * fragment_len(SEGMENT_MAX_BYTES) + tail
}
