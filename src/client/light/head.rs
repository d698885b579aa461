//! The newest block a light client trusts, as the chain's status.

use super::{Certified, LightClient};
use crate::client::ChainStatus;
use crate::ledger::header::ExecutedHeader;
use crate::types::{B256, Height};

/// A chain whose newest block is older than this many idle intervals is behind: one more than for a full node, as certified
/// headers lag by a block.
const BEHIND_AFTER_INTERVALS: u64 = 6;

/// An executed block with what a client says of it.
#[derive(Debug)]
pub(super) struct LightHead {
    pub executed: ExecutedHeader,
    pub hash: B256,
    pub time_ms: u64,
}

impl LightHead {
    /// The block of genesis.
    pub fn genesis(client: &LightClient) -> Self {
        let (header, hash) = client.genesis();
        Self { executed: header.clone(), hash, time_ms: header.timestamp.saturating_mul(1_000) }
    }

    /// A certified block.
    pub fn new(certified: Certified) -> Self {
        let Certified { signed, executed, hash, .. } = certified;
        Self { executed, hash, time_ms: signed.header.time_ms }
    }

    pub fn height(&self) -> Height {
        self.executed.number
    }

    /// The status at `now_ms`. How many peers the answering node has is its own word.
    pub fn status(&self, client: &LightClient, peers: usize, now_ms: u64) -> ChainStatus {
        let params = client.params();
        let age = now_ms.saturating_sub(self.time_ms);
        ChainStatus {
            chain_id: client.rules().chain_id,
            genesis: client.genesis().1,
            height: self.height(),
            hash: self.hash,
            beacon: self.executed.mix_hash,
            time_ms: self.time_ms,
            profile: params.profile,
            peers,
            syncing: age > BEHIND_AFTER_INTERVALS * params.idle_block_interval_ms,
        }
    }
}
