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

async fn stops_and_goes_on(extra: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    let size = ["--validators", "1"];
    let (mut net, ready) = localnet(home.path(), &[&size, extra].concat());
    let first = ready_document(&ready).await;
    let pids: Vec<u64> = first["nodes"].as_array().unwrap().iter().map(|n| n["pid"].as_u64().unwrap()).collect();
    assert!(
        ports(&first).iter().all(|port| TcpStream::connect(port).is_ok()) && pids.iter().all(|pid| is_running(*pid))
    );
    let (source, back) = (home.path().join("file"), home.path().join("back"));
    let bytes = noise(300_000, 41);
    std::fs::write(&source, &bytes).unwrap();
    let stored = json_of(&cess(home.path(), &["--json", "put", source.to_str().unwrap()]));

    let stopped = json_of(&cess(home.path(), &["--json", "localnet", "stop"]));
    assert_eq!(stopped["stopped"], true);
    for port in ports(&first) {
        assert!(TcpStream::connect(&port).is_err(), "{port} still answers");
    }
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
    let (mut net, ready) = localnet(home.path(), &[&size, extra].concat());
    let second = ready_document(&ready).await;
    assert_eq!(second["nodes"][0]["account"], first["nodes"][0]["account"]);
    json_of(&cess(home.path(), &["--json", "get", stored["id"].as_str().unwrap(), "-o", back.to_str().unwrap()]));
    assert!(std::fs::read(&back).unwrap() == bytes, "another file came back");
    let status = json_of(&cess(home.path(), &["--json", "status"]));
    assert!(status["chain"]["height"].as_u64() > stored["block"].as_u64(), "{status}");
    json_of(&cess(home.path(), &["--json", "localnet", "stop"]));
    assert!(net.0.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_localnet_stops_on_command_and_goes_on() {
    stops_and_goes_on(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_localnet_of_processes_stops_on_command_and_goes_on() {
    stops_and_goes_on(&["--processes"]).await;
}
