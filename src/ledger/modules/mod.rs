//! The storage protocol as precompiled contracts: one module per Solidity interface, at a fixed address.
//!
//! Owns the rules of staking, miners and files, and their state as Solidity-layout slots under each module's address.
//! Must not know the EVM that hosts it, disks or sockets. Invariants: a call is all or nothing; everything a module computes
//! is a function of state, block and call data; its cost in gas grows with its work.

mod host;

use crate::{
    ledger::abi::{FILES, MINERS, STAKING},
    types::{Address, B256, Height, Params, U256},
};
use alloy_primitives::Bytes;
use std::collections::BTreeMap;

pub use host::{ModuleError, ModuleHost};

/// A seat of the genesis committee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatorSeat {
    /// Its account.
    pub account: Address,
    /// ed25519 key that signs votes.
    pub consensus_key: [u8; 32],
    /// ECVRF key that feeds the beacon.
    pub vrf_key: [u8; 32],
    /// ed25519 key of its network host.
    pub network_key: [u8; 32],
    /// Stake in smallest units; a whole token of it is one unit of power.
    pub stake: U256,
}

/// Runs one call of the module at `module`; the answer is the call's ABI-encoded return data.
pub fn dispatch(module: Address, input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let _ = (input, host);
    match module {
        STAKING | MINERS | FILES => Err(ModuleError::reason("module has no such function")),
        _ => Err(ModuleError::Fatal(format!("no module lives at {module}"))),
    }
}

/// What happens before a block's first transaction: the beacon of the block's height becomes readable.
pub fn begin_block(host: &mut dyn ModuleHost, beacon: B256) -> Result<(), ModuleError> {
    let _ = (host, beacon);
    Ok(())
}

/// The modules' storage at genesis. `beacon` is R_0; it must not be derived from the state root, which covers it.
pub fn genesis_storage(
    params: &Params,
    seats: &[ValidatorSeat],
    beacon: B256,
) -> Result<BTreeMap<Address, BTreeMap<U256, U256>>, ModuleError> {
    let _ = (params, seats, beacon);
    Ok(BTreeMap::new())
}

/// Height of the oldest beacon kept when `newest` is the newest.
pub fn oldest_beacon(newest: Height) -> Height {
    newest.saturating_sub(8_191)
}
