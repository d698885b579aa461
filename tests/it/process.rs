//! The binary as a child process, for the stories about it.

use crate::cluster::wait_for;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

pub const BINARY: &str = env!("CARGO_BIN_EXE_cess");

/// A child that is told to stop in order, and killed if it does not.
pub struct Guard(pub Child);

impl Guard {
    /// Asks it to stop and waits until it has.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        // SAFETY: kill(2) takes plain integers, and the child is ours and not reaped yet.
        unsafe { libc::kill(self.0.id() as libc::pid_t, libc::SIGTERM) };
        self.0.wait().expect("it ends")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One command with its own home, run to its end.
pub fn cess(home: &Path, args: &[&str]) -> Output {
    Command::new(BINARY)
        .args(args)
        .env("CESS_HOME", home)
        .env_remove("CESS_URL")
        .env_remove("CESS_KEY")
        .env_remove("CESS_S3_ENDPOINT")
        .env_remove("CESS_S3_ACCESS_KEY")
        .env_remove("CESS_S3_SECRET_KEY")
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

/// The document of a command that succeeded.
pub fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON document on stdout")
}

/// A localnet in `home`, as it starts; [`ready_document`] waits for it.
pub fn localnet(home: &Path, extra: &[&str]) -> (Guard, PathBuf) {
    localnet_under(Command::new(BINARY), home, extra)
}

/// As [`localnet`], with `command` being what runs the binary with its arguments.
pub fn localnet_under(mut command: Command, home: &Path, extra: &[&str]) -> (Guard, PathBuf) {
    let ready = home.join("ready-file.json");
    // What a story does not say itself.
    let space: &[&str] = if extra.contains(&"--space") { &[] } else { &["--space", "256MiB"] };
    let child = command
        .args(["localnet", "--rpc-port", "0", "--gateway-port", "0", "--s3-port", "0", "--ready-file"])
        .arg(&ready)
        .args(space)
        .args(extra)
        .env("CESS_HOME", home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    (Guard(child), ready)
}

/// The document of a localnet that is up.
pub async fn ready_document(path: &Path) -> Value {
    wait_for("the ready file", || async { serde_json::from_slice(&std::fs::read(path).ok()?).ok() }).await
}

/// A further miner in a process of its own, once the chain knows it.
pub async fn joiner(home: &Path, join: &str) -> Guard {
    joiner_with(home, join, &[]).await
}

/// As [`joiner`], with further arguments.
pub async fn joiner_with(home: &Path, join: &str, extra: &[&str]) -> Guard {
    let child = Command::new(BINARY)
        .args(["run", "--role", "storage", "--space", "256MiB", "--name", "joiner", "--join", join, "--dir"])
        .arg(home.join("joiner"))
        .args(extra)
        .env("CESS_HOME", home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let joiner = Guard(child);
    wait_for("the joiner to be registered", || async {
        let status = json_of(&cess(home, &["--json", "status"]));
        status["miners"].as_array()?.iter().any(|m| m["name"] == "joiner").then_some(())
    })
    .await;
    joiner
}
