//! Calls, simulated blocks and traces against what the chain itself does.

use super::{super::objects::hex, *};
use crate::{ledger::abi::STAKING, types::Address};
use alloy_primitives::{Bytes, address};
use alloy_trie::root::ordered_trie_root_encoded;

/// Where a contract of these tests is put by an override.
const HERE: Address = address!("0xc0de00000000000000000000000000000000c0de");
const GAS: &str = "0xf4240";

/// Init code of a contract that is `runtime`.
fn deploying(runtime: &[u8]) -> Vec<u8> {
    let len = u8::try_from(runtime.len()).unwrap();
    [&[0x60, len, 0x60, 12, 0x60, 0, 0x39, 0x60, len, 0x60, 0, 0xf3], runtime].concat()
}

/// Returns what the instructions leave on the stack, as one word each.
fn returning(words: &[&[u8]]) -> Vec<u8> {
    let mut code = Vec::new();
    for (index, word) in words.iter().enumerate() {
        code.extend_from_slice(word);
        code.extend_from_slice(&[0x60, u8::try_from(index * 32).unwrap(), 0x52]);
    }
    code.extend_from_slice(&[0x60, u8::try_from(words.len() * 32).unwrap(), 0x60, 0, 0xf3]);
    code
}

/// Adds one to slot 7, logs a topic, then sends a third of its call's value to `to`.
fn counting(to: Address) -> Vec<u8> {
    let head = [
        0x60, 7, 0x54, 0x60, 1, 0x01, 0x60, 7, 0x55, // slot 7 += 1
        0x60, 0x42, 0x60, 0, 0x60, 0, 0xa1, // a log with topic 0x42
        0x60, 0, 0x60, 0, 0x60, 0, 0x60, 0, // no data, no output
        0x60, 3, 0x34, 0x04, 0x73, // callvalue / 3
    ];
    [&head[..], to.as_slice(), &[0x5a, 0xf1, 0x50, 0x00]].concat()
}

/// Calls `to` without value and with four bytes of data, and stops.
fn calling(to: Address, selector: [u8; 4]) -> Vec<u8> {
    let head = [&[0x63][..], &selector, &[0x60, 0, 0x52]].concat();
    let call = [&[0x60, 0, 0x60, 0, 0x60, 4, 0x60, 28, 0x60, 0, 0x73][..], to.as_slice(), &[0x5a, 0xf1, 0x50, 0x00]];
    [head, call.concat()].concat()
}

fn word(n: u64) -> String {
    format!("{n:064x}")
}

/// A slot's key, or its value.
fn slot(n: u8) -> String {
    B256::with_last_byte(n).to_string()
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// A chain on which `counting` was deployed in block 1 and called with 99 in block 2, beside a native transfer.
pub(super) struct Told {
    pub(super) served: Served,
    pub(super) counter: Address,
    pub(super) call: B256,
    native: B256,
}

impl Told {
    pub(super) async fn new() -> Self {
        let served = Served::new();
        let counter = ethereum_key().address().create(0);
        served.submit(&served.fixture.ethereum(0, TxKind::Create, 0, deploying(&counting(SINK)))).await;
        served.fixture.seal();
        let call = served.submit(&served.fixture.ethereum(1, TxKind::Call(counter), 99, vec![])).await;
        let native = served.submit(&served.fixture.native(0, 5)).await;
        served.fixture.seal();
        Self { served, counter, call, native }
    }

    pub(super) async fn receipt(&self, tx: B256) -> Value {
        self.served.get("eth_getTransactionReceipt", json!([tx])).await
    }
}

#[tokio::test]
async fn a_call_sees_the_block_it_is_told() {
    let served = Served::new();
    served.fixture.seal();
    let code = returning(&[&[0x43], &[0x42], &[0x41], &[0x44], &[0x48], &[0x45], &[0x60, 5, 0x40]]);
    let state = json!({HERE.to_string(): {"code": hex_of(&code)}});
    let overrides = json!({
        "number": "0x64", "time": "0x1234", "feeRecipient": SINK, "prevRandao": B256::repeat_byte(3),
        "baseFeePerGas": "0x9", "gasLimit": "0xabcdef", "blockHash": {"0x5": B256::repeat_byte(7)},
    });
    let call = json!({"to": HERE, "gasPrice": "0x9", "gas": "0x0", "from": ethereum_key().address()});
    let refused = served.refusal("eth_call", json!([call, "latest", state, overrides])).await;
    assert_eq!(refused, (-32000, "err: intrinsic gas too low: have 0, want 21000 (supplied gas 0)".into()));
    let call = json!({"to": HERE, "gasPrice": "0x9", "gas": GAS, "from": ethereum_key().address()});
    let seen = served.get("eth_call", json!([call, "latest", state, overrides])).await;
    let randao = "03".repeat(32);
    let expected =
        [word(100), word(0x1234), hex::encode(SINK.into_word()), randao, word(9), word(0xabcdef), "07".repeat(32)];
    assert_eq!(seen, json!(format!("0x{}", expected.concat())));
    let plain = served.get("eth_call", json!([{"to": HERE}, "latest", state])).await;
    let basefee = &plain.as_str().unwrap()[2 + 4 * 64..][..64];
    assert_eq!(basefee, word(0), "a call that offers nothing sees no base fee");
    assert!(plain.as_str().unwrap().starts_with(&format!("0x{}", word(1))), "it runs in the block it names");
}

#[tokio::test]
async fn accounts_can_be_anything() {
    let Told { served, counter, .. } = Told::new().await;
    let reader = hex_of(&returning(&[&[0x60, 7, 0x54], &[0x60, 8, 0x54], &[0x47]]));
    let (seven, eight) = (slot(7), slot(8));
    let ask = async |account: Value| {
        served.ask("eth_call", json!([{"to": counter}, "latest", {counter.to_string(): account}])).await
    };
    let shown = |a: u64, b: u64, c: u64| Ok(json!(format!("0x{}{}{}", word(a), word(b), word(c))));
    let held = 99 - 33;
    assert_eq!(ask(json!({"code": reader})).await, shown(1, 0, held));
    assert_eq!(ask(json!({"code": reader, "stateDiff": {eight.clone(): slot(5)}})).await, shown(1, 5, held));
    assert_eq!(ask(json!({"code": reader, "state": {eight.clone(): slot(5)}})).await, shown(0, 5, held));
    assert_eq!(ask(json!({"code": reader, "balance": "0x7"})).await, shown(1, 0, 7));
    let both =
        ask(json!({"state": {seven.clone(): slot(1)}, "stateDiff": {seven.clone(): slot(1)}})).await.unwrap_err();
    assert_eq!(both["message"], format!("account {counter} has both 'state' and 'stateDiff'"));
    let identity = address!("0x0000000000000000000000000000000000000004");
    let moved =
        json!([{"to": HERE, "input": "0x1234"}, "latest", {identity.to_string(): {"movePrecompileToAddress": HERE}}]);
    assert_eq!(served.get("eth_call", moved).await, "0x1234");
    let gone = json!([{"to": identity, "input": "0x1234"}, "latest", {identity.to_string(): {"movePrecompileToAddress": HERE}}]);
    assert_eq!(served.get("eth_call", gone).await, "0x");
    let none =
        served.refusal("eth_call", json!([{}, "latest", {HERE.to_string(): {"movePrecompileToAddress": SINK}}])).await;
    assert_eq!(none, (-32000, format!("account {HERE} is not a precompile")));
    let replaced =
        json!([{"to": STAKING}, "latest", {STAKING.to_string(): {"code": hex_of(&returning(&[&[0x60, 9]]))}}]);
    assert_eq!(served.get("eth_call", replaced).await, format!("0x{}", word(9)));
}

#[tokio::test]
async fn refusals_are_in_gos_words() {
    let served = Served::new();
    let from = ethereum_key().address();
    for (call, code, words) in [
        (
            json!({"to": SINK, "from": SINK, "value": "0x1"}),
            -32000,
            "err: insufficient funds for gas * price + value: address 0x",
        ),
        (
            json!({"gasPrice": "0x1", "maxFeePerGas": "0x1"}),
            -32000,
            "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas)",
        ),
        (json!({"data": "0x01", "input": "0x02"}), -32000, "both \"data\" and \"input\" are set and not equal."),
        (json!({"chainId": "0x1"}), -32000, "chainId does not match node's (have=1, want=11332)"),
        (
            json!({"from": from, "to": SINK, "maxFeePerGas": "0x1"}),
            -32000,
            "err: max fee per gas less than block base fee: address",
        ),
        (
            json!({"from": from, "to": SINK, "maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"}),
            -32000,
            "err: max priority fee per gas higher than max fee per gas",
        ),
        (
            json!({"from": from, "to": SINK, "authorizationList": []}),
            -32000,
            "err: EIP-7702 transaction with empty auth list",
        ),
        (
            json!({"from": from, "to": SINK, "blobVersionedHashes": []}),
            -32000,
            "err: blob transaction missing blob hashes",
        ),
        (
            json!({"from": from, "to": SINK, "blobVersionedHashes": [B256::ZERO]}),
            -32000,
            "err: blob 0 has invalid hash version",
        ),
        (json!({"input": "0x5b600056"}), -32000, "out of gas"),
        (json!({"input": "0x50"}), -32000, "stack underflow"),
        (json!({"input": "0x60ff56"}), -32000, "invalid jump destination"),
    ] {
        let (found, message) = served.refusal("eth_call", json!([call, "latest"])).await;
        assert!(found == code && message.starts_with(words), "{call}: {found} {message}");
    }
    let panic =
        [&[0x63, 0x4e, 0x48, 0x7b, 0x71, 0x60, 0, 0x52, 0x60, 0x11, 0x60, 32, 0x52][..], &[0x60, 36, 0x60, 28, 0xfd]];
    let reverted = served.ask("eth_call", json!([{"input": hex_of(&panic.concat())}, "latest"])).await.unwrap_err();
    assert_eq!(reverted["message"], "execution reverted: arithmetic underflow or overflow");
    let empty = served.ask("eth_call", json!([{"input": "0x60006000fd"}, "latest"])).await.unwrap_err();
    assert_eq!((&empty["code"], &empty["data"]), (&json!(3), &json!("0x")));
}

#[tokio::test]
async fn estimates_are_what_a_transaction_needs() {
    let Told { served, counter, .. } = Told::new().await;
    let from = ethereum_key().address();
    let request = json!({"from": from, "to": counter, "value": "0x63"});
    let gas = number(&served.get("eth_estimateGas", json!([request, "0x1"])).await);
    let with = |gas: u64| json!({"from": from, "to": counter, "value": "0x63", "gas": hex(gas)});
    let run = served.get("debug_traceCall", json!([with(gas), "0x1", {"tracer": "callTracer"}])).await;
    assert_eq!((&run["error"], &run["calls"][0]["error"]), (&Value::Null, &Value::Null));
    let used = number(&run["gasUsed"]);
    assert!((used..used + used / 50 + 2_500).contains(&gas), "{gas} for a transaction that used {used}");
    let run = served.get("debug_traceCall", json!([with(used - 1), "0x1", {"tracer": "callTracer"}])).await;
    assert_eq!(run["error"], "out of gas");
    let fee = json!({"from": HERE, "to": counter, "gasPrice": "0x77359400"});
    let poor = json!({HERE.to_string(): {"balance": "0x38d7ea4c68000"}});
    let short = served
        .refusal("eth_estimateGas", json!([fee, "latest", {HERE.to_string(): {"balance": "0x246139ca8000"}}]))
        .await;
    assert_eq!(short, (-32000, "gas required exceeds allowance (20000)".into()));
    assert!(number(&served.get("eth_estimateGas", json!([fee, "latest", poor])).await) > 21_000);
    let none = served.refusal("eth_estimateGas", json!([fee, "latest"])).await;
    assert_eq!(none, (-32000, "insufficient funds for transfer".into()));
    let endless = served.refusal("eth_estimateGas", json!([{"input": "0x5b600056", "gas": "0x100000"}])).await;
    assert_eq!(endless, (-32000, "gas required exceeds allowance (1048576)".into()));
    let with_list = json!({"from": from, "to": SINK, "accessList": [{"address": counter, "storageKeys": []}]});
    // It uses 23,400; the search ends as soon as it is within 1.5 % of that.
    assert_eq!(served.get("eth_estimateGas", json!([with_list])).await, "0x5cb9");
}

#[tokio::test]
async fn access_lists_name_what_is_touched() {
    let Told { served, counter, .. } = Told::new().await;
    let from = ethereum_key().address();
    let request = json!({"from": from, "to": counter, "value": "0x63"});
    let answer = served.get("eth_createAccessList", json!([request, "latest"])).await;
    let expected = json!([
        {"address": SINK, "storageKeys": []},
        {"address": counter, "storageKeys": [B256::with_last_byte(7)]},
    ]);
    let mut found = answer["accessList"].as_array().unwrap().clone();
    found.sort_by_key(|item| item["storageKeys"].as_array().unwrap().len());
    assert_eq!((json!(found), &answer["error"]), (expected, &Value::Null));
    let mut listed = request.clone();
    listed["accessList"] = answer["accessList"].clone();
    let again = served.get("eth_createAccessList", json!([listed, "latest"])).await;
    assert_eq!(again, answer, "the list given leaves its run as it is");
    let transfer =
        served.get("eth_createAccessList", json!([{"from": from, "to": SINK, "value": "0xa"}, "latest"])).await;
    assert_eq!(transfer, json!({"accessList": [], "gasUsed": "0x5208"}));
    let reverting = served.get("eth_createAccessList", json!([{"input": "0x60005460006000fd"}, "latest"])).await;
    assert_eq!(reverting["error"], "execution reverted");
}

#[tokio::test]
async fn a_simulated_block_is_the_one_the_chain_makes() {
    let Told { served, counter, .. } = Told::new().await;
    let before = served.fixture.chain.head().executed.clone();
    served.submit(&served.fixture.ethereum(2, TxKind::Call(counter), 300, vec![])).await;
    served.submit(&served.fixture.ethereum(3, TxKind::Create, 0, logging(B256::repeat_byte(8)))).await;
    let head = served.fixture.seal();
    let made = served.get("eth_getBlockByNumber", json!(["latest", false])).await;
    let fees = json!({"gas": GAS, "maxFeePerGas": format!("{FEE:#x}"), "maxPriorityFeePerGas": "0x1"});
    let call = |to: Value, value: &str, input: &[u8]| {
        let mut call = fees.clone();
        (call["from"], call["to"]) = (json!(ethereum_key().address()), to);
        (call["value"], call["input"]) = (json!(value), json!(hex_of(input)));
        call
    };
    let block = json!({
        "blockOverrides": {
            "time": made["timestamp"], "feeRecipient": made["miner"], "prevRandao": head.executed.beacon,
        },
        "calls": [call(json!(counter), "0x12c", &[]), call(Value::Null, "0x0", &logging(B256::repeat_byte(8)))],
    });
    let request = json!([{"blockStateCalls": [block], "validation": true}, format!("{:#x}", before.height())]);
    let simulated = served.get("eth_simulateV1", request).await;
    for field in
        ["stateRoot", "receiptsRoot", "gasUsed", "logsBloom", "parentHash", "number", "baseFeePerGas", "gasLimit"]
    {
        assert_eq!(simulated[0][field], made[field], "{field}");
    }
    let receipts = served.get("eth_getBlockReceipts", json!(["latest"])).await;
    for index in 0..2 {
        let call = &simulated[0]["calls"][index];
        assert_eq!((&call["gasUsed"], &call["status"]), (&receipts[index]["gasUsed"], &json!("0x1")));
        assert_eq!(call["logs"][0]["topics"], receipts[index]["logs"][0]["topics"]);
        assert_eq!(call["logs"][0]["logIndex"], receipts[index]["logs"][0]["logIndex"]);
    }
    let parsed: Block = serde_json::from_value(simulated[0].clone()).unwrap();
    assert_eq!(parsed.header.hash, parsed.header.inner.hash_slow());
}

#[tokio::test]
async fn simulated_blocks_follow_each_other() {
    let Told { served, counter, .. } = Told::new().await;
    let from = ethereum_key().address();
    let blocks = json!([
        {"calls": [{"from": from, "to": counter, "value": "0x3"}]},
        {
            "blockOverrides": {"number": "0x6"},
            "stateOverrides": {HERE.to_string(): {"code": hex_of(&returning(&[&[0x60, 5, 0x40], &[0x60, 3, 0x40], &[0x43]]))}},
            "calls": [{"to": HERE}, {"from": from, "to": counter, "value": "0x9"}, {"to": counter, "from": HERE, "value": "0x0"}],
        },
    ]);
    let request = json!({"blockStateCalls": blocks, "traceTransfers": true, "returnFullTransactions": true});
    let answer = served.get("eth_simulateV1", json!([request, "latest"])).await;
    let answer = answer.as_array().unwrap();
    let base = served.fixture.chain.head().executed.header.timestamp;
    for (index, block) in answer.iter().enumerate() {
        assert_eq!(number(&block["number"]), 3 + index as u64);
        assert_eq!(number(&block["timestamp"]), base + 12 * (1 + index as u64));
        assert_eq!(block["baseFeePerGas"], "0x0");
        let parent = index
            .checked_sub(1)
            .map_or(json!(served.fixture.chain.head().executed.hash), |p| answer[p]["hash"].clone());
        assert_eq!(block["parentHash"], parent);
    }
    let hashes = answer[3]["calls"][0]["returnData"].as_str().unwrap();
    let expected = [answer[2]["hash"].as_str().unwrap(), answer[0]["hash"].as_str().unwrap()].map(|hash| &hash[2..]);
    assert_eq!(hashes, format!("0x{}{}", expected.concat(), word(6)));
    let logs = answer[3]["calls"][1]["logs"].as_array().unwrap();
    let token = "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
    let emitters: Vec<&Value> = logs.iter().map(|log| &log["address"]).collect();
    assert_eq!(emitters, [&json!(token), &json!(counter), &json!(token)]);
    assert_eq!(logs[2]["data"], format!("0x{}", word(3)), "a third of nine goes on");
    assert_eq!(answer[3]["calls"][2]["logs"][0]["logIndex"], "0x3");
    let tx = &answer[3]["transactions"][1];
    assert_eq!(
        (&tx["nonce"], &tx["type"], &tx["from"], &tx["v"]),
        (&json!("0x3"), &json!("0x2"), &json!(from), &json!("0x0"))
    );
    let with = answer[0]["logsBloom"].as_str().unwrap();
    let without = served
        .get(
            "eth_simulateV1",
            json!([{"blockStateCalls": [{"calls": [{"from": from, "to": counter, "value": "0x3"}]}]}]),
        )
        .await;
    assert_eq!(without[0]["logsBloom"], with, "pseudo logs are in no bloom");
    assert_eq!(without[0]["hash"], answer[0]["hash"]);
}

#[tokio::test]
async fn simulations_are_refused_by_number() {
    let served = Served::new();
    let from = ethereum_key().address();
    let transfer = |extra: Value| {
        let mut call = json!({"from": from, "to": SINK, "maxFeePerGas": "0xffffffffff"});
        call.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!([{"calls": [call]}])
    };
    let numbered = |a: &str, b: &str| json!([{"blockOverrides": {"number": a}}, {"blockOverrides": {"number": b}}]);
    for (blocks, code, words) in [
        (json!([]), -32602, "empty input"),
        (transfer(json!({"nonce": "0x5"})), -38011, "err: nonce too high: address 0x"),
        (
            transfer(json!({"gas": "0x5207"})),
            -38013,
            "err: intrinsic gas too low: have 20999, want 21000 (supplied gas 20999)",
        ),
        (transfer(json!({"maxFeePerGas": "0x0"})), -38012, "err: max fee per gas less than block base fee"),
        (
            transfer(json!({"value": "0xffffffffffffffffffffffff"})),
            -38014,
            "err: insufficient funds for gas * price + value",
        ),
        (transfer(json!({"gas": "0xffffffff"})), -38015, "block gas limit reached: 0 >= 120000000"),
        (transfer(json!({"maxPriorityFeePerGas": "0xfffffffffff"})), -32602, "err: max priority fee per gas higher"),
        (numbered("0x3", "0x3"), -38020, "block numbers must be in order: 3 <= 3"),
        (numbered("0x3", "0x202"), -38026, "too many blocks"),
        (json!([{"blockOverrides": {"time": "0x1"}}]), -38021, "block timestamps must be in order: 1 <= "),
    ] {
        let request = json!({"blockStateCalls": blocks, "validation": true});
        let (found, message) = served.refusal("eth_simulateV1", json!([request, "latest"])).await;
        assert!(found == code && message.starts_with(words), "{blocks}: {found} {message}");
    }
    let used = json!([{"stateOverrides": {from.to_string(): {"nonce": "0x9"}}, "calls": transfer(json!({"nonce": "0x3"}))[0]["calls"]}]);
    let low = served.refusal("eth_simulateV1", json!([{"blockStateCalls": used, "validation": true}])).await;
    assert_eq!(low.0, -38010);
    let failing = json!([{"calls": [{"input": hex_of(&REVERTING)}, {"input": "0xfe", "gas": "0x10000"}]}]);
    let answer = served.get("eth_simulateV1", json!([{"blockStateCalls": failing}])).await;
    let [reverted, halted] = [&answer[0]["calls"][0], &answer[0]["calls"][1]];
    assert_eq!(reverted["error"], json!({"code": 3, "message": "execution reverted", "data": B256::ZERO}));
    assert_eq!((&reverted["status"], &reverted["returnData"]), (&json!("0x0"), &json!("0x")));
    assert_eq!(halted["error"], json!({"code": -32015, "message": "invalid opcode: INVALID"}));
    assert_eq!(halted["gasUsed"], "0x10000");
}

#[tokio::test]
async fn geth_traces_agree_with_receipts_and_state() {
    let told = Told::new().await;
    let served = &told.served;
    let trace = async |tx: B256, options: Value| served.get("debug_traceTransaction", json!([tx, options])).await;
    let receipt = told.receipt(told.call).await;
    let calls = trace(told.call, json!({"tracer": "callTracer", "tracerConfig": {"withLog": true}})).await;
    assert_eq!((&calls["gasUsed"], &calls["gas"], &calls["value"]), (&receipt["gasUsed"], &json!(GAS), &json!("0x63")));
    assert_eq!((&calls["calls"][0]["to"], &calls["calls"][0]["value"]), (&json!(SINK), &json!("0x21")));
    assert_eq!(calls["logs"][0]["topics"], receipt["logs"][0]["topics"]);
    let steps = trace(told.call, json!({})).await;
    assert_eq!((steps["gas"].as_u64(), &steps["failed"]), (Some(number(&receipt["gasUsed"])), &json!(false)));
    let ops: Vec<&str> =
        steps["structLogs"].as_array().unwrap().iter().map(|step| step["op"].as_str().unwrap()).collect();
    assert_eq!((ops[0], ops[1], *ops.last().unwrap()), ("PUSH1", "SLOAD", "STOP"));
    let diff = trace(told.call, json!({"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}})).await;
    let key = |address: Address| format!("{address:?}");
    assert_eq!(diff["post"][key(told.counter)]["balance"], "0x42");
    assert_eq!(diff["post"][key(told.counter)]["storage"][slot(7)], slot(1));
    let pre = trace(told.call, json!({"tracer": "prestateTracer"})).await;
    assert_eq!(pre[key(ethereum_key().address())]["nonce"], 1);
    assert_eq!(trace(told.call, json!({"tracer": "noopTracer"})).await, json!({}));
    let mux =
        trace(told.call, json!({"tracer": "muxTracer", "tracerConfig": {"callTracer": null, "4byteTracer": null}}))
            .await;
    assert_eq!(mux["callTracer"]["gasUsed"], receipt["gasUsed"]);
    let native = trace(told.native, json!({"tracer": "callTracer"})).await;
    assert_eq!(
        (&native["to"], &native["value"], &native["gasUsed"]),
        (&json!(SINK), &json!("0x5"), &json!(hex(21_000)))
    );
    let block = served.get("debug_traceBlockByNumber", json!(["0x2", {"tracer": "callTracer"}])).await;
    let hash = served.fixture.chain.head().executed.hash;
    assert_eq!(served.get("debug_traceBlockByHash", json!([hash, {"tracer": "callTracer"}])).await, block);
    let found = block.as_array().unwrap().iter().find(|tx| tx["txHash"] == json!(told.call)).unwrap();
    assert_eq!(found["result"]["gasUsed"], receipt["gasUsed"]);
    let refusal = async |method, params| served.refusal(method, params).await;
    assert_eq!(refusal("debug_traceTransaction", json!([B256::ZERO])).await, (-32000, "transaction not found".into()));
    assert_eq!(refusal("debug_traceBlockByNumber", json!(["0x0"])).await, (-32000, "genesis is not traceable".into()));
    assert_eq!(refusal("debug_traceBlockByNumber", json!(["0x9"])).await, (-32000, "block #9 not found".into()));
    assert_eq!(refusal("debug_traceTransaction", json!([told.call, {"tracer": "{ js }"}])).await.0, -32000);
}

#[tokio::test]
async fn calls_can_be_traced_anywhere() {
    let told = Told::new().await;
    let served = &told.served;
    let call = json!({"from": ethereum_key().address(), "to": told.counter, "value": "0x9"});
    let options = json!({"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}});
    let counted = async |options: &Value, block: &str| {
        let diff = served.get("debug_traceCall", json!([call, block, options])).await;
        let slots = diff["post"][format!("{:?}", told.counter)]["storage"].clone();
        serde_json::from_value::<std::collections::BTreeMap<B256, U256>>(slots).unwrap()[&B256::with_last_byte(7)]
    };
    assert_eq!(counted(&options, "latest").await, U256::from(2));
    assert_eq!(counted(&options, "0x1").await, U256::from(1));
    for (index, expected) in [("0x0", 1), ("0x2", 2)] {
        let mut at = options.clone();
        at["txIndex"] = json!(index);
        assert_eq!(counted(&at, "0x2").await, U256::from(expected), "before transaction {index}");
    }
    let mut overridden = options.clone();
    overridden["stateOverrides"] = json!({told.counter.to_string(): {"stateDiff": {slot(7): slot(8)}}});
    assert_eq!(counted(&overridden, "latest").await, U256::from(9));
    let beyond = served.refusal("debug_traceCall", json!([call, "0xfffffffff", {"tracer": "callTracer"}])).await;
    assert_eq!(beyond, (-32000, "block #68719476735 not found".into()));
}

#[tokio::test]
async fn modules_show_as_contracts() {
    let served = Served::new();
    let code = calling(STAKING, [0xde, 0xad, 0xbe, 0xef]);
    let hash = served.submit(&served.fixture.ethereum(0, TxKind::Create, 0, code)).await;
    served.fixture.seal();
    let calls = served.get("debug_traceTransaction", json!([hash, {"tracer": "callTracer"}])).await;
    let module = &calls["calls"][0];
    assert_eq!((&module["to"], &module["input"]), (&json!(STAKING), &json!("0xdeadbeef")));
    let traces = served.get("trace_transaction", json!([hash])).await;
    assert_eq!((&traces[0]["type"], &traces[0]["subtraces"]), (&json!("create"), &json!(1)));
    assert_eq!((&traces[1]["action"]["to"], &traces[1]["traceAddress"]), (&json!(STAKING), &json!([0])));
    let identity = calling(address!("0x0000000000000000000000000000000000000004"), [1, 2, 3, 4]);
    let hash = served.submit(&served.fixture.ethereum(1, TxKind::Create, 0, identity)).await;
    served.fixture.seal();
    let traces = served.get("trace_transaction", json!([hash])).await;
    assert_eq!(traces.as_array().unwrap().len(), 1, "calls of precompiled contracts are left out, as ever");
}

#[tokio::test]
async fn parity_traces_of_transactions_and_blocks() {
    let told = Told::new().await;
    let served = &told.served;
    let traces = served.get("trace_transaction", json!([told.call])).await;
    assert_eq!(traces.as_array().unwrap().len(), 2);
    assert_eq!((&traces[0]["blockNumber"], &traces[0]["transactionHash"]), (&json!(2), &json!(told.call)));
    assert_eq!(served.get("trace_get", json!([told.call, ["0x1"]])).await, traces[1]);
    assert_eq!(served.get("trace_get", json!([told.call, ["0x5"]])).await, Value::Null);
    assert_eq!(served.get("trace_transaction", json!([B256::ZERO])).await, Value::Null);
    let block = served.get("trace_block", json!(["0x2"])).await;
    assert_eq!(block.as_array().unwrap().len(), 3);
    let found =
        served.get("trace_filter", json!([{"fromBlock": "0x1", "toBlock": "latest", "toAddress": [SINK]}])).await;
    assert_eq!(found.as_array().unwrap().len(), 2, "{found}");
    let one =
        served.get("trace_filter", json!([{"fromBlock": "0x1", "toAddress": [SINK], "after": 1, "count": 1}])).await;
    assert_eq!(one, json!([found[1]]));
    let created =
        served.get("trace_filter", json!([{"fromBlock": "0x1", "toBlock": "0x1", "toAddress": [told.counter]}])).await;
    assert_eq!(created[0]["result"]["address"], json!(told.counter));
    let replay = served.get("trace_replayTransaction", json!([told.call, ["trace", "stateDiff", "vmTrace"]])).await;
    let counter = &replay["stateDiff"][format!("{:?}", told.counter)];
    assert_eq!(counter["balance"], json!({"*": {"from": "0x0", "to": "0x42"}}));
    assert_eq!(replay["vmTrace"]["ops"][0]["pc"], 0);
    assert_eq!(replay["trace"].as_array().unwrap().len(), 2);
    let all = served.get("trace_replayBlockTransactions", json!(["0x2", ["trace"]])).await;
    let same = all.as_array().unwrap().iter().find(|tx| tx["transactionHash"] == json!(told.call)).unwrap();
    assert_eq!(same["trace"], replay["trace"]);
}

#[tokio::test]
async fn parity_traces_of_calls() {
    let told = Told::new().await;
    let served = &told.served;
    let call = json!({"from": ethereum_key().address(), "to": told.counter, "value": "0x9"});
    let one = served.get("trace_call", json!([call, ["trace", "stateDiff"], "latest"])).await;
    assert_eq!(one["trace"][1]["action"]["value"], "0x3");
    let many = served.get("trace_callMany", json!([[[call, ["stateDiff"]], [call, ["stateDiff"]]], "latest"])).await;
    let counted = |index: usize| many[index]["stateDiff"][format!("{:?}", told.counter)]["storage"][slot(7)].clone();
    let step = |from: u8, to: u8| json!({"*": {"from": B256::with_last_byte(from), "to": B256::with_last_byte(to)}});
    assert_eq!((counted(0), counted(1)), (step(1, 2), step(2, 3)), "each sees what the ones before did");
    let raw = served.fixture.ethereum(2, TxKind::Call(told.counter), 12, vec![]);
    let traced = served.get("trace_rawTransaction", json!([hex_of(&raw), ["trace"]])).await;
    assert_eq!(traced["trace"][1]["action"]["value"], "0x4");
    assert_eq!(
        served.refusal("trace_call", json!([{"gasPrice": "0x1", "maxFeePerGas": "0x1"}, ["trace"]])).await.0,
        -32000
    );
}

#[tokio::test]
async fn everything_as_it_is_encoded() {
    let told = Told::new().await;
    let served = &told.served;
    let executed = served.fixture.chain.head().executed.clone();
    let bytes = |value: Value| serde_json::from_value::<Bytes>(value).unwrap();
    let header = bytes(served.get("debug_getRawHeader", json!(["latest"])).await);
    assert_eq!(keccak256(&header), executed.hash);
    let block = bytes(served.get("debug_getRawBlock", json!([executed.hash])).await);
    let inner = alloy_rlp::Header::decode_bytes(&mut block.as_ref(), true).unwrap();
    assert!(inner.starts_with(&header));
    let size = number(&served.get("eth_getBlockByNumber", json!(["latest", false])).await["size"]);
    assert_eq!(block.len() as u64, size);
    let receipts = served.get("debug_getRawReceipts", json!(["latest"])).await;
    let receipts: Vec<Bytes> = receipts.as_array().unwrap().iter().cloned().map(bytes).collect();
    assert_eq!(ordered_trie_root_encoded(&receipts), executed.header.receipts_root);
    let raw = bytes(served.get("debug_getRawTransaction", json!([told.call])).await);
    assert_eq!(keccak256(&raw), told.call);
    assert_eq!(served.get("debug_getRawTransaction", json!([B256::ZERO])).await, Value::Null);
    assert_eq!(served.get("debug_getBadBlocks", json!([])).await, json!([]));
    assert_eq!(served.refusal("debug_getRawHeader", json!(["0x99"])).await, (-32000, "block #153 not found".into()));
}

#[tokio::test]
async fn tracers_in_javascript_are_refused_with_the_names_of_others() {
    let told = Told::new().await;
    let tracer = json!({"tracer": "{step: function(log) {}, result: function() { return 1 }, fault: function() {}}"});
    let refusal = told.served.refusal("debug_traceTransaction", json!([told.call, tracer])).await;
    assert!(refusal.0 == -32000 && refusal.1.contains("callTracer, prestateTracer"), "{refusal:?}");
}

#[tokio::test]
async fn traced_logs_are_numbered_as_in_receipts() {
    let served = Served::new();
    let hashes = [
        served.submit(&served.fixture.ethereum(0, TxKind::Create, 0, logging(B256::ZERO))).await,
        served.submit(&served.fixture.ethereum(1, TxKind::Create, 0, logging(B256::ZERO))).await,
    ];
    served.fixture.seal();
    let options = json!({"tracer": "callTracer", "tracerConfig": {"withLog": true}});
    let block = served.get("debug_traceBlockByNumber", json!(["latest", options])).await;
    let mux = json!({"tracer": "muxTracer", "tracerConfig": {"callTracer": {"withLog": true}}});
    for (index, hash) in hashes.iter().enumerate() {
        let receipt = served.get("eth_getTransactionReceipt", json!([hash])).await;
        let expected = &receipt["logs"][0]["logIndex"];
        assert_eq!(expected, &json!(format!("{index:#x}")));
        let trace = served.get("debug_traceTransaction", json!([hash, options])).await;
        assert_eq!(&trace["logs"][0]["index"], expected, "{trace}");
        assert_eq!(&block[index]["result"]["logs"][0]["index"], expected, "{block}");
        let trace = served.get("debug_traceTransaction", json!([hash, mux])).await;
        assert_eq!(&trace["callTracer"]["logs"][0]["index"], expected, "{trace}");
    }
}
