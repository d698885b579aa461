//! A pack: a file of the chain whose segments come from many bodies at once.
//!
//! Owns a pack from the draw of its miners to the call that makes it a file; when to close it and the transaction are the caller's. Must
//! not know what the segments mean. Invariants: the first segment is the pack's label, made from its random id and whose it is alone, so
//! that whoever knows these can finish the pack with any of its segments, and no two packs have one file id; a segment has a number only
//! when twelve miners have it on disk; numbers are never used again.

use super::{Placement, StoreCall, Upload, UploadError, UploadId, UploadJournal, Uploader, columns::Columns};
use crate::{
    kv::MemoryKv,
    ledger::manifest::{MANIFEST_MAX_SEGMENTS, SegmentEntry, fragment_len},
    storage::{
        buffers::BufferPool,
        slicer::{EncodedSegment, Slicer},
    },
    types::Address,
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// What a label begins with.
const MAGIC: &[u8; 16] = b"cess 2026 pack 1";
/// Bytes of a label.
pub const LABEL_BYTES: usize = 48;
/// Name of packs among uploads.
const NAME: &str = "pack";
/// Number of the label; the others count from the one after it.
const LABEL_INDEX: u32 = 0;

/// What tells a pack from others: the content of its first segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// The pack's random id.
    pub id: [u8; 16],
    /// Whose it is among the owner's, as its opener says.
    pub scope: [u8; 16],
}

impl Label {
    /// As it is stored.
    pub fn to_bytes(self) -> [u8; LABEL_BYTES] {
        let mut bytes = [0; LABEL_BYTES];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..32].copy_from_slice(&self.id);
        bytes[32..].copy_from_slice(&self.scope);
        bytes
    }

    /// The label, if the bytes are one.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LABEL_BYTES] = bytes.try_into().ok()?;
        let (magic, rest) = bytes.split_first_chunk::<16>()?;
        let (id, scope) = rest.split_first_chunk::<16>()?;
        (magic == MAGIC).then_some(Self { id: *id, scope: scope.try_into().ok()? })
    }

    /// The label, encoded.
    async fn segment(self) -> Result<EncodedSegment, UploadError> {
        let bytes = self.to_bytes();
        // Not of the shared memory: whoever opens a pack holds some already, and must not wait for more behind those who wait for his.
        let mut slicer = Slicer::new(&bytes[..], BufferPool::new(1), 0, 0, None);
        let label = slicer.next().await?.expect("a label has bytes");
        Ok(label.encode())
    }
}

/// Opens packs. Cheap to clone.
#[derive(Clone)]
pub struct Packer {
    uploader: Uploader,
}

/// A pack in the making.
pub struct Pack {
    uploader: Uploader,
    owner: Address,
    label: Label,
    /// The label's line in the manifest.
    first: SegmentEntry,
    columns: Mutex<Arc<Columns>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    segments: BTreeMap<u32, SegmentEntry>,
    next: u32,
    /// Whether the miners did not suffice, so that others are drawn before the next attempt.
    worn: bool,
}

/// A pack that twelve holders signed for.
#[derive(Debug, Clone)]
pub struct PackSeal {
    /// What the transaction says.
    pub call: StoreCall,
    /// Segments that are in the file.
    pub kept: Vec<u32>,
    /// Segments that are not, because too few of their fragments are left.
    pub lost: BTreeMap<u32, SegmentEntry>,
}

impl Packer {
    /// A packer that shares the uploader's memory and streams. Records of packs are their callers' to keep.
    pub fn new(uploader: &Uploader) -> Self {
        let journal = UploadJournal::new(Arc::new(MemoryKv::new()));
        Self { uploader: Uploader { journal, ..uploader.clone() } }
    }

    /// The uploader underneath.
    pub fn uploader(&self) -> &Uploader {
        &self.uploader
    }

    /// Draws miners for a new pack of `owner`, each with room for a fragment of a segment of `first` bytes.
    pub async fn open(&self, owner: Address, scope: [u8; 16], first: u64) -> Result<Pack, UploadError> {
        let mut id = [0; 16];
        self.uploader.node.rng.fill(&mut id);
        self.pack(Label { id, scope }, owner, fragment_len(first), None, BTreeMap::new()).await
    }

    /// Takes over a pack that was placed earlier, perhaps by another gateway. The segments have their numbers.
    pub async fn adopt(
        &self,
        label: Label,
        owner: Address,
        placement: &Placement,
        segments: BTreeMap<u32, SegmentEntry>,
    ) -> Result<Pack, UploadError> {
        let needed = column_bytes(&segments);
        self.pack(label, owner, needed, Some(placement), segments).await
    }

    async fn pack(
        &self,
        label: Label,
        owner: Address,
        needed: u64,
        earlier: Option<&Placement>,
        segments: BTreeMap<u32, SegmentEntry>,
    ) -> Result<Pack, UploadError> {
        let (uploader, first) = (&self.uploader, label.segment().await?.entry);
        let columns = Columns::draw(uploader.chain.as_ref(), &uploader.directory, first.id, needed, earlier).await?;
        let next = segments.last_key_value().map_or(LABEL_INDEX, |(last, _)| *last) + 1;
        Ok(Pack {
            uploader: uploader.clone(),
            owner,
            label,
            first,
            columns: Mutex::new(Arc::new(columns)),
            state: Mutex::new(State { segments, next, worn: false }),
        })
    }
}

impl Pack {
    /// Its identity.
    pub fn id(&self) -> [u8; 16] {
        self.label.id
    }

    /// Where its columns are now.
    pub fn placement(&self) -> Placement {
        self.columns().placement()
    }

    /// Bytes that the fullest of its holders had left when they were drawn.
    pub fn room(&self) -> u64 {
        self.columns().room()
    }

    /// Has a segment acknowledged by twelve miners; its number in the pack. Many at once are welcome.
    pub async fn push(&self, segment: EncodedSegment) -> Result<(u32, SegmentEntry), UploadError> {
        let pushed = self.uploader.push(&self.columns(), segment).await;
        let mut state = self.state.lock();
        if matches!(pushed, Err(UploadError::MinersFailed { .. })) {
            state.worn = true;
        }
        let (entry, index) = (pushed?, state.next);
        state.next += 1;
        state.segments.insert(index, entry.clone());
        Ok((index, entry))
    }

    /// Leaves a segment out of the file: the body it was of did not come to its end.
    pub fn discard(&self, index: u32) {
        self.state.lock().segments.remove(&index);
    }

    /// Number of segments that will be in the file, and the bytes each holder keeps of them.
    pub fn size(&self) -> (usize, u64) {
        let state = self.state.lock();
        (state.segments.len(), column_bytes(&state.segments))
    }

    /// Whether its miners failed, so that a new pack is the better place for a segment.
    pub fn is_worn(&self) -> bool {
        self.state.lock().worn
    }

    /// Has the next attempt to seal draw miners again: the chain did not take these.
    pub fn wear(&self) {
        self.state.lock().worn = true;
    }

    /// Collects the receipts of all segments, after giving holders what they lack. Nothing if there is no segment. May be called again.
    pub async fn seal(&self) -> Result<Option<PackSeal>, UploadError> {
        let mut lost = BTreeMap::new();
        loop {
            let segments = self.state.lock().segments.clone();
            if segments.is_empty() {
                return Ok(None);
            }
            match self.confirm(&segments).await {
                Ok(call) => return Ok(Some(PackSeal { call, kept: segments.into_keys().collect(), lost })),
                Err(UploadError::Lost { segment, .. }) if segment > 0 => {
                    // Every round has one segment less, so that this ends.
                    let gone = segments.into_iter().nth(segment - 1);
                    let (index, entry) = gone.expect("the manifest has the label and these segments");
                    self.discard(index);
                    lost.insert(index, entry);
                }
                Err(error) => {
                    if matches!(error, UploadError::MinersFailed { .. }) {
                        self.wear();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// One attempt, over these segments.
    async fn confirm(&self, segments: &BTreeMap<u32, SegmentEntry>) -> Result<StoreCall, UploadError> {
        let mut upload = Upload::new(UploadId(self.label.id), self.owner, NAME.into(), None, 0);
        upload.segments = std::iter::once(&self.first).chain(segments.values()).cloned().collect();
        let (mut placement, worn) = (self.placement(), self.is_worn());
        if worn {
            placement.expire();
        }
        upload.head.placement = Some(placement);
        if worn {
            let columns = self.uploader.place(&mut upload, self.first.id).await?;
            *self.columns.lock() = Arc::new(columns);
            self.state.lock().worn = false;
        }
        let columns = self.columns();
        self.uploader.push(&columns, self.label.segment().await?).await?;
        let result = self.uploader.confirm(&mut upload, columns, self.first.id, &|_| {}).await;
        self.uploader.journal.remove(upload.id)?;
        result
    }

    fn columns(&self) -> Arc<Columns> {
        self.columns.lock().clone()
    }
}

/// Bytes each holder keeps of these segments and the label.
fn column_bytes(segments: &BTreeMap<u32, SegmentEntry>) -> u64 {
    debug_assert!(segments.len() < MANIFEST_MAX_SEGMENTS, "a pack is a file");
    fragment_len(LABEL_BYTES as u64) + segments.values().map(SegmentEntry::fragment_len).sum::<u64>()
}

#[cfg(test)]
mod tests;
