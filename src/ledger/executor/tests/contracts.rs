//! Contracts in hand-written bytecode: creation, storage, reverts, halts, destruction, block hashes.

use super::rig::{GWEI, Rig, key, tx};
use crate::{
    crypto::EcdsaKey,
    ledger::tx::{VerifiedTx, decode_and_recover, sign_ethereum},
    types::{Address, U256},
};
use alloy_consensus::TxEip7702;
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Bytes, bytes};

/// Runs `runtime` as a new contract's code: copies what follows these 10 bytes into memory and returns it.
fn init(runtime: &[u8]) -> Bytes {
    let len = u8::try_from(runtime.len()).unwrap();
    [&[0x60, len, 0x60, 10, 0x5f, 0x39, 0x60, len, 0x5f, 0xf3][..], runtime].concat().into()
}

/// Adds one to slot 0.
const COUNTER: Bytes = bytes!("5f546001015f5500");
/// Reverts with its call data.
const REFUSER: Bytes = bytes!("365f5f37365ffd");
/// Returns the hash of the block whose number is the call data, stored in slot 0.
const HISTORIAN: Bytes = bytes!("5f35405f5500");

fn deploy(rig: &mut Rig, nonce: u64, runtime: &[u8]) -> Address {
    let run = rig.block(&[tx(1, nonce, None, U256::from(3), init(runtime))]);
    assert!(run.receipts[0].success, "{:?}", run.receipts[0]);
    let created = run.receipts[0].contract.unwrap();
    assert_eq!(created, key(1).address().create(nonce));
    assert_eq!((rig.nonce(created), rig.balance(created)), (1, U256::from(3)));
    created
}

#[test]
fn a_contract_is_created_called_and_keeps_state_across_blocks() {
    let mut rig = Rig::new();
    let counter = deploy(&mut rig, 0, &COUNTER);
    let bump = |i, nonce| tx(i, nonce, Some(counter), U256::ZERO, Bytes::new());
    let run = rig.block(&[bump(1, 1), bump(2, 0), bump(1, 2)]);
    assert!(run.receipts.iter().all(|r| r.success));
    assert_eq!(rig.slot(counter, 0), U256::from(3));
    assert_eq!(run.receipts[0].gas_used, 21_000 + (2 + 2_100) + (3 + 3) + (2 + 20_000));
    rig.block(&[bump(2, 1)]);
    assert_eq!(rig.slot(counter, 0), U256::from(4));
}

#[test]
fn a_contract_created_and_called_in_one_block_works() {
    let mut rig = Rig::new();
    let counter = key(1).address().create(0);
    let txs = [tx(1, 0, None, U256::ZERO, init(&COUNTER)), tx(2, 0, Some(counter), U256::ZERO, Bytes::new())];
    rig.block(&txs);
    assert_eq!(rig.slot(counter, 0), U256::from(1));
}

#[test]
fn a_revert_keeps_its_data_and_undoes_its_value() {
    let mut rig = Rig::new();
    let refuser = deploy(&mut rig, 0, &REFUSER);
    let run = rig.block(&[tx(2, 0, Some(refuser), U256::from(50), bytes!("08c379a0aa"))]);
    let receipt = &run.receipts[0];
    assert!(!receipt.success && receipt.halt.is_none());
    assert_eq!((&receipt.output, rig.balance(refuser)), (&bytes!("08c379a0aa"), U256::from(3)));
    assert_eq!(rig.nonce(key(2).address()), 1, "a failed transaction still uses its nonce and pays");
}

#[test]
fn an_invalid_instruction_takes_all_gas() {
    let mut rig = Rig::new();
    let broken = deploy(&mut rig, 0, &[0xfe]);
    let run = rig.block(&[tx(2, 0, Some(broken), U256::ZERO, Bytes::new())]);
    assert_eq!(run.receipts[0].gas_used, 200_000);
    assert!(run.receipts[0].halt.as_deref().is_some_and(|reason| reason.contains("0xFE")), "{:?}", run.receipts[0]);
}

#[test]
fn a_contract_that_destroys_itself_in_its_creation_leaves_nothing() {
    let mut rig = Rig::new();
    let heir = Address::repeat_byte(0x77);
    let suicide = [&[0x60, 1, 0x5f, 0x55, 0x73][..], heir.as_slice(), &[0xff]].concat();
    let run = rig.block(&[tx(1, 0, None, U256::from(9), suicide)]);
    assert!(run.receipts[0].success);
    let created = key(1).address().create(0);
    assert_eq!((rig.nonce(created), rig.slot(created, 0), rig.balance(heir)), (0, U256::ZERO, U256::from(9)));
    assert!(!run.delta.accounts.contains_key(&created));
}

#[test]
fn contracts_read_recent_block_hashes() {
    let mut rig = Rig::new();
    let historian = deploy(&mut rig, 0, &HISTORIAN);
    let (hash_of_1, height) = (rig.env.parent_hash, rig.env.height - 1);
    rig.block(&[]);
    let ask = |nonce, number: u64| tx(2, nonce, Some(historian), U256::ZERO, U256::from(number).to_be_bytes_vec());
    rig.block(&[ask(0, height)]);
    assert_eq!(rig.slot(historian, 0), U256::from_be_bytes(hash_of_1.0));
    let future = rig.env.height;
    rig.block(&[ask(1, future)]);
    assert_eq!(rig.slot(historian, 0), U256::ZERO);
}

/// A transaction of account 2 that calls `owner` after it has put `code` behind its account.
fn delegation(rig: &Rig, owner: &EcdsaKey, code: Address, nonce: u64) -> VerifiedTx {
    let authorization = Authorization { chain_id: U256::from(rig.env.chain_id), address: code, nonce };
    let signature = owner.sign(&authorization.signature_hash());
    let parity = u8::from(signature.y_odd);
    let tx = TxEip7702 {
        chain_id: rig.env.chain_id,
        nonce: rig.nonce(key(2).address()),
        gas_limit: 200_000,
        max_fee_per_gas: 10 * GWEI,
        to: owner.address(),
        authorization_list: vec![SignedAuthorization::new_unchecked(authorization, parity, signature.r, signature.s)],
        ..Default::default()
    };
    decode_and_recover(&sign_ethereum(&tx, &key(2)), rig.env.chain_id).unwrap()
}

#[test]
fn an_account_lends_itself_code_by_authorization() {
    let mut rig = Rig::new();
    let counter = deploy(&mut rig, 0, &COUNTER);
    let owner = key(9);
    let stale = delegation(&rig, &owner, counter, 5);
    assert!(rig.block(&[stale]).receipts[0].success, "an authorization with a wrong nonce is passed over");
    assert_eq!(rig.slot(owner.address(), 0), U256::ZERO);
    let fresh = delegation(&rig, &owner, counter, 0);
    let run = rig.block(&[fresh]);
    assert!(run.receipts[0].success);
    assert_eq!((rig.slot(owner.address(), 0), rig.nonce(owner.address())), (U256::from(1), 1));
    assert_eq!(rig.slot(counter, 0), U256::ZERO, "the code ran on the account's own storage");
    let module = delegation(&rig, &owner, crate::ledger::abi::FILES, 1);
    assert!(!rig.block(&[module]).receipts[0].success, "a module cannot be borrowed");
    assert_eq!(rig.slot(owner.address(), 0), U256::from(1));
}
