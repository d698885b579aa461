//! Reading the modules' state without running a block.
//!
//! Owns the host that only reads. Must not change anything. Invariant: whatever would write fails.

use super::{
    host::{ModuleError, ModuleHost},
    staking,
};
use crate::{
    consensus::Committee,
    ledger::state::StateView,
    types::{Address, ChainId, Height, Params, U256},
};
use alloy_primitives::LogData;

/// The committee of a decided era, out of a state.
pub fn committee_of_era(view: &dyn StateView, params: &Params, era: u64) -> Result<Committee, ModuleError> {
    staking::committee_of_era(&mut Reader { view, params }, era)
}

/// A host over a state that nobody may write through.
struct Reader<'a> {
    view: &'a dyn StateView,
    params: &'a Params,
}

impl ModuleHost for Reader<'_> {
    fn caller(&self) -> Address {
        Address::ZERO
    }
    fn value(&self) -> U256 {
        U256::ZERO
    }
    fn is_static(&self) -> bool {
        true
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
        self.params
    }
    fn charge(&mut self, _gas: u64) -> Result<(), ModuleError> {
        Ok(())
    }
    fn sload(&mut self, module: Address, slot: U256) -> Result<U256, ModuleError> {
        self.view.slot(&module, &slot).map_err(|error| ModuleError::Fatal(error.to_string()))
    }
    fn sstore(&mut self, _module: Address, _slot: U256, _value: U256) -> Result<(), ModuleError> {
        Err(ModuleError::Static)
    }
    fn emit(&mut self, _module: Address, _log: LogData) -> Result<(), ModuleError> {
        Err(ModuleError::Static)
    }
    fn transfer(&mut self, _from: Address, _to: Address, _amount: U256) -> Result<(), ModuleError> {
        Err(ModuleError::Static)
    }
    fn mint(&mut self, _to: Address, _amount: U256) -> Result<(), ModuleError> {
        Err(ModuleError::Static)
    }
    fn burn(&mut self, _from: Address, _amount: U256) -> Result<(), ModuleError> {
        Err(ModuleError::Static)
    }
}
