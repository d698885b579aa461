//! Foundry's anvil as a process of its own, to be measured by the same load.
//!
//! Must not know what is measured. Invariants: it takes a free port, holds the well-known accounts on the localnet's chain id, and
//! its blocks hold as much gas as ours; the process ends with the value that stands for it, and no other process is touched.

use crate::{
    cli::bench::tps_feed::Door,
    client::HttpTransport,
    types::{
        U256,
        params::{BLOCK_GAS_LIMIT, CHAIN_ID_LOCALNET},
    },
};
use anyhow::{Context, bail, ensure};
use serde_json::json;
use std::{
    ffi::OsStr,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::{Instant, sleep},
};

/// Name of the program.
const PROGRAM: &str = "anvil";
/// How long it may take to answer.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Pause between two looks whether it does.
const START_PAUSE: Duration = Duration::from_millis(20);
/// How long it may take to answer a call while it is busy.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of its words that an error repeats.
const WORDS_MAX_BYTES: u64 = 2_000;
/// Ether of each well-known account: enough to fund the senders.
const BALANCE: &str = "1000000";

/// How it is fastest under this load: a block every second, without the states of old ones. Blocks as soon as a transaction waits,
/// its default, are several times slower and stop coming when thousands wait; other intervals change nothing.
const FASTEST: [&str; 3] = ["--block-time", "1", "--prune-history"];
/// The same in words.
pub const MINING: &str = "a block every second, no old states";

/// Where it is: the first one on PATH, else where `make clients` puts it.
pub fn find() -> anyhow::Result<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let clients = std::env::var_os("CESS_CLIENTS").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/cess-clients"));
    find_in(&on_path, clients.or(home))
}

fn find_in(on_path: &OsStr, clients: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let found = std::env::split_paths(on_path).chain(clients).map(|dir| dir.join(PROGRAM)).find(|path| path.is_file());
    found.context("`anvil` is neither on PATH nor where `make clients` puts it: run `make clients`")
}

/// What it calls itself.
pub async fn version(program: &Path) -> anyhow::Result<String> {
    let said = Command::new(program).arg("--version").stdin(Stdio::null()).output().await;
    let said = said.with_context(|| format!("`{}` cannot be run", program.display()))?;
    let text = String::from_utf8_lossy(&said.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// A running one.
pub struct Anvil {
    child: Child,
    /// Where transactions go in.
    pub door: Door,
}

impl Anvil {
    /// Starts it; returns when it answers.
    pub async fn start(program: &Path) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let port = port.context("no port is free")?.port().to_string();
        let (gas, chain) = (BLOCK_GAS_LIMIT.to_string(), CHAIN_ID_LOCALNET.to_string());
        let mut child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port, "--chain-id", &chain, "--gas-limit", &gas])
            .args(["--balance", BALANCE, "--quiet"])
            .args(FASTEST)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("`{}` cannot be started", program.display()))?;
        let transport = HttpTransport::with_deadline(&format!("http://127.0.0.1:{port}"), ANSWER_DEADLINE)?;
        let door = Door::ethereum(transport);
        answers(&mut child, &door).await.with_context(|| format!("`{}` does not run", program.display()))?;
        Ok(Self { child, door })
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("anvil cannot be ended")
    }
}

async fn answers(child: &mut Child, door: &Door) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            let mut words = Vec::new();
            if let Some(said) = child.stderr.take() {
                said.take(WORDS_MAX_BYTES).read_to_end(&mut words).await?;
            }
            bail!("it ended with {status}: {}", String::from_utf8_lossy(&words).trim());
        }
        if let Ok(found) = door.ask::<U256>("eth_chainId", json!([])).await {
            ensure!(found == U256::from(CHAIN_ID_LOCALNET), "chain {found} answers in its place");
            return Ok(());
        }
        ensure!(began.elapsed() < START_DEADLINE, "it does not answer within {} s", START_DEADLINE.as_secs());
        sleep(START_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    fn script(dir: &Path, text: &str) -> PathBuf {
        let path = dir.join(PROGRAM);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_one_on_path_comes_first_and_none_at_all_is_said() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let nowhere = find_in(OsStr::new("/no/such/folder"), Some(first.path().to_owned()));
        assert!(nowhere.unwrap_err().to_string().contains("make clients"));
        let there = script(second.path(), "");
        assert_eq!(find_in(first.path().as_os_str(), Some(second.path().to_owned())).unwrap(), there);
        let here = script(first.path(), "");
        assert_eq!(find_in(first.path().as_os_str(), Some(second.path().to_owned())).unwrap(), here);
    }

    #[tokio::test]
    async fn one_that_ends_is_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let program = script(dir.path(), "#!/bin/sh\necho no such flag >&2\nexit 3\n");
        let error = Anvil::start(&program).await.err().unwrap();
        let text = format!("{error:#}");
        assert!(text.contains("exit status: 3") && text.ends_with("no such flag"), "{text}");
    }
}
