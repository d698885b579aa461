//! Puts the engine, its network actor and the driver together, and takes them down in order.

use super::{
    app::Application,
    codec::{EngineCodec, SYNC_MAX_BLOCKS},
    driver::Driver,
    hub::Hub,
    links,
    network_actor::NetworkActor,
    proposal_log::ProposalLog,
    proposals::{Candidate, HEIGHTS_AHEAD, Proposals},
    signing::{ChainSigner, ChainVerifier},
    sync::{SYNC_DEADLINE, SyncStreams},
};
use crate::{
    consensus::context::{Account, BftContext, Seats},
    crypto::NodeKeys,
    network::Network,
    runtime::{Criticality, Event, Node, Phase},
    types::{Address, ChainId, Height},
};
use alloy_primitives::Bytes;
use anyhow::{Context, anyhow};
use arc_malachitebft_app_channel::{
    Channels, ConsensusContext, EngineBuilder, EngineHandle, RequestContext, SyncContext, WalContext,
    app::{
        config::{ConsensusConfig, NodeConfig, ValuePayload, ValueSyncConfig},
        types::core::LinearTimeouts,
    },
};
use std::{fs::File, path::Path, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// How long a new instance waits for an old one of the same process to let go of the write-ahead log.
const WAL_LOCK_DEADLINE: Duration = Duration::from_secs(10);
/// How long the engine's actors get to stop.
const ENGINE_STOP_DEADLINE: Duration = Duration::from_secs(3);
/// Blocks a lagging node asks for at a time, in this many requests.
const SYNC_PARALLEL_REQUESTS: usize = 4;
/// Messages the engine keeps for one later height: two votes and a proposal of a full committee over a few rounds.
const QUEUE_MAX_PER_HEIGHT: usize = 2_048;
/// Channel of requests for debugging dumps, which nothing here sends.
const REQUEST_CHANNEL: usize = 8;

/// Timing of consensus. The defaults suit one continent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BftConfig {
    /// Time a proposer has in round 0.
    pub propose: Duration,
    /// Time to wait for stray prevotes after two thirds disagree.
    pub prevote: Duration,
    /// Time to wait for stray precommits after two thirds disagree.
    pub precommit: Duration,
    /// What each round adds to the three.
    pub round_delta: Duration,
    /// Time without progress after which votes are repeated.
    pub rebroadcast: Duration,
    /// Time the first height waits for links to a quorum.
    pub quorum_wait: Duration,
}

impl Default for BftConfig {
    fn default() -> Self {
        Self {
            propose: Duration::from_millis(1_000),
            prevote: Duration::from_millis(400),
            precommit: Duration::from_millis(400),
            round_delta: Duration::from_millis(250),
            rebroadcast: Duration::from_millis(1_000),
            quorum_wait: Duration::from_secs(5),
        }
    }
}

impl BftConfig {
    fn timeouts(&self) -> LinearTimeouts {
        LinearTimeouts {
            propose: self.propose,
            propose_delta: self.round_delta,
            prevote: self.prevote,
            prevote_delta: self.round_delta,
            precommit: self.precommit,
            precommit_delta: self.round_delta,
            rebroadcast: self.rebroadcast,
            max_timeout: Duration::from_secs(30),
        }
    }
}

/// A validator signed two different messages for one height, round and step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misbehaviour {
    /// Where it did so.
    pub height: Height,
    /// Who.
    pub account: Address,
    /// The conflicting messages, each pair an encoded [`Evidence`](crate::consensus::Evidence).
    pub evidence: Vec<Bytes>,
}

impl Event for Misbehaviour {}

/// A running driver. It stops with its node.
#[derive(Clone)]
pub struct BftHandle {
    hub: Arc<Hub>,
}

impl BftHandle {
    /// Height being decided.
    pub fn height(&self) -> Height {
        self.hub.view().height
    }

    /// Whether this node is in the committee of that height.
    pub fn is_validator(&self) -> bool {
        self.hub.view().member
    }

    /// Other members of the committee this node can speak to now.
    pub fn connected_members(&self) -> usize {
        self.hub.connected()
    }
}

/// Starts consensus for `app`. The node takes part when its consensus key is in the committee, and follows otherwise.
///
/// `wal_dir` holds what must survive a crash within a height and belongs to one running instance at a time.
pub async fn start(
    node: &Node,
    net: Arc<dyn Network>,
    keys: &NodeKeys,
    chain_id: ChainId,
    wal_dir: &Path,
    app: Arc<dyn Application>,
    config: BftConfig,
) -> anyhow::Result<BftHandle> {
    let tip = app.tip().await;
    tip.committee.check()?;
    let key = keys.consensus.public();
    let me = Account(tip.committee.by_consensus_key(&key).map_or(keys.address(), |seat| seat.account));
    std::fs::create_dir_all(wal_dir).with_context(|| format!("cannot create `{}`", wal_dir.display()))?;
    let wal = wal_dir.join("consensus.wal");
    wait_for_lock(&wal).await?;

    let (log, recovered) = ProposalLog::open(&wal_dir.join("proposals.log"), tip.height + 1)
        .with_context(|| format!("cannot open the proposal log in `{}`", wal_dir.display()))?;
    let closing = log.clone();
    node.kill.on_kill(move |_| closing.close());
    let mut proposals = Proposals::new(chain_id);
    recovered.into_iter().for_each(|stored| proposals.insert(Candidate::own(stored)));

    let hub = Hub::new(net, node.tasks.clone(), &Seats::new(tip.height + 1, &tip.committee, tip.seed));
    hub.expect(&tip.upcoming);
    let sync = SyncStreams::spawn(&hub);
    let timeouts = config.timeouts();
    let verifier = ChainVerifier { chain_id };
    let signer = ChainSigner { chain_id, key: keys.consensus.clone() };
    let identity = ConsensusContext::new_validator(me, Box::new(verifier), Box::new(signer));
    let (channels, engine) = build(node, &hub, sync, &wal, identity).await?;

    let driver = Driver {
        app,
        hub: hub.clone(),
        bus: node.bus.clone(),
        chain_id,
        me,
        timeouts,
        quorum_wait: config.quorum_wait,
        log,
        proposals,
        tip,
        synced: false,
        starting: None,
    };
    spawn_driver(node, driver, channels, engine);
    links::spawn(&hub);
    Ok(BftHandle { hub })
}

fn spawn_driver(node: &Node, driver: Driver, channels: Channels<BftContext>, engine: EngineHandle) {
    let stop = node.tasks.stopping(Phase::Produce);
    node.tasks.spawn(Phase::Produce, "bft driver", Criticality::Critical, async move {
        // The other channels are kept open: the engine takes their end for its own.
        let Channels { consensus, network: _network, events: _events, requests: _requests, net_requests: _dumps } =
            channels;
        let mut engine = StopOnDrop(Some(engine));
        let hub = driver.hub.clone();
        let result = driver.run(consensus, stop).await;
        hub.close();
        engine.stop().await;
        result
    });
}

/// Stops the engine's actors even when the driver is aborted.
struct StopOnDrop(Option<EngineHandle>);

impl StopOnDrop {
    async fn stop(&mut self) {
        let Some(engine) = self.0.take() else { return };
        engine.actor.stop(Some("the node stops".to_owned()));
        if timeout(ENGINE_STOP_DEADLINE, engine.handle).await.is_err() {
            tracing::warn!("the consensus engine did not stop in time");
        }
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(engine) = self.0.take() {
            engine.actor.kill();
        }
    }
}

async fn build(
    node: &Node,
    hub: &Arc<Hub>,
    sync: Arc<SyncStreams>,
    wal: &Path,
    identity: ConsensusContext<BftContext>,
) -> anyhow::Result<(Channels<BftContext>, EngineHandle)> {
    let network = NetworkActor::spawn(hub.clone(), sync).await.map_err(|e| anyhow!("network actor: {e}"))?;
    // The driver speaks to the hub directly; the engine only wants the channel to exist.
    let (unused, _) = mpsc::channel(1);
    EngineBuilder::new(BftContext, EngineConfig::new(&node.name)?)
        .with_default_wal(WalContext::new(wal.to_owned(), EngineCodec))
        .with_custom_network(network, unused)
        .with_default_sync(SyncContext::new(EngineCodec))
        .with_default_consensus(identity)
        .with_default_request(RequestContext::new(REQUEST_CHANNEL))
        .build()
        .await
        .map_err(|e| anyhow!("consensus engine: {e:#}"))
}

/// Waits until no other instance holds the write-ahead log.
async fn wait_for_lock(path: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + WAL_LOCK_DEADLINE;
    loop {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("cannot open `{}`", path.display()))?;
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(20)).await,
            Err(error) => return Err(anyhow!("`{}` is in use by another instance: {error}", path.display())),
        }
    }
}

/// The engine's own configuration. Its peer-to-peer part is not used.
struct EngineConfig {
    name: String,
    consensus: ConsensusConfig,
    value_sync: ValueSyncConfig,
}

impl EngineConfig {
    fn new(name: &str) -> anyhow::Result<Self> {
        let queue_capacity = usize::try_from(HEIGHTS_AHEAD)?;
        let consensus = ConsensusConfig {
            enabled: true,
            value_payload: ValuePayload::ProposalAndParts,
            queue_capacity,
            queue_per_height_capacity: QUEUE_MAX_PER_HEIGHT,
            ..ConsensusConfig::default()
        };
        let value_sync = ValueSyncConfig {
            enabled: true,
            // Zero: after every decision. The hub repeats it.
            status_update_interval: Duration::ZERO,
            request_timeout: SYNC_DEADLINE,
            max_response_size: "8 MB".parse().map_err(|e| anyhow!("{e}"))?,
            parallel_requests: SYNC_PARALLEL_REQUESTS,
            batch_size: SYNC_MAX_BLOCKS,
            ..ValueSyncConfig::default()
        };
        Ok(Self { name: name.to_owned(), consensus, value_sync })
    }
}

impl NodeConfig for EngineConfig {
    fn moniker(&self) -> &str {
        &self.name
    }

    fn consensus(&self) -> &ConsensusConfig {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut ConsensusConfig {
        &mut self.consensus
    }

    fn value_sync(&self) -> &ValueSyncConfig {
        &self.value_sync
    }

    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.value_sync
    }
}
