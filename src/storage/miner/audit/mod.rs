//! Rounds of audits: what a miner shows of its fragments and its idle space, and when.
//!
//! Owns the course of a round on this side. Must not know verdicts. Invariants: an answer is computed from what the chain says was
//! held in the block before the round opened; what was committed to is served until the round's votes are over, a restart
//! included; a round that closed is not tried again.

mod answer;
mod kept;
mod objection;
mod prove;
#[cfg(test)]
mod tests;

pub(super) use kept::KeptAnswers;

use super::{Inner, MinerState, follow::run};
use crate::{
    client::ChainError,
    crypto::hash,
    ledger::{
        abi::{AUDITS, IAudits},
        audit::{Outcome, Verdict},
    },
    runtime::{Counter, Phase, Worker},
    storage::{
        audit::OwnVote,
        fragments::{FragmentError, HeldBefore},
        miner::idle::IdleError,
    },
    types::{B256, Height, U256},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long an answer may take to be final: longer than any window, so that what failed is known.
const SEND_DEADLINE: Duration = Duration::from_secs(60);

/// Why a part of a round could not be shown.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// Fragments that should be here are not.
    #[error("{} fragments that were asked for are not here, the first is {first}", *more + 1)]
    Missing { first: crate::types::FragmentId, more: usize },
    /// Tags that should be here are not.
    #[error("fragment {fragment} has no tags of key epoch {epoch} here")]
    Untagged { fragment: crate::types::FragmentId, epoch: u64 },
    /// The chain failed or refused.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The round's beacon is not there.
    #[error("the beacon of block {0} is not known to the chain")]
    NoBeacon(Height),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] FragmentError),
    /// Idle space cannot be shown.
    #[error(transparent)]
    Idle(#[from] IdleError),
    /// Something does not fit together.
    #[error("{0}")]
    Proof(String),
}

/// One round as this miner sees it.
#[derive(Debug, Clone, Copy)]
struct Open {
    round: u64,
    /// Its first block.
    opened: Height,
    beacon: B256,
}

/// What a miner has handed in that it verified itself, and that the chain took in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Shown {
    spot: bool,
    tags: bool,
    idle: bool,
}

impl Shown {
    /// As a verdict says it.
    fn own_vote(self) -> OwnVote {
        let passed = |shown: bool| if shown { Outcome::Passed } else { Outcome::NotDue };
        let verdict = Verdict { spot: passed(self.spot), tags: passed(self.tags), idle: passed(self.idle) };
        let certain = u8::from(self.spot) | u8::from(self.tags) << 1 | u8::from(self.idle) << 2;
        OwnVote { verdict: verdict.encode(), certain, appealed: false }
    }
}

pub(super) fn start(inner: &Arc<Inner>) {
    let this = inner.clone();
    inner.spawn(Phase::Produce, "miner-audits", async move { this.audit_forever().await });
    objection::start(inner);
}

impl Inner {
    async fn audit_forever(&self) -> Result<(), FragmentError> {
        let worker = self.node.workers.register("audits");
        let mut height = self.height.subscribe();
        // A round that opened before this start is still answered if its window is open.
        let mut last = None;
        loop {
            let now = match height.wait_for(|height| Some(self.rounds.at(*height)) != last).await {
                Ok(height) => *height,
                Err(_) => return Ok(()),
            };
            let round = self.rounds.at(now);
            last = Some(round);
            self.forget_old(round).await?;
            if round == 0 {
                continue;
            }
            match self.audit(round, now, &worker).await {
                Err(AuditError::Store(FragmentError::Closed)) => return Ok(()),
                Err(error) => {
                    worker.error(&error);
                    tracing::error!(round, %error, "a round of audits was missed");
                    self.node.metrics.add(Counter::AuditsMissed, 1);
                }
                Ok(()) => {}
            }
            worker.idle();
        }
    }

    /// Forgets answers and released fragments that nobody may ask for any more when `round` opens. Answers stay until no appeal about them can be
    /// open: the bytes are what clears the miner.
    async fn forget_old(&self, round: u64) -> Result<(), FragmentError> {
        let before = round.saturating_sub(1);
        self.answers.forget_before(before.saturating_sub(self.appeal_rounds()))?;
        let Some(until) = self.rounds.opened_at(before).checked_sub(1) else { return Ok(()) };
        let store = self.store.clone();
        let unused = run(move || store.index().forget_released(until)).await?;
        if !unused.is_empty() {
            let removed = self.store.collect(unused, 0).await?;
            tracing::info!(removed, "fragments of deleted files dropped");
            self.show_space();
        }
        Ok(())
    }

    /// Rounds that go by while an appeal about one may be opened and judged.
    fn appeal_rounds(&self) -> u64 {
        let blocks = self.params.audit_appeal_blocks.saturating_mul(2);
        blocks.div_ceil(self.params.audit_round_blocks.max(1))
    }

    async fn audit(&self, round: u64, now: Height, worker: &Worker) -> Result<(), AuditError> {
        if self.state_now() == MinerState::Lost {
            return Ok(());
        }
        let (opened, answer_until) = (self.rounds.opened_at(round), self.rounds.answer_until(round));
        let begun = Instant::now();
        worker.busy(format!("round {round}, opened by block {opened}"));
        let store = self.store.clone();
        let held = run(move || store.index().held_before(opened)).await?;
        let beacon = self.chain.beacon(opened).await?.ok_or(AuditError::NoBeacon(opened))?;
        let open = Open { round, opened, beacon };
        let answered = async {
            if now >= answer_until {
                tracing::warn!(round, now, answer_until, "this miner caught up too late for a round");
                return Ok(Shown::default());
            }
            self.answer(&open, &held, begun, worker).await
        };
        let proven = async {
            if !self.rounds.has_tags(round) || held.tagged.is_empty() || now >= self.rounds.prove_until(round) {
                return Ok(false);
            }
            self.prove_tags(&open, &held, worker).await
        };
        let (answered, proven) = tokio::join!(answered, proven);
        let tags = *proven.as_ref().unwrap_or(&false);
        let shown = Shown { tags, ..*answered.as_ref().unwrap_or(&Shown::default()) };
        if shown != Shown::default() {
            let answers = self.answers.clone();
            run(move || answers.set_own(round, &shown.own_vote())).await?;
            self.verdicts.notify_one();
        }
        answered.and(proven.map(drop))
    }

    /// Commits to both answers as soon as they are there. A part that cannot be shown does not hold the other up.
    async fn answer(
        &self,
        open: &Open,
        held: &HeldBefore,
        begun: Instant,
        worker: &Worker,
    ) -> Result<Shown, AuditError> {
        let (spot, idle) = tokio::join!(self.spot_answer(open, held), self.idle_answer(open));
        let part = |what: &str, answer: Result<Vec<u8>, AuditError>| {
            answer.unwrap_or_else(|error| {
                worker.error(&error);
                tracing::error!(round = open.round, %error, "{what} cannot be shown");
                self.node.metrics.add(Counter::AuditsMissed, 1);
                Vec::new()
            })
        };
        let (spot, idle) = (part("stored data", spot), part("idle space", idle));
        if spot.is_empty() && idle.is_empty() {
            return Ok(Shown::default());
        }
        let (answers, round) = (self.answers.clone(), open.round);
        let (kept_spot, kept_idle) = (spot.clone(), idle.clone());
        run(move || answers.keep(round, &kept_spot, &kept_idle)).await?;
        let digest = |answer: &[u8]| if answer.is_empty() { B256::ZERO } else { hash::content(answer).into() };
        let call = IAudits::answerCall { round: open.round, spot: digest(&spot), idle: digest(&idle) };
        let took = begun.elapsed();
        let sent = self.wallet.send_and_wait(AUDITS, U256::ZERO, call.abi_encode().into(), SEND_DEADLINE).await?;
        self.node.metrics.add(Counter::AuditsAnswered, 1);
        tracing::debug!(round = open.round, block = sent.height, opened = open.opened, ?took, "round answered");
        Ok(Shown { spot: !spot.is_empty(), idle: !idle.is_empty(), tags: false })
    }

    /// Hands in a proof for each key epoch; whether all are there and were verified here.
    async fn prove_tags(&self, open: &Open, held: &HeldBefore, worker: &Worker) -> Result<bool, AuditError> {
        let (mut epochs, mut proofs, mut sure) = (Vec::new(), Vec::new(), true);
        for (epoch, fragments) in &held.tagged {
            match self.tag_proof(open, *epoch, fragments).await {
                Ok(Some(proof)) => {
                    epochs.push(*epoch);
                    proofs.push(Bytes::from(proof.bytes.to_vec()));
                    sure &= proof.verified;
                }
                Ok(None) => {}
                Err(error) => {
                    sure = false;
                    worker.error(&error);
                    tracing::error!(round = open.round, epoch, %error, "tagged data cannot be proven");
                    self.node.metrics.add(Counter::AuditsMissed, 1);
                }
            }
        }
        if epochs.is_empty() {
            return Ok(false);
        }
        let call = IAudits::proveCall { round: open.round, epochs, proofs };
        self.wallet.send_and_wait(AUDITS, U256::ZERO, call.abi_encode().into(), SEND_DEADLINE).await?;
        self.node.metrics.add(Counter::AuditsProven, 1);
        Ok(sure)
    }

    /// Counts and shows what a committee decided about this miner.
    pub(super) fn audit_decided(&self, round: u64, verdict: u8, strikes: u32, fined: U256) {
        let Some(verdict) = Verdict::decode(verdict) else { return };
        if !verdict.is_fault() {
            self.node.metrics.add(Counter::AuditsPassed, 1);
            return;
        }
        self.node.metrics.add(Counter::AuditsFailed, 1);
        self.verdicts.notify_one();
        let said = |outcome: Outcome| match outcome {
            Outcome::NotDue => "not due",
            Outcome::Passed => "passed",
            Outcome::Failed => "wrong",
            Outcome::Missed => "not shown in time",
        };
        tracing::error!(
            round,
            data = said(verdict.spot),
            tags = said(verdict.tags),
            idle = said(verdict.idle),
            strikes,
            %fined,
            "an audit was failed"
        );
    }
}
