//! Claims: a walk over the settled eras of one miner.
//!
//! Owns what is due at once, in parts and when. Invariants: the parts of a reward and what is due at once sum up to it; an era is walked over
//! once; a walk reads, and only a claim writes.

use super::{AccountSlots, CLAIM_MAX_ERAS, SHARE_KEPT_ERAS, power, state};
use crate::{
    ledger::{
        abi::{IRewards, REWARDS},
        modules::{
            host::{ModuleError, ModuleHost},
            rewards::power::operator_now,
        },
    },
    types::{
        Address, U256,
        params::{REWARD_AT_ONCE_PERCENT, REWARD_PARTS},
    },
};
use alloy_sol_types::SolEvent;
use std::collections::BTreeMap;

/// Gas for each era walked over, beside its slots.
const ERA_GAS: u64 = 500;

/// What a miner has of an era.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Share {
    pub(super) idle: u64,
    pub(super) service: u64,
    pub(super) rounds: u64,
    pub(super) total_power: U256,
    pub(super) from_emission: U256,
    pub(super) from_rent: U256,
}

impl Share {
    /// The share of `account` in an era, whose emission and rent are these.
    pub(super) fn of(
        host: &mut dyn ModuleHost,
        account: &AccountSlots,
        era: u64,
        (emission, rent): (U256, U256),
    ) -> Result<Self, ModuleError> {
        let (idle, service, rounds) = account.eras.at_key(&era).get(host)?;
        let mut share = Self { idle, service, rounds, ..Self::default() };
        if idle == 0 && service == 0 {
            return Ok(share);
        }
        let totals = state().eras.at_key(&era);
        let all_service = totals.service.get(host)?;
        share.total_power = power(totals.idle.get(host)?, all_service);
        // An emission has at most 94 bits, power 64 + 7.
        share.from_emission = emission * share.power() / share.total_power.max(U256::ONE);
        share.from_rent = rent * U256::from(service) / all_service.max(U256::ONE);
        Ok(share)
    }

    pub(super) fn power(&self) -> U256 {
        power(U256::from(self.idle), U256::from(self.service))
    }
}

/// A miner's account after some eras were walked over.
pub(super) struct Walk {
    slots: AccountSlots,
    pub(super) next: u64,
    pub(super) part: U256,
    pub(super) locked: U256,
    pub(super) due: U256,
    /// Changes of `ends` that are to be written.
    ends: BTreeMap<u64, U256>,
}

impl Walk {
    /// Walks over at most `eras` settled eras of a miner from the first that it has not claimed.
    pub(super) fn over(host: &mut dyn ModuleHost, miner: Address, eras: u64) -> Result<Self, ModuleError> {
        let slots = state().accounts.at_key(&miner);
        let (_, next, known) = slots.head.get(host)?;
        let (part, locked) = (slots.part.get(host)?, slots.locked.get(host)?);
        let mut walk = Self { slots, next, part, locked, due: U256::ZERO, ends: BTreeMap::new() };
        let until = match known {
            0 => next,
            _ => state().settled.get(host)?.min(next.saturating_add(eras)),
        };
        while walk.next < until {
            walk.step(host)?;
        }
        Ok(walk)
    }

    fn step(&mut self, host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
        host.charge(ERA_GAS)?;
        let part_eras = host.params().reward_part_eras.max(1);
        let date = self.next / part_eras;
        if self.next.is_multiple_of(part_eras) {
            self.release(host, date)?;
        }
        let era = state().eras.at_key(&self.next);
        let settled = (era.emission.get(host)?, era.rent.get(host)?);
        let share = Share::of(host, &self.slots, self.next, settled)?;
        self.earn(host, share.from_emission + share.from_rent, date)?;
        self.next += 1;
        Ok(())
    }

    /// One part of everything that is locked becomes due.
    fn release(&mut self, host: &mut dyn ModuleHost, date: u64) -> Result<(), ModuleError> {
        let ended = self.ends_at(host, date)?;
        if !ended.is_zero() {
            self.ends.insert(date, U256::ZERO);
        }
        self.part = self.part.checked_sub(ended).ok_or_else(broken)?;
        self.locked = self.locked.checked_sub(self.part).ok_or_else(broken)?;
        self.due += self.part;
        Ok(())
    }

    /// Takes a reward in: parts are equal, so what does not divide is due at once.
    fn earn(&mut self, host: &mut dyn ModuleHost, reward: U256, date: u64) -> Result<(), ModuleError> {
        if reward.is_zero() {
            return Ok(());
        }
        let later = reward * U256::from(100 - REWARD_AT_ONCE_PERCENT) / U256::from(100);
        let part = later / U256::from(REWARD_PARTS);
        let locked = part * U256::from(REWARD_PARTS);
        let end = date + REWARD_PARTS + 1;
        let ends = self.ends_at(host, end)? + part;
        self.ends.insert(end, ends);
        self.part += part;
        self.locked += locked;
        self.due += reward - locked;
        Ok(())
    }

    fn ends_at(&self, host: &mut dyn ModuleHost, date: u64) -> Result<U256, ModuleError> {
        match self.ends.get(&date) {
            Some(changed) => Ok(*changed),
            None => self.slots.ends.at_key(&date).get(host),
        }
    }

    fn write(&self, host: &mut dyn ModuleHost, operator: Address, from: u64) -> Result<(), ModuleError> {
        let slots = &self.slots;
        slots.head.set(host, &(operator, self.next, 1))?;
        slots.part.set(host, &self.part)?;
        slots.locked.set(host, &self.locked)?;
        super::add(host, slots.paid, self.due)?;
        for (date, ends) in &self.ends {
            slots.ends.at_key(date).set(host, ends)?;
        }
        for old in from.saturating_sub(SHARE_KEPT_ERAS)..self.next.saturating_sub(SHARE_KEPT_ERAS) {
            let place = slots.eras.at_key(&old);
            if place.get(host)? != (0, 0, 0) {
                place.clear(host)?;
            }
        }
        Ok(())
    }
}

fn broken() -> ModuleError {
    ModuleError::Fatal("parts of rewards do not add up".into())
}

/// Pays a miner's operator what at most `eras` eras give.
pub(super) fn claim(host: &mut dyn ModuleHost, miner: Address, eras: u64) -> Result<U256, ModuleError> {
    if eras == 0 || eras > CLAIM_MAX_ERAS {
        return Err(ModuleError::revert(IRewards::TooMany { given: eras, maximum: CLAIM_MAX_ERAS }));
    }
    let (remembered, from, _) = state().accounts.at_key(&miner).head.get(host)?;
    let walk = Walk::over(host, miner, eras)?;
    if walk.next == from {
        return Err(ModuleError::revert(IRewards::NothingDue { miner, nextEra: from }));
    }
    let operator = operator_now(host, miner)?.unwrap_or(remembered);
    walk.write(host, operator, from)?;
    host.transfer(REWARDS, operator, walk.due)?;
    let event = IRewards::RewardClaimed { miner, to: operator, amount: walk.due, nextEra: walk.next };
    host.emit(REWARDS, event.encode_log_data())?;
    Ok(walk.due)
}
