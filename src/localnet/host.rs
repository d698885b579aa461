//! What a node of a localnet runs in: its own runtime inside this process, or its own OS process.

use super::{LocalnetError, NodePlan, ready::NodeState};
use crate::{
    client::{HttpTransport, RpcTransport},
    roles::{self, SignatureMemo},
    runtime::{CpuPool, NodeRuntime, ProcessError},
    types::Role,
};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// How long an OS process may take until its JSON-RPC answers.
const PROCESS_START_DEADLINE: Duration = Duration::from_secs(60);
/// Pause between looks at a starting process.
const PROCESS_START_POLL: Duration = Duration::from_millis(25);
/// How long an OS process may take to stop in order.
const PROCESS_STOP_DEADLINE: Duration = Duration::from_secs(15);
/// Bytes of a failed process's log that its error shows.
const LOG_TAIL_BYTES: usize = 2_000;

/// How nodes are run.
pub enum HostKind {
    /// All in this process, sharing compute threads and, if there is one, what is known of signatures.
    InProcess(CpuPool, Option<Arc<SignatureMemo>>),
    /// Each its own process of this executable.
    Processes(PathBuf),
}

/// One started node.
pub enum Host {
    /// In this process.
    InProcess { runtime: NodeRuntime, failed: Arc<AtomicBool> },
    /// In its own process.
    Process { name: String, child: Child, paused: bool },
}

impl HostKind {
    /// Starts a node whose directory is ready; returns when its services answer.
    pub async fn start(&self, plan: &NodePlan, dir: &Path) -> Result<Host, LocalnetError> {
        let failed = |reason: String| LocalnetError::NodeFailed { name: plan.name.clone(), reason };
        match self {
            HostKind::InProcess(pool, memo) => {
                let (dir, memo) = (dir.to_owned(), memo.clone());
                let builder = move |node| async move {
                    let setup = roles::Setup { memo, ..roles::Setup::load(&dir)? };
                    roles::start(&node, setup).await
                };
                let started = NodeRuntime::start_on(async_threads(plan, pool), &plan.name, pool.clone(), builder).await;
                let (runtime, ()) = started.map_err(|e| match e {
                    ProcessError::Start { source, .. } => failed(format!("{source:#}")),
                    other => failed(other.to_string()),
                })?;
                let failed = watch_failure(&runtime);
                Ok(Host::InProcess { runtime, failed })
            }
            HostKind::Processes(_) => {
                let mut host = self.launch(plan, dir)?;
                host.wait_until_answering(&plan.url(), dir).await?;
                Ok(host)
            }
        }
    }

    /// Starts a node's process without waiting for its services.
    pub fn launch(&self, plan: &NodePlan, dir: &Path) -> Result<Host, LocalnetError> {
        let failed = |reason: String| LocalnetError::NodeFailed { name: plan.name.clone(), reason };
        let HostKind::Processes(executable) = self else {
            return Err(failed("it shares its process with others and starts as a whole".to_owned()));
        };
        let child = spawn(executable, dir).map_err(|e| failed(e.to_string()))?;
        Ok(Host::Process { name: plan.name.clone(), child, paused: false })
    }
}

/// Async threads of a node that shares its process. A gateway does its clients' work and may use every core; the others mostly wait.
fn async_threads(plan: &NodePlan, pool: &CpuPool) -> usize {
    if plan.role == Role::Gateway { pool.threads() } else { 1 }
}

/// Reports a critical task of a node that ended, and remembers it.
fn watch_failure(runtime: &NodeRuntime) -> Arc<AtomicBool> {
    let failed = Arc::new(AtomicBool::new(false));
    let (flag, node) = (failed.clone(), runtime.node().clone());
    runtime.handle().spawn(async move {
        let why = node.tasks.failure().await;
        flag.store(true, Ordering::SeqCst);
        tracing::error!(node = node.name, why, "a critical task ended, the node is down");
        node.kill.pull("a critical task ended");
        node.tasks.shutdown().await;
    });
    failed
}

fn spawn(executable: &Path, dir: &Path) -> std::io::Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("log"))?;
    Command::new(executable)
        .arg("run")
        .arg("--dir")
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A Ctrl-C at the terminal goes to the localnet alone, which then stops its nodes in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

impl Host {
    /// Whether it ended by itself.
    pub fn has_ended(&mut self) -> bool {
        match self {
            Host::InProcess { failed, .. } => failed.load(Ordering::SeqCst),
            Host::Process { child, .. } => !matches!(child.try_wait(), Ok(None)),
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        match self {
            Host::InProcess { .. } => std::process::id(),
            Host::Process { child, .. } => child.id().unwrap_or(0),
        }
    }

    /// Running or paused; the caller asks [`Host::has_ended`] first.
    pub fn state(&self) -> NodeState {
        let paused = match self {
            Host::InProcess { runtime, .. } => runtime.is_paused(),
            Host::Process { paused, .. } => *paused,
        };
        if paused { NodeState::Paused } else { NodeState::Running }
    }

    /// Ends it as `kill -9` would.
    pub async fn kill(self) {
        match self {
            Host::InProcess { runtime, .. } => runtime.kill(),
            Host::Process { mut child, .. } => {
                // An error means it ended already.
                let _ = child.kill().await;
            }
        }
    }

    /// Freezes it.
    pub async fn pause(&mut self) -> Result<(), LocalnetError> {
        match self {
            Host::InProcess { runtime, .. } => runtime
                .pause()
                .await
                .map_err(|e| LocalnetError::NodeFailed { name: runtime.node().name.clone(), reason: e.to_string() }),
            Host::Process { name, child, paused } => {
                signal(name, child, libc::SIGSTOP)?;
                *paused = true;
                Ok(())
            }
        }
    }

    /// Lets it go on.
    pub fn resume(&mut self) -> Result<(), LocalnetError> {
        match self {
            Host::InProcess { runtime, .. } => runtime.resume(),
            Host::Process { name, child, paused } => {
                signal(name, child, libc::SIGCONT)?;
                *paused = false;
            }
        }
        Ok(())
    }

    /// Stops it in order; a process that does not stop in time is killed.
    pub async fn stop(mut self) {
        // A frozen node cannot stop in order.
        let _ = self.resume();
        match self {
            Host::InProcess { runtime, .. } => {
                let name = runtime.node().name.clone();
                let aborted = runtime.stop().await;
                if !aborted.is_empty() {
                    tracing::warn!(node = name, ?aborted, "tasks had to be aborted");
                }
            }
            Host::Process { name, mut child, .. } => {
                let _ = signal(&name, &child, libc::SIGTERM);
                if tokio::time::timeout(PROCESS_STOP_DEADLINE, child.wait()).await.is_err() {
                    tracing::warn!(node = name, "did not stop in time and was killed");
                    let _ = child.kill().await;
                }
            }
        }
    }

    async fn wait_until_answering(&mut self, url: &str, dir: &Path) -> Result<(), LocalnetError> {
        let Host::Process { name, .. } = self else { return Ok(()) };
        let name = name.clone();
        let failed = |reason: String| LocalnetError::NodeFailed { name: name.clone(), reason };
        let transport = HttpTransport::new(url).map_err(|e| failed(e.to_string()))?;
        let started = Instant::now();
        while started.elapsed() < PROCESS_START_DEADLINE {
            if self.has_ended() {
                return Err(failed(log_tail(dir)));
            }
            if transport.call("cess_node", json!([])).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(PROCESS_START_POLL).await;
        }
        Err(failed(format!("{url} does not answer after {} s", PROCESS_START_DEADLINE.as_secs())))
    }
}

fn signal(name: &str, child: &Child, signal: libc::c_int) -> Result<(), LocalnetError> {
    let failed = |reason: String| LocalnetError::NodeFailed { name: name.to_owned(), reason };
    let pid = child.id().and_then(|pid| libc::pid_t::try_from(pid).ok());
    let pid = pid.ok_or_else(|| failed("its process has ended".to_owned()))?;
    // SAFETY: kill(2) takes plain integers; the child is not reaped while `child` is held, so the pid is ours.
    if unsafe { libc::kill(pid, signal) } == 0 {
        return Ok(());
    }
    Err(failed(std::io::Error::last_os_error().to_string()))
}

fn log_tail(dir: &Path) -> String {
    let text = std::fs::read(dir.join("log")).unwrap_or_default();
    let tail = &text[text.len().saturating_sub(LOG_TAIL_BYTES)..];
    String::from_utf8_lossy(tail).trim().to_owned()
}
