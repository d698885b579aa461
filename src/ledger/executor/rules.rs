//! Which rules a block runs under: this chain's, or those of an Ethereum fork for imported chains.

use crate::types::{U256, params::BLOCK_GAS_LIMIT};
use revm::{context_interface::block::BlobExcessGasAndPrice, primitives::hardfork::SpecId};

/// The rules of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Ethereum's rule set.
    pub spec: SpecId,
    /// Whether this is a chain of ours: the protocol modules answer at their addresses and hear of blocks.
    pub protocol: bool,
    /// Most gas a transaction may use (EIP-7825), if there is a bound below the block's.
    pub tx_gas_cap: Option<u64>,
    /// `DIFFICULTY` before the merge.
    pub difficulty: U256,
    /// Blobs, from Cancun on.
    pub blobs: Option<BlobRules>,
}

/// What a block's blobs are priced by (EIP-4844, EIP-7840).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRules {
    /// Excess blob gas of the block.
    pub excess_gas: u64,
    /// Blobs a block may hold.
    pub max: u64,
    /// Blobs a transaction may carry.
    pub max_per_tx: u64,
    /// How fast their price moves.
    pub update_fraction: u64,
}

impl BlobRules {
    /// Price of a unit of blob gas.
    pub fn price(&self) -> u128 {
        BlobExcessGasAndPrice::new(self.excess_gas, self.update_fraction).blob_gasprice
    }
}

impl Rules {
    /// This chain's: Ethereum's at Osaka with three differences.
    /// - A transaction may use the whole block (EIP-7825 caps it at 2^24 gas, a large manifest's call data alone costs more).
    /// - The protocol modules answer at their addresses.
    /// - There are no blobs, withdrawals, requests or beacon roots.
    pub const CESS: Self = Self {
        spec: SpecId::OSAKA,
        protocol: true,
        tx_gas_cap: Some(BLOCK_GAS_LIMIT),
        difficulty: U256::ZERO,
        blobs: None,
    };
}
