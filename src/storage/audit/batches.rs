//! Verifying commitments to idle space.
//!
//! Owns how long a miner may take to show a segment. Invariant: a batch is accepted only if every segment of it was verified.

use super::{
    judge::JudgeError,
    records::BatchEntry,
    verifier::Verifier,
    views::{self, ask},
    votes::{VOTES_MAX, send_all},
};
use crate::{
    client::ChainError,
    codec,
    ledger::abi::{AUDITS, IAudits, IMiners, MINERS},
    proofs::pois::{CommitChallenge, CommitProof, Commitment, ReplicaId, Shape},
    runtime::Worker,
    types::{Address, Height},
};
use alloy_sol_types::SolCall;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::sleep;

/// Longest wait for one proof: 5.6 MB.
const FETCH_DEADLINE: Duration = Duration::from_secs(60);
/// Rounds in which a miner may make the proofs of a batch: it may have to label its segments again.
const PATIENCE_ROUNDS: u64 = 8;
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// What came of asking for a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Good,
    Bad,
    /// It could not be had yet.
    Not,
}

/// A batch by its miner and number.
type BatchId = (Address, u64);

impl Verifier {
    pub(super) async fn batches(&self, worker: &Worker) {
        let mut known: BTreeSet<(BatchId, u64)> = BTreeSet::new();
        let mut height = 0;
        loop {
            height = self.holdings().in_step(height + 1).await;
            match self.verify_batches(&mut known, worker).await {
                Ok(()) => worker.idle(),
                Err(error) => {
                    worker.error(&error);
                    tracing::debug!(%error, "idle space cannot be verified, trying again");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Verifies what waits and votes. `known` holds segments that were found good already.
    pub(super) async fn verify_batches(
        &self,
        known: &mut BTreeSet<(BatchId, u64)>,
        worker: &Worker,
    ) -> Result<(), JudgeError> {
        let waiting = self.holdings().read(|index| index.batches()).await?;
        known.retain(|((miner, batch), _)| waiting.iter().any(|(of, number, _)| of == miner && number == batch));
        let mut votes: Vec<(BatchId, bool)> = Vec::new();
        for (miner, batch, entry) in waiting.into_iter().filter(|(_, _, entry)| !entry.voted) {
            // The committee is drawn with the beacon of the second block after.
            if self.height() < entry.height + 2 || !self.verifies(miner, batch).await? {
                continue;
            }
            worker.busy(format!("batch {batch} of {miner}"));
            if let Some(accepted) = self.judge_batch((miner, batch), &entry, known).await? {
                votes.push(((miner, batch), accepted));
            }
        }
        let call = |votes: &[(BatchId, bool)]| {
            let (miners, batches) = votes.iter().map(|(id, _)| *id).unzip();
            let accepted = votes.iter().map(|(_, accepted)| *accepted).collect();
            IAudits::voteIdleCall { miners, batches, accepted }.abi_encode().into()
        };
        for ((miner, batch), accepted) in send_all(&self.wallet, AUDITS, &votes, VOTES_MAX, call).await? {
            tracing::info!(%miner, batch, accepted, "voted about idle space");
            self.holdings().read(move |index| index.batch_voted(&miner, batch)).await?;
        }
        Ok(())
    }

    async fn verifies(&self, miner: Address, batch: u64) -> Result<bool, ChainError> {
        let question = IAudits::idleCommitteeCall { miner, batch };
        match ask(self.judge.chain.as_ref(), AUDITS, question).await {
            Ok(members) => Ok(members.contains(&self.wallet.address())),
            // The beacon is not there, or the batch was decided.
            Err(ChainError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether all segments are good; nothing while some cannot be had and there is time.
    async fn judge_batch(
        &self,
        id: BatchId,
        entry: &BatchEntry,
        known: &mut BTreeSet<(BatchId, u64)>,
    ) -> Result<Option<bool>, JudgeError> {
        let chain = self.judge.chain.as_ref();
        let seed = ask(chain, MINERS, IMiners::idleSeedCall { account: id.0 }).await?;
        let beacon = views::beacon(chain, entry.height + 1).await?;
        let mut complete = true;
        for (segment, commitment) in (entry.first..).zip(&entry.commitments) {
            if known.contains(&(id, segment)) {
                continue;
            }
            let replica = ReplicaId::new(self.judge.chain_id, &id.0, segment, &seed.0);
            match self.judge_segment(id, segment, replica, commitment, &beacon.0).await {
                Shown::Good => drop(known.insert((id, segment))),
                Shown::Bad => return Ok(Some(false)),
                Shown::Not => complete = false,
            }
        }
        let late = self.height() > self.patience_ends(entry.height);
        Ok(if complete { Some(true) } else { late.then_some(false) })
    }

    fn patience_ends(&self, height: Height) -> Height {
        let rounds = PATIENCE_ROUNDS.saturating_mul(self.holdings().index().params().audit_round_blocks);
        height.saturating_add(rounds)
    }

    async fn judge_segment(
        &self,
        (miner, batch): BatchId,
        segment: u64,
        replica: ReplicaId,
        commitment: &[u8],
        beacon: &[u8; 32],
    ) -> Shown {
        let shape = Shape::of(self.holdings().index().params());
        let drawn = codec::decode::<Commitment>(commitment).ok();
        let drawn = drawn.and_then(|commitment| CommitChallenge::draw(shape, replica, &commitment, beacon).ok());
        let Some(challenge) = drawn else { return Shown::Bad };
        let peer = self.judge.sources.directory.peers(&[miner]).await.ok().and_then(|peers| peers.first().copied()?);
        let Some(peer) = peer else { return Shown::Not };
        match self.judge.sources.data.idle_proof(peer, batch, segment, FETCH_DEADLINE).await {
            Ok(bytes) => {
                let verifies =
                    move || codec::decode::<CommitProof>(&bytes).is_ok_and(|proof| challenge.verify(&proof).is_ok());
                if self.judge.node.pool.run(verifies).await { Shown::Good } else { Shown::Bad }
            }
            Err(error) => {
                tracing::debug!(%miner, batch, segment, %error, "a proof of idle space cannot be fetched");
                Shown::Not
            }
        }
    }
}
