//! Registration, capacity and collateral, and the weight in placement that follows from them.
//!
//! Invariant: the weight stored beside a candidate is the one that its state, collateral and space give.

use super::{
    super::{
        host::{ModuleError, ModuleHost},
        staking,
    },
    CandidateSlots, Entry, MINER_NAME_MAX_BYTES, MinerState,
    space::Space,
    state,
};
use crate::{
    crypto::{PublicKey, native_address},
    ledger::abi::{IMiners, MINERS},
    types::{Address, B256, Params, U256},
};
use alloy_sol_types::SolEvent;

/// Capacity one unit of collateral covers.
pub(super) const TIB_BYTES: u64 = 1 << 40;

/// What a caller declares when it registers.
pub(super) struct Registration {
    pub(super) operator: Address,
    pub(super) network_key: B256,
    pub(super) account_key: B256,
    pub(super) prefix: u32,
    pub(super) capacity: u64,
    pub(super) name: String,
}

/// Registers the caller with the sent value as collateral.
pub(super) fn register(host: &mut dyn ModuleHost, given: &Registration) -> Result<(), ModuleError> {
    let (account, sent) = (host.caller(), host.value());
    if Entry::find(host, account)?.is_some() {
        return Err(ModuleError::revert(IMiners::AlreadyRegistered { account }));
    }
    check_registration(host.params(), account, given)?;
    check_collateral(host.params(), sent, given.capacity)?;

    let (candidates, since) = (state().candidates, host.height());
    let index = candidates.grow(host)?;
    let entry = Entry { account, index, left_at: 0, leaving: None, state: MinerState::Active, strikes: 0 };
    entry.write(host)?;
    entry.candidate().head.set(host, &(account, since, given.prefix))?;
    entry.candidate().offer.set(host, &(given.operator, 0))?;
    // Within a block that is the beacon of its height; a call on top of a state knows no newer one.
    let newest = staking::beacon_window(host)?.newest;
    let (slots, seed) = (entry.slots(), staking::beacon(host, newest)?);
    slots.network_key.set(host, &given.network_key)?;
    slots.account_key.set(host, &given.account_key)?;
    slots.idle_seed.set(host, &seed)?;
    slots.collateral.set(host, &sent)?;
    slots.name.set(host, given.name.as_bytes())?;
    let space = Space::empty(given.capacity);
    space.begin(host, &entry)?;
    change_total(host, 0, given.capacity)?;
    weigh(host, &entry, &space)?;

    let (operator, capacity, name) = (given.operator, given.capacity, given.name.clone());
    let event = IMiners::MinerRegistered { account, operator, capacity, name };
    host.emit(MINERS, event.encode_log_data())
}

/// Changes the caller's capacity; the sent value is added to its collateral. Idle space that does not fit any more is given up.
pub(super) fn set_capacity(host: &mut dyn ModuleHost, capacity: u64) -> Result<(), ModuleError> {
    let account = host.caller();
    let entry = Entry::read_active(host, account)?;
    let before = Space::read(host, &entry)?;
    let minimum = before.used.max(host.params().miner_min_capacity.0);
    if capacity < minimum {
        return Err(ModuleError::revert(IMiners::CapacityTooLow { capacity, minimum }));
    }
    let collateral = entry.slots().collateral.get(host)?.saturating_add(host.value());
    check_collateral(host.params(), collateral, capacity)?;
    entry.slots().collateral.set(host, &collateral)?;

    let after = Space { capacity, ..before };
    let after = after.change(host, &entry, before)?;
    change_total(host, before.capacity, capacity)?;
    weigh(host, &entry, &after)?;
    let event = IMiners::MinerCapacityChanged { account, capacity };
    host.emit(MINERS, event.encode_log_data())
}

/// Adds the sent value to the caller's collateral.
pub(super) fn add_collateral(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    let (account, amount) = (host.caller(), host.value());
    let entry = Entry::read(host, account)?;
    let collateral = entry.slots().collateral.get(host)?.saturating_add(amount);
    entry.slots().collateral.set(host, &collateral)?;
    let space = Space::read(host, &entry)?;
    weigh(host, &entry, &space)?;
    host.emit(MINERS, IMiners::CollateralAdded { account, amount, collateral }.encode_log_data())
}

/// Writes the weight a miner has in placement: what it lends, or the idle space it has left where that is what fragments are placed
/// on; nothing while it leaves or its collateral is too low, until it adds some.
pub(super) fn weigh(host: &mut dyn ModuleHost, entry: &Entry, space: &Space) -> Result<(), ModuleError> {
    let takes = entry.state == MinerState::Active
        && entry.slots().collateral.get(host)? >= required_collateral(host.params(), space.capacity);
    let weight = match (takes, host.params().placement_needs_idle) {
        (false, _) => 0,
        (true, false) => space.capacity,
        (true, true) => space.idle(host.params()),
    };
    let CandidateSlots { offer, .. } = entry.candidate();
    let (operator, before) = offer.get(host)?;
    if weight == before { Ok(()) } else { offer.set(host, &(operator, weight)) }
}

/// What all active miners declare together.
pub(in crate::ledger::modules) fn total_capacity(host: &mut dyn ModuleHost) -> Result<U256, ModuleError> {
    state().capacity.get(host)
}

pub(super) fn change_total(host: &mut dyn ModuleHost, before: u64, after: u64) -> Result<(), ModuleError> {
    let total = state().capacity.get(host)?;
    let rest = total
        .checked_sub(U256::from(before))
        .ok_or_else(|| ModuleError::Fatal(format!("miners declare {total} B together, one of them {before} B")))?;
    state().capacity.set(host, &(rest + U256::from(after)))
}

/// The last candidate fills the gap that one leaves.
pub(super) fn remove_candidate(host: &mut dyn ModuleHost, index: u64) -> Result<(), ModuleError> {
    let candidates = state().candidates;
    let len = candidates.len(host)?;
    let last = len.checked_sub(1).ok_or_else(|| ModuleError::Fatal("a miner exits from an empty list".into()))?;
    let (gap, end) = (candidates.item(index), candidates.item(last));
    if index != last {
        let (head, offer) = (end.head.get(host)?, end.offer.get(host)?);
        let moved = Entry::read(host, head.0)?;
        Entry { index, ..moved }.write(host)?;
        gap.head.set(host, &head)?;
        gap.offer.set(host, &offer)?;
    }
    end.head.clear(host)?;
    end.offer.clear(host)?;
    candidates.set_len(host, last)
}

fn check_registration(params: &Params, account: Address, given: &Registration) -> Result<(), ModuleError> {
    let account_key = given.account_key;
    if native_address(&PublicKey(account_key.0)) != account {
        return Err(ModuleError::revert(IMiners::KeyMismatch { account, accountKey: account_key }));
    }
    let length = given.name.len();
    if length == 0 || length > MINER_NAME_MAX_BYTES || given.name.chars().any(char::is_control) {
        let (length, maximum) = (U256::from(length), U256::from(MINER_NAME_MAX_BYTES));
        return Err(ModuleError::revert(IMiners::NameInvalid { length, maximum }));
    }
    let (capacity, minimum) = (given.capacity, params.miner_min_capacity.0);
    if capacity < minimum {
        return Err(ModuleError::revert(IMiners::CapacityTooLow { capacity, minimum }));
    }
    Ok(())
}

fn check_collateral(params: &Params, sent: U256, capacity: u64) -> Result<(), ModuleError> {
    let required = required_collateral(params, capacity);
    if sent < required {
        return Err(ModuleError::revert(IMiners::CollateralTooLow { sent, required }));
    }
    Ok(())
}

/// Collateral for `capacity` bytes: the profile's amount for each started TiB.
pub fn required_collateral(params: &Params, capacity: u64) -> U256 {
    params.collateral_per_tib.0 * U256::from(capacity.div_ceil(TIB_BYTES))
}

/// The collateral a miner needs for what it lends.
pub(in crate::ledger::modules) fn required(host: &mut dyn ModuleHost, account: Address) -> Result<U256, ModuleError> {
    let entry = Entry::read(host, account)?;
    let space = Space::read(host, &entry)?;
    Ok(required_collateral(host.params(), space.capacity))
}
