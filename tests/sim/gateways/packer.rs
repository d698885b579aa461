//! One gateway's packs in the depot: bodies share them for a while, then they become files.
//!
//! Owns which packs are open in this life of the gateway; they are lost with it, their segments are not. Does what the product's packs do,
//! as far as their callers can tell.

use super::{depot::Depot, sometimes::Sometimes};
use crate::machine::{now, until};
use async_trait::async_trait;
use bytes::Bytes;
use cess::{
    access::{
        blobs::{
            BlobError, Blobs, BodyStream, Extent, OUTCOMES_MAX, PackHead, PackId, PackOutcome, Piece, Scope,
            StoredBody, body_of, parts_of,
        },
        store::Files,
    },
    ledger::manifest::SegmentEntry,
    runtime::{Criticality, Node, Phase},
    types::{Address, FileId, params::FRAGMENTS},
};
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{broadcast, watch},
    time::timeout,
};

/// Bytes of a segment: so small that bodies have several.
const SEGMENT_BYTES: usize = 48 << 10;
/// Segments of a pack.
const PACK_SEGMENTS: u32 = 9;
/// Bodies of more segments have packs of their own.
const OWN_ABOVE: usize = 4;
/// How long a pack is open for others.
const AGE: Duration = Duration::from_millis(1_500);
/// Pause before a pack is tried again.
const RETRY: Duration = Duration::from_millis(800);
/// How long a pack is tried.
const GIVE_UP: Duration = Duration::from_secs(20);

/// Bodies and tables of one gateway.
#[derive(Clone)]
pub struct Packer {
    node: Node,
    gateway: usize,
    depot: Arc<Depot>,
    living: Arc<Mutex<Living>>,
    outcomes: broadcast::Sender<PackOutcome>,
}

#[derive(Default)]
struct Living {
    /// Packs that take bodies: their next index.
    open: BTreeMap<Scope, (PackId, u32)>,
    /// Packs that are no files yet.
    waiting: BTreeMap<PackId, watch::Receiver<Option<Result<FileId, BlobError>>>>,
    heads: BTreeMap<PackId, PackHead>,
    segments: BTreeMap<PackId, BTreeSet<u32>>,
}

impl Packer {
    /// The packs of a gateway's life.
    pub fn new(node: &Node, gateway: usize, depot: Arc<Depot>) -> Self {
        let outcomes = broadcast::channel(OUTCOMES_MAX).0;
        Self { node: node.clone(), gateway, depot, living: Arc::default(), outcomes }
    }

    async fn travel(&self, error: fn(String) -> BlobError) -> Result<(), BlobError> {
        self.depot.travel(self.gateway).await.map_err(error)
    }

    /// Room for so many segments in a pack: the pack and the first index.
    fn room(&self, scope: Scope, count: usize) -> (PackId, u32) {
        let mut living = self.living.lock();
        let wanted = u32::try_from(count).expect("bodies are small here");
        if count <= OWN_ABOVE
            && let Some((pack, next)) = living.open.get_mut(&scope)
            && *next + wanted <= PACK_SEGMENTS
        {
            let first = *next;
            *next += wanted;
            return (*pack, first);
        }
        let pack = self.depot.open();
        let head = PackHead {
            beacon_height: 1,
            holders: [[1; 20]; FRAGMENTS],
            former: Vec::new(),
            opened_ms: self.node.clock.unix_ms(),
            gateway: [u8::try_from(self.gateway).expect("a few gateways"); 20],
            file: None,
        };
        living.heads.insert(pack, head);
        living.segments.insert(pack, BTreeSet::new());
        if count <= OWN_ABOVE {
            living.open.insert(scope, (pack, wanted));
        }
        drop(living);
        self.live(scope, pack);
        (pack, 0)
    }

    /// The life of a pack: open for a while, then tried until it is a file.
    fn live(&self, scope: Scope, pack: PackId) {
        let (tell, told) = watch::channel(None);
        self.living.lock().waiting.insert(pack, told);
        let this = self.clone();
        self.node.tasks.spawn(Phase::Drain, format!("pack {pack}"), Criticality::Optional, async move {
            until(now() + AGE).await;
            let stopping = this.node.tasks.stopping(Phase::Drain);
            let file = stopping.run_until_cancelled(this.become_file(scope, pack)).await;
            let file = file.unwrap_or(Err(BlobError::Stopping));
            tell.send_replace(Some(file.clone()));
            this.living.lock().waiting.remove(&pack);
            // Nobody may be listening.
            let _ = this.outcomes.send(PackOutcome { scope, pack, file, lost: Vec::new() });
            Ok(())
        });
    }

    async fn become_file(&self, scope: Scope, pack: PackId) -> Result<FileId, BlobError> {
        self.living.lock().open.retain(|_, (open, _)| *open != pack);
        let tried = async {
            loop {
                let segments = self.living.lock().segments.get(&pack).cloned().unwrap_or_default();
                if segments.is_empty() {
                    return Err(BlobError::Store("no body came to its end".to_owned()));
                }
                match self.depot.store(self.gateway, scope, pack, segments).await {
                    Ok(file) => return Ok(file),
                    Err(_) => until(now() + RETRY).await,
                }
            }
        };
        timeout(GIVE_UP, tried).await.unwrap_or_else(|_| Err(BlobError::Store("the chain did not take it".to_owned())))
    }

    /// Segments of a body, each after its way to the miners.
    async fn received(&self, size: Option<u64>, mut body: BodyStream) -> Result<Vec<Bytes>, BlobError> {
        let (mut segments, mut rest, mut got) = (Vec::new(), Vec::new(), 0);
        while let Some(bytes) = body.try_next().await? {
            got += bytes.len() as u64;
            rest.extend_from_slice(&bytes);
            while rest.len() >= SEGMENT_BYTES {
                let tail = rest.split_off(SEGMENT_BYTES);
                segments.push(Bytes::from(std::mem::replace(&mut rest, tail)));
                self.travel(BlobError::Store).await?;
            }
        }
        if let Some(expected) = size.filter(|expected| *expected != got) {
            return Err(BlobError::Size { got, expected });
        }
        if !rest.is_empty() {
            segments.push(rest.into());
            self.travel(BlobError::Store).await?;
        }
        Ok(segments)
    }
}

#[async_trait]
impl Blobs for Packer {
    async fn put(&self, scope: Scope, size: Option<u64>, body: BodyStream) -> Result<StoredBody, BlobError> {
        let segments = self.received(size, body).await?;
        if segments.is_empty() {
            return Ok(StoredBody::default());
        }
        let (pack, first) = self.room(scope, segments.len());
        let stored = segments.iter().map(|segment| segment.len() as u64).sum();
        let placed = (first..).zip(segments).map(|(index, bytes)| {
            let entry = self.depot.put(pack, index, bytes);
            self.living.lock().segments.entry(pack).or_default().insert(index);
            let len = entry.len;
            Piece { entry, extent: Extent { pack, index, skip: 0, len } }
        });
        let pieces = placed.collect();
        let head = self.living.lock().heads.get(&pack).cloned().expect("an open pack has a head");
        Ok(StoredBody { pieces, heads: vec![(pack, head)], stored })
    }

    async fn get(&self, body: StoredBody, range: Range<u64>) -> Result<BodyStream, BlobError> {
        let wanted = parts_of(&body, &range)?;
        let parts: Vec<_> = wanted.into_iter().map(|(number, part)| (body.pieces[number].extent, part)).collect();
        let this = self.clone();
        // As slow as its reader: what is not read yet has to stay.
        let read = stream::iter(parts).then(move |(extent, part)| {
            let this = this.clone();
            async move {
                this.travel(BlobError::Fetch).await?;
                let bytes = this.depot.segment(extent.pack, extent.index)?;
                let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes.slice(bound(part.start)..bound(part.end)))
            }
        });
        Ok(read.boxed())
    }

    async fn finish(
        &self,
        scope: Scope,
        pack: PackId,
        head: PackHead,
        segments: Vec<(u32, SegmentEntry)>,
    ) -> Result<FileId, BlobError> {
        let waiting = self.living.lock().waiting.get(&pack).cloned();
        if let Some(mut waiting) = waiting {
            let known = waiting.wait_for(Option::is_some).await.map_err(|_| BlobError::Stopping)?;
            return known.clone().unwrap_or(Err(BlobError::Stopping));
        }
        if let Some(file) = head.file.filter(|file| self.depot.has(*file)) {
            return Ok(file);
        }
        let segments = segments.into_iter().map(|(index, _)| index).collect();
        let file = self.depot.store(self.gateway, scope, pack, segments).await?;
        self.depot.count(Sometimes::PackAdopted);
        // Nobody may be listening.
        let _ = self.outcomes.send(PackOutcome { scope, pack, file: Ok(file), lost: Vec::new() });
        Ok(file)
    }

    async fn remove(&self, owner: Address, file: FileId) -> Result<(), BlobError> {
        self.depot.remove(self.gateway, owner, file).await
    }

    fn outcomes(&self) -> broadcast::Receiver<PackOutcome> {
        self.outcomes.subscribe()
    }
}

/// Files of a bucket's tables.
pub struct TableFiles {
    packer: Packer,
    owner: Address,
}

impl TableFiles {
    /// Tables of an account's buckets.
    pub fn new(packer: Packer, owner: Address) -> Self {
        Self { packer, owner }
    }
}

#[async_trait]
impl Files for TableFiles {
    async fn store(&self, size: Option<u64>, body: BodyStream) -> Result<FileId, BlobError> {
        let bytes = self.packer.received(size, body).await?.concat();
        self.packer.depot.store_table(self.packer.gateway, bytes.into()).await
    }

    async fn read(&self, file: FileId, range: Range<u64>) -> Result<BodyStream, BlobError> {
        self.packer.travel(BlobError::Fetch).await?;
        Ok(body_of(self.packer.depot.table(file, range)?))
    }

    async fn remove(&self, file: FileId) -> Result<(), BlobError> {
        self.packer.depot.remove(self.packer.gateway, self.owner, file).await
    }
}
