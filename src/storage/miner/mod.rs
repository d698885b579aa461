//! A storage miner: keeps fragments for others and says so on the chain.
//!
//! Owns the service and its start. Must not know how files are encoded. Invariants: a receipt is signed only over fragments
//! that are on disk for good; what a receipt was signed for is kept until no transaction can use that receipt any more; what
//! the chain claims is kept until the chain lets go of it; every background job is a worker.

mod follow;
mod prefix;
mod register;
mod serve;
#[cfg(test)]
mod tests;
mod upkeep;

pub use prefix::network_prefix;
pub use register::{Declaration, ensure_registered};

use super::fragments::{Cursor, FragmentError, FragmentStore};
use crate::{
    client::{ChainClient, ChainError, MinerRecord, Signer, Wallet},
    crypto::{NodeKeys, SecretKey},
    kv::Durability,
    network::Network,
    runtime::{Criticality, Gauge, Node, Phase},
    types::{Address, Amount, B256, ByteCount, ChainId, Height, Params},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Why a miner could not start.
#[derive(Debug, thiserror::Error)]
pub enum MinerError {
    /// The chain failed or refused.
    #[error("the miner cannot be registered: {0}")]
    Chain(#[from] ChainError),
    /// Not enough tokens.
    #[error(
        "account {account} has {} tokens, {} are needed as collateral and a little for fees: send it tokens and start again",
        Amount(*balance), Amount(*needed)
    )]
    Funds { account: Address, balance: crate::types::U256, needed: crate::types::U256 },
    /// Another node registered this account.
    #[error("account {account} is registered with another network key: one account belongs to one node")]
    OtherNode { account: Address },
    /// The declared space is below what the chain accepts.
    #[error("{} are lent, the network accepts miners from {}", ByteCount(*capacity), ByteCount(*minimum))]
    TooSmall { capacity: u64, minimum: u64 },
    /// The data directory belongs to another chain.
    #[error("the fragments here belong to the chain with genesis {found}, this is {expected}")]
    OtherChain { found: B256, expected: B256 },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] FragmentError),
}

/// What a miner is told at start.
#[derive(Debug, Clone)]
pub struct MinerConfig {
    /// What it declares on the chain.
    pub declaration: Declaration,
    /// Bytes a second the background verification reads at most.
    pub scrub_bytes_per_second: u64,
    /// Rest before the first verification, so that a start is not slowed down.
    pub scrub_delay: Duration,
    /// Rest between two verifications of everything.
    pub scrub_pause: Duration,
}

impl MinerConfig {
    /// The usual pace of verification for a declaration.
    pub fn new(declaration: Declaration) -> Self {
        Self {
            declaration,
            scrub_bytes_per_second: 8 << 20,
            scrub_delay: Duration::from_secs(300),
            scrub_pause: Duration::from_secs(6 * 3_600),
        }
    }
}

/// A running miner. Cheap to clone.
#[derive(Clone)]
pub struct MinerService {
    inner: Arc<Inner>,
}

struct Inner {
    node: Node,
    chain: Arc<dyn ChainClient>,
    store: Arc<dyn FragmentStore>,
    key: SecretKey,
    account: Address,
    chain_id: ChainId,
    genesis: B256,
    params: Params,
    /// Height up to which the chain was followed.
    height: watch::Sender<Height>,
}

impl MinerService {
    /// Registers the miner if it is not, then serves the data protocol and starts its workers.
    pub async fn start(
        node: &Node,
        network: Arc<dyn Network>,
        chain: Arc<dyn ChainClient>,
        keys: &NodeKeys,
        store: Arc<dyn FragmentStore>,
        config: MinerConfig,
    ) -> Result<Self, MinerError> {
        let status = chain.status().await?;
        let params = Params::of(status.profile);
        check_chain(&store, status.genesis)?;
        let wallet = Wallet::new(chain.clone(), Signer::Native(keys.account.clone()), status.chain_id);
        let record = ensure_registered(&wallet, keys, &config.declaration, &params).await?;
        let from = begin(&store, &record, status.genesis)?;
        let inner = Arc::new(Inner {
            node: node.clone(),
            chain: chain.clone(),
            store,
            key: keys.account.clone(),
            account: record.address,
            chain_id: status.chain_id,
            genesis: status.genesis,
            params,
            height: watch::Sender::new(from),
        });
        inner.show_space();
        node.metrics.set(Gauge::SpaceDeclaredBytes, i64::try_from(record.capacity).unwrap_or(i64::MAX));
        serve::start(&inner, network);
        follow::start(&inner);
        upkeep::start(&inner, &config);
        tracing::info!(account = %inner.account, capacity = %ByteCount(record.capacity), "miner ready");
        Ok(Self { inner })
    }

    /// The miner's account.
    pub fn account(&self) -> Address {
        self.inner.account
    }

    /// Its fragments.
    pub fn store(&self) -> &Arc<dyn FragmentStore> {
        &self.inner.store
    }

    /// Height up to which its claims reflect the chain.
    pub fn followed(&self) -> watch::Receiver<Height> {
        self.inner.height.subscribe()
    }
}

impl Inner {
    fn spawn(
        self: &Arc<Self>,
        phase: Phase,
        name: &str,
        work: impl Future<Output = Result<(), FragmentError>> + Send + 'static,
    ) {
        let stopping = self.node.tasks.stopping(phase);
        self.node.tasks.spawn(phase, name, Criticality::Critical, async move {
            tokio::select! {
                result = work => Ok(result?),
                () = stopping.cancelled() => Ok(()),
            }
        });
    }

    fn show_space(&self) {
        let space = self.store.index().space();
        self.node.metrics.set(Gauge::FragmentsHeld, i64::try_from(space.fragments).unwrap_or(i64::MAX));
        self.node.metrics.set(Gauge::SpaceUsedBytes, i64::try_from(space.used).unwrap_or(i64::MAX));
    }
}

/// Refuses a directory whose claims are of another chain.
fn check_chain(store: &Arc<dyn FragmentStore>, genesis: B256) -> Result<(), MinerError> {
    match store.index().cursor()? {
        Some(cursor) if cursor.genesis != genesis.0 => {
            Err(MinerError::OtherChain { found: cursor.genesis.into(), expected: genesis })
        }
        _ => Ok(()),
    }
}

/// Where following begins: where it ended, or at the registration, before which nothing can concern this miner.
fn begin(store: &Arc<dyn FragmentStore>, record: &MinerRecord, genesis: B256) -> Result<Height, MinerError> {
    if let Some(cursor) = store.index().cursor()? {
        return Ok(cursor.height);
    }
    let height = record.since.saturating_sub(1);
    store.index().set_cursor(Cursor::new(genesis, height), Durability::Synced)?;
    Ok(height)
}
