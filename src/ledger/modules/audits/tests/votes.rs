//! Votes and the power they give.

use super::world::{ERA, GIB, MISSED, PASS, ROUND, SPOT_FAILED, World, miner};
use crate::{
    ledger::{
        abi::{AUDITS, IAudits, IRewards, REWARDS},
        modules::{audits::VOTE_MAX_MINERS, testing::assert_reverts},
    },
    types::{Address, U256},
};

#[test]
fn five_of_seven_decide_and_give_power() {
    let mut world = World::new(9);
    world.shown(1, 1);
    world.votes(1, 1, &[PASS, SPOT_FAILED, PASS, PASS, PASS]);
    assert!(!world.verdict(1, 1).decided);
    let last = world.committee(1, 1)[5];
    world.vote(last, 1, 1, PASS).unwrap();
    let decided = IAudits::AuditDecided { miner: miner(1), round: 1, verdict: PASS, strikes: 0, fined: U256::ZERO };
    assert_eq!(world.host.last_event::<IAudits::AuditDecided>(), decided);
    let verdict = world.verdict(1, 1);
    assert_eq!((verdict.value, verdict.votes, verdict.decidedAt, verdict.appealed), (PASS, 6, ROUND + 9, false));
    let share = world.host.view(REWARDS, &IRewards::shareCall { miner: miner(1), era: 0 }).unwrap();
    assert_eq!((share.service, share.rounds), (U256::from(GIB), 1));
    let record = world.record(1);
    assert_eq!((record.decided, record.verdict, record.passed, record.faults), (1, PASS, 1, 0));
    // A decided verdict stays: the seventh is passed over.
    let seventh = world.committee(1, 1)[6];
    world.vote(seventh, 1, 1, SPOT_FAILED).unwrap();
    assert_eq!((world.verdict(1, 1).value, world.verdict(1, 1).votes), (PASS, 6));
}

#[test]
fn only_members_vote_once_and_in_time() {
    let mut world = World::new(9);
    world.shown(1, 1);
    let members = world.committee(1, 1);
    let other = *world.workers.iter().find(|worker| !members.contains(worker)).unwrap();
    let foreign = IAudits::NotInCommittee { account: other, miner: miner(1), round: 1 };
    assert_reverts(world.vote(other, 1, 1, PASS), foreign);
    world.vote(members[0], 1, 1, PASS).unwrap();
    let twice = IAudits::AlreadyVoted { account: members[0], miner: miner(1), round: 1 };
    assert_reverts(world.vote(members[0], 1, 1, PASS), twice);
    world.at(3 * ROUND);
    let late = IAudits::RoundClosed { round: 1, height: 3 * ROUND, from: ROUND + 9, until: 3 * ROUND - 1 };
    assert_reverts(world.vote(members[1], 1, 1, PASS), late);
    let early = IAudits::RoundClosed { round: 3, height: 3 * ROUND, from: 3 * ROUND + 9, until: 5 * ROUND - 1 };
    assert_reverts(world.vote(members[1], 3, 1, PASS), early);
}

/// What the chain itself knows cannot be voted away.
#[test]
fn nobody_passes_who_handed_nothing_in() {
    let mut world = World::new(7);
    world.at(ROUND + 9);
    let member = world.committee(1, 1)[0];
    for verdict in [0b00_01, 0b01_00, 0b01_00_00, 0b10, 64, 255] {
        assert_reverts(world.vote(member, 1, 1, verdict), IAudits::VerdictInvalid { verdict });
    }
    world.vote(member, 1, 1, MISSED).unwrap();
}

#[test]
fn a_batch_of_votes_is_bounded_and_even() {
    let mut world = World::new(7);
    world.at(ROUND + 9);
    let call = |miners: usize, verdicts: usize| IAudits::voteCall {
        round: 1,
        miners: vec![miner(1); miners],
        verdicts: vec![PASS; verdicts],
    };
    let from = world.workers[0];
    let (left, right) = (U256::from(2), U256::from(1));
    assert_reverts(world.call(from, &call(2, 1)), IAudits::CountMismatch { left, right });
    let (given, maximum) = (U256::from(VOTE_MAX_MINERS + 1), U256::from(VOTE_MAX_MINERS));
    let many = call(VOTE_MAX_MINERS + 1, VOTE_MAX_MINERS + 1);
    assert_reverts(world.call(from, &many), IAudits::TooMany { given, maximum });
}

#[test]
fn ballots_of_rounds_long_ago_make_room() {
    let mut world = World::new(7);
    let slots = |world: &World| world.host.storage[&AUDITS].len();
    let mut most = 0;
    for round in 1..50 {
        world.shown(1, round);
        world.votes(round, 1, &[PASS; 5]);
        if round == 18 {
            most = slots(&world);
        }
    }
    assert_eq!((slots(&world), world.record(1).passed), (most, 49));
}

#[test]
fn power_counts_for_the_era_in_which_a_round_opened() {
    let mut world = World::new(7);
    world.shown(1, 2);
    world.at(ERA + 5);
    world.votes(2, 1, &[PASS; 5]);
    let share = |world: &mut World, era| {
        world.host.view(REWARDS, &IRewards::shareCall { miner: miner(1), era }).unwrap().service
    };
    assert_eq!((share(&mut world, 0), share(&mut world, 1)), (U256::from(GIB), U256::ZERO));
}

#[test]
fn verifying_is_useful_work() {
    use crate::ledger::abi::{IStaking, STAKING};
    let mut world = World::new(0);
    world.shown(1, 1);
    let members = world.committee(1, 1);
    world.votes(1, 1, &[PASS; 3]);
    let work = |world: &mut World, account: Address| {
        world.host.view(STAKING, &IStaking::activityCall { account, era: 0 }).unwrap().work
    };
    assert_eq!((work(&mut world, members[0])[2], work(&mut world, members[3])[2]), (GIB, 0));
}
