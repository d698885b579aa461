//! Keys of the group.

use super::*;
use crate::{crypto::hash, ledger::modules::tee::suspend, proofs::podr2::SRS_BYTES};

fn epoch(host: &mut TestHost, number: u64) -> ITee::Epoch {
    host.view(TEE, &ITee::epochCall { number }).unwrap()
}

#[test]
fn an_epoch_closes_the_one_before() {
    let mut host = chain();
    register(&mut host, 1, 0);
    register(&mut host, 2, 2);
    let (first, second) = (open_call(1), open_call(2));
    assert_eq!(call(&mut host, account(1), &first), Ok(0));
    assert!(host.gas_used > 5_000_000);
    let expected = ITee::EpochOpened { epoch: 0, opener: account(1), key: first.key.clone(), srs: first.srs.clone() };
    assert_eq!(host.last_event::<ITee::EpochOpened>(), expected);
    let shown = epoch(&mut host, 0);
    assert_eq!((shown.opener, shown.openedAt, shown.state), (account(1), 1, 0));
    assert_eq!((shown.key, shown.srs.0, shown.columns), (first.key.clone(), hash::content(&first.srs), 0));

    assert_eq!(call(&mut host, account(2), &second), Ok(1));
    assert_eq!((epoch(&mut host, 0).state, epoch(&mut host, 1).state), (1, 0));
    let reason = "it is that of an earlier epoch".to_owned();
    assert_reverts(call(&mut host, account(2), &first), ITee::KeyInvalid { reason });
    assert_eq!(host.view(TEE, &ITee::epochsCall {}), Ok(2));
    assert_reverts(host.view(TEE, &ITee::epochCall { number: 2 }), ITee::UnknownEpoch { number: 2 });
}

#[test]
fn only_those_with_keys_open_epochs() {
    let mut host = chain();
    register(&mut host, 1, 1);
    let open = open_call(1);
    assert_reverts(call(&mut host, account(1), &open), ITee::NotTagger { account: account(1) });
    assert_reverts(call(&mut host, account(2), &open), ITee::UnknownWorker { account: account(2) });
    register(&mut host, 2, 0);
    host.height = 1 + 28 * ERA;
    assert_reverts(call(&mut host, account(2), &open), ITee::NotActive { account: account(2), state: 1 });
}

#[test]
fn attack_powers_of_another_key() {
    let mut host = chain();
    register(&mut host, 1, 0);
    let (one, two) = (open_call(1), open_call(2));
    let mut refused = |key: &[u8], srs: &[u8]| {
        let call_data = ITee::openEpochCall { key: key.to_vec().into(), srs: srs.to_vec().into() };
        let result = call(&mut host, account(1), &call_data);
        assert!(
            matches!(&result, Err(ModuleError::Revert(data)) if data[..4] == ITee::KeyInvalid::SELECTOR),
            "{result:?}"
        );
    };
    use alloy_sol_types::SolError;
    refused(&one.key, &two.srs);
    refused(&one.key[..191], &one.srs);
    refused(&one.key, &one.srs[..SRS_BYTES - 48]);
    refused(&[0; 192], &one.srs);
    let mut swapped = one.srs.to_vec();
    swapped[48..144].rotate_left(48);
    refused(&one.key, &swapped);
}

#[test]
fn keys_are_handed_to_taggers_only() {
    let mut host = chain();
    for (tag, kind) in [(1, 0), (2, 2), (3, 1)] {
        register(&mut host, tag, kind);
    }
    call(&mut host, account(1), &open_call(1)).unwrap();
    let to = |tag, epoch, len| ITee::handOverCall { epoch, worker: account(tag), sealed_: vec![5; len].into() };
    call(&mut host, account(1), &to(2, 0, 81)).unwrap();
    let (from, sealed_) = (account(1), vec![5; 81].into());
    let expected = ITee::KeyHandedOver { epoch: 0, from, to: account(2), sealed_ };
    assert_eq!(host.last_event::<ITee::KeyHandedOver>(), expected);
    call(&mut host, account(1), &to(1, 0, 81)).unwrap();
    let refused = call(&mut host, account(1), &to(3, 0, 81));
    assert_reverts(refused, ITee::NotTagger { account: account(3) });
    let refused = call(&mut host, account(3), &to(1, 0, 81));
    assert_reverts(refused, ITee::NotTagger { account: account(3) });
    assert_reverts(call(&mut host, account(1), &to(2, 1, 81)), ITee::UnknownEpoch { number: 1 });
    for len in [0, SEALED_MAX_BYTES + 1] {
        let (given, maximum) = (U256::from(len), U256::from(SEALED_MAX_BYTES));
        assert_reverts(call(&mut host, account(1), &to(2, 0, len)), ITee::SealedLength { given, maximum });
    }
    suspend(&mut host, 0).unwrap();
    assert_reverts(call(&mut host, account(1), &to(2, 0, 81)), ITee::EpochNotOpen { number: 0, state: 2 });
}

#[test]
fn an_epoch_is_suspended_once_and_stays_so() {
    let mut host = chain();
    register(&mut host, 1, 0);
    call(&mut host, account(1), &open_call(1)).unwrap();
    suspend(&mut host, 0).unwrap();
    assert_eq!(host.last_event::<ITee::EpochSuspended>(), ITee::EpochSuspended { epoch: 0 });
    let events = host.logs.len();
    suspend(&mut host, 0).unwrap();
    assert_eq!(host.logs.len(), events);
    call(&mut host, account(1), &open_call(2)).unwrap();
    assert_eq!((epoch(&mut host, 0).state, epoch(&mut host, 1).state), (2, 0));
    assert_reverts(suspend(&mut host, 2), ITee::UnknownEpoch { number: 2 });
}
