//! The real [`Blobs`]: bodies in packs on miners, packs made files in the background.
//!
//! Owns which pack a segment goes into and the life of the packs this gateway opened. Must not know encryption, buckets or keys.
//! Invariants: bodies share packs within their scope only; what was acknowledged is in a pack that is sealed, tried again until the chain
//! has it or [`PackLimits::give_up`] has passed; a body that broke off is left out; memory is the uploader's pool.

mod files;
mod garbage;
mod life;
mod open;
mod read;
#[cfg(test)]
mod tests;

pub use garbage::{FoundPack, PackPage};

use super::ledger::{Ledger, LedgerError};
use crate::{
    access::blobs::{
        BODY_MAX_SEGMENTS, BlobError, Blobs, BodyStream, Extent, OUTCOMES_MAX, PackHead, PackId, PackOutcome, Piece,
        Scope, StoredBody,
    },
    client::ChainClient,
    ledger::manifest::SegmentEntry,
    runtime::{Node, Worker},
    storage::{
        MinerDirectory,
        fetch::Fetcher,
        slicer::{EncodedSegment, SliceError, Slicer, encoded},
        upload::{Packer, UploadError, Uploader},
    },
    types::{Address, FileId, params::SEGMENT_MAX_BYTES},
};
use async_trait::async_trait;
use files::Manifests;
use futures::{StreamExt, TryStreamExt, stream};
use garbage::Labels;
use open::{Capacity, Door, Lease, OpenPack};
use parking_lot::Mutex;
use read::HolderCache;
use std::{collections::BTreeMap, io, ops::Range, sync::Arc, time::Duration};
use tokio::sync::{Semaphore, broadcast};
use tokio_util::io::StreamReader;

/// Segments of one body on their way to miners at once.
const PUSHING_MAX: usize = 3;
/// Packs tried for one segment: miners of a pack may fail, then others are drawn.
const PUSH_ATTEMPTS: usize = 3;
/// Scopes whose doors are kept although no pack is open.
const DOORS_MAX: usize = 4_096;

/// When packs are closed, and how patiently they are sealed.
#[derive(Debug, Clone)]
pub struct PackLimits {
    /// Segments of a pack that bodies share.
    pub segments: usize,
    /// Segments of a pack of one large body.
    pub own_segments: usize,
    /// Bytes of a pack.
    pub bytes: u64,
    /// Bodies above this length have packs of their own.
    pub own_above: u64,
    /// How long a pack stays open for others.
    pub age: Duration,
    /// Packs that are open or wait for the chain. Beyond that no body is taken.
    pub packs: usize,
    /// Packs being sealed at once.
    pub sealing: usize,
    /// How long a body waits for its pack to be opened.
    pub patience: Duration,
    /// How long the next bytes of a body are waited for while it holds memory.
    pub idle: Duration,
    /// Pause before the second attempt to seal; each further one is twice as long.
    pub retry_first: Duration,
    /// Longest pause.
    pub retry_most: Duration,
    /// How long sealing is tried. Then whoever has the records may finish the pack.
    pub give_up: Duration,
}

impl Default for PackLimits {
    fn default() -> Self {
        Self {
            segments: 63,
            own_segments: 255,
            bytes: 1 << 30,
            own_above: SEGMENT_MAX_BYTES,
            age: Duration::from_secs(4),
            packs: 512,
            sealing: 8,
            patience: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            retry_first: Duration::from_secs(1),
            retry_most: Duration::from_secs(60),
            give_up: Duration::from_secs(3_600),
        }
    }
}

/// What the packs of a gateway stand on.
pub struct PacksParts {
    /// The chain.
    pub chain: Arc<dyn ChainClient>,
    /// Sends fragments to miners.
    pub uploader: Uploader,
    /// Reads them back.
    pub fetcher: Fetcher,
    /// Who the miners are.
    pub directory: MinerDirectory,
    /// Makes files of packs.
    pub ledger: Arc<dyn Ledger>,
    /// This gateway's account.
    pub gateway: Address,
}

/// Packs of a gateway. Cheap to clone.
#[derive(Clone)]
pub struct Packs {
    inner: Arc<Inner>,
}

struct Inner {
    node: Node,
    chain: Arc<dyn ChainClient>,
    packer: Packer,
    fetcher: Fetcher,
    directory: MinerDirectory,
    ledger: Arc<dyn Ledger>,
    gateway: Address,
    limits: PackLimits,
    doors: Mutex<BTreeMap<Scope, Arc<Door>>>,
    living: Mutex<BTreeMap<PackId, Arc<OpenPack>>>,
    slots: Arc<Semaphore>,
    sealing: Arc<Semaphore>,
    holders: HolderCache,
    manifests: Manifests,
    labels: Labels,
    outcomes: broadcast::Sender<PackOutcome>,
    worker: Worker,
}

/// Where the segments of a body go: to its own packs if it is longer than `own_above`.
#[derive(Clone, Copy)]
struct Doors<'a> {
    shared: &'a Door,
    own: &'a Door,
    own_above: u64,
}

/// A segment that was placed, and the right to take it back.
struct Placed {
    lease: Lease,
    piece: Piece,
}

impl Packs {
    /// The packs of `node`.
    pub fn new(node: &Node, parts: PacksParts, limits: PackLimits) -> Self {
        let PacksParts { chain, uploader, fetcher, directory, ledger, gateway } = parts;
        let inner = Inner {
            node: node.clone(),
            chain,
            packer: Packer::new(&uploader),
            fetcher,
            directory,
            ledger,
            gateway,
            slots: Arc::new(Semaphore::new(limits.packs)),
            sealing: Arc::new(Semaphore::new(limits.sealing)),
            limits,
            doors: Mutex::default(),
            living: Mutex::default(),
            holders: HolderCache::default(),
            manifests: Manifests::default(),
            labels: Labels::default(),
            outcomes: broadcast::channel(OUTCOMES_MAX).0,
            worker: node.workers.register("packs"),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Packs that are open or not yet final.
    pub fn unfinished(&self) -> usize {
        self.inner.living.lock().len()
    }

    /// Closes the pack of a scope, so that it is sealed now.
    pub fn flush(&self, scope: Scope) {
        self.inner.doors.lock().remove(&scope);
    }

    async fn place_all(
        &self,
        scope: Scope,
        size: Option<u64>,
        body: BodyStream,
        doors: Doors<'_>,
    ) -> Result<Vec<Placed>, BlobError> {
        let inner = &self.inner;
        let input = StreamReader::new(lively(body, inner.limits.idle).map_err(io::Error::other));
        let slicer = Slicer::sharing(input, inner.packer.uploader().buffers().clone(), size);
        let mut sent = 0;
        let placing = encoded(slicer, inner.node.pool.clone()).map(|segment| {
            let large = match &segment {
                Ok(segment) => {
                    sent += u64::from(segment.entry.len);
                    size.unwrap_or(sent) > doors.own_above
                }
                Err(_) => false,
            };
            let (door, capacity) =
                if large { (doors.own, inner.limits.own()) } else { (doors.shared, inner.limits.shared()) };
            async move {
                let segment = segment.map_err(broken)?;
                if segment.index >= BODY_MAX_SEGMENTS {
                    return Err(BlobError::TooLarge);
                }
                self.place(scope, door, capacity, segment).await
            }
        });
        placing.buffered(PUSHING_MAX).try_collect().await
    }

    /// Has a segment acknowledged, in whichever pack is open behind `door`.
    async fn place(
        &self,
        scope: Scope,
        door: &Door,
        capacity: Capacity,
        segment: EncodedSegment,
    ) -> Result<Placed, BlobError> {
        let mut failure = None;
        for _ in 0..PUSH_ATTEMPTS {
            let mut lease = self.lease(scope, door, capacity, segment.entry.len.into()).await?;
            match lease.pack.pack.push(segment.clone()).await {
                Ok((index, entry)) => {
                    lease.index = Some(index);
                    let extent = Extent { pack: lease.pack.id, index, skip: 0, len: entry.len };
                    return Ok(Placed { lease, piece: Piece { entry, extent } });
                }
                Err(error @ UploadError::MinersFailed { .. }) => {
                    tracing::warn!(pack = %lease.pack.id, %error, "another pack is opened");
                    self.inner.worker.error(&error);
                    lease.pack.close();
                    failure = Some(error);
                }
                Err(error) => return Err(unstored(&error)),
            }
        }
        Err(failure.map_or(BlobError::Stopping, |error| unstored(&error)))
    }

    /// The right to add a segment of `len` bytes to the pack behind `door`, or to the next one if that is full.
    async fn lease(&self, scope: Scope, door: &Door, capacity: Capacity, len: u64) -> Result<Lease, BlobError> {
        loop {
            let pack = door.cell().get_or_try_init(|| self.open(scope, capacity, len)).await?.clone();
            if let Some(lease) = pack.lease(len) {
                return Ok(lease);
            }
            door.turn(&pack);
        }
    }

    async fn open(&self, scope: Scope, capacity: Capacity, len: u64) -> Result<Arc<OpenPack>, BlobError> {
        let inner = &self.inner;
        let slot = tokio::time::timeout(inner.limits.patience, inner.slots.clone().acquire_owned()).await;
        let Ok(Ok(slot)) = slot else {
            return Err(BlobError::Store(format!("{} packs wait for the chain already", inner.limits.packs)));
        };
        let pack = inner.packer.open(scope.owner(), scope.bucket, len).await.map_err(|error| unstored(&error))?;
        let now = inner.node.clock.unix_ms();
        let pack = Arc::new(OpenPack::new(pack, scope, inner.gateway, now, capacity));
        inner.living.lock().insert(pack.id, pack.clone());
        self.spawn_life(pack.clone(), slot);
        Ok(pack)
    }

    fn door(&self, scope: Scope) -> Arc<Door> {
        let mut doors = self.inner.doors.lock();
        if doors.len() >= DOORS_MAX {
            doors.retain(|_, door| !door.is_empty() || Arc::strong_count(door) > 1);
        }
        doors.entry(scope).or_default().clone()
    }
}

impl PackLimits {
    fn shared(&self) -> Capacity {
        Capacity { segments: self.segments, bytes: self.bytes, age: Some(self.age) }
    }

    fn own(&self) -> Capacity {
        Capacity { segments: self.own_segments, bytes: self.bytes, age: None }
    }
}

#[async_trait]
impl Blobs for Packs {
    async fn put(&self, scope: Scope, size: Option<u64>, body: BodyStream) -> Result<StoredBody, BlobError> {
        let (shared, own) = (self.door(scope), Door::default());
        let doors = Doors { shared: &shared, own: &own, own_above: self.inner.limits.own_above };
        let placed = self.place_all(scope, size, body, doors).await?;
        let mut stored = StoredBody::default();
        for Placed { lease, piece } in placed {
            if stored.head(lease.pack.id).is_none() {
                stored.heads.push((lease.pack.id, lease.pack.head()));
            }
            stored.stored += u64::from(piece.extent.len);
            stored.pieces.push(piece);
            lease.keep();
        }
        Ok(stored)
    }

    async fn get(&self, body: StoredBody, range: Range<u64>) -> Result<BodyStream, BlobError> {
        self.read(body, range).await
    }

    async fn finish(
        &self,
        scope: Scope,
        pack: PackId,
        head: PackHead,
        segments: Vec<(u32, SegmentEntry)>,
    ) -> Result<FileId, BlobError> {
        let living = self.inner.living.lock().get(&pack).cloned();
        match living {
            Some(living) => {
                living.close();
                self.outcome_of(&living).await
            }
            None => self.adopt(scope, pack, head, segments).await,
        }
    }

    async fn remove(&self, owner: Address, file: FileId) -> Result<(), BlobError> {
        let Err(error) = self.inner.ledger.remove_for(owner, file).await else { return Ok(()) };
        match self.is_owned(owner, file).await {
            Ok(false) => Ok(()),
            Ok(true) | Err(_) => {
                Err(BlobError::Ledger { what: format!("the removal of file {file}"), reason: error.to_string() })
            }
        }
    }

    fn outcomes(&self) -> broadcast::Receiver<PackOutcome> {
        self.inner.outcomes.subscribe()
    }
}

/// A body that fails when nothing comes for so long: it must not keep memory from others.
fn lively(body: BodyStream, idle: Duration) -> BodyStream {
    let watched = stream::try_unfold((body, 0u64), move |(mut body, offset)| async move {
        match tokio::time::timeout(idle, body.try_next()).await {
            Ok(Ok(Some(bytes))) => {
                let offset = offset + bytes.len() as u64;
                Ok(Some((bytes, (body, offset))))
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(BlobError::Body { offset, reason: format!("nothing came for {} s", idle.as_secs()) }),
        }
    });
    watched.boxed()
}

fn unstored(error: &UploadError) -> BlobError {
    BlobError::Store(error.to_string())
}

/// What the source of a body said itself, if it was the source.
fn broken(error: SliceError) -> BlobError {
    match error {
        SliceError::Read { offset, reason } => match reason.downcast::<BlobError>() {
            Ok(own) => own,
            Err(reason) => BlobError::Body { offset, reason: reason.to_string() },
        },
        SliceError::Size { got, expected } => BlobError::Size { got, expected },
        SliceError::TooLarge => BlobError::TooLarge,
    }
}
