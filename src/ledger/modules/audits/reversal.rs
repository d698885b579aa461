//! A verdict that was wrong is replaced: power, strikes, fines, a forced exit, and what the liars pay.
//!
//! Must not know who found it wrong. Invariants: power becomes what it had been with the right verdict, while its era is not settled; strikes become what
//! they had been; a member is fined only for a word that evidence refutes; of the fines the miner gets its own fine back, then half is
//! the accuser's and half is burnt, to the smallest unit; what the miner does not get back of its fine from them comes out of its pot and of
//! what was burnt.

use super::{
    ballot::{Ballot, Base, Votes},
    outcome::{self, Tally},
    rounds::{Member, Round},
    seams, state,
};
use crate::{
    ledger::{
        abi::{AUDITS, IAudits},
        audit::{Outcome, Rounds, Verdict},
        modules::{
            host::{ModuleError, ModuleHost},
            miners::MinerState,
            rewards, staking,
        },
    },
    types::{Address, U256, params::FAULTS_MAX},
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

/// Who said it, and who says that it is wrong.
#[derive(Debug, Clone)]
pub(super) struct Accusation {
    pub(super) members: Vec<Member>,
    pub(super) votes: Votes,
    pub(super) accuser: Address,
    /// The appeal, as events name it.
    pub(super) appeal: u64,
}

/// Replaces the verdict.
pub(super) fn reverse(host: &mut dyn ModuleHost, accusation: &Accusation, wrong: &Wrong) -> Result<(), ModuleError> {
    let Wrong { miner, round, mut ballot, found } = *wrong;
    let mut base = Base::read(host, miner, round)?;
    let taken = base.fined;
    correct_power(host, wrong, &base)?;
    let exit = exit_undone(host, wrong)?;
    let (fined_now, forced) = correct_strikes(host, wrong)?;
    let owed = if found.is_fault() { U256::ZERO } else { taken };
    base.fined = if found.is_fault() { taken + fined_now } else { U256::ZERO };
    base.write(host, miner, round)?;
    (ballot.verdict, ballot.forced) = (found, forced.or(ballot.forced.filter(|_| found.is_fault())));
    ballot.write(host, miner, round)?;

    let refuted = |said: Verdict, has_tags: bool| is_refuted(said, wrong, has_tags);
    let fines = fine_members(host, accusation, round, refuted)?;
    let restored = owed.min(fines);
    if !restored.is_zero() {
        host.transfer(AUDITS, miner, restored)?;
    }
    let back = seams::undo_fine(host, miner, taken, owed - restored)?;
    if !owed.is_zero() {
        let place = state::miner(miner).fined;
        let sum = place.get(host)?.saturating_sub(restored + back);
        place.set(host, &sum)?;
    }
    share_out(host, accusation.accuser, fines - restored)?;
    match exit {
        None => Ok(()),
        Some(exit) => undo_exit(host, miner, exit),
    }
}

/// Half of what is left of fines is who showed the lie's, the rest is burnt.
pub(super) fn share_out(host: &mut dyn ModuleHost, accuser: Address, left: U256) -> Result<(), ModuleError> {
    let award = left / U256::from(2);
    if !award.is_zero() {
        host.transfer(AUDITS, accuser, award)?;
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

fn counted(host: &mut dyn ModuleHost, round: u64) -> Result<bool, ModuleError> {
    Ok(Round::find(host, round)?.is_some_and(|round| outcome::counts(host, &round)))
}

/// How many faults in a row go with a fault that was none: those before it, too, if it was a pass.
fn wiped(wrong: &Wrong) -> u32 {
    if outcome::is_pass(wrong.found) { wrong.ballot.strikes_before.saturating_add(1) } else { 1 }
}

/// Makes the faults in a row what they had been with the right verdict. Gives the fine of a fault that was taken for a pass, and what the miner was if
/// that forced it out.
///
/// A fault that was none: if no counted round was passed since, all strikes beyond it came after it and stay, those before go if it was a pass; if
/// nothing was due, only its own goes. A pass that was none: if
/// it was the last one, the strikes before it come back, and it is one more. Otherwise a later pass has wiped either out. Fines of other
/// rounds stay as they are.
fn correct_strikes(host: &mut dyn ModuleHost, wrong: &Wrong) -> Result<(U256, Option<MinerState>), ModuleError> {
    let Wrong { miner, round, ballot, found } = *wrong;
    let (was_fault, is_fault) = (ballot.verdict.is_fault(), found.is_fault());
    let mut tally = Tally::read(host, miner)?;
    let (was_pass, is_pass) = (outcome::is_pass(ballot.verdict), outcome::is_pass(found));
    tally.faults = (tally.faults + u64::from(is_fault)).saturating_sub(u64::from(was_fault));
    tally.passed = (tally.passed + u64::from(is_pass)).saturating_sub(u64::from(was_pass));
    let counted = counted(host, round)?;
    let before = tally.strikes;
    let mut punished = (U256::ZERO, None);
    if counted && was_fault && !is_fault && tally.last_pass < round {
        tally.strikes = before.saturating_sub(wiped(wrong));
        tally.last_pass = if is_pass { round } else { tally.last_pass };
    } else if counted && is_fault && !was_fault && tally.last_pass <= round {
        tally.strikes = before.saturating_add(1).saturating_add(if was_pass { ballot.strikes_before } else { 0 });
        tally.last_pass = tally.last_pass.min(round.saturating_sub(1));
        if seams::can_be_punished(host, miner)? {
            punished = outcome::punish(host, miner, &mut tally)?;
        }
    }
    tally.write(host, miner)?;
    if tally.strikes != before {
        seams::set_strikes(host, miner, tally.strikes)?;
    }
    Ok(punished)
}

/// A forced exit that would not have been, and the faults in a row without the one that was none.
#[derive(Debug, Clone, Copy)]
struct Exit {
    /// The round whose verdict forced the miner out.
    round: u64,
    before: MinerState,
    strikes: u32,
}

/// The forced exit that a fault led to which was none: its own, or that of a later round of the same row.
fn exit_undone(host: &mut dyn ModuleHost, wrong: &Wrong) -> Result<Option<Exit>, ModuleError> {
    let Wrong { miner, round, ballot, found } = *wrong;
    let cleared = ballot.verdict.is_fault() && !found.is_fault() && counted(host, round)?;
    let same_row = Tally::read(host, miner)?.last_pass < round;
    if !cleared || !same_row || !seams::is_lost(host, miner)? || !seams::is_same_miner(host, miner, round)? {
        return Ok(None);
    }
    for number in round..=Rounds::of(host.params()).at(host.height()) {
        if let Some(before) = Ballot::read(host, miner, number)?.forced {
            let strikes = FAULTS_MAX.saturating_sub(wiped(wrong));
            return Ok(Some(Exit { round: number, before, strikes }));
        }
    }
    Ok(None)
}

/// Takes a miner back. Of the rounds that are not decided nothing is due: it did not take part in them.
fn undo_exit(host: &mut dyn ModuleHost, miner: Address, exit: Exit) -> Result<(), ModuleError> {
    seams::reinstate(host, miner, exit.before)?;
    seams::set_strikes(host, miner, exit.strikes)?;
    let tally = Tally::read(host, miner)?;
    Tally { strikes: exit.strikes, ..tally }.write(host, miner)?;
    let forced = Ballot::read(host, miner, exit.round)?;
    Ballot { forced: None, ..forced }.write(host, miner, exit.round)?;
    let (height, current) = (host.height(), Rounds::of(host.params()).at(host.height()));
    for number in current.saturating_sub(1).max(exit.round + 1)..=current {
        let ballot = Ballot::read(host, miner, number)?;
        if !ballot.decided {
            let excused = Ballot { decided: true, appealed: true, decided_at: height, ..ballot };
            excused.write(host, miner, number)?;
            Base::default().write(host, miner, number)?;
        }
    }
    Ok(())
}

/// Fines every member whose word `is_refuted` and gives the sum, which is now this module's.
pub(super) fn fine_members(
    host: &mut dyn ModuleHost,
    accusation: &Accusation,
    round: u64,
    is_refuted: impl Fn(Verdict, bool) -> bool,
) -> Result<U256, ModuleError> {
    let has_tags = Rounds::of(host.params()).has_tags(round);
    let mut sum = U256::ZERO;
    for (place, member) in accusation.members.iter().enumerate() {
        let Some(said) = accusation.votes.of(place).and_then(Verdict::decode) else { continue };
        if !is_refuted(said, has_tags) {
            continue;
        }
        let (verifier, appeal) = (member.account, accusation.appeal);
        let amount = seams::fine_verifier(host, verifier, member.is_worker)?;
        sum += amount;
        host.emit(AUDITS, IAudits::VerifierFined { verifier, appeal, amount }.encode_log_data())?;
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
