//! A bounded in-memory cache of flat state, in shards of two generations each.
//!
//! Owns recently read and written accounts, slots and bytecode. Must not know the database. Invariants: memory is bounded by
//! twice [`GENERATION_MAX_ENTRIES`] small entries and twice [`GENERATION_MAX_CODE_BYTES`] of code in each of [`SHARDS`] shards;
//! absence is cached too; a key has one shard, so that threads that execute a block seldom wait for each other.

use crate::{
    ledger::state::AccountInfo,
    types::{Address, B256, U256},
};
use alloy_primitives::Bytes;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;

/// Parts with a lock of their own.
const SHARDS: usize = 16;
/// Accounts, and separately slots, one generation of a shard holds.
const GENERATION_MAX_ENTRIES: usize = 8_192;
/// Bytes of code one generation of a shard holds.
const GENERATION_MAX_CODE_BYTES: usize = 2 << 20;

/// The whole cache.
#[derive(Default)]
pub struct ReadCache {
    shards: [Mutex<Shard>; SHARDS],
}

impl ReadCache {
    /// The part that knows an account.
    pub fn of_account(&self, address: &Address) -> MutexGuard<'_, Shard> {
        self.shards[usize::from(address[19]) % SHARDS].lock()
    }

    /// The part that knows a word. Words of one account are spread.
    pub fn of_slot(&self, address: &Address, slot: &U256) -> MutexGuard<'_, Shard> {
        self.shards[usize::from(address[19] ^ slot.byte(0) ^ slot.byte(31)) % SHARDS].lock()
    }

    /// The part that knows bytecode.
    pub fn of_code(&self, hash: &B256) -> MutexGuard<'_, Shard> {
        self.shards[usize::from(hash[31]) % SHARDS].lock()
    }

    /// Forgets every word of an account.
    pub fn wipe(&self, address: &Address) {
        self.shards.iter().for_each(|shard| shard.lock().slots.retain(|(owner, _)| owner != address));
    }
}

/// What was read or written of late.
#[derive(Default)]
pub struct Shard {
    accounts: Generations<Address, Option<AccountInfo>>,
    slots: Generations<(Address, U256), U256>,
    code: Generations<B256, Bytes>,
}

impl Shard {
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
        let cache = ReadCache::default();
        let (gone, kept) = (Address::repeat_byte(1), Address::repeat_byte(2));
        for slot in (0..64).map(U256::from) {
            cache.of_slot(&gone, &slot).put_slot(gone, slot, U256::from(5));
            cache.of_slot(&kept, &slot).put_slot(kept, slot, U256::from(6));
        }
        cache.wipe(&gone);
        for slot in (0..64).map(U256::from) {
            assert_eq!(cache.of_slot(&gone, &slot).slot(&gone, &slot), None);
            assert_eq!(cache.of_slot(&kept, &slot).slot(&kept, &slot), Some(U256::from(6)));
        }
    }
}
