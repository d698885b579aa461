//! The chain for developers as they use it: the binary, and foundry's `cast` against it.

use crate::process::BINARY;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

const TO: &str = "0x4242424242424242424242424242424242424242";
/// The second of the accounts everybody knows.
const SECOND: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
/// Creates a contract whose code is one invalid instruction.
const CREATES: &str = "0x60fe60005360016000f3";

/// Where `make clients` puts cast, unless `CESS_CLIENTS` names another directory.
fn cast_path() -> PathBuf {
    let named = std::env::var_os("CESS_CLIENTS").map(PathBuf::from);
    let clients = named
        .unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/cess-clients"));
    let path = clients.join("cast");
    assert!(path.exists(), "`{}` is missing: run `make clients`", path.display());
    path
}

/// A running `cess dev`.
struct Dev {
    child: Child,
    ready: Value,
    dir: tempfile::TempDir,
}

impl Dev {
    fn start(extra: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["dev", "--port", "0", "--json"]).args(extra).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it prints text");
        let ready = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        Self { child, ready, dir: tempfile::tempdir().expect("a directory for cast") }
    }

    fn cast(&self, args: &[&str]) -> Output {
        let url = self.ready["url"].as_str().expect("it names its URL");
        let mut command = Command::new(cast_path());
        let (name, rest) = args.split_first().expect("a command");
        command.args([*name, "--rpc-url", url]).args(rest).current_dir(self.dir.path()).output().expect("cast runs")
    }

    fn says(&self, args: &[&str]) -> String {
        let output = self.cast(args);
        assert!(output.status.success(), "cast {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.says(args)).expect("one JSON document")
    }

    fn key(&self) -> &str {
        self.ready["accounts"][0]["key"].as_str().expect("it names its keys")
    }

    /// Ends it as Ctrl-C does.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn cast_sends_impersonates_travels_and_goes_back() {
    let dev = Dev::start(&[]);
    assert_eq!(dev.says(&["chain-id"]), "31337");
    assert_eq!(dev.says(&["balance", SECOND, "--ether"]), "10000.000000000000000000");
    let snapshot = dev.json(&["rpc", "evm_snapshot"]);
    let sent = dev.json(&["send", TO, "--value", "1ether", "--private-key", dev.key(), "--json"]);
    assert_eq!((&sent["status"], &sent["blockNumber"]), (&json!("0x1"), &json!("0x1")), "{sent}");
    let unlocked = dev.json(&["send", TO, "--value", "1", "--unlocked", "--from", SECOND, "--json"]);
    assert_eq!((&unlocked["status"], &unlocked["blockNumber"]), (&json!("0x1"), &json!("0x2")), "{unlocked}");
    let created = dev.json(&["send", "--private-key", dev.key(), "--json", "--create", CREATES]);
    let contract = created["contractAddress"].as_str().expect("it creates a contract");
    assert_eq!(dev.says(&["code", contract]), "0xfe");
    // A contract sends, which no key could sign for.
    dev.says(&["rpc", "anvil_setBalance", contract, "0xde0b6b3a7640000"]);
    dev.says(&["rpc", "anvil_impersonateAccount", contract]);
    let sent = dev.json(&["send", TO, "--value", "2", "--unlocked", "--from", contract, "--json"]);
    assert_eq!(sent["status"], "0x1", "{sent}");
    assert_eq!(dev.says(&["balance", TO]), "1000000000000000003");
    let before: u64 = dev.says(&["block", "latest", "--field", "timestamp"]).parse().expect("a time");
    dev.says(&["rpc", "evm_increaseTime", "86400"]);
    dev.says(&["rpc", "anvil_mine", "0x3"]);
    let after: u64 = dev.says(&["block", "latest", "--field", "timestamp"]).parse().expect("a time");
    assert!(after >= before + 86_400, "{before} {after}");
    assert_eq!(dev.says(&["rpc", "evm_revert", snapshot.as_str().expect("an id")]), "true");
    assert_eq!((dev.says(&["block-number"]).as_str(), dev.says(&["balance", TO]).as_str()), ("0", "0"));
    dev.stop();
}

#[test]
fn a_chain_continues_from_its_file_and_a_taken_port_is_named() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("state");
    let state = ["--state", file.to_str().expect("text")];
    let dev = Dev::start(&state);
    dev.says(&["send", TO, "--value", "7", "--private-key", dev.key()]);
    dev.stop();
    assert!(Path::new(&file).is_file());
    let dev = Dev::start(&state);
    assert_eq!((dev.says(&["balance", TO]).as_str(), dev.says(&["block-number"]).as_str()), ("7", "1"));
    let port = dev.ready["url"].as_str().and_then(|url| url.rsplit(':').next()).expect("a port");
    let second = Command::new(BINARY).args(["dev", "--port", port]).output().expect("the binary runs");
    let words = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && words.contains(port) && words.contains("--port"), "{words}");
    dev.stop();
}
