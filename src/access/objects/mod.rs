//! What buckets and objects mean: names, versions, uploads in parts, listings, tags, locks, lifecycle, quotas, and whose bytes are whose.
//!
//! [`Objects`] is what gateways call; [`Bucket`] executes operations on one bucket's engine, at the one gateway that owns it.
//! Must not know wire protocols, miners or leases. Invariants: an operation is one atomic, durable batch; contents something
//! refers to are never let go, and contents nothing refers to always are, after a grace period.

pub mod attributes;
mod bucket;
pub mod config;
pub mod error;
mod front;
pub mod id;
mod key;
#[cfg(test)]
pub(crate) mod local;
pub mod op;
pub mod record;
pub mod request;
pub mod router;
#[cfg(test)]
pub(in crate::access) mod tests;

pub use bucket::{Bucket, BucketSettings};
pub use error::ObjectsError;
pub use front::{BucketKeys, Maintained, Objects};
pub use id::{BucketId, BucketName, ETag, UploadId, VersionId, VersionRef};
pub use op::{Op, Place, Reply};
pub use router::Router;
