//! Orders for others.

use super::*;
use crate::ledger::abi::ITerritory::{getOrderCall, orderCall, payCall};

fn order(receiver: Address, name: &str) -> orderCall {
    orderCall { receiver, size: 4 * GIB, leaseDays: 3, name: name.into() }
}

#[test]
fn anybody_pays_an_order_and_the_receiver_owns_it() {
    let mut world = World::new();
    let id = world.call(ALICE, &order(ALICE, "a")).unwrap();
    let expires = world.host.height + world.host.params.order_blocks;
    let expected = ITerritory::OrderPlaced {
        order: id,
        receiver: ALICE,
        placer: ALICE,
        name: "a".into(),
        size: 4 * GIB,
        leaseDays: 3,
        expires,
    };
    assert_eq!(world.host.last_event::<ITerritory::OrderPlaced>(), expected);
    let open = world.host.view(TERRITORY, &getOrderCall { id }).unwrap();
    assert_eq!((open.placer, open.receiver, open.size, open.leaseDays), (ALICE, ALICE, 4 * GIB, 3));
    assert_eq!((open.expires, open.name.as_str()), (expires, "a"));

    world.host.advance_to(expires);
    let (sent, required) = (tokens(11), tokens(12));
    assert_reverts(world.pay(BOB, 11, &payCall { id }), ITerritory::PaymentTooLow { sent, required });
    let token = world.pay(BOB, 20, &payCall { id }).unwrap();
    let expected = ITerritory::OrderPaid { order: id, token, payer: BOB };
    assert_eq!(world.host.last_event::<ITerritory::OrderPaid>(), expected);
    let territory = world.get(token);
    assert_eq!((territory.owner, territory.size), (ALICE, 4 * GIB));
    assert_eq!((territory.start, territory.deadline), (expires, expires + 3 * DAY));
    assert_eq!((world.paid(ALICE), world.paid(BOB)), (U256::ZERO, tokens(12)));
    assert_reverts(world.pay(BOB, 20, &payCall { id }), ITerritory::UnknownOrder { id });
}

#[test]
fn an_order_expires() {
    let mut world = World::new();
    let id = world.call(BOB, &order(ALICE, "a")).unwrap();
    let expires = world.host.height + world.host.params.order_blocks;
    world.host.advance_to(expires + 1);
    let expected = ITerritory::OrderExpired { id, expires, height: expires + 1 };
    assert_reverts(world.pay(BOB, 12, &payCall { id }), expected);
}

#[test]
fn an_account_has_one_open_order_and_leaves_no_slot_behind() {
    let mut world = World::new();
    let first = world.call(BOB, &order(ALICE, "a")).unwrap();
    let second = world.call(BOB, &order(ALICE, "b")).unwrap();
    assert_reverts(world.pay(ALICE, 12, &payCall { id: first }), ITerritory::UnknownOrder { id: first });
    world.call(ALICE, &order(BOB, "c")).unwrap();
    world.pay(ALICE, 12, &payCall { id: second }).unwrap();
    let third = world.call(BOB, &order(ALICE, "b")).unwrap();
    assert_eq!((first, second, third), (1, 2, 4));
    let taken = ITerritory::NameTaken { owner: ALICE, name: "b".into() };
    assert_reverts(world.pay(ALICE, 12, &payCall { id: third }), taken);
}

#[test]
fn orders_nobody_could_pay_are_refused() {
    let mut world = World::new();
    let to_nobody = world.call(ALICE, &order(Address::ZERO, "a"));
    assert_reverts(to_nobody, ITerritory::ReceiverInvalid { receiver: Address::ZERO });
    let small = orderCall { size: 5, ..order(ALICE, "a") };
    assert_reverts(world.call(ALICE, &small), ITerritory::SizeTooSmall { size: 5, minimum: MIB });
    let long = orderCall { leaseDays: 0, ..order(ALICE, "a") };
    assert_reverts(world.call(ALICE, &long), ITerritory::LeaseInvalid { leaseDays: 0, maximum: 36_500 });
    let (length, maximum) = (U256::ZERO, U256::from(TERRITORY_NAME_MAX_BYTES));
    assert_reverts(world.call(ALICE, &order(ALICE, "")), ITerritory::TerritoryNameInvalid { length, maximum });
}
