//! Native batches: one sender, one nonce, one fee, all calls or none.

use super::rig::{GWEI, PROPOSER, Rig, key, native_account, native_key, transfer};
use crate::{
    ledger::{
        abi::{ED25519, FILES, IEd25519},
        executor::{Receipt, Session, SkipReason, Subject},
        genesis::{GenesisAccount, tests::genesis},
        modules::{ModuleError, ModuleHost},
        native::{Call, CallFailed, NativeBatch},
        tx::{VerifiedTx, decode_and_recover},
    },
    types::{Address, B256, U256},
};
use alloy_primitives::{Bytes, LogData};
use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::geth::{CallConfig, GethDebugTracingOptions, GethTrace};
use alloy_sol_types::{Revert, SolCall, SolError};
use proptest::prelude::*;

const PAYEE: Address = Address::repeat_byte(0x42);
/// Keeps its caller in slot 0 and counts in slot 1.
const COUNTER: Address = Address::repeat_byte(0xc1);
/// Clears its slot 0, which is set at genesis.
const CLEARER: Address = Address::repeat_byte(0xc2);
/// Uses up all gas.
const BURNER: Address = Address::repeat_byte(0xc3);
/// Answers what it finds in transient slot 0 in slot 0, then sets the transient one.
const TRANSIENT: Address = Address::repeat_byte(0xc4);

fn rig() -> Rig {
    let code = |code: &'static [u8]| GenesisAccount { code: Bytes::from_static(code), ..Default::default() };
    let mut rig = Rig::with(|genesis| {
        genesis.alloc.insert(COUNTER, code(&[0x33, 0x5f, 0x55, 0x60, 1, 0x54, 0x60, 1, 0x01, 0x60, 1, 0x55, 0x00]));
        let mut clearer = code(&[0x5f, 0x5f, 0x55, 0x00]);
        clearer.storage.insert(B256::ZERO, B256::repeat_byte(1));
        genesis.alloc.insert(CLEARER, clearer);
        genesis.alloc.insert(BURNER, code(&[0xfe]));
        genesis.alloc.insert(TRANSIENT, code(&[0x5f, 0x5c, 0x5f, 0x55, 0x60, 7, 0x5f, 0x5d, 0x00]));
    });
    rig.dispatch = scripted;
    rig
}

/// A module whose call data is a tag to emit, or nothing to refuse.
fn scripted(module: Address, input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let Some(tag) = input.first() else { return Err(ModuleError::reason("as scripted")) };
    host.emit(module, LogData::new_unchecked(vec![B256::repeat_byte(*tag)], host.caller().to_vec().into()))?;
    Ok(Bytes::new())
}

fn call(to: Address, value: u64, data: &[u8]) -> Call {
    Call { to, value: U256::from(value), data: data.to_vec().into() }
}

fn batch(nonce: u64, gas_limit: u64, calls: Vec<Call>) -> VerifiedTx {
    let batch = NativeBatch {
        chain_id: genesis().chain_id,
        nonce,
        max_priority_fee: 1_000_000_000,
        max_fee: 10_000_000_000,
        gas_limit,
        key: native_key().public(),
        calls,
    };
    decode_and_recover(&batch.sign(&native_key()), genesis().chain_id).unwrap()
}

fn ran(rig: &mut Rig, tx: VerifiedTx) -> Receipt {
    let mut run = rig.block(&[tx]);
    assert!(run.skipped.is_empty(), "{:?}", run.skipped);
    run.receipts.remove(0)
}

fn failure(receipt: &Receipt) -> CallFailed {
    assert!(!receipt.success && receipt.halt.is_none(), "{receipt:?}");
    assert!(receipt.logs.is_empty(), "{receipt:?}");
    CallFailed::abi_decode(&receipt.output).expect("it names the call")
}

#[test]
fn all_calls_run_in_order_as_their_sender() {
    let mut rig = rig();
    let calls = vec![
        call(FILES, 0, &[3]),
        call(PAYEE, 5, &[]),
        call(COUNTER, 0, &[]),
        call(FILES, 0, &[1]),
        call(COUNTER, 0, &[]),
        call(PAYEE, 6, &[]),
    ];
    let before = rig.balance(native_account());
    let receipt = ran(&mut rig, batch(0, 400_000, calls));
    assert!(receipt.success, "{receipt:?}");
    let tags: Vec<B256> = receipt.logs.iter().map(|log| log.data.topics()[0]).collect();
    assert_eq!(tags, [B256::repeat_byte(3), B256::repeat_byte(1)]);
    assert!(receipt.logs.iter().all(|log| log.data.data == native_account().to_vec()));
    let caller = U256::from_be_slice(native_account().as_slice());
    assert_eq!((rig.slot(COUNTER, 0), rig.slot(COUNTER, 1)), (caller, U256::from(2)));
    assert_eq!((rig.balance(PAYEE), rig.nonce(native_account())), (U256::from(11), 1));
    let paid = U256::from(receipt.gas_price) * U256::from(receipt.gas_used);
    assert_eq!(before - rig.balance(native_account()), paid + U256::from(11));
}

#[test]
fn gas_is_one_base_and_what_each_call_costs() {
    let mut rig = rig();
    let base = 21_000;
    assert_eq!(ran(&mut rig, batch(0, 400_000, vec![call(PAYEE, 5, &[])])).gas_used, base);
    // An account that exists, then one that does not.
    let again = vec![call(PAYEE, 5, &[]), call(PAYEE, 5, &[])];
    assert_eq!(ran(&mut rig, batch(1, 400_000, again)).gas_used, base + 2_600 + 9_000);
    let new = vec![call(PAYEE, 5, &[]), call(Address::repeat_byte(0x43), 5, &[])];
    assert_eq!(ran(&mut rig, batch(2, 400_000, new)).gas_used, 2 * base);
    let data = vec![call(PAYEE, 0, &[1; 100]), call(PAYEE, 0, &[1; 100])];
    let floor = base + 200 * 4 * 10;
    assert_eq!(ran(&mut rig, batch(3, 400_000, data)).gas_used, floor, "EIP-7623 holds for all call data together");
    // What is given back for a cleared slot counts once, for the whole transaction: a fifth at most.
    let clear = vec![call(PAYEE, 0, &[]), call(CLEARER, 0, &[])];
    let spent = base + 2_600 + 2 + 2 + 5_000;
    assert_eq!(ran(&mut rig, batch(4, 400_000, clear)).gas_used, spent - 4_800);
}

#[test]
fn a_call_that_fails_undoes_the_others_and_is_named() {
    let mut rig = rig();
    let calls = vec![call(PAYEE, 5, &[]), call(FILES, 0, &[1]), call(COUNTER, 0, &[]), call(FILES, 0, &[])];
    let before = rig.balance(native_account());
    let receipt = ran(&mut rig, batch(0, 400_000, calls.clone()));
    let failed = failure(&receipt);
    assert_eq!(failed.index, U256::from(3));
    assert_eq!(Revert::abi_decode(&failed.reason).unwrap().reason, "as scripted");
    assert_eq!((rig.balance(PAYEE), rig.slot(COUNTER, 1)), (U256::ZERO, U256::ZERO));
    assert_eq!(rig.nonce(native_account()), 1, "the nonce is used and the fee is paid");
    assert!(receipt.gas_used < 200_000, "unused gas is given back: {}", receipt.gas_used);
    assert_eq!(before - rig.balance(native_account()), U256::from(receipt.gas_price) * U256::from(receipt.gas_used));

    // A call that burns everything fails the same way, with nothing left.
    let receipt = ran(&mut rig, batch(1, 300_000, vec![call(CLEARER, 0, &[]), call(BURNER, 0, &[])]));
    let failed = failure(&receipt);
    assert_eq!((failed.index, receipt.gas_used), (U256::from(1), 300_000));
    let reason = Revert::abi_decode(&failed.reason).unwrap().reason;
    assert!(reason.contains("Invalid"), "{reason}");
    // The pay for a new account can be what is missing.
    let receipt = ran(&mut rig, batch(2, 21_000 + 11_600 + 9_399, vec![call(PAYEE, 0, &[]), call(PAYEE, 1, &[])]));
    assert_eq!(failure(&receipt).index, U256::from(1));
    assert_eq!(receipt.gas_used, 21_000 + 11_600 + 9_399);
    // More value than there is comes out before anything runs.
    let rich = U256::from(u128::MAX);
    let all = Call { value: rich, ..call(PAYEE, 0, &[]) };
    let run = rig.block(&[batch(3, 400_000, vec![call(PAYEE, 0, &[]), all])]);
    assert!(matches!(run.skipped[0].reason, SkipReason::Funds { .. }), "{:?}", run.skipped);
    assert_eq!(rig.nonce(native_account()), 3);
}

#[test]
fn it_is_one_transaction_among_others() {
    let mut rig = rig();
    let calls = vec![call(TRANSIENT, 0, &[]), call(TRANSIENT, 0, &[])];
    let run = rig.block(&[transfer(1, 0, PAYEE, 1), batch(0, 400_000, calls), transfer(1, 1, PAYEE, 1)]);
    assert!(run.receipts.iter().all(|receipt| receipt.success), "{:?}", run.receipts);
    assert_eq!(rig.slot(TRANSIENT, 0), U256::from(7), "transient storage lasts as long as the transaction");
    assert_eq!(run.receipts[1].cumulative_gas_used, run.gas_used - 21_000);
    assert_eq!(rig.balance(PAYEE), U256::from(2));
    let tips = U256::from(GWEI) * U256::from(run.gas_used);
    assert_eq!(rig.balance(PROPOSER), tips);
    assert_eq!(rig.nonce(key(1).address()), 2);
}

#[test]
fn a_batch_may_call_protocol_modules() {
    let mut rig = Rig::new();
    let verify = IEd25519::verifyBatchCall { keys: vec![], signatures: Bytes::new(), messages: vec![] }.abi_encode();
    let receipt = ran(&mut rig, batch(0, 400_000, vec![call(ED25519, 0, &verify), call(ED25519, 0, &verify)]));
    assert!(receipt.success, "{receipt:?}");
    let mismatch =
        IEd25519::verifyBatchCall { keys: vec![B256::ZERO], signatures: Bytes::new(), messages: vec![] }.abi_encode();
    let receipt = ran(&mut rig, batch(1, 400_000, vec![call(ED25519, 0, &verify), call(ED25519, 0, &mismatch)]));
    assert!(IEd25519::CountMismatch::abi_decode(&failure(&receipt).reason).is_ok());
}

#[test]
fn a_trace_shows_the_calls_below_the_batch() {
    let rig = Rig::new();
    let verify = IEd25519::verifyBatchCall { keys: vec![], signatures: Bytes::new(), messages: vec![] }.abi_encode();
    let calls = vec![call(PAYEE, 5, &[]), call(ED25519, 0, &verify), call(PAYEE, 6, &[])];
    let tx = batch(0, 400_000, calls);
    let session = Session::new(&rig.state, &rig.env);
    let options = GethDebugTracingOptions::call_tracer(CallConfig::default());
    let (trace, run) = session.debug(Subject::Tx(&tx), &options, &TransactionInfo::default()).unwrap();
    let GethTrace::CallTracer(root) = trace else { panic!("{trace:?}") };
    assert_eq!((root.from, root.to, root.value), (native_account(), Some(native_account()), Some(U256::from(11))));
    let called: Vec<_> = root.calls.iter().map(|call| (call.from, call.to, call.value)).collect();
    let by_us = |to, value| (native_account(), Some(to), Some(U256::from(value)));
    assert_eq!(called, [by_us(PAYEE, 5), by_us(ED25519, 0), by_us(PAYEE, 6)]);
    // Watching changes nothing: the same gas as in a block.
    let mut rig = rig;
    let receipt = ran(&mut rig, tx.clone());
    assert_eq!(run.outcome.gas_used(), receipt.gas_used);
    // A batch that fails shows as a root that reverted.
    let session = Session::new(&rig.state, &rig.env);
    let failing = batch(1, 400_000, vec![call(PAYEE, 5, &[]), call(ED25519, 0, &[1])]);
    let (trace, _) = session.debug(Subject::Tx(&failing), &options, &TransactionInfo::default()).unwrap();
    let GethTrace::CallTracer(root) = trace else { panic!("{trace:?}") };
    assert!(root.error.is_some() && root.calls[1].error.is_some() && root.calls[0].error.is_none(), "{root:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_batch_does_what_its_calls_do_one_by_one(
        calls in prop::collection::vec((0u8..3, 0u64..100, any::<bool>()), 1..7),
    ) {
        // Some pay, some count, some emit.
        let made = |(pick, value, pays): (u8, u64, bool)| match (pick, pays) {
            (pick, true) => call(Address::repeat_byte(0x60 + pick), value, &[]),
            (0, false) => call(FILES, 0, &[7]),
            (_, false) => call(COUNTER, 0, &[]),
        };
        let calls: Vec<Call> = calls.into_iter().map(made).collect();
        let (mut at_once, mut in_turn) = (rig(), rig());
        let single = |(nonce, call): (u64, &Call)| batch(nonce, 200_000, vec![call.clone()]);
        let whole = at_once.block(&[batch(0, 2_000_000, calls.clone())]);
        let parts = in_turn.block(&(0..).zip(&calls).map(single).collect::<Vec<_>>());
        prop_assert!(whole.receipts[0].success && parts.receipts.iter().all(|receipt| receipt.success));
        for pick in 0..3 {
            let payee = Address::repeat_byte(0x60 + pick);
            prop_assert_eq!(at_once.balance(payee), in_turn.balance(payee));
        }
        prop_assert_eq!((at_once.slot(COUNTER, 0), at_once.slot(COUNTER, 1)), (in_turn.slot(COUNTER, 0), in_turn.slot(COUNTER, 1)));
        let logs: Vec<_> = parts.receipts.iter().flat_map(|receipt| receipt.logs.clone()).collect();
        prop_assert_eq!(&whole.receipts[0].logs, &logs);
        prop_assert!(whole.gas_used <= parts.gas_used, "never dearer than one by one");
    }
}
