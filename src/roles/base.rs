//! What every node has whatever its roles: keys, network host, database, a way to the chain, its own JSON-RPC.

use super::{Setup, node_api, verifier::Verifying};
use crate::{
    chain::{SignatureMemo, statesync::awaits_chain},
    client::{ChainClient, ChainStatus, LightChain, RemoteChain, RpcTransport, Signer, TunnelTransport, Wallet},
    config::{ChainMode, Config},
    crypto::NodeKeys,
    kv::{BlockCache, Kv, RocksKv, RocksOptions},
    ledger::genesis::Genesis,
    network::{HostConfig, Libp2pNetwork, PeerId},
    rpc::{RpcModule, Server, ServerHandle},
    runtime::Node,
    types::{ByteCount, ChainId, Role, params::CHAIN_ID_LOCALNET},
};
use anyhow::{Context, bail};
use std::{path::Path, sync::Arc, time::Duration};

/// How long a database waits for its previous owner in this process to let go.
const DATABASE_LOCK_WAIT: Duration = Duration::from_secs(10);
/// How long a starting node keeps asking for the chain.
const CHAIN_PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two questions.
const CHAIN_RETRY: Duration = Duration::from_millis(50);

/// The parts that the roles of one node share.
pub struct Base {
    pub node: Node,
    pub config: Config,
    pub keys: NodeKeys,
    pub genesis: Option<Genesis>,
    /// Signatures checked already, where nodes of one process share that.
    pub memo: Option<Arc<SignatureMemo>>,
    pub network: Arc<Libp2pNetwork>,
    pub kv: Arc<dyn Kv>,
    /// The chain: this node's own once consensus runs here, else a remote one, believed or verified.
    pub chain: Arc<dyn ChainClient>,
    /// Carries JSON-RPC to a chain node.
    pub tunnel: Arc<dyn RpcTransport>,
    /// Methods this node answers on its HTTP port.
    pub methods: RpcModule<()>,
    /// Whether a role serves them itself, on a port of its own.
    pub served: bool,
    /// The index of holdings and what audits are judged with, once a role verifies or tags.
    pub verifying: Option<Verifying>,
}

impl Base {
    /// Opens database and network host.
    pub async fn open(node: &Node, setup: Setup) -> anyhow::Result<Self> {
        let Setup { config, keys, genesis, memo } = setup;
        let kv = open_database(node, &config).await?;
        let chain_id = genesis.as_ref().map_or(CHAIN_ID_LOCALNET, |genesis| genesis.chain_id);
        let roles: Vec<&str> = config.node.roles.iter().map(|role| role.name()).collect();
        let mut host = HostConfig::new(keys.network.clone(), chain_id.to_string(), config.network.listen.clone());
        host.external = config.network.external.clone();
        host.bootstrap = config.network.bootstrap.clone();
        host.agent = format!("cess/{} {}", env!("CARGO_PKG_VERSION"), roles.join("+"));
        host.max_connections = config.network.max_connections;
        let network = Libp2pNetwork::start(host, node).await?;
        let tunnel = Arc::new(TunnelTransport::new(network.clone(), bootstrap_peers(&config)));
        let chain: Arc<dyn ChainClient> = match (config.chain.mode, &genesis) {
            (ChainMode::Light, Some(genesis)) if !executes(&config) => {
                Arc::new(LightChain::open(node, tunnel.clone(), genesis, kv.clone(), config.chain.trusted_block)?)
            }
            _ => Arc::new(RemoteChain::new(tunnel.clone())),
        };
        let (node, methods) = (node.clone(), RpcModule::new(()));
        let (served, verifying) = (false, None);
        Ok(Self { node, config, keys, genesis, memo, network, kv, chain, tunnel, methods, served, verifying })
    }

    /// The chain's status, once a chain node answers.
    pub async fn chain_status(&self) -> anyhow::Result<ChainStatus> {
        let started = tokio::time::Instant::now();
        loop {
            match self.chain.status().await {
                Ok(status) => return Ok(status),
                Err(error) if started.elapsed() > CHAIN_PATIENCE => {
                    let peers = self.config.network.bootstrap.len();
                    return Err(error).with_context(|| {
                        format!("none of {peers} bootstrap peers gave access to the chain within {CHAIN_PATIENCE:?}")
                    });
                }
                Err(_) => tokio::time::sleep(CHAIN_RETRY).await,
            }
        }
    }

    /// Wallet of the node's own account.
    pub fn wallet(&self, chain_id: ChainId) -> Wallet {
        Wallet::new(self.chain.clone(), Signer::Native(self.keys.account.clone()), chain_id)
    }

    /// Refuses to work without a way to the chain.
    pub fn need_peers(&self) -> anyhow::Result<()> {
        if !executes(&self.config) && self.config.network.bootstrap.is_empty() {
            bail!("a node that does not run the chain itself needs a peer that does: give --join or network.bootstrap");
        }
        Ok(())
    }

    /// Adds what every node answers to the methods of its roles.
    pub fn complete_methods(&mut self) -> anyhow::Result<()> {
        node_api::complete(&mut self.methods, &self.node, &self.keys, self.network.clone())
    }

    /// Answers what the node is busy with until its chain is there, if that may take a while.
    pub fn serve_early(&self) -> anyhow::Result<Option<ServerHandle>> {
        let Some(listen) = self.config.rpc.listen.filter(|_| awaits_chain(self.kv.as_ref()).unwrap_or(false)) else {
            return Ok(None);
        };
        let methods = node_api::workers(&self.node)?;
        Ok(Some(Server::start(listen, methods, self.node.metrics.clone(), &self.node)?))
    }

    /// Answers JSON-RPC, unless the settings switch it off or a role did it already.
    pub fn serve(mut self) -> anyhow::Result<()> {
        let Some(listen) = self.config.rpc.listen.filter(|_| !self.served) else { return Ok(()) };
        self.complete_methods()?;
        let handle = Server::start(listen, self.methods, self.node.metrics.clone(), &self.node)?;
        tracing::info!(node = self.node.name, listen = %handle.local_addr, "JSON-RPC");
        Ok(())
    }
}

/// Whether the node runs the chain itself.
fn executes(config: &Config) -> bool {
    config.node.roles.contains(&Role::Consensus)
}

async fn open_database(node: &Node, config: &Config) -> anyhow::Result<Arc<dyn Kv>> {
    open_database_at(node, &config.node.dir, config.node.cache).await
}

/// The database in a node's directory; it closes when the node is killed.
pub async fn open_database_at(node: &Node, dir: &Path, cache: ByteCount) -> anyhow::Result<Arc<dyn Kv>> {
    let path = dir.join("db");
    let options = RocksOptions { cache: BlockCache::new(cache), lock_wait: DATABASE_LOCK_WAIT };
    let kv = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
        Ok::<_, anyhow::Error>(RocksKv::open(&path, &options)?)
    })
    .await??;
    let kv: Arc<dyn Kv> = Arc::new(kv);
    let dying = kv.clone();
    node.kill.on_kill(move |reason| dying.poison(reason));
    Ok(kv)
}

/// The peers named by the settings.
pub fn bootstrap_peers(config: &Config) -> Vec<PeerId> {
    let peer_of = |addr: &libp2p::Multiaddr| match addr.iter().last() {
        Some(libp2p::multiaddr::Protocol::P2p(peer)) => Some(peer),
        _ => None,
    };
    config.network.bootstrap.iter().filter_map(peer_of).collect()
}
