//! A database on a disk that takes its time with what is not synced: a node whose execution lags behind the ordering.

use crate::machine::{Dice, pass};
use cess::kv::{Batch, Column, Durability, Entry, Kv, KvError, MemoryKv};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

/// Longest time a write takes: some blocks follow each other faster, some do not.
const WRITE_MAX_MS: u64 = 900;

/// The database with its pauses.
pub struct SlowKv {
    kv: Arc<MemoryKv>,
    dice: Mutex<Dice>,
}

impl SlowKv {
    /// Slows `kv` down by chance.
    pub fn new(kv: Arc<MemoryKv>, dice: Dice) -> Self {
        Self { kv, dice: Mutex::new(dice) }
    }
}

impl Kv for SlowKv {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.kv.get(column, key)
    }

    fn scan(&self, column: Column, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>, KvError> {
        self.kv.scan(column, prefix, from, limit)
    }

    fn last(&self, column: Column, prefix: &[u8]) -> Result<Option<Entry>, KvError> {
        self.kv.last(column, prefix)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), KvError> {
        if durability == Durability::Buffered {
            let pause = self.dice.lock().below(WRITE_MAX_MS);
            pass(Duration::from_millis(pause));
        }
        self.kv.write(batch, durability)
    }

    fn poison(&self, reason: &str) {
        self.kv.poison(reason);
    }
}
