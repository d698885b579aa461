//! Buckets whose gateway is gone while something was on its way in them.

use super::*;
use crate::access::{blobs::Scope, objects::tests::sample};
use std::collections::BTreeSet;

impl World {
    /// Packs of a bucket that became files.
    async fn packs_of(&self, gateway: &Gateway, bucket: &BucketName) -> usize {
        self.cluster.chain.advance(1);
        let scope = Scope::new(ANN, gateway.place(bucket).await.id.0);
        gateway.access.upkeep.packs.orphans(scope, &BTreeSet::new(), 0).await.unwrap().len()
    }

    /// A bucket whose object's pack its gateway never made a file of.
    async fn left_open(&mut self, bucket: &BucketName) {
        self.tuning.packs.age = PATIENCE;
        let gateway = self.gateway(1);
        gateway.create(bucket).await.unwrap();
        gateway.put(bucket, "k", &sample(1, LARGE)).await;
        assert_eq!(self.packs_of(&gateway, bucket).await, 0);
        drop(gateway);
        // The time after which others finish a pack.
        self.clock.advance(3_600_000);
    }
}

#[tokio::test]
async fn the_next_life_of_a_gateway_finishes_what_was_on_its_way() {
    let (mut world, bucket) = (World::new().await, name("bucket"));
    world.left_open(&bucket).await;
    let next = world.gateway(1);
    next.access.upkeep.round().await;
    assert_eq!(world.packs_of(&next, &bucket).await, 1, "nobody asked for the bucket");
    assert_eq!(next.get(&bucket, "k").await, sample(1, LARGE));
}

#[tokio::test]
async fn another_gateway_finishes_what_was_on_its_way() {
    let (mut world, bucket) = (World::new().await, name("bucket"));
    world.left_open(&bucket).await;
    let other = world.gateway(2);
    other.access.upkeep.round().await;
    assert_eq!(world.packs_of(&other, &bucket).await, 1, "nobody asked for the bucket");
    let owners = ChainOwners::new(Wallet::new(world.chain.clone(), Signer::Native(gateway_key(1)), CHAIN_ID));
    let noted = [1, 2].map(|number| native_address(&gateway_key(number).public()));
    assert_eq!(owners.open_at(noted[0]).await.unwrap(), owners.open_at(noted[1]).await.unwrap());
    // The one that was gone takes its note back when it sees that the bucket has another owner.
    let back = world.gateway(1);
    back.access.upkeep.round().await;
    assert_eq!(owners.open_at(noted[0]).await.unwrap(), []);
    assert_eq!(back.get(&bucket, "k").await, sample(1, LARGE));
}

#[tokio::test]
async fn a_bucket_that_is_closed_with_nothing_left_to_do_is_not_noted_any_more() {
    let (world, bucket) = (World::new().await, name("bucket"));
    let gateway = world.gateway(1);
    gateway.create(&bucket).await.unwrap();
    let names = world.chain.names().len();
    let place = gateway.place(&bucket).await;
    gateway.access.upkeep.opener.session(&place).close().await;
    assert!(world.chain.names().len() > names, "its tables are there");
    let owners = ChainOwners::new(Wallet::new(world.chain.clone(), Signer::Native(gateway_key(1)), CHAIN_ID));
    assert_eq!(owners.open_at(native_address(&gateway_key(1).public())).await.unwrap(), []);
}
