//! The port to an append-only log with one writer at a time.

use async_trait::async_trait;
use bytes::Bytes;

/// Why the log did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// A later writer came.
    #[error("a later writer has the log: {0}")]
    Fenced(String),
    /// Too much is untrimmed; goes away by trimming.
    #[error("the log is full: {0}")]
    Full(String),
    /// It cannot be reached; what was to be appended may be durable or not.
    #[error("the log cannot be reached: {0}")]
    Unavailable(String),
    /// What was acknowledged is not there.
    #[error("the log lost what was acknowledged: {0}")]
    Lost(String),
}

/// Which records a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    /// Records up to this number were trimmed.
    pub base: u64,
    /// Number of the newest record, `base` if there is none.
    pub last: u64,
}

/// Records numbered from 1. Every call names the writer's epoch and fails once a higher one sealed the log.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Shuts lower epochs out and says what the log holds. All that was acknowledged before is in it.
    async fn seal(&self, writer: u64) -> Result<Tail, LogError>;
    /// Untrimmed records numbered from `from` on, at least one if there is any.
    async fn read(&self, writer: u64, from: u64) -> Result<Vec<Bytes>, LogError>;
    /// Appends records numbered from `first`, which follows the newest. On return they survive.
    async fn append(&self, writer: u64, first: u64, records: Vec<Bytes>) -> Result<(), LogError>;
    /// Forgets records up to `upto`.
    async fn trim(&self, writer: u64, upto: u64) -> Result<(), LogError>;
    /// Confirms that no higher epoch sealed the log.
    async fn touch(&self, writer: u64) -> Result<(), LogError>;
}
