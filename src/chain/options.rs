//! What may differ between nodes of one chain.

use super::{
    keeping::Keeping,
    mempool::{Limits, SignatureMemo},
};
use crate::types::ExecutorChoice;
use std::sync::Arc;

/// How a node runs its chain; the outcome is the same with any.
#[derive(Debug, Clone, Default)]
pub struct ChainOptions {
    /// What it keeps of the past.
    pub keeping: Keeping,
    /// What may wait for a block.
    pub pool: Limits,
    /// How it runs blocks.
    pub executor: ExecutorChoice,
    /// Signatures checked already, if nodes of this process share that.
    pub memo: Option<Arc<SignatureMemo>>,
}
