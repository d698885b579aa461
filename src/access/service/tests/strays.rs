//! Files that nobody names: found and removed in time, and nothing else.

use super::*;
use crate::{
    access::{
        blobs::{Blobs as _, PackHead, Scope, body_of},
        data::{ChainLedger, Packs, PacksParts},
        objects::tests::sample,
        service::{routing::key, sessions::tables_scope},
    },
    client::ChainClient as _,
    ledger::manifest::Manifest,
    types::{FileId, Height, params::FRAGMENTS},
};
use std::collections::BTreeSet;

/// More blocks than a file may be without a name.
const LONG: Height = 20_000;
const HOURS_MS: u64 = 3 * 3_600_000;

impl World {
    /// Packs of a gateway that tells no bucket of them.
    fn packs(&self) -> Packs {
        let wallet = Wallet::new(self.chain.clone(), Signer::Native(gateway_key(3)), CHAIN_ID);
        let parts = PacksParts {
            chain: self.chain.clone(),
            uploader: self.cluster.uploader.clone(),
            fetcher: self.cluster.fetcher.clone(),
            directory: self.cluster.directory.clone(),
            gateway: wallet.address(),
            ledger: Arc::new(ChainLedger::new(wallet)),
        };
        Packs::new(&self.cluster.node, parts, self.tuning.packs.clone())
    }

    async fn files(&self) -> BTreeSet<FileId> {
        self.chain.files_of(ANN, 0, u64::MAX).await.unwrap().into_iter().map(|record| record.id).collect()
    }

    fn has(&self, file: FileId) -> bool {
        futures::executor::block_on(self.chain.file(file)).unwrap().is_some()
    }
}

#[tokio::test]
async fn packs_and_tables_that_were_never_named_are_removed_and_named_ones_are_not() {
    let world = World::new().await;
    let (gateway, bucket) = (world.gateway(1), name("bucket"));
    gateway.create(&bucket).await.unwrap();
    let place = gateway.place(&bucket).await;
    let mut outcomes = gateway.access.upkeep.packs.outcomes();
    gateway.put(&bucket, "large", &sample(1, LARGE)).await;
    tokio::time::timeout(PATIENCE, outcomes.recv()).await.unwrap().unwrap().file.unwrap();
    gateway.access.upkeep.opener.flush(&place).await;
    // As if a gateway had died between the pack and the record, or between the table and its name.
    let (packs, scope) = (world.packs(), Scope::new(ANN, place.id.0));
    let mut outcomes = packs.outcomes();
    packs.put(scope, None, body_of(sample(2, LARGE))).await.unwrap();
    packs.flush(scope);
    let pack = tokio::time::timeout(PATIENCE, outcomes.recv()).await.unwrap().unwrap().file.unwrap();
    let table = packs.store_file(tables_scope(&key(&place)), None, body_of(sample(3, 5_000))).await.unwrap();
    // What other buckets and the account itself have is none of this one's business.
    let foreign = packs.store_file(Scope::new(ANN, [8; 16]), None, body_of("another bucket's")).await.unwrap();
    let call = world.cluster.try_put(&mut world.cluster.upload_of(None), &sample(4, 9_000)[..]).await.unwrap();
    world.cluster.chain.store(&call, ANN).unwrap();
    let all = world.files().await;
    gateway.access.upkeep.round().await;
    assert_eq!(world.files().await, all, "they are young");
    world.cluster.chain.advance(LONG);
    world.clock.advance(HOURS_MS);
    gateway.until_rounds_did("the table goes", || !world.has(table)).await;
    for _ in 0..3 {
        world.clock.advance(HOURS_MS);
        gateway.access.upkeep.round().await;
    }
    gateway.until_rounds_did("the pack goes", || !world.has(pack)).await;
    let kept: BTreeSet<FileId> = all.iter().copied().filter(|file| *file != pack && *file != table).collect();
    assert_eq!(world.files().await, kept);
    assert!(kept.contains(&foreign) && kept.contains(&call.file));
    assert_eq!(gateway.get(&bucket, "large").await, sample(1, LARGE));
}

#[tokio::test]
async fn of_two_files_of_one_pack_the_one_that_says_less_goes() {
    let world = World::new().await;
    let (gateway, other, bucket) = (world.gateway(1), world.gateway(2), name("bucket"));
    let upkeep = &gateway.access.upkeep;
    gateway.create(&bucket).await.unwrap();
    let (place, mut outcomes) = (gateway.place(&bucket).await, upkeep.packs.outcomes());
    let (one, two) = (sample(1, LARGE), sample(2, LARGE + 1));
    tokio::join!(gateway.put(&bucket, "one", &one), gateway.put(&bucket, "two", &two));
    let outcome = tokio::time::timeout(PATIENCE, outcomes.recv()).await.unwrap().unwrap();
    let (scope, pack, whole) = (outcome.scope, outcome.pack, outcome.file.unwrap());
    assert_eq!(upkeep.objects.claim(&place, pack, whole).await.unwrap(), None);
    // Another gateway finished the pack, too, when it knew of one object only.
    let record = world.chain.file(whole).await.unwrap().unwrap();
    let manifest = Manifest::read(&world.chain.manifest(whole).await.unwrap().unwrap()).unwrap();
    assert_eq!(manifest.segments.len(), 3, "a label and two objects");
    let mut holders = [[0; 20]; FRAGMENTS];
    holders.iter_mut().zip(&record.holders).for_each(|(to, from)| *to = (*from).into());
    let head = PackHead {
        beacon_height: world.cluster.chain.height(),
        holders,
        former: Default::default(),
        opened_ms: 0,
        gateway: [2; 20],
        file: None,
    };
    let part = vec![(1, manifest.segments[1].clone())];
    let less = other.access.upkeep.packs.finish(scope, pack, head, part).await.unwrap();
    assert_ne!(less, whole);
    world.cluster.chain.advance(LONG);
    gateway.until_rounds_did("the lesser file goes", || !world.has(less)).await;
    assert!(world.has(whole));
    assert_eq!((gateway.get(&bucket, "one").await, gateway.get(&bucket, "two").await), (one, two));
}
