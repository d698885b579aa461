//! Composition of a full node's chain: stores, pool and gossip, BFT, JSON-RPC methods and tunnel.
//!
//! Owns the order in which they start. Must not know ports or roles. Invariant: when [`ChainNode::start`] returns, every decided
//! block is executed and the node answers; consensus runs in the node's tasks.

use super::{
    LedgerApp,
    api::{self, Api},
    bft::{self, BftConfig, BftHandle},
    checkpointer, duties,
    error::StoreError,
    full::FullChain,
    local::LocalChain,
    mempool::spawn_gossip,
    options::ChainOptions,
    statesync::{StateServer, StateSync, StateSyncError, SyncConfig},
};
use crate::{
    client::{TUNNEL_METHODS, serve_tunnel},
    crypto::NodeKeys,
    kv::Kv,
    ledger::genesis::Genesis,
    network::Network,
    rpc::RpcModule,
    runtime::Node,
};
use jsonrpsee::core::RegisterMethodError;
use std::{path::PathBuf, sync::Arc};

/// Where and how the chain runs.
#[derive(Debug, Clone)]
pub struct ChainConfig {
    /// Directory of the consensus write-ahead log.
    pub wal_dir: PathBuf,
    /// Timeouts and bounds of consensus.
    pub bft: BftConfig,
    /// How a node without a chain joins one.
    pub sync: SyncConfig,
    /// What may differ between nodes.
    pub options: ChainOptions,
}

/// Why a chain could not start.
#[derive(Debug, thiserror::Error)]
pub enum ChainNodeError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state of a recent block.
    #[error(transparent)]
    StateSync(#[from] StateSyncError),
    /// Two methods of one name.
    #[error("the JSON-RPC methods cannot be registered: {0}")]
    Rpc(#[from] RegisterMethodError),
    /// The BFT driver.
    #[error("consensus cannot start: {0:#}")]
    Consensus(anyhow::Error),
}

/// A running chain.
pub struct ChainNode {
    /// How everything in this process talks to the chain.
    pub client: Arc<LocalChain>,
    /// The methods an RPC server should answer.
    pub rpc: RpcModule<()>,
    /// The running consensus.
    pub bft: BftHandle,
}

impl ChainNode {
    /// Takes over a recent state if that is better, opens the chain in `kv` and joins consensus: as a validator if the committee holds our key, as a follower otherwise.
    pub async fn start(
        node: &Node,
        kv: Arc<dyn Kv>,
        net: Arc<dyn Network>,
        keys: &NodeKeys,
        genesis: &Genesis,
        config: ChainConfig,
    ) -> Result<Self, ChainNodeError> {
        let dying = kv.clone();
        node.kill.on_kill(move |reason| dying.poison(reason));
        let server = StateServer::start(node, net.as_ref(), kv.clone());
        let worker = node.workers.register("state sync");
        StateSync { node, net: &net, kv: &kv, genesis, config: &config.sync, worker: &worker }.run().await?;
        let (context, genesis) = (node.clone(), genesis.clone());
        let chain = node.pool.run(move || FullChain::open_with(&context, kv, &genesis, config.options)).await?;
        checkpointer::spawn(node, chain.clone());
        server.attach(chain.clone(), worker);
        let outbox = spawn_gossip(node, net.clone(), chain.clone());
        let client = Arc::new(LocalChain::new(chain.clone(), net.clone(), outbox));
        let rpc = api::module(Api { chain: chain.clone(), client: client.clone(), net: net.clone() })?;
        serve_tunnel(net.as_ref(), rpc.clone(), TUNNEL_METHODS);
        let app = Arc::new(LedgerApp::new(chain.clone(), keys.clone()).with_network(net.clone()));
        duties::spawn(node, client.clone(), keys);
        let chain_id = chain.spec().chain_id;
        let bft = bft::start(node, net, keys, chain_id, &config.wal_dir, app, config.bft);
        let bft = bft.await.map_err(ChainNodeError::Consensus)?;
        Ok(Self { client, rpc, bft })
    }
}
