//! The state root: one hash that commits to every account and slot, as Ethereum defines it.
//!
//! Owns the account trie and the storage tries. Must not know where flat state is kept. Invariants: after
//! [`StateCommitment::apply`] the root equals the one alloy-trie computes from the flat state; what
//! [`StateTrie::apply_undoable`] returns leads from the state after a block back to the one before.

use super::{
    state::{AccountDelta, AccountInfo, StateDelta},
    trie::{Change, Leaf, Trie},
};
use crate::types::{Address, B256, U256};
use alloy_primitives::{Bytes, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Keys from which on they are hashed and sorted in parallel.
const PARALLEL_MIN_KEYS: usize = 256;

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
    fn encode(&self, out: &mut Vec<u8>) {
        let AccountInfo { nonce, balance, code_hash } = self.info;
        TrieAccount::new(nonce, balance, self.storage.root(), code_hash).encode(out);
    }
}

impl Leaf for Word {
    fn encode(&self, out: &mut Vec<u8>) {
        self.value.encode(out);
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
    /// The commitment to a flat state, read once, accounts first, each in any order. Stops at the first error of the readers;
    /// slots of accounts that do not exist are passed over.
    pub fn rebuild<E>(
        accounts: impl IntoIterator<Item = Result<(Address, AccountInfo), E>>,
        slots: impl IntoIterator<Item = Result<(Address, U256, U256), E>>,
    ) -> Result<Self, E> {
        let with_storage = |entry: Result<_, E>| entry.map(|(address, info)| (address, (info, Vec::new())));
        let mut found: BTreeMap<Address, (AccountInfo, Vec<(U256, U256)>)> =
            accounts.into_iter().map(with_storage).collect::<Result<_, E>>()?;
        for entry in slots {
            let (address, slot, value) = entry?;
            if let Some((_, storage)) = found.get_mut(&address) {
                storage.push((slot, value));
            }
        }
        let stored = found.into_iter().map(|(address, (info, slots))| Account::storing(address, info, slots));
        Ok(Self::build(&stored.collect::<Vec<_>>()))
    }

    /// The commitment to `accounts`, in any order.
    pub fn build(accounts: &[Account]) -> Self {
        let keyed = |(at, account): (usize, &Account)| (account_key(&account.address), Some(at));
        let mut keys: Vec<_> = accounts.par_iter().enumerate().map(keyed).collect();
        keys.par_sort_unstable_by_key(|(key, _)| *key);
        Self { accounts: Trie::placed(keys, |at| accounts[at].clone()) }
    }

    /// The commitment to accounts under their keys, in the order of these, as [`StateTrie::for_each`] gives them.
    pub fn of_sorted(accounts: &[(B256, Account)]) -> Self {
        Self { accounts: Trie::build(accounts) }
    }

    /// Calls `visit` with every account and its key, in the order of keys.
    pub fn for_each<'a>(&'a self, mut visit: impl FnMut(&'a B256, &'a Account)) {
        self.accounts.for_each(&mut visit);
    }

    /// Calls `visit` for the accounts whose keys are `start` or after it, in the order of keys, until it says no.
    pub fn visit_from<'a>(&'a self, start: &B256, mut visit: impl FnMut(&'a B256, &'a Account) -> bool) {
        self.accounts.visit_from(start, &mut visit);
    }

    /// Applies a block's changes and returns the new root, and the delta that takes them back. Code stays.
    pub fn apply_undoable(&mut self, delta: &StateDelta) -> (B256, StateDelta) {
        let changes = self.changed(delta);
        let accounts = changes.into_iter().map(|(_, change)| (*change.address, change.before)).collect();
        (self.root(), StateDelta { accounts, code: BTreeMap::new() })
    }

    fn changed<'a>(&mut self, delta: &'a StateDelta) -> Vec<(B256, AccountChange<'a>)> {
        let change = |(address, delta)| {
            (account_key(address), AccountChange { address, delta, before: AccountDelta::default() })
        };
        let mut changes = sorted(delta.accounts.iter(), delta.accounts.len(), change);
        self.accounts.merge(&mut changes);
        changes
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

/// `items` under their keys and in their order; hashed in parallel when they are many.
fn sorted<T: Send, C: Send>(
    items: impl Iterator<Item = T> + Send,
    len: usize,
    keyed: impl Fn(T) -> (B256, C) + Sync + Send,
) -> Vec<(B256, C)> {
    if len < PARALLEL_MIN_KEYS {
        let mut changes: Vec<_> = items.map(keyed).collect();
        changes.sort_unstable_by_key(|(key, _)| *key);
        return changes;
    }
    let items: Vec<T> = items.collect();
    let mut changes: Vec<_> = items.into_par_iter().map(keyed).collect();
    changes.par_sort_unstable_by_key(|(key, _)| *key);
    changes
}

impl Account {
    /// An account without storage.
    pub fn new(address: Address, info: AccountInfo) -> Self {
        Self { address, info, storage: Trie::default() }
    }

    /// An account with these slots, none of which is zero.
    pub fn storing(address: Address, info: AccountInfo, slots: Vec<(U256, U256)>) -> Self {
        let word = |(slot, value)| (slot_key(&slot), Word { slot, value });
        let len = slots.len();
        Self::of_sorted(address, info, sorted(slots.into_iter(), len, word))
    }

    /// An account with these slots under their keys, in the order of these.
    pub fn of_sorted(address: Address, info: AccountInfo, words: Vec<(B256, Word)>) -> Self {
        Self { address, info, storage: Trie::build(&words) }
    }

    /// The slots that `written` changes get their values, zero meaning none. Returns what they held before.
    fn write(&mut self, written: &BTreeMap<U256, U256>) -> BTreeMap<U256, U256> {
        let change = |(slot, value): (&U256, &U256)| {
            (slot_key(slot), WordChange { slot: *slot, value: *value, before: U256::ZERO })
        };
        let mut changes = sorted(written.iter(), written.len(), change);
        self.storage.merge(&mut changes);
        changes.into_iter().map(|(_, change)| (change.slot, change.before)).collect()
    }

    /// Every slot.
    fn words(&self) -> BTreeMap<U256, U256> {
        let mut words = BTreeMap::new();
        self.storage.for_each(&mut |_, word| words.extend([(word.slot, word.value)]));
        words
    }
}

/// What a block does to one account.
struct AccountChange<'a> {
    address: &'a Address,
    delta: &'a AccountDelta,
    /// What takes it back.
    before: AccountDelta,
}

impl Change<Account> for AccountChange<'_> {
    fn create(&mut self) -> Option<Account> {
        self.before = AccountDelta { info: None, slots: BTreeMap::new(), wiped: true };
        let mut account = Account::new(*self.address, self.delta.info?);
        account.write(&self.delta.slots);
        Some(account)
    }

    fn alter(&mut self, account: &mut Account) -> bool {
        let was = account.info;
        let wiped = self.delta.wiped || self.delta.info.is_none();
        let mut slots = BTreeMap::new();
        if wiped {
            slots = account.words();
            account.storage = Trie::default();
        }
        let written = if self.delta.info.is_some() { account.write(&self.delta.slots) } else { BTreeMap::new() };
        if !wiped {
            slots = written;
        }
        self.before = AccountDelta { info: Some(was), slots, wiped };
        self.delta.info.map(|info| account.info = info).is_some()
    }
}

/// What a block does to one slot.
struct WordChange {
    slot: U256,
    value: U256,
    before: U256,
}

impl Change<Word> for WordChange {
    fn create(&mut self) -> Option<Word> {
        (!self.value.is_zero()).then_some(Word { slot: self.slot, value: self.value })
    }

    fn alter(&mut self, word: &mut Word) -> bool {
        self.before = word.value;
        word.value = self.value;
        !self.value.is_zero()
    }
}

impl StateCommitment for StateTrie {
    fn root(&self) -> B256 {
        self.accounts.root()
    }

    fn apply(&mut self, delta: &StateDelta) -> B256 {
        self.changed(delta);
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

/// Random changes of a block.
#[cfg(test)]
pub(super) mod deltas {
    use super::*;
    use proptest::prelude::*;

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

    /// Changes of a few accounts, some of which go, with a few slots each.
    pub fn delta() -> impl Strategy<Value = StateDelta> {
        prop::collection::btree_map((0u8..8).prop_map(Address::repeat_byte), change(), 0..8)
            .prop_map(|accounts| StateDelta { accounts, code: BTreeMap::new() })
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

    use super::deltas::delta;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn root_follows_the_flat_state(deltas in prop::collection::vec(delta(), 0..8), asked in 0u8..8, slot in 0u64..6) {
            let (mut state, mut trie) = (MemoryState::default(), StateTrie::default());
            prop_assert_eq!(trie.root(), oracle(&state));
            let (mut versions, mut undos) = (vec![(trie.clone(), state.clone())], Vec::new());
            for delta in &deltas {
                state.apply(delta);
                let (root, undo) = trie.apply_undoable(delta);
                prop_assert_eq!(root, oracle(&state));
                versions.push((trie.clone(), state.clone()));
                undos.push(undo);
            }
            let mut back = trie.clone();
            for (undo, (earlier, _)) in undos.iter().zip(&versions).rev() {
                prop_assert_eq!(back.apply(undo), earlier.root());
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
            let mut sorted = Vec::new();
            trie.for_each(|key, account| sorted.push((*key, account.clone())));
            prop_assert_eq!(StateTrie::of_sorted(&sorted).root(), trie.root());
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
