//! Holds the threads of a paused node.

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

/// A closed gate before which every thread of a node waits.
pub(super) struct Gate {
    threads: usize,
    held: watch::Sender<usize>,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// A closed gate for a node of `threads` async threads.
    pub(super) fn new(threads: usize) -> Self {
        Self { threads, held: watch::Sender::new(0), open: Mutex::new(false), opened: Condvar::new() }
    }

    /// Blocks the calling thread until the gate opens.
    pub(super) fn hold_thread(&self) {
        self.held.send_modify(|held| *held += 1);
        let mut open = self.open.lock();
        while !*open {
            self.opened.wait(&mut open);
        }
    }

    /// Waits until every thread of the node is held.
    pub(super) async fn all_held(&self) {
        let mut held = self.held.subscribe();
        held.wait_for(|held| *held >= self.threads).await.expect("the gate holds the sender");
    }

    /// Lets every held thread go, and those that arrive later.
    pub(super) fn open(&self) {
        *self.open.lock() = true;
        self.opened.notify_all();
    }
}
