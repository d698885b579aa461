//! What a miner keeps: fragments on disk, which of them files claim, and how much room is left.
//!
//! Owns durability, checksums, the quota and the claims. Must not know peers or how a file is encoded.
//! Invariants: `put` returns when the fragment survives power loss; a half-written fragment is never visible; bytes whose hash
//! is not their id are never returned as that fragment; fragments and idle space never exceed the limit; a claimed fragment is
//! never collected.

mod claims;
mod commit;
mod disk;
#[cfg(test)]
mod golden;
mod index;
mod memory;
mod recovery;
mod tags;
#[cfg(test)]
mod tests;

pub use claims::{Claim, Claimed, Fragments, HeldBefore, TagMark};
pub use disk::DiskStore;
pub use index::{Cursor, FragmentIndex, FragmentInfo, Reservation, Space};
pub use memory::MemoryStore;
pub use tags::{EpochRecord, FragmentTags, TAG_EPOCHS_MAX};

use crate::{
    codec::CodecError,
    kv::KvError,
    types::{
        ByteCount, FragmentId, Height,
        params::{FRAGMENT_ALIGN_BYTES, FRAGMENT_MAX_BYTES, FRAGMENT_MIN_BYTES},
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use std::{ops::Range, sync::Arc};

/// Why a fragment could not be kept or given.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FragmentError {
    /// Never stored here, or dropped.
    #[error("fragment {id} is not held here")]
    NotHeld { id: FragmentId },
    /// The medium gave other bytes back than were written.
    #[error("fragment {id} on disk is damaged: its bytes do not match its id")]
    Damaged { id: FragmentId },
    /// The file was cut short.
    #[error("fragment {id} on disk is damaged: it is {len} B, expected {expected} B")]
    Truncated { id: FragmentId, len: u64, expected: u64 },
    /// The sender's bytes are not what it says they are.
    #[error("bytes offered as fragment {id} do not match it")]
    Mismatch { id: FragmentId },
    /// No fragment has this length.
    #[error(
        "fragment {id} is {len} B, a fragment is {FRAGMENT_MIN_BYTES} to {FRAGMENT_MAX_BYTES} B in steps of {FRAGMENT_ALIGN_BYTES} B"
    )]
    Length { id: FragmentId, len: usize },
    /// The space lent to the network is used up.
    #[error("{} are free of the {} lent, {} are needed", ByteCount(*free), ByteCount(*limit), ByteCount(*needed))]
    NoSpace { free: u64, limit: u64, needed: u64 },
    /// The file system is full although the lent space is not.
    #[error("the disk under `{path}` is full, {} are needed", ByteCount(*needed))]
    DiskFull { path: String, needed: u64 },
    /// The file system failed.
    #[error("cannot {what} `{path}`: {reason}")]
    Io { what: &'static str, path: String, reason: String },
    /// The index failed.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The index holds something this program did not write.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The store was closed by a kill or at shutdown.
    #[error("the fragment store is closed")]
    Closed,
}

impl FragmentError {
    /// Whether the stored copy is bad, so that it should be dropped and fetched again.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Truncated { .. })
    }
}

/// Where a miner keeps fragments.
#[async_trait]
pub trait FragmentStore: Send + Sync + 'static {
    /// What is held, claimed and free.
    fn index(&self) -> &Arc<FragmentIndex>;

    /// Keeps `bytes` under their id. On return they survive power loss; storing what is already held renews its waiting time.
    /// A fragment no file claims may be collected some blocks after `since`.
    async fn put(&self, id: FragmentId, bytes: Bytes, since: Height) -> Result<(), FragmentError>;

    /// The bytes of a fragment, checked against its id.
    async fn get(&self, id: FragmentId) -> Result<Bytes, FragmentError>;

    /// The bytes of a fragment as they lie on the medium, unchecked: for readers, who check them.
    async fn whole(&self, id: FragmentId) -> Result<Bytes, FragmentError> {
        self.get(id).await
    }

    /// Parts of a fragment as they lie on the medium, unchecked: for proofs, which fail by themselves if the bytes are bad.
    async fn read(&self, id: FragmentId, parts: Vec<Range<usize>>) -> Result<Vec<Bytes>, FragmentError> {
        let bytes = self.get(id).await?;
        let cut = |part: Range<usize>| {
            let truncated = FragmentError::Truncated { id, len: bytes.len() as u64, expected: part.end as u64 };
            (part.start <= part.end && part.end <= bytes.len()).then(|| bytes.slice(part)).ok_or(truncated)
        };
        parts.into_iter().map(cut).collect()
    }

    /// Removes those of `ids` that no file claims and that were not acknowledged after `until`; returns the number removed.
    async fn collect(&self, ids: Vec<FragmentId>, until: Height) -> Result<u64, FragmentError>;

    /// Drops the stored copy of a damaged fragment, claimed or not; the index remembers that it is missing.
    async fn discard(&self, id: FragmentId) -> Result<(), FragmentError>;
}

/// Whether `bytes` may be a fragment and are the one called `id`.
fn check(id: FragmentId, bytes: &[u8]) -> Result<(), FragmentError> {
    let len = bytes.len() as u64;
    let fits = (FRAGMENT_MIN_BYTES..=FRAGMENT_MAX_BYTES).contains(&len) && len.is_multiple_of(FRAGMENT_ALIGN_BYTES);
    if !fits {
        return Err(FragmentError::Length { id, len: bytes.len() });
    }
    if crate::crypto::hash::content(bytes) != id.0 {
        return Err(FragmentError::Mismatch { id });
    }
    Ok(())
}
