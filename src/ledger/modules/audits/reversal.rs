//! A verdict that was wrong is replaced: power, strikes, fines, and what the liars pay.
//!
//! Must not know how seats vote. Invariants: power becomes what it had been with the right verdict, while its era is not settled; strikes become what
//! they had been; a member is fined only for a word that evidence refutes; of the fines the miner gets its own fine back, then half is
//! the appellant's and half is burnt, to the smallest unit.

use super::{
    appeals::Appeal,
    ballot::{Ballot, Base, Votes},
    outcome::{self, Tally},
    rounds::Round,
    seams, state,
};
use crate::{
    ledger::{
        abi::{AUDITS, IAudits},
        audit::{Outcome, Rounds, Verdict},
        modules::{
            host::{ModuleError, ModuleHost},
            rewards, staking,
        },
    },
    types::{Address, U256, params::VERIFIERS},
};
use alloy_sol_types::SolEvent;

/// A verdict found wrong, and the right one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrong {
    pub(super) miner: Address,
    pub(super) round: u64,
    pub(super) ballot: Ballot,
    pub(super) found: Verdict,
}

/// Replaces the verdict.
pub(super) fn reverse(host: &mut dyn ModuleHost, appeal: &Appeal, wrong: &Wrong) -> Result<(), ModuleError> {
    let Wrong { miner, round, mut ballot, found } = *wrong;
    let mut base = Base::read(host, miner, round)?;
    let fined_before = base.fined;
    correct_power(host, wrong, &base)?;
    let fined_now = correct_strikes(host, wrong)?;
    let owed = if found.is_fault() { U256::ZERO } else { fined_before };
    base.fined = if found.is_fault() { fined_before + fined_now } else { U256::ZERO };
    base.write(host, miner, round)?;
    ballot.verdict = found;
    ballot.write(host, miner, round)?;

    let fines = fine_members(host, appeal, wrong)?;
    let restored = owed.min(fines);
    if !restored.is_zero() {
        host.transfer(AUDITS, miner, restored)?;
        let place = state::miner(miner).fined;
        let sum = place.get(host)?.saturating_sub(restored);
        place.set(host, &sum)?;
    }
    let left = fines - restored;
    let award = left / U256::from(2);
    if !award.is_zero() {
        host.transfer(AUDITS, appeal.appellant, award)?;
    }
    staking::burn(host, AUDITS, left - award)
}

fn correct_power(host: &mut dyn ModuleHost, wrong: &Wrong, base: &Base) -> Result<(), ModuleError> {
    let (had, has) = (base.earned(wrong.ballot.verdict), base.earned(wrong.found));
    if had == has {
        return Ok(());
    }
    if had != (0, 0) {
        rewards::uncredit(host, wrong.miner, wrong.round, had.0, had.1)?;
    }
    if has != (0, 0) {
        rewards::credit(host, wrong.miner, wrong.round, has.0, has.1)?;
    }
    Ok(())
}

/// Makes the faults in a row what they had been with the right verdict. Gives the fine of a fault that was taken for a pass.
///
/// A fault that was none: if no counted round was passed since, all strikes beyond it came after it and stay, those before go if it was a pass; if
/// nothing was due, only its own goes. A pass that was none: if
/// it was the last one, the strikes before it come back, and it is one more. Otherwise a later pass has wiped either out. Fines of other
/// rounds stay as they are.
fn correct_strikes(host: &mut dyn ModuleHost, wrong: &Wrong) -> Result<U256, ModuleError> {
    let Wrong { miner, round, ballot, found } = *wrong;
    let (was_fault, is_fault) = (ballot.verdict.is_fault(), found.is_fault());
    let mut tally = Tally::read(host, miner)?;
    let (was_pass, is_pass) = (outcome::is_pass(ballot.verdict), outcome::is_pass(found));
    tally.faults = (tally.faults + u64::from(is_fault)).saturating_sub(u64::from(was_fault));
    tally.passed = (tally.passed + u64::from(is_pass)).saturating_sub(u64::from(was_pass));
    let counted = Round::find(host, round)?.is_some_and(|round| outcome::counts(host, &round));
    let before = tally.strikes;
    let mut fined = U256::ZERO;
    if counted && was_fault && !is_fault && tally.last_pass < round {
        let wiped = if is_pass { ballot.strikes_before.saturating_add(1) } else { 1 };
        tally.strikes = before.saturating_sub(wiped);
        tally.last_pass = if is_pass { round } else { tally.last_pass };
    } else if counted && is_fault && !was_fault && tally.last_pass <= round {
        tally.strikes = before.saturating_add(1).saturating_add(if was_pass { ballot.strikes_before } else { 0 });
        tally.last_pass = tally.last_pass.min(round.saturating_sub(1));
        if seams::can_be_punished(host, miner)? {
            fined = outcome::punish(host, miner, &mut tally)?;
        }
    }
    tally.write(host, miner)?;
    if tally.strikes != before {
        seams::set_strikes(host, miner, tally.strikes)?;
    }
    Ok(fined)
}

/// Fines every member whose word is refuted and gives the sum, which is now this module's.
fn fine_members(host: &mut dyn ModuleHost, appeal: &Appeal, wrong: &Wrong) -> Result<U256, ModuleError> {
    let has_tags = Rounds::of(host.params()).has_tags(wrong.round);
    let votes = Votes::from_word(appeal.cast);
    let mut sum = U256::ZERO;
    for place in 0..VERIFIERS {
        let Some(said) = votes.of(place).and_then(Verdict::decode) else { continue };
        if !is_refuted(said, wrong, has_tags) {
            continue;
        }
        let index = u64::try_from(place).expect("below seven");
        let verifier = appeal.slots.members.item(index).get(host)?;
        let amount = seams::fine_verifier(host, verifier, appeal.is_worker(place))?;
        sum += amount;
        let event = IAudits::VerifierFined { verifier, appeal: appeal.number, amount };
        host.emit(AUDITS, event.encode_log_data())?;
    }
    Ok(sum)
}

/// Whether what a member said of a part that changed is refuted by evidence. Bytes that a member found missing may have been kept from it and
/// shown to the seats: that is no lie. A proof of tags is on the chain: who misses it lies.
fn is_refuted(said: Verdict, wrong: &Wrong, has_tags: bool) -> bool {
    let (decided, found) = (wrong.ballot.verdict, wrong.found);
    let part = |of: fn(&Verdict) -> Outcome| of(&decided) != of(&found) && of(&said) != of(&found);
    let fetched = |of: fn(&Verdict) -> Outcome| part(of) && of(&said) != Outcome::Missed;
    fetched(|v| v.spot) || fetched(|v| v.idle) || has_tags && part(|v| v.tags)
}
