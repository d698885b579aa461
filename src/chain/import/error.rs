//! Why a chain could not be imported.

use crate::{
    codec::CodecError,
    kv::KvError,
    ledger::ethereum::{BlockFault, GenesisFault},
    types::{B256, Height},
};
use std::path::PathBuf;

/// Names the file or the block that is at fault.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("`{path}` cannot be read: {reason}")]
    File { path: PathBuf, reason: String },
    /// The genesis document.
    #[error("`{path}`: {fault}")]
    Genesis { path: PathBuf, fault: GenesisFault },
    /// Bytes that are no block.
    #[error("`{path}` holds no block at byte {offset}: {reason}")]
    NoBlock { path: PathBuf, offset: u64, reason: String },
    /// A block that breaks a rule.
    #[error("block {number} is refused: {fault}")]
    Block { number: Height, fault: BlockFault },
    /// The file begins with another chain's genesis.
    #[error("the blocks are of a chain with genesis {found}, the genesis document gives {expected}")]
    ForeignBlocks { found: B256, expected: B256 },
    /// The database holds another chain.
    #[error("the database holds a chain with genesis {found}, not {expected}: give another directory")]
    ForeignDatabase { found: B256, expected: B256 },
    /// The database holds another block of the same chain.
    #[error("the database holds block {number} as {found}, the file as {expected}: give another directory")]
    Fork { number: Height, found: B256, expected: B256 },
    /// The database failed.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The database is damaged.
    #[error("the database holds an unreadable record: {0}")]
    Codec(#[from] CodecError),
    /// The database is damaged.
    #[error("the database lacks the {what} of block {number}")]
    Missing { what: &'static str, number: Height },
}
