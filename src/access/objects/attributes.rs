//! What is known of an object besides its bytes.
//!
//! Owns headers, tags, checksums, retention and their bounds. Must not know how they are sent.

use super::{error::ObjectsError, id::shortened};
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;

/// Most bytes of user metadata, names and values, as S3 counts them.
pub const USER_METADATA_MAX_BYTES: usize = 2 << 10;
/// Most bytes of one header that is kept.
pub const HEADER_MAX_BYTES: usize = 2 << 10;
/// Most tags of an object.
pub const TAGS_MAX: usize = 10;
const TAG_KEY_MAX_CHARS: usize = 128;
const TAG_VALUE_MAX_CHARS: usize = 256;
/// Most bytes of an object's access control list.
pub const ACL_MAX_BYTES: usize = 16 << 10;

/// Tags of an object.
pub type Tags = BTreeMap<String, String>;

/// Headers that are stored and returned.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Attributes {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub content_disposition: Option<String>,
    pub cache_control: Option<String>,
    pub expires: Option<String>,
    pub website_redirect: Option<String>,
    pub storage_class: Option<String>,
    /// `x-amz-meta-*`, names without the prefix, in lower case.
    pub user: BTreeMap<String, String>,
}

impl Attributes {
    pub(super) fn check(&self, key: &str) -> Result<(), ObjectsError> {
        let too_large = |len: usize, max: usize| ObjectsError::MetadataTooLarge {
            key: shortened(key),
            len: len as u64,
            max: max as u64,
        };
        let user: usize = self.user.iter().map(|(name, value)| name.len() + value.len()).sum();
        if user > USER_METADATA_MAX_BYTES {
            return Err(too_large(user, USER_METADATA_MAX_BYTES));
        }
        let headers = [
            &self.content_type,
            &self.content_encoding,
            &self.content_language,
            &self.content_disposition,
            &self.cache_control,
            &self.expires,
            &self.website_redirect,
            &self.storage_class,
        ];
        let longest = headers.into_iter().flatten().map(String::len).max().unwrap_or(0);
        if longest > HEADER_MAX_BYTES { Err(too_large(longest, HEADER_MAX_BYTES)) } else { Ok(()) }
    }
}

/// Refuses tags S3 refuses.
pub(super) fn check_tags(name: &str, tags: &Tags) -> Result<(), ObjectsError> {
    let refuse = |reason: String| Err(ObjectsError::InvalidTag { name: shortened(name), reason });
    if tags.len() > TAGS_MAX {
        return refuse(format!("{} are given, the limit is {TAGS_MAX}", tags.len()));
    }
    for (key, value) in tags {
        let (k, v) = (key.chars().count(), value.chars().count());
        if k == 0 || k > TAG_KEY_MAX_CHARS {
            return refuse(format!("a key has {k} characters, 1 to {TAG_KEY_MAX_CHARS} are allowed"));
        }
        if v > TAG_VALUE_MAX_CHARS {
            return refuse(format!("a value has {v} characters, the limit is {TAG_VALUE_MAX_CHARS}"));
        }
    }
    Ok(())
}

/// Kinds of checksums S3 knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum ChecksumKind {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// Whether a multipart object's checksum is of its bytes or of its parts' checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ChecksumScope {
    FullObject,
    Composite,
}

/// A checksum that was verified when the bytes came.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Checksum {
    pub kind: ChecksumKind,
    pub scope: ChecksumScope,
    /// The digest's bytes, at most 32.
    pub value: Vec<u8>,
}

/// Who may lift a retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum RetentionMode {
    /// Those with the permission to bypass it.
    Governance,
    /// Nobody.
    Compliance,
}

/// Until when a version cannot be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Retention {
    pub mode: RetentionMode,
    /// Milliseconds since 1970.
    pub until_ms: u64,
}
