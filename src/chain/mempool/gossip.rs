//! Spreads transactions: publishes what is handed in here, admits what others publish.
//!
//! Owns the topic and its pace. Must not know blocks. Invariants: a transaction is admitted by the same rules wherever it comes
//! from; what is handed in here is announced again until it is mined, so that a node without peers loses nothing.

use crate::{
    chain::full::FullChain,
    network::{Network, Topic},
    runtime::{Criticality, Node, Phase},
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::sync::{broadcast::error::RecvError, mpsc};

/// Topic of raw transaction envelopes.
pub const TOPIC_TX: Topic = Topic("tx");
/// Transactions that wait to be published.
const OUTBOX_MAX_TXS: usize = 1_024;
/// How often waiting local transactions are announced again.
const REANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// Blocks a local transaction waits before it is announced again.
const REANNOUNCE_AFTER_BLOCKS: u64 = 4;
/// Transactions announced again at a time.
const REANNOUNCE_MAX_TXS: usize = 64;

/// Starts both directions; what is sent to the returned queue is published.
pub fn spawn_gossip(node: &Node, net: Arc<dyn Network>, chain: Arc<FullChain>) -> mpsc::Sender<Bytes> {
    let (outbox, queue) = mpsc::channel(OUTBOX_MAX_TXS);
    let inbound = hear(node.clone(), net.clone(), chain.clone());
    node.tasks.spawn(Phase::Produce, "tx-gossip-in", Criticality::Critical, inbound);
    node.tasks.spawn(Phase::Produce, "tx-gossip-out", Criticality::Critical, tell(node.clone(), net, chain, queue));
    outbox
}

async fn hear(node: Node, net: Arc<dyn Network>, chain: Arc<FullChain>) -> anyhow::Result<()> {
    let mut heard = net.subscribe(TOPIC_TX);
    let stopping = node.tasks.stopping(Phase::Produce);
    loop {
        let message = tokio::select! {
            () = stopping.cancelled() => return Ok(()),
            message = heard.recv() => message,
        };
        match message {
            Ok((peer, raw)) => {
                if peer == net.local_peer() {
                    continue;
                }
                let chain = chain.clone();
                let admitted = node.pool.run(move || chain.admit(&raw, false)).await;
                if let Err(error) = admitted {
                    tracing::debug!(%peer, %error, "transaction from gossip refused");
                }
            }
            Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "transaction gossip is faster than admission"),
            Err(RecvError::Closed) if stopping.is_cancelled() => return Ok(()),
            Err(RecvError::Closed) => anyhow::bail!("the network closed the transaction topic"),
        }
    }
}

async fn tell(
    node: Node,
    net: Arc<dyn Network>,
    chain: Arc<FullChain>,
    mut queue: mpsc::Receiver<Bytes>,
) -> anyhow::Result<()> {
    let stopping = node.tasks.stopping(Phase::Produce);
    let mut again = tokio::time::interval(REANNOUNCE_INTERVAL);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return Ok(()),
            raw = queue.recv() => match raw {
                Some(raw) => publish(net.as_ref(), raw).await,
                None => {
                    stopping.cancelled().await;
                    return Ok(());
                }
            },
            _ = again.tick() => {
                let before = chain.head().height().saturating_sub(REANNOUNCE_AFTER_BLOCKS);
                for tx in chain.pool().local_before(before, REANNOUNCE_MAX_TXS) {
                    publish(net.as_ref(), Bytes::copy_from_slice(&tx.raw)).await;
                }
            }
        }
    }
}

/// A publication that fails (no peers yet, or known already) is not an error: it is repeated while the transaction waits.
async fn publish(net: &dyn Network, raw: Bytes) {
    if let Err(error) = net.publish(TOPIC_TX, raw).await {
        tracing::debug!(%error, "transaction was not published");
    }
}
