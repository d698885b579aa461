//! Storing and removing for somebody else.

use super::*;
use crate::ledger::abi::{
    IFiles::{removeForCall, storeForCall},
    INames, NAMES,
};

/// Who acts for ALICE where it is approved.
const GATEWAY: Address = address!("6a7e000000000000000000000000000000000000");

fn approve(world: &mut World, approved: bool) {
    world.host.call(ALICE, NAMES, U256::ZERO, &INames::approveCall { operator: GATEWAY, approved }).unwrap();
}

fn for_alice(world: &mut World, manifest: &Manifest, territory: u64) -> storeForCall {
    let storeCall { manifest, beaconHeight, holders, receipts } = world.deposit(manifest);
    storeForCall { owner: ALICE, territory, manifest, beaconHeight, holders, receipts }
}

fn store_for(world: &mut World, caller: Address, call: &storeForCall) -> Result<FileId, ModuleError> {
    world.host.call(caller, FILES, U256::ZERO, call).map(FileId::from)
}

fn remove_for(world: &mut World, caller: Address, id: FileId) -> Result<(), ModuleError> {
    world.host.call(caller, FILES, U256::ZERO, &removeForCall { owner: ALICE, id: id.into() }).map(drop)
}

#[test]
fn an_operator_stores_and_removes_for_its_owner_and_nobody_else_does() {
    let mut world = World::new(12);
    let call = for_alice(&mut world, &manifest(1, 4_000), 0);
    let refused = || INames::NotOperator { owner: ALICE, caller: GATEWAY };
    assert_reverts(store_for(&mut world, GATEWAY, &call), refused());
    approve(&mut world, true);
    let id = store_for(&mut world, GATEWAY, &call).unwrap();
    let file = world.file(id).unwrap();
    assert_eq!((file.owners, file.holders), (vec![ALICE], call.holders.clone()));
    assert_eq!((world.list(ALICE), world.list(GATEWAY)), (vec![id], vec![]));
    let charge = world.host.view(FILES, &IFiles::chargeOfCall { id: id.into(), owner: ALICE }).unwrap();
    assert_eq!((charge.territory, charge.amount), (1, 12 * 1_024));
    let again = IFiles::AlreadyOwner { id: id.into(), account: ALICE };
    assert_reverts(store_for(&mut world, GATEWAY, &call), again);

    approve(&mut world, false);
    assert_reverts(remove_for(&mut world, GATEWAY, id), refused());
    assert_reverts(world.remove(GATEWAY, id), IFiles::NotOwner { id: id.into(), account: GATEWAY });
    approve(&mut world, true);
    remove_for(&mut world, GATEWAY, id).unwrap();
    assert_reverts(world.file(id), IFiles::UnknownFile { id: id.into() });
    assert!(world.host.storage[&FILES].is_empty(), "a deleted file leaves slots behind");
}

#[test]
fn an_operator_names_a_territory_of_its_owner_only() {
    let mut world = World::new(12);
    approve(&mut world, true);
    let second = world.lease(ALICE, "second");
    let call = for_alice(&mut world, &manifest(1, 4_000), second);
    let id = store_for(&mut world, GATEWAY, &call).unwrap();
    let charge = world.host.view(FILES, &IFiles::chargeOfCall { id: id.into(), owner: ALICE }).unwrap();
    assert_eq!(charge.territory, second);
    let bobs = for_alice(&mut world, &manifest(2, 4_000), 2);
    let refused = ITerritory::NotLeaseholder { token: 2, account: ALICE };
    assert_reverts(store_for(&mut world, GATEWAY, &bobs), refused);
}

#[test]
fn an_owner_may_act_for_itself_and_join_a_file_through_its_operator() {
    let mut world = World::new(12);
    let call = world.deposit(&manifest(1, 4_000));
    let id = world.store(BOB, &call).unwrap();
    let join = for_alice(&mut world, &manifest(1, 4_000), 0);
    assert_eq!(store_for(&mut world, ALICE, &join), Ok(id));
    assert_eq!(world.host.last_event::<IFiles::OwnerAdded>(), IFiles::OwnerAdded { id: id.into(), owner: ALICE });
    assert_eq!(world.file(id).unwrap().owners, [BOB, ALICE]);
    remove_for(&mut world, ALICE, id).unwrap();
    assert_eq!(world.file(id).unwrap().owners, [BOB]);
}
