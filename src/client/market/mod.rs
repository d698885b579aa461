//! The storage market as clients see it: miners, audits, rewards, TEE workers, repair.
//!
//! Owns the records of these modules and the calls that read them. Must not know how a call is answered. Invariants: an answer that does not
//! decode is an error, never a default, and every listing is bounded.

mod audits;
mod miners;
mod repair;
mod rewards;
mod tee;

pub use audits::{
    AuditRecord, AuditRound, AuditTerms, AuditVerdict, audit_committee, audit_record, audit_round, audit_round_at,
    audit_terms, audit_verdict,
};
pub use miners::{
    BatchState, IdleBatch, MinerDetail, MinerStanding, MinerState, miner_detail, miner_details, newest_idle_batch,
    required_collateral, standing,
};
pub use repair::{RepairOrder, repair_claim_blocks, repair_orders};
pub use rewards::{RewardAccount, RewardEra, RewardShare, reward_account, reward_era, reward_share};
pub use tee::{
    Attestation, EpochState, KeyEpoch, NextEpoch, TaggedColumns, TeeWorker, WorkerKind, WorkerStanding, key_epochs,
    key_holders, next_key_epoch, tags_of, tee_worker, tee_workers,
};

use super::{ChainClient, ChainError};
use crate::{rpc::error::REVERTED, types::Address};
use alloy_sol_types::SolCall;

/// Entries of a listing asked for at a time.
const PAGE: u64 = 200;
/// Entries of one listing at most.
const LIST_MAX: usize = 100_000;

/// Asks a module.
pub async fn ask_module<C: SolCall>(
    chain: &dyn ChainClient,
    module: Address,
    call: &C,
) -> Result<C::Return, ChainError> {
    let answer = chain.call(module, call.abi_encode().into()).await?;
    C::abi_decode_returns(&answer).map_err(|e| ChainError::Malformed(format!("{}: {e}", C::SIGNATURE)))
}

/// As [`ask_module`], for a question whose only revert says that there is no such thing.
async fn ask_known<C: SolCall>(
    chain: &dyn ChainClient,
    module: Address,
    call: &C,
) -> Result<Option<C::Return>, ChainError> {
    match ask_module(chain, module, call).await {
        Ok(answer) => Ok(Some(answer)),
        Err(ChainError::Refused { code: REVERTED, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Everything a paged view lists, by `question(skip, limit)`.
async fn list_all<C, T>(
    chain: &dyn ChainClient,
    module: Address,
    question: impl Fn(u64, u64) -> C + Send,
) -> Result<Vec<T>, ChainError>
where
    C: SolCall<Return = Vec<T>> + Send + Sync,
    T: Send,
{
    let (mut found, mut skip) = (Vec::new(), 0);
    while found.len() < LIST_MAX {
        let page = ask_module(chain, module, &question(skip, PAGE)).await?;
        let count = u64::try_from(page.len()).expect("a length fits 64 bits");
        found.extend(page);
        if count < PAGE {
            return Ok(found);
        }
        skip += count;
    }
    Err(ChainError::Malformed(format!("{} lists over {LIST_MAX} entries", C::SIGNATURE)))
}

fn no_state<T>(what: &str, number: u8) -> Result<T, ChainError> {
    Err(ChainError::Malformed(format!("{what} is in state {number}")))
}

fn some(address: Address) -> Option<Address> {
    (!address.is_zero()).then_some(address)
}
