//! The answers this miner committed to, while members of committees may fetch them.
//!
//! Owns the answers column. Invariant: an answer is kept before its digest is sent; at most those of a few rounds are there.

use crate::{
    kv::{Batch, Column, Durability, Kv, KvError},
    storage::{fragments::FragmentError, wire::AuditPart},
};
use std::sync::Arc;

/// Entries forgotten at a time.
const PAGE_ENTRIES: usize = 64;

/// Handle of the kept answers. Cheap to clone.
#[derive(Clone)]
pub(in crate::storage::miner) struct KeptAnswers {
    kv: Arc<dyn Kv>,
}

impl KeptAnswers {
    /// Over the miner's database.
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        Self { kv }
    }

    /// Keeps the answers of a round; an empty one was not due or could not be given.
    pub fn keep(&self, round: u64, spot: &[u8], idle: &[u8]) -> Result<(), FragmentError> {
        let mut batch = Batch::new();
        for (part, answer) in [(AuditPart::Spot, spot), (AuditPart::Idle, idle)] {
            if !answer.is_empty() {
                batch.put(Column::Answers, key(round, part), answer);
            }
        }
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }

    /// One answer.
    pub fn get(&self, round: u64, part: AuditPart) -> Result<Option<Vec<u8>>, KvError> {
        self.kv.get(Column::Answers, &key(round, part))
    }

    /// Forgets the answers of rounds before `round`.
    pub fn forget_before(&self, round: u64) -> Result<(), FragmentError> {
        loop {
            let mut batch = Batch::new();
            let entries = self.kv.scan(Column::Answers, b"", b"", PAGE_ENTRIES)?;
            let old = entries.into_iter().map(|(key, _)| key).filter(|key| key[..] < round.to_be_bytes()[..]);
            old.for_each(|key| batch.delete(Column::Answers, key));
            if batch.ops.is_empty() {
                return Ok(());
            }
            self.kv.write(batch, Durability::Buffered)?;
        }
    }
}

fn key(round: u64, part: AuditPart) -> Vec<u8> {
    let part = match part {
        AuditPart::Spot => b's',
        AuditPart::Idle => b'i',
    };
    [&round.to_be_bytes()[..], &[part]].concat()
}
