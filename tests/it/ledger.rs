//! The chain as Ethereum tools and wallets see it.

use crate::{
    cluster::{Cluster, PATIENCE},
    process::{cess, json_of},
};
use alloy_consensus::TxEip1559;
use alloy_primitives::TxKind;
use alloy_sol_types::SolCall;
use cess::{
    client::{HttpTransport, RpcTransport, Signer, Wallet, dev_accounts},
    crypto::SecretKey,
    ledger::{
        abi::{IMiners, MINERS},
        native::Call,
        tx::sign_eip1559,
    },
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
async fn a_native_account_sends_several_calls_as_one() {
    let cluster = Cluster::builder().storage(0).gateways(0).start().await;
    let secret = SecretKey::from_bytes(&[10; 32]);
    let native = Wallet::new(cluster.chain.clone(), Signer::Native(secret.clone()), CHAIN_ID_LOCALNET);
    let funder = cluster.wallet(0);
    funder.send_and_wait(native.address(), Amount::tokens(9).0, Default::default(), PATIENCE).await.unwrap();

    // By the command line: pairs of accounts and amounts.
    let home = tempfile::tempdir().unwrap();
    let (url, key) = (cluster.running.document().await.rpc, format!("ed25519:{}", hex::encode(*secret.to_bytes())));
    let payees = [Address::repeat_byte(0x51), Address::repeat_byte(0x52)].map(|payee| payee.to_string());
    let words = ["--json", "--url", &url, "--key", &key, "send", &payees[0], "1.5", &payees[1], "2"];
    let sent = json_of(&cess(home.path(), &words));
    assert_eq!(sent["transfers"].as_array().unwrap().len(), 2, "{sent}");
    assert_eq!(cluster.chain.balance(Address::repeat_byte(0x52)).await.unwrap(), Amount::tokens(2).0);
    let shown = rpc(&cluster).await.call("eth_getTransactionByHash", json!([sent["tx"]])).await.unwrap();
    let calls = shown["calls"].as_array().unwrap();
    assert_eq!((&shown["type"], calls.len()), (&json!("0x6c"), 2), "{shown}");
    assert_eq!(calls[0]["to"], payees[0].to_lowercase());
    let odd = cess(home.path(), &["--url", &url, "--key", &key, "send", &payees[0], "1", &payees[1]]);
    assert_eq!(odd.status.code(), Some(2), "{}", String::from_utf8_lossy(&odd.stderr));

    // One that fails takes the others with it, and is named.
    let call = |to, value, data: Vec<u8>| Call { to, value, data: data.into() };
    let miss = IMiners::getCall { account: native.address() }.abi_encode();
    let calls = vec![call(Address::repeat_byte(0x53), U256::from(1), vec![]), call(MINERS, U256::ZERO, miss)];
    let error = native.send_batch_and_wait(calls, Some(200_000), PATIENCE).await.unwrap_err().to_string();
    assert!(error.contains("call 1 of the batch") && error.contains("not registered"), "{error}");
    assert_eq!(cluster.chain.balance(Address::repeat_byte(0x53)).await.unwrap(), U256::ZERO);
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
