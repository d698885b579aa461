//! Rent on its way from leaseholders to storers: every price is spread over the eras of the term it was paid for.
//!
//! Owns the schedule and its end in each era. Must not know who stores what: that is for the rewards module. Invariants: the parts of a
//! price sum up to it to the smallest unit and none is due before it was paid; a purchase and an era each write a bounded number of
//! slots; what becomes of a territory later changes nothing of it.

use super::{
    super::{
        host::{ModuleError, ModuleHost},
        rewards, staking,
        storage::{Slot, layout},
    },
    state,
};
use crate::{
    consensus::Calendar,
    ledger::abi::{REWARDS, TERRITORY},
    types::{
        Height, U256,
        params::{RENT_BURNT_PERCENT, RENT_CACHES_PERCENT},
    },
};
use std::ops::Range;

layout! {
    /// How the rent of an era differs from the era's before: `struct { uint256 once; uint256 begins; uint256 ends; }`. `once` is due in this era
    /// only, `begins` from this era on, `ends` from this era on no more.
    pub(super) struct RentSlots {
        once: Slot<U256>,
        begins: Slot<U256>,
        ends: Slot<U256>,
    }
}

/// The parts of a price: the eras `first` and `last` have their own, those between one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spread {
    first: u64,
    last: u64,
    in_first: U256,
    each: U256,
    in_last: U256,
}

impl Spread {
    /// Spreads `price` over the blocks `from..until` by the number of blocks in each era; the last era has what rounding left.
    fn of(calendar: Calendar, price: U256, from: Height, until: Height) -> Self {
        let (blocks, newest) = (until.saturating_sub(from).max(1), until.max(from.saturating_add(1)) - 1);
        let (first, last) = (calendar.era(from), calendar.era(newest));
        if first == last {
            return Self { first, last, in_first: price, each: U256::ZERO, in_last: U256::ZERO };
        }
        // A price was paid, so it is less than all tokens, 94 bits; a count has 64.
        let part = |count: u64| price * U256::from(count) / U256::from(blocks);
        let second = calendar.first(first + 1);
        let (in_first, each) = (part(second - from), part(calendar.first(first + 2) - second));
        let in_last = price - in_first - each * U256::from(last - first - 1);
        Self { first, last, in_first, each, in_last }
    }
}

/// Spreads a price over the blocks of `term`, those that have passed left out.
pub(super) fn schedule(host: &mut dyn ModuleHost, price: U256, term: Range<Height>) -> Result<(), ModuleError> {
    let spread = Spread::of(Calendar::of(host.params()), price, term.start.max(host.height()), term.end);
    let at = |era: u64| state().rents.at_key(&era);
    add(host, at(spread.first).once, spread.in_first)?;
    if spread.last > spread.first + 1 {
        add(host, at(spread.first + 1).begins, spread.each)?;
        add(host, at(spread.last).ends, spread.each)?;
    }
    add(host, at(spread.last).once, spread.in_last)
}

/// Takes the rent of an era that ends out of the pool: a share is burnt, a share is kept for caches, the rest is for who stored in this era.
pub(in crate::ledger::modules) fn close_era(host: &mut dyn ModuleHost, era: u64) -> Result<(), ModuleError> {
    let due = take_due(host, era)?;
    if due.is_zero() {
        return Ok(());
    }
    let pool = state().pool.get(host)?;
    let rest = pool
        .checked_sub(due)
        .ok_or_else(|| ModuleError::Fatal(format!("the pool has {pool}, rent of era {era} is {due}")))?;
    state().pool.set(host, &rest)?;
    let share = |percent: u64| due * U256::from(percent) / U256::from(100);
    let (burnt, caches) = (share(RENT_BURNT_PERCENT), share(RENT_CACHES_PERCENT));
    staking::burn(host, TERRITORY, burnt)?;
    host.transfer(TERRITORY, REWARDS, due - burnt)?;
    rewards::take_rent(host, era, &rewards::Rent { storers: due - burnt - caches, caches, burnt })
}

/// What is due in `era`; its slots are cleared.
fn take_due(host: &mut dyn ModuleHost, era: u64) -> Result<U256, ModuleError> {
    let slots = state().rents.at_key(&era);
    let (once, begins, ends) = (slots.once.get(host)?, slots.begins.get(host)?, slots.ends.get(host)?);
    let before = state().rent_rate.get(host)?;
    let rate = (before + begins)
        .checked_sub(ends)
        .ok_or_else(|| ModuleError::Fatal(format!("rent of {ends} ends in era {era}, {before} was due before")))?;
    if rate != before {
        state().rent_rate.set(host, &rate)?;
    }
    for (slot, value) in [(slots.once, once), (slots.begins, begins), (slots.ends, ends)] {
        if !value.is_zero() {
            slot.clear(host)?;
        }
    }
    Ok(rate + once)
}

fn add(host: &mut dyn ModuleHost, slot: Slot<U256>, amount: U256) -> Result<(), ModuleError> {
    if amount.is_zero() {
        return Ok(());
    }
    let sum = slot.get(host)? + amount;
    slot.set(host, &sum)
}
