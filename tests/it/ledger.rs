//! The chain as Ethereum tools and wallets see it.

use crate::cluster::{Cluster, PATIENCE};
use alloy_consensus::TxEip1559;
use alloy_primitives::TxKind;
use cess::{
    client::{HttpTransport, RpcTransport, Signer, Wallet, dev_accounts},
    crypto::SecretKey,
    ledger::tx::sign_eip1559,
    types::{Address, Amount, U256, params::CHAIN_ID_LOCALNET},
};
use serde_json::{Value, json};

async fn rpc(cluster: &Cluster) -> HttpTransport {
    HttpTransport::new(&cluster.running.document().await.rpc).unwrap()
}

fn quantity(value: &Value) -> U256 {
    value.as_str().expect("a quantity").parse().expect("0x-hex")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balances_move_and_receipts_add_up() {
    let cluster = Cluster::builder().storage(0).start().await;
    let rpc = rpc(&cluster).await;
    assert_eq!(quantity(&rpc.call("eth_chainId", json!([])).await.unwrap()), U256::from(CHAIN_ID_LOCALNET));
    let wallet = cluster.wallet(0);
    let to = Address::repeat_byte(0x42);
    let before = cluster.chain.balance(wallet.address()).await.unwrap();
    let one = Amount::tokens(1).0;
    let outcome = wallet.send_and_wait(to, one, Default::default(), PATIENCE).await.unwrap();
    assert_eq!(cluster.chain.balance(to).await.unwrap(), one);
    let fee = U256::from(outcome.gas_used) * outcome.gas_price;
    assert_eq!(cluster.chain.balance(wallet.address()).await.unwrap(), before - one - fee);

    let receipt = rpc.call("eth_getTransactionReceipt", json!([outcome.tx])).await.unwrap();
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(quantity(&receipt["gasUsed"]), U256::from(21_000));
    let by_hash = rpc.call("eth_getBlockByHash", json!([receipt["blockHash"], true])).await.unwrap();
    assert_eq!(by_hash["number"], receipt["blockNumber"]);
    // Validators send transactions of their own, their reveals.
    let index = usize::try_from(quantity(&receipt["transactionIndex"])).unwrap();
    assert_eq!(by_hash["transactions"][index]["hash"], json!(outcome.tx));
    let by_number = rpc.call("eth_getBlockByNumber", json!([receipt["blockNumber"], false])).await.unwrap();
    assert_eq!(by_number["hash"], by_hash["hash"]);
    assert_eq!(rpc.call("eth_getBlockByNumber", json!(["0xffffffff", false])).await.unwrap(), Value::Null);

    let history = rpc.call("eth_feeHistory", json!(["0x4", "latest", [50.0]])).await.unwrap();
    assert!(history["baseFeePerGas"].as_array().is_some_and(|fees| fees.len() >= 2), "{history}");
    for method in ["eth_gasPrice", "eth_blockNumber", "net_version", "web3_clientVersion"] {
        assert!(rpc.call(method, json!([])).await.unwrap().is_string(), "{method}");
    }
    assert!(rpc.call("eth_noSuchMethod", json!([])).await.is_err());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_native_account_signs_with_ed25519() {
    let cluster = Cluster::builder().storage(0).start().await;
    let native = Wallet::new(cluster.chain.clone(), Signer::Native(SecretKey::from_bytes(&[9; 32])), CHAIN_ID_LOCALNET);
    let funder = cluster.wallet(0);
    funder.send_and_wait(native.address(), Amount::tokens(5).0, Default::default(), PATIENCE).await.unwrap();
    let to = Address::repeat_byte(0x43);
    let outcome = native.send_and_wait(to, Amount::tokens(2).0, Default::default(), PATIENCE).await.unwrap();
    assert!(outcome.success);
    assert_eq!(cluster.chain.balance(to).await.unwrap(), Amount::tokens(2).0);
    let shown = rpc(&cluster).await.call("eth_getTransactionByHash", json!([outcome.tx])).await.unwrap();
    assert_eq!(shown["type"], "0x6c");
    assert_eq!(shown["from"], json!(native.address()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replays_foreign_chains_and_empty_pockets_are_refused_with_names_and_bounds() {
    let cluster = Cluster::builder().storage(0).start().await;
    let rpc = rpc(&cluster).await;
    let key = dev_accounts().swap_remove(1).key;
    let signed = |chain_id: u64, nonce: u64, value: U256| {
        let tx = TxEip1559 {
            chain_id,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to: TxKind::Call(Address::repeat_byte(1)),
            value,
            ..TxEip1559::default()
        };
        let raw = sign_eip1559(&tx, &key);
        format!("0x{}", hex::encode(raw))
    };
    let send = |raw: String| {
        let rpc = &rpc;
        async move { rpc.call("eth_sendRawTransaction", json!([raw])).await.map_err(|e| e.to_string()) }
    };
    let raw = signed(CHAIN_ID_LOCALNET, 0, U256::from(1));
    let hash = send(raw.clone()).await.unwrap();
    let hash: cess::types::B256 = serde_json::from_value(hash).unwrap();
    crate::cluster::wait_for("the transaction to be final", || async { cluster.chain.outcome(hash).await.ok()? }).await;

    let replayed = send(raw).await.unwrap_err();
    assert!(replayed.contains('0') && replayed.contains('1') && replayed.contains("nonce"), "{replayed}");
    let foreign = send(signed(1, 1, U256::from(1))).await.unwrap_err();
    assert!(foreign.contains("chain 1,") && foreign.contains(&CHAIN_ID_LOCALNET.to_string()), "{foreign}");
    let poor = send(signed(CHAIN_ID_LOCALNET, 1, U256::MAX >> 1)).await.unwrap_err();
    assert!(poor.contains("balance") || poor.contains("funds"), "{poor}");
    let garbage = send("0x02deadbeef".to_owned()).await.unwrap_err();
    assert!(!garbage.is_empty());
    cluster.stop().await;
}
