//! The in-memory twin of the database, for tests and simulations.
//!
//! Owns a "disk" that outlives its handles, and knows which writes a power loss would take with it. Must not touch files.
//! Invariant: behaves as [`super::RocksKv`] does in everything the port promises; `tests.rs` runs one suite over both.

use super::{Batch, Column, Durability, Entry, Kv, KvError, Op, format, poison::Latch, prefix};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
    sync::Arc,
};

type Key = (Column, Vec<u8>);

/// What survives the handle.
#[derive(Default)]
struct Disk {
    entries: BTreeMap<Key, Vec<u8>>,
    /// Earlier values of what was written since the last synced batch, oldest first.
    unsynced: Vec<(Key, Option<Vec<u8>>)>,
}

/// A handle of an in-memory database.
pub struct MemoryKv {
    latch: Latch,
    disk: Arc<RwLock<Disk>>,
    fail_next: Mutex<Option<String>>,
}

impl MemoryKv {
    /// An empty database.
    pub fn new() -> Self {
        let mut disk = Disk::default();
        disk.entries.insert((Column::Meta, format::KEY.to_vec()), format::VERSION.to_be_bytes().to_vec());
        Self::on(Arc::new(RwLock::new(disk)))
    }

    fn on(disk: Arc<RwLock<Disk>>) -> Self {
        Self { latch: Latch::new("memory"), disk, fail_next: Mutex::default() }
    }

    /// A fresh handle of the same database, as after a restart of the process: every batch is there.
    pub fn reopen(&self) -> Self {
        Self::on(self.disk.clone())
    }

    /// The database as a power loss leaves it: batches after the last synced one are gone.
    pub fn after_power_loss(&self) -> Self {
        let disk = self.disk.read();
        let mut entries = disk.entries.clone();
        for (key, earlier) in disk.unsynced.iter().rev() {
            match earlier {
                Some(value) => entries.insert(key.clone(), value.clone()),
                None => entries.remove(key),
            };
        }
        Self::on(Arc::new(RwLock::new(Disk { entries, unsynced: Vec::new() })))
    }

    /// Makes the next write fail with `reason`, as a full disk would.
    pub fn fail_next_write(&self, reason: &str) {
        *self.fail_next.lock() = Some(reason.to_owned());
    }
}

impl Default for MemoryKv {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk {
    fn set(&mut self, key: Key, value: Option<Vec<u8>>) {
        let earlier = match value {
            Some(value) => self.entries.insert(key.clone(), value),
            None => self.entries.remove(&key),
        };
        self.unsynced.push((key, earlier));
    }

    fn apply(&mut self, batch: Batch, durability: Durability) {
        for op in batch.ops {
            match op {
                Op::Put(column, key, value) => self.set((column, key), Some(value)),
                Op::Delete(column, key) => self.set((column, key), None),
            }
        }
        if durability == Durability::Synced {
            self.unsynced.clear();
        }
    }
}

impl Kv for MemoryKv {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.latch.read(|| Ok(self.disk.read().entries.get(&(column, key.to_vec())).cloned()))
    }

    fn scan(&self, column: Column, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>, KvError> {
        self.latch.read(|| {
            let start = (column, prefix.max(from).to_vec());
            let disk = self.disk.read();
            let inside = disk
                .entries
                .range((Included(start), Unbounded))
                .take_while(|((at, key), _)| *at == column && key.starts_with(prefix));
            Ok(inside.take(limit).map(|((_, key), value)| (key.clone(), value.clone())).collect())
        })
    }

    fn last(&self, column: Column, prefix: &[u8]) -> Result<Option<Entry>, KvError> {
        self.latch.read(|| {
            let disk = self.disk.read();
            let start = Included((column, prefix.to_vec()));
            let inside = match prefix::end_of(prefix) {
                Some(end) => disk.entries.range((start, Excluded((column, end)))),
                None => disk.entries.range((start, Unbounded)),
            };
            // Without an end the range runs into later columns.
            let last = inside.rev().find(|((at, _), _)| *at == column);
            Ok(last.map(|((_, key), value)| (key.clone(), value.clone())))
        })
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), KvError> {
        self.latch.write(|| {
            if let Some(reason) = self.fail_next.lock().take() {
                return Err(reason);
            }
            self.disk.write().apply(batch, durability);
            Ok(())
        })
    }

    fn poison(&self, reason: &str) {
        self.latch.poison(reason);
    }
}
