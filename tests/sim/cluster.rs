//! Four validators as they run in production, each a node with its own runtime, on one simulated network.
//!
//! Owns who is up, and what a node finds when it comes up again. Everything inside a node is the product's own code.

use crate::{
    machine::{Dice, Disk},
    witness::{News, Sometimes, Witness},
};
use cess::{
    chain::{ChainConfig, ChainNode, LocalChain, bft::BftConfig},
    crypto::NodeKeys,
    kv::MemoryKv,
    ledger::genesis::{Genesis, GenesisAccount, GenesisValidator, Overrides},
    network::{LinkRule, MemoryHub, PeerId, peer_id_of},
    runtime::{CpuPool, Criticality, NodeRuntime, Phase},
    types::{Address, Amount, Profile},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Validators: the smallest committee that survives a fault.
pub const NODES: usize = 4;
/// Chain id of the simulation.
pub const CHAIN: u64 = 11_332;
/// Genesis is older than the first moment of the simulation.
const GENESIS_MS: u64 = 1_779_999_999_000;
/// Bytes before the first entry of the engine's log: version and sequence.
const WAL_HEADER_BYTES: usize = 12;

/// How a node goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process ends; what it has written stays written.
    Kill,
    /// The machine loses power; what was not synced is lost.
    PowerLoss,
}

/// Where users reach the nodes that are up.
pub type Doors = Arc<Mutex<Vec<Option<Arc<LocalChain>>>>>;

/// The validators.
pub struct Cluster {
    pub hub: Arc<MemoryHub>,
    pub witness: Arc<Witness>,
    pub doors: Doors,
    pub genesis: Genesis,
    members: Vec<Member>,
}

struct Member {
    keys: NodeKeys,
    peer: PeerId,
    dir: PathBuf,
    state: Option<State>,
}

#[allow(clippy::large_enum_variant, reason = "a run has four of them")]
enum State {
    Up(Up),
    Down { kv: Arc<MemoryKv>, disk: Disk },
}

struct Up {
    runtime: NodeRuntime,
    chain: ChainNode,
    kv: Arc<MemoryKv>,
}

/// The genesis of a run: four validators, and `users` with a million tokens each.
fn genesis(keys: &[NodeKeys], users: &[Address]) -> Genesis {
    let rich = GenesisAccount { balance: Amount::tokens(1_000_000), ..GenesisAccount::default() };
    let validator = |keys: &NodeKeys| GenesisValidator {
        account: keys.address(),
        consensus_key: keys.consensus.public(),
        vrf_key: keys.vrf.public(),
        network_key: keys.network.public(),
        stake: Amount::tokens(1_000),
    };
    Genesis {
        chain_id: CHAIN,
        profile: Profile::Dev,
        overrides: Overrides { era_blocks: Some(8), ..Overrides::default() },
        time_ms: GENESIS_MS,
        extra_data: Vec::new().into(),
        alloc: users.iter().map(|user| (*user, rich.clone())).collect::<BTreeMap<_, _>>(),
        validators: keys.iter().map(validator).collect(),
    }
}

impl Cluster {
    /// All validators of a chain that `users` hold tokens on, still down, with their files below `dir`.
    pub fn new(seed: u64, dir: &Path, users: &[Address]) -> anyhow::Result<Self> {
        let mut dice = Dice::new(seed, "keys");
        let mut members = Vec::new();
        for i in 0..NODES {
            let mut secret = [0; 32];
            dice.fill(&mut secret);
            let keys = NodeKeys::derive(&secret);
            let dir = dir.join(i.to_string());
            std::fs::create_dir_all(&dir)?;
            let state = State::Down { kv: Arc::new(MemoryKv::new()), disk: Disk::default() };
            members.push(Member { peer: peer_id_of(&keys.network.public())?, keys, dir, state: Some(state) });
        }
        let keys: Vec<NodeKeys> = members.iter().map(|member| member.keys.clone()).collect();
        Ok(Self {
            hub: MemoryHub::new(dice.next()),
            witness: Witness::new(NODES),
            doors: Arc::new(Mutex::new(vec![None; NODES])),
            genesis: genesis(&keys, users),
            members,
        })
    }

    /// Sets the rule of one link.
    pub fn set_link(&self, a: usize, b: usize, rule: LinkRule) {
        self.hub.set_link(self.members[a].peer, self.members[b].peer, rule);
    }

    /// Whether a node is up.
    pub fn is_up(&self, node: usize) -> bool {
        matches!(self.members[node].state, Some(State::Up(_)))
    }

    /// The chain of a node that is up.
    pub fn chain(&self, node: usize) -> Option<Arc<LocalChain>> {
        self.doors.lock()[node].clone()
    }

    /// Starts a node that is down with what its last life left on its disks.
    pub async fn start(&mut self, node: usize) -> anyhow::Result<()> {
        let Some(State::Down { kv, disk }) = self.members[node].state.take() else {
            anyhow::bail!("node {node} is up already");
        };
        disk.restore()?;
        let member = &self.members[node];
        let net = self.hub.join(member.peer);
        let (keys, genesis, database) = (member.keys.clone(), self.genesis.clone(), kv.clone());
        let config = ChainConfig { wal_dir: member.dir.clone(), bft: BftConfig::default() };
        let witness = self.witness.clone();
        let builder = async move |context: cess::runtime::Node| {
            let news = News::of(&context.bus);
            let chain = ChainNode::start(&context, database, net, &keys, &genesis, config).await?;
            let full = chain.client.chain().clone();
            let life = witness.rose(node, &full);
            let stop = context.tasks.stopping(Phase::Store);
            let follow = witness.follow(node, life, full, news);
            context.tasks.spawn(Phase::Store, "witness", Criticality::Critical, async move {
                stop.run_until_cancelled_owned(follow).await.unwrap_or(Ok(()))
            });
            anyhow::Ok(chain)
        };
        let name = format!("n{node}");
        let (runtime, chain) = NodeRuntime::start(&name, CpuPool::new(&name, 1), builder).await?;
        if restarted_within_a_height(&disk, chain.client.chain().head().height()) {
            self.witness.count(Sometimes::WalReplay);
        }
        self.doors.lock()[node] = Some(chain.client.clone());
        self.members[node].state = Some(State::Up(Up { runtime, chain, kv }));
        Ok(())
    }

    /// Ends a node that is up, at once.
    pub fn crash(&mut self, node: usize, how: Crash) -> anyhow::Result<()> {
        let member = &mut self.members[node];
        let Some(State::Up(up)) = member.state.take() else { anyhow::bail!("node {node} is down already") };
        // First nobody hears of it any more; what it had synced by then is what it may have spoken of.
        self.witness.fell(node);
        self.doors.lock()[node] = None;
        self.hub.crash(member.peer);
        let (kv, disk) = match how {
            Crash::Kill => (up.kv.reopen(), Disk::written(&member.dir)?),
            Crash::PowerLoss => (up.kv.after_power_loss(), Disk::synced(&member.dir)?),
        };
        self.witness.note(&format!("node {node} {how:?}"));
        self.witness.count(if how == Crash::Kill { Sometimes::Killed } else { Sometimes::PowerLost });
        drop(up.chain);
        up.runtime.kill();
        member.state = Some(State::Down { kv: Arc::new(kv), disk });
        Ok(())
    }

    /// Freezes a node, as SIGSTOP would.
    pub async fn pause(&self, node: usize) {
        if let Some(State::Up(up)) = &self.members[node].state
            && up.runtime.pause().await.is_ok()
        {
            self.witness.count(Sometimes::Paused);
            self.witness.note(&format!("node {node} paused"));
        }
    }

    /// Lets a frozen node go on.
    pub fn resume(&self, node: usize) {
        if let Some(State::Up(up)) = &self.members[node].state
            && up.runtime.is_paused()
        {
            up.runtime.resume();
            self.witness.note(&format!("node {node} resumed"));
        }
    }

    /// Why a node that is up has failed, if it has.
    pub async fn failure(&self, node: usize) -> Option<String> {
        let Some(State::Up(up)) = &self.members[node].state else { return None };
        tokio::time::timeout(Duration::ZERO, up.runtime.node().tasks.failure()).await.ok()
    }

    /// Stops every node in order. Returns the tasks that did not end by themselves.
    pub async fn stop(mut self) -> Vec<String> {
        let mut aborted = Vec::new();
        for (node, member) in self.members.iter_mut().enumerate() {
            self.witness.fell(node);
            self.doors.lock()[node] = None;
            if let Some(State::Up(up)) = member.state.take() {
                drop(up.chain);
                aborted.extend(up.runtime.stop().await.into_iter().map(|task| format!("n{node}: {task}")));
            }
        }
        aborted
    }
}

/// Whether the engine's log holds entries for the height that follows `height`: it will replay them.
fn restarted_within_a_height(disk: &Disk, height: u64) -> bool {
    let Some(log) = disk.file("consensus.wal") else { return false };
    let sequence = log.get(4..WAL_HEADER_BYTES).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    log.len() > WAL_HEADER_BYTES && sequence == Some(height + 1)
}
