//! A TEE worker that joins by hand: registered with tokens of the faucet, it is handed the group's key, is shown, and leaves.

use crate::{
    cluster::wait_for,
    process::{BINARY, Guard, cess, json_of, localnet, ready_document},
};
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// A worker in a process of its own.
fn worker(home: &Path, join: &str) -> Guard {
    let child = Command::new(BINARY)
        .args(["run", "--role", "tee", "--name", "by-hand", "--join", join, "--dir"])
        .arg(home.join("by-hand"))
        .env("CESS_HOME", home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    Guard(child)
}

fn workers(document: &Value) -> Vec<&str> {
    document["workers"].as_array().expect("a list").iter().filter_map(|worker| worker["name"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_joins_by_hand_gets_the_key_and_leaves() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let (mut net, ready) = localnet(home, &["--validators", "1", "--storage", "0", "--gateway", "0"]);
    let document = ready_document(&ready).await;
    let json = |args: &[&str]| json_of(&cess(home, &[&["--json"], args].concat()));
    // Ready means that what is stored can be tagged.
    let list = json(&["tee", "list"]);
    assert_eq!((workers(&list), &list["epochs"][0]["state"]), (vec!["tee-0"], &"open".into()));

    let join = document["nodes"][0]["listen"].as_str().expect("an address");
    let mut joiner = worker(home, join);
    let own = home.join("by-hand");
    let own = own.to_str().expect("a path of this test");
    let status = wait_for("the worker to have the key", || async {
        let output = cess(home, &["--json", "tee", "status", "--node", own]);
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        (status["keys"][0]["state"] == "open").then_some(status)
    })
    .await;
    assert_eq!(
        (&status["name"], &status["state"], &status["bond"]),
        (&"by-hand".into(), &"active".into(), &list["workers"][0]["bond"])
    );
    assert_eq!((&status["attestation"], &status["next"][0]), (&"unattested".into(), &"nothing, it works".into()));
    // The localnet's own worker opened the epoch and handed its key on; its node says what waits.
    let other = json(&["tee", "status", "tee-0"]);
    assert_eq!((&other["work"]["epochs_opened"], &other["work"]["keys_handed"]), (&1.into(), &1.into()));
    assert_eq!((&other["node"]["epoch"]["held"], &other["node"]["waiting"]["files"]), (&true.into(), &0.into()));

    let left = json(&["tee", "leave", "--node", own]);
    assert_eq!((&left["call"], &left["words"].as_array().map(Vec::len)), (&"leave".into(), &Some(1)));
    assert_eq!(workers(&json(&["tee", "list"])), ["tee-0"]);
    let after = json(&["tee", "status", "--node", own]);
    assert_eq!((&after["state"], after["keys"].as_array().map(Vec::len)), (&"leaving".into(), Some(0)));
    let early = cess(home, &["tee", "withdraw", "--node", own]);
    let refused = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(!early.status.success() && refused.contains("locked until block"), "{refused}");
    // A vote of the only seat is more than two thirds.
    let measurement = format!("0x{}", "ab".repeat(32));
    let voted = json(&["tee", "allow", &measurement, "--node", "validator-0"]);
    assert!(voted["words"][0].as_str().is_some_and(|words| words.contains("is trusted")), "{voted}");

    assert!(joiner.stop().success());
    assert!(net.stop().success());
}
