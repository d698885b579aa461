//! Idle space: fills what is lent and not used with segments, certifies them, and gives them up for data.
//!
//! Owns the life of a segment on this miner: made, committed to, proven, certified, given back step by step. Must not know how
//! labels are made or verified. Invariants: fragments and idle space together take no more of the disk than is lent; a step is
//! given back only after the chain took it for data; a certified segment that is lost is made anew under its own number; what
//! the chain says decides, so that nothing of the order of events has to be remembered.

mod files;
mod making;
mod plan;
mod system;
#[cfg(test)]
mod tests;

pub(super) use files::SegmentFiles;
pub(in crate::storage::miner) use plan::live_segments;

use super::{Inner, MinerState};
use crate::{
    client::ChainError,
    ledger::abi::{IMiners, MINERS},
    proofs::pois::{PoisError, ReplicaId, Shape},
    runtime::{Gauge, Phase, Worker},
    storage::fragments::FragmentError,
    types::{ByteCount, Height, U256},
};
use alloy_sol_types::SolCall;
use making::Pace;
use parking_lot::Mutex;
use plan::{Claims, Next};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{sync::Notify, task::spawn_blocking};

/// How long a commitment may take to be final.
const COMMIT_DEADLINE: Duration = Duration::from_secs(60);
/// Blocks after which the chain is asked again although nothing was heard of.
const LOOK_BLOCKS: Height = 16;

/// Rounds of audits after which a batch that nobody decided about gives way to the next one.
const STALE_ROUNDS: u64 = 2;

/// Why idle space could not be made, proven or shown.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdleError {
    /// The labels are not what they should be.
    #[error(transparent)]
    Pois(#[from] PoisError),
    /// Disk or records failed.
    #[error(transparent)]
    Store(#[from] FragmentError),
    /// The chain failed or refused.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The beacon a proof depends on is not kept any more.
    #[error("the beacon of block {0} is not known to the chain any more")]
    NoBeacon(Height),
    /// The node stops.
    #[error("this node stops")]
    Stopped,
}

/// What a miner fills with idle space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleConfig {
    /// Where segments are kept: on the disk of the space lent.
    pub dir: PathBuf,
    /// Bytes at most, however much is lent.
    pub limit: u64,
}

/// Idle space of a running miner.
pub(super) struct Idle {
    pub files: SegmentFiles,
    pub shape: Shape,
    limit: u64,
    wake: Notify,
    /// The chain's list, which only grows.
    certified: Mutex<Vec<IMiners::Segment>>,
}

impl Idle {
    /// Opens what is there. Blocks on the disk.
    pub fn open(node: &crate::runtime::Node, config: &IdleConfig, shape: Shape) -> Result<Self, IdleError> {
        let files = SegmentFiles::open(node, config.dir.clone(), shape)?;
        Ok(Self { files, shape, limit: config.limit, wake: Notify::new(), certified: Mutex::default() })
    }

    /// Has the chain asked again soon.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

/// What a turn came to.
enum Turn {
    /// There is more to do.
    More,
    /// Nothing until something changes.
    Done,
}

pub(super) fn start(inner: &Arc<Inner>) {
    let Some(idle) = inner.idle.clone() else { return };
    let this = inner.clone();
    inner.spawn(Phase::Produce, "miner-idle-space", async move { this.idle_forever(&idle).await });
}

impl Inner {
    async fn idle_forever(&self, idle: &Arc<Idle>) -> Result<(), FragmentError> {
        let worker = self.node.workers.register("idle space");
        let mut height = self.height.subscribe();
        loop {
            match self.idle_turn(idle, &worker).await {
                Ok(Turn::More) => continue,
                Ok(Turn::Done) => {}
                Err(IdleError::Stopped | IdleError::Store(FragmentError::Closed)) => return Ok(()),
                Err(error) => {
                    worker.error(&error);
                    tracing::warn!(%error, "idle space has to wait");
                }
            }
            worker.idle();
            let next = *height.borrow() + LOOK_BLOCKS;
            tokio::select! {
                () = idle.wake.notified() => {}
                ended = height.wait_for(|height| *height >= next) => if ended.is_err() { return Ok(()) },
            }
        }
    }

    /// Compares what is here with what the chain says and does the next thing.
    async fn idle_turn(&self, idle: &Arc<Idle>, worker: &Worker) -> Result<Turn, IdleError> {
        let claims = self.idle_claims(idle).await?;
        let (files, gone) = (idle.files.clone(), claims.clone());
        let shape = idle.shape;
        blocking(move || plan::tidy(&files, shape, &gone)).await?;
        let files = idle.files.clone();
        let (here, bytes) = blocking(move || Ok((files.numbers()?, files.bytes()?))).await?;
        self.store.index().set_idle(bytes);
        self.show_idle(idle, &claims, bytes);
        let room = plan::Room { space: self.store.index().space(), limit: idle.limit };
        let proven = |number| idle.files.has_proof(number);
        match plan::next(idle.shape, &claims, &here, proven, &room) {
            _ if self.state_now() != MinerState::Active => Ok(Turn::Done),
            Next::Prove { number, height } => self.prove_idle(idle, number, height, worker).await,
            Next::Commit { numbers } => self.commit_idle(idle, numbers, worker).await,
            Next::Make { number, layers } => self.make_idle(idle, number, layers, worker).await,
            Next::Wait => Ok(Turn::Done),
        }
    }

    /// What the chain knows of this miner's segments.
    async fn idle_claims(&self, idle: &Idle) -> Result<Claims, IdleError> {
        let (batches, next) = self.idle_counts().await?;
        let waiting = match batches.checked_sub(1) {
            Some(last) => Some(self.idle_batch(last).await?).filter(|batch| batch.state == 0),
            None => None,
        };
        let patience = STALE_ROUNDS.saturating_mul(self.params.audit_round_blocks);
        let now = self.now();
        let stale = waiting.as_ref().is_some_and(|batch| batch.height.saturating_add(patience) < now);
        let consumed = self.standing(self.rounds.at(self.now())).await?.consumed;
        let certified = self.certified_segments(idle, u64::MAX).await?;
        Ok(Claims { next, waiting, stale, consumed, certified })
    }

    /// Numbers and roots of the first `count` certified segments.
    pub(super) async fn certified_segments(
        &self,
        idle: &Idle,
        count: u64,
    ) -> Result<Vec<IMiners::Segment>, ChainError> {
        let known = idle.certified.lock().len();
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if known < count {
            let more = self.certified(u64::try_from(known).unwrap_or(u64::MAX)).await?;
            let mut certified = idle.certified.lock();
            // Two tasks may have asked at once: only what follows is added.
            let seen = certified.len() - known;
            certified.extend(more.into_iter().skip(seen));
        }
        let certified = idle.certified.lock();
        Ok(certified.iter().take(count).cloned().collect())
    }

    async fn replica(&self, number: u64) -> Result<ReplicaId, IdleError> {
        let seed = self.idle_seed().await?;
        Ok(ReplicaId::new(self.chain_id, &self.account, number, &seed.0))
    }

    async fn make_idle(&self, idle: &Idle, number: u64, layers: bool, worker: &Worker) -> Result<Turn, IdleError> {
        worker.busy(format!("segment {number} of idle space"));
        let (files, shape, replica) = (idle.files.clone(), idle.shape, self.replica(number).await?);
        self.work(worker, move |pace, report| making::make(&files, shape, replica, number, layers, pace, report))
            .await?;
        tracing::debug!(segment = number, "idle segment made");
        Ok(Turn::More)
    }

    async fn prove_idle(&self, idle: &Idle, number: u64, height: Height, worker: &Worker) -> Result<Turn, IdleError> {
        let mut followed = self.height.subscribe();
        if followed.wait_for(|now| *now > height).await.is_err() {
            return Err(IdleError::Stopped);
        }
        let beacon = self.chain.beacon(height + 1).await?.ok_or(IdleError::NoBeacon(height + 1))?;
        worker.busy(format!("proof of segment {number} of idle space"));
        let (files, shape, replica) = (idle.files.clone(), idle.shape, self.replica(number).await?);
        self.work(worker, move |pace, report| making::prove(&files, shape, replica, number, &beacon.0, pace, report))
            .await?;
        Ok(Turn::More)
    }

    async fn commit_idle(&self, idle: &Idle, numbers: Vec<u64>, worker: &Worker) -> Result<Turn, IdleError> {
        worker.busy(format!("commitments to {} segments of idle space", numbers.len()));
        let files = idle.files.clone();
        let commitments = blocking(move || {
            let encoded = |number| Ok(crate::codec::encode(&files.commitment(number)?).into());
            numbers.into_iter().map(encoded).collect::<Result<Vec<alloy_primitives::Bytes>, IdleError>>()
        });
        let call = IMiners::commitIdleCall { commitments: commitments.await? };
        let sent = self.wallet.send_and_wait(MINERS, U256::ZERO, call.abi_encode().into(), COMMIT_DEADLINE).await?;
        tracing::info!(block = sent.height, segments = call.commitments.len(), "committed to idle space");
        Ok(Turn::More)
    }

    /// Runs long work beside the async threads; it stops when the node stops or nobody waits for it any more.
    async fn work(
        &self,
        worker: &Worker,
        work: impl FnOnce(&Pace, making::Report<'_>) -> Result<(), IdleError> + Send + 'static,
    ) -> Result<(), IdleError> {
        let stop = self.node.tasks.stopping(Phase::Produce);
        let _guard = stop.clone().drop_guard();
        let pace = Pace { pool: self.node.pool.clone(), tranquility: self.tranquility, stop };
        let (progress, mut shown) = tokio::sync::watch::channel((0u64, 0u64));
        let job = blocking(move || work(&pace, &mut |done, total| _ = progress.send_replace((done, total))));
        tokio::pin!(job);
        loop {
            tokio::select! {
                result = &mut job => return result,
                Ok(()) = shown.changed() => {
                    let (done, total) = *shown.borrow();
                    worker.progress(done, total);
                }
            }
        }
    }

    fn show_idle(&self, idle: &Idle, claims: &Claims, bytes: u64) {
        let live = claims.live_steps().saturating_mul(plan::step_bytes(idle.shape));
        let level = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.node.metrics.set(Gauge::IdleMadeBytes, level(bytes));
        self.node.metrics.set(Gauge::IdleCertifiedBytes, level(live));
        tracing::trace!(made = %ByteCount(bytes), certified = %ByteCount(live), "idle space");
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IdleError> + Send + 'static,
) -> Result<T, IdleError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(IdleError::Stopped),
    }
}
