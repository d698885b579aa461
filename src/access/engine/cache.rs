//! Blocks of tables in memory, shared by all engines of a process.
//!
//! Owns their weight; which of them stay is the library's choice (S3-FIFO). Must not know what blocks hold. Invariant: never more than its capacity.

use async_trait::async_trait;
use quick_cache::{Weighter, sync::Cache};
use slatedb::{
    Error,
    db_cache::{CachedEntry, CachedKey, DbCache},
};

/// Bytes an entry costs besides its contents.
const ENTRY_OVERHEAD: u64 = 128;
/// What a block has, for an estimate of how many there are.
const BLOCK_BYTES: usize = 4 << 10;

/// Blocks that were read lately.
pub struct BlockCache {
    kept: Cache<CachedKey, CachedEntry, Weight>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<CachedKey, CachedEntry> for Weight {
    fn weight(&self, _: &CachedKey, entry: &CachedEntry) -> u64 {
        entry.size() as u64 + ENTRY_OVERHEAD
    }
}

impl BlockCache {
    /// A cache of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { kept: Cache::with_weighter(bytes / BLOCK_BYTES, bytes as u64, Weight) }
    }
}

#[async_trait]
impl DbCache for BlockCache {
    async fn get_block(&self, key: &CachedKey) -> Result<Option<CachedEntry>, Error> {
        Ok(self.kept.get(key))
    }

    async fn get_index(&self, key: &CachedKey) -> Result<Option<CachedEntry>, Error> {
        Ok(self.kept.get(key))
    }

    async fn get_filter(&self, key: &CachedKey) -> Result<Option<CachedEntry>, Error> {
        Ok(self.kept.get(key))
    }

    async fn get_stats(&self, key: &CachedKey) -> Result<Option<CachedEntry>, Error> {
        Ok(self.kept.get(key))
    }

    async fn insert(&self, key: CachedKey, value: CachedEntry) {
        self.kept.insert(key, value);
    }

    async fn remove(&self, key: &CachedKey) {
        self.kept.remove(key);
    }

    fn entry_count(&self) -> u64 {
        self.kept.len() as u64
    }
}
