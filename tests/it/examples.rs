//! The contract of `contracts/examples` with a file that was really stored: built, tested on a fork, deployed and driven.

use crate::{
    cluster::{Cluster, noise, wait_for},
    process::{cess, json_of},
    solidity::{account, key},
    tools::Project,
};
use serde_json::Value;

/// Short enough that a story can wait for the end of an era.
const ERA_BLOCKS: u64 = 12;

struct Shop<'p> {
    project: &'p Project,
    address: String,
}

impl Shop<'_> {
    async fn send(&self, who: usize, args: &[&str]) -> Value {
        self.project.send(&key(who), &[&[self.address.as_str()], args].concat()).await
    }

    async fn call(&self, args: &[&str]) -> String {
        self.project.cast(&[&["call", self.address.as_str()], args].concat()).await
    }

    async fn refusal(&self, args: &[&str]) -> String {
        self.project.refused(&[&["call", self.address.as_str()], args].concat()).await
    }

    /// Waits until `args` would succeed: an era has to end first.
    async fn wait_until_possible(&self, args: &[&str]) {
        let era = || async { self.project.cast(&["call", STAKING, "currentEra()(uint64)"]).await };
        let begun = era().await;
        wait_for("the era to end", || async { (era().await != begun).then_some(()) }).await;
        self.call(args).await;
    }
}

const STAKING: &str = "0x00000000000000000000000000000000ce550001";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contract_sells_a_stored_file() {
    let cluster = Cluster::builder().era_blocks(ERA_BLOCKS).start().await;
    let document = cluster.running.document().await;
    // The file is stored as a user stores it.
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("film.mkv");
    std::fs::write(&path, noise(200_000, 77)).unwrap();
    let put = ["--json", "--url", &document.gateway, "--key", &key(0), "put", path.to_str().unwrap()];
    let stored = json_of(&cess(home.path(), &put));
    let file = format!("0x{}", stored["id"].as_str().unwrap());

    let project = Project::new("contracts/examples", &document.rpc);
    let report = project.forge_test(&[("CESS_FILE", &file)]).await;
    let suite = &report["test/FileShop.t.sol:FileShopTest"]["test_results"];
    let results = suite.as_object().unwrap_or_else(|| panic!("{report}"));
    assert!(results.len() == 4 && results.values().all(|test| test["status"] == "Success"), "{report}");

    let address = project.create(&key(1), "src/FileShop.sol:FileShop", &[]).await;
    let shop = Shop { project: &project, address };
    assert_eq!(shop.call(&["kept(bytes32)(bool,uint256)", &file]).await, "true\n12");
    let words = shop.refusal(&["offer(bytes32,uint256)", &file, "5", "--from", &account(1)]).await;
    assert!(words.contains("NotOwner") || words.contains("revert"), "{words}");
    shop.send(0, &["offer(bytes32,uint256)", &file, "5"]).await;
    shop.send(1, &["buy(bytes32)", &file, "--value", "5"]).await;
    assert_eq!(shop.call(&["hasPaid(bytes32,address)(bool)", &file, &account(1)]).await, "true");
    let settle = ["settle(bytes32,address)", &file, &account(1)];
    shop.wait_until_possible(&settle).await;
    shop.send(2, &settle).await;
    assert_eq!(project.cast(&["balance", &shop.address]).await, "0");

    // Another buys, then the last owner gives the file up: the money goes back.
    shop.send(2, &["buy(bytes32)", &file, "--value", "5"]).await;
    let rm = ["--json", "--url", &document.gateway, "--key", &key(0), "rm", &file[2..]];
    json_of(&cess(home.path(), &rm));
    assert_eq!(shop.call(&["kept(bytes32)(bool,uint256)", &file]).await, "false\n0");
    let refund = ["refund(bytes32,address)", &file, &account(2)];
    shop.wait_until_possible(&refund).await;
    let receipt = shop.send(1, &refund).await;
    assert_eq!(receipt["logs"].as_array().unwrap().len(), 1, "{receipt}");
    assert_eq!(project.cast(&["balance", &shop.address]).await, "0");
    assert_eq!(shop.call(&["hasPaid(bytes32,address)(bool)", &file, &account(2)]).await, "false");
    cluster.stop().await;
}
