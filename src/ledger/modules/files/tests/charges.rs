//! What owners are charged, and what becomes of files whose territory lapses.

use super::*;
use crate::ledger::abi::{
    IFiles::{chargeOfCall, listInCall, purgeCall, reassignCall, storeInCall},
    ITerritory::{Territory, TerritoryPurged},
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// First height at which a territory of a day, bought at [`HEIGHT`], has lapsed.
const LAPSED: Height = 360;

impl World {
    fn short_lease(&mut self, owner: Address, name: &str) -> u64 {
        self.host.fund(owner, 1);
        let call = ITerritory::mintCall { size: LEASED, leaseDays: 1, name: name.into() };
        self.host.call(owner, TERRITORY, Amount::tokens(1).0, &call).unwrap()
    }

    fn territory(&mut self, token: u64) -> Territory {
        self.host.view(TERRITORY, &ITerritory::getCall { token }).unwrap()
    }

    fn store_in(&mut self, owner: Address, token: u64, call: &storeCall) -> Result<FileId, ModuleError> {
        let call = storeInCall {
            territory: token,
            manifest: call.manifest.clone(),
            beaconHeight: call.beaconHeight,
            holders: call.holders.clone(),
            receipts: call.receipts.clone(),
        };
        self.host.call(owner, FILES, U256::ZERO, &call).map(FileId::from)
    }

    fn reassign(&mut self, owner: Address, id: FileId, token: u64) -> Result<(), ModuleError> {
        self.host.call(owner, FILES, U256::ZERO, &reassignCall { id: id.into(), territory: token }).map(drop)
    }

    fn charge_of(&mut self, id: FileId, owner: Address) -> Result<(u64, u64), ModuleError> {
        let charge = self.host.view(FILES, &chargeOfCall { id: id.into(), owner })?;
        Ok((charge.territory, charge.amount))
    }

    fn list_in(&mut self, token: u64) -> BTreeSet<FileId> {
        let call = listInCall { territory: token, skip: 0, limit: u64::MAX };
        self.host.view(FILES, &call).unwrap().into_iter().map(FileId::from).collect()
    }

    fn purge(&mut self, steps: u64) -> u64 {
        self.host.call(Address::ZERO, FILES, U256::ZERO, &purgeCall { steps }).unwrap()
    }
}

#[test]
fn every_owner_is_charged_all_twelve_columns_and_gets_them_back() {
    let mut world = World::new(12);
    let manifest = manifest(1, 4_000);
    let call = world.deposit(&manifest);
    let id = world.store(ALICE, &call).unwrap();
    let charge = 12 * 1_024;
    assert_eq!(manifest.column_bytes(), 1_024);
    assert_eq!((world.territory(1).used, world.territory(2).used), (charge, 0));
    world.store(BOB, &call).unwrap();
    assert_eq!((world.territory(1).used, world.territory(2).used), (charge, charge));
    assert_eq!((world.charge_of(id, ALICE), world.charge_of(id, BOB)), (Ok((1, charge)), Ok((2, charge))));
    let stranger = Address::repeat_byte(9);
    assert_reverts(world.charge_of(id, stranger), IFiles::NotOwner { id: id.into(), account: stranger });
    assert_eq!(world.used(call.holders[0]), 1_024, "the fragments are kept once");
    world.remove(ALICE, id).unwrap();
    world.remove(BOB, id).unwrap();
    assert_eq!((world.territory(1).used, world.territory(2).used), (0, 0));
    assert!(world.list_in(1).is_empty());
}

#[test]
fn a_file_needs_an_active_territory_of_its_owners_with_room() {
    let mut world = World::new(12);
    let call = world.deposit(&manifest(1, 4_000));
    let stranger = Address::repeat_byte(9);
    let needed = 12 * 1_024;
    assert_reverts(world.store(stranger, &call), ITerritory::NoTerritory { account: stranger, needed });
    assert_reverts(world.store_in(ALICE, 2, &call), ITerritory::NotLeaseholder { token: 2, account: ALICE });
    assert_reverts(world.store_in(ALICE, 7, &call), ITerritory::UnknownTerritory { token: 7 });
    let token = world.short_lease(ALICE, "short");
    let id = world.store_in(ALICE, token, &call).unwrap();
    assert_eq!((world.territory(token).used, world.territory(1).used), (needed, 0));
    assert_eq!(world.list_in(token), [id].into());
    world.host.advance_to(HEIGHT + 240);
    let (deadline, height) = (HEIGHT + 240, HEIGHT + 240);
    let next = world.deposit(&manifest(2, 4_000));
    assert_reverts(world.store_in(ALICE, token, &next), ITerritory::NotActive { token, deadline, height });
    assert_eq!(world.file(id).unwrap().owners, [ALICE], "what is frozen stays");
    world.store(ALICE, &next).unwrap();
}

#[test]
fn a_file_too_large_for_its_territory_is_refused_to_the_byte() {
    let mut world = World::new(12);
    world.host.fund(BOB, 1);
    let call = ITerritory::mintCall { size: 12 << 18, leaseDays: 1, name: "exact".into() };
    let token = world.host.call(BOB, TERRITORY, Amount::tokens(1).0, &call).unwrap();
    let over = world.deposit(&manifest(1, (4 << 18) + 1));
    let (free, needed) = (12 << 18, 12 * ((1 << 18) + 64));
    assert_reverts(world.store_in(BOB, token, &over), ITerritory::TerritoryFull { token, free, needed });
    let exact = world.deposit(&manifest(2, 4 << 18));
    world.store_in(BOB, token, &exact).unwrap();
    let tiny = world.deposit(&manifest(3, 1));
    let full = ITerritory::TerritoryFull { token, free: 0, needed: 12 * 256 };
    assert_reverts(world.store_in(BOB, token, &tiny), full);
}

#[test]
fn a_file_moves_between_its_owners_territories() {
    let mut world = World::new(12);
    let ids: Vec<FileId> = (1..=3)
        .map(|tag| {
            let call = world.deposit(&manifest(tag, 4_000));
            world.store(ALICE, &call).unwrap()
        })
        .collect();
    let token = world.short_lease(ALICE, "short");
    world.reassign(ALICE, ids[0], token).unwrap();
    let expected = IFiles::FileReassigned { id: ids[0].into(), owner: ALICE, territory: token };
    assert_eq!(world.host.last_event::<IFiles::FileReassigned>(), expected);
    assert_eq!((world.list_in(1), world.list_in(token)), ([ids[1], ids[2]].into(), [ids[0]].into()));
    assert_eq!((world.territory(1).used, world.territory(token).used), (24 * 1_024, 12 * 1_024));
    world.reassign(ALICE, ids[2], 1).unwrap();
    assert_reverts(world.reassign(ALICE, ids[1], 2), ITerritory::NotLeaseholder { token: 2, account: ALICE });
    assert_reverts(world.reassign(BOB, ids[1], 2), IFiles::NotOwner { id: ids[1].into(), account: BOB });
    world.host.advance_to(HEIGHT + 240);
    let (deadline, height) = (HEIGHT + 240, HEIGHT + 240);
    assert_reverts(world.reassign(ALICE, ids[1], token), ITerritory::NotActive { token, deadline, height });
    world.reassign(ALICE, ids[0], 1).unwrap();
    assert_eq!(world.territory(token).used, 0, "a frozen territory lets files go");
}

#[test]
fn a_lapsed_territory_is_released_step_by_step() {
    let mut world = World::new(12);
    let token = world.short_lease(ALICE, "short");
    let mut ids = Vec::new();
    for tag in 1..=3 {
        let call = world.deposit(&manifest(tag, 4_000));
        ids.push(world.store_in(ALICE, token, &call).unwrap());
        if tag == 2 {
            world.store(BOB, &call).unwrap();
        }
    }
    world.host.advance_to(LAPSED - 1);
    assert_eq!(world.purge(4), 4, "eras in which no lease ends are passed");
    assert_eq!(world.purge(100), 0);
    assert_eq!(world.file(ids[0]).unwrap().owners, [ALICE]);
    world.host.advance_to(LAPSED);
    assert_reverts(world.reassign(BOB, ids[0], 2), IFiles::NotOwner { id: ids[0].into(), account: BOB });
    assert_eq!(world.purge(2), 2);
    assert_eq!((world.list_in(token).len(), world.territory(token).used), (1, 12 * 1_024));
    assert_eq!(world.purge(100), 3, "a file, the territory, the era");
    let size = LEASED;
    assert_eq!(world.host.last_event::<TerritoryPurged>(), TerritoryPurged { token, owner: ALICE, size });
    assert_eq!(world.file(ids[1]).unwrap().owners, [BOB], "a second owner keeps the file");
    assert_reverts(world.file(ids[0]), IFiles::UnknownFile { id: ids[0].into() });
    assert!(world.list(ALICE).is_empty());
    world.remove(BOB, ids[1]).unwrap();
    assert!(world.host.storage[&FILES].is_empty(), "purged files leave slots behind");
    for holder in world.keys.keys().copied().collect::<Vec<_>>() {
        assert_eq!((world.used(holder), world.held(holder)), (0, vec![]));
    }
    assert_eq!(world.purge(100), 0);
}

#[test]
fn a_purge_does_no_more_than_its_gas_pays_for() {
    let mut world = World::new(12);
    let token = world.short_lease(ALICE, "short");
    let call = world.deposit(&manifest(1, 4_000));
    world.store_in(ALICE, token, &call).unwrap();
    world.host.advance_to(LAPSED);
    let before = world.host.storage.clone();
    world.host.gas_limit = 100_000;
    let purge = purgeCall { steps: u64::MAX };
    assert_eq!(world.host.call(BOB, FILES, U256::ZERO, &purge).map(drop), Err(ModuleError::OutOfGas));
    assert_eq!(world.host.storage, before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever owners do, each territory is charged exactly with the files that are listed in it.
    #[test]
    fn what_is_used_is_the_sum_of_what_is_charged(
        steps in prop::collection::vec((0u8..6, 0usize..4, any::<bool>(), any::<bool>()), 1..40),
    ) {
        let mut world = World::new(12);
        let tokens = [[1, world.short_lease(ALICE, "second")], [2, world.short_lease(BOB, "second")]];
        let files: Vec<(storeCall, u64)> = (1..=4)
            .map(|tag| {
                let manifest = manifest(tag, 1_000 * u32::from(tag));
                (world.deposit(&manifest), 12 * manifest.column_bytes())
            })
            .collect();
        let mut owned: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for (kind, file, who, which) in steps {
            let (who, token) = (usize::from(who), tokens[usize::from(who)][usize::from(which)]);
            let owner = [ALICE, BOB][who];
            let id = FileId(hash::content(&files[file].0.manifest));
            match kind {
                0..=2 => {
                    let done = world.store_in(owner, token, &files[file].0).is_ok();
                    prop_assert_eq!(done, !owned.contains_key(&(who, file)));
                    owned.entry((who, file)).or_insert(token);
                }
                3 => prop_assert_eq!(world.remove(owner, id).is_ok(), owned.remove(&(who, file)).is_some()),
                _ => {
                    let entry = owned.get_mut(&(who, file));
                    prop_assert_eq!(world.reassign(owner, id, token).is_ok(), entry.is_some());
                    entry.into_iter().for_each(|entry| *entry = token);
                }
            }
            for token in tokens.concat() {
                let charged = || owned.iter().filter(|(_, at)| **at == token).map(|((_, file), _)| *file);
                let used: u64 = charged().map(|file| files[file].1).sum();
                prop_assert_eq!(world.territory(token).used, used);
                let listed: BTreeSet<FileId> =
                    charged().map(|file| FileId(hash::content(&files[file].0.manifest))).collect();
                prop_assert_eq!(world.list_in(token), listed);
            }
        }
    }
}
