//! What callers ask and what they get: the words of [`Objects`](super::Objects).
//!
//! Owns shapes only. Invariant: nothing here is stored.

use super::{
    attributes::{ACL_MAX_BYTES, Attributes, Checksum, ChecksumKind, ChecksumScope, Retention, Tags, check_tags},
    config::{BucketConfig, Encryption, LockConfig},
    error::ObjectsError,
    id::{BucketId, BucketName, ETag, KEY_MAX_BYTES, UploadId, VersionRef, shortened},
};
use crate::{access::blobs::BodyStream, crypto::hash, runtime::Secret, types::Address};
use borsh::{BorshDeserialize, BorshSerialize};
use futures::future::BoxFuture;
use std::{ops::Range, sync::Arc};

/// A bucket as it is now; a copy may be a second old, except at the gateway that changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketInfo {
    pub id: BucketId,
    pub name: BucketName,
    pub owner: Address,
    pub created_ms: u64,
    pub config: Arc<BucketConfig>,
}

/// What a bucket holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Usage {
    /// Versions that are objects.
    pub objects: u64,
    /// Delete markers.
    pub markers: u64,
    /// Unfinished uploads.
    pub uploads: u64,
    /// Bytes of all versions and parts, as their writers sent them.
    pub bytes: u64,
}

/// A new bucket.
#[derive(Debug, Clone)]
pub struct CreateBucket {
    pub name: BucketName,
    pub owner: Address,
    pub lock: LockConfig,
    pub encryption: Encryption,
    /// Documents it begins with: ACL, ownership controls, location.
    pub documents: Vec<(super::config::Document, Vec<u8>)>,
}

/// Tags a caller compares with.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ETagMatch {
    /// `*`
    Any,
    /// One of these; tags of other systems are left out and match nothing.
    OneOf(Vec<ETag>),
}

/// When a write happens: decided by the bucket's owner in the moment of the write.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WriteConditions {
    /// Only if the current object has this tag.
    pub if_match: Option<ETagMatch>,
    /// Only if there is no current object with this tag; `Any`: none at all.
    pub if_none_match: Option<ETagMatch>,
}

/// When a read answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReadConditions {
    pub if_match: Option<ETagMatch>,
    pub if_none_match: Option<ETagMatch>,
    /// Milliseconds since 1970, whole seconds.
    pub if_modified_since_ms: Option<u64>,
    pub if_unmodified_since_ms: Option<u64>,
}

/// Key of SSE-C.
#[derive(Clone)]
pub struct CustomerKey(pub Secret<[u8; 32]>);

/// Recognises a customer's key without telling it: a hash of bucket and key, cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct KeyCheck(pub [u8; 8]);

impl CustomerKey {
    /// What recognises this key in a bucket.
    pub fn check(&self, bucket: BucketId) -> KeyCheck {
        let digest = hash::tagged(hash::DOMAIN_CUSTOMER_KEY, &[&bucket.0, self.0.expose()]);
        let mut check = [0; 8];
        check.copy_from_slice(&digest[..8]);
        KeyCheck(check)
    }
}

/// What a body turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyDigests {
    pub md5: [u8; 16],
    /// Checksums to keep, already verified.
    pub checksums: Vec<Checksum>,
}

/// Called with the number of bytes when the body has come to its end and before anything is acknowledged: returns its digests, or refuses.
pub type Finish = Box<dyn FnOnce(u64) -> BoxFuture<'static, Result<BodyDigests, ObjectsError>> + Send>;

/// Bytes that come in. Whoever sends them hashes them.
pub struct Body {
    /// Their number, where it is known.
    pub size: Option<u64>,
    pub stream: BodyStream,
    pub finish: Finish,
}

/// What a new version is besides its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Description {
    pub attributes: Attributes,
    pub tags: Tags,
    /// Access control list, as the gateway wrote it.
    pub acl: Option<Vec<u8>>,
    pub retention: Option<Retention>,
    pub legal_hold: bool,
    /// Account that writes.
    pub author: [u8; 20],
}

/// A new object.
pub struct PutObject {
    pub bucket: BucketName,
    pub key: String,
    pub description: Description,
    pub conditions: WriteConditions,
    pub customer_key: Option<CustomerKey>,
    pub body: Body,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Written {
    /// The version; `None` in a bucket that never kept versions.
    pub version: Option<VersionRef>,
    pub etag: ETag,
    pub size: u64,
    pub modified_ms: u64,
    pub checksums: Vec<Checksum>,
    /// When a lifecycle rule removes it, and which.
    pub expires: Option<(u64, String)>,
}

/// Which bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum RangeAsked {
    /// First and last byte, both counted.
    Between(u64, u64),
    /// From a byte on.
    From(u64),
    /// The last so many.
    Last(u64),
    /// One part of a multipart object, from 1.
    Part(u32),
}

/// An object to read.
pub struct GetObject {
    pub bucket: BucketName,
    pub key: String,
    pub version: Option<VersionRef>,
    pub conditions: ReadConditions,
    pub range: Option<RangeAsked>,
    pub customer_key: Option<CustomerKey>,
}

/// What is known of a version.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ObjectInfo {
    /// `None` in a bucket that never kept versions.
    pub version: Option<VersionRef>,
    pub etag: ETag,
    pub size: u64,
    pub modified_ms: u64,
    pub description: Description,
    pub checksums: Vec<Checksum>,
    /// Parts of a multipart object; 0 for a plain put.
    pub parts: u32,
    /// What recognises the customer's key, where it is encrypted with one.
    pub customer: Option<KeyCheck>,
    /// Whether it is encrypted at all.
    pub encrypted: bool,
    /// When a lifecycle rule removes it, and which.
    pub expires: Option<(u64, String)>,
}

/// An object's bytes.
pub struct Object {
    pub info: ObjectInfo,
    /// The bytes that follow, of `0 .. info.size`.
    pub range: Range<u64>,
    pub body: BodyStream,
}

/// One version to delete.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DeleteTarget {
    pub key: String,
    pub version: Option<VersionRef>,
    /// Only if the current object has this tag.
    pub if_match: Option<ETagMatch>,
}

/// What a deletion did.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Deleted {
    /// The marker that was made, or the version that was removed.
    pub version: Option<VersionRef>,
    /// Whether `version` is a delete marker.
    pub delete_marker: bool,
}

/// A page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ListObjects {
    pub prefix: String,
    pub delimiter: Option<String>,
    /// Only what comes after; a common prefix stands for everything under it.
    pub after: Option<String>,
    /// At most 1,000 are returned.
    pub max: u32,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ListedObject {
    pub key: String,
    pub etag: ETag,
    pub size: u64,
    pub modified_ms: u64,
    pub storage_class: Option<String>,
    pub author: [u8; 20],
    pub checksums: Vec<(ChecksumKind, ChecksumScope)>,
}

/// Objects and common prefixes, each in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ObjectPage {
    pub objects: Vec<ListedObject>,
    pub prefixes: Vec<String>,
    /// `after` of the next page.
    pub next: Option<String>,
}

/// A page of versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ListVersions {
    pub prefix: String,
    pub delimiter: Option<String>,
    /// Key to go on from, and the version of it that was last returned; without a version the whole key is passed.
    pub after: Option<(String, Option<VersionRef>)>,
    pub max: u32,
}

/// A version in a listing.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ListedVersion {
    pub version: VersionRef,
    pub is_latest: bool,
    pub delete_marker: bool,
    pub object: ListedObject,
}

/// Versions, newest first within a key, and common prefixes.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VersionPage {
    pub versions: Vec<ListedVersion>,
    pub prefixes: Vec<String>,
    pub next: Option<(String, Option<VersionRef>)>,
}

/// A new multipart upload.
pub struct CreateUpload {
    pub bucket: BucketName,
    pub key: String,
    pub description: Description,
    /// The checksum parts will come with.
    pub checksum: Option<(ChecksumKind, ChecksumScope)>,
    pub customer_key: Option<CustomerKey>,
}

/// A part of an upload.
pub struct PutPart {
    pub bucket: BucketName,
    pub key: String,
    pub upload: UploadId,
    pub part: u32,
    pub customer_key: Option<CustomerKey>,
    pub body: Body,
}

/// A part as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PartInfo {
    pub part: u32,
    pub etag: ETag,
    pub size: u64,
    pub modified_ms: u64,
    pub checksums: Vec<Checksum>,
}

/// A part as completion names it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NamedPart {
    pub part: u32,
    /// `None`: a tag that is none of ours, which never fits.
    pub etag: Option<ETag>,
    pub checksums: Vec<Checksum>,
}

/// The end of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteUpload {
    pub bucket: BucketName,
    pub key: String,
    pub upload: UploadId,
    pub parts: Vec<NamedPart>,
    pub conditions: WriteConditions,
    /// Size that was announced.
    pub size: Option<u64>,
    /// Checksum of the whole to keep: announced by the caller, or what the gateway made of [`Objects::upload_parts`](super::Objects::upload_parts).
    pub checksums: Vec<Checksum>,
}

/// A page of uploads.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ListUploads {
    pub prefix: String,
    pub delimiter: Option<String>,
    pub after: Option<(String, Option<UploadId>)>,
    pub max: u32,
}

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct UploadInfo {
    pub key: String,
    pub upload: UploadId,
    pub created_ms: u64,
    pub description: Description,
    pub checksum: Option<(ChecksumKind, ChecksumScope)>,
    /// What recognises the customer's key parts must come with.
    pub customer: Option<KeyCheck>,
}

/// Uploads by key, older first within a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct UploadPage {
    pub uploads: Vec<UploadInfo>,
    pub prefixes: Vec<String>,
    pub next: Option<(String, Option<UploadId>)>,
}

/// Parts of an upload or of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PartPage {
    pub parts: Vec<PartInfo>,
    /// Part after which the next page begins.
    pub next: Option<u32>,
}

/// Where a copy comes from.
pub struct CopySource {
    pub bucket: BucketName,
    pub key: String,
    pub version: Option<VersionRef>,
    pub conditions: ReadConditions,
    pub customer_key: Option<CustomerKey>,
}

/// A copy.
pub struct CopyObject {
    pub source: CopySource,
    pub bucket: BucketName,
    pub key: String,
    /// New attributes, or those of the source.
    pub attributes: Option<Attributes>,
    /// New tags, or those of the source.
    pub tags: Option<Tags>,
    /// The rest; `attributes` and `tags` in it are not looked at.
    pub description: Description,
    pub conditions: WriteConditions,
    pub customer_key: Option<CustomerKey>,
}

/// A copy into a part.
pub struct CopyPart {
    pub source: CopySource,
    /// First and last byte, both counted.
    pub range: Option<(u64, u64)>,
    pub bucket: BucketName,
    pub key: String,
    pub upload: UploadId,
    pub part: u32,
    pub customer_key: Option<CustomerKey>,
}

/// What a copy made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub written: Written,
    /// The version that was copied.
    pub source: Option<VersionRef>,
}

/// A version of an object, for calls about its tags, locks and access control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    pub bucket: BucketName,
    pub key: String,
    pub version: Option<VersionRef>,
}

impl Description {
    /// Refuses what S3 refuses of a new object.
    pub(super) fn check(&self, key: &str) -> Result<(), ObjectsError> {
        if key.is_empty() || key.len() > KEY_MAX_BYTES {
            return Err(ObjectsError::KeyTooLong { len: key.len() as u64, max: KEY_MAX_BYTES as u64 });
        }
        self.attributes.check(key)?;
        check_tags(key, &self.tags)?;
        let acl = self.acl.as_ref().map_or(0, Vec::len);
        if acl > ACL_MAX_BYTES {
            return Err(ObjectsError::MetadataTooLarge {
                key: shortened(key),
                len: acl as u64,
                max: ACL_MAX_BYTES as u64,
            });
        }
        Ok(())
    }
}
