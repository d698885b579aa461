//! Verdicts about this miner that contradict what it handed in: it shows the chain its answer, and appeals where the chain cannot judge.
//!
//! Owns when this miner objects. Must not know committees. Invariants: it objects only to what it verified itself and the chain took in time; a
//! deposit is risked once a round, and only after the chain could not be shown the bytes.

use super::Inner;
use crate::{
    client::{AuditVerdict, ChainError, audit_terms, audit_verdict},
    crypto::hash,
    ledger::{
        abi::{AUDITS, IAudits},
        audit::{REFUTE_MAX_BYTES, Verdict},
    },
    runtime::{Phase, Worker},
    storage::{
        audit::OwnVote,
        fragments::{Claim, FragmentError},
        miner::follow::run,
        wire::AuditPart,
    },
    types::{B256, FileId, U256},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use std::{sync::Arc, time::Duration};

/// How long a refutation or an appeal may take to be final.
const SEND_DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of a manifest for each distinct segment of it.
const SEGMENT_BYTES: usize = 420;
/// As the interface numbers the parts of a round.
const SPOT: u8 = 0;
const IDLE: u8 = 2;

/// Why a round could not be objected to now.
#[derive(Debug, thiserror::Error)]
enum ObjectionError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Store(#[from] FragmentError),
    #[error(
        "the verdict about round {round} is wrong, and account {account} cannot pay the deposit of {deposit} to appeal"
    )]
    Deposit { round: u64, account: crate::types::Address, deposit: crate::types::Amount },
}

pub(super) fn start(inner: &Arc<Inner>) {
    let this = inner.clone();
    inner.spawn(Phase::Produce, "miner-appeals", async move { this.object_forever().await });
}

impl Inner {
    async fn object_forever(&self) -> Result<(), FragmentError> {
        let worker = self.node.workers.register("appeals");
        let mut height = self.height.subscribe();
        loop {
            let round = self.rounds.at(*height.borrow());
            match self.object_to_verdicts(&worker).await {
                Err(ObjectionError::Store(FragmentError::Closed)) => return Ok(()),
                Err(error) => {
                    worker.error(&error);
                    tracing::error!(%error, "a verdict cannot be objected to, trying again");
                }
                Ok(()) => {}
            }
            worker.idle();
            tokio::select! {
                () = self.verdicts.notified() => {}
                ended = height.wait_for(|height| self.rounds.at(*height) > round) => if ended.is_err() { return Ok(()) },
            }
        }
    }

    /// Looks at every round this miner is sure of.
    async fn object_to_verdicts(&self, worker: &Worker) -> Result<(), ObjectionError> {
        let answers = self.answers.clone();
        let own = run(move || answers.own()).await?;
        for (round, own) in own.into_iter().filter(|(_, own)| !own.appealed) {
            let Some(decided) = self.wrong_verdict(round, &own).await? else { continue };
            worker.busy(format!("round {round}, whose verdict is wrong"));
            match self.object(round, &own, decided).await {
                Err(error @ ObjectionError::Deposit { .. }) => {
                    worker.error(&error);
                    tracing::error!(%error, "this miner cannot appeal");
                    continue;
                }
                done => done?,
            }
            let (answers, done) = (self.answers.clone(), OwnVote { appealed: true, ..own });
            run(move || answers.set_own(round, &done)).await?;
        }
        Ok(())
    }

    /// The verdict about a round and what should stand instead, if it is decided and wrong.
    async fn wrong_verdict(
        &self,
        round: u64,
        own: &OwnVote,
    ) -> Result<Option<(AuditVerdict, Verdict)>, ObjectionError> {
        let found = audit_verdict(&*self.chain, round, self.account).await?;
        let better = found.verdict.and_then(|decided| own.objection(decided.encode()));
        Ok(better.map(|better| (found, better)))
    }

    /// Shows the chain what it can verify, then appeals about the rest.
    async fn object(
        &self,
        round: u64,
        own: &OwnVote,
        (found, better): (AuditVerdict, Verdict),
    ) -> Result<(), ObjectionError> {
        tracing::error!(round, decided = ?found.verdict, ?better, "a verdict about this miner is wrong");
        let decided = found.verdict.unwrap_or_default();
        if better.idle != decided.idle {
            self.refute(round, IDLE).await?;
        }
        if better.spot != decided.spot {
            self.refute(round, SPOT).await?;
        }
        match self.wrong_verdict(round, own).await? {
            Some((found, better)) if !found.appealed => self.appeal(round, better).await,
            _ => Ok(()),
        }
    }

    /// Has the chain verify a part. What it cannot judge is left to the seats.
    async fn refute(&self, round: u64, part: u8) -> Result<(), ObjectionError> {
        let Some(evidence) = self.evidence(round, part).await? else { return Ok(()) };
        let call = IAudits::refuteCall { miner: self.account, round, evidence }.abi_encode();
        match self.wallet.send_and_wait(AUDITS, U256::ZERO, call.into(), SEND_DEADLINE).await {
            Ok(_) => tracing::warn!(round, part, "the chain has verified an answer of this miner that was voted down"),
            Err(error @ (ChainError::Refused { .. } | ChainError::Reverted { .. })) => {
                tracing::warn!(round, part, %error, "the chain cannot judge an answer that was voted down");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The answer to a round and, for openings, the manifests of all that was held; none if they are too long for a call.
    async fn evidence(&self, round: u64, part: u8) -> Result<Option<IAudits::Evidence>, ObjectionError> {
        let answers = self.answers.clone();
        let kept =
            run(move || Ok((answers.get(round, AuditPart::Spot)?, answers.get(round, AuditPart::Idle)?))).await?;
        let digest = |answer: &Option<Vec<u8>>| answer.as_ref().map_or(B256::ZERO, |bytes| hash::content(bytes).into());
        let (spot, idle) = (digest(&kept.0), digest(&kept.1));
        let Some(answer) = (if part == SPOT { kept.0 } else { kept.1 }) else { return Ok(None) };
        let (mut manifests, mut columns) = (Vec::new(), Vec::new());
        if part == SPOT {
            let Some(held) = self.columns_held(round).await? else { return Ok(None) };
            for (file, column) in held {
                let Some(manifest) = self.chain.manifest(file).await? else { return Ok(None) };
                manifests.push(manifest);
                columns.push(column);
            }
        }
        Ok(Some(IAudits::Evidence { part, spot, idle, answer: Bytes::from(answer), manifests, columns }))
    }

    /// Files this miner has held a column of since before a round opened, by id; none if their manifests are too long for a call.
    async fn columns_held(&self, round: u64) -> Result<Option<Vec<(FileId, u8)>>, FragmentError> {
        let (store, opened) = (self.store.clone(), self.rounds.opened_at(round));
        run(move || {
            let (mut held, mut bytes) = (Vec::new(), 0usize);
            store.index().each_claim(|file, claim: Claim| {
                if claim.since < opened {
                    bytes = bytes.saturating_add(claim.fragments.len().saturating_mul(SEGMENT_BYTES));
                    held.push((file, claim.column));
                }
                bytes <= REFUTE_MAX_BYTES
            })?;
            held.sort_unstable();
            Ok((bytes <= REFUTE_MAX_BYTES).then_some(held))
        })
        .await
    }

    async fn appeal(&self, round: u64, better: Verdict) -> Result<(), ObjectionError> {
        let deposit = audit_terms(&*self.chain).await?.deposit;
        let account = self.account;
        if self.chain.balance(account).await? <= deposit {
            return Err(ObjectionError::Deposit { round, account, deposit: crate::types::Amount(deposit) });
        }
        let call = IAudits::appealCall { miner: account, round, verdict: better.encode() }.abi_encode();
        match self.wallet.send_and_wait(AUDITS, deposit, call.into(), SEND_DEADLINE).await {
            Ok(_) => tracing::warn!(round, ?better, "appealed against a wrong verdict about this miner"),
            Err(error @ (ChainError::Refused { .. } | ChainError::Reverted { .. })) => {
                // Somebody else was first, or it is too late.
                tracing::warn!(round, %error, "an appeal was refused");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
