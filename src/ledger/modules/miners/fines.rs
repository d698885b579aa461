//! Fines: what is taken of a collateral, what of it comes back if it was taken wrongly, and the pot that pays those who repair what the miner holds.
//!
//! Invariants: a fine never takes more than there is; what a pot pays for a column is its share of all that is still held, so that the
//! last column empties it.

use super::{
    super::{
        host::{ModuleError, ModuleHost},
        staking,
    },
    Entry, registration,
    space::Space,
    state,
};
use crate::{
    ledger::abi::{IMiners, MINERS},
    types::{Address, U256},
};
use alloy_sol_types::SolEvent;

/// Takes up to `amount` of a miner's collateral; gives what was taken. Half of it is burnt if `burn`, the rest goes into the miner's pot.
pub(in crate::ledger::modules) fn fine(
    host: &mut dyn ModuleHost,
    account: Address,
    amount: U256,
    burn: bool,
) -> Result<U256, ModuleError> {
    let entry = Entry::read(host, account)?;
    let slots = entry.slots();
    let collateral = slots.collateral.get(host)?;
    let taken = amount.min(collateral);
    if taken.is_zero() {
        return Ok(taken);
    }
    let burnt = if burn { taken / U256::from(2) } else { U256::ZERO };
    let bounty = taken - burnt;
    slots.collateral.set(host, &(collateral - taken))?;
    let pot = slots.pot.get(host)?;
    slots.pot.set(host, &(pot + bounty))?;
    staking::burn(host, MINERS, burnt)?;
    let space = Space::read(host, &entry)?;
    registration::weigh(host, &entry, &space)?;
    host.emit(MINERS, IMiners::MinerFined { account, amount: taken, burnt, bounty }.encode_log_data())?;
    Ok(taken)
}

/// Undoes a fine that took `taken`, of which the miner has not got `amount` back: what is there of the pot's half comes out of the pot, the half
/// that was burnt was never burnt. Gives what came back; what repairs were paid with does not.
pub(in crate::ledger::modules) fn undo_fine(
    host: &mut dyn ModuleHost,
    account: Address,
    taken: U256,
    amount: U256,
) -> Result<U256, ModuleError> {
    let Some(entry) = Entry::find(host, account)? else { return Ok(U256::ZERO) };
    let (slots, burnt) = (entry.slots(), taken / U256::from(2));
    let pot = slots.pot.get(host)?;
    let from_pot = amount.min(taken - burnt).min(pot);
    let unburnt = (amount - from_pot).min(burnt);
    let back = from_pot + unburnt;
    if back.is_zero() {
        return Ok(back);
    }
    slots.pot.set(host, &(pot - from_pot))?;
    staking::unburn(host, MINERS, unburnt)?;
    let collateral = slots.collateral.get(host)? + back;
    slots.collateral.set(host, &collateral)?;
    let space = Space::read(host, &entry)?;
    registration::weigh(host, &entry, &space)?;
    host.emit(MINERS, IMiners::CollateralAdded { account, amount: back, collateral }.encode_log_data())?;
    Ok(back)
}

/// What the pot of `holder` pays for a column of `bytes` that it holds, rounded down.
pub(in crate::ledger::modules) fn pot_share(
    host: &mut dyn ModuleHost,
    holder: Address,
    bytes: u64,
) -> Result<U256, ModuleError> {
    let pot = state().miners.at_key(&holder).pot.get(host)?;
    if pot.is_zero() {
        return Ok(pot);
    }
    let entry = Entry::read(host, holder)?;
    let used = Space::read(host, &entry)?.used;
    // A pot is at most the supply, which is far below 2^192.
    Ok(pot.saturating_mul(U256::from(bytes)).checked_div(U256::from(used)).unwrap_or_default())
}

/// Pays that share to `to`, before the column is taken from `holder`; gives what was paid.
pub(in crate::ledger::modules) fn pay_bounty(
    host: &mut dyn ModuleHost,
    holder: Address,
    to: Address,
    bytes: u64,
) -> Result<U256, ModuleError> {
    let share = pot_share(host, holder, bytes)?;
    if share.is_zero() {
        return Ok(share);
    }
    let place = state().miners.at_key(&holder).pot;
    let pot = place.get(host)?;
    place.set(host, &(pot - share))?;
    host.transfer(MINERS, to, share)?;
    Ok(share)
}
