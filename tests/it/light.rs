//! A miner that believes nobody, and headers verified from the command line.

use crate::{
    cluster::{noise, wait_for},
    process::{cess, joiner_with, json_of, localnet, ready_document},
};
use serde_json::Value;
use std::path::Path;

fn words(home: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = cess(home, args);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_light_miner_keeps_fragments_and_headers_are_verified_from_genesis_on() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let (mut net, ready) = localnet(home, &["--validators", "1", "--storage", "11", "--era-blocks", "4"]);
    let document = ready_document(&ready).await;
    let join = document["nodes"][0]["listen"].as_str().unwrap();
    let genesis = home.join("localnet/validator-0/genesis.json");
    let genesis = genesis.to_str().unwrap();
    let mut joiner = joiner_with(home, join, &["--light", "--genesis", genesis]).await;
    let settings = std::fs::read_to_string(home.join("joiner/config.toml")).unwrap();
    assert!(settings.contains("mode = \"light\""), "{settings}");

    let (source, back) = (home.join("file"), home.join("back"));
    let bytes = noise(300_000, 61);
    std::fs::write(&source, &bytes).unwrap();
    let stored = json_of(&cess(home, &["--json", "put", source.to_str().unwrap()]));
    let id = stored["id"].as_str().unwrap();
    let stat = json_of(&cess(home, &["--json", "stat", id]));
    let fragments = stat["segments"][0]["fragments"].as_array().unwrap();
    assert!(fragments.iter().any(|f| f["node"] == "joiner" && f["healthy"] == true), "{stat}");
    // With eight of the other eleven holders gone, every byte needs the light miner's fragment.
    let killed: Vec<String> = (0..8).map(|n| format!("storage-{n}")).collect();
    let kill: Vec<&str> = ["--json", "localnet", "kill"].into_iter().chain(killed.iter().map(String::as_str)).collect();
    json_of(&cess(home, &kill));
    json_of(&cess(home, &["--json", "get", id, "-o", back.to_str().unwrap()]));
    assert_eq!(std::fs::read(&back).unwrap(), bytes);

    // It goes on from its checkpoint, and still knows what it holds.
    assert!(joiner.stop().success());
    let mut joiner = joiner_with(home, join, &[]).await;
    std::fs::remove_file(&back).unwrap();
    wait_for("the miner to be back", || async {
        cess(home, &["--json", "get", id, "-o", back.to_str().unwrap()]).status.success().then_some(())
    })
    .await;
    assert_eq!(std::fs::read(&back).unwrap(), bytes);

    let chain = wait_for("a third era", || async {
        let status = json_of(&cess(home, &["--json", "status"]));
        (status["chain"]["height"].as_u64()? >= 10).then(|| status["chain"].clone())
    })
    .await;
    let height = chain["height"].to_string();
    let verified = wait_for("the block after it", || async {
        let verified = json_of(&cess(home, &["--json", "light", &height]));
        (!verified["executed"].is_null()).then_some(verified)
    })
    .await;
    assert_eq!(verified["executed"]["hash"], chain["hash"]);
    assert_eq!((&verified["signed_power"], &verified["members"]), (&verified["power"], &Value::from(1)));
    assert_eq!(verified["trusted"], chain["genesis"]);
    let era = verified["era"].as_u64().unwrap();
    assert!(era >= 2 && verified["certificates_checked"].as_u64().unwrap() >= era + 3, "{verified}");
    let (code, shown) = {
        let output = cess(home, &["light", "5"]);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert!(code == Some(0) && shown.contains("state root") && shown.contains("from genesis"), "{shown}");

    let (code, why) = words(home, &["light", "1000000"]);
    assert!(code == Some(1) && why.contains("not certified yet"), "{why}");
    let (code, why) = words(home, &["light", "0"]);
    assert!(code == Some(1) && why.contains("genesis"), "{why}");
    let forged = home.join("forged.json");
    let mut other: Value = serde_json::from_slice(&std::fs::read(genesis).unwrap()).unwrap();
    other["time_ms"] = Value::from(1);
    std::fs::write(&forged, other.to_string()).unwrap();
    let (code, why) = words(home, &["light", "5", "--genesis", forged.to_str().unwrap()]);
    assert!(code == Some(1) && why.contains("follows the chain with genesis"), "{why}");
    let (code, why) = words(home, &["--url", document["rpc"].as_str().unwrap(), "light", "5"]);
    assert!(code == Some(2) && why.contains("--genesis"), "{why}");

    assert!(joiner.stop().success());
    assert!(net.stop().success());
}
