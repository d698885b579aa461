//! Validators as they run in production, each a node with its own runtime, on one simulated network.
//!
//! Owns who is up, and what a node finds when it comes up again. Everything inside a node is the product's own code; what a liar
//! says on its way out is not.

use crate::{
    clock::SkewedClock,
    machine::{Dice, Disk},
    rules::Rules,
    slow_kv::SlowKv,
    sometimes::Sometimes,
    witness::{News, Witness},
    world::{Temper, World},
    zoo::{LyingHost, Mind, Plot, Vice},
};
use cess::{
    chain::{
        ChainConfig, ChainNode, LocalChain,
        bft::BftConfig,
        statesync::{SyncConfig, SyncTiming},
    },
    config::SyncMode,
    crypto::NodeKeys,
    kv::{Kv, MemoryKv},
    ledger::genesis::{Genesis, GenesisAccount, GenesisValidator, Overrides},
    network::{LinkRule, MemoryHub, Network, PeerId, peer_id_of},
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

/// Chain id of the simulation.
pub const CHAIN: u64 = 11_332;
/// Genesis is older than the first moment of the simulation.
const GENESIS_MS: u64 = 1_779_999_999_000;
/// Bytes before the first entry of the engine's log: version and sequence.
const WAL_HEADER_BYTES: usize = 12;

/// How far ahead the network has to be for a node with an empty disk to take over a state: an era, which snapshots are apart.
const FAR_BLOCKS: u64 = 8;
/// A follower waits for a state no longer than the story can wait for it.
const TIMING: SyncTiming = SyncTiming {
    answer: Duration::from_secs(2),
    offer: Duration::from_secs(1),
    search: Duration::from_secs(2),
    patience: Duration::from_secs(4),
};

/// How a node goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process ends; what it has written stays written.
    Kill,
    /// The machine loses power; what was not synced is lost.
    PowerLoss,
    /// The process ends and somebody empties its logs: it forgets what it has signed. No honest validator does so.
    Amnesia,
    /// The machine comes back with an empty disk.
    DiskLost,
}

/// Where users reach the nodes that are up.
pub type Doors = Arc<Mutex<Vec<Option<Arc<LocalChain>>>>>;

/// The validators.
pub struct Cluster {
    pub world: World,
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
    clock: Arc<SkewedClock>,
    /// What makes a liar lie.
    mind: Option<Arc<Mind>>,
    state: Option<State>,
}

#[allow(clippy::large_enum_variant, reason = "a run has a few of them")]
enum State {
    Up(Up),
    Down { kv: Arc<MemoryKv>, disk: Disk },
}

struct Up {
    runtime: NodeRuntime,
    chain: ChainNode,
    kv: Arc<MemoryKv>,
}

/// The genesis of a run: its validators with a thousand tokens each beside their stake, and `users` with a million each.
fn genesis(world: &World, keys: &[NodeKeys], users: &[Address]) -> Genesis {
    let holder = |tokens| GenesisAccount { balance: Amount::tokens(tokens), ..GenesisAccount::default() };
    let validator = |keys: &NodeKeys| GenesisValidator {
        account: keys.address(),
        consensus_key: keys.consensus.public(),
        vrf_key: keys.vrf.public(),
        network_key: keys.network.public(),
        stake: Amount::tokens(1_000),
    };
    let rich = users.iter().map(|user| (*user, holder(1_000_000)));
    let modest = keys.iter().map(|keys| (keys.address(), holder(1_000)));
    Genesis {
        chain_id: CHAIN,
        profile: Profile::Dev,
        overrides: Overrides { era_blocks: Some(world.era_blocks), seats: world.seats, ..Overrides::default() },
        time_ms: GENESIS_MS,
        extra_data: Vec::new().into(),
        alloc: rich.chain(modest).collect::<BTreeMap<_, _>>(),
        tee: Default::default(),
        deployments: Vec::new(),
        validators: keys
            .iter()
            .zip(&world.nodes)
            .filter(|(_, node)| !node.follows)
            .map(|(k, _)| validator(k))
            .collect(),
    }
}

impl Cluster {
    /// All validators of a chain that `users` hold tokens on, still down, with their files below `dir`.
    pub fn new(world: World, dir: &Path, users: &[Address]) -> anyhow::Result<Self> {
        let mut dice = Dice::new(world.seed, "keys");
        let mut secret = || {
            let mut secret = [0; 32];
            dice.fill(&mut secret);
            NodeKeys::derive(&secret)
        };
        let keys: Vec<NodeKeys> = world.nodes.iter().map(|_| secret()).collect();
        let genesis = genesis(&world, &keys, users);
        let honest: Vec<bool> = (0..world.nodes.len()).map(|node| world.is_honest(node)).collect();
        let lying = || keys.iter().zip(&honest).filter(|(_, honest)| !*honest).map(|(keys, _)| keys);
        let rules = Rules::new(&genesis, lying().map(NodeKeys::address).collect(), world.ahead_max_ms());
        let witness = Witness::new(rules, &honest);
        let liars = lying().map(|keys| peer_id_of(&keys.network.public())).collect::<Result<_, _>>()?;
        let plot = Plot::new(dice.next(), liars, witness.clone());
        let mut members = Vec::new();
        for (node, (keys, character)) in keys.into_iter().zip(&world.nodes).enumerate() {
            let dir = dir.join(node.to_string());
            std::fs::create_dir_all(&dir)?;
            let mind = |temper: &Temper| Mind::new(plot.clone(), keys.clone(), temper.clone());
            members.push(Member {
                peer: peer_id_of(&keys.network.public())?,
                dir,
                clock: Arc::new(SkewedClock::new(character.ahead_ms)),
                mind: character.temper.as_ref().map(mind),
                state: Some(State::Down { kv: Arc::new(MemoryKv::new()), disk: Disk::default() }),
                keys,
            });
        }
        let hub = MemoryHub::new(dice.next());
        let doors = Arc::new(Mutex::new(vec![None; members.len()]));
        Ok(Self { world, hub, witness, doors, genesis, members })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Sets the rule of what one node sends to another.
    pub fn set_path(&self, from: usize, to: usize, rule: LinkRule) {
        self.hub.set_path(self.members[from].peer, self.members[to].peer, rule);
    }

    /// Sets the clock of a node.
    pub fn set_clock(&self, node: usize, ahead_ms: i64) {
        self.members[node].clock.set(ahead_ms);
        self.witness.count(Sometimes::ClockSet);
        self.witness.note(&format!("node {node} is {ahead_ms} ms ahead"));
    }

    /// Nodes that forget what they have signed when they can.
    pub fn forgetful(&self) -> Vec<usize> {
        let forgets = |node: &usize| self.members[*node].mind.as_ref().is_some_and(|mind| mind.is_forgetful());
        (0..self.len()).filter(forgets).collect()
    }

    /// Whether a node is up.
    pub fn is_up(&self, node: usize) -> bool {
        matches!(self.members[node].state, Some(State::Up(_)))
    }

    /// Starts a node that is down with what its last life left on its disks.
    pub async fn start(&mut self, node: usize) -> anyhow::Result<()> {
        let Some(State::Down { kv, disk }) = self.members[node].state.take() else {
            anyhow::bail!("node {node} is up already");
        };
        disk.restore()?;
        let member = &self.members[node];
        let host = self.hub.join(member.peer);
        let net: Arc<dyn Network> = match &member.mind {
            Some(mind) => Arc::new(LyingHost::new(host, mind.clone())),
            None => host,
        };
        let clock = member.clock.clone();
        let (keys, genesis) = (member.keys.clone(), self.genesis.clone());
        let is_slow = self.world.nodes[node].is_slow;
        let database: Arc<dyn Kv> = match is_slow {
            true => Arc::new(SlowKv::new(kv.clone(), Dice::new(self.world.seed, &format!("disk of {node}")))),
            false => kv.clone(),
        };
        let mode = if self.world.nodes[node].follows { SyncMode::Auto } else { SyncMode::Blocks };
        let peers = self.members.iter().map(|member| member.peer).filter(|peer| *peer != self.members[node].peer);
        let sync = SyncConfig { mode, far_blocks: FAR_BLOCKS, peers: peers.collect(), timing: TIMING };
        let config =
            ChainConfig { wal_dir: member.dir.clone(), bft: BftConfig::default(), sync, options: Default::default() };
        let witness = self.witness.clone();
        let builder = async move |context: cess::runtime::Node| {
            let rng = context.rng.clone();
            let context = context.with_ports(clock, rng);
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
        // On one thread a slow execution would hold up the ordering, too.
        let pool = CpuPool::new(&name, 1 + usize::from(is_slow));
        let (runtime, chain) = NodeRuntime::start(&name, pool, builder).await?;
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
        if how == Crash::DiskLost {
            self.witness.forgets(node);
        }
        self.doors.lock()[node] = None;
        self.hub.crash(member.peer);
        let (kv, disk) = match how {
            Crash::Kill => (up.kv.reopen(), Disk::written(&member.dir)?),
            Crash::PowerLoss => (up.kv.after_power_loss(), Disk::synced(&member.dir)?),
            Crash::Amnesia => (up.kv.reopen(), Disk::emptied(&member.dir)?),
            Crash::DiskLost => (MemoryKv::new(), Disk::emptied(&member.dir)?),
        };
        self.witness.note(&format!("node {node} {how:?}"));
        self.witness.count(match how {
            Crash::Kill => Sometimes::Killed,
            Crash::PowerLoss => Sometimes::PowerLost,
            Crash::Amnesia => Sometimes::Lied(Vice::Amnesia),
            Crash::DiskLost => Sometimes::DiskLost,
        });
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
