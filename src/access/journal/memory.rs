//! The log's twin in memory: survives its writers, not its process.

use super::{Log, LogError, Tail};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use tokio::sync::watch;

/// A log in memory.
pub struct MemoryLog {
    state: Mutex<State>,
    /// Whether appends wait.
    held: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    sealed: u64,
    base: u64,
    records: VecDeque<Bytes>,
    appends: usize,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self { state: Mutex::default(), held: watch::Sender::new(false) }
    }
}

impl MemoryLog {
    /// Has appends wait, or lets them go on.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// What it holds.
    pub fn tail(&self) -> Tail {
        let state = self.state.lock();
        Tail { base: state.base, last: state.base + state.records.len() as u64 }
    }

    /// How often records were appended.
    pub fn appends(&self) -> usize {
        self.state.lock().appends
    }

    fn change<T>(&self, writer: u64, change: impl FnOnce(&mut State) -> Result<T, LogError>) -> Result<T, LogError> {
        let mut state = self.state.lock();
        if writer < state.sealed {
            return Err(LogError::Fenced(format!("it is sealed by epoch {}", state.sealed)));
        }
        change(&mut state)
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn seal(&self, writer: u64) -> Result<Tail, LogError> {
        self.change(writer, |state| {
            state.sealed = writer;
            Ok(())
        })?;
        Ok(self.tail())
    }

    async fn read(&self, writer: u64, from: u64) -> Result<Vec<Bytes>, LogError> {
        self.change(writer, |state| {
            let skip = from.checked_sub(state.base + 1).and_then(|skip| usize::try_from(skip).ok());
            let skip = skip.ok_or_else(|| LogError::Lost(format!("records up to {} were trimmed", state.base)))?;
            Ok(state.records.iter().skip(skip).cloned().collect())
        })
    }

    async fn append(&self, writer: u64, first: u64, records: Vec<Bytes>) -> Result<(), LogError> {
        // The twin itself holds the sender.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        self.change(writer, |state| {
            let next = state.base + state.records.len() as u64 + 1;
            if first != next {
                return Err(LogError::Lost(format!("record {first} does not follow {}", next - 1)));
            }
            state.records.extend(records);
            state.appends += 1;
            Ok(())
        })
    }

    async fn trim(&self, writer: u64, upto: u64) -> Result<(), LogError> {
        self.change(writer, |state| {
            while state.base < upto && state.records.pop_front().is_some() {
                state.base += 1;
            }
            Ok(())
        })
    }

    async fn touch(&self, writer: u64) -> Result<(), LogError> {
        self.change(writer, |_| Ok(()))
    }
}
