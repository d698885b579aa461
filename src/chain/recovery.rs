//! The state trie at the start of a node: from the newest checkpoint and what changed since, or else from the whole flat state.
//!
//! Must not know consensus. Invariant: the trie has the root that the newest executed header names, whichever way it came.

use super::{
    checkpoint::{self, CheckpointFault},
    error::StoreError,
    records::ExecutedBlock,
    state_store::StateStore,
    undo::UndoLog,
};
use crate::{
    kv::Kv,
    ledger::commitment::{StateCommitment, StateTrie},
    types::{B256, Height},
};
use std::time::Instant;

/// The trie of the state as it is stored, which is that of `newest`.
pub(super) fn trie(
    kv: &dyn Kv,
    state: &StateStore,
    undo: &UndoLog,
    newest: &ExecutedBlock,
) -> Result<StateTrie, StoreError> {
    let (started, height, expected) = (Instant::now(), newest.height(), newest.header.state_root);
    match from_checkpoint(kv, state, undo, height, expected) {
        Ok(Some((checkpoint, trie))) => {
            tracing::info!(height, checkpoint, took = ?started.elapsed(), "the state is loaded from its checkpoint");
            return Ok(trie);
        }
        Ok(None) => {}
        Err(fault) => {
            tracing::warn!(height, %fault, "the checkpoint of the state cannot be used: the state is read as a whole");
        }
    }
    let trie = state.rebuild()?;
    let found = trie.root();
    if found != expected {
        return Err(StoreError::Root { height, found, expected });
    }
    tracing::info!(height, took = ?started.elapsed(), "the state is rebuilt");
    Ok(trie)
}

/// The checkpoint's height and the trie of `newest`, if there is a checkpoint.
pub(super) fn from_checkpoint(
    kv: &dyn Kv,
    state: &StateStore,
    undo: &UndoLog,
    newest: Height,
    expected: B256,
) -> Result<Option<(Height, StateTrie)>, CheckpointFault> {
    let Some(record) = checkpoint::newest(kv)? else { return Ok(None) };
    let height = record.height;
    if height > newest {
        return Err(CheckpointFault::Ahead { height, newest });
    }
    // The flat state holds the newest values: of the blocks since, only the keys matter.
    let changed = undo.touched(height + 1..=newest)?.ok_or(CheckpointFault::Changes)?;
    let mut trie = checkpoint::load(kv, &record)?;
    let found = trie.apply(&state.newest_of(changed)?);
    if found != expected {
        return Err(CheckpointFault::Root { found, expected });
    }
    Ok(Some((height, trie)))
}
