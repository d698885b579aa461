//! Refutations: whoever shows the chain the bytes behind a digest has the chain verify them, and nobody can vote the outcome away.
//!
//! Owns when that may be done and what follows. Must not know how bytes are verified. Invariants: a part is verified by the chain once; who said
//! *missed* before is not fined, since the bytes may have been kept from him; what the chain has verified is what the verdict says from then on.

use super::{
    ballot::{Ballot, Base},
    evidence::{self, Part, Subject},
    reversal::{self, Accusation, Wrong},
    rounds::{self, Panel, Round, require_window},
    seams, votes,
};
use crate::{
    ledger::{
        abi::{AUDITS, IAudits},
        audit::{NO_APPEAL, Outcome, Rounds, Verdict},
        modules::host::{ModuleError, ModuleHost},
    },
    types::Address,
};
use alloy_sol_types::SolEvent;

/// Verifies what is shown of a miner's round.
pub(super) fn refute(
    host: &mut dyn ModuleHost,
    miner: Address,
    number: u64,
    given: &IAudits::Evidence,
) -> Result<(), ModuleError> {
    let part = Part::read(given.part)?;
    let mut ballot = Ballot::read(host, miner, number)?;
    let round = Round::find(host, number)?.filter(|_| ballot.answered);
    let round = round.ok_or_else(|| ModuleError::revert(IAudits::AnswerUnknown { miner, round: number }))?;
    check_time(host, number, &ballot)?;
    if known(&mut ballot, part).is_some() {
        return Err(ModuleError::revert(IAudits::NothingRefuted { miner, round: number }));
    }
    let base = base_of(host, miner, number, &ballot)?;
    let outcome = evidence::outcome(host, &Subject { miner, round: number, base }, part, given)?;
    let found = with(ballot.verdict, part, outcome);
    if ballot.decided && found == ballot.verdict {
        return Err(ModuleError::revert(IAudits::NothingRefuted { miner, round: number }));
    }
    *known(&mut ballot, part) = Some(outcome);

    let panel = rounds::panel_of(host, &round, miner)?;
    let (members, by) = (panel.members.clone(), host.caller());
    let accusation = Accusation { members, votes: ballot.votes, accuser: by, appeal: NO_APPEAL };
    if ballot.decided {
        reversal::reverse(host, &accusation, &Wrong { miner, round: number, ballot, found })?;
    } else {
        note(host, &round, miner, (ballot, base), (part, outcome), (&panel, &accusation))?;
    }
    let verdict = if ballot.decided { found.encode() } else { Ballot::read(host, miner, number)?.verdict.encode() };
    let (part, outcome) = (given.part, outcome as u8);
    host.emit(AUDITS, IAudits::AuditRefuted { miner, round: number, by, part, outcome, verdict }.encode_log_data())
}

/// What a round was about, if the miner is still the one it was about.
fn base_of(host: &mut dyn ModuleHost, miner: Address, round: u64, ballot: &Ballot) -> Result<Base, ModuleError> {
    let base = match (seams::is_same_miner(host, miner, round)?, ballot.decided) {
        (false, _) => None,
        (true, true) => Some(Base::read(host, miner, round)?),
        (true, false) => seams::base(host, miner, round)?,
    };
    base.ok_or_else(|| ModuleError::revert(IAudits::NotDue { miner, round }))
}

/// From the draw of the committee until votes, or what a verdict can be changed by, are over.
fn check_time(host: &dyn ModuleHost, round: u64, ballot: &Ballot) -> Result<(), ModuleError> {
    let rounds = Rounds::of(host.params());
    let appeals = host.params().audit_appeal_blocks.saturating_mul(2);
    let until = if ballot.decided { ballot.decided_at.saturating_add(appeals) } else { rounds.vote_until(round) };
    require_window(host, round, rounds.answer_until(round).saturating_add(1), until)
}

/// Notes what is known before there is a verdict. Who has said otherwise already lied: he said it of bytes he must have had.
fn note(
    host: &mut dyn ModuleHost,
    round: &Round,
    miner: Address,
    (ballot, base): (Ballot, Base),
    (part, outcome): (Part, Outcome),
    (panel, accusation): (&Panel, &Accusation),
) -> Result<(), ModuleError> {
    let refuted = |said: Verdict, _| ![outcome, Outcome::Missed].contains(&of(said, part));
    let fines = reversal::fine_members(host, accusation, round.number, refuted)?;
    reversal::share_out(host, accusation.accuser, fines)?;
    votes::settle(host, round, miner, ballot, base, panel)
}

fn known(ballot: &mut Ballot, part: Part) -> &mut Option<Outcome> {
    match part {
        Part::Spot => &mut ballot.known.spot,
        Part::Idle => &mut ballot.known.idle,
    }
}

fn of(verdict: Verdict, part: Part) -> Outcome {
    match part {
        Part::Spot => verdict.spot,
        Part::Idle => verdict.idle,
    }
}

fn with(verdict: Verdict, part: Part, outcome: Outcome) -> Verdict {
    match part {
        Part::Spot => Verdict { spot: outcome, ..verdict },
        Part::Idle => Verdict { idle: outcome, ..verdict },
    }
}
