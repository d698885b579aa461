//! What the world looks like to the executor, and how one block changes it.
//!
//! Owns accounts, the [`StateView`] port, [`StateDelta`] with its encoding, and an in-memory state for tests and genesis.
//! Must not know the database engine or the trie. Invariants: a delta lists whole accounts after the block, in address order;
//! a slot of value zero does not exist; an account that is empty (EIP-161) does not exist.

use super::wire::{get_number, get_word, malformed, put_number, put_word};
use crate::{
    codec::Wire,
    types::{Address, B256, U256},
};
use alloy_primitives::{Bytes, KECCAK256_EMPTY};
use borsh::{BorshDeserialize, BorshSerialize, io};
use std::collections::BTreeMap;

/// Why state could not be read. Always the node's fault, never a transaction's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The store behind the view failed.
    #[error("state cannot be read: {0}")]
    Unavailable(String),
    /// An account names code that the store does not have, or that is not valid.
    #[error("code {0} is missing or damaged")]
    Code(B256),
}

/// An account without its storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AccountInfo {
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Smallest units of the native token.
    #[borsh(serialize_with = "put_number", deserialize_with = "get_number")]
    pub balance: U256,
    /// keccak256 of its code; [`KECCAK256_EMPTY`] without code.
    #[borsh(serialize_with = "put_word", deserialize_with = "get_word")]
    pub code_hash: B256,
}

impl Default for AccountInfo {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

impl AccountInfo {
    /// Whether EIP-161 says this account does not exist.
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code_hash == KECCAK256_EMPTY
    }
}

/// Read access to the state after some block.
pub trait StateView {
    /// The account at `address`, if it exists.
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StateError>;
    /// A storage word, zero if never written.
    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError>;
    /// Code by its hash.
    fn code(&self, hash: &B256) -> Result<Bytes, StateError>;
    /// Hash of an earlier block, where it is not to be read from the history contract (EIP-2935).
    fn block_hash(&self, _number: u64) -> Result<Option<B256>, StateError> {
        Ok(None)
    }
}

/// One account after a block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountDelta {
    /// The account, `None` if it no longer exists (its storage is gone too).
    pub info: Option<AccountInfo>,
    /// Slots written, zero where one was cleared.
    pub slots: BTreeMap<U256, U256>,
    /// Whether storage from before the block is gone; `slots` apply afterwards.
    pub wiped: bool,
}

/// Everything a block changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StateDelta {
    /// Changed accounts.
    pub accounts: BTreeMap<Address, AccountDelta>,
    /// New code by hash.
    pub code: BTreeMap<B256, Bytes>,
}

impl StateDelta {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.code.is_empty()
    }

    /// Adds the changes of a later block.
    pub fn merge(&mut self, later: StateDelta) {
        for (address, change) in later.accounts {
            let account = self.accounts.entry(address).or_default();
            account.info = change.info;
            if change.wiped {
                account.wiped = true;
                account.slots.clear();
            }
            account.slots.extend(change.slots);
        }
        self.code.extend(later.code);
    }
}

impl Wire for StateDelta {
    const NAME: &'static str = "state delta";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 256 << 20;
}

#[derive(BorshSerialize, BorshDeserialize)]
struct RawAccount {
    address: [u8; 20],
    info: Option<AccountInfo>,
    wiped: bool,
    slots: Vec<([u8; 32], [u8; 32])>,
}

impl BorshSerialize for StateDelta {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        let words = |(slot, value): (&U256, &U256)| (slot.to_be_bytes::<32>(), value.to_be_bytes::<32>());
        let accounts: Vec<RawAccount> = self
            .accounts
            .iter()
            .map(|(address, change)| RawAccount {
                address: address.into_array(),
                info: change.info,
                wiped: change.wiped,
                slots: change.slots.iter().map(words).collect(),
            })
            .collect();
        let code: Vec<([u8; 32], Vec<u8>)> = self.code.iter().map(|(hash, code)| (hash.0, code.to_vec())).collect();
        (accounts, code).serialize(writer)
    }
}

impl BorshDeserialize for StateDelta {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let (accounts, code) = <(Vec<RawAccount>, Vec<([u8; 32], Vec<u8>)>)>::deserialize_reader(reader)?;
        let mut delta = StateDelta::default();
        for raw in accounts {
            let slots = ordered(raw.slots.into_iter().map(|(k, v)| (U256::from_be_bytes(k), U256::from_be_bytes(v))))?;
            let change = AccountDelta { info: raw.info, slots, wiped: raw.wiped };
            insert_ordered(&mut delta.accounts, Address::from(raw.address), change)?;
        }
        delta.code = ordered(code.into_iter().map(|(hash, code)| (B256::from(hash), Bytes::from(code))))?;
        Ok(delta)
    }
}

fn ordered<K: Ord, V>(entries: impl Iterator<Item = (K, V)>) -> io::Result<BTreeMap<K, V>> {
    let mut map = BTreeMap::new();
    for (key, value) in entries {
        insert_ordered(&mut map, key, value)?;
    }
    Ok(map)
}

fn insert_ordered<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V) -> io::Result<()> {
    if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
        return Err(malformed("keys are not in ascending order"));
    }
    map.insert(key, value);
    Ok(())
}

/// A whole state in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryState {
    accounts: BTreeMap<Address, AccountInfo>,
    slots: BTreeMap<(Address, U256), U256>,
    code: BTreeMap<B256, Bytes>,
}

impl MemoryState {
    /// The state `delta` builds from nothing.
    pub fn from_delta(delta: &StateDelta) -> Self {
        let mut state = Self::default();
        state.apply(delta);
        state
    }

    /// Applies a block's changes.
    pub fn apply(&mut self, delta: &StateDelta) {
        for (address, change) in &delta.accounts {
            match change.info {
                Some(info) => self.accounts.insert(*address, info),
                None => self.accounts.remove(address),
            };
            if change.wiped || change.info.is_none() {
                self.slots.retain(|(owner, _), _| owner != address);
            }
            for (slot, value) in &change.slots {
                match value.is_zero() {
                    true => self.slots.remove(&(*address, *slot)),
                    false => self.slots.insert((*address, *slot), *value),
                };
            }
        }
        self.code.extend(delta.code.iter().map(|(hash, code)| (*hash, code.clone())));
    }

    /// Every account.
    pub fn accounts(&self) -> impl Iterator<Item = (Address, AccountInfo)> + '_ {
        self.accounts.iter().map(|(address, info)| (*address, *info))
    }

    /// Every slot with its account.
    pub fn slots(&self) -> impl Iterator<Item = (Address, U256, U256)> + '_ {
        self.slots.iter().map(|((address, slot), value)| (*address, *slot, *value))
    }

    /// Sum of all balances, the invariant of every transfer.
    pub fn supply(&self) -> U256 {
        self.accounts.values().fold(U256::ZERO, |sum, info| sum.saturating_add(info.balance))
    }
}

impl StateView for MemoryState {
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StateError> {
        Ok(self.accounts.get(address).copied())
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        Ok(self.slots.get(&(*address, *slot)).copied().unwrap_or_default())
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.code.get(hash).cloned().ok_or(StateError::Code(*hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    fn sample() -> StateDelta {
        let info = AccountInfo { nonce: 3, balance: U256::from(7), code_hash: B256::repeat_byte(9) };
        let mut delta = StateDelta::default();
        let slots = BTreeMap::from([(U256::from(1), U256::from(2)), (U256::MAX, U256::ZERO)]);
        delta.accounts.insert(Address::repeat_byte(1), AccountDelta { info: Some(info), slots, wiped: false });
        delta.accounts.insert(Address::repeat_byte(2), AccountDelta { wiped: true, ..Default::default() });
        delta.code.insert(B256::repeat_byte(9), Bytes::from_static(b"code"));
        delta
    }

    #[test]
    fn delta_has_one_encoding() {
        let delta = sample();
        let bytes = codec::encode(&delta);
        assert_eq!(codec::decode::<StateDelta>(&bytes), Ok(delta));
        assert_eq!(bytes.len(), 1 + 4 + (20 + 1 + 72 + 1 + 4 + 128) + (20 + 1 + 1 + 4) + 4 + 32 + 4 + 4);
        let mut swapped = bytes.clone();
        let second = bytes[1 + 4 + 226..1 + 4 + 226 + 26].to_vec();
        swapped.splice(5..5, second);
        swapped.drain(5 + 26 + 226..5 + 26 + 226 + 26);
        assert!(matches!(codec::decode::<StateDelta>(&swapped), Err(codec::CodecError::Malformed { .. })));
    }

    #[test]
    fn merged_deltas_equal_deltas_applied_in_turn() {
        let mut later = StateDelta::default();
        let slots = BTreeMap::from([(U256::from(5), U256::from(6))]);
        let info = Some(AccountInfo { nonce: 1, ..Default::default() });
        later.accounts.insert(Address::repeat_byte(1), AccountDelta { info, slots, wiped: true });
        let mut stepwise = MemoryState::from_delta(&sample());
        stepwise.apply(&later);
        let mut merged = sample();
        merged.merge(later);
        assert_eq!(MemoryState::from_delta(&merged), stepwise);
        assert_eq!(stepwise.slot(&Address::repeat_byte(1), &U256::from(1)), Ok(U256::ZERO));
        assert_eq!(stepwise.slot(&Address::repeat_byte(1), &U256::from(5)), Ok(U256::from(6)));
    }
}
