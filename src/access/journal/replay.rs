//! Reads what must be replayed when an engine is opened.

use super::{Log, LogError, rows::Joiner};
use async_trait::async_trait;
use bytes::Bytes;
use slatedb::wal::{WalError, WalIterator, WalRows};
use std::{collections::VecDeque, sync::Arc};

/// The files between two records of a log.
pub(super) struct Replay {
    log: Arc<dyn Log>,
    writer: u64,
    /// Number of the next record to look at, and of the last.
    next: u64,
    last: u64,
    read: VecDeque<Bytes>,
    joiner: Joiner,
}

impl Replay {
    /// Files behind record `after`, up to record `last`.
    pub(super) fn new(log: Arc<dyn Log>, writer: u64, after: u64, last: u64) -> Self {
        Self { log, writer, next: after + 1, last, read: VecDeque::new(), joiner: Joiner::default() }
    }
}

#[async_trait]
impl WalIterator for Replay {
    async fn next(&mut self) -> Result<Option<WalRows>, WalError> {
        while self.next <= self.last {
            if self.read.is_empty() {
                self.read = self.log.read(self.writer, self.next).await.map_err(wal_error)?.into();
            }
            let record = self.read.pop_front().ok_or_else(|| {
                wal_error(LogError::Lost(format!("record {} of {} is missing", self.next, self.last)))
            })?;
            let number = self.next;
            self.next += 1;
            let rows = self.joiner.take(number, &record).map_err(|error| WalError::DataError(Arc::new(error)))?;
            if let Some(rows) = rows {
                return Ok(Some(WalRows { rows, last_consumed_wal_file_id: number }));
            }
        }
        Ok(None)
    }
}

/// What slatedb calls it.
pub(super) fn wal_error(error: LogError) -> WalError {
    match error {
        LogError::Fenced(_) => WalError::Fenced,
        LogError::Unavailable(_) | LogError::Full(_) => WalError::Unavailable(Arc::new(error)),
        LogError::Lost(_) => WalError::DataError(Arc::new(error)),
    }
}
