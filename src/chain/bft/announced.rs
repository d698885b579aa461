//! Proposals of the height being decided whose signature and turn the engine has verified: what makes a block worth judging.
//!
//! The parts of a block say nothing about who proposes it, so that a block is looked at only when a proposal here names it.
//! Invariants: one height at a time; what a proposer can add in a turn is bounded, and takes no room from the turns of others.

use crate::{
    consensus::messages::Proposal,
    types::{BlockId, Height},
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};

/// Blocks one proposer may propose in one round. The engine keeps two, which convict it, and one more that two thirds vote for.
const ROUND_MAX_PROPOSALS: usize = 4;

/// The proposals. The engine's verifier adds, the driver reads.
#[derive(Default)]
pub(super) struct Announced {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    height: Height,
    rounds: BTreeMap<u32, Vec<Proposal>>,
    fresh: VecDeque<Proposal>,
}

impl Announced {
    /// Takes note of a verified proposal; whether it is news. The first one of a later height replaces all of an earlier.
    pub fn note(&self, proposal: &Proposal) -> bool {
        let mut inner = self.inner.lock();
        if proposal.height < inner.height {
            return false;
        }
        if proposal.height > inner.height {
            *inner = Inner { height: proposal.height, ..Inner::default() };
        }
        let round = inner.rounds.entry(proposal.round).or_default();
        if round.len() >= ROUND_MAX_PROPOSALS || round.iter().any(|known| known.block == proposal.block) {
            return false;
        }
        round.push(proposal.clone());
        inner.fresh.push_back(proposal.clone());
        true
    }

    /// The next proposal the driver has not seen.
    pub fn next(&self) -> Option<Proposal> {
        self.inner.lock().fresh.pop_front()
    }

    /// The latest proposal of a block.
    pub fn latest(&self, height: Height, block: &BlockId) -> Option<Proposal> {
        let inner = self.inner.lock();
        let mut proposals = inner.rounds.values().rev().flatten();
        proposals.find(|proposal| proposal.height == height && proposal.block == *block).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{consensus::context::Account, types::Address};

    fn proposal(height: Height, round: u32, block: u8) -> Proposal {
        let (block, proposer) = (BlockId([block; 32]), Account(Address::ZERO));
        Proposal { height, round, pol_round: None, block, proposer }
    }

    #[test]
    fn the_latest_proposal_of_a_block_counts() {
        let announced = Announced::default();
        assert!(announced.note(&proposal(5, 0, 1)) && announced.note(&proposal(5, 4, 1)));
        assert!(announced.note(&proposal(5, 2, 1)) && announced.note(&proposal(5, 7, 2)));
        assert!(!announced.note(&proposal(5, 4, 1)), "it is known");
        assert_eq!(announced.latest(5, &BlockId([1; 32])), Some(proposal(5, 4, 1)));
        assert_eq!(announced.latest(5, &BlockId([3; 32])), None);
        assert_eq!(announced.latest(6, &BlockId([1; 32])), None);
        let fresh: Vec<_> = std::iter::from_fn(|| announced.next().map(|p| p.round)).collect();
        assert_eq!(fresh, [0, 4, 2, 7]);
    }

    #[test]
    fn a_proposer_fills_its_own_turn_only() {
        let announced = Announced::default();
        let taken = (0..100).filter(|block| announced.note(&proposal(5, 0, *block))).count();
        assert_eq!(taken, ROUND_MAX_PROPOSALS);
        assert!(announced.note(&proposal(5, 1, 200)));
    }

    #[test]
    fn heights_replace_each_other() {
        let announced = Announced::default();
        assert!(announced.note(&proposal(5, 0, 1)) && announced.note(&proposal(6, 0, 2)));
        assert!(!announced.note(&proposal(5, 1, 1)));
        assert_eq!(announced.latest(5, &BlockId([1; 32])), None);
        assert_eq!(announced.next(), Some(proposal(6, 0, 2)));
        assert_eq!(announced.next(), None);
    }
}
