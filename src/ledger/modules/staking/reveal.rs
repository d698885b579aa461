//! The random part of an election: each candidate's own VRF output over the era's seed.
//!
//! Invariants: the key is older than the seed, so that it cannot be ground; each candidate has one output and can only keep it
//! back, which scores nothing; an output is taken in the first half of the era alone.

use super::{
    calendar, registry,
    state::{activity, era},
};
use crate::{
    consensus::{beacon::era_input, election::random_score},
    crypto::{VRF_PROOF_BYTES, VrfProof},
    ledger::{
        abi::{IStaking, STAKING},
        modules::host::{ModuleError, ModuleHost},
    },
    types::{Address, B256},
};
use alloy_sol_types::SolEvent;

/// Gas of verifying an ECVRF proof: two double multiplications, about four signatures.
const VRF_GAS: u64 = 12_000;

/// Takes the caller's contribution to the election at the end of `number`, which must be the current era.
pub(super) fn reveal(host: &mut dyn ModuleHost, number: u64, proof: &[u8]) -> Result<(), ModuleError> {
    let account = host.caller();
    let registered_at = registry::registered_at(host, account)?
        .ok_or_else(|| ModuleError::revert(IStaking::NotCandidate { account }))?;
    check_time(host, account, number, registered_at)?;
    let slots = activity(account, number);
    if slots.reveal.get(host)?.0 != 0 {
        return Err(ModuleError::revert(IStaking::AlreadyRevealed { account, era: number }));
    }
    host.charge(VRF_GAS)?;
    let invalid = || ModuleError::revert(IStaking::ProofInvalid { account, era: number });
    let proof: [u8; VRF_PROOF_BYTES] = proof.try_into().map_err(|_| invalid())?;
    let input = era_input(host.chain_id(), number, &era(number).seed.get(host)?);
    let key = registry::keys(host, account)?.vrf;
    let output = key.verify(&input, &VrfProof(proof)).map_err(|_| invalid())?;

    let random = random_score(&output);
    let now = host.height();
    slots.reveal.set(host, &(now, random))?;
    slots.output.set(host, &B256::from_slice(&output[..32]))?;
    host.emit(STAKING, IStaking::Revealed { account, era: number, random }.encode_log_data())
}

fn check_time(host: &mut dyn ModuleHost, account: Address, number: u64, registered_at: u64) -> Result<(), ModuleError> {
    let (calendar, height) = (calendar(host), host.height());
    let current = calendar.era(height);
    if number != current {
        return Err(ModuleError::revert(IStaking::WrongEra { era: number, currentEra: current }));
    }
    let last = calendar.reveal_last(number);
    if height > last {
        return Err(ModuleError::revert(IStaking::RevealClosed { height, first: calendar.first(number), last }));
    }
    let seed_height = calendar.seed_height(number);
    if registered_at > seed_height {
        let young = IStaking::KeyTooYoung { account, registeredAt: registered_at, seedHeight: seed_height };
        return Err(ModuleError::revert(young));
    }
    Ok(())
}
