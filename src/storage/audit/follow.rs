//! Keeps the index in step with the chain.
//!
//! Owns the task and the height others wait for. Must not know what the index is for.

use super::index::{HoldingsIndex, IndexError};
use crate::{
    client::{ChainClient, EventFollower},
    runtime::{Criticality, Node, Phase, Worker},
    types::Height,
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::spawn_blocking, time::sleep};

/// Blocks an index may be behind the chain and still be in step with it.
const LAG_MAX_BLOCKS: Height = 4;
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// An index that follows the chain. Cheap to clone.
#[derive(Clone)]
pub struct Holdings {
    chain: Arc<dyn ChainClient>,
    index: Arc<HoldingsIndex>,
    height: watch::Receiver<Height>,
}

impl Holdings {
    /// Starts to follow where the index ends.
    pub fn start(node: &Node, chain: Arc<dyn ChainClient>, index: HoldingsIndex) -> Result<Self, IndexError> {
        let from = index.height()?;
        let (sender, height) = watch::channel(from);
        let index = Arc::new(index);
        let this = Self { chain: chain.clone(), index: index.clone(), height };
        let (worker, follower) = (node.workers.register("index holdings"), EventFollower::new(chain, from + 1));
        let stopping = node.tasks.stopping(Phase::Produce);
        node.tasks.spawn(Phase::Produce, "holdings-index", Criticality::Critical, async move {
            tokio::select! {
                result = follow(index, follower, sender, worker) => Ok(result?),
                () = stopping.cancelled() => Ok(()),
            }
        });
        Ok(this)
    }

    /// The index.
    pub fn index(&self) -> &Arc<HoldingsIndex> {
        &self.index
    }

    /// Height up to which events took effect.
    pub fn followed(&self) -> watch::Receiver<Height> {
        self.height.clone()
    }

    /// Waits until the index has passed `height` and is in step with the chain; how far it is then. What an index says that catches up
    /// is no ground for acting.
    pub async fn in_step(&self, height: Height) -> Height {
        let mut followed = self.height.clone();
        let mut least = height;
        loop {
            let reached = followed.wait_for(|now| *now >= least).await.map(|now| *now);
            // The index ends with the node.
            let Ok(now) = reached else { return std::future::pending().await };
            match self.chain.status().await {
                Ok(status) if status.height <= now.saturating_add(LAG_MAX_BLOCKS) => return now,
                Ok(_) => least = now + 1,
                Err(error) => {
                    tracing::debug!(%error, "the chain does not say how far it is, asking again");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Reads the index off the async threads.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&HoldingsIndex) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, IndexError> {
        let index = self.index.clone();
        blocking(move || read(&index)).await
    }
}

async fn follow(
    index: Arc<HoldingsIndex>,
    mut follower: EventFollower,
    height: watch::Sender<Height>,
    worker: Worker,
) -> Result<(), IndexError> {
    loop {
        let step = follower.next().await;
        worker.busy(format!("blocks {} to {}", step.from, step.to));
        let (index, to) = (index.clone(), step.to);
        blocking(move || index.apply(&step)).await?;
        height.send_replace(to);
        worker.idle();
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IndexError> + Send + 'static,
) -> Result<T, IndexError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(IndexError::Stopping),
    }
}
