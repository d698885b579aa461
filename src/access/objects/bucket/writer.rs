//! The task that changes a bucket: one operation after the other, each one batch.
//!
//! Owns the bucket's record, its usage and its numbers. Must not know what an operation does. Invariants: usage changes with the
//! batch that changes it; nothing is decided on records that failed to be written; an operation with an id is executed once.

use super::{
    BucketSettings,
    change::Change,
    executed::{Executed, remembered},
};
use crate::{
    access::{
        engine::{Engine, Pending},
        objects::{
            error::ObjectsError,
            id::BucketName,
            op::{Op, OpId, Reply},
            record::{BucketRecord, UsageRecord},
        },
    },
    runtime::{Node, Phase},
};
use parking_lot::RwLock;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// An operation that waits.
pub(super) struct Job {
    /// By which it is told from another one like it.
    pub id: Option<OpId>,
    pub op: Op,
    pub answer: oneshot::Sender<Decided>,
}

/// What was decided. It may be told once `after` is durable.
pub(super) struct Decided {
    pub outcome: Result<Reply, ObjectsError>,
    pub after: Option<Pending>,
}

/// The task's state.
pub(super) struct Writer {
    node: Node,
    name: BucketName,
    engine: Arc<Engine>,
    settings: BucketSettings,
    record: Arc<RwLock<Option<Arc<BucketRecord>>>>,
    usage: UsageRecord,
    executed: Executed,
    last: Option<Pending>,
    failed: bool,
    queue: mpsc::Receiver<Job>,
}

impl Writer {
    pub fn new(
        node: &Node,
        name: BucketName,
        engine: Arc<Engine>,
        settings: BucketSettings,
        record: Arc<RwLock<Option<Arc<BucketRecord>>>>,
        (usage, executed): (UsageRecord, Executed),
        queue: mpsc::Receiver<Job>,
    ) -> Self {
        let node = node.clone();
        Self { node, name, engine, settings, record, usage, executed, last: None, failed: false, queue }
    }

    /// Works until the bucket is dropped or the node stops.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let stopping = self.node.tasks.stopping(Phase::Store);
        loop {
            let job = tokio::select! {
                job = self.queue.recv() => job,
                () = stopping.cancelled() => None,
            };
            let Some(job) = job else {
                return Ok(());
            };
            let outcome = self.decide(job.id, job.op).await;
            // A caller that has gone does not hear it; what was decided stays.
            let _ = job.answer.send(Decided { outcome, after: self.last.clone() });
        }
    }

    async fn decide(&mut self, id: Option<OpId>, op: Op) -> Result<Reply, ObjectsError> {
        if self.failed {
            return Err(ObjectsError::Unavailable { reason: format!("bucket `{}` failed to write", self.name) });
        }
        let id = remembered(id, &op);
        if let Some(reply) = id.and_then(|id| self.executed.answer(id)) {
            return Ok(reply);
        }
        let record = self.record.read().clone();
        let mut change = Change::new(&self.node, &self.name, &self.engine, &self.settings, record, self.usage);
        let reply = change.execute(op).await?;
        let (mut batch, usage, record) = change.into_batch();
        if batch.is_empty() {
            return Ok(reply);
        }
        if let Some(id) = id {
            self.executed.note(&mut batch, id, &reply);
        }
        match self.engine.commit(batch).await {
            Ok(pending) => {
                self.last = Some(pending);
                self.usage = usage;
                if let Some(record) = record {
                    *self.record.write() = Some(record);
                }
                Ok(reply)
            }
            Err(error) => {
                self.failed = true;
                Err(error.into())
            }
        }
    }
}
