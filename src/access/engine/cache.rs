//! Blocks of tables in memory, shared by all engines of a process.
//!
//! Owns what stays when there is too much: what was used since the last turn. Must not know what blocks hold. Invariant: never more
//! than its capacity, plus the entry that was just added.

use async_trait::async_trait;
use parking_lot::Mutex;
use slatedb::{
    Error,
    db_cache::{CachedEntry, CachedKey, DbCache},
};
use std::collections::HashMap;

/// Bytes an entry costs besides its contents.
const ENTRY_OVERHEAD: usize = 128;

/// Two generations of entries. What is found in the older one moves to the younger; when the younger is half of the capacity, the
/// older one is dropped and they change places.
pub struct BlockCache {
    half: usize,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<CachedKey, CachedEntry>,
    old: HashMap<CachedKey, CachedEntry>,
    young_bytes: usize,
}

impl BlockCache {
    /// A cache of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { half: bytes / 2, generations: Mutex::default() }
    }

    fn find(&self, key: &CachedKey) -> Option<CachedEntry> {
        let mut generations = self.generations.lock();
        if let Some(entry) = generations.young.get(key) {
            return Some(entry.clone());
        }
        let entry = generations.old.remove(key)?;
        generations.add(key.clone(), entry.clone(), self.half);
        Some(entry)
    }
}

impl Generations {
    fn add(&mut self, key: CachedKey, entry: CachedEntry, half: usize) {
        let size = entry.size() + ENTRY_OVERHEAD;
        if self.young_bytes + size > half {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += size;
        if let Some(before) = self.young.insert(key, entry) {
            self.young_bytes = self.young_bytes.saturating_sub(before.size() + ENTRY_OVERHEAD);
        }
    }
}

#[async_trait]
impl DbCache for BlockCache {
    async fn get_block(&self, key: &CachedKey) -> Result<Option<CachedEntry>, Error> {
        Ok(self.find(key))
    }

    async fn get_index(&self, key: &CachedKey) -> Result<Option<CachedEntry>, Error> {
        Ok(self.find(key))
    }

    async fn get_filter(&self, key: &CachedKey) -> Result<Option<CachedEntry>, Error> {
        Ok(self.find(key))
    }

    async fn get_stats(&self, key: &CachedKey) -> Result<Option<CachedEntry>, Error> {
        Ok(self.find(key))
    }

    async fn insert(&self, key: CachedKey, value: CachedEntry) {
        self.generations.lock().add(key, value, self.half);
    }

    async fn remove(&self, key: &CachedKey) {
        let mut generations = self.generations.lock();
        if let Some(entry) = generations.young.remove(key) {
            generations.young_bytes = generations.young_bytes.saturating_sub(entry.size() + ENTRY_OVERHEAD);
        }
        generations.old.remove(key);
    }

    fn entry_count(&self) -> u64 {
        let generations = self.generations.lock();
        (generations.young.len() + generations.old.len()) as u64
    }
}
