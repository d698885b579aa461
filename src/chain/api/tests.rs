//! Shapes and refusals of the methods, against a one-validator chain.

use super::*;
use crate::{
    chain::{
        mempool::TOPIC_TX,
        tests::{CHAIN, FEE, Fixture, SINK, START_MS, ethereum_key, native_key},
    },
    crypto::native_address,
    network::{MemoryHub, peer_id_of},
    rpc::call_raw,
    types::U256,
};
use alloy_consensus::TxEnvelope;
use alloy_primitives::{B256, TxKind, keccak256};
use alloy_rpc_types_eth::{Block, FeeHistory, Log, Transaction, TransactionReceipt};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::sync::mpsc;

mod execution;
mod ranges;

/// Init code that logs one topic and creates an empty contract.
fn logging(topic: B256) -> Vec<u8> {
    [&[0x7f][..], topic.as_slice(), &[0x60, 0, 0x60, 0, 0xa1, 0x00]].concat()
}

/// Init code that reverts with 32 zero bytes.
const REVERTING: [u8; 5] = [0x60, 32, 0x60, 0, 0xfd];

struct Served {
    fixture: Fixture,
    module: RpcModule<()>,
    outbox: mpsc::Receiver<bytes::Bytes>,
}

impl Served {
    fn new() -> Self {
        let fixture = Fixture::new();
        let net: Arc<dyn Network> = MemoryHub::new(1).join(peer_id_of(&fixture.keys.network.public()).unwrap());
        let (sender, outbox) = mpsc::channel(8);
        let client = Arc::new(LocalChain::new(fixture.chain.clone(), net.clone(), sender));
        let module = module(Api { chain: fixture.chain.clone(), client, net }).unwrap();
        Self { fixture, module, outbox }
    }

    async fn ask(&self, method: &'static str, params: Value) -> Result<Value, Value> {
        let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let answer = call_raw(&self.module, question.as_bytes(), &[method]).await;
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        match answer.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(answer["result"].take()),
        }
    }

    async fn get(&self, method: &'static str, params: Value) -> Value {
        self.ask(method, params).await.unwrap()
    }

    async fn refusal(&self, method: &'static str, params: Value) -> (i64, String) {
        let error = self.ask(method, params).await.unwrap_err();
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
    }

    async fn submit(&self, raw: &[u8]) -> B256 {
        let hash = self.get("eth_sendRawTransaction", json!([hex_of(raw)])).await;
        serde_json::from_value(hash).unwrap()
    }
}

fn hex_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[tokio::test]
async fn the_document_lists_exactly_what_is_registered() {
    /// What the roles of a node add.
    const BY_ROLES: [&str; 4] = ["cess_faucet", "cess_gateways", "cess_node", "cess_tee"];
    let served = Served::new();
    let full: BTreeSet<&str> = served.module.method_names().collect();
    openrpc::tests::check_golden(&full);
    let developers = super::anvil::tests::method_names();
    openrpc::tests::check_covers(&full.iter().copied().chain(developers).chain(BY_ROLES).collect());
    let document = served.get("rpc.discover", json!([])).await;
    assert_eq!(document, served.get("rpc_discover", json!([])).await);
    let listed = document["methods"].as_array().unwrap().iter().map(|method| method["name"].as_str().unwrap());
    assert_eq!(listed.collect::<BTreeSet<_>>(), full);
}

#[tokio::test]
async fn values_of_many_slots_and_what_the_chain_says_of_itself() {
    let served = Served::new();
    let (zero, one) = (B256::ZERO, B256::with_last_byte(1));
    let values = served.get("eth_getStorageValues", json!([{ SINK.to_string(): [zero, one] }, "latest"])).await;
    assert_eq!(values, json!({ format!("{SINK:#x}"): [zero, zero] }));
    assert_eq!(served.refusal("eth_getStorageValues", json!([{}, "latest"])).await.0, -32602);
    let many = vec![zero; 1_025];
    assert_eq!(served.refusal("eth_getStorageValues", json!([{ SINK.to_string(): many }])).await.0, -32602);
    let config = served.get("eth_config", json!([])).await;
    assert_eq!((&config["current"]["chainId"], &config["next"]), (&json!("0x2c44"), &Value::Null));
    assert_eq!(config["current"]["precompiles"].as_object().unwrap().len(), 18);
    let capabilities = served.get("eth_capabilities", json!([])).await;
    assert_eq!(capabilities["head"]["number"], "0x0");
    assert_eq!(capabilities["state"], json!({"disabled": false, "oldestBlock": "0x0"}));
}

#[tokio::test]
async fn what_waits_is_pending_up_to_the_first_gap() {
    let served = Served::new();
    let account = ethereum_key().address();
    for nonce in [0, 1, 3] {
        served.submit(&served.fixture.ethereum(nonce, TxKind::Call(SINK), 5, vec![])).await;
    }
    assert_eq!(served.get("txpool_status", json!([])).await, json!({"pending": "0x2", "queued": "0x1"}));
    let content = served.get("txpool_contentFrom", json!([account])).await;
    assert_eq!(content["pending"]["1"]["nonce"], "0x1");
    assert_eq!(content["queued"]["3"]["blockHash"], Value::Null);
    assert_eq!(content["queued"]["3"].get("blockTimestamp"), Some(&Value::Null));
    let all = served.get("txpool_content", json!([])).await;
    assert_eq!(all["pending"][account.to_string()], content["pending"]);
    let lines = served.get("txpool_inspect", json!([])).await;
    let line = lines["queued"][account.to_string()]["3"].as_str().unwrap();
    assert!(line.starts_with(&format!("{SINK}: 5 wei + ")), "{line}");
}

#[tokio::test]
async fn identity_and_accounts() {
    let served = Served::new();
    let account = ethereum_key().address();
    assert_eq!(served.get("eth_chainId", json!([])).await, "0x2c44");
    assert_eq!(served.get("net_version", json!([])).await, "11332");
    assert_eq!(served.get("eth_blockNumber", json!([])).await, "0x0");
    assert_eq!(served.get("net_listening", json!([])).await, true);
    assert_eq!(served.get("net_peerCount", json!([])).await, "0x0");
    assert_eq!(served.get("eth_accounts", json!([])).await, json!([]));
    let version = served.get("web3_clientVersion", json!([])).await;
    assert!(version.as_str().unwrap().starts_with("cess/"));
    assert_eq!(served.get("web3_sha3", json!(["0x01"])).await, json!(keccak256([1])));
    assert_eq!(served.get("eth_getBalance", json!([account, "latest"])).await, "0x3635c9adc5dea00000");
    assert_eq!(served.get("eth_getBalance", json!([SINK])).await, "0x0");
    assert_eq!(served.get("eth_getTransactionCount", json!([account, "pending"])).await, "0x0");
    assert_eq!(served.get("eth_getCode", json!([account, "safe"])).await, "0x");
    assert_ne!(served.get("eth_getCode", json!([crate::ledger::abi::FILES, "latest"])).await, "0x");
    let word = served.get("eth_getStorageAt", json!([account, "0x0", "finalized"])).await;
    assert_eq!(word, json!(B256::ZERO));
}

#[tokio::test]
async fn a_transaction_from_submission_to_receipt() {
    let mut served = Served::new();
    let raw = served.fixture.ethereum(0, TxKind::Call(SINK), 9, vec![]);
    let hash = served.submit(&raw).await;
    assert_eq!(served.outbox.recv().await.unwrap(), raw, "it is handed to {TOPIC_TX:?}");
    assert_eq!(served.submit(&raw).await, hash, "again is fine");
    let waiting = served.get("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!((&waiting["blockHash"], &waiting["nonce"]), (&Value::Null, &json!("0x0")));
    assert_eq!(served.get("eth_getTransactionReceipt", json!([hash])).await, Value::Null);
    assert_eq!(served.get("cess_outcome", json!([hash])).await, Value::Null);
    let account = ethereum_key().address();
    assert_eq!(served.get("eth_getTransactionCount", json!([account, "pending"])).await, "0x1");
    assert_eq!(served.get("eth_getTransactionCount", json!([account, "latest"])).await, "0x0");
    let head = served.fixture.seal();
    let receipt = served.get("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(
        (&receipt["status"], &receipt["type"], &receipt["gasUsed"]),
        (&json!("0x1"), &json!("0x2"), &json!("0x5208"))
    );
    let receipt: TransactionReceipt = serde_json::from_value(receipt).unwrap();
    assert_eq!((receipt.block_hash, receipt.block_number), (Some(head.executed.hash), Some(1)));
    assert_eq!((receipt.from, receipt.to), (account, Some(SINK)));
    let mined: Transaction<TxEnvelope> =
        serde_json::from_value(served.get("eth_getTransactionByHash", json!([hash])).await).unwrap();
    assert_eq!((*mined.inner.tx_hash(), mined.inner.signer()), (hash, account));
    let outcome = served.get("cess_outcome", json!([hash])).await;
    assert_eq!((&outcome["height"], &outcome["success"]), (&json!(1), &json!(true)));
    let (code, message) = served
        .refusal("eth_sendRawTransaction", json!([hex_of(&served.fixture.ethereum(0, TxKind::Call(SINK), 8, vec![]))]))
        .await;
    assert_eq!((code, message.as_str()), (-32003, "replayed transaction: nonce 0 is used, next is 1"));
}

#[tokio::test]
async fn blocks_in_both_forms_by_number_hash_and_tag() {
    let served = Served::new();
    let ethereum = served.submit(&served.fixture.ethereum(0, TxKind::Call(SINK), 1, vec![])).await;
    let native = served.submit(&served.fixture.native(0, 1)).await;
    let head = served.fixture.seal();
    let hash = head.executed.hash;
    let block = served.get("eth_getBlockByNumber", json!(["0x1", false])).await;
    assert_eq!(served.get("eth_getBlockByHash", json!([hash, false])).await, block);
    for tag in ["latest", "safe", "finalized", "pending"] {
        assert_eq!(served.get("eth_getBlockByNumber", json!([tag, false])).await, block);
    }
    let parsed: Block = serde_json::from_value(block).unwrap();
    assert_eq!((parsed.header.hash, parsed.header.inner.hash_slow()), (hash, hash));
    assert_eq!(parsed.transactions.hashes().collect::<Vec<_>>(), [native, ethereum], "the better tip goes first");
    let full = served.get("eth_getBlockByNumber", json!(["latest", true])).await;
    let txs = full["transactions"].as_array().unwrap();
    assert_eq!((&txs[0]["type"], &txs[0]["r"], &txs[0]["value"]), (&json!("0x6c"), &json!("0x0"), &json!("0x1")));
    assert_eq!(txs[0]["from"], json!(native_address(&native_key().public())));
    assert_eq!(
        (&txs[1]["type"], &txs[1]["hash"], &txs[1]["transactionIndex"]),
        (&json!("0x2"), &json!(ethereum), &json!("0x1"))
    );
    assert_eq!(served.get("eth_getTransactionByHash", json!([native])).await, txs[0]);
    let receipts = served.get("eth_getBlockReceipts", json!([{"blockHash": hash}])).await;
    assert_eq!((receipts.as_array().unwrap().len(), &receipts[0]["type"]), (2, &json!("0x6c")));
    assert_eq!(served.get("eth_getBlockTransactionCountByNumber", json!(["0x1"])).await, "0x2");
    assert_eq!(served.get("eth_getBlockByNumber", json!(["0x2", false])).await, Value::Null);
    assert_eq!(served.get("eth_getBlockByHash", json!([B256::ZERO, true])).await, Value::Null);
    let genesis: Block =
        serde_json::from_value(served.get("eth_getBlockByNumber", json!(["earliest", true])).await).unwrap();
    assert_eq!(genesis.header.hash, served.fixture.chain.spec().genesis);
}

#[tokio::test]
async fn state_is_read_at_any_block_that_is_kept() {
    let served = Served::new();
    served.submit(&served.fixture.ethereum(0, TxKind::Call(SINK), 9, vec![])).await;
    let old = served.fixture.seal().executed.hash;
    served.submit(&served.fixture.ethereum(1, TxKind::Call(SINK), 1, vec![])).await;
    let new = served.fixture.seal().executed.hash;
    for (block, balance, nonce) in [
        (json!("earliest"), "0x0", "0x0"),
        (json!("0x1"), "0x9", "0x1"),
        (json!(old), "0x9", "0x1"),
        (json!({"blockHash": old, "requireCanonical": true}), "0x9", "0x1"),
        (json!({"blockNumber": "0x2"}), "0xa", "0x2"),
        (json!({"blockHash": new}), "0xa", "0x2"),
        (json!("latest"), "0xa", "0x2"),
    ] {
        assert_eq!(served.get("eth_getBalance", json!([SINK, block])).await, balance, "{block}");
        let account = ethereum_key().address();
        assert_eq!(served.get("eth_getTransactionCount", json!([account, block])).await, nonce, "{block}");
    }
    assert_eq!(served.get("eth_getBalance", json!([SINK])).await, "0xa");
    let (code, message) = served.refusal("eth_getBalance", json!([SINK, "0x9"])).await;
    assert!(code == -32000 && message.starts_with("header not found") && message.contains("0x9"), "{code} {message}");
    assert_eq!(served.refusal("eth_getBalance", json!([SINK, "lately"])).await.0, -32602);
    assert_eq!(served.refusal("eth_getBalance", json!([])).await.0, -32602);
    assert_eq!(served.refusal("eth_getBalance", json!(["0x12"])).await.0, -32602);
    assert_eq!(served.refusal("eth_notThere", json!([])).await.0, -32601);
}

#[tokio::test]
async fn states_that_are_no_longer_kept_are_named() {
    let served = Served::new();
    for _ in 0..70 {
        served.fixture.seal();
    }
    let (code, message) = served.refusal("eth_getBalance", json!([SINK, "0x1"])).await;
    assert_eq!(code, 4444);
    assert_eq!(message, "state of block 1 is not kept, the oldest one kept is that of block 7");
    assert_eq!(served.get("eth_getBalance", json!([SINK, "0x7"])).await, "0x0");
}

#[tokio::test]
async fn storage_keys_in_every_form() {
    let served = Served::new();
    let account = crate::ledger::abi::STAKING;
    let whole = served.get("eth_getStorageAt", json!([account, B256::ZERO, "latest"])).await;
    for key in ["0x0", "0x", "0x00", "0x000"] {
        assert_eq!(served.get("eth_getStorageAt", json!([account, key, "latest"])).await, whole, "{key}");
    }
    let long = format!("0x{}", "0".repeat(65));
    let (code, message) = served.refusal("eth_getStorageAt", json!([account, long])).await;
    assert!(code == -32602 && message.contains("too long, want at most 32 bytes"), "{code} {message}");
    assert_eq!(served.refusal("eth_getStorageAt", json!([account, "0xasdf"])).await.0, -32602);
}

#[tokio::test]
async fn proofs_verify_against_the_header() {
    use alloy_trie::{Nibbles, TrieAccount, proof::verify_proof};
    let served = Served::new();
    served.submit(&served.fixture.ethereum(0, TxKind::Call(SINK), 9, vec![])).await;
    let head = served.fixture.seal();
    served.fixture.seal();
    let root = head.executed.header.state_root;
    for account in [SINK, crate::ledger::abi::STAKING, alloy_primitives::Address::repeat_byte(0x99)] {
        let proof = served.get("eth_getProof", json!([account, ["0x0", B256::ZERO], "0x1"])).await;
        let leaf = TrieAccount {
            nonce: u64::from_str_radix(proof["nonce"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap(),
            balance: serde_json::from_value(proof["balance"].clone()).unwrap(),
            storage_root: serde_json::from_value(proof["storageHash"].clone()).unwrap(),
            code_hash: serde_json::from_value(proof["codeHash"].clone()).unwrap(),
        };
        let absent = leaf == TrieAccount::default();
        let nodes: Vec<alloy_primitives::Bytes> = serde_json::from_value(proof["accountProof"].clone()).unwrap();
        let expected = (!absent).then(|| alloy_rlp::encode(leaf));
        verify_proof(root, Nibbles::unpack(keccak256(account)), expected, &nodes).unwrap();
        let slots = proof["storageProof"].as_array().unwrap();
        assert_eq!((&slots[0]["key"], &slots[1]["key"]), (&json!("0x0"), &json!(B256::ZERO)));
        assert_eq!(slots[0]["value"], slots[1]["value"]);
    }
    let many: Vec<String> = (0..1_025).map(|slot| format!("{slot:#x}")).collect();
    assert_eq!(served.refusal("eth_getProof", json!([SINK, many, "latest"])).await.0, -32602);
}

#[tokio::test]
async fn transactions_by_place_and_as_they_were_signed() {
    let served = Served::new();
    let raw = served.fixture.ethereum(0, TxKind::Call(SINK), 9, vec![]);
    let hash = served.submit(&raw).await;
    assert_eq!(served.get("eth_getRawTransactionByHash", json!([hash])).await, hex_of(&raw), "while it waits");
    let block = served.fixture.seal().executed.hash;
    let shown = served.get("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(served.get("eth_getTransactionByBlockHashAndIndex", json!([block, "0x0"])).await, shown);
    assert_eq!(served.get("eth_getTransactionByBlockNumberAndIndex", json!(["latest", "0x0"])).await, shown);
    assert_eq!(served.get("eth_getTransactionByBlockNumberAndIndex", json!(["latest", "0x1"])).await, Value::Null);
    assert_eq!(served.get("eth_getRawTransactionByBlockHashAndIndex", json!([block, "0x0"])).await, hex_of(&raw));
    assert_eq!(served.get("eth_getUncleCountByBlockNumber", json!(["0x1"])).await, "0x0");
    assert_eq!(served.get("eth_getUncleByBlockNumberAndIndex", json!(["0x1", "0x0"])).await, Value::Null);
    assert_eq!(served.get("eth_getHeaderByNumber", json!(["0x1"])).await["hash"], json!(block));
    assert_eq!(served.get("eth_blobBaseFee", json!([])).await, "0x1");
}

#[tokio::test]
async fn filters_tell_what_is_new_once() {
    let served = Served::new();
    let topic = B256::repeat_byte(9);
    let logs = served.get("eth_newFilter", json!([{"topics": [topic]}])).await;
    let blocks = served.get("eth_newBlockFilter", json!([])).await;
    let pending = served.get("eth_newPendingTransactionFilter", json!([])).await;
    assert_eq!(served.get("eth_getFilterChanges", json!([blocks])).await, json!([]));
    let hash = served.submit(&served.fixture.ethereum(0, TxKind::Create, 0, logging(topic))).await;
    assert_eq!(served.get("eth_getFilterChanges", json!([pending])).await, json!([hash]));
    assert_eq!(served.get("eth_getFilterChanges", json!([pending])).await, json!([]));
    let head = served.fixture.seal().executed.hash;
    assert_eq!(served.get("eth_getFilterChanges", json!([blocks])).await, json!([head]));
    let found = served.get("eth_getFilterChanges", json!([logs])).await;
    assert_eq!((found.as_array().unwrap().len(), &found[0]["blockHash"]), (1, &json!(head)));
    assert_eq!(served.get("eth_getFilterChanges", json!([logs])).await, json!([]));
    assert_eq!(served.get("eth_getFilterLogs", json!([logs])).await, found);
    assert_eq!(served.refusal("eth_getFilterLogs", json!([blocks])).await.0, -32000);
    assert_eq!(served.get("eth_uninstallFilter", json!([logs])).await, true);
    assert_eq!(served.get("eth_uninstallFilter", json!([logs])).await, false);
    let (code, message) = served.refusal("eth_getFilterChanges", json!([logs])).await;
    assert!(code == -32000 && message.starts_with("filter not found"), "{code} {message}");
}

#[tokio::test]
async fn calls_and_estimates() {
    let served = Served::new();
    let from = ethereum_key().address();
    let transfer = json!({"from": from, "to": SINK, "value": "0x1"});
    assert_eq!(served.get("eth_estimateGas", json!([transfer])).await, "0x5208");
    assert_eq!(served.get("eth_call", json!([transfer, "latest"])).await, "0x");
    let creation = json!({"from": from, "input": hex_of(&logging(B256::repeat_byte(1)))});
    let gas = served.get("eth_estimateGas", json!([creation])).await;
    let gas = u64::from_str_radix(gas.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    assert!((53_000..60_000).contains(&gas), "{gas}");
    let revert =
        served.ask("eth_call", json!([{"from": from, "data": hex_of(&REVERTING)}, "latest"])).await.unwrap_err();
    assert_eq!((&revert["code"], &revert["data"]), (&json!(3), &json!(B256::ZERO)));
    assert_eq!(served.refusal("eth_estimateGas", json!([{"data": hex_of(&REVERTING)}])).await.0, 3);
    let (code, message) = served.refusal("eth_call", json!([{"data": "0xfe"}])).await;
    assert_eq!((code, message.as_str()), (-32000, "invalid opcode: INVALID"));
    let empty = served.refusal("eth_estimateGas", json!([{"from": SINK, "to": from, "value": "0x1"}])).await;
    assert_eq!(empty.0, -32000);
    let words = format!("insufficient funds for gas * price + value: address {SINK} have 0 want 1");
    assert!(empty.1.ends_with(&words), "{}", empty.1);
}

#[tokio::test]
async fn logs_are_found_by_address_topic_and_range() {
    let served = Served::new();
    let (one, two) = (B256::repeat_byte(1), B256::repeat_byte(2));
    served.submit(&served.fixture.ethereum(0, TxKind::Create, 0, logging(one))).await;
    served.fixture.seal();
    served.submit(&served.fixture.ethereum(1, TxKind::Create, 0, logging(two))).await;
    let hash = served.fixture.seal().executed.hash;
    let find = async |filter: Value| -> Vec<Log> {
        serde_json::from_value(served.get("eth_getLogs", json!([filter])).await).unwrap()
    };
    let all = find(json!({"fromBlock": "earliest", "toBlock": "latest"})).await;
    assert_eq!(all.iter().map(|log| log.topics()[0]).collect::<Vec<_>>(), [one, two]);
    assert_eq!((all[1].block_hash, all[1].log_index, all[1].transaction_index), (Some(hash), Some(0), Some(0)));
    assert_eq!(find(json!({"fromBlock": "0x0", "topics": [[two, B256::ZERO]]})).await, [all[1].clone()]);
    assert_eq!(find(json!({"fromBlock": "0x0", "address": all[0].address()})).await, [all[0].clone()]);
    assert_eq!(find(json!({"blockHash": hash})).await, [all[1].clone()]);
    assert!(find(json!({"fromBlock": "0x0", "topics": [null, two]})).await.is_empty());
    let beyond = served.refusal("eth_getLogs", json!([{"fromBlock": "0x5", "toBlock": "0x9"}])).await;
    assert!(beyond.0 == -32602 && beyond.1.starts_with("block range extends beyond current head block"), "{beyond:?}");
    let reversed = served.refusal("eth_getLogs", json!([{"fromBlock": "0x2", "toBlock": "0x1"}])).await;
    assert!(reversed.0 == -32602 && reversed.1.starts_with("invalid block range params"), "{reversed:?}");
    assert_eq!(served.refusal("eth_getLogs", json!([{"blockHash": B256::ZERO}])).await.0, -32000);
    assert_eq!(served.refusal("eth_getLogs", json!([{"blockHash": hash, "fromBlock": "0x1"}])).await.0, -32602);
    let wide = vec![one; 1_001].into_iter().enumerate().map(|(i, _)| B256::from(U256::from(i))).collect::<Vec<_>>();
    assert_eq!(served.refusal("eth_getLogs", json!([{"topics": [wide]}])).await.0, -32005);
}

#[tokio::test]
async fn blocks_tell_what_they_touched() {
    let served = Served::new();
    served.submit(&served.fixture.ethereum(0, TxKind::Call(SINK), 5, vec![])).await;
    let hash = served.fixture.seal().executed.hash;
    let list = served.get("eth_getBlockAccessList", json!(["latest"])).await;
    for (method, block) in [
        ("eth_getBlockAccessList", json!(hash)),
        ("eth_getBlockAccessList", json!({"blockHash": hash})),
        ("eth_getBlockAccessListByBlockHash", json!(hash)),
        ("eth_getBlockAccessListByBlockNumber", json!("0x1")),
    ] {
        assert_eq!(served.get(method, json!([block])).await, list, "{method} {block}");
    }
    let paid = list.as_array().unwrap().iter().find(|account| account["address"] == format!("{SINK:#x}")).unwrap();
    assert_eq!(paid["balanceChanges"], json!([{"index": "0x1", "value": "0x5"}]));
    let of =
        |key: &'static str| list.as_array().unwrap().iter().flat_map(move |account| account[key].as_array().unwrap());
    let words = of("storageReads").chain(of("storageChanges").flat_map(|slot| {
        slot["changes"].as_array().unwrap().iter().map(|change| &change["value"]).chain([&slot["key"]])
    }));
    assert!(words.clone().count() > 0 && words.clone().all(|word| word.as_str().unwrap().len() == 66), "{list}");
    assert_eq!(served.refusal("eth_getBlockAccessList", json!(["0x0"])).await.0, 4445);
    assert_eq!(served.get("eth_getBlockAccessList", json!(["0x9"])).await, Value::Null);
    assert_eq!(served.get("eth_getBlockAccessList", json!([B256::ZERO])).await, Value::Null);
}

#[tokio::test]
async fn what_is_not_there_and_what_is_malformed() {
    let served = Served::new();
    assert_eq!(served.get("eth_getHeaderByNumber", json!(["pending"])).await, Value::Null);
    assert_eq!(served.get("eth_getHeaderByNumber", json!(["0x9"])).await, Value::Null);
    let bare = format!("{:064x}", 1);
    for method in
        ["debug_getRawTransaction", "eth_getTransactionByHash", "eth_getBlockByHash", "debug_traceTransaction"]
    {
        let refusal = served.refusal(method, json!([bare, false])).await;
        assert!(refusal.0 == -32602 && refusal.1.ends_with("hex string without 0x prefix"), "{method}: {refusal:?}");
    }
    assert_eq!(served.refusal("debug_getRawHeader", json!(["2"])).await.0, -32602);
    assert_eq!(served.get("debug_getRawTransaction", json!([B256::ZERO])).await, Value::Null);
}

#[tokio::test]
async fn prices() {
    let served = Served::new();
    let next = served.get("eth_baseFee", json!([])).await;
    assert_eq!(next, served.get("eth_feeHistory", json!(["0x1", "latest", []])).await["baseFeePerGas"][1]);
    served.submit(&served.fixture.native(0, 1)).await;
    let head = served.fixture.seal();
    served.fixture.seal();
    let history = served.get("eth_feeHistory", json!(["0x2", "latest", [0.0, 50.0, 100.0]])).await;
    let history: FeeHistory = serde_json::from_value(history).unwrap();
    assert_eq!((history.oldest_block, history.base_fee_per_gas.len(), history.gas_used_ratio.len()), (1, 3, 2));
    assert_eq!(history.base_fee_per_gas[1], u128::from(head.next_base_fee));
    assert_eq!(history.base_fee_per_gas[2], u128::from(served.fixture.chain.head().next_base_fee));
    assert_eq!(history.reward, Some(vec![vec![2; 3], vec![0; 3]]));
    let short = served.get("eth_feeHistory", json!([100, "latest", []])).await;
    assert_eq!((&short["oldestBlock"], short["baseFeePerGas"].as_array().unwrap().len()), (&json!("0x0"), 4));
    let beyond = served.refusal("eth_feeHistory", json!([1, "0x9", []])).await;
    assert!(beyond.0 == -32000 && beyond.1.starts_with("request beyond head block"), "{beyond:?}");
    assert_eq!(served.refusal("eth_feeHistory", json!([1, "latest", [50.0, 10.0]])).await.0, -32602);
    let price = served.get("eth_gasPrice", json!([])).await;
    assert_eq!(price, format!("{:#x}", served.fixture.chain.head().next_base_fee + 1));
    assert_eq!(served.get("eth_maxPriorityFeePerGas", json!([])).await, "0x1");
    assert!(u128::from(served.fixture.chain.head().next_base_fee) < FEE);
}

#[tokio::test]
async fn cess_methods() {
    let served = Served::new();
    served.fixture.seal();
    let status = served.get("cess_status", json!([])).await;
    assert_eq!((&status["height"], &status["chain_id"], &status["profile"]), (&json!(1), &json!(CHAIN), &json!("dev")));
    assert_eq!(status["time_ms"], json!(START_MS + 1_000));
    assert_eq!(served.get("cess_waitAbove", json!([0, 10_000])).await["height"], json!(1));
    assert_eq!(served.get("cess_waitAbove", json!([1, 1])).await["height"], json!(1));
    assert_eq!(served.get("cess_beacon", json!([1])).await, json!(served.fixture.chain.head().executed.beacon));
    assert_eq!(served.get("cess_beacon", json!([2])).await, Value::Null);
    assert_eq!(served.get("cess_events", json!([1, 1])).await, json!([]));
    let (block, head) = (served.get("cess_block", json!([1])).await, served.fixture.chain.head());
    assert_eq!((&block["id"], &block["hash"]), (&json!(B256::from(head.executed.block)), &json!(head.executed.hash)));
    assert_eq!(block["proposer"], json!(served.fixture.keys.address()));
    assert_eq!((&block["round"], &block["decided_round"], &block["transactions"]), (&json!(0), &json!(0), &json!(0)));
    assert_eq!(served.get("cess_block", json!([2])).await, Value::Null);
    assert_eq!(served.get("cess_miners", json!([])).await, json!([]));
    assert_eq!(served.get("cess_file", json!([B256::ZERO])).await, Value::Null);
    assert_eq!(served.get("cess_manifest", json!([B256::ZERO])).await, Value::Null);
    assert_eq!(served.get("cess_filesOf", json!([SINK])).await, json!([]));
    assert_eq!(served.refusal("cess_filesOf", json!([SINK, 0, 5_000])).await.0, -32005);
    assert_eq!(served.get("cess_peers", json!([])).await, json!([]));
    assert_eq!(served.get("cess_workers", json!([])).await[0]["name"], "executor");
    let validators = served.get("cess_validators", json!([])).await;
    assert_eq!(
        (&validators[0]["account"], &validators[0]["power"]),
        (&json!(served.fixture.keys.address()), &json!(1_000))
    );
    served.submit(&served.fixture.native(0, 1)).await;
    served.fixture.seal();
    let metrics = served.get("cess_metrics", json!([])).await;
    assert!(metrics.as_str().unwrap().contains("cess_finality_seconds_count{node=\"test\"} 1"), "{metrics}");
}

#[tokio::test]
async fn subscribers_hear_of_heads_and_logs() {
    let served = Served::new();
    let topic = B256::repeat_byte(7);
    let mut pending = served.module.subscribe_unbounded("eth_subscribe", ["newPendingTransactions"]).await.unwrap();
    let mut heads = served.module.subscribe_unbounded("eth_subscribe", ["newHeads"]).await.unwrap();
    let mut logs =
        served.module.subscribe_unbounded("eth_subscribe", ("logs", json!({"topics": [topic]}))).await.unwrap();
    served.fixture.seal();
    let hash = served.submit(&served.fixture.ethereum(0, TxKind::Create, 0, logging(topic))).await;
    assert_eq!(pending.next::<B256>().await.unwrap().unwrap().0, hash);
    let head = served.fixture.seal();
    for height in 1..=2 {
        let (header, _) = heads.next::<Value>().await.unwrap().unwrap();
        assert_eq!(header["number"], format!("{height:#x}"));
    }
    let (log, _) = logs.next::<Log>().await.unwrap().unwrap();
    assert_eq!((log.topics()[0], log.block_hash), (topic, Some(head.executed.hash)));
    assert!(served.module.subscribe_unbounded("eth_subscribe", ["syncing"]).await.is_err());
}
