//! State sync: how a node without a past takes over the state of a recent block instead of executing every block before it.
//!
//! Owns the snapshots this node serves, the download of one from others, and when that is done. Must not know how states are
//! divided or proven (`ledger::snapshot`), nor how the target is certified (`client::light`). Invariants: nothing is written
//! that is not proven by the target's state root; an interrupted download goes on where it was; the state is this node's own
//! only after its root was computed from what is on the disk, and all markers change in one batch.

mod error;
mod fetch;
mod peers;
mod run;
mod server;
mod store;
mod wire;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

pub use error::StateSyncError;
pub(super) use fetch::newest_tip;
pub use run::StateSync;
pub(super) use server::StateServer;
#[cfg(test)]
pub(super) use store::SyncStore;
pub use store::awaits_chain;
pub(super) use store::unfinished;

use crate::{config::SyncMode, network::PeerId};
use std::time::Duration;

/// Blocks the network must be ahead of a fresh node for it to prefer state sync on its own: fewer are executed in seconds.
pub const AUTO_MIN_BLOCKS: u64 = 1_000;

/// When and from whom a state is taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncConfig {
    /// When.
    pub mode: SyncMode,
    /// Blocks the network must be ahead for a node that may choose to take over a state.
    pub far_blocks: u64,
    /// Peers that are asked besides the connected ones.
    pub peers: Vec<PeerId>,
    /// How patient this node is.
    pub timing: SyncTiming,
}

impl Default for SyncConfig {
    fn default() -> Self {
        let (mode, far_blocks) = (SyncMode::Auto, AUTO_MIN_BLOCKS);
        Self { mode, far_blocks, peers: Vec::new(), timing: SyncTiming::default() }
    }
}

/// How patient a node is with its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncTiming {
    /// Time an answer with parts may take.
    pub answer: Duration,
    /// Time the answer to which snapshots there are may take.
    pub offer: Duration,
    /// Time until somebody who offers anything is found, when the node could do without.
    pub search: Duration,
    /// The same when it cannot, and the time all peers may be silent while parts are missing.
    pub patience: Duration,
}

impl Default for SyncTiming {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(8),
            offer: Duration::from_secs(2),
            search: Duration::from_secs(5),
            patience: Duration::from_secs(60),
        }
    }
}
