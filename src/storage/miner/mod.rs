//! A storage miner: keeps fragments for others and says so on the chain.
//!
//! Owns the service and its start. Must not know how files are encoded. Invariants: a receipt is signed only over fragments
//! that are on disk for good; what a receipt was signed for is kept until no transaction can use that receipt any more; what
//! the chain claims is kept until the chain lets go of it and no audit asks for it; every background job is a worker.

mod audit;
mod follow;
mod heal;
mod idle;
mod journals;
mod prefix;
mod register;
mod repair;
mod serve;
mod tags;
#[cfg(test)]
mod tests;
mod upkeep;
mod views;

pub use audit::AuditError;
pub use idle::{IdleConfig, IdleError};
pub use prefix::network_prefix;
pub use register::{Declaration, ensure_registered};
pub use views::MinerState;

use super::{
    directory::{MinerDirectory, peer_of},
    fetch::{FetchLimits, Fetcher},
    fragments::{Cursor, FragmentError, FragmentStore},
    journal::StoreError,
    link::DataClient,
};
use crate::{
    client::{ChainClient, ChainError, MinerRecord, Signer, Wallet},
    crypto::{NodeKeys, SecretKey},
    kv::Durability,
    ledger::audit::Rounds,
    network::{Network, PeerId},
    proofs::pois::Shape,
    runtime::{Criticality, Gauge, Node, Phase},
    types::{Address, Amount, B256, ByteCount, ChainId, Height, Params},
};
use audit::KeptAnswers;
use idle::Idle;
use parking_lot::Mutex;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use tags::EpochKeys;
use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
};

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
    /// The registered key is no key.
    #[error("account {account} is registered with a network key that is none")]
    NoPeer { account: Address },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] FragmentError),
    /// Idle space cannot be opened.
    #[error(transparent)]
    Idle(#[from] IdleError),
    /// Journals cannot be opened.
    #[error(transparent)]
    Journals(#[from] StoreError),
    /// The process ends.
    #[error("the miner was stopped while it started")]
    Stopped,
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
    /// Where journals of gateways are kept; none are if `None`.
    pub journals: Option<PathBuf>,
    /// What is filled with idle space; nothing if `None`.
    pub idle: Option<IdleConfig>,
    /// How much longer background jobs rest than they work.
    pub tranquility: u32,
}

impl MinerConfig {
    /// The usual pace of verification for a declaration.
    pub fn new(declaration: Declaration) -> Self {
        Self {
            declaration,
            scrub_bytes_per_second: 8 << 20,
            scrub_delay: Duration::from_secs(300),
            scrub_pause: Duration::from_secs(6 * 3_600),
            journals: None,
            idle: None,
            tranquility: 0,
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
    wallet: Wallet,
    store: Arc<dyn FragmentStore>,
    directory: MinerDirectory,
    fetcher: Fetcher,
    key: SecretKey,
    account: Address,
    /// This miner on the network.
    peer: PeerId,
    chain_id: ChainId,
    genesis: B256,
    params: Params,
    rounds: Rounds,
    tranquility: u32,
    /// Whether the chain counts on it.
    state: watch::Sender<MinerState>,
    /// Height up to which the chain was followed.
    height: watch::Sender<Height>,
    /// Its idle space, if it makes any.
    idle: Option<Arc<Idle>>,
    /// Answers to audits that may be fetched.
    answers: KeptAnswers,
    /// Keys of tags, by epoch.
    epochs: Mutex<BTreeMap<u64, Arc<EpochKeys>>>,
    /// Rung when fragments are missing.
    heal: Notify,
    /// Rung when columns of others may want a new holder.
    repair: Notify,
    /// Rung when a verdict about this miner may be wrong.
    verdicts: Notify,
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
        let (record, state) = ensure_registered(&wallet, keys, &config.declaration, &params).await?;
        let from = begin(&store, &record, status.genesis)?;
        let data = DataClient::new(node, network.clone());
        let inner = Arc::new(Inner {
            node: node.clone(),
            chain: chain.clone(),
            wallet,
            directory: MinerDirectory::new(chain),
            fetcher: Fetcher::new(node, data, FetchLimits::default()),
            key: keys.account.clone(),
            account: record.address,
            peer: peer_of(&record).ok_or(MinerError::NoPeer { account: record.address })?,
            chain_id: status.chain_id,
            genesis: status.genesis,
            rounds: Rounds::of(&params),
            tranquility: config.tranquility,
            state: watch::Sender::new(state),
            height: watch::Sender::new(from),
            idle: open_idle(node, config.idle.clone(), Shape::of(&params)).await?,
            answers: KeptAnswers::new(store.index().kv().clone()),
            epochs: Mutex::default(),
            heal: Notify::new(),
            repair: Notify::new(),
            verdicts: Notify::new(),
            params,
            store,
        });
        inner.show_space();
        node.metrics.set(Gauge::SpaceDeclaredBytes, i64::try_from(record.capacity).unwrap_or(i64::MAX));
        if let Some(root) = config.journals.clone() {
            journals::start(&inner, network.clone(), root).await?;
        }
        inner.start(network, &config);
        let capacity = ByteCount(record.capacity);
        match state {
            MinerState::Active => tracing::info!(account = %inner.account, %capacity, "miner ready"),
            state => inner.set_state(state),
        }
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
    fn start(self: &Arc<Self>, network: Arc<dyn Network>, config: &MinerConfig) {
        serve::start(self, network);
        follow::start(self);
        audit::start(self);
        idle::start(self);
        heal::start(self);
        repair::start(self);
        upkeep::start(self, config);
    }

    /// Height up to which the chain was followed.
    fn now(&self) -> Height {
        *self.height.borrow()
    }

    /// Whether the chain counts on it.
    fn state_now(&self) -> MinerState {
        *self.state.borrow()
    }

    /// Takes over what the chain says of this miner, and tells the operator what to do about it.
    fn set_state(&self, state: MinerState) {
        self.state.send_replace(state);
        let account = self.account;
        match state {
            MinerState::Active => {}
            MinerState::Exiting => tracing::warn!(
                %account,
                "this miner leaves: keep it running until everything it holds is repaired elsewhere, then withdraw its collateral"
            ),
            MinerState::Lost => tracing::error!(
                %account,
                "this miner was forced out after faults in a row and earns nothing any more: withdraw what is left of its collateral \
                 when the lock is over, then start anew with an empty directory; if a verdict was wrong, it is back as soon as that is \
                 reverted (`cess explain slash`)"
            ),
        }
    }

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

/// Opens idle space off the async threads.
async fn open_idle(node: &Node, config: Option<IdleConfig>, shape: Shape) -> Result<Option<Arc<Idle>>, MinerError> {
    let Some(config) = config else { return Ok(None) };
    let node = node.clone();
    match spawn_blocking(move || Idle::open(&node, &config, shape)).await {
        Ok(idle) => Ok(Some(Arc::new(idle?))),
        Err(_) => Err(IdleError::Stopped.into()),
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
