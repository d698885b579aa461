//! The RocksDB engine: one column family per [`Column`].
//!
//! Owns the files of one database. Must not know what the bytes mean.
//! Invariants: every column family exists while the database is open; a write returns only when the write-ahead log has it
//! (on the medium when synced); a poisoned database starts no further flush or compaction.

use super::{Batch, Column, Durability, Entry, Kv, KvError, Op, format, poison::Latch, prefix};
use crate::types::ByteCount;
use parking_lot::RwLock;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, LogLevel,
    Options, ReadOptions, WriteBatch, WriteOptions, checkpoint::Checkpoint,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// Block cache of a process that sets none.
const CACHE_DEFAULT: ByteCount = ByteCount::mib(64);
/// Write-ahead log that makes RocksDB flush the oldest column, so that a quiet column does not keep the log for ever.
const WAL_MAX_BYTES: u64 = 64 << 20;
/// Data is handed to the medium in steps of this size, so that a flush does not stall a synced write.
const SYNC_STEP_BYTES: u64 = 1 << 20;
/// Open table files per database; a process holds many databases.
const OPEN_FILES_MAX: i32 = 256;
/// Background threads; RocksDB shares them between the databases of a process.
const BACKGROUND_JOBS: i32 = 2;
/// RocksDB's own text log, in files of this size.
const TEXT_LOG_MAX_BYTES: usize = 1 << 20;
/// How many of them are kept.
const TEXT_LOG_MAX_FILES: usize = 2;
/// Bits per key of the filters that spare a disk read for absent keys.
const FILTER_BITS: f64 = 10.0;
/// Time between two attempts to take the lock of a database that is still closing.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Cache of uncompressed blocks, to be shared by the databases of a process. Cheap to clone.
#[derive(Clone)]
pub struct BlockCache(Cache);

impl BlockCache {
    /// A cache of at most `capacity`.
    pub fn new(capacity: ByteCount) -> Self {
        Self(Cache::new_lru_cache(usize::try_from(capacity.0).unwrap_or(usize::MAX)))
    }
}

/// How to open a database.
#[derive(Clone)]
pub struct RocksOptions {
    /// Cache, possibly shared with other databases.
    pub cache: BlockCache,
    /// How long to wait for another handle or process to let go of the database. A node restarted inside a process waits
    /// for its predecessor's last threads.
    pub lock_wait: Duration,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self { cache: BlockCache::new(CACHE_DEFAULT), lock_wait: Duration::ZERO }
    }
}

/// A handle of a database on disk.
pub struct RocksKv {
    latch: Latch,
    path: PathBuf,
    /// Gone once poisoned, so that the files are free for a successor although some straggler still has this handle.
    db: RwLock<Option<Arc<DB>>>,
}

impl RocksKv {
    /// Opens the database in folder `path`, creating it and missing column families. May block for `lock_wait` and for the
    /// replay of the write-ahead log.
    pub fn open(path: &Path, options: &RocksOptions) -> Result<Self, KvError> {
        let name = path.display().to_string();
        let engine = |reason: String| KvError::Engine { path: name.clone(), reason };
        std::fs::create_dir_all(path).map_err(|error| engine(error.to_string()))?;
        let unknown = unknown_families(path).map_err(|error| engine(error.to_string()))?;
        let db = open_with_retry(path, &unknown, options)?;
        let db = RwLock::new(Some(Arc::new(db)));
        let kv = Self { latch: Latch::new(name.clone()), path: path.to_owned(), db };
        format::check(&kv, &name)?;
        match unknown.first() {
            None => Ok(kv),
            Some(family) => Err(engine(format!("has column `{family}`, which this program does not know"))),
        }
    }

    /// The folder of the database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a consistent copy of the database into folder `path`, which must not exist; table files are hard-linked when
    /// they are on the same file system.
    pub fn checkpoint(&self, path: &Path) -> Result<(), KvError> {
        self.latch.read(|| {
            let db = self.open_handle()?;
            let checkpoint = Checkpoint::new(&db).map_err(|error| error.to_string())?;
            checkpoint.create_checkpoint(path).map_err(|error| format!("checkpoint `{}`: {error}", path.display()))
        })
    }

    fn open_handle(&self) -> Result<Arc<DB>, String> {
        self.db.read().clone().ok_or_else(|| "the database is closed".to_owned())
    }
}

fn family(db: &DB, column: Column) -> &ColumnFamily {
    db.cf_handle(column.name()).expect("every column family is opened with the database")
}

impl Kv for RocksKv {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.latch.read(|| {
            let db = self.open_handle()?;
            db.get_cf(family(&db, column), key).map_err(|error| error.to_string())
        })
    }

    fn scan(&self, column: Column, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>, KvError> {
        self.latch.read(|| {
            let db = self.open_handle()?;
            let mut reading = ReadOptions::default();
            if let Some(end) = prefix::end_of(prefix) {
                reading.set_iterate_upper_bound(end);
            }
            let mut found = Vec::new();
            let mut at = db.raw_iterator_cf_opt(family(&db, column), reading);
            at.seek(prefix.max(from));
            while let Some((key, value)) = at.item().filter(|(key, _)| found.len() < limit && key.starts_with(prefix)) {
                found.push((key.to_vec(), value.to_vec()));
                at.next();
            }
            at.status().map_err(|error| error.to_string())?;
            Ok(found)
        })
    }

    fn last(&self, column: Column, prefix: &[u8]) -> Result<Option<Entry>, KvError> {
        self.latch.read(|| {
            let db = self.open_handle()?;
            let mut reading = ReadOptions::default();
            reading.set_iterate_lower_bound(prefix);
            if let Some(end) = prefix::end_of(prefix) {
                reading.set_iterate_upper_bound(end);
            }
            let mut at = db.raw_iterator_cf_opt(family(&db, column), reading);
            at.seek_to_last();
            at.status().map_err(|error| error.to_string())?;
            Ok(at.item().map(|(key, value)| (key.to_vec(), value.to_vec())))
        })
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), KvError> {
        self.latch.write(|| {
            let db = self.open_handle()?;
            let mut changes = WriteBatch::default();
            for op in &batch.ops {
                match op {
                    Op::Put(column, key, value) => changes.put_cf(family(&db, *column), key, value),
                    Op::Delete(column, key) => changes.delete_cf(family(&db, *column), key),
                }
            }
            let written = match (changes.is_empty(), durability) {
                (true, Durability::Buffered) => Ok(()),
                (true, Durability::Synced) => db.flush_wal(true),
                (false, _) => {
                    let mut writing = WriteOptions::default();
                    writing.set_sync(durability == Durability::Synced);
                    db.write_opt(changes, &writing)
                }
            };
            written.map_err(|error| error.to_string())
        })
    }

    fn poison(&self, reason: &str) {
        if self.latch.poison(reason)
            && let Some(db) = self.db.write().take()
        {
            // Closes when the last call under way returns.
            db.cancel_all_background_work(false);
        }
    }
}

/// Column families on disk that are not in the column table. They have to be opened to read the format record.
fn unknown_families(path: &Path) -> Result<Vec<String>, rocksdb::Error> {
    if !path.join("CURRENT").exists() {
        return Ok(Vec::new());
    }
    let known = |name: &String| name == "default" || Column::ALL.iter().any(|column| column.name() == name);
    Ok(DB::list_cf(&Options::default(), path)?.into_iter().filter(|name| !known(name)).collect())
}

fn open_with_retry(path: &Path, unknown: &[String], options: &RocksOptions) -> Result<DB, KvError> {
    let give_up = Instant::now() + options.lock_wait;
    loop {
        let families = Column::ALL
            .iter()
            .map(|column| ColumnFamilyDescriptor::new(column.name(), family_options(*column, &options.cache)))
            .chain(unknown.iter().map(|name| ColumnFamilyDescriptor::new(name, Options::default())));
        let reason = match DB::open_cf_descriptors(&database_options(), path, families) {
            Ok(db) => return Ok(db),
            Err(error) => error.to_string(),
        };
        let name = path.display().to_string();
        if !is_locked(&reason) {
            return Err(KvError::Engine { path: name, reason });
        }
        if Instant::now() >= give_up {
            return Err(KvError::Locked { path: name });
        }
        std::thread::sleep(LOCK_RETRY);
    }
}

/// Whether another handle is on the database. RocksDB has no error kind for this; its messages name the lock file, or a text log that the
/// other handle swept away on its way out while this one was about to.
pub(super) fn is_locked(reason: &str) -> bool {
    let held = reason.contains("lock hold by current process") || reason.contains("While lock file");
    let swept = reason.contains("unlink() file") && reason.contains("/LOG.old.") && reason.contains("No such file");
    (held && reason.contains("/LOCK:")) || swept
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // A torn tail of the log is what a power loss leaves; whatever was synced lies before it.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_max_total_wal_size(WAL_MAX_BYTES);
    options.set_bytes_per_sync(SYNC_STEP_BYTES);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(TEXT_LOG_MAX_BYTES);
    options.set_keep_log_file_num(TEXT_LOG_MAX_FILES);
    options.set_stats_dump_period_sec(0);
    options
}

fn family_options(column: Column, cache: &BlockCache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&cache.0);
    table.set_bloom_filter(FILTER_BITS, false);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(column.memtable_bytes());
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}
