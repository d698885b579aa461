//! Operations on their way to the gateway that owns the bucket.
//!
//! Owns how operations and their outcomes travel. Must not know what they mean. Invariant: a refusal of the bucket arrives as it was given.

use super::{
    directory::{CreateFault, Directory},
    endings::Endings,
    keys::GroupKeys,
};
use crate::{
    access::{
        group::{BucketKey, Gateways, GroupError, Held},
        objects::{BucketId, BucketName, ObjectsError, Op, Place, Reply, Router, op::OP_MAX_BYTES},
    },
    codec::{self, Wire},
    runtime::Node,
    types::Address,
};
use async_trait::async_trait;
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

/// How long an operation may take, a take-over included.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a bucket answered: its reply, or why it refused.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Outcome(pub(super) Result<Reply, ObjectsError>);

impl Wire for Outcome {
    const NAME: &'static str = "bucket outcome";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = OP_MAX_BYTES + 64;
}

/// Buckets of the chain's directory, reached through the group of gateways.
pub struct Routing {
    node: Node,
    directory: Arc<Directory>,
    gateways: Arc<Gateways>,
    endings: Arc<Endings>,
    keys: Arc<GroupKeys>,
}

impl Routing {
    /// The way to buckets.
    pub(super) fn new(
        node: &Node,
        directory: Arc<Directory>,
        gateways: Arc<Gateways>,
        endings: Arc<Endings>,
        keys: Arc<GroupKeys>,
    ) -> Self {
        Self { node: node.clone(), directory, gateways, endings, keys }
    }
}

/// The group's name of a bucket.
pub(super) fn key(place: &Place) -> BucketKey {
    BucketKey::new(place.owner.into(), place.id.0)
}

#[async_trait]
impl Router for Routing {
    async fn find(&self, name: &BucketName) -> Result<Place, ObjectsError> {
        self.directory.find(name).await?.ok_or_else(|| ObjectsError::NoSuchBucket { bucket: name.clone() })
    }

    async fn create(&self, name: &BucketName, owner: Address) -> Result<Place, ObjectsError> {
        self.directory.check_free(name, owner).await?;
        let (mut id, created_ms) = ([0; 16], self.node.clock.unix_ms());
        self.node.rng.fill(&mut id);
        let place = Place { id: BucketId(id), name: name.clone(), owner: owner.into(), created_ms };
        let bucket = key(&place);
        let sealed = self.keys.prepare(&bucket).await?;
        let first = self.gateways.prepare(&bucket).await.map_err(refusal)?;
        match self.directory.create(&place, &bucket, &first, sealed).await {
            Ok(version) => {
                self.gateways.begin(bucket, Held { version, ownership: first });
                Ok(place)
            }
            Err(CreateFault { error, certain }) => {
                if certain {
                    self.gateways.give_up(&bucket, &first).await;
                }
                Err(error)
            }
        }
    }

    async fn remove(&self, place: &Place) -> Result<(), ObjectsError> {
        self.directory.end(place, self.node.clock.unix_ms()).await?;
        self.endings.wake();
        Ok(())
    }

    async fn buckets(&self, owner: Address) -> Result<Vec<Place>, ObjectsError> {
        self.directory.list(owner).await
    }

    async fn call(&self, place: &Place, op: Op) -> Result<Reply, ObjectsError> {
        let op = Bytes::from(codec::encode(&op));
        let answer = self.gateways.execute(key(place), op, DEADLINE).await.map_err(refusal)?;
        let outcome: Outcome =
            codec::decode(&answer).map_err(|error| ObjectsError::Damaged { reason: error.to_string() })?;
        outcome.0
    }
}

fn refusal(error: GroupError) -> ObjectsError {
    match error {
        GroupError::TooLarge { .. } => ObjectsError::InvalidArgument(error.to_string()),
        GroupError::Chain { .. } | GroupError::Unavailable { .. } | GroupError::Failed { .. } => {
            ObjectsError::Unavailable { reason: error.to_string() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::golden::check;

    #[test]
    fn a_refusal_arrives_as_it_was_given() {
        let refused = Outcome(Err(ObjectsError::NoSuchBucket { bucket: "photos".parse().unwrap() }));
        check(&refused);
        assert_eq!(codec::decode::<Outcome>(&codec::encode(&refused)), Ok(refused));
    }
}
