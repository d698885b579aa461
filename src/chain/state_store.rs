//! The newest executed state, flat: accounts, slots and bytecode by key.
//!
//! Owns the layout of these columns, the read cache and consistent reads while blocks are written. Must not know blocks or
//! transactions. Invariants: a block's changes arrive in one batch; a reader of [`StateStore::consistent`] sees the state of
//! exactly one block; words that are zero are absent.

use super::{
    error::StoreError,
    read_cache::{ReadCache, Shard},
};
use crate::{
    codec::{self, Wire},
    kv::{Batch, Column, Durability, Entry, Kv},
    ledger::{
        commitment::{Account, StateTrie},
        state::{AccountDelta, AccountInfo, StateDelta, StateError, StateView},
    },
    types::{Address, B256, U256},
};
use alloy_primitives::Bytes;
use borsh::{BorshDeserialize, BorshSerialize};
use parking_lot::{MutexGuard, RwLock};
use rayon::prelude::*;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Entries read from the database at a time while walking all of the state.
const PAGE_ENTRIES: usize = 1_024;
/// Attempts to read without holding up the writer.
const OPTIMISTIC_READS: usize = 3;

/// An account as it is kept.
#[derive(Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct AccountRecord(pub AccountInfo);

impl Wire for AccountRecord {
    const NAME: &'static str = "account record";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 73;
}

/// A word as it is kept.
#[derive(Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct WordRecord(pub [u8; 32]);

impl Wire for WordRecord {
    const NAME: &'static str = "storage word record";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 33;
}

/// The state of the newest executed block.
pub struct StateStore {
    kv: Arc<dyn Kv>,
    cache: ReadCache,
    /// Odd while a block's changes are being written.
    version: AtomicU64,
    gate: RwLock<()>,
}

impl StateStore {
    /// Over an open database.
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        Self { kv, cache: ReadCache::default(), version: AtomicU64::new(0), gate: RwLock::new(()) }
    }

    /// Adds `delta` to `batch` and writes it; `publish` runs before any reader sees the new state.
    pub fn commit(
        &self,
        mut batch: Batch,
        delta: &StateDelta,
        durability: Durability,
        publish: impl FnOnce(),
    ) -> Result<(), StoreError> {
        self.stage(&mut batch, delta)?;
        self.commit_staged(batch, delta, durability, publish)
    }

    /// Writes `batch`, to which `delta` was added before; `publish` runs before any reader sees the new state. Staging can thus
    /// overlap with whatever comes before the write.
    pub fn commit_staged(
        &self,
        batch: Batch,
        delta: &StateDelta,
        durability: Durability,
        publish: impl FnOnce(),
    ) -> Result<(), StoreError> {
        let _gate = self.gate.write();
        self.version.fetch_add(1, Ordering::AcqRel);
        let written = self.kv.write(batch, durability);
        if written.is_ok() {
            self.refresh(delta);
            publish();
        }
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(written?)
    }

    /// Runs `read` over the state of one block. It may run more than once, when a block is written meanwhile.
    pub fn consistent<T, E>(&self, read: impl Fn(&dyn StateView) -> Result<T, E>) -> Result<T, E> {
        for _ in 0..OPTIMISTIC_READS {
            let version = self.version.load(Ordering::Acquire);
            if !version.is_multiple_of(2) {
                drop(self.gate.read());
                continue;
            }
            let result = read(&PinnedView { store: self, version });
            if self.version.load(Ordering::Acquire) == version {
                return result;
            }
        }
        let _gate = self.gate.read();
        read(self)
    }

    /// The commitment to the state as it is stored, computed from scratch on all threads.
    pub fn rebuild(&self) -> Result<StateTrie, StoreError> {
        let parts: Result<Vec<Vec<Account>>, StoreError> =
            (0..=u8::MAX).into_par_iter().map(|first| self.accounts_under(first)).collect();
        Ok(StateTrie::build(&parts?.into_iter().flatten().collect::<Vec<_>>()))
    }

    /// The accounts whose addresses begin with `first`, with their storage.
    fn accounts_under(&self, first: u8) -> Result<Vec<Account>, StoreError> {
        let mut words = Rows::under(&self.kv, Column::Slots, &[first]).map(word_in).peekable();
        let accounts = Rows::under(&self.kv, Column::Accounts, &[first]).map(|row| {
            let (key, value) = row?;
            let address = address_in(Column::Accounts, &key, 20)?;
            let mut slots = Vec::new();
            // Both columns are in the order of addresses.
            while let Some(word) = words.next_if(|word| word.as_ref().map_or(true, |(owner, ..)| *owner <= address)) {
                let (owner, slot, value) = word?;
                if owner == address {
                    slots.push((slot, value));
                }
            }
            Ok(Account::storing(address, codec::decode::<AccountRecord>(&value)?.0, slots))
        });
        accounts.collect()
    }

    /// What the keys of `keys` lead to now; its values mean nothing. Of an account that was emptied meanwhile, everything.
    pub fn newest_of(&self, keys: StateDelta) -> Result<StateDelta, StoreError> {
        let now = |(address, keys): (Address, AccountDelta)| -> Result<_, StoreError> {
            let info = self.stored::<AccountRecord>(Column::Accounts, address.as_slice())?.map(|record| record.0);
            let slots = if keys.wiped {
                let words = Rows::under(&self.kv, Column::Slots, address.as_slice()).map(word_in);
                words.map(|word| word.map(|(_, slot, value)| (slot, value))).collect::<Result<_, _>>()?
            } else {
                let word = |slot: &U256| self.stored::<WordRecord>(Column::Slots, &slot_key(&address, slot));
                let value = |word: Option<WordRecord>| word.map_or(U256::ZERO, |word| U256::from_be_bytes(word.0));
                keys.slots.keys().map(|slot| Ok((*slot, value(word(slot)?)))).collect::<Result<_, StoreError>>()?
            };
            Ok((address, AccountDelta { info, slots, wiped: keys.wiped || info.is_none() }))
        };
        let keys: Vec<_> = keys.accounts.into_iter().collect();
        let accounts: Vec<_> = keys.into_par_iter().map(now).collect::<Result<_, _>>()?;
        Ok(StateDelta { accounts: accounts.into_iter().collect(), ..StateDelta::default() })
    }

    fn stored<T: Wire>(&self, column: Column, key: &[u8]) -> Result<Option<T>, StoreError> {
        Ok(self.kv.get(column, key)?.map(|bytes| codec::decode(&bytes)).transpose()?)
    }

    /// Adds `delta` to `batch`.
    pub fn stage(&self, batch: &mut Batch, delta: &StateDelta) -> Result<(), StoreError> {
        for (address, account) in &delta.accounts {
            match &account.info {
                Some(info) => batch.put(Column::Accounts, address.as_slice(), codec::encode(&AccountRecord(*info))),
                None => batch.delete(Column::Accounts, address.as_slice()),
            }
            if account.wiped || account.info.is_none() {
                self.stage_wipe(batch, address)?;
            }
            for (slot, value) in &account.slots {
                let key = slot_key(address, slot);
                match value.is_zero() {
                    true => batch.delete(Column::Slots, key),
                    false => batch.put(Column::Slots, key, codec::encode(&WordRecord(value.to_be_bytes()))),
                }
            }
        }
        for (hash, code) in &delta.code {
            batch.put(Column::Code, hash.as_slice(), code.to_vec());
        }
        Ok(())
    }

    fn stage_wipe(&self, batch: &mut Batch, address: &Address) -> Result<(), StoreError> {
        for row in Rows::under(&self.kv, Column::Slots, address.as_slice()) {
            batch.delete(Column::Slots, row?.0);
        }
        Ok(())
    }

    fn refresh(&self, delta: &StateDelta) {
        let cache = &self.cache;
        for (address, account) in &delta.accounts {
            cache.of_account(address).put_account(*address, account.info);
            if account.wiped || account.info.is_none() {
                cache.wipe(address);
            }
            for (slot, value) in &account.slots {
                cache.of_slot(address, slot).put_slot(*address, *slot, *value);
            }
        }
        delta.code.iter().for_each(|(hash, code)| cache.of_code(hash).put_code(*hash, code.clone()));
    }

    /// Looks in the cache, then in the database; remembers what was read unless a block was written meanwhile.
    fn cached<'a, T: Clone>(
        &'a self,
        shard: impl Fn(&'a ReadCache) -> MutexGuard<'a, Shard>,
        hit: impl FnOnce(&mut Shard) -> Option<T>,
        load: impl FnOnce() -> Result<T, StateError>,
        remember: impl FnOnce(&mut Shard, T),
    ) -> Result<T, StateError> {
        let version = self.version.load(Ordering::Acquire);
        if let Some(found) = hit(&mut shard(&self.cache)) {
            return Ok(found);
        }
        let loaded = load()?;
        let mut cache = shard(&self.cache);
        if version.is_multiple_of(2) && self.version.load(Ordering::Acquire) == version {
            remember(&mut cache, loaded.clone());
        }
        Ok(loaded)
    }

    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.kv.get(column, key).map_err(|e| StateError::Unavailable(e.to_string()))
    }

    fn decode<T: Wire>(&self, column: Column, key: &[u8]) -> Result<Option<T>, StateError> {
        let bytes = self.get(column, key)?;
        bytes.map(|bytes| codec::decode(&bytes)).transpose().map_err(|e| StateError::Unavailable(e.to_string()))
    }
}

impl StateView for StateStore {
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StateError> {
        let load = || Ok(self.decode::<AccountRecord>(Column::Accounts, address.as_slice())?.map(|record| record.0));
        self.cached(
            |cache| cache.of_account(address),
            |c| c.account(address),
            load,
            |c, info| c.put_account(*address, info),
        )
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        let load = || {
            let record = self.decode::<WordRecord>(Column::Slots, &slot_key(address, slot))?;
            Ok(record.map_or(U256::ZERO, |word| U256::from_be_bytes(word.0)))
        };
        self.cached(
            |cache| cache.of_slot(address, slot),
            |c| c.slot(address, slot),
            load,
            |c, value| c.put_slot(*address, *slot, value),
        )
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        let load = || {
            let code = self.get(Column::Code, hash.as_slice())?;
            code.map(Bytes::from).ok_or(StateError::Code(*hash))
        };
        if *hash == alloy_primitives::KECCAK256_EMPTY || hash.is_zero() {
            return Ok(Bytes::new());
        }
        self.cached(|cache| cache.of_code(hash), |c| c.code(hash), load, |c, code| c.put_code(*hash, code))
    }
}

/// The state as of one version: any read after a later block was written fails, so that no mixture is ever computed with.
struct PinnedView<'a> {
    store: &'a StateStore,
    version: u64,
}

impl PinnedView<'_> {
    fn unmoved<T>(&self, value: T) -> Result<T, StateError> {
        match self.store.version.load(Ordering::Acquire) == self.version {
            true => Ok(value),
            false => Err(StateError::Unavailable("a block was executed while reading".into())),
        }
    }
}

impl StateView for PinnedView<'_> {
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StateError> {
        self.unmoved(self.store.account(address)?)
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        self.unmoved(self.store.slot(address, slot)?)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.unmoved(self.store.code(hash)?)
    }
}

/// Key of a word.
pub(super) fn slot_key(address: &Address, slot: &U256) -> [u8; 52] {
    let mut key = [0; 52];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&slot.to_be_bytes::<32>());
    key
}

fn address_in(column: Column, key: &[u8], len: usize) -> Result<Address, StoreError> {
    if key.len() != len {
        return Err(StoreError::Key { column: column.name(), len: key.len(), expected: len });
    }
    Ok(Address::from_slice(&key[..20]))
}

/// A row of [`Column::Slots`].
fn word_in(row: Result<Entry, StoreError>) -> Result<(Address, U256, U256), StoreError> {
    let (key, value) = row?;
    let address = address_in(Column::Slots, &key, 52)?;
    let word: WordRecord = codec::decode(&value)?;
    Ok((address, U256::from_be_slice(&key[20..]), U256::from_be_bytes(word.0)))
}

/// Every row of a column under a prefix, read page by page.
struct Rows<'a> {
    kv: &'a Arc<dyn Kv>,
    column: Column,
    prefix: Vec<u8>,
    from: Vec<u8>,
    page: std::vec::IntoIter<Entry>,
    ended: bool,
}

impl<'a> Rows<'a> {
    fn under(kv: &'a Arc<dyn Kv>, column: Column, prefix: &[u8]) -> Self {
        Self { kv, column, prefix: prefix.to_vec(), from: prefix.to_vec(), page: Vec::new().into_iter(), ended: false }
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(row) = self.page.next() {
            return Some(Ok(row));
        }
        if self.ended {
            return None;
        }
        let page = match self.kv.scan(self.column, &self.prefix, &self.from, PAGE_ENTRIES) {
            Ok(page) => page,
            Err(e) => {
                self.ended = true;
                return Some(Err(e.into()));
            }
        };
        self.ended = page.len() < PAGE_ENTRIES;
        if let Some((last, _)) = page.last() {
            // The smallest key above the last one seen.
            self.from = [last.as_slice(), &[0]].concat();
        }
        self.page = page.into_iter();
        self.page.next().map(Ok)
    }
}
