//! Samples of names and of what operators do.

use super::{SampleCall, account, answer, blob, error, event, word};
use crate::{
    ledger::abi::{FILES, IFiles, INames, NAMES},
    types::U256,
};

pub(super) fn calls() -> Vec<SampleCall> {
    let (owner, label, name) = (account(0x01), || blob(0x02, 35), || blob(0x03, 5));
    let store = IFiles::storeForCall {
        owner,
        territory: 7,
        manifest: blob(0x01, 33),
        beaconHeight: 2,
        holders: vec![account(0x03), account(0x04)],
        receipts: vec![blob(0x05, 64), blob(0x06, 64)],
    };
    let set = INames::setCall { owner, label: label(), name: name(), expectedVersion: 4, value: blob(0x05, 33) };
    vec![
        SampleCall::of(FILES, &store),
        SampleCall::of(FILES, &IFiles::removeForCall { owner, id: word(0x02) }),
        SampleCall::of(NAMES, &set),
        SampleCall::of(NAMES, &INames::removeCall { owner, label: label(), name: name(), expectedVersion: 4 }),
        SampleCall::of(NAMES, &INames::approveCall { operator: owner, approved: true }),
        SampleCall::of(NAMES, &INames::getCall { namespace: word(0x01), name: name() }),
        SampleCall::of(NAMES, &INames::ownerOfCall { namespace: word(0x01), name: name() }),
        SampleCall::of(NAMES, &INames::countCall { namespace: word(0x01) }),
        SampleCall::of(NAMES, &INames::listCall { namespace: word(0x01), skip: 2, limit: 3 }),
        SampleCall::of(NAMES, &INames::isOperatorCall { owner, operator: account(0x02) }),
    ]
}

pub(super) fn answers() -> Vec<String> {
    let name = INames::Name { name: blob(0x01, 5), owner: account(0x02), version: 3, value: blob(0x04, 33) };
    vec![
        answer::<IFiles::storeForCall>(&word(0x01)),
        answer::<INames::setCall>(&1),
        answer::<INames::getCall>(&name),
        answer::<INames::ownerOfCall>(&account(0x01)),
        answer::<INames::countCall>(&INames::countReturn { names: 1, changes: 2 }),
        answer::<INames::listCall>(&vec![name.clone()]),
        answer::<INames::isOperatorCall>(&true),
    ]
}

pub(super) fn events() -> Vec<String> {
    let (namespace, key, owner, name) = (word(0x01), word(0x02), account(0x03), || blob(0x04, 5));
    vec![
        event(&INames::NameSet { namespace, key, owner, name: name(), version: 5, value: blob(0x06, 33) }),
        event(&INames::NameRemoved { namespace, key, owner, name: name(), version: 5 }),
        event(&INames::OperatorApproved { owner, operator: account(0x04), approved: true }),
    ]
}

pub(super) fn errors() -> Vec<(String, [u8; 4])> {
    let (namespace, owner, name, one, two) =
        (word(0x01), account(0x02), || blob(0x03, 5), U256::from(1), U256::from(2));
    vec![
        error(&INames::VersionMismatch { namespace, name: name(), expected: 4, present: 5 }),
        error(&INames::NotNameOwner { namespace, name: name(), owner }),
        error(&INames::NotOperator { owner, caller: account(0x03) }),
        error(&INames::NameLength { length: two, maximum: one }),
        error(&INames::LabelLength { length: two, maximum: one }),
        error(&INames::ValueLength { length: two, maximum: one }),
        error(&INames::NamespaceFull { namespace, maximum: 1 }),
    ]
}
