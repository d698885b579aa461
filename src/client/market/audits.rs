//! Audits: rounds, verdicts and what is recorded of each miner.
//!
//! Owns the readings of IAudits. Must not know how verdicts come about. Invariant: a verdict that is none is an error.

use super::{ask_known, ask_module};
use crate::{
    client::{ChainClient, ChainError},
    ledger::{
        abi::{AUDITS, IAudits},
        audit::Verdict,
    },
    types::{Address, Height, U256},
};
use serde::{Deserialize, Serialize};

/// When rounds are and what an appeal costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditTerms {
    /// Blocks between two rounds.
    pub round_blocks: u64,
    /// Every so many rounds proofs of tags are due and faults count.
    pub tag_rounds: u64,
    /// Blocks after the opening that take answers.
    pub answer_blocks: u64,
    /// Blocks after a verdict that take an appeal.
    pub appeal_blocks: u64,
    /// Members of a committee.
    pub committee: u64,
    /// Deposit of an appeal.
    pub deposit: U256,
}

impl AuditTerms {
    /// The block that opens a round.
    pub fn opened_at(&self, round: u64) -> Height {
        round.saturating_mul(self.round_blocks)
    }

    /// Last block that takes votes about a round.
    pub fn vote_until(&self, round: u64) -> Height {
        self.opened_at(round.saturating_add(2)).saturating_sub(1)
    }

    /// Whether proofs of tags are due in a round, and faults of it count.
    pub fn has_tags(&self, round: u64) -> bool {
        round.is_multiple_of(self.tag_rounds.max(1))
    }

    /// The round that is open at `height`.
    pub fn round_at(&self, height: Height) -> u64 {
        height / self.round_blocks.max(1)
    }
}

/// A round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRound {
    /// Its number.
    pub number: u64,
    /// The block whose beacon it draws from.
    pub opened_at: Height,
    /// Last block that takes answers.
    pub answer_until: Height,
    /// Last block that takes proofs of tags.
    pub prove_until: Height,
    /// Last block that takes votes.
    pub vote_until: Height,
    /// Whether proofs of tags are due.
    pub tags: bool,
    /// Whether blocks came so slowly that faults do not count.
    pub slow: bool,
}

/// What is recorded of a miner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditRecord {
    /// Newest round it answered.
    pub answered: u64,
    /// Newest round it proved its tagged data in.
    pub proven: u64,
    /// Newest round that was decided.
    pub decided: u64,
    /// How that ended.
    pub verdict: Verdict,
    /// Faults in a row.
    pub strikes: u32,
    /// Rounds passed since its registration.
    pub passed: u64,
    /// Faults since then.
    pub faults: u64,
    /// Fines since then.
    pub fined: U256,
}

/// How a round stands for one miner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditVerdict {
    /// What was decided, or nothing yet.
    pub verdict: Option<Verdict>,
    /// Height of the decision.
    pub decided_at: Height,
    /// Votes so far.
    pub votes: u8,
    /// Whether somebody appealed.
    pub appealed: bool,
}

/// When rounds are.
pub async fn audit_terms(chain: &dyn ChainClient) -> Result<AuditTerms, ChainError> {
    let terms = ask_module(chain, AUDITS, &IAudits::termsCall {}).await?;
    Ok(AuditTerms {
        round_blocks: terms.roundBlocks,
        tag_rounds: terms.tagRounds,
        answer_blocks: terms.answerBlocks,
        appeal_blocks: terms.appealBlocks,
        committee: terms.committee,
        deposit: terms.deposit,
    })
}

/// The current round.
pub async fn audit_round(chain: &dyn ChainClient) -> Result<AuditRound, ChainError> {
    ask_module(chain, AUDITS, &IAudits::roundCall {}).await.map(round)
}

/// A round, if it is the current one or the one before.
pub async fn audit_round_at(chain: &dyn ChainClient, number: u64) -> Result<Option<AuditRound>, ChainError> {
    Ok(ask_known(chain, AUDITS, &IAudits::roundAtCall { number }).await?.map(round))
}

/// Members that verify a miner in a round; none while nobody is drawn yet.
pub async fn audit_committee(chain: &dyn ChainClient, round: u64, miner: Address) -> Result<Vec<Address>, ChainError> {
    let found = ask_known(chain, AUDITS, &IAudits::committeeCall { round, miner }).await?;
    Ok(found.unwrap_or_default())
}

/// How a round stands for a miner.
pub async fn audit_verdict(chain: &dyn ChainClient, round: u64, miner: Address) -> Result<AuditVerdict, ChainError> {
    let found = ask_module(chain, AUDITS, &IAudits::verdictCall { round, miner }).await?;
    let verdict = found.decided.then(|| verdict(found.value, miner)).transpose()?;
    Ok(AuditVerdict { verdict, decided_at: found.decidedAt, votes: found.votes, appealed: found.appealed })
}

/// What is recorded of a miner.
pub async fn audit_record(chain: &dyn ChainClient, miner: Address) -> Result<AuditRecord, ChainError> {
    let found = ask_module(chain, AUDITS, &IAudits::recordCall { miner }).await?;
    Ok(AuditRecord {
        answered: found.answered,
        proven: found.proven,
        decided: found.decided,
        verdict: verdict(found.verdict, miner)?,
        strikes: found.strikes,
        passed: found.passed,
        faults: found.faults,
        fined: found.fined,
    })
}

fn verdict(byte: u8, miner: Address) -> Result<Verdict, ChainError> {
    Verdict::decode(byte).ok_or_else(|| ChainError::Malformed(format!("a verdict of {byte} about miner {miner}")))
}

fn round(round: IAudits::Round) -> AuditRound {
    AuditRound {
        number: round.number,
        opened_at: round.openedAt,
        answer_until: round.answerUntil,
        prove_until: round.proveUntil,
        vote_until: round.voteUntil,
        tags: round.tags,
        slow: round.slow,
    }
}
