//! Names of buckets, versions, uploads and contents.
//!
//! Owns their text forms and bounds. Must not know what they name. Invariant: a [`BucketName`] that exists is a name S3 allows.

use super::error::ObjectsError;
use borsh::{BorshDeserialize, BorshSerialize};
use std::{fmt, str::FromStr};

/// Longest key of an object, in bytes, as S3 has it.
pub const KEY_MAX_BYTES: usize = 1_024;
const NAME_BYTES: std::ops::RangeInclusive<usize> = 3..=63;
const ID_HEX: usize = 32;

/// Id of a bucket: random, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct BucketId(pub [u8; 16]);

/// Name of a bucket: 3 to 63 of `a-z 0-9 . -`, beginning and ending with a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct BucketName(String);

impl BucketName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BucketName {
    type Err = ObjectsError;

    fn from_str(text: &str) -> Result<Self, ObjectsError> {
        let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let fits = NAME_BYTES.contains(&bytes.len())
            && bytes.iter().all(|b| edge(b) || *b == b'.' || *b == b'-')
            && bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge)
            && !text.contains("..")
            && text.parse::<std::net::Ipv4Addr>().is_err();
        if fits { Ok(Self(text.to_owned())) } else { Err(ObjectsError::InvalidBucketName { name: shortened(text) }) }
    }
}

/// A stranger's text, short enough for an error.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

macro_rules! stamped {
    ($name:ident, $what:literal, $error:ident) => {
        #[doc = $what]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
        pub struct $name {
            /// Grows with every change of the bucket.
            pub seq: u64,
            /// Random, so that ids of other buckets or of a past that was lost are not met again.
            pub salt: u64,
        }

        impl $name {
            /// Sixteen bytes, older ids first.
            pub fn bytes(self) -> [u8; 16] {
                let mut out = [0; 16];
                out[..8].copy_from_slice(&self.seq.to_be_bytes());
                out[8..].copy_from_slice(&self.salt.to_be_bytes());
                out
            }

            /// The id of these bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
                Self {
                    seq: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
                    salt: u64::from_be_bytes([i, j, k, l, m, n, o, p]),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.bytes()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ObjectsError;

            fn from_str(text: &str) -> Result<Self, ObjectsError> {
                let mut bytes = [0; 16];
                if text.len() == ID_HEX && hex::decode_to_slice(text, &mut bytes).is_ok() {
                    return Ok(Self::from_bytes(bytes));
                }
                Err(ObjectsError::$error { text: shortened(text) })
            }
        }
    };
}

stamped!(VersionId, "Id of an object's version; younger ones are larger.", InvalidVersionId);
stamped!(UploadId, "Id of a multipart upload.", InvalidUploadId);
/// Id of stored contents, which versions and parts may share: random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct BodyId(pub [u8; 16]);

impl fmt::Debug for BodyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", hex::encode(&self.0[..4]))
    }
}

/// A version as a caller names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum VersionRef {
    /// `null`: what was written while the bucket did not keep versions.
    Null,
    /// A version with an id.
    Id(VersionId),
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id(id) => fmt::Display::fmt(id, f),
        }
    }
}

impl FromStr for VersionRef {
    type Err = ObjectsError;

    fn from_str(text: &str) -> Result<Self, ObjectsError> {
        if text == "null" { Ok(Self::Null) } else { text.parse().map(Self::Id) }
    }
}

/// An entity tag: the MD5 of the contents, or of the parts' MD5s with their number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct ETag {
    /// Sixteen bytes of MD5.
    pub md5: [u8; 16],
    /// Parts of a multipart upload; 0 for a plain put.
    pub parts: u32,
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.md5))?;
        if self.parts > 0 { write!(f, "-{}", self.parts) } else { Ok(()) }
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ETag {
    type Err = ObjectsError;

    /// Reads a tag without its quotes.
    fn from_str(text: &str) -> Result<Self, ObjectsError> {
        let refused = || ObjectsError::InvalidETag { text: shortened(text) };
        let (digest, parts) = match text.split_once('-') {
            Some((digest, parts)) => (digest, parts.parse().map_err(|_| refused())?),
            None => (text, 0),
        };
        let mut md5 = [0; 16];
        hex::decode_to_slice(digest, &mut md5).map_err(|_| refused())?;
        Ok(Self { md5, parts })
    }
}
