//! Turns, rewards and the supply.

use super::world::{ERA, World, account, registration, tokens};
use crate::{
    consensus::double_vote,
    ledger::{
        abi::{
            IStaking::{self, bondCall, reportEvidenceCall, unbondCall, withdrawCall},
            STAKING,
        },
        modules::testing::CHAIN,
    },
    types::U256,
};
use proptest::prelude::*;

/// By hand: an era of the dev profile brings 79,500 / 1,461 = 54.414784394250513347 tokens. Of 19 blocks (genesis is the
/// twentieth) validator 1 proposes 10, 2 five and 3 four: 200, 100 and 80 of 380 points.
#[test]
fn an_eras_emission_is_split_by_points() {
    let mut world = World::new(&[1_000; 4]);
    for (tag, blocks) in [(1, 10), (2, 5), (3, 4)] {
        (0..blocks).for_each(|_| world.host.next_block(account(tag), 0));
    }
    assert_eq!(world.host.height, ERA - 1);
    world.end_era(0);
    let expected =
        [(1, 28_639_360_207_500_270_182u128), (2, 14_319_680_103_750_135_091), (3, 11_455_744_083_000_108_073), (4, 0)];
    let mut sum = U256::ZERO;
    for (tag, reward) in expected {
        let activity = world.activity(tag, 0);
        assert_eq!(activity.reward, U256::from(reward), "validator {tag}");
        assert_eq!(world.host.balance(account(tag)), U256::from(reward));
        sum += activity.reward;
    }
    assert_eq!((world.activity(1, 0).points, world.activity(2, 0).points), (200, 100));
    let era = world.era(0);
    assert_eq!((era.points, era.minted), (380, sum));
    assert!(sum <= U256::from(54_414_784_394_250_513_347u128));
    assert_eq!(world.supply(), (sum, U256::ZERO));
}

#[test]
fn missed_turns_follow_from_the_round_of_the_block() {
    let mut world = World::new(&[1_000; 4]);
    let mut missed = [0u64; 5];
    for round in [0, 1, 3, 2, 0, 3, 1] {
        for who in world.turn(round) {
            let tag = (1u8..=4).find(|tag| account(*tag) == who).unwrap();
            missed[usize::from(tag)] += 1;
        }
    }
    let mut proposed = 0;
    for tag in 1u8..=4 {
        let activity = world.activity(tag, 0);
        assert_eq!(activity.missed, missed[usize::from(tag)], "validator {tag}");
        proposed += activity.proposed;
    }
    assert_eq!(proposed, 7);
    // However many rounds went by, a member misses one turn a height.
    world.turn(400);
    assert_eq!((1..=4).map(|tag| world.activity(tag, 0).missed).sum::<u64>(), missed.iter().sum::<u64>() + 4);
}

#[derive(Debug, Clone)]
enum Step {
    Blocks(u8),
    Bond(u8, u64),
    Register(u8),
    Unbond(u8, u64),
    Withdraw(u8),
    Absent(u8),
    Report(u8, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let tag = 1u8..8;
    prop_oneof![
        3 => (1u8..25).prop_map(Step::Blocks),
        2 => (tag.clone(), 1u64..5_000).prop_map(|(tag, amount)| Step::Bond(tag, amount)),
        2 => tag.clone().prop_map(Step::Register),
        1 => (tag.clone(), 1u64..2_000).prop_map(|(tag, amount)| Step::Unbond(tag, amount)),
        1 => tag.clone().prop_map(Step::Withdraw),
        2 => tag.clone().prop_map(Step::Absent),
        2 => (tag, 0u64..30).prop_map(|(tag, back)| Step::Report(tag, back)),
    ]
}

/// Does a step; refusals are as good as acceptance here.
fn perform(world: &mut World, step: &Step) {
    let free = |world: &mut World, tag, amount| {
        let _ = world.host.call(account(tag), STAKING, U256::ZERO, &unbondCall { amount });
    };
    match *step {
        Step::Blocks(count) => world.run_to(world.host.height + u64::from(count)),
        Step::Bond(tag, amount) => {
            let value = tokens(amount).min(world.host.balance(account(tag)));
            let _ = world.host.call(account(tag), STAKING, value, &bondCall {});
        }
        Step::Register(tag) => {
            let _ = world.host.call(account(tag), STAKING, U256::ZERO, &registration(tag, account(tag)));
        }
        Step::Unbond(tag, amount) => free(world, tag, tokens(amount)),
        Step::Withdraw(tag) => drop(world.host.call(account(tag), STAKING, U256::ZERO, &withdrawCall {})),
        Step::Absent(tag) => drop(world.turn_without(tag)),
        Step::Report(tag, back) => {
            let height = world.host.height.saturating_sub(back);
            let evidence = crate::codec::encode(&double_vote(&super::world::keys(tag), CHAIN, height, 0));
            let _ = world.host.call(account(1), STAKING, U256::ZERO, &reportEvidenceCall { evidence: evidence.into() });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn supply_is_genesis_and_emission_less_what_is_burnt(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new(&[1_000, 1_000, 2_000, 3_000]);
        (1..8).for_each(|tag| world.host.fund(account(tag), 10_000));
        let genesis = world.host.supply();
        for step in &steps {
            perform(&mut world, step);
            let (minted, burnt) = world.supply();
            prop_assert_eq!(world.host.supply() + burnt, genesis + minted, "after {:?}", step);
            let mut staked = U256::ZERO;
            for tag in 1..8 {
                let slots = super::super::state::staker(account(tag));
                staked += slots.bonded.get(&mut world.host).unwrap() + slots.unbonding.get(&mut world.host).unwrap();
            }
            prop_assert_eq!(world.host.balance(STAKING), staked, "after {:?}", step);
            let current = world.host.height / ERA;
            for era in [current, current + 1] {
                let seats = world.host.view(STAKING, &IStaking::seatsCall { era }).unwrap();
                prop_assert!(!seats.is_empty() && seats.len() <= 4 && seats.is_sorted_by_key(|seat| seat.account));
            }
        }
    }
}
