//! A bounded in-memory cache of flat state, in two generations.
//!
//! Owns recently read and written accounts, slots and bytecode. Must not know the database. Invariants: memory is bounded by
//! twice [`GENERATION_MAX_ENTRIES`] small entries and twice [`GENERATION_MAX_CODE_BYTES`] of code; absence is cached too.

use crate::{
    ledger::state::AccountInfo,
    types::{Address, B256, U256},
};
use alloy_primitives::Bytes;
use std::collections::HashMap;

/// Accounts, and separately slots, one generation holds.
const GENERATION_MAX_ENTRIES: usize = 32_768;
/// Bytes of code one generation holds.
const GENERATION_MAX_CODE_BYTES: usize = 16 << 20;

/// What was read or written of late.
#[derive(Default)]
pub struct ReadCache {
    accounts: Generations<Address, Option<AccountInfo>>,
    slots: Generations<(Address, U256), U256>,
    code: Generations<B256, Bytes>,
}

impl ReadCache {
    /// A cached account; the inner `None` says that it does not exist.
    pub fn account(&mut self, address: &Address) -> Option<Option<AccountInfo>> {
        self.accounts.get(address)
    }

    /// A cached word.
    pub fn slot(&mut self, address: &Address, slot: &U256) -> Option<U256> {
        self.slots.get(&(*address, *slot))
    }

    /// Cached bytecode.
    pub fn code(&mut self, hash: &B256) -> Option<Bytes> {
        self.code.get(hash)
    }

    /// Remembers an account.
    pub fn put_account(&mut self, address: Address, info: Option<AccountInfo>) {
        self.accounts.put(address, info, 1, GENERATION_MAX_ENTRIES);
    }

    /// Remembers a word.
    pub fn put_slot(&mut self, address: Address, slot: U256, value: U256) {
        self.slots.put((address, slot), value, 1, GENERATION_MAX_ENTRIES);
    }

    /// Remembers bytecode.
    pub fn put_code(&mut self, hash: B256, code: Bytes) {
        let cost = code.len();
        self.code.put(hash, code, cost, GENERATION_MAX_CODE_BYTES);
    }

    /// Forgets every word of an account.
    pub fn wipe(&mut self, address: &Address) {
        self.slots.retain(|(owner, _)| owner != address);
    }
}

/// When the young generation is full it becomes the old one, and the old one is forgotten.
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    cost: usize,
}

impl<K, V> Default for Generations<K, V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), cost: 0 }
    }
}

impl<K: std::hash::Hash + Eq, V: Clone> Generations<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        self.young.get(key).or_else(|| self.old.get(key)).cloned()
    }

    fn put(&mut self, key: K, value: V, cost: usize, max: usize) {
        if self.cost + cost > max {
            self.old = std::mem::take(&mut self.young);
            self.cost = 0;
        }
        self.old.remove(&key);
        self.cost += cost;
        self.young.insert(key, value);
    }

    fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.young.retain(|key, _| keep(key));
        self.old.retain(|key, _| keep(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_value_wins_and_memory_is_bounded() {
        let mut cache = Generations::<u32, u32>::default();
        for round in 0..10 {
            for key in 0..8 {
                cache.put(key, round, 1, 4);
                assert_eq!(cache.get(&key), Some(round));
                assert!(cache.young.len() + cache.old.len() <= 8);
            }
        }
        assert_eq!(cache.get(&100), None);
    }

    #[test]
    fn wiped_accounts_lose_every_word() {
        let mut cache = ReadCache::default();
        let (gone, kept) = (Address::repeat_byte(1), Address::repeat_byte(2));
        cache.put_slot(gone, U256::from(1), U256::from(5));
        cache.put_slot(kept, U256::from(1), U256::from(6));
        cache.wipe(&gone);
        assert_eq!(cache.slot(&gone, &U256::from(1)), None);
        assert_eq!(cache.slot(&kept, &U256::from(1)), Some(U256::from(6)));
    }
}
