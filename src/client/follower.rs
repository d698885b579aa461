//! Follows the chain's events without a gap, from any height, across restarts and failing nodes.
//!
//! Must not know what events are for. Invariant: a height is passed only after its events were handed out.

use super::remote::EVENTS_MAX_BLOCKS;
use super::{ChainClient, ChainError, EventBatch};
use crate::types::Height;
use std::sync::Arc;
use std::time::Duration;

/// Blocks of one step at most: bounds the memory of a follower that catches up.
pub const STEP_MAX_BLOCKS: u64 = 64;
/// How long one wait for a block lasts before the follower asks again.
const WAIT: Duration = Duration::from_secs(20);
/// First pause after a failure.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Longest pause while the chain cannot be reached.
const PAUSE_MAX: Duration = Duration::from_secs(5);
const _: () = assert!(STEP_MAX_BLOCKS <= EVENTS_MAX_BLOCKS);

/// Reads events in order.
pub struct EventFollower {
    chain: Arc<dyn ChainClient>,
    next: Height,
}

/// Everything that happened in blocks `from..=to`. Blocks without events have no batch.
#[derive(Debug, Clone, PartialEq)]
pub struct EventStep {
    /// First block covered.
    pub from: Height,
    /// Last block covered. When its events are dealt with, following may resume at `to + 1`.
    pub to: Height,
    /// The events, ascending.
    pub batches: Vec<EventBatch>,
}

impl EventFollower {
    /// Follows from block `from` on. Genesis has no events, so 0 and 1 mean the same.
    pub fn new(chain: Arc<dyn ChainClient>, from: Height) -> Self {
        Self { chain, next: from.max(1) }
    }

    /// The first block not handed out yet: save it to resume there.
    pub fn position(&self) -> Height {
        self.next
    }

    /// The next step, or `None` if no block came within `patience`. Nothing is skipped when it fails or is dropped.
    pub async fn step(&mut self, patience: Duration) -> Result<Option<EventStep>, ChainError> {
        let from = self.next;
        let status = self.chain.wait_above(from - 1, patience).await?;
        if status.height < from {
            return Ok(None);
        }
        let to = status.height.min(from + STEP_MAX_BLOCKS - 1);
        let batches = self.chain.events(from, to).await?;
        self.next = to + 1;
        Ok(Some(EventStep { from, to, batches }))
    }

    /// The next step, however long it takes: failures are logged and tried again with growing pauses.
    pub async fn next(&mut self) -> EventStep {
        let mut pause = PAUSE_FIRST;
        loop {
            match self.step(WAIT).await {
                Ok(Some(step)) => return step,
                Ok(None) => pause = PAUSE_FIRST,
                Err(e) => {
                    tracing::warn!(height = self.next, error = %e, "events cannot be read, trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }
}
