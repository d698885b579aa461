//! Why a full node could not open, store or execute its chain.

use crate::{
    codec::CodecError,
    consensus::ConsensusError,
    kv::KvError,
    types::{B256, BlockId, Height},
};

/// A failure of the chain's own machinery; a node stops on it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// A record cannot be read.
    #[error("the database holds an unreadable record: {0}")]
    Codec(#[from] CodecError),
    /// A key of an impossible length.
    #[error("the database holds a key of {len} B in column {column}, expected {expected} B")]
    Key { column: &'static str, len: usize, expected: usize },
    /// An executed header cannot be read.
    #[error("the executed header of height {height} is unreadable: {reason}")]
    Header { height: Height, reason: String },
    /// The database belongs to another chain.
    #[error("the database belongs to the chain with genesis {found}, this node is configured for genesis {expected}")]
    ForeignGenesis { found: B256, expected: B256 },
    /// A genesis document that cannot be built.
    #[error("the genesis is not valid: {0}")]
    Genesis(String),
    /// A committee that cannot decide, or a certificate that does not prove a decision.
    #[error(transparent)]
    Consensus(#[from] ConsensusError),
    /// The state holds no committee that could decide a height.
    #[error("the state has no valid committee for height {height}: {reason}")]
    Committee { height: Height, reason: String },
    /// A certificate for something else.
    #[error("block {block} of height {height} came with a certificate for block {names}")]
    ForeignCertificate { height: Height, block: BlockId, names: BlockId },
    /// A record that must exist does not.
    #[error("the database lacks the {what} of height {height}")]
    Missing { what: &'static str, height: Height },
    /// The state of another node's block is only partly here.
    #[error("the database holds an unfinished state sync: finish it, or start with chain.sync = \"blocks\" to drop it")]
    UnfinishedSync,
    /// State and executed header disagree.
    #[error("the state of height {height} has root {found}, its header says {expected}: the database is damaged")]
    Root { height: Height, found: B256, expected: B256 },
    /// A state that takes too much work for one question.
    #[error(
        "state of block {height} lies too far back for one question, which got as far as block {reached}: ask again"
    )]
    FarState { height: Height, reached: Height },
    /// Transactions and receipts of a block that do not pair up.
    #[error("block {height} has {txs} transactions and {receipts} receipts: the database is damaged")]
    Uneven { height: Height, txs: usize, receipts: usize },
    /// A block that does not follow the newest one.
    #[error("block of height {found} was handed in for execution after height {tip}")]
    OutOfOrder { found: Height, tip: Height },
    /// A different block for a height that is decided.
    #[error("two different blocks were decided for height {0}")]
    Conflict(Height),
    /// The executor failed on a decided block.
    #[error("block of height {height} cannot be executed: {reason}")]
    Execution { height: Height, reason: String },
}

/// A range of blocks that begins before this node's history: an answer without the missing ones would be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("pruned history unavailable: block {from} is not kept, this node's history begins with block {first}")]
pub struct NotKept {
    from: Height,
    first: Height,
}

impl NotKept {
    /// Refuses `from..=to` on a node whose first kept block is `first`. An empty range needs nothing.
    pub fn check(first: Height, from: Height, to: Height) -> Result<(), Self> {
        if from >= first || from > to { Ok(()) } else { Err(Self { from, first }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_kept_from_its_first_block_on() {
        assert_eq!(NotKept::check(5, 5, 9), Ok(()));
        assert_eq!(NotKept::check(5, 4, 3), Ok(()));
        let gone = NotKept::check(5, 4, 9).unwrap_err();
        let words = "pruned history unavailable: block 4 is not kept, this node's history begins with block 5";
        assert_eq!(gone.to_string(), words);
    }
}
