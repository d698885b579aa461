//! What a transaction that runs ahead of its turn sees of the state, and a list of what it saw.
//!
//! Owns the reasons for which such a run is stopped. Must not know revm. Invariants: everything a run read is on the list; a run
//! that met something it must not read was stopped, whatever its outcome claims.

use super::memory::{Memory, Read, Seen};
use crate::{
    ledger::state::{AccountInfo, StateError, StateView},
    types::{Address, B256, U256},
};
use alloy_primitives::Bytes;
use std::cell::{Cell, RefCell};

/// Why a run cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// It needs what another transaction will write.
    Waits(usize),
    /// It needs the proposer's account, which only the settled state knows.
    Proposer,
}

/// The state under one thread's runs, one after the other.
pub(super) struct Lane<'a> {
    memory: &'a Memory<'a>,
    /// The transaction that runs.
    reader: Cell<usize>,
    reads: RefCell<Vec<Read>>,
    stop: Cell<Option<Stop>>,
}

impl<'a> Lane<'a> {
    pub fn new(memory: &'a Memory<'a>) -> Self {
        Self { memory, reader: Cell::new(0), reads: RefCell::default(), stop: Cell::new(None) }
    }

    /// From now on, answers as transaction `reader` is to see it.
    pub fn start(&self, reader: usize) {
        self.reader.set(reader);
        self.reads.borrow_mut().clear();
        self.stop.set(None);
    }

    /// What was read since the start, or why the run was stopped.
    pub fn end(&self) -> Result<Vec<Read>, Stop> {
        match self.stop.get() {
            Some(stop) => Err(stop),
            None => Ok(self.reads.take()),
        }
    }

    fn seen<V>(&self, seen: Seen<V>) -> Result<V, StateError> {
        match seen {
            Seen::Value(value) => Ok(value),
            Seen::Estimate(other) => self.stopped(Stop::Waits(other)),
        }
    }

    /// The error only ends the run: who asked for it looks at the reason.
    fn stopped<V>(&self, stop: Stop) -> Result<V, StateError> {
        self.stop.set(Some(stop));
        Err(StateError::Unavailable(format!("the run is ahead of its turn: {stop:?}")))
    }
}

impl StateView for Lane<'_> {
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StateError> {
        if *address == self.memory.proposer() {
            return self.stopped(Stop::Proposer);
        }
        let info = self.seen(self.memory.account(self.reader.get(), *address)?)?;
        self.reads.borrow_mut().push(Read::Account(*address, info));
        Ok(info)
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        let value = self.seen(self.memory.slot(self.reader.get(), *address, *slot)?)?;
        self.reads.borrow_mut().push(Read::Slot(*address, *slot, value));
        Ok(value)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.memory.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, StateError> {
        self.memory.block_hash(number)
    }
}
