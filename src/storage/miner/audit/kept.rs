//! The answers this miner committed to, while members of committees, or seats that judge an appeal, may fetch them; and what it is sure of.
//!
//! Owns the answers column. Invariant: an answer is kept before its digest is sent; at most those of a few rounds are there.

use crate::{
    codec,
    kv::{Batch, Column, Durability, Kv, KvError},
    storage::{audit::OwnVote, fragments::FragmentError, wire::AuditPart},
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

    /// What this miner is sure of about a round, as a verdict says it.
    pub fn set_own(&self, round: u64, own: &OwnVote) -> Result<(), FragmentError> {
        let mut batch = Batch::new();
        batch.put(Column::Answers, own_key(round), codec::encode(own));
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }

    /// Everything it is sure of, by round.
    pub fn own(&self) -> Result<Vec<(u64, OwnVote)>, FragmentError> {
        let (mut found, mut from) = (Vec::new(), Vec::new());
        loop {
            let entries = self.kv.scan(Column::Answers, b"", &from, PAGE_ENTRIES)?;
            let Some((last, _)) = entries.last() else { return Ok(found) };
            from = [last.as_slice(), &[0]].concat();
            for (key, value) in &entries {
                if let Some((round, [OWN])) = key.split_first_chunk() {
                    found.push((u64::from_be_bytes(*round), codec::decode(value)?));
                }
            }
        }
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

/// What stands behind the round in the key of what the miner is sure of.
const OWN: u8 = b'v';

fn own_key(round: u64) -> Vec<u8> {
    [&round.to_be_bytes()[..], &[OWN]].concat()
}

fn key(round: u64, part: AuditPart) -> Vec<u8> {
    let part = match part {
        AuditPart::Spot => b's',
        AuditPart::Idle => b'i',
    };
    [&round.to_be_bytes()[..], &[part]].concat()
}
