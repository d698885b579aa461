//! Rounds, windows, sets and committees.

use super::world::{ROUND, World, miner, seat};
use crate::{
    ledger::{
        abi::{AUDITS, IAudits},
        audit::{Rounds, draw_committee, round_subject},
        modules::{
            audits::{LIST_MAX_APPEALS, RING},
            testing::{TestHost, assert_reverts, beacon_of},
        },
    },
    types::{Address, B256, Params},
};
use std::collections::BTreeSet;

#[test]
fn a_round_is_told_as_its_numbers_say() {
    let mut world = World::new(7);
    let round = world.view(&IAudits::roundCall {});
    assert_eq!((round.number, round.openedAt, round.beacon), (1, ROUND, beacon_of(ROUND)));
    assert_eq!((round.answerUntil, round.proveUntil, round.voteUntil), (23, 28, 59));
    assert!(round.tags && !round.slow);
    world.at(ROUND * (RING + 1));
    let (from, until) = (ROUND, ROUND * (RING + 1) - 1);
    let old = world.host.view(AUDITS, &IAudits::roundAtCall { number: 1 });
    assert_reverts(old, IAudits::RoundClosed { round: 1, height: ROUND * (RING + 1), from, until });
    assert!(world.view(&IAudits::appealsCall { skip: 0, limit: LIST_MAX_APPEALS }).is_empty());
}

/// An appeal of the last vote of a round, ruled on in its last block, still finds the round.
#[test]
fn rounds_are_kept_until_no_appeal_can_be_open() {
    for params in [Params::dev(), Params::mainnet()] {
        let last = Rounds::of(&params).vote_until(0) + 2 * params.audit_appeal_blocks;
        assert!(Rounds::of(&params).at(last) < RING);
    }
}

#[test]
fn a_committee_is_drawn_from_workers_and_from_seats_if_they_are_few() {
    let mut world = World::new(9);
    world.at(ROUND + 3);
    let (members, workers) = (world.committee(1, 1), world.workers.clone());
    let drawn = draw_committee(&beacon_of(ROUND + 3), &round_subject(1, &miner(1)), 9);
    assert_eq!(members, drawn.into_iter().map(|index| workers[index]).collect::<Vec<_>>());
    assert_ne!(members, world.committee(1, 2));

    let mut world = World::new(3);
    let expected: Vec<Address> = world.workers.iter().chain(&world.seats).copied().collect();
    assert_eq!(world.view(&IAudits::verifiersCall {}), expected);
    world.at(ROUND + 3);
    let members: BTreeSet<Address> = world.committee(1, 1).into_iter().collect();
    assert_eq!(members, expected.into_iter().collect());
    let mut world = World::new(0);
    world.at(ROUND + 3);
    assert_eq!(world.committee(1, 1).len(), 4);
}

#[test]
fn who_may_be_drawn_is_fixed_when_a_round_opens() {
    let mut world = World::new(7);
    let before = world.view(&IAudits::verifiersCall {});
    world.at(ROUND + 1);
    world.register_worker(50);
    assert_eq!(world.view(&IAudits::verifiersCall {}), before);
    world.at(ROUND + 3);
    let committee = world.committee(1, 1);
    world.at(2 * ROUND);
    assert_eq!(world.view(&IAudits::verifiersCall {}).len(), before.len() + 1);
    assert_eq!(world.committee(1, 1), committee);
}

#[test]
fn round_zero_has_the_seats_from_block_one_on() {
    let mut host = TestHost::with_committee(&(101..105).map(seat).collect::<Vec<_>>());
    host.advance_to(1);
    assert_eq!(host.view(AUDITS, &IAudits::verifiersCall {}).unwrap().len(), 4);
}

#[test]
fn answers_and_proofs_are_taken_once_in_their_windows() {
    let mut world = World::new(7);
    let closed = |height, until| IAudits::RoundClosed { round: 1, height, from: ROUND, until };
    let early = IAudits::RoundClosed { round: 2, height: ROUND, from: 2 * ROUND, until: 2 * ROUND + 3 };
    assert_reverts(world.answer(1, 2), early);
    world.answer(1, 1).unwrap();
    let expected = IAudits::Answered { miner: miner(1), round: 1, spot: B256::repeat_byte(1), idle: B256::ZERO };
    assert_eq!(world.host.last_event::<IAudits::Answered>(), expected);
    assert_reverts(world.answer(1, 1), IAudits::AlreadyAnswered { miner: miner(1), round: 1 });
    world.prove(1, 1, &[2, 5]).unwrap();
    assert_reverts(world.prove(1, 1, &[2]), IAudits::AlreadyProven { miner: miner(1), round: 1 });
    assert_reverts(world.at(ROUND + 4).answer(2, 1), closed(ROUND + 4, ROUND + 3));
    assert_reverts(world.at(ROUND + 9).prove(2, 1, &[2]), closed(ROUND + 9, ROUND + 8));
    assert_eq!((world.record(1).answered, world.record(1).proven, world.record(2).answered), (1, 1, 0));
}

#[test]
fn attack_proof_replay_in_another_round_is_refused() {
    let mut world = World::new(7);
    world.at(2 * ROUND + 1);
    let closed = |from, until| IAudits::RoundClosed { round: 1, height: 2 * ROUND + 1, from, until };
    assert_reverts(world.answer(1, 1), closed(ROUND, ROUND + 3));
    assert_reverts(world.prove(1, 1, &[0]), closed(ROUND, ROUND + 8));
}

#[test]
fn malformed_proofs_are_refused() {
    let mut world = World::new(7);
    world.at(ROUND + 1);
    assert_reverts(world.prove(1, 1, &[2, 2]), IAudits::EpochsUnordered { epoch: 2 });
    let call = IAudits::proveCall { round: 1, epochs: vec![1], proofs: vec![vec![1; 127].into()] };
    let (given, required) = (crate::types::U256::from(127), crate::types::U256::from(128));
    assert_reverts(world.call(miner(1), &call), IAudits::ProofLength { epoch: 1, given, required });
}

#[test]
fn who_came_after_a_round_opened_or_has_nothing_owes_nothing() {
    let mut world = World::new(7);
    world.at(ROUND + 1).register_miner(4);
    assert_reverts(world.answer(4, 1), IAudits::NotDue { miner: miner(4), round: 1 });
    let stranger = IAudits::answerCall { round: 1, spot: B256::ZERO, idle: B256::ZERO };
    let account = Address::repeat_byte(0x77);
    assert_reverts(world.call(account, &stranger), IAudits::NotDue { miner: account, round: 1 });
    world.at(ROUND + 9);
    let member = world.committee(1, 4)[0];
    world.vote(member, 1, 4, 0).unwrap();
    assert_eq!(world.verdict(1, 4).votes, 0);
    world.at(2 * ROUND + 1).answer(4, 2).unwrap();
}
