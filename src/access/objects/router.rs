//! The port to whoever executes operations on a bucket, here or at another gateway.
//!
//! Owns what a bucket's place is. Must not know ownership, leases or the chain. Invariant: an operation that was answered was
//! executed once and is durable.

use super::{
    error::ObjectsError,
    id::BucketName,
    op::{Op, Place, Reply},
};
use crate::types::Address;
use async_trait::async_trait;

/// Finds buckets and brings operations to them.
#[async_trait]
pub trait Router: Send + Sync + 'static {
    /// Where a bucket is: [`ObjectsError::NoSuchBucket`] if nowhere.
    async fn find(&self, name: &BucketName) -> Result<Place, ObjectsError>;

    /// Takes a free name for `owner`. The bucket begins with [`Op::Create`].
    /// [`ObjectsError::BucketAlreadyOwnedByYou`] and [`ObjectsError::BucketAlreadyExists`] where it is taken.
    async fn create(&self, name: &BucketName, owner: Address) -> Result<Place, ObjectsError>;

    /// Frees the name of a bucket that was retired.
    async fn remove(&self, place: &Place) -> Result<(), ObjectsError>;

    /// Buckets of an account, by name.
    async fn buckets(&self, owner: Address) -> Result<Vec<Place>, ObjectsError>;

    /// Has the bucket's owner execute an operation.
    async fn call(&self, place: &Place, op: Op) -> Result<Reply, ObjectsError>;
}
