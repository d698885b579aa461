//! The newest computed block, while it is being stored and after: what the block after it is executed on.
//!
//! Owns which block that is and what it changed. Must not know how blocks are executed or stored. Invariant: at most one
//! computed block is not stored, and it is the one after the stored head.

use super::head::Head;
use crate::ledger::{
    commitment::StateTrie,
    executor::Execution,
    layers::Layers,
    state::{StateDelta, StateView},
};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;

/// A block whose execution is done, with all that is to be stored of it.
pub(super) struct Computed {
    /// What the head will be.
    pub head: Arc<Head>,
    /// What its transactions did.
    pub execution: Execution,
    /// The state after it.
    pub trie: StateTrie,
    /// What leads back to the state before it.
    pub undo: StateDelta,
}

/// The newest of them.
pub(super) struct NewestComputed {
    head: watch::Sender<Arc<Head>>,
    unstored: Mutex<Option<Arc<Computed>>>,
}

/// A computed block, or none, above a state that may hold it already.
pub(super) struct Unstored(Option<Arc<Computed>>);

impl NewestComputed {
    /// Begins with a block that is stored.
    pub fn new(stored: Arc<Head>) -> Self {
        Self { head: watch::Sender::new(stored), unstored: Mutex::default() }
    }

    /// The newest.
    pub fn head(&self) -> Arc<Head> {
        self.head.borrow().clone()
    }

    /// The newest and those after it.
    pub fn watch(&self) -> watch::Receiver<Arc<Head>> {
        self.head.subscribe()
    }

    /// What is not stored yet.
    pub fn unstored(&self) -> Unstored {
        Unstored(self.unstored.lock().clone())
    }

    /// `computed` is the newest, and is going to be stored. The one before is stored.
    pub fn begin(&self, computed: &Arc<Computed>) {
        let before = self.unstored.lock().replace(computed.clone());
        assert!(before.is_none(), "a computed block takes its place once the one before is stored");
        self.head.send_replace(computed.head.clone());
    }

    /// The newest is stored.
    pub fn stored(&self) {
        *self.unstored.lock() = None;
    }
}

impl Unstored {
    /// The state with its changes, if `below` is the state with or without them: what they name reads the same.
    pub fn above<'a, S: StateView + ?Sized>(&'a self, below: &'a S) -> Layers<'a, S> {
        Layers { deltas: self.0.iter().map(|computed| &computed.execution.delta).collect(), below }
    }

    /// The state as a trie, if it is not stored.
    pub fn trie(&self) -> Option<StateTrie> {
        self.0.as_ref().map(|computed| computed.trie.clone())
    }
}
