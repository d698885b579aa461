//! A repair from the order to the new holder, and all that is refused on the way.

use super::*;

#[test]
fn a_column_moves_to_who_has_shown_it() {
    let mut world = World::new(12);
    let (id, holders) = world.store(1, 400_000);
    let (from, to) = (holders[3], world.spare(13));
    assert_reverts(world.claim(to, id, 3), IRepair::NotOpen { file: id.into(), column: 3 });
    world.exit(from);
    let bytes = world.miner(from).used;

    let until = HEIGHT + CLAIM_BLOCKS;
    assert_eq!(world.claim(to, id, 3), Ok(until));
    let expected = IRepair::RepairClaimed { file: id.into(), column: 3, claimer: to, until };
    assert_eq!(world.host.last_event::<IRepair::RepairClaimed>(), expected);
    let order = world.order(id, 3).unwrap();
    assert_eq!((order.holder, order.claimer, order.claimedAt, order.until), (from, to, HEIGHT, until));

    world.pass(1);
    let early = IRepair::TooEarly { height: HEIGHT + 1, from: HEIGHT + 2 };
    assert_reverts(world.complete(to, id, 3, Bytes::new()), early);
    world.pass(1);
    let spots = world.spots(to, HEIGHT, id, 3);
    assert_eq!(world.complete(to, id, 3, spots.clone()), Ok(U256::ZERO));
    let expected = IRepair::RepairCompleted { file: id.into(), column: 3, to, from, bounty: U256::ZERO };
    assert_eq!(world.host.last_event::<IRepair::RepairCompleted>(), expected);
    assert_eq!(world.holders(id)[3], to);
    let (old, new) = (world.miner(from), world.miner(to));
    assert_eq!((old.used, old.held, new.used, new.held), (0, 0, bytes, 1));
    assert_eq!(world.slots(), 0);
    assert_reverts(world.complete(to, id, 3, spots), IRepair::NotOpen { file: id.into(), column: 3 });
}

#[test]
fn who_dies_with_a_claim_holds_nobody_up() {
    let mut world = World::new(12);
    let (id, holders) = world.store(1, 4_000);
    let (dead, other) = (world.spare(13), world.spare(14));
    world.exit(holders[0]);
    let until = world.claim(dead, id, 0).unwrap();
    let claimed = IRepair::AlreadyClaimed { file: id.into(), column: 0, claimer: dead, until };
    assert_reverts(world.claim(other, id, 0), claimed.clone());
    world.host.advance_to(until);
    assert_reverts(world.claim(dead, id, 0), claimed);
    let late = world.spots(dead, HEIGHT, id, 0);
    world.pass(1);
    assert_reverts(
        world.complete(dead, id, 0, late.clone()),
        IRepair::NotClaimer { file: id.into(), column: 0, account: dead },
    );
    assert!(world.order(id, 0).unwrap().claimer.is_zero());
    world.repair(other, id, 0);
    assert_eq!(world.holders(id)[0], other);
}

#[test]
fn only_openings_drawn_for_the_claim_are_taken() {
    let mut world = World::new(12);
    let (id, holders) = world.store(1, 400_000);
    let (to, other) = (world.spare(13), world.spare(14));
    world.exit(holders[5]);
    world.claim(to, id, 5).unwrap();
    world.pass(2);
    let good = world.spots(to, HEIGHT, id, 5);
    let mut changed = good.to_vec();
    changed[700] ^= 1;
    let foreign = [
        world.spots(other, HEIGHT, id, 5),
        world.spots(to, HEIGHT + 1, id, 5),
        world.spots(to, HEIGHT, id, 4),
        changed.into(),
        Bytes::new(),
        [good.as_ref(), &[0]].concat().into(),
    ];
    for spots in foreign {
        let Err(ModuleError::Revert(data)) = world.complete(to, id, 5, spots) else { panic!("foreign openings") };
        let refused = <IRepair::SpotsInvalid as alloy_sol_types::SolError>::abi_decode(&data).unwrap();
        assert_eq!((refused.file, refused.column), (id.into(), 5));
    }
    let not_claimer = IRepair::NotClaimer { file: id.into(), column: 5, account: other };
    assert_reverts(world.complete(other, id, 5, good.clone()), not_claimer);
    let manifest: Bytes = [world.stored(id).manifest.as_ref(), &[0]].concat().into();
    let unknown = IRepair::NotOpen { file: hash::content(&manifest).into(), column: 5 };
    let call = completeCall { manifest, column: 5, spots: good.clone() };
    assert_reverts(world.host.call(to, REPAIR, U256::ZERO, &call), unknown);
    assert_eq!(world.complete(to, id, 5, good), Ok(U256::ZERO));
}

#[test]
fn gas_pays_for_manifest_and_openings() {
    let mut world = World::new(12);
    let (id, holders) = world.store(1, 400_000);
    let to = world.spare(13);
    world.exit(holders[5]);
    world.claim(to, id, 5).unwrap();
    world.pass(2);
    let spots = world.spots(to, HEIGHT, id, 5);
    let mut poor = world.host.clone();
    let length = spots.len() as u64;
    world.complete(to, id, 5, spots.clone()).unwrap();
    assert!(world.host.gas_used > length, "{} for {length} B", world.host.gas_used);
    poor.gas_limit = world.host.gas_used - 1;
    let call = completeCall { manifest: world.stored(id).manifest.clone(), column: 5, spots };
    assert_eq!(poor.call(to, REPAIR, U256::ZERO, &call), Err(ModuleError::OutOfGas));
}

#[test]
fn with_the_file_its_orders_go() {
    let mut world = World::new(12);
    let (id, holders) = world.store(1, 4_000);
    let to = world.spare(13);
    world.exit(holders[0]);
    world.surrender(holders[1], id).unwrap();
    world.claim(to, id, 0).unwrap();
    world.claim(to, id, 1).unwrap();
    world.pass(2);
    let spots = world.spots(to, HEIGHT, id, 0);
    world.remove(id);
    assert_eq!((world.slots(), world.orders(0, 9)), (0, vec![]));
    let gone = IRepair::NotOpen { file: id.into(), column: 0 };
    assert_reverts(world.order(id, 0), gone.clone());
    assert_reverts(world.complete(to, id, 0, spots), gone);
    // Stored again it is a file like any other.
    let (again, holders) = world.store(1, 4_000);
    assert_eq!(again, id);
    assert_reverts(world.order(id, 1), IRepair::NotOpen { file: id.into(), column: 1 });
    assert!(holders.contains(&to));
}

#[test]
fn a_miner_ends_when_all_it_held_is_repaired() {
    let mut world = World::new(12);
    let files: Vec<(FileId, Vec<Address>)> = (1..=3).map(|tag| world.store(tag, 4_000 * u32::from(tag))).collect();
    let spares: Vec<Address> = (13..=15).map(|tag| world.spare(tag)).collect();
    let lost = files[0].1[0];
    miners::force_out(&mut world.host, lost).unwrap();
    world.pass(world.host.params.era_blocks);
    let mut bounties = U256::ZERO;
    for (place, (id, holders)) in files.iter().enumerate() {
        let column = u8::try_from(holders.iter().position(|holder| *holder == lost).unwrap()).unwrap();
        let withdraw = world.host.call(lost, MINERS, U256::ZERO, &IMiners::withdrawCall {});
        let used = world.miner(lost).used;
        assert_reverts(withdraw, IMiners::StillHolding { account: lost, used });
        bounties += world.repair(spares[place], *id, column);
    }
    assert_eq!((bounties, world.orders(0, 9)), (U256::ZERO, vec![]));
    world.host.call(lost, MINERS, U256::ZERO, &IMiners::withdrawCall {}).unwrap();
    assert_eq!(world.host.balance(lost), Amount::tokens(2).0);
}
