//! Fees, skipped transactions, roots, and invariants of whole blocks.

use super::rig::{GWEI, PROPOSER, Rig, key, native_account, native_call, signed, transfer};
use crate::{
    ledger::{
        abi::{AUDITS, STAKING},
        executor::{CallError, CallOutcome, CallRequest, SkipReason, Skipped, call},
        genesis::tests::genesis,
        header::{receipts_root, transactions_root},
        state::{MemoryState, StateError, StateView},
        tx::{decode_and_recover, sign_ethereum},
    },
    types::{Address, Amount, B256, U256},
};
use alloy_consensus::{
    Eip658Value, Receipt, ReceiptEnvelope, TxEip1559, TxLegacy,
    proofs::{calculate_receipt_root, ordered_trie_root_encoded},
};
use alloy_primitives::{Bytes, TxKind};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn a_transfer_moves_value_burns_the_base_fee_and_tips_the_proposer() {
    let mut rig = Rig::new();
    let to = Address::repeat_byte(0x42);
    let run = rig.block(&[transfer(1, 0, to, 1_000), native_call(0, to, 500, vec![])]);
    assert_eq!((run.gas_used, run.included.len(), rig.balance(to)), (42_000, 2, U256::from(1_500)));
    assert_eq!(rig.balance(PROPOSER), U256::from(42_000 * GWEI));
    let spent = U256::from(21_000 * 2 * GWEI);
    assert_eq!(rig.balance(key(1).address()), Amount::tokens(10).0 - spent - U256::from(1_000));
    assert_eq!(rig.balance(native_account()), Amount::tokens(10).0 - spent - U256::from(500));
    assert_eq!((rig.nonce(key(1).address()), rig.nonce(native_account())), (1, 1));
    let receipt = &run.receipts[1];
    assert_eq!((receipt.tx_type, receipt.gas_used, receipt.cumulative_gas_used), (0x6c, 21_000, 42_000));
    assert_eq!((receipt.gas_price, receipt.success, receipt.from), (2 * GWEI, true, native_account()));
    assert_eq!(rig.env.base_fee, 875_087_500, "an almost empty block lowers the base fee by almost an eighth");
}

#[test]
fn what_cannot_run_is_skipped_with_its_reason_and_changes_nothing() {
    let mut rig = Rig::new();
    let to = Address::repeat_byte(0x42);
    let poor = transfer(9, 0, to, 1);
    let low_fee = TxEip1559 {
        chain_id: rig.env.chain_id,
        gas_limit: 21_000,
        max_fee_per_gas: 5,
        to: TxKind::Call(to),
        ..Default::default()
    };
    let too_much = TxEip1559 { max_fee_per_gas: 10 * GWEI, value: Amount::tokens(10).0, ..low_fee.clone() };
    let txs = [
        transfer(1, 1, to, 1),
        poor.clone(),
        transfer(1, 0, to, 1),
        transfer(1, 0, to, 1),
        signed(&low_fee, 2),
        signed(&too_much, 3),
    ];
    let run = rig.block(&txs);
    assert_eq!((run.included.as_slice(), rig.balance(to)), (&[2][..], U256::from(1)));
    let reasons: Vec<_> = run.skipped.iter().map(|s| (s.index, s.reason.clone())).collect();
    let balance = Amount::tokens(10).0;
    let expected = [
        (0, SkipReason::NonceTooHigh { nonce: 1, expected: 0 }),
        (1, SkipReason::Funds { balance: U256::ZERO, cost: poor.max_cost() }),
        (3, SkipReason::NonceTooLow { nonce: 0, expected: 1 }),
        (4, SkipReason::FeeTooLow { max_fee: 5, base_fee: 1_000_000_000 }),
        (5, SkipReason::Funds { balance, cost: balance + U256::from(210_000 * GWEI) }),
    ];
    assert_eq!(reasons, expected);
    assert_eq!(run.skipped[0].reason.to_string(), "its nonce 1 is above the account's 0");
    assert_eq!(rig.state.account(&poor.sender), Ok(None));
}

#[test]
fn a_full_block_leaves_the_rest_for_the_next() {
    let mut rig = Rig::new();
    rig.env.gas_limit = 250_000;
    let to = Address::repeat_byte(0x42);
    let txs = [transfer(1, 0, to, 1), transfer(2, 0, to, 1), transfer(3, 0, to, 1), transfer(4, 0, to, 1)];
    let run = rig.block(&txs);
    let left = 250_000 - 3 * 21_000;
    let reason = SkipReason::BlockFull { gas_limit: 200_000, left };
    assert_eq!(run.skipped, [Skipped { index: 3, hash: txs[3].hash, reason }]);
    assert_eq!(rig.block(&txs[3..]).included, [0]);
}

#[test]
fn roots_are_those_ethereum_tooling_computes() {
    let mut rig = Rig::new();
    let legacy = TxLegacy {
        chain_id: Some(rig.env.chain_id),
        gas_price: 2 * GWEI,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(1)),
        ..Default::default()
    };
    let legacy = decode_and_recover(&sign_ethereum(&legacy, &key(2)), rig.env.chain_id).unwrap();
    let txs = [transfer(1, 5, Address::ZERO, 0), transfer(1, 0, Address::ZERO, 0), legacy];
    let env = rig.env.clone();
    let run = rig.block(&txs);
    let header = run.header(&env, B256::ZERO, &txs);
    assert_eq!(header.transactions_root, ordered_trie_root_encoded(&[&txs[1].raw, &txs[2].raw]));
    assert_eq!(header.transactions_root, transactions_root(txs[1..].iter()));
    let receipt = |gas| Receipt { status: Eip658Value::Eip658(true), cumulative_gas_used: gas, logs: vec![] };
    let envelopes = [ReceiptEnvelope::Eip1559(receipt(21_000).into()), ReceiptEnvelope::Legacy(receipt(42_000).into())];
    assert_eq!(header.receipts_root, calculate_receipt_root(&envelopes));
    assert_eq!(header.receipts_root, receipts_root(&run.receipts));
    assert_eq!((header.gas_used, header.number, header.mix_hash), (42_000, 1, env.beacon));
    assert_eq!(receipts_root(&[]), alloy_trie::EMPTY_ROOT_HASH);
}

#[test]
fn an_empty_block_only_records_parent_and_beacon() {
    let mut rig = Rig::new();
    let parent = rig.env.parent_hash;
    let run = rig.block(&[]);
    let touched: BTreeSet<_> = run.delta.accounts.keys().copied().collect();
    // Block 1 opens the first round of audits.
    assert_eq!(touched, BTreeSet::from([STAKING, AUDITS, alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS]));
    assert_eq!(rig.slot(alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS, 0), U256::from_be_bytes(parent.0));
}

#[test]
fn a_broken_store_fails_the_block_not_the_transaction() {
    struct Broken(MemoryState);
    impl StateView for Broken {
        fn account(&self, address: &Address) -> Result<Option<crate::ledger::state::AccountInfo>, StateError> {
            match *address == Address::repeat_byte(0x42) {
                true => Err(StateError::Unavailable("disk on fire".into())),
                false => self.0.account(address),
            }
        }
        fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
            self.0.slot(address, slot)
        }
        fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
            self.0.code(hash)
        }
    }
    let rig = Rig::new();
    let txs = [transfer(1, 0, Address::repeat_byte(0x42), 1)];
    let failed = crate::ledger::executor::execute(&Broken(rig.state), &rig.env, &txs).unwrap_err();
    assert!(failed.to_string().contains("disk on fire"), "{failed}");
}

#[test]
fn calls_cost_nothing_and_tell_how_they_ended() {
    let rig = Rig::new();
    let request = CallRequest {
        from: Address::repeat_byte(0x99),
        to: Some(Address::repeat_byte(0xcc)),
        value: U256::ZERO,
        data: Bytes::new(),
        gas: 100_000,
    };
    let done = call(&rig.state, &rig.env, &request).unwrap();
    assert!(matches!(done, CallOutcome::Success { gas_used: 23_102, .. }), "{done:?}");
    let short = CallRequest { gas: 20_999, ..request.clone() };
    assert!(matches!(call(&rig.state, &rig.env, &short), Err(CallError::Refused(_))));
    let poor = call(&rig.state, &rig.env, &CallRequest { value: U256::from(1), ..request.clone() });
    assert!(matches!(poor, Ok(CallOutcome::Halt { .. })), "{poor:?}");
    let from_contract = CallRequest { from: Address::repeat_byte(0xcc), value: U256::from(5), ..request };
    assert!(matches!(call(&rig.state, &rig.env, &from_contract), Ok(CallOutcome::Success { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The rig checks supply, determinism and roots after every block.
    #[test]
    fn any_mix_of_transfers_keeps_the_invariants(
        steps in prop::collection::vec((1u8..5, 0u64..4, 0u8..6, 0u64..5, any::<bool>()), 0..24),
    ) {
        let mut rig = Rig::new();
        for block in steps.chunks(6) {
            let txs: Vec<_> = block
                .iter()
                .map(|(from, nonce, to, tokens, native)| {
                    let to = if *to == 0 { native_account() } else { key(*to).address() };
                    let value = tokens * 1_000_000_000_000_000_000;
                    if *native { native_call(*nonce, to, value, vec![]) } else { transfer(*from, *nonce, to, value) }
                })
                .collect();
            rig.block(&txs);
        }
        prop_assert!(rig.state.supply() <= Rig::new().state.supply());
        prop_assert_eq!(rig.env.chain_id, genesis().chain_id);
    }
}
