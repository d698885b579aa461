//! Which rules are in force at a block of a chain that geth's genesis format describes.

use crate::{
    ledger::executor::{BlobRules, Rules},
    types::U256,
};
use alloy_eips::{eip7840::BlobParams, eip7892::BlobScheduleBlobParams};
use alloy_genesis::ChainConfig;
use revm::primitives::hardfork::SpecId;

/// The fork schedule of a chain.
#[derive(Debug, Clone)]
pub struct Forks {
    config: ChainConfig,
    blobs: BlobScheduleBlobParams,
}

impl Forks {
    /// From the chain's configuration.
    pub fn new(config: ChainConfig) -> Self {
        let blobs = config.blob_schedule_blob_params();
        Self { config, blobs }
    }

    /// The configuration.
    pub fn config(&self) -> &ChainConfig {
        &self.config
    }

    /// Whether a block whose ancestors have this total difficulty is made by proof of stake.
    pub fn is_merged(&self, parent_total_difficulty: U256) -> bool {
        self.config.terminal_total_difficulty.is_some_and(|terminal| parent_total_difficulty >= terminal)
    }

    /// Ethereum's rule set at a block.
    pub fn spec(&self, number: u64, timestamp: u64, merged: bool) -> SpecId {
        let config = &self.config;
        let passed = |fork: Option<u64>| merged && fork.is_some_and(|fork| timestamp >= fork);
        let reached = |fork: Option<u64>| fork.is_some_and(|fork| number >= fork);
        let by_time = [
            (passed(config.osaka_time), SpecId::OSAKA),
            (passed(config.prague_time), SpecId::PRAGUE),
            (passed(config.cancun_time), SpecId::CANCUN),
            (passed(config.shanghai_time), SpecId::SHANGHAI),
            (merged, SpecId::MERGE),
        ];
        // Difficulty bombs change nothing that is checked here.
        let by_number = [
            (reached(config.london_block), SpecId::LONDON),
            (reached(config.berlin_block), SpecId::BERLIN),
            (reached(config.istanbul_block), SpecId::ISTANBUL),
            (reached(config.petersburg_block), SpecId::PETERSBURG),
            // Constantinople without Petersburg ran on test networks only; revm knows the corrected one alone.
            (reached(config.constantinople_block), SpecId::PETERSBURG),
            (reached(config.byzantium_block), SpecId::BYZANTIUM),
            (reached(config.eip158_block), SpecId::SPURIOUS_DRAGON),
            (reached(config.eip150_block), SpecId::TANGERINE),
            (reached(config.homestead_block), SpecId::HOMESTEAD),
        ];
        let active = by_time.into_iter().chain(by_number).find(|(active, _)| *active);
        active.map_or(SpecId::FRONTIER, |(_, spec)| spec)
    }

    /// Parameters of blobs at a time under a rule set, from Cancun on.
    pub fn blob_params(&self, spec: SpecId, timestamp: u64) -> Option<BlobParams> {
        if !spec.is_enabled_in(SpecId::CANCUN) {
            return None;
        }
        Some(self.blobs.active_scheduled_params_at_timestamp(timestamp).copied().unwrap_or(match spec {
            spec if spec.is_enabled_in(SpecId::OSAKA) => self.blobs.osaka,
            spec if spec.is_enabled_in(SpecId::PRAGUE) => self.blobs.prague,
            _ => self.blobs.cancun,
        }))
    }

    /// The rules of a block.
    pub fn rules(&self, number: u64, timestamp: u64, merged: bool, difficulty: U256, excess_gas: u64) -> Rules {
        let spec = self.spec(number, timestamp, merged);
        let blobs = self.blob_params(spec, timestamp).map(|params| BlobRules {
            excess_gas,
            max: params.max_blob_count,
            max_per_tx: params.max_blobs_per_tx,
            update_fraction: u64::try_from(params.update_fraction).unwrap_or(u64::MAX),
        });
        let tx_gas_cap = spec.is_enabled_in(SpecId::OSAKA).then_some(alloy_eips::eip7825::MAX_TX_GAS_LIMIT_OSAKA);
        Rules { spec, protocol: false, tx_gas_cap, difficulty, blobs }
    }
}
