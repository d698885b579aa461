//! Follows the chain: what it says of files decides which fragments are kept.
//!
//! Owns the meaning of events for a miner. Invariant: the cursor passes a height only after its events took effect, and every
//! effect may happen twice without harm.

use super::{Inner, MinerState};
use crate::{
    client::{ChainEvent, EventFollower, EventStep},
    kv::Durability,
    ledger::manifest::Manifest,
    runtime::{Phase, Worker},
    storage::fragments::{Claim, Claimed, Cursor, FragmentError},
    types::{FileId, Height},
};
use std::{sync::Arc, time::Duration};
use tokio::task::spawn_blocking;

/// Pause before the chain is asked again for a manifest that following cannot go on without.
const MANIFEST_PAUSE: Duration = Duration::from_millis(500);

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
        for batch in &step.batches {
            for (_, event) in &batch.events {
                touched |= self.apply_event(batch.height, event, worker).await?;
            }
        }
        if touched {
            self.show_space();
        }
        Ok(touched)
    }

    async fn apply_event(&self, height: Height, event: &ChainEvent, worker: &Worker) -> Result<bool, FragmentError> {
        let own = self.account;
        match event {
            ChainEvent::FileStored { id, holders, manifest, .. } => match holders.iter().position(|h| *h == own) {
                Some(column) => self.stored(*id, column, height, manifest, worker).await,
                None => Ok(false),
            },
            ChainEvent::OwnerAdded { id, .. } => self.settled(*id).await,
            ChainEvent::FileDeleted { id, holders, .. } if holders.contains(&own) => self.released(*id, height).await,
            ChainEvent::RepairCompleted { file, from, .. } if *from == own => self.released(*file, height).await,
            ChainEvent::RepairCompleted { file, column, to, .. } if *to == own => {
                let Some(manifest) = self.sure_manifest(*file).await else { return Ok(false) };
                self.stored(*file, usize::from(*column), height, &manifest, worker).await
            }
            ChainEvent::FileTagged { file, epoch, columns, .. } => self.tagged(*file, *epoch, *columns, height).await,
            other => {
                self.heard(other);
                Ok(false)
            }
        }
    }

    /// What changes nothing in the claims but wakes those who wait for it.
    fn heard(&self, event: &ChainEvent) {
        let own = self.account;
        match event {
            ChainEvent::MinerLeaving { account, .. } if *account == own => self.set_state(MinerState::Exiting),
            ChainEvent::MinerLost { account, .. } if *account == own => self.set_state(MinerState::Lost),
            ChainEvent::MinerReinstated { account, state, .. } if *account == own => {
                tracing::warn!(%account, "this miner had been forced out wrongly and is back; its idle space is certified anew");
                self.set_state(if *state == 1 { MinerState::Exiting } else { MinerState::Active });
                self.idle.iter().for_each(|idle| idle.wake());
            }
            ChainEvent::MinerLeaving { .. } | ChainEvent::MinerLost { .. } | ChainEvent::ColumnSurrendered { .. } => {
                self.repair.notify_one();
            }
            ChainEvent::IdleDecided { account, batch, count, accepted, .. } if *account == own => {
                if !accepted {
                    tracing::error!(batch, count, "commitments to idle space were refused, the segments are made anew");
                }
                self.idle.iter().for_each(|idle| idle.wake());
            }
            ChainEvent::AuditDecided { miner, round, verdict, strikes, fined } if *miner == own => {
                self.audit_decided(*round, *verdict, *strikes, *fined);
            }
            _ => {}
        }
    }

    async fn stored(
        &self,
        file: FileId,
        column: usize,
        height: Height,
        manifest: &[u8],
        worker: &Worker,
    ) -> Result<bool, FragmentError> {
        let manifest = match Manifest::read(manifest) {
            Ok(manifest) => manifest,
            Err(error) => {
                worker.error(format!("the manifest of file {file} cannot be read: {error}"));
                return Ok(false);
            }
        };
        let store = self.store.clone();
        let missing = run(move || {
            let claimed = manifest.segments.iter().filter_map(|segment| {
                let id = segment.fragments.get(column).copied()?;
                Some(Claimed { id, len: u32::try_from(segment.fragment_len()).ok()? })
            });
            let claim = Claim::new(u8::try_from(column).unwrap_or(u8::MAX), height, claimed);
            store.index().claim(file, &claim)
        })
        .await?;
        if !missing.is_empty() {
            worker.error(format!("{} fragments of file {file} are claimed but not here", missing.len()));
            tracing::error!(%file, missing = missing.len(), "fragments are claimed but not here, they are rebuilt");
            self.heal.notify_one();
        }
        Ok(true)
    }

    /// A file's manifest from the chain, however long it takes to get it.
    async fn sure_manifest(&self, file: FileId) -> Option<alloy_primitives::Bytes> {
        loop {
            match self.chain.manifest(file).await {
                Ok(manifest) => return manifest,
                Err(error) => tracing::warn!(%file, %error, "a manifest cannot be read, trying again"),
            }
            tokio::time::sleep(MANIFEST_PAUSE).await;
        }
    }

    async fn tagged(&self, file: FileId, epoch: u64, columns: u16, height: Height) -> Result<bool, FragmentError> {
        let store = self.store.clone();
        run(move || {
            let own = store.index().claim_of(file)?.filter(|claim| columns >> claim.column & 1 == 1);
            if own.is_some() {
                store.index().mark_tagged(file, epoch, height)?;
            }
            Ok(own.is_some())
        })
        .await
    }

    async fn settled(&self, file: FileId) -> Result<bool, FragmentError> {
        let store = self.store.clone();
        run(move || store.index().settle(file)).await?;
        Ok(false)
    }

    /// The fragments stay until nothing can be asked of them any more.
    async fn released(&self, file: FileId, height: Height) -> Result<bool, FragmentError> {
        let store = self.store.clone();
        let released = run(move || store.index().release(file, height)).await?;
        tracing::info!(%file, "column released, its fragments are dropped when the audits of this round are over");
        Ok(released)
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
