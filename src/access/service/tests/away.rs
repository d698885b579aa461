//! A bucket whose journal's miners go away while it is served.

use super::*;
use crate::access::{
    group::{BucketKey, Members, Owners as _},
    objects::tests::sample,
};

impl World {
    /// Miners of a bucket's journal, as the chain names them.
    async fn members(&self, gateway: &Gateway, bucket: &BucketName) -> Members {
        let owners = ChainOwners::new(Wallet::new(self.chain.clone(), Signer::Native(gateway_key(1)), CHAIN_ID));
        let key = BucketKey::new(ANN, gateway.place(bucket).await.id.0);
        owners.read(&key).await.unwrap().unwrap().ownership.members()
    }

    async fn until_left(&self, gateway: &Gateway, bucket: &BucketName, gone: &[Address]) {
        let start = Instant::now();
        while self.members(gateway, bucket).await.iter().any(|member| gone.contains(member)) {
            assert!(start.elapsed() < PATIENCE, "the journal lies on {gone:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn a_bucket_is_served_on_when_two_miners_of_its_journal_are_gone() {
    let (world, bucket) = (World::new().await, name("bucket"));
    let gateway = world.gateway(1);
    gateway.create(&bucket).await.unwrap();
    gateway.put(&bucket, "before", &sample(1, 1_000)).await;
    let members = world.members(&gateway, &bucket).await;
    let gone = &members[..2];
    gone.iter().for_each(|account| world.cluster.hub.crash(world.cluster.miner(*account).peer));
    gateway.put(&bucket, "after", &sample(2, 1_000)).await;
    assert_eq!(gateway.get(&bucket, "before").await, sample(1, 1_000));
    world.until_left(&gateway, &bucket, gone).await;
    // The only miner that never left goes, too: all it had lies on the others.
    world.cluster.hub.crash(world.cluster.miner(members[2]).peer);
    drop(gateway);
    let next = world.gateway(1);
    for (key, seed) in [("before", 1), ("after", 2)] {
        assert_eq!(next.get(&bucket, key).await, sample(seed, 1_000), "{key}");
    }
}
