//! What was ever seen of a network, and what it must never contradict.
//!
//! Owns the record and the rules. Must not know sockets or processes. Invariant: what one node has shown is held against all
//! nodes for ever, so that neither a crash nor a restart may take back anything.

use crate::{
    cli::bench::net::Decided,
    client::TxOutcome,
    types::{B256, Height},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Longest time without a new block while a quorum runs.
const STALL_MAX: Duration = Duration::from_secs(60);

/// How a network broke its word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two blocks of one height.
    #[error("fork at height {height}: {first} has {one}, {second} has {other}")]
    Fork { height: Height, first: String, one: String, second: String, other: String },
    /// A node forgot blocks it had shown.
    #[error("{node} had executed block {shown} and now stands at {found}")]
    WentBack { node: String, shown: Height, found: Height },
    /// A final block is missing.
    #[error("{node} stands at height {tip} but has no block {height}")]
    Missing { node: String, tip: Height, height: Height },
    /// A transaction that had an outcome has none.
    #[error("transaction {tx} was final in block {height}, {node} does not know it")]
    LostTx { tx: B256, height: Height, node: String },
    /// A transaction has two outcomes.
    #[error("transaction {tx} was final in {one}, {node} has it in {other}")]
    MovedTx { tx: B256, one: String, node: String, other: String },
    /// No progress although it was possible.
    #[error("no block after height {height} for {seconds} s while {running} of {nodes} validators were running")]
    Stalled { height: Height, seconds: u64, running: usize, nodes: usize },
    /// A line in a node's log that must not be there.
    #[error("{node} logged: {line}")]
    Logged { node: String, line: String },
}

/// The record.
pub struct Witness {
    names: Vec<String>,
    seen: Mutex<Seen>,
}

struct Seen {
    /// The block of each height with the node that showed it first.
    blocks: BTreeMap<Height, (Decided, usize)>,
    /// Highest height each node has shown.
    tips: Vec<Height>,
    txs: BTreeMap<B256, TxOutcome>,
    running: usize,
    /// Since when a quorum runs.
    quorum_since: Option<Instant>,
    last_block: Instant,
    longest_gap: Duration,
    longest_stall: Duration,
}

/// What the record amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Highest height.
    pub height: Height,
    /// Transactions whose outcome was seen.
    pub txs: usize,
    /// Longest time between two new blocks.
    pub longest_gap: Duration,
    /// The same, without the time in which no quorum ran.
    pub longest_stall: Duration,
}

impl Witness {
    /// Nothing seen yet of nodes with these names, all of them running.
    pub fn new(names: Vec<String>, now: Instant) -> Self {
        let seen = Seen {
            blocks: BTreeMap::new(),
            tips: vec![0; names.len()],
            txs: BTreeMap::new(),
            running: names.len(),
            quorum_since: Some(now),
            last_block: now,
            longest_gap: Duration::ZERO,
            longest_stall: Duration::ZERO,
        };
        Self { names, seen: Mutex::new(seen) }
    }

    /// Takes note of where `node` says it stands.
    pub fn stands_at(&self, node: usize, tip: Height) -> Result<(), Violation> {
        let mut seen = self.seen.lock();
        let shown = seen.tips[node];
        if tip < shown {
            return Err(Violation::WentBack { node: self.names[node].clone(), shown, found: tip });
        }
        seen.tips[node] = tip;
        Ok(())
    }

    /// Takes note of what `node`, which stands at `tip`, has at `height`.
    pub fn has(
        &self,
        node: usize,
        tip: Height,
        height: Height,
        block: Option<Decided>,
        now: Instant,
    ) -> Result<(), Violation> {
        let name = |node: usize| self.names[node].clone();
        let block = block.ok_or_else(|| Violation::Missing { node: name(node), tip, height })?;
        let mut seen = self.seen.lock();
        if let Some((known, first)) = seen.blocks.get(&height) {
            let same = (known.id, known.hash, known.state_root) == (block.id, block.hash, block.state_root);
            let (first, second) = (name(*first), name(node));
            let fork = || Violation::Fork { height, first, one: shown(known), second, other: shown(&block) };
            return if same { Ok(()) } else { Err(fork()) };
        }
        let highest = seen.blocks.last_key_value().is_none_or(|(last, _)| height > *last);
        seen.blocks.insert(height, (block, node));
        if highest {
            seen.grown(now);
        }
        Ok(())
    }

    /// Takes note of a transaction's outcome. The first one counts; [`Witness::still_has`] holds every node to it.
    pub fn outcome(&self, outcome: TxOutcome) {
        self.seen.lock().txs.entry(outcome.tx).or_insert(outcome);
    }

    /// Takes note of how many nodes run now.
    pub fn runs(&self, running: usize, now: Instant) {
        let (mut seen, quorum) = (self.seen.lock(), self.names.len() * 2 / 3 + 1);
        seen.running = running;
        seen.quorum_since = (running >= quorum).then(|| seen.quorum_since.unwrap_or(now));
    }

    /// Whether the network has stood still for too long.
    pub fn is_live(&self, now: Instant) -> Result<(), Violation> {
        let (seen, nodes) = (self.seen.lock(), self.names.len());
        match seen.stall(now).filter(|stall| *stall > STALL_MAX) {
            Some(stall) => {
                let (height, running) = (seen.highest(), seen.running);
                Err(Violation::Stalled { height, seconds: stall.as_secs(), running, nodes })
            }
            None => Ok(()),
        }
    }

    /// Holds what `node` says of a transaction against its outcome.
    pub fn still_has(&self, node: usize, seen: &TxOutcome, found: Option<&TxOutcome>) -> Result<(), Violation> {
        let (tx, height, node) = (seen.tx, seen.height, self.names[node].clone());
        let place = |outcome: &TxOutcome| (outcome.height, outcome.block);
        let shown = |outcome: &TxOutcome| format!("block {} ({})", outcome.height, outcome.block);
        match found {
            None => Err(Violation::LostTx { tx, height, node }),
            Some(found) if place(found) != place(seen) => {
                Err(Violation::MovedTx { tx, one: shown(seen), node, other: shown(found) })
            }
            Some(_) => Ok(()),
        }
    }

    /// Every outcome seen.
    pub fn outcomes(&self) -> Vec<TxOutcome> {
        self.seen.lock().txs.values().cloned().collect()
    }

    /// Highest height each node has shown.
    pub fn tips(&self) -> Vec<Height> {
        self.seen.lock().tips.clone()
    }

    /// What the record amounts to.
    pub fn tally(&self) -> Tally {
        let seen = self.seen.lock();
        let (longest_gap, longest_stall) = (seen.longest_gap, seen.longest_stall);
        Tally { height: seen.highest(), txs: seen.txs.len(), longest_gap, longest_stall }
    }
}

impl Seen {
    fn highest(&self) -> Height {
        let block = self.blocks.last_key_value().map_or(0, |(height, _)| *height);
        self.tips.iter().copied().max().unwrap_or(0).max(block)
    }

    fn grown(&mut self, now: Instant) {
        self.longest_gap = self.longest_gap.max(now - self.last_block);
        self.longest_stall = self.longest_stall.max(self.stall(now).unwrap_or_default());
        self.last_block = now;
    }

    /// How long a quorum has run without a new block.
    fn stall(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.quorum_since?.max(self.last_block)))
    }
}

fn shown(block: &Decided) -> String {
    format!("block {} executed as {} with state {}", block.id, block.hash, block.state_root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::U256;

    fn block(height: Height, tag: u8) -> Option<Decided> {
        let word = B256::repeat_byte(tag);
        Some(Decided { height, id: word, hash: word, state_root: word, round: 0, bytes: 0 })
    }

    fn outcome(height: Height) -> TxOutcome {
        let (gas_used, gas_price) = (21_000, U256::ZERO);
        let (tx, block) = (B256::repeat_byte(9), B256::repeat_byte(1));
        TxOutcome { tx, height, block, gas_used, gas_price, success: true, error: None }
    }

    fn witness() -> (Witness, Instant) {
        let now = Instant::now();
        (Witness::new((0..4).map(|n| format!("validator-{n}")).collect(), now), now)
    }

    #[test]
    fn a_fork_is_seen_whichever_part_differs() {
        let (witness, now) = witness();
        witness.has(0, 5, 5, block(5, 1), now).unwrap();
        witness.has(1, 5, 5, block(5, 1), now).unwrap();
        for part in 0..3 {
            let mut other = block(5, 1).unwrap();
            let word = [&mut other.id, &mut other.hash, &mut other.state_root].into_iter().nth(part).unwrap();
            *word = B256::repeat_byte(2);
            let error = witness.has(2, 5, 5, Some(other), now).unwrap_err();
            assert!(matches!(&error, Violation::Fork { height: 5, first, .. } if first == "validator-0"), "{error}");
        }
        assert!(matches!(witness.has(2, 6, 5, None, now), Err(Violation::Missing { tip: 6, height: 5, .. })));
    }

    #[test]
    fn nothing_shown_may_be_taken_back() {
        let (witness, _) = witness();
        witness.stands_at(1, 7).unwrap();
        witness.stands_at(1, 7).unwrap();
        witness.stands_at(0, 3).unwrap();
        assert!(matches!(witness.stands_at(1, 6), Err(Violation::WentBack { shown: 7, found: 6, .. })));
        let seen = outcome(4);
        witness.outcome(seen.clone());
        assert_eq!(witness.outcomes(), std::slice::from_ref(&seen));
        assert_eq!(witness.still_has(0, &seen, Some(&seen)), Ok(()));
        assert!(matches!(witness.still_has(0, &seen, None), Err(Violation::LostTx { height: 4, .. })));
        let moved = witness.still_has(0, &seen, Some(&outcome(5))).unwrap_err().to_string();
        assert!(moved.contains("block 4") && moved.contains("block 5"), "{moved}");
    }

    #[test]
    fn only_a_quorum_can_stall() {
        let (witness, start) = witness();
        let at = |seconds| start + Duration::from_secs(seconds);
        witness.has(0, 1, 1, block(1, 1), at(2)).unwrap();
        witness.runs(2, at(3));
        assert_eq!(witness.is_live(at(500)), Ok(()));
        witness.runs(3, at(600));
        witness.runs(4, at(610));
        assert_eq!(witness.is_live(at(600) + STALL_MAX), Ok(()));
        let error = witness.is_live(at(601) + STALL_MAX).unwrap_err();
        assert_eq!(error, Violation::Stalled { height: 1, seconds: 61, running: 4, nodes: 4 });
        witness.has(3, 2, 2, block(2, 1), at(630)).unwrap();
        let tally = witness.tally();
        assert_eq!((tally.longest_gap.as_secs(), tally.longest_stall.as_secs(), tally.height), (628, 30, 2));
    }
}
