//! Rent over time: what is paid is due in the eras of the term, to the unit.

use super::*;
use crate::ledger::abi::ITerritory::renewCall;
use proptest::prelude::*;

/// Eras are four blocks here: a day is four of them.
const ERA: u64 = 4;

impl World {
    /// What leaves the pool at the end of each of the next `eras` eras.
    fn due(&mut self, eras: u64) -> Vec<U256> {
        (0..eras)
            .map(|_| {
                let before = self.totals().pool;
                let end = (self.host.height / ERA + 1) * ERA;
                self.host.advance_to(end);
                before - self.totals().pool
            })
            .collect()
    }
}

#[test]
fn a_day_paid_at_block_one_is_due_over_five_eras() {
    let mut world = World::new();
    world.mint(ALICE, 16, 1, "attic").unwrap();
    let expected: Vec<U256> = [3, 4, 4, 4, 1, 0].map(tokens).into();
    assert_eq!(world.due(6), expected);
}

#[test]
fn storers_get_four_fifths_caches_and_fire_a_tenth_each() {
    let mut world = World::new();
    let before = world.host.supply();
    world.mint(ALICE, 160, 1, "attic").unwrap_err();
    world.mint(ALICE, 80, 1, "attic").unwrap();
    world.due(5);
    let pools = world.host.view(REWARDS, &IRewards::poolsCall {}).unwrap();
    // Nobody stores anything: the storers' share waits.
    assert_eq!((pools.caches, pools.burnt), (tokens(8), tokens(8)));
    world.due(2);
    let pools = world.host.view(REWARDS, &IRewards::poolsCall {}).unwrap();
    assert_eq!((pools.waiting, pools.minted), (tokens(64), U256::ZERO));
    assert_eq!((world.host.balance(REWARDS), world.host.balance(TERRITORY)), (tokens(72), U256::ZERO));
    assert_eq!(world.host.supply(), before - tokens(8));
}

#[test]
fn rent_for_time_that_has_passed_is_due_from_now_on() {
    let mut world = World::new();
    let token = world.mint(ALICE, 16, 1, "attic").unwrap();
    world.pass(DAY + 3);
    assert_eq!(world.totals().pool, U256::ZERO);
    world.pay(ALICE, 100, &reactivateCall { token, leaseDays: 1 }).unwrap();
    // Paid from block 17 on, at block 20: 3 + 16 blocks over the 16 to come, which are four whole eras.
    let paid = tokens(19);
    assert_eq!(world.totals().pool, paid);
    assert_eq!(world.due(5), [paid / U256::from(4); 4].into_iter().chain([U256::ZERO]).collect::<Vec<_>>());
}

proptest! {
    /// Whatever is bought when: nothing is due before it was paid, every era's part is within a unit of its blocks' for each purchase, and after the
    /// last deadline everything is out.
    #[test]
    fn everything_paid_is_out_after_the_last_era(
        steps in prop::collection::vec((0u64..12, 1u64..20, 1u32..5, any::<bool>(), any::<bool>()), 1..12),
    ) {
        let mut world = World::new();
        let (mut sum, mut tokens_known) = (U256::ZERO, Vec::new());
        for (number, (wait, gib, days, renew, expand)) in steps.into_iter().enumerate() {
            world.pass(wait);
            let before = world.host.balance(ALICE);
            let known = tokens_known.last().copied();
            let done = match known {
                Some(token) if renew => world.pay(ALICE, 9_000, &renewCall { token, leaseDays: days }).map(drop),
                Some(token) if expand => world.pay(ALICE, 9_000, &expandCall { token, extra: gib * 3 + 1 }).map(drop),
                _ => world.mint(ALICE, gib, days, &format!("n{number}")).map(|token| tokens_known.push(token)),
            };
            let spent = before - world.host.balance(ALICE);
            prop_assert!(done.is_ok() || spent.is_zero());
            sum += spent;
            let pool = world.totals().pool;
            prop_assert_eq!(pool + world.rent_out(), sum);
            prop_assert_eq!(world.host.balance(TERRITORY), pool);
        }
        world.pass(100 * DAY);
        prop_assert_eq!((world.totals().pool, world.rent_out()), (U256::ZERO, sum));
    }
}
