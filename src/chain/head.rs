//! How far the chain is: the newest decided block, the newest executed one, and what follows from each for the next.

use super::{committees::Seated, records::ExecutedBlock};
use crate::{
    consensus::{BLOCK_MAX_TXS, Block, Executed},
    ledger::{executor::next_base_fee, tx::VerifiedTx},
    types::{
        B256, BlockId, Height,
        params::{BLOCK_GAS_LIMIT, BLOCK_MAX_BYTES},
    },
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The newest decided block, on which the next is built. It is executed, or is being executed.
#[derive(Debug, Clone)]
pub struct Ordered {
    /// The block.
    pub block: Decided,
    /// When it was proposed, as far as this node can tell: the next block's time counts from here.
    pub since: Instant,
    /// Whether there was hardly room left in it: more may be waiting than fits the next one.
    pub is_full: bool,
    /// Who decides the block after it.
    pub committee: Arc<Seated>,
    /// Who decides the one after that.
    pub next_committee: Arc<Seated>,
}

/// What a decided block is for the one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// Its height.
    pub height: Height,
    /// Id of its header, all zeroes for genesis.
    pub id: BlockId,
    /// Its time.
    pub time_ms: u64,
    /// Its beacon.
    pub beacon: B256,
}

/// The newest executed block.
#[derive(Debug, Clone)]
pub struct Head {
    /// The block.
    pub executed: ExecutedBlock,
    /// Base fee of the block after it.
    pub next_base_fee: u64,
}

impl Decided {
    /// A block with the beacon it brings.
    pub fn new(block: &Block, beacon: B256) -> Self {
        Self { height: block.header.height, id: block.id(), time_ms: block.header.time_ms, beacon }
    }
}

impl From<&ExecutedBlock> for Decided {
    fn from(executed: &ExecutedBlock) -> Self {
        Self { height: executed.height(), id: executed.block, time_ms: executed.time_ms, beacon: executed.beacon }
    }
}

impl Ordered {
    /// `block` was decided at `now_ms` or before; the next two are decided by the committees given. It was proposed earlier, by
    /// its own word: that is believed up to `believed`, so that a wrong clock makes the next block early by no more.
    pub fn new(block: Decided, [committee, next_committee]: [Arc<Seated>; 2], now_ms: u64, believed: Duration) -> Self {
        let age = Duration::from_millis(now_ms.saturating_sub(block.time_ms)).min(believed);
        let now = Instant::now();
        Self { block, since: now.checked_sub(age).unwrap_or(now), is_full: false, committee, next_committee }
    }

    /// The block holds these transactions.
    pub fn holding(self, txs: &[Arc<VerifiedTx>]) -> Self {
        let gas = txs.iter().map(|tx| tx.gas_limit()).fold(0, u64::saturating_add);
        let bytes: usize = txs.iter().map(|tx| tx.raw.len()).sum();
        let is_full =
            gas >= BLOCK_GAS_LIMIT / 4 * 3 || bytes >= BLOCK_MAX_BYTES / 4 * 3 || txs.len() >= BLOCK_MAX_TXS / 4 * 3;
        Self { is_full, ..self }
    }

    /// Its height.
    pub fn height(&self) -> Height {
        self.block.height
    }
}

impl Head {
    /// `executed` becomes the head.
    pub fn new(executed: ExecutedBlock) -> Self {
        let header = &executed.header;
        let next_base_fee = next_base_fee(header.gas_used, header.gas_limit, executed.base_fee());
        Self { next_base_fee, executed }
    }

    /// Its height.
    pub fn height(&self) -> Height {
        self.executed.height()
    }

    /// How headers above it name it.
    pub fn named(&self) -> Executed {
        Executed { height: self.height(), hash: self.executed.hash }
    }

    /// Hash of the executed block of `height`, if that is this one or its parent.
    pub fn hash_of(&self, height: Height) -> Option<B256> {
        match self.height().checked_sub(height)? {
            0 => Some(self.executed.hash),
            1 => Some(self.executed.header.parent_hash),
            _ => None,
        }
    }

    /// The highest base fee that the block of `height` can have: blocks in between may turn out full.
    pub fn base_fee_bound(&self, height: Height) -> u64 {
        let unexecuted = height.saturating_sub(self.height() + 1);
        (0..unexecuted).fold(self.next_base_fee, |fee, _| next_base_fee(BLOCK_GAS_LIMIT, BLOCK_GAS_LIMIT, fee))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::committee_of;

    fn head(height: Height) -> Head {
        let header = alloy_consensus::Header {
            number: height,
            parent_hash: B256::repeat_byte(1),
            base_fee_per_gas: Some(1_000),
            gas_limit: BLOCK_GAS_LIMIT,
            gas_used: BLOCK_GAS_LIMIT / 2,
            ..Default::default()
        };
        Head::new(ExecutedBlock { hash: B256::repeat_byte(2), ..ExecutedBlock::bare(header) })
    }

    #[test]
    fn counts_from_the_proposal_and_believes_no_clock_too_far() {
        const NOW_MS: u64 = 1_700_000_000_000;
        let believed = Duration::from_millis(250);
        let young = (NOW_MS - 100, 100);
        let old = (NOW_MS - 3_600_000, 250);
        let of_a_fast_clock = (NOW_MS + 15_000, 0);
        let of_no_clock = (0, 250);
        let (committee, _) = committee_of(1);
        let seated = Arc::new(Seated { hash: committee.hash(), committee });
        for (time_ms, age) in [young, old, of_a_fast_clock, of_no_clock] {
            let age = Duration::from_millis(age);
            let before = Instant::now();
            let block = Decided { time_ms, ..Decided::from(&head(3).executed) };
            let ordered = Ordered::new(block, [seated.clone(), seated.clone()], NOW_MS, believed);
            assert!(before <= ordered.since + age && ordered.since + age <= Instant::now(), "{time_ms}");
        }
    }

    #[test]
    fn knows_the_hashes_that_a_header_may_name() {
        let hashes = (0..=4).map(|height| head(3).hash_of(height));
        let (parent, own) = (B256::repeat_byte(1), B256::repeat_byte(2));
        assert!(hashes.eq([None, None, Some(parent), Some(own), None]));
        assert_eq!(head(0).hash_of(0), Some(own));
    }

    #[test]
    fn bounds_the_base_fee_over_blocks_that_are_not_executed() {
        let head = head(3);
        let of = |height| head.base_fee_bound(height);
        assert_eq!((of(3), of(4), of(5)), (1_000, 1_000, 1_125), "half full blocks keep it, a full one adds an eighth");
    }
}
