//! A registered fragment as the proofs see it: its id, its length, and how both layers divide it.
//!
//! Invariant: every count and length of a part follows from the registered length; nothing about the shape is ever taken from a prover.

use crate::types::{
    FragmentId,
    params::{FRAGMENT_ALIGN_BYTES, FRAGMENT_MAX_BYTES, FRAGMENT_MIN_BYTES, PODR2_BLOCK_BYTES},
};
use std::ops::Range;

/// Bytes of a leaf of BLAKE3's tree.
pub(super) const CHUNK_BYTES: u64 = 1024;

/// A length no fragment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fragment is {FRAGMENT_MIN_BYTES} to {FRAGMENT_MAX_BYTES} B long in steps of {FRAGMENT_ALIGN_BYTES} B, this one {0} B"
)]
pub struct LengthError(pub u64);

/// The length of a fragment in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FragmentLength(u64);

/// What the chain knows of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// BLAKE3 of its bytes.
    pub id: FragmentId,
    /// Its length.
    pub length: FragmentLength,
}

impl FragmentLength {
    /// A length a fragment can have.
    pub fn new(bytes: u64) -> Result<Self, LengthError> {
        let possible = (FRAGMENT_MIN_BYTES..=FRAGMENT_MAX_BYTES).contains(&bytes);
        if possible && bytes.is_multiple_of(FRAGMENT_ALIGN_BYTES) { Ok(Self(bytes)) } else { Err(LengthError(bytes)) }
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// Whether `data` has this length.
    pub(super) fn is_of(self, data: &[u8]) -> bool {
        u64::try_from(data.len()) == Ok(self.0)
    }

    /// PoDR² blocks, the last of which may be short.
    pub fn blocks(self) -> u32 {
        u32::try_from(self.0.div_ceil(PODR2_BLOCK_BYTES)).expect("FRAGMENT_MAX_BYTES has few blocks")
    }

    /// Where block `index` lies in the fragment; empty from the fragment's end on.
    pub fn block(self, index: u32) -> Range<usize> {
        self.part(u64::from(index), PODR2_BLOCK_BYTES)
    }

    /// Leaves of the BLAKE3 tree, the last of which may be short.
    pub fn chunks(self) -> u64 {
        self.0.div_ceil(CHUNK_BYTES)
    }

    /// Where leaf `index` lies in the fragment; empty from the fragment's end on.
    pub fn chunk(self, index: u64) -> Range<usize> {
        self.part(index, CHUNK_BYTES)
    }

    fn part(self, index: u64, size: u64) -> Range<usize> {
        let at = |parts: u64| {
            let offset = parts.saturating_mul(size).min(self.0);
            usize::try_from(offset).expect("FRAGMENT_MAX_BYTES fits memory")
        };
        at(index)..at(index.saturating_add(1))
    }
}

impl Fragment {
    /// A fragment of `bytes` bytes.
    pub fn new(id: FragmentId, bytes: u64) -> Result<Self, LengthError> {
        Ok(Self { id, length: FragmentLength::new(bytes)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lengths_of_the_erasure_code_are_lengths() {
        for bytes in [0, 1, 192, 257, FRAGMENT_MAX_BYTES + 64, u64::MAX] {
            assert_eq!(FragmentLength::new(bytes), Err(LengthError(bytes)));
        }
        assert!(FragmentLength::new(257).unwrap_err().to_string().contains("257 B"));
    }

    #[test]
    fn parts_cover_the_fragment_once() {
        for bytes in [256, 1024, 1088, 32_768, 32_832, FRAGMENT_MAX_BYTES] {
            let length = FragmentLength::new(bytes).unwrap();
            let blocks: Vec<_> = (0..length.blocks()).map(|i| length.block(i)).collect();
            let chunks: Vec<_> = (0..length.chunks()).map(|i| length.chunk(i)).collect();
            for parts in [blocks, chunks] {
                assert_eq!(parts[0].start, 0);
                assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start && !pair[0].is_empty()));
                let last = parts.last().unwrap();
                assert!(!last.is_empty() && last.end as u64 == bytes);
            }
            assert!(length.block(length.blocks()).is_empty() && length.chunk(u64::MAX).is_empty());
        }
        assert_eq!(FragmentLength::new(FRAGMENT_MAX_BYTES).unwrap().blocks(), 256);
    }
}
