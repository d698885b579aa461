//! The whole surface of the interfaces: every function is dispatched, nothing else is, and reads and writes are told apart.

use super::{
    ModuleError, dispatch,
    golden::sample_calls,
    testing::{TestHost, assert_reason},
};
use crate::{
    ledger::abi::{
        AUDITS, ED25519, FILES, IAudits, IEd25519, IFiles, IMiners, INames, IRepair, IRewards, IStaking, ITee,
        ITerritory, MINERS, MODULES, NAMES, REPAIR, REWARDS, STAKING, TEE, TERRITORY,
    },
    types::{Address, U256},
};
use alloy_sol_types::{SolCall, SolInterface};
use proptest::prelude::*;
use std::collections::BTreeSet;

const CALLER: Address = Address::repeat_byte(0xca);

fn selectors() -> Vec<(Address, Vec<[u8; 4]>)> {
    vec![
        (STAKING, IStaking::IStakingCalls::selectors().collect()),
        (MINERS, IMiners::IMinersCalls::selectors().collect()),
        (FILES, IFiles::IFilesCalls::selectors().collect()),
        (REPAIR, IRepair::IRepairCalls::selectors().collect()),
        (TERRITORY, ITerritory::ITerritoryCalls::selectors().collect()),
        (TEE, ITee::ITeeCalls::selectors().collect()),
        (AUDITS, IAudits::IAuditsCalls::selectors().collect()),
        (REWARDS, IRewards::IRewardsCalls::selectors().collect()),
        (NAMES, INames::INamesCalls::selectors().collect()),
        (ED25519, IEd25519::IEd25519Calls::selectors().collect()),
    ]
}

fn writes() -> BTreeSet<[u8; 4]> {
    [
        IStaking::bondCall::SELECTOR,
        IStaking::registerCall::SELECTOR,
        IStaking::unbondCall::SELECTOR,
        IStaking::withdrawCall::SELECTOR,
        IStaking::revealCall::SELECTOR,
        IStaking::unjailCall::SELECTOR,
        IStaking::reportEvidenceCall::SELECTOR,
        IMiners::registerCall::SELECTOR,
        IMiners::setCapacityCall::SELECTOR,
        IMiners::exitCall::SELECTOR,
        IMiners::withdrawCall::SELECTOR,
        IMiners::addCollateralCall::SELECTOR,
        IMiners::commitIdleCall::SELECTOR,
        IRepair::surrenderCall::SELECTOR,
        IRepair::claimCall::SELECTOR,
        IRepair::completeCall::SELECTOR,
        IRepair::settleCall::SELECTOR,
        IFiles::storeCall::SELECTOR,
        IFiles::storeInCall::SELECTOR,
        IFiles::reassignCall::SELECTOR,
        IFiles::purgeCall::SELECTOR,
        IFiles::removeCall::SELECTOR,
        IFiles::storeForCall::SELECTOR,
        IFiles::removeForCall::SELECTOR,
        ITerritory::mintCall::SELECTOR,
        ITerritory::expandCall::SELECTOR,
        ITerritory::renewCall::SELECTOR,
        ITerritory::reactivateCall::SELECTOR,
        ITerritory::renameCall::SELECTOR,
        ITerritory::grantCall::SELECTOR,
        ITerritory::consignCall::SELECTOR,
        ITerritory::cancelCall::SELECTOR,
        ITerritory::buyCall::SELECTOR,
        ITerritory::orderCall::SELECTOR,
        ITerritory::payCall::SELECTOR,
        ITee::registerCall::SELECTOR,
        ITee::attestCall::SELECTOR,
        ITee::leaveCall::SELECTOR,
        ITee::withdrawCall::SELECTOR,
        ITee::publishCollateralCall::SELECTOR,
        ITee::allowCall::SELECTOR,
        ITee::revokeCall::SELECTOR,
        ITee::openEpochCall::SELECTOR,
        ITee::handOverCall::SELECTOR,
        ITee::certifyCall::SELECTOR,
        IAudits::answerCall::SELECTOR,
        IAudits::proveCall::SELECTOR,
        IAudits::voteCall::SELECTOR,
        IAudits::voteIdleCall::SELECTOR,
        IAudits::appealCall::SELECTOR,
        IAudits::ruleCall::SELECTOR,
        IAudits::reclaimCall::SELECTOR,
        IAudits::refuteCall::SELECTOR,
        IRewards::claimCall::SELECTOR,
        INames::setCall::SELECTOR,
        INames::removeCall::SELECTOR,
        INames::approveCall::SELECTOR,
    ]
    .into()
}

fn payable() -> BTreeSet<[u8; 4]> {
    [
        IStaking::bondCall::SELECTOR,
        IMiners::registerCall::SELECTOR,
        IMiners::setCapacityCall::SELECTOR,
        IMiners::addCollateralCall::SELECTOR,
        ITerritory::mintCall::SELECTOR,
        ITerritory::expandCall::SELECTOR,
        ITerritory::renewCall::SELECTOR,
        ITerritory::reactivateCall::SELECTOR,
        ITerritory::buyCall::SELECTOR,
        ITerritory::payCall::SELECTOR,
        ITee::registerCall::SELECTOR,
        ITee::attestCall::SELECTOR,
        IAudits::appealCall::SELECTOR,
        IRepair::claimCall::SELECTOR,
    ]
    .into()
}

#[test]
fn every_function_of_the_interfaces_is_dispatched() {
    for (module, expected) in selectors() {
        let sampled: BTreeSet<[u8; 4]> =
            sample_calls().iter().filter(|sample| sample.module == module).map(|sample| sample.selector()).collect();
        assert_eq!(sampled, expected.into_iter().collect(), "samples of {module}");
    }
    for sample in sample_calls() {
        let mut host = TestHost::new();
        if let Err(ModuleError::Revert(data)) = host.call_raw(CALLER, sample.module, U256::ZERO, &sample.input) {
            assert_ne!(data[..4], [0x08, 0xc3, 0x79, 0xa0], "{} is refused with a sentence", sample.signature);
        }
    }
}

#[test]
fn unknown_functions_and_modules_are_refused() {
    let mut host = TestHost::new();
    for module in MODULES {
        assert_reason(host.call_raw(CALLER, module, U256::ZERO, &[0xde, 0xad, 0xbe, 0xef]), "0xdeadbeef is unknown");
        assert_reason(host.call_raw(CALLER, module, U256::ZERO, &[0xde]), "call data is 1 B");
        assert_reason(host.call_raw(CALLER, module, U256::ZERO, &[]), "call data is 0 B");
    }
    assert!(matches!(dispatch(CALLER, &[0; 4], &mut host), Err(ModuleError::Fatal(_))));
}

#[test]
fn views_work_in_static_calls_and_writes_do_not() {
    for sample in sample_calls() {
        let mut host = TestHost::new();
        host.is_static = true;
        let result = host.call_raw(CALLER, sample.module, U256::ZERO, &sample.input);
        let refused = result == Err(ModuleError::Static);
        assert_eq!(refused, writes().contains(&sample.selector()), "{}: {result:?}", sample.signature);
    }
}

#[test]
fn only_payable_functions_take_value() {
    for sample in sample_calls() {
        let mut host = TestHost::new();
        host.fund(CALLER, 1);
        let result = host.call_raw(CALLER, sample.module, U256::ONE, &sample.input);
        if payable().contains(&sample.selector()) {
            assert!(result.is_err(), "{}: too little, or there is no such thing", sample.signature);
        } else {
            assert_reason(result, "takes no value");
        }
    }
}

#[test]
fn arguments_with_overlapping_offsets_are_refused() {
    let call = IFiles::storeCall {
        manifest: vec![1; 64].into(),
        beaconHeight: 0,
        holders: vec![],
        receipts: vec![vec![2; 64].into(), vec![3; 64].into()],
    };
    let mut input = call.abi_encode();
    let second_offset = input.len() - 2 * 96 - 32;
    let first_offset = second_offset - 32;
    let first: Vec<u8> = input[first_offset..second_offset].to_vec();
    input[second_offset..second_offset + 32].copy_from_slice(&first);
    assert_reason(TestHost::new().call_raw(CALLER, FILES, U256::ZERO, &input), "call data is malformed");
}

proptest! {
    #[test]
    fn garbage_is_refused_without_harm(pick in 0usize..64, body in prop::collection::vec(any::<u8>(), 0..300)) {
        let samples = sample_calls();
        let sample = &samples[pick % samples.len()];
        let mut host = TestHost::new();
        let input = [&sample.input[..4], &body].concat();
        let result = host.call_raw(CALLER, sample.module, U256::ZERO, &input);
        prop_assert!(!matches!(result, Err(ModuleError::Fatal(_))), "{result:?}");
    }

    #[test]
    fn a_flipped_byte_does_no_harm(pick in 0usize..64, at in any::<prop::sample::Index>(), flip in 1u8..) {
        let samples = sample_calls();
        let sample = &samples[pick % samples.len()];
        let mut input = sample.input.clone();
        let index = at.index(input.len());
        input[index] ^= flip;
        let result = TestHost::new().call_raw(CALLER, sample.module, U256::ZERO, &input);
        prop_assert!(!matches!(result, Err(ModuleError::Fatal(_))), "{result:?}");
    }
}
