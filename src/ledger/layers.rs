//! A state with changes on top that are not in it yet: what the next block reads while the one before is being stored.
//!
//! Owns nothing. Invariant: reads answer as the state with all changes applied would.

use super::state::{AccountInfo, StateDelta, StateError, StateView};
use crate::types::{Address, B256, U256};
use alloy_primitives::Bytes;

/// Changes of consecutive blocks, the newest first, above a state.
pub struct Layers<'a, S: ?Sized> {
    /// What the blocks changed, the newest first.
    pub deltas: Vec<&'a StateDelta>,
    /// The state before the oldest of them.
    pub below: &'a S,
}

impl<S: StateView + ?Sized> StateView for Layers<'_, S> {
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StateError> {
        match self.deltas.iter().find_map(|delta| delta.accounts.get(address)) {
            Some(change) => Ok(change.info),
            None => self.below.account(address),
        }
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        for change in self.deltas.iter().filter_map(|delta| delta.accounts.get(address)) {
            if let Some(value) = change.slots.get(slot) {
                return Ok(*value);
            }
            if change.wiped || change.info.is_none() {
                return Ok(U256::ZERO);
            }
        }
        self.below.slot(address, slot)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        match self.deltas.iter().find_map(|delta| delta.code.get(hash)) {
            Some(code) => Ok(code.clone()),
            None => self.below.code(hash),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{commitment::deltas, state::MemoryState};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn layers_read_as_the_state_they_lead_to(all in prop::collection::vec(deltas::delta(), 0..6), split in 0usize..6) {
            let split = split.min(all.len());
            let (mut below, mut whole) = (MemoryState::default(), MemoryState::default());
            all[..split].iter().for_each(|delta| below.apply(delta));
            all.iter().for_each(|delta| whole.apply(delta));
            let layers = Layers { deltas: all[split..].iter().rev().collect(), below: &below };
            for address in (0u8..8).map(Address::repeat_byte) {
                prop_assert_eq!(layers.account(&address), whole.account(&address));
                for slot in (0u64..6).map(U256::from) {
                    prop_assert_eq!(layers.slot(&address, &slot), whole.slot(&address, &slot));
                }
            }
        }
    }
}
