//! What miners hand in: commitments to answers, and proofs of tags.
//!
//! Must not know whether they are right. Invariant: a round takes one of each of a miner, in its window.

use super::{PROOF_BYTES, PROVE_MAX_EPOCHS, ballot::Ballot, outcome, rounds, seams, state};
use crate::{
    crypto::hash,
    ledger::{
        abi::{AUDITS, IAudits},
        audit::Rounds,
        modules::host::{ModuleError, ModuleHost},
    },
    types::{Address, B256, U256},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolEvent;

/// Commits to the caller's answers.
pub(super) fn answer(host: &mut dyn ModuleHost, round: u64, spot: B256, idle: B256) -> Result<(), ModuleError> {
    let (miner, numbers) = (host.caller(), Rounds::of(host.params()));
    rounds::require_window(host, round, numbers.opened_at(round), numbers.answer_until(round))?;
    let mut ballot = due_ballot(host, miner, round)?;
    if ballot.answered {
        return Err(ModuleError::revert(IAudits::AlreadyAnswered { miner, round }));
    }
    ballot.answered = true;
    ballot.write(host, miner, round)?;
    state::ballot(miner, round).answers.set(host, &commitment(&spot, &idle))?;
    host.emit(AUDITS, IAudits::Answered { miner, round, spot, idle }.encode_log_data())
}

/// What the chain keeps of an answer: whoever shows its bytes gives both digests again.
pub(super) fn commitment(spot: &B256, idle: &B256) -> B256 {
    hash::content(&[spot.0, idle.0].concat()).into()
}

/// Hands in the caller's proofs of tags.
pub(super) fn prove(
    host: &mut dyn ModuleHost,
    round: u64,
    epochs: Vec<u64>,
    proofs: Vec<Bytes>,
) -> Result<(), ModuleError> {
    let (miner, numbers) = (host.caller(), Rounds::of(host.params()));
    check_proofs(&epochs, &proofs)?;
    rounds::require_window(host, round, numbers.opened_at(round), numbers.prove_until(round))?;
    if !numbers.has_tags(round) {
        return Err(ModuleError::revert(IAudits::NotDue { miner, round }));
    }
    let mut ballot = due_ballot(host, miner, round)?;
    if ballot.proven {
        return Err(ModuleError::revert(IAudits::AlreadyProven { miner, round }));
    }
    ballot.proven = true;
    ballot.write(host, miner, round)?;
    outcome::note_epochs(host, miner, &epochs)?;
    host.emit(AUDITS, IAudits::Proven { miner, round, epochs, proofs }.encode_log_data())
}

fn due_ballot(host: &mut dyn ModuleHost, miner: Address, round: u64) -> Result<Ballot, ModuleError> {
    if seams::base(host, miner, round)?.is_none() {
        return Err(ModuleError::revert(IAudits::NotDue { miner, round }));
    }
    Ballot::read(host, miner, round)
}

fn check_proofs(epochs: &[u64], proofs: &[Bytes]) -> Result<(), ModuleError> {
    same_count(epochs.len(), proofs.len())?;
    at_most(epochs.len(), PROVE_MAX_EPOCHS)?;
    if let Some(pair) = epochs.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(ModuleError::revert(IAudits::EpochsUnordered { epoch: pair[1] }));
    }
    match epochs.iter().zip(proofs).find(|(_, proof)| proof.len() != PROOF_BYTES) {
        None => Ok(()),
        Some((epoch, proof)) => {
            let (given, required) = (U256::from(proof.len()), U256::from(PROOF_BYTES));
            Err(ModuleError::revert(IAudits::ProofLength { epoch: *epoch, given, required }))
        }
    }
}

/// Reverts unless two lists are equally long.
pub(super) fn same_count(left: usize, right: usize) -> Result<(), ModuleError> {
    if left == right {
        return Ok(());
    }
    Err(ModuleError::revert(IAudits::CountMismatch { left: U256::from(left), right: U256::from(right) }))
}

/// Reverts if a list is too long.
pub(super) fn at_most(given: usize, maximum: usize) -> Result<(), ModuleError> {
    if given <= maximum {
        return Ok(());
    }
    Err(ModuleError::revert(IAudits::TooMany { given: U256::from(given), maximum: U256::from(maximum) }))
}
