//! What follows from a verdict for the miner: strikes, fines, being forced out; and for key epochs that lie.
//!
//! Owns the tally of each miner. Must not know votes. Invariants: only rounds in which tags are due and that were not slow count; faults in a row
//! are never more than the rounds decided since the last pass.

use super::{rounds::Round, seams, state};
use crate::{
    ledger::{
        audit::{Outcome, Rounds, Verdict},
        modules::{
            host::{ModuleError, ModuleHost},
            miners::MinerState,
        },
    },
    types::{
        Address, U256,
        params::{FAULT_FINES_PERCENT, FAULTS_MAX},
    },
};

/// Rounds in a row in which tags pass and openings fail, after which the tags' key counts as known to others.
const SUSPECT_ROUNDS: u32 = 2;
/// Epochs in a slot.
const EPOCHS_IN_SLOT: usize = 4;

/// What is known of a miner's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) faults: u64,
    /// Newest counted round that was passed.
    pub(super) last_pass: u64,
    /// Counted faults in a row.
    pub(super) strikes: u32,
    /// Counted rounds in a row in which tags passed and openings failed.
    pub(super) suspect: u32,
}

impl Tally {
    pub(super) fn read(host: &mut dyn ModuleHost, miner: Address) -> Result<Self, ModuleError> {
        let (passed, faults, last_pass, run) = state::miner(miner).tally.get(host)?;
        let half = |word: u64| u32::try_from(word & u64::from(u32::MAX)).expect("masked to 32 bits");
        Ok(Self { passed, faults, last_pass, strikes: half(run), suspect: half(run >> 32) })
    }

    pub(super) fn write(&self, host: &mut dyn ModuleHost, miner: Address) -> Result<(), ModuleError> {
        let run = u64::from(self.strikes) | u64::from(self.suspect) << 32;
        state::miner(miner).tally.set(host, &(self.passed, self.faults, self.last_pass, run))
    }
}

/// What a verdict did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) strikes_before: u32,
    pub(super) strikes: u32,
    pub(super) fined: U256,
    /// What the miner was, if it was forced out.
    pub(super) forced: Option<MinerState>,
}

/// Whether faults of a round count.
pub(super) fn counts(host: &dyn ModuleHost, round: &Round) -> bool {
    Rounds::of(host.params()).has_tags(round.number) && !round.is_slow(host.params())
}

/// Whether anything was shown, and all of it was right.
pub(super) fn is_pass(verdict: Verdict) -> bool {
    !verdict.is_fault() && [verdict.spot, verdict.tags, verdict.idle].contains(&Outcome::Passed)
}

/// Draws the consequences of a verdict.
pub(super) fn follow(
    host: &mut dyn ModuleHost,
    round: &Round,
    miner: Address,
    verdict: Verdict,
) -> Result<Found, ModuleError> {
    let mut tally = Tally::read(host, miner)?;
    let (counted, before) = (counts(host, round), tally.strikes);
    tally.faults += u64::from(verdict.is_fault());
    tally.passed += u64::from(is_pass(verdict));
    if counted {
        watch_epochs(host, miner, verdict, &mut tally)?;
        if verdict.is_fault() {
            tally.strikes = before.saturating_add(1);
        } else if is_pass(verdict) {
            (tally.strikes, tally.last_pass) = (0, tally.last_pass.max(round.number));
        }
    }
    let strikes = tally.strikes;
    let (fined, forced) =
        if counted && verdict.is_fault() { punish(host, miner, &mut tally)? } else { (U256::ZERO, None) };
    tally.write(host, miner)?;
    if strikes != before {
        seams::set_strikes(host, miner, strikes)?;
    }
    Ok(Found { strikes_before: before, strikes, fined, forced })
}

/// Fines a miner for the faults of its tally, and forces it out after the last one. Gives the fine, and what it was if it was forced out.
pub(super) fn punish(
    host: &mut dyn ModuleHost,
    miner: Address,
    tally: &mut Tally,
) -> Result<(U256, Option<MinerState>), ModuleError> {
    let index = usize::try_from(tally.strikes).unwrap_or(usize::MAX).clamp(1, FAULT_FINES_PERCENT.len()) - 1;
    let fined = seams::fine(host, miner, FAULT_FINES_PERCENT[index])?;
    if !fined.is_zero() {
        let place = state::miner(miner).fined;
        let sum = place.get(host)?.saturating_add(fined);
        place.set(host, &sum)?;
    }
    if tally.strikes < FAULTS_MAX {
        return Ok((fined, None));
    }
    // A miner that registers anew begins anew.
    tally.strikes = 0;
    Ok((fined, Some(seams::force_out(host, miner)?)))
}

/// Suspends the key epochs whose tags pass while openings fail: who made such proofs knows the key.
fn watch_epochs(
    host: &mut dyn ModuleHost,
    miner: Address,
    verdict: Verdict,
    tally: &mut Tally,
) -> Result<(), ModuleError> {
    let contradiction = verdict.tags == Outcome::Passed && verdict.spot == Outcome::Failed;
    tally.suspect = if contradiction { tally.suspect.saturating_add(1) } else { 0 };
    if tally.suspect < SUSPECT_ROUNDS {
        return Ok(());
    }
    let places = state::miner(miner).epochs;
    for index in 0..places.len(host)? {
        for part in places.item(index).get(host)?.as_limbs() {
            if let Some(epoch) = part.checked_sub(1) {
                seams::suspend(host, epoch)?;
            }
        }
    }
    Ok(())
}

/// Keeps the epochs a miner proves with, if its last counted round makes them suspect.
pub(super) fn note_epochs(host: &mut dyn ModuleHost, miner: Address, epochs: &[u64]) -> Result<(), ModuleError> {
    if Tally::read(host, miner)?.suspect == 0 {
        return Ok(());
    }
    let places = state::miner(miner).epochs;
    let slots = epochs.len().div_ceil(EPOCHS_IN_SLOT);
    places.set_len(host, u64::try_from(slots).expect("a usize fits 64 bits"))?;
    for (index, part) in (0u64..).zip(epochs.chunks(EPOCHS_IN_SLOT)) {
        let mut limbs = [0; EPOCHS_IN_SLOT];
        limbs.iter_mut().zip(part).for_each(|(limb, epoch)| *limb = epoch.saturating_add(1));
        places.item(index).set(host, &U256::from_limbs(limbs))?;
    }
    Ok(())
}
