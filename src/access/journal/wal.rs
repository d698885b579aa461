//! slatedb's pluggable write-ahead log, on a [`Log`].
//!
//! Owns fencing and replay at the start of an engine, and trimming. Must not know where the log lies. Invariant: the log is sealed
//! with the manifest's writer epoch before the engine reads it, so that what it reads is all that will ever be acknowledged before it.

use super::{
    Log, LogError,
    pump::{Pump, Writer},
    replay::{Replay, wal_error},
};
use crate::runtime::{Criticality, Phase, Tasks};
use async_trait::async_trait;
use slatedb::wal::{WalError, WalFileRange, WalGc, WriterInit, WriterInitResult, WriterManifest};
use std::{
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// The write-ahead log of one engine. Cheap to clone.
#[derive(Clone)]
pub struct Wal {
    inner: Arc<Inner>,
}

struct Inner {
    tasks: Tasks,
    log: Arc<dyn Log>,
    /// Epoch of the writer that opened it, 0 before.
    writer: AtomicU64,
}

impl Wal {
    /// A write-ahead log on `log`; its flushes run under `tasks`.
    pub fn new(tasks: &Tasks, log: Arc<dyn Log>) -> Self {
        Self { inner: Arc::new(Inner { tasks: tasks.clone(), log, writer: AtomicU64::new(0) }) }
    }

    /// For [`slatedb::DbBuilder::with_wal_writer`].
    pub fn writer(&self) -> Box<dyn WriterInit> {
        Box::new(self.clone())
    }

    /// For [`slatedb::GarbageCollectorBuilder::with_wal_gc`]: trims the log to what manifests still refer to.
    pub fn gc(&self) -> Arc<dyn WalGc> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl WriterInit for Wal {
    async fn fence_and_init(&self, manifest: &mut WriterManifest) -> Result<WriterInitResult, WalError> {
        let Inner { tasks, log, writer: opened } = &*self.inner;
        let writer = manifest.epoch();
        let tail = log.seal(writer).await.map_err(wal_error)?;
        // Nobody with a lower epoch changes the manifest any more, so it is final what it wants replayed.
        manifest.refresh().await?;
        let after = manifest.replay_after_wal_id();
        let seen = manifest.manifest().next_wal_sst_id().saturating_sub(1);
        if tail.base > after || tail.last < seen {
            let held = format!("it holds records {} to {}", tail.base + 1, tail.last);
            return Err(wal_error(LogError::Lost(format!("{held}, the manifest has seen {} to {seen}", after + 1))));
        }
        opened.store(writer, Ordering::Release);
        let pump = Pump::new(log.clone(), writer, tail.last);
        let stop = CancellationToken::new();
        let (run, stopped) = (pump.clone(), stop.clone());
        tasks.spawn(Phase::Produce, "write-ahead log", Criticality::Optional, async move {
            run.run(stopped).await;
            Ok(())
        });
        Ok(WriterInitResult {
            replay_iterator: Box::new(Replay::new(log.clone(), writer, after, tail.last)),
            wal_writer: Box::new(Writer::new(pump, stop)),
        })
    }
}

#[async_trait]
impl WalGc for Wal {
    /// Records have no age: those that no manifest refers to are of no use at once.
    async fn collect(&self, referenced: Vec<WalFileRange>, _: Duration, dry_run: bool) -> Result<(), WalError> {
        let writer = self.inner.writer.load(Ordering::Acquire);
        let upto = referenced.iter().map(unreferenced_before).min().unwrap_or(0);
        if writer == 0 || upto == 0 || dry_run {
            return Ok(());
        }
        self.inner.log.trim(writer, upto).await.map_err(wal_error)
    }
}

/// The last file before a range.
fn unreferenced_before(WalFileRange(start, _): &WalFileRange) -> u64 {
    match start {
        Bound::Included(first) => first.saturating_sub(1),
        Bound::Excluded(before) => *before,
        Bound::Unbounded => 0,
    }
}
