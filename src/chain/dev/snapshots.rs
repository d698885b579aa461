//! Going back: to a snapshot, by a number of blocks, to the beginning.
//!
//! Invariants: a snapshot restores blocks, state, settings, clock and pool; going back to one spends it and all later ones.

use super::{DevChain, State, book::Book, genesis, mining::MineError};
use crate::{
    ledger::tx::VerifiedTx,
    types::{B256, Height},
};
use std::{collections::BTreeMap, sync::Arc};

/// Number of a snapshot, from one on.
pub type SnapshotId = u64;

#[derive(Default)]
pub(super) struct Snapshots {
    taken: SnapshotId,
    kept: BTreeMap<SnapshotId, Snapshot>,
}

struct Snapshot {
    state: State,
    waiting: Vec<Arc<VerifiedTx>>,
}

impl DevChain {
    /// Remembers everything as it is now.
    pub fn snapshot(&self) -> SnapshotId {
        let _writing = self.inner.writing.lock();
        let snapshot = Snapshot { state: self.inner.state.read().clone(), waiting: self.inner.pool.all() };
        let mut snapshots = self.inner.snapshots.lock();
        snapshots.taken += 1;
        let id = snapshots.taken;
        snapshots.kept.insert(id, snapshot);
        id
    }

    /// Goes back to a snapshot; `false` if there is none, or it is spent.
    pub fn revert(&self, id: SnapshotId) -> bool {
        let _writing = self.inner.writing.lock();
        let found = {
            let mut snapshots = self.inner.snapshots.lock();
            let found = snapshots.kept.remove(&id);
            if found.is_some() {
                snapshots.kept.retain(|other, _| *other < id);
            }
            found
        };
        let Some(Snapshot { state, waiting }) = found else { return false };
        self.replace(state, waiting);
        true
    }

    /// Snapshots that can be gone back to: their number, height and block.
    pub fn snapshots(&self) -> Vec<(SnapshotId, Height, B256)> {
        let snapshots = self.inner.snapshots.lock();
        let shown = |(id, snapshot): (&SnapshotId, &Snapshot)| {
            let newest = snapshot.state.book.newest();
            (*id, newest.env.height, newest.executed().hash)
        };
        snapshots.kept.iter().map(shown).collect()
    }

    /// Takes the newest `depth` blocks back; what waits keeps waiting. `Err` holds the height if there are fewer.
    pub fn rollback(&self, depth: u64) -> Result<(), Height> {
        let _writing = self.inner.writing.lock();
        self.take_back(depth)
    }

    /// Takes `depth` blocks back and makes as many others, each with the envelopes given for it.
    pub fn reorganise(&self, depth: u64, mut bodies: BTreeMap<u64, Vec<VerifiedTx>>) -> Result<(), ReorgError> {
        let _writing = self.inner.writing.lock();
        self.take_back(depth).map_err(|height| ReorgError::TooDeep { depth, height })?;
        for index in 0..depth {
            let body = bodies.remove(&index).unwrap_or_default();
            self.seal(body.into_iter().map(Arc::new).collect())?;
        }
        Ok(())
    }

    fn take_back(&self, depth: u64) -> Result<(), Height> {
        let mut state = self.inner.state.read().clone();
        let height = state.book.height();
        state.book.cut(height.checked_sub(depth).ok_or(height)?);
        self.replace(state, self.inner.pool.all());
        Ok(())
    }

    /// Begins again from genesis. Snapshots are gone.
    pub fn reset(&self) -> Result<(), super::DevError> {
        let _writing = self.inner.writing.lock();
        let built = genesis::build(&self.inner.options, self.now_ms())?;
        self.inner.snapshots.lock().kept.clear();
        self.replace(State { book: Book::new(built.block), settings: built.settings }, Vec::new());
        Ok(())
    }

    /// Publishes another chain. The caller holds `writing`.
    pub(super) fn replace(&self, state: State, waiting: Vec<Arc<VerifiedTx>>) {
        let (height, mining) = (state.book.height(), state.settings.mining);
        *self.inner.state.write() = state;
        self.refill(waiting);
        self.inner.heights.send_replace(height);
        self.inner.mining.send_if_modified(|now| std::mem::replace(now, mining) != mining);
    }
}

/// Why a chain was not reorganised.
#[derive(Debug, thiserror::Error)]
pub enum ReorgError {
    /// There are fewer blocks.
    #[error("a reorganisation of {depth} blocks is deeper than the chain of {height}")]
    TooDeep { depth: u64, height: Height },
    /// A new block could not be made.
    #[error(transparent)]
    Mine(#[from] MineError),
}
