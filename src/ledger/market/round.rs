//! A round of a market: miners answer, members of committees vote by what is true, eras end, some are paid.

use super::{Market, power};
use crate::{
    ledger::{
        abi::{AUDITS, IAudits, IMiners, IRewards, MINERS, REWARDS},
        audit::{Outcome, Rounds, Verdict},
        modules::{ModuleError, era_emission},
    },
    types::{Address, B256, U256},
};
use std::collections::BTreeMap;

/// Miners in one transaction of votes.
const VOTES_AT_ONCE: usize = 256;
/// Eras between two claims of a miner.
const CLAIM_EVERY_ERAS: u64 = 4;
/// State of a miner that was forced out.
const LOST: u8 = 2;

/// What a miner had to show, and whether it did.
struct Duty {
    index: usize,
    miner: Address,
    idle: u64,
    service: u64,
    kept: bool,
}

/// Runs the next round.
pub(super) fn run(market: &mut Market) -> Result<(), ModuleError> {
    market.round += 1;
    let (round, rounds) = (market.round, Rounds::of(&market.params()));
    let proposer = market.proposer;
    market.host.advance_to(rounds.opened_at(round) + 1, proposer)?;
    let duties = duties(market, round)?;
    for duty in duties.iter().filter(|duty| duty.kept) {
        answer(market, round, duty)?;
    }
    market.host.advance_to(rounds.prove_until(round) + 1, proposer)?;
    vote(market, round, &duties)?;
    count(market, round, &duties)?;
    claim_some(market, round)
}

fn duties(market: &mut Market, round: u64) -> Result<Vec<Duty>, ModuleError> {
    let dropped = round > market.rounds() / 10;
    let mut duties = Vec::with_capacity(market.miners.len());
    for index in 0..market.miners.len() {
        let (miner, cheats) = (market.miners[index].account, market.miners[index].cheats);
        if market.lost[index].is_some() {
            continue;
        }
        let standing = market.host.view(MINERS, &IMiners::standingCall { account: miner, round })?;
        let kept = !(cheats && dropped);
        duties.push(Duty { index, miner, idle: standing.idle, service: standing.used, kept });
    }
    Ok(duties)
}

fn answer(market: &mut Market, round: u64, duty: &Duty) -> Result<(), ModuleError> {
    let due = |bytes: u64| if bytes == 0 { B256::ZERO } else { B256::repeat_byte(1) };
    let call = IAudits::answerCall { round, spot: due(duty.service), idle: due(duty.idle) };
    send(market, duty.miner, &call)?;
    if duty.service != 0 {
        let call = IAudits::proveCall { round, epochs: vec![0], proofs: vec![vec![1; 128].into()] };
        send(market, duty.miner, &call)?;
    }
    Ok(())
}

fn vote(market: &mut Market, round: u64, duties: &[Duty]) -> Result<(), ModuleError> {
    let mut votes: BTreeMap<Address, (Vec<Address>, Vec<u8>)> = BTreeMap::new();
    for duty in duties {
        let members = market.host.view(AUDITS, &IAudits::committeeCall { round, miner: duty.miner })?;
        let verdict = truth(duty).encode();
        for member in members {
            let (miners, verdicts) = votes.entry(member).or_default();
            miners.push(duty.miner);
            verdicts.push(verdict);
        }
    }
    for (member, (miners, verdicts)) in votes {
        for (miners, verdicts) in miners.chunks(VOTES_AT_ONCE).zip(verdicts.chunks(VOTES_AT_ONCE)) {
            let call = IAudits::voteCall { round, miners: miners.to_vec(), verdicts: verdicts.to_vec() };
            send(market, member, &call)?;
        }
    }
    Ok(())
}

fn truth(duty: &Duty) -> Verdict {
    let part = |bytes: u64| match (bytes, duty.kept) {
        (0, _) => Outcome::NotDue,
        (_, true) => Outcome::Passed,
        (_, false) => Outcome::Missed,
    };
    Verdict { spot: part(duty.service), tags: part(duty.service), idle: part(duty.idle) }
}

/// Keeps a second set of books: what each miner had and kept, by era.
fn count(market: &mut Market, round: u64, duties: &[Duty]) -> Result<(), ModuleError> {
    let params = market.params();
    let era = Rounds::of(&params).opened_at(round) / params.era_blocks;
    for duty in duties.iter().filter(|duty| duty.kept) {
        let actor = &mut market.miners[duty.index];
        actor.idle += U256::from(duty.idle);
        actor.service += U256::from(duty.service);
        let sums = market.kept.entry(era).or_default().entry(duty.index).or_default();
        sums.0 += power(duty.idle, duty.service);
        sums.1 += U256::from(duty.service);
    }
    market.verified += u64::try_from(duties.len()).expect("miners are counted in 64 bits");
    for duty in duties.iter().filter(|duty| !duty.kept) {
        if market.host.view(MINERS, &IMiners::getCall { account: duty.miner })?.state == LOST {
            market.lost[duty.index] = Some(era);
        }
    }
    Ok(())
}

/// A few miners claim each round, each of them every few eras.
fn claim_some(market: &mut Market, round: u64) -> Result<(), ModuleError> {
    let params = market.params();
    let every = CLAIM_EVERY_ERAS * params.era_blocks / params.audit_round_blocks;
    for index in 0..market.miners.len() {
        let number = u64::try_from(index).expect("miners are counted in 64 bits");
        if number % every == round % every {
            claim(market, index)?;
        }
    }
    Ok(())
}

/// Nothing due is no failure here.
fn claim(market: &mut Market, index: usize) -> Result<(), ModuleError> {
    let miner = market.miners[index].account;
    let call = IRewards::claimCall { miner, eras: CLAIM_EVERY_ERAS * 4 };
    match market.host.send(miner, REWARDS, U256::ZERO, &call) {
        Ok(_) | Err(ModuleError::Revert(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Ends the last era, which is given, and the one in which it is settled.
pub(super) fn settle(market: &mut Market) -> Result<u64, ModuleError> {
    let params = market.params();
    let era = Rounds::of(&params).opened_at(market.round) / params.era_blocks;
    let proposer = market.proposer;
    market.host.advance_to((era + 2) * params.era_blocks, proposer)?;
    for (number, kept) in std::mem::take(&mut market.kept) {
        let emission = era_emission(params.storage_emission, number);
        let rent = market.host.view(REWARDS, &IRewards::eraCall { number })?.rent;
        let sum =
            |of: fn(&(U256, U256)) -> U256| kept.values().fold(U256::ZERO, |sum, one| sum + of(one)).max(U256::ONE);
        let (all_power, all_service) = (sum(|one| one.0), sum(|one| one.1));
        for (index, (power, service)) in &kept {
            market.miners[*index].expected += emission * *power / all_power + rent * *service / all_service;
        }
    }
    (0..market.miners.len()).try_for_each(|index| claim(market, index))?;
    Ok(era)
}

fn send<C: alloy_sol_types::SolCall>(market: &mut Market, from: Address, call: &C) -> Result<(), ModuleError> {
    let (_, gas) = market.host.send(from, AUDITS, U256::ZERO, call)?;
    market.gas += gas;
    Ok(())
}
