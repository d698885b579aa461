//! Envelopes: vectors, refusals by name, and what a flipped bit does.

use super::*;
use crate::{crypto::SecretKey, ledger::native::NativeTx};
use alloy_consensus::TxEip4844;
use alloy_eips::{eip2930::AccessListItem, eip7702::Authorization};
use alloy_primitives::{TxKind, address, b256, hex};
use proptest::prelude::*;

const CHAIN: ChainId = 11_332;

fn key(i: u8) -> EcdsaKey {
    EcdsaKey::from_bytes(&[i; 32]).unwrap()
}

fn eip1559(nonce: u64, input: Vec<u8>) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN,
        nonce,
        gas_limit: 5_000_000,
        max_fee_per_gas: 3_000_000_000,
        max_priority_fee_per_gas: 1_000_000,
        to: TxKind::Call(Address::repeat_byte(7)),
        value: U256::from(12),
        access_list: AccessList(vec![AccessListItem { address: Address::ZERO, storage_keys: vec![B256::ZERO] }]),
        input: input.into(),
    }
}

fn legacy(chain_id: Option<u64>) -> TxLegacy {
    TxLegacy { chain_id, nonce: 4, gas_price: 9, gas_limit: 100_000, to: TxKind::Create, ..Default::default() }
}

fn native(nonce: u64, data: Vec<u8>) -> (NativeTx, SecretKey) {
    let secret = SecretKey::from_bytes(&[9; 32]);
    let tx = NativeTx {
        chain_id: CHAIN,
        nonce,
        max_priority_fee: 1,
        max_fee: 2_000_000_000,
        gas_limit: 5_000_000,
        key: secret.public(),
        to: Address::repeat_byte(3),
        value: U256::from(77),
        data: data.into(),
    };
    (tx, secret)
}

fn set_code(authorizations: Vec<SignedAuthorization>) -> TxEip7702 {
    let (gas_limit, max_fee_per_gas) = (1_000_000, 10);
    TxEip7702 { chain_id: CHAIN, gas_limit, max_fee_per_gas, authorization_list: authorizations, ..Default::default() }
}

#[test]
fn vectors_of_other_implementations_recover() {
    // EIP-155's own example, and a mainnet transaction of alloy's test suite.
    let eip155 = hex!(
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    );
    let tx = decode_and_recover(&eip155, 1).unwrap();
    assert_eq!(tx.sender, address!("9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"));
    assert_eq!(tx.hash, b256!("33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788"));
    assert_eq!((tx.nonce, tx.gas_limit(), tx.max_fee(), tx.tx_type()), (9, 21_000, 20_000_000_000, 0));
    assert_eq!(tx.max_cost(), U256::from(1_000_420_000_000_000_000u128));
    assert_eq!(decode_and_recover(&eip155, CHAIN), Err(TxError::WrongChain { found: 1, expected: CHAIN }));
}

#[test]
fn native_envelope_is_stable() {
    let (tx, secret) = native(1, vec![0xab, 0xcd]);
    let raw = tx.sign(&secret);
    let golden = concat!(
        "6cf88a822c4401018477359400834c4b40a0fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618",
        "9403030303030303030303030303030303030303034d82abcdb8407363d0dca70bae26283a3b23375ef7bc2206c686475fa9",
        "c3f02fc3fdf2bd0c0db75657796cddbad468cb6a3af9d8b9640259a606c33c7ef85cf1cefc061f5605",
    );
    assert_eq!(hex::encode(&raw), golden, "the native envelope has changed");
    let verified = decode_and_recover(&raw, CHAIN).unwrap();
    assert_eq!(verified.sender, tx.sender());
    assert_eq!(verified.hash, keccak256(&raw));
    assert_eq!(crate::ledger::native::decode(&raw).unwrap().0, tx);
}

#[test]
fn every_accepted_type_keeps_its_fields() {
    let access_list = AccessList(vec![AccessListItem { address: Address::ZERO, storage_keys: vec![B256::ZERO; 2] }]);
    let eip2930 = TxEip2930 { chain_id: CHAIN, gas_price: 5, gas_limit: 99_000, access_list, ..Default::default() };
    let authorization = Authorization { chain_id: U256::from(CHAIN), address: Address::repeat_byte(1), nonce: 2 };
    let signature = key(8).sign(&authorization.signature_hash());
    let signed =
        SignedAuthorization::new_unchecked(authorization.clone(), u8::from(signature.y_odd), signature.r, signature.s);
    let unsigned = SignedAuthorization::new_unchecked(authorization, 7, U256::from(1), U256::from(1));
    let raws = [
        (0, sign_ethereum(&legacy(Some(CHAIN)), &key(1))),
        (1, sign_ethereum(&eip2930, &key(1))),
        (2, sign_eip1559(&eip1559(0, vec![1]), &key(1))),
        (4, sign_ethereum(&set_code(vec![signed, unsigned]), &key(1))),
    ];
    for (tx_type, raw) in &raws {
        let tx = decode_and_recover(raw, CHAIN).unwrap();
        assert_eq!((tx.tx_type(), tx.sender, &tx.raw), (*tx_type, key(1).address(), raw));
        assert_eq!(tx.has_dynamic_fee(), *tx_type >= 2);
    }
    let tx = decode_and_recover(&raws[3].1, CHAIN).unwrap();
    assert_eq!(tx.fields.authorities[0].authority(), Some(key(8).address()));
    assert_eq!(tx.fields.authorities[1].authority(), None);
}

#[test]
fn what_cannot_run_here_is_refused_by_name() {
    let raw = sign_ethereum(&legacy(None), &key(1));
    assert_eq!(decode_and_recover(&raw, CHAIN), Err(TxError::NoChainId));
    let blob = sign_ethereum(&TxEip4844 { chain_id: CHAIN, gas_limit: 21_000, ..Default::default() }, &key(1));
    assert_eq!(decode_and_recover(&blob, CHAIN), Err(TxError::Blob));
    assert_eq!(decode_and_recover(&[5, 0xc0], CHAIN), Err(TxError::UnknownType(5)));
    assert!(matches!(decode_and_recover(&[], CHAIN), Err(TxError::Malformed(_))));
    assert!(matches!(decode_and_recover(&[2], CHAIN), Err(TxError::Malformed(_))));
    let len = TX_MAX_BYTES + 1;
    assert_eq!(decode_and_recover(&vec![2; len], CHAIN), Err(TxError::TooLarge { len, max: TX_MAX_BYTES }));
    let with = |change: fn(&mut TxEip1559)| {
        let mut tx = eip1559(0, vec![]);
        change(&mut tx);
        decode_and_recover(&sign_eip1559(&tx, &key(1)), CHAIN).unwrap_err()
    };
    assert_eq!(with(|tx| tx.chain_id = 1), TxError::WrongChain { found: 1, expected: CHAIN });
    assert!(matches!(with(|tx| tx.gas_limit = BLOCK_GAS_LIMIT + 1), TxError::GasLimitTooHigh { .. }));
    let required = 21_000 + 2_400 + 1_900;
    assert_eq!(with(|tx| tx.gas_limit = 25_299), TxError::GasLimitTooLow { gas_limit: 25_299, required });
    assert!(matches!(with(|tx| tx.max_priority_fee_per_gas = u128::MAX), TxError::PriorityAboveMax { .. }));
    let too_long = with(|tx| (tx.to, tx.input) = (TxKind::Create, vec![1; MAX_INITCODE_SIZE + 1].into()));
    assert!(matches!(too_long, TxError::InitCodeTooLarge { .. }));
    let raw = sign_ethereum(&set_code(vec![]), &key(1));
    assert_eq!(decode_and_recover(&raw, CHAIN), Err(TxError::NoAuthorization));
}

#[test]
fn high_s_signatures_and_suffixes_are_refused() {
    let tx = eip1559(0, vec![]);
    let order = U256::from_be_bytes(hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
    let low = key(1).sign(&tx.signature_hash());
    let mut raw = Vec::new();
    tx.eip2718_encode(&Signature::new(low.r, order - low.s, !low.y_odd), &mut raw);
    assert_eq!(decode_and_recover(&raw, CHAIN), Err(TxError::BadSignature));
    for mut raw in [sign_eip1559(&tx, &key(1)).to_vec(), native(0, vec![]).0.sign(&native(0, vec![]).1).to_vec()] {
        raw.push(0);
        assert!(matches!(decode_and_recover(&raw, CHAIN), Err(TxError::Malformed(_))));
    }
}

#[test]
fn fees_follow_eip_1559() {
    let tx = decode_and_recover(&sign_eip1559(&eip1559(0, vec![]), &key(1)), CHAIN).unwrap();
    assert_eq!(tx.effective_gas_price(1_000_000_000), 1_001_000_000);
    assert_eq!(tx.tip(2_999_500_000), Ok(500_000));
    let base_fee = 3_000_000_001;
    assert_eq!(tx.tip(base_fee), Err(TxError::FeeTooLow { offered: 3_000_000_000, base_fee }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_flipped_bit_is_refused_or_speaks_for_someone_else(
        is_native: bool, nonce: u64, input in prop::collection::vec(any::<u8>(), 0..80), at: prop::sample::Index, bit in 0u8..8,
    ) {
        let (tx, secret) = native(nonce, input.clone());
        let raw = if is_native { tx.sign(&secret) } else { sign_eip1559(&eip1559(nonce, input), &key(2)) };
        let original = decode_and_recover(&raw, CHAIN).unwrap();
        prop_assert_eq!(&original.raw, &raw);
        let mut bent = raw.to_vec();
        bent[at.index(raw.len())] ^= 1 << bit;
        if let Ok(other) = decode_and_recover(&bent, CHAIN) {
            prop_assert_ne!(other.sender, original.sender);
            prop_assert_ne!(other.hash, original.hash);
            prop_assert!(!is_native, "a native signature covers its key");
        }
    }

    #[test]
    fn garbage_never_panics(kind in prop::sample::select(vec![0u8, 1, 2, 4, 0x6c, 0xf8]), rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_and_recover(&[&[kind][..], &rest].concat(), CHAIN);
    }
}

#[test]
fn many_get_the_answers_each_gets_alone() {
    use crate::{crypto::SecretKey, ledger::native::NativeTx, types::Address};
    let key = SecretKey::from_bytes(&[9; 32]);
    let native = |nonce: u64| {
        let tx = NativeTx {
            chain_id: 11_332,
            nonce,
            max_priority_fee: 1,
            max_fee: 10,
            gas_limit: 21_000,
            key: key.public(),
            to: Address::repeat_byte(1),
            value: U256::from(1),
            data: Bytes::new(),
        };
        tx.sign(&key).to_vec()
    };
    let mut raws: Vec<Vec<u8>> = (0..6).map(native).collect();
    raws.push(vec![3, 1, 2]);
    raws.push(Vec::new());
    for bad in [None, Some(2)] {
        let mut raws = raws.clone();
        if let Some(bad) = bad {
            let last = raws[bad].len() - 1;
            raws[bad][last] ^= 1;
        }
        let slices: Vec<&[u8]> = raws.iter().map(Vec::as_slice).collect();
        let alone: Vec<_> = slices.iter().map(|raw| decode_and_recover(raw, 11_332)).collect();
        assert_eq!(alone.iter().filter(|answer| answer.is_ok()).count(), if bad.is_some() { 5 } else { 6 });
        let alone: Vec<_> = alone.into_iter().map(|answer| answer.map(Arc::new)).collect();
        assert_eq!(decode_and_recover_all(&slices, 11_332, &KnownKeys::default()), alone);
    }
}
