//! Keys of the group.

use super::*;
use crate::{crypto::hash, ledger::modules::tee::suspend, proofs::podr2::SRS_BYTES};

/// Blocks after which an epoch is old, and blocks without use after which its key counts as lost.
const OLD: u64 = 20 * ERA;
const LOST: u64 = 4 * 20;

fn epoch(host: &mut TestHost, number: u64) -> ITee::Epoch {
    host.view(TEE, &ITee::epochCall { number }).unwrap()
}

/// Number of the next epoch, and when the open one is old or lost.
fn next(host: &mut TestHost) -> (u64, u64, u64) {
    let next = host.view(TEE, &ITee::nextEpochCall {}).unwrap();
    (next.number, next.due, next.lost)
}

fn holders(host: &mut TestHost, number: u64) -> Vec<Address> {
    host.view(TEE, &ITee::holdersCall { number }).unwrap()
}

/// Hands the key of epoch 0 to a worker, sealed to its present seal key.
fn hand(host: &mut TestHost, from: u8, to: u8) -> Result<(), ModuleError> {
    let seal_key = worker(host, to).sealKey;
    let handover = ITee::handOverCall { epoch: 0, worker: account(to), sealKey: seal_key, sealed_: vec![5; 81].into() };
    call(host, account(from), &handover).map(drop)
}

/// A worker starts anew with another seal key.
fn reseal(host: &mut TestHost, tag: u8, seal_key: u8) {
    let renewal = ITee::attestCall { sealKey: B256::repeat_byte(seal_key), attestation: unattested() };
    call(host, account(tag), &renewal).unwrap();
}

#[test]
fn an_old_epoch_makes_way_for_the_next() {
    let mut host = chain();
    register(&mut host, 1, 0);
    register(&mut host, 2, 2);
    assert_eq!(next(&mut host), (0, 0, 0));
    let (first, second) = (open_call(1), open_call(2));
    assert_eq!(call(&mut host, account(1), &first), Ok(0));
    assert!(host.gas_used > 7_500_000);
    let expected = ITee::EpochOpened { epoch: 0, opener: account(1), key: first.key.clone(), srs: first.srs.clone() };
    assert_eq!(host.last_event::<ITee::EpochOpened>(), expected);
    let shown = epoch(&mut host, 0);
    assert_eq!((shown.opener, shown.openedAt, shown.state, shown.usedAt), (account(1), 1, 0, 1));
    assert_eq!((shown.key, shown.srs.0, shown.columns), (first.key.clone(), hash::content(&first.srs), 0));
    assert_eq!(next(&mut host), (1, 1 + OLD, 1 + LOST));

    // It is of use until shortly before its end.
    host.height = OLD;
    hand(&mut host, 1, 2).unwrap();
    let refused = call(&mut host, account(2), &second);
    assert_reverts(refused, ITee::EpochStillOpen { number: 0, from: 1 + OLD });
    assert!(host.gas_used < 50_000, "keys that come too early are not looked at");
    host.height = 1 + OLD;
    assert_eq!(call(&mut host, account(2), &second), Ok(1));
    assert_eq!((epoch(&mut host, 0).state, epoch(&mut host, 1).state), (1, 0));
    host.height = 1 + 2 * OLD;
    register(&mut host, 3, 0);
    let reason = "it is that of an earlier epoch".to_owned();
    assert_reverts(call(&mut host, account(3), &first), ITee::KeyInvalid { reason });
    assert_eq!(host.view(TEE, &ITee::epochsCall {}), Ok(2));
    assert_reverts(host.view(TEE, &ITee::epochCall { number: 2 }), ITee::UnknownEpoch { number: 2 });
    assert_reverts(host.view(TEE, &ITee::holdersCall { number: 2 }), ITee::UnknownEpoch { number: 2 });
}

#[test]
fn attack_an_epoch_is_not_closed_while_its_key_is_in_use() {
    let mut host = chain();
    for (tag, kind) in [(1, 0), (2, 0), (3, 2)] {
        register(&mut host, tag, kind);
    }
    call(&mut host, account(1), &open_call(1)).unwrap();
    let refused = |host: &mut TestHost, from| {
        assert_reverts(call(host, account(3), &open_call(3)), ITee::EpochStillOpen { number: 0, from });
    };
    refused(&mut host, 1 + LOST);
    // A key that goes to somebody is of use; one that goes to the same again is not.
    host.height = 50;
    hand(&mut host, 1, 2).unwrap();
    refused(&mut host, 50 + LOST);
    host.height = 50 + LOST - 1;
    hand(&mut host, 1, 2).unwrap();
    hand(&mut host, 2, 2).unwrap();
    refused(&mut host, 50 + LOST);
    host.height = 50 + LOST;
    assert_eq!(call(&mut host, account(3), &open_call(3)), Ok(1));
}

#[test]
fn an_epoch_whose_key_nobody_has_is_replaced_at_once() {
    let mut host = chain();
    for (tag, kind) in [(1, 0), (2, 0), (3, 2)] {
        register(&mut host, tag, kind);
    }
    call(&mut host, account(1), &open_call(1)).unwrap();
    host.height = 5;
    hand(&mut host, 1, 2).unwrap();
    assert_eq!(holders(&mut host, 0), [account(1), account(2)]);
    call(&mut host, account(1), &ITee::leaveCall {}).unwrap();
    assert_eq!(holders(&mut host, 0), [account(2)]);
    assert_reverts(call(&mut host, account(3), &open_call(3)), ITee::EpochStillOpen { number: 0, from: 5 + LOST });
    // The last one that had it starts anew, with a seal key nothing was sealed to.
    reseal(&mut host, 2, 0x77);
    assert!(holders(&mut host, 0).is_empty());
    assert_eq!(next(&mut host), (1, 1 + OLD, 0));
    assert_eq!(call(&mut host, account(3), &open_call(3)), Ok(1));
    assert_eq!(holders(&mut host, 1), [account(3)]);
}

#[test]
fn holders_whose_attestation_ended_have_no_say() {
    let mut host = chain();
    register(&mut host, 1, 0);
    // A longer life of epochs than of attestations shows the rule alone.
    host.params.tee_epoch_eras = 100;
    call(&mut host, account(1), &open_call(1)).unwrap();
    host.height = 28 * ERA;
    register(&mut host, 2, 0);
    hand(&mut host, 1, 1).unwrap();
    assert_eq!(holders(&mut host, 0), [account(1)]);
    host.height += 1;
    assert_eq!((holders(&mut host, 0), next(&mut host)), (vec![], (1, 1 + 100 * ERA, 0)));
    assert_eq!(call(&mut host, account(2), &open_call(2)), Ok(1));
}

#[test]
fn a_worker_with_a_new_seal_key_is_handed_the_key_again() {
    let mut host = chain();
    for tag in [1, 2] {
        register(&mut host, tag, 0);
    }
    call(&mut host, account(1), &open_call(1)).unwrap();
    hand(&mut host, 1, 2).unwrap();
    let before = worker(&mut host, 2).sealKey;
    reseal(&mut host, 2, 0x77);
    let present = B256::repeat_byte(0x77);
    assert_eq!(holders(&mut host, 0), [account(1)]);
    assert_reverts(hand(&mut host, 2, 1), ITee::NotKeyHolder { account: account(2), number: 0 });
    // What was under way to the old key comes too late.
    let late = ITee::handOverCall { epoch: 0, worker: account(2), sealKey: before, sealed_: vec![5; 81].into() };
    let expected = ITee::SealKeyChanged { worker: account(2), given: before, present };
    assert_reverts(call(&mut host, account(1), &late), expected);
    hand(&mut host, 1, 2).unwrap();
    assert_eq!(host.last_event::<ITee::KeyHandedOver>().sealKey, present);
    assert_eq!(holders(&mut host, 0), [account(1), account(2)]);
    // Renewing with the same key changes nothing.
    reseal(&mut host, 2, 0x77);
    assert_eq!(holders(&mut host, 0), [account(1), account(2)]);
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
    let to = |tag: u8, epoch, len| {
        let seal_key = B256::repeat_byte(tag ^ 0xff);
        ITee::handOverCall { epoch, worker: account(tag), sealKey: seal_key, sealed_: vec![5; len].into() }
    };
    let refused = call(&mut host, account(2), &to(1, 0, 81));
    assert_reverts(refused, ITee::NotKeyHolder { account: account(2), number: 0 });
    call(&mut host, account(1), &to(2, 0, 81)).unwrap();
    let (from, sealed_, seal_key) = (account(1), vec![5; 81].into(), B256::repeat_byte(2 ^ 0xff));
    let expected = ITee::KeyHandedOver { epoch: 0, from, to: account(2), sealKey: seal_key, sealed_ };
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
    assert_eq!(next(&mut host), (1, 0, 0), "another may be opened at once");
    call(&mut host, account(1), &open_call(2)).unwrap();
    assert_eq!((epoch(&mut host, 0).state, epoch(&mut host, 1).state), (2, 0));
    assert_reverts(suspend(&mut host, 2), ITee::UnknownEpoch { number: 2 });
}
