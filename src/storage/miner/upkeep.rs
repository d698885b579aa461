//! Background care: collecting what no file claims, and reading everything once in a while to find damage early.
//!
//! Owns the pace. Invariants: a claimed fragment is never collected; a damaged one is dropped and reported, never served.

use super::{Inner, MinerConfig, follow::run};
use crate::{
    runtime::{Phase, Worker},
    storage::fragments::{FragmentError, FragmentInfo},
    types::{FragmentId, Height},
};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// Collections within the waiting time of an unclaimed fragment.
const COLLECTIONS_PER_WAIT: Height = 16;
/// Fragments listed at a time.
const SCRUB_PAGE_ENTRIES: usize = 256;

pub(super) fn start(inner: &Arc<Inner>, config: &MinerConfig) {
    let this = inner.clone();
    inner.spawn(Phase::Produce, "miner-collector", async move { this.collect_forever().await });
    let (this, config) = (inner.clone(), config.clone());
    inner.spawn(Phase::Produce, "miner-scrub", async move { this.scrub_forever(&config).await });
}

impl Inner {
    async fn collect_forever(&self) -> Result<(), FragmentError> {
        let worker = self.node.workers.register("collect unclaimed");
        let wait = self.params.unclaimed_fragment_blocks;
        let every = (wait / COLLECTIONS_PER_WAIT).max(1);
        let mut height = self.height.subscribe();
        let mut next = *height.borrow() + every;
        loop {
            let now = match height.wait_for(|height| *height >= next).await {
                Ok(now) => *now,
                Err(_) => return Ok(()),
            };
            next = now + every;
            if let Some(until) = now.checked_sub(wait) {
                self.collect(until, &worker).await?;
            }
        }
    }

    async fn collect(&self, until: Height, worker: &Worker) -> Result<(), FragmentError> {
        worker.busy(format!("fragments unclaimed since block {until}"));
        let store = self.store.clone();
        let unused = run(move || store.index().unclaimed_since(until)).await?;
        if !unused.is_empty() {
            let removed = self.store.collect(unused, until).await?;
            tracing::info!(removed, until, "unclaimed fragments removed");
            self.show_space();
        }
        worker.idle();
        Ok(())
    }

    async fn scrub_forever(&self, config: &MinerConfig) -> Result<(), FragmentError> {
        let worker = self.node.workers.register("scrub");
        sleep(config.scrub_delay).await;
        loop {
            self.scrub(config, &worker).await?;
            worker.idle();
            sleep(config.scrub_pause).await;
        }
    }

    /// Reads everything once.
    async fn scrub(&self, config: &MinerConfig, worker: &Worker) -> Result<(), FragmentError> {
        let (mut after, mut done) = (None, 0);
        worker.busy("verifying stored fragments");
        loop {
            let store = self.store.clone();
            let page = run(move || store.index().list(after, SCRUB_PAGE_ENTRIES)).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (id, info) in page.into_iter().filter(|(_, info)| info.present) {
                self.verify(id, info, worker).await?;
                done += 1;
                worker.progress(done, self.store.index().space().fragments.max(done));
                sleep(pace(info, config.scrub_bytes_per_second)).await;
            }
        }
    }

    async fn verify(&self, id: FragmentId, info: FragmentInfo, worker: &Worker) -> Result<(), FragmentError> {
        match self.store.get(id).await {
            Ok(_) | Err(FragmentError::NotHeld { .. }) => Ok(()),
            Err(FragmentError::Closed) => Err(FragmentError::Closed),
            Err(error) => {
                worker.error(&error);
                tracing::error!(%error, claims = info.claims, "bad fragment found");
                if error.is_damage() {
                    self.drop_damaged(id).await?;
                }
                Ok(())
            }
        }
    }

    /// Drops a bad copy so that it is not offered any more and can be fetched again.
    pub(super) async fn drop_damaged(&self, id: FragmentId) -> Result<(), FragmentError> {
        self.store.discard(id).await?;
        self.heal.notify_one();
        self.show_space();
        Ok(())
    }
}

/// Rest after reading a fragment that keeps the average below `bytes_per_second`.
fn pace(info: FragmentInfo, bytes_per_second: u64) -> Duration {
    Duration::from_micros(u64::from(info.len) * 1_000_000 / bytes_per_second.max(1))
}
