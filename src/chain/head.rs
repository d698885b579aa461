//! The newest executed block and what follows from it for the next.

use super::records::ExecutedBlock;
use crate::{ledger::executor::next_base_fee, types::Height};
use tokio::time::Instant;

/// The newest executed block.
#[derive(Debug, Clone)]
pub struct Head {
    /// The block.
    pub executed: ExecutedBlock,
    /// Base fee of the block after it.
    pub next_base_fee: u64,
    /// When this node executed it.
    pub since: Instant,
}

impl Head {
    /// `executed` becomes the head now.
    pub fn new(executed: ExecutedBlock) -> Self {
        let header = &executed.header;
        let next_base_fee = next_base_fee(header.gas_used, header.gas_limit, executed.base_fee());
        Self { next_base_fee, executed, since: Instant::now() }
    }

    /// Its height.
    pub fn height(&self) -> Height {
        self.executed.height()
    }
}
