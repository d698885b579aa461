//! The whole layer over miners in memory, and a chain that counts its transactions.

mod away;
mod chain;
mod ends;
mod left;
mod making;
mod room;
mod strays;

use super::{Access, AccessParts, Tuning};
use crate::{
    access::{
        data::PackLimits,
        group::{ChainOwners, Session as _},
        objects::{
            BucketName, ObjectsError, Place,
            config::{Encryption, LockConfig},
            local::START_MS,
            request::CreateBucket,
            tests::{bytes_of, get, put},
        },
    },
    client::{Signer, Wallet},
    crypto::{SecretKey, native_address},
    network::{Network, peer_id_of},
    runtime::{CpuPool, ManualClock, Node, NodeRng},
    storage::{cluster::Cluster, fragments::FragmentStore as _, journal::JournalClient, peers::GatewayLink},
    types::{Address, B256},
};
use chain::TestChain;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

const CHAIN_ID: u64 = 11_332;
const PATIENCE: Duration = Duration::from_secs(30);
/// Whose the buckets are.
const ANN: Address = Address::repeat_byte(0xa1);
/// More than lies in an engine.
const LARGE: usize = 150_000;

/// Miners and a chain.
struct World {
    cluster: Cluster,
    chain: Arc<TestChain>,
    clock: Arc<ManualClock>,
    tuning: Tuning,
}

/// A gateway that runs, on threads of its own: when it is dropped, nothing of it goes on, and nothing was done in order.
struct Gateway {
    access: Access,
    runtime: Option<Runtime>,
    _cache: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let cluster = Cluster::new(13).await;
        let chain = TestChain::over(cluster.chain.clone());
        let packs = PackLimits {
            age: Duration::from_millis(50),
            retry_first: Duration::from_millis(20),
            ..PackLimits::default()
        };
        let tuning = Tuning { packs, ..Tuning::default() };
        Self { cluster, chain, clock: Arc::new(ManualClock::at(START_MS)), tuning }
    }

    /// Starts gateway `number`, anew if it ran before.
    fn gateway(&self, number: u8) -> Gateway {
        let key = gateway_key(number);
        let network: Arc<dyn Network> = self.cluster.hub.join(peer_id_of(&key.public()).unwrap());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let entered = runtime.enter();
        let node = Node::new(&format!("gateway-{number}"), CpuPool::new("gateway", 1));
        let node = node.with_ports(self.clock.clone(), NodeRng::from_os());
        let (cache, secret) = (tempfile::tempdir().unwrap(), [9; 32]);
        let miners = Arc::new(self.cluster.directory.clone());
        let parts = AccessParts {
            wallet: Wallet::new(self.chain.clone(), Signer::Native(key.clone()), CHAIN_ID),
            peer: key.public().0,
            genesis: B256::repeat_byte(1),
            uploader: self.cluster.uploader.clone(),
            fetcher: self.cluster.fetcher.clone(),
            miners: self.cluster.directory.clone(),
            journals: JournalClient::new(&node, network.clone(), miners, secret),
            peers: Arc::new(GatewayLink::new(network)),
            members: [1, 2].map(|number| native_address(&gateway_key(number).public())).into(),
            secret: Zeroizing::new(secret),
            cache: cache.path().to_owned(),
            tuning: self.tuning.clone(),
        };
        let access = Access::start(&node, parts).unwrap();
        drop(entered);
        Gateway { access, runtime: Some(runtime), _cache: cache }
    }

    /// Bytes of journals on all miners.
    fn journal_bytes(&self) -> u64 {
        self.cluster.miners.iter().map(|miner| miner.store.index().space().journals).sum()
    }
}

impl Gateway {
    async fn create(&self, bucket: &BucketName) -> Result<(), ObjectsError> {
        self.access.objects.create_bucket(asked(bucket)).await.map(drop)
    }

    async fn put(&self, bucket: &BucketName, key: &str, bytes: &[u8]) {
        self.access.objects.put_object(put(bucket, key, bytes)).await.unwrap();
    }

    async fn get(&self, bucket: &BucketName, key: &str) -> Vec<u8> {
        bytes_of(self.access.objects.get_object(get(bucket, key)).await.unwrap()).await
    }

    async fn place(&self, bucket: &BucketName) -> Place {
        self.access.upkeep.directory.find(bucket).await.unwrap().unwrap()
    }

    /// Rounds of upkeep until the condition holds.
    async fn until_rounds_did(&self, what: &str, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "{what}");
            self.access.upkeep.round().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.runtime.take().expect("it runs until here").shutdown_background();
    }
}

fn gateway_key(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[100 + number; 32])
}

fn asked(bucket: &BucketName) -> CreateBucket {
    CreateBucket {
        name: bucket.clone(),
        owner: ANN,
        lock: LockConfig::default(),
        encryption: Encryption::On,
        documents: Vec::new(),
    }
}

fn name(text: &str) -> BucketName {
    text.parse().unwrap()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::task::yield_now().await;
    }
}
