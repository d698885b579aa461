//! What can be set on a developer's chain while it runs.

use super::clock::DevClock;
use crate::types::{Address, B256, ChainId};
use std::{collections::BTreeSet, time::Duration};

/// When blocks are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mining {
    /// As soon as a transaction can run, one a block.
    Instant,
    /// At intervals, with everything that waits.
    Every(Duration),
    /// When asked.
    Off,
}

/// Everything that decides about the next block besides the blocks before it. Snapshots hold a copy.
#[derive(Debug, Clone)]
pub struct Settings {
    /// EIP-155 chain id.
    pub chain_id: ChainId,
    /// Time.
    pub clock: DevClock,
    /// When blocks are made.
    pub mining: Mining,
    /// Gas of a block.
    pub gas_limit: u64,
    /// Who gets the tips.
    pub coinbase: Address,
    /// Base fee of the next block, if not the one EIP-1559 gives.
    pub next_base_fee: Option<u64>,
    /// Beacon of the next block, if not the derived one.
    pub next_beacon: Option<B256>,
    /// Smallest fee cap a transaction may offer.
    pub min_gas_price: u128,
    /// Accounts in whose name anybody may send.
    pub impersonated: BTreeSet<Address>,
    /// Whether that is true of all accounts.
    pub impersonate_all: bool,
    /// Whether blocks are told of.
    pub logging: bool,
}

impl Settings {
    /// Whether anybody may send in the name of `account`.
    pub fn impersonates(&self, account: &Address) -> bool {
        self.impersonate_all || self.impersonated.contains(account)
    }
}
