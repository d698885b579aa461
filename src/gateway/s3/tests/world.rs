//! Everything below the protocol, in memory.

use super::{
    super::{
        keys::MemoryKeys,
        limits::S3Limits,
        server::{self, S3Config},
    },
    client::{Ask, Client, Key, Reply},
};
use crate::{
    access::{
        blobs::MemoryBlobs,
        objects::{
            BucketSettings, Objects,
            local::{LocalKeys, LocalRouter},
        },
    },
    runtime::{CpuPool, Node},
    types::{Address, ByteCount},
};
use std::sync::Arc;

pub const ANN: Key = Key { id: "CESSANNANNANNANNANNA", secret: "annsecretannsecretannsecretannsecret1234" };
pub const BOB: Key = Key { id: "CESSBOBBOBBOBBOBBOBB", secret: "bobsecretbobsecretbobsecretbobsecret1234" };
pub const ANN_ACCOUNT: Address = Address::repeat_byte(0xa1);
pub const BOB_ACCOUNT: Address = Address::repeat_byte(0xb0);

/// A gateway with two users.
pub struct World {
    pub client: Client,
    pub keys: Arc<MemoryKeys>,
    pub node: Node,
    pub objects: Objects,
}

pub fn config() -> S3Config {
    S3Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        domain: "s3.test".to_owned(),
        region: "us-east-1".to_owned(),
        limits: S3Limits::default(),
        memory: ByteCount::mib(64),
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with(config()).await
    }

    pub async fn with(config: S3Config) -> Self {
        let node = Node::new("s3", CpuPool::new("s3", 1));
        let router = Arc::new(LocalRouter::new(&node, BucketSettings::default()));
        let objects = Objects::new(&node, router, Arc::new(MemoryBlobs::new()), Arc::new(LocalKeys));
        let keys = Arc::new(MemoryKeys::default());
        keys.add(ANN.id, ANN_ACCOUNT, ANN.secret);
        keys.add(BOB.id, BOB_ACCOUNT, BOB.secret);
        let front = server::front(&node, &config, "127.0.0.1:1".parse().unwrap(), objects.clone(), keys.clone());
        Self { client: Client(Arc::new(front)), keys, node, objects }
    }

    /// With a bucket `bkt` of Ann.
    pub async fn with_bucket() -> Self {
        let world = Self::new().await;
        world.ann(Ask::put("/bkt", "")).await.ok();
        world
    }

    pub async fn ann(&self, ask: Ask) -> Reply {
        self.client.send(ask.by(ANN)).await
    }

    pub async fn bob(&self, ask: Ask) -> Reply {
        self.client.send(ask.by(BOB)).await
    }

    pub async fn anybody(&self, ask: Ask) -> Reply {
        self.client.send(ask).await
    }
}
