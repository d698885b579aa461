//! Hands transactions in as fast as they are committed, and watches the blocks they arrive in.
//!
//! Must not know what they do. Invariants: no more than a window waits at a time; a transaction counts when a block of the chain
//! that was asked names it and its receipt says that it ran.

use super::workload::Setup;
use crate::{
    client::{ChainError, HttpTransport, RpcTransport},
    types::{B256, U256},
};
use alloy_primitives::{Bytes, keccak256};
use anyhow::{bail, ensure};
use futures::future::try_join_all;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Transactions handed in by one call of a node of ours.
const BULK_TXS: usize = 500;
/// Calls of one JSON-RPC batch: what our own servers take.
const BATCH_CALLS: usize = 100;
/// Pause between two looks at the newest block.
const LOOK_PAUSE: Duration = Duration::from_millis(4);
/// Pause before another try where there is no room yet.
const ROOM_PAUSE: Duration = Duration::from_millis(2);
/// How long a transaction may be refused, and the senders' funds take.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long nothing may be committed.
const STALLED: Duration = Duration::from_secs(20);

/// Where transactions go in.
#[derive(Clone)]
pub struct Door {
    transport: HttpTransport,
    bulk: bool,
}

#[derive(Deserialize)]
struct Submitted {
    refused: Option<String>,
}

#[derive(Deserialize)]
struct Block {
    transactions: Vec<B256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    status: U256,
}

impl Door {
    /// A node of ours, through `cess_submitAll`.
    pub fn bulk(transport: HttpTransport) -> Self {
        Self { transport, bulk: true }
    }

    /// Any node, through batches of `eth_sendRawTransaction`.
    pub fn ethereum(transport: HttpTransport) -> Self {
        Self { transport, bulk: false }
    }

    /// A question and its answer.
    pub async fn ask<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, ChainError> {
        let answer = self.transport.call(method, params).await?;
        serde_json::from_value(answer).map_err(|e| ChainError::Malformed(format!("`{method}`: {e}")))
    }

    fn at_once(&self) -> usize {
        if self.bulk { BULK_TXS } else { BATCH_CALLS }
    }

    /// Why each was refused, `None` where it was taken.
    async fn submit(&self, raws: &[Bytes]) -> Result<Vec<Option<String>>, ChainError> {
        if self.bulk {
            let answers: Vec<Submitted> = self.ask("cess_submitAll", json!([raws])).await?;
            return Ok(answers.into_iter().map(|answer| answer.refused).collect());
        }
        let calls = raws.iter().map(|raw| json!([raw])).collect();
        let answers = self.transport.batch("eth_sendRawTransaction", calls).await?;
        Ok(answers.into_iter().map(|answer| answer.err().map(|failure| failure.message)).collect())
    }

    /// Hands all of them in, again and again where the pool has no room.
    async fn submit_all(&self, raws: &[Bytes]) -> anyhow::Result<()> {
        let (mut left, began) = (raws.to_vec(), Instant::now());
        loop {
            let refused = self.submit(&left).await?;
            ensure!(refused.len() == left.len(), "{} answers for {} transactions", refused.len(), left.len());
            // A refusal of what went in by an earlier try is none.
            let is_in = |reason: &str| reason.contains("replayed") || reason.contains("known");
            let again = left.iter().zip(refused).filter_map(|(raw, reason)| Some((raw.clone(), reason?)));
            let again: Vec<(Bytes, String)> = again.filter(|(_, reason)| !is_in(reason)).collect();
            let Some((_, reason)) = again.first() else { return Ok(()) };
            ensure!(began.elapsed() < DEADLINE, "{} transactions are refused for good: {reason}", again.len());
            left = again.into_iter().map(|(raw, _)| raw).collect();
            sleep(ROOM_PAUSE).await;
        }
    }

    async fn height(&self) -> Result<u64, ChainError> {
        Ok(self.ask::<U256>("eth_blockNumber", json!([])).await?.saturating_to())
    }
}

/// Hands in what funds the senders and waits until all of it ran.
pub async fn fund(door: &Door, setup: &[Setup]) -> anyhow::Result<()> {
    for one in setup {
        for part in one.txs.chunks(door.at_once()) {
            door.submit_all(part).await?;
        }
    }
    let began = Instant::now();
    for one in setup {
        let wanted = U256::from(one.txs.len());
        while door.ask::<U256>("eth_getTransactionCount", json!([one.from, "latest"])).await? < wanted {
            ensure!(began.elapsed() < DEADLINE, "the transactions of {} do not run", one.from);
            sleep(LOOK_PAUSE).await;
        }
        if let Some(last) = one.txs.last() {
            ran(door, &keccak256(last)).await?;
        }
    }
    Ok(())
}

/// Fails unless this committed transaction took effect.
async fn ran(door: &Door, hash: &B256) -> anyhow::Result<()> {
    let began = Instant::now();
    // Other nodes count a transaction a moment before they have its receipt.
    let receipt = loop {
        match door.ask::<Option<Receipt>>("eth_getTransactionReceipt", json!([hash])).await? {
            Some(receipt) => break receipt,
            None => ensure!(began.elapsed() < DEADLINE, "transaction {hash} has no receipt"),
        }
        sleep(LOOK_PAUSE).await;
    };
    ensure!(receipt.status == U256::from(1), "transaction {hash} failed");
    Ok(())
}

/// A block and how many of the transactions it holds.
pub struct SeenBlock {
    at: Instant,
    txs: usize,
    last: B256,
}

/// What was committed.
#[derive(Default)]
pub struct Seen {
    /// Blocks that hold some, in order.
    pub blocks: Vec<SeenBlock>,
    /// From hand-in to block, each.
    pub latencies: Vec<Duration>,
}

impl Seen {
    /// All of them.
    pub fn total(&self) -> usize {
        self.blocks.iter().map(|block| block.txs).sum()
    }

    /// Those after the first block.
    pub fn counted(&self) -> usize {
        self.total() - self.blocks.first().map_or(0, |block| block.txs)
    }

    /// From the first block to the last.
    pub fn span(&self) -> Duration {
        let (first, last) = (self.blocks.first(), self.blocks.last());
        first.zip(last).map_or(Duration::ZERO, |(first, last)| last.at - first.at)
    }
}

/// How transactions are handed in.
pub struct Feed<'a> {
    /// Nodes that take them.
    pub doors: &'a [Door],
    /// How many may wait.
    pub window: usize,
    /// How long at most.
    pub limit: Duration,
}

struct Progress {
    sent: parking_lot::Mutex<HashMap<B256, Instant>>,
    waiting: AtomicUsize,
}

impl Feed<'_> {
    /// Hands in all `parts` side by side and watches until everything is committed, or the time is over.
    pub async fn run(&self, parts: &[Vec<Bytes>]) -> anyhow::Result<Seen> {
        let (total, count) = (parts.iter().map(Vec::len).sum(), parts.len().max(1));
        let progress = Progress { sent: Default::default(), waiting: AtomicUsize::new(0) };
        let began = Instant::now();
        let hand_in = try_join_all(parts.iter().enumerate().map(|(index, txs)| {
            let door = &self.doors[index % self.doors.len()];
            self.hand_in(door, txs, count, &progress, began)
        }));
        let (_, seen) = futures::try_join!(async { hand_in.await.map(drop) }, self.watch(total, &progress, began))?;
        Ok(seen)
    }

    async fn hand_in(
        &self,
        door: &Door,
        txs: &[Bytes],
        parts: usize,
        progress: &Progress,
        began: Instant,
    ) -> anyhow::Result<()> {
        for part in txs.chunks(door.at_once()) {
            while progress.waiting.load(Ordering::Relaxed) + part.len() * parts > self.window.max(part.len() * parts) {
                if began.elapsed() > self.limit {
                    return Ok(());
                }
                sleep(ROOM_PAUSE).await;
            }
            let hashes: Vec<B256> = part.iter().map(keccak256).collect();
            progress.waiting.fetch_add(part.len(), Ordering::Relaxed);
            let now = Instant::now();
            progress.sent.lock().extend(hashes.into_iter().map(|hash| (hash, now)));
            door.submit_all(part).await?;
        }
        Ok(())
    }

    async fn watch(&self, total: usize, progress: &Progress, began: Instant) -> anyhow::Result<Seen> {
        let door = &self.doors[0];
        let (mut height, mut seen, mut moved) = (door.height().await?, Seen::default(), Instant::now());
        while seen.latencies.len() < total && began.elapsed() < self.limit {
            let newest = door.height().await?;
            if newest == height {
                ensure!(moved.elapsed() < STALLED, "no block for {} s at height {height}", STALLED.as_secs());
                sleep(LOOK_PAUSE).await;
                continue;
            }
            (height, moved) = (height + 1, Instant::now());
            let block: Option<Block> = door.ask("eth_getBlockByNumber", json!([U256::from(height), false])).await?;
            let Some(block) = block else { bail!("block {height} is gone") };
            let mut sent = progress.sent.lock();
            let ours: Vec<_> = block.transactions.iter().filter_map(|hash| Some((*hash, sent.remove(hash)?))).collect();
            drop(sent);
            progress.waiting.fetch_sub(ours.len(), Ordering::Relaxed);
            seen.latencies.extend(ours.iter().map(|(_, handed_in)| moved - *handed_in));
            if let Some((last, _)) = ours.last() {
                seen.blocks.push(SeenBlock { at: moved, txs: ours.len(), last: *last });
            }
        }
        ensure!(!seen.blocks.is_empty(), "nothing was committed within {} s", self.limit.as_secs());
        for block in &seen.blocks {
            ran(door, &block.last).await?;
        }
        Ok(seen)
    }
}
