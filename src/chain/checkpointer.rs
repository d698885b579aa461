//! The background worker that writes a checkpoint of the state every so many blocks.
//!
//! Owns when. Must not know what a checkpoint looks like. Invariant: blocks never wait for it; it works on a clone of a trie.

use super::full::FullChain;
use crate::runtime::{Criticality, Node, Phase};
use std::sync::Arc;

/// Starts the worker, unless checkpoints are off.
pub(super) fn spawn(node: &Node, chain: Arc<FullChain>) {
    let every = chain.keeping().checkpoint_blocks;
    if every == 0 {
        return;
    }
    let (worker, stop) = (node.workers.register("state checkpoint"), node.tasks.stopping(Phase::Produce));
    let (worker, mut heads) = (Arc::new(worker), chain.watch());
    node.tasks.spawn(Phase::Produce, "state checkpoint", Criticality::Optional, async move {
        let watch = async {
            loop {
                let height = heads.borrow_and_update().height();
                if height >= chain.checkpointed().unwrap_or_default() + every {
                    let (chain, worker) = (chain.clone(), worker.clone());
                    // A thread of its own: the compute pool is for blocks.
                    let written = tokio::task::spawn_blocking(move || chain.write_checkpoint(&worker)).await;
                    match written {
                        Ok(Ok(height)) => tracing::debug!(height, "checkpoint of the state written"),
                        Ok(Err(_)) | Err(_) => return,
                    }
                }
                if heads.changed().await.is_err() {
                    return;
                }
            }
        };
        stop.run_until_cancelled(watch).await;
        Ok(())
    });
}
