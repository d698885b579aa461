//! The states of the newest blocks as tries: proofs are asked for the block that is certified, which is not the newest.
//!
//! Owns how many are kept. Must not know blocks. Invariant: heights are consecutive and the last is the newest stored one.

use crate::{ledger::commitment::StateTrie, types::Height};
use parking_lot::Mutex;
use std::collections::VecDeque;

/// States kept. Each costs what its block changed.
pub(super) const KEPT_STATES: u64 = 64;

/// The newest states, oldest first.
pub(super) struct RecentStates {
    states: Mutex<VecDeque<(Height, StateTrie)>>,
}

impl RecentStates {
    /// Begins with the state of `height`.
    pub fn new(height: Height, trie: StateTrie) -> Self {
        Self { states: Mutex::new(VecDeque::from([(height, trie)])) }
    }

    /// Keeps the state of the next block. Returns the one that is not kept any more: giving it up takes time that no lock should.
    pub fn push(&self, height: Height, trie: StateTrie) -> Option<StateTrie> {
        let mut states = self.states.lock();
        let newest = states.back().map(|(newest, _)| *newest);
        assert_eq!(newest.map(|newest| newest + 1), Some(height), "states are kept block by block");
        states.push_back((height, trie));
        let full = states.len() > usize::try_from(KEPT_STATES).unwrap_or(usize::MAX);
        if full { states.pop_front().map(|(_, trie)| trie) } else { None }
    }

    /// The state after `height`, if it is kept.
    pub fn at(&self, height: Height) -> Option<StateTrie> {
        self.states.lock().iter().rev().find(|(kept, _)| *kept == height).map(|(_, trie)| trie.clone())
    }

    /// The oldest state that is kept.
    pub fn oldest(&self) -> (Height, StateTrie) {
        self.states.lock().front().cloned().expect("there is always at least one state")
    }

    /// The newest state.
    pub fn newest(&self) -> (Height, StateTrie) {
        self.states.lock().back().cloned().expect("there is always at least one state")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{
            commitment::StateCommitment,
            state::{AccountDelta, AccountInfo, StateDelta},
        },
        types::{Address, U256},
    };
    use std::collections::BTreeMap;

    #[test]
    fn keeps_the_newest_as_they_were() {
        let recent = RecentStates::new(5, StateTrie::default());
        let address = Address::repeat_byte(1);
        let paid = |balance: u64| {
            let info = AccountInfo { balance: U256::from(balance), ..AccountInfo::default() };
            let account = AccountDelta { info: Some(info), ..AccountDelta::default() };
            StateDelta { accounts: BTreeMap::from([(address, account)]), code: BTreeMap::new() }
        };
        let last = 5 + 2 * KEPT_STATES;
        for height in 6..=last {
            let mut trie = recent.newest().1;
            trie.apply(&paid(height));
            let given_up = recent.push(height, trie);
            assert_eq!(given_up.is_some(), height >= 5 + KEPT_STATES);
        }
        let balance = |height| recent.at(height).map(|trie| trie.account(&address).unwrap().info.balance);
        assert_eq!(balance(last), Some(U256::from(last)));
        assert_eq!(balance(last - 63), Some(U256::from(last - 63)));
        assert_eq!((balance(last - 64), balance(last + 1)), (None, None));
    }
}
