//! The rewards module: what storage miners are paid, out of emission by power and out of rent by service bytes.
//!
//! Owns power by era and by miner, the settlement of eras, and what each miner has claimed and has locked. Must not know how a round is
//! verified. Invariants:
//! - an era is settled when the era after it ends, and its numbers never change afterwards: until then appeals may correct them;
//! - emission comes into being when its era is settled, if anybody has power, into the module's account; what was minted and burnt here is
//!   counted;
//! - the module's account covers the caches' pool, rent that waits, what is locked and what can still be claimed; rounding leaves at most two
//!   smallest units for a miner and era in it;
//! - nothing walks over all miners: an era is settled by its totals, a claim walks over the eras of one miner.

mod claim;
mod dispatch;
mod power;
mod views;

use super::{
    host::{ModuleError, ModuleHost},
    staking,
    storage::{Mapping, Place, Slot, layout},
};
use crate::{
    ledger::abi::REWARDS,
    types::{Address, U256, params::POWER_IDLE_PERCENT},
};
pub(super) use dispatch::dispatch;
pub(super) use power::{credit, uncredit};

/// Most eras one claim goes through.
pub const CLAIM_MAX_ERAS: u64 = 512;
/// Eras whose shares stay readable after they were claimed: a month.
pub const SHARE_KEPT_ERAS: u64 = 124;

layout! {
    /// `struct { uint256 idle; uint256 service; uint256 emission; uint256 rent; }`
    struct EraSlots {
        idle: Slot<U256>,
        service: Slot<U256>,
        emission: Slot<U256>,
        rent: Slot<U256>,
    }
}

layout! {
    /// A miner: `struct { address operator; uint64 nextEra; uint32 known; uint256 part; uint256 locked; uint256 paid;
    /// mapping(uint64 => uint256) ends; mapping(uint64 => Power) eras; }` with `struct Power { uint64 idle; uint64 service; uint64 rounds; }`. `ends`
    /// is what `part` loses at a date of parts.
    struct AccountSlots {
        head: Slot<(Address, u64, u32)>,
        part: Slot<U256>,
        locked: Slot<U256>,
        paid: Slot<U256>,
        ends: Mapping<u64, Slot<U256>>,
        eras: Mapping<u64, Slot<(u64, u64, u64)>>,
    }
}

layout! {
    /// The module's variables from slot 0. `settled` is the number of eras that are.
    struct State {
        settled: Slot<u64>,
        waiting: Slot<U256>,
        caches: Slot<U256>,
        minted: Slot<U256>,
        burnt: Slot<U256>,
        eras: Mapping<u64, EraSlots>,
        accounts: Mapping<Address, AccountSlots>,
    }
}

fn state() -> State {
    State::at(REWARDS, U256::ZERO)
}

/// Rent of an era, already moved or burnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rent {
    /// For who stored.
    pub(super) storers: U256,
    /// Kept for caches.
    pub(super) caches: U256,
    /// Destroyed.
    pub(super) burnt: U256,
}

/// Takes note of the rent of an era that ends.
pub(super) fn take_rent(host: &mut dyn ModuleHost, era: u64, rent: &Rent) -> Result<(), ModuleError> {
    add(host, state().eras.at_key(&era).rent, rent.storers)?;
    add(host, state().caches, rent.caches)?;
    add(host, state().burnt, rent.burnt)
}

/// Runs when `era` ends: settles the era before.
pub(super) fn close_era(host: &mut dyn ModuleHost, era: u64) -> Result<(), ModuleError> {
    let Some(number) = era.checked_sub(1) else { return Ok(()) };
    let settled = state().settled.get(host)?;
    if settled != number {
        return Err(ModuleError::Fatal(format!("{settled} eras are settled when era {era} ends")));
    }
    let slots = state().eras.at_key(&number);
    let (idle, service) = (slots.idle.get(host)?, slots.service.get(host)?);
    if !power(idle, service).is_zero() {
        let emission = staking::era_emission(host.params().storage_emission, number);
        staking::mint(host, REWARDS, emission)?;
        add(host, state().minted, emission)?;
        slots.emission.set(host, &emission)?;
    }
    let waiting = state().waiting.get(host)?;
    let rent = slots.rent.get(host)? + waiting;
    let (shared, kept) = if service.is_zero() { (U256::ZERO, rent) } else { (rent, U256::ZERO) };
    slots.rent.set(host, &shared)?;
    state().waiting.set(host, &kept)?;
    state().settled.set(host, &era)
}

/// Power of idle and service bytes, in hundredths of a byte.
fn power(idle: U256, service: U256) -> U256 {
    idle * U256::from(POWER_IDLE_PERCENT) + service * U256::from(100 - POWER_IDLE_PERCENT)
}

fn add(host: &mut dyn ModuleHost, slot: Slot<U256>, amount: U256) -> Result<(), ModuleError> {
    if amount.is_zero() {
        return Ok(());
    }
    let sum = slot.get(host)? + amount;
    slot.set(host, &sum)
}

#[cfg(test)]
mod tests;
