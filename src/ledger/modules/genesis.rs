//! The modules' storage before the first block.
//!
//! Owns the recording host genesis runs the modules on. Must not know the genesis file.

use super::{
    host::{ModuleError, ModuleHost},
    staking::{self, ValidatorSeat},
    tee::{self, TeeRules},
    territory::{self, Request},
};
use crate::types::{Address, B256, ChainId, Height, Params, U256};
use alloy_primitives::LogData;
use std::collections::BTreeMap;

/// Non-zero slots of each module.
pub type ModuleStorage = BTreeMap<Address, BTreeMap<U256, U256>>;

/// A territory that an account has from the first block on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerritoryGift {
    /// Whose it is.
    pub owner: Address,
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Days from block 0 on.
    pub days: u32,
}

/// The modules' storage at genesis: the validators, their committee, the beacon `beacon` of height 0, territories given away and enclaves
/// that are trusted. The beacon must not be derived from the state root, which covers it.
pub fn genesis_storage(
    params: &Params,
    seats: &[ValidatorSeat],
    beacon: B256,
    gifts: &[TerritoryGift],
    enclaves: &TeeRules,
) -> Result<ModuleStorage, ModuleError> {
    let mut host = Recorder { params: params.clone(), storage: BTreeMap::new() };
    staking::install(&mut host, seats, beacon)?;
    tee::install(&mut host, enclaves, beacon)?;
    for TerritoryGift { owner, name, size, days } in gifts {
        territory::install(&mut host, &Request { owner: *owner, name, size: *size, days: *days })?;
    }
    Ok(host.storage)
}

/// A host without gas, calls or value that keeps what is written.
struct Recorder {
    params: Params,
    storage: ModuleStorage,
}

impl ModuleHost for Recorder {
    fn caller(&self) -> Address {
        Address::ZERO
    }
    fn value(&self) -> U256 {
        U256::ZERO
    }
    fn is_static(&self) -> bool {
        false
    }
    fn height(&self) -> Height {
        0
    }
    fn time_ms(&self) -> u64 {
        0
    }
    fn chain_id(&self) -> ChainId {
        0
    }
    fn params(&self) -> &Params {
        &self.params
    }
    fn charge(&mut self, _gas: u64) -> Result<(), ModuleError> {
        Ok(())
    }
    fn sload(&mut self, module: Address, slot: U256) -> Result<U256, ModuleError> {
        Ok(self.storage.get(&module).and_then(|slots| slots.get(&slot)).copied().unwrap_or_default())
    }
    fn sstore(&mut self, module: Address, slot: U256, value: U256) -> Result<(), ModuleError> {
        let slots = self.storage.entry(module).or_default();
        if value.is_zero() {
            slots.remove(&slot);
        } else {
            slots.insert(slot, value);
        }
        Ok(())
    }
    fn emit(&mut self, _module: Address, _log: LogData) -> Result<(), ModuleError> {
        Ok(())
    }
    fn transfer(&mut self, _from: Address, _to: Address, amount: U256) -> Result<(), ModuleError> {
        Err(ModuleError::Fatal(format!("{amount} was to be moved at genesis")))
    }
    fn mint(&mut self, _to: Address, amount: U256) -> Result<(), ModuleError> {
        Err(ModuleError::Fatal(format!("{amount} was to be minted at genesis")))
    }
    fn burn(&mut self, _from: Address, amount: U256) -> Result<(), ModuleError> {
        Err(ModuleError::Fatal(format!("{amount} was to be burnt at genesis")))
    }
}
