//! Sees every block that every node finalises and says what must not happen.
//!
//! Owns the trace of a run and its counters. Checks at every block: one block and one executed state per height, no gap, nothing
//! forgotten over a restart, what [`Rules`] ask of a block; and that nobody is accused of lying who does not lie.

use crate::{
    machine::now,
    rules::{Remarks, Rules},
    sometimes::Sometimes,
};
use cess::{
    chain::{BlockFinalised, FullChain, bft::Misbehaviour},
    runtime::{Bus, Subscription},
    types::{Address, B256, BlockId, Height},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
};
use tokio::sync::watch;

/// Blocks that a node has to be behind to have something to catch up with.
const BEHIND_BLOCKS: u64 = 3;

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
    rules: Rules,
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
    /// Whether the network is cut in two.
    cut: bool,
    /// Equivocations that honest nodes hold evidence of, by who and at which height.
    accused: BTreeSet<(Address, Height)>,
    punished: BTreeSet<(Address, Height)>,
    /// Since when nothing disturbs the network.
    calm_from: Option<Height>,
    /// Latest round that anything was decided in since.
    calm_round: u32,
}

#[derive(Default, Clone)]
struct NodeSeen {
    honest: bool,
    height: Height,
    /// Height at which its life began: blocks up to it are executed again if a crash took their state.
    rose_at: Height,
    /// Life of the node that may still speak.
    life: u32,
    /// Height it has to reach to have caught up.
    behind: Option<Height>,
}

impl Witness {
    /// Of nodes at genesis, which are honest or not.
    pub fn new(rules: Rules, honest: &[bool]) -> Arc<Self> {
        let nodes = honest.iter().map(|honest| NodeSeen { honest: *honest, ..NodeSeen::default() }).collect();
        let seen = Seen { nodes, ..Seen::default() };
        Arc::new(Self { rules, seen: Mutex::new(seen), heights: watch::Sender::new(vec![0; honest.len()]) })
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
                    self.accuse(node, life, &found?);
                    continue;
                }
            };
            let verdict = self.rules.check(&chain, &event).map_err(|fault| format!("{fault:#}"));
            self.saw(node, life, &event, verdict);
        }
    }

    /// Nobody is accused who does not lie, whatever happens to its disks.
    fn accuse(&self, node: usize, life: u32, found: &Misbehaviour) {
        let Misbehaviour { height, account, .. } = found;
        let mut seen = self.seen.lock();
        if seen.nodes[node].life != life {
            return;
        }
        if !self.rules.may_lie(account) {
            seen.violation(format!("node {node} saw {account} sign two messages for one step of height {height}"));
        } else if seen.nodes[node].honest {
            seen.count(Sometimes::EquivocationSeen, 1);
            seen.note(&format!("node {node} accuses {account} at height {height}"));
            // What was seen amid trouble may be lost with the one who saw it.
            if seen.calm_from.is_some_and(|calm| *height > calm) {
                seen.accused.insert((*account, *height));
            }
        }
    }

    fn saw(&self, node: usize, life: u32, event: &BlockFinalised, verdict: Result<Remarks, String>) {
        let mut seen = self.seen.lock();
        let own = &mut seen.nodes[node];
        if own.life != life {
            return;
        }
        let recovered = event.height <= own.rose_at;
        let expected = if recovered { event.height } else { own.height + 1 };
        own.height = own.height.max(event.height);
        if own.behind.take_if(|height| *height <= event.height).is_some() {
            seen.count(Sometimes::CatchUp, 1);
        }
        if event.height != expected {
            seen.violation(format!("node {node} finalised {} after {}", event.height, expected - 1));
        }
        let first = !seen.decided.contains_key(&event.height);
        let (block, hash) = *seen.decided.entry(event.height).or_insert((event.block, event.hash));
        if block != event.block || hash != event.hash {
            let found = format!("{} executed to {}", event.block, event.hash);
            seen.violation(format!("node {node} finalised {found} at height {}, others {block}/{hash}", event.height));
        }
        let remarks = match verdict {
            Ok(remarks) => remarks,
            Err(fault) => {
                seen.violation(format!("node {node} at height {}: {fault}", event.height));
                Remarks::default()
            }
        };
        seen.remark(first, event, &remarks);
        let line = format!(
            "node {node} block {} {} round {} txs {}",
            event.height, event.block, remarks.decided, event.transactions
        );
        seen.note(&line);
        let height = seen.nodes[node].height;
        self.heights.send_modify(|heights| heights[node] = height);
    }

    /// From now on nothing is heard from `node`: its life ends.
    pub fn fell(&self, node: usize) {
        self.seen.lock().nodes[node].life += 1;
    }

    /// `node` has lost what it had stored.
    pub fn forgets(&self, node: usize) {
        self.seen.lock().nodes[node].height = 0;
    }

    /// `node` begins a new life with `chain`. Returns its number.
    pub fn rose(&self, node: usize, chain: &FullChain) -> u32 {
        let mut seen = self.seen.lock();
        let height = chain.head().height();
        let (known, highest) = (seen.nodes[node].height, seen.highest());
        if height < known {
            seen.violation(format!("node {node} has forgotten blocks {}..={known}", height + 1));
        }
        // The state after a block that it has not executed is judged by that block's executed hash.
        let taken_over = chain.blocks().first_height().unwrap_or_default().saturating_sub(1);
        if taken_over > known {
            seen.count(Sometimes::StateSync, 1);
        }
        // It may know of blocks that nobody has seen it finalise.
        for known in taken_over.max(known + 1)..=height {
            let found = chain.blocks().executed(known).ok().flatten().map(|b| (b.block, b.hash));
            match found {
                Some(found) if *seen.decided.entry(known).or_insert(found) == found => {}
                other => seen.violation(format!("node {node} recovered {other:?} at height {known}")),
            }
        }
        let own = &mut seen.nodes[node];
        (own.height, own.rose_at) = (height, height);
        own.behind = (highest >= height + BEHIND_BLOCKS).then_some(highest);
        let life = own.life;
        seen.note(&format!("node {node} up at {height}"));
        self.heights.send_modify(|heights| heights[node] = height);
        life
    }

    /// Counts something.
    pub fn count(&self, what: Sometimes) {
        self.seen.lock().count(what, 1);
    }

    /// Writes a line into the trace.
    pub fn note(&self, what: &str) {
        self.seen.lock().note(what);
    }

    /// Marks the nodes that lag now, so that their catching up is counted.
    pub fn mark_laggards(&self) {
        let mut seen = self.seen.lock();
        let highest = seen.highest();
        for node in seen.nodes.iter_mut().filter(|node| highest >= node.height + BEHIND_BLOCKS) {
            node.behind = Some(highest);
        }
    }

    /// Takes note that the network is cut in two, or whole again.
    pub fn cut(&self, cut: bool) {
        self.seen.lock().cut = cut;
    }

    /// Takes note that nothing disturbs the network from now on, apart from the liars.
    pub fn calm(&self) {
        let mut seen = self.seen.lock();
        // The height being decided and the one after it still feel the trouble: rounds passed, nodes are behind.
        seen.calm_from = Some(seen.highest() + 2);
    }

    /// Latest round of a decision since then.
    pub fn calm_round(&self) -> u32 {
        self.seen.lock().calm_round
    }

    /// Equivocations below `height` that honest nodes saw since then and that no block has punished.
    pub fn unpunished(&self, height: Height) -> Vec<(Address, Height)> {
        let seen = self.seen.lock();
        let open = seen.accused.difference(&seen.punished).copied();
        open.filter(|(_, accused)| *accused < height).collect()
    }

    /// The highest block anybody has finalised.
    pub fn highest(&self) -> Height {
        self.seen.lock().highest()
    }

    /// Resolves when every honest node has finalised `height`.
    pub async fn all_reach(&self, height: Height) {
        let honest: Vec<bool> = self.seen.lock().nodes.iter().map(|node| node.honest).collect();
        let mut heights = self.heights.subscribe();
        let reached = |heights: &Vec<Height>| heights.iter().zip(&honest).all(|(h, honest)| *h >= height || !honest);
        // This owns the sender, so that waiting cannot fail.
        let _ = heights.wait_for(reached).await;
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

    fn count(&mut self, what: Sometimes, by: u64) {
        *self.counters.entry(what).or_default() += by;
    }

    fn violation(&mut self, what: String) {
        self.note(&format!("VIOLATION: {what}"));
        self.violations.push(what);
    }

    fn highest(&self) -> Height {
        self.nodes.iter().map(|node| node.height).max().unwrap_or_default()
    }

    /// Counts what is remarkable about a block, some of it only when it is seen for the first time.
    fn remark(&mut self, first: bool, event: &BlockFinalised, remarks: &Remarks) {
        let opens = first && remarks.era.is_some();
        for (what, happened) in [
            (Sometimes::LaterRound, remarks.decided > 0),
            (Sometimes::Reproposed, remarks.decided > remarks.built),
            (Sometimes::FutureBlock, first && remarks.future),
            (Sometimes::PushedBlock, remarks.pushed),
            (Sometimes::BuiltAhead, remarks.ahead),
            (Sometimes::EraChange, opens),
            (Sometimes::EraChangeInPartition, opens && self.cut),
            (Sometimes::NewCommittee, opens && remarks.new_committee),
            (Sometimes::EquivocationPunished, first && !remarks.punished.is_empty()),
        ] {
            self.count(what, u64::from(happened));
        }
        self.count(Sometimes::Transaction, u64::try_from(event.transactions).unwrap_or(u64::MAX));
        self.punished.extend(&remarks.punished);
        if self.calm_from.is_some_and(|calm| event.height > calm) {
            self.calm_round = self.calm_round.max(remarks.decided);
        }
    }
}
