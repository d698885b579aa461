//! The state root: one hash that commits to every account and slot, as Ethereum defines it.
//!
//! Owns the account trie and the storage tries. Must not know where flat state is kept. Invariant: after [`StateCommitment::apply`]
//! the root equals the one alloy-trie computes from the flat state.

use super::{
    state::{AccountInfo, StateDelta},
    trie::Trie,
};
use crate::types::{Address, B256, U256};
use alloy_primitives::{Bytes, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use std::collections::BTreeMap;

/// A commitment to the whole state that follows it block by block.
pub trait StateCommitment: Send + Sync {
    /// The root after the last applied delta.
    fn root(&self) -> B256;
    /// Applies a block's changes and returns the new root.
    fn apply(&mut self, delta: &StateDelta) -> B256;
    /// Root of an account's storage.
    fn storage_root(&self, address: &Address) -> B256;
    /// Merkle proof of an account or of its absence, as `eth_getProof` gives it.
    fn account_proof(&self, address: &Address) -> Vec<Bytes>;
    /// Merkle proof of a slot or of its absence.
    fn storage_proof(&self, address: &Address, slot: &U256) -> Vec<Bytes>;
}

/// Ethereum's Merkle-Patricia tries, wholly in memory.
#[derive(Debug)]
pub struct StateTrie {
    accounts: Trie,
    storage: BTreeMap<Address, Storage>,
    root: B256,
}

#[derive(Debug, Default)]
struct Storage {
    trie: Trie,
    root: B256,
}

impl Default for StateTrie {
    fn default() -> Self {
        Self { accounts: Trie::default(), storage: BTreeMap::new(), root: EMPTY_ROOT_HASH }
    }
}

impl StateTrie {
    /// The commitment to a flat state, read once in any order. Stops at the first error of the readers.
    pub fn rebuild<E>(
        accounts: impl IntoIterator<Item = Result<(Address, AccountInfo), E>>,
        slots: impl IntoIterator<Item = Result<(Address, U256, U256), E>>,
    ) -> Result<Self, E> {
        let mut this = Self::default();
        for entry in slots {
            let (address, slot, value) = entry?;
            this.storage.entry(address).or_default().write(&slot, &value);
        }
        for entry in accounts {
            let (address, info) = entry?;
            let storage_root = this.settle_storage(&address);
            this.write_account(&address, &info, storage_root);
        }
        this.root = this.accounts.root();
        Ok(this)
    }

    /// Computes an account's storage root and forgets a trie that has become empty.
    fn settle_storage(&mut self, address: &Address) -> B256 {
        let Some(storage) = self.storage.get_mut(address) else { return EMPTY_ROOT_HASH };
        storage.root = storage.trie.root();
        let root = storage.root;
        if storage.trie.is_empty() {
            self.storage.remove(address);
        }
        root
    }

    fn write_account(&mut self, address: &Address, info: &AccountInfo, storage_root: B256) {
        let leaf = TrieAccount::new(info.nonce, info.balance, storage_root, info.code_hash);
        self.accounts.insert(&keccak256(address), alloy_rlp::encode(leaf));
    }
}

impl Storage {
    fn write(&mut self, slot: &U256, value: &U256) {
        let key = keccak256(slot.to_be_bytes::<32>());
        match value.is_zero() {
            true => self.trie.remove(&key),
            false => self.trie.insert(&key, alloy_rlp::encode(value)),
        }
    }
}

impl StateCommitment for StateTrie {
    fn root(&self) -> B256 {
        self.root
    }

    fn apply(&mut self, delta: &StateDelta) -> B256 {
        for (address, change) in &delta.accounts {
            if change.wiped || change.info.is_none() {
                self.storage.remove(address);
            }
            let Some(info) = &change.info else {
                self.accounts.remove(&keccak256(address));
                continue;
            };
            if !change.slots.is_empty() {
                let storage = self.storage.entry(*address).or_default();
                change.slots.iter().for_each(|(slot, value)| storage.write(slot, value));
            }
            let storage_root = self.settle_storage(address);
            self.write_account(address, info, storage_root);
        }
        self.root = self.accounts.root();
        self.root
    }

    fn storage_root(&self, address: &Address) -> B256 {
        self.storage.get(address).map_or(EMPTY_ROOT_HASH, |storage| storage.root)
    }

    fn account_proof(&self, address: &Address) -> Vec<Bytes> {
        self.accounts.proof(&keccak256(address))
    }

    fn storage_proof(&self, address: &Address, slot: &U256) -> Vec<Bytes> {
        let key = keccak256(slot.to_be_bytes::<32>());
        self.storage.get(address).map(|storage| storage.trie.proof(&key)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::state::{AccountDelta, MemoryState};
    use alloy_trie::{
        Nibbles,
        proof::verify_proof,
        root::{state_root_unhashed, storage_root_unhashed},
    };
    use proptest::prelude::*;
    use std::convert::Infallible;

    /// Root of a flat state by alloy-trie's hash builder.
    fn oracle(state: &MemoryState) -> B256 {
        let storage = |address: Address| {
            let slots = state.slots().filter(move |(owner, _, _)| *owner == address);
            storage_root_unhashed(slots.map(|(_, slot, value)| (B256::from(slot), value)))
        };
        state_root_unhashed(state.accounts().map(|(address, info)| {
            (address, TrieAccount::new(info.nonce, info.balance, storage(address), info.code_hash))
        }))
    }

    fn change() -> impl Strategy<Value = AccountDelta> {
        let slots = prop::collection::btree_map((0u64..6).prop_map(U256::from), (0u64..3).prop_map(U256::from), 0..6);
        (prop::option::weighted(0.8, (0u64..3, 0u64..3)), slots, prop::bool::weighted(0.2)).prop_map(
            |(info, slots, wiped)| match info {
                Some((nonce, balance)) => {
                    let info = AccountInfo { nonce: nonce + 1, balance: U256::from(balance), ..Default::default() };
                    AccountDelta { info: Some(info), slots, wiped }
                }
                None => AccountDelta { info: None, slots: BTreeMap::new(), wiped: true },
            },
        )
    }

    fn delta() -> impl Strategy<Value = StateDelta> {
        prop::collection::btree_map((0u8..8).prop_map(Address::repeat_byte), change(), 0..8)
            .prop_map(|accounts| StateDelta { accounts, code: BTreeMap::new() })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn root_follows_the_flat_state(deltas in prop::collection::vec(delta(), 0..8), asked in 0u8..8, slot in 0u64..6) {
            let (mut state, mut trie) = (MemoryState::default(), StateTrie::default());
            prop_assert_eq!(trie.root(), oracle(&state));
            for delta in &deltas {
                state.apply(delta);
                prop_assert_eq!(trie.apply(delta), oracle(&state));
            }
            let rebuilt = StateTrie::rebuild(
                state.accounts().map(Ok::<_, Infallible>),
                state.slots().map(Ok::<_, Infallible>),
            );
            prop_assert_eq!(rebuilt.unwrap().root(), trie.root());
            let address = Address::repeat_byte(asked);
            let leaf = state.accounts().find(|(a, _)| *a == address).map(|(_, info)| {
                alloy_rlp::encode(TrieAccount::new(info.nonce, info.balance, trie.storage_root(&address), info.code_hash))
            });
            let proof = trie.account_proof(&address);
            prop_assert_eq!(verify_proof(trie.root(), Nibbles::unpack(keccak256(address)), leaf, &proof), Ok(()));
            let slot = U256::from(slot);
            let value = state.slots().find(|(a, s, _)| (*a, *s) == (address, slot)).map(|(_, _, v)| alloy_rlp::encode(v));
            let key = Nibbles::unpack(keccak256(slot.to_be_bytes::<32>()));
            let proof = trie.storage_proof(&address, &slot);
            prop_assert_eq!(verify_proof(trie.storage_root(&address), key, value, &proof), Ok(()));
        }
    }
}
