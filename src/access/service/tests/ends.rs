//! Deleted buckets: nothing of them stays, wherever their end is interrupted.

use super::*;
use crate::{
    access::{
        blobs::Blobs as _,
        objects::{request::DeleteTarget, tests::sample},
    },
    client::ChainClient as _,
};

impl Gateway {
    /// A bucket that had objects in its engine, in tables and in packs, and is empty.
    async fn used_bucket(&self, bucket: &BucketName) {
        self.create(bucket).await.unwrap();
        let (place, mut outcomes) = (self.place(bucket).await, self.access.upkeep.packs.outcomes());
        for (key, len) in [("small", 1_000), ("large", LARGE)] {
            self.put(bucket, key, &sample(1, len)).await;
            if len == LARGE {
                let packed = async { while outcomes.recv().await.unwrap().scope.bucket != place.id.0 {} };
                tokio::time::timeout(PATIENCE, packed).await.unwrap();
            }
            self.access.upkeep.opener.flush(&place).await;
            let target = DeleteTarget { key: key.to_owned(), version: None, if_match: None };
            self.access.objects.delete_object(bucket, target, false).await.unwrap();
        }
    }
}

impl World {
    /// Files and names that are there.
    async fn left(&self) -> (usize, usize) {
        let files = self.chain.files_of(ANN, 0, u64::MAX).await.unwrap();
        (files.len(), self.chain.names().len())
    }
}

#[tokio::test]
async fn a_deleted_bucket_leaves_nothing() {
    let world = World::new().await;
    let (gateway, bucket) = (world.gateway(1), name("bucket"));
    gateway.used_bucket(&bucket).await;
    assert!(world.journal_bytes() > 0);
    gateway.access.objects.delete_bucket(&bucket).await.unwrap();
    until("the journal goes", || world.journal_bytes() == 0).await;
    // The name is free at once, for everybody, while the bucket that had it is still kept in mind.
    gateway.create(&bucket).await.unwrap();
    gateway.put(&bucket, "k", b"another").await;
    let (_, names) = world.left().await;
    world.clock.advance(3 * 3_600_000);
    gateway.access.upkeep.endings.round().await.unwrap();
    assert_eq!(
        world.left().await,
        (0, names - 4),
        "the names of its owner and its key have gone, and the notes about it"
    );
    assert_eq!(gateway.get(&bucket, "k").await, b"another");
    gateway.access.upkeep.endings.round().await.unwrap();
    assert_eq!(world.left().await, (0, names - 4));
}

#[tokio::test]
async fn an_end_that_is_interrupted_goes_on_later() {
    let world = World::new().await;
    let (gateway, bucket) = (world.gateway(1), name("bucket"));
    let endings = &gateway.access.upkeep.endings;
    for transactions in 0.. {
        gateway.used_bucket(&bucket).await;
        let turn = endings.turn.lock().await;
        gateway.access.objects.delete_bucket(&bucket).await.unwrap();
        world.chain.take(Some(transactions));
        drop(turn);
        let interrupted = endings.round().await.is_err();
        world.chain.take(None);
        endings.round().await.unwrap();
        until("the journal goes", || world.journal_bytes() == 0).await;
        let (files, _) = world.left().await;
        assert_eq!(files, 0, "after {transactions} transactions");
        world.clock.advance(3 * 3_600_000);
        endings.round().await.unwrap();
        assert_eq!(world.left().await, (0, 0), "after {transactions} transactions");
        if !interrupted {
            assert!(transactions >= 2, "it was never interrupted");
            return;
        }
    }
}

#[tokio::test]
async fn another_life_of_the_gateway_ends_what_the_one_before_began_to() {
    let world = World::new().await;
    let bucket = name("bucket");
    let first = world.gateway(1);
    first.used_bucket(&bucket).await;
    let turn = first.access.upkeep.endings.turn.lock().await;
    first.access.objects.delete_bucket(&bucket).await.unwrap();
    drop(turn);
    drop(first);
    let second = world.gateway(1);
    second.access.upkeep.endings.round().await.unwrap();
    until("the journal goes", || world.journal_bytes() == 0).await;
    world.clock.advance(3 * 3_600_000);
    second.access.upkeep.endings.round().await.unwrap();
    assert_eq!(world.left().await, (0, 0));
}

#[tokio::test]
async fn a_bucket_that_another_gateway_serves_ends_there_too() {
    let world = World::new().await;
    let (first, second, bucket) = (world.gateway(1), world.gateway(2), name("bucket"));
    first.used_bucket(&bucket).await;
    let place = first.place(&bucket).await;
    second.access.objects.delete_bucket(&bucket).await.unwrap();
    until("the journal goes", || world.journal_bytes() == 0).await;
    assert!(!first.access.upkeep.opener.places().contains(&place), "its owner has let it go");
    world.clock.advance(3 * 3_600_000);
    second.access.upkeep.endings.round().await.unwrap();
    // It takes the note back that it has the bucket open.
    first.access.upkeep.round().await;
    assert_eq!(world.left().await, (0, 0));
}
