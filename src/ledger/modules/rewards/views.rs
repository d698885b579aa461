//! What the module tells: eras, shares, accounts, pools.

use super::{
    CLAIM_MAX_ERAS,
    claim::{Share, Walk},
    power, state,
};
use crate::{
    ledger::{
        abi::IRewards,
        modules::{
            host::{ModuleError, ModuleHost},
            staking,
        },
    },
    types::{Address, U256},
};

/// One era. What is not settled is told as it would be if it were now.
pub(super) fn era(host: &mut dyn ModuleHost, number: u64) -> Result<IRewards::Era, ModuleError> {
    if number > staking::current_era(host) {
        return Err(ModuleError::revert(IRewards::EraUnknown { era: number }));
    }
    let slots = state().eras.at_key(&number);
    let (idle, service) = (slots.idle.get(host)?, slots.service.get(host)?);
    let settled = number < state().settled.get(host)?;
    let (emission, rent) = pay(host, number)?;
    Ok(IRewards::Era { number, idle, service, emission, rent, settled })
}

/// Emission and rent of an era.
fn pay(host: &mut dyn ModuleHost, number: u64) -> Result<(U256, U256), ModuleError> {
    let slots = state().eras.at_key(&number);
    let (emission, rent, settled) = (slots.emission.get(host)?, slots.rent.get(host)?, state().settled.get(host)?);
    if number < settled {
        return Ok((emission, rent));
    }
    let waiting = if number == settled { state().waiting.get(host)? } else { U256::ZERO };
    let nobody = power(slots.idle.get(host)?, slots.service.get(host)?).is_zero();
    let expected = if nobody { U256::ZERO } else { staking::era_emission(host.params().storage_emission, number) };
    Ok((expected, rent + waiting))
}

/// Why a miner gets what it gets for an era.
pub(super) fn share(host: &mut dyn ModuleHost, miner: Address, number: u64) -> Result<IRewards::Share, ModuleError> {
    let account = state().accounts.at_key(&miner);
    let era = era(host, number)?;
    let share = Share::of(host, &account, number, (era.emission, era.rent))?;
    let (_, next_era, known) = account.head.get(host)?;
    Ok(IRewards::Share {
        era: number,
        idle: U256::from(share.idle),
        service: U256::from(share.service),
        rounds: share.rounds,
        power: bytes(share.power()),
        totalPower: bytes(power(era.idle, era.service)),
        fromEmission: share.from_emission,
        fromRent: share.from_rent,
        settled: era.settled,
        claimed: known != 0 && number < next_era,
    })
}

/// Power in whole bytes: shares are computed from hundredths.
fn bytes(hundredths: U256) -> U256 {
    hundredths / U256::from(100)
}

/// A miner's account, as a claim of the most eras would find it.
pub(super) fn account(host: &mut dyn ModuleHost, miner: Address) -> Result<IRewards::Account, ModuleError> {
    let slots = state().accounts.at_key(&miner);
    let (_, next_era, _) = slots.head.get(host)?;
    let paid = slots.paid.get(host)?;
    let walk = Walk::over(host, miner, CLAIM_MAX_ERAS)?;
    let (part_eras, calendar) = (host.params().reward_part_eras.max(1), staking::calendar(host));
    let releasing = walk.next.next_multiple_of(part_eras);
    // An era is settled with the last block of the era after it.
    let next_part_at = if walk.locked.is_zero() { 0 } else { calendar.first(releasing + 2) };
    Ok(IRewards::Account {
        nextEra: next_era,
        claimable: walk.due,
        locked: walk.locked,
        paid,
        part: walk.part,
        nextPartAt: next_part_at,
    })
}

/// The pools and the counts of the supply.
pub(super) fn pools(host: &mut dyn ModuleHost) -> Result<IRewards::poolsReturn, ModuleError> {
    let state = state();
    Ok(IRewards::poolsReturn {
        caches: state.caches.get(host)?,
        waiting: state.waiting.get(host)?,
        minted: state.minted.get(host)?,
        burnt: state.burnt.get(host)?,
    })
}
