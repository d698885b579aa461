//! Background jobs made visible: what each is doing, how far it is, and what went wrong last.
//!
//! Owns the registry behind `cess worker list`. Must not know or steer the work.
//! Invariant: a worker is listed from its registration until its handle is dropped.

use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt::Display, sync::Arc};

/// Longest text a worker may show, in characters.
const WORKER_TEXT_MAX_CHARS: usize = 240;

/// Whether a worker works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// Waits for something to do.
    Idle,
    /// Works on what `detail` says.
    Busy,
}

/// A worker as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WorkerStatus {
    /// Its name, such as `scrub`.
    pub name: String,
    /// Whether it works.
    pub state: WorkerState,
    /// What it works on; empty when idle.
    pub detail: String,
    /// Units of the current work that are done.
    pub done: u64,
    /// Units of the current work; 0 when unknown.
    pub total: u64,
    /// Errors since registration.
    pub errors: u64,
    /// The last of them.
    pub last_error: Option<String>,
}

#[derive(Default)]
struct Registry {
    next: u64,
    workers: BTreeMap<u64, WorkerStatus>,
}

/// The workers of one node. Cheap to clone.
#[derive(Clone, Default)]
pub struct Workers {
    registry: Arc<Mutex<Registry>>,
}

/// Handle with which a worker reports.
pub struct Worker {
    id: u64,
    registry: Arc<Mutex<Registry>>,
}

impl Workers {
    /// No workers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists a new idle worker until the returned handle is dropped.
    pub fn register(&self, name: &str) -> Worker {
        let mut registry = self.registry.lock();
        let id = registry.next;
        registry.next += 1;
        let status = WorkerStatus {
            name: name.to_owned(),
            state: WorkerState::Idle,
            detail: String::new(),
            done: 0,
            total: 0,
            errors: 0,
            last_error: None,
        };
        registry.workers.insert(id, status);
        Worker { id, registry: self.registry.clone() }
    }

    /// Every worker, in the order of registration.
    pub fn list(&self) -> Vec<WorkerStatus> {
        self.registry.lock().workers.values().cloned().collect()
    }
}

impl Worker {
    /// Starts a piece of work; its progress begins at nothing.
    pub fn busy(&self, what: impl Into<String>) {
        let what = shorten(&what.into());
        self.update(|status| {
            status.state = WorkerState::Busy;
            status.detail = what;
            (status.done, status.total) = (0, 0);
        });
    }

    /// Nothing to do at the moment.
    pub fn idle(&self) {
        self.update(|status| {
            status.state = WorkerState::Idle;
            status.detail.clear();
            (status.done, status.total) = (0, 0);
        });
    }

    /// `done` of `total` units of the current work are done.
    pub fn progress(&self, done: u64, total: u64) {
        self.update(|status| (status.done, status.total) = (done, total));
    }

    /// Counts an error and remembers it as the last.
    pub fn error(&self, error: impl Display) {
        let text = shorten(&error.to_string());
        self.update(|status| {
            status.errors = status.errors.saturating_add(1);
            status.last_error = Some(text);
        });
    }

    fn update(&self, change: impl FnOnce(&mut WorkerStatus)) {
        if let Some(status) = self.registry.lock().workers.get_mut(&self.id) {
            change(status);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.registry.lock().workers.remove(&self.id);
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(WORKER_TEXT_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_what_the_worker_says() {
        let workers = Workers::new();
        let (scrub, _sync) = (workers.register("scrub"), workers.register("sync"));
        scrub.busy("fragment f3");
        scrub.progress(3, 10);
        scrub.error("fragment f3 is 12 B, expected 8 MiB");
        let listed = workers.list();
        assert_eq!(listed.iter().map(|worker| worker.name.as_str()).collect::<Vec<_>>(), ["scrub", "sync"]);
        assert_eq!((listed[0].state, listed[0].done, listed[0].total), (WorkerState::Busy, 3, 10));
        assert_eq!((listed[0].errors, listed[0].detail.as_str()), (1, "fragment f3"));
        scrub.idle();
        let idle = &workers.list()[0];
        assert_eq!((idle.state, idle.done, idle.detail.as_str()), (WorkerState::Idle, 0, ""));
        assert_eq!(idle.last_error.as_deref(), Some("fragment f3 is 12 B, expected 8 MiB"));
    }

    #[test]
    fn dropped_workers_leave_and_texts_are_bounded() {
        let workers = Workers::new();
        let worker = workers.register("repair");
        worker.busy("ä".repeat(10_000));
        assert_eq!(workers.list()[0].detail.chars().count(), WORKER_TEXT_MAX_CHARS);
        drop(worker);
        assert!(workers.list().is_empty());
    }
}
