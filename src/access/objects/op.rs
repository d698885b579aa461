//! What is asked of a bucket's owner and what it answers, as values that travel between gateways.
//!
//! Owns the two enums and their caps. Must not know who executes them. Invariants: an operation is executed as a whole or not at
//! all; bodies never travel in one, except contents that lie in the engine.

use super::{
    attributes::{Attributes, Checksum, ChecksumKind, ChecksumScope, Retention, Tags},
    config::ConfigChange,
    error::ObjectsError,
    id::{BodyId, BucketName, UploadId, VersionId, VersionRef},
    record::{BucketRecord, Seal},
    request::{
        DeleteTarget, Deleted, Description, KeyCheck, ListObjects, ListUploads, ListVersions, NamedPart, ObjectInfo,
        ObjectPage, PartInfo, PartPage, RangeAsked, ReadConditions, UploadInfo, UploadPage, Usage, VersionPage,
        WriteConditions, Written,
    },
};
use crate::{
    access::blobs::{PackHead, PackId, StoredBody},
    codec::{self, Wire},
    ledger::manifest::SegmentEntry,
    types::FileId,
};
use borsh::{BorshDeserialize, BorshSerialize};

/// Identity of an operation: random, the same in every repetition.
pub type OpId = [u8; 16];

/// Largest operation or answer that travels.
pub const OP_MAX_BYTES: usize = 4 << 20;

/// Contents as they are given or found: encrypted.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Bytes {
    /// In the engine.
    Inline(Vec<u8>),
    /// On miners.
    Stored(StoredBody),
}

/// New contents.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NewBody {
    pub id: BodyId,
    pub size: u64,
    pub md5: [u8; 16],
    pub seal: Option<Seal>,
    /// Recognises the customer's key, where it is sealed with one.
    pub customer: Option<KeyCheck>,
    pub bytes: Bytes,
    pub checksums: Vec<Checksum>,
}

impl NewBody {
    /// What lies on miners.
    pub fn stored(&self) -> Option<StoredBody> {
        match &self.bytes {
            Bytes::Inline(_) => None,
            Bytes::Stored(stored) => Some(stored.clone()),
        }
    }
}

/// Contents that cover `at .. at + len` of an object.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FoundBody {
    pub id: BodyId,
    /// First byte of the object that lies in them.
    pub at: u64,
    /// Bytes of them before that one.
    pub start: u64,
    pub len: u64,
    /// Bytes of them all.
    pub size: u64,
    pub seal: Option<Seal>,
    pub bytes: Bytes,
}

/// A version with the contents that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Found {
    pub info: ObjectInfo,
    /// Its number in the bucket, also where callers call it `null`.
    pub id: VersionId,
    /// Bytes asked for: first, and the one after the last.
    pub range: (u64, u64),
    /// What covers them, as far as it fits one answer.
    pub bodies: Vec<FoundBody>,
    /// Where to go on with [`Op::More`].
    pub next: Option<u64>,
}

/// A new version.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PutOp {
    pub key: String,
    pub description: Description,
    pub conditions: WriteConditions,
    pub body: NewBody,
}

/// A version to read.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GetOp {
    pub key: String,
    pub version: Option<VersionRef>,
    pub conditions: ReadConditions,
    pub range: Option<RangeAsked>,
    /// Whether contents are wanted, or only what is known of them.
    pub contents: bool,
}

/// A copy within the bucket.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CopyOp {
    pub source: String,
    pub version: Option<VersionRef>,
    pub source_conditions: ReadConditions,
    pub key: String,
    pub attributes: Option<Attributes>,
    pub tags: Option<Tags>,
    pub description: Description,
    pub conditions: WriteConditions,
}

/// A copy of a range within the bucket into a part.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CopyPartOp {
    pub source: String,
    pub version: Option<VersionRef>,
    pub source_conditions: ReadConditions,
    pub range: Option<(u64, u64)>,
    pub key: String,
    pub upload: UploadId,
    pub part: u32,
}

/// The end of an upload.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CompleteOp {
    pub key: String,
    pub upload: UploadId,
    pub parts: Vec<NamedPart>,
    pub conditions: WriteConditions,
    pub size: Option<u64>,
    pub checksums: Vec<Checksum>,
}

/// What is changed about a version without writing a new one.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Amendment {
    Tags(Tags),
    Acl(Option<Vec<u8>>),
    /// The retention, and whether the caller may bypass governance.
    Retention(Option<Retention>, bool),
    LegalHold(bool),
}

/// What is asked of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Op {
    /// Begins the bucket; a second time with the same id is no error.
    Create(Box<BucketRecord>),
    /// The bucket and what it holds.
    Info,
    Configure(ConfigChange),
    /// Deletes the bucket if it is empty.
    Retire,
    Put(Box<PutOp>),
    /// Contents that were stored for a call that was refused.
    Discard(BodyId, StoredBody),
    Get(GetOp),
    /// More contents of a version from a byte on.
    More {
        key: String,
        id: VersionId,
        from: u64,
    },
    /// Deletes each, with an answer for each; the flag lets governance be bypassed.
    Delete(Vec<DeleteTarget>, bool),
    List(ListObjects),
    ListVersions(ListVersions),
    ListUploads(ListUploads),
    /// Parts of an upload after a number.
    UploadParts {
        key: String,
        upload: UploadId,
        after: u32,
        max: u32,
    },
    /// Parts of a multipart object after a number.
    ObjectParts {
        key: String,
        version: Option<VersionRef>,
        after: u32,
        max: u32,
    },
    CreateUpload {
        key: String,
        description: Description,
        checksum: Option<(ChecksumKind, ChecksumScope)>,
        customer: Option<KeyCheck>,
    },
    Upload {
        key: String,
        upload: UploadId,
    },
    PutPart {
        key: String,
        upload: UploadId,
        part: u32,
        body: NewBody,
    },
    Complete(CompleteOp),
    Abort {
        key: String,
        upload: UploadId,
    },
    Copy(Box<CopyOp>),
    CopyPart(CopyPartOp),
    Amend {
        key: String,
        version: Option<VersionRef>,
        what: Amendment,
    },
    /// Applies the lifecycle to a stretch of keys after the given one.
    Expire {
        after: Option<String>,
    },
    /// Lets go of garbage whose time has come, a bounded amount.
    Collect,
    /// Packs without a file, and packs to remove.
    Packs,
    /// A pack became a file.
    PackFinal(PackId, FileId),
    /// A pack's file was removed.
    PackRemoved(PackId),
    /// Contents were moved to other packs.
    Moved {
        id: BodyId,
        from: StoredBody,
        to: StoredBody,
    },
    /// Whether there will soon be something to do, whether anybody asks or not.
    Outlook,
}

/// Longest operation of upkeep that is told from what clients ask.
const UPKEEP_MAX_BYTES: usize = 2 << 10;

impl Op {
    /// Whether encoded bytes are an operation that no client asked for.
    pub fn is_upkeep(bytes: &[u8]) -> bool {
        let op = if bytes.len() <= UPKEEP_MAX_BYTES { codec::decode(bytes).ok() } else { None };
        op.is_some_and(|op: Self| {
            let packs = matches!(op, Self::Packs | Self::PackFinal(..) | Self::PackRemoved(_));
            packs || matches!(op, Self::Expire { .. } | Self::Collect | Self::Outlook)
        })
    }
}

impl Wire for Op {
    const NAME: &'static str = "bucket operation";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = OP_MAX_BYTES;
}

/// A pack somebody has to care for.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PackDuty {
    pub pack: PackId,
    pub what: Duty,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Duty {
    /// Make it a file: its head and the segments that are referred to.
    Finish(Box<PackHead>, Vec<(u32, SegmentEntry)>),
    /// Remove its file.
    Remove(Option<FileId>),
    /// Write what lies in it elsewhere: most of its file is garbage.
    Rewrite(Vec<(BodyId, StoredBody)>),
}

/// What a bucket answers.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Reply {
    Done,
    Bucket(Box<BucketRecord>, Usage),
    Written(Written),
    Found(Box<Found>),
    Deleted(Vec<Result<Deleted, ObjectsError>>),
    Objects(ObjectPage),
    Versions(VersionPage),
    Uploads(UploadPage),
    Parts(PartPage),
    Upload(Box<UploadInfo>),
    /// A copy, and the version that was copied.
    Copied(Written, VersionRef),
    /// A part that was copied, and the version it comes from.
    PartCopied(PartInfo, Option<VersionRef>),
    /// The version that was amended.
    Amended(Option<VersionRef>),
    /// The copy cannot share contents: read and write it.
    ByStream,
    /// How much was done, and where to go on.
    Swept {
        done: u32,
        next: Option<String>,
    },
    Packs(Vec<PackDuty>),
    /// The pack has become another file before.
    OtherFile(FileId),
    /// Whether there will be something to do.
    Busy(bool),
}

impl Wire for Reply {
    const NAME: &'static str = "bucket answer";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = OP_MAX_BYTES;
}

/// A bucket and where it is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Place {
    pub id: super::id::BucketId,
    pub name: BucketName,
    pub owner: [u8; 20],
    pub created_ms: u64,
}
