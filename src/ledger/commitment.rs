//! The state root: one hash that commits to every account and slot, as Ethereum defines it.
//!
//! Owns the account trie and the storage tries. Must not know where flat state is kept. Invariant: after [`StateCommitment::apply`]
//! the root equals the one alloy-trie computes from the flat state.

use super::{
    state::{AccountDelta, AccountInfo, StateDelta},
    trie::{Leaf, Trie},
};
use crate::types::{Address, B256, U256};
use alloy_primitives::{Bytes, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};

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

/// Ethereum's Merkle-Patricia tries, wholly in memory. A clone costs nothing and stays as it is.
#[derive(Debug, Clone, Default)]
pub struct StateTrie {
    accounts: Trie<Account>,
}

/// An account as the trie keeps it: with its address, of which the key is only a hash, and its storage.
#[derive(Debug, Clone)]
pub struct Account {
    /// Where it is.
    pub address: Address,
    /// What it is.
    pub info: AccountInfo,
    /// What it stores.
    pub storage: Trie<Word>,
}

/// A slot that is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Which.
    pub slot: U256,
    /// What it holds.
    pub value: U256,
}

impl Leaf for Account {
    fn encode(&self) -> Vec<u8> {
        let AccountInfo { nonce, balance, code_hash } = self.info;
        alloy_rlp::encode(TrieAccount::new(nonce, balance, self.storage.root(), code_hash))
    }
}

impl Leaf for Word {
    fn encode(&self) -> Vec<u8> {
        alloy_rlp::encode(self.value)
    }
}

/// Key of an account.
fn account_key(address: &Address) -> B256 {
    keccak256(address)
}

/// Key of a slot in its account's storage.
fn slot_key(slot: &U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}

impl StateTrie {
    /// The commitment to a flat state, read once, accounts first, each in any order. Stops at the first error of the readers.
    pub fn rebuild<E>(
        accounts: impl IntoIterator<Item = Result<(Address, AccountInfo), E>>,
        slots: impl IntoIterator<Item = Result<(Address, U256, U256), E>>,
    ) -> Result<Self, E> {
        let mut this = Self::default();
        for entry in accounts {
            let (address, info) = entry?;
            this.accounts.insert(&account_key(&address), Account::new(address, info));
        }
        for entry in slots {
            let (address, slot, value) = entry?;
            this.accounts.modify(&account_key(&address), |account| account.write(slot, value));
        }
        Ok(this)
    }

    /// The trie of accounts.
    pub(super) fn account_trie(&self) -> &Trie<Account> {
        &self.accounts
    }

    /// The account at `address`, if it exists.
    pub fn account(&self, address: &Address) -> Option<&Account> {
        self.accounts.get(&account_key(address))
    }

    /// A storage word, zero if never written.
    pub fn slot(&self, address: &Address, slot: &U256) -> U256 {
        let word = self.account(address).and_then(|account| account.storage.get(&slot_key(slot)));
        word.map_or(U256::ZERO, |word| word.value)
    }
}

impl Account {
    fn new(address: Address, info: AccountInfo) -> Self {
        Self { address, info, storage: Trie::default() }
    }

    fn write(&mut self, slot: U256, value: U256) {
        let key = slot_key(&slot);
        match value.is_zero() {
            true => self.storage.remove(&key),
            false => self.storage.insert(&key, Word { slot, value }),
        }
    }

    fn change(&mut self, info: AccountInfo, delta: &AccountDelta) {
        self.info = info;
        if delta.wiped {
            self.storage = Trie::default();
        }
        delta.slots.iter().for_each(|(slot, value)| self.write(*slot, *value));
    }
}

impl StateCommitment for StateTrie {
    fn root(&self) -> B256 {
        self.accounts.root()
    }

    fn apply(&mut self, delta: &StateDelta) -> B256 {
        for (address, change) in &delta.accounts {
            let key = account_key(address);
            let Some(info) = change.info else {
                self.accounts.remove(&key);
                continue;
            };
            if !self.accounts.modify(&key, |account| account.change(info, change)) {
                let mut account = Account::new(*address, info);
                account.change(info, change);
                self.accounts.insert(&key, account);
            }
        }
        self.root()
    }

    fn storage_root(&self, address: &Address) -> B256 {
        self.account(address).map_or(EMPTY_ROOT_HASH, |account| account.storage.root())
    }

    fn account_proof(&self, address: &Address) -> Vec<Bytes> {
        self.accounts.proof(&account_key(address))
    }

    fn storage_proof(&self, address: &Address, slot: &U256) -> Vec<Bytes> {
        self.account(address).map(|account| account.storage.proof(&slot_key(slot))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::state::{MemoryState, StateView};
    use alloy_trie::{
        Nibbles,
        proof::verify_proof,
        root::{state_root_unhashed, storage_root_unhashed},
    };
    use proptest::prelude::*;
    use std::{collections::BTreeMap, convert::Infallible};

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
            let mut versions = vec![(trie.clone(), state.clone())];
            for delta in &deltas {
                state.apply(delta);
                prop_assert_eq!(trie.apply(delta), oracle(&state));
                versions.push((trie.clone(), state.clone()));
            }
            for (trie, state) in &versions {
                prop_assert_eq!(trie.root(), oracle(state));
                for address in (0u8..8).map(Address::repeat_byte) {
                    prop_assert_eq!(trie.account(&address).map(|account| account.info), state.account(&address).unwrap());
                    for slot in (0u64..6).map(U256::from) {
                        prop_assert_eq!(trie.slot(&address, &slot), state.slot(&address, &slot).unwrap());
                    }
                }
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
