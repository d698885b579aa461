//! The light chain against a full node that tells the truth, and against one that lies in every way it can.

use super::{
    api::{self, Api},
    tests::{CHAIN, FEE, Fixture, SINK, genesis, native_key, node},
    *,
};
use crate::{
    client::{
        ChainClient, ChainError, ChainStatus, LightChain, RPC_PROTOCOL, RpcFailure, RpcTransport, TunnelTransport,
        TxOutcome,
        light::{ContentsPart, PART_MAX_BYTES},
    },
    codec,
    consensus::SignedHeader,
    crypto::native_address,
    kv::{Kv, MemoryKv},
    ledger::{
        abi::{IMiners, MINERS},
        contents::BlockContents,
        header::ExecutedHeader,
        native::NativeTx,
    },
    network::{MemoryHub, Network, PeerId, RequestHandler, peer_id_of},
    rpc::{RpcModule, call_raw, error},
    types::{
        Address, Amount, FileId, U256,
        params::{BLOCK_MAX_BYTES, TX_MAX_BYTES},
    },
};
use alloy_primitives::{Bloom, Bytes, TxKind, keccak256};
use alloy_rlp::Decodable;
use alloy_sol_types::SolCall;
use async_trait::async_trait;
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Registration of a miner and a payment, in one block.
const BUSY: Height = 3;
const SHORT: Duration = Duration::from_millis(50);

type Tamper = Box<dyn Fn(&str, &mut Value) + Send + Sync>;

/// A full node that may lie.
struct Host {
    fixture: Fixture,
    local: LocalChain,
    module: RpcModule<()>,
    registration: B256,
    payment: B256,
    tamper: Mutex<Tamper>,
}

impl Host {
    /// `blocks` of history, with something in block [`BUSY`].
    fn new(blocks: Height) -> Arc<Self> {
        let fixture = Fixture::new();
        let net: Arc<dyn Network> = MemoryHub::new(1).join(peer_id_of(&fixture.keys.network.public()).unwrap());
        let local = LocalChain::new(fixture.chain.clone(), net.clone(), mpsc::channel(8).0);
        let api = Api { chain: fixture.chain.clone(), client: Arc::new(local.clone()), net };
        let module = api::module(api).unwrap();
        let (registration, payment) = (registration(), fixture.ethereum(0, TxKind::Call(SINK), 9, vec![]));
        for height in 1..=blocks {
            if height == BUSY {
                fixture.chain.admit(&registration, true).unwrap();
                fixture.chain.admit(&payment, true).unwrap();
            }
            fixture.seal();
        }
        let (registration, payment) = (keccak256(&registration), keccak256(&payment));
        Arc::new(Self { fixture, local, module, registration, payment, tamper: Mutex::new(Box::new(|_, _| ())) })
    }

    fn light(self: &Arc<Self>) -> LightChain {
        self.light_with(Arc::new(MemoryKv::new()))
    }

    fn light_with(self: &Arc<Self>, kv: Arc<dyn Kv>) -> LightChain {
        LightChain::open(&node(), self.clone(), &genesis(&self.fixture.keys), kv, None).unwrap()
    }

    /// From now on the answers of `method` are changed.
    fn lie(&self, method: &'static str, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        *self.tamper.lock() = Box::new(move |asked, answer| {
            if asked == method {
                change(answer);
            }
        });
    }

    /// An honest answer.
    async fn truth(&self, method: &str, params: Value) -> Value {
        *self.tamper.lock() = Box::new(|_, _| ());
        self.answer(method, params).await.unwrap()
    }

    async fn answer(&self, method: &str, params: Value) -> Result<Value, RpcFailure> {
        let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let answer = call_raw(&self.module, question.as_bytes(), &[method]).await;
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        if let Some(error) = answer.get("error") {
            let code = i32::try_from(error["code"].as_i64().unwrap()).unwrap();
            return Err(RpcFailure { code, message: error["message"].as_str().unwrap().to_owned(), data: None });
        }
        let mut result = answer["result"].take();
        (*self.tamper.lock())(method, &mut result);
        Ok(result)
    }
}

#[async_trait]
impl RpcTransport for Host {
    async fn exchange(
        &self,
        method: &str,
        params: Value,
        _: Duration,
    ) -> Result<Result<Value, RpcFailure>, ChainError> {
        Ok(self.answer(method, params).await)
    }
}

fn registration() -> Vec<u8> {
    let key = native_key();
    let call = IMiners::registerCall {
        operator: native_address(&key.public()),
        networkKey: B256::repeat_byte(1),
        accountKey: key.public().0.into(),
        prefix: 0,
        capacity: 1 << 30,
        name: "attic".into(),
    };
    let tx = NativeTx {
        chain_id: CHAIN,
        nonce: 0,
        max_priority_fee: 1,
        max_fee: u64::try_from(FEE).unwrap(),
        gas_limit: 2_000_000,
        key: key.public(),
        to: MINERS,
        value: Amount::tokens(1).0,
        data: call.abi_encode().into(),
    };
    tx.sign(&key).to_vec()
}

fn bytes_in(value: &Value) -> Vec<u8> {
    serde_json::from_value::<Bytes>(value.clone()).unwrap().to_vec()
}

fn hex(bytes: impl Into<Bytes>) -> Value {
    json!(bytes.into())
}

#[tokio::test]
async fn a_light_chain_answers_as_the_full_one() {
    let host = Host::new(8);
    let (light, local) = (host.light(), &host.local);
    let status = light.status().await.unwrap();
    assert_eq!(status.height, 7, "block 8 certifies what was executed at 7");
    let executed = host.fixture.chain.blocks().executed(7).unwrap().unwrap();
    let expected = ChainStatus {
        height: 7,
        hash: executed.hash,
        beacon: executed.beacon,
        time_ms: executed.time_ms,
        ..local.status().await.unwrap()
    };
    assert_eq!(status, expected);
    for account in [SINK, MINERS, native_address(&native_key().public()), Address::repeat_byte(0x77)] {
        assert_eq!(light.balance(account).await.unwrap(), local.balance(account).await.unwrap(), "{account}");
        assert_eq!(light.nonce(account).await.unwrap(), local.nonce(account).await.unwrap());
    }
    assert_eq!(light.miners().await.unwrap(), local.miners().await.unwrap());
    assert_eq!(light.miners().await.unwrap()[0].name, "attic");
    let events = light.events(0, 7).await.unwrap();
    assert_eq!(events, local.events(0, 7).await.unwrap());
    assert_eq!((events.len(), events[0].height, events[0].events[0].0), (1, BUSY, host.registration));
    for tx in [host.registration, host.payment, B256::ZERO] {
        assert_eq!(light.outcome(tx).await.unwrap(), local.outcome(tx).await.unwrap());
    }
    for height in 0..10 {
        let known = local.beacon(height).await.unwrap().filter(|_| height <= 7);
        assert_eq!(light.beacon(height).await.unwrap(), known, "{height}");
    }
    let next = host.fixture.chain.blocks().executed(8).unwrap().unwrap();
    assert_eq!(light.base_fee().await.unwrap(), next.base_fee());
    assert_eq!(light.file(FileId([1; 32])).await.unwrap(), None);
    assert_eq!(light.manifest(FileId([1; 32])).await.unwrap(), None);
    assert_eq!(light.files_of(SINK, 0, 10).await.unwrap(), []);
    let unknown = light.call(MINERS, IMiners::getCall { account: SINK }.abi_encode().into()).await.unwrap_err();
    assert!(matches!(unknown, ChainError::Refused { code: error::REVERTED, .. }), "{unknown}");
    let early = light.events(1, 8).await.unwrap_err();
    assert!(matches!(&early, ChainError::Refused { code: error::UNAVAILABLE, message } if message.contains("block 8")));
}

#[tokio::test]
async fn waiting_ends_with_a_certified_block_or_the_deadline() {
    let host = Host::new(1);
    let light = host.light();
    assert_eq!(light.wait_above(0, SHORT).await.unwrap().height, 0, "nothing certifies block 1");
    assert_eq!(light.balance(SINK).await.unwrap(), U256::ZERO, "genesis is certified by block 1");
    let waiter = async { light.wait_above(0, Duration::from_secs(20)).await.unwrap().height };
    let sealer = async { host.fixture.seal() };
    assert_eq!(tokio::join!(waiter, sealer).0, 1);
}

#[tokio::test]
async fn eras_pass_and_a_restart_continues() {
    let host = Host::new(130);
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
    let light = host.light_with(kv.clone());
    assert_eq!(light.status().await.unwrap().height, 129);
    assert_eq!(light.client().certificates(), 1 + 2 + 2, "the first block, two changes of eras, two headers");
    assert_eq!(light.events(1, 129).await.unwrap(), host.local.events(1, 129).await.unwrap());
    let again = host.light_with(kv.clone());
    assert_eq!(again.status().await.unwrap().height, 129);
    assert_eq!(again.client().root(), Some(2));
    assert_eq!(again.client().certificates(), 2, "two headers");
    // A host that has less than what is trusted already is not followed back.
    let behind = Host::new(20);
    let stale = behind.light_with(kv).status().await.unwrap_err();
    assert!(stale.to_string().contains("header of height 20 is stale, height 130 is trusted"), "{stale}");
}

async fn refusal<T>(answer: impl Future<Output = Result<T, ChainError>>) -> String {
    match answer.await {
        Err(error @ (ChainError::Untrusted(_) | ChainError::Unreachable(_))) => error.to_string(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("a lie was believed"),
    }
}

#[tokio::test]
async fn lies_about_headers_are_named() {
    let host = Host::new(9);
    let told = |host: Arc<Host>| async move { refusal(host.light().status()).await };

    host.lie("cess_signedHeader", |answer| {
        let mut signed: SignedHeader = codec::decode(&bytes_in(answer)).unwrap();
        signed.header.executed.hash = B256::repeat_byte(6);
        *answer = hex(codec::encode(&signed));
    });
    let why = told(host.clone()).await;
    assert!(why.contains("came with a certificate for block"), "{why}");

    let old = host.truth("cess_signedHeader", json!([2])).await;
    host.lie("cess_signedHeader", move |answer| *answer = old.clone());
    let why = told(host.clone()).await;
    assert!(why.contains("header of height 2 was presented as that of height 1"), "{why}");

    host.lie("cess_executedHeader", |answer| {
        let mut header = ExecutedHeader::decode(&mut &bytes_in(answer)[..]).unwrap();
        header.state_root = B256::repeat_byte(7);
        *answer = hex(alloy_rlp::encode(&header));
    });
    let why = told(host.clone()).await;
    assert!(why.contains("executed header of height 8 has hash"), "{why}");

    host.lie("cess_status", |answer| answer["height"] = json!(1_000));
    let why = told(host.clone()).await;
    assert!(why.contains("no change of eras") || why.contains("no certified header"), "{why}");

    host.lie("cess_status", |answer| answer["genesis"] = json!(B256::repeat_byte(1)));
    let why = told(host.clone()).await;
    assert!(why.contains("follows the chain with genesis"), "{why}");
}

#[tokio::test]
async fn lies_about_state_are_named() {
    let host = Host::new(9);
    let light = host.light();
    let rich = host.local.balance(SINK).await.unwrap();
    assert_eq!(light.balance(SINK).await.unwrap(), rich);

    // The balance, wherever it stands in the proof.
    host.lie("cess_proveCall", move |answer| {
        let (mut witness, found) = (bytes_in(answer), rich.to_be_bytes::<32>());
        let at =
            (0..witness.len() - 32).find(|at| witness[*at..*at + 32] == found).expect("the balance is in the proof");
        witness[at + 31] ^= 1;
        *answer = hex(witness);
    });
    let why = refusal(light.balance(SINK)).await;
    assert!(why.contains("a proof of state at height 8 is false") && why.contains("account 0x5555"), "{why}");

    // An honest proof of something else.
    let other = host.truth("cess_proveCall", json!([{"from": SINK, "to": SINK}, 8])).await;
    host.lie("cess_proveCall", move |answer| *answer = other.clone());
    let why = refusal(light.miners()).await;
    assert!(why.contains("incomplete") && why.contains("is not in the witness"), "{why}");

    // An honest proof of an older state.
    let before = host.truth("cess_proveCall", json!([{"from": SINK, "to": Address::ZERO}, 2])).await;
    host.lie("cess_proveCall", move |answer| *answer = before.clone());
    let why = refusal(light.balance(SINK)).await;
    assert!(why.contains("does not lead to the state root"), "{why}");

    host.lie("cess_proveCall", |answer| *answer = json!("0x0102"));
    let why = refusal(light.balance(SINK)).await;
    assert!(why.contains("nonsense"), "{why}");
}

#[tokio::test]
async fn lies_about_receipts_are_named() {
    let host = Host::new(9);
    let light = host.light();
    let contents = |change: fn(&mut Vec<Vec<u8>>, &mut Vec<crate::ledger::executor::Receipt>)| {
        let blocks = host.fixture.chain.blocks();
        let mut txs = blocks.block(BUSY).unwrap().unwrap().txs;
        let mut receipts = blocks.receipts(BUSY).unwrap();
        assert_eq!((txs.len(), receipts.len()), (2, 2));
        change(&mut txs, &mut receipts);
        let part: Bytes = codec::encode(&BlockContents::new(txs, &receipts)).into();
        let answer = json!(ContentsPart { total: part.len(), part });
        host.lie("cess_proveReceipts", move |given| *given = answer.clone());
    };

    contents(|_, receipts| receipts.iter_mut().for_each(|receipt| receipt.logs.clear()));
    let why = refusal(light.events(1, 8)).await;
    assert!(why.contains("the receipts given for block 3 have root"), "{why}");

    contents(|txs, receipts| {
        txs.pop();
        receipts.pop();
    });
    let why = refusal(light.events(1, 8)).await;
    assert!(why.contains("the transactions given for block 3 have root"), "{why}");

    host.lie("cess_proveReceipts", |given| given["total"] = json!(1u64 << 40));
    let why = refusal(light.events(1, 8)).await;
    assert!(why.contains("the limit is"), "{why}");

    host.lie("cess_proveReceipts", |given| given["part"] = hex(bytes_in(&given["part"])[..1].to_vec()));
    let why = refusal(light.events(1, 8)).await;
    assert!(why.contains("1 B at 0 of a block's contents"), "{why}");

    // A bloom that hides the block's events.
    host.lie("cess_executedHeaders", |answer| {
        let mut header = ExecutedHeader::decode(&mut &bytes_in(&answer[2])[..]).unwrap();
        assert_eq!(header.number, BUSY);
        header.logs_bloom = Bloom::ZERO;
        answer[2] = hex(alloy_rlp::encode(&header));
    });
    let why = refusal(host.light().events(1, 8)).await;
    assert!(why.contains("executed header of height 3 has hash"), "{why}");

    let claimed = |change: fn(&mut TxOutcome)| {
        host.lie("cess_outcome", move |answer| {
            let mut outcome: TxOutcome = serde_json::from_value(answer.clone()).unwrap();
            change(&mut outcome);
            *answer = json!(outcome);
        });
    };
    claimed(|outcome| outcome.height = 5);
    let why = refusal(light.outcome(host.payment)).await;
    assert!(why.contains("in block 5, which does not hold it"), "{why}");
    claimed(|outcome| (outcome.success, outcome.gas_used) = (false, 1));
    let outcome = light.outcome(host.payment).await.unwrap().unwrap();
    assert!(outcome.success && outcome.gas_used == 21_000, "what is proven does not come from the claim");
}

/// A transaction that carries `len` zero bytes.
fn heavy(nonce: u64, len: usize) -> Vec<u8> {
    let key = native_key();
    let tx = NativeTx {
        chain_id: CHAIN,
        nonce,
        max_priority_fee: 1,
        max_fee: u64::try_from(FEE).unwrap(),
        gas_limit: 30_000_000,
        key: key.public(),
        to: SINK,
        value: U256::ZERO,
        data: vec![0; len].into(),
    };
    tx.sign(&key).to_vec()
}

#[tokio::test]
async fn a_full_block_comes_in_several_parts() {
    let host = Host::new(2);
    let mut txs: Vec<Vec<u8>> = (0..2).map(|nonce| heavy(nonce, TX_MAX_BYTES - 1_024)).collect();
    let room = BLOCK_MAX_BYTES - txs.iter().map(Vec::len).sum::<usize>() - heavy(2, 0).len();
    txs.push(heavy(2, room - 16));
    for tx in &txs {
        host.fixture.chain.admit(tx, true).unwrap();
    }
    host.fixture.seal();
    host.fixture.seal();
    let first: ContentsPart = serde_json::from_value(host.truth("cess_proveReceipts", json!([3])).await).unwrap();
    assert!(first.part.len() == PART_MAX_BYTES && first.total > PART_MAX_BYTES, "{} B", first.total);
    let light = host.light();
    for tx in txs.iter().map(keccak256) {
        let outcome = light.outcome(tx).await.unwrap();
        assert!(outcome.is_some() && outcome == host.local.outcome(tx).await.unwrap());
    }
}

/// The host behind a tunnel.
struct Tunnelled(Arc<Host>);

#[async_trait]
impl RequestHandler for Tunnelled {
    async fn handle(&self, _: PeerId, body: bytes::Bytes) -> Result<bytes::Bytes, String> {
        let question: Value = serde_json::from_slice(&body).unwrap();
        let method = question["method"].as_str().unwrap().to_owned();
        let answer = match self.0.answer(&method, question["params"].clone()).await {
            Ok(result) => json!({"jsonrpc": "2.0", "id": 1, "result": result}),
            Err(e) => json!({"jsonrpc": "2.0", "id": 1, "error": {"code": e.code, "message": e.message}}),
        };
        Ok(answer.to_string().into_bytes().into())
    }
}

#[tokio::test]
async fn a_liar_is_passed_over_for_an_honest_node() {
    let (liar, honest) = (Host::new(9), Host::new(9));
    liar.lie("cess_proveCall", |answer| *answer = json!("0x01"));
    let hub = MemoryHub::new(1);
    let peers: Vec<PeerId> = (0..2).map(|_| PeerId::random()).collect();
    for (peer, host) in peers.iter().zip([&liar, &honest]) {
        hub.join(*peer).serve(RPC_PROTOCOL, Arc::new(Tunnelled(host.clone())));
    }
    let tunnel = Arc::new(TunnelTransport::new(hub.join(PeerId::random()), peers.clone()));
    let keys = &honest.fixture.keys;
    let light = LightChain::open(&node(), tunnel.clone(), &genesis(keys), Arc::new(MemoryKv::new()), None).unwrap();
    assert_eq!(light.balance(SINK).await.unwrap(), honest.local.balance(SINK).await.unwrap());
    let (_, by) = tunnel.exchange_with("cess_status", json!([]), Duration::ZERO).await.unwrap();
    assert_eq!(by, Some(peers[1]), "the liar is asked last");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever byte of a proof is changed: it is refused, or the balance is the true one.
    #[test]
    fn no_flipped_bit_of_a_proof_is_believed(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let host = Host::new(5);
            let light = host.light();
            host.lie("cess_proveCall", move |answer| {
                let mut witness = bytes_in(answer);
                let at = at.index(witness.len());
                witness[at] ^= 1 << bit;
                *answer = hex(witness);
            });
            if let Ok(balance) = light.balance(SINK).await {
                assert_eq!(balance, host.local.balance(SINK).await.unwrap());
            }
        });
    }
}
