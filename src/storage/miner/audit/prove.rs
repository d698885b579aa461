//! The aggregate proof over everything tagged in one key epoch.
//!
//! Owns the way of blocks from the disk into the aggregate. Invariant: memory is bounded by a few batches of fragments, whatever
//! the number of them.

use super::{AuditError, Inner, Open, answer::fragments_of};
use crate::{
    proofs::{
        Fragment,
        podr2::{Aggregate, Answer, Challenge, Claim, PROOF_BYTES, Proof, ProveError, Srs, Tag, verify},
    },
    runtime::CpuPool,
    storage::{
        fragments::{FragmentError, Fragments},
        miner::{
            follow::run,
            tags::{EPOCH_SUSPENDED, EpochKeys},
        },
    },
};
use bytes::Bytes;
use rayon::prelude::*;
use std::sync::Arc;
use tokio::{sync::mpsc, task::spawn_blocking};

/// Fragments read before they are summed: 16 MiB of blocks.
const BATCH_FRAGMENTS: usize = 64;
/// Batches that wait to be summed.
const BATCHES_MAX_QUEUED: usize = 2;

/// Blocks up to which a proof is verified here before it is handed in: 0.7 s of a core.
const CHECK_MAX_BLOCKS: usize = 8_192;

/// A proof over everything tagged in an epoch.
pub(super) struct TagProof {
    /// The proof.
    pub bytes: [u8; PROOF_BYTES],
    /// Whether it was verified; a long one is not.
    pub verified: bool,
}

/// What was asked of a fragment.
struct Shown {
    fragment: Fragment,
    blocks: Vec<Bytes>,
    tags: Vec<Tag>,
}

impl Inner {
    /// The proof over `fragments`, or nothing if the epoch's tags do not count any more.
    pub(super) async fn tag_proof(
        &self,
        open: &Open,
        epoch: u64,
        fragments: &Fragments,
    ) -> Result<Option<TagProof>, AuditError> {
        if self.tee_epoch(epoch).await?.state == EPOCH_SUSPENDED {
            return Ok(None);
        }
        let keys = self.epoch_keys(epoch).await.map_err(|error| AuditError::Proof(error.to_string()))?;
        let challenge = Challenge::of(&self.audit_round(open, keys.key.digest()));
        let (batches, queue) = mpsc::channel(BATCHES_MAX_QUEUED);
        let (asked, pool, summing) = (challenge.clone(), self.node.pool.clone(), keys.clone());
        let summed = spawn_blocking(move || sum(&asked, &summing.srs, &pool, queue));
        let fed = async {
            for batch in fragments_of(fragments).chunks(BATCH_FRAGMENTS) {
                let mut shown = Vec::with_capacity(batch.len());
                for fragment in batch {
                    shown.push(self.show(&challenge, epoch, *fragment).await?);
                }
                if batches.send(shown).await.is_err() {
                    break;
                }
            }
            drop(batches);
            Ok::<(), AuditError>(())
        };
        fed.await?;
        let proof = summed.await.map_err(|_| AuditError::from(FragmentError::Closed))?;
        let bytes = proof.map_err(|error| AuditError::Proof(error.to_string()))?;
        let verified = self.check_proof(epoch, keys, challenge, fragments_of(fragments), bytes).await?;
        Ok(Some(TagProof { bytes, verified }))
    }

    /// Verifies a proof as committees do, if that is cheap; false if it is not.
    async fn check_proof(
        &self,
        epoch: u64,
        keys: Arc<EpochKeys>,
        challenge: Challenge,
        fragments: Vec<Fragment>,
        bytes: [u8; PROOF_BYTES],
    ) -> Result<bool, AuditError> {
        let asked: usize = fragments.iter().map(|fragment| challenge.asks(fragment).len()).sum();
        if asked > CHECK_MAX_BLOCKS {
            return Ok(false);
        }
        let wrong = |error: String| {
            AuditError::Proof(format!(
                "the proof of key epoch {epoch} over {} fragments, {asked} blocks, does not verify here and is not handed in: {error}; \
                 a tag or a fragment on this disk is damaged",
                fragments.len()
            ))
        };
        let held = fragments.clone();
        let checked = self.node.pool.run(move || {
            let proof = Proof::decode(&bytes).map_err(|error| error.to_string())?;
            let claim = Claim { challenge: &challenge, fragments: &held, proof: &proof };
            verify(&keys.key, &claim).map_err(|error| error.to_string())
        });
        checked.await.map(|()| true).map_err(wrong)
    }

    async fn show(&self, challenge: &Challenge, epoch: u64, fragment: Fragment) -> Result<Shown, AuditError> {
        let (id, store) = (fragment.id, self.store.clone());
        let all = run(move || store.index().tags(id, epoch)).await?;
        let all = all.ok_or(AuditError::Untagged { fragment: id, epoch })?.tags;
        let asked = challenge.asks(&fragment);
        let tag = |block: u32| usize::try_from(block).ok().and_then(|block| all.get(block)).copied();
        let tags: Option<Vec<Tag>> = asked.iter().map(|asked| tag(asked.block)).collect();
        let tags = tags.ok_or(AuditError::Untagged { fragment: id, epoch })?;
        let parts = asked.iter().map(|asked| fragment.length.block(asked.block)).collect();
        match self.store.read(id, parts).await {
            Ok(blocks) => Ok(Shown { fragment, blocks, tags }),
            Err(FragmentError::NotHeld { .. }) => {
                self.heal.notify_one();
                Err(AuditError::Missing { first: id, more: 0 })
            }
            Err(error) => {
                if error.is_damage() {
                    self.drop_damaged(id).await?;
                }
                Err(error.into())
            }
        }
    }
}

/// Sums what comes until the queue ends.
fn sum(
    challenge: &Challenge,
    srs: &Srs,
    pool: &CpuPool,
    mut queue: mpsc::Receiver<Vec<Shown>>,
) -> Result<[u8; PROOF_BYTES], ProveError> {
    let mut total = Aggregate::new(challenge);
    while let Some(batch) = queue.blocking_recv() {
        let part = |shown: &Shown| {
            let answers: Vec<Answer<'_>> =
                shown.blocks.iter().map(|block| &block[..]).zip(shown.tags.clone()).collect();
            let mut aggregate = Aggregate::new(challenge);
            aggregate.add(&shown.fragment, &answers)?;
            Ok(aggregate)
        };
        let parts = pool.install(|| {
            let parts = batch.par_iter().map(part);
            parts.try_reduce(|| Aggregate::new(challenge), |one, other| Ok(one.merge(other)))
        })?;
        total = total.merge(parts);
    }
    pool.install(|| total.finish(srs)).map(|proof| proof.encode())
}
