//! States of the past: the oldest state that is kept, with the blocks above the wanted one taken back.
//!
//! Owns the tries on the way, which make the next question cheaper. Must not know where records are. Invariants: a trie kept for a
//! height is the state after it; one question takes back at most [`WALK_MAX_KEYS`] keys and what it reached stays.

use super::{error::StoreError, undo::UndoLog};
use crate::{
    ledger::{
        commitment::{StateCommitment, StateTrie},
        state::StateDelta,
    },
    types::Height,
};
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Accounts and slots one question may take back: a second or two of work. A farther state is reached by asking again.
const WALK_MAX_KEYS: usize = 1_000_000;
/// Blocks between two tries that are kept on the way.
const ANCHOR_BLOCKS: u64 = 256;
/// Tries kept. They share what did not change between them.
const ANCHORS_MAX: usize = 64;

/// Where a question for a state ended.
#[derive(Debug)]
pub(super) enum Past {
    /// The state.
    Found(StateTrie),
    /// It lies farther back than one question may go; the next one begins at this height.
    Farther(Height),
    /// There are no records that far back.
    Gone,
}

/// Tries of the past, the newest kept one last.
#[derive(Default)]
pub(super) struct PastStates {
    anchors: Mutex<VecDeque<(Height, StateTrie)>>,
}

impl PastStates {
    /// The state after `height`, from `above`, the state of a later height, or from what is kept between them.
    pub fn at(&self, height: Height, above: (Height, StateTrie), undo: &UndoLog) -> Result<Past, StoreError> {
        // Held throughout: two questions at once would walk the same way twice.
        let mut anchors = self.anchors.lock();
        let between = anchors.iter().filter(|(kept, _)| (height..above.0).contains(kept)).min_by_key(|(kept, _)| *kept);
        let (mut at, mut trie) = between.cloned().unwrap_or(above);
        let mut budget = WALK_MAX_KEYS;
        while at > height {
            if budget == 0 {
                return Ok(Past::Farther(at));
            }
            let end = height.max((at - 1) / ANCHOR_BLOCKS * ANCHOR_BLOCKS);
            let Some((reached, back)) = gathered(undo, at, end, &mut budget)? else { return Ok(Past::Gone) };
            trie.apply(&back);
            at = reached;
            anchors.push_back((at, trie.clone()));
            if anchors.len() > ANCHORS_MAX {
                anchors.pop_front();
            }
        }
        Ok(Past::Found(trie))
    }
}

/// What leads from the state after `from` back to that after `to`, or as far as `budget` reaches.
fn gathered(
    undo: &UndoLog,
    from: Height,
    to: Height,
    budget: &mut usize,
) -> Result<Option<(Height, StateDelta)>, StoreError> {
    let mut back = StateDelta::default();
    for height in (to + 1..=from).rev() {
        let Some(record) = undo.read(height)? else { return Ok(None) };
        let keys = record.accounts.values().map(|account| 1 + account.slots.len()).sum();
        *budget = budget.saturating_sub(keys);
        back.merge(record);
        if *budget == 0 {
            return Ok(Some((height - 1, back)));
        }
    }
    Ok(Some((to, back)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::History,
        kv::{Batch, Durability, Kv, MemoryKv},
        ledger::state::{AccountDelta, AccountInfo},
        types::{Address, B256, U256},
    };
    use std::sync::Arc;

    /// Each block pays a new account and one that all blocks pay, and every seventh block removes an old one.
    fn delta(height: Height) -> StateDelta {
        let paid = |n: u64| (Address::from_word(B256::from(U256::from(n))), height);
        let info = |balance: u64| AccountInfo { nonce: 1, balance: U256::from(balance), ..Default::default() };
        let mut delta = StateDelta::default();
        for (address, balance) in [paid(height), paid(1_000_000)] {
            let slots = [(U256::from(height % 3), U256::from(height))].into();
            delta.accounts.insert(address, AccountDelta { info: Some(info(balance)), slots, wiped: false });
        }
        if height.is_multiple_of(7) {
            let gone = AccountDelta { info: None, wiped: true, ..Default::default() };
            delta.accounts.insert(paid(height - 3).0, gone);
        }
        delta
    }

    #[test]
    fn every_state_of_the_past_is_found_and_what_is_gone_is_gone() {
        const NEWEST: Height = 700;
        let kv = Arc::new(MemoryKv::new());
        let log = UndoLog::open(kv.clone(), History::Archive, None).unwrap();
        let (mut trie, mut roots) = (StateTrie::default(), vec![StateTrie::default().root()]);
        for height in 1..=NEWEST {
            let (root, undo) = trie.apply_undoable(&delta(height));
            let mut batch = Batch::new();
            log.stage(&mut batch, height, &undo);
            kv.write(batch, Durability::Buffered).unwrap();
            roots.push(root);
        }
        let past = PastStates::default();
        for height in (0..NEWEST).step_by(13).chain((0..NEWEST).rev().step_by(29)) {
            let Past::Found(found) = past.at(height, (NEWEST, trie.clone()), &log).unwrap() else { panic!("{height}") };
            assert_eq!(found.root(), roots[usize::try_from(height).unwrap()], "{height}");
        }
        let mut batch = Batch::new();
        batch.delete(crate::kv::Column::Undo, 300u64.to_be_bytes());
        kv.write(batch, Durability::Buffered).unwrap();
        assert!(matches!(PastStates::default().at(5, (NEWEST, trie.clone()), &log).unwrap(), Past::Gone));
        assert!(matches!(PastStates::default().at(300, (NEWEST, trie), &log).unwrap(), Past::Found(_)));
    }
}
