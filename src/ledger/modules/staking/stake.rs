//! Stake: bonding, unbonding, withdrawal and what is burnt.
//!
//! Owns the amounts. Must not know why somebody is punished. Invariant: bonded and unbonding of all stakers sum up to the balance
//! of the module's account.

use super::{
    current_era, registry,
    state::{activity, era, staker, state},
};
use crate::{
    ledger::{
        abi::{IStaking, STAKING},
        modules::{
            host::{ModuleError, ModuleHost},
            storage::Slot,
        },
    },
    types::{Address, TOKEN, U256},
};
use alloy_sol_types::SolEvent;

/// Smallest amount one call bonds.
const BOND_MIN: U256 = U256::from_limbs([TOKEN as u64, 0, 0, 0]);

/// Adds the sent value to the caller's stake.
pub(super) fn bond(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    let (account, amount) = (host.caller(), host.value());
    if amount < BOND_MIN {
        return Err(ModuleError::revert(IStaking::AmountTooLow { amount, minimum: BOND_MIN }));
    }
    let slots = staker(account);
    let bonded = slots.bonded.get(host)?.saturating_add(amount);
    slots.bonded.set(host, &bonded)?;
    host.emit(STAKING, IStaking::Bonded { account, amount, bonded }.encode_log_data())
}

/// Moves stake of the caller out of reach of elections, but not of punishments, until its lock ends.
pub(super) fn unbond(host: &mut dyn ModuleHost, amount: U256) -> Result<(), ModuleError> {
    let account = host.caller();
    let slots = staker(account);
    let maximum = slots.bonded.get(host)?;
    if amount > maximum {
        return Err(ModuleError::revert(IStaking::AmountTooHigh { amount, maximum }));
    }
    if amount.is_zero() {
        return Err(ModuleError::revert(IStaking::AmountTooLow { amount, minimum: U256::ONE }));
    }
    let unlock_era = current_era(host).saturating_add(host.params().unbond_lock_eras);
    let unbonding = slots.unbonding.get(host)?.saturating_add(amount);
    slots.bonded.set(host, &(maximum - amount))?;
    slots.unbonding.set(host, &unbonding)?;
    let (number, registered_at, seated_until, _) = slots.head.get(host)?;
    slots.head.set(host, &(number, registered_at, seated_until, unlock_era))?;
    if number != 0 && maximum - amount < host.params().validator_stake.0 {
        registry::retire(host, account)?;
    }
    host.emit(STAKING, IStaking::Unbonded { account, amount, unlockEra: unlock_era }.encode_log_data())
}

/// Pays the caller's unbonded stake out.
pub(super) fn withdraw(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    let account = host.caller();
    let slots = staker(account);
    let amount = slots.unbonding.get(host)?;
    if amount.is_zero() {
        return Err(ModuleError::revert(IStaking::NothingToWithdraw { account }));
    }
    let (current, until) = (current_era(host), locked_until(host, account)?);
    if current < until {
        return Err(ModuleError::revert(IStaking::StakeLocked { account, untilEra: until, currentEra: current }));
    }
    slots.unbonding.clear(host)?;
    host.transfer(STAKING, account, amount)?;
    host.emit(STAKING, IStaking::Withdrawn { account, amount }.encode_log_data())
}

/// First era in which unbonded stake may leave: after its lock, and when no evidence can be brought any more against a seat.
pub(super) fn locked_until(host: &mut dyn ModuleHost, account: Address) -> Result<u64, ModuleError> {
    let (_, _, seated_until, unlock_era) = staker(account).head.get(host)?;
    let accountable = match seated_until {
        0 => 0,
        until => until.saturating_add(host.params().evidence_eras),
    };
    Ok(unlock_era.max(accountable))
}

/// Burns up to `amount` of an account's stake, bonded before unbonding, and gives what was burnt.
pub(super) fn slash(host: &mut dyn ModuleHost, account: Address, amount: U256) -> Result<U256, ModuleError> {
    let burnt = take(host, account, amount)?;
    if !burnt.is_zero() {
        host.burn(STAKING, burnt)?;
        add(host, state().burnt, burnt)?;
    }
    Ok(burnt)
}

/// Moves up to `amount` of an account's stake to `to` as a punishment, bonded before unbonding, and gives what was moved.
pub(in crate::ledger::modules) fn fine(
    host: &mut dyn ModuleHost,
    account: Address,
    amount: U256,
    to: Address,
) -> Result<U256, ModuleError> {
    let taken = take(host, account, amount)?;
    if !taken.is_zero() {
        host.transfer(STAKING, to, taken)?;
        note_punishment(host, account)?;
    }
    Ok(taken)
}

/// What an account has at stake, bonded and unbonding.
pub(in crate::ledger::modules) fn at_stake(host: &mut dyn ModuleHost, account: Address) -> Result<U256, ModuleError> {
    let slots = staker(account);
    Ok(slots.bonded.get(host)?.saturating_add(slots.unbonding.get(host)?))
}

fn take(host: &mut dyn ModuleHost, account: Address, amount: U256) -> Result<U256, ModuleError> {
    let slots = staker(account);
    let (bonded, unbonding) = (slots.bonded.get(host)?, slots.unbonding.get(host)?);
    let from_bonded = amount.min(bonded);
    let from_unbonding = (amount - from_bonded).min(unbonding);
    let taken = from_bonded + from_unbonding;
    if taken.is_zero() {
        return Ok(taken);
    }
    slots.bonded.set(host, &(bonded - from_bonded))?;
    slots.unbonding.set(host, &(unbonding - from_unbonding))?;
    let current = current_era(host);
    for total in [era(current).slashed, activity(account, current).slashed] {
        add(host, total, taken)?;
    }
    Ok(taken)
}

fn add(host: &mut dyn ModuleHost, total: Slot<U256>, amount: U256) -> Result<(), ModuleError> {
    let sum = total.get(host)?.saturating_add(amount);
    total.set(host, &sum)
}

/// Burns `amount` of another module's balance and counts it.
pub(in crate::ledger::modules) fn burn(
    host: &mut dyn ModuleHost,
    from: Address,
    amount: U256,
) -> Result<(), ModuleError> {
    if amount.is_zero() {
        return Ok(());
    }
    host.burn(from, amount)?;
    let sum = state().burnt.get(host)?.saturating_add(amount);
    state().burnt.set(host, &sum)
}

/// Gives another module back what [`burn`] took of it by mistake: it was never burnt.
pub(in crate::ledger::modules) fn unburn(
    host: &mut dyn ModuleHost,
    to: Address,
    amount: U256,
) -> Result<(), ModuleError> {
    if amount.is_zero() {
        return Ok(());
    }
    let burnt = state().burnt.get(host)?;
    let rest = burnt
        .checked_sub(amount)
        .ok_or_else(|| ModuleError::Fatal(format!("{burnt} were burnt, {amount} of them are to come back")))?;
    state().burnt.set(host, &rest)?;
    host.mint(to, amount)
}

/// Brings `amount` into being for another module and counts it.
pub(in crate::ledger::modules) fn mint(
    host: &mut dyn ModuleHost,
    to: Address,
    amount: U256,
) -> Result<(), ModuleError> {
    if amount.is_zero() {
        return Ok(());
    }
    host.mint(to, amount)?;
    add(host, state().minted, amount)
}

/// Brings a reward into being.
pub(super) fn reward(host: &mut dyn ModuleHost, account: Address, era: u64, amount: U256) -> Result<(), ModuleError> {
    if amount.is_zero() {
        return Ok(());
    }
    host.mint(account, amount)?;
    activity(account, era).reward.set(host, &amount)?;
    for total in [state().minted, super::state::era(era).minted] {
        let sum = total.get(host)?.saturating_add(amount);
        total.set(host, &sum)?;
    }
    Ok(())
}

/// Notes a punishment of the current era: it lowers the era's credit.
pub(super) fn note_punishment(host: &mut dyn ModuleHost, account: Address) -> Result<(), ModuleError> {
    let turns = activity(account, current_era(host)).turns;
    let (proposed, missed, punishments) = turns.get(host)?;
    turns.set(host, &(proposed, missed, punishments.saturating_add(1)))
}
