//! Joining, renewing, paying, leaving.

use super::*;
use crate::ledger::modules::tee::{fine, verifiers};

fn events_of(host: &TestHost) -> usize {
    host.logs.len()
}

#[test]
fn a_worker_without_a_quote_is_called_so() {
    let mut host = chain();
    register(&mut host, 1, 0);
    let found = worker(&mut host, 1);
    assert!(found.id.starts_with("DEV-") && found.id.len() == 20, "{}", found.id);
    assert_eq!((found.kind, found.attestation, found.state, found.since), (0, 0, 0, 1));
    assert_eq!((found.attestedUntil, found.bond), (1 + 28 * ERA, Amount::tokens(1).0));
    let expected = ITee::WorkerRegistered {
        account: account(1),
        id: found.id.clone(),
        name: "worker 1".into(),
        kind: 0,
        attestedUntil: found.attestedUntil,
    };
    assert_eq!(host.last_event::<ITee::WorkerRegistered>(), expected);
    assert_eq!(host.view(TEE, &ITee::countCall {}), Ok(1));
    assert_eq!(host.view(TEE, &ITee::listCall { skip: 0, limit: 9 }).unwrap(), [found]);
    assert_eq!(host.balance(TEE), Amount::tokens(1).0);
}

#[test]
fn registrations_are_checked() {
    let mut host = chain();
    host.fund(account(1), 5);
    let bond = Amount::tokens(1).0;
    let mut refused = |call: &ITee::registerCall, value| host.call(account(1), TEE, value, call).map(drop);
    let good = registration(1, 1);
    assert_reverts(refused(&ITee::registerCall { kind: 3, ..good.clone() }, bond), ITee::KindInvalid { kind: 3 });
    let (length, maximum) = (U256::from(65), U256::from(64));
    let long = ITee::registerCall { name: "x".repeat(65), ..good.clone() };
    assert_reverts(refused(&long, bond), ITee::NameInvalid { length, maximum });
    let low = bond - U256::ONE;
    assert_reverts(refused(&good, low), ITee::BondTooLow { sent: low, required: bond });
    for attestation in [vec![], vec![2], vec![0, 0], vec![1; 40]] {
        let call = ITee::registerCall { attestation: attestation.into(), ..good.clone() };
        assert!(matches!(refused(&call, bond), Err(ModuleError::Revert(_))));
    }
    refused(&good, bond).unwrap();
    assert_reverts(refused(&good, bond), ITee::AlreadyRegistered { account: account(1) });
}

#[test]
fn attack_a_worker_without_a_quote_on_a_main_network() {
    let params = Params { tee_dev_allowed: Params::mainnet().tee_dev_allowed, ..Params::dev() };
    let mut host = TestHost::with_params(params, &[]);
    host.advance_to(1);
    host.fund(account(1), 1);
    let result = host.call(account(1), TEE, Amount::tokens(1).0, &registration(1, 0));
    let reason = "the chain takes no workers without a quote".to_owned();
    assert_reverts(result, ITee::AttestationRefused { reason });
}

#[test]
fn verifiers_are_those_that_verify_and_are_attested_in_order() {
    let mut host = chain();
    for (tag, kind) in [(1, 0), (2, 2), (3, 1), (4, 0)] {
        register(&mut host, tag, kind);
    }
    assert_eq!(verifiers(&mut host).unwrap(), [account(1), account(3), account(4)]);
    call(&mut host, account(1), &ITee::leaveCall {}).unwrap();
    register(&mut host, 5, 0);
    assert_eq!(verifiers(&mut host).unwrap(), [account(3), account(4), account(5)]);

    host.height = 28 * ERA;
    let renewal = ITee::attestCall { sealKey: B256::repeat_byte(9), attestation: unattested() };
    call(&mut host, account(4), &renewal).unwrap();
    assert_eq!(verifiers(&mut host).unwrap(), [account(3), account(4), account(5)]);
    host.height = 1 + 28 * ERA;
    assert_eq!(verifiers(&mut host).unwrap(), [account(4)], "the attestations of 3 and 5 are over");
    assert_eq!((worker(&mut host, 3).state, worker(&mut host, 4).state), (1, 0));
    assert_eq!(worker(&mut host, 4).sealKey, B256::repeat_byte(9));
    call(&mut host, account(3), &renewal).unwrap();
    assert_eq!(worker(&mut host, 3).state, 0);
}

#[test]
fn a_bond_comes_back_once_and_after_the_lock() {
    let mut host = chain();
    register(&mut host, 1, 0);
    let clean = TestHost::new().storage.get(&TEE).cloned();
    let withdraw = ITee::withdrawCall {};
    let until = Height::MAX;
    assert_reverts(call(&mut host, account(1), &withdraw), ITee::Locked { account: account(1), until });
    call(&mut host, account(1), &ITee::leaveCall {}).unwrap();
    let left = ITee::WorkerLeft { account: account(1), bond: Amount::tokens(1).0 };
    assert_eq!(host.last_event::<ITee::WorkerLeft>(), left);
    let again = call(&mut host, account(1), &ITee::leaveCall {});
    assert_reverts(again, ITee::NotActive { account: account(1), state: 2 });
    let until = 1 + ERA;
    assert_eq!((worker(&mut host, 1).state, worker(&mut host, 1).bondUntil), (2, until));
    host.height = until - 1;
    assert_reverts(call(&mut host, account(1), &withdraw), ITee::Locked { account: account(1), until });
    host.height = until;
    call(&mut host, account(1), &withdraw).unwrap();
    assert_eq!((host.balance(account(1)), host.balance(TEE)), (Amount::tokens(1).0, U256::ZERO));
    assert_reverts(call(&mut host, account(1), &withdraw), ITee::UnknownWorker { account: account(1) });
    assert_eq!(host.storage.get(&TEE).cloned(), clean, "nothing is left behind");
}

#[test]
fn fines_take_what_there_is_and_have_to_be_made_up_for() {
    let mut host = chain();
    register(&mut host, 1, 0);
    let (bond, third) = (Amount::tokens(1).0, Amount::tokens(1).0 / U256::from(3));
    assert_eq!(fine(&mut host, account(1), third, account(9)), Ok(third));
    assert_eq!(host.last_event::<ITee::WorkerFined>(), ITee::WorkerFined { account: account(1), amount: third });
    let renewal = ITee::attestCall { sealKey: B256::ZERO, attestation: unattested() };
    let short = call(&mut host, account(1), &renewal);
    assert_reverts(short, ITee::BondTooLow { sent: bond - third, required: bond });
    host.fund(account(1), 1);
    host.call(account(1), TEE, third, &renewal).unwrap();
    assert_eq!(worker(&mut host, 1).bond, bond);

    assert_eq!(fine(&mut host, account(1), bond + bond, account(9)), Ok(bond));
    let events = events_of(&host);
    assert_eq!(fine(&mut host, account(1), bond, account(9)), Ok(U256::ZERO));
    assert_eq!(fine(&mut host, account(7), bond, account(9)), Ok(U256::ZERO));
    assert_eq!((events_of(&host), host.balance(account(9))), (events, bond + third));
}

#[test]
fn a_full_group_lets_an_expired_worker_go() {
    let mut host = chain();
    for tag in 1..=64 {
        register(&mut host, tag, 0);
    }
    host.fund(account(65), 1);
    let full = host.call(account(65), TEE, Amount::tokens(1).0, &registration(65, 0));
    assert_reverts(full, ITee::GroupFull { maximum: 64 });
    host.height = 10;
    for tag in (1..=64).filter(|tag| *tag != 7) {
        let renewal = ITee::attestCall { sealKey: B256::ZERO, attestation: unattested() };
        call(&mut host, account(tag), &renewal).unwrap();
    }
    host.height = 1 + 28 * ERA;
    host.call(account(65), TEE, Amount::tokens(1).0, &registration(65, 0)).unwrap();
    let found = verifiers(&mut host).unwrap();
    assert_eq!((found.len(), found.contains(&account(7)), found.last()), (64, false, Some(&account(65))));
    assert_eq!((worker(&mut host, 7).state, worker(&mut host, 7).bond), (2, Amount::tokens(1).0));
    call(&mut host, account(64), &ITee::leaveCall {}).unwrap();
    assert_eq!(verifiers(&mut host).unwrap().len(), 63);
}
