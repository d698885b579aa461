//! A chain, journals, a network and gateways in memory, each of which can be cut off from the others.

use crate::{
    access::group::*,
    runtime::{CpuPool, ManualClock, Node, NodeRng},
    types::Address,
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::{Instant, sleep};

pub(super) const SECRET: [u8; 32] = [9; 32];
/// How long the chain takes to make a change final.
const FINALITY: Duration = Duration::from_millis(1_200);
/// A way over the network.
const LATENCY: Duration = Duration::from_millis(20);
/// Patience for an answer where nobody answers.
const DIAL: Duration = Duration::from_millis(700);

/// Lets the time of a test pass, which stands still otherwise: nothing here takes real time.
pub(super) async fn wait_simulated(time: Duration) {
    sleep(time).await;
}

pub(super) fn bucket() -> BucketKey {
    BucketKey::new(Address::repeat_byte(0xaa), [7; 16])
}

/// Everything outside of the gateways.
#[derive(Default)]
pub(super) struct Outside {
    pub(super) names: BTreeMap<BucketKey, Held>,
    pub(super) changes: u64,
    /// Gateways that do not reach the chain.
    pub(super) chainless: BTreeSet<u8>,
    /// Gateways that may not act for the bucket's account.
    pub(super) strangers: BTreeSet<u8>,
    /// Whether the next change is made and its answer lost.
    pub(super) lose_swap: bool,
    /// Journal miners.
    pub(super) miners: [Miner; JOURNAL_MEMBERS],
    /// Gateways and miners that do not reach each other.
    pub(super) cut: BTreeSet<(u8, usize)>,
    handlers: BTreeMap<u8, Arc<dyn PeerHandler>>,
    /// Gateways that do not reach each other, both ways.
    pub(super) apart: BTreeSet<(u8, u8)>,
    /// Whether the answer to the next question about an operation is lost.
    pub(super) lose_answer: bool,
    /// Operations that were executed, by gateway.
    pub(super) executed: Vec<(u8, OpId)>,
    /// Whether the next operation breaks what is open.
    pub(super) breaks: bool,
    /// How long an operation takes.
    pub(super) slow: Duration,
    /// Questions between gateways.
    pub(super) asked: usize,
}

/// A miner's part of the one journal.
#[derive(Default, Clone)]
pub(super) struct Miner {
    pub(super) sealed: u32,
    pub(super) log: Vec<Bytes>,
}

/// The outside, shared.
#[derive(Clone, Default)]
pub(super) struct World(pub(super) Arc<Mutex<Outside>>);

/// A gateway that runs.
pub(super) struct Running {
    pub(super) number: u8,
    pub(super) gateways: Arc<Gateways>,
    node: Node,
    life: Arc<()>,
}

impl World {
    /// Starts gateway `number`, again if it was stopped.
    pub(super) fn gateway(&self, number: u8) -> Running {
        let life = Arc::new(());
        let node = Node::new(&format!("gateway-{number}"), CpuPool::new("test", 1));
        let node = node.with_ports(Arc::new(ManualClock::at(0)), NodeRng::from_seed(number.into()));
        let twin = Arc::new(Twin { world: self.clone(), number, life: Arc::downgrade(&life) });
        let ports =
            GroupPorts { owners: twin.clone(), journals: twin.clone(), peers: twin.clone(), executor: twin.clone() };
        let gateways = Gateways::start(&node, key(number), &SECRET, ports);
        Running { number, gateways, node, life }
    }

    pub(super) fn held(&self) -> Option<Held> {
        self.0.lock().names.get(&bucket()).cloned()
    }

    pub(super) fn epoch(&self) -> u32 {
        self.held().map_or(0, |held| held.ownership.epoch)
    }

    pub(super) fn owner(&self) -> u8 {
        self.held().map_or(0, |held| held.ownership.gateway.peer[0])
    }

    /// Cuts gateway `number` from every journal miner, or heals that.
    pub(super) fn cut_from_miners(&self, number: u8, cut: bool) {
        let mut outside = self.0.lock();
        for miner in 0..JOURNAL_MEMBERS {
            if cut {
                outside.cut.insert((number, miner))
            } else {
                outside.cut.remove(&(number, miner))
            };
        }
    }
}

impl Running {
    /// Writes a key.
    pub(super) async fn put(&self, name: &str, value: &str) -> Result<(), GroupError> {
        self.say(&format!("put {name} {value}"), Duration::from_secs(40)).await.map(drop)
    }

    /// Reads a key; empty if it was never written.
    pub(super) async fn get(&self, name: &str) -> Result<String, GroupError> {
        self.say(&format!("get {name}"), Duration::from_secs(40)).await
    }

    pub(super) async fn say(&self, op: &str, deadline: Duration) -> Result<String, GroupError> {
        let reply = self.gateways.execute(bucket(), op.to_owned().into(), deadline).await?;
        Ok(String::from_utf8(reply.to_vec()).unwrap())
    }

    pub(super) fn serves(&self) -> bool {
        self.gateways.served().contains(&bucket())
    }

    /// Kills it: nothing of it is said or done any more.
    pub(super) async fn die(self, world: &World) {
        drop(self.life);
        world.0.lock().handlers.remove(&self.number);
        self.node.tasks.shutdown().await;
    }
}

pub(super) fn key(number: u8) -> GatewayKey {
    GatewayKey { account: [number; 20], peer: [number; 32] }
}

/// The ports of one gateway. They end with its life.
struct Twin {
    world: World,
    number: u8,
    life: Weak<()>,
}

impl Twin {
    fn alive(&self) -> bool {
        self.life.strong_count() > 0
    }

    /// Asks every miner that is reached; gives how many said yes, and whether one knows a newer epoch.
    fn ask_miners(&self, mut ask: impl FnMut(&mut Miner) -> bool) -> Result<(), JournalFault> {
        let mut outside = self.world.0.lock();
        let (mut yes, mut fenced) = (0, false);
        for number in 0..JOURNAL_MEMBERS {
            if self.alive() && !outside.cut.contains(&(self.number, number)) {
                match ask(&mut outside.miners[number]) {
                    true => yes += 1,
                    false => fenced = true,
                }
            }
        }
        match (yes, fenced) {
            (_, true) => Err(JournalFault::Fenced),
            (2.., false) => Ok(()),
            (yes, false) => Err(JournalFault::Unreachable(format!("{yes} of {JOURNAL_MEMBERS} miners answer"))),
        }
    }

    /// The longest log of those that are reached and sealed.
    fn recover(&self, epoch: u32) -> Result<Vec<Bytes>, JournalFault> {
        let mut longest = Vec::new();
        self.ask_miners(|miner| {
            if miner.sealed == epoch && miner.log.len() > longest.len() {
                longest = miner.log.clone();
            }
            miner.sealed <= epoch
        })?;
        self.ask_miners(|miner| {
            let known = miner.sealed <= epoch;
            if known {
                (miner.sealed, miner.log) = (epoch, longest.clone());
            }
            known
        })?;
        Ok(longest)
    }
}

#[async_trait]
impl Owners for Twin {
    async fn read(&self, bucket: &BucketKey) -> Result<Option<Held>, OwnersFault> {
        wait_simulated(LATENCY).await;
        let outside = self.world.0.lock();
        match !self.alive() || outside.chainless.contains(&self.number) {
            true => Err(OwnersFault("the chain cannot be reached: the test pulled the plug".into())),
            false => Ok(outside.names.get(bucket).cloned()),
        }
    }

    async fn swap(&self, bucket: &BucketKey, expected: u64, new: &Ownership) -> Result<u64, SwapFault> {
        wait_simulated(FINALITY).await;
        let mut outside = self.world.0.lock();
        if !self.alive() || outside.chainless.contains(&self.number) {
            return Err(SwapFault::Unknown("the chain cannot be reached: the test pulled the plug".into()));
        }
        if outside.strangers.contains(&self.number) {
            return Err(SwapFault::Refused("it is no operator".into()));
        }
        if outside.names.get(bucket).map_or(0, |held| held.version) != expected {
            return Err(SwapFault::Conflict);
        }
        outside.changes += 1;
        let version = outside.changes;
        outside.names.insert(*bucket, Held { version, ownership: new.clone() });
        match std::mem::take(&mut outside.lose_swap) {
            true => Err(SwapFault::Unknown("not final in time".into())),
            false => Ok(version),
        }
    }
}

#[async_trait]
impl Journals for Twin {
    async fn create(&self, bucket: &BucketKey, epoch: u32) -> Result<Members, JournalFault> {
        self.seal(bucket, &Default::default(), epoch).await?;
        Ok([1, 2, 3].map(Address::repeat_byte))
    }

    async fn reachable(&self, _: &BucketKey, _: &Members, _: u32) -> Result<(), JournalFault> {
        wait_simulated(LATENCY).await;
        self.ask_miners(|_| true)
    }

    async fn seal(&self, _: &BucketKey, _: &Members, epoch: u32) -> Result<(), JournalFault> {
        wait_simulated(LATENCY).await;
        self.ask_miners(|miner| {
            let known = miner.sealed <= epoch;
            miner.sealed = miner.sealed.max(epoch);
            known
        })
    }

    async fn remove(&self, _: &BucketKey, _: &Members, epoch: u32) -> Result<(), JournalFault> {
        wait_simulated(LATENCY).await;
        self.ask_miners(|miner| {
            let known = miner.sealed <= epoch;
            if known {
                *miner = Miner::default();
            }
            known
        })
    }
}

#[async_trait]
impl Peers for Twin {
    async fn ask(&self, peer: [u8; 32], question: Bytes, deadline: Duration) -> Result<Bytes, PeerFault> {
        wait_simulated(LATENCY).await;
        let handler = {
            let mut outside = self.world.0.lock();
            outside.asked += 1;
            let pair = (self.number.min(peer[0]), self.number.max(peer[0]));
            let reached = self.alive() && !outside.apart.contains(&pair);
            outside.handlers.get(&peer[0]).filter(|_| reached).cloned()
        };
        let unreachable = || PeerFault("the test pulled the plug".into());
        let Some(handler) = handler else {
            wait_simulated(DIAL.min(deadline)).await;
            return Err(unreachable());
        };
        let answer = tokio::time::timeout(deadline, handler.answer(question)).await;
        let answer = answer.map_err(|_| PeerFault("it takes too long".into()))?.map_err(PeerFault)?;
        match std::mem::take(&mut self.world.0.lock().lose_answer) {
            true => Err(unreachable()),
            false => Ok(answer),
        }
    }

    fn serve(&self, handler: Arc<dyn PeerHandler>) {
        self.world.0.lock().handlers.insert(self.number, handler);
    }
}

/// An open table of words.
struct Table {
    twin: Twin,
    epoch: u32,
    words: tokio::sync::Mutex<BTreeMap<String, String>>,
}

#[async_trait]
impl Executor for Twin {
    async fn open(&self, grant: Grant) -> Result<Arc<dyn Session>, SessionFault> {
        wait_simulated(LATENCY).await;
        let log = self.recover(grant.epoch).map_err(fault)?;
        let twin = Twin { world: self.world.clone(), number: self.number, life: self.life.clone() };
        let words = log.iter().filter_map(|record| written(record)).collect();
        Ok(Arc::new(Table { twin, epoch: grant.epoch, words: tokio::sync::Mutex::new(words) }))
    }
}

#[async_trait]
impl Session for Table {
    async fn execute(&self, id: OpId, op: Bytes) -> Result<Bytes, SessionFault> {
        let slow = self.twin.world.0.lock().slow;
        wait_simulated(slow).await;
        let mut words = self.words.lock().await;
        if std::mem::take(&mut self.twin.world.0.lock().breaks) {
            return Err(SessionFault::Broken("the test broke it".into()));
        }
        self.twin.world.0.lock().executed.push((self.twin.number, id));
        let text = String::from_utf8(op.to_vec()).unwrap();
        if let Some(name) = text.strip_prefix("get ") {
            return Ok(words.get(name).cloned().unwrap_or_default().into());
        }
        let Some((name, value)) = written(&op) else {
            return Err(SessionFault::Failed(format!("`{text}` is no word")));
        };
        self.append(&op)?;
        words.insert(name, value);
        Ok(Bytes::new())
    }

    fn is_upkeep(&self, op: &[u8]) -> bool {
        op == b"get upkeep"
    }

    async fn touch(&self) -> Result<(), SessionFault> {
        wait_simulated(LATENCY).await;
        self.twin.ask_miners(|miner| miner.sealed == self.epoch).map_err(fault)
    }

    async fn close(&self) {}

    async fn abandon(&self) {}
}

impl Table {
    fn append(&self, record: &Bytes) -> Result<(), SessionFault> {
        let appended = self.twin.ask_miners(|miner| {
            let ours = miner.sealed == self.epoch;
            if ours {
                miner.log.push(record.clone());
            }
            ours
        });
        appended.map_err(fault)
    }
}

fn written(record: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(record).ok()?.strip_prefix("put ")?;
    text.split_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned()))
}

fn fault(fault: JournalFault) -> SessionFault {
    match fault {
        JournalFault::Fenced => SessionFault::Fenced,
        JournalFault::Unreachable(reason) | JournalFault::Lost(reason) => SessionFault::Unavailable(reason),
    }
}

/// Watches that never two gateways serve, until it is dropped.
pub(super) struct NeverTwo(tokio::task::JoinHandle<()>);

impl NeverTwo {
    pub(super) fn of(running: &[&Running]) -> Self {
        let all: Vec<(u8, Arc<Gateways>)> =
            running.iter().map(|running| (running.number, running.gateways.clone())).collect();
        Self(tokio::spawn(async move {
            loop {
                let serving: Vec<u8> = all
                    .iter()
                    .filter(|(_, gateways)| gateways.served().contains(&bucket()))
                    .map(|(number, _)| *number)
                    .collect();
                assert!(serving.len() < 2, "gateways {serving:?} serve one bucket at {:?}", Instant::now());
                wait_simulated(Duration::from_millis(25)).await;
            }
        }))
    }

    /// Fails if it ever happened.
    pub(super) async fn check(self) {
        assert!(!self.0.is_finished(), "two gateways served one bucket");
        self.0.abort();
        if let Err(ended) = self.0.await {
            assert!(ended.is_cancelled(), "two gateways served one bucket");
        }
    }
}
