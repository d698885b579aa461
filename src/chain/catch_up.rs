//! Many decided blocks at once, for a node that was away.
//!
//! Owns their order and their checks. Must not know where they come from. Invariants: certificates are verified before anything is
//! stored; all blocks of a stretch are durable before the first is executed.

use super::{error::StoreError, full::FullChain, statesync::newest_tip};
use crate::{
    consensus::{Block, Calendar, Certificate},
    network::{Network, peer_id_of},
    types::Height,
};
use rayon::prelude::*;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a node that was away waits for its first peer.
const PEER_PATIENCE: Duration = Duration::from_secs(2);
/// Pause between two looks for peers.
const PEER_PAUSE: Duration = Duration::from_millis(20);

/// Blocks that others have decided since the newest one here, by what they say.
pub(super) async fn missing(chain: &FullChain, net: &Arc<dyn Network>) -> u64 {
    let head = chain.head();
    let age_ms = chain.node().clock.unix_ms().saturating_sub(head.executed.time_ms);
    // Whoever was away for a moment, or decides alone, has missed nothing worth a question.
    if Duration::from_millis(age_ms) < PEER_PATIENCE || decides_alone(chain, net.as_ref()) {
        return 0;
    }
    let deadline = Instant::now() + PEER_PATIENCE;
    while net.peers().is_empty() && Instant::now() < deadline {
        tokio::time::sleep(PEER_PAUSE).await;
    }
    newest_tip(net).await.saturating_sub(head.height())
}

fn decides_alone(chain: &FullChain, net: &dyn Network) -> bool {
    let members = &chain.ordered().committee.committee.members;
    let local = net.local_peer();
    members.iter().all(|member| peer_id_of(&member.network_key).is_ok_and(|host| host == local))
}

impl FullChain {
    /// Stores and executes blocks that follow the newest one. The inner error says what is wrong with them; those before the wrong
    /// stretch are committed then.
    pub fn commit_many(&self, blocks: &[(Block, Certificate)]) -> Result<Result<(), String>, StoreError> {
        let mut rest = blocks;
        while let Some((first, _)) = rest.first() {
            let tip = self.head().height();
            let consecutive = (tip + 1..).zip(rest).all(|(height, (block, _))| block.header.height == height);
            if !consecutive {
                return Ok(Err(format!("block {} and those after it do not follow block {tip}", first.header.height)));
            }
            let last = self.last_judged();
            let judged = rest.iter().take_while(|(block, _)| block.header.height <= last).count().max(1);
            let (stretch, later) = rest.split_at(judged);
            if let Err(fault) = self.check_certificates(stretch) {
                return if is_of_sender(&fault) { Ok(Err(fault.to_string())) } else { Err(fault) };
            }
            self.blocks().append_all(stretch)?;
            for (block, _) in stretch {
                self.worked(block)?;
            }
            rest = later;
        }
        Ok(Ok(()))
    }

    /// Highest height whose committee the state names: the last of the next era.
    fn last_judged(&self) -> Height {
        let calendar = Calendar::of(&self.spec().params);
        calendar.last(calendar.era(self.head().height() + 1) + 1)
    }

    fn check_certificates(&self, blocks: &[(Block, Certificate)]) -> Result<(), StoreError> {
        let check = |(block, certificate): &(Block, Certificate)| self.check_certificate(block, certificate);
        self.node().pool.install(|| blocks.par_iter().map(check).collect())
    }
}

/// Whether somebody sent a wrong block, and nothing is wrong here.
fn is_of_sender(fault: &StoreError) -> bool {
    matches!(fault, StoreError::Consensus(_) | StoreError::ForeignCertificate { .. })
}
