//! Sees every block that every node finalises and says what must not happen.
//!
//! Owns the trace of a run and its counters. Checks at every block: one block and one executed state per height, no gap, a
//! certificate that verifies, nothing forgotten over a restart, nobody who signs two different messages for one step.

use crate::machine::now;
use cess::{
    chain::{BlockFinalised, FullChain, bft::Misbehaviour},
    consensus::{Block, Certificate},
    runtime::{Bus, Subscription},
    types::{B256, BlockId, Height},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt::Write, sync::Arc};
use tokio::sync::watch;

/// Things that must happen sometimes, or the run was too tame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sometimes {
    /// A block was decided after round 0.
    LaterRound,
    /// A block was decided in a later round than it was proposed for.
    Reproposed,
    /// A node restarted in the middle of a height it had spoken in.
    WalReplay,
    /// A node that was three blocks or more behind reached the others.
    CatchUp,
    /// A partition was healed.
    Healed,
    /// A process was killed.
    Killed,
    /// A machine lost power and with it what was not synced.
    PowerLost,
    /// A process was stopped and continued.
    Paused,
    /// More than a third was down or cut off at a time.
    NoQuorum,
    /// A transaction became final.
    Transaction,
}

impl Sometimes {
    /// All of them.
    pub const ALL: [Sometimes; 10] = [
        Sometimes::LaterRound,
        Sometimes::Reproposed,
        Sometimes::WalReplay,
        Sometimes::CatchUp,
        Sometimes::Healed,
        Sometimes::Killed,
        Sometimes::PowerLost,
        Sometimes::Paused,
        Sometimes::NoQuorum,
        Sometimes::Transaction,
    ];
}

/// What a node says of itself.
pub struct News {
    blocks: Subscription<BlockFinalised>,
    evidence: Subscription<Misbehaviour>,
}

impl News {
    /// Everything that is published from now on.
    pub fn of(bus: &Bus) -> Self {
        Self { blocks: bus.subscribe(), evidence: bus.subscribe() }
    }
}

/// Sees everything.
pub struct Witness {
    seen: Mutex<Seen>,
    heights: watch::Sender<Vec<Height>>,
}

#[derive(Default)]
struct Seen {
    decided: BTreeMap<Height, (BlockId, B256)>,
    nodes: Vec<NodeSeen>,
    counters: BTreeMap<Sometimes, u64>,
    trace: String,
    violations: Vec<String>,
}

#[derive(Default, Clone)]
struct NodeSeen {
    height: Height,
    /// Height at which its life began: blocks up to it are executed again if a crash took their state.
    rose_at: Height,
    /// Life of the node that may still speak.
    life: u32,
    /// Height it has to reach to have caught up.
    behind: Option<Height>,
}

impl Witness {
    /// Of `nodes` nodes at genesis.
    pub fn new(nodes: usize) -> Arc<Self> {
        let seen = Seen { nodes: vec![NodeSeen::default(); nodes], ..Seen::default() };
        Arc::new(Self { seen: Mutex::new(seen), heights: watch::Sender::new(vec![0; nodes]) })
    }

    /// Follows what `chain` finalises in the `life`th life of `node`.
    pub async fn follow(
        self: Arc<Self>,
        node: usize,
        life: u32,
        chain: Arc<FullChain>,
        mut news: News,
    ) -> anyhow::Result<()> {
        loop {
            let event = tokio::select! { biased;
                event = news.blocks.recv() => event?,
                found = news.evidence.recv() => {
                    self.accuse(node, &found?);
                    continue;
                }
            };
            let stored = chain.blocks().block(event.height)?.zip(chain.blocks().certificate(event.height)?);
            let verdict = judge(&chain, &event, stored.as_ref());
            let rounds = stored.as_ref().map(|(block, certificate)| (block.header.round, certificate.round));
            self.saw(node, life, &event, rounds.unwrap_or_default(), verdict.err());
        }
    }

    /// Every validator is honest here, whatever happens to its disks.
    fn accuse(&self, node: usize, found: &Misbehaviour) {
        let Misbehaviour { height, account, .. } = found;
        self.seen
            .lock()
            .violation(format!("node {node} saw {account} sign two messages for one step of height {height}"));
    }

    fn saw(&self, node: usize, life: u32, event: &BlockFinalised, rounds: (u32, u32), fault: Option<String>) {
        let mut seen = self.seen.lock();
        let own = &mut seen.nodes[node];
        if own.life != life {
            return;
        }
        let recovered = event.height <= own.rose_at;
        let expected = if recovered { event.height } else { own.height + 1 };
        own.height = own.height.max(event.height);
        let caught_up = own.behind.take_if(|height| *height <= event.height).is_some();
        if event.height != expected {
            seen.violation(format!("node {node} finalised {} after {}", event.height, expected - 1));
        }
        if let Some(fault) = fault {
            seen.violation(format!("node {node} at height {}: {fault}", event.height));
        }
        let (block, hash) = *seen.decided.entry(event.height).or_insert((event.block, event.hash));
        if block != event.block || hash != event.hash {
            let found = format!("{} executed to {}", event.block, event.hash);
            seen.violation(format!("node {node} finalised {found} at height {}, others {block}/{hash}", event.height));
        }
        let count = u64::try_from(event.transactions).unwrap_or(u64::MAX);
        for (what, by) in [
            (Sometimes::LaterRound, u64::from(rounds.1 > 0)),
            (Sometimes::Reproposed, u64::from(rounds.1 > rounds.0)),
            (Sometimes::CatchUp, u64::from(caught_up)),
            (Sometimes::Transaction, count),
        ] {
            *seen.counters.entry(what).or_default() += by;
        }
        let line = format!("node {node} block {} {} round {} txs {count}", event.height, event.block, rounds.1);
        seen.note(&line);
        let height = seen.nodes[node].height;
        self.heights.send_modify(|heights| heights[node] = height);
    }

    /// From now on nothing is heard from `node`: its life ends.
    pub fn fell(&self, node: usize) {
        self.seen.lock().nodes[node].life += 1;
    }

    /// `node` begins a new life with `chain`. Returns its number.
    pub fn rose(&self, node: usize, chain: &FullChain) -> u32 {
        let mut seen = self.seen.lock();
        let height = chain.head().height();
        let (known, highest) = (seen.nodes[node].height, seen.highest());
        if height < known {
            seen.violation(format!("node {node} has forgotten blocks {}..={known}", height + 1));
        }
        // It may know of blocks that nobody has seen it finalise.
        for known in known + 1..=height {
            let found = chain.blocks().executed(known).ok().flatten().map(|b| (b.block, b.hash));
            match found {
                Some(found) if *seen.decided.entry(known).or_insert(found) == found => {}
                other => seen.violation(format!("node {node} recovered {other:?} at height {known}")),
            }
        }
        let own = &mut seen.nodes[node];
        (own.height, own.rose_at) = (height, height);
        own.behind = (highest >= height + 3).then_some(highest);
        let life = own.life;
        seen.note(&format!("node {node} up at {height}"));
        self.heights.send_modify(|heights| heights[node] = height);
        life
    }

    /// Counts something.
    pub fn count(&self, what: Sometimes) {
        *self.seen.lock().counters.entry(what).or_default() += 1;
    }

    /// Writes a line into the trace.
    pub fn note(&self, what: &str) {
        self.seen.lock().note(what);
    }

    /// Marks the nodes that lag now, so that their catching up is counted.
    pub fn mark_laggards(&self) {
        let mut seen = self.seen.lock();
        let highest = seen.highest();
        for node in seen.nodes.iter_mut().filter(|node| highest >= node.height + 3) {
            node.behind = Some(highest);
        }
    }

    /// The highest block anybody has finalised.
    pub fn highest(&self) -> Height {
        self.seen.lock().highest()
    }

    /// Resolves when every node has finalised `height`.
    pub async fn all_reach(&self, height: Height) {
        let mut heights = self.heights.subscribe();
        // This owns the sender, so that waiting cannot fail.
        let _ = heights.wait_for(|heights| heights.iter().all(|h| *h >= height)).await;
    }

    /// Where every node stands.
    pub fn standing(&self) -> Vec<Height> {
        self.heights.borrow().clone()
    }

    /// Fails the run if something happened that must not.
    pub fn assert_sound(&self) {
        let seen = self.seen.lock();
        assert!(seen.violations.is_empty(), "{}\n{}", seen.trace, seen.violations.join("\n"));
    }

    /// What happened, and how often.
    pub fn testimony(&self) -> (String, BTreeMap<Sometimes, u64>) {
        let seen = self.seen.lock();
        (seen.trace.clone(), seen.counters.clone())
    }
}

impl Seen {
    fn note(&mut self, what: &str) {
        let time = now();
        let _ = writeln!(self.trace, "{:>4}.{:09} {what}", time.as_secs(), time.subsec_nanos());
    }

    fn violation(&mut self, what: String) {
        self.note(&format!("VIOLATION: {what}"));
        self.violations.push(what);
    }

    fn highest(&self) -> Height {
        self.nodes.iter().map(|node| node.height).max().unwrap_or_default()
    }
}

/// Checks a finalised block against what the node has stored of it.
fn judge(chain: &FullChain, event: &BlockFinalised, stored: Option<&(Block, Certificate)>) -> Result<(), String> {
    let (block, certificate) = stored.ok_or("the block or its certificate is not stored")?;
    if block.id() != event.block || certificate.block != event.block || certificate.height != event.height {
        return Err(format!("the certificate or the stored block is for another than {}", event.block));
    }
    let spec = chain.spec();
    let seated = chain.committee_at(event.height).map_err(|e| e.to_string())?;
    certificate.verify(spec.chain_id, &seated.committee).map_err(|e| e.to_string())
}
