//! Eras on the real machine: what the staking module mints and burns outside and inside transactions.

use super::rig::{GWEI, Rig, key, signed};
use crate::{
    codec,
    consensus::double_vote,
    crypto::NodeKeys,
    ledger::{
        abi::{IStaking, STAKING},
        genesis::Overrides,
        modules::{committee_of_era, era_emission},
        tx::VerifiedTx,
    },
    types::{Amount, Params, U256},
};
use alloy_consensus::TxEip1559;
use alloy_primitives::TxKind;
use alloy_sol_types::{SolCall, SolEvent};

/// A call of the staking module by account `i` with gas enough for anything.
fn call(i: u8, nonce: u64, chain_id: u64, value: U256, call: &impl SolCall) -> VerifiedTx {
    let tx = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: 3_000_000,
        max_fee_per_gas: 10 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: TxKind::Call(STAKING),
        value,
        input: call.abi_encode().into(),
        ..Default::default()
    };
    signed(&tx, i)
}

fn rig() -> Rig {
    Rig::with(|genesis| genesis.overrides = Overrides { era_blocks: Some(4), ..Overrides::default() })
}

#[test]
fn an_era_ends_with_rewards_and_a_committee() {
    let mut rig = rig();
    let keys = NodeKeys::derive(&[1; 32]);
    rig.env.proposer = keys.address();
    (0..2).for_each(|_| drop(rig.block(&[])));
    assert_eq!(rig.balance(keys.address()), U256::ZERO);
    assert!(committee_of_era(&rig.state, &rig.env.params, 2).is_err(), "not elected yet");
    rig.block(&[]);
    let emission = era_emission(Params::dev().validator_emission, 0);
    assert_eq!(rig.balance(keys.address()), emission, "the only proposer earns it all");
    let first = committee_of_era(&rig.state, &rig.env.params, 0).unwrap();
    assert_eq!(first.members.len(), 4);
    assert_eq!(committee_of_era(&rig.state, &rig.env.params, 2).unwrap().hash(), first.hash());
    (0..40).for_each(|_| drop(rig.block(&[])));
    assert_eq!(rig.balance(keys.address()), emission * U256::from(11));
}

#[test]
fn evidence_in_a_transaction_burns_stake_once() {
    let mut rig = rig();
    (0..2).for_each(|_| drop(rig.block(&[])));
    let chain_id = rig.env.chain_id;
    let evidence = codec::encode(&double_vote(&NodeKeys::derive(&[2; 32]), chain_id, 2, 0));
    let report = IStaking::reportEvidenceCall { evidence: evidence.into() };
    let txs = [call(1, 0, chain_id, U256::ZERO, &report), call(2, 0, chain_id, U256::ZERO, &report)];
    let run = rig.block(&txs);
    assert!(run.receipts[0].success && !run.receipts[1].success, "{:?}", run.receipts);
    let event = IStaking::Equivocated::decode_log_data(&run.receipts[0].logs[0].data).unwrap();
    // One of four: 2.8125 % of 1,000 tokens.
    assert_eq!(event.slashed * U256::from(1_000), Amount::tokens(28_125).0);
    assert_eq!(rig.balance(STAKING), Amount::tokens(4_000).0 - event.slashed);
}

#[test]
fn bonding_moves_value_into_the_module() {
    let mut rig = rig();
    let (chain_id, value) = (rig.env.chain_id, Amount::tokens(3).0);
    let run = rig.block(&[call(1, 0, chain_id, value, &IStaking::bondCall {})]);
    let bonded = IStaking::Bonded::decode_log_data(&run.receipts[0].logs[0].data).unwrap();
    assert_eq!((bonded.account, bonded.bonded), (key(1).address(), value));
    assert_eq!(rig.balance(STAKING), Amount::tokens(4_003).0);
}
