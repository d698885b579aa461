//! The miners module: who lends how much space, against which collateral.
//!
//! Owns registration, capacity and collateral, and how much of each miner's space files use. Must not know files.
//! Invariants: a miner's collateral lies in the module's account until it exits; used ≤ capacity; a miner that holds
//! fragments cannot exit; the candidates array and the positions in the miners mapping agree; the total is the sum of all capacities.

mod dispatch;

use super::{
    host::{ModuleError, ModuleHost},
    storage::{Mapping, Place, Slot, Text, Vector, layout},
};
use crate::{
    crypto::{PublicKey, native_address},
    ledger::{
        abi::{IMiners, MINERS},
        placement::Candidate,
    },
    types::{Address, B256, Params, U256},
};
use alloy_sol_types::SolEvent;
pub(super) use dispatch::dispatch;

/// Longest display name.
pub const MINER_NAME_MAX_BYTES: usize = 64;
/// Most miners one `list` answers with.
pub const LIST_MAX_MINERS: u64 = 1_000;

/// Capacity one unit of collateral covers.
const TIB_BYTES: u64 = 1 << 40;

layout! {
    /// What placement reads of a miner, in two slots:
    /// `struct { address account; uint64 since; uint32 prefix; address operator; uint64 capacity; }`
    struct CandidateSlots {
        head: Slot<(Address, u64, u32)>,
        lent: Slot<(Address, u64)>,
    }
}

layout! {
    /// The rest of a miner. `number` is its index among the candidates plus one; 0 means not registered:
    /// `struct { uint64 number; uint64 used; bytes32 networkKey; bytes32 accountKey; uint256 collateral; string name; }`
    struct MinerSlots {
        head: Slot<(u64, u64)>,
        network_key: Slot<B256>,
        account_key: Slot<B256>,
        collateral: Slot<U256>,
        name: Text,
    }
}

layout! {
    /// The module's variables from slot 0.
    struct State {
        candidates: Vector<CandidateSlots>,
        miners: Mapping<Address, MinerSlots>,
        capacity: Slot<U256>,
    }
}

fn state() -> State {
    State::at(MINERS, U256::ZERO)
}

/// A registered miner as found in storage.
#[derive(Clone, Copy)]
struct Entry {
    index: u64,
    used: u64,
    slots: MinerSlots,
    candidate: CandidateSlots,
}

/// What a caller declares when it registers.
struct Registration {
    operator: Address,
    network_key: B256,
    account_key: B256,
    prefix: u32,
    capacity: u64,
    name: String,
}

/// Registers the caller with the sent value as collateral.
fn register(host: &mut dyn ModuleHost, given: &Registration) -> Result<(), ModuleError> {
    let (account, sent) = (host.caller(), host.value());
    let slots = state().miners.at_key(&account);
    if slots.head.get(host)?.0 != 0 {
        return Err(ModuleError::revert(IMiners::AlreadyRegistered { account }));
    }
    check_registration(host.params(), account, given)?;
    check_collateral(host.params(), sent, given.capacity)?;

    let (candidates, since) = (state().candidates, host.height());
    let index = candidates.grow(host)?;
    let candidate = candidates.item(index);
    candidate.head.set(host, &(account, since, given.prefix))?;
    candidate.lent.set(host, &(given.operator, given.capacity))?;
    change_total(host, 0, given.capacity)?;
    slots.head.set(host, &(index + 1, 0))?;
    slots.network_key.set(host, &given.network_key)?;
    slots.account_key.set(host, &given.account_key)?;
    slots.collateral.set(host, &sent)?;
    slots.name.set(host, given.name.as_bytes())?;

    let (operator, capacity, name) = (given.operator, given.capacity, given.name.clone());
    let event = IMiners::MinerRegistered { account, operator, capacity, name };
    host.emit(MINERS, event.encode_log_data())
}

/// Changes the caller's capacity; the sent value is added to its collateral.
fn set_capacity(host: &mut dyn ModuleHost, capacity: u64) -> Result<(), ModuleError> {
    let account = host.caller();
    let entry = entry(host, account)?;
    let minimum = entry.used.max(host.params().miner_min_capacity.0);
    if capacity < minimum {
        return Err(ModuleError::revert(IMiners::CapacityTooLow { capacity, minimum }));
    }
    let collateral = entry.slots.collateral.get(host)?.saturating_add(host.value());
    check_collateral(host.params(), collateral, capacity)?;

    let (operator, before) = entry.candidate.lent.get(host)?;
    entry.candidate.lent.set(host, &(operator, capacity))?;
    change_total(host, before, capacity)?;
    entry.slots.collateral.set(host, &collateral)?;
    let event = IMiners::MinerCapacityChanged { account, capacity };
    host.emit(MINERS, event.encode_log_data())
}

/// Takes the caller off the list and pays its collateral back.
fn exit(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    let account = host.caller();
    let Entry { index, used, slots, candidate } = entry(host, account)?;
    if used != 0 {
        return Err(ModuleError::revert(IMiners::StillHolding { account, used }));
    }
    let collateral = slots.collateral.get(host)?;
    slots.head.clear(host)?;
    slots.network_key.clear(host)?;
    slots.account_key.clear(host)?;
    slots.collateral.clear(host)?;
    slots.name.set(host, b"")?;
    let (_, capacity) = candidate.lent.get(host)?;
    change_total(host, capacity, 0)?;
    remove_candidate(host, index)?;
    host.transfer(MINERS, account, collateral)?;
    host.emit(MINERS, IMiners::MinerExited { account, collateral }.encode_log_data())
}

/// Number of registered miners.
fn count(host: &mut dyn ModuleHost) -> Result<u64, ModuleError> {
    state().candidates.len(host)
}

/// Registered miners from `skip` on.
fn list(host: &mut dyn ModuleHost, skip: u64, limit: u64) -> Result<Vec<IMiners::Miner>, ModuleError> {
    let end = count(host)?.min(skip.saturating_add(limit.min(LIST_MAX_MINERS)));
    (skip..end)
        .map(|index| {
            let (account, _, _) = state().candidates.item(index).head.get(host)?;
            get(host, account)
        })
        .collect()
}

/// One miner.
fn get(host: &mut dyn ModuleHost, account: Address) -> Result<IMiners::Miner, ModuleError> {
    let Entry { used, slots, candidate, .. } = entry(host, account)?;
    let (_, since, prefix) = candidate.head.get(host)?;
    let (operator, capacity) = candidate.lent.get(host)?;
    Ok(IMiners::Miner {
        account,
        operator,
        networkKey: slots.network_key.get(host)?,
        accountKey: slots.account_key.get(host)?,
        prefix,
        capacity,
        used,
        since,
        collateral: slots.collateral.get(host)?,
        name: slots.name.get(host)?,
        state: 0,
        held: 0,
        leftAt: 0,
        strikes: 0,
    })
}

/// What all registered miners declare together.
pub(super) fn total_capacity(host: &mut dyn ModuleHost) -> Result<U256, ModuleError> {
    state().capacity.get(host)
}

fn change_total(host: &mut dyn ModuleHost, before: u64, after: u64) -> Result<(), ModuleError> {
    let total = state().capacity.get(host)?;
    let rest = total
        .checked_sub(U256::from(before))
        .ok_or_else(|| ModuleError::Fatal(format!("miners declare {total} B together, one of them {before} B")))?;
    state().capacity.set(host, &(rest + U256::from(after)))
}

/// Every registered miner as placement sees it.
pub(super) fn candidates(host: &mut dyn ModuleHost) -> Result<Vec<Candidate>, ModuleError> {
    let places = state().candidates;
    (0..places.len(host)?).map(|index| read_candidate(host, places.item(index))).collect()
}

fn read_candidate(host: &mut dyn ModuleHost, place: CandidateSlots) -> Result<Candidate, ModuleError> {
    let (account, since, prefix) = place.head.get(host)?;
    let (operator, weight) = place.lent.get(host)?;
    Ok(Candidate { account, operator, prefix, weight, since })
}

/// The key that signs a miner's receipts.
pub(super) fn account_key(host: &mut dyn ModuleHost, account: Address) -> Result<PublicKey, ModuleError> {
    let entry = entry(host, account)?;
    Ok(PublicKey(entry.slots.account_key.get(host)?.0))
}

/// Who operates a miner: the miner itself names it.
pub(super) fn operator(host: &mut dyn ModuleHost, account: Address) -> Result<Address, ModuleError> {
    Ok(entry(host, account)?.candidate.lent.get(host)?.0)
}

/// Takes `bytes` of a miner's space. `Ok(Err(free))` if it has only `free` left.
pub(super) fn take_space(
    host: &mut dyn ModuleHost,
    account: Address,
    bytes: u64,
) -> Result<Result<(), u64>, ModuleError> {
    let entry = entry(host, account)?;
    let (_, capacity) = entry.candidate.lent.get(host)?;
    let free = capacity.saturating_sub(entry.used);
    if free < bytes {
        return Ok(Err(free));
    }
    entry.slots.head.set(host, &(entry.index + 1, entry.used + bytes))?;
    Ok(Ok(()))
}

/// Gives `bytes` of a miner's space back.
pub(super) fn free_space(host: &mut dyn ModuleHost, account: Address, bytes: u64) -> Result<(), ModuleError> {
    let entry = entry(host, account)?;
    let used = entry.used.checked_sub(bytes).ok_or_else(|| {
        ModuleError::Fatal(format!("miner {account} uses {} B, {bytes} B are to be freed", entry.used))
    })?;
    entry.slots.head.set(host, &(entry.index + 1, used))
}

fn entry(host: &mut dyn ModuleHost, account: Address) -> Result<Entry, ModuleError> {
    let slots = state().miners.at_key(&account);
    let (number, used) = slots.head.get(host)?;
    match number.checked_sub(1) {
        None => Err(ModuleError::revert(IMiners::UnknownMiner { account })),
        Some(index) => Ok(Entry { index, used, slots, candidate: state().candidates.item(index) }),
    }
}

/// The last candidate fills the gap.
fn remove_candidate(host: &mut dyn ModuleHost, index: u64) -> Result<(), ModuleError> {
    let candidates = state().candidates;
    let len = candidates.len(host)?;
    let last = len.checked_sub(1).ok_or_else(|| ModuleError::Fatal("a miner exits from an empty list".into()))?;
    let (gap, end) = (candidates.item(index), candidates.item(last));
    if index != last {
        let (head, lent) = (end.head.get(host)?, end.lent.get(host)?);
        let moved = state().miners.at_key(&head.0);
        let (_, used) = moved.head.get(host)?;
        moved.head.set(host, &(index + 1, used))?;
        gap.head.set(host, &head)?;
        gap.lent.set(host, &lent)?;
    }
    end.head.clear(host)?;
    end.lent.clear(host)?;
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

#[cfg(test)]
mod tests;
