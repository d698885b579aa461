//! Stories of tagging over a scripted chain and miners that pretend.

use super::*;
use crate::{
    client::{ChainClient, ChainEvent, Signer, Wallet},
    crypto::NodeKeys,
    kv::MemoryKv,
    ledger::abi::ITee::ITeeCalls,
    network::{MemoryHub, Network, peer_id_of},
    proofs::podr2::{Srs, Tagged, TaggerKey, check_tags},
    runtime::Node,
    storage::{
        DataClient, MinerDirectory,
        audit::{Holdings, HoldingsIndex, twin::*},
        fetch::{FetchLimits, Fetcher},
    },
    types::{Address, B256, FileId, Params},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// A key in memory.
struct Maker(TaggerKey);

impl TagMaker for Maker {
    fn holds(&self, key: &[u8; 32]) -> bool {
        *key == self.0.public().digest()
    }

    fn tag(&self, _key: &[u8; 32], fragment: Fragment, data: &[u8]) -> Result<Vec<Tag>, String> {
        self.0.tag(fragment, data).map_err(|error| error.to_string())
    }
}

struct Rig {
    chain: Arc<TwinChain>,
    hub: Arc<MemoryHub>,
    node: Node,
    miners: Vec<TwinMiner>,
    holdings: Holdings,
    tagging: Tagging,
}

/// Twelve miners, an open key epoch and a tagger, which is not started.
fn rig() -> Rig {
    let (chain, hub, node) = (TwinChain::new(), MemoryHub::new(1), node("tagger"));
    let keys = NodeKeys::derive(&[200; 32]);
    let network: Arc<dyn Network> = hub.join(peer_id_of(&keys.network.public()).unwrap());
    let client: Arc<dyn ChainClient> = chain.clone();
    let index = HoldingsIndex::open(Arc::new(MemoryKv::new()), B256::repeat_byte(1), Params::dev()).unwrap();
    let holdings = Holdings::start(&node, client.clone(), index).unwrap();
    let (data, directory) = (DataClient::new(&node, network), MinerDirectory::new(client.clone()));
    let fetcher = Fetcher::new(&node, data.clone(), FetchLimits::default());
    let wallet = Wallet::new(client, Signer::Native(keys.account.clone()), CHAIN_ID);
    chain.state.lock().workers.push(worker(&keys, 0, [0; 32]));
    let key = TaggerKey::derive(&[9; 32]);
    let digest = key.public().digest();
    let encoded = key.public().encode().to_vec().into();
    let (opener, srs) = (keys.address(), Default::default());
    chain.emit(ChainEvent::EpochOpened { epoch: 0, opener, key: encoded, srs });
    let parts = (directory, data, fetcher);
    let tagging = Tagging::new(&node, CHAIN_ID, holdings.clone(), parts, wallet, Arc::new(Maker(key)));
    let miners: Vec<TwinMiner> = (0..12).map(|seed| TwinMiner::start(&chain, &hub, seed)).collect();
    for miner in &miners {
        miner.shelf.lock().keys.insert(0, digest);
    }
    Rig { chain, hub, node, miners, holdings, tagging }
}

impl Rig {
    /// Waits until the index says that these columns wait.
    async fn until_untagged(&self, file: FileId, columns: &[usize]) {
        let mut followed = self.holdings.followed();
        let wait = async {
            loop {
                let entry = self.holdings.index().file(&file).unwrap();
                if entry.is_some_and(|entry| entry.untagged() == columns) {
                    return;
                }
                followed.changed().await.unwrap();
            }
        };
        timeout(PATIENCE, wait).await.expect("files are tagged");
    }

    fn certified(&self) -> Vec<(FileId, u16)> {
        let state = self.chain.state.lock();
        let certified = state.calls.iter().filter_map(|(_, call)| match call {
            ITeeCalls::certify(call) => Some(call),
            _ => None,
        });
        certified.flat_map(|call| call.files.iter().map(|file| FileId(file.0)).zip(call.columns.clone())).collect()
    }
}

#[tokio::test]
async fn a_stored_file_is_tagged_at_all_its_holders() {
    let rig = rig();
    let (file, manifest) = store(&rig.chain, &rig.miners, 1, 300_000);
    // Two holders of data are gone: what they hold is rebuilt, and they sign nothing.
    rig.hub.crash(rig.miners[0].peer);
    rig.miners[3].shelf.lock().stubborn = true;
    rig.tagging.clone().start(&rig.node);
    rig.until_untagged(file, &[0, 3]).await;
    assert_eq!(rig.certified(), [(file, 0xff6)]);
    let key = TaggerKey::derive(&[9; 32]);
    let srs = Srs::decode(&key.srs().encode(), &key.public()).unwrap();
    for (column, miner) in rig.miners.iter().enumerate().filter(|(column, _)| ![0, 3].contains(column)) {
        let (id, shelf) = (manifest.segments[0].fragments[column], miner.shelf.lock());
        let tags: Vec<Tag> = shelf.tags[&(id, 0)].as_chunks::<48>().0.iter().map(|tag| Tag(*tag)).collect();
        let data = &shelf.fragments[&id];
        let fragment = Fragment::new(id, data.len() as u64).unwrap();
        check_tags(&key.public(), &srs, &[Tagged { fragment, data, tags: &tags }]).unwrap();
    }
    // The stubborn one comes to its senses and is tried again.
    rig.miners[3].shelf.lock().stubborn = false;
    rig.chain.advance_to(rig.chain.height() + 20);
    rig.until_untagged(file, &[0]).await;
    assert_eq!(rig.certified()[1..], [(file, 1 << 3)]);
}

#[tokio::test]
async fn a_receipt_of_somebody_else_certifies_nothing() {
    let rig = rig();
    for miner in &rig.miners {
        miner.shelf.lock().keys.insert(0, [0; 32]);
    }
    rig.miners[5].shelf.lock().keys.insert(0, TaggerKey::derive(&[9; 32]).public().digest());
    let (file, _) = store(&rig.chain, &rig.miners, 2, 4_000);
    rig.tagging.clone().start(&rig.node);
    rig.until_untagged(file, &[0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]).await;
    assert_eq!(rig.certified(), [(file, 1 << 5)]);
}

#[tokio::test]
async fn files_of_a_worker_that_is_gone_are_taken_over() {
    let rig = rig();
    // Among many workers this one is not first for the file.
    let others = (1..8).map(|seed| worker(&NodeKeys::derive(&[100 + seed; 32]), 2, [0; 32]));
    rig.chain.state.lock().workers.extend(others);
    let own = NodeKeys::derive(&[200; 32]).address();
    let workers: Vec<Address> = rig.chain.state.lock().workers.iter().map(|worker| worker.account).collect();
    let (seed, rank) = (0u8..)
        .map(|seed| (seed, super::rank(&workers, &small_file(seed, 4_000).0.id(), &own).unwrap()))
        .find(|(_, rank)| *rank > 0)
        .unwrap();
    let (file, _) = store(&rig.chain, &rig.miners, seed, 4_000);
    let stored = rig.chain.height();
    rig.tagging.clone().start(&rig.node);
    let turn = stored + rank as u64 * 2 * Params::dev().audit_round_blocks;
    rig.chain.advance_to(turn - 1);
    timeout(PATIENCE, rig.holdings.followed().wait_for(|height| *height >= turn - 1)).await.unwrap().unwrap();
    assert_eq!(rig.certified(), []);
    rig.chain.advance_to(turn);
    rig.until_untagged(file, &[]).await;
}

#[test]
fn turns_are_even_and_leaving_moves_only_ones_own() {
    let workers: Vec<Address> = (1..=4).map(Address::repeat_byte).collect();
    let first = |workers: &[Address], file: u64| {
        let file = FileId(crate::crypto::hash::content(&file.to_le_bytes()));
        *workers.iter().find(|worker| rank(workers, &file, worker) == Some(0)).unwrap()
    };
    let mut counts = [0u32; 4];
    for file in 0..2_000 {
        let before = first(&workers, file);
        counts[workers.iter().position(|worker| *worker == before).unwrap()] += 1;
        let after = first(&workers[..3], file);
        assert!(after == before || before == workers[3]);
    }
    // Five standard deviations of 19.4.
    assert!(counts.iter().all(|count| count.abs_diff(500) < 97), "{counts:?}");
    assert_eq!(rank(&workers, &FileId([0; 32]), &Address::repeat_byte(9)), None);
}
