//! What a miner and a round cost the chain, whatever the miner holds.

use super::world::{GIB, PASS, ROUND, World, miner};
use crate::{ledger::modules::miners, types::FileId};

/// Gas of the answer, the proof and each vote about a miner that holds so many files of a size.
fn costs(files: u8, bytes: u64) -> Vec<u64> {
    let mut world = World::new(7);
    world.register_empty(4);
    for tag in 0..files {
        miners::take_space(&mut world.host, miner(4), bytes).unwrap().unwrap();
        miners::hold(&mut world.host, miner(4), FileId([tag; 32])).unwrap();
    }
    world.at(2 * ROUND + 1).answer(4, 2).unwrap();
    let mut gas = vec![world.host.gas_used];
    world.prove(4, 2, &[0]).unwrap();
    gas.push(world.host.gas_used);
    world.at(2 * ROUND + 9);
    for member in world.committee(2, 4) {
        world.vote(member, 2, 4, PASS).unwrap();
        gas.push(world.host.gas_used);
    }
    assert!(world.verdict(2, 4).decided);
    gas
}

/// Call data is of one size by the types of the calls; gas is what is left to grow.
#[test]
fn a_round_costs_the_same_whatever_a_miner_holds() {
    let little = costs(1, GIB);
    assert_eq!(little.len(), 2 + 7);
    assert_eq!(little, costs(90, GIB), "ninety times the data in as many files");
}
