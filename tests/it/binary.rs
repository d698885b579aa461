//! The binary as a user runs it: words, exit codes, JSON, processes.

use crate::{
    cluster::{PATIENCE, noise, wait_for},
    process::{BINARY, cess, joiner, json_of, localnet, ready_document},
};
use serde_json::Value;
use std::process::Command;

#[test]
fn wrong_usage_is_2_and_a_refusal_is_1() {
    let home = tempfile::tempdir().unwrap();
    let wrong: [&[&str]; 10] = [
        &["nonsense"],
        &["put"],
        &["get", "x"],
        &["--url", "ftp://x", "status"],
        &["run"],
        &["miner"],
        &["explain", "power"],
        &["events", "--kind", "nonsense"],
        &["audits", "x"],
        &[],
    ];
    for args in wrong {
        let output = cess(home.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let output = cess(home.path(), &["status"]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("no localnet is running") && words.contains("cess localnet"), "{words}");
    assert_eq!(cess(home.path(), &["--version"]).status.code(), Some(0));
    let shown = cess(home.path(), &["config"]);
    assert_eq!(String::from_utf8_lossy(&shown.stdout), include_str!("../../config.example.toml"));
}

/// A file goes through a gateway in bounded memory, however long it is: this one is three times the gateway's buffers.
#[test]
fn slicing_a_long_stream_takes_little_memory() {
    const LONG: u64 = 640 << 20;
    let home = tempfile::tempdir().unwrap();
    let figures = json_of(&cess(home.path(), &["--json", "bench", "slicer", "--size", "640MiB"]));
    assert_eq!((&figures["size"], &figures["segments"]), (&Value::from(LONG), &Value::from(20)));
    let peak = figures["peak_rss_bytes"].as_u64().unwrap();
    assert!((1..300 << 20).contains(&peak), "{peak} B");
    let code = json_of(&cess(home.path(), &["--json", "bench", "erasure", "--rounds", "1"]));
    assert!(code.as_array().unwrap().iter().all(|line| line["gb_s"].as_f64().unwrap() > 0.0), "{code}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_stores_and_fetches_with_the_command_line() {
    let home = tempfile::tempdir().unwrap();
    let (mut net, ready) = localnet(home.path(), &[]);
    let document = ready_document(&ready).await;
    assert_eq!(document["nodes"].as_array().unwrap().len(), 18);
    assert!(document["accounts"][0]["key"].as_str().unwrap().starts_with("0x"));

    let source = home.path().join("movie.mkv");
    let bytes = noise(5_000_000, 31);
    std::fs::write(&source, &bytes).unwrap();
    let stored = json_of(&cess(home.path(), &["--json", "put", source.to_str().unwrap()]));
    let id = stored["id"].as_str().unwrap().to_owned();
    assert_eq!(stored["size"], 5_000_000);
    assert!(stored["segments"] == 1 && stored["tx"].is_string() && stored["block"].is_u64(), "{stored}");

    let stat = json_of(&cess(home.path(), &["--json", "stat", &id]));
    let fragments = stat["segments"][0]["fragments"].as_array().unwrap();
    assert_eq!(fragments.len(), 12);
    for (index, fragment) in fragments.iter().enumerate() {
        assert_eq!(fragment["index"], index);
        assert_eq!(fragment["healthy"], true);
        assert!(fragment["node"].as_str().unwrap().starts_with("storage-"), "{fragment}");
    }
    let back = home.path().join("back.mkv");
    json_of(&cess(home.path(), &["--json", "get", &id, "-o", back.to_str().unwrap()]));
    assert_eq!(std::fs::read(&back).unwrap(), bytes);

    // Kill, status and start through the control port.
    let status = json_of(&cess(home.path(), &["--json", "localnet", "kill", "storage-0"]));
    let state = |document: &Value, name: &str| {
        let nodes = document["nodes"].as_array().unwrap();
        nodes.iter().find(|n| n["name"] == name).unwrap()["state"].clone()
    };
    assert_eq!(state(&status, "storage-0"), "stopped");
    let status = json_of(&cess(home.path(), &["--json", "localnet", "pause", "storage-1"]));
    assert_eq!(state(&status, "storage-1"), "paused");
    json_of(&cess(home.path(), &["--json", "localnet", "resume", "storage-1"]));
    json_of(&cess(home.path(), &["--json", "localnet", "start", "storage-0"]));
    let status = json_of(&cess(home.path(), &["--json", "localnet", "status"]));
    assert!(status["nodes"].as_array().unwrap().iter().all(|n| n["state"] == "running"), "{status}");
    let unknown = cess(home.path(), &["localnet", "kill", "storage-99"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("storage-99"));

    let listed = json_of(&cess(home.path(), &["--json", "ls"]));
    assert_eq!(listed[0]["id"], id.as_str());
    let workers = json_of(&cess(home.path(), &["--json", "worker", "list"]));
    assert!(workers.as_array().unwrap().iter().any(|w| w["node"] == "storage-2"), "{workers}");
    let accounts = json_of(&cess(home.path(), &["--json", "accounts"]));
    let to = accounts[3]["address"].as_str().unwrap();
    let sent = json_of(&cess(home.path(), &["--json", "send", to, "1.5"]));
    assert!(sent["block"].is_u64(), "{sent}");
    let rich = cess(home.path(), &["send", to, "99999999999"]);
    assert_eq!(rich.status.code(), Some(1));
    json_of(&cess(home.path(), &["--json", "status"]));

    let gateway = document["gateway"].as_str().unwrap();
    let rpc = document["rpc"].as_str().unwrap();
    for url in [gateway, rpc] {
        json_of(&cess(home.path(), &["--json", "--url", url, "stat", &id]));
    }
    let removed = json_of(&cess(home.path(), &["--json", "rm", &id]));
    assert_eq!(removed["deleted"], true);
    let gone = cess(home.path(), &["get", &id, "-o", back.to_str().unwrap()]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains(&id));
    let empty = home.path().join("empty");
    std::fs::write(&empty, b"").unwrap();
    let refused = cess(home.path(), &["put", empty.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("empty"));
    let absent = cess(home.path(), &["put", "/no/such/file"]);
    assert!(String::from_utf8_lossy(&absent.stderr).contains("/no/such/file"));

    // A second localnet in the same directory is refused by name.
    let second = Command::new(BINARY).arg("localnet").env("CESS_HOME", home.path()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("is running"));
    assert!(net.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_process_joins_and_receives_fragments() {
    let home = tempfile::tempdir().unwrap();
    let (mut net, ready) = localnet(home.path(), &["--validators", "1", "--storage", "11"]);
    let document = ready_document(&ready).await;
    let join = document["nodes"][0]["listen"].as_str().unwrap();
    let mut joiner = joiner(home.path(), join).await;
    let source = home.path().join("file");
    std::fs::write(&source, noise(200_000, 32)).unwrap();
    let stored = json_of(&cess(home.path(), &["--json", "put", source.to_str().unwrap()]));
    let stat = json_of(&cess(home.path(), &["--json", "stat", stored["id"].as_str().unwrap()]));
    let fragments = stat["segments"][0]["fragments"].as_array().unwrap();
    assert!(fragments.iter().any(|f| f["node"] == "joiner" && f["healthy"] == true), "{stat}");
    assert!(joiner.stop().success());
    assert!(net.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_may_be_its_own_process() {
    let home = tempfile::tempdir().unwrap();
    let (mut net, ready) = localnet(home.path(), &["--processes", "--validators", "4"]);
    let document = ready_document(&ready).await;
    let mut pids: Vec<u64> = document["nodes"].as_array().unwrap().iter().map(|n| n["pid"].as_u64().unwrap()).collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 18);
    let source = home.path().join("file");
    let bytes = noise(1_000_000, 33);
    std::fs::write(&source, &bytes).unwrap();
    json_of(&cess(home.path(), &["--json", "localnet", "kill", "validator-2"]));
    let stored = json_of(&cess(home.path(), &["--json", "put", source.to_str().unwrap()]));
    json_of(&cess(home.path(), &["--json", "localnet", "start", "validator-2"]));
    let back = home.path().join("back");
    let id = stored["id"].as_str().unwrap();
    json_of(&cess(home.path(), &["--json", "get", id, "-o", back.to_str().unwrap()]));
    assert_eq!(std::fs::read(&back).unwrap(), bytes);
    let url = document["nodes"][2]["url"].as_str().unwrap();
    let goal = json_of(&cess(home.path(), &["--json", "status"]))["chain"]["height"].as_u64().unwrap();
    wait_for("the killed validator to catch up", || async {
        let status = json_of(&cess(home.path(), &["--json", "--url", url, "status"]));
        (status["chain"]["height"].as_u64()? >= goal).then_some(())
    })
    .await;
    let began = std::time::Instant::now();
    assert!(net.stop().success());
    assert!(began.elapsed() < PATIENCE);
}
