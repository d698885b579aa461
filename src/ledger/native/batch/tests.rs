//! Batches: golden bytes, refusals by name, what they cost before they run.

use super::*;
use crate::ledger::{
    native::{self, NativeTx},
    tx::decode_and_recover,
};
use alloy_primitives::hex;
use proptest::prelude::*;

const CHAIN: ChainId = 11_332;

/// The batch of the first test. A change here is another chain.
const GOLDEN: &str = concat!(
    "6cf8a4822c4401018477359400834c4b40a0fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618",
    "f2d99403030303030303030303030303030303030303034d82abcdd794040404040404040404040404040404040404040480",
    "80b8401919a252b127f62de39d70c4c74f4c2df3eb35ad2bf905c857bf689acfd495cfeb3b6aaa34d0e74993910082c41df9",
    "2232b406c2e0fcb9122a4d32ce34b46d0f",
);

fn call(tag: u8, value: u64, data: &[u8]) -> Call {
    Call { to: Address::repeat_byte(tag), value: U256::from(value), data: data.to_vec().into() }
}

fn batch(calls: Vec<Call>) -> (NativeBatch, SecretKey) {
    let secret = SecretKey::from_bytes(&[9; 32]);
    let key = secret.public();
    let batch = NativeBatch {
        chain_id: CHAIN,
        nonce: 1,
        max_priority_fee: 1,
        max_fee: 2_000_000_000,
        gas_limit: 5_000_000,
        key,
        calls,
    };
    (batch, secret)
}

#[test]
fn the_envelope_is_stable() {
    let (batch, secret) = batch(vec![call(3, 77, &[0xab, 0xcd]), call(4, 0, &[])]);
    let raw = batch.sign(&secret);
    assert_eq!(hex::encode(&raw), GOLDEN, "the native batch has changed");
    assert!(is_batch(&raw));
    assert_eq!(decode_batch(&raw).unwrap().0, batch);
    let tx = decode_and_recover(&raw, CHAIN).unwrap();
    assert_eq!((tx.sender, tx.nonce, tx.tx_type()), (batch.sender(), 1, NATIVE_TX_TYPE));
    assert_eq!((tx.calls(), tx.value(), tx.to()), (batch.calls.as_slice(), U256::from(77), Some(batch.calls[0].to)));
    assert_eq!(tx.hash, alloy_primitives::keccak256(&raw));
}

#[test]
fn a_single_call_is_no_batch_and_a_batch_of_one_is_not_it() {
    let (batch, secret) = batch(vec![call(3, 77, &[1])]);
    let raw = batch.sign(&secret);
    let single = NativeTx {
        chain_id: CHAIN,
        nonce: 1,
        max_priority_fee: 1,
        max_fee: 2_000_000_000,
        gas_limit: 5_000_000,
        key: secret.public(),
        to: batch.calls[0].to,
        value: batch.calls[0].value,
        data: batch.calls[0].data.clone(),
    };
    assert!(!is_batch(&single.sign(&secret)));
    assert_ne!(single.signing_hash(), batch.signing_hash());
    assert!(matches!(native::decode(&raw), Err(TxError::Malformed(_))));
    assert_eq!(decode_and_recover(&raw, CHAIN).unwrap().calls().len(), 1);
}

#[test]
fn bounds_are_named() {
    let refusal = |calls| {
        let (batch, secret) = batch(calls);
        decode_and_recover(&batch.sign(&secret), CHAIN).unwrap_err()
    };
    let max = BATCH_MAX_CALLS;
    assert_eq!(refusal(vec![]), TxError::CallCount { calls: 0, max });
    assert_eq!(refusal(vec![call(1, 0, &[]); max + 1]), TxError::CallCount { calls: max + 1, max });
    let all = Call { value: U256::MAX, ..call(1, 0, &[]) };
    assert_eq!(refusal(vec![all.clone(), call(1, 1, &[])]), TxError::BatchValue);
    let (mut poor, secret) = batch(vec![call(1, 1, &[]); 3]);
    let required = 21_000 + 2 * (2_600 + 9_000);
    poor.gas_limit = required - 1;
    let error = decode_and_recover(&poor.sign(&secret), CHAIN).unwrap_err();
    assert_eq!(error, TxError::GasLimitTooLow { gas_limit: required - 1, required });
    poor.gas_limit = required;
    assert!(decode_and_recover(&poor.sign(&secret), CHAIN).is_ok());
}

#[test]
fn call_data_costs_what_it_costs_alone() {
    let data = [[1; 500], [0; 500]].concat();
    let one = BatchGas::of(&[call(1, 5, &data)]);
    // Four gas a token at the start, ten at least; a byte is one token if zero, else four.
    assert_eq!(one, BatchGas { initial: 21_000 + 4 * 2_500, floor: 21_000 + 10 * 2_500 });
    let two = BatchGas::of(&[call(1, 5, &data), call(2, 0, &data)]);
    assert_eq!(two, BatchGas { initial: one.initial + 4 * 2_500 + 2_600, floor: one.floor + 10 * 2_500 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_flipped_bit_is_refused(values in prop::collection::vec(0u64..9, 1..4), at: prop::sample::Index, bit in 0u8..8) {
        let (batch, secret) = batch(values.into_iter().map(|value| call(7, value, &[1, 2])).collect());
        let mut raw = batch.sign(&secret).to_vec();
        let tx = decode_and_recover(&raw, CHAIN).unwrap();
        prop_assert_eq!(tx.calls(), batch.calls);
        let at = at.index(raw.len());
        raw[at] ^= 1 << bit;
        prop_assert!(decode_and_recover(&raw, CHAIN).is_err());
    }

    #[test]
    fn garbage_never_panics(rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let raw = [&[NATIVE_TX_TYPE][..], &rest].concat();
        let _ = (is_batch(&raw), decode_batch(&raw));
    }
}
