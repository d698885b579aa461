//! Follows the chain: what it says of files decides which fragments are kept.
//!
//! Owns the meaning of events for a miner. Invariant: the cursor passes a height only after its events took effect, and every
//! effect may happen twice without harm.

use super::Inner;
use crate::{
    client::{ChainEvent, EventFollower, EventStep},
    kv::Durability,
    ledger::manifest::Manifest,
    runtime::{Phase, Worker},
    storage::fragments::{Cursor, FragmentError},
    types::{Address, FileId, Height},
};
use alloy_primitives::Bytes;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Blocks without an event for this miner after which the cursor is written all the same.
const CURSOR_MAX_LAG: Height = 256;

pub(super) fn start(inner: &Arc<Inner>) {
    let this = inner.clone();
    let from = *inner.height.borrow() + 1;
    inner.spawn(Phase::Produce, "miner-follower", async move {
        let worker = this.node.workers.register("follow chain");
        let mut follower = EventFollower::new(this.chain.clone(), from);
        let mut written = from;
        loop {
            let step = follower.next().await;
            worker.busy(format!("blocks {} to {}", step.from, step.to));
            let touched = this.apply(&step, &worker).await?;
            if touched || step.to >= written + CURSOR_MAX_LAG {
                let durability = if touched { Durability::Synced } else { Durability::Buffered };
                this.write_cursor(step.to, durability).await?;
                written = step.to;
            }
            this.height.send_replace(step.to);
            worker.idle();
        }
    });
}

impl Inner {
    /// Lets the events of a step take effect; returns whether any concerned this miner.
    async fn apply(&self, step: &EventStep, worker: &Worker) -> Result<bool, FragmentError> {
        let mut touched = false;
        for (_, event) in step.batches.iter().flat_map(|batch| &batch.events) {
            touched |= match event {
                ChainEvent::FileStored { id, holders, manifest, .. } => {
                    self.stored(*id, holders, manifest, worker).await?
                }
                ChainEvent::OwnerAdded { id, .. } => self.settled(*id).await?,
                ChainEvent::FileDeleted { id, holders, .. } if holders.contains(&self.account) => {
                    self.deleted(*id).await?
                }
                _ => false,
            };
        }
        if touched {
            self.show_space();
        }
        Ok(touched)
    }

    async fn stored(
        &self,
        file: FileId,
        holders: &[Address],
        manifest: &Bytes,
        worker: &Worker,
    ) -> Result<bool, FragmentError> {
        let Some(column) = holders.iter().position(|holder| *holder == self.account) else { return Ok(false) };
        let manifest = match Manifest::read(manifest) {
            Ok(manifest) => manifest,
            Err(error) => {
                worker.error(format!("the manifest of file {file} cannot be read: {error}"));
                return Ok(false);
            }
        };
        let store = self.store.clone();
        let missing = run(move || {
            let fragments = manifest.segments.iter().filter_map(|segment| segment.fragments.get(column).copied());
            store.index().claim(file, u8::try_from(column).unwrap_or(u8::MAX), fragments)
        })
        .await?;
        if !missing.is_empty() {
            worker.error(format!("{} fragments of file {file} are claimed but not here", missing.len()));
            tracing::error!(%file, missing = missing.len(), "fragments are claimed but not here");
        }
        Ok(true)
    }

    async fn settled(&self, file: FileId) -> Result<bool, FragmentError> {
        let store = self.store.clone();
        run(move || store.index().settle(file)).await?;
        Ok(false)
    }

    async fn deleted(&self, file: FileId) -> Result<bool, FragmentError> {
        let store = self.store.clone();
        let unused = run(move || store.index().release(file)).await?;
        let removed = self.store.collect(unused, 0).await?;
        tracing::info!(%file, removed, "file deleted, fragments dropped");
        Ok(true)
    }

    async fn write_cursor(&self, height: Height, durability: Durability) -> Result<(), FragmentError> {
        let (store, cursor) = (self.store.clone(), Cursor::new(self.genesis, height));
        run(move || store.index().set_cursor(cursor, durability)).await
    }
}

/// Index work off the async threads.
pub(super) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FragmentError> + Send + 'static,
) -> Result<T, FragmentError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(FragmentError::Closed),
    }
}
