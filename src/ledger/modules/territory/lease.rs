//! Leasing: mint, expand, renew, reactivate, and the payment of all of them.
//!
//! Owns how sizes and deadlines grow and what that costs. Invariants: every price is [`Terms::price`] of added bytes times blocks; a
//! payment ends in the pool to the unit, and what was sent beyond it goes back.

use super::{
    super::{
        host::{ModuleError, ModuleHost},
        miners,
    },
    Deed, Standing, Terms, enter, lapse, rent, state,
};
use crate::{
    ledger::abi::{ITerritory, TERRITORY},
    types::{Address, Height, U256, params::TERRITORY_MIN_BYTES},
};
use alloy_sol_types::SolEvent;
use std::ops::Range;

/// What is wanted of a new territory.
#[derive(Debug, Clone, Copy)]
pub(in crate::ledger::modules) struct Request<'a> {
    /// Who will own it.
    pub(in crate::ledger::modules) owner: Address,
    /// Its name among the owner's.
    pub(in crate::ledger::modules) name: &'a str,
    /// Its bytes.
    pub(in crate::ledger::modules) size: u64,
    /// For how long.
    pub(in crate::ledger::modules) days: u32,
}

/// Leases new space, paid by the caller.
pub(super) fn mint(host: &mut dyn ModuleHost, wanted: &Request<'_>) -> Result<u64, ModuleError> {
    let deadline = check_request(host, wanted)?;
    let price = Terms::of(host).price(wanted.size, deadline - host.height());
    lease_space(host, wanted.size)?;
    let token = create(host, wanted, deadline)?;
    let term = host.height()..deadline;
    take_payment(host, token, price, term)?;
    emit_minted(host, token, wanted, deadline, price)?;
    Ok(token)
}

/// A territory that genesis gives away: it is paid for by nobody and not bounded by miners, of which there are none yet.
pub(in crate::ledger::modules) fn install(host: &mut dyn ModuleHost, wanted: &Request<'_>) -> Result<(), ModuleError> {
    let deadline = check_request(host, wanted)?;
    let leased = state().leased.get(host)?;
    state().leased.set(host, &(leased + U256::from(wanted.size)))?;
    create(host, wanted, deadline).map(drop)
}

/// Refuses a request that no payment makes good, and gives the deadline of the others.
pub(super) fn check_request(host: &dyn ModuleHost, wanted: &Request<'_>) -> Result<Height, ModuleError> {
    super::check_name(wanted.name)?;
    let (size, minimum) = (wanted.size, TERRITORY_MIN_BYTES);
    if size < minimum {
        return Err(ModuleError::revert(ITerritory::SizeTooSmall { size, minimum }));
    }
    deadline_after(host, host.height(), wanted.days)
}

/// Adds bytes for the rest of the lease.
pub(super) fn expand(host: &mut dyn ModuleHost, token: u64, extra: u64) -> Result<(), ModuleError> {
    let mut deed = Deed::of_caller(host, token)?;
    deed.require_unoffered(host)?;
    let price = expansion_price(host, &deed, extra)?;
    lease_space(host, extra)?;
    deed.size = grown(&deed, extra)?;
    deed.write_lease(host)?;
    let term = host.height()..deed.deadline;
    take_payment(host, token, price, term)?;
    host.emit(TERRITORY, ITerritory::TerritoryExpanded { token, size: deed.size, price }.encode_log_data())
}

/// Moves the deadline of an active territory.
pub(super) fn renew(host: &mut dyn ModuleHost, token: u64, days: u32) -> Result<(), ModuleError> {
    let deed = Deed::of_caller(host, token)?;
    deed.require_active(host)?;
    let (deadline, price) = prolong(host, deed, days)?;
    host.emit(TERRITORY, ITerritory::TerritoryRenewed { token, deadline, price }.encode_log_data())
}

/// Makes a frozen territory active again.
pub(super) fn reactivate(host: &mut dyn ModuleHost, token: u64, days: u32) -> Result<(), ModuleError> {
    let deed = Deed::of_caller(host, token)?;
    if deed.standing(host) != Standing::Frozen {
        let (deadline, height) = (deed.deadline, host.height());
        let purge_from = Terms::of(host).purge_from(deadline);
        return Err(ModuleError::revert(ITerritory::NotFrozen { token, deadline, purgeFrom: purge_from, height }));
    }
    let (deadline, price) = prolong(host, deed, days)?;
    host.emit(TERRITORY, ITerritory::TerritoryReactivated { token, deadline, price }.encode_log_data())
}

fn prolong(host: &mut dyn ModuleHost, mut deed: Deed, days: u32) -> Result<(Height, U256), ModuleError> {
    deed.require_unoffered(host)?;
    let (deadline, price) = renewal(host, &deed, days)?;
    let from = deed.deadline;
    lapse::leave(host, &deed)?;
    deed.deadline = deadline;
    lapse::enter(host, &deed)?;
    deed.write_lease(host)?;
    take_payment(host, deed.token, price, from..deadline)?;
    Ok((deadline, price))
}

/// The deadline and price of `days` more: from the old deadline for an active territory, from now for a frozen one. Paid is
/// from the old deadline on in both cases, so that letting a lease end is no discount.
pub(super) fn renewal(host: &dyn ModuleHost, deed: &Deed, days: u32) -> Result<(Height, U256), ModuleError> {
    let deadline = deadline_after(host, deed.deadline.max(host.height()), days)?;
    Ok((deadline, Terms::of(host).price(deed.size, deadline - deed.deadline)))
}

/// The price of more bytes for the rest of an active lease.
pub(super) fn expansion_price(host: &dyn ModuleHost, deed: &Deed, extra: u64) -> Result<U256, ModuleError> {
    deed.require_active(host)?;
    if extra == 0 {
        return Err(ModuleError::revert(ITerritory::SizeTooSmall { size: 0, minimum: 1 }));
    }
    grown(deed, extra)?;
    Ok(Terms::of(host).price(extra, deed.deadline - host.height()))
}

/// Space that can still be leased.
pub(super) fn available(host: &mut dyn ModuleHost) -> Result<U256, ModuleError> {
    let percent = U256::from(host.params().oversell_percent);
    let sellable = miners::total_capacity(host)?.saturating_mul(percent) / U256::from(100);
    Ok(sellable.saturating_sub(state().leased.get(host)?))
}

fn lease_space(host: &mut dyn ModuleHost, wanted: u64) -> Result<(), ModuleError> {
    let available = available(host)?;
    if U256::from(wanted) > available {
        return Err(ModuleError::revert(ITerritory::SoldOut { wanted, available }));
    }
    let leased = state().leased.get(host)?;
    state().leased.set(host, &(leased + U256::from(wanted)))
}

fn grown(deed: &Deed, extra: u64) -> Result<u64, ModuleError> {
    let available = U256::from(u64::MAX - deed.size);
    deed.size.checked_add(extra).ok_or_else(|| ModuleError::revert(ITerritory::SoldOut { wanted: extra, available }))
}

fn deadline_after(host: &dyn ModuleHost, from: Height, days: u32) -> Result<Height, ModuleError> {
    Terms::of(host)
        .end(from, days, host.height())
        .map_err(|maximum| ModuleError::revert(ITerritory::LeaseInvalid { leaseDays: days, maximum }))
}

fn create(host: &mut dyn ModuleHost, wanted: &Request<'_>, deadline: Height) -> Result<u64, ModuleError> {
    let (minted, territories, orders, passed) = state().counts.get(host)?;
    let token = minted + 1;
    state().counts.set(host, &(token, territories + 1, orders, passed))?;
    enter(host, wanted.owner, token, wanted.name)?;
    let deed =
        Deed { token, owner: wanted.owner, place: 0, size: wanted.size, used: 0, start: host.height(), deadline };
    deed.write_lease(host)?;
    lapse::enter(host, &deed)?;
    Ok(token)
}

/// Takes the price of the blocks of `term` into the pool.
fn take_payment(host: &mut dyn ModuleHost, token: u64, price: U256, term: Range<Height>) -> Result<(), ModuleError> {
    settle(host, price, TERRITORY)?;
    let pool = state().pool.get(host)?;
    state().pool.set(host, &(pool + price))?;
    rent::schedule(host, price, term)?;
    let paid = state().territories.at_key(&token).paid;
    let before = paid.get(host)?;
    paid.set(host, &(before + price))
}

/// Passes `price` of the value sent on to `payee` and the rest back to the caller.
pub(super) fn settle(host: &mut dyn ModuleHost, price: U256, payee: Address) -> Result<(), ModuleError> {
    let (sent, caller) = (host.value(), host.caller());
    let surplus = sent
        .checked_sub(price)
        .ok_or_else(|| ModuleError::revert(ITerritory::PaymentTooLow { sent, required: price }))?;
    if payee != TERRITORY {
        host.transfer(TERRITORY, payee, price)?;
    }
    if surplus.is_zero() { Ok(()) } else { host.transfer(TERRITORY, caller, surplus) }
}

fn emit_minted(
    host: &mut dyn ModuleHost,
    token: u64,
    wanted: &Request<'_>,
    deadline: Height,
    price: U256,
) -> Result<(), ModuleError> {
    let Request { owner, size, .. } = *wanted;
    let event = ITerritory::TerritoryMinted { token, owner, name: wanted.name.to_owned(), size, deadline, price };
    host.emit(TERRITORY, event.encode_log_data())
}
