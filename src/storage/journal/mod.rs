//! Journals: small records that are durable on two of three miners within milliseconds.
//!
//! Owns the protocol, the miner's side and the writer's side. Must not know what a record means. Docs: docs/adr/0028-journals.md.
//! Invariants: a record is acknowledged when two of the journal's three miners have it on disk for good; after a seal by a higher
//! epoch on two of them nothing of a lower epoch is acknowledged; whoever opens a journal with a higher epoch finds every
//! acknowledged record, in order; an unknown journal is made only on purpose, never to go on silently without what was lost.

mod client;
mod lane;
mod leftovers;
mod progress;
mod recover;
mod serve;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod wire;
mod writer;

pub use client::{JournalClient, JournalError, MinerList};
pub use serve::serve;
pub use store::{JournalStore, StoreError};
pub use wire::{JOURNAL, JOURNAL_MAX_BYTES, JOURNALS_MAX_BYTES, JournalId, RECORD_MAX_BYTES};
pub use writer::Journal;

use crate::types::Address;

/// Miners of a journal.
pub const MEMBERS: usize = 3;
/// Miners that must have a record, or confirm an epoch.
pub const QUORUM: usize = 2;

/// The miners a journal lies on, of distinct operators.
pub type Members = [Address; MEMBERS];

/// The epoch of the `writer`-th writer under the `owner`-th owner: a later owner outranks every writer of an earlier one.
pub const fn epoch(owner: u32, writer: u32) -> u64 {
    ((owner as u64) << 32) | writer as u64
}
