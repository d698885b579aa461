//! Power that passed rounds give, and its withdrawal when an appeal finds them failed.
//!
//! Must not know verdicts. Invariant: an era's totals are the sums over its miners.

use super::{
    super::{
        host::{ModuleError, ModuleHost},
        miners, staking,
    },
    AccountSlots, state,
};
use crate::{
    ledger::audit::Rounds,
    types::{Address, U256},
};

/// A miner has passed a round with so many bytes. Counts for the era the round opened in, unless that is settled; tells whether it did.
pub(in crate::ledger::modules) fn credit(
    host: &mut dyn ModuleHost,
    miner: Address,
    round: u64,
    idle: u64,
    service: u64,
) -> Result<bool, ModuleError> {
    change(host, miner, round, |(had_idle, had_service, rounds)| {
        (had_idle.saturating_add(idle), had_service.saturating_add(service), rounds.saturating_add(1))
    })
}

/// Takes back what [`credit`] gave.
pub(in crate::ledger::modules) fn uncredit(
    host: &mut dyn ModuleHost,
    miner: Address,
    round: u64,
    idle: u64,
    service: u64,
) -> Result<bool, ModuleError> {
    change(host, miner, round, |(had_idle, had_service, rounds)| {
        (had_idle.saturating_sub(idle), had_service.saturating_sub(service), rounds.saturating_sub(1))
    })
}

fn change(
    host: &mut dyn ModuleHost,
    miner: Address,
    round: u64,
    change: impl FnOnce((u64, u64, u64)) -> (u64, u64, u64),
) -> Result<bool, ModuleError> {
    let opened = Rounds::of(host.params()).opened_at(round);
    let era = staking::calendar(host).era(opened);
    if era < state().settled.get(host)? {
        return Ok(false);
    }
    let account = state().accounts.at_key(&miner);
    remember(host, &account, miner, era)?;
    let place = account.eras.at_key(&era);
    let before = place.get(host)?;
    let after = change(before);
    place.set(host, &after)?;
    let totals = state().eras.at_key(&era);
    for (total, before, after) in [(totals.idle, before.0, after.0), (totals.service, before.1, after.1)] {
        if before != after {
            let rest = total
                .get(host)?
                .checked_sub(U256::from(before))
                .ok_or_else(|| ModuleError::Fatal(format!("era {era} has less power than its miner {miner}")))?;
            total.set(host, &(rest + U256::from(after)))?;
        }
    }
    Ok(true)
}

/// Keeps a miner's operator, so that it is paid even after the miner has withdrawn.
fn remember(host: &mut dyn ModuleHost, account: &AccountSlots, miner: Address, era: u64) -> Result<(), ModuleError> {
    let (operator, next_era, known) = account.head.get(host)?;
    let current = operator_now(host, miner)?.unwrap_or(operator);
    if known == 0 {
        account.head.set(host, &(current, era, 1))
    } else if current != operator || era < next_era {
        // An era before the first one known: rounds of two eras may be decided in any order, and neither is settled yet.
        account.head.set(host, &(current, next_era.min(era), 1))
    } else {
        Ok(())
    }
}

/// Who operates a miner that is registered.
pub(super) fn operator_now(host: &mut dyn ModuleHost, miner: Address) -> Result<Option<Address>, ModuleError> {
    match miners::state_of(host, miner)? {
        None => Ok(None),
        Some(_) => miners::operator(host, miner).map(Some),
    }
}
