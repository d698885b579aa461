//! The rules that stop grinding, one test each.

use super::world::{ERA, SKIP, World, account, keys};
use crate::{
    consensus::{Calendar, beacon::era_input, election::random_score},
    ledger::{
        abi::{
            IStaking::{self, revealCall},
            STAKING,
        },
        modules::{
            BlockStart, begin_block, end_block,
            testing::{CHAIN, assert_reverts, beacon_of},
        },
    },
    types::{Address, B256, U256},
};

#[test]
fn a_reveal_scores_what_the_vrf_says() {
    let mut world = World::new(&[1_000; 4]);
    world.run_to(ERA + 2);
    let seed = world.era(1).seed;
    let proof = world.proof(2, 1);
    let output = keys(2).vrf.public().verify(&era_input(CHAIN, 1, &seed), &proof).unwrap();
    world.reveal(2).unwrap();
    let event = world.host.last_event::<IStaking::Revealed>();
    assert_eq!((event.account, event.era, event.random), (account(2), 1, random_score(&output)));
    let activity = world.activity(2, 1);
    assert_eq!((activity.revealedAt, activity.random), (ERA + 2, random_score(&output)));
    assert_eq!(activity.output, B256::from_slice(&output[..32]));
    assert_reverts(world.reveal(2), IStaking::AlreadyRevealed { account: account(2), era: 1 });
}

/// Without a reveal the random part is 0, so that keeping a bad one back gains nothing.
#[test]
fn no_reveal_scores_nothing() {
    let mut world = World::new(&[1_000; 4]);
    world.run_to(ERA + 2);
    world.reveal(1).unwrap();
    let random = world.activity(1, 1).random;
    world.end_era(1);
    for seat in world.seats(3) {
        let expected = if seat.account == account(1) { (random, ERA + 2) } else { (0, 0) };
        assert_eq!((seat.random, seat.revealedAt), expected);
        // Equal stakes, no work: 30 % of 1,000 and 20 % of the reveal.
        assert_eq!(seat.score, (30 * 1_000 + 20 * expected.0) / 100);
    }
}

/// A key registered when the seed was known could have been chosen for it.
#[test]
fn a_key_younger_than_the_seed_does_not_reveal() {
    let mut world = World::new(&[1_000; 4]);
    let seed_height = ERA - 1 - SKIP;
    world.run_to(seed_height);
    world.bond(5, 1_000);
    world.register(5).unwrap();
    world.run_to(seed_height + 1);
    world.bond(6, 1_000);
    world.register(6).unwrap();
    world.run_to(ERA);
    world.reveal(5).unwrap();
    let young = IStaking::KeyTooYoung { account: account(6), registeredAt: seed_height + 1, seedHeight: seed_height };
    assert_reverts(world.reveal(6), young);
    world.run_to(2 * ERA);
    world.reveal(6).unwrap();
}

/// An elected key is at least two eras old when it first proposes: registered in era r, it sits from era r + 2 on.
#[test]
fn a_key_sits_two_eras_after_its_registration_at_the_earliest() {
    let mut world = World::new(&[1_000; 4]);
    for (tag, height) in [(5, 1), (6, ERA - 1), (7, ERA), (8, 2 * ERA - 1)] {
        world.run_to(height);
        world.bond(tag, 50_000);
        world.register(tag).unwrap();
    }
    world.end_era(1);
    let calendar = Calendar::of(&world.host.params);
    for era in 0..=3 {
        for seat in world.seats(era) {
            let age = era - calendar.era(seat.registeredAt);
            assert!(seat.registeredAt == 0 || age >= 2, "{} of era {era} is {age} eras old", seat.account);
        }
    }
    assert!([5, 6].iter().all(|tag| world.seated(2).contains(&account(*tag))));
    assert!([7, 8].iter().all(|tag| world.seated(3).contains(&account(*tag))));
}

/// The proposers of the last blocks before an era know what their blocks change: the seed is older.
#[test]
fn the_seed_of_an_era_ignores_the_last_blocks_of_the_era_before() {
    let seed_with = |bent: u64| {
        let mut world = World::new(&[1_000; 4]);
        while world.host.height < ERA {
            end_block(&mut world.host).unwrap();
            world.host.height += 1;
            let height = world.host.height;
            let beacon = if height == bent { B256::repeat_byte(0xff) } else { beacon_of(height) };
            let start = BlockStart { beacon, proposer: Address::ZERO, round: 0 };
            begin_block(&mut world.host, &start).unwrap();
        }
        world.era(1).seed
    };
    let seed_height = ERA - 1 - SKIP;
    let honest = seed_with(u64::MAX);
    assert_eq!(honest, beacon_of(seed_height));
    assert_eq!(seed_with(seed_height), B256::repeat_byte(0xff));
    for later in seed_height + 1..=ERA {
        assert_eq!(seed_with(later), honest, "height {later}");
    }
}

#[test]
fn late_foreign_and_forged_reveals_are_refused() {
    let mut world = World::new(&[1_000; 4]);
    world.run_to(ERA + 1);
    assert_reverts(world.reveal(9), IStaking::NotCandidate { account: account(9) });
    let other = world.proof(2, 1).0.to_vec();
    let mut send = |era, proof: Vec<u8>| {
        let call = revealCall { era, proof: proof.into() };
        world.host.call(account(1), STAKING, U256::ZERO, &call).map(drop)
    };
    let invalid = IStaking::ProofInvalid { account: account(1), era: 1 };
    assert_reverts(send(1, other.clone()), invalid.clone());
    assert_reverts(send(1, vec![7; 79]), invalid);
    assert_reverts(send(0, other.clone()), IStaking::WrongEra { era: 0, currentEra: 1 });
    assert_reverts(send(2, other), IStaking::WrongEra { era: 2, currentEra: 1 });
    let last = ERA + ERA / 2 - 1;
    world.run_to(last);
    world.reveal(1).unwrap();
    world.run_to(last + 1);
    assert_reverts(world.reveal(2), IStaking::RevealClosed { height: last + 1, first: ERA, last });
}
