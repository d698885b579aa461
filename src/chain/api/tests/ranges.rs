//! `debug_accountRange` and `debug_storageRangeAt` against what the accounts are.

use super::{execution::Told, *};
use crate::{ledger::abi::STAKING, types::Address};

async fn slots(served: &Served, index: u64, address: Address, start: &Value, max: u64) -> Value {
    served.get("debug_storageRangeAt", json!(["latest", index, address, start, max])).await
}

#[tokio::test]
async fn storage_is_told_as_it_was_before_a_transaction() {
    let told = Told::new().await;
    let index = u64::from(told.receipt(told.call).await["transactionIndex"] == "0x1");
    let (before, after) = (
        slots(&told.served, index, told.counter, &json!("0x"), 9).await,
        slots(&told.served, index + 1, told.counter, &json!("0x"), 9).await,
    );
    assert_eq!(before, json!({"storage": {}, "nextKey": null}));
    let seven = B256::with_last_byte(7);
    let slot = json!({"key": seven, "value": B256::with_last_byte(1)});
    assert_eq!(after, json!({"storage": {keccak256(seven).to_string(): slot}, "nextKey": null}));
    assert_eq!(slots(&told.served, 0, SINK, &json!("0x00"), 9).await, before);
    let beyond = told.served.refusal("debug_storageRangeAt", json!(["latest", 3, SINK, "0x", 1])).await;
    assert!(beyond.0 == -32000 && beyond.1.starts_with("transaction index 3 out of range"), "{beyond:?}");
    let long = format!("0x{}", "00".repeat(33));
    assert_eq!(told.served.refusal("debug_storageRangeAt", json!(["latest", 0, SINK, long, 1])).await.0, -32602);
}

#[tokio::test]
async fn pages_of_storage_leave_nothing_out() {
    let told = Told::new().await;
    let whole = slots(&told.served, 0, STAKING, &json!("0x"), 10_000).await;
    let whole = whole["storage"].as_object().unwrap();
    assert!(whole.len() > 3, "{whole:?}");
    let (mut start, mut pages) = (json!("0x"), serde_json::Map::new());
    while !start.is_null() {
        let page = slots(&told.served, 0, STAKING, &start, 2).await;
        pages.extend(page["storage"].as_object().unwrap().clone());
        start = page["nextKey"].clone();
    }
    assert_eq!(&pages, whole);
    for (key, slot) in &pages {
        let slot: B256 = serde_json::from_value(slot["key"].clone()).unwrap();
        assert_eq!(key, &keccak256(slot).to_string());
    }
}

#[tokio::test]
async fn accounts_come_in_the_order_of_their_hashes() {
    let told = Told::new().await;
    let range = async |start: &str, max: u64, bare: bool| {
        told.served.get("debug_accountRange", json!(["latest", start, max, bare, bare, false])).await
    };
    let whole = range("0x", 256, false).await;
    let header = told.served.get("eth_getHeaderByNumber", json!(["latest"])).await;
    assert_eq!(format!("0x{}", whole["root"].as_str().unwrap()), header["stateRoot"]);
    assert_eq!(whole.get("next"), None);
    let accounts = whole["accounts"].as_object().unwrap();
    let counter = &accounts[&told.counter.to_string()];
    assert_eq!(counter["storage"], json!({B256::with_last_byte(7).to_string(): "01"}));
    assert_eq!(counter["code"], told.served.get("eth_getCode", json!([told.counter, "latest"])).await);
    assert_eq!((&counter["nonce"], &counter["balance"]), (&json!(1), &json!("66")));
    let proof = told.served.get("eth_getProof", json!([told.counter, [], "latest"])).await;
    assert_eq!((&counter["root"], &counter["codeHash"]), (&proof["storageHash"], &proof["codeHash"]));
    let mut keys: Vec<&str> = accounts.values().map(|account| account["key"].as_str().unwrap()).collect();
    keys.sort_unstable();
    let page = range(keys[1], 2, true).await;
    let mut found: Vec<&str> =
        page["accounts"].as_object().unwrap().values().map(|account| account["key"].as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, keys[1..3]);
    assert_eq!(page["next"].as_str().unwrap().len(), 44);
    assert!(page["accounts"].as_object().unwrap().values().all(|account| account.get("storage").is_none()));
    assert_eq!(told.served.refusal("debug_accountRange", json!(["0x9", "0x", 1])).await.0, -32000);
}
