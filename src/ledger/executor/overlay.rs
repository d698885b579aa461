//! A state with changes on top of it, none of which is written anywhere.
//!
//! Owns the order in which the two are asked. Must not know where the changes come from: earlier transactions of a block, or
//! somebody's "what if".

use crate::{
    ledger::state::{AccountInfo, StateDelta, StateError, StateView},
    types::{Address, B256, Height, U256},
};
use alloy_primitives::{Bytes, KECCAK256_EMPTY};
use revm::{
    DatabaseRef,
    state::{AccountInfo as EvmAccount, Bytecode},
};
use std::collections::BTreeMap;

/// What `base` looks like after `changes`.
#[derive(Clone, Copy)]
pub struct Overlay<'a> {
    /// The state below.
    pub base: &'a dyn StateView,
    /// What is different.
    pub changes: &'a StateDelta,
    /// Hashes of blocks that only exist here.
    pub hashes: &'a BTreeMap<Height, B256>,
}

impl StateView for Overlay<'_> {
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StateError> {
        match self.changes.accounts.get(address) {
            Some(change) => Ok(change.info),
            None => self.base.account(address),
        }
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        match self.changes.accounts.get(address) {
            None => self.base.slot(address, slot),
            Some(change) => match change.slots.get(slot) {
                Some(value) => Ok(*value),
                None if change.wiped || change.info.is_none() => Ok(U256::ZERO),
                None => self.base.slot(address, slot),
            },
        }
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        match self.changes.code.get(hash) {
            Some(code) => Ok(code.clone()),
            None => self.base.code(hash),
        }
    }

    fn block_hash(&self, number: Height) -> Result<Option<B256>, StateError> {
        match self.hashes.get(&number) {
            Some(hash) => Ok(Some(*hash)),
            None => self.base.block_hash(number),
        }
    }
}

/// The tracers of revm-inspectors compare against the state before.
impl DatabaseRef for Overlay<'_> {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<EvmAccount>, StateError> {
        Ok(self.account(&address)?.map(|info| EvmAccount {
            balance: info.balance,
            nonce: info.nonce,
            code_hash: info.code_hash,
            code: None,
            ..Default::default()
        }))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, StateError> {
        if hash == KECCAK256_EMPTY {
            return Ok(Bytecode::default());
        }
        Bytecode::new_raw_checked(self.code(&hash)?).map_err(|_| StateError::Code(hash))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.slot(&address, &slot)
    }

    fn block_hash_ref(&self, _number: u64) -> Result<B256, StateError> {
        // No tracer asks for block hashes: the instruction that does was executed before.
        Ok(B256::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::state::{AccountDelta, MemoryState};
    use proptest::prelude::*;

    fn change() -> impl Strategy<Value = AccountDelta> {
        let slots = prop::collection::btree_map((0u64..4).prop_map(U256::from), (0u64..3).prop_map(U256::from), 0..4);
        (prop::option::weighted(0.8, 1u64..4), slots, prop::bool::weighted(0.3)).prop_map(|(nonce, slots, wiped)| {
            match nonce {
                Some(nonce) => AccountDelta { info: Some(AccountInfo { nonce, ..Default::default() }), slots, wiped },
                None => AccountDelta { info: None, slots: BTreeMap::new(), wiped: true },
            }
        })
    }

    fn delta() -> impl Strategy<Value = StateDelta> {
        prop::collection::btree_map((0u8..4).prop_map(Address::repeat_byte), change(), 0..4)
            .prop_map(|accounts| StateDelta { accounts, code: BTreeMap::new() })
    }

    proptest! {
        #[test]
        fn looks_like_the_state_after_the_changes(first in delta(), second in delta(), third in delta()) {
            let base = MemoryState::from_delta(&first);
            let mut after = base.clone();
            after.apply(&second);
            let hashes = BTreeMap::new();
            let lower = Overlay { base: &base, changes: &second, hashes: &hashes };
            let stacked = Overlay { base: &lower, changes: &third, hashes: &hashes };
            let mut after_both = after.clone();
            after_both.apply(&third);
            let mut merged = second.clone();
            merged.merge(third.clone());
            let flat = Overlay { base: &base, changes: &merged, hashes: &hashes };
            for address in (0u8..4).map(Address::repeat_byte) {
                prop_assert_eq!(lower.account(&address), after.account(&address));
                prop_assert_eq!(stacked.account(&address), after_both.account(&address));
                prop_assert_eq!(flat.account(&address), after_both.account(&address));
                for slot in (0u64..4).map(U256::from) {
                    prop_assert_eq!(lower.slot(&address, &slot), after.slot(&address, &slot));
                    prop_assert_eq!(stacked.slot(&address, &slot), after_both.slot(&address, &slot));
                    prop_assert_eq!(flat.slot(&address, &slot), after_both.slot(&address, &slot));
                }
            }
        }
    }
}
