//! The end of leases: which deadlines lie in which era, and what has lapsed.
//!
//! Owns the index by era and the cursor over it. Must not know files: whoever releases them asks for the next lapsed territory. Invariants:
//! each territory stands once in the list of its deadline's era, at its `endingPlace`; the lists of the eras the cursor has passed are empty
//! and stay so, because nothing that has lapsed gets a new deadline.

use super::{
    super::host::{ModuleError, ModuleHost},
    Deed, Terms, state, token_of,
};
use crate::{
    ledger::abi::{ITerritory, TERRITORY},
    types::{Address, U256},
};
use alloy_sol_types::SolEvent;

/// What the cursor points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger::modules) enum LapseStep {
    /// A lapsed territory: its files are to be released, then it is to be purged.
    Territory { token: u64, owner: Address },
    /// An era in which no lease ends any more.
    EmptyEra,
}

/// What is to be done next, if anything has lapsed.
pub(in crate::ledger::modules) fn next(host: &mut dyn ModuleHost) -> Result<Option<LapseStep>, ModuleError> {
    let (_, _, _, era) = state().counts.get(host)?;
    if !Terms::of(host).has_lapsed(era, host.height()) {
        return Ok(None);
    }
    let list = state().ending.at_key(&era);
    Ok(Some(match list.len(host)?.checked_sub(1) {
        None => LapseStep::EmptyEra,
        Some(last) => {
            let word = list.item(last).get(host)?;
            let Deed { token, owner, .. } = Deed::read(host, token_of(word))?;
            LapseStep::Territory { token, owner }
        }
    }))
}

/// Moves the cursor on by an era.
pub(in crate::ledger::modules) fn pass_era(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    let (minted, territories, orders, passed) = state().counts.get(host)?;
    state().counts.set(host, &(minted, territories, orders, passed + 1))
}

/// Removes a lapsed territory whose files are released.
pub(in crate::ledger::modules) fn purge(host: &mut dyn ModuleHost, token: u64) -> Result<(), ModuleError> {
    let deed = Deed::read(host, token)?;
    if deed.used != 0 {
        let used = deed.used;
        return Err(ModuleError::Fatal(format!("territory {token} is purged while {used} B are charged to it")));
    }
    leave(host, &deed)?;
    super::leave(host, &deed)?;
    let slots = deed.slots();
    slots.lease.clear(host)?;
    slots.ending_place.clear(host)?;
    slots.paid.clear(host)?;
    slots.asked.clear(host)?;
    let (minted, territories, orders, passed) = state().counts.get(host)?;
    let leased = state().leased.get(host)?;
    let broken = || ModuleError::Fatal(format!("totals do not cover territory {token}"));
    let territories = territories.checked_sub(1).ok_or_else(broken)?;
    let leased = leased.checked_sub(U256::from(deed.size)).ok_or_else(broken)?;
    state().counts.set(host, &(minted, territories, orders, passed))?;
    state().leased.set(host, &leased)?;
    let event = ITerritory::TerritoryPurged { token, owner: deed.owner, size: deed.size };
    host.emit(TERRITORY, event.encode_log_data())
}

/// Number of territories that have lapsed and wait for their purge.
pub(super) fn count(host: &mut dyn ModuleHost) -> Result<u64, ModuleError> {
    let (_, _, _, mut era) = state().counts.get(host)?;
    let (terms, height) = (Terms::of(host), host.height());
    let mut count = 0u64;
    while terms.has_lapsed(era, height) {
        count = count.saturating_add(state().ending.at_key(&era).len(host)?);
        era += 1;
    }
    Ok(count)
}

/// Enters a territory in the list of its deadline's era.
pub(super) fn enter(host: &mut dyn ModuleHost, deed: &Deed) -> Result<(), ModuleError> {
    let era = Terms::of(host).era(deed.deadline);
    let place = state().ending.at_key(&era).push(host, &U256::from(deed.token))?;
    deed.slots().ending_place.set(host, &place)
}

/// Takes it out; the list's last one fills the gap.
pub(super) fn leave(host: &mut dyn ModuleHost, deed: &Deed) -> Result<(), ModuleError> {
    let era = Terms::of(host).era(deed.deadline);
    let place = deed.slots().ending_place.get(host)?;
    if let Some(moved) = state().ending.at_key(&era).swap_remove(host, place)? {
        state().territories.at_key(&token_of(moved)).ending_place.set(host, &place)?;
    }
    Ok(())
}
