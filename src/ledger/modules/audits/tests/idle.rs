//! Votes about commitments to idle space: who may, when another committee is drawn, and what becomes of the votes of the former.

use super::world::{ROUND, World, miner};
use crate::{
    codec,
    ledger::{
        abi::{IAudits, IMiners, IStaking, MINERS, STAKING},
        audit::{draw_committee, idle_subject},
        modules::{
            ModuleError,
            testing::{assert_reverts, beacon_of},
        },
    },
    proofs::pois::Commitment,
    types::{Address, U256},
};

/// Nine workers, and a batch of two segments that miner 1 committed to in block 25.
fn committed() -> World {
    let mut world = World::new(9);
    world.at(ROUND + 5);
    commit(&mut world);
    world
}

fn commit(world: &mut World) -> u64 {
    let layers = usize::try_from(world.host.params.idle_layers).unwrap();
    let commitment = codec::encode(&Commitment { layer_roots: vec![[7; 32]; layers] });
    let call = IMiners::commitIdleCall { commitments: vec![commitment.into(); 2] };
    world.host.call(miner(1), MINERS, U256::ZERO, &call).unwrap()
}

fn vote(world: &mut World, from: Address, batch: u64, accepted: bool) -> Result<(), ModuleError> {
    let call = IAudits::voteIdleCall { miners: vec![miner(1)], batches: vec![batch], accepted: vec![accepted] };
    world.call(from, &call).map(drop)
}

fn committee(world: &mut World, batch: u64) -> Vec<Address> {
    world.view(&IAudits::idleCommitteeCall { miner: miner(1), batch })
}

fn segments(world: &mut World) -> u64 {
    world.miner(1).segments
}

#[test]
fn five_of_seven_that_the_second_block_draws_certify_a_batch() {
    let mut world = committed();
    assert!(committee(&mut world, 0).is_empty(), "nobody knows them before");
    let early = world.workers[0];
    let foreign = |account| IAudits::NotInCommittee { account, miner: miner(1), round: 0 };
    assert_reverts(vote(&mut world, early, 0, true), foreign(early));
    world.at(ROUND + 7);
    let members = committee(&mut world, 0);
    let drawn = draw_committee(&beacon_of(ROUND + 7), &idle_subject(0, &miner(1)), 9);
    assert_eq!(members, drawn.into_iter().map(|place| world.workers[place]).collect::<Vec<_>>());
    let other = *world.workers.iter().find(|worker| !members.contains(worker)).unwrap();
    assert_reverts(vote(&mut world, other, 0, true), foreign(other));
    for (place, accepted) in [true, false, true, true, true].into_iter().enumerate() {
        vote(&mut world, members[place], 0, accepted).unwrap();
    }
    assert_reverts(
        vote(&mut world, members[0], 0, true),
        IAudits::AlreadyVoted { account: members[0], miner: miner(1), round: 0 },
    );
    assert_eq!(segments(&mut world), 0);
    vote(&mut world, members[5], 0, true).unwrap();
    assert_eq!(segments(&mut world), 2);
    // Who comes late is passed over.
    vote(&mut world, members[6], 0, true).unwrap();
    assert_eq!(segments(&mut world), 2);
}

#[test]
fn certifying_is_useful_work_of_those_who_found_it_so() {
    let mut world = World::new(0);
    world.at(ROUND + 5);
    commit(&mut world);
    world.at(ROUND + 7);
    let members = committee(&mut world, 0);
    for (place, accepted) in [true, false, true, true].into_iter().enumerate() {
        vote(&mut world, members[place], 0, accepted).unwrap();
    }
    let mut work = |account| {
        let call = IStaking::activityCall { account, era: 0 };
        world.host.view(STAKING, &call).unwrap().work.into_iter().sum::<u64>()
    };
    let worked: Vec<bool> = members.iter().map(|member| work(*member) > 0).collect();
    assert_eq!(worked, [true, false, true, true]);
}

#[test]
fn five_refusals_refuse_a_batch() {
    let mut world = committed();
    world.at(ROUND + 7);
    let members = committee(&mut world, 0);
    members[..5].iter().for_each(|member| vote(&mut world, *member, 0, false).unwrap());
    let batch = world.host.view(MINERS, &IMiners::idleBatchCall { account: miner(1), batch: 0 }).unwrap();
    assert_eq!((batch.state, segments(&mut world)), (2, 0));
    // The next batch has votes of its own.
    assert_eq!(commit(&mut world), 1);
    world.at(ROUND + 9);
    let members = committee(&mut world, 1);
    members[..4].iter().for_each(|member| vote(&mut world, *member, 1, true).unwrap());
    assert_eq!(segments(&mut world), 0);
    vote(&mut world, members[4], 1, true).unwrap();
    assert_eq!(segments(&mut world), 2);
}

#[test]
fn two_rounds_without_a_decision_draw_another_committee_and_drop_its_votes() {
    let mut world = committed();
    world.at(3 * ROUND - 1);
    let first = committee(&mut world, 0);
    first[..4].iter().for_each(|member| vote(&mut world, *member, 0, true).unwrap());
    world.at(3 * ROUND);
    let second = committee(&mut world, 0);
    let drawn = draw_committee(&beacon_of(3 * ROUND), &idle_subject(0, &miner(1)), 9);
    assert_eq!(second, drawn.into_iter().map(|place| world.workers[place]).collect::<Vec<_>>());
    assert_ne!(first, second);
    // Four votes of the first committee and four of the second are not eight.
    second[..4].iter().for_each(|member| vote(&mut world, *member, 0, true).unwrap());
    assert_eq!(segments(&mut world), 0);
    if let Some(gone) = first.iter().find(|member| !second.contains(member)) {
        let foreign = IAudits::NotInCommittee { account: *gone, miner: miner(1), round: 0 };
        assert_reverts(vote(&mut world, *gone, 0, true), foreign);
    }
    vote(&mut world, second[4], 0, true).unwrap();
    assert_eq!(segments(&mut world), 2);
}

#[test]
fn a_batch_of_votes_about_idle_space_is_even() {
    let mut world = committed();
    world.at(ROUND + 7);
    let from = committee(&mut world, 0)[0];
    let call = IAudits::voteIdleCall { miners: vec![miner(1)], batches: vec![0], accepted: vec![] };
    let (left, right) = (U256::ONE, U256::ZERO);
    assert_reverts(world.call(from, &call), IAudits::CountMismatch { left, right });
    assert_reverts(vote(&mut world, from, 3, true), IMiners::UnknownBatch { account: miner(1), batch: 3 });
}
