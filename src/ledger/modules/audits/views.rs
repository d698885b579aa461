//! What the module tells: rounds, committees, verdicts, records, appeals.

use super::{
    LIST_MAX_APPEALS, RING,
    appeals::{Appeal, Standing},
    ballot::{Ballot, Base},
    idle,
    outcome::Tally,
    rounds,
    rounds::Round,
    seams, state,
};
use crate::{
    ledger::{
        abi::IAudits,
        audit::{Rounds, Verdict},
        modules::{
            host::{ModuleError, ModuleHost},
            staking,
        },
    },
    types::{Address, params::VERIFIERS},
};

/// The chain's numbers.
pub(super) fn terms(host: &dyn ModuleHost) -> IAudits::Terms {
    let params = host.params();
    IAudits::Terms {
        roundBlocks: params.audit_round_blocks,
        tagRounds: params.audit_tag_rounds,
        answerBlocks: params.audit_answer_blocks,
        proveBlocks: params.audit_prove_blocks,
        appealBlocks: params.audit_appeal_blocks,
        committee: VERIFIERS as u64,
        deposit: params.audit_appeal_deposit.0,
    }
}

/// Number of the current round.
pub(super) fn current(host: &dyn ModuleHost) -> u64 {
    Rounds::of(host.params()).at(host.height())
}

/// A round that is still recorded.
pub(super) fn round_at(host: &mut dyn ModuleHost, number: u64) -> Result<IAudits::Round, ModuleError> {
    let numbers = Rounds::of(host.params());
    let round = recorded(host, number)?;
    let opened_at = numbers.opened_at(number);
    Ok(IAudits::Round {
        number,
        openedAt: opened_at,
        beacon: staking::beacon(host, opened_at)?,
        answerUntil: numbers.answer_until(number),
        proveUntil: numbers.prove_until(number),
        voteUntil: numbers.vote_until(number),
        tags: numbers.has_tags(number),
        slow: round.is_slow(host.params()),
    })
}

fn recorded(host: &mut dyn ModuleHost, number: u64) -> Result<Round, ModuleError> {
    let (numbers, height) = (Rounds::of(host.params()), host.height());
    let (from, until) = (numbers.opened_at(number), numbers.opened_at(number.saturating_add(RING)).saturating_sub(1));
    Round::find(host, number)?
        .ok_or_else(|| ModuleError::revert(IAudits::RoundClosed { round: number, height, from, until }))
}

/// The committee of a miner in a round.
pub(super) fn committee(host: &mut dyn ModuleHost, number: u64, miner: Address) -> Result<Vec<Address>, ModuleError> {
    let round = recorded(host, number)?;
    Ok(rounds::panel_of(host, &round, miner)?.accounts())
}

/// The present committee of a batch; nobody before it is drawn.
pub(super) fn idle_committee(
    host: &mut dyn ModuleHost,
    miner: Address,
    number: u64,
) -> Result<Vec<Address>, ModuleError> {
    let batch = seams::idle_batch(host, miner, number)?;
    let panel = idle::panel_of(host, miner, number, &batch)?;
    Ok(panel.map(|(_, panel)| panel.accounts()).unwrap_or_default())
}

/// Everybody that may be drawn in the current round.
pub(super) fn verifiers(host: &mut dyn ModuleHost) -> Result<Vec<Address>, ModuleError> {
    let number = current(host);
    recorded(host, number)?.verifiers(host)
}

/// What is said of a miner's round.
pub(super) fn verdict(host: &mut dyn ModuleHost, number: u64, miner: Address) -> Result<IAudits::Verdict, ModuleError> {
    let ballot = Ballot::read(host, miner, number)?;
    Ok(IAudits::Verdict {
        value: ballot.verdict.encode(),
        decidedAt: ballot.decided_at,
        votes: ballot.votes.count(),
        decided: ballot.decided,
        appealed: ballot.appealed,
    })
}

/// What a round is about for a miner: as it was decided, or as it is; nothing for who is no miner of it.
pub(super) fn basis(host: &mut dyn ModuleHost, number: u64, miner: Address) -> Result<IAudits::Basis, ModuleError> {
    let base = match Ballot::read(host, miner, number)?.decided {
        true => Base::read(host, miner, number)?,
        false => seams::base(host, miner, number)?.unwrap_or_default(),
    };
    let Base { idle, service, segments, consumed, .. } = base;
    Ok(IAudits::Basis { idle, service, segments, consumed })
}

/// A miner's past.
pub(super) fn record(host: &mut dyn ModuleHost, miner: Address) -> Result<IAudits::Record, ModuleError> {
    let tally = Tally::read(host, miner)?;
    let mut record = IAudits::Record {
        answered: 0,
        proven: 0,
        decided: 0,
        verdict: Verdict::default().encode(),
        strikes: tally.strikes,
        passed: tally.passed,
        faults: tally.faults,
        fined: state::miner(miner).fined.get(host)?,
    };
    let newest = current(host);
    for number in newest.saturating_sub(RING - 1)..=newest {
        let ballot = Ballot::read(host, miner, number)?;
        if ballot.answered {
            record.answered = number;
        }
        if ballot.proven {
            record.proven = number;
        }
        if ballot.decided {
            (record.decided, record.verdict) = (number, ballot.verdict.encode());
        }
    }
    Ok(record)
}

/// Appeals from `skip` on.
pub(super) fn appeals(host: &mut dyn ModuleHost, skip: u64, limit: u64) -> Result<Vec<IAudits::Appeal>, ModuleError> {
    let end = state::state().appeals.len(host)?.min(skip.saturating_add(limit.min(LIST_MAX_APPEALS)));
    let height = host.height();
    (skip..end)
        .map(|number| {
            let appeal = Appeal::read(host, number)?;
            Ok(IAudits::Appeal {
                number,
                appellant: appeal.appellant,
                miner: appeal.miner,
                round: appeal.round,
                claimed: appeal.claimed(),
                decided: appeal.decided(),
                deposit: appeal.deposit,
                until: appeal.until,
                state: number_of(appeal.standing(height)),
                votes: appeal.votes,
            })
        })
        .collect()
}

fn number_of(standing: Standing) -> u8 {
    match standing {
        Standing::Open => 0,
        Standing::Upheld => 1,
        Standing::Dismissed => 2,
        Standing::Undecided => 3,
    }
}
