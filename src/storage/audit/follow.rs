//! Keeps the index in step with the chain.
//!
//! Owns the task and the height others wait for. Must not know what the index is for.

use super::{
    index::{HoldingsIndex, IndexError},
    restore::restore,
};
use crate::{
    client::{ChainClient, EventFollower, EventStep},
    network::Network,
    runtime::{Criticality, Node, Phase, Worker},
    types::Height,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, OnceCell, watch},
    task::spawn_blocking,
    time::sleep,
};

/// Blocks an index may be behind the chain and still be in step with it.
const LAG_MAX_BLOCKS: Height = 4;
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Pause before the state is read again, which is work for the whole chain's files.
const RESTORE_PAUSE: Duration = Duration::from_secs(10);
/// How long one wait for a block lasts.
const STEP_WAIT: Duration = Duration::from_secs(20);

/// An index that follows the chain. Cheap to clone.
#[derive(Clone)]
pub struct Holdings {
    chain: Arc<dyn ChainClient>,
    index: Arc<HoldingsIndex>,
    height: watch::Receiver<Height>,
    /// The way to other verifiers, once there is one.
    network: Arc<OnceCell<Arc<dyn Network>>>,
    networked: Arc<Notify>,
}

/// What the task that follows works with.
struct Following {
    chain: Arc<dyn ChainClient>,
    holdings: Holdings,
    sender: watch::Sender<Height>,
    worker: Worker,
}

impl Holdings {
    /// Starts to follow where the index ends.
    pub fn start(node: &Node, chain: Arc<dyn ChainClient>, index: HoldingsIndex) -> Result<Self, IndexError> {
        let from = index.height()?;
        let (sender, height) = watch::channel(from);
        let index = Arc::new(index);
        let this = Self { chain: chain.clone(), index, height, network: Arc::default(), networked: Arc::default() };
        let worker = node.workers.register("index holdings");
        let following = Following { chain, holdings: this.clone(), sender, worker };
        let stopping = node.tasks.stopping(Phase::Produce);
        node.tasks.spawn(Phase::Produce, "holdings-index", Criticality::Critical, async move {
            tokio::select! {
                result = following.run(from) => Ok(result?),
                () = stopping.cancelled() => Ok(()),
            }
        });
        Ok(this)
    }

    /// Gives it the way to other verifiers, which have what this node's chain has not.
    pub(super) fn set_network(&self, network: Arc<dyn Network>) {
        if self.network.set(network).is_ok() {
            self.networked.notify_one();
        }
    }

    async fn network(&self) -> Arc<dyn Network> {
        loop {
            if let Some(network) = self.network.get() {
                return network.clone();
            }
            self.networked.notified().await;
        }
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

impl Following {
    /// Follows from the block after `done` on.
    async fn run(self, done: Height) -> Result<(), IndexError> {
        let mut follower = EventFollower::new(self.chain.clone(), done + 1);
        loop {
            match follower.step(STEP_WAIT).await {
                Ok(Some(step)) => self.apply(step).await?,
                Ok(None) => {}
                Err(error) if error.is_pruned() => {
                    let from = self.restore().await;
                    self.sender.send_replace(from);
                    follower = EventFollower::new(self.chain.clone(), from + 1);
                }
                Err(error) => {
                    self.worker.error(&error);
                    tracing::warn!(height = follower.position(), %error, "events cannot be read, trying again");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn apply(&self, step: EventStep) -> Result<(), IndexError> {
        self.worker.busy(format!("blocks {} to {}", step.from, step.to));
        let (index, to) = (self.holdings.index.clone(), step.to);
        blocking(move || index.apply(&step)).await?;
        self.sender.send_replace(to);
        self.worker.idle();
        Ok(())
    }

    /// Fills the index from the state, however long it takes.
    async fn restore(&self) -> Height {
        let network = self.holdings.network().await;
        loop {
            match restore(self.chain.as_ref(), network.as_ref(), &self.holdings.index, &self.worker).await {
                Ok(from) => return from,
                Err(error) => {
                    self.worker.error(&error);
                    tracing::error!(%error, "what miners hold cannot be taken over from the state, trying again");
                    sleep(RESTORE_PAUSE).await;
                }
            }
        }
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
