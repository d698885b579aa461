//! Registration, capacity and collateral.

use super::*;

#[test]
fn a_registered_miner_is_listed_with_what_it_declared() {
    let mut host = TestHost::new();
    host.advance_to(4);
    register(&mut host, 1);
    let expected = IMiners::MinerRegistered {
        account: account(1),
        operator: Address::repeat_byte(1),
        capacity: GIB,
        name: "miner 1".into(),
    };
    assert_eq!(host.last_event::<IMiners::MinerRegistered>(), expected);
    let miner = host.view(MINERS, &getCall { account: account(1) }).unwrap();
    assert_eq!((miner.account, miner.operator, miner.prefix), (account(1), Address::repeat_byte(1), 7));
    assert_eq!((miner.capacity, miner.used, miner.since), (GIB, 0, 4));
    assert_eq!((miner.state, miner.weight, miner.idle, miner.leftAt), (0, GIB, 0, 0));
    assert_eq!(host.view(MINERS, &idleSeedCall { account: account(1) }), Ok(beacon_of(4)));
    assert_eq!((miner.collateral, miner.name.as_str()), (Amount::tokens(1).0, "miner 1"));
    assert_eq!((miner.networkKey, miner.accountKey), (B256::repeat_byte(1), key(1).public().0.into()));
    assert_eq!(host.balance(MINERS), Amount::tokens(1).0);
    assert_eq!(host.view(MINERS, &countCall {}), Ok(1));
}

#[test]
fn bad_registrations_are_refused() {
    let mut host = TestHost::new();
    register(&mut host, 1);
    let one = Amount::tokens(1).0;
    let mut refused = |change: &dyn Fn(&mut registerCall), tag, value| {
        let mut call = registration(tag);
        change(&mut call);
        host.fund(account(tag), 10);
        host.call(account(tag), MINERS, value, &call).map(|_| ())
    };
    assert_reverts(refused(&|_| {}, 1, one), IMiners::AlreadyRegistered { account: account(1) });
    assert_reverts(
        refused(&|call| call.accountKey = B256::ZERO, 2, one),
        IMiners::KeyMismatch { account: account(2), accountKey: B256::ZERO },
    );
    let maximum = U256::from(MINER_NAME_MAX_BYTES);
    for name in [String::new(), "x".repeat(65), "a\u{1b}[2J".into()] {
        let length = U256::from(name.len());
        assert_reverts(refused(&|call| call.name = name.clone(), 2, one), IMiners::NameInvalid { length, maximum });
    }
    assert_reverts(
        refused(&|call| call.capacity = 0, 2, one),
        IMiners::CapacityTooLow { capacity: 0, minimum: Params::dev().miner_min_capacity.0 },
    );
    assert_reverts(
        refused(&|call| call.capacity = 2 * TIB_BYTES + 1, 2, one),
        IMiners::CollateralTooLow { sent: one, required: Amount::tokens(3).0 },
    );
}

#[test]
fn collateral_counts_started_units() {
    let required = |capacity| required_collateral(&Params::mainnet(), capacity);
    assert_eq!(required(1), Amount::tokens(4_000).0);
    assert_eq!(required(TIB_BYTES), Amount::tokens(4_000).0);
    assert_eq!(required(TIB_BYTES + 1), Amount::tokens(8_000).0);
    assert_eq!(required(u64::MAX), Amount::tokens(4_000 << 24).0);
    let call = requiredCollateralCall { capacity: TIB_BYTES + 1 };
    assert_eq!(TestHost::new().view(MINERS, &call), Ok(Amount::tokens(2).0));
}

#[test]
fn capacity_changes_within_collateral_and_use() {
    let mut host = TestHost::new();
    register(&mut host, 1);
    let set = |host: &mut TestHost, tokens, capacity| {
        host.call(account(1), MINERS, Amount::tokens(tokens).0, &setCapacityCall { capacity }).map(|_| ())
    };
    assert_eq!(set(&mut host, 0, TIB_BYTES), Ok(()));
    let expected = IMiners::MinerCapacityChanged { account: account(1), capacity: TIB_BYTES };
    assert_eq!(host.last_event::<IMiners::MinerCapacityChanged>(), expected);
    let (sent, required) = (Amount::tokens(1).0, Amount::tokens(2).0);
    assert_reverts(set(&mut host, 0, TIB_BYTES + 1), IMiners::CollateralTooLow { sent, required });
    assert_eq!(set(&mut host, 1, TIB_BYTES + 1), Ok(()));
    assert_eq!(host.view(MINERS, &getCall { account: account(1) }).unwrap().collateral, required);

    take_space(&mut host, account(1), 5 * GIB).unwrap().unwrap();
    let (capacity, minimum) = (5 * GIB - 1, 5 * GIB);
    assert_reverts(set(&mut host, 0, capacity), IMiners::CapacityTooLow { capacity, minimum });
    assert_eq!(set(&mut host, 0, minimum), Ok(()));
    let unknown = host.call(account(2), MINERS, U256::ZERO, &setCapacityCall { capacity });
    assert_reverts(unknown.map(|_| ()), IMiners::UnknownMiner { account: account(2) });
}

#[test]
fn too_little_collateral_ends_placement_until_some_is_added() {
    let mut host = TestHost::new();
    register(&mut host, 1);
    fine(&mut host, account(1), U256::from(1), true).unwrap();
    assert_eq!(host.view(MINERS, &getCall { account: account(1) }).unwrap().weight, 0);
    assert_eq!(candidates(&mut host), Ok(vec![]));
    assert!(room(&mut host, account(1)).unwrap().unwrap_err().starts_with("its collateral is 999999999999999999, "));

    let add = |host: &mut TestHost, value| host.call(account(1), MINERS, U256::from(value), &addCollateralCall {});
    add(&mut host, 1).unwrap();
    let collateral = Amount::tokens(1).0;
    let expected = IMiners::CollateralAdded { account: account(1), amount: U256::from(1), collateral };
    assert_eq!(host.last_event::<IMiners::CollateralAdded>(), expected);
    assert_eq!(candidates(&mut host).unwrap()[0].weight, GIB);
    assert_eq!(room(&mut host, account(1)), Ok(Ok(GIB)));
    let unknown = host.call(account(2), MINERS, U256::ZERO, &addCollateralCall {});
    assert_reverts(unknown, IMiners::UnknownMiner { account: account(2) });
}

#[test]
fn the_total_is_what_active_miners_lend() {
    let mut host = TestHost::new();
    (1..=3).for_each(|tag| register(&mut host, tag));
    host.call(account(2), MINERS, U256::ZERO, &setCapacityCall { capacity: 5 * GIB }).unwrap();
    assert_eq!(total_capacity(&mut host), Ok(U256::from(7 * GIB)));
    host.call(account(2), MINERS, U256::ZERO, &exitCall {}).unwrap();
    force_out(&mut host, account(1)).unwrap();
    assert_eq!(total_capacity(&mut host), Ok(U256::from(GIB)));
    let left: Vec<Address> = candidates(&mut host).unwrap().iter().map(|candidate| candidate.account).collect();
    assert_eq!(left, [account(3)]);
}

#[test]
fn space_is_bounded_by_capacity() {
    let mut host = TestHost::new();
    register(&mut host, 1);
    assert_eq!(take_space(&mut host, account(1), GIB - 3), Ok(Ok(())));
    assert_eq!(take_space(&mut host, account(1), 4), Ok(Err(3)));
    assert_eq!(take_space(&mut host, account(1), 3), Ok(Ok(())));
    assert!(matches!(free_space(&mut host, account(1), GIB + 1), Err(ModuleError::Fatal(_))));
}
