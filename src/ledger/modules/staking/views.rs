//! What the module answers: committees, candidates, eras and why things came out as they did.
//!
//! Owns the shape of answers. Must not change anything. Invariant: a batch read is bounded by the list it reads.

use super::{
    CANDIDATES_MAX, calendar, close, current_era, jail, registry,
    seats::{self, Elected},
    stake,
    state::{activity, era, staker, state},
    work,
};
use crate::{
    consensus::election::Scores,
    ledger::{
        abi::IStaking,
        modules::host::{ModuleError, ModuleHost},
    },
    types::{Address, U256},
};

/// The committee of a decided era.
pub(super) fn committee(host: &mut dyn ModuleHost, number: u64) -> Result<Vec<IStaking::Validator>, ModuleError> {
    Ok(decided(host, number)?.into_iter().map(validator).collect())
}

/// Why each seat of a decided era was won.
pub(super) fn seats(host: &mut dyn ModuleHost, number: u64) -> Result<Vec<IStaking::Seat>, ModuleError> {
    Ok(decided(host, number)?.into_iter().map(explained).collect())
}

/// An era and its election.
pub(super) fn summary(host: &mut dyn ModuleHost, number: u64) -> Result<IStaking::Era, ModuleError> {
    decided(host, number)?;
    let (calendar, slots) = (calendar(host), era(number));
    let (elected_at, qualified, kept) = slots.election.get(host)?;
    let (runner_up, runner_up_score) = slots.runner_up.get(host)?;
    let (points, work_points) = slots.points.get(host)?;
    Ok(IStaking::Era {
        era: number,
        firstBlock: calendar.first(number),
        lastBlock: calendar.last(number),
        seedHeight: calendar.seed_height(number),
        seed: slots.seed.get(host)?,
        revealUntil: calendar.reveal_last(number),
        electedAt: elected_at,
        qualified,
        kept: kept != 0,
        runnerUp: runner_up,
        runnerUpScore: runner_up_score,
        points,
        workPoints: work_points,
        minted: slots.minted.get(host)?,
        slashed: slots.slashed.get(host)?,
    })
}

/// What an account did in an era, and what came of it.
pub(super) fn deeds(
    host: &mut dyn ModuleHost,
    account: Address,
    number: u64,
) -> Result<IStaking::Activity, ModuleError> {
    let slots = activity(account, number);
    let (proposed, missed, punishments) = slots.turns.get(host)?;
    let (revealed_at, random) = slots.reveal.get(host)?;
    let work = work::counters(host, account, number)?;
    Ok(IStaking::Activity {
        proposed,
        missed,
        points: proposed.saturating_mul(close::BLOCK_POINTS),
        reward: slots.reward.get(host)?,
        punishments,
        slashed: slots.slashed.get(host)?,
        work,
        workPoints: work::total_points(&work),
        credit: slots.credit.get(host)?.1,
        revealedAt: revealed_at,
        random,
        output: slots.output.get(host)?,
    })
}

/// Candidates from `skip` on.
pub(super) fn candidates(
    host: &mut dyn ModuleHost,
    skip: u64,
    limit: u64,
) -> Result<Vec<IStaking::Candidate>, ModuleError> {
    let largest = largest_stake(host)?;
    let page = state().candidates.page(host, skip, limit.min(CANDIDATES_MAX))?;
    page.into_iter().map(|account| describe(host, account, largest)).collect()
}

/// One candidate.
pub(super) fn candidate(host: &mut dyn ModuleHost, account: Address) -> Result<IStaking::Candidate, ModuleError> {
    if registry::registered_at(host, account)?.is_none() {
        return Err(ModuleError::revert(IStaking::NotCandidate { account }));
    }
    let largest = largest_stake(host)?;
    describe(host, account, largest)
}

/// The stake of any account.
pub(super) fn stake_of(host: &mut dyn ModuleHost, account: Address) -> Result<IStaking::stakeOfReturn, ModuleError> {
    let slots = staker(account);
    Ok(IStaking::stakeOfReturn {
        bonded: slots.bonded.get(host)?,
        unbonding: slots.unbonding.get(host)?,
        unlockEra: stake::locked_until(host, account)?,
        candidate: registry::registered_at(host, account)?.is_some(),
    })
}

/// Candidates in jail.
pub(super) fn jailed(host: &mut dyn ModuleHost) -> Result<Vec<Address>, ModuleError> {
    let mut jailed = Vec::new();
    for account in registry::all(host)? {
        if jail::of(host, account)?.is_some() {
            jailed.push(account);
        }
    }
    Ok(jailed)
}

/// Tokens minted and burnt here since genesis.
pub(super) fn supply(host: &mut dyn ModuleHost) -> Result<(U256, U256), ModuleError> {
    Ok((state().minted.get(host)?, state().burnt.get(host)?))
}

fn decided(host: &mut dyn ModuleHost, number: u64) -> Result<Vec<Elected>, ModuleError> {
    let seats = seats::read(host, number)?;
    if seats.is_empty() {
        // The committee of the era after next is written by the last block of this one.
        let newest = current_era(host).saturating_add(1);
        return Err(ModuleError::revert(IStaking::EraUnknown { era: number, newest }));
    }
    Ok(seats)
}

fn largest_stake(host: &mut dyn ModuleHost) -> Result<U256, ModuleError> {
    let mut largest = U256::ZERO;
    for account in registry::all(host)? {
        largest = largest.max(staker(account).bonded.get(host)?);
    }
    Ok(largest)
}

fn describe(host: &mut dyn ModuleHost, account: Address, largest: U256) -> Result<IStaking::Candidate, ModuleError> {
    let (current, slots) = (current_era(host), staker(account));
    let standing = close::standing(host, account, current, current.saturating_sub(1))?;
    let scores = Scores::of(&standing, largest);
    let jail = jail::of(host, account)?;
    let (proposed, missed, _) = activity(account, current).turns.get(host)?;
    let [consensus, vrf, network] = registry::words(&registry::keys(host, account)?);
    Ok(IStaking::Candidate {
        account,
        consensusKey: consensus,
        vrfKey: vrf,
        networkKey: network,
        bonded: standing.stake,
        unbonding: slots.unbonding.get(host)?,
        unlockEra: slots.head.get(host)?.3,
        registeredAt: standing.registered_at,
        jailReason: jail.map_or(0, |jail| jail.reason as u8),
        jailedUntil: jail.map_or(0, |jail| jail.until),
        seated: seats::of_account(host, current, account)?.is_some(),
        seatedNext: seats::of_account(host, current.saturating_add(1), account)?.is_some(),
        credit: scores.credit,
        stakeScore: scores.stake,
        random: scores.random,
        score: scores.total,
        proposed,
        missed,
    })
}

fn validator(seat: Elected) -> IStaking::Validator {
    let [consensus, vrf, network] = registry::words(&seat.keys);
    IStaking::Validator {
        account: seat.account,
        consensusKey: consensus,
        vrfKey: vrf,
        networkKey: network,
        stake: seat.stake,
        power: seat.power(),
    }
}

fn explained(seat: Elected) -> IStaking::Seat {
    let Scores { credit, stake, random, total } = seat.scores;
    IStaking::Seat {
        account: seat.account,
        power: seat.power(),
        stake: seat.stake,
        score: total,
        credit,
        stakeScore: stake,
        random,
        registeredAt: seat.registered_at,
        revealedAt: seat.revealed_at,
    }
}
