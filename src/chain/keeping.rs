//! What a chain node keeps of its past.

use crate::config::History;

/// Blocks between two checkpoints of the state, unless settings say otherwise.
const CHECKPOINT_BLOCKS: u64 = 1_000;

/// How much of the past is kept, and what a start may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    /// Whose states stay readable.
    pub history: History,
    /// Blocks between two checkpoints of the state; 0 writes none.
    pub checkpoint_blocks: u64,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { history: History::default(), checkpoint_blocks: CHECKPOINT_BLOCKS }
    }
}
