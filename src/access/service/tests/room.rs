//! What objects occupy on miners.

use super::*;
use crate::{
    access::{objects::tests::sample, service::routing::key, store::SegmentStore},
    client::ChainClient as _,
    ledger::manifest::Manifest,
    types::params::FRAGMENTS,
};
use futures::{TryStreamExt as _, future::join_all};
use object_store::{ObjectMeta, ObjectStore as _};

const OBJECTS: usize = 1_000;
const OBJECT_BYTES: usize = 1 << 10;
/// Tables they come in: enough to be merged.
const TABLES: usize = 5;
/// Most that may be stored for each byte while tables are merged: they, what they are merged into and the journal are there, each of them
/// three times, and records add to small objects.
const MERGING_FACTOR: u64 = 14;
/// Most that may be stored for each byte in the end: three times the bytes, for the code, and what records add to a small object.
const FACTOR: u64 = 5;

impl World {
    /// Bytes of fragments of all files, and of all journals.
    async fn occupied(&self) -> u64 {
        let mut bytes = self.journal_bytes();
        for record in self.chain.files_of(ANN, 0, u64::MAX).await.unwrap() {
            let Some(manifest) = self.chain.manifest(record.id).await.unwrap() else { continue };
            bytes += Manifest::read(&manifest).unwrap().column_bytes() * FRAGMENTS as u64;
        }
        bytes
    }

    /// Waits until tables of `plain` bytes were merged and what they were made of is gone.
    async fn until_merged(&self, tables: &SegmentStore, plain: u64) {
        let start = Instant::now();
        loop {
            let listed: Vec<ObjectMeta> = tables.list(None).try_collect().await.unwrap();
            let merged = listed.iter().filter(|object| object.location.as_ref().ends_with(".sst")).count() < TABLES;
            let occupied = self.occupied().await;
            assert!(occupied <= plain * MERGING_FACTOR, "{occupied} B for {plain} B");
            if merged && occupied <= plain * FACTOR {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{occupied} B for {plain} B in {listed:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn small_objects_occupy_a_few_times_their_bytes() {
    let mut world = World::new().await;
    world.tuning.engines.poll = Duration::from_millis(50);
    world.tuning.engines.table_gc = Duration::from_millis(100);
    world.tuning.engines.table_age = Duration::from_secs(1);
    world.tuning.table_grace = Duration::ZERO;
    let (gateway, bucket) = (world.gateway(1), name("bucket"));
    gateway.create(&bucket).await.unwrap();
    let (place, opener) = (gateway.place(&bucket).await, &gateway.access.upkeep.opener);
    let plain = (OBJECTS * OBJECT_BYTES) as u64;
    for table in 0..TABLES {
        let numbers = (0..OBJECTS).filter(|number| number % TABLES == table);
        let puts = numbers.map(|number| {
            let (gateway, bucket) = (&gateway, &bucket);
            async move {
                gateway.put(bucket, &format!("object {number}"), &sample(number as u64, OBJECT_BYTES)).await;
            }
        });
        join_all(puts).await;
        opener.flush(&place).await;
        let occupied = world.occupied().await;
        assert!(occupied <= plain * MERGING_FACTOR, "{occupied} B for {plain} B");
    }
    world.until_merged(&opener.tables(&key(&place)), plain).await;
    for number in [0, 7, OBJECTS - 1] {
        assert_eq!(gateway.get(&bucket, &format!("object {number}")).await, sample(number as u64, OBJECT_BYTES));
    }
}
