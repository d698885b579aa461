//! Leased space from its purchase to the release of what it held, by the command line on a localnet with short eras.

use crate::{
    cluster::{Cluster, PATIENCE, noise, wait_for},
    process::{cess, json_of},
};
use cess::{
    client::{TerritoryState, territory},
    types::{Address, ByteCount, FileId, U256},
};
use serde_json::Value;
use std::path::PathBuf;

/// Secret key of an account that has nothing at first.
const KEY: &str = "0x0707070707070707070707070707070707070707070707070707070707070707";
/// Eras short enough to see a lease end; a day is four of them.
const ERA: u64 = 8;

/// A user with a home of its own.
struct User {
    home: tempfile::TempDir,
    url: String,
}

impl User {
    fn run(&self, args: &[&str]) -> std::process::Output {
        let all = [&["--url", &self.url, "--key", KEY, "--json"], args].concat();
        cess(self.home.path(), &all)
    }

    fn says(&self, args: &[&str]) -> Value {
        json_of(&self.run(args))
    }

    fn is_told(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn file(&self, name: &str, len: usize, seed: u64) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, noise(len, seed)).expect("a file can be written");
        path
    }
}

/// Blocks come quickly only while there is something for them.
async fn until(cluster: &Cluster, height: u64) {
    let wallet = cluster.wallet(9);
    while cluster.chain.status().await.unwrap().height < height {
        wallet.send_and_wait(Address::repeat_byte(1), U256::ONE, Default::default(), PATIENCE).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn space_is_bought_filled_grown_frozen_and_released() {
    let cluster = Cluster::builder().era_blocks(ERA).space(ByteCount::mib(64)).start().await;
    let user = User { home: tempfile::tempdir().unwrap(), url: cluster.running.document().await.rpc };
    let (small, large) = (user.file("small", 100_000, 1), user.file("large", 400_000, 2));
    let (small, large) = (small.to_str().unwrap(), large.to_str().unwrap());

    // Without space nothing is uploaded, and the words say what to do.
    let words = user.is_told(&["put", small]);
    assert!(words.contains("no active territory") && words.contains("cess space buy"), "{words}");
    let words = user.is_told(&["space", "buy", "1MiB", "--days", "1"]);
    assert!(words.contains("has 0 CESS") && words.contains("cess send"), "{words}");
    let account: Address = cess::client::Signer::parse(KEY).unwrap().address();
    cluster
        .wallet(0)
        .send_and_wait(account, U256::from(10).pow(U256::from(19)), Default::default(), PATIENCE)
        .await
        .unwrap();

    let quote = user.says(&["space", "quote", "1MiB", "--days", "1"]);
    let bought = user.says(&["space", "buy", "1MiB", "--days", "1", "--name", "attic"]);
    assert_eq!(bought["price"], quote["price"], "{bought}");
    let token = bought["territory"]["token"].as_u64().unwrap();
    assert_eq!((&bought["territory"]["size"], &bought["territory"]["used"]), (&(1 << 20).into(), &0.into()));
    let deadline = bought["territory"]["deadline"].as_u64().unwrap();
    assert_eq!(deadline, bought["block"].as_u64().unwrap() + 4 * ERA);

    let stored = user.says(&["put", small, "--territory", "attic"]);
    let id: FileId = stored["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(user.says(&["space", "show", "attic"])["used"], 12 * 25_024);
    let words = user.is_told(&["put", large, "--territory", "attic"]);
    assert!(words.contains("attic") && words.contains("cess space expand"), "{words}");
    user.says(&["space", "expand", "attic", "2MiB"]);
    let big = user.says(&["put", large]);
    let big: FileId = big["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(user.says(&["space", "list"])[0]["used"], 12 * (25_024 + 100_032));
    // Another owner of the same bytes, charged for them, too.
    cluster.put(&noise(100_000, 1)).await;
    let words = user.is_told(&["space", "buy", "100TiB", "--days", "1", "--name", "moon"]);
    assert!(words.contains("can be leased") || words.contains("has "), "{words}");

    until(&cluster, deadline).await;
    let words = user.is_told(&["put", user.file("late", 1_000, 3).to_str().unwrap()]);
    assert!(words.contains("no active territory"), "{words}");
    let words = user.is_told(&["put", large, "--territory", "attic"]);
    assert!(words.contains("frozen") && words.contains("cess space reactivate"), "{words}");
    assert_eq!(cluster.get(big).await.unwrap(), noise(400_000, 2), "what is frozen stays readable");
    user.says(&["space", "reactivate", "attic", "--days", "1"]);
    let shown = user.says(&["space", "show", "attic"]);
    assert_eq!(shown["state"], "active", "{shown}");
    assert!(shown["deadline"].as_u64().unwrap() > deadline + 4 * ERA, "{shown}");

    // When the second lease and the grace have passed, validators release what nobody else owns.
    until(&cluster, shown["purge_from"].as_u64().unwrap()).await;
    wait_for("the territory to be released", || async {
        territory(cluster.chain.as_ref(), token).await.is_err().then_some(())
    })
    .await;
    assert_eq!(cluster.chain.file(big).await.unwrap(), None);
    assert_eq!(cluster.chain.file(id).await.unwrap().unwrap().owners, [cluster.wallet(0).address()]);
    assert_eq!(cluster.get(id).await.unwrap(), noise(100_000, 1));
    wait_for("the miners to have only the other owner's file", || async {
        let miners = cluster.chain.miners().await.ok()?;
        miners.iter().all(|miner| miner.used == 25_024).then_some(())
    })
    .await;
    assert_eq!(territory(cluster.chain.as_ref(), 1).await.unwrap().state, TerritoryState::Active);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn space_changes_hands() {
    let cluster = Cluster::builder().space(ByteCount::mib(64)).start().await;
    let user = User { home: tempfile::tempdir().unwrap(), url: cluster.running.document().await.rpc };
    let account = cess::client::Signer::parse(KEY).unwrap().address().to_string();
    let dev = |args: &[&str]| {
        let all = [&["--url", &user.url, "--json"], args].concat();
        json_of(&cess(user.home.path(), &all))
    };
    dev(&["send", &account, "10"]);
    let order = dev(&["space", "order", "1MiB", "--days", "2", "--name", "gift", "--receiver", &account]);
    dev(&["space", "pay", &order["order"].to_string()]);
    assert_eq!(user.says(&["space", "rename", "gift", "mine"])["territory"]["name"], "mine");
    let offered = user.says(&["space", "consign", "mine", "3"]);
    let token = offered["territory"]["token"].to_string();
    let bought = dev(&["space", "buy-offer", &token, "--name", "bargain"]);
    assert_eq!(bought["territory"]["name"], "bargain", "{bought}");
    assert!(user.is_told(&["space", "show", "mine"]).contains("no territory `mine`"));
    dev(&["space", "renew", "bargain", "--days", "1"]);
    let granted = dev(&["space", "grant", "bargain", &account]);
    assert_eq!(granted["territory"]["owner"].as_str().unwrap().to_lowercase(), account.to_lowercase());
    let file = user.file("file", 10_000, 4);
    let id = user.says(&["put", file.to_str().unwrap()])["id"].as_str().unwrap().to_owned();
    user.says(&["space", "buy", "1MiB", "--days", "1"]);
    let moved = user.says(&["space", "move", &id, "default"]);
    assert_eq!(moved["territory"]["used"], 12 * 2_560, "{moved}");
    assert!(user.is_told(&["space", "grant", "default", TO]).contains("only empty ones change hands"));
    cluster.stop().await;
}

const TO: &str = "0x4242424242424242424242424242424242424242";
