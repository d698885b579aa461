//! Stories of workers: the first opens an epoch, the next gets its key, a restart gets it back.

use super::*;
use crate::{
    client::{ChainClient, ChainEvent, Signer, Wallet},
    crypto::NodeKeys,
    kv::{Kv, MemoryKv},
    network::MemoryHub,
    proofs::podr2::TaggerKey,
    runtime::Node,
    storage::{
        DataClient, MinerDirectory,
        audit::{
            Holdings, HoldingsIndex,
            twin::{self, CHAIN_ID, TwinChain},
        },
        fetch::{FetchLimits, Fetcher},
        tagging::Tagging,
    },
    types::{B256, Params},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

struct Worker {
    node: Node,
    keys: NodeKeys,
    enclave: Arc<dyn Enclave>,
    holdings: Holdings,
    wallet: Wallet,
    kv: Arc<MemoryKv>,
}

impl Worker {
    /// A worker the chain lists, whose keeper runs.
    fn start(chain: &Arc<TwinChain>, seed: u8, kv: Arc<MemoryKv>) -> Self {
        let (node, keys) = (twin::node("worker"), NodeKeys::derive(&[seed; 32]));
        let enclave: Arc<dyn Enclave> = Arc::new(Simulated::new(&[seed; 32]));
        let index = HoldingsIndex::open(kv.clone() as Arc<dyn Kv>, B256::repeat_byte(1), Params::dev()).unwrap();
        let client: Arc<dyn ChainClient> = chain.clone();
        let holdings = Holdings::start(&node, client.clone(), index).unwrap();
        let wallet = Wallet::new(client, Signer::Native(keys.account.clone()), CHAIN_ID);
        let mut state = chain.state.lock();
        if state.workers.iter().all(|worker| worker.account != keys.address()) {
            state.workers.push(twin::worker(&keys, 0, enclave.seal_key()));
        }
        drop(state);
        let keeper =
            Keeper { wallet: wallet.clone(), chain_id: CHAIN_ID, holdings: holdings.clone(), enclave: enclave.clone() };
        keeper.start(&node);
        Self { node, keys, enclave, holdings, wallet, kv }
    }

    /// Waits until it has the key of the open epoch; its number and digest.
    async fn until_ready(&self, chain: &TwinChain) -> (u64, KeyDigest) {
        let mut followed = self.holdings.followed();
        let wait = async {
            loop {
                if let Some(epoch) = self.holdings.index().open_epoch().unwrap()
                    && self.enclave.holds(&epoch.key.digest())
                {
                    return (epoch.number, epoch.key.digest());
                }
                chain.advance_to(chain.height() + 1);
                followed.changed().await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, wait).await.expect("keys arrive")
    }
}

fn count(chain: &TwinChain, is: impl Fn(&ChainEvent) -> bool) -> usize {
    chain.state.lock().events.values().flatten().filter(|(_, event)| is(event)).count()
}

#[tokio::test]
async fn the_first_worker_opens_an_epoch_and_the_next_gets_its_key() {
    let chain = TwinChain::new();
    let first = Worker::start(&chain, 1, Arc::default());
    let (epoch, key) = first.until_ready(&chain).await;
    assert_eq!(epoch, 0);
    let second = Worker::start(&chain, 2, Arc::default());
    assert_eq!(second.until_ready(&chain).await, (0, key));
    assert_eq!(count(&chain, |event| matches!(event, ChainEvent::EpochOpened { .. })), 1);
    // Each got it once: the first from itself.
    let receivers: Vec<_> = chain
        .state
        .lock()
        .events
        .values()
        .flatten()
        .filter_map(|(_, event)| match event {
            ChainEvent::KeyHandedOver { from, to, .. } => Some((*from, *to)),
            _ => None,
        })
        .collect();
    let (one, two) = (first.keys.address(), second.keys.address());
    assert_eq!(receivers, [(one, one), (one, two)]);
}

#[tokio::test]
async fn a_worker_that_restarts_has_its_key_again() {
    let chain = TwinChain::new();
    let worker = Worker::start(&chain, 1, Arc::default());
    let known = worker.until_ready(&chain).await;
    let mut followed = worker.holdings.followed();
    let handed = |chain: &TwinChain| count(chain, |event| matches!(event, ChainEvent::KeyHandedOver { .. }));
    while handed(&chain) == 0 {
        timeout(PATIENCE, followed.changed()).await.expect("it hands the key to itself").unwrap();
    }
    let height = chain.height();
    timeout(PATIENCE, followed.wait_for(|now| *now >= height)).await.unwrap().unwrap();
    worker.node.tasks.shutdown().await;
    let again = Worker::start(&chain, 1, worker.kv.clone());
    assert_eq!(again.until_ready(&chain).await, known);
    assert_eq!(handed(&chain), 1);
}

#[tokio::test]
async fn an_epoch_whose_key_is_lost_is_replaced() {
    let chain = TwinChain::new();
    let lost = proofs_key();
    let (key, srs) = (lost.public().encode().to_vec().into(), Default::default());
    chain.emit(ChainEvent::EpochOpened { epoch: 0, opener: Address::repeat_byte(7), key, srs });
    let worker = Worker::start(&chain, 1, Arc::default());
    let opened = chain.height();
    assert_eq!(worker.until_ready(&chain).await.0, 1);
    assert!(chain.height() >= opened + 4 * Params::dev().audit_round_blocks, "others had time to hand it over");
}

#[tokio::test]
async fn an_enclave_tags_what_is_stored() {
    let (chain, hub) = (TwinChain::new(), MemoryHub::new(1));
    let worker = Worker::start(&chain, 1, Arc::default());
    let (epoch, digest) = worker.until_ready(&chain).await;
    let miners: Vec<twin::TwinMiner> = (10..22).map(|seed| twin::TwinMiner::start(&chain, &hub, seed)).collect();
    for miner in &miners {
        miner.shelf.lock().keys.insert(epoch, digest);
    }
    let (file, _) = twin::store(&chain, &miners, 1, 5_000);
    let peer = crate::network::peer_id_of(&worker.keys.network.public()).unwrap();
    let (data, directory) = (DataClient::new(&worker.node, hub.join(peer)), MinerDirectory::new(chain.clone()));
    let fetcher = Fetcher::new(&worker.node, data.clone(), FetchLimits::default());
    let maker = Arc::new(EnclaveTags(worker.enclave.clone()));
    let (holdings, wallet, parts) = (worker.holdings.clone(), worker.wallet.clone(), (directory, data, fetcher));
    Tagging::new(&worker.node, CHAIN_ID, holdings, parts, wallet, maker).start(&worker.node);
    let mut followed = worker.holdings.followed();
    let tagged = async {
        while worker.holdings.index().file(&file).unwrap().is_none_or(|entry| !entry.untagged().is_empty()) {
            followed.changed().await.unwrap();
        }
    };
    timeout(PATIENCE, tagged).await.expect("the file is tagged");
}

fn proofs_key() -> TaggerKey {
    TaggerKey::derive(&[77; 32])
}
