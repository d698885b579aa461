//! Faults in a row, what they cost, and what stops them from counting.

use super::world::{MISSED, PASS, ROUND, SPOT_FAILED, World, miner};
use crate::{
    ledger::abi::{IAudits, IMiners, IRewards, REWARDS},
    types::{Amount, Params, U256},
};

fn missed(world: &mut World, round: u64) {
    world.at(round * ROUND + 9);
    world.votes(round, 1, &[MISSED; 5]);
}

#[test]
fn faults_in_a_row_cost_nothing_then_five_then_fifteen_and_the_fifth_the_place() {
    let mut world = World::new(7);
    let required = Amount::tokens(1).0;
    let mut fines = Vec::new();
    for round in 1..=5 {
        missed(&mut world, round);
        let log = world.host.logs.iter().rev().find_map(|(_, log)| {
            use alloy_sol_types::SolEvent;
            IAudits::AuditDecided::decode_log_data(log).ok()
        });
        let decided = log.unwrap();
        assert_eq!(u64::from(decided.strikes), round);
        fines.push(decided.fined * U256::from(100) / required);
    }
    assert_eq!(fines, [0, 5, 15, 15, 15].map(U256::from));
    assert_eq!((world.miner(1).state, world.record(1).faults), (2, 5));
    assert_eq!(world.record(1).fined, required * U256::from(50) / U256::from(100));
    assert_eq!(world.miner(1).collateral, required / U256::from(2));
    // It owes nothing any more.
    world.at(6 * ROUND + 9);
    world.votes(6, 1, &[MISSED; 5]);
    assert!(!world.verdict(6, 1).decided);
}

#[test]
fn a_pass_ends_a_row_of_faults() {
    let mut world = World::new(7);
    missed(&mut world, 1);
    missed(&mut world, 2);
    assert_eq!((world.record(1).strikes, world.miner(1).strikes), (2, 2));
    world.shown(1, 3);
    world.votes(3, 1, &[PASS; 5]);
    assert_eq!((world.record(1).strikes, world.miner(1).strikes), (0, 0));
    missed(&mut world, 4);
    assert_eq!(world.record(1).strikes, 1);
}

#[test]
fn slow_rounds_and_rounds_without_tags_do_not_count() {
    let mut world = World::new(7);
    world.host.block_ms = 7_000;
    missed(&mut world, 2);
    assert!(world.view(&IAudits::roundAtCall { number: 2 }).slow);
    assert_eq!((world.record(1).strikes, world.record(1).faults), (0, 1));
    let mut world = World::with(Params { audit_tag_rounds: 3, ..Params::dev() }, 7);
    world.at(ROUND + 9);
    world.votes(1, 1, &[0b11; 5]);
    assert_eq!((world.verdict(1, 1).decided, world.record(1).strikes), (true, 0));
    world.at(3 * ROUND + 9);
    world.votes(3, 1, &[MISSED; 5]);
    assert_eq!(world.record(1).strikes, 1);
}

#[test]
fn selective_storage_gives_no_power() {
    let mut world = World::new(7);
    world.shown(1, 1);
    world.votes(1, 1, &[SPOT_FAILED; 5]);
    let share = world.host.view(REWARDS, &IRewards::shareCall { miner: miner(1), era: 0 }).unwrap();
    assert_eq!((share.service, world.record(1).strikes), (U256::ZERO, 1));
}

/// Tags that pass where openings fail, twice: the key is known to others, and is suspended.
#[test]
fn attack_leaked_tag_key_suspends_the_epochs_it_was_used_with() {
    use crate::ledger::abi::{ITee, TEE};
    let mut world = World::new(7);
    (0..2).for_each(|tag| world.open_epoch(tag));
    let state = |world: &mut World, number| world.host.view(TEE, &ITee::epochCall { number }).unwrap().state;
    let contradiction = SPOT_FAILED;
    for round in [1, 2] {
        world.at(round * ROUND + 1).answer(1, round).unwrap();
        world.prove(1, round, &[0]).unwrap();
        world.at(round * ROUND + 9);
        assert_ne!(state(&mut world, 0), 2);
        world.votes(round, 1, &[contradiction; 5]);
    }
    assert_eq!(state(&mut world, 0), 2);
    assert_ne!(state(&mut world, 1), 2);
    let _: IMiners::Miner = world.miner(1);
}
