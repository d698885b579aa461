//! The life of a pack after its first segment: open for a while, closed, sealed, final.
//!
//! Owns the background work and its retries. Must not know which bodies are in the pack. Invariants: a pack has one task; what becomes of
//! it is told to everybody who listens and seen among the workers; a pack is final only when the chain says that the file is its
//! owner's.

use super::{LedgerError, OpenPack, Packs, read::unnamed, unstored};
use crate::{
    access::blobs::{BlobError, PackHead, PackId, PackOutcome, Scope},
    client::ChainError,
    ledger::manifest::SegmentEntry,
    runtime::{Criticality, Phase},
    storage::upload::{Label, Pack, PackSeal, Placement},
    types::{Address, FileId, SegmentId},
};
use std::sync::Arc;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep},
};

/// A pack that became a file.
struct Finished {
    file: FileId,
    lost: Vec<SegmentId>,
}

impl Packs {
    pub(super) fn spawn_life(&self, pack: Arc<OpenPack>, slot: OwnedSemaphorePermit) {
        let (this, name) = (self.clone(), format!("pack {}", pack.id));
        let stopping = self.inner.node.tasks.stopping(Phase::Drain);
        self.inner.node.tasks.spawn(Phase::Drain, name, Criticality::Optional, async move {
            tokio::select! {
                () = this.live(&pack) => {}
                // Whoever owns the bucket finishes it from its records.
                () = stopping.cancelled() => this.tell(&pack, Err(BlobError::Stopping), Vec::new()),
            }
            this.inner.living.lock().remove(&pack.id);
            this.report();
            drop(slot);
            Ok(())
        });
    }

    async fn live(&self, pack: &Arc<OpenPack>) {
        self.report();
        pack.closed().await;
        pack.unused().await;
        let since = Instant::now();
        let mut pause = self.inner.limits.retry_first;
        loop {
            match self.seal(&pack.pack, pack.scope.owner()).await {
                Ok(None) => {
                    return self.tell(pack, Err(BlobError::Store("no body came to its end".into())), Vec::new());
                }
                Ok(Some(Finished { file, lost })) => return self.tell(pack, Ok(file), lost),
                Err(error) => {
                    self.inner.worker.error(format!("pack {}: {error}", pack.id));
                    tracing::warn!(pack = %pack.id, %error, "the pack is not a file yet");
                    if since.elapsed() >= self.inner.limits.give_up {
                        return self.tell(pack, Err(error), Vec::new());
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(self.inner.limits.retry_most);
        }
    }

    /// Finishes a pack that is not this gateway's, or not any more.
    pub(super) async fn adopt(
        &self,
        scope: Scope,
        id: PackId,
        head: PackHead,
        segments: Vec<(u32, SegmentEntry)>,
    ) -> Result<FileId, BlobError> {
        if let Some(file) = head.file
            && self.is_owned(scope.owner(), file).await.map_err(unnamed)?
        {
            return Ok(file);
        }
        let PackHead { beacon_height, holders, former, .. } = head;
        let placement = Placement { beacon_height, holders: holders.to_vec(), former };
        let (label, segments) = (Label { id: id.0, scope: scope.bucket }, segments.into_iter().collect());
        let pack = self.inner.packer.adopt(label, scope.owner(), &placement, segments).await;
        let finished = self.seal(&pack.map_err(|error| unstored(&error))?, scope.owner()).await?;
        let Finished { file, lost } =
            finished.ok_or_else(|| BlobError::Store(format!("pack {id} has no segments left")))?;
        self.announce(PackOutcome { scope, pack: id, file: Ok(file), lost });
        Ok(file)
    }

    /// One attempt to make a pack a final file.
    async fn seal(&self, pack: &Pack, owner: Address) -> Result<Option<Finished>, BlobError> {
        let permit = self.inner.sealing.acquire().await.map_err(|_| BlobError::Stopping)?;
        let Some(PackSeal { call, lost, .. }) = pack.seal().await.map_err(|error| unstored(&error))? else {
            return Ok(None);
        };
        let finished = Finished { file: call.file, lost: lost.into_values().map(|entry| entry.id).collect() };
        let Err(error) = self.inner.ledger.store_for(owner, &call).await else { return Ok(Some(finished)) };
        drop(permit);
        // An earlier attempt may have got there after its time.
        if self.is_owned(owner, call.file).await.unwrap_or(false) {
            return Ok(Some(finished));
        }
        if matches!(error, LedgerError::Refused(_)) {
            // Perhaps a holder is full or has left: others are drawn.
            pack.wear();
        }
        Err(BlobError::Ledger { what: format!("file {}", call.file), reason: error.to_string() })
    }

    /// Whether the chain has the file, and it is `owner`'s.
    pub(super) async fn is_owned(&self, owner: Address, file: FileId) -> Result<bool, ChainError> {
        Ok(self.inner.chain.file(file).await?.is_some_and(|record| record.owners.contains(&owner)))
    }

    /// Waits until a pack of this gateway is final or given up.
    pub(super) async fn outcome_of(&self, pack: &OpenPack) -> Result<FileId, BlobError> {
        let mut outcome = pack.outcome.subscribe();
        let known = outcome.wait_for(Option::is_some).await.map_err(|_| BlobError::Stopping)?;
        known.clone().unwrap_or(Err(BlobError::Stopping))
    }

    fn tell(&self, pack: &OpenPack, file: Result<FileId, BlobError>, lost: Vec<SegmentId>) {
        pack.outcome.send_replace(Some(file.clone()));
        self.announce(PackOutcome { scope: pack.scope, pack: pack.id, file, lost });
    }

    fn announce(&self, outcome: PackOutcome) {
        if !outcome.lost.is_empty() {
            let (pack, segments) = (outcome.pack, outcome.lost.len());
            tracing::error!(%pack, segments, "segments were lost before their pack was a file");
        }
        // Nobody may be listening.
        let _ = self.inner.outcomes.send(outcome);
    }

    /// Shows what is going on.
    fn report(&self) {
        let living = self.inner.living.lock();
        let open = living.values().filter(|pack| !pack.is_closed()).count();
        match living.len() {
            0 => self.inner.worker.idle(),
            all => self.inner.worker.busy(format!("{open} packs are open, {} become files", all - open)),
        }
    }
}
