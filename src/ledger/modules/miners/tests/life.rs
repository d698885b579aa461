//! Leaving, being forced out, fines, and what happens to collateral and pots.

use super::*;
use crate::ledger::abi::{IStaking, STAKING};

fn leaving_accounts(host: &mut TestHost) -> Vec<Address> {
    host.view(MINERS, &leavingCall { skip: 0, limit: u64::MAX }).unwrap()
}

fn burnt(host: &mut TestHost) -> U256 {
    host.view(STAKING, &IStaking::supplyCall {}).unwrap().burnt
}

#[test]
fn a_miner_that_leaves_is_paid_when_nothing_is_held_and_the_lock_is_over() {
    let mut host = TestHost::new();
    let before = host.storage.get(&MINERS).cloned().unwrap_or_default();
    host.advance_to(5);
    register(&mut host, 1);
    take_space(&mut host, account(1), 10).unwrap().unwrap();
    hold(&mut host, account(1), FileId([9; 32])).unwrap();
    assert_reverts(call(&mut host, 1, &withdrawCall {}), IMiners::NotLeaving { account: account(1) });

    call(&mut host, 1, &exitCall {}).unwrap();
    let until = 5 + LOCK;
    let expected = IMiners::MinerLeaving { account: account(1), held: 1, withdrawableFrom: until };
    assert_eq!(host.last_event::<IMiners::MinerLeaving>(), expected);
    let miner = get(&mut host, 1);
    assert_eq!((miner.state, miner.held, miner.leftAt, miner.weight), (1, 1, 5, 0));
    let refused = IMiners::NotActive { account: account(1), state: 1 };
    assert_reverts(call(&mut host, 1, &exitCall {}), refused.clone());
    assert_reverts(call(&mut host, 1, &setCapacityCall { capacity: 2 * GIB }), refused.clone());
    assert_reverts(call(&mut host, 1, &commitIdleCall { commitments: vec![] }), refused);
    assert_eq!(room(&mut host, account(1)), Ok(Err("it leaves".into())));

    host.advance_to(until);
    assert_reverts(call(&mut host, 1, &withdrawCall {}), IMiners::StillHolding { account: account(1), used: 10 });
    free_space(&mut host, account(1), 10).unwrap();
    drop_holding(&mut host, account(1), 0).unwrap();
    call(&mut host, 1, &withdrawCall {}).unwrap();
    let collateral = Amount::tokens(1).0;
    assert_eq!(host.last_event::<IMiners::MinerExited>(), IMiners::MinerExited { account: account(1), collateral });
    assert_eq!((host.balance(account(1)), host.balance(MINERS)), (Amount::tokens(10).0, U256::ZERO));
    assert_eq!(host.storage.get(&MINERS).cloned().unwrap_or_default(), before);
    assert_reverts(call(&mut host, 1, &withdrawCall {}), IMiners::UnknownMiner { account: account(1) });
    register(&mut host, 1);
}

#[test]
fn the_lock_counts_from_the_first_day_of_leaving() {
    let mut host = TestHost::new();
    register(&mut host, 1);
    host.advance_to(7);
    call(&mut host, 1, &exitCall {}).unwrap();
    host.advance_to(20);
    force_out(&mut host, account(1)).unwrap();
    assert_eq!(host.last_event::<IMiners::MinerLost>(), IMiners::MinerLost { account: account(1), held: 0 });
    assert_eq!(get(&mut host, 1).state, 2);
    let logs = host.logs.len();
    force_out(&mut host, account(1)).unwrap();
    assert_eq!(host.logs.len(), logs, "who is lost cannot be lost again");
    host.advance_to(7 + LOCK - 1);
    assert_reverts(call(&mut host, 1, &withdrawCall {}), IMiners::Locked { account: account(1), until: 7 + LOCK });
    host.advance_to(7 + LOCK);
    call(&mut host, 1, &withdrawCall {}).unwrap();
}

#[test]
fn who_leaves_and_holds_something_is_listed() {
    let mut host = TestHost::new();
    for tag in 1..=4 {
        register(&mut host, tag);
        hold(&mut host, account(tag), FileId([tag; 32])).unwrap();
    }
    register(&mut host, 5);
    call(&mut host, 1, &exitCall {}).unwrap();
    force_out(&mut host, account(2)).unwrap();
    call(&mut host, 3, &exitCall {}).unwrap();
    call(&mut host, 5, &exitCall {}).unwrap();
    assert_eq!(leaving_accounts(&mut host), [1, 2, 3].map(account));
    assert_eq!(host.view(MINERS, &leavingCall { skip: 1, limit: 1 }).unwrap(), [account(2)]);
    drop_holding(&mut host, account(1), 0).unwrap();
    assert_eq!(leaving_accounts(&mut host), [3, 2].map(account));
    drop_holding(&mut host, account(4), 0).unwrap();
    drop_holding(&mut host, account(3), 0).unwrap();
    assert_eq!(leaving_accounts(&mut host), [account(2)]);
    drop_holding(&mut host, account(2), 0).unwrap();
    assert_eq!(leaving_accounts(&mut host), [] as [Address; 0]);
}

#[test]
fn holdings_survive_removal_in_any_order() {
    let mut host = TestHost::new();
    register(&mut host, 1);
    let file = |tag: u8| FileId([tag; 32]);
    let places: Vec<u64> = (0..4).map(|tag| hold(&mut host, account(1), file(tag)).unwrap()).collect();
    assert_eq!(places, [0, 1, 2, 3]);
    assert_eq!(drop_holding(&mut host, account(1), 1), Ok(Some(file(3))));
    assert_eq!(drop_holding(&mut host, account(1), 2), Ok(None));
    let listed = host.view(MINERS, &holdingsCall { account: account(1), skip: 0, limit: 9 }).unwrap();
    assert_eq!(listed, [B256::repeat_byte(0), B256::repeat_byte(3)]);
    assert_eq!(get(&mut host, 1).held, 2);
    assert!(matches!(drop_holding(&mut host, account(1), 2), Err(ModuleError::Fatal(_))));
}

#[test]
fn the_last_miner_takes_the_place_of_one_that_is_gone() {
    let mut host = TestHost::new();
    (1..=5).for_each(|tag| register(&mut host, tag));
    for tag in [2, 3, 5] {
        call(&mut host, tag, &exitCall {}).unwrap();
    }
    set_strikes(&mut host, account(5), 3).unwrap();
    host.advance_to(LOCK);
    let listed = |host: &mut TestHost, skip, limit| -> Vec<Address> {
        host.view(MINERS, &listCall { skip, limit }).unwrap().into_iter().map(|miner| miner.account).collect()
    };
    call(&mut host, 2, &withdrawCall {}).unwrap();
    assert_eq!(listed(&mut host, 0, u64::MAX), [1, 5, 3, 4].map(account));
    assert_eq!(listed(&mut host, 1, 2), [5, 3].map(account));
    assert_eq!(listed(&mut host, 4, 9), [] as [Address; 0]);
    assert_eq!(listed(&mut host, u64::MAX, u64::MAX), [] as [Address; 0]);
    let moved = get(&mut host, 5);
    assert_eq!((moved.account, moved.state, moved.strikes), (account(5), 1, 3));
    call(&mut host, 5, &withdrawCall {}).unwrap();
    call(&mut host, 3, &withdrawCall {}).unwrap();
    assert_eq!(listed(&mut host, 0, 9), [1, 4].map(account));
    assert_eq!(accounts(&mut host, 1, 9), Ok(vec![account(4)]));
    assert_eq!(state_of(&mut host, account(3)), Ok(None));
}

#[test]
fn half_of_a_fine_is_burnt_and_half_waits_for_those_who_repair() {
    let mut host = TestHost::new();
    (1..=2).for_each(|tag| register(&mut host, tag));
    let (one, supply) = (Amount::tokens(1).0, host.supply());
    assert_eq!(fine(&mut host, account(1), U256::from(1_001), true), Ok(U256::from(1_001)));
    let (amount, burned, bounty) = (U256::from(1_001), U256::from(500), U256::from(501));
    let expected = IMiners::MinerFined { account: account(1), amount, burnt: burned, bounty };
    assert_eq!(host.last_event::<IMiners::MinerFined>(), expected);
    assert_eq!((pot(&mut host, 1), burnt(&mut host)), (bounty, burned));
    assert_eq!(get(&mut host, 1).collateral, one - amount);

    assert_eq!(fine(&mut host, account(1), U256::from(9), false), Ok(U256::from(9)));
    assert_eq!((pot(&mut host, 1), burnt(&mut host)), (U256::from(510), burned));
    assert_eq!(fine(&mut host, account(1), U256::MAX, true), Ok(one - U256::from(1_010)));
    assert_eq!(get(&mut host, 1).collateral, U256::ZERO);
    assert_eq!(fine(&mut host, account(1), one, true), Ok(U256::ZERO));
    assert_eq!(host.supply() + burnt(&mut host), supply);
    assert_eq!(host.balance(MINERS), owed(&mut host, 2));
}

#[test]
fn bounties_are_shares_by_bytes_and_the_last_one_empties_the_pot() {
    let mut host = TestHost::new();
    (1..=2).for_each(|tag| register(&mut host, tag));
    let sizes = [700u64, 200, 100];
    sizes.iter().for_each(|bytes| take_space(&mut host, account(1), *bytes).unwrap().unwrap());
    fine(&mut host, account(1), U256::from(99), false).unwrap();
    let before = host.balance(account(2));
    let paid: Vec<u64> = sizes
        .iter()
        .map(|bytes| {
            let share = pay_bounty(&mut host, account(1), account(2), *bytes).unwrap();
            free_space(&mut host, account(1), *bytes).unwrap();
            assert_eq!(host.balance(MINERS), owed(&mut host, 2));
            share.to()
        })
        .collect();
    assert_eq!(paid, [69, 20, 10]);
    assert_eq!((pot(&mut host, 1), host.balance(account(2)) - before), (U256::ZERO, U256::from(99)));
    assert_eq!(pay_bounty(&mut host, account(1), account(2), 1), Ok(U256::ZERO));
}

#[test]
fn a_pot_that_nobody_earned_is_burnt() {
    let mut host = TestHost::new();
    register(&mut host, 1);
    fine(&mut host, account(1), U256::from(100), true).unwrap();
    force_out(&mut host, account(1)).unwrap();
    host.advance_to(LOCK);
    call(&mut host, 1, &withdrawCall {}).unwrap();
    assert_eq!((host.balance(MINERS), burnt(&mut host)), (U256::ZERO, U256::from(100)));
    assert_eq!(host.balance(account(1)), Amount::tokens(10).0 - U256::from(100));
}
