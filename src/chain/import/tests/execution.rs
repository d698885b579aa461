//! Calls, simulated blocks and traces under every fork's rules.

use super::*;

async fn served() -> crate::rpc::RpcModule<()> {
    let eth: api::Eth = Arc::new(Files::new(&blocks()).import().unwrap().chain);
    api::ethereum(&eth).unwrap()
}

#[tokio::test]
async fn every_fork_traces_as_it_ran() {
    let module = served().await;
    for number in 1u64..=16 {
        let tag = format!("{number:#x}");
        let traces = ask(&module, "debug_traceBlockByNumber", json!([tag, {"tracer": "callTracer"}])).await;
        let receipts = ask(&module, "eth_getBlockReceipts", json!([tag])).await;
        assert_eq!(traces[0]["result"]["gasUsed"], receipts[0]["gasUsed"], "block {number}: {traces}");
        assert_eq!(traces[0]["txHash"], receipts[0]["transactionHash"]);
        let calls = ask(&module, "trace_block", json!([tag])).await;
        let rewards = calls.as_array().unwrap().iter().filter(|trace| trace["type"] == "reward").count();
        let expected = if number == 5 { 2 } else { usize::from(number < 10) };
        assert_eq!(rewards, expected, "block {number}: {calls}");
    }
    let rewards = ask(&module, "trace_block", json!(["0x5"])).await;
    let of = |kind: &str| {
        let mut traces = rewards.as_array().unwrap().iter();
        traces.find(|trace| trace["action"]["rewardType"] == kind).unwrap()["action"]["value"].clone()
    };
    assert_eq!((of("block"), of("uncle")), (json!("0x1c9f78d2893e4000"), json!("0x18493fba64ef0000")));
}

#[tokio::test]
async fn a_simulated_block_is_the_one_that_was_imported() {
    let module = served().await;
    for number in [12u64, 14, 15, 16] {
        let made = ask(&module, "eth_getBlockByNumber", json!([format!("{number:#x}"), true])).await;
        let mut call = made["transactions"][0].clone();
        call.as_object_mut().unwrap().remove("gasPrice");
        let block = json!({
            "blockOverrides": {
                "time": made["timestamp"], "feeRecipient": made["miner"], "prevRandao": made["mixHash"],
                "beaconRoot": made["parentBeaconBlockRoot"], "withdrawals": made["withdrawals"],
            },
            "calls": [call],
        });
        let request = json!([{"blockStateCalls": [block], "validation": true}, format!("{:#x}", number - 1)]);
        let simulated = ask(&module, "eth_simulateV1", request).await;
        for field in [
            "parentHash",
            "number",
            "gasLimit",
            "gasUsed",
            "baseFeePerGas",
            "logsBloom",
            "receiptsRoot",
            "stateRoot",
            "withdrawalsRoot",
            "excessBlobGas",
            "blobGasUsed",
            "requestsHash",
        ] {
            assert_eq!(simulated[0][field], made[field], "{field} of block {number}: {simulated}");
        }
    }
}

#[tokio::test]
async fn calls_follow_the_rules_of_their_block() {
    let module = served().await;
    // PUSH0 came with Shanghai, CHAINID with Istanbul.
    for (code, before, since) in [("0x5f5ff3", "0xb", "0xc"), ("0x4650600060006000f3", "0x5", "0x6")] {
        let call = |block| json!([{"to": SINK}, block, {SINK.to_string(): {"code": code}}]);
        assert_eq!(ask(&module, "eth_call", call(before)).await["message"], "invalid opcode", "{code} in {before}");
        assert_eq!(ask(&module, "eth_call", call(since)).await, "0x", "{code} in {since}");
    }
    let hashes = json!([{"to": SINK}, "0x3", {SINK.to_string(): {"code": "0x60024060005260206000f3"}}]);
    let second = ask(&module, "eth_getBlockByNumber", json!(["0x2", false])).await["hash"].clone();
    assert_eq!(ask(&module, "eth_call", hashes).await, second);
    let transfer = json!([{"from": key().address(), "to": SINK, "value": "0x1"}, "latest"]);
    assert_eq!(ask(&module, "eth_estimateGas", transfer).await, "0x5208");
    let two = json!([{"blockStateCalls": [{}, {"calls": [{"to": SINK}],
        "stateOverrides": {SINK.to_string(): {"code": "0x60114060005260206000f3"}}}]}, "latest"]);
    let simulated = ask(&module, "eth_simulateV1", two).await;
    assert_eq!(simulated[1]["calls"][0]["returnData"], simulated[0]["hash"], "block 17 is a simulated one");
}

#[tokio::test]
async fn fields_of_later_forks_are_refused() {
    let module = served().await;
    let authorization =
        json!({"chainId": "0x0", "address": SINK, "nonce": "0x0", "yParity": "0x0", "r": "0x0", "s": "0x0"});
    let fees = "maxFeePerGas and maxPriorityFeePerGas are not valid before London is active";
    let kind = |name: &str| format!("transaction type not supported: {name} (sender {})", key().address());
    let cases = [
        (json!({"accessList": []}), "0x6", kind("access list tx")),
        (json!({"maxFeePerGas": "0x0", "maxPriorityFeePerGas": "0x0"}), "0x7", fees.to_owned()),
        (json!({"maxPriorityFeePerGas": "0x1"}), "0x7", fees.to_owned()),
        (json!({"maxFeePerBlobGas": "0x1"}), "0xc", kind("blob tx")),
        (json!({"blobVersionedHashes": [B256::with_last_byte(1)]}), "0xc", kind("blob tx")),
        (json!({"authorizationList": [authorization]}), "0xd", kind("setcode tx")),
    ];
    for (fields, block, words) in cases {
        let mut call = json!({"from": key().address(), "to": SINK});
        call.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        for method in ["eth_call", "eth_estimateGas", "eth_createAccessList", "debug_traceCall"] {
            let refusal = ask(&module, method, json!([call, block])).await;
            assert_eq!(refusal["code"], -32000, "{method} {fields}: {refusal}");
            assert!(refusal["message"].as_str().unwrap().contains(&words), "{method} {fields}: {refusal}");
        }
    }
    let transfer = json!({"from": key().address(), "to": SINK});
    let refusal = ask(&module, "eth_createAccessList", json!([transfer, "0x6"])).await;
    assert!(refusal["message"].as_str().unwrap().contains(&kind("access list tx")), "{refusal}");
    let list = json!({"accessList": [], "gasUsed": "0x5208"});
    assert_eq!(ask(&module, "eth_createAccessList", json!([transfer, "0x7"])).await, list);
    // A kind alone says nothing, and from its fork on every field is fine.
    for (fields, block) in [
        (json!({"type": "0x1"}), "0x6"),
        (json!({"type": "0x3"}), "0xc"),
        (json!({"type": "0x7f"}), "latest"),
        (json!({"maxFeePerBlobGas": "0x1"}), "0xd"),
        (json!({"gasPrice": "0x3b9aca00", "gas": "0x5208"}), "0x7"),
    ] {
        let mut call = transfer.clone();
        call.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(ask(&module, "eth_call", json!([call, block])).await, "0x", "{fields}");
    }
    assert_eq!(ask(&module, "eth_getBlockAccessList", json!(["latest"])).await["code"], 4445);
}
