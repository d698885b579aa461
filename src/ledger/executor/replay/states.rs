//! The state at every point of a block, as its access list tells it.
//!
//! Owns the reading of a list by index. Must not know the EVM. Invariants: before index `i` the state is the one before the block
//! with the list's changes at all indices below `i`; what the list does not name is as it was before the block; once made,
//! nothing changes, and no lock is taken.

use crate::{
    ledger::{
        executor::AccessList,
        state::{AccountInfo, StateError, StateView},
    },
    types::{Address, B256, U256},
};
use alloy_eip7928::{AccountChanges, BlockAccessIndex};
use alloy_primitives::{
    Bytes, KECCAK256_EMPTY, keccak256,
    map::{AddressMap, B256Map, U256Map},
};
use rayon::prelude::*;
use std::cell::Cell;

/// Values after changes, by index, in ascending order.
type History<V> = Vec<(u64, V)>;

/// Everything a list tells, and what it tells it about as it was before the block.
pub(super) struct States<'a> {
    view: &'a (dyn StateView + Sync),
    accounts: AddressMap<AccountHistory>,
    code: B256Map<Bytes>,
}

/// One account of the list.
struct AccountHistory {
    before: Option<AccountInfo>,
    nonces: History<u64>,
    balances: History<U256>,
    code: History<B256>,
    slots: U256Map<SlotHistory>,
}

struct SlotHistory {
    before: U256,
    changes: History<U256>,
}

/// What the last change below `index` left.
fn last_before<V: Copy>(history: &[(u64, V)], index: u64) -> Option<V> {
    let below = history.partition_point(|(at, _)| *at < index);
    history[..below].last().map(|(_, value)| *value)
}

fn history<C, V>(changes: &[C], of: impl Fn(&C) -> (BlockAccessIndex, V)) -> History<V> {
    changes.iter().map(&of).map(|(index, value)| (index.get(), value)).collect()
}

impl<'a> States<'a> {
    /// Reads what the list names from the state before the block, on all threads.
    pub fn new(view: &'a (dyn StateView + Sync), list: &AccessList) -> Result<Self, StateError> {
        let read = |account: &AccountChanges| AccountHistory::read(view, account).map(|read| (account.address, read));
        let accounts = list.accounts().par_iter().map(read).collect::<Result<Vec<_>, _>>()?.into_iter().collect();
        let new_code = list.accounts().iter().flat_map(|account| &account.code_changes);
        let code = new_code.map(|change| (keccak256(&change.new_code), change.new_code.clone())).collect();
        Ok(Self { view, accounts, code })
    }

    /// The state before an index, which can be moved.
    pub fn before(&self, index: u64) -> StateBefore<'_> {
        StateBefore { states: self, index: Cell::new(index) }
    }

    /// Whether what happens at `index` changes the nonce of `address` from `nonce` to a higher one.
    pub fn uses_nonce(&self, address: &Address, nonce: u64, index: u64) -> bool {
        let Some(account) = self.accounts.get(address) else { return false };
        let after = account.nonces.binary_search_by_key(&index, |(at, _)| *at).map(|at| account.nonces[at].1);
        let before = account.at(index).map_or(0, |info| info.nonce);
        before == nonce && after.is_ok_and(|after| after > nonce)
    }
}

impl AccountHistory {
    fn read(view: &dyn StateView, account: &AccountChanges) -> Result<Self, StateError> {
        let mut slots = U256Map::default();
        for slot in &account.storage_changes {
            let changes = history(&slot.changes, |change| (change.block_access_index, change.new_value));
            slots.insert(slot.slot, SlotHistory { before: view.slot(&account.address, &slot.slot)?, changes });
        }
        for slot in &account.storage_reads {
            let before = view.slot(&account.address, slot)?;
            slots.entry(*slot).or_insert(SlotHistory { before, changes: Vec::new() });
        }
        Ok(Self {
            before: view.account(&account.address)?,
            nonces: history(&account.nonce_changes, |change| (change.block_access_index, change.new_nonce)),
            balances: history(&account.balance_changes, |change| (change.block_access_index, change.post_balance)),
            code: history(&account.code_changes, |change| {
                let hash = if change.new_code.is_empty() { KECCAK256_EMPTY } else { keccak256(&change.new_code) };
                (change.block_access_index, hash)
            }),
            slots,
        })
    }

    fn at(&self, index: u64) -> Option<AccountInfo> {
        let changes =
            (last_before(&self.nonces, index), last_before(&self.balances, index), last_before(&self.code, index));
        if let (None, None, None) = changes {
            return self.before;
        }
        let mut info = self.before.unwrap_or_default();
        info.nonce = changes.0.unwrap_or(info.nonce);
        info.balance = changes.1.unwrap_or(info.balance);
        info.code_hash = changes.2.unwrap_or(info.code_hash);
        (!info.is_empty()).then_some(info)
    }
}

/// The state before an index of the list.
pub(super) struct StateBefore<'a> {
    states: &'a States<'a>,
    index: Cell<u64>,
}

impl StateBefore<'_> {
    /// From now on, the state before `index`.
    pub fn seek(&self, index: u64) {
        self.index.set(index);
    }
}

impl StateView for StateBefore<'_> {
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StateError> {
        match self.states.accounts.get(address) {
            Some(account) => Ok(account.at(self.index.get())),
            None => self.states.view.account(address),
        }
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        match self.states.accounts.get(address).and_then(|account| account.slots.get(slot)) {
            Some(slot) => Ok(last_before(&slot.changes, self.index.get()).unwrap_or(slot.before)),
            None => self.states.view.slot(address, slot),
        }
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        match self.states.code.get(hash) {
            Some(code) => Ok(code.clone()),
            None => self.states.view.code(hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, StateError> {
        self.states.view.block_hash(number)
    }
}
