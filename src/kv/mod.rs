//! The key-value port, its RocksDB engine and its in-memory twin.
//!
//! Owns: columns, atomic batches, durability, poisoning. Must not know what the bytes mean.
//! Invariants: a batch is applied whole or not at all; a synced batch survives power loss; after [`Kv::poison`] or a failed
//! write every call fails with [`KvError::Poisoned`], so that a node killed in-process cannot write any more.

mod columns;
mod format;
mod memory;
mod poison;
mod prefix;
mod rocks;

#[cfg(test)]
mod tests;

pub use columns::Column;
pub use memory::MemoryKv;
pub use rocks::{BlockCache, RocksKv, RocksOptions};

/// Why a storage operation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KvError {
    /// The handle was poisoned by an earlier failed write or by a kill.
    #[error("database `{path}` is closed: {reason}")]
    Poisoned { path: String, reason: String },
    /// Another process has it open.
    #[error("database `{path}` is in use by another process")]
    Locked { path: String },
    /// Written by another version of this program.
    #[error("database `{path}` has format {found}, this program reads format {expected}")]
    Format { path: String, found: u32, expected: u32 },
    /// The engine failed.
    #[error("database `{path}`: {reason}")]
    Engine { path: String, reason: String },
}

/// Whether a write waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Survives a crash of the process, not of the machine.
    Buffered,
    /// On the medium before the call returns.
    Synced,
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets a key.
    Put(Column, Vec<u8>, Vec<u8>),
    /// Removes a key; absent keys are fine.
    Delete(Column, Vec<u8>),
}

/// Changes applied atomically, in order.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The changes.
    pub ops: Vec<Op>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }
    /// Sets `key` to `value`.
    pub fn put(&mut self, column: Column, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.ops.push(Op::Put(column, key.into(), value.into()));
    }
    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        let bytes = |op: &Op| match op {
            Op::Put(_, key, value) => key.len() + value.len(),
            Op::Delete(_, key) => key.len(),
        };
        self.ops.iter().map(bytes).sum()
    }
    /// Removes `key`.
    pub fn delete(&mut self, column: Column, key: impl Into<Vec<u8>>) {
        self.ops.push(Op::Delete(column, key.into()));
    }
}

/// A key with its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// An ordered key-value store with columns. Calls may block on the disk: async code goes through a blocking pool when it reads much.
pub trait Kv: Send + Sync + 'static {
    /// The value of `key`.
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;
    /// At most `limit` entries with keys ≥ `from` that start with `prefix`, in key order.
    fn scan(&self, column: Column, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>, KvError>;
    /// The last entry whose key starts with `prefix`.
    fn last(&self, column: Column, prefix: &[u8]) -> Result<Option<Entry>, KvError>;
    /// Applies `batch` atomically.
    fn write(&self, batch: Batch, durability: Durability) -> Result<(), KvError>;
    /// Makes every later call fail. Used when a node is killed in-process.
    fn poison(&self, reason: &str);
}
