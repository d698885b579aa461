//! Charges, the choice of a territory, and the way out of a lapsed one.

use super::*;
use crate::ledger::abi::ITerritory::{chooseCall, consignCall};

const FILE: FileId = FileId([7; 32]);

fn chosen(world: &mut World, owner: Address, needed: u64) -> Result<u64, ModuleError> {
    world.host.view(TERRITORY, &chooseCall { owner, needed })
}

#[test]
fn charges_are_counted_to_the_byte() {
    let mut world = World::new();
    let token = world.mint(ALICE, 1, 1, "a").unwrap();
    charge(&mut world.host, ALICE, token, FILE, GIB - 3).unwrap();
    let expected = ITerritory::SpaceCharged { token, file: FILE.into(), amount: GIB - 3, used: GIB - 3 };
    assert_eq!(world.host.last_event::<ITerritory::SpaceCharged>(), expected);
    let full = ITerritory::TerritoryFull { token, free: 3, needed: 4 };
    assert_reverts(charge(&mut world.host, ALICE, token, FILE, 4), full);
    charge(&mut world.host, ALICE, token, FILE, 3).unwrap();
    assert_eq!((world.get(token).used, world.totals().used), (GIB, U256::from(GIB)));
    free(&mut world.host, token, FILE, 3).unwrap();
    let expected = ITerritory::SpaceFreed { token, file: FILE.into(), amount: 3, used: GIB - 3 };
    assert_eq!(world.host.last_event::<ITerritory::SpaceFreed>(), expected);
    assert!(matches!(free(&mut world.host, token, FILE, GIB), Err(ModuleError::Fatal(_))));
    let foreign = charge(&mut world.host, BOB, token, FILE, 1);
    assert_reverts(foreign, ITerritory::NotLeaseholder { token, account: BOB });
    world.pass(DAY);
    let (deadline, height) = (17, 17);
    assert_reverts(charge(&mut world.host, ALICE, token, FILE, 1), ITerritory::NotActive { token, deadline, height });
    free(&mut world.host, token, FILE, GIB - 3).unwrap();
    assert_eq!((world.get(token).used, world.totals().used), (0, U256::ZERO));
}

#[test]
fn the_lease_that_lasts_longest_is_chosen_among_those_with_room() {
    let mut world = World::new();
    assert_reverts(chosen(&mut world, ALICE, 5), ITerritory::NoTerritory { account: ALICE, needed: 5 });
    let short = world.mint(ALICE, 9, 1, "short").unwrap();
    let long = world.mint(ALICE, 1, 9, "long").unwrap();
    let other = world.mint(ALICE, 5, 2, "other").unwrap();
    assert_eq!(chosen(&mut world, ALICE, GIB), Ok(long));
    assert_eq!(chosen(&mut world, ALICE, GIB + 1), Ok(other));
    assert_eq!(chosen(&mut world, ALICE, 5 * GIB + 1), Ok(short));
    let (free, needed) = (9 * GIB, 10 * GIB);
    assert_reverts(chosen(&mut world, ALICE, needed), ITerritory::TerritoryFull { token: short, free, needed });
    world.call(ALICE, &consignCall { token: long, asked: tokens(1) }).unwrap();
    assert_eq!(chosen(&mut world, ALICE, 1), Ok(other));
    world.pass(DAY);
    let (free, needed) = (5 * GIB, 9 * GIB);
    assert_reverts(chosen(&mut world, ALICE, needed), ITerritory::TerritoryFull { token: other, free, needed });
    world.pass(2 * DAY);
    assert_reverts(chosen(&mut world, ALICE, 1), ITerritory::NoTerritory { account: ALICE, needed: 1 });
}

#[test]
fn the_cursor_meets_every_lapsed_territory_once() {
    let mut world = World::new();
    let clean = world.host.storage.get(&TERRITORY).cloned().unwrap_or_default();
    let first = world.mint(ALICE, 1, 1, "a name that takes more than one slot of storage").unwrap();
    let second = world.mint(ALICE, 2, 1, "b").unwrap();
    let third = world.mint(BOB, 3, 1, "c").unwrap();
    let kept = world.mint(BOB, 4, 1, "d").unwrap();
    world.pay(BOB, 4, &renewCall { token: kept, leaseDays: 1 }).unwrap();
    world.host.advance_to(23);
    assert_eq!(next_lapse(&mut world.host).unwrap(), Some(LapseStep::EmptyEra));
    let mut met = Vec::new();
    world.host.advance_to(24);
    while let Some(step) = next_lapse(&mut world.host).unwrap() {
        match step {
            LapseStep::EmptyEra => pass_era(&mut world.host).unwrap(),
            LapseStep::Territory { token, owner } => {
                assert_eq!(owner, if token == third { BOB } else { ALICE });
                purge(&mut world.host, token).unwrap();
                met.push(token);
            }
        }
    }
    assert_eq!(met, [third, second, first]);
    let expected = ITerritory::TerritoryPurged { token: first, owner: ALICE, size: GIB };
    assert!(world.host.logs.iter().any(|(_, log)| *log == alloy_sol_types::SolEvent::encode_log_data(&expected)));
    assert_eq!((world.totals().territories, world.totals().leased), (1, U256::from(4 * GIB)));
    assert_reverts(
        world.host.view(TERRITORY, &getCall { token: first }),
        ITerritory::UnknownTerritory { token: first },
    );
    world.host.advance_to(40);
    while let Some(step) = next_lapse(&mut world.host).unwrap() {
        match step {
            LapseStep::EmptyEra => pass_era(&mut world.host).unwrap(),
            LapseStep::Territory { token, .. } => purge(&mut world.host, token).unwrap(),
        }
    }
    // What is left are the counters: the rent is out.
    let left = &world.host.storage[&TERRITORY];
    assert_eq!((clean.len(), left.len()), (0, 1), "{left:?}");
}

#[test]
fn a_territory_with_charges_is_never_purged() {
    let mut world = World::new();
    let token = world.mint(ALICE, 1, 1, "a").unwrap();
    charge(&mut world.host, ALICE, token, FILE, 1).unwrap();
    assert!(matches!(purge(&mut world.host, token), Err(ModuleError::Fatal(_))));
}
