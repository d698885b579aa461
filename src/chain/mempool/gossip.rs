//! Spreads transactions: publishes what is handed in here, admits what others publish.
//!
//! Owns the topic and its pace. Must not know blocks. Invariants: a transaction is admitted by the same rules wherever it comes
//! from; what is handed in here is announced again until it is mined, so that a node without peers loses nothing.

use crate::{
    chain::full::FullChain,
    codec::{self, Wire},
    network::{Network, Topic},
    runtime::{Counter, Criticality, Node, Phase},
    types::params::TX_MAX_BYTES,
};
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::sync::{broadcast::error::RecvError, mpsc};

/// Topic of bundles of transactions.
pub const TOPIC_TX: Topic = Topic("txs");
/// Transactions that wait to be published.
const OUTBOX_MAX_TXS: usize = 65_536;
/// Transactions of one bundle.
const BUNDLE_MAX_TXS: usize = 1_024;
/// Bytes of the transactions of one bundle, unless one alone is larger.
const BUNDLE_FULL_BYTES: usize = 256 << 10;
/// Bundles made at a time.
const BUNDLES_MAX: usize = 16;

/// Transactions that travel together: a message costs its hops much more than the bytes in it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TxBundle(pub Vec<Vec<u8>>);

impl Wire for TxBundle {
    const NAME: &'static str = "transaction bundle";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = TX_MAX_BYTES + 16 + 4 * BUNDLE_MAX_TXS;
}
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
                let TxBundle(raws) = match codec::decode(&raw) {
                    Ok(bundle) => bundle,
                    Err(error) => {
                        node.metrics.add(Counter::BadFrames, 1);
                        tracing::debug!(%peer, %error, "a bundle of transactions cannot be read");
                        continue;
                    }
                };
                let chain = chain.clone();
                let admitted = node.pool.run(move || chain.admit_all(&raws, false)).await;
                for error in admitted.into_iter().filter_map(Result::err) {
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
                Some(first) => {
                    for bundle in bundles(first, &mut queue) {
                        publish(net.as_ref(), bundle).await;
                    }
                }
                None => {
                    stopping.cancelled().await;
                    return Ok(());
                }
            },
            _ = again.tick() => {
                let before = chain.head().height().saturating_sub(REANNOUNCE_AFTER_BLOCKS);
                for tx in chain.pool().local_before(before, REANNOUNCE_MAX_TXS) {
                    publish(net.as_ref(), TxBundle(vec![tx.raw.to_vec()])).await;
                }
            }
        }
    }
}

/// A publication that fails (no peers yet, or known already) is not an error: it is repeated while the transaction waits.
async fn publish(net: &dyn Network, bundle: TxBundle) {
    if let Err(error) = net.publish(TOPIC_TX, codec::encode(&bundle).into()).await {
        tracing::debug!(%error, "transaction was not published");
    }
}

/// `first` and what waits behind it, in bundles.
fn bundles(first: Bytes, queue: &mut mpsc::Receiver<Bytes>) -> Vec<TxBundle> {
    let (mut full, mut bytes, mut raws) = (Vec::new(), first.len(), vec![first.to_vec()]);
    while full.len() < BUNDLES_MAX {
        let Ok(raw) = queue.try_recv() else { break };
        if bytes + raw.len() > BUNDLE_FULL_BYTES || raws.len() == BUNDLE_MAX_TXS {
            full.push(TxBundle(std::mem::take(&mut raws)));
            bytes = 0;
        }
        bytes += raw.len();
        raws.push(raw.to_vec());
    }
    full.push(TxBundle(raws));
    full
}
