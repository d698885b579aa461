//! Why a call on buckets and objects was refused.
//!
//! Owns one variant for each condition a caller acts on. Must not know wire protocols' codes. Invariant: errors travel between
//! gateways, so variants are only added at the end.

use super::id::{BucketName, UploadId, VersionRef};
use crate::access::blobs::BlobError;
use borsh::{BorshDeserialize, BorshSerialize};

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, BorshSerialize, BorshDeserialize)]
pub enum ObjectsError {
    /// No such bucket.
    #[error("bucket `{bucket}` does not exist")]
    NoSuchBucket { bucket: BucketName },
    /// The name belongs to another account.
    #[error("bucket `{bucket}` belongs to another account")]
    BucketAlreadyExists { bucket: BucketName },
    /// The caller has it already.
    #[error("bucket `{bucket}` is already yours")]
    BucketAlreadyOwnedByYou { bucket: BucketName },
    /// Only empty buckets are deleted.
    #[error("bucket `{bucket}` has {versions} versions or delete markers and {uploads} uploads, 0 are required")]
    BucketNotEmpty { bucket: BucketName, versions: u64, uploads: u64 },
    /// Not a bucket's name.
    #[error("bucket name `{name}` is not 3 to 63 of a-z, 0-9, `.` and `-`, with a letter or digit first and last")]
    InvalidBucketName { name: String },
    /// An account may have so many.
    #[error("the account has {count} buckets, the limit is {max}")]
    TooManyBuckets { count: u32, max: u32 },
    /// The bucket's settings forbid it.
    #[error("bucket `{bucket}`: {reason}")]
    InvalidBucketState { bucket: BucketName, reason: String },
    /// A configuration that was never set.
    #[error("bucket `{bucket}` has no {document} configuration")]
    NoSuchConfiguration { bucket: BucketName, document: String },
    /// No current version.
    #[error("object `{key}` does not exist")]
    NoSuchKey { key: String },
    /// The newest version is a delete marker.
    #[error("object `{key}` was deleted by marker {version}")]
    DeleteMarker { key: String, version: VersionRef },
    /// No such version of the key.
    #[error("object `{key}` has no version {version}")]
    NoSuchVersion { key: String, version: VersionRef },
    /// Not an id.
    #[error("`{text}` is not a version id, 32 hexadecimal digits or `null` are expected")]
    InvalidVersionId { text: String },
    /// Aborted, completed or never begun.
    #[error("object `{key}` has no upload {upload}")]
    NoSuchUpload { key: String, upload: UploadId },
    /// Not an id.
    #[error("`{text}` is not an upload id, 32 hexadecimal digits are expected")]
    InvalidUploadId { text: String },
    /// Not a tag.
    #[error("`{text}` is not an entity tag")]
    InvalidETag { text: String },
    /// A part that is named was not uploaded, or has another tag or checksum.
    #[error("part {part} of upload {upload} is missing or has another entity tag or checksum")]
    InvalidPart { upload: UploadId, part: u32 },
    /// Parts are listed out of order.
    #[error("part {part} of upload {upload} is listed after part {before}, ascending order is required")]
    InvalidPartOrder { upload: UploadId, part: u32, before: u32 },
    /// Numbers run from 1.
    #[error("part number {part} is outside 1 to {max}")]
    InvalidPartNumber { part: u32, max: u32 },
    /// Only the last part may be small.
    #[error("part {part} of upload {upload} is {size} B, at least {min} B are required before the last")]
    EntityTooSmall { upload: UploadId, part: u32, size: u64, min: u64 },
    /// One put or part is bounded.
    #[error("object `{key}` is {size} B, the limit is {max} B")]
    EntityTooLarge { key: String, size: u64, max: u64 },
    /// More parts than an upload may have.
    #[error("upload {upload} lists {parts} parts, 1 to {max} are allowed")]
    TooManyParts { upload: UploadId, parts: u64, max: u32 },
    /// A condition of the request does not hold.
    #[error("object `{key}`: condition {condition} does not hold")]
    PreconditionFailed { key: String, condition: String },
    /// The caller's copy is current.
    #[error("object `{key}` is not modified")]
    NotModified { key: String },
    /// Another writer came first.
    #[error("object `{key}` is being changed by another request")]
    Conflict { key: String },
    /// A delete marker has no contents.
    #[error("version {version} of object `{key}` is a delete marker")]
    MethodNotAllowed { key: String, version: VersionRef },
    /// Retention or a legal hold protects the version.
    #[error("version {version} of object `{key}` is locked: {reason}")]
    ObjectLocked { key: String, version: VersionRef, reason: String },
    /// The version has no retention or hold.
    #[error("object `{key}` has no {what}")]
    NoSuchLock { key: String, what: String },
    /// The bucket was made without object lock, or the lock's arguments are wrong.
    #[error("object `{key}`: {reason}")]
    InvalidLock { key: String, reason: String },
    /// The key is empty or too long.
    #[error("a key is {len} B, 1 to {max} B are allowed")]
    KeyTooLong { len: u64, max: u64 },
    /// User metadata is bounded.
    #[error("metadata of object `{key}` is {len} B, the limit is {max} B")]
    MetadataTooLarge { key: String, len: u64, max: u64 },
    /// Tags are bounded.
    #[error("tags of `{name}`: {reason}")]
    InvalidTag { name: String, reason: String },
    /// A configuration document is too long.
    #[error("{document} of bucket `{bucket}` is {len} B, the limit is {max} B")]
    DocumentTooLarge { bucket: BucketName, document: String, len: u64, max: u64 },
    /// The range starts after the end.
    #[error("object `{key}` has {size} B, the range asks for {asked}")]
    InvalidRange { key: String, size: u64, asked: String },
    /// The bytes are not what was announced.
    #[error("object `{key}`: {what} is {found}, {expected} was announced")]
    BadDigest { key: String, what: String, expected: String, found: String },
    /// Fewer or more bytes than announced.
    #[error("object `{key}`: {found} B came, {expected} B were announced")]
    IncompleteBody { key: String, expected: u64, found: u64 },
    /// The object was encrypted with the customer's key, or without one.
    #[error("object `{key}`: {reason}")]
    CustomerKey { key: String, reason: String },
    /// Something else about the request.
    #[error("{0}")]
    InvalidArgument(String),
    /// The bucket's quota.
    #[error("bucket `{bucket}` would have {asked} {what}, its quota is {max}")]
    Quota { bucket: BucketName, what: String, asked: u64, max: u64 },
    /// The chain refused the owner's account: no territory, no room, not approved.
    #[error("account {account}: {reason}")]
    Account { account: String, reason: String },
    /// Another gateway has taken the bucket over; ask again.
    #[error("bucket `{bucket}` is served by another gateway now")]
    Moved { bucket: BucketName },
    /// Storage, chain or the bucket's owner gateway does not answer; try again later.
    #[error("not available: {reason}")]
    Unavailable { reason: String },
    /// Stored data does not fit what is expected of it.
    #[error("stored data is damaged: {reason}")]
    Damaged { reason: String },
}

impl ObjectsError {
    /// Whether the same call may succeed later, unchanged.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Moved { .. } | Self::Unavailable { .. } | Self::Conflict { .. })
    }
}

impl From<BlobError> for ObjectsError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Body { .. } | BlobError::Size { .. } | BlobError::TooLarge | BlobError::Range { .. } => {
                Self::InvalidArgument(error.to_string())
            }
            BlobError::Extent { .. } | BlobError::Tampered { .. } => Self::Damaged { reason: error.to_string() },
            BlobError::Store(_) | BlobError::Fetch(_) | BlobError::Ledger { .. } | BlobError::Stopping => {
                Self::Unavailable { reason: error.to_string() }
            }
        }
    }
}
