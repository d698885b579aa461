//! A file's manifest: its segments in order and the twelve fragments of each. Its hash is the file's id.
//!
//! Owns the shape and its checks. Must not know who stores it. Invariants: a manifest has one encoding; one that passed
//! [`Manifest::check`] describes between 1 byte and [`FILE_MAX_BYTES`] in segments of at most [`SEGMENT_MAX_BYTES`] each, whose
//! lengths add up. A file that was uploaded as one has full segments but for the last; a pack of many bodies has any.

use crate::{
    codec::{self, CodecError, Wire},
    crypto::hash,
    types::{
        FileId, FragmentId, SegmentId,
        params::{
            DATA_FRAGMENTS, FILE_MAX_BYTES, FRAGMENT_ALIGN_BYTES, FRAGMENT_MIN_BYTES, FRAGMENTS, SEGMENT_MAX_BYTES,
        },
    },
};
use std::collections::BTreeMap;

/// Most segments a manifest may list.
pub const MANIFEST_MAX_SEGMENTS: usize = 4_096;
const _: () = assert!(MANIFEST_MAX_SEGMENTS as u64 * SEGMENT_MAX_BYTES == FILE_MAX_BYTES);

/// Encoded bytes of one segment entry: id, length, fragment ids.
const ENTRY_BYTES: usize = 32 + 4 + FRAGMENTS * 32;
/// Encoded bytes before the first entry: version, size, count.
const HEAD_BYTES: usize = 1 + 8 + 4;

/// Why a manifest was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Nothing to store.
    #[error("the file is empty, at least 1 B is required")]
    Empty,
    /// More than one manifest may describe.
    #[error("the file is {size} B, the limit is {max} B")]
    TooLarge { size: u64, max: u64 },
    /// None or too many segments.
    #[error("{given} segments are listed, expected 1 to {MANIFEST_MAX_SEGMENTS}")]
    SegmentCount { given: usize },
    /// A segment is empty or too long.
    #[error("segment {index} is {len} B, expected 1 to {max} B")]
    SegmentLength { index: usize, len: u32, max: u64 },
    /// The lengths do not add up.
    #[error("segments add up to {sum} B, the file is {size} B")]
    SizeMismatch { sum: u64, size: u64 },
    /// Equal content always has equal fragments.
    #[error("segment {index} has the id of segment {first} but other fragments")]
    Conflict { index: usize, first: usize },
    /// Not an encoding of a manifest.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// One segment of a file.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct SegmentEntry {
    /// BLAKE3 of the segment's bytes.
    pub id: SegmentId,
    /// Length in bytes, before erasure coding.
    pub len: u32,
    /// BLAKE3 of each fragment, data fragments first.
    pub fragments: [FragmentId; FRAGMENTS],
}

impl SegmentEntry {
    /// Bytes of each fragment of this segment.
    pub fn fragment_len(&self) -> u64 {
        fragment_len(u64::from(self.len))
    }
}

/// What a file consists of.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Manifest {
    /// Length of the file in bytes.
    pub size: u64,
    /// Its segments in order.
    pub segments: Vec<SegmentEntry>,
}

impl Wire for Manifest {
    const NAME: &'static str = "manifest";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = HEAD_BYTES + MANIFEST_MAX_SEGMENTS * ENTRY_BYTES;
}

impl Manifest {
    /// Decodes and checks canonical bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = codec::decode(bytes)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The file's id: BLAKE3 of the canonical encoding. Panics, as encoding does, beyond [`MANIFEST_MAX_SEGMENTS`].
    pub fn id(&self) -> FileId {
        FileId(hash::content(&codec::encode(self)))
    }

    /// Whether the manifest describes a file that can be stored.
    pub fn check(&self) -> Result<(), ManifestError> {
        self.check_size()?;
        self.check_lengths()?;
        self.check_repeats()
    }

    /// Bytes one holder keeps: one fragment of every segment.
    pub fn column_bytes(&self) -> u64 {
        self.segments.iter().map(SegmentEntry::fragment_len).sum()
    }

    fn check_size(&self) -> Result<(), ManifestError> {
        if self.size == 0 {
            return Err(ManifestError::Empty);
        }
        if self.size > FILE_MAX_BYTES {
            return Err(ManifestError::TooLarge { size: self.size, max: FILE_MAX_BYTES });
        }
        let given = self.segments.len();
        if (1..=MANIFEST_MAX_SEGMENTS).contains(&given) { Ok(()) } else { Err(ManifestError::SegmentCount { given }) }
    }

    fn check_lengths(&self) -> Result<(), ManifestError> {
        for (index, SegmentEntry { len, .. }) in self.segments.iter().enumerate() {
            let (len, max) = (*len, SEGMENT_MAX_BYTES);
            if !(1..=max).contains(&u64::from(len)) {
                return Err(ManifestError::SegmentLength { index, len, max });
            }
        }
        let sum: u64 = self.segments.iter().map(|segment| u64::from(segment.len)).sum();
        if sum == self.size { Ok(()) } else { Err(ManifestError::SizeMismatch { sum, size: self.size }) }
    }

    fn check_repeats(&self) -> Result<(), ManifestError> {
        let mut seen: BTreeMap<SegmentId, usize> = BTreeMap::new();
        for (index, segment) in self.segments.iter().enumerate() {
            let first = *seen.entry(segment.id).or_insert(index);
            if self.segments[first] != *segment {
                return Err(ManifestError::Conflict { index, first });
            }
        }
        Ok(())
    }
}

/// Bytes of each fragment of a segment of `segment_len` bytes: a quarter, aligned, at least [`FRAGMENT_MIN_BYTES`].
pub fn fragment_len(segment_len: u64) -> u64 {
    let quarter = segment_len.div_ceil(DATA_FRAGMENTS as u64);
    quarter.next_multiple_of(FRAGMENT_ALIGN_BYTES).max(FRAGMENT_MIN_BYTES)
}

/// Bytes of all fragments of a file of `size` bytes that was uploaded as one, as one owner's territory is charged.
pub fn stored_bytes(size: u64) -> u64 {
    let (full, rest) = (size / SEGMENT_MAX_BYTES, size % SEGMENT_MAX_BYTES);
    let last = if rest == 0 { 0 } else { fragment_len(rest) };
    let column = full.saturating_mul(fragment_len(SEGMENT_MAX_BYTES)).saturating_add(last);
    column.saturating_mul(FRAGMENTS as u64)
}

#[cfg(test)]
mod tests;
