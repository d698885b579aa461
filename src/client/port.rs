//! The port between roles and the chain.

use super::ChainEvent;
use crate::rpc::error::PRUNED;
use crate::types::{Address, B256, FileId, Height, U256};
use alloy_primitives::Bytes;
use async_trait::async_trait;
use std::time::Duration;

/// Why the chain did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChainError {
    /// No chain node answered.
    #[error("the chain cannot be reached: {0}")]
    Unreachable(String),
    /// The chain refused, with its JSON-RPC code.
    #[error("{message}")]
    Refused { code: i32, message: String },
    /// The transaction was included but reverted.
    #[error("transaction {tx} was reverted: {reason}")]
    Reverted { tx: B256, reason: String },
    /// Not final before the deadline.
    #[error("transaction {tx} is not final after {millis} ms")]
    NotFinal { tx: B256, millis: u64 },
    /// The answer makes no sense.
    #[error("the chain answered nonsense: {0}")]
    Malformed(String),
    /// The answer is not what the committee certified.
    #[error("the chain node's answer is refused: {0}")]
    Untrusted(String),
}

impl ChainError {
    /// Whether the node does not keep what was asked for: its history begins later.
    pub fn is_pruned(&self) -> bool {
        matches!(self, Self::Refused { code: PRUNED, .. })
    }
}

/// Where the chain stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChainStatus {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Hash of the executed genesis header.
    pub genesis: B256,
    /// Height of the newest executed block.
    pub height: Height,
    /// Executed hash of that block.
    pub hash: B256,
    /// Beacon of that block, R_height.
    pub beacon: B256,
    /// Its time, Unix milliseconds.
    pub time_ms: u64,
    /// Profile of the chain's parameters.
    pub profile: crate::types::Profile,
    /// Connected peers of the answering node.
    pub peers: usize,
    /// Whether the answering node is still catching up.
    pub syncing: bool,
}

/// A miner as the `miners` module records it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MinerRecord {
    /// Its account.
    pub address: Address,
    /// Who answers for it; placement caps count operators.
    pub operator: Address,
    /// ed25519 key of its network host.
    #[serde(with = "hex::serde")]
    pub network_key: [u8; 32],
    /// ed25519 key that signs its receipts.
    #[serde(with = "hex::serde")]
    pub account_key: [u8; 32],
    /// /24 of its public address, 0 on loopback.
    pub prefix: u32,
    /// Declared bytes.
    pub capacity: u64,
    /// Bytes of claimed fragments.
    pub used: u64,
    /// Height of registration.
    pub since: Height,
    /// Display name chosen by its owner.
    pub name: String,
    /// 0 active, 1 exiting, 2 lost.
    #[serde(default)]
    pub state: u8,
    /// Columns of files it holds.
    #[serde(default)]
    pub held: u64,
    /// Height at which it began to leave, 0 while it is active.
    #[serde(default)]
    pub left_at: Height,
    /// What answers for it, in smallest units.
    #[serde(default)]
    pub collateral: U256,
    /// Faults in a row.
    #[serde(default)]
    pub strikes: u32,
    /// Certified segments of idle space.
    #[serde(default)]
    pub segments: u64,
    /// Steps of them, from the first on, that data has taken.
    #[serde(default)]
    pub consumed: u64,
    /// Bytes of idle space that are left.
    #[serde(default)]
    pub idle: u64,
    /// Its weight where fragments are placed; 0: it is given none.
    #[serde(default)]
    pub weight: u64,
}

/// A file as the `files` module records it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileRecord {
    /// Its id.
    pub id: FileId,
    /// Accounts that own it.
    pub owners: Vec<Address>,
    /// Length in bytes.
    pub size: u64,
    /// Number of segments.
    pub segments: u32,
    /// Holder of fragment i of every segment.
    pub holders: Vec<Address>,
    /// Height at which it became active.
    pub stored_at: Height,
}

/// Outcome of a transaction that is final.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TxOutcome {
    /// Its hash.
    pub tx: B256,
    /// Block that holds it.
    pub height: Height,
    /// Hash of that block.
    pub block: B256,
    /// Gas used.
    pub gas_used: u64,
    /// Price paid for each unit of gas.
    pub gas_price: U256,
    /// Whether it succeeded.
    pub success: bool,
    /// Revert data or reason, if it did not.
    pub error: Option<String>,
}

/// All protocol events of one block.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EventBatch {
    /// The block.
    pub height: Height,
    /// Its events in order, with the transaction that caused each.
    pub events: Vec<(B256, ChainEvent)>,
}

/// The chain as a role sees it. Reads answer at the newest executed block.
#[async_trait]
pub trait ChainClient: Send + Sync + 'static {
    /// Where the chain stands.
    async fn status(&self) -> Result<ChainStatus, ChainError>;
    /// Waits until a block above `height` is executed, or `deadline` passes; returns the status either way.
    async fn wait_above(&self, height: Height, deadline: Duration) -> Result<ChainStatus, ChainError>;
    /// Balance of an account in smallest units.
    async fn balance(&self, account: Address) -> Result<U256, ChainError>;
    /// Next nonce of an account, pending transactions included.
    async fn nonce(&self, account: Address) -> Result<u64, ChainError>;
    /// Base fee of the next block.
    async fn base_fee(&self) -> Result<u64, ChainError>;
    /// Runs a read-only call.
    async fn call(&self, to: Address, data: Bytes) -> Result<Bytes, ChainError>;
    /// Gas a transaction needs now, measured by running it. A call that would revert is refused with its reason.
    async fn estimate_gas(&self, from: Address, to: Address, value: U256, data: Bytes) -> Result<u64, ChainError>;
    /// Hands in a signed transaction envelope and returns its hash once it is admitted.
    async fn submit(&self, raw: Bytes) -> Result<B256, ChainError>;
    /// Outcome of a transaction if it is final.
    async fn outcome(&self, tx: B256) -> Result<Option<TxOutcome>, ChainError>;
    /// Protocol events of blocks `from..=to` (at most 1,000 blocks a call). Blocks without events are left out.
    /// Refused if `to` is above the newest executed block, so that a node that lags never hides events.
    async fn events(&self, from: Height, to: Height) -> Result<Vec<EventBatch>, ChainError>;
    /// The beacon R_height, if it lies within the chain's window.
    async fn beacon(&self, height: Height) -> Result<Option<B256>, ChainError>;
    /// Every registered miner.
    async fn miners(&self) -> Result<Vec<MinerRecord>, ChainError>;
    /// One file's record.
    async fn file(&self, id: FileId) -> Result<Option<FileRecord>, ChainError>;
    /// A file's encoded manifest, from the event that stored it.
    async fn manifest(&self, id: FileId) -> Result<Option<Bytes>, ChainError>;
    /// Files owned by `owner`, newest last, starting after `skip`.
    async fn files_of(&self, owner: Address, skip: u64, limit: u64) -> Result<Vec<FileRecord>, ChainError>;
}
