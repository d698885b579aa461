//! The ledger as foundry's `cast` sees it: the real client, not what we take it for.

use crate::{cluster::Cluster, tools::tool};
use cess::{
    client::dev_accounts,
    ledger::abi::{MINERS, STAKING},
    types::params::CHAIN_ID_LOCALNET,
};
use serde_json::Value;
use std::{
    path::PathBuf,
    process::{Command, Output},
};

const TO: &str = "0x4242424242424242424242424242424242424242";

/// Runs cast against one node.
struct Cast {
    path: PathBuf,
    url: String,
    /// Where no foundry project changes its settings.
    dir: tempfile::TempDir,
}

impl Cast {
    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.path);
        command.args(args).args(["--rpc-url", &self.url]).current_dir(self.dir.path());
        command.output().expect("cast runs")
    }

    /// What cast prints when all is well.
    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "cast {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.says(args)).expect("one JSON document")
    }

    /// What cast prints when it is refused.
    fn is_told(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(!output.status.success(), "cast {args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cast_reads_sends_and_follows() {
    let cluster = Cluster::builder().storage(0).start().await;
    let url = cluster.running.document().await.rpc;
    let cast = Cast { path: tool("cast"), url, dir: tempfile::tempdir().unwrap() };
    let key = format!("0x{}", hex::encode(dev_accounts()[0].key.to_bytes()));
    let from = dev_accounts()[0].address.to_string();

    assert_eq!(cast.says(&["chain-id"]), CHAIN_ID_LOCALNET.to_string());
    let before: u64 = cast.says(&["block-number"]).parse().unwrap();
    assert_eq!(cast.says(&["balance", TO]), "0");
    assert_eq!(cast.says(&["nonce", &from]), "0");
    assert!(cast.says(&["gas-price"]).parse::<u64>().unwrap() > 0);

    let sent = cast.json(&["send", TO, "--value", "1ether", "--private-key", &key, "--json"]);
    assert_eq!(sent["status"], "0x1", "{sent}");
    let hash = sent["transactionHash"].as_str().unwrap();
    assert_eq!(cast.says(&["balance", TO]), "1000000000000000000");
    assert_eq!(cast.says(&["nonce", &from]), "1");
    let receipt = cast.json(&["receipt", hash, "--json"]);
    for field in ["transactionHash", "blockHash", "blockNumber", "gasUsed", "effectiveGasPrice", "from", "to"] {
        assert_eq!(receipt[field], sent[field], "{field}");
    }
    assert_eq!(receipt["gasUsed"], "0x5208");
    let height: u64 = cast.says(&["receipt", hash, "blockNumber"]).parse().unwrap();
    assert!(height > before);
    let block = cast.json(&["block", &height.to_string(), "--json"]);
    assert_eq!(block["hash"], receipt["blockHash"]);
    assert!(block["transactions"].as_array().is_some_and(|all| all.contains(&Value::from(hash))), "{block}");
    assert_eq!(cast.says(&["tx", hash, "nonce"]), "0");

    // The older kind of transaction, and one that sends more than there is.
    let legacy = cast.json(&["send", TO, "--value", "1", "--private-key", &key, "--legacy", "--json"]);
    assert_eq!((&legacy["status"], &legacy["type"]), (&Value::from("0x1"), &Value::from("0x0")));
    let words = cast.is_told(&["send", TO, "--value", "999999999ether", "--private-key", &key]);
    assert!(words.contains("insufficient funds"), "{words}");
    let words = cast.is_told(&["receipt", &format!("0x{}", "7".repeat(64)), "--async"]);
    assert!(words.contains("not found"), "{words}");

    // The protocol's modules are contracts to cast.
    let miners = MINERS.to_string();
    assert_eq!(cast.says(&["call", &miners, "count()(uint64)"]), "0");
    let words = cast.is_told(&["call", &miners, "get(address)", TO]);
    assert!(words.contains("revert"), "{words}");
    assert_ne!(cast.says(&["codesize", &STAKING.to_string()]), "0", "solidity callers look for code first");
    cluster.stop().await;
}
