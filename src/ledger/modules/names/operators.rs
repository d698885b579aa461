//! Who may act for an account: write its names, store and remove its files.
//!
//! Must not know what operators do. Invariant: an account may act for itself; anybody else only from its approval on until it takes it back.

use super::{
    super::host::{ModuleError, ModuleHost},
    state,
};
use crate::{
    ledger::abi::{INames, NAMES},
    types::Address,
};
use alloy_sol_types::SolEvent;

/// Says whether `operator` may act for the caller.
pub(super) fn approve(host: &mut dyn ModuleHost, operator: Address, approved: bool) -> Result<(), ModuleError> {
    let owner = host.caller();
    let slot = state().operators.at_key(&owner).at_key(&operator);
    if approved {
        slot.set(host, &1)?
    } else {
        slot.clear(host)?
    }
    host.emit(NAMES, INames::OperatorApproved { owner, operator, approved }.encode_log_data())
}

/// Whether `operator` has the owner's approval.
pub(super) fn is_operator(host: &mut dyn ModuleHost, owner: Address, operator: Address) -> Result<bool, ModuleError> {
    Ok(state().operators.at_key(&owner).at_key(&operator).get(host)? != 0)
}

/// Reverts unless the caller is `owner` or one of its operators.
pub(in crate::ledger::modules) fn require_actor(host: &mut dyn ModuleHost, owner: Address) -> Result<(), ModuleError> {
    let caller = host.caller();
    if caller == owner || is_operator(host, owner, caller)? {
        return Ok(());
    }
    Err(ModuleError::revert(INames::NotOperator { owner, caller }))
}
