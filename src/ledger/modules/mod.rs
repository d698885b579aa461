//! The storage protocol as precompiled contracts: one module per Solidity interface, at a fixed address.
//!
//! Owns the rules of staking, miners, files, territories, names and ed25519 checks, and their state as Solidity-layout slots under each module's address.
//! Must not know the EVM that hosts it, disks or sockets. Invariants: a call is all or nothing; everything a module computes
//! is a function of state, block and call data; its cost in gas grows with its work.
//!
//! To add a call: one function in `contracts/interfaces`, one function in the module's rules, one arm in its `dispatch`, one
//! golden vector.

mod audits;
mod calldata;
mod ed25519;
mod files;
mod genesis;
mod host;
mod miners;
mod names;
mod repair;
mod rewards;
mod staking;
mod storage;
mod tee;
mod territory;
mod view;

#[cfg(test)]
mod books;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod surface;
#[cfg(test)]
mod testing;

use crate::{
    ledger::abi::{AUDITS, ED25519, FILES, MINERS, NAMES, REPAIR, REWARDS, STAKING, TEE, TERRITORY},
    types::{Address, B256},
};
use alloy_primitives::Bytes;

pub use crate::consensus::election::{CREDIT_ERAS, CREDIT_WEIGHTS, SCORE_WEIGHTS};
pub use audits::PROVE_MAX_EPOCHS;
pub use files::LIST_MAX_FILES;
pub use genesis::{ModuleStorage, TerritoryGift, genesis_storage};
pub use host::{ModuleError, ModuleHost};
pub use miners::{LIST_MAX_MINERS, MINER_NAME_MAX_BYTES, required_collateral};
pub use names::{LABEL_MAX_BYTES, LIST_MAX_NAMES, NAME_MAX_BYTES, VALUE_MAX_BYTES, namespace};
pub use staking::{
    BEACON_RING, CANDIDATES_MAX, COMMITTEE_MAX_SEATS, EMISSION_YEARS, ValidatorSeat, Work, calls as staking_calls,
    era_emission,
};
pub use tee::{
    CERTIFY_MAX_FILES, COLLATERAL_MAX_BYTES, EnclaveSigner, Evidence, GROUP_MAX, Hardware, Platform, QUOTE_MAX_BYTES,
    QuoteAttestation, QuoteError, SEALED_MAX_BYTES, TcbStatus, TeeRules, VirtualMachine, WORKER_NAME_MAX_BYTES,
    report_data, verify_quote,
};
pub use territory::{LIST_MAX_TERRITORIES, day_blocks};
pub use view::committee_of_era;

/// Runs one call of the module at `module`; the answer is the call's ABI-encoded return data.
pub fn dispatch(module: Address, input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    match module {
        STAKING => staking::dispatch(input, host),
        MINERS => miners::dispatch(input, host),
        FILES => files::dispatch(input, host),
        TERRITORY => territory::dispatch(input, host),
        AUDITS => audits::dispatch(input, host),
        TEE => tee::dispatch(input, host),
        REPAIR => repair::dispatch(input, host),
        REWARDS => rewards::dispatch(input, host),
        NAMES => names::dispatch(input, host),
        ED25519 => ed25519::dispatch(input, host),
        _ => Err(ModuleError::Fatal(format!("no module lives at {module}"))),
    }
}

/// What a block's header tells the modules before the block's first transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockStart {
    /// R_height.
    pub beacon: B256,
    /// Who built the block.
    pub proposer: Address,
    /// The round it was first proposed in: the proposers of the rounds before missed their turns.
    pub round: u32,
}

/// What happens before a block's first transaction: turns are counted, the height's beacon becomes readable, a round of audits may open.
pub fn begin_block(host: &mut dyn ModuleHost, start: &BlockStart) -> Result<(), ModuleError> {
    staking::open_block(host, start)?;
    audits::open_block(host)
}

/// What happens after a block's last transaction: an era may end, with it its rent is due and the era before is settled.
pub fn end_block(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    staking::close_block(host)?;
    let (calendar, height) = (staking::calendar(host), host.height());
    if !calendar.is_last(height) {
        return Ok(());
    }
    let era = calendar.era(height);
    territory::close_era(host, era)?;
    rewards::close_era(host, era)
}
