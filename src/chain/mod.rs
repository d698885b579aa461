//! The chain of a full node: agreement on blocks, their execution and storage, and the local chain client.
//!
//! Owns blocks, state, memory pool and the JSON-RPC methods over them. Must not know the storage data plane. Invariants: blocks
//! are ordered first and executed after, on every node alike; a decided block survives power loss before it is executed;
//! readers see the state of exactly one block.

pub mod api;
mod app;
pub mod bft;
mod block_store;
mod calls;
mod catch_up;
mod checkpoint;
mod checkpointer;
mod checks;
mod committees;
mod computed;
pub mod dev;
mod duties;
mod error;
mod estimate;
mod execution;
mod full;
mod full_backend;
#[cfg(test)]
mod golden;
mod head;
#[cfg(test)]
mod history_tests;
pub mod import;
mod keeping;
#[cfg(test)]
mod light_tests;
mod local;
mod log_index;
mod mempool;
mod node;
#[cfg(test)]
mod node_tests;
mod options;
mod order;
#[cfg(test)]
mod order_tests;
mod past;
#[cfg(test)]
mod pipeline_tests;
mod read_cache;
mod recent;
mod records;
mod recovery;
mod state_store;
pub mod statesync;
#[cfg(test)]
mod tests;
pub mod trial;
mod undo;

pub use app::LedgerApp;
pub use block_store::BlockStore;
pub use calls::{CALL_GAS_MAX, CallFault};
pub use checks::{BlockFault, Expected, FUTURE_MAX_MS, check_header};
pub use committees::Seated;
pub use error::StoreError;
pub use full::{ChainSpec, FullChain};
pub use full_backend::FullBackend;
pub use head::{Head, Ordered};
pub use keeping::Keeping;
pub use local::LocalChain;
pub use log_index::LogRow;
pub use mempool::{Limits, Mempool, PoolError, SignatureMemo, TOPIC_TX};
pub use node::{ChainConfig, ChainNode, ChainNodeError};
pub use options::ChainOptions;
pub use records::{ExecutedBlock, SkippedTx};

use crate::types::{B256, BlockId, Height};

/// A block is final and executed on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockFinalised {
    /// Its height.
    pub height: Height,
    /// Its executed Ethereum hash.
    pub hash: B256,
    /// Id of its consensus header.
    pub block: BlockId,
    /// Its time, Unix milliseconds.
    pub time_ms: u64,
    /// Number of executed transactions.
    pub transactions: usize,
}

impl crate::runtime::Event for BlockFinalised {}
