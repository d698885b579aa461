//! Stories of audits over a scripted chain and miners that pretend.

mod holdings;
mod idle;
mod rounds;

use super::{twin::*, *};
use crate::{
    client::{ChainClient, ChainEvent, Signer, Wallet},
    crypto::NodeKeys,
    kv::{Kv, MemoryKv},
    ledger::audit::{Outcome, Verdict},
    network::{MemoryHub, Network, peer_id_of},
    runtime::Node,
    storage::{DataClient, MinerDirectory},
    types::{Address, B256, Height, Params},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// The dev profile's numbers, with small segments of idle space.
fn params() -> Params {
    Params { idle_labels_log2: 13, idle_layers: 3, ..Params::dev() }
}

/// A verifier, its chain and its miners.
struct Rig {
    chain: Arc<TwinChain>,
    hub: Arc<MemoryHub>,
    node: Node,
    miners: Vec<TwinMiner>,
    verifier: Verifier,
    holdings: Holdings,
}

impl Rig {
    /// With so many miners.
    fn new(miners: u8) -> Self {
        let (chain, hub) = (TwinChain::new(), MemoryHub::new(1));
        let (verifier, node) = verifier(&chain, &hub, 200);
        chain.state.lock().verifiers.push(verifier.wallet.address());
        let miners = (0..miners).map(|seed| TwinMiner::start(&chain, &hub, seed)).collect();
        let holdings = verifier.holdings().clone();
        Self { chain, hub, node, miners, verifier, holdings }
    }

    /// Another verifier of the same chain.
    fn beside(rig: &Rig, seed: u8) -> (Verifier, Node) {
        verifier(&rig.chain, &rig.hub, seed)
    }

    /// The next round, open, with its beacon's block made and the index there.
    async fn open_round(&self) -> u64 {
        let rounds = self.holdings.index().rounds();
        let round = rounds.at(self.chain.height()) + 1;
        self.advance(rounds.opened_at(round)).await;
        round
    }

    async fn advance(&self, height: Height) {
        self.chain.advance_to(height);
        self.settled().await;
    }

    /// Waits until the index has seen everything.
    async fn settled(&self) {
        let height = self.chain.height();
        let mut followed = self.holdings.followed();
        timeout(PATIENCE, followed.wait_for(|now| *now >= height)).await.expect("the index follows").unwrap();
    }

    /// Verifies a round with the chain as far as votes wait for.
    async fn verify(&self, round: u64) {
        let rounds = self.holdings.index().rounds();
        self.advance(rounds.opened_at(round + 1)).await;
        let worker = self.node.workers.register("test");
        // The round that was open while its committee was drawn is over: committees are asked for one by one.
        timeout(PATIENCE, self.verifier.verify_round(round, &worker)).await.expect("rounds end").unwrap();
    }

    /// The verdict this verifier voted for.
    fn voted(&self, round: u64, miner: Address) -> Option<Verdict> {
        let state = self.chain.state.lock();
        let votes: Vec<_> = state.votes.iter().filter(|vote| (vote.round, vote.miner) == (round, miner)).collect();
        assert!(votes.len() < 2, "a miner is voted about once");
        votes.first().and_then(|vote| Verdict::decode(vote.verdict))
    }
}

fn verifier(chain: &Arc<TwinChain>, hub: &Arc<MemoryHub>, seed: u8) -> (Verifier, Node) {
    let (node, keys) = (node("verifier"), NodeKeys::derive(&[seed; 32]));
    let network: Arc<dyn Network> = hub.join(peer_id_of(&keys.network.public()).unwrap());
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
    let index = HoldingsIndex::open(kv, B256::repeat_byte(1), params()).unwrap();
    let client: Arc<dyn ChainClient> = chain.clone();
    let holdings = Holdings::start(&node, client.clone(), index).unwrap();
    let (data, directory) = (DataClient::new(&node, network.clone()), MinerDirectory::new(client.clone()));
    let sources = Sources::new(client.clone(), network, data, directory, holdings);
    let wallet = Wallet::new(client, Signer::Native(keys.account.clone()), CHAIN_ID);
    (Verifier { judge: Judge::new(&node, CHAIN_ID, sources), wallet }, node)
}
