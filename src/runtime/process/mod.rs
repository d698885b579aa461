//! One node on its own async runtime, so that one process can hold many nodes and treat each like an OS process.
//!
//! Owns the thread a node runs on: it can be killed (all tasks end abruptly), paused (nothing of it runs, as under
//! SIGSTOP), resumed and stopped in order. Must not know the node's services.
//! Invariants: a killed or stopped node never runs again; a paused node answers nobody until resumed. Jobs already on
//! blocking or compute threads run to their end, so owners of files also register with [`Node::kill`].

mod gate;

#[cfg(test)]
mod tests;

use super::{CpuPool, Node};
use gate::Gate;
use parking_lot::Mutex;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::runtime::{Builder, Handle, Runtime};

/// Blocking threads (disk reads and writes) of one node.
const NODE_BLOCKING_MAX_THREADS: usize = 16;
/// How long a stopped node's blocking calls may take to return.
const BLOCKING_GRACE: Duration = Duration::from_secs(5);
/// How long a pause waits for the node's thread to reach an await.
const PAUSE_DEADLINE: Duration = Duration::from_secs(5);

/// Why a node could not be started or held.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The operating system refused a thread or a descriptor.
    #[error("node `{node}` got no runtime: {reason}")]
    Runtime { node: String, reason: String },
    /// The builder of its services failed.
    #[error("node `{node}` did not start")]
    Start {
        node: String,
        #[source]
        source: anyhow::Error,
    },
    /// Its thread is stuck in a computation or a blocking call.
    #[error("node `{node}` did not pause within {millis} ms")]
    Pause { node: String, millis: u128 },
}

/// A running node with its own runtime. Dropping it kills the node.
pub struct NodeRuntime {
    node: Node,
    runtime: Option<Runtime>,
    /// Its async threads: pausing needs to hold every one of them.
    threads: usize,
    gate: Mutex<Option<Arc<Gate>>>,
}

impl NodeRuntime {
    /// Starts the node called `name` on one async thread, see [`NodeRuntime::start_on`]. Many nodes share the machine.
    pub async fn start<T, B, F>(name: &str, pool: CpuPool, builder: B) -> Result<(Self, T), ProcessError>
    where
        T: Send + 'static,
        B: FnOnce(Node) -> F + Send + 'static,
        F: Future<Output = anyhow::Result<T>> + Send + 'static,
    {
        Self::start_on(1, name, pool, builder).await
    }

    /// Starts the node called `name` on `threads` async threads (at least one): builds its runtime and its context, runs `builder` on it,
    /// and returns what the builder made. A builder that fails leaves nothing running.
    pub async fn start_on<T, B, F>(
        threads: usize,
        name: &str,
        pool: CpuPool,
        builder: B,
    ) -> Result<(Self, T), ProcessError>
    where
        T: Send + 'static,
        B: FnOnce(Node) -> F + Send + 'static,
        F: Future<Output = anyhow::Result<T>> + Send + 'static,
    {
        let threads = threads.max(1);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(NODE_BLOCKING_MAX_THREADS)
            .thread_name(name)
            .enable_all()
            .build()
            .map_err(|error| ProcessError::Runtime { node: name.to_owned(), reason: error.to_string() })?;
        let node = {
            let _inside = runtime.enter();
            Node::new(name, pool)
        };
        let own = node.clone();
        let build = runtime.spawn(async move { builder(own).await });
        let mut started = Self { node, runtime: Some(runtime), threads, gate: Mutex::default() };
        let source = match build.await {
            Ok(Ok(services)) => return Ok((started, services)),
            Ok(Err(error)) => error,
            Err(error) => anyhow::Error::new(error),
        };
        started.end("the node did not start");
        Err(ProcessError::Start { node: name.to_owned(), source })
    }

    /// The node's context. Its tasks run on the node's runtime, whichever thread spawns them.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Handle of the node's runtime, to run a call on it. The handle fails once the node has ended.
    pub fn handle(&self) -> Handle {
        self.runtime.as_ref().expect("the runtime is taken only by the methods that consume the node").handle().clone()
    }

    /// Ends every task abruptly, as `kill -9` would: nothing is flushed, nobody is told.
    pub fn kill(mut self) {
        self.end("the node was killed");
    }

    /// Freezes the node as under SIGSTOP. Its sockets stay open and nobody answers on them.
    pub async fn pause(&self) -> Result<(), ProcessError> {
        let gate = {
            let mut held = self.gate.lock();
            if held.is_some() {
                return Ok(());
            }
            let gate = Arc::new(Gate::new(self.threads));
            *held = Some(gate.clone());
            gate
        };
        for _ in 0..self.threads {
            let gate = gate.clone();
            self.handle().spawn(async move { gate.hold_thread() });
        }
        if tokio::time::timeout(PAUSE_DEADLINE, gate.all_held()).await.is_err() {
            self.resume();
            return Err(ProcessError::Pause { node: self.node.name.clone(), millis: PAUSE_DEADLINE.as_millis() });
        }
        Ok(())
    }

    /// Lets a paused node go on; does nothing to a running one.
    pub fn resume(&self) {
        if let Some(gate) = self.gate.lock().take() {
            gate.open();
        }
    }

    /// Whether the node is paused.
    pub fn is_paused(&self) -> bool {
        self.gate.lock().is_some()
    }

    /// Stops the node in order and returns the names of tasks that had to be aborted.
    pub async fn stop(mut self) -> Vec<String> {
        self.resume();
        let aborted = self.node.tasks.shutdown().await;
        if let Some(runtime) = self.runtime.take() {
            // Waits for blocking calls, which must not happen on an async thread.
            let waited = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(BLOCKING_GRACE)).await;
            waited.expect("shutting a runtime down does not panic");
        }
        // Whoever still has a handle of this node's files must not keep a successor from them.
        self.node.kill.pull("the node has stopped");
        aborted
    }

    fn end(&mut self, reason: &str) {
        if let Some(runtime) = self.runtime.take() {
            self.node.kill.pull(reason);
            runtime.shutdown_background();
        }
        // Only now, so that a paused node wakes into a runtime that is already ending.
        self.resume();
    }
}

impl Drop for NodeRuntime {
    fn drop(&mut self) {
        self.end("the node was dropped");
    }
}
