//! What is set on a bucket as a whole.
//!
//! Owns the settings that decide what objects do, typed, and documents that only the gateway reads, as bytes. Must not know their
//! grammar. Invariant: object lock implies versioning.

use super::attributes::{Retention, RetentionMode};
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;

/// Longest document of one kind.
pub const DOCUMENT_MAX_BYTES: usize = 64 << 10;
/// Most lifecycle rules of a bucket.
pub const LIFECYCLE_MAX_RULES: usize = 1_000;
pub(super) const DAY_MS: u64 = 86_400_000;

/// Whether a bucket keeps what is overwritten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Versioning {
    /// Never switched on.
    #[default]
    Off,
    /// Every write is a version.
    Enabled,
    /// Writes replace the null version; other versions stay.
    Suspended,
}

/// Configuration that only the gateway understands; stored as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum Document {
    /// Access control list.
    Acl,
    /// Cross-origin rules.
    Cors,
    /// Default encryption as it was set.
    Encryption,
    /// Lifecycle rules as they were set; what they do is in [`BucketConfig::lifecycle`].
    Lifecycle,
    /// Who owns objects.
    OwnershipControls,
    /// Policy.
    Policy,
    /// What public access is blocked.
    PublicAccessBlock,
    /// Tags of the bucket.
    Tagging,
    /// Static website.
    Website,
    /// Anything else the gateway keeps, such as the region it was created in.
    Gateway,
}

impl Document {
    /// Name in errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acl => "ACL",
            Self::Cors => "CORS",
            Self::Encryption => "encryption",
            Self::Lifecycle => "lifecycle",
            Self::OwnershipControls => "ownership controls",
            Self::Policy => "policy",
            Self::PublicAccessBlock => "public access block",
            Self::Tagging => "tagging",
            Self::Website => "website",
            Self::Gateway => "gateway",
        }
    }
}

/// Retention every new version gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DefaultRetention {
    /// Who may lift it.
    pub mode: RetentionMode,
    /// Days it lasts; years are given as 365 days.
    pub days: u32,
    /// Whether it was set in years, so that it is shown as it was set.
    pub in_years: bool,
}

impl DefaultRetention {
    pub(super) fn from(self, now_ms: u64) -> Retention {
        Retention { mode: self.mode, until_ms: now_ms.saturating_add(u64::from(self.days) * DAY_MS) }
    }
}

/// Object lock of a bucket: once enabled it stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LockConfig {
    /// Whether versions can be locked.
    pub enabled: bool,
    /// What new versions get.
    pub default: Option<DefaultRetention>,
}

/// Most a bucket may hold; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Quota {
    /// Bytes of all versions and parts.
    pub bytes: Option<u64>,
    /// Versions, delete markers not counted.
    pub objects: Option<u64>,
}

/// How contents are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Encryption {
    /// With a key of each object, wrapped with the bucket's.
    #[default]
    On,
    /// In the clear.
    Off,
}

/// When an object expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Expiry {
    /// So many days after it was written, at the next midnight UTC.
    Days(u32),
    /// At this time, milliseconds since 1970.
    At(u64),
}

/// Which objects a rule is about: all that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LifecycleFilter {
    /// The key begins so.
    pub prefix: String,
    /// It has these tags.
    pub tags: BTreeMap<String, String>,
    /// It is larger.
    pub larger_than: Option<u64>,
    /// It is smaller.
    pub smaller_than: Option<u64>,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LifecycleRule {
    /// Its name.
    pub id: String,
    /// Whether it is applied.
    pub enabled: bool,
    /// Which objects.
    pub filter: LifecycleFilter,
    /// Current versions.
    pub expire: Option<Expiry>,
    /// Remove delete markers that hide nothing.
    pub expire_markers: bool,
    /// Days after which a version that was replaced goes.
    pub noncurrent_days: Option<u32>,
    /// How many replaced versions stay nevertheless.
    pub noncurrent_keep: u32,
    /// Days after which an unfinished upload goes.
    pub abort_upload_days: Option<u32>,
}

/// Everything set on a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BucketConfig {
    /// Versions.
    pub versioning: Versioning,
    /// Locks.
    pub lock: LockConfig,
    /// Expiry.
    pub lifecycle: Vec<LifecycleRule>,
    /// Encryption of new contents.
    pub encryption: Encryption,
    /// Limits.
    pub quota: Quota,
    /// What only the gateway reads.
    pub documents: BTreeMap<Document, Vec<u8>>,
    /// The bucket's key, sealed to the gateways and to the owner.
    pub key_envelopes: Vec<Vec<u8>>,
}

/// One change of a bucket's configuration.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ConfigChange {
    /// Switches versioning; `Off` is refused.
    Versioning(Versioning),
    /// Sets the default retention of a bucket with lock, or enables lock on one that keeps versions.
    Lock(LockConfig),
    /// Replaces the rules and, where given, their document.
    Lifecycle(Vec<LifecycleRule>, Option<Vec<u8>>),
    /// Switches encryption and keeps the document it was set with.
    Encryption(Encryption, Option<Vec<u8>>),
    /// Sets limits.
    Quota(Quota),
    /// Sets a document.
    Set(Document, Vec<u8>),
    /// Removes a document; removing what is not there succeeds.
    Remove(Document),
    /// Sets the sealed bucket keys where none are set.
    KeyEnvelopes(Vec<Vec<u8>>),
}
