//! The candidates and their keys.
//!
//! Owns the list and who a key belongs to. Must not know scores. Invariants: the list and the numbers of the stakers agree; a key
//! once registered belongs to its account for ever, so that no message can be pinned on somebody else.

use super::{
    CANDIDATES_MAX, ValidatorSeat,
    state::{staker, state},
};
use crate::{
    consensus::{ConsensusError, Possession, ValidatorKeys},
    ledger::{
        abi::{IStaking, STAKING},
        modules::{
            host::{ModuleError, ModuleHost},
            storage::{Mapping, Slot},
        },
    },
    types::{Address, B256},
};
use alloy_sol_types::SolEvent;

/// Gas of checking three proofs: about what a precompile would ask for two signatures and an ECVRF.
const PROOFS_GAS: u64 = 25_000;

/// Makes the caller a candidate, or replaces a candidate's keys.
pub(super) fn register(host: &mut dyn ModuleHost, keys: &ValidatorKeys, proof: &Possession) -> Result<(), ModuleError> {
    let account = host.caller();
    let slots = staker(account);
    let (bonded, required) = (slots.bonded.get(host)?, host.params().validator_stake.0);
    if bonded < required {
        return Err(ModuleError::revert(IStaking::StakeTooLow { account, bonded, required }));
    }
    let (number, _, seated_until, unlock_era) = slots.head.get(host)?;
    if number != 0 && self::keys(host, account)? == *keys {
        return Err(ModuleError::revert(IStaking::KeysUnchanged { account }));
    }
    host.charge(PROOFS_GAS)?;
    keys.check(host.chain_id(), &account, proof).map_err(|error| refuse(account, &error))?;
    claim(host, account, keys)?;
    let number = if number == 0 { enlist(host, account)? } else { number };
    let now = host.height();
    slots.head.set(host, &(number, now, seated_until, unlock_era))?;
    write_keys(host, account, keys)?;
    let [consensus, vrf, network] = words(keys);
    let event = IStaking::Registered { account, consensusKey: consensus, vrfKey: vrf, networkKey: network };
    host.emit(STAKING, event.encode_log_data())
}

/// A validator of genesis, whose keys the document vouches for.
pub(super) fn install(host: &mut dyn ModuleHost, seat: &ValidatorSeat) -> Result<(), ModuleError> {
    let (account, slots) = (seat.account, staker(seat.account));
    let keys = ValidatorKeys {
        consensus: crate::crypto::PublicKey(seat.consensus_key),
        vrf: crate::crypto::VrfPublicKey(seat.vrf_key),
        network: crate::crypto::PublicKey(seat.network_key),
    };
    claim(host, account, &keys)?;
    let number = enlist(host, account)?;
    slots.head.set(host, &(number, 0, 0, 0))?;
    slots.bonded.set(host, &seat.stake)?;
    write_keys(host, account, &keys)
}

/// Takes a candidate off the list. Its keys stay its own.
pub(super) fn retire(host: &mut dyn ModuleHost, account: Address) -> Result<(), ModuleError> {
    let slots = staker(account);
    let (number, _, seated_until, unlock_era) = slots.head.get(host)?;
    let Some(index) = number.checked_sub(1) else {
        return Err(ModuleError::Fatal(format!("{account} is to leave the candidates and is none")));
    };
    slots.head.set(host, &(0, 0, seated_until, unlock_era))?;
    if let Some(moved) = state().candidates.swap_remove(host, index)? {
        let other = staker(moved).head;
        let (_, registered_at, seated_until, unlock_era) = other.get(host)?;
        other.set(host, &(number, registered_at, seated_until, unlock_era))?;
    }
    host.emit(STAKING, IStaking::Retired { account }.encode_log_data())
}

/// Whether `account` is a candidate, and since when with its present keys.
pub(super) fn registered_at(host: &mut dyn ModuleHost, account: Address) -> Result<Option<u64>, ModuleError> {
    let (number, registered_at, _, _) = staker(account).head.get(host)?;
    Ok((number != 0).then_some(registered_at))
}

/// The keys of a staker, zeroes if it never registered any.
pub(super) fn keys(host: &mut dyn ModuleHost, account: Address) -> Result<ValidatorKeys, ModuleError> {
    let slots = staker(account);
    Ok(ValidatorKeys {
        consensus: crate::crypto::PublicKey(slots.consensus_key.get(host)?.0),
        vrf: crate::crypto::VrfPublicKey(slots.vrf_key.get(host)?.0),
        network: crate::crypto::PublicKey(slots.network_key.get(host)?.0),
    })
}

/// All candidates, in the order of the list.
pub(super) fn all(host: &mut dyn ModuleHost) -> Result<Vec<Address>, ModuleError> {
    state().candidates.page(host, 0, CANDIDATES_MAX)
}

/// Consensus, VRF and network key as words.
pub(super) fn words(keys: &ValidatorKeys) -> [B256; 3] {
    [keys.consensus.0.into(), keys.vrf.0.into(), keys.network.0.into()]
}

fn enlist(host: &mut dyn ModuleHost, account: Address) -> Result<u64, ModuleError> {
    if state().candidates.len(host)? >= CANDIDATES_MAX {
        return Err(ModuleError::revert(IStaking::TooManyCandidates { maximum: CANDIDATES_MAX }));
    }
    Ok(state().candidates.push(host, &account)? + 1)
}

fn claim(host: &mut dyn ModuleHost, account: Address, keys: &ValidatorKeys) -> Result<(), ModuleError> {
    let owners: [Mapping<B256, Slot<Address>>; 3] = [state().consensus_keys, state().vrf_keys, state().network_keys];
    for (owners, key) in owners.into_iter().zip(words(keys)) {
        let place = owners.at_key(&key);
        let owner = place.get(host)?;
        if !owner.is_zero() && owner != account {
            return Err(ModuleError::revert(IStaking::KeyTaken { key, owner }));
        }
        place.set(host, &account)?;
    }
    Ok(())
}

fn write_keys(host: &mut dyn ModuleHost, account: Address, keys: &ValidatorKeys) -> Result<(), ModuleError> {
    let slots = staker(account);
    let [consensus, vrf, network] = words(keys);
    slots.consensus_key.set(host, &consensus)?;
    slots.vrf_key.set(host, &vrf)?;
    slots.network_key.set(host, &network)
}

fn refuse(account: Address, error: &ConsensusError) -> ModuleError {
    let key = match error {
        ConsensusError::NotPossessed { key, .. } => (*key).to_owned(),
        other => other.to_string(),
    };
    ModuleError::revert(IStaking::KeyNotProven { account, key })
}
