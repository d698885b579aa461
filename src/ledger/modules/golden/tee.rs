//! Golden samples of the TEE module.

use super::{SampleCall, account, answer, blob, error, event, word};
use crate::{
    ledger::abi::{ITee, TEE},
    types::U256,
};

pub(super) fn calls() -> Vec<SampleCall> {
    let register = ITee::registerCall {
        kind: 1,
        networkKey: word(0x02),
        sealKey: word(0x03),
        name: "worker".into(),
        attestation: blob(0x00, 1),
    };
    let certify = ITee::certifyCall {
        epoch: 1,
        files: vec![word(0x02), word(0x03)],
        columns: vec![1, 3],
        receipts: vec![blob(0x04, 64), blob(0x05, 128)],
    };
    let report =
        ITee::reportDataCall { account: account(0x01), networkKey: word(0x02), sealKey: word(0x03), height: 4 };
    vec![
        SampleCall::of(TEE, &register),
        SampleCall::of(TEE, &ITee::attestCall { sealKey: word(0x01), attestation: blob(0x00, 1) }),
        SampleCall::of(TEE, &ITee::leaveCall {}),
        SampleCall::of(TEE, &ITee::withdrawCall {}),
        SampleCall::of(TEE, &ITee::publishCollateralCall { collateral: blob(0x01, 33) }),
        SampleCall::of(TEE, &ITee::allowCall { measurement: word(0x01), svn: 2 }),
        SampleCall::of(TEE, &ITee::revokeCall { measurement: word(0x01) }),
        SampleCall::of(TEE, &ITee::openEpochCall { key: blob(0x01, 192), srs: blob(0x02, 48) }),
        SampleCall::of(
            TEE,
            &ITee::handOverCall { epoch: 1, worker: account(0x02), sealKey: word(0x03), sealed_: blob(0x04, 81) },
        ),
        SampleCall::of(TEE, &certify),
        SampleCall::of(TEE, &ITee::countCall {}),
        SampleCall::of(TEE, &ITee::listCall { skip: 1, limit: 2 }),
        SampleCall::of(TEE, &ITee::getCall { account: account(0x01) }),
        SampleCall::of(TEE, &ITee::epochsCall {}),
        SampleCall::of(TEE, &ITee::epochCall { number: 1 }),
        SampleCall::of(TEE, &ITee::holdersCall { number: 1 }),
        SampleCall::of(TEE, &ITee::nextEpochCall {}),
        SampleCall::of(TEE, &ITee::tagsOfCall { file: word(0x01) }),
        SampleCall::of(TEE, &ITee::collateralCall { digest: word(0x01) }),
        SampleCall::of(TEE, &ITee::measurementCall { digest: word(0x01) }),
        SampleCall::of(TEE, &report),
    ]
}

pub(super) fn answers() -> Vec<String> {
    let worker = ITee::Worker {
        account: account(0x01),
        id: "DEV-0011223344556677".into(),
        name: "worker".into(),
        kind: 1,
        attestation: 2,
        measurement: word(0x03),
        networkKey: word(0x04),
        sealKey: word(0x05),
        since: 6,
        attestedUntil: 7,
        bond: U256::from(8),
        state: 1,
        bondUntil: 9,
    };
    let epoch = ITee::Epoch {
        number: 1,
        opener: account(0x02),
        openedAt: 3,
        state: 1,
        key: blob(0x04, 192),
        srs: word(0x05),
        columns: 6,
        usedAt: 7,
    };
    vec![
        answer::<ITee::publishCollateralCall>(&word(0x01)),
        answer::<ITee::openEpochCall>(&1),
        answer::<ITee::countCall>(&1),
        answer::<ITee::listCall>(&vec![worker.clone()]),
        answer::<ITee::getCall>(&worker),
        answer::<ITee::epochsCall>(&1),
        answer::<ITee::epochCall>(&epoch),
        answer::<ITee::holdersCall>(&vec![account(0x01), account(0x02)]),
        answer::<ITee::nextEpochCall>(&ITee::nextEpochReturn { number: 2, due: 3, lost: 4 }),
        answer::<ITee::tagsOfCall>(&[1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3]),
        answer::<ITee::collateralCall>(&blob(0x01, 33)),
        answer::<ITee::measurementCall>(&ITee::measurementReturn { state: 1, svn: 2 }),
        answer::<ITee::reportDataCall>(&word(0x01)),
    ]
}

pub(super) fn events() -> Vec<String> {
    let (from, bond, measurement) = (account(0x01), U256::from(2), word(0x03));
    let registered = ITee::WorkerRegistered {
        account: from,
        id: "DEV-0011223344556677".into(),
        name: "worker".into(),
        kind: 1,
        attestedUntil: 2,
    };
    vec![
        event(&registered),
        event(&ITee::WorkerAttested { account: from, attestedUntil: 2 }),
        event(&ITee::WorkerLeft { account: from, bond }),
        event(&ITee::BondReturned { account: from, bond }),
        event(&ITee::WorkerFined { account: from, amount: bond }),
        event(&ITee::MeasurementAllowed { measurement, svn: 4 }),
        event(&ITee::MeasurementRevoked { measurement }),
        event(&ITee::CollateralPublished { digest: word(0x01), bytes_: 2 }),
        event(&ITee::EpochOpened { epoch: 1, opener: from, key: blob(0x02, 192), srs: blob(0x03, 48) }),
        event(&ITee::EpochClosed { epoch: 1 }),
        event(&ITee::EpochSuspended { epoch: 1 }),
        event(&ITee::KeyHandedOver { epoch: 1, from, to: account(0x02), sealKey: word(0x03), sealed_: blob(0x04, 81) }),
        event(&ITee::FileTagged { file: word(0x01), epoch: 2, worker: from, columns: 3 }),
    ]
}

pub(super) fn errors() -> Vec<(String, [u8; 4])> {
    let (account, digest, one, two) = (account(0x02), word(0x01), U256::from(1), U256::from(2));
    let reason = || "it is that of an earlier epoch".to_owned();
    vec![
        error(&ITee::UnknownWorker { account }),
        error(&ITee::AlreadyRegistered { account }),
        error(&ITee::GroupFull { maximum: 64 }),
        error(&ITee::KindInvalid { kind: 3 }),
        error(&ITee::NameInvalid { length: one, maximum: two }),
        error(&ITee::BondTooLow { sent: one, required: two }),
        error(&ITee::AttestationRefused { reason: "the quote is too long".into() }),
        error(&ITee::NotActive { account, state: 1 }),
        error(&ITee::NotTagger { account }),
        error(&ITee::NotSeated { account }),
        error(&ITee::AlreadyVoted { account, measurement: digest }),
        error(&ITee::CollateralInvalid { reason: reason() }),
        error(&ITee::UnknownCollateral { digest }),
        error(&ITee::UnknownEpoch { number: 1 }),
        error(&ITee::EpochNotOpen { number: 1, state: 2 }),
        error(&ITee::EpochStillOpen { number: 1, from: 2 }),
        error(&ITee::NotKeyHolder { account, number: 1 }),
        error(&ITee::SealKeyChanged { worker: account, given: digest, present: word(0x02) }),
        error(&ITee::KeyInvalid { reason: reason() }),
        error(&ITee::SealedLength { given: two, maximum: one }),
        error(&ITee::CountMismatch { left: one, right: two }),
        error(&ITee::TooMany { given: two, maximum: one }),
        error(&ITee::ColumnsInvalid { file: digest, columns: 0 }),
        error(&ITee::ReceiptInvalid { file: digest, column: 1, holder: account }),
        error(&ITee::Locked { account, until: 3 }),
    ]
}
