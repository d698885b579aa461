//! Miners: registration, collateral, idle space.
//!
//! Owns the readings of IMiners. Must not know audits. Invariant: an unknown miner is `None`, every other refusal an error.

use super::{ask_known, ask_module, list_all, no_state};
use crate::{
    client::{ChainClient, ChainError},
    ledger::abi::{IMiners, MINERS},
    types::{Address, Height, U256},
};
use serde::{Deserialize, Serialize};

/// Where a miner is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MinerState {
    /// Takes data and is audited.
    Active,
    /// Takes nothing more; what it holds is repaired elsewhere.
    Exiting,
    /// Was forced out.
    Lost,
}

impl MinerState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Exiting => "exiting",
            Self::Lost => "lost",
        }
    }
}

/// A miner with everything the `miners` module records of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinerDetail {
    /// Its account.
    pub account: Address,
    /// Who answers for it and is paid.
    pub operator: Address,
    /// Display name.
    pub name: String,
    /// Where it is in its life.
    pub state: MinerState,
    /// Declared bytes.
    pub capacity: u64,
    /// Bytes of claimed fragments.
    pub used: u64,
    /// Columns of files it holds.
    pub held: u64,
    /// Height of its registration.
    pub since: Height,
    /// Height at which it began to leave.
    pub left_at: Option<Height>,
    /// Tokens that vouch for it.
    pub collateral: U256,
    /// Faults in a row.
    pub strikes: u32,
    /// Certified segments of idle space.
    #[serde(default)]
    pub segments: u64,
    /// Steps of them, from the first on, that data has taken.
    #[serde(default)]
    pub consumed: u64,
    /// Bytes of idle space that are left.
    #[serde(default)]
    pub idle_bytes: u64,
    /// Its weight where fragments are placed; 0: it is given none.
    #[serde(default)]
    pub weight: u64,
}

/// What a miner had just before a round of audits opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinerStanding {
    /// Bytes of data.
    pub used: u64,
    /// Certified segments of idle space.
    pub segments: u64,
    /// Steps of them that data has taken.
    pub consumed: u64,
    /// Bytes of idle space that are left.
    pub idle: u64,
}

/// What became of commitments to idle space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchState {
    /// The committee has not decided.
    Waiting,
    /// The segments count.
    Certified,
    /// They do not.
    Refused,
}

/// Commitments that one call made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleBatch {
    /// Its number among the miner's.
    pub number: u64,
    /// Number of its first segment.
    pub first: u64,
    /// Segments in it.
    pub count: u64,
    /// Height of the call.
    pub height: Height,
    /// What became of it.
    pub state: BatchState,
}

/// One miner, if it is registered.
pub async fn miner_detail(chain: &dyn ChainClient, account: Address) -> Result<Option<MinerDetail>, ChainError> {
    ask_known(chain, MINERS, &IMiners::getCall { account }).await?.map(detail).transpose()
}

/// Every registered miner, in the module's order.
pub async fn miner_details(chain: &dyn ChainClient) -> Result<Vec<MinerDetail>, ChainError> {
    let found = list_all(chain, MINERS, |skip, limit| IMiners::listCall { skip, limit }).await?;
    found.into_iter().map(detail).collect()
}

/// What a miner had before `round`, if that is the current round or the one before.
pub async fn standing(
    chain: &dyn ChainClient,
    account: Address,
    round: u64,
) -> Result<Option<MinerStanding>, ChainError> {
    let found = ask_known(chain, MINERS, &IMiners::standingCall { account, round }).await?;
    Ok(found.map(|s| MinerStanding { used: s.used, segments: s.segments, consumed: s.consumed, idle: s.idle }))
}

/// The commitments a miner made last.
pub async fn newest_idle_batch(chain: &dyn ChainClient, account: Address) -> Result<Option<IdleBatch>, ChainError> {
    let counts = ask_module(chain, MINERS, &IMiners::idleCountsCall { account }).await?;
    let Some(batch) = counts.batches.checked_sub(1) else { return Ok(None) };
    let found = ask_module(chain, MINERS, &IMiners::idleBatchCall { account, batch }).await?;
    let state = match found.state {
        0 => BatchState::Waiting,
        1 => BatchState::Certified,
        2 => BatchState::Refused,
        other => return no_state(&format!("batch {batch} of miner {account}"), other),
    };
    let IMiners::Batch { number, first, count, height, .. } = found;
    Ok(Some(IdleBatch { number, first, count, height, state }))
}

/// Collateral for so many bytes.
pub async fn required_collateral(chain: &dyn ChainClient, capacity: u64) -> Result<U256, ChainError> {
    ask_module(chain, MINERS, &IMiners::requiredCollateralCall { capacity }).await
}

fn detail(miner: IMiners::Miner) -> Result<MinerDetail, ChainError> {
    let state = match miner.state {
        0 => MinerState::Active,
        1 => MinerState::Exiting,
        2 => MinerState::Lost,
        other => return no_state(&format!("miner {}", miner.account), other),
    };
    Ok(MinerDetail {
        account: miner.account,
        operator: miner.operator,
        name: miner.name,
        state,
        capacity: miner.capacity,
        used: miner.used,
        held: miner.held,
        since: miner.since,
        left_at: (miner.leftAt != 0).then_some(miner.leftAt),
        collateral: miner.collateral,
        strikes: miner.strikes,
        segments: miner.segments,
        consumed: miner.consumed,
        idle_bytes: miner.idle,
        weight: miner.weight,
    })
}
