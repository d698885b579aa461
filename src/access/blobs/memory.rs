//! The twin of the port in memory: for tests of what stands on it, and for nodes without miners.
//!
//! Must not know miners. Invariant: it refuses what the real one refuses, and loses nothing but what it is told to lose.

use super::{
    BlobError, Blobs, BodyStream, Extent, OUTCOMES_MAX, PackHead, PackId, PackOutcome, Piece, Scope, StoredBody,
    parts_of,
};
use crate::{
    crypto::hash,
    ledger::manifest::SegmentEntry,
    types::{
        Address, FileId, FragmentId, SegmentId,
        params::{FRAGMENTS, SEGMENT_MAX_BYTES},
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};
use tokio::sync::broadcast;

/// Bodies in memory.
pub struct MemoryBlobs {
    segment_bytes: usize,
    state: Mutex<State>,
    outcomes: broadcast::Sender<PackOutcome>,
}

#[derive(Default)]
struct State {
    segments: BTreeMap<(PackId, u32), Bytes>,
    packs: u64,
    files: BTreeMap<FileId, (Address, PackId)>,
    /// Packs whose file was removed.
    gone: BTreeSet<PackId>,
    failing: Option<BlobError>,
}

impl Default for MemoryBlobs {
    fn default() -> Self {
        Self::with_segments(usize::try_from(SEGMENT_MAX_BYTES).unwrap_or(usize::MAX))
    }
}

impl MemoryBlobs {
    /// Nothing stored.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts bodies into segments of at most so many bytes.
    pub fn with_segments(segment_bytes: usize) -> Self {
        assert!(segment_bytes > 0, "a segment has bytes");
        Self { segment_bytes, state: Mutex::default(), outcomes: broadcast::channel(OUTCOMES_MAX).0 }
    }

    /// Makes everything fail from now on, or work again.
    pub fn fail(&self, error: Option<BlobError>) {
        self.state.lock().failing = error;
    }

    /// Bytes stored.
    pub fn bytes(&self) -> u64 {
        self.state.lock().segments.values().map(|segment| segment.len() as u64).sum()
    }

    /// Files that were finished and not removed.
    pub fn files(&self) -> Vec<FileId> {
        self.state.lock().files.keys().copied().collect()
    }

    fn check(&self) -> Result<(), BlobError> {
        self.state.lock().failing.clone().map_or(Ok(()), Err)
    }

    fn store(&self, pack: PackId, index: u32, bytes: Bytes) -> Piece {
        let len = u32::try_from(bytes.len()).expect("a segment is at most 32 MiB");
        let id = SegmentId(hash::content(&bytes));
        let fragments = std::array::from_fn(|column| {
            FragmentId(hash::tagged("cess 2026 memory blobs fragment", &[&id.0, &column.to_le_bytes()]))
        });
        self.state.lock().segments.insert((pack, index), bytes);
        Piece { entry: SegmentEntry { id, len, fragments }, extent: Extent { pack, index, skip: 0, len } }
    }

    fn open(&self) -> PackId {
        let mut state = self.state.lock();
        state.packs += 1;
        let digest = hash::tagged("cess 2026 memory blobs pack", &[&state.packs.to_le_bytes()]);
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        PackId(id)
    }

    fn activate(&self, owner: Address, pack: PackId) -> FileId {
        let file = FileId(hash::tagged("cess 2026 memory blobs file", &[&pack.0]));
        self.state.lock().files.insert(file, (owner, pack));
        file
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, scope: Scope, size: Option<u64>, mut body: BodyStream) -> Result<StoredBody, BlobError> {
        self.check()?;
        let pack = self.open();
        let (mut pieces, mut rest, mut got) = (Vec::new(), Vec::new(), 0u64);
        let mut index = 0u32;
        while let Some(bytes) = body.try_next().await? {
            got += bytes.len() as u64;
            rest.extend_from_slice(&bytes);
            while rest.len() >= self.segment_bytes {
                let tail = rest.split_off(self.segment_bytes);
                pieces.push(self.store(pack, index, std::mem::replace(&mut rest, tail).into()));
                index += 1;
            }
        }
        if let Some(expected) = size.filter(|expected| *expected != got) {
            self.state.lock().segments.retain(|(of, _), _| *of != pack);
            return Err(BlobError::Size { got, expected });
        }
        if !rest.is_empty() {
            pieces.push(self.store(pack, index, rest.into()));
        }
        if pieces.is_empty() {
            return Ok(StoredBody::default());
        }
        let head = PackHead {
            beacon_height: 1,
            holders: [[1; 20]; FRAGMENTS],
            former: Vec::new(),
            opened_ms: 0,
            gateway: [0; 20],
            file: None,
        };
        let file = self.activate(scope.owner(), pack);
        // Nobody may be listening.
        let _ = self.outcomes.send(PackOutcome { scope, pack, file: Ok(file), lost: Vec::new() });
        Ok(StoredBody { pieces, heads: vec![(pack, head)], stored: got })
    }

    async fn get(&self, body: StoredBody, range: Range<u64>) -> Result<BodyStream, BlobError> {
        self.check()?;
        let state = self.state.lock();
        let mut parts = Vec::new();
        for (number, part) in parts_of(&body, &range)? {
            let extent = body.pieces[number].extent;
            let kept = state.segments.get(&(extent.pack, extent.index)).filter(|_| !state.gone.contains(&extent.pack));
            let bytes = kept.ok_or_else(|| {
                BlobError::Fetch(format!("segment {} of pack {} is not held", extent.index, extent.pack))
            })?;
            let bound = |offset| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            parts.push(Ok(bytes.slice(bound(part.start)..bound(part.end))));
        }
        Ok(stream::iter(parts).boxed())
    }

    async fn finish(
        &self,
        scope: Scope,
        pack: PackId,
        head: PackHead,
        segments: Vec<(u32, SegmentEntry)>,
    ) -> Result<FileId, BlobError> {
        self.check()?;
        if let Some(file) = head.file {
            return Ok(file);
        }
        let missing = segments
            .iter()
            .find(|(index, _)| !self.state.lock().segments.contains_key(&(pack, *index)))
            .map(|(n, _)| n);
        match missing {
            Some(index) => Err(BlobError::Fetch(format!("segment {index} of pack {pack} is lost"))),
            None => Ok(self.activate(scope.owner(), pack)),
        }
    }

    async fn remove(&self, owner: Address, file: FileId) -> Result<(), BlobError> {
        self.check()?;
        let mut state = self.state.lock();
        match state.files.get(&file).copied() {
            Some((of, pack)) if of == owner => {
                state.files.remove(&file);
                state.gone.insert(pack);
                state.segments.retain(|(of, _), _| *of != pack);
                Ok(())
            }
            Some(_) => {
                Err(BlobError::Ledger { what: format!("the removal of file {file}"), reason: "not its owner".into() })
            }
            None => Ok(()),
        }
    }

    fn outcomes(&self) -> broadcast::Receiver<PackOutcome> {
        self.outcomes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::blobs::body_of;

    const SCOPE: Scope = Scope { owner: [7; 20], bucket: [8; 16] };

    async fn read(blobs: &MemoryBlobs, body: &StoredBody, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        let parts: Vec<Bytes> = blobs.get(body.clone(), range).await?.try_collect().await?;
        Ok(parts.concat())
    }

    #[tokio::test]
    async fn bodies_come_back_in_ranges() {
        let blobs = MemoryBlobs::with_segments(10);
        let mut outcomes = blobs.outcomes();
        let bytes: Vec<u8> = (0..25).collect();
        let body = blobs.put(SCOPE, Some(25), body_of(bytes.clone())).await.unwrap();
        assert_eq!((body.pieces.len(), body.stored, blobs.bytes()), (3, 25, 25));
        for (start, end) in [(0, 25), (9, 11), (20, 25), (25, 25)] {
            assert_eq!(read(&blobs, &body, start..end).await.unwrap(), bytes[start as usize..end as usize]);
        }
        assert!(matches!(read(&blobs, &body, 0..26).await, Err(BlobError::Range { size: 25, .. })));
        let outcome = outcomes.recv().await.unwrap();
        let file = outcome.file.unwrap();
        assert_eq!((outcome.pack, blobs.files()), (body.heads[0].0, vec![file]));
        assert!(blobs.remove(Address::ZERO, file).await.is_err(), "not its owner");
        blobs.remove(SCOPE.owner(), file).await.unwrap();
        blobs.remove(SCOPE.owner(), file).await.unwrap();
        assert!(matches!(read(&blobs, &body, 0..1).await, Err(BlobError::Fetch(_))));
    }

    #[tokio::test]
    async fn empty_cut_and_failing_bodies() {
        let blobs = MemoryBlobs::new();
        assert_eq!(blobs.put(SCOPE, None, body_of("")).await.unwrap(), StoredBody::default());
        let cut = blobs.put(SCOPE, Some(4), body_of("abc")).await.unwrap_err();
        assert_eq!(cut, BlobError::Size { got: 3, expected: 4 });
        let gone = BlobError::Body { offset: 0, reason: "gone".into() };
        let failing = stream::iter([Err(gone.clone())]).boxed();
        assert_eq!(blobs.put(SCOPE, None, failing).await, Err(gone));
        blobs.fail(Some(BlobError::Stopping));
        assert_eq!(blobs.put(SCOPE, None, body_of("x")).await, Err(BlobError::Stopping));
        assert_eq!(blobs.bytes(), 0);
    }
}
