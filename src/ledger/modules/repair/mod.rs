//! The repair module: columns whose holder leaves, is lost or gave them up find a new one.
//!
//! Owns claims and the list of columns that were given up. Must not know fragments' bytes. Invariants: an order is open as long as the column's
//! holder leaves or gave it up, without a call that opens it; a claim binds for a bounded number of blocks; who takes a column over has shown
//! chunks of it that were drawn after its claim, and could have been placed; the file's record marks every column this module keeps
//! something of, so that a file that goes takes it along; the module's account holds exactly the deposits of claims that are not settled.

mod claims;
mod complete;
mod dispatch;
mod orders;
mod surrender;

use super::{
    host::ModuleError,
    storage::{Mapping, Place, Slot, Vector, layout},
};
use crate::{
    ledger::abi::{IRepair, REPAIR},
    types::{Address, B256, FileId, U256},
};
pub(super) use dispatch::dispatch;
pub(super) use surrender::forget;

/// Most orders one list answers with.
pub const LIST_MAX_ORDERS: u64 = 1_000;

layout! {
    /// What is kept of a column: `struct { address claimer; uint64 claimedAt; uint32 lapses; uint64 surrendered; uint256 deposit; }`, `lapses` being
    /// the claims in a row before this one that nobody completed, `surrendered` its index among those that were given up plus one.
    struct OrderSlots {
        claim: Slot<(Address, u64, u32)>,
        surrendered: Slot<u64>,
        deposit: Slot<U256>,
    }
}

layout! {
    /// A column that was given up: `struct { bytes32 file; uint64 column; }`
    struct SurrenderedSlots {
        file: Slot<B256>,
        column: Slot<u64>,
    }
}

layout! {
    /// The module's variables from slot 0.
    struct State {
        orders: Mapping<B256, Mapping<u64, OrderSlots>>,
        surrendered: Vector<SurrenderedSlots>,
    }
}

fn state() -> State {
    State::at(REPAIR, U256::ZERO)
}

fn order(file: FileId, column: u8) -> OrderSlots {
    state().orders.at_key(&file.into()).at_key(&u64::from(column))
}

fn not_open(file: FileId, column: u8) -> ModuleError {
    ModuleError::revert(IRepair::NotOpen { file: file.into(), column })
}

#[cfg(test)]
mod tests;
