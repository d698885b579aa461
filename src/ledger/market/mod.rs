//! A storage market in memory: the real modules with synthetic miners, files and verifiers, to see what they pay to whom.
//!
//! Owns the run of a market, driven by calls alone. Must not know the modules' state. Invariants: the same settings give the same market; what a miner
//! should earn is computed here apart from the modules, from what it had and whether it kept it.

mod host;
mod round;
mod setup;

use crate::{
    crypto::SecretKey,
    ledger::{
        abi::{IRewards, IStaking, REWARDS, STAKING},
        modules::ModuleError,
    },
    types::{Address, Amount, Params, U256, params::POWER_IDLE_PERCENT},
};
use host::MemoryHost;
use std::collections::BTreeMap;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct MarketSettings {
    /// Miners.
    pub miners: u32,
    /// Eras in which they are paid.
    pub eras: u64,
    /// Files stored at the beginning, each of as many bytes as some miner's share of them.
    pub files: u32,
    /// Miners that drop their data after a tenth of the eras: the first ones.
    pub cheaters: u32,
}

/// A miner of the market.
struct Actor {
    key: SecretKey,
    account: Address,
    capacity: u64,
    segments: u64,
    cheats: bool,
    /// What it should have earned.
    expected: U256,
    idle: U256,
    service: U256,
}

/// What became of a miner.
#[derive(Debug, Clone)]
pub struct MinerReport {
    /// Its account.
    pub account: Address,
    /// Whether it dropped its data.
    pub cheats: bool,
    /// 0 active, 1 leaving, 2 forced out.
    pub state: u8,
    /// Byte-rounds it kept.
    pub idle: U256,
    /// Byte-rounds of files it kept.
    pub service: U256,
    /// What it was paid or will be, for all eras.
    pub pay: U256,
    /// What it should be: its share of each era's emission and rent, computed apart from what it kept.
    pub expected: U256,
    /// What it was fined.
    pub fined: U256,
    /// The era in which it was forced out.
    pub lost_in_era: Option<u64>,
}

/// What became of the market.
#[derive(Debug, Clone)]
pub struct MarketReport {
    /// All miners.
    pub miners: Vec<MinerReport>,
    /// Rounds that were run.
    pub rounds: u64,
    /// Gas of all audits' transactions.
    pub gas: u64,
    /// Times a miner was verified.
    pub verified: u64,
    /// Supply found, and genesis + minted − burnt.
    pub supply: (U256, U256),
    /// Rent that was paid, and that has reached storers, caches or the fire or waits for them.
    pub rent: (U256, U256),
}

/// A market.
pub struct Market {
    host: MemoryHost,
    settings: MarketSettings,
    miners: Vec<Actor>,
    workers: Vec<Address>,
    proposer: Address,
    genesis: U256,
    rent_paid: U256,
    round: u64,
    gas: u64,
    verified: u64,
    lost: Vec<Option<u64>>,
    /// Power and service bytes by era and miner, counted apart.
    kept: BTreeMap<u64, BTreeMap<usize, (U256, U256)>>,
}

impl Market {
    /// Begins the next round and everything in it.
    pub fn run_round(&mut self) -> Result<(), ModuleError> {
        round::run(self)
    }

    /// Rounds that the settings' eras have.
    pub fn rounds(&self) -> u64 {
        let params = self.params();
        self.settings.eras * params.era_blocks / params.audit_round_blocks
    }

    /// Whether supply is genesis + minted − burnt now.
    pub fn supply(&mut self) -> Result<(U256, U256), ModuleError> {
        let counted = self.host.view(STAKING, &IStaking::supplyCall {})?;
        Ok((self.host.supply(), self.genesis + counted.minted - counted.burnt))
    }

    /// Pays everybody everything and gives the books.
    pub fn finish(mut self) -> Result<MarketReport, ModuleError> {
        let last = round::settle(&mut self)?;
        let supply = self.supply()?;
        let pools = self.host.view(REWARDS, &IRewards::poolsCall {})?;
        let mut pay = U256::ZERO;
        let mut miners = Vec::new();
        for index in 0..self.miners.len() {
            let report = setup::report(&mut self, index)?;
            pay += report.pay;
            miners.push(report);
        }
        let left = self.host.balance(crate::ledger::abi::TERRITORY);
        // The era that is settled next is told with what waits.
        let waiting = self.host.view(REWARDS, &IRewards::eraCall { number: last + 1 })?.rent;
        let reached = (pay + pools.burnt + pools.caches + waiting + left).saturating_sub(pools.minted);
        Ok(MarketReport {
            miners,
            rounds: self.round,
            gas: self.gas,
            verified: self.verified,
            supply,
            rent: (self.rent_paid, reached),
        })
    }

    fn params(&self) -> Params {
        Params::dev()
    }
}

/// Power in hundredths of a byte.
fn power(idle: u64, service: u64) -> U256 {
    U256::from(idle) * U256::from(POWER_IDLE_PERCENT) + U256::from(service) * U256::from(100 - POWER_IDLE_PERCENT)
}

/// Whole tokens.
fn tokens(n: u64) -> U256 {
    Amount::tokens(n).0
}

#[cfg(test)]
mod tests;
