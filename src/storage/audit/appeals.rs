//! Appeals: saying that a verdict is wrong, and ruling about what others say.
//!
//! Owns when a deposit is risked. Invariants: a node appeals only against what bytes or the chain contradict for certain, once a round and
//! miner; a seat rules only after it judged the round anew.

use super::{
    findings::Findings,
    judge::{Asked, JudgeError, Look},
    records::{AppealEntry, OwnVote},
    verifier::Verifier,
    views::{self, ask},
};
use crate::{
    client::ChainError,
    ledger::{
        abi::{AUDITS, IAudits},
        audit::Verdict,
    },
    runtime::Worker,
    types::{Address, U256},
};
use alloy_sol_types::SolCall;
use std::time::Duration;
use tokio::time::sleep;

/// How long a transaction may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(30);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

impl Verifier {
    pub(super) async fn appeals(&self, worker: &Worker) {
        let mut height = 0;
        loop {
            height = self.holdings().in_step(height + 1).await;
            let done = match self.object(worker).await {
                Ok(()) => self.rule_all(worker).await,
                failed => failed,
            };
            match done {
                Ok(()) => worker.idle(),
                Err(error) => {
                    worker.error(&error);
                    tracing::debug!(%error, "appeals cannot be dealt with, trying again");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Appeals against verdicts that contradict for certain what this node found.
    pub(super) async fn object(&self, worker: &Worker) -> Result<(), JudgeError> {
        let newest = self.holdings().index().rounds().at(self.height());
        // A verdict falls at the latest when the round after has closed.
        for round in newest.saturating_sub(2)..=newest {
            let wrong = self.holdings().read(move |index| wrong_verdicts(index, round)).await?;
            for (miner, vote, (decided, better)) in wrong {
                worker.busy(format!("appeal about round {round} of {miner}"));
                let stands = self.refute(round, miner, decided, better).await?;
                if let Some(verdict) = stands.and_then(|stands| vote.objection(stands.encode())) {
                    self.appeal(round, miner, verdict).await?;
                }
                let vote = OwnVote { appealed: true, ..vote };
                self.holdings().read(move |index| index.set_own_vote(round, &miner, &vote)).await?;
            }
        }
        Ok(())
    }

    async fn appeal(&self, round: u64, miner: Address, verdict: Verdict) -> Result<(), ChainError> {
        let chain = self.judge.chain.as_ref();
        let deposit = ask(chain, AUDITS, IAudits::termsCall {}).await?.deposit;
        if chain.balance(self.wallet.address()).await? <= deposit {
            tracing::warn!(round, %miner, "a wrong verdict is not appealed against: the account cannot pay the deposit");
            return Ok(());
        }
        let call = IAudits::appealCall { miner, round, verdict: verdict.encode() };
        match self.wallet.send_and_wait(AUDITS, deposit, call.abi_encode().into(), FINAL_DEADLINE).await {
            Ok(_) => tracing::warn!(round, %miner, ?verdict, "appealed against a wrong verdict"),
            Err(error @ (ChainError::Refused { .. } | ChainError::Reverted { .. })) => {
                // Somebody else was first, or it is too late.
                tracing::debug!(round, %miner, %error, "an appeal was refused");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Rules about open appeals, if this node has a seat.
    pub(super) async fn rule_all(&self, worker: &Worker) -> Result<(), JudgeError> {
        let open = self.holdings().read(|index| index.appeals()).await?;
        let first = self.holdings().read(|index| index.first_round()).await?;
        let open = open.into_iter().filter(|(_, entry)| !entry.ruled && entry.round >= first);
        let open: Vec<(u64, AppealEntry)> = open.collect();
        if open.is_empty() || !views::is_seated(self.judge.chain.as_ref(), self.wallet.address()).await? {
            return Ok(());
        }
        for (number, entry) in open {
            worker.busy(format!("appeal {number}"));
            if let Some(findings) = self.judge_again(&entry).await? {
                self.rule(number, findings).await?;
                self.holdings().read(move |index| index.appeal_ruled(number)).await?;
            }
        }
        Ok(())
    }

    /// Judges a round anew; nothing while bytes cannot be had and there is time.
    async fn judge_again(&self, entry: &AppealEntry) -> Result<Option<Findings>, JudgeError> {
        let (miner, number) = (Address::from(entry.miner), entry.round);
        let round = self.judge.round(number).await?;
        let look = self.judge.look(round, miner, Look::default(), Asked::Everybody).await?;
        let patience = self.holdings().index().params().audit_appeal_blocks / 2;
        if !look.is_complete() && self.height() < entry.height + patience {
            return Ok(None);
        }
        let tags = self.judge.tags(round, &[miner]).await?;
        Ok(Some(look.with_tags(tags.get(&miner).copied().unwrap_or_default())))
    }

    async fn rule(&self, number: u64, findings: Findings) -> Result<(), ChainError> {
        let verdict = findings.verdict();
        let call = IAudits::ruleCall { number, verdict: verdict.encode() };
        match self.wallet.send_and_wait(AUDITS, U256::ZERO, call.abi_encode().into(), FINAL_DEADLINE).await {
            Ok(_) => tracing::info!(appeal = number, ?verdict, "ruled about an appeal"),
            Err(error @ (ChainError::Refused { .. } | ChainError::Reverted { .. })) => {
                tracing::debug!(appeal = number, %error, "a ruling was refused");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// A verdict, and what should stand instead.
type Wrong = (Verdict, Verdict);

/// Verdicts of a round to appeal against.
fn wrong_verdicts(
    index: &super::HoldingsIndex,
    round: u64,
) -> Result<Vec<(Address, OwnVote, Wrong)>, super::IndexError> {
    let mut wrong = Vec::new();
    for (miner, vote) in index.own_votes(round)?.into_iter().filter(|(_, vote)| !vote.appealed) {
        let decided = index.round(round, &miner)?.decided;
        let better = decided.and_then(|decided| vote.objection(decided));
        if let Some(found) = decided.and_then(Verdict::decode).zip(better) {
            wrong.push((miner, vote, found));
        }
    }
    Ok(wrong)
}
