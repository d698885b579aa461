//! Bonding, registering, unbonding and withdrawing.

use super::world::{ERA, World, account, keys, registration, tokens};
use crate::{
    ledger::{
        abi::{
            IStaking::{self, bondCall, candidatesCall, unbondCall, withdrawCall},
            STAKING,
        },
        modules::testing::assert_reverts,
    },
    types::{Address, U256},
};

const FOUR: [u64; 4] = [1_000; 4];

#[test]
fn a_newcomer_is_seated_two_eras_after_it_registered() {
    let mut world = World::new(&FOUR);
    world.run_to(7);
    world.bond(5, 5_000);
    world.register(5).unwrap();
    let event = world.host.last_event::<IStaking::Registered>();
    assert_eq!((event.account, event.vrfKey), (account(5), keys(5).vrf.public().0.into()));
    world.end_era(0);
    assert!(!world.seated(0).contains(&account(5)) && !world.seated(1).contains(&account(5)));
    assert!(world.seated(2).contains(&account(5)), "elected at the end of era 0, for era 2");
    assert_eq!(world.era(2).electedAt, ERA - 1);
    let candidate = world.candidate(5);
    assert_eq!((candidate.seated, candidate.seatedNext), (false, true));
    world.end_era(1);
    assert!(world.candidate(5).seated);
    let seat = world.seats(2).into_iter().find(|seat| seat.account == account(5)).unwrap();
    assert_eq!((seat.stake, seat.power, seat.registeredAt), (tokens(5_000), 5_000, 7));
    let unknown = world.host.view(STAKING, &IStaking::seatsCall { era: 4 });
    assert_reverts(unknown, IStaking::EraUnknown { era: 4, newest: 3 });
}

#[test]
fn bad_registrations_are_refused_by_name() {
    let mut world = World::new(&FOUR);
    world.run_to(3);
    let (who, required) = (account(5), tokens(1_000));
    assert_reverts(world.register(5), IStaking::StakeTooLow { account: who, bonded: U256::ZERO, required });
    world.bond(5, 999);
    assert_reverts(world.register(5), IStaking::StakeTooLow { account: who, bonded: tokens(999), required });
    world.bond(5, 1);
    let mut refused = |change: &dyn Fn(&mut IStaking::registerCall)| {
        let mut call = registration(5, who);
        change(&mut call);
        world.host.call(who, STAKING, U256::ZERO, &call).map(drop)
    };
    let unproven = |key: &str| IStaking::KeyNotProven { account: who, key: key.into() };
    let others = registration(6, who);
    assert_reverts(refused(&|c| c.consensusProof = others.consensusProof.clone()), unproven("consensus"));
    assert_reverts(refused(&|c| c.vrfProof = others.vrfProof.clone()), unproven("VRF"));
    assert_reverts(refused(&|c| c.networkProof = others.networkProof.clone()), unproven("network"));
    assert_reverts(refused(&|c| c.networkProof = vec![1].into()), unproven("network"));
    // The keys of validator 1 with proofs that they are validator 1's.
    assert_reverts(refused(&|c| *c = registration(1, account(1))), unproven("consensus"));
    // Whoever holds validator 1's keys cannot register them for another account either.
    let taken = IStaking::KeyTaken { key: keys(1).consensus.public().0.into(), owner: account(1) };
    assert_reverts(refused(&|c| *c = registration(1, who)), taken);
    world.register(5).unwrap();
    assert_reverts(world.register(5), IStaking::KeysUnchanged { account: who });
}

#[test]
fn new_keys_start_a_new_age_and_the_old_ones_stay_taken() {
    let mut world = World::new(&FOUR);
    world.run_to(9);
    let owner = account(1);
    world.host.call(owner, STAKING, U256::ZERO, &registration(9, owner)).unwrap();
    let candidate = world.candidate(1);
    assert_eq!((candidate.registeredAt, candidate.vrfKey), (9, keys(9).vrf.public().0.into()));
    world.bond(5, 1_000);
    let call = registration(1, account(5));
    let taken = IStaking::KeyTaken { key: keys(1).consensus.public().0.into(), owner };
    assert_reverts(world.host.call(account(5), STAKING, U256::ZERO, &call).map(drop), taken);
}

#[test]
fn small_bonds_are_refused() {
    let mut world = World::new(&FOUR);
    world.host.fund(account(5), 1);
    let (amount, minimum) = (tokens(1) - U256::ONE, tokens(1));
    let refused = world.host.call(account(5), STAKING, amount, &bondCall {}).map(drop);
    assert_reverts(refused, IStaking::AmountTooLow { amount, minimum });
}

#[test]
fn unbonding_ends_the_candidature_and_the_stake_stays_within_reach() {
    let mut world = World::new(&[1_000; 5]);
    world.run_to(5);
    let who = account(5);
    let unbond =
        |world: &mut World, amount| world.host.call(who, STAKING, U256::ZERO, &unbondCall { amount }).map(drop);
    let too_much = tokens(1_000) + U256::ONE;
    let refusal = IStaking::AmountTooHigh { amount: too_much, maximum: tokens(1_000) };
    assert_reverts(unbond(&mut world, too_much), refusal);
    assert_reverts(unbond(&mut world, U256::ZERO), IStaking::AmountTooLow { amount: U256::ZERO, minimum: U256::ONE });
    unbond(&mut world, tokens(600)).unwrap();
    let list = world.host.view(STAKING, &candidatesCall { skip: 0, limit: 10 }).unwrap();
    assert_eq!(list.len(), 4, "400 tokens are too few for a candidate");
    assert!(list.iter().all(|c| c.account != who));
    let gone = world.host.view(STAKING, &IStaking::candidateCall { account: who });
    assert_reverts(gone, IStaking::NotCandidate { account: who });

    // Its seat lasts through era 1; evidence is taken for one era more; so the stake is free in era 3.
    let withdraw = |world: &mut World| world.host.call(who, STAKING, U256::ZERO, &withdrawCall {}).map(drop);
    for era in 0..3 {
        let locked = IStaking::StakeLocked { account: who, untilEra: 3, currentEra: era };
        assert_reverts(withdraw(&mut world), locked);
        world.end_era(era);
    }
    let before = world.host.balance(who);
    withdraw(&mut world).unwrap();
    assert_eq!(world.host.balance(who), before + tokens(600));
    assert_reverts(withdraw(&mut world), IStaking::NothingToWithdraw { account: who });
    assert!(!world.seated(2).contains(&who));
}

#[test]
fn the_list_stays_whole_when_somebody_leaves_its_middle() {
    let mut world = World::new(&[1_000; 6]);
    world.run_to(2);
    for tag in [3, 6, 1] {
        let amount = tokens(1_000);
        world.host.call(account(tag), STAKING, U256::ZERO, &unbondCall { amount }).unwrap();
    }
    let list = world.host.view(STAKING, &candidatesCall { skip: 0, limit: 100 }).unwrap();
    let mut left: Vec<Address> = list.iter().map(|c| c.account).collect();
    left.sort_unstable();
    let mut expected = vec![account(2), account(4), account(5)];
    expected.sort_unstable();
    assert_eq!(left, expected);
    world.bond(3, 2_000);
    world.register(3).unwrap();
    assert_eq!(world.candidate(3).bonded, tokens(2_000));
    assert_eq!(world.host.view(STAKING, &candidatesCall { skip: 3, limit: 1 }).unwrap()[0].account, account(3));
}
