//! Rewards: what eras had to share, and what each miner got of it.
//!
//! Owns the readings of IRewards. Must not know how power is credited.

use super::ask_module;
use crate::{
    client::{ChainClient, ChainError},
    ledger::abi::{IRewards, REWARDS},
    types::{Address, U256},
};
use serde::{Deserialize, Serialize};

/// What an era had to share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewardEra {
    /// Its number.
    pub number: u64,
    /// Idle bytes of all miners, summed over the rounds they passed.
    pub idle: U256,
    /// Service bytes of all miners, summed so.
    pub service: U256,
    /// Tokens shared by power.
    pub emission: U256,
    /// Tokens shared by service bytes.
    pub rent: U256,
    /// Whether nothing can change it any more.
    pub settled: bool,
}

/// Why a miner gets what it gets for an era.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewardShare {
    /// The era.
    pub era: u64,
    /// Idle bytes, summed over the rounds passed.
    pub idle: U256,
    /// Service bytes, summed so.
    pub service: U256,
    /// Rounds credited.
    pub rounds: u64,
    /// The miner's power.
    pub power: U256,
    /// That of all miners.
    pub total_power: U256,
    /// Tokens by power.
    pub from_emission: U256,
    /// Tokens by service bytes.
    pub from_rent: U256,
    /// Whether nothing can change it any more.
    pub settled: bool,
    /// Whether it is part of the miner's account already.
    pub claimed: bool,
}

/// A miner's pay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewardAccount {
    /// First era not settled for the account yet.
    pub next_era: u64,
    /// What a claim would pay now.
    pub claimable: U256,
    /// What comes in parts.
    pub locked: U256,
    /// What was paid.
    pub paid: U256,
    /// Released with each part.
    pub part: U256,
    /// First block that may release the next part, 0 if nothing is locked.
    pub next_part_at: u64,
}

impl RewardAccount {
    /// Whether there is, was or will be pay.
    pub fn is_used(&self) -> bool {
        ![self.claimable, self.locked, self.paid].iter().all(U256::is_zero)
    }
}

/// What an era had to share.
pub async fn reward_era(chain: &dyn ChainClient, number: u64) -> Result<RewardEra, ChainError> {
    let era = ask_module(chain, REWARDS, &IRewards::eraCall { number }).await?;
    let IRewards::Era { number, idle, service, emission, rent, settled } = era;
    Ok(RewardEra { number, idle, service, emission, rent, settled })
}

/// A miner's share of an era.
pub async fn reward_share(chain: &dyn ChainClient, miner: Address, era: u64) -> Result<RewardShare, ChainError> {
    let share = ask_module(chain, REWARDS, &IRewards::shareCall { miner, era }).await?;
    Ok(RewardShare {
        era: share.era,
        idle: share.idle,
        service: share.service,
        rounds: share.rounds,
        power: share.power,
        total_power: share.totalPower,
        from_emission: share.fromEmission,
        from_rent: share.fromRent,
        settled: share.settled,
        claimed: share.claimed,
    })
}

/// A miner's pay.
pub async fn reward_account(chain: &dyn ChainClient, miner: Address) -> Result<RewardAccount, ChainError> {
    let account = ask_module(chain, REWARDS, &IRewards::accountCall { miner }).await?;
    Ok(RewardAccount {
        next_era: account.nextEra,
        claimable: account.claimable,
        locked: account.locked,
        paid: account.paid,
        part: account.part,
        next_part_at: account.nextPartAt,
    })
}
