//! A developer's chain by its methods, as tools call them.

use super::*;
use crate::{
    chain::{
        api::backend::Backend,
        dev::{DevOptions, Mining, Observer, Told},
    },
    client::dev_accounts,
    ledger::abi::STAKING,
    rpc::call_raw,
    runtime::{CpuPool, ManualClock, Node, NodeRng},
    types::{Address, Amount, B256, U256, params::BLOCK_GAS_LIMIT},
};
use alloy_primitives::{Bytes, Signature, eip191_hash_message};
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;

const START: u64 = 1_700_000_000;
const SINK: Address = Address::repeat_byte(0x77);
/// Returns the block's beacon, time and coinbase in three words.
const MIRROR: &str = "0x445f52426020524160405260605ff3";

/// Every method of a developer's chain.
pub fn method_names() -> Vec<&'static str> {
    Dev::new(Mining::Instant).module.method_names().collect()
}

struct Dev {
    chain: DevChain,
    module: RpcModule<()>,
    account: Address,
}

impl Dev {
    fn new(mining: Mining) -> Self {
        Self::with(mining, None, Vec::new())
    }

    fn with(mining: Mining, observer: Option<Observer>, deployments: Vec<Bytes>) -> Self {
        let clock = Arc::new(ManualClock::at(START * 1_000));
        let node = Node::new("dev", CpuPool::new("dev", 1)).with_ports(clock, NodeRng::from_seed(1));
        let options = DevOptions {
            chain_id: 31_337,
            accounts: dev_accounts(),
            balance: Amount::tokens(10_000),
            mining,
            gas_limit: BLOCK_GAS_LIMIT,
            base_fee: None,
            genesis_time_ms: None,
            deployments,
        };
        let account = options.accounts[0].address;
        let chain = DevChain::new(&node, options, observer).unwrap();
        let module = module(&chain).unwrap();
        Self { chain, module, account }
    }

    async fn ask(&self, method: &'static str, params: Value) -> Result<Value, String> {
        let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let answer = call_raw(&self.module, question.as_bytes(), &[method]).await;
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        match answer.get("error") {
            Some(error) => Err(error["message"].as_str().unwrap().to_owned()),
            None => Ok(answer["result"].take()),
        }
    }

    async fn get(&self, method: &'static str, params: Value) -> Value {
        self.ask(method, params).await.unwrap_or_else(|message| panic!("{method}: {message}"))
    }

    async fn height(&self) -> Value {
        self.get("eth_blockNumber", json!([])).await
    }

    async fn pay(&self, value: u64) -> Value {
        self.get("eth_sendTransaction", json!([{"from": self.account, "to": SINK, "value": format!("{value:#x}")}]))
            .await
    }

    async fn balance(&self) -> Value {
        self.get("eth_getBalance", json!([SINK, "latest"])).await
    }
}

#[tokio::test]
async fn a_block_for_each_transaction() {
    let dev = Dev::new(Mining::Instant);
    let first = dev.pay(5).await;
    let second = dev.pay(6).await;
    for (hash, height) in [(&first, "0x1"), (&second, "0x2")] {
        let receipt = dev.get("eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!((&receipt["blockNumber"], &receipt["status"]), (&json!(height), &json!("0x1")));
    }
    assert_eq!(dev.balance().await, "0xb");
    assert_eq!(dev.get("eth_accounts", json!([])).await.as_array().unwrap().len(), 10);
    let raw = dev.get("eth_signTransaction", json!([{"from": dev.account, "to": SINK, "value": "0x1"}])).await;
    let hash = dev.get("eth_sendRawTransaction", json!([raw])).await;
    assert_eq!(dev.get("eth_getTransactionReceipt", json!([hash])).await["blockNumber"], "0x3");
    let refusal = dev.ask("eth_sendTransaction", json!([{"from": SINK, "to": SINK}])).await.unwrap_err();
    assert!(refusal.contains("neither an account of this chain nor impersonated"), "{refusal}");
}

#[tokio::test]
async fn future_nonces_wait_for_the_missing_one() {
    let dev = Dev::new(Mining::Instant);
    let later = json!([{"from": dev.account, "to": SINK, "value": "0x2", "nonce": "0x1", "gas": "0x5208"}]);
    let later = dev.get("eth_sendTransaction", later).await;
    assert_eq!(dev.height().await, "0x0");
    assert_eq!(dev.get("eth_getTransactionByHash", json!([later])).await["blockHash"], Value::Null);
    dev.pay(1).await;
    assert_eq!((dev.height().await, dev.balance().await), (json!("0x2"), json!("0x3")));
    assert_eq!(dev.get("eth_getTransactionReceipt", json!([later])).await["blockNumber"], "0x2");
}

#[tokio::test]
async fn snapshots_restore_chain_pool_time_and_modes_once() {
    let dev = Dev::new(Mining::Instant);
    dev.pay(1).await;
    dev.get("evm_setAutomine", json!([false])).await;
    let waiting = dev.pay(2).await;
    let early = dev.get("evm_snapshot", json!([])).await;
    dev.get("evm_mine", json!([])).await;
    let late = dev.get("evm_snapshot", json!([])).await;
    dev.get("evm_setAutomine", json!([true])).await;
    dev.get("evm_increaseTime", json!([1_000])).await;
    dev.get("anvil_setBalance", json!([SINK, "0x99"])).await;
    assert_eq!(dev.get("evm_revert", json!([early])).await, true);
    assert_eq!((dev.height().await, dev.balance().await), (json!("0x1"), json!("0x1")));
    assert_eq!(dev.get("anvil_getAutomine", json!([])).await, false);
    assert_eq!(dev.get("eth_getTransactionByHash", json!([waiting])).await["blockHash"], Value::Null);
    assert_eq!(dev.get("evm_revert", json!([early])).await, false, "an id is spent");
    assert_eq!(dev.get("evm_revert", json!([late])).await, false, "and so are later ones");
    dev.get("evm_mine", json!([])).await;
    assert_eq!(dev.balance().await, "0x3");
    let block = dev.get("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(block["timestamp"], format!("{START:#x}"), "the clock is back as well");
}

#[tokio::test]
async fn anybody_can_be_impersonated_contracts_too() {
    let dev = Dev::new(Mining::Instant);
    let (person, contract) = (Address::repeat_byte(0x55), Address::repeat_byte(0x66));
    dev.get("anvil_setCode", json!([contract, MIRROR])).await;
    for (sender, name) in [(person, "hardhat_impersonateAccount"), (contract, "anvil_impersonateAccount")] {
        dev.get("hardhat_setBalance", json!([sender, "0xde0b6b3a7640000"])).await;
        dev.get(name, json!([sender])).await;
        let request = json!([{"from": sender, "to": SINK, "value": "0x1"}]);
        let hash = dev.get("eth_sendTransaction", request.clone()).await;
        let receipt = dev.get("eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!((&receipt["status"], &receipt["from"]), (&json!("0x1"), &json!(sender)));
        let shown = dev.get("eth_getTransactionByHash", json!([hash])).await;
        assert_eq!((&shown["hash"], &shown["from"], &shown["value"]), (&hash, &json!(sender), &json!("0x1")));
        let traced = dev.get("debug_traceTransaction", json!([hash, {"tracer": "callTracer"}])).await;
        assert_eq!((&traced["from"], &traced["to"]), (&json!(sender), &json!(SINK)));
        let raw = dev.get("eth_getRawTransactionByHash", json!([hash])).await;
        let refusal = dev.ask("eth_sendRawTransaction", json!([raw])).await.unwrap_err();
        assert!(refusal.contains("signature is not valid"), "{refusal}");
        dev.get("anvil_stopImpersonatingAccount", json!([sender])).await;
        dev.ask("eth_sendTransaction", request).await.unwrap_err();
    }
    assert_eq!(dev.balance().await, "0x2");
    dev.get("anvil_autoImpersonateAccount", json!([true])).await;
    dev.get("eth_sendTransaction", json!([{"from": person, "to": SINK, "value": "0x1"}])).await;
    assert_eq!(dev.balance().await, "0x3");
}

#[tokio::test]
async fn what_is_changed_by_hand_is_in_the_next_blocks_root() {
    let dev = Dev::new(Mining::Instant);
    dev.get("anvil_setBalance", json!([SINK, "0x5"])).await;
    dev.get("anvil_addBalance", json!([SINK, 3])).await;
    dev.get("anvil_setNonce", json!([SINK, "0x9"])).await;
    dev.get("anvil_setCode", json!([SINK, MIRROR])).await;
    let word = B256::with_last_byte(4);
    assert_eq!(dev.get("anvil_setStorageAt", json!([SINK, "0x1", word])).await, true);
    assert_eq!(dev.get("eth_getStorageAt", json!([SINK, "0x1", "latest"])).await, json!(word));
    assert_eq!(dev.balance().await, "0x8");
    dev.get("evm_mine", json!([])).await;
    let root = dev.get("eth_getBlockByNumber", json!(["latest", false])).await["stateRoot"].clone();
    let proof = dev.get("eth_getProof", json!([SINK, [], "latest"])).await;
    let top: Bytes = serde_json::from_value(proof["accountProof"][0].clone()).unwrap();
    assert_eq!(root, json!(alloy_primitives::keccak256(&top)));
    assert_eq!((&proof["nonce"], &proof["balance"]), (&json!("0x9"), &json!("0x8")));
    dev.get("anvil_setCode", json!([SINK, "0x"])).await;
    assert_eq!(dev.get("eth_getCode", json!([SINK])).await, "0x");
}

#[tokio::test]
async fn the_next_block_can_be_shaped() {
    let dev = Dev::new(Mining::Instant);
    let (coinbase, beacon) = (Address::repeat_byte(0xcb), B256::repeat_byte(0xbe));
    dev.get("anvil_setCode", json!([SINK, MIRROR])).await;
    dev.get("anvil_setCoinbase", json!([coinbase])).await;
    dev.get("hardhat_setPrevRandao", json!([beacon])).await;
    dev.get("anvil_setNextBlockBaseFeePerGas", json!(["0x7"])).await;
    dev.get("evm_setNextBlockTimestamp", json!([START + 500])).await;
    dev.get("evm_setBlockGasLimit", json!(["0x1c9c380"])).await;
    dev.get("evm_mine", json!([])).await;
    let block = dev.get("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!((&block["miner"], &block["mixHash"]), (&json!(coinbase), &json!(beacon)));
    assert_eq!((&block["baseFeePerGas"], &block["gasLimit"]), (&json!("0x7"), &json!("0x1c9c380")));
    assert_eq!(block["timestamp"], format!("{:#x}", START + 500));
    let seen: Bytes = serde_json::from_value(dev.get("eth_call", json!([{"to": SINK}, "latest"])).await).unwrap();
    let expected =
        [beacon.as_slice(), &U256::from(START + 500).to_be_bytes::<32>(), coinbase.into_word().as_slice()].concat();
    assert_eq!(seen.as_ref(), expected);
    assert_eq!(dev.get("evm_increaseTime", json!([100])).await, 600);
    dev.get("evm_mine", json!([])).await;
    assert_eq!(dev.chain.newest().block.header.timestamp, START + 600);
    dev.get("anvil_mine", json!([3, "0xa"])).await;
    assert_eq!(dev.chain.newest().block.header.timestamp, START + 620);
    dev.get("evm_mine", json!([{"timestamp": START + 700, "blocks": 2}])).await;
    assert_eq!((dev.height().await, dev.chain.newest().block.header.timestamp), (json!("0x7"), START + 700));
    dev.get("anvil_setBlockTimestampInterval", json!([12])).await;
    dev.get("hardhat_mine", json!(["0x2"])).await;
    assert_eq!(dev.chain.newest().block.header.timestamp, START + 724);
    assert_eq!(dev.get("anvil_removeBlockTimestampInterval", json!([])).await, true);
    let refusal = dev.ask("evm_setNextBlockTimestamp", json!([START])).await.unwrap_err();
    assert!(refusal.contains("is before the newest block's"), "{refusal}");
    assert!(dev.ask("anvil_mine", json!(["0xffffffff"])).await.unwrap_err().contains("over the limit"));
}

#[tokio::test]
async fn without_automine_blocks_come_when_asked_best_tip_first() {
    let dev = Dev::new(Mining::Off);
    let poor = dev.pay(1).await;
    let other = dev.chain.signers()[1].address;
    let rich = json!([{"from": other, "to": SINK, "value": "0x2", "maxPriorityFeePerGas": "0x77"}]);
    let rich = dev.get("eth_sendTransaction", rich).await;
    let dropped = dev.get("eth_sendTransaction", json!([{"from": other, "to": SINK, "value": "0x4"}])).await;
    assert_eq!(dev.get("anvil_dropTransaction", json!([dropped])).await, dropped);
    assert_eq!(dev.height().await, "0x0");
    dev.get("evm_mine", json!([])).await;
    let block = dev.get("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(block["transactions"], json!([rich, poor]));
    dev.pay(1).await;
    dev.get("anvil_removePoolTransactions", json!([dev.account])).await;
    dev.get("evm_setAutomine", json!([true])).await;
    assert_eq!(dev.height().await, "0x1");
}

#[tokio::test]
async fn interval_mining_can_be_switched_while_it_runs() {
    let dev = Dev::new(Mining::Off);
    dev.chain.start();
    let mut heights = dev.chain.heights();
    dev.chain.set_mining(Mining::Every(Duration::from_millis(1))).unwrap();
    for _ in 0..3 {
        tokio::time::timeout(Duration::from_secs(20), heights.next()).await.unwrap().unwrap();
    }
    assert!(dev.chain.latest() >= 3);
    dev.get("evm_setIntervalMining", json!([0])).await;
    assert_eq!(dev.get("anvil_getIntervalMining", json!([])).await, Value::Null);
}

#[tokio::test]
async fn a_dump_continues_elsewhere() {
    let (dev, other) = (Dev::new(Mining::Instant), Dev::new(Mining::Instant));
    let hash = dev.pay(3).await;
    dev.get("anvil_setBalance", json!([SINK, "0x9"])).await;
    let dump = dev.get("anvil_dumpState", json!([])).await;
    other.pay(8).await;
    assert_eq!(other.get("anvil_loadState", json!([dump])).await, true);
    let latest = json!(["latest", true]);
    let (one, two) =
        (dev.get("eth_getBlockByNumber", latest.clone()).await, other.get("eth_getBlockByNumber", latest).await);
    assert_eq!((one, other.balance().await), (two, json!("0x9")));
    assert_eq!(other.get("eth_getTransactionReceipt", json!([hash])).await["status"], "0x1");
    other.pay(1).await;
    assert_eq!((other.balance().await, other.height().await), (json!("0xa"), json!("0x2")));
    assert!(other.ask("anvil_loadState", json!(["0x0102"])).await.is_err());
    assert_eq!(other.height().await, "0x2", "a bad dump changes nothing");
}

#[tokio::test]
async fn blocks_are_taken_back_and_replaced() {
    let dev = Dev::new(Mining::Instant);
    let hash = dev.pay(1).await;
    dev.pay(2).await;
    dev.get("anvil_rollback", json!([1])).await;
    assert_eq!((dev.height().await, dev.balance().await), (json!("0x1"), json!("0x1")));
    let raw = dev.get("eth_getRawTransactionByHash", json!([hash])).await;
    dev.get("anvil_reorg", json!([1, [[raw, 0]]])).await;
    assert_eq!((dev.height().await, dev.balance().await), (json!("0x1"), json!("0x1")));
    assert!(dev.ask("anvil_rollback", json!([9])).await.unwrap_err().contains("deeper than the chain of 1"));
    dev.get("anvil_reset", json!([{"forking": {}}])).await;
    assert_eq!((dev.height().await, dev.balance().await), (json!("0x0"), json!("0x0")));
    let forking = json!([{"forking": {"jsonRpcUrl": "http://127.0.0.1:1"}}]);
    assert!(dev.ask("hardhat_reset", forking).await.unwrap_err().contains("does not fork"));
    assert!(dev.ask("anvil_setRpcUrl", json!(["http://127.0.0.1:1"])).await.unwrap_err().contains("does not fork"));
}

#[tokio::test]
async fn signatures_recover_to_their_account() {
    let dev = Dev::new(Mining::Instant);
    let message = Bytes::from_static(b"hello");
    let digest = eip191_hash_message(&message);
    for answer in [
        dev.get("eth_sign", json!([dev.account, message])).await,
        dev.get("personal_sign", json!([message, dev.account])).await,
    ] {
        let raw: Bytes = serde_json::from_value(answer).unwrap();
        let signature = Signature::from_raw(&raw).unwrap();
        assert_eq!(signature.recover_address_from_prehash(&digest).unwrap(), dev.account);
    }
    assert!(dev.ask("eth_sign", json!([SINK, message])).await.unwrap_err().contains("has no key of"));
}

#[tokio::test]
async fn the_protocol_lives_on_it_through_its_eras() {
    let dev = Dev::new(Mining::Instant);
    assert_ne!(dev.get("eth_getCode", json!([STAKING])).await, "0x");
    dev.get("anvil_mine", json!([200])).await;
    assert_eq!(dev.height().await, "0xc8");
    let node = dev.get("anvil_nodeInfo", json!([])).await;
    assert_eq!((&node["currentBlockNumber"], &node["environment"]["chainId"]), (&json!("0xc8"), &json!(31_337)));
    let version = dev.get("web3_clientVersion", json!([])).await;
    assert!(version.as_str().unwrap().starts_with("anvil"), "Hardhat's helpers look for it");
    let metadata = dev.get("anvil_metadata", json!([])).await;
    assert_eq!((&metadata["latestBlockNumber"], &metadata["chainId"]), (&json!(200), &json!(31_337)));
}

/// Sends `log(string)` with the text "hi" to the console, then stops, or reverts if it is called with value.
fn logging() -> String {
    let text = format!("7f41304fac{:056}5f5260206004526002602452", 0);
    let rest = format!("7f6869{:060}6044525f5f60645f6a636f6e736f6c652e6c6f675afa3415606c575f5ffd5b00", 0);
    format!("0x{text}{rest}")
}

#[tokio::test]
async fn what_contracts_log_is_told_in_order() {
    let lines: Arc<parking_lot::Mutex<Vec<String>>> = Arc::default();
    let heard = lines.clone();
    let observer = move |told: Told<'_>| match told {
        Told::Console(line) => heard.lock().push(line.to_owned()),
        Told::Block(block) => heard.lock().push(format!("block {}", block.block.height())),
    };
    let dev = Dev::with(Mining::Instant, Some(Box::new(observer)), Vec::new());
    dev.get("anvil_setCode", json!([SINK, logging()])).await;
    dev.pay(0).await;
    dev.get("eth_call", json!([{"to": SINK}, "latest"])).await;
    assert_eq!(*lines.lock(), ["hi", "block 1", "hi"]);
    let failed = json!([{"from": dev.account, "to": SINK, "value": "0x1", "gas": "0x186a0"}]);
    dev.get("eth_sendTransaction", failed).await;
    assert_eq!(lines.lock()[3..], ["hi", "block 2"]);
    dev.get("anvil_setLoggingEnabled", json!([false])).await;
    dev.pay(0).await;
    assert_eq!(lines.lock().len(), 5);
}

#[tokio::test]
async fn contracts_are_deployed_in_genesis() {
    // Creates a contract whose code is one invalid instruction.
    let code = hex::decode("60fe60005360016000f3").unwrap();
    let deployment = Bytes::from([&[7; 32][..], &code].concat());
    let dev = Dev::with(Mining::Instant, None, vec![deployment]);
    let address = crate::ledger::predeploys::CREATE2_DEPLOYER.create2_from_code([7; 32], &code);
    assert_eq!(dev.get("eth_getCode", json!([address, "0x0"])).await, "0xfe");
    dev.get("anvil_reset", json!([])).await;
    assert_eq!(dev.get("eth_getCode", json!([address, "latest"])).await, "0xfe");
}

#[tokio::test]
async fn the_pool_access_lists_and_the_document_are_there() {
    let dev = Dev::new(Mining::Off);
    let hash = dev.pay(5).await;
    assert_eq!(dev.get("txpool_status", json!([])).await, json!({"pending": "0x1", "queued": "0x0"}));
    let content = dev.get("txpool_contentFrom", json!([dev.account])).await;
    assert_eq!(content["pending"]["0"]["hash"], hash);
    dev.get("evm_mine", json!([])).await;
    assert_eq!(dev.get("txpool_status", json!([])).await, json!({"pending": "0x0", "queued": "0x0"}));
    let list = dev.get("eth_getBlockAccessList", json!(["latest"])).await;
    let paid = list.as_array().unwrap().iter().find(|account| account["address"] == format!("{SINK:#x}")).unwrap();
    assert_eq!(paid["balanceChanges"][0]["value"], "0x5");
    let document = dev.get("rpc_discover", json!([])).await;
    let names = document["methods"].as_array().unwrap().iter().map(|method| method["name"].as_str().unwrap());
    assert_eq!(names.collect::<std::collections::BTreeSet<_>>(), method_names().into_iter().collect());
    let dump = dev.get("anvil_dumpState", json!([])).await;
    dev.get("anvil_loadState", json!([dump])).await;
    let gone = dev.ask("eth_getBlockAccessList", json!(["latest"])).await.unwrap_err();
    assert!(gone.starts_with("pruned history unavailable"), "{gone}");
}

#[tokio::test]
async fn logs_are_found_over_the_whole_chain_by_what_they_are() {
    let dev = Dev::new(Mining::Instant);
    // Logs one topic, its first word of call data.
    dev.get("anvil_setCode", json!([SINK, "0x5f355f5fa1"])).await;
    let log = async |topic: u8| {
        let call = json!([{"from": dev.account, "to": SINK, "input": B256::repeat_byte(topic)}]);
        dev.get("eth_sendTransaction", call).await
    };
    log(1).await;
    dev.get("anvil_mine", json!(["0x3ff"])).await;
    log(2).await;
    let find = async |filter: Value| dev.ask("eth_getLogs", json!([filter])).await;
    let all = json!({"fromBlock": "0x0", "toBlock": "latest", "address": SINK});
    assert_eq!(find(all).await.unwrap().as_array().unwrap().len(), 2);
    let first = json!({"fromBlock": "0x0", "topics": [B256::repeat_byte(2)]});
    assert_eq!(find(first).await.unwrap()[0]["blockNumber"], "0x401");
    let refusal = find(json!({"fromBlock": "0x0"})).await.unwrap_err();
    assert!(refusal.ends_with("Try with this block range [0x0, 0x3e7]."), "{refusal}");
}
