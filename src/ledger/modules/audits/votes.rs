//! Verdicts of committees about rounds.
//!
//! Owns who may vote about whom and when a verdict is decided. Must not know its consequences. Invariants: only members vote, once, in the window,
//! and nothing the chain knows to be wrong; what is decided stays.

use super::{
    VOTE_MAX_MINERS,
    answers::{at_most, same_count},
    ballot::{Ballot, Base},
    outcome,
    rounds::{self, Panel, Round},
    seams,
};
use crate::{
    ledger::{
        abi::{AUDITS, IAudits},
        audit::{Rounds, Verdict},
        modules::{
            host::{ModuleError, ModuleHost},
            rewards,
            staking::{self, Work},
        },
    },
    types::Address,
};
use alloy_sol_types::SolEvent;

/// The caller's verdicts about miners in a round.
pub(super) fn vote(
    host: &mut dyn ModuleHost,
    number: u64,
    miners: &[Address],
    verdicts: &[u8],
) -> Result<(), ModuleError> {
    same_count(miners.len(), verdicts.len())?;
    at_most(miners.len(), VOTE_MAX_MINERS)?;
    let numbers = Rounds::of(host.params());
    let (from, until) = (numbers.prove_until(number).saturating_add(1), numbers.vote_until(number));
    rounds::require_window(host, number, from, until)?;
    let Some(round) = Round::find(host, number)? else {
        let height = host.height();
        return Err(ModuleError::revert(IAudits::RoundClosed { round: number, height, from, until }));
    };
    miners.iter().zip(verdicts).try_for_each(|(miner, verdict)| cast(host, &round, *miner, *verdict))
}

fn cast(host: &mut dyn ModuleHost, round: &Round, miner: Address, verdict: u8) -> Result<(), ModuleError> {
    let (account, number) = (host.caller(), round.number);
    let mut ballot = Ballot::read(host, miner, number)?;
    if ballot.decided {
        return Ok(());
    }
    let Some(base) = seams::base(host, miner, number)? else { return Ok(()) };
    let panel = rounds::panel_of(host, round, miner)?;
    let place = panel
        .place_of(account)
        .ok_or_else(|| ModuleError::revert(IAudits::NotInCommittee { account, miner, round: number }))?;
    let found = check_verdict(host, &ballot, number, verdict)?;
    if !ballot.votes.cast(place, found.encode()) {
        return Err(ModuleError::revert(IAudits::AlreadyVoted { account, miner, round: number }));
    }
    settle(host, round, miner, ballot, base, &panel)
}

/// Writes a ballot that has changed, and decides if its votes do.
pub(super) fn settle(
    host: &mut dyn ModuleHost,
    round: &Round,
    miner: Address,
    ballot: Ballot,
    base: Base,
    panel: &Panel,
) -> Result<(), ModuleError> {
    match ballot.votes.decide(panel.members.len(), ballot.known) {
        None => ballot.write(host, miner, round.number),
        Some(verdict) => decide(host, round, miner, Ballot { verdict, ..ballot }, base, panel),
    }
}

/// A verdict, if it can be right as far as the chain knows. What the chain has verified itself takes the place of what is said of it, so
/// that nobody who could not have the bytes is kept from voting about the rest.
pub(super) fn check_verdict(
    host: &dyn ModuleHost,
    ballot: &Ballot,
    round: u64,
    verdict: u8,
) -> Result<Verdict, ModuleError> {
    let has_tags = Rounds::of(host.params()).has_tags(round);
    Verdict::decode(verdict)
        .map(|decoded| ballot.known.correct(decoded))
        .filter(|decoded| ballot.admits(*decoded, has_tags))
        .ok_or_else(|| ModuleError::revert(IAudits::VerdictInvalid { verdict }))
}

fn decide(
    host: &mut dyn ModuleHost,
    round: &Round,
    miner: Address,
    mut ballot: Ballot,
    mut base: Base,
    panel: &Panel,
) -> Result<(), ModuleError> {
    let (number, verdict) = (round.number, ballot.verdict);
    let (idle, service) = base.earned(verdict);
    if (idle, service) != (0, 0) {
        rewards::credit(host, miner, number, idle, service)?;
    }
    record_work(host, panel, &ballot, &base)?;
    let found = outcome::follow(host, round, miner, verdict)?;
    base.fined = found.fined;
    base.write(host, miner, number)?;
    (ballot.decided, ballot.decided_at, ballot.strikes_before) = (true, host.height(), found.strikes_before);
    ballot.forced = found.forced;
    ballot.write(host, miner, number)?;
    let (strikes, fined) = (found.strikes, found.fined);
    let event = IAudits::AuditDecided { miner, round: number, verdict: verdict.encode(), strikes, fined };
    host.emit(AUDITS, event.encode_log_data())
}

/// What was verified is useful work of the members that found what was decided.
fn record_work(host: &mut dyn ModuleHost, panel: &Panel, ballot: &Ballot, base: &Base) -> Result<(), ModuleError> {
    for (place, member) in panel.members.iter().enumerate() {
        if ballot.votes.of(place) == Some(ballot.verdict.encode()) {
            staking::record_points(host, member.account, Work::ServiceVerified, base.service)?;
            staking::record_points(host, member.account, Work::IdleVerified, base.idle)?;
        }
    }
    Ok(())
}
