//! The newest executed block and what follows from it for the next.

use super::{committees::Seated, records::ExecutedBlock};
use crate::{ledger::executor::next_base_fee, types::Height};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The newest executed block.
#[derive(Debug, Clone)]
pub struct Head {
    /// The block.
    pub executed: ExecutedBlock,
    /// Base fee of the block after it.
    pub next_base_fee: u64,
    /// When it was proposed, as far as this node can tell: the next block's time counts from here.
    pub since: Instant,
    /// Who decides the block after it.
    pub committee: Arc<Seated>,
    /// Who decides the one after that.
    pub next_committee: Arc<Seated>,
}

impl Head {
    /// `executed` becomes the head at `now_ms`; the next two blocks are decided by the committees given. It was proposed earlier,
    /// by its own word: that is believed up to `believed`, so that a wrong clock makes the next block early by no more.
    pub fn new(
        executed: ExecutedBlock,
        [committee, next_committee]: [Arc<Seated>; 2],
        now_ms: u64,
        believed: Duration,
    ) -> Self {
        let header = &executed.header;
        let next_base_fee = next_base_fee(header.gas_used, header.gas_limit, executed.base_fee());
        let age = Duration::from_millis(now_ms.saturating_sub(executed.time_ms)).min(believed);
        let now = Instant::now();
        let since = now.checked_sub(age).unwrap_or(now);
        Self { next_base_fee, executed, since, committee, next_committee }
    }

    /// Its height.
    pub fn height(&self) -> Height {
        self.executed.height()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        consensus::committee_of,
        types::{B256, BlockId},
    };

    fn block(time_ms: u64) -> ExecutedBlock {
        ExecutedBlock {
            hash: B256::ZERO,
            header: alloy_consensus::Header::default(),
            beacon: B256::ZERO,
            block: BlockId::default(),
            time_ms,
            skipped: Vec::new(),
        }
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
            let head = Head::new(block(time_ms), [seated.clone(), seated.clone()], NOW_MS, believed);
            assert!(before <= head.since + age && head.since + age <= Instant::now(), "{time_ms}");
        }
    }
}
