//! The end of a miner: it leaves or is forced out, what it holds finds new holders, and what is left of its collateral is paid out. And its
//! return, if it was forced out by a verdict that was wrong.
//!
//! Invariants: who leaves is given nothing new and has no idle space; the collateral stays until nothing is held and the lock is over;
//! the array of those that leave has exactly the miners that leave and hold something.

use super::{
    super::{
        host::{ModuleError, ModuleHost},
        staking,
    },
    Entry, MinerState,
    holdings::holdings_len,
    idle, registration,
    space::Space,
    state,
};
use crate::{
    ledger::abi::{IMiners, MINERS},
    types::{Address, Height, Params},
};
use alloy_sol_types::SolEvent;

/// First block in which the collateral of a miner that left at `left_at` is paid out.
fn unlocked_at(params: &Params, left_at: Height) -> Height {
    left_at.saturating_add(params.unbond_lock_eras.saturating_mul(params.era_blocks))
}

/// Begins to leave.
pub(super) fn exit(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    let account = host.caller();
    let entry = Entry::read_active(host, account)?;
    let held = leave(host, entry, MinerState::Exiting)?;
    let withdrawable = unlocked_at(host.params(), host.height());
    let event = IMiners::MinerLeaving { account, held, withdrawableFrom: withdrawable };
    host.emit(MINERS, event.encode_log_data())
}

/// Forces a miner out; gives what it was before. One that leaves already is lost from now on, with the lock it has; one that is lost stays so.
pub(in crate::ledger::modules) fn force_out(
    host: &mut dyn ModuleHost,
    account: Address,
) -> Result<MinerState, ModuleError> {
    let entry = Entry::read(host, account)?;
    let held = match entry.state {
        MinerState::Active => leave(host, entry, MinerState::Lost)?,
        MinerState::Exiting => {
            Entry { state: MinerState::Lost, ..entry }.write(host)?;
            holdings_len(host, account)?
        }
        MinerState::Lost => return Ok(entry.state),
    };
    host.emit(MINERS, IMiners::MinerLost { account, held }.encode_log_data())?;
    Ok(entry.state)
}

/// Makes a miner that is lost what it was before, `as_state`: its lock is undone, and it keeps what others have not taken over. Its idle space
/// is gone, since it may have given it up.
pub(in crate::ledger::modules) fn reinstate(
    host: &mut dyn ModuleHost,
    account: Address,
    as_state: MinerState,
) -> Result<(), ModuleError> {
    let entry = Entry::read(host, account)?;
    if entry.state != MinerState::Lost {
        return Ok(());
    }
    if as_state == MinerState::Active {
        unlist(host, &entry)?;
        let entry = Entry { state: MinerState::Active, left_at: 0, leaving: None, ..entry };
        entry.write(host)?;
        let space = Space::read(host, &entry)?;
        registration::change_total(host, 0, space.capacity)?;
        registration::weigh(host, &entry, &space)?;
    } else {
        Entry { state: as_state, ..entry }.write(host)?;
    }
    let held = holdings_len(host, account)?;
    host.emit(MINERS, IMiners::MinerReinstated { account, state: as_state.code(), held }.encode_log_data())
}

/// Takes an active miner out of placement; gives how many columns it holds.
fn leave(host: &mut dyn ModuleHost, mut entry: Entry, as_state: MinerState) -> Result<u64, ModuleError> {
    let account = entry.account;
    idle::drop_waiting(host, account)?;
    let before = Space::read(host, &entry)?;
    let mut after = before;
    after.end_idle(host.params());
    let after = after.change(host, &entry, before)?;
    registration::change_total(host, after.capacity, 0)?;

    let held = holdings_len(host, account)?;
    (entry.state, entry.left_at) = (as_state, host.height());
    if held > 0 {
        entry.leaving = Some(state().leaving.push(host, &account)?);
    }
    entry.write(host)?;
    registration::weigh(host, &entry, &after)?;
    Ok(held)
}

/// Takes a miner that holds nothing any more off the list of those that leave, if it is there.
pub(super) fn unlist(host: &mut dyn ModuleHost, entry: &Entry) -> Result<(), ModuleError> {
    let Some(place) = entry.leaving else { return Ok(()) };
    if let Some(moved) = state().leaving.swap_remove(host, place)? {
        let other = Entry::read(host, moved)?;
        Entry { leaving: Some(place), ..other }.write(host)?;
    }
    Entry { leaving: None, ..*entry }.write(host)
}

/// Pays the collateral out and ends the registration.
pub(super) fn withdraw(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    let account = host.caller();
    let entry = Entry::read(host, account)?;
    if entry.state == MinerState::Active {
        return Err(ModuleError::revert(IMiners::NotLeaving { account }));
    }
    let space = Space::read(host, &entry)?;
    if holdings_len(host, account)? > 0 {
        return Err(ModuleError::revert(IMiners::StillHolding { account, used: space.used }));
    }
    let until = unlocked_at(host.params(), entry.left_at);
    if host.height() < until {
        return Err(ModuleError::revert(IMiners::Locked { account, until }));
    }
    let (collateral, pot) = (entry.slots().collateral.get(host)?, entry.slots().pot.get(host)?);
    clear(host, &entry)?;
    // What fines left for repairs that nobody had to do: it is nobody's, least of all the miner's.
    staking::burn(host, MINERS, pot)?;
    if !collateral.is_zero() {
        host.transfer(MINERS, account, collateral)?;
    }
    host.emit(MINERS, IMiners::MinerExited { account, collateral }.encode_log_data())
}

fn clear(host: &mut dyn ModuleHost, entry: &Entry) -> Result<(), ModuleError> {
    idle::close(host, entry)?;
    let slots = entry.slots();
    slots.head.clear(host)?;
    slots.space.clear(host)?;
    slots.before.item(0).clear(host)?;
    slots.before.item(1).clear(host)?;
    slots.collateral.clear(host)?;
    slots.pot.clear(host)?;
    slots.network_key.clear(host)?;
    slots.account_key.clear(host)?;
    slots.idle_seed.clear(host)?;
    slots.name.set(host, b"")?;
    registration::remove_candidate(host, entry.index)
}

/// Number of miners that leave and still hold something.
pub(in crate::ledger::modules) fn leaving_len(host: &mut dyn ModuleHost) -> Result<u64, ModuleError> {
    state().leaving.len(host)
}

/// Miners that leave and still hold something, from `skip` on.
pub(in crate::ledger::modules) fn leaving(
    host: &mut dyn ModuleHost,
    skip: u64,
    limit: u64,
) -> Result<Vec<Address>, ModuleError> {
    state().leaving.page(host, skip, limit)
}
