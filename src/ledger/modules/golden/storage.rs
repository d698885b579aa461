//! Samples of miners, files and repair.

use super::{SampleCall, account, answer, blob, error, event, word};
use crate::{
    ledger::abi::{FILES, IFiles, IMiners, IRepair, MINERS, REPAIR},
    types::U256,
};

pub(super) fn calls() -> Vec<SampleCall> {
    let register = IMiners::registerCall {
        operator: account(0x01),
        networkKey: word(0x02),
        accountKey: word(0x03),
        prefix: 0x04,
        capacity: 0x05,
        name: "miner".into(),
    };
    let store = IFiles::storeCall {
        manifest: blob(0x01, 33),
        beaconHeight: 2,
        holders: vec![account(0x03), account(0x04)],
        receipts: vec![blob(0x05, 64), blob(0x06, 64)],
    };
    let store_in = IFiles::storeInCall {
        territory: 7,
        manifest: store.manifest.clone(),
        beaconHeight: 2,
        holders: store.holders.clone(),
        receipts: store.receipts.clone(),
    };
    vec![
        SampleCall::of(MINERS, &register),
        SampleCall::of(MINERS, &IMiners::setCapacityCall { capacity: 1 << 40 }),
        SampleCall::of(MINERS, &IMiners::exitCall {}),
        SampleCall::of(MINERS, &IMiners::withdrawCall {}),
        SampleCall::of(MINERS, &IMiners::addCollateralCall {}),
        SampleCall::of(MINERS, &IMiners::commitIdleCall { commitments: vec![blob(0x01, 33), blob(0x02, 1)] }),
        SampleCall::of(MINERS, &IMiners::idleSeedCall { account: account(0x01) }),
        SampleCall::of(MINERS, &IMiners::standingCall { account: account(0x01), round: 2 }),
        SampleCall::of(MINERS, &IMiners::segmentsCall { account: account(0x01), skip: 2, limit: 3 }),
        SampleCall::of(MINERS, &IMiners::idleCountsCall { account: account(0x01) }),
        SampleCall::of(MINERS, &IMiners::idleBatchCall { account: account(0x01), batch: 2 }),
        SampleCall::of(MINERS, &IMiners::holdingsCall { account: account(0x01), skip: 2, limit: 3 }),
        SampleCall::of(MINERS, &IMiners::leavingCall { skip: 1, limit: 2 }),
        SampleCall::of(MINERS, &IMiners::requiredCollateralCall { capacity: 1 << 40 }),
        SampleCall::of(MINERS, &IMiners::countCall {}),
        SampleCall::of(MINERS, &IMiners::listCall { skip: 1, limit: 2 }),
        SampleCall::of(MINERS, &IMiners::getCall { account: account(0x01) }),
        SampleCall::of(FILES, &store),
        SampleCall::of(FILES, &store_in),
        SampleCall::of(FILES, &IFiles::reassignCall { id: word(0x01), territory: 2 }),
        SampleCall::of(FILES, &IFiles::purgeCall { steps: 3 }),
        SampleCall::of(FILES, &IFiles::removeCall { id: word(0x01) }),
        SampleCall::of(FILES, &IFiles::getCall { id: word(0x01) }),
        SampleCall::of(FILES, &IFiles::countOfCall { owner: account(0x01) }),
        SampleCall::of(FILES, &IFiles::listOfCall { owner: account(0x01), skip: 2, limit: 3 }),
        SampleCall::of(FILES, &IFiles::chargeOfCall { id: word(0x01), owner: account(0x02) }),
        SampleCall::of(FILES, &IFiles::listInCall { territory: 1, skip: 2, limit: 3 }),
        SampleCall::of(FILES, &IFiles::totalsCall {}),
        SampleCall::of(REPAIR, &IRepair::surrenderCall { file: word(0x01) }),
        SampleCall::of(REPAIR, &IRepair::claimCall { file: word(0x01), column: 2 }),
        SampleCall::of(REPAIR, &IRepair::completeCall { manifest: blob(0x01, 33), column: 2, spots: blob(0x03, 33) }),
        SampleCall::of(REPAIR, &IRepair::orderCall { file: word(0x01), column: 2 }),
        SampleCall::of(REPAIR, &IRepair::ordersCall { skip: 1, limit: 2 }),
        SampleCall::of(REPAIR, &IRepair::claimBlocksCall {}),
        SampleCall::of(REPAIR, &IRepair::settleCall { file: word(0x01), column: 2 }),
        SampleCall::of(REPAIR, &IRepair::claimDepositCall { file: word(0x01), column: 2 }),
    ]
}

pub(super) fn answers() -> Vec<String> {
    let miner = IMiners::Miner {
        account: account(0x01),
        operator: account(0x02),
        networkKey: word(0x03),
        accountKey: word(0x04),
        prefix: 5,
        capacity: 6,
        used: 7,
        since: 8,
        collateral: U256::from(9),
        name: "miner".into(),
        state: 1,
        held: 10,
        leftAt: 11,
        strikes: 12,
        segments: 13,
        consumed: 14,
        idle: 15,
        weight: 16,
    };
    let file = IFiles::File {
        id: word(0x01),
        owners: vec![account(0x02)],
        size: 3,
        segments: 4,
        holders: vec![account(0x05), account(0x06)],
        storedAt: 7,
    };
    let order = IRepair::Order {
        file: word(0x01),
        column: 2,
        holder: account(0x03),
        claimer: account(0x04),
        claimedAt: 5,
        until: 6,
        bytes_: 7,
        bounty: U256::from(8),
    };
    vec![
        answer::<IMiners::countCall>(&1),
        answer::<IMiners::listCall>(&vec![miner.clone()]),
        answer::<IMiners::getCall>(&miner),
        answer::<IMiners::commitIdleCall>(&1),
        answer::<IMiners::idleSeedCall>(&word(0x01)),
        answer::<IMiners::standingCall>(&IMiners::Standing { used: 1, segments: 2, consumed: 3, idle: 4 }),
        answer::<IMiners::segmentsCall>(&vec![IMiners::Segment { number: 1, root: word(0x02) }]),
        answer::<IMiners::idleCountsCall>(&IMiners::idleCountsReturn { batches: 1, next: 2 }),
        answer::<IMiners::idleBatchCall>(&IMiners::Batch { number: 1, first: 2, count: 3, height: 4, state: 1 }),
        answer::<IMiners::holdingsCall>(&vec![word(0x01), word(0x02)]),
        answer::<IMiners::leavingCall>(&vec![account(0x01)]),
        answer::<IMiners::requiredCollateralCall>(&U256::from(1)),
        answer::<IFiles::storeCall>(&word(0x01)),
        answer::<IFiles::getCall>(&file),
        answer::<IFiles::countOfCall>(&1),
        answer::<IFiles::listOfCall>(&vec![word(0x01), word(0x02)]),
        answer::<IFiles::storeInCall>(&word(0x01)),
        answer::<IFiles::purgeCall>(&1),
        answer::<IFiles::chargeOfCall>(&IFiles::chargeOfReturn { territory: 1, amount: 2 }),
        answer::<IFiles::listInCall>(&vec![word(0x01), word(0x02)]),
        answer::<IFiles::totalsCall>(&IFiles::totalsReturn { files: 1, bytes_: U256::from(2) }),
        answer::<IRepair::claimCall>(&1),
        answer::<IRepair::completeCall>(&U256::from(1)),
        answer::<IRepair::orderCall>(&order),
        answer::<IRepair::ordersCall>(&vec![order.clone()]),
        answer::<IRepair::claimBlocksCall>(&1),
        answer::<IRepair::claimDepositCall>(&U256::from(1)),
    ]
}

pub(super) fn events() -> Vec<String> {
    let (id, owner, holders) = (word(0x01), account(0x02), vec![account(0x03), account(0x04)]);
    let (operator, name) = (account(0x03), "miner".to_owned());
    let (one, two, three) = (U256::from(1), U256::from(2), U256::from(3));
    vec![
        event(&IMiners::MinerRegistered { account: owner, operator, capacity: 4, name }),
        event(&IMiners::MinerCapacityChanged { account: owner, capacity: 4 }),
        event(&IMiners::MinerLeaving { account: owner, held: 4, withdrawableFrom: 5 }),
        event(&IMiners::MinerLost { account: owner, held: 4 }),
        event(&IMiners::MinerReinstated { account: owner, state: 1, held: 4 }),
        event(&IMiners::MinerFined { account: owner, amount: three, burnt: one, bounty: two }),
        event(&IMiners::CollateralAdded { account: owner, amount: one, collateral: two }),
        event(&IMiners::IdleCommitted { account: owner, batch: 1, first: 2, commitments: vec![blob(0x03, 33)] }),
        event(&IMiners::IdleDecided { account: owner, batch: 1, first: 2, count: 3, accepted: true }),
        event(&IMiners::MinerExited { account: owner, collateral: U256::from(4) }),
        event(&IFiles::FileStored { id, owner, size: 5, holders: holders.clone(), manifest: blob(0x06, 33) }),
        event(&IFiles::OwnerAdded { id, owner }),
        event(&IFiles::OwnerRemoved { id, owner }),
        event(&IFiles::FileReassigned { id, owner, territory: 7 }),
        event(&IFiles::FileDeleted { id, size: 5, holders }),
        event(&IRepair::ColumnSurrendered { file: id, column: 3, holder: owner }),
        event(&IRepair::RepairClaimed { file: id, column: 3, claimer: owner, until: 4 }),
        event(&IRepair::ClaimSettled { file: id, column: 3, claimer: owner, deposit: two, burnt: true }),
        event(&IRepair::RepairCompleted { file: id, column: 3, to: owner, from: operator, bounty: two }),
    ]
}

pub(super) fn errors() -> Vec<(String, [u8; 4])> {
    let (id, holder, one, two) = (word(0x01), account(0x02), U256::from(1), U256::from(2));
    let (account, reason) = (holder, || "it leaves".to_owned());
    vec![
        error(&IMiners::UnknownMiner { account }),
        error(&IMiners::AlreadyRegistered { account }),
        error(&IMiners::KeyMismatch { account, accountKey: id }),
        error(&IMiners::CollateralTooLow { sent: one, required: two }),
        error(&IMiners::CapacityTooLow { capacity: 1, minimum: 2 }),
        error(&IMiners::NameInvalid { length: one, maximum: two }),
        error(&IMiners::StillHolding { account, used: 1 }),
        error(&IMiners::NotActive { account, state: 1 }),
        error(&IMiners::NotLeaving { account }),
        error(&IMiners::Locked { account, until: 1 }),
        error(&IMiners::CommitmentCount { given: two, maximum: one }),
        error(&IMiners::CommitmentInvalid { segment: 1, reason: "it is empty".into() }),
        error(&IMiners::IdleExceedsSpace { idle: 2, free: 1 }),
        error(&IMiners::BatchWaiting { account, batch: 1 }),
        error(&IMiners::UnknownBatch { account, batch: 1 }),
        error(&IMiners::RoundUnknown { round: 1, oldest: 2, newest: 3 }),
        error(&IFiles::UnknownFile { id }),
        error(&IFiles::NotOwner { id, account }),
        error(&IFiles::AlreadyOwner { id, account }),
        error(&IFiles::ManifestInvalid { reason: "the file is empty".into() }),
        error(&IFiles::HolderCount { given: one, required: two }),
        error(&IFiles::HolderNotPlaced { index: one, holder }),
        error(&IFiles::ReceiptInvalid { index: one, holder }),
        error(&IFiles::HolderFull { holder, free: 1, needed: 2 }),
        error(&IFiles::BeaconTooOld { height: 1, oldest: 2, newest: 3 }),
        error(&IRepair::NotOpen { file: id, column: 2 }),
        error(&IRepair::AlreadyClaimed { file: id, column: 2, claimer: account, until: 3 }),
        error(&IRepair::ClaimLapsed { file: id, column: 2, claimer: account, until: 3 }),
        error(&IRepair::ClaimBinds { file: id, column: 2, until: 3 }),
        error(&IRepair::NothingClaimed { file: id, column: 2 }),
        error(&IRepair::DepositTooLow { sent: U256::from(1), required: U256::from(2) }),
        error(&IRepair::NotClaimer { file: id, column: 2, account }),
        error(&IRepair::NotEligible { file: id, account, reason: reason() }),
        error(&IRepair::NotHolder { file: id, account }),
        error(&IRepair::TooEarly { height: 1, from: 2 }),
        error(&IRepair::SpotsInvalid { file: id, column: 2, reason: reason() }),
        error(&IRepair::ManifestInvalid { reason: reason() }),
    ]
}
