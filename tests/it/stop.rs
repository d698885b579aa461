//! `cess localnet stop`: everything ends in order, and goes on later where it was.

use crate::{
    cluster::noise,
    process::{Guard, cess, json_of, localnet, ready_document},
};
use serde_json::Value;
use std::{net::TcpStream, path::Path};

/// Host and port of everything a localnet listens on.
fn ports(document: &Value) -> Vec<String> {
    let http = |url: &Value| url.as_str().expect("a URL").trim_start_matches("http://").to_owned();
    let mut ports = vec![http(&document["control"])];
    for node in document["nodes"].as_array().expect("nodes") {
        ports.push(http(&node["url"]));
        let listen = node["listen"].as_str().expect("a multiaddress");
        ports.push(format!("127.0.0.1:{}", listen.split('/').nth(4).expect("a port")));
    }
    ports
}

fn is_running(pid: u64) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// A localnet of some shape that is stopped and started again. `leave` makes something that must last, `check` finds it.
async fn stops_and_goes_on<T>(shape: &[&str], leave: impl FnOnce(&Path) -> T, check: impl FnOnce(&Path, T)) {
    let home = tempfile::tempdir().unwrap();
    let (mut net, ready) = localnet(home.path(), shape);
    let first = ready_document(&ready).await;
    let pids: Vec<u64> = first["nodes"].as_array().unwrap().iter().map(|n| n["pid"].as_u64().unwrap()).collect();
    let answers = |port: &String| TcpStream::connect(port).is_ok();
    assert!(ports(&first).iter().all(answers) && pids.iter().all(|pid| is_running(*pid)));
    let left = leave(home.path());
    let before = json_of(&cess(home.path(), &["--json", "status"]));

    let stopped = json_of(&cess(home.path(), &["--json", "localnet", "stop"]));
    assert_eq!(stopped["stopped"], true);
    assert_eq!(ports(&first).into_iter().filter(answers).collect::<Vec<_>>(), [""; 0], "these still answer");
    let Guard(process) = &mut net;
    assert!(process.wait().unwrap().success());
    assert!(!pids.iter().any(|pid| is_running(*pid)), "{pids:?}");
    for args in [&["localnet", "stop"], &["localnet", "status"]] {
        let refused = cess(home.path(), args);
        assert_eq!(refused.status.code(), Some(1));
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(words.contains("no localnet is running") && words.contains("cess localnet"), "{words}");
    }

    std::fs::remove_file(&ready).unwrap();
    let (mut net, ready) = localnet(home.path(), shape);
    let second = ready_document(&ready).await;
    assert_eq!(second["nodes"][0]["account"], first["nodes"][0]["account"]);
    let after = json_of(&cess(home.path(), &["--json", "status"]));
    assert!(after["chain"]["height"].as_u64() >= before["chain"]["height"].as_u64(), "{before} {after}");
    check(home.path(), left);
    json_of(&cess(home.path(), &["--json", "localnet", "stop"]));
    assert!(net.0.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_localnet_stops_on_command_and_goes_on_with_its_files() {
    let bytes = noise(300_000, 41);
    let put = |home: &Path| {
        std::fs::write(home.join("file"), &bytes).unwrap();
        let stored = json_of(&cess(home, &["--json", "put", home.join("file").to_str().unwrap()]));
        stored["id"].as_str().unwrap().to_owned()
    };
    let get = |home: &Path, id: String| {
        let back = home.join("back");
        json_of(&cess(home, &["--json", "get", &id, "-o", back.to_str().unwrap()]));
        assert!(std::fs::read(&back).unwrap() == bytes, "another file came back");
    };
    stops_and_goes_on(&["--validators", "1"], put, get).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_localnet_of_processes_stops_on_command_and_goes_on_with_its_accounts() {
    let fourth = |home: &Path| json_of(&cess(home, &["--json", "accounts"]))[3].clone();
    let send = |home: &Path| {
        let before = fourth(home);
        json_of(&cess(home, &["--json", "send", before["address"].as_str().unwrap(), "1.5"]));
        assert_ne!(fourth(home), before);
        fourth(home)
    };
    let same = |home: &Path, left: Value| assert_eq!(fourth(home), left);
    let shape = ["--processes", "--validators", "2", "--storage", "1", "--gateway", "0"];
    stops_and_goes_on(&shape, send, same).await;
}
