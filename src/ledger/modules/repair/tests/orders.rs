//! What is open: of who leaves, and what was given up.

use super::*;

#[test]
fn an_order_exists_as_soon_as_the_holder_leaves() {
    let mut world = World::new(12);
    let (one, holders) = world.store(1, 4_000);
    let (two, _) = world.store(2, 4_000);
    assert_eq!(world.orders(0, 9), []);
    world.exit(holders[0]);
    let column = |world: &mut World, id, holder| {
        u8::try_from(world.holders(id).iter().position(|other| *other == holder).unwrap()).unwrap()
    };
    let of_two = column(&mut world, two, holders[0]);
    let first = [(one, 0), (two, of_two)];
    assert_eq!(world.orders(0, 9), first);
    miners::force_out(&mut world.host, holders[1]).unwrap();
    let second = [(one, 1), (two, column(&mut world, two, holders[1]))];
    world.surrender(holders[2], two).unwrap();
    let third = (two, column(&mut world, two, holders[2]));
    let all = [first[0], first[1], second[0], second[1], third];
    assert_eq!(world.orders(0, u64::MAX), all);
    for skip in 0..=5 {
        assert_eq!(world.orders(skip as u64, 2), all[skip..all.len().min(skip + 2)], "from {skip}");
    }
    assert_eq!(world.orders(u64::MAX, u64::MAX), []);
    for column in [3, 11, 12, 255] {
        assert_reverts(world.order(one, column), IRepair::NotOpen { file: one.into(), column });
    }
    assert_reverts(world.order(FileId([7; 32]), 0), IRepair::NotOpen { file: B256::repeat_byte(7), column: 0 });
}

#[test]
fn a_column_given_up_stays_until_somebody_has_it() {
    let mut world = World::new(12);
    let (id, holders) = world.store(1, 4_000);
    let (to, stranger) = (world.spare(13), world.spare(14));
    world.surrender(holders[2], id).unwrap();
    let expected = IRepair::ColumnSurrendered { file: id.into(), column: 2, holder: holders[2] };
    assert_eq!(world.host.last_event::<IRepair::ColumnSurrendered>(), expected);
    let logs = world.host.logs.len();
    world.surrender(holders[2], id).unwrap();
    assert_eq!((world.host.logs.len(), world.orders(0, 9)), (logs, vec![(id, 2)]));
    assert_eq!(world.miner(holders[2]).held, 1);
    assert_reverts(world.surrender(stranger, id), IRepair::NotHolder { file: id.into(), account: stranger });
    let unknown = B256::repeat_byte(5);
    assert_reverts(world.surrender(stranger, unknown.into()), IRepair::NotHolder { file: unknown, account: stranger });
    world.repair(to, id, 2);
    assert_eq!((world.orders(0, 9), world.slots(), world.miner(holders[2]).held), (vec![], 0, 0));
}

#[test]
fn the_list_of_what_was_given_up_survives_removal_in_any_order() {
    let mut world = World::new(12);
    let (id, holders) = world.store(1, 4_000);
    (0..4).for_each(|index| world.surrender(holders[index], id).unwrap());
    world.exit(holders[11]);
    world.surrender(holders[11], id).unwrap();
    let spares: Vec<Address> = (13..=17).map(|tag| world.spare(tag)).collect();
    world.repair(spares[0], id, 1);
    assert_eq!(world.orders(0, 9), [(id, 11), (id, 0), (id, 3), (id, 2)]);
    world.repair(spares[1], id, 3);
    world.repair(spares[2], id, 11);
    assert_eq!(world.orders(0, 9), [(id, 0), (id, 2)]);
    world.repair(spares[3], id, 0);
    world.repair(spares[4], id, 2);
    assert_eq!((world.orders(0, 9), world.slots()), (vec![], 0));
}
