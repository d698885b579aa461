//! Objects in one process: the router's twin for tests, over engines and bytes in memory.
//!
//! Owns names of buckets, and a store that outlives the engines in it. Must not know ownership. Invariant: a bucket that crashes is
//! opened again with what was durable.

use super::{
    bucket::{Bucket, BucketSettings},
    error::ObjectsError,
    front::{BucketKeys, Objects},
    id::{BucketId, BucketName},
    op::{Op, Place, Reply},
    router::Router,
};
use crate::{
    access::{
        blobs::MemoryBlobs,
        data::seal::DataKey,
        engine::{Engine, EngineSettings},
    },
    crypto::hash,
    runtime::{CpuPool, ManualClock, Node, NodeRng},
    types::Address,
};
use async_trait::async_trait;
use slatedb::object_store::{ObjectStore, memory::InMemory};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// When the world of tests begins: 2026-01-01.
pub(crate) const START_MS: u64 = 1_767_225_600_000;

/// Buckets of one process.
pub(crate) struct LocalRouter {
    node: Node,
    store: Arc<dyn ObjectStore>,
    engine: EngineSettings,
    settings: BucketSettings,
    places: Mutex<BTreeMap<BucketName, Place>>,
    open: Mutex<BTreeMap<BucketName, Bucket>>,
}

impl LocalRouter {
    pub fn new(node: &Node, settings: BucketSettings) -> Self {
        Self {
            node: node.clone(),
            store: Arc::new(InMemory::new()),
            engine: EngineSettings::with_cache_bytes(8 << 20),
            settings,
            places: Mutex::default(),
            open: Mutex::default(),
        }
    }

    async fn bucket(&self, place: &Place) -> Result<Bucket, ObjectsError> {
        if self.find(&place.name).await?.id != place.id {
            return Err(ObjectsError::NoSuchBucket { bucket: place.name.clone() });
        }
        let mut open = self.open.lock().await;
        if let Some(bucket) = open.get(&place.name) {
            return Ok(bucket.clone());
        }
        let path = format!("db/{}", place.id);
        let engine = Engine::open(&path, self.store.clone(), None, &self.engine).await?;
        let bucket = Bucket::open(&self.node, place, engine, self.settings.clone()).await?;
        open.insert(place.name.clone(), bucket.clone());
        Ok(bucket)
    }

    /// Lets go of a bucket's engine without closing it.
    pub async fn crash(&self, name: &BucketName) {
        self.open.lock().await.remove(name);
    }

    /// Closes a bucket's engine in order.
    pub async fn close(&self, name: &BucketName) {
        if let Some(bucket) = self.open.lock().await.remove(name) {
            bucket.close(Duration::from_secs(30)).await.unwrap();
        }
    }

    /// The open bucket, for a look inside.
    pub async fn opened(&self, name: &BucketName) -> Bucket {
        let place = self.find(name).await.unwrap();
        self.bucket(&place).await.unwrap()
    }
}

#[async_trait]
impl Router for LocalRouter {
    async fn find(&self, name: &BucketName) -> Result<Place, ObjectsError> {
        let missing = || ObjectsError::NoSuchBucket { bucket: name.clone() };
        self.places.lock().await.get(name).cloned().ok_or_else(missing)
    }

    async fn create(&self, name: &BucketName, owner: Address) -> Result<Place, ObjectsError> {
        let mut places = self.places.lock().await;
        if let Some(taken) = places.get(name) {
            let bucket = name.clone();
            return Err(if taken.owner == owner {
                ObjectsError::BucketAlreadyOwnedByYou { bucket }
            } else {
                ObjectsError::BucketAlreadyExists { bucket }
            });
        }
        let mut id = [0; 16];
        self.node.rng.fill(&mut id);
        let created_ms = self.node.clock.unix_ms();
        let place = Place { id: BucketId(id), name: name.clone(), owner: owner.into(), created_ms };
        places.insert(name.clone(), place.clone());
        Ok(place)
    }

    async fn remove(&self, place: &Place) -> Result<(), ObjectsError> {
        self.close(&place.name).await;
        self.places.lock().await.remove(&place.name);
        Ok(())
    }

    async fn buckets(&self, owner: Address) -> Result<Vec<Place>, ObjectsError> {
        let places = self.places.lock().await;
        Ok(places.values().filter(|place| place.owner == owner).cloned().collect())
    }

    async fn call(&self, place: &Place, op: Op) -> Result<Reply, ObjectsError> {
        // As it would travel.
        let op = crate::codec::decode(&crate::codec::encode(&op)).expect("an operation fits its encoding");
        let reply = self.bucket(place).await?.execute(op).await?;
        Ok(crate::codec::decode(&crate::codec::encode(&reply)).expect("an answer fits its encoding"))
    }
}

/// Keys that follow from the bucket's id.
pub(crate) struct LocalKeys;

#[async_trait]
impl BucketKeys for LocalKeys {
    async fn issue(&self, bucket: BucketId, _: Address) -> Result<Vec<Vec<u8>>, ObjectsError> {
        Ok(vec![bucket.0.to_vec()])
    }

    fn open(&self, bucket: BucketId, _: Address, envelopes: &[Vec<u8>]) -> Result<DataKey, ObjectsError> {
        assert_eq!(envelopes, [bucket.0.to_vec()]);
        Ok(DataKey::new(hash::tagged("cess 2026 local bucket key", &[&bucket.0])))
    }
}

/// Objects with everything under them in memory.
pub(crate) struct LocalObjects {
    pub objects: Objects,
    pub router: Arc<LocalRouter>,
    pub blobs: Arc<MemoryBlobs>,
    pub clock: Arc<ManualClock>,
}

impl LocalObjects {
    /// An empty world. Bodies on miners are cut into segments of 64 KiB, so that few bytes make many.
    pub fn with_settings(settings: BucketSettings) -> Self {
        let clock = Arc::new(ManualClock::at(START_MS));
        let node = Node::new("objects", CpuPool::new("objects", 1)).with_ports(clock.clone(), NodeRng::from_seed(7));
        let router = Arc::new(LocalRouter::new(&node, settings));
        let blobs = Arc::new(MemoryBlobs::with_segments(64 << 10));
        let objects = Objects::new(&node, router.clone(), blobs.clone(), Arc::new(LocalKeys));
        Self { objects, router, blobs, clock }
    }
}
