//! Stories of workers: the first opens an epoch, the next gets its key, a restart gets it back; epochs end by age, loss and suspension.

use super::*;
use crate::{
    client::{ChainClient, ChainEvent, Signer, Wallet},
    crypto::NodeKeys,
    kv::{Kv, MemoryKv},
    ledger::abi::ITee::ITeeCalls,
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
    types::{B256, FileId, Params},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
/// Time without events after which the chain makes an empty block.
const IDLE_BLOCK: Duration = Duration::from_millis(5);
/// State of a worker whose attestation has ended.
const EXPIRED: u8 = 1;

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
        Self::start_with(chain, seed, seed, kv)
    }

    /// One whose enclave has another secret than its account: what starts anew with another one attests with another seal key.
    fn start_with(chain: &Arc<TwinChain>, seed: u8, secret: u8, kv: Arc<MemoryKv>) -> Self {
        let (node, keys) = (twin::node("worker"), NodeKeys::derive(&[seed; 32]));
        let enclave: Arc<dyn Enclave> = Arc::new(Simulated::new(&[secret; 32]));
        let index = HoldingsIndex::open(kv.clone() as Arc<dyn Kv>, B256::repeat_byte(1), Params::dev()).unwrap();
        let client: Arc<dyn ChainClient> = chain.clone();
        let holdings = Holdings::start(&node, client.clone(), index).unwrap();
        let wallet = Wallet::new(client, Signer::Native(keys.account.clone()), CHAIN_ID);
        let mut state = chain.state.lock();
        let record = twin::worker(&keys, 0, enclave.seal_key());
        match state.workers.iter_mut().find(|worker| worker.account == record.account) {
            Some(known) => *known = record,
            None => state.workers.push(record),
        }
        drop(state);
        let keeper =
            Keeper { wallet: wallet.clone(), chain_id: CHAIN_ID, holdings: holdings.clone(), enclave: enclave.clone() };
        keeper.start(&node);
        Self { node, keys, enclave, holdings, wallet, kv }
    }

    /// Its process ends, and with it, at last, its attestation.
    async fn die(&self, chain: &TwinChain) {
        self.node.tasks.shutdown().await;
        let mut state = chain.state.lock();
        let gone = state.workers.iter_mut().find(|worker| worker.account == self.keys.address());
        gone.expect("it is listed").state = EXPIRED;
    }

    /// Tags what is stored.
    fn tag(&self, chain: &Arc<TwinChain>, hub: &Arc<MemoryHub>) {
        let peer = crate::network::peer_id_of(&self.keys.network.public()).unwrap();
        let (data, directory) = (DataClient::new(&self.node, hub.join(peer)), MinerDirectory::new(chain.clone()));
        let fetcher = Fetcher::new(&self.node, data.clone(), FetchLimits::default());
        let maker = Arc::new(EnclaveTags(self.enclave.clone()));
        let (holdings, wallet, parts) = (self.holdings.clone(), self.wallet.clone(), (directory, data, fetcher));
        Tagging::new(&self.node, CHAIN_ID, holdings, parts, wallet, maker).start(&self.node);
    }

    /// Waits until `done` gives something. Like a real chain, this one makes an empty block when nothing has happened for a while.
    async fn until<T>(&self, chain: &TwinChain, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
        let mut followed = self.holdings.followed();
        let wait = async {
            loop {
                if let Some(found) = done() {
                    return found;
                }
                match timeout(IDLE_BLOCK, followed.changed()).await {
                    Ok(changed) => changed.unwrap(),
                    Err(_) => chain.advance_to(chain.height() + 1),
                }
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} within {PATIENCE:?}"))
    }

    /// Waits until it has the key of the open epoch; its number and digest.
    async fn until_ready(&self, chain: &TwinChain) -> (u64, KeyDigest) {
        self.until_epoch(chain, 0).await
    }

    /// As [`Worker::until_ready`], of an epoch from `first` on.
    async fn until_epoch(&self, chain: &TwinChain, first: u64) -> (u64, KeyDigest) {
        let ready = || {
            let epoch = self.holdings.index().open_epoch().unwrap().filter(|epoch| epoch.number >= first)?;
            self.enclave.holds(&epoch.key.digest()).then(|| (epoch.number, epoch.key.digest()))
        };
        self.until(chain, "keys arrive", ready).await
    }

    /// Waits until every column of a file has tags.
    async fn until_tagged(&self, chain: &TwinChain, file: FileId) {
        let tagged = || {
            let entry = self.holdings.index().file(&file).unwrap()?;
            entry.untagged().is_empty().then_some(())
        };
        self.until(chain, "the file is tagged", tagged).await;
    }
}

/// Twelve miners that sign for tags of these epochs.
fn miners(chain: &TwinChain, hub: &Arc<MemoryHub>, keys: &[(u64, KeyDigest)]) -> Vec<twin::TwinMiner> {
    let miners: Vec<twin::TwinMiner> = (10..22).map(|seed| twin::TwinMiner::start(chain, hub, seed)).collect();
    keys.iter().for_each(|key| trust(&miners, *key));
    miners
}

fn trust(miners: &[twin::TwinMiner], (epoch, key): (u64, KeyDigest)) {
    for miner in miners {
        miner.shelf.lock().keys.insert(epoch, key);
    }
}

/// Columns certified under each epoch, and by whom.
fn certified(chain: &TwinChain) -> Vec<(Address, u64, u16)> {
    let state = chain.state.lock();
    let certified = state.calls.iter().filter_map(|(from, call)| match call {
        ITeeCalls::certify(call) => Some((*from, call)),
        _ => None,
    });
    certified.flat_map(|(from, call)| call.columns.iter().map(move |columns| (from, call.epoch, *columns))).collect()
}

/// Who opened each epoch.
fn openers(chain: &TwinChain) -> Vec<Address> {
    let state = chain.state.lock();
    let opened = state.events.values().flatten().filter_map(|(_, event)| match event {
        ChainEvent::EpochOpened { opener, .. } => Some(*opener),
        _ => None,
    });
    opened.collect()
}

/// Who handed a key to whom.
fn handed(chain: &TwinChain) -> Vec<(Address, Address)> {
    let state = chain.state.lock();
    let handed = state.events.values().flatten().filter_map(|(_, event)| match event {
        ChainEvent::KeyHandedOver { from, to, .. } => Some((*from, *to)),
        _ => None,
    });
    handed.collect()
}

#[tokio::test]
async fn the_first_worker_opens_an_epoch_and_the_next_gets_its_key() {
    let chain = TwinChain::new();
    let first = Worker::start(&chain, 1, Arc::default());
    let (epoch, key) = first.until_ready(&chain).await;
    assert_eq!(epoch, 0);
    let second = Worker::start(&chain, 2, Arc::default());
    assert_eq!(second.until_ready(&chain).await, (0, key));
    // Each got it once: the first from itself.
    let (one, two) = (first.keys.address(), second.keys.address());
    assert_eq!((openers(&chain), handed(&chain)), (vec![one], vec![(one, one), (one, two)]));
}

#[tokio::test]
async fn a_worker_that_restarts_has_its_key_again() {
    let chain = TwinChain::new();
    let worker = Worker::start(&chain, 1, Arc::default());
    let known = worker.until_ready(&chain).await;
    worker.until(&chain, "it hands the key to itself", || (!handed(&chain).is_empty()).then_some(())).await;
    let (height, followed) = (chain.height(), worker.holdings.followed());
    worker.until(&chain, "its index is there", || (*followed.borrow() >= height).then_some(())).await;
    worker.node.tasks.shutdown().await;
    let again = Worker::start(&chain, 1, worker.kv.clone());
    assert_eq!(again.until_ready(&chain).await, known);
    assert_eq!(handed(&chain).len(), 1);
}

#[tokio::test]
async fn an_epoch_whose_key_nobody_has_is_replaced_soon() {
    let chain = TwinChain::new();
    let gone = Address::repeat_byte(7);
    let (key, srs) = (TaggerKey::derive(&[77; 32]).public().encode().to_vec().into(), Default::default());
    chain.emit(ChainEvent::EpochOpened { epoch: 0, opener: gone, key, srs });
    let (worker, opened) = (Worker::start(&chain, 1, Arc::default()), chain.height());
    assert_eq!(worker.until_ready(&chain).await.0, 1);
    assert!(chain.height() < opened + Params::dev().audit_round_blocks, "nobody was waited for");
    assert_eq!(openers(&chain), [gone, worker.keys.address()]);
}

#[tokio::test]
async fn an_epoch_whose_holder_is_silent_is_replaced_after_a_while() {
    let chain = TwinChain::new();
    let silent = Worker::start(&chain, 7, Arc::default());
    silent.until_ready(&chain).await;
    // It is listed as active, but its process has ended.
    silent.node.tasks.shutdown().await;
    let (worker, began) = (Worker::start(&chain, 1, Arc::default()), chain.height());
    let patience = 4 * Params::dev().audit_round_blocks;
    let mut followed = worker.holdings.followed();
    // From the first look on it waits for the key.
    chain.advance_to(began + 1);
    timeout(PATIENCE, followed.wait_for(|height| *height > began)).await.unwrap().unwrap();
    while chain.height() < began + patience {
        chain.advance_to((chain.height() + 4).min(began + patience));
        let height = chain.height();
        timeout(PATIENCE, followed.wait_for(|now| *now >= height)).await.unwrap().unwrap();
    }
    assert_eq!(openers(&chain).len(), 1, "others had time to hand it over");
    assert_eq!(worker.until_ready(&chain).await.0, 1);
}

#[tokio::test]
async fn an_old_epoch_is_followed_by_that_of_the_next_worker() {
    let chain = TwinChain::new();
    let (first, second) = (Worker::start(&chain, 1, Arc::default()), Worker::start(&chain, 2, Arc::default()));
    let old = first.until_ready(&chain).await;
    assert_eq!(second.until_ready(&chain).await, old);
    let due = chain.next_epoch().due;
    chain.advance_to(due - 1);
    timeout(PATIENCE, first.holdings.followed().wait_for(|height| *height >= due - 1)).await.unwrap().unwrap();
    assert_eq!(openers(&chain).len(), 1);
    let new = first.until_epoch(&chain, 1).await;
    assert_eq!(second.until_epoch(&chain, 1).await, new);
    assert_eq!(openers(&chain), [first.keys.address(), second.keys.address()]);
    for worker in [&first, &second] {
        worker.until(&chain, "the old secret is given up", || (!worker.enclave.holds(&old.1)).then_some(())).await;
    }
}

#[tokio::test]
async fn a_machine_that_starts_with_another_seal_key_is_handed_the_key_again() {
    let chain = TwinChain::new();
    let first = Worker::start(&chain, 1, Arc::default());
    let known = first.until_ready(&chain).await;
    let second = Worker::start(&chain, 2, Arc::default());
    assert_eq!(second.until_ready(&chain).await, known);
    second.node.tasks.shutdown().await;
    let again = Worker::start_with(&chain, 2, 99, second.kv.clone());
    assert_ne!(again.enclave.seal_key(), second.enclave.seal_key());
    assert_eq!(again.until_ready(&chain).await, known);
    let (one, two) = (first.keys.address(), second.keys.address());
    assert_eq!(handed(&chain), [(one, one), (one, two), (one, two)]);
    // The opener, too, has its key back from the other one.
    first.node.tasks.shutdown().await;
    let opener = Worker::start_with(&chain, 1, 98, first.kv.clone());
    assert_eq!(opener.until_ready(&chain).await, known);
    assert_eq!((handed(&chain)[3..].to_vec(), openers(&chain).len()), (vec![(two, one)], 1));
}

#[tokio::test]
async fn an_enclave_tags_what_is_stored() {
    let (chain, hub) = (TwinChain::new(), MemoryHub::new(1));
    let worker = Worker::start(&chain, 1, Arc::default());
    let key = worker.until_ready(&chain).await;
    let miners = miners(&chain, &hub, &[key]);
    let (file, _) = twin::store(&chain, &miners, 1, 5_000);
    worker.tag(&chain, &hub);
    worker.until_tagged(&chain, file).await;
}

#[tokio::test]
async fn when_the_opener_dies_the_others_tag_on_with_its_key() {
    let (chain, hub) = (TwinChain::new(), MemoryHub::new(1));
    let first = Worker::start(&chain, 1, Arc::default());
    let key = first.until_ready(&chain).await;
    let second = Worker::start(&chain, 2, Arc::default());
    second.until_ready(&chain).await;
    let miners = miners(&chain, &hub, &[key]);
    first.die(&chain).await;
    second.tag(&chain, &hub);
    let (file, _) = twin::store(&chain, &miners, 1, 5_000);
    second.until_tagged(&chain, file).await;
    assert!(certified(&chain).iter().all(|(from, epoch, _)| (*from, *epoch) == (second.keys.address(), 0)));
    assert_eq!(openers(&chain), [first.keys.address()], "there was no need for another epoch");
}

#[tokio::test]
async fn what_a_suspended_epoch_tagged_is_tagged_anew() {
    let (chain, hub) = (TwinChain::new(), MemoryHub::new(1));
    let worker = Worker::start(&chain, 1, Arc::default());
    let bad = worker.until_ready(&chain).await;
    let miners = miners(&chain, &hub, &[bad]);
    worker.tag(&chain, &hub);
    let files: Vec<FileId> = (1..4).map(|seed| twin::store(&chain, &miners, seed, 5_000).0).collect();
    for file in &files {
        worker.until_tagged(&chain, *file).await;
    }
    let before = certified(&chain).len();
    assert_eq!(before, files.len(), "nothing is tagged twice while the index follows");
    chain.emit(ChainEvent::EpochSuspended { epoch: 0 });
    // One holder does not take tags at first.
    miners[4].shelf.lock().stubborn = true;
    let good = worker.until_epoch(&chain, 1).await;
    assert_ne!(good.1, bad.1);
    trust(&miners, good);
    let index = worker.holdings.index();
    let waits_for = |file: &FileId| index.file(file).unwrap().map(|entry| entry.untagged());
    let all_but_one = || files.iter().all(|file| waits_for(file) == Some(vec![4])).then_some(());
    worker.until(&chain, "all others have tags", all_but_one).await;
    miners[4].shelf.lock().stubborn = false;
    for file in &files {
        worker.until_tagged(&chain, *file).await;
    }
    // The last columns of the three files, at least, took certificates of their own.
    let anew = certified(&chain).split_off(before);
    assert!(anew.iter().all(|(_, epoch, _)| *epoch == 1) && anew.len() >= 6, "{anew:?}");
    assert_eq!(index.untagged(None, 10).unwrap(), []);
    assert!(!worker.enclave.holds(&bad.1), "the bad secret is gone");
}
