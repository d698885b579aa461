//! Who may take a column over: whoever could have been placed there.

use super::*;

fn refused<T: std::fmt::Debug>(result: Result<T, ModuleError>, id: FileId, account: Address, reason: &str) {
    assert_reverts(result, IRepair::NotEligible { file: id.into(), account, reason: reason.into() });
}

#[test]
fn a_holder_a_stranger_and_who_leaves_are_refused() {
    let mut world = World::new(12);
    let (id, holders) = world.store(1, 4_000);
    let leaver = world.spare(13);
    world.exit(holders[0]);
    world.exit(leaver);
    refused(world.claim(holders[1], id, 0), id, holders[1], "it holds a column of the file");
    refused(world.claim(ALICE, id, 0), id, ALICE, "it is no miner");
    refused(world.claim(leaver, id, 0), id, leaver, "it leaves");
}

#[test]
fn operators_and_prefixes_hold_two_columns_of_a_file() {
    let mut world = World::new(10);
    let shared = ALICE;
    world.host.height = 0;
    let twins = [21, 22].map(|tag| world.register(tag, Some(shared), 99));
    world.host.height = HEIGHT;
    let (id, holders) = world.store(1, 4_000);
    let gone = *holders.iter().find(|holder| !twins.contains(holder)).unwrap();
    let column = |world: &mut World, holder| {
        u8::try_from(world.holders(id).iter().position(|other| *other == holder).unwrap()).unwrap()
    };
    let (open, of_twin) = (column(&mut world, gone), column(&mut world, twins[0]));
    world.exit(gone);
    world.exit(twins[0]);
    let third = world.register(23, Some(shared), 98);
    let neighbour = world.register(24, None, 99);
    refused(world.claim(third, id, open), id, third, "its operator would hold 3 columns, the limit is 2");
    world.claim(neighbour, id, open).unwrap();
    world.pass(2 * CLAIM_BLOCKS + 1);
    world.host.params.enforce_prefix_cap = true;
    refused(world.claim(neighbour, id, open), id, neighbour, "its prefix would hold 3 columns, the limit is 2");
    // In the place of one of them they are two again.
    world.claim(third, id, of_twin).unwrap();
    world.pass(CLAIM_BLOCKS + 1);
    world.repair(neighbour, id, of_twin);
    refused(world.claim(neighbour, id, open), id, neighbour, "it holds a column of the file");
}

#[test]
fn caps_are_looked_at_again_when_the_column_is_taken() {
    let mut world = World::new(12);
    let (id, holders) = world.store(1, 4_000);
    let claimers = [21, 22, 23].map(|tag| world.register(tag, Some(ALICE), tag.into()));
    (0..3).for_each(|index| world.exit(holders[index]));
    for (column, claimer) in (0u8..).zip(claimers) {
        world.claim(claimer, id, column).unwrap();
    }
    world.pass(2);
    let spots = |world: &World, column: u8| world.spots(claimers[usize::from(column)], HEIGHT, id, column);
    for column in 0..2 {
        let spots = spots(&world, column);
        world.complete(claimers[usize::from(column)], id, column, spots).unwrap();
    }
    let third = spots(&world, 2);
    let reason = "its operator would hold 3 columns, the limit is 2";
    refused(world.complete(claimers[2], id, 2, third), id, claimers[2], reason);
}

#[test]
fn a_column_has_to_fit_and_collateral_to_be_there() {
    let mut world = World::new(12);
    let (id, holders) = world.store(1, 4_000);
    let to = world.spare(13);
    world.exit(holders[0]);
    miners::take_space(&mut world.host, to, MINER_BYTES - 1_023).unwrap().unwrap();
    refused(world.claim(to, id, 0), id, to, "it has room for 1023 B, 1024 B are needed");
    miners::free_space(&mut world.host, to, 1).unwrap();
    world.claim(to, id, 0).unwrap();
    world.pass(2);
    let spots = world.spots(to, HEIGHT, id, 0);
    miners::fine(&mut world.host, to, U256::ONE, true).unwrap();
    let reason = "its collateral is 999999999999999999, 1000000000000000000 are required";
    refused(world.complete(to, id, 0, spots), id, to, reason);
}
