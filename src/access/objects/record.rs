//! What a bucket's engine holds: one type for each kind of key.
//!
//! Owns stored shapes and their caps. Must not know how they are reached. Invariants: a released encoding never changes; contents
//! are referred to by [`BodyRef`] only, so that versions, parts and copies share them by counting.

use super::{
    attributes::{Checksum, ChecksumKind, ChecksumScope},
    config::BucketConfig,
    id::{BodyId, BucketId, BucketName, ETag, UploadId, VersionId, VersionRef},
    op::{OpId, Reply},
    request::{Description, KeyCheck, Usage},
};
use crate::{
    access::{
        blobs::{PackId, StoredBody},
        data::seal::Envelope,
    },
    codec::Wire,
    types::{FileId, params::FRAGMENTS},
};
use borsh::{BorshDeserialize, BorshSerialize};

/// Contents up to this size lie in the engine itself.
pub const INLINE_MAX_BYTES: usize = 128 << 10;
/// Bytes encryption may add to contents that lie in the engine.
pub const SEAL_MAX_BYTES: usize = 1 << 10;
/// Most bytes of one put or part, as S3 has it.
pub const BODY_MAX_BYTES: u64 = 5 << 30;
/// Most pieces of one body.
pub const PIECES_MAX: usize = 512;
/// Most references one object or part has without being a multipart object.
pub const REFS_MAX: usize = 1_024;

const DESCRIPTION_MAX: usize = 64 << 10;

/// How the key of encrypted contents is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Seal {
    /// Whether the customer holds the wrapping key, and not the bucket.
    pub customer: bool,
    /// Their key, wrapped.
    pub envelope: Envelope,
}

/// A bucket: who and what.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BucketRecord {
    pub id: BucketId,
    pub name: BucketName,
    pub owner: [u8; 20],
    pub created_ms: u64,
    pub config: BucketConfig,
    /// Whether it was deleted: nothing is taken any more.
    pub retired: bool,
}

impl Wire for BucketRecord {
    const NAME: &'static str = "bucket";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 1 << 20;
}

/// What a bucket holds, and the last number it gave out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct UsageRecord {
    pub usage: Usage,
    pub seq: u64,
}

impl Wire for UsageRecord {
    const NAME: &'static str = "bucket usage";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64;
}

/// Bytes `start .. start + len` of contents, counted before encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BodyRef {
    pub id: BodyId,
    pub start: u64,
    pub len: u64,
    /// Whether they lie in the engine.
    pub inline: bool,
}

/// Contents of a version.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Contents {
    /// These, in order; none when it is empty.
    Bodies(Vec<BodyRef>),
    /// The parts of a completed upload, which keep their records.
    Parts {
        upload: UploadId,
        count: u32,
        /// Every so many parts, the number of one and the bytes before it, so that a range need not read all of them.
        index: Vec<(u32, u64)>,
    },
    /// None: it is a delete marker.
    Marker,
}

/// A version of an object.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ObjectRecord {
    pub version: VersionId,
    /// Whether it is the null version.
    pub null: bool,
    pub modified_ms: u64,
    pub size: u64,
    pub etag: ETag,
    pub checksums: Vec<Checksum>,
    pub contents: Contents,
    /// Whether they are encrypted.
    pub encrypted: bool,
    /// Recognises the customer's key they are encrypted with.
    pub customer: Option<KeyCheck>,
    pub description: Description,
    /// When it was replaced by a newer version.
    pub replaced_ms: Option<u64>,
}

impl ObjectRecord {
    /// Whether it marks a deletion.
    pub fn is_marker(&self) -> bool {
        self.contents == Contents::Marker
    }

    /// What callers call it.
    pub fn version_ref(&self) -> VersionRef {
        if self.null { VersionRef::Null } else { VersionRef::Id(self.version) }
    }
}

impl Wire for ObjectRecord {
    const NAME: &'static str = "object version";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = DESCRIPTION_MAX + REFS_MAX * 33 + 4_096;
}

/// The version that is a key's null version, where it is an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NullVersion(pub VersionId);

impl Wire for NullVersion {
    const NAME: &'static str = "null version";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 17;
}

/// Contents in the engine.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct InlineRecord {
    /// Bytes before they were sealed.
    pub size: u64,
    pub seal: Option<Seal>,
    pub bytes: Vec<u8>,
}

impl Wire for InlineRecord {
    const NAME: &'static str = "inline contents";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = INLINE_MAX_BYTES + SEAL_MAX_BYTES + 512;
}

/// Contents on miners. Heads of their packs are records of their own; `stored.heads` is empty here.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BodyRecord {
    pub size: u64,
    pub seal: Option<Seal>,
    pub stored: StoredBody,
}

impl Wire for BodyRecord {
    const NAME: &'static str = "stored contents";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 1_024 + PIECES_MAX * (36 + FRAGMENTS * 32 + 28);
}

/// References to contents beyond the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ExtraRefs(pub u32);

impl Wire for ExtraRefs {
    const NAME: &'static str = "references to contents";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 5;
}

/// An upload in parts.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct UploadRecord {
    pub created_ms: u64,
    pub description: Description,
    pub checksum: Option<(ChecksumKind, ChecksumScope)>,
    pub customer: Option<KeyCheck>,
}

impl Wire for UploadRecord {
    const NAME: &'static str = "multipart upload";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = DESCRIPTION_MAX;
}

/// A part of an upload, or of the object it became.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PartRecord {
    pub modified_ms: u64,
    pub size: u64,
    pub md5: [u8; 16],
    pub checksums: Vec<Checksum>,
    pub bodies: Vec<BodyRef>,
}

impl Wire for PartRecord {
    const NAME: &'static str = "part";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 1_024 + REFS_MAX * 33;
}

/// How an upload ended, kept a while so that completing it again gives the same answer.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CompletedRecord {
    pub key: String,
    pub written: super::request::Written,
}

impl Wire for CompletedRecord {
    const NAME: &'static str = "completed upload";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 8 << 10;
}

/// Longest answer that is remembered.
pub const ANSWER_MAX_BYTES: usize = 64 << 10;

/// An operation that was executed, kept so that it is not executed again.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ExecutedRecord {
    /// Grows with every operation that is remembered.
    pub number: u64,
    pub id: OpId,
    pub reply: Reply,
}

impl Wire for ExecutedRecord {
    const NAME: &'static str = "executed operation";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = ANSWER_MAX_BYTES + 64;
}

/// Where a pack is on its way through the chain. Without a record it is not final yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum PackRecord {
    /// A file of the chain.
    Final {
        file: FileId,
        /// Bytes of this bucket that lay in it when it became one.
        bytes: u64,
    },
    /// Nothing refers to it; its file is being removed.
    Removing { file: Option<FileId>, since_ms: u64 },
    /// It is gone, and never comes back.
    Removed { at_ms: u64 },
}

impl Wire for PackRecord {
    const NAME: &'static str = "pack state";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64;
}

/// What is to be let go once its time has come.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Garbage {
    /// These references.
    Bodies(Vec<BodyRef>),
    /// All parts of an upload that was aborted, or of an object that was deleted.
    Parts {
        upload: UploadId,
        /// Whether their bytes still count as used.
        counted: bool,
    },
    /// The memory of a completed upload.
    Completed(UploadId),
    /// A pack to look at: whether anything refers to it.
    Pack(PackId),
}

impl Wire for Garbage {
    const NAME: &'static str = "garbage";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 1_024 + 10_000 * 33;
}
