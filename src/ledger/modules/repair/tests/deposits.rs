//! Deposits of claims: what an order that is kept reserved costs who reserves it.

use super::*;
use alloy_sol_types::SolEvent;

fn deposit(world: &World) -> U256 {
    world.host.params.repair_claim_deposit.0
}

/// What was burnt of deposits.
fn burnt(world: &World) -> U256 {
    let settled = world.host.logs.iter().filter_map(|(_, log)| IRepair::ClaimSettled::decode_log_data(log).ok());
    settled.filter(|settled| settled.burnt).fold(U256::ZERO, |sum, settled| sum + settled.deposit)
}

fn price(world: &mut World, id: FileId) -> U256 {
    world.host.view(REPAIR, &IRepair::claimDepositCall { file: id.into(), column: 0 }).unwrap()
}

/// A file whose column 0 is open for repair, and spare miners 13 to 15.
fn open_order() -> (World, FileId, [Address; 3]) {
    let mut world = World::new(12);
    let (id, holders) = world.store(1, 4_000);
    let spares = [13, 14, 15].map(|tag| world.spare(tag));
    world.exit(holders[0]);
    (world, id, spares)
}

#[test]
fn a_deposit_comes_back_with_the_column() {
    let (mut world, id, [one, ..]) = open_order();
    let (required, before) = (deposit(&world), world.host.balance(one));
    let sent = required - U256::ONE;
    assert_reverts(world.claim_for(one, id, 0, sent), IRepair::DepositTooLow { sent, required });
    let height = world.host.height;
    world.claim(one, id, 0).unwrap();
    assert_eq!((world.host.balance(one), world.host.balance(REPAIR)), (before - required, required));
    let binds = IRepair::ClaimBinds { file: id.into(), column: 0, until: height + CLAIM_BLOCKS };
    assert_reverts(settle(&mut world, id), binds);
    world.pass(2);
    let spots = world.spots(one, height, id, 0);
    world.complete(one, id, 0, spots).unwrap();
    assert_eq!((world.host.balance(one), world.host.balance(REPAIR), burnt(&world)), (before, U256::ZERO, U256::ZERO));
}

fn settle(world: &mut World, id: FileId) -> Result<(), ModuleError> {
    world.host.call(ALICE, REPAIR, U256::ZERO, &IRepair::settleCall { file: id.into(), column: 0 }).map(drop)
}

#[test]
fn attack_two_accounts_that_keep_an_order_reserved_pay_more_each_time() {
    let (mut world, id, [one, two, honest]) = open_order();
    let base = deposit(&world);
    let mut lost = U256::ZERO;
    for (place, claimer) in [one, two, one, two].into_iter().enumerate() {
        let expected = base << place;
        assert_eq!(price(&mut world, id), expected);
        let until = world.claim(claimer, id, 0).unwrap();
        assert_eq!(burnt(&world), lost);
        lost += expected;
        world.host.advance_to(until + 1);
        // Nobody reserves an order twice in a row: the other, or somebody honest, has as long a time.
        let (claimer, until) = (claimer, until + CLAIM_BLOCKS);
        let lapsed = IRepair::ClaimLapsed { file: id.into(), column: 0, claimer, until };
        assert_reverts(world.claim(claimer, id, 0), lapsed);
    }
    assert_eq!(price(&mut world, id), base << 4);
    // Who repairs has all of it back.
    let before = world.host.balance(honest);
    world.repair(honest, id, 0);
    assert_eq!((burnt(&world), world.host.balance(honest)), (lost, before));
    assert_eq!((world.host.balance(REPAIR), world.slots()), (U256::ZERO, 0));
}

#[test]
fn who_let_a_claim_lapse_may_claim_again_after_a_while() {
    let (mut world, id, [one, ..]) = open_order();
    let until = world.claim(one, id, 0).unwrap();
    world.host.advance_to(until + CLAIM_BLOCKS + 1);
    settle(&mut world, id).unwrap();
    assert_eq!(burnt(&world), deposit(&world));
    assert_reverts(settle(&mut world, id), IRepair::NothingClaimed { file: id.into(), column: 0 });
    assert_eq!(price(&mut world, id), deposit(&world) << 1, "it stays dearer");
    world.claim(one, id, 0).unwrap();
}

#[test]
fn a_deposit_comes_back_when_the_file_goes_and_is_burnt_if_its_claim_had_lapsed() {
    for (passed, comes_back) in [(3, true), (CLAIM_BLOCKS + 1, false)] {
        let (mut world, id, [one, ..]) = open_order();
        let before = world.host.balance(one);
        world.claim(one, id, 0).unwrap();
        world.pass(passed);
        world.remove(id);
        let lost = if comes_back { U256::ZERO } else { deposit(&world) };
        assert_eq!((world.host.balance(one), burnt(&world)), (before - lost, lost));
        assert_eq!((world.host.balance(REPAIR), world.slots()), (U256::ZERO, 0));
    }
}

#[test]
fn a_deposit_comes_back_when_the_holder_does() {
    let mut world = World::new(12);
    let (id, holders) = world.store(1, 4_000);
    let one = world.spare(13);
    miners::force_out(&mut world.host, holders[0]).unwrap();
    let before = world.host.balance(one);
    world.claim(one, id, 0).unwrap();
    world.pass(2);
    miners::reinstate(&mut world.host, holders[0], miners::MinerState::Active).unwrap();
    let back = IMiners::MinerReinstated { account: holders[0], state: 0, held: 1 };
    assert_eq!(world.host.last_event::<IMiners::MinerReinstated>(), back);
    assert_eq!((world.miner(holders[0]).state, world.orders(0, 9)), (0, vec![]));
    let spots = world.spots(one, HEIGHT, id, 0);
    assert_reverts(world.complete(one, id, 0, spots), IRepair::NotOpen { file: id.into(), column: 0 });
    settle(&mut world, id).unwrap();
    assert_eq!((world.host.balance(one), burnt(&world)), (before, U256::ZERO));
    // It is a miner like any other again.
    world.exit(holders[0]);
    assert_eq!(world.orders(0, 9), [(id, 0)]);
}
