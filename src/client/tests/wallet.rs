//! The wallet's nonces and its patience.

use super::fake::{FakeChain, outcome};
use crate::client::{ChainClient, ChainError, Signer, Wallet};
use crate::ledger::abi::IMiners;
use crate::ledger::native::Call;
use crate::ledger::tx::decode_and_recover;
use crate::rpc::error;
use crate::types::{Address, U256};
use alloy_primitives::{Bytes, keccak256};
use alloy_sol_types::SolError;
use std::sync::Arc;
use std::time::Duration;

const CHAIN_ID: u64 = 11_332;
const LONG: Duration = Duration::from_secs(20);
const ECDSA: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const NATIVE: &str = "ed25519:0x0707070707070707070707070707070707070707070707070707070707070707";

fn wallet(chain: &Arc<FakeChain>, key: &str) -> Wallet {
    Wallet::new(chain.clone(), Signer::parse(key).unwrap(), CHAIN_ID)
}

fn refused(message: &str) -> ChainError {
    ChainError::Refused { code: error::TX_REJECTED, message: message.into() }
}

fn away() -> ChainError {
    ChainError::Unreachable("the test pulled the plug".into())
}

fn nonces(chain: &FakeChain) -> Vec<u64> {
    let decode = |raw: &Bytes| decode_and_recover(raw, CHAIN_ID).unwrap().nonce;
    chain.state.lock().submitted.iter().map(decode).collect()
}

async fn send(wallet: &Wallet) -> Result<alloy_primitives::B256, ChainError> {
    wallet.send(Address::repeat_byte(1), U256::from(1), Bytes::new(), None).await
}

#[test]
fn keys_parse_and_never_show() {
    let key = Signer::parse(ECDSA).unwrap();
    assert_eq!(key.address().to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    assert_eq!(Signer::parse(&ECDSA[2..]).unwrap().address(), key.address());
    assert!(matches!(Signer::parse(NATIVE), Ok(Signer::Native(_))));
    for bad in ["", "0x", "secret words", &"00".repeat(32), &ECDSA[..65], "ed25519:0x07"] {
        let refused = Signer::parse(bad).unwrap_err().to_string();
        assert!(bad.is_empty() || bad == "0x" || !refused.contains(bad), "{refused}");
    }
    assert!(!format!("{key:?}").contains(&ECDSA[10..20]));
}

#[tokio::test]
async fn both_kinds_of_account_sign_valid_envelopes() {
    for key in [ECDSA, NATIVE] {
        let chain = FakeChain::new();
        let wallet = wallet(&chain, key);
        let hash = send(&wallet).await.unwrap();
        let raw = chain.state.lock().submitted[0].clone();
        let tx = decode_and_recover(&raw, CHAIN_ID).unwrap();
        assert_eq!((tx.hash, tx.sender, tx.nonce), (hash, wallet.address(), 0));
        assert_eq!(keccak256(&raw), hash);
    }
}

#[tokio::test]
async fn fifty_tasks_get_consecutive_nonces() {
    let chain = FakeChain::new();
    let wallet = wallet(&chain, ECDSA);
    let sends = (0..50).map(|_| {
        let wallet = wallet.clone();
        tokio::spawn(async move { send(&wallet).await })
    });
    for sent in futures::future::join_all(sends).await {
        sent.unwrap().unwrap();
    }
    assert_eq!(nonces(&chain), (0..50).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_refused_transaction_leaves_no_gap() {
    let chain = FakeChain::new();
    let wallet = wallet(&chain, ECDSA);
    send(&wallet).await.unwrap();
    chain.state.lock().faults = vec![(false, refused("insufficient funds: account has nothing"))];
    assert!(send(&wallet).await.is_err());
    send(&wallet).await.unwrap();
    assert_eq!(nonces(&chain), vec![0, 1]);
}

#[tokio::test]
async fn a_nonce_used_elsewhere_is_learnt() {
    let chain = FakeChain::new();
    let (here, elsewhere) = (wallet(&chain, ECDSA), wallet(&chain, ECDSA));
    send(&here).await.unwrap();
    send(&elsewhere).await.unwrap();
    chain.state.lock().faults = vec![(false, refused("replayed transaction: nonce 1 is used, next is 2"))];
    send(&here).await.unwrap();
    assert_eq!(nonces(&chain), vec![0, 1, 2]);
}

#[tokio::test]
async fn a_lost_answer_does_not_send_twice() {
    let chain = FakeChain::new();
    let wallet = wallet(&chain, ECDSA);
    chain.state.lock().mines = true;
    chain.state.lock().faults = vec![(true, away()), (false, refused("nonce too low"))];
    let done = wallet.send_and_wait(Address::ZERO, U256::ZERO, Bytes::new(), LONG).await.unwrap();
    assert!(done.success);
    assert_eq!(nonces(&chain), vec![0]);
    send(&wallet).await.unwrap();
    assert_eq!(nonces(&chain), vec![0, 1]);
}

#[tokio::test]
async fn an_answer_lost_on_the_way_to_another_node_does_not_send_twice() {
    let chain = FakeChain::new();
    let wallet = wallet(&chain, ECDSA);
    chain.state.lock().mines = true;
    chain.state.lock().faults = vec![(true, refused("nonce too low"))];
    let done = wallet.send_and_wait(Address::ZERO, U256::ZERO, Bytes::new(), LONG).await.unwrap();
    assert!(done.success);
    assert_eq!(nonces(&chain), vec![0]);
}

#[tokio::test]
async fn a_reverted_transaction_says_why() {
    let chain = FakeChain::new();
    let wallet = wallet(&chain, NATIVE);
    let hash = send(&wallet).await.unwrap();
    let data = IMiners::StillHolding { account: Address::ZERO, used: 5 }.abi_encode();
    let reason = format!("0x{}", hex::encode(data));
    let raw = chain.state.lock().submitted[0].clone();
    chain.state.lock().outcomes.insert(hash, outcome(hash, 1, Some(&reason)));
    chain.state.lock().nonce = 0;
    chain.state.lock().submitted.clear();
    let again = Wallet::new(chain.clone(), Signer::parse(NATIVE).unwrap(), CHAIN_ID);
    let failed = again.send_and_wait(Address::repeat_byte(1), U256::from(1), Bytes::new(), LONG).await.unwrap_err();
    assert_eq!(chain.state.lock().submitted, vec![raw]);
    assert!(matches!(&failed, ChainError::Reverted { tx, .. } if *tx == hash));
    assert!(failed.to_string().ends_with("still holds 5 B"), "{failed}");
}

#[tokio::test]
async fn waiting_hands_in_again_and_ends_at_the_deadline() {
    let chain = FakeChain::new();
    let wallet = wallet(&chain, ECDSA).resubmitting_after(Duration::from_millis(10));
    let deadline = Duration::from_millis(200);
    let failed = wallet.send_and_wait(Address::ZERO, U256::ZERO, Bytes::new(), deadline).await.unwrap_err();
    assert!(matches!(failed, ChainError::NotFinal { millis: 200, .. }));
    assert_eq!(nonces(&chain), vec![0]);
    assert!(chain.state.lock().submissions > 4);
    assert_eq!(chain.status().await.unwrap().height, 0);
}

#[tokio::test]
async fn a_batch_is_one_transaction_of_a_native_account() {
    let call = |tag: u8| Call { to: Address::repeat_byte(tag), value: U256::from(tag), data: Bytes::new() };
    let calls: Vec<Call> = (1..=3).map(call).collect();
    let chain = FakeChain::new();
    chain.state.lock().mines = true;
    let native = wallet(&chain, NATIVE);
    native.send_batch_and_wait(calls.clone(), None, LONG).await.unwrap();
    native.send_batch_and_wait(calls[..1].to_vec(), Some(21_000), LONG).await.unwrap();
    let submitted = chain.state.lock().submitted.clone();
    let txs: Vec<_> = submitted.iter().map(|raw| decode_and_recover(raw, CHAIN_ID).unwrap()).collect();
    assert_eq!((txs[0].calls(), txs[0].nonce, txs[0].sender), (calls.as_slice(), 0, native.address()));
    assert!(txs[1].calls().is_empty(), "one call needs no batch");
    let refusal = |error: ChainError| error.to_string();
    let error = wallet(&chain, ECDSA).send_batch_and_wait(calls.clone(), None, LONG).await.unwrap_err();
    assert!(refusal(error).contains("native account"));
    let error = native.send_batch_and_wait(Vec::new(), None, LONG).await.unwrap_err();
    assert!(refusal(error).contains("1 to 1024"));
    assert_eq!(chain.state.lock().submitted.len(), 2);
}
