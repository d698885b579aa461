//! Whether a state is taken over, which one, and what happens when that fails.
//!
//! Owns the decision and the choice of the target. Must not know parts. Invariants: a node with a chain keeps it; a target is
//! proven by certificates from genesis before anything of it is asked for; a node that may choose always comes up, by blocks
//! if not by state.

use super::{
    StateSyncError, SyncConfig,
    fetch::{End, Fetch, Offer, SEARCH_PAUSE, offers},
    peers::Peers,
    store::SyncStore,
};
use crate::{
    chain::{
        error::StoreError,
        full::genesis_block,
        records::{ExecutedBlock, GenesisRecord},
    },
    client::{
        TunnelTransport,
        light::{Certified, LightClient, LightError},
    },
    config::SyncMode,
    kv::Kv,
    ledger::genesis::Genesis,
    network::{Network, PeerId},
    runtime::{Counter, Node, Worker},
    types::Height,
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::time::Instant;

/// Targets tried before the node gives up.
const TARGETS_MAX: usize = 5;
/// Offered heights whose proof is tried in one look.
const PROOFS_MAX: usize = 3;

/// A state sync of one node.
pub struct StateSync<'a> {
    /// The node.
    pub node: &'a Node,
    /// Its host.
    pub net: &'a Arc<dyn Network>,
    /// Its database.
    pub kv: &'a Arc<dyn Kv>,
    /// The chain's genesis, which all trust begins with.
    pub genesis: &'a Genesis,
    /// When and from whom.
    pub config: &'a SyncConfig,
    /// Where it is shown.
    pub worker: &'a Worker,
}

impl StateSync<'_> {
    /// Takes over a state if that is wanted and better than executing blocks. Returns its height, `None` if nothing was taken over:
    /// the database then holds a chain, or nothing.
    pub async fn run(&self) -> Result<Option<Height>, StateSyncError> {
        let store = Arc::new(SyncStore::new(self.kv.clone()));
        if blocking(self.node, &store, SyncStore::has_chain).await? {
            return Ok(None);
        }
        let resumed = blocking(self.node, &store, SyncStore::target).await?;
        let mode = self.config.mode;
        if mode == SyncMode::Blocks || (mode == SyncMode::Auto && resumed.is_none() && self.is_young()) {
            return self.without(&store, resumed.is_some()).await;
        }
        let outcome = self.take_over(&store, resumed).await;
        self.worker.idle();
        match outcome {
            Ok(Some(height)) => {
                self.node.metrics.add(Counter::StateSyncs, 1);
                tracing::info!(height, "the state was taken over; blocks follow from here");
                Ok(Some(height))
            }
            Ok(None) => self.without(&store, false).await,
            Err(StateSyncError::Store(error)) => Err(error.into()),
            Err(error) => {
                self.worker.error(&error);
                if mode == SyncMode::State {
                    return Err(error);
                }
                tracing::warn!(%error, "state sync failed, blocks are executed from genesis on");
                self.without(&store, true).await
            }
        }
    }

    /// Whether the chain is too young for the network to be far ahead.
    fn is_young(&self) -> bool {
        let age_ms = self.node.clock.unix_ms().saturating_sub(self.genesis.time_ms);
        age_ms / self.genesis.params().block_interval_ms.max(1) < self.config.far_blocks
    }

    async fn without(&self, store: &Arc<SyncStore>, begun: bool) -> Result<Option<Height>, StateSyncError> {
        if begun {
            blocking(self.node, store, SyncStore::wipe).await?;
        }
        Ok(None)
    }

    async fn take_over(
        &self,
        store: &Arc<SyncStore>,
        mut resumed: Option<ExecutedBlock>,
    ) -> Result<Option<Height>, StateSyncError> {
        let mut peers = Peers::default();
        for _ in 0..TARGETS_MAX {
            let target = match resumed.take() {
                Some(target) => target,
                None => {
                    let Some(target) = self.choose(&mut peers).await? else { return Ok(None) };
                    let begun = target.clone();
                    blocking(self.node, store, move |store| store.begin(&begun)).await?;
                    target
                }
            };
            let height = target.height();
            self.worker.busy(format!("state of block {height}"));
            tracing::info!(height, root = %target.header.state_root, peers = peers.useful(), "state sync");
            let (known, timing) = (self.config.peers.as_slice(), self.config.timing);
            let (node, net, worker, peers) = (self.node, self.net, self.worker, &mut peers);
            let mut fetch = Fetch { node, net, store, worker, timing, height, peers, known };
            match fetch.run().await? {
                End::Complete => {
                    self.finish(store, target).await?;
                    return Ok(Some(height));
                }
                End::Gone => {
                    tracing::warn!(height, "nobody offers this state any more, another one is taken");
                    self.worker.error(format_args!("nobody offers the state of block {height} any more"));
                    blocking(self.node, store, SyncStore::wipe).await?;
                    peers.retarget();
                }
            }
        }
        Err(StateSyncError::Vanished(TARGETS_MAX))
    }

    async fn finish(&self, store: &Arc<SyncStore>, target: ExecutedBlock) -> Result<(), StoreError> {
        self.worker.busy(format!("root of the state of block {}", target.height()));
        let genesis = self.genesis.clone();
        blocking(self.node, store, move |store| {
            let (first, _) = genesis_block(&genesis)?;
            let record = GenesisRecord { hash: first.hash.0, chain_id: genesis.chain_id };
            store.finish(&target, &record, &first)
        })
        .await
    }

    /// Finds a state that somebody offers and certificates prove.
    async fn choose(&self, peers: &mut Peers) -> Result<Option<ExecutedBlock>, StateSyncError> {
        let timing = &self.config.timing;
        let patience = if self.config.mode == SyncMode::State { timing.patience } else { timing.search };
        let deadline = Instant::now() + patience;
        self.worker.busy("looking for a snapshot");
        let mut refused = None;
        loop {
            let found = offers(self.net, &self.config.peers, peers, timing.offer).await;
            if self.is_enough(&found) {
                return Ok(None);
            }
            for height in preferred(&found) {
                let having: Vec<&Offer> = found.iter().filter(|offer| offer.snapshots.contains(&height)).collect();
                match self.prove(height, having.iter().map(|offer| offer.peer).collect()).await {
                    Ok(target) => {
                        having.iter().for_each(|offer| peers.offers(offer.peer));
                        return Ok(Some(target));
                    }
                    Err(source) => {
                        tracing::warn!(height, error = %source, "an offered state is not proven");
                        refused = Some(StateSyncError::Unproven { height, source });
                    }
                }
            }
            if Instant::now() >= deadline {
                return Err(refused.unwrap_or(StateSyncError::NoSnapshot(patience)));
            }
            tokio::time::sleep(SEARCH_PAUSE).await;
        }
    }

    /// Whether a node that may choose needs to look no further: it is alone, or the others are not far ahead.
    fn is_enough(&self, found: &[Offer]) -> bool {
        let alone = self.config.peers.is_empty() && self.net.peers().is_empty();
        let tip = found.iter().map(|offer| offer.tip).max();
        self.config.mode == SyncMode::Auto && (alone || tip.is_some_and(|tip| tip < self.config.far_blocks))
    }

    /// The executed block of a height, proven by certificates from genesis on.
    async fn prove(&self, height: Height, peers: Vec<PeerId>) -> Result<ExecutedBlock, LightError> {
        let transport = Arc::new(TunnelTransport::new(self.net.clone(), peers));
        let light = LightClient::new(transport, self.genesis, self.node.pool.clone())?;
        let Certified { signed, executed, hash, .. } = light.certified(height).await?;
        let (block, time_ms) = (signed.header.id(), signed.header.time_ms);
        // Which transactions of its body were skipped is told by nobody, and only those who keep the body are asked.
        Ok(ExecutedBlock { hash, beacon: executed.mix_hash, header: executed, block, time_ms, skipped: Vec::new() })
    }
}

/// Offered heights, best first: what several peers have, then what is newest.
fn preferred(offers: &[Offer]) -> Vec<Height> {
    let mut having = BTreeMap::<Height, usize>::new();
    offers.iter().flat_map(|offer| &offer.snapshots).for_each(|height| *having.entry(*height).or_default() += 1);
    let mut heights: Vec<Height> = having.keys().copied().collect();
    heights.sort_by_key(|height| std::cmp::Reverse((having[height].min(2), *height)));
    heights.truncate(PROOFS_MAX);
    heights
}

async fn blocking<T: Send + 'static>(
    node: &Node,
    store: &Arc<SyncStore>,
    job: impl FnOnce(&SyncStore) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = store.clone();
    node.pool.run(move || job(&store)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_of_several_peers_come_before_newer_ones_of_one() {
        let offer = |snapshots: &[Height]| Offer { peer: PeerId::random(), tip: 400, snapshots: snapshots.to_vec() };
        let offers = [offer(&[180, 240, 300]), offer(&[240, 300]), offer(&[391]), offer(&[])];
        assert_eq!(preferred(&offers), [300, 240, 391]);
        assert_eq!(preferred(&offers[3..]), [0; 0]);
    }
}
