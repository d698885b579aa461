//! Rows on their way into the log.
//!
//! Owns the buffer and the flush policy: what waits is flushed as soon as the flush before is done, without a delay. Must not know
//! slatedb's engine beyond its WAL interface. Invariants: files are flushed in order, each with at least one row; listeners hear of
//! a flush after it is durable, in order; after a failed flush nothing more is written.

use super::{
    Log, LogError,
    replay::wal_error,
    rows::{self, FILE_MAX_BYTES},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use parking_lot::Mutex;
use slatedb::{
    RowEntry,
    wal::{WalError, WalEvent, WalFlushResult, WalObserver, WalStatus, WalStatusListener, WalWriter},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// A file is closed when it has so many bytes, unless one batch has more.
const FILE_BYTES: usize = 4 << 20;
/// The engine is asked to flush its memtable when so much would have to be replayed.
const REPLAY_MAX_BYTES: u64 = 16 << 20;
/// How long a full log may take to be trimmed.
const FULL_DEADLINE: Duration = Duration::from_secs(60);
/// Rest between two looks at a full log.
const FULL_REST: Duration = Duration::from_millis(50);

/// A write batch that fits into no file.
#[derive(Debug, thiserror::Error)]
#[error("a write batch of {len} B is over the limit of {FILE_MAX_BYTES} B")]
struct BatchTooLarge {
    len: usize,
}

/// A file that waits to be flushed.
struct Frozen {
    id: u64,
    records: Vec<Bytes>,
    bytes: usize,
    rows: usize,
    last_seq: u64,
}

struct Buffer {
    rows: Vec<RowEntry>,
    bytes: usize,
    frozen: VecDeque<Frozen>,
    /// Number of the newest record there is or will be.
    last: u64,
    flushed_id: u64,
    flushed_seq: Option<u64>,
    /// Files flushed since the memtable was frozen, and their bytes.
    since_freeze: VecDeque<(u64, u64)>,
    closed: Option<WalError>,
    listeners: Vec<WalStatusListener>,
}

/// Shared by the writer, its observers and the task that flushes.
pub(super) struct Pump {
    log: Arc<dyn Log>,
    writer: u64,
    buffer: Mutex<Buffer>,
    work: Notify,
    /// Id of the newest flushed file; `None` once closed.
    flushed: watch::Sender<Option<u64>>,
}

impl Buffer {
    /// Closes the file that is being written; returns the id of the newest file.
    fn freeze(&mut self) -> u64 {
        if let Some(newest) = self.rows.last() {
            let last_seq = newest.seq;
            let records = rows::cut(&self.rows);
            self.last += records.len() as u64;
            let bytes = std::mem::take(&mut self.bytes);
            let rows = std::mem::take(&mut self.rows).len();
            self.frozen.push_back(Frozen { id: self.last, records, bytes, rows, last_seq });
        }
        self.last
    }

    fn append(&mut self, batch: &[RowEntry]) -> Result<(), WalError> {
        self.check()?;
        let len = batch.iter().map(rows::size).sum();
        if len > FILE_MAX_BYTES - rows::ROW_OVERHEAD_BYTES {
            return Err(WalError::InternalError(Arc::new(BatchTooLarge { len })));
        }
        if self.bytes + len > FILE_BYTES {
            self.freeze();
        }
        self.bytes += len;
        self.rows.extend_from_slice(batch);
        Ok(())
    }

    fn check(&self) -> Result<(), WalError> {
        self.closed.clone().map_or(Ok(()), Err)
    }

    fn status(&self) -> WalStatus {
        WalStatus {
            closed_reason: self.closed.clone(),
            estimated_bytes: self.bytes + self.frozen.iter().map(|file| file.bytes).sum::<usize>(),
            last_flushed_wal_id: self.flushed_id,
            last_flushed_seq: self.flushed_seq,
            buffered_wal_entries_count: self.rows.len() + self.frozen.iter().map(|file| file.rows).sum::<usize>(),
        }
    }

    fn status_or_closed(&self) -> Result<WalStatus, WalStatus> {
        let status = self.status();
        if status.closed_reason.is_none() { Ok(status) } else { Err(status) }
    }

    /// The first `count` files are durable.
    fn advance(&mut self, count: usize) {
        for Frozen { id, bytes, last_seq, .. } in self.frozen.drain(..count) {
            self.flushed_id = id;
            self.flushed_seq = Some(last_seq);
            self.since_freeze.push_back((id, bytes as u64));
        }
    }
}

impl Pump {
    /// Nothing waits; the newest file is `last`.
    pub(super) fn new(log: Arc<dyn Log>, writer: u64, last: u64) -> Arc<Self> {
        let buffer = Buffer {
            rows: Vec::new(),
            bytes: 0,
            frozen: VecDeque::new(),
            last,
            flushed_id: last,
            flushed_seq: None,
            since_freeze: VecDeque::new(),
            closed: None,
            listeners: Vec::new(),
        };
        let flushed = watch::Sender::new(Some(last));
        Arc::new(Self { log, writer, buffer: Mutex::new(buffer), work: Notify::new(), flushed })
    }

    /// Flushes what waits until closed.
    pub(super) async fn run(&self, stop: CancellationToken) {
        let reason = tokio::select! {
            error = self.flush_all() => error,
            () = stop.cancelled() => WalError::Closed,
        };
        self.close(reason);
    }

    async fn flush_all(&self) -> WalError {
        loop {
            let (first, records, files) = self.waiting();
            if files == 0 {
                self.work.notified().await;
                continue;
            }
            if let Err(error) = self.append(first, records).await {
                tracing::warn!(%error, writer = self.writer, "the write-ahead log ends");
                return wal_error(error);
            }
            let (status, listeners) = {
                let mut buffer = self.buffer.lock();
                if buffer.closed.is_some() {
                    return WalError::Closed;
                }
                buffer.advance(files);
                (buffer.status(), buffer.listeners.clone())
            };
            for listener in listeners {
                listener(WalEvent::WalFlushed(status.clone()));
            }
            self.flushed.send_replace(Some(status.last_flushed_wal_id));
        }
    }

    /// All that waits: number of the first record, records, number of files.
    fn waiting(&self) -> (u64, Vec<Bytes>, usize) {
        let mut buffer = self.buffer.lock();
        buffer.freeze();
        let records = buffer.frozen.iter().flat_map(|file| file.records.iter().cloned()).collect();
        (buffer.flushed_id + 1, records, buffer.frozen.len())
    }

    /// Appends; a full log is waited for, since trimming follows from what was flushed before.
    async fn append(&self, first: u64, records: Vec<Bytes>) -> Result<(), LogError> {
        let since = Instant::now();
        loop {
            match self.log.append(self.writer, first, records.clone()).await {
                Err(LogError::Full(reason)) if since.elapsed() < FULL_DEADLINE => {
                    tracing::debug!(reason, "the write-ahead log waits to be trimmed");
                    sleep(FULL_REST).await;
                }
                other => return other,
            }
        }
    }

    fn close(&self, reason: WalError) {
        let (status, listeners) = {
            let mut buffer = self.buffer.lock();
            if buffer.closed.is_some() {
                return;
            }
            buffer.closed = Some(reason);
            buffer.rows.clear();
            buffer.frozen.clear();
            buffer.bytes = 0;
            (buffer.status(), buffer.listeners.clone())
        };
        for listener in listeners {
            listener(WalEvent::WalClosed(status.clone()));
        }
        self.flushed.send_replace(None);
    }
}

/// slatedb's end of the pump.
pub(super) struct Writer {
    pump: Arc<Pump>,
    stop: CancellationToken,
}

impl Writer {
    /// Closing or dropping it stops the pump by `stop`.
    pub(super) fn new(pump: Arc<Pump>, stop: CancellationToken) -> Self {
        Self { pump, stop }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl WalWriter for Writer {
    async fn append(&mut self, batch: &[RowEntry]) -> Result<(), WalError> {
        self.pump.buffer.lock().append(batch)?;
        self.pump.work.notify_one();
        Ok(())
    }

    async fn flush(&mut self) -> Result<WalFlushResult, WalError> {
        let wal_id = {
            let mut buffer = self.pump.buffer.lock();
            buffer.check()?;
            buffer.freeze()
        };
        self.pump.work.notify_one();
        let (pump, mut flushed) = (self.pump.clone(), self.pump.flushed.subscribe());
        let completion = async move {
            let reached = flushed.wait_for(|flushed| flushed.is_none_or(|id| id >= wal_id)).await.map(|id| *id);
            match reached {
                Ok(Some(_)) => Ok(()),
                _ => Err(pump.buffer.lock().closed.clone().unwrap_or(WalError::Closed)),
            }
        };
        Ok(WalFlushResult { wal_id, completion: completion.boxed() })
    }

    fn should_flush_memtable(&self, replay_after_wal_id: u64) -> bool {
        let mut buffer = self.pump.buffer.lock();
        while buffer.since_freeze.front().is_some_and(|(id, _)| *id <= replay_after_wal_id) {
            buffer.since_freeze.pop_front();
        }
        buffer.since_freeze.iter().map(|(_, bytes)| bytes).sum::<u64>() >= REPLAY_MAX_BYTES
    }

    fn observer(&self) -> Box<dyn WalObserver> {
        Box::new(Observer { pump: self.pump.clone() })
    }

    fn status(&self) -> Result<WalStatus, WalStatus> {
        self.pump.buffer.lock().status_or_closed()
    }

    async fn close(&mut self) -> Result<(), WalError> {
        self.pump.close(WalError::Closed);
        self.stop.cancel();
        Ok(())
    }
}

struct Observer {
    pump: Arc<Pump>,
}

impl WalObserver for Observer {
    fn status(&self) -> Result<WalStatus, WalStatus> {
        self.pump.buffer.lock().status_or_closed()
    }

    fn subscribe(&self, listener: WalStatusListener) -> Result<(), WalError> {
        let closed = {
            let mut buffer = self.pump.buffer.lock();
            buffer.listeners.push(listener.clone());
            buffer.closed.is_some().then(|| buffer.status())
        };
        if let Some(status) = closed {
            listener(WalEvent::WalClosed(status));
        }
        Ok(())
    }
}
