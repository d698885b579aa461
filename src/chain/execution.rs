//! Executes decided blocks while the next ones are ordered, and stores each while the next is computed.
//!
//! Owns the task that does it and how far it may be behind. Must not know votes. Invariants: one block at a time in each of the two
//! steps, in order; a block is ordered while its parent is computed, not its grandparent; it takes its place as the newest computed
//! one when its parent is stored; a block that cannot be computed or stored stops the node; what was begun is finished before the
//! database closes.

use super::{computed::Computed, full::FullChain, order::Unexecuted};
use crate::{
    runtime::{Criticality, Phase, Timer},
    types::Height,
};
use anyhow::{Context, bail};
use std::{sync::Arc, time::Instant};
use tokio::sync::mpsc;

/// The execution that runs beside the ordering.
pub(super) struct Execution {
    chain: Arc<FullChain>,
    work: mpsc::Sender<Unexecuted>,
}

impl Execution {
    /// Of the blocks of `chain`.
    pub fn start(chain: Arc<FullChain>) -> Self {
        let (work, queue) = mpsc::channel(1);
        let tasks = chain.node().tasks.clone();
        tasks.spawn(Phase::Store, "block execution", Criticality::Critical, execute_all(chain.clone(), queue));
        Self { chain, work }
    }

    /// Has the newest block executed. All before it are, though the last may not be stored yet.
    pub async fn begin(&self, block: Unexecuted) -> anyhow::Result<()> {
        let height = block.decided.height;
        self.work.send(block).await.ok().with_context(|| format!("block {height} cannot be executed: {STOPPED}"))
    }

    /// Resolves when it is known what the block of `height` does, which slows down whoever orders blocks faster than that.
    pub async fn reached(&self, height: Height) -> anyhow::Result<()> {
        let (since, mut computed) = (Instant::now(), self.chain.watch_computed());
        tokio::select! {
            biased;
            reached = computed.wait_for(|head| head.height() >= height) => drop(reached.context(STOPPED)?),
            () = self.work.closed() => bail!("block {height} is not executed: {STOPPED}"),
        }
        self.chain.node().metrics.observe(Timer::ExecutionWait, since.elapsed());
        Ok(())
    }
}

const STOPPED: &str = "the execution of blocks has stopped";

async fn execute_all(chain: Arc<FullChain>, queue: mpsc::Receiver<Unexecuted>) -> anyhow::Result<()> {
    let (step, computed) = mpsc::channel(1);
    // Either ends when the other does, and the second when it has stored what it was given.
    let (computing, storing) = tokio::join!(compute_all(&chain, queue, step), store_all(&chain, computed));
    storing?;
    computing
}

async fn compute_all(
    chain: &Arc<FullChain>,
    mut queue: mpsc::Receiver<Unexecuted>,
    step: mpsc::Sender<Arc<Computed>>,
) -> anyhow::Result<()> {
    let (stop, mut stored) = (chain.node().tasks.stopping(Phase::Store), chain.watch());
    loop {
        let block = tokio::select! {
            biased;
            () = step.closed() => return Ok(()),
            () = stop.cancelled() => return Ok(()),
            block = queue.recv() => block,
        };
        let Some(block) = block else { return Ok(()) };
        let (height, computing) = (block.decided.height, chain.clone());
        let computed = chain.node().pool.run(move || computing.compute(block)).await;
        let computed = Arc::new(computed.with_context(|| format!("block {height} cannot be executed"))?);
        let since = Instant::now();
        tokio::select! {
            biased;
            reached = stored.wait_for(|head| head.height() + 1 >= height) => drop(reached.context(STOPPED)?),
            () = step.closed() => return Ok(()),
        }
        chain.node().metrics.observe(Timer::StoreWait, since.elapsed());
        chain.hand_over(&computed);
        if step.send(computed).await.is_err() {
            return Ok(());
        }
    }
}

async fn store_all(chain: &Arc<FullChain>, mut queue: mpsc::Receiver<Arc<Computed>>) -> anyhow::Result<()> {
    while let Some(computed) = queue.recv().await {
        let (height, storing) = (computed.head.height(), chain.clone());
        // A thread of its own: on the compute pool, whoever computes the next block might take the job up in between and wait for it.
        let stored = tokio::task::spawn_blocking(move || storing.store(&computed)).await;
        let failed = || format!("block {height} cannot be stored");
        stored.with_context(failed)?.with_context(failed)?;
    }
    Ok(())
}
