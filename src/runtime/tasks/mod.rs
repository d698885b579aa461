//! The supervisor of one node's tasks.
//!
//! Owns every task from its spawn to its end, and the order in which they stop. Must not know what a task does.
//! Invariants: a task is listed while it runs; a panic is caught and reported like an error; after [`Tasks::shutdown`] no
//! task of the node is running or can be spawned, except one stuck in a blocking call past its abort.

mod phase;

#[cfg(test)]
mod tests;

pub use phase::{Criticality, Phase};

use futures::{
    FutureExt,
    future::{AbortHandle, Abortable},
};
use parking_lot::Mutex;
use std::{any::Any, collections::BTreeMap, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// How long shutdown waits for a task that it has aborted: long enough to be dropped, short enough not to hang on a task
/// that blocks its thread.
const ABORT_GRACE: Duration = Duration::from_millis(500);

/// Handle of a node's supervisor. Cheap to clone.
#[derive(Clone)]
pub struct Tasks {
    inner: Arc<Inner>,
}

struct Inner {
    span: tracing::Span,
    handle: Option<Handle>,
    stopping: [CancellationToken; Phase::ORDER.len()],
    deadline: Option<Duration>,
    table: Mutex<Table>,
    /// Number of running tasks; changes wake a waiting shutdown.
    count: watch::Sender<usize>,
    failure: watch::Sender<Option<String>>,
}

#[derive(Default)]
struct Table {
    next: u64,
    closed: bool,
    running: BTreeMap<u64, Entry>,
}

struct Entry {
    name: String,
    phase: Phase,
    abort: AbortHandle,
}

impl Tasks {
    /// A supervisor for the node called `node`. Tasks run on the async runtime this is called in, whichever thread spawns
    /// them; outside of one, on the runtime of the spawning thread.
    pub fn new(node: &str) -> Self {
        Self::build(node, None)
    }

    /// A supervisor that gives every phase of the shutdown the same `deadline`.
    pub fn with_deadline(node: &str, deadline: Duration) -> Self {
        Self::build(node, Some(deadline))
    }

    fn build(node: &str, deadline: Option<Duration>) -> Self {
        Self {
            inner: Arc::new(Inner {
                span: tracing::error_span!("node", name = node),
                handle: Handle::try_current().ok(),
                stopping: Default::default(),
                deadline,
                table: Mutex::default(),
                count: watch::Sender::new(0),
                failure: watch::Sender::new(None),
            }),
        }
    }

    /// Starts a task that is to stop in `phase`. A critical task that ends before shutdown, in whichever way, resolves
    /// [`Tasks::failure`]. After shutdown the future is dropped unpolled.
    pub fn spawn<F>(&self, phase: Phase, name: impl Into<String>, crit: Criticality, fut: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let name = name.into();
        let span = tracing::error_span!(parent: &self.inner.span, "task", name = name);
        let (abort, abortable) = AbortHandle::new_pair();
        let Some(ended) = self.inner.enter(Entry { name: name.clone(), phase, abort }) else {
            tracing::debug!(parent: &span, "not started, the node has stopped");
            return;
        };
        // Not under the table's lock: a runtime that ends drops the body before this returns, which takes it off the table.
        let body = Abortable::new(supervise(ended, name, crit, fut).instrument(span), abortable);
        match &self.inner.handle {
            Some(handle) => handle.spawn(body),
            None => Handle::current().spawn(body),
        };
    }

    /// A token that is cancelled when the turn of `phase` comes.
    pub fn stopping(&self, phase: Phase) -> CancellationToken {
        self.inner.stopping[phase.index()].child_token()
    }

    /// Whether shutdown has begun.
    pub fn is_stopping(&self) -> bool {
        self.inner.is_stopping()
    }

    /// Resolves when a critical task has ended: its name and why. Waits forever in a node that stops in order.
    pub async fn failure(&self) -> String {
        let mut failure = self.inner.failure.subscribe();
        let known = failure.wait_for(Option::is_some).await.expect("the supervisor holds the sender");
        known.clone().unwrap_or_default()
    }

    /// Names of the running tasks, in the order of their start.
    pub fn running(&self) -> Vec<String> {
        self.inner.table.lock().running.values().map(|entry| entry.name.clone()).collect()
    }

    /// Stops the node phase by phase, each with its deadline, and returns the names of the tasks that had to be aborted.
    /// Must not be awaited inside a supervised task, which would wait for itself.
    pub async fn shutdown(&self) -> Vec<String> {
        let mut aborted = Vec::new();
        for phase in Phase::ORDER {
            self.inner.stopping[phase.index()].cancel();
            let deadline = self.inner.deadline.unwrap_or(phase.deadline());
            if !self.wait_until_none(Some(phase), deadline).await {
                aborted.extend(self.abort(Some(phase)).await);
            }
        }
        self.inner.table.lock().closed = true;
        // Tasks that were spawned into a phase after its turn.
        aborted.extend(self.abort(None).await);
        aborted
    }

    /// Aborts the tasks of `phase` (all when `None`), waits for them to be dropped, and returns their names.
    async fn abort(&self, phase: Option<Phase>) -> Vec<String> {
        let (names, aborts): (Vec<String>, Vec<AbortHandle>) = {
            let table = self.inner.table.lock();
            let late = table.running.values().filter(|entry| phase.is_none_or(|phase| entry.phase == phase));
            late.map(|entry| (entry.name.clone(), entry.abort.clone())).unzip()
        };
        aborts.iter().for_each(AbortHandle::abort);
        if !names.is_empty() {
            tracing::warn!(parent: &self.inner.span, tasks = ?names, "tasks did not stop in time and were aborted");
            self.wait_until_none(phase, ABORT_GRACE).await;
        }
        names
    }

    /// Waits until no task of `phase` (none at all when `None`) runs; false when `deadline` passed first.
    async fn wait_until_none(&self, phase: Option<Phase>, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let mut count = self.inner.count.subscribe();
        while self.inner.any_running(phase) {
            if timeout_at(until, count.changed()).await.is_err() {
                return !self.inner.any_running(phase);
            }
        }
        true
    }
}

impl Inner {
    fn is_stopping(&self) -> bool {
        self.stopping[Phase::ORDER[0].index()].is_cancelled()
    }

    /// Lists a task, unless the node has stopped.
    fn enter(self: &Arc<Self>, entry: Entry) -> Option<Ended> {
        let mut table = self.table.lock();
        if table.closed {
            return None;
        }
        let id = table.next;
        table.next += 1;
        table.running.insert(id, entry);
        self.count.send_replace(table.running.len());
        Some(Ended { id, inner: self.clone() })
    }

    fn any_running(&self, phase: Option<Phase>) -> bool {
        self.table.lock().running.values().any(|entry| phase.is_none_or(|phase| entry.phase == phase))
    }
}

/// Takes a task off the list however it ends, by abort too.
struct Ended {
    id: u64,
    inner: Arc<Inner>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let mut table = self.inner.table.lock();
        table.running.remove(&self.id);
        self.inner.count.send_replace(table.running.len());
    }
}

async fn supervise<F>(ended: Ended, name: String, crit: Criticality, fut: F)
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let why = match AssertUnwindSafe(fut).catch_unwind().await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error:#}")),
        Err(panic) => Some(format!("panicked: {}", panic_text(panic.as_ref()))),
    };
    if crit == Criticality::Critical && !ended.inner.is_stopping() {
        let why = why.unwrap_or_else(|| "ended by itself".to_owned());
        tracing::error!(%why, "critical task ended");
        ended.inner.failure.send_if_modified(|failure| match failure {
            Some(_) => false,
            None => {
                *failure = Some(format!("task `{name}` {why}"));
                true
            }
        });
        return;
    }
    match why {
        Some(why) => tracing::warn!(%why, "task ended"),
        None => tracing::debug!("task ended"),
    }
}

/// The message of a panic, if it is text.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
