//! One bucket's operations, executed at the one gateway that owns it.
//!
//! Owns what a bucket decides: one task takes the operations that change something, one after the other; reads go beside it. Must
//! not know other buckets, nor where bytes lie. Invariants: an answer, a refusal too, rests on durable records only; a bucket whose
//! engine failed answers [`ObjectsError::Unavailable`] until it is opened again.

mod change;
mod copies;
mod executed;
mod garbage;
mod gets;
mod lifecycle;
mod lists;
mod locks;
mod packs;
mod puts;
mod reads;
mod settings;
mod uploads;
mod versions;
mod writer;

use super::{
    error::ObjectsError,
    id::BucketName,
    key,
    op::{Op, OpId, Place, Reply},
    record::{BucketRecord, UsageRecord},
};
use crate::{
    access::engine::{Engine, See},
    runtime::{Criticality, Node, Phase},
};
use executed::Executed;
use parking_lot::RwLock;
use reads::Reads;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use writer::{Decided, Job, Writer};

/// Operations that wait for the bucket's task.
const QUEUE_MAX: usize = 256;

/// How long things are kept.
#[derive(Debug, Clone)]
pub struct BucketSettings {
    /// How long contents stay after nothing refers to them: longer than a reader takes.
    pub grace_ms: u64,
    /// How long the end of an upload is remembered.
    pub completed_ms: u64,
    /// How long it is remembered that a pack was removed: longer than any put takes.
    pub removed_ms: u64,
    /// After what time packs are finished that their gateway has not finished.
    pub finish_after_ms: u64,
    /// After what time an empty pack without a file is given up.
    pub abandon_after_ms: u64,
    /// Least bytes of every part of an upload but the last.
    pub part_min_bytes: u64,
}

impl Default for BucketSettings {
    fn default() -> Self {
        const MINUTE: u64 = 60_000;
        Self {
            grace_ms: 60 * MINUTE,
            completed_ms: 24 * 60 * MINUTE,
            removed_ms: 7 * 24 * 60 * MINUTE,
            finish_after_ms: 5 * MINUTE,
            abandon_after_ms: 24 * 60 * MINUTE,
            part_min_bytes: uploads::PART_MIN_BYTES,
        }
    }
}

/// An open bucket. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    inner: Arc<Inner>,
}

struct Inner {
    node: Node,
    name: BucketName,
    engine: Arc<Engine>,
    settings: BucketSettings,
    record: Arc<RwLock<Option<Arc<BucketRecord>>>>,
    jobs: mpsc::Sender<Job>,
    used_ms: AtomicU64,
}

impl Bucket {
    /// Opens a bucket over its engine, which nobody else uses.
    pub async fn open(
        node: &Node,
        place: &Place,
        engine: Engine,
        settings: BucketSettings,
    ) -> Result<Self, ObjectsError> {
        let engine = Arc::new(engine);
        let reads = Reads { engine: &engine, see: See::Latest, changes: None };
        let record = reads.get::<BucketRecord>(key::BUCKET).await?.map(Arc::new);
        let usage = reads.get::<UsageRecord>(key::USAGE).await?.unwrap_or_default();
        let executed = Executed::load(&reads).await?;
        let record = Arc::new(RwLock::new(record));
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let writer = Writer::new(
            node,
            place.name.clone(),
            engine.clone(),
            settings.clone(),
            record.clone(),
            (usage, executed),
            queue,
        );
        let name = format!("bucket {}", place.name);
        node.tasks.spawn(Phase::Store, name, Criticality::Optional, writer.run());
        let (merging, stop) = (engine.compact(), node.tasks.stopping(Phase::Store));
        let merge = async move { Ok(stop.run_until_cancelled(merging).await.transpose().map(|_| ())?) };
        node.tasks.spawn(Phase::Store, format!("tables of bucket {}", place.name), Criticality::Optional, merge);
        let used_ms = AtomicU64::new(node.clock.unix_ms());
        let inner = Inner { node: node.clone(), name: place.name.clone(), engine, settings, record, jobs, used_ms };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Executes an operation. What it changed is durable when this returns.
    pub async fn execute(&self, op: Op) -> Result<Reply, ObjectsError> {
        self.perform(None, op).await
    }

    /// Executes an operation unless one with this id was executed lately, here or by an owner before: then its answer is given again.
    pub async fn execute_once(&self, id: OpId, op: Op) -> Result<Reply, ObjectsError> {
        self.perform(Some(id), op).await
    }

    async fn perform(&self, id: Option<OpId>, op: Op) -> Result<Reply, ObjectsError> {
        self.inner.used_ms.store(self.inner.node.clock.unix_ms(), Ordering::Relaxed);
        match op {
            Op::Get(ask) => self.inner.get(&ask).await,
            Op::More { key, id, from } => self.inner.more(&key, id, from).await,
            Op::List(ask) => self.inner.list(&ask).await,
            Op::ListVersions(ask) => self.inner.list_versions(&ask).await,
            Op::ListUploads(ask) => self.inner.list_uploads(&ask).await,
            Op::UploadParts { key, upload, after, max } => self.inner.upload_parts(&key, upload, after, max).await,
            Op::ObjectParts { key, version, after, max } => self.inner.object_parts(&key, version, after, max).await,
            Op::Upload { key, upload } => self.inner.upload(&key, upload).await,
            Op::Packs => self.inner.packs().await,
            Op::Outlook => self.inner.outlook().await,
            op => self.decide(id, op).await,
        }
    }

    /// Whether it answers. One whose engine failed has to be opened anew.
    pub fn is_usable(&self) -> bool {
        self.inner.engine.is_usable()
    }

    /// When the last operation came, in milliseconds since 1970: idle buckets may be closed.
    pub fn last_used_ms(&self) -> u64 {
        self.inner.used_ms.load(Ordering::Relaxed)
    }

    /// Closes it in order, which may take `patience` twice. Operations that come later are not available.
    pub async fn close(&self, patience: Duration) -> Result<(), ObjectsError> {
        Ok(self.inner.engine.close(patience).await?)
    }

    /// Lets go of it without another write: another gateway has taken over, or may have.
    pub async fn abandon(&self) {
        self.inner.engine.abandon().await;
    }

    /// Writes what is in memory to tables.
    pub async fn flush(&self) -> Result<(), ObjectsError> {
        Ok(self.inner.engine.flush().await?)
    }

    async fn decide(&self, id: Option<OpId>, op: Op) -> Result<Reply, ObjectsError> {
        let stopped = || ObjectsError::Unavailable { reason: format!("bucket `{}` is closed", self.inner.name) };
        let (answer, answered) = oneshot::channel();
        self.inner.jobs.send(Job { id, op, answer }).await.map_err(|_| stopped())?;
        let Decided { outcome, after } = answered.await.map_err(|_| stopped())?;
        if let Some(pending) = after {
            pending.durable().await?;
        }
        outcome
    }
}

impl Inner {
    /// The bucket, if it exists.
    fn bucket(&self) -> Result<Arc<BucketRecord>, ObjectsError> {
        let record = self.record.read().clone();
        record.filter(|record| !record.retired).ok_or_else(|| ObjectsError::NoSuchBucket { bucket: self.name.clone() })
    }

    fn reads(&self) -> Reads<'_> {
        Reads::durable(&self.engine)
    }
}
