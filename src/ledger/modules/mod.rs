//! The storage protocol as precompiled contracts: one module per Solidity interface, at a fixed address.
//!
//! Owns the rules of staking, miners and files, and their state as Solidity-layout slots under each module's address.
//! Must not know the EVM that hosts it, disks or sockets. Invariants: a call is all or nothing; everything a module computes
//! is a function of state, block and call data; its cost in gas grows with its work.
//!
//! To add a call: one function in `contracts/interfaces`, one function in the module's rules, one arm in its `dispatch`, one
//! golden vector.

mod calldata;
mod files;
mod genesis;
mod host;
mod miners;
mod staking;
mod storage;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod surface;
#[cfg(test)]
mod testing;

use crate::{
    ledger::abi::{FILES, MINERS, STAKING},
    types::{Address, B256},
};
use alloy_primitives::Bytes;

pub use files::LIST_MAX_FILES;
pub use genesis::{ModuleStorage, genesis_storage};
pub use host::{ModuleError, ModuleHost};
pub use miners::{LIST_MAX_MINERS, MINER_NAME_MAX_BYTES, required_collateral};
pub use staking::{BEACON_RING, COMMITTEE_MAX_SEATS, ValidatorSeat};

/// Runs one call of the module at `module`; the answer is the call's ABI-encoded return data.
pub fn dispatch(module: Address, input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    match module {
        STAKING => staking::dispatch(input, host),
        MINERS => miners::dispatch(input, host),
        FILES => files::dispatch(input, host),
        _ => Err(ModuleError::Fatal(format!("no module lives at {module}"))),
    }
}

/// What happens before a block's first transaction: the beacon of the block's height becomes readable.
pub fn begin_block(host: &mut dyn ModuleHost, beacon: B256) -> Result<(), ModuleError> {
    staking::record_beacon(host, beacon)
}
