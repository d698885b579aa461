//! Operations that were executed a while ago: whoever is asked for one again, this owner or the next, gives the answer of then.
//!
//! Owns a ring of records in the bucket's engine. Must not know what operations do. Invariants: an operation is remembered in the batch of its
//! changes; no more than [`EXECUTED_MAX`] are, and an answer that is longer than [`ANSWER_MAX_BYTES`] is not.

use super::reads::{Reads, decoded};
use crate::{
    access::{
        engine::Batch,
        objects::{
            error::ObjectsError,
            key,
            op::{Op, OpId, Reply},
            record::{ANSWER_MAX_BYTES, ExecutedRecord},
        },
    },
    codec,
};
use std::collections::BTreeMap;

/// Operations that are remembered: more than a bucket executes while one of them is on its way to the next owner.
const EXECUTED_MAX: u64 = 4_096;

/// The newest of them.
#[derive(Default)]
pub(super) struct Executed {
    answers: BTreeMap<u64, (OpId, Reply)>,
    numbers: BTreeMap<OpId, u64>,
}

/// Whether doing an operation twice is something else than doing it once. What upkeep asks for is not.
fn counts(op: &Op) -> bool {
    matches!(
        op,
        Op::Configure(_)
            | Op::Put(_)
            | Op::Delete(..)
            | Op::CreateUpload { .. }
            | Op::PutPart { .. }
            | Op::Complete(_)
            | Op::Abort { .. }
            | Op::Copy(_)
            | Op::CopyPart(_)
            | Op::Amend { .. }
    )
}

impl Executed {
    /// Those that the engine remembers.
    pub async fn load(reads: &Reads<'_>) -> Result<Self, ObjectsError> {
        let mut executed = Self::default();
        let max = usize::try_from(EXECUTED_MAX).unwrap_or(usize::MAX);
        for (_, value) in reads.entries(&[key::EXECUTED], &[], max).await? {
            let ExecutedRecord { number, id, reply } = decoded(&value)?;
            executed.keep(number, id, reply);
        }
        Ok(executed)
    }

    /// What was answered.
    pub fn answer(&self, id: OpId) -> Option<Reply> {
        let (_, reply) = self.answers.get(self.numbers.get(&id)?)?;
        Some(reply.clone())
    }

    /// Remembers an operation in its batch, in the place of the oldest one.
    pub fn note(&mut self, batch: &mut Batch, id: OpId, reply: &Reply) {
        let number = self.answers.last_key_value().map_or(0, |(newest, _)| newest + 1);
        let record = ExecutedRecord { number, id, reply: reply.clone() };
        if borsh::object_length(&record.reply).is_ok_and(|len| len <= ANSWER_MAX_BYTES) {
            batch.put(key::executed(number % EXECUTED_MAX), codec::encode(&record));
            self.keep(number, id, record.reply);
        }
    }

    fn keep(&mut self, number: u64, id: OpId, reply: Reply) {
        self.answers.insert(number, (id, reply));
        self.numbers.insert(id, number);
        while self.answers.len() as u64 > EXECUTED_MAX {
            if let Some((_, (oldest, _))) = self.answers.pop_first() {
                self.numbers.remove(&oldest);
            }
        }
    }
}

/// The id by which an operation is remembered, if it is.
pub(super) fn remembered(id: Option<OpId>, op: &Op) -> Option<OpId> {
    id.filter(|_| counts(op))
}
