//! Memory of many versions: what each transaction of a block left, as far as it has been run, above the state before the block.
//!
//! Owns accounts, slots and code by who wrote them. Must not know scheduling. Invariants: transaction `i` reads what the last
//! writer before it left, and never what it or a later one wrote; version 0 is what the block does before its transactions and
//! version `i + 1` is transaction `i`'s; an account that is removed takes its storage with it; code is found by its hash alone,
//! since whoever has it has the right one. Reads are compared by value: one that would find the same again is valid, whoever
//! wrote it.

use crate::{
    ledger::{
        executor::block_state::{found, left},
        state::{AccountInfo, StateDelta, StateError, StateView},
    },
    types::{Address, B256, U256},
};
use alloy_primitives::{
    Bytes,
    map::{AddressMap, B256Map, DefaultHashBuilder, U256Map},
};
use parking_lot::RwLock;
use revm::state::EvmState;
use std::{
    collections::BTreeSet,
    hash::BuildHasher,
    sync::atomic::{AtomicBool, Ordering},
};

/// Parts of each map, so that threads seldom wait for each other. A power of two.
const SHARDS: usize = 128;

/// Something a transaction can read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Account(Address),
    Slot(Address, U256),
}

/// Something a transaction read, and what it found there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Account(Address, Option<AccountInfo>),
    Slot(Address, U256, U256),
}

/// What a reader finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen<V> {
    Value(V),
    /// What this transaction wrote was wrong; it will write something else.
    Estimate(usize),
}

/// One version of a place.
struct Version<V> {
    version: usize,
    value: V,
    estimate: bool,
}

/// A place: what it held before the block, once somebody asked, and what transactions left there, in their order.
struct Cell<V> {
    before: Option<V>,
    versions: Vec<Version<V>>,
}

impl<V> Default for Cell<V> {
    fn default() -> Self {
        Self { before: None, versions: Vec::new() }
    }
}

impl<V: Copy> Cell<V> {
    /// The versions transaction `reader` can see.
    fn visible(&self, reader: usize) -> &[Version<V>] {
        &self.versions[..self.versions.partition_point(|version| version.version <= reader)]
    }

    fn write(&mut self, version: usize, value: V) {
        let written = Version { version, value, estimate: false };
        match self.versions.binary_search_by_key(&version, |version| version.version) {
            Ok(at) => self.versions[at] = written,
            Err(at) => self.versions.insert(at, written),
        }
    }

    fn doubt(&mut self, version: usize) {
        if let Ok(at) = self.versions.binary_search_by_key(&version, |version| version.version) {
            self.versions[at].estimate = true;
        }
    }

    fn remove(&mut self, version: usize) {
        self.versions.retain(|written| written.version != version);
    }
}

impl<V: Copy> Version<V> {
    fn seen(&self) -> Seen<V> {
        match self.estimate {
            true => Seen::Estimate(self.version - 1),
            false => Seen::Value(self.value),
        }
    }
}

/// Values of a block's places at every point of the block.
pub(super) struct Memory<'a> {
    view: &'a (dyn StateView + Sync),
    /// An account nobody reads or writes here: tips make it different after each transaction.
    proposer: Address,
    keeps_empty: bool,
    hasher: DefaultHashBuilder,
    accounts: Vec<RwLock<AddressMap<Cell<Option<AccountInfo>>>>>,
    slots: Vec<RwLock<AddressMap<U256Map<Cell<U256>>>>>,
    code: RwLock<B256Map<Bytes>>,
    /// Whether any account was ever removed: then a slot is to be looked up with its account.
    removals: AtomicBool,
}

impl<'a> Memory<'a> {
    /// The state `view` with `begun`, what the block does before its transactions.
    pub fn new(view: &'a (dyn StateView + Sync), begun: &StateDelta, proposer: Address, keeps_empty: bool) -> Self {
        let memory = Self {
            view,
            proposer,
            keeps_empty,
            hasher: DefaultHashBuilder::default(),
            accounts: (0..SHARDS).map(|_| RwLock::default()).collect(),
            slots: (0..SHARDS).map(|_| RwLock::default()).collect(),
            code: RwLock::new(begun.code.iter().map(|(hash, code)| (*hash, code.clone())).collect()),
            removals: AtomicBool::new(false),
        };
        for (address, change) in &begun.accounts {
            memory.write_account(0, *address, change.info);
            change.slots.iter().for_each(|(slot, value)| memory.write_slot(0, *address, *slot, *value));
        }
        memory
    }

    /// Whose account is not to be read here.
    pub fn proposer(&self) -> Address {
        self.proposer
    }

    /// The account as transaction `reader` finds it.
    pub fn account(&self, reader: usize, address: Address) -> Result<Seen<Option<AccountInfo>>, StateError> {
        let shard = &self.accounts[self.shard(address)];
        if let Some(cell) = shard.read().get(&address) {
            match (cell.visible(reader).last(), cell.before) {
                (Some(version), _) => return Ok(version.seen()),
                (None, Some(before)) => return Ok(Seen::Value(before)),
                (None, None) => {}
            }
        }
        let before = self.view.account(&address)?;
        let mut shard = shard.write();
        let cell = shard.entry(address).or_default();
        cell.before = Some(before);
        Ok(cell.visible(reader).last().map_or(Seen::Value(before), Version::seen))
    }

    /// The word as transaction `reader` finds it.
    pub fn slot(&self, reader: usize, address: Address, slot: U256) -> Result<Seen<U256>, StateError> {
        let removed = self.removed(reader, address);
        let shard = &self.slots[self.shard((address, slot))];
        if let Some(cell) = shard.read().get(&address).and_then(|slots| slots.get(&slot)) {
            match (newer(cell, reader, removed), cell.before) {
                (Some(seen), _) => return Ok(seen),
                (None, Some(before)) => return Ok(Seen::Value(before)),
                (None, None) => {}
            }
        } else if let Some((_, seen)) = removed {
            return Ok(seen);
        }
        let before = self.view.slot(&address, &slot)?;
        let mut shard = shard.write();
        let cell = shard.entry(address).or_default().entry(slot).or_default();
        cell.before = Some(before);
        Ok(newer(cell, reader, removed).unwrap_or(Seen::Value(before)))
    }

    /// The last removal of the account that transaction `reader` can see, and what it makes of a slot.
    fn removed(&self, reader: usize, address: Address) -> Option<(usize, Seen<U256>)> {
        if !self.removals.load(Ordering::SeqCst) {
            return None;
        }
        let shard = self.accounts[self.shard(address)].read();
        let mut versions = shard.get(&address)?.visible(reader).iter().rev();
        let removal = versions.find(|version| version.value.is_none())?;
        let zero = Version { version: removal.version, value: U256::ZERO, estimate: removal.estimate };
        Some((removal.version, zero.seen()))
    }

    /// Code by its hash.
    pub fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        match self.code.read().get(hash) {
            Some(code) => Ok(code.clone()),
            None => self.view.code(hash),
        }
    }

    /// Hash of an earlier block, where it is not to be read from the history contract.
    pub fn block_hash(&self, number: u64) -> Result<Option<B256>, StateError> {
        self.view.block_hash(number)
    }

    /// Writes what transaction `writer` left, in place of `old`, what a run before had written; tells whether it wrote anywhere
    /// it had not written before. `old` becomes where it wrote now.
    pub fn publish(&self, writer: usize, changes: &EvmState, old: &mut Vec<Place>) -> bool {
        let mut written = Vec::new();
        for (address, account) in changes.iter().filter(|(address, _)| **address != self.proposer) {
            let Some(after) = left(account, self.keeps_empty) else { continue };
            if after.is_some() {
                for (slot, word) in account.storage.iter().filter(|(_, word)| word.is_changed()) {
                    self.write_slot(writer + 1, *address, *slot, word.present_value);
                    written.push(Place::Slot(*address, *slot));
                }
            }
            if after == found(account) {
                continue;
            }
            if let (Some(info), Some(code)) = (after, &account.info.code) {
                self.code.write().entry(info.code_hash).or_insert_with(|| code.original_bytes());
            }
            self.write_account(writer + 1, *address, after);
            written.push(Place::Account(*address));
        }
        let before = std::mem::replace(old, written);
        match before.is_empty() {
            true => !old.is_empty(),
            false => self.replace(writer, &before, old),
        }
    }

    /// Removes what is no longer written; tells whether anything is that was not.
    fn replace(&self, writer: usize, before: &[Place], now: &[Place]) -> bool {
        let kept: BTreeSet<&Place> = now.iter().collect();
        let before: BTreeSet<&Place> = before.iter().collect();
        for place in before.difference(&kept) {
            self.at(place, |cell| cell.remove(writer + 1), |cell| cell.remove(writer + 1));
        }
        kept.difference(&before).next().is_some()
    }

    /// Marks what transaction `writer` wrote as not to be relied on.
    pub fn doubt(&self, writer: usize, written: &[Place]) {
        for place in written {
            self.at(place, |cell| cell.doubt(writer + 1), |cell| cell.doubt(writer + 1));
        }
    }

    /// Whether transaction `reader` would find again what it found.
    pub fn confirms(&self, reader: usize, reads: &[Read]) -> Result<bool, StateError> {
        for read in reads {
            let same = match *read {
                Read::Account(address, found) => self.account(reader, address)? == Seen::Value(found),
                Read::Slot(address, slot, found) => self.slot(reader, address, slot)? == Seen::Value(found),
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn write_account(&self, version: usize, address: Address, info: Option<AccountInfo>) {
        if info.is_none() {
            self.removals.store(true, Ordering::SeqCst);
        }
        self.accounts[self.shard(address)].write().entry(address).or_default().write(version, info);
    }

    fn write_slot(&self, version: usize, address: Address, slot: U256, value: U256) {
        let mut shard = self.slots[self.shard((address, slot))].write();
        shard.entry(address).or_default().entry(slot).or_default().write(version, value);
    }

    fn at(
        &self,
        place: &Place,
        account: impl FnOnce(&mut Cell<Option<AccountInfo>>),
        slot: impl FnOnce(&mut Cell<U256>),
    ) {
        match *place {
            Place::Account(address) => {
                self.accounts[self.shard(address)].write().get_mut(&address).map(account);
            }
            Place::Slot(address, word) => {
                let mut shard = self.slots[self.shard((address, word))].write();
                shard.get_mut(&address).and_then(|slots| slots.get_mut(&word)).map(slot);
            }
        }
    }

    /// Where a place is kept. The hash is of this run only; nothing that leaves it depends on it.
    fn shard(&self, place: impl std::hash::Hash) -> usize {
        usize::try_from(self.hasher.hash_one(place) >> (u64::BITS - SHARDS.ilog2())).expect("an index of a shard fits")
    }
}

/// What a reader finds of what was written to a slot, or of the removal of its account, whichever came later.
fn newer(cell: &Cell<U256>, reader: usize, removed: Option<(usize, Seen<U256>)>) -> Option<Seen<U256>> {
    let written = cell.visible(reader).last();
    match (written, removed) {
        (Some(written), Some((version, seen))) if written.version < version => Some(seen),
        (Some(written), _) => Some(written.seen()),
        (None, removed) => removed.map(|(_, seen)| seen),
    }
}
