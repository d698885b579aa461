//! Names and owners: renaming, granting, consigning, buying.

use super::*;
use crate::ledger::abi::ITerritory::{
    buyCall, cancelCall, consignCall, countOfCall, findCall, grantCall, listOfCall, renameCall,
};

fn names(world: &mut World, owner: Address) -> Vec<String> {
    let call = listOfCall { owner, skip: 0, limit: u64::MAX };
    world.host.view(TERRITORY, &call).unwrap().into_iter().map(|territory| territory.name).collect()
}

#[test]
fn a_new_name_frees_the_old_one() {
    let mut world = World::new();
    let token = world.mint(ALICE, 1, 1, "a").unwrap();
    world.mint(ALICE, 1, 1, "b").unwrap();
    let rename = |name: &str| renameCall { token, name: name.into() };
    assert_reverts(world.call(ALICE, &rename("b")), ITerritory::NameTaken { owner: ALICE, name: "b".into() });
    assert_reverts(world.call(BOB, &rename("c")), ITerritory::NotLeaseholder { token, account: BOB });
    world.call(ALICE, &rename("a")).unwrap();
    let long = "ein Name, der mehr als einen Speicherplatz braucht";
    world.call(ALICE, &rename(long)).unwrap();
    assert_eq!(
        world.host.last_event::<ITerritory::TerritoryRenamed>(),
        ITerritory::TerritoryRenamed { token, name: long.into() }
    );
    assert_eq!(names(&mut world, ALICE), [long, "b"]);
    let gone = world.host.view(TERRITORY, &findCall { owner: ALICE, name: "a".into() });
    assert_reverts(gone, ITerritory::UnknownName { owner: ALICE, name: "a".into() });
    world.mint(ALICE, 1, 1, "a").unwrap();
}

#[test]
fn a_granted_territory_leaves_its_owners_list() {
    let mut world = World::new();
    let tokens: Vec<u64> = ["a", "b", "c"].map(|name| world.mint(ALICE, 1, 2, name).unwrap()).into();
    let grant = |token, to| grantCall { token, to };
    world.call(ALICE, &grant(tokens[0], BOB)).unwrap();
    let expected = ITerritory::TerritoryGranted { token: tokens[0], from: ALICE, to: BOB };
    assert_eq!(world.host.last_event::<ITerritory::TerritoryGranted>(), expected);
    assert_eq!((names(&mut world, ALICE), names(&mut world, BOB)), (vec!["c".into(), "b".into()], vec!["a".into()]));
    world.call(ALICE, &grant(tokens[2], BOB)).unwrap();
    assert_eq!((names(&mut world, ALICE), names(&mut world, BOB)), (vec!["b".into()], vec!["a".into(), "c".into()]));
    assert_eq!(world.host.view(TERRITORY, &countOfCall { owner: BOB }), Ok(2));
    let page = world.host.view(TERRITORY, &listOfCall { owner: BOB, skip: 1, limit: 5 }).unwrap();
    assert_eq!(page.into_iter().map(|territory| territory.token).collect::<Vec<_>>(), [tokens[2]]);

    let token = tokens[1];
    assert_reverts(world.call(BOB, &grant(token, BOB)), ITerritory::NotLeaseholder { token, account: BOB });
    for receiver in [ALICE, Address::ZERO] {
        assert_reverts(world.call(ALICE, &grant(token, receiver)), ITerritory::ReceiverInvalid { receiver });
    }
    world.mint(BOB, 1, 1, "b").unwrap();
    let taken = ITerritory::NameTaken { owner: BOB, name: "b".into() };
    assert_reverts(world.call(ALICE, &grant(token, BOB)), taken);
    charge(&mut world.host, ALICE, token, FileId([1; 32]), 5).unwrap();
    assert_reverts(world.call(ALICE, &grant(token, BOB)), ITerritory::NotEmpty { token, used: 5 });
    world.pass(3 * DAY);
    let height = world.host.height;
    let frozen = ITerritory::NotActive { token, deadline: 33, height };
    assert_reverts(world.call(ALICE, &grant(token, BOB)), frozen);
}

#[test]
fn an_offer_is_bought_for_what_is_asked() {
    let mut world = World::new();
    let token = world.mint(ALICE, 10, 5, "a").unwrap();
    let consign = consignCall { token, asked: tokens(7) };
    assert_reverts(world.call(BOB, &consign), ITerritory::NotLeaseholder { token, account: BOB });
    let free = consignCall { token, asked: U256::ZERO };
    assert_reverts(world.call(ALICE, &free), ITerritory::AskedTooLow { token });
    let buy = buyCall { token, name: "mine".into() };
    assert_reverts(world.pay(BOB, 7, &buy), ITerritory::NotOnOffer { token });
    world.call(ALICE, &consign).unwrap();
    let expected = ITerritory::TerritoryConsigned { token, asked: tokens(7) };
    assert_eq!(world.host.last_event::<ITerritory::TerritoryConsigned>(), expected);
    assert_eq!(world.get(token).asked, tokens(7));
    assert_reverts(world.pay(ALICE, 7, &buy), ITerritory::OwnOffer { token });
    let (sent, required) = (tokens(6), tokens(7));
    assert_reverts(world.pay(BOB, 6, &buy), ITerritory::PaymentTooLow { sent, required });
    let pool = world.totals().pool;
    world.pay(BOB, 9, &buy).unwrap();
    let expected =
        ITerritory::ConsignmentBought { token, seller: ALICE, buyer: BOB, name: "mine".into(), price: tokens(7) };
    assert_eq!(world.host.last_event::<ITerritory::ConsignmentBought>(), expected);
    assert_eq!((world.paid(BOB), world.paid(ALICE)), (tokens(7), tokens(50 - 7)));
    let territory = world.get(token);
    assert_eq!((territory.owner, territory.name.as_str(), territory.asked), (BOB, "mine", U256::ZERO));
    assert_eq!((world.totals().pool, world.host.balance(TERRITORY)), (pool, pool));
    assert!(names(&mut world, ALICE).is_empty());
}

#[test]
fn what_is_on_offer_does_not_change() {
    let mut world = World::new();
    let token = world.mint(ALICE, 10, 2, "a").unwrap();
    assert_reverts(world.call(ALICE, &cancelCall { token }), ITerritory::NotOnOffer { token });
    let consign = consignCall { token, asked: tokens(7) };
    world.call(ALICE, &consign).unwrap();
    let on_offer = || ITerritory::OnOffer { token };
    assert_reverts(world.call(ALICE, &consign), on_offer());
    assert_reverts(world.call(ALICE, &grantCall { token, to: BOB }), on_offer());
    assert_reverts(world.call(ALICE, &renameCall { token, name: "b".into() }), on_offer());
    assert_reverts(world.pay(ALICE, 99, &expandCall { token, extra: GIB }), on_offer());
    assert_reverts(world.pay(ALICE, 99, &renewCall { token, leaseDays: 1 }), on_offer());
    assert_reverts(charge(&mut world.host, ALICE, token, FileId([1; 32]), 5), on_offer());
    assert_reverts(world.call(BOB, &cancelCall { token }), ITerritory::NotLeaseholder { token, account: BOB });

    // An offer whose lease ends cannot be bought; its owner takes it back and reactivates it.
    world.host.advance_to(33);
    let buy = world.pay(BOB, 7, &buyCall { token, name: "a".into() });
    assert_reverts(buy, ITerritory::NotActive { token, deadline: 33, height: 33 });
    assert_reverts(world.pay(ALICE, 99, &reactivateCall { token, leaseDays: 1 }), on_offer());
    world.call(ALICE, &cancelCall { token }).unwrap();
    let expected = ITerritory::ConsignmentCancelled { token };
    assert_eq!(world.host.last_event::<ITerritory::ConsignmentCancelled>(), expected);
    world.pay(ALICE, 10, &reactivateCall { token, leaseDays: 1 }).unwrap();
    charge(&mut world.host, ALICE, token, FileId([1; 32]), 5).unwrap();
    assert_reverts(world.call(ALICE, &consign), ITerritory::NotEmpty { token, used: 5 });
}
