//! What leads from the state after a block back to the one before: the states of the past, and which keys a start must look at.
//!
//! Owns column `undo` and how much of it is kept. Must not know tries. Invariants: a block's record is written in the batch that
//! holds its state; records are consecutive up to the newest executed block; what a checkpoint needs is not deleted.

use super::{error::StoreError, recent::KEPT_STATES};
use crate::{
    codec,
    config::History,
    kv::{Batch, Column, Kv},
    ledger::state::StateDelta,
    types::Height,
};
use parking_lot::Mutex;
use std::{ops::RangeInclusive, sync::Arc};

/// Old records that go with each new one: more than one, so that a backlog shrinks.
const DELETED_WITH_EACH: u64 = 2;

/// The undo records of one chain.
pub(super) struct UndoLog {
    kv: Arc<dyn Kv>,
    history: History,
    kept: Mutex<Kept>,
}

struct Kept {
    /// Lowest height with a record, if there is any.
    oldest: Option<Height>,
    /// Records above this height are needed by a checkpoint of it.
    pinned: Option<Height>,
}

impl UndoLog {
    /// Over an open database, whose newest checkpoint is of height `pinned`.
    pub fn open(kv: Arc<dyn Kv>, history: History, pinned: Option<Height>) -> Result<Self, StoreError> {
        let first = kv.scan(Column::Undo, &[], &[], 1)?;
        let oldest = first.first().map(|(key, _)| height_in(key)).transpose()?;
        Ok(Self { kv, history, kept: Mutex::new(Kept { oldest, pinned }) })
    }

    /// Adds the record of block `height` to `batch`, and the removal of old ones nobody needs.
    pub fn stage(&self, batch: &mut Batch, height: Height, undo: &StateDelta) {
        batch.put(Column::Undo, height.to_be_bytes(), codec::encode(undo));
        let mut kept = self.kept.lock();
        let oldest = *kept.oldest.get_or_insert(height);
        if self.history == History::Archive {
            return;
        }
        // Of the states that are kept, the oldest needs no record of its own block.
        let recent = (height + 2).saturating_sub(KEPT_STATES);
        let needed = kept.pinned.map_or(recent, |pinned| recent.min(pinned + 1));
        let end = needed.min(oldest + DELETED_WITH_EACH).max(oldest);
        (oldest..end).for_each(|gone| batch.delete(Column::Undo, gone.to_be_bytes()));
        kept.oldest = Some(end);
    }

    /// From now on what a start needs that begins with a checkpoint of `height` is kept, and of no earlier one.
    pub fn pin(&self, height: Height) {
        self.kept.lock().pinned = Some(height);
    }

    /// The record of block `height`.
    pub fn read(&self, height: Height) -> Result<Option<StateDelta>, StoreError> {
        let bytes = self.kv.get(Column::Undo, &height.to_be_bytes())?;
        Ok(bytes.map(|bytes| codec::decode(&bytes)).transpose()?)
    }

    /// Lowest height whose state can be computed from that of `newest`.
    pub fn reaches(&self, newest: Height) -> Height {
        self.kept.lock().oldest.map_or(newest, |oldest| oldest.saturating_sub(1))
    }

    /// Every key that the blocks of `heights` changed; `None` if one of them has no record. The values mean nothing.
    pub fn touched(&self, heights: RangeInclusive<Height>) -> Result<Option<StateDelta>, StoreError> {
        let mut keys = StateDelta::default();
        for height in heights {
            let Some(undo) = self.read(height)? else { return Ok(None) };
            keys.merge(undo);
        }
        Ok(Some(keys))
    }
}

fn height_in(key: &[u8]) -> Result<Height, StoreError> {
    let len = key.len();
    let bytes = key.try_into().map_err(|_| StoreError::Key { column: Column::Undo.name(), len, expected: 8 })?;
    Ok(Height::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{Durability, MemoryKv};

    fn write(log: &UndoLog, kv: &MemoryKv, heights: RangeInclusive<Height>) {
        for height in heights {
            let mut batch = Batch::new();
            log.stage(&mut batch, height, &StateDelta::default());
            kv.write(batch, Durability::Buffered).unwrap();
        }
    }

    #[test]
    fn keeps_what_recent_states_and_the_checkpoint_need() {
        let kv = Arc::new(MemoryKv::new());
        let log = UndoLog::open(kv.clone(), History::Pruned, None).unwrap();
        assert_eq!(log.reaches(0), 0);
        write(&log, &kv, 1..=100);
        assert_eq!(log.reaches(100), 101 - KEPT_STATES);
        log.pin(50);
        write(&log, &kv, 101..=200);
        assert_eq!(log.reaches(200), 50);
        assert!(log.touched(51..=200).unwrap().is_some());
        assert!(log.touched(50..=200).unwrap().is_none());
        log.pin(190);
        write(&log, &kv, 201..=300);
        let reopened = UndoLog::open(kv.clone(), History::Pruned, Some(190)).unwrap();
        assert_eq!((log.reaches(300), reopened.reaches(300)), (190, 190));
    }

    #[test]
    fn an_archive_keeps_everything() {
        let kv = Arc::new(MemoryKv::new());
        let log = UndoLog::open(kv.clone(), History::Archive, None).unwrap();
        write(&log, &kv, 1..=300);
        assert_eq!(log.reaches(300), 0);
        assert!(log.touched(1..=300).unwrap().is_some());
    }
}
