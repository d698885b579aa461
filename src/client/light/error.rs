//! Why a light client does not believe, or does not know.

use crate::client::{ChainError, Fault};
use crate::codec::CodecError;
use crate::consensus::HeaderFault;
use crate::kv::KvError;
use crate::ledger::contents::ContentsError;
use crate::ledger::genesis::GenesisError;
use crate::ledger::witness::WitnessError;
use crate::rpc::error::{METHOD_NOT_FOUND, NOT_FOUND, UNAVAILABLE};
use crate::types::{B256, BlockId, FileId, Height};

/// What a light client can be told wrong, or not at all.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LightError {
    /// No answer, or a refusal.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Genesis is trusted, not certified.
    #[error("height 0 is genesis: no certificate is needed, and there is none")]
    Genesis,
    /// The genesis document itself is not valid.
    #[error("the genesis is not valid: {0}")]
    BadGenesis(#[from] GenesisError),
    /// The node follows another chain.
    #[error("the chain node follows the chain with genesis {found}, the genesis given has hash {expected}")]
    ForeignGenesis { found: B256, expected: B256 },
    /// Another history than the one vouched for.
    #[error("block {height} has id {found} on this chain, {expected} is trusted: it is another history")]
    ForeignBlock { height: Height, found: BlockId, expected: BlockId },
    /// A checkpoint of another chain.
    #[error("the saved checkpoint belongs to the chain with genesis {found}, the genesis given has hash {expected}")]
    ForeignCheckpoint { found: B256, expected: B256 },
    /// A checkpoint that cannot be read or written.
    #[error("the checkpoint cannot be kept: {0}")]
    Kv(#[from] KvError),
    /// A checkpoint of another version.
    #[error("the saved checkpoint cannot be read: {0}")]
    Codec(#[from] CodecError),
    /// The node does not have it: not decided yet, or not kept any more.
    #[error("the chain node has no {what} of height {height}")]
    Missing { what: &'static str, height: Height },
    /// Not an answer.
    #[error("the chain node answered nonsense: {0}")]
    Malformed(String),
    /// A header or committee that is not believed.
    #[error(transparent)]
    Header(#[from] HeaderFault),
    /// Executed headers that do not form a chain.
    #[error("executed header of height {height} has hash {found}, the one above names {expected} as its parent")]
    Unlinked { height: Height, found: B256, expected: B256 },
    /// State that is not the certified one.
    #[error("a proof of state at height {height} is false: {reason}")]
    Witness { height: Height, reason: WitnessError },
    /// A proof from which something is left out.
    #[error("a proof of state at height {height} is incomplete: {reason}")]
    Incomplete { height: Height, reason: String },
    /// Transactions or receipts that are not the certified ones.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// A transaction that is not where the node says.
    #[error("the chain node says that transaction {tx} is in block {height}, which does not hold it")]
    Misplaced { tx: B256, height: Height },
    /// A manifest that is not the file's.
    #[error("the manifest given for file `{id}` has id `{found}`")]
    Manifest { id: FileId, found: FileId },
    /// A file that exists without a manifest.
    #[error("the chain node holds back the manifest of file `{id}`, which exists since block {height}")]
    NoManifest { id: FileId, height: Height },
}

impl LightError {
    /// What it says of the node that answered, if anything.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Missing { .. } | Self::NoManifest { .. } | Self::Header(HeaderFault::Stale { .. }) => {
                Some(Fault::Lacking)
            }
            Self::Chain(ChainError::Refused { code: METHOD_NOT_FOUND | NOT_FOUND | UNAVAILABLE, .. }) => {
                Some(Fault::Lacking)
            }
            // A third of a committee signed twice: who showed it is not to blame.
            Self::Header(HeaderFault::Fork { .. }) => None,
            Self::Malformed(_) | Self::Header(_) | Self::Unlinked { .. } | Self::Witness { .. } => Some(Fault::Lied),
            Self::Incomplete { .. } | Self::Contents(_) | Self::Misplaced { .. } => Some(Fault::Lied),
            Self::Manifest { .. } | Self::ForeignGenesis { .. } | Self::ForeignBlock { .. } => Some(Fault::Lied),
            _ => None,
        }
    }
}

impl From<LightError> for ChainError {
    fn from(error: LightError) -> Self {
        match error {
            LightError::Chain(error) => error,
            // Asking again, or somebody else, may help.
            error if error.fault() == Some(Fault::Lacking) => ChainError::Unreachable(error.to_string()),
            error => ChainError::Untrusted(error.to_string()),
        }
    }
}
