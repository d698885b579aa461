//! What the BFT driver drives: proposals out of the pool, checks of others' proposals, commits.
//!
//! Owns the glue between the engine's questions and [`FullChain`]. Must not know votes or sockets. Invariants: this node never
//! proposes what it would not accept; everything slow runs on the node's compute pool; a height begins when its parent is
//! decided and its grandparent computed.

use super::{
    bft::{Application, Tip},
    catch_up::missing,
    checks::{self, BlockFault, Expected},
    error::StoreError,
    execution::Execution,
    full::FullChain,
    head::Decided,
};
use crate::{
    consensus::{BLOCK_MAX_TXS, Block, Calendar, Certificate, Header, beacon},
    crypto::NodeKeys,
    network::Network,
    runtime::Counter,
    types::{
        Height,
        params::{BLOCK_GAS_LIMIT, BLOCK_MAX_BYTES},
    },
};
use anyhow::Context;
use async_trait::async_trait;
use std::{collections::HashSet, sync::Arc, time::Duration};

/// The ledger behind the BFT driver.
pub struct LedgerApp {
    chain: Arc<FullChain>,
    execution: Execution,
    keys: NodeKeys,
    net: Option<Arc<dyn Network>>,
}

impl LedgerApp {
    /// Over `chain`, whose blocks are executed by a task of its node from now on; `keys` sign this node's beacon contributions.
    pub fn new(chain: Arc<FullChain>, keys: NodeKeys) -> Self {
        Self { execution: Execution::start(chain.clone()), chain, keys, net: None }
    }

    /// Asks the peers on `net` how far they are.
    pub fn with_network(mut self, net: Arc<dyn Network>) -> Self {
        self.net = Some(net);
        self
    }

    async fn blocking<T: Send + 'static>(&self, job: impl FnOnce(&FullChain) -> T + Send + 'static) -> T {
        let chain = self.chain.clone();
        self.chain.node().pool.run(move || job(&chain)).await
    }
}

#[async_trait]
impl Application for LedgerApp {
    async fn tip(&self) -> Tip {
        self.blocking(tip_of).await
    }

    async fn wait_to_start(&self, height: Height) {
        let newest = self.chain.ordered();
        if height <= newest.height() {
            return;
        }
        let params = &self.chain.spec().params;
        // A full block is worth its fixed costs whenever it comes, and an interval would only make the backlog longer.
        if !newest.is_full || !self.chain.pool().is_ready() {
            tokio::time::sleep_until(newest.since + Duration::from_millis(params.block_interval_ms)).await;
        }
        let idle = tokio::time::sleep_until(newest.since + Duration::from_millis(params.idle_block_interval_ms));
        tokio::select! {
            () = self.chain.pool().wait_ready() => {}
            () = idle => {}
        }
    }

    fn waiting_bytes(&self) -> usize {
        self.chain.pool().size().1
    }

    async fn propose(&self, height: Height, round: u32) -> anyhow::Result<Block> {
        let (keys, now) = (self.keys.clone(), self.chain.node().clock.unix_ms());
        let block = self.blocking(move |chain| build(chain, &keys, height, round, now)).await?;
        self.chain.node().metrics.add(Counter::BlocksProposed, 1);
        Ok(block)
    }

    async fn validate(&self, block: &Block) -> Result<(), String> {
        checks::check_lag(&block.header).map_err(|e| e.to_string())?;
        let named = block.header.executed.height;
        // Before it is executed here, this node cannot tell whether the proposer's hash of it is right.
        if named <= self.chain.ordered().height() {
            self.execution.reached(named).await.map_err(|e| e.to_string())?;
        }
        let block = block.clone();
        self.blocking(move |chain| validate(chain, &block)).await.map_err(|e| e.to_string())
    }

    fn check_clock(&self, header: &Header) -> Result<(), String> {
        checks::check_clock(header, self.chain.node().clock.unix_ms()).map_err(|e| e.to_string())
    }

    async fn commit(&self, block: Block, certificate: Certificate) -> anyhow::Result<Tip> {
        let height = block.header.height;
        let failed = || format!("block of height {height} cannot be committed");
        let append = move |chain: &FullChain| chain.append(&block, &certificate).map(|due| due.then_some(block));
        let Some(block) = self.blocking(append).await.with_context(failed)? else { return Ok(self.tip().await) };
        self.execution.reached(height - 1).await.with_context(failed)?;
        let order = move |chain: &FullChain| chain.order(&block).map(|block| (block, tip_of(chain)));
        let (unexecuted, tip) = self.blocking(order).await.with_context(failed)?;
        self.execution.begin(unexecuted).await.with_context(failed)?;
        Ok(tip)
    }

    async fn missing(&self) -> u64 {
        match &self.net {
            Some(net) => missing(&self.chain, net).await,
            None => 0,
        }
    }

    async fn commit_many(&self, blocks: Vec<(Block, Certificate)>) -> anyhow::Result<Result<Tip, String>> {
        let committed =
            self.blocking(move |chain| Ok::<_, StoreError>(chain.commit_many(&blocks)?.map(|()| tip_of(chain))));
        committed.await.context("blocks that were decided meanwhile cannot be committed")
    }

    async fn first(&self) -> anyhow::Result<Height> {
        Ok(self.blocking(|chain| chain.blocks().first_height()).await?)
    }

    async fn decided(&self, height: Height) -> anyhow::Result<Option<(Block, Certificate)>> {
        let read = |chain: &FullChain, height| -> Result<_, StoreError> {
            Ok(chain.blocks().block(height)?.zip(chain.blocks().certificate(height)?))
        };
        Ok(self.blocking(move |chain| read(chain, height)).await?)
    }
}

fn tip_of(chain: &FullChain) -> Tip {
    let (newest, calendar) = (chain.ordered(), Calendar::of(&chain.spec().params));
    // What is executed knows the era after the one that the next block to be executed is of.
    let next_era = calendar.first(calendar.era(chain.computed().height() + 1) + 1);
    let upcoming = chain.committee_at(next_era).unwrap_or_else(|error| {
        // It is only dialled ahead of time.
        tracing::warn!(%error, "the committee of the next era cannot be read");
        newest.committee.clone()
    });
    let (committee, upcoming) = (newest.committee.committee.clone(), upcoming.committee.clone());
    let Decided { height, beacon: seed, .. } = newest.block;
    Tip { height, committee, upcoming, seed }
}

/// Builds the next block out of the pool.
pub fn build(chain: &FullChain, keys: &NodeKeys, height: Height, round: u32, now_ms: u64) -> anyhow::Result<Block> {
    let (newest, head, spec) = (chain.ordered(), chain.computed(), chain.spec());
    let Decided { height: tip, id: parent, time_ms, beacon } = newest.block;
    anyhow::ensure!(height == tip + 1, "a block of height {height} was asked for at {tip}");
    let base_fee = head.base_fee_bound(height);
    let pending = chain.pool().pending(base_fee, BLOCK_MAX_TXS, BLOCK_MAX_BYTES, BLOCK_GAS_LIMIT);
    let txs: Vec<Vec<u8>> = pending.iter().map(|tx| tx.raw.to_vec()).collect();
    let header = Header {
        chain_id: spec.chain_id,
        height,
        parent,
        time_ms: now_ms.max(time_ms + 1),
        proposer: keys.address(),
        round,
        vrf: beacon::prove(&keys.vrf, spec.chain_id, height, &beacon),
        body: Block::body_hash(&txs),
        executed: head.named(),
        committee: newest.committee.hash,
        next_committee: newest.next_committee.hash,
    };
    Ok(Block { header, txs })
}

/// Checks a proposed block against the newest one.
pub fn validate(chain: &FullChain, block: &Block) -> Result<(), BlockFault> {
    let (newest, head) = (chain.ordered(), chain.computed());
    let Decided { height: tip, id: parent, time_ms: parent_time_ms, beacon: seed } = newest.block;
    let expected = Expected {
        chain_id: chain.spec().chain_id,
        height: tip + 1,
        parent,
        parent_time_ms,
        executed: &|height| head.hash_of(height),
        committee: &newest.committee,
        next_committee: &newest.next_committee,
        seed,
    };
    checks::check_header(block, &expected)?;
    let mut seen = HashSet::new();
    let mut limits = Vec::with_capacity(block.txs.len());
    for (index, verified) in chain.verify_all(&block.txs).into_iter().enumerate() {
        let tx = verified.map_err(|reason| BlockFault::Transaction { index, reason })?;
        if !seen.insert(tx.hash) {
            return Err(BlockFault::Repeated(tx.hash));
        }
        limits.push(tx.gas_limit());
    }
    checks::check_gas(limits.into_iter())
}
