//! Protocol events: the modules' Solidity events as one typed enum.

use crate::types::{Address, FileId, U256};
use alloy_primitives::Bytes;

/// What the chain did. Decoded from the logs of the protocol modules.
#[derive(Debug, Clone, PartialEq)]
pub enum ChainEvent {
    /// A miner joined.
    MinerRegistered { account: Address, operator: Address, capacity: u64, name: String },
    /// A miner changed what it lends.
    MinerCapacityChanged { account: Address, capacity: u64 },
    /// A miner left with its collateral.
    MinerExited { account: Address, collateral: U256 },
    /// A file is active.
    FileStored { id: FileId, owner: Address, size: u64, holders: Vec<Address>, manifest: Bytes },
    /// A further owner.
    OwnerAdded { id: FileId, owner: Address },
    /// One owner fewer.
    OwnerRemoved { id: FileId, owner: Address },
    /// The last owner left.
    FileDeleted { id: FileId, size: u64, holders: Vec<Address> },
}
