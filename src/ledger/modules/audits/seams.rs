//! What audits ask of and do to miners and TEE workers, in one place.
//!
//! Must not know votes. Invariant: nothing here reverts because a miner has left meanwhile, except what [`base`] and [`can_be_punished`] rule out.

use super::ballot::Base;
use crate::{
    ledger::{
        abi::AUDITS,
        audit::Rounds,
        modules::{
            files,
            host::{ModuleError, ModuleHost},
            miners::{self, BatchState, MinerState},
            staking, tee,
        },
    },
    proofs::pois::Shape,
    types::{Address, B256, FileId, Height, Params, U256},
};

/// What a verifier loses that lied: of its bond as a TEE worker in hundredths, of its stake as a validator in thousandths.
const WORKER_FINE_PERCENT: u64 = 10;
const SEAT_FINE_PERMILLE: u64 = 1;

/// What of a miner a round is about, if anything: it was registered before the round opened, is not lost, and had something.
pub(super) fn base(host: &mut dyn ModuleHost, miner: Address, round: u64) -> Result<Option<Base>, ModuleError> {
    let opened = Rounds::of(host.params()).opened_at(round);
    let there = matches!(miners::state_of(host, miner)?, Some(MinerState::Active | MinerState::Exiting));
    if !there || miners::since(host, miner)? >= opened {
        return Ok(None);
    }
    let standing = miners::standing(host, miner, round)?;
    let miners::Standing { idle, used: service, segments, consumed } = standing;
    let base = Base { idle, service, segments, consumed, fined: U256::ZERO };
    Ok((base.idle != 0 || base.service != 0).then_some(base))
}

/// Whether an account is still the miner that a round was about, in whatever state: its idle space and its columns are told from this
/// registration on.
pub(super) fn is_same_miner(host: &mut dyn ModuleHost, miner: Address, round: u64) -> Result<bool, ModuleError> {
    let opened = Rounds::of(host.params()).opened_at(round);
    Ok(miners::state_of(host, miner)?.is_some() && miners::since(host, miner)? < opened)
}

/// Whether a miner is still one that can be fined and forced out.
pub(super) fn can_be_punished(host: &mut dyn ModuleHost, miner: Address) -> Result<bool, ModuleError> {
    Ok(matches!(miners::state_of(host, miner)?, Some(MinerState::Active | MinerState::Exiting)))
}

/// Takes `percent` of the collateral a miner is required to have, or what there is; gives what was taken.
pub(super) fn fine(host: &mut dyn ModuleHost, miner: Address, percent: u64) -> Result<U256, ModuleError> {
    let amount = miners::required(host, miner)? * U256::from(percent) / U256::from(100);
    if amount.is_zero() { Ok(amount) } else { miners::fine(host, miner, amount, true) }
}

/// Undoes a fine of `taken`, of which the miner has not got `amount` back; gives what came back.
pub(super) fn undo_fine(
    host: &mut dyn ModuleHost,
    miner: Address,
    taken: U256,
    amount: U256,
) -> Result<U256, ModuleError> {
    miners::undo_fine(host, miner, taken, amount)
}

/// Forces a miner out; gives what it was before.
pub(super) fn force_out(host: &mut dyn ModuleHost, miner: Address) -> Result<MinerState, ModuleError> {
    miners::force_out(host, miner)
}

/// Whether a miner is forced out.
pub(super) fn is_lost(host: &mut dyn ModuleHost, miner: Address) -> Result<bool, ModuleError> {
    Ok(miners::state_of(host, miner)? == Some(MinerState::Lost))
}

/// Takes a miner back that was forced out.
pub(super) fn reinstate(host: &mut dyn ModuleHost, miner: Address, as_state: MinerState) -> Result<(), ModuleError> {
    miners::reinstate(host, miner, as_state)
}

/// Number and root of a miner's certified segment at `place`; none if it has fewer.
pub(super) fn segment(
    host: &mut dyn ModuleHost,
    miner: Address,
    place: u64,
) -> Result<Option<(u64, B256)>, ModuleError> {
    Ok(miners::segments(host, miner, place, 1)?.pop())
}

/// Bytes of a column of a file, if the miner has had it since before the round opened.
pub(super) fn column_held(
    host: &mut dyn ModuleHost,
    miner: Address,
    round: u64,
    file: FileId,
    column: u8,
) -> Result<Option<u64>, ModuleError> {
    match files::column(host, file, column)?.filter(|found| found.is_held_in(miner, round)) {
        None => Ok(None),
        Some(_) => files::column_bytes(host, file),
    }
}

/// Tells the miners module of faults in a row, if the miner is still there.
pub(super) fn set_strikes(host: &mut dyn ModuleHost, miner: Address, strikes: u32) -> Result<(), ModuleError> {
    match miners::state_of(host, miner)? {
        None => Ok(()),
        Some(_) => miners::set_strikes(host, miner, strikes),
    }
}

/// A batch of commitments to idle space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) height: Height,
    pub(super) waits: bool,
    count: u64,
}

impl Batch {
    /// Bytes of its segments.
    pub(super) fn bytes(&self, params: &Params) -> u64 {
        Shape::of(params).bytes().saturating_mul(self.count)
    }
}

/// A batch. Reverts with the miners module's UnknownBatch.
pub(super) fn idle_batch(host: &mut dyn ModuleHost, miner: Address, number: u64) -> Result<Batch, ModuleError> {
    let batch = miners::idle_batch(host, miner, number)?;
    Ok(Batch { height: batch.height, waits: batch.state == BatchState::Waiting, count: batch.count })
}

/// Ends a batch that waits.
pub(super) fn decide_idle(
    host: &mut dyn ModuleHost,
    miner: Address,
    batch: u64,
    accepted: bool,
) -> Result<(), ModuleError> {
    miners::decide_idle(host, miner, batch, accepted)
}

/// TEE workers that verify.
pub(super) fn verifiers(host: &mut dyn ModuleHost) -> Result<Vec<Address>, ModuleError> {
    tee::verifiers(host)
}

/// Suspends a key epoch, if there is one of this number: miners name the epochs they prove with.
pub(super) fn suspend(host: &mut dyn ModuleHost, epoch: u64) -> Result<(), ModuleError> {
    match tee::suspend(host, epoch) {
        Err(ModuleError::Revert(_)) => Ok(()),
        outcome => outcome,
    }
}

/// Fines a verifier that lied, by what it was drawn as; the amount given is now this module's.
pub(super) fn fine_verifier(host: &mut dyn ModuleHost, account: Address, is_worker: bool) -> Result<U256, ModuleError> {
    if is_worker {
        let amount = host.params().tee_bond.0 * U256::from(WORKER_FINE_PERCENT) / U256::from(100);
        return tee::fine(host, account, amount, AUDITS);
    }
    let amount = staking::at_stake(host, account)? * U256::from(SEAT_FINE_PERMILLE) / U256::from(1_000);
    staking::fine(host, account, amount, AUDITS)
}
