//! Minting, expanding, renewing, reactivating: what they cost, move and refuse.

use super::*;

#[test]
fn a_minted_territory_is_its_buyers_and_costs_its_price() {
    let mut world = World::new();
    let token = world.mint(ALICE, 10, 3, "attic").unwrap();
    let expected = ITerritory::TerritoryMinted {
        token,
        owner: ALICE,
        name: "attic".into(),
        size: 10 * GIB,
        deadline: 1 + 3 * DAY,
        price: tokens(30),
    };
    assert_eq!(world.host.last_event::<ITerritory::TerritoryMinted>(), expected);
    let expected = Territory {
        token,
        owner: ALICE,
        name: "attic".into(),
        size: 10 * GIB,
        used: 0,
        paid: tokens(30),
        start: 1,
        deadline: 49,
        purgeFrom: 56,
        state: 0,
        asked: U256::ZERO,
    };
    assert_eq!(world.get(token), expected);
    assert_eq!(world.host.view(TERRITORY, &ITerritory::findCall { owner: ALICE, name: "attic".into() }), Ok(expected));
    assert_eq!(world.paid(ALICE), tokens(30));
    let totals = world.totals();
    assert_eq!((totals.territories, totals.leased, totals.used), (1, U256::from(10 * GIB), U256::ZERO));
    assert_eq!((totals.capacity, totals.available), (U256::from(CAPACITY), U256::from(140 * GIB)));
    assert_eq!((totals.pool, totals.unitPrice, totals.dayBlocks), (tokens(30), tokens(1), DAY));
    assert_eq!(world.host.balance(TERRITORY), tokens(30));
}

#[test]
fn what_is_sent_beyond_the_price_comes_back() {
    let mut world = World::new();
    let call = mintCall { size: GIB, leaseDays: 2, name: "a".into() };
    world.pay(ALICE, 100, &call).unwrap();
    assert_eq!((world.paid(ALICE), world.totals().pool), (tokens(2), tokens(2)));
    let sent = tokens(1);
    let call = mintCall { name: "b".into(), ..call };
    assert_reverts(world.pay(ALICE, 1, &call), ITerritory::PaymentTooLow { sent, required: tokens(2) });
    assert_eq!((world.paid(ALICE), world.totals().territories), (tokens(2), 1));
}

#[test]
fn requests_out_of_bounds_are_refused() {
    let mut world = World::new();
    let good = mintCall { size: GIB, leaseDays: 2, name: "a".into() };
    let mut refused = |change: &dyn Fn(&mut mintCall)| {
        let mut call = good.clone();
        change(&mut call);
        world.pay(ALICE, 100, &call)
    };
    let maximum = U256::from(TERRITORY_NAME_MAX_BYTES);
    for name in [String::new(), "x".repeat(65), "a\nb".into()] {
        let length = U256::from(name.len());
        let expected = ITerritory::TerritoryNameInvalid { length, maximum };
        assert_reverts(refused(&|call| call.name = name.clone()), expected);
    }
    let (size, minimum) = (MIB - 1, MIB);
    assert_reverts(refused(&|call| call.size = size), ITerritory::SizeTooSmall { size, minimum });
    for days in [0, 36_501, u32::MAX] {
        let expected = ITerritory::LeaseInvalid { leaseDays: days, maximum: 36_500 };
        assert_reverts(refused(&|call| call.leaseDays = days), expected);
    }
    world.mint(ALICE, 1, 1, "a").unwrap();
    let taken = ITerritory::NameTaken { owner: ALICE, name: "a".into() };
    assert_reverts(world.mint(ALICE, 1, 1, "a"), taken);
    world.mint(BOB, 1, 1, "a").unwrap();
}

#[test]
fn no_more_is_leased_than_miners_declare_times_the_oversell() {
    let mut world = World::new();
    let wanted = 151 * GIB;
    let available = U256::from(150 * GIB);
    assert_reverts(world.mint(ALICE, 151, 1, "a"), ITerritory::SoldOut { wanted, available });
    let token = world.mint(ALICE, 149, 1, "a").unwrap();
    let (wanted, available) = (2 * GIB, U256::from(GIB));
    assert_reverts(world.mint(BOB, 2, 1, "b"), ITerritory::SoldOut { wanted, available });
    let call = expandCall { token, extra: wanted };
    assert_reverts(world.pay(ALICE, 100, &call), ITerritory::SoldOut { wanted, available });
    world.pay(ALICE, 1, &expandCall { token, extra: GIB }).unwrap();
    assert_eq!(world.totals().available, U256::ZERO);
    let call = expandCall { token, extra: u64::MAX };
    let available = U256::from(u64::MAX - 150 * GIB);
    assert_reverts(world.pay(ALICE, 100, &call), ITerritory::SoldOut { wanted: u64::MAX, available });
}

#[test]
fn expansion_pays_for_the_rest_of_the_lease() {
    let mut world = World::new();
    let token = world.mint(ALICE, 10, 2, "a").unwrap();
    world.pass(DAY / 2);
    let call = expandCall { token, extra: 2 * GIB };
    assert_eq!(world.host.view(TERRITORY, &ITerritory::quoteExpandCall { token, extra: 2 * GIB }), Ok(tokens(3)));
    world.pay(ALICE, 50, &call).unwrap();
    let expected = ITerritory::TerritoryExpanded { token, size: 12 * GIB, price: tokens(3) };
    assert_eq!(world.host.last_event::<ITerritory::TerritoryExpanded>(), expected);
    assert_eq!((world.get(token).size, world.get(token).paid), (12 * GIB, tokens(23)));
    assert_eq!(world.totals().leased, U256::from(12 * GIB));

    let nothing = expandCall { token, extra: 0 };
    assert_reverts(world.call(ALICE, &nothing), ITerritory::SizeTooSmall { size: 0, minimum: 1 });
    assert_reverts(world.pay(BOB, 50, &call), ITerritory::NotLeaseholder { token, account: BOB });
    assert_reverts(world.pay(BOB, 50, &expandCall { token: 9, extra: 1 }), ITerritory::UnknownTerritory { token: 9 });
    world.pass(2 * DAY);
    let (deadline, height) = (33, world.host.height);
    assert_reverts(world.pay(ALICE, 50, &call), ITerritory::NotActive { token, deadline, height });
}

#[test]
fn renewal_moves_the_deadline_by_what_is_paid() {
    let mut world = World::new();
    let token = world.mint(ALICE, 10, 2, "a").unwrap();
    world.pass(DAY);
    assert_eq!(world.host.view(TERRITORY, &ITerritory::quoteRenewCall { token, leaseDays: 3 }), Ok(tokens(30)));
    world.pay(ALICE, 30, &renewCall { token, leaseDays: 3 }).unwrap();
    let expected = ITerritory::TerritoryRenewed { token, deadline: 1 + 5 * DAY, price: tokens(30) };
    assert_eq!(world.host.last_event::<ITerritory::TerritoryRenewed>(), expected);
    assert_eq!((world.get(token).start, world.get(token).deadline), (1, 1 + 5 * DAY));
    let expected = ITerritory::LeaseInvalid { leaseDays: 36_500, maximum: 36_496 };
    assert_reverts(world.call(ALICE, &renewCall { token, leaseDays: 36_500 }), expected);
    let foreign = world.pay(BOB, 30, &renewCall { token, leaseDays: 3 });
    assert_reverts(foreign, ITerritory::NotLeaseholder { token, account: BOB });
    let early = world.pay(ALICE, 30, &reactivateCall { token, leaseDays: 3 });
    let (deadline, purge_from, height) = (81, 88, world.host.height);
    assert_reverts(early, ITerritory::NotFrozen { token, deadline, purgeFrom: purge_from, height });
}

#[test]
fn reactivation_pays_for_the_frozen_time_too() {
    let mut world = World::new();
    let token = world.mint(ALICE, 16, 1, "a").unwrap();
    world.pass(DAY - 1);
    assert_eq!(world.get(token).state, 0);
    world.pass(1);
    let deadline = 1 + DAY;
    assert_eq!((world.host.height, world.get(token).state), (deadline, 1));
    let renew = world.pay(ALICE, 100, &renewCall { token, leaseDays: 1 });
    assert_reverts(renew, ITerritory::NotActive { token, deadline, height: deadline });
    world.pass(5);
    // Five frozen blocks and the sixteen of a day, at a token a block.
    assert_eq!(world.host.view(TERRITORY, &ITerritory::quoteRenewCall { token, leaseDays: 1 }), Ok(tokens(21)));
    world.pay(ALICE, 100, &reactivateCall { token, leaseDays: 1 }).unwrap();
    let expected = ITerritory::TerritoryReactivated { token, deadline: deadline + 5 + DAY, price: tokens(21) };
    assert_eq!(world.host.last_event::<ITerritory::TerritoryReactivated>(), expected);
    assert_eq!((world.get(token).state, world.paid(ALICE)), (0, tokens(37)));
}

#[test]
fn what_has_lapsed_cannot_be_had_back() {
    let mut world = World::new();
    let token = world.mint(ALICE, 1, 1, "a").unwrap();
    let Territory { deadline, purgeFrom: purge_from, .. } = world.get(token);
    assert_eq!((deadline, purge_from), (17, 24));
    world.host.advance_to(purge_from - 1);
    assert_eq!((world.get(token).state, world.host.view(TERRITORY, &ITerritory::lapsedCall {})), (1, Ok(0)));
    world.pass(1);
    assert_eq!((world.get(token).state, world.host.view(TERRITORY, &ITerritory::lapsedCall {})), (2, Ok(1)));
    let (call, height) = (reactivateCall { token, leaseDays: 1 }, purge_from);
    let expected = ITerritory::NotFrozen { token, deadline, purgeFrom: purge_from, height };
    assert_reverts(world.pay(ALICE, 100, &call), expected);
    let quote = world.host.view(TERRITORY, &ITerritory::quoteRenewCall { token, leaseDays: 1 });
    assert_reverts(quote, ITerritory::NotActive { token, deadline, height });
}

#[test]
fn quotes_are_prices() {
    let mut world = World::new();
    let quote =
        |world: &mut World, size, days| world.host.view(TERRITORY, &ITerritory::quoteCall { size, leaseDays: days });
    assert_eq!(quote(&mut world, 100 * GIB, 30), Ok(tokens(3_000)));
    assert_eq!(quote(&mut world, GIB / 2, 1), Ok(tokens(1) / U256::from(2)));
    assert_reverts(quote(&mut world, 1, 1), ITerritory::SizeTooSmall { size: 1, minimum: MIB });
    assert_reverts(quote(&mut world, GIB, 0), ITerritory::LeaseInvalid { leaseDays: 0, maximum: 36_500 });
    let price = quote(&mut world, MIB + 1, 1).unwrap();
    world.host.call(ALICE, TERRITORY, price, &mintCall { size: MIB + 1, leaseDays: 1, name: "a".into() }).unwrap();
    assert_eq!(world.paid(ALICE), price);
}

#[test]
fn gifts_of_genesis_are_territories_like_others() {
    let mut host = TestHost::with_params(params(), &[]);
    let gift = |size, days| Request { owner: ALICE, name: "gift", size, days };
    install(&mut host, &gift(GIB, 36_500)).unwrap();
    assert_reverts(install(&mut host, &gift(GIB, 1)), ITerritory::NameTaken { owner: ALICE, name: "gift".into() });
    assert_reverts(install(&mut host, &gift(1, 1)), ITerritory::SizeTooSmall { size: 1, minimum: MIB });
    let territory = host.view(TERRITORY, &getCall { token: 1 }).unwrap();
    assert_eq!((territory.owner, territory.size, territory.paid), (ALICE, GIB, U256::ZERO));
    assert_eq!((territory.start, territory.deadline), (0, 36_500 * DAY));
}
