//! What the Ethereum methods answer from: one chain, whoever makes its blocks.
//!
//! Owns the port alone. A full node's chain stands behind it, a developer's chain that mines on demand, and an imported chain that
//! only reads. Must not know JSON. Invariants: a height that [`Backend::latest`] named stays readable through its header; a
//! state belongs to exactly one block; every environment is the one its block is or would be executed in.

use crate::{
    chain::{
        error::StoreError,
        log_index::LogRow,
        mempool::{Mempool, PoolError},
        records::{ExecutedBlock, TxPlace},
    },
    ledger::{
        commitment::StateTrie,
        ethereum::Forks,
        executor::{BlockEnv, Call, Receipt, Session},
        header::ExecutedHeader,
        state::{AccountInfo, StateError, StateView},
        tx::{TxError, VerifiedTx},
    },
    runtime::Node,
    types::{Address, B256, ChainId, Height, U256},
};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};
use std::sync::Arc;

/// A block with everything the methods tell about it. Transactions and receipts are in step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainBlock {
    /// Header, hash and what consensus adds to them.
    pub block: ExecutedBlock,
    /// Envelopes of the transactions that ran.
    pub txs: Vec<Bytes>,
    /// Their receipts.
    pub receipts: Vec<Receipt>,
    /// Headers of ommers: only imported chains from before the merge have any.
    pub ommers: Vec<ExecutedHeader>,
    /// Withdrawals, `None` before Shanghai.
    pub withdrawals: Option<Vec<Withdrawal>>,
}

/// Where code is found by its hash. None is ever forgotten.
pub trait CodeSource: Send + Sync {
    /// The code with this hash.
    fn code(&self, hash: &B256) -> Result<Bytes, StateError>;
    /// Hash of a block, where the state itself does not keep it.
    fn block_hash(&self, _number: Height) -> Option<B256> {
        None
    }
}

/// The state after one block, with its proofs.
#[derive(Clone)]
pub struct ChainState {
    /// Accounts and slots.
    pub trie: StateTrie,
    /// Their code.
    pub code: Arc<dyn CodeSource>,
}

impl StateView for ChainState {
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StateError> {
        Ok(self.trie.account(address).map(|account| account.info))
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        Ok(self.trie.slot(address, slot))
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.code.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, StateError> {
        Ok(self.code.block_hash(number))
    }
}

/// Why the state of a block cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StateGone {
    /// It is older than what this node keeps.
    #[error("state of block {height} is not kept, the oldest one kept is that of block {oldest}")]
    Pruned { height: Height, oldest: Height },
    /// There is no such block yet.
    #[error("block {0} is not executed yet")]
    Ahead(Height),
    /// The node failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One chain, read by the methods of `eth_`, `debug_`, `trace_` and `txpool_`. Reads block on the disk; callers run on the
/// compute pool.
pub trait Backend: Send + Sync + 'static {
    /// EIP-155 chain id.
    fn chain_id(&self) -> ChainId;
    /// The node it runs on.
    fn node(&self) -> &Node;
    /// Connected peers.
    fn peers(&self) -> usize {
        0
    }
    /// Whether peers may connect.
    fn is_listening(&self) -> bool {
        true
    }
    /// Accounts this node signs for: none, but on a developer's chain.
    fn accounts(&self) -> Vec<Address> {
        Vec::new()
    }
    /// Newest executed block.
    fn latest(&self) -> Height;
    /// Newest block that the tag `safe` means.
    fn safe(&self) -> Height {
        self.latest()
    }
    /// Newest block that the tag `finalized` means.
    fn finalized(&self) -> Height {
        self.latest()
    }
    /// First block whose transactions are kept, and from which on logs can be searched.
    fn first_kept(&self) -> Result<Height, StoreError>;
    /// An executed header, genesis included; `None` if there is none at this height.
    fn header(&self, height: Height) -> Result<Option<ExecutedBlock>, StoreError>;
    /// A block; `None` if there is none at this height, or its transactions are not kept.
    fn block(&self, height: Height) -> Result<Option<Arc<ChainBlock>>, StoreError>;
    /// Receipts of a block, empty if there is none.
    fn receipts(&self, height: Height) -> Result<Vec<Receipt>, StoreError>;
    /// The lowest `limit` heights from `from` on of blocks whose logs may have what this row stands for. Without an index that is
    /// every block, and its header tells more.
    fn log_heights(&self, _row: &LogRow, from: Height, limit: usize) -> Result<Vec<Height>, StoreError> {
        Ok((from..=self.latest()).take(limit).collect())
    }
    /// First block [`Backend::log_heights`] knows of.
    fn logs_from(&self) -> Result<Height, StoreError> {
        Ok(0)
    }
    /// RLP of the block access list (EIP-7928) of a block, `None` if it has none.
    fn access_list(&self, height: Height) -> Result<Option<Bytes>, StoreError>;
    /// Height of a block by its hash.
    fn find_block(&self, hash: &B256) -> Result<Option<Height>, StoreError>;
    /// Where a transaction is.
    fn find_tx(&self, hash: &B256) -> Result<Option<TxPlace>, StoreError>;
    /// The state after a block.
    fn state(&self, height: Height) -> Result<ChainState, StateGone>;
    /// The environment in which an executed block ran.
    fn env_of(&self, block: &ExecutedBlock) -> Result<BlockEnv, StoreError>;
    /// The environment of the block after `parent`, as far as it can be known.
    fn env_after(&self, parent: &ExecutedBlock) -> BlockEnv;
    /// Ethereum's fork schedule, where the chain follows it.
    fn forks(&self) -> Option<&Forks> {
        None
    }
    /// Decodes an envelope by the rules of this chain and recovers its sender.
    fn decode(&self, raw: &[u8]) -> Result<VerifiedTx, TxError>;
    /// Prints what a call that ran logs to Hardhat's console, on a developer's chain.
    fn tell_console(&self, _session: &Session<'_>, _call: &Call) {}
    /// Waiting transactions.
    fn pool(&self) -> &Mempool;
    /// Takes a transaction in.
    fn submit(&self, raw: Bytes) -> BoxFuture<'_, Result<B256, PoolError>>;
    /// Whether this node knows that it is behind.
    fn is_syncing(&self) -> BoxFuture<'_, bool>;
    /// The height of the newest block whenever it grows; heights may be skipped, the newest is never missed.
    fn heights(&self) -> BoxStream<'static, Height>;
}
