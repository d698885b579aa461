//! The write-ahead log of a bucket's engine, on a journal.
//!
//! Owns what slatedb's rows look like as records and when they are flushed. Must not know buckets. A WAL file of slatedb is one to
//! many records; its id is the number of its last record, so that trimming by file and by record are the same.
//! Invariants: a write that slatedb calls durable is durable in the log; a batch is replayed whole or not at all; who opens the log
//! with a higher writer epoch shuts every lower one out. Docs: docs/adr/0028-journals.md.

mod log;
mod memory;
mod miners;
mod pump;
mod replay;
mod rows;
#[cfg(test)]
mod tests;
mod veil;
mod wal;

pub use log::{Log, LogError, Tail};
pub use memory::MemoryLog;
pub use miners::MinersLog;
pub use wal::Wal;
