//! One ordered map of bytes for each bucket, durable through a journal: slatedb behind the few calls that are needed.
//!
//! Owns its settings and what its errors mean. Must not know what keys mean, nor where journal and tables lie. Invariants: a batch
//! is whole or absent; what [`Pending::durable`] answered for survives the loss of this process; an engine that failed a write, or
//! was fenced by another, answers nothing any more.

mod cache;
mod compaction;
mod error;
mod gate;
mod rows;
#[cfg(test)]
mod tests;

pub use cache::BlockCache;
pub use error::EngineError;
pub use rows::RowCache;

use bytes::Bytes;
use gate::Gate;
use rows::{Known, Rows};
use slatedb::{
    Db, DbIterator, DbSnapshot, DbStatus, Settings, WriteBatch, WriteHandle,
    config::{
        CloseOptions, CompactorOptions, DurabilityLevel, FlushOptions, FlushType, GarbageCollectorDirectoryOptions,
        GarbageCollectorOptions, ReadOptions, ScanOptions,
    },
    object_store::ObjectStore,
    wal::{WalGc, WriterInit},
};
use std::{
    ops::Bound,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// Bytes of writes an engine holds before it writes a table: well under what a journal may hold.
const MEMTABLE_BYTES: usize = 4 << 20;
/// Bytes of writes that wait for their tables before writers wait too.
const UNFLUSHED_MAX_BYTES: usize = 16 << 20;
/// The part of the caches that is for values: one of so many.
const ROWS_PART: usize = 2;
/// Bytes a scan reads of a table at a time, where they are not in the cache: a listing is a few reads, not one for each block.
const SCAN_AHEAD_BYTES: usize = 64 << 10;
/// Batches in the journal before a table is written whatever its size. Bytes bound the journal, so that a bucket of small objects
/// does not write a table every few seconds.
const JOURNAL_MAX_BATCHES: u64 = 1 << 20;
const POLL: Duration = Duration::from_secs(5);
const JOURNAL_GC_INTERVAL: Duration = Duration::from_secs(5);
/// How often tables that nothing names are looked for.
const TABLE_GC_INTERVAL: Duration = Duration::from_mins(5);
/// How long they stay.
const TABLE_GC_MIN_AGE: Duration = Duration::from_mins(15);
/// How often an engine without a journal of its own syncs its log.
const LOG_FLUSH: Duration = Duration::from_millis(5);

/// The journal under an engine.
pub struct Journal {
    /// Opens it for writing.
    pub writer: Box<dyn WriterInit>,
    /// Trims it.
    pub gc: Arc<dyn WalGc>,
}

/// What the engines of one process share.
#[derive(Clone)]
pub struct EngineSettings {
    /// Blocks of tables that were read.
    pub cache: Arc<BlockCache>,
    /// Small values that were read.
    pub rows: Arc<RowCache>,
    /// How often the store is asked what changed in it: tables that were merged, newer owners.
    pub poll: Duration,
    /// How long tables that nothing names stay: longer than any reader holds on to them.
    pub table_age: Duration,
    /// How often they are looked for.
    pub table_gc: Duration,
}

impl EngineSettings {
    /// Settings with caches of so many bytes for all engines together.
    pub fn with_cache_bytes(bytes: usize) -> Self {
        let for_rows = bytes / ROWS_PART;
        let (cache, rows) = (Arc::new(BlockCache::new(bytes - for_rows)), Arc::new(RowCache::new(for_rows)));
        Self { cache, rows, poll: POLL, table_age: TABLE_GC_MIN_AGE, table_gc: TABLE_GC_INTERVAL }
    }

    fn slatedb(&self, journal: bool) -> Settings {
        let directory = |interval, min_age| {
            Some(GarbageCollectorDirectoryOptions {
                interval: Some(interval),
                min_age,
                ..GarbageCollectorDirectoryOptions::default()
            })
        };
        let wal_age = if journal { Duration::ZERO } else { TABLE_GC_MIN_AGE };
        Settings {
            flush_interval: Some(LOG_FLUSH),
            manifest_poll_interval: self.poll,
            l0_sst_size_bytes: MEMTABLE_BYTES,
            max_unflushed_bytes: UNFLUSHED_MAX_BYTES,
            max_wal_flushes_before_l0_flush: JOURNAL_MAX_BATCHES,
            l0_flush_parallelism: 1,
            // It begins when there is something to merge: see `Engine::compact`.
            compactor_options: None,
            garbage_collector_options: Some(GarbageCollectorOptions {
                manifest_options: directory(self.table_gc, self.table_age),
                wal_options: directory(JOURNAL_GC_INTERVAL, wal_age),
                compacted_options: directory(self.table_gc, self.table_age),
                compactions_options: directory(self.table_gc, self.table_age),
                ..GarbageCollectorOptions::default()
            }),
            ..Settings::default()
        }
    }
}

/// How much of what was written a read sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum See {
    /// What is durable: for answers.
    Durable,
    /// Everything: for the one who writes.
    Latest,
}

impl See {
    fn level(self) -> DurabilityLevel {
        match self {
            Self::Durable => DurabilityLevel::Remote,
            Self::Latest => DurabilityLevel::Memory,
        }
    }
}

/// Changes that happen together or not at all.
#[derive(Default)]
pub struct Batch {
    inner: WriteBatch,
    keys: Vec<Bytes>,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        let key = Bytes::from(key);
        self.inner.put_bytes(key.clone(), value.into());
        self.keys.push(key);
    }

    /// Removes a key; one that is not there is no error.
    pub fn delete(&mut self, key: &[u8]) {
        self.inner.delete(key);
        self.keys.push(Bytes::copy_from_slice(key));
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// A batch that readers of [`See::Latest`] see already.
#[derive(Clone)]
pub struct Pending(WriteHandle);

impl Pending {
    /// Waits until it is durable.
    pub async fn durable(&self) -> Result<(), EngineError> {
        Ok(self.0.await_durable().await?)
    }
}

/// The map.
pub struct Engine {
    db: Db,
    status: watch::Receiver<DbStatus>,
    rows: Rows,
    path: String,
    store: Gate,
    merging: CompactorOptions,
    failed: AtomicBool,
}

/// Numbers of the engines in the shared cache.
static NEXT_CACHE_SCOPE: AtomicU64 = AtomicU64::new(1);

impl Engine {
    /// Opens the map at `path` of a store, or makes it. Fences whoever had it open. Without a journal its log lies in the store too.
    pub async fn open(
        path: &str,
        store: Arc<dyn ObjectStore>,
        journal: Option<Journal>,
        settings: &EngineSettings,
    ) -> Result<Self, EngineError> {
        let (store, options) = (Gate::new(store), settings.slatedb(journal.is_some()));
        let shared: Arc<dyn ObjectStore> = Arc::new(store.clone());
        let scope = NEXT_CACHE_SCOPE.fetch_add(1, Ordering::Relaxed);
        let mut builder = Db::builder(path.to_owned(), shared.clone())
            .with_settings(options.clone())
            .with_db_cache(settings.cache.clone(), scope);
        if let Some(Journal { writer, gc }) = journal {
            let mut collector = slatedb::GarbageCollectorBuilder::new(path.to_owned(), shared).with_wal_gc(gc);
            if let Some(options) = options.garbage_collector_options {
                collector = collector.with_options(options);
            }
            builder = builder.with_wal_writer(writer).with_gc_builder(collector);
        }
        let db = builder.build().await?;
        Ok(Self {
            status: db.subscribe(),
            rows: Rows::new(scope, settings.rows.clone()),
            db,
            path: path.to_owned(),
            store,
            merging: compaction::options(settings),
            failed: AtomicBool::new(false),
        })
    }

    /// Name of the manifest that says no more than that there is a map at `path` of a store.
    pub fn first_manifest(path: &str) -> String {
        format!("{path}/manifest/{:020}.manifest", 1)
    }

    /// The value of a key.
    pub async fn get(&self, key: &[u8], see: See) -> Result<Option<Bytes>, EngineError> {
        self.check()?;
        let known = match see {
            See::Durable => self.known(key),
            See::Latest => Known::Nothing,
        };
        let turn = match known {
            Known::Value(value) => return Ok(Some(value)),
            Known::Ask(turn) => Some(turn),
            Known::Nothing => None,
        };
        let value = self.db.get_with_options(key, &read_options(see)).await?;
        if let (Some(turn), Some(value)) = (turn, &value) {
            self.rows.keep(&turn, key, value);
        }
        Ok(value)
    }

    /// What is known of a key without a look into tables. An engine that was closed or fenced is asked for its error.
    fn known(&self, key: &[u8]) -> Known {
        let status = self.status.borrow();
        match status.close_reason {
            Some(_) => Known::Nothing,
            None => self.rows.find(key, status.durable_seq),
        }
    }

    /// Keys from `start` on that begin with `prefix`, in order.
    pub async fn scan(&self, prefix: &[u8], start: &[u8], see: See) -> Result<Scan, EngineError> {
        self.check()?;
        let inner = self.db.scan_with_options(range(prefix, start), &scan_options(see)).await?;
        Ok(Scan { inner })
    }

    /// The map as it is now, for several reads that belong together.
    pub fn snapshot(&self) -> Result<Snapshot, EngineError> {
        self.check()?;
        Ok(Snapshot { inner: self.db.snapshot()? })
    }

    /// Applies a batch. It is seen by [`See::Latest`] when this returns, and durable when [`Pending::durable`] says so.
    /// A batch that fails leaves the engine unusable: nobody knows how much of it a later opening will find.
    pub async fn commit(&self, batch: Batch) -> Result<Pending, EngineError> {
        self.check()?;
        let durable = self.status.borrow().durable_seq;
        self.rows.settle(durable);
        let entering = self.rows.enter(batch.keys);
        match self.db.write(batch.inner).await {
            Ok(handle) => {
                entering.done(handle.seqnum());
                Ok(Pending(handle))
            }
            Err(error) => {
                self.failed.store(true, Ordering::SeqCst);
                Err(error.into())
            }
        }
    }

    /// Writes what is in memory to tables, so that the journal can be trimmed.
    pub async fn flush(&self) -> Result<(), EngineError> {
        self.check()?;
        let options = FlushOptions { flush_type: FlushType::MemTable };
        Ok(self.db.flush_with_options(options).await?)
    }

    /// Closes it in order: the next opening has nothing to replay. What journal and store do not take within `patience` is left to the
    /// next opening, which is an error here.
    pub async fn close(&self, patience: Duration) -> Result<(), EngineError> {
        let late = || Err(EngineError::Unavailable(format!("they did not take the last table in {patience:?}")));
        let flushed = tokio::time::timeout(patience, self.flush()).await.unwrap_or_else(|_| late());
        if flushed.is_err() {
            self.store.shut();
        }
        let mut close = pin!(self.db.close_with_options(CloseOptions::default().with_flush_type(None)));
        let closed = match tokio::time::timeout(patience, close.as_mut()).await {
            Ok(closed) => closed,
            Err(_) => {
                self.store.shut();
                close.await
            }
        };
        flushed.and(Ok(closed?))
    }

    /// Lets go of it without another write: for an owner that lost its lease.
    pub async fn abandon(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.store.shut();
        let options = CloseOptions::default().with_flush_type(None);
        if let Err(error) = self.db.close_with_options(options).await {
            tracing::debug!(%error, "an abandoned engine was closed already");
        }
    }

    /// Whether it answers: one that failed or was fenced never does again.
    pub fn is_usable(&self) -> bool {
        self.check().is_ok() && self.db.status().close_reason.is_none()
    }

    fn check(&self) -> Result<(), EngineError> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(EngineError::Closed);
        }
        Ok(())
    }
}

/// Keys and values in order.
pub struct Scan {
    inner: DbIterator,
}

impl Scan {
    /// The next one.
    pub async fn next(&mut self) -> Result<Option<(Bytes, Bytes)>, EngineError> {
        Ok(self.inner.next().await?.map(|entry| (entry.key, entry.value)))
    }

    /// Goes on at the first key that is not below `key`, which must not lie before the last one returned, nor beyond the prefix.
    pub async fn seek(&mut self, key: &[u8]) -> Result<(), EngineError> {
        Ok(self.inner.seek(key).await?)
    }
}

/// The map as it was at one moment.
pub struct Snapshot {
    inner: Arc<DbSnapshot>,
}

impl Snapshot {
    /// The value of a key.
    pub async fn get(&self, key: &[u8], see: See) -> Result<Option<Bytes>, EngineError> {
        Ok(self.inner.get_with_options(key, &read_options(see)).await?)
    }

    /// Keys from `start` on that begin with `prefix`, in order.
    pub async fn scan(&self, prefix: &[u8], start: &[u8], see: See) -> Result<Scan, EngineError> {
        let inner = self.inner.scan_with_options(range(prefix, start), &scan_options(see)).await?;
        Ok(Scan { inner })
    }
}

fn read_options(see: See) -> ReadOptions {
    ReadOptions::new().with_durability_filter(see.level())
}

fn scan_options(see: See) -> ScanOptions {
    ScanOptions {
        durability_filter: see.level(),
        read_ahead_bytes: SCAN_AHEAD_BYTES,
        cache_blocks: true,
        ..ScanOptions::default()
    }
}

/// Keys that begin with `prefix` and are not below `start`.
fn range(prefix: &[u8], start: &[u8]) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let first = if start > prefix { start } else { prefix };
    let end = successor(prefix).map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(first.to_vec()), end)
}

/// The first key after all that begin with `prefix`; `None` if there is none.
pub fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}
