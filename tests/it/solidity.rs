//! Solidity projects and JavaScript libraries against a localnet: what developers do on any Ethereum chain.

use crate::{
    cluster::Cluster,
    process::{localnet, ready_document},
    tools::{Project, tool},
};
use cess::{client::dev_accounts, crypto::SecretKey};
use serde_json::{Value, json};

const TO: &str = "0x4242424242424242424242424242424242424242";

/// Secret key of a funded account, as tools take it.
pub fn key(index: usize) -> String {
    format!("0x{}", hex::encode(dev_accounts()[index].key.to_bytes()))
}

pub fn account(index: usize) -> String {
    dev_accounts()[index].address.to_string()
}

/// A localnet of one validator, and a token project that talks to it.
async fn token() -> (Cluster, Project) {
    let cluster = Cluster::builder().storage(0).gateways(0).start().await;
    let project = Project::new("tests/clients", &cluster.running.document().await.rpc);
    project.build().await;
    (cluster, project)
}

fn artifact(project: &Project, contract: &str) -> String {
    let path = project.path(&format!("out/{contract}.sol/{contract}.json"));
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn number(value: &Value) -> u128 {
    value.as_str().expect("a number as text").parse().expect("digits")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foundry_deploys_and_uses_an_openzeppelin_token() {
    let (cluster, project) = token().await;
    let (secret, from) = (key(0), account(0));
    let token = project.create(&secret, "src/Token.sol:Token", &["Foundry", "FDY", "1000000"]).await;

    assert_eq!(project.cast(&["call", &token, "symbol()(string)"]).await, "\"FDY\"");
    let sent = project.send(&secret, &[&token, "transfer(address,uint256)", TO, "42"]).await;
    assert_eq!(project.cast(&["call", &token, "balanceOf(address)(uint256)", TO]).await, "42");
    let transfer = ["transfer(address,uint256)", &from, "43", "--from", TO];
    let words = project.refused(&[&["call", token.as_str()][..], &transfer].concat()).await;
    assert!(words.contains("revert"), "it has 42: {words}");
    let estimate = project.cast(&["estimate", &token, "transfer(address,uint256)", TO, "1", "--from", &from]).await;
    assert!(estimate.parse::<u64>().unwrap() > 21_000, "{estimate}");

    // Logs by address and event, and storage with its proof. The sender's balance is a mapping's slot, as the compiler lays it out.
    let event = "Transfer(address indexed,address indexed,uint256)";
    let logs = project.cast(&["logs", "--json", "--from-block", "0", "--address", &token, event]).await;
    let logs: Vec<Value> = serde_json::from_str(&logs).unwrap();
    assert_eq!(logs.len(), 2, "what was minted and what was sent: {logs:?}");
    assert_eq!(logs[1]["transactionHash"], sent["transactionHash"]);
    let slot = project.cast_alone(&["index", "address", TO, "0"]).await;
    let proof = project.cast(&["proof", &token, &slot]).await;
    let proof: Value = serde_json::from_str(&proof).unwrap();
    assert_eq!(proof["storageProof"][0]["value"], "0x2a");
    assert!(!proof["accountProof"].as_array().unwrap().is_empty(), "{proof}");
    assert_eq!(proof["codeHash"].as_str().unwrap(), project.cast(&["codehash", &token]).await);

    // What happened inside: as the node tells it, and as cast finds out by running the block up to there itself.
    let hash = sent["transactionHash"].as_str().unwrap();
    let trace = project.cast(&["rpc", "debug_traceTransaction", hash, r#"{"tracer":"callTracer"}"#]).await;
    let trace: Value = serde_json::from_str(&trace).unwrap();
    assert_eq!((&trace["type"], &trace["gasUsed"]), (&json!("CALL"), &sent["gasUsed"]), "{trace}");
    let run = project.cast(&["run", hash]).await;
    assert!(run.contains("Transaction successfully executed"), "{run}");

    // Through the deployer that every chain has, a contract has the same address on every chain.
    let init_code = "0x465f5260205ff3";
    let address =
        project.cast_alone(&["create2", "--salt", &format!("0x{}", "07".repeat(32)), "--init-code", init_code]).await;
    project
        .send(&secret, &["0x4e59b44847b379578588920cA78FbF26c0B4956C", &format!("0x{}465f5260205ff3", "07".repeat(32))])
        .await;
    let code = project.cast(&["code", address.split_whitespace().last().unwrap()]).await;
    assert_eq!(code, format!("0x{:064x}", 11_332));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contract_checks_ed25519_signatures_in_a_batch() {
    let (cluster, project) = token().await;
    let contract = project.create(&key(0), "src/Signatures.sol:Signatures", &[]).await;
    let keys: Vec<SecretKey> = (1..=5).map(|seed| SecretKey::from_bytes(&[seed; 32])).collect();
    let message = |index: usize| vec![0xab; index];
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let publics = list(keys.iter().map(|key| format!("0x{}", hex::encode(key.public().0))).collect());
    let messages = list((0..keys.len()).map(|index| format!("0x{}", hex::encode(message(index)))).collect());
    let mut signatures: Vec<u8> = (0..).zip(&keys).flat_map(|(index, key)| key.sign(&message(index)).0).collect();
    let packed = format!("0x{}", hex::encode(&signatures));
    let accept = "accept(bytes32[],bytes,bytes[])";
    project.send(&key(0), &[&contract, accept, &publics, &packed, &messages]).await;
    assert_eq!(project.cast(&["call", &contract, "accepted()(uint256)"]).await, "5");
    signatures[64 * 3] ^= 1;
    let packed = format!("0x{}", hex::encode(&signatures));
    let words = project.refused(&["call", &contract, accept, &publics, &packed, &messages]).await;
    assert!(words.contains("revert"), "{words}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viem_deploys_reads_many_watches_and_lends_code() {
    let (cluster, project) = token().await;
    let (token, till) = (artifact(&project, "Token"), artifact(&project, "Till"));
    let seen = project.node("viem.mjs", &[&key(0), &key(1), &token, &till]).await;
    assert_eq!(seen["chainId"], 11_332);
    assert_eq!((&seen["seen"]["hash"], &seen["seen"]["value"]), (&seen["seen"]["sent"], &json!("7")));
    assert_eq!(seen["balance"], "7");
    let many = &seen["many"];
    assert_eq!(many[1], json!({ "status": "success", "result": "7" }), "{many}");
    assert_eq!((&many[2]["result"], &many[3]["status"]), (&json!("VIM"), &json!("failure")));
    assert_eq!(seen["refused"], "ERC20InsufficientBalance");
    // EIP-7702: the account's code points at the till, which ran as the account.
    assert_eq!(seen["type"], "eip7702");
    let till = seen["tillAddress"].as_str().unwrap().to_lowercase();
    assert_eq!(seen["code"], format!("0xef0100{}", &till[2..]));
    assert_eq!((&seen["payments"], seen["logs"].as_array().unwrap().len()), (&json!(["5", "5"]), 2));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ethers_sends_deploys_and_listens() {
    let (cluster, project) = token().await;
    let seen = project.node("ethers.mjs", &[&key(2), TO, &artifact(&project, "Token")]).await;
    assert_eq!(seen["network"], "11332");
    assert_eq!(seen["sent"], json!({ "status": 1, "gasUsed": "21000" }));
    assert_eq!(number(&seen["balance"]), 1_500_000_000_000_000_000);
    assert_eq!(seen["supply"], "1000");
    let event = &seen["event"];
    assert_eq!((&event["from"], &event["payee"], &event["value"]), (&json!(account(2)), &json!(TO), &json!("42")));
    assert_eq!(event["hash"], event["moved"]);
    assert_eq!(
        (&seen["past"], &seen["refused"], &seen["fee"]),
        (&json!(["42"]), &json!("ERC20InsufficientBalance"), &json!(true))
    );
    cluster.stop().await;
}

/// The bytes are the canonical ones: through the CREATE2 deployer others would have led to other addresses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_genesis_deploys_the_entry_points_at_their_addresses() {
    let home = tempfile::tempdir().unwrap();
    let of = |version: &str| tool("predeploys").join(format!("entrypoint-{version}.hex")).to_str().unwrap().to_owned();
    let shape = ["--validators", "1", "--storage", "0", "--gateway", "0"];
    let (mut net, ready) =
        localnet(home.path(), &[&shape[..], &["--deploy", &of("v0.7"), "--deploy", &of("v0.8")]].concat());
    let document = ready_document(&ready).await;
    let project = Project::new("tests/clients", document["rpc"].as_str().unwrap());
    let owner = account(0);
    // Version 0.7 keeps the contract it creates accounts through to itself; it is the first it created.
    let creators = ["0xEFC2c1444eBCC4Db75e7613d20C6a62fF67A167C".to_owned(), {
        project.cast(&["call", ENTRY_POINTS[1], "senderCreator()(address)"]).await
    }];
    for (entry_point, creator) in ENTRY_POINTS.into_iter().zip(creators) {
        let nonce = project.cast(&["call", entry_point, "getNonce(address,uint192)(uint256)", &owner, "0"]).await;
        assert_eq!(nonce, "0");
        assert_ne!(project.cast(&["codesize", &creator]).await, "0", "{creator} of {entry_point}");
        project.send(&key(0), &[entry_point, "depositTo(address)", &owner, "--value", "5"]).await;
        assert_eq!(project.cast(&["call", entry_point, "balanceOf(address)(uint256)", &owner]).await, "5");
    }
    // What its constructor computed for signatures is of this chain.
    let domain = project.cast(&["call", ENTRY_POINTS[1], "eip712Domain()(bytes1,string,string,uint256,address)"]).await;
    assert!(domain.lines().any(|line| line.starts_with("11332")), "{domain}");
    net.stop();
}

const ENTRY_POINTS: [&str; 2] =
    ["0x0000000071727De22E5E9d8BAf0edAc6f37da032", "0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108"];
