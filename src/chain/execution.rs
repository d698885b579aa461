//! Executes decided blocks while the next ones are ordered.
//!
//! Owns the task that does it and how far it may be behind. Must not know votes. Invariants: one block at a time, in order; a block
//! is ordered while its parent is executed, not its grandparent; a block that cannot be executed stops the node; what was begun
//! is finished before the database closes.

use super::{full::FullChain, order::Unexecuted};
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

    /// Has the newest block executed. All before it are.
    pub async fn begin(&self, block: Unexecuted) -> anyhow::Result<()> {
        let height = block.decided.height;
        self.work.send(block).await.ok().with_context(|| format!("block {height} cannot be executed: {STOPPED}"))
    }

    /// Resolves when the block of `height` is executed, which slows down whoever orders blocks faster than that.
    pub async fn reached(&self, height: Height) -> anyhow::Result<()> {
        let (since, mut head) = (Instant::now(), self.chain.watch());
        tokio::select! {
            biased;
            reached = head.wait_for(|head| head.height() >= height) => drop(reached.context(STOPPED)?),
            () = self.work.closed() => bail!("block {height} is not executed: {STOPPED}"),
        }
        self.chain.node().metrics.observe(Timer::ExecutionWait, since.elapsed());
        Ok(())
    }
}

const STOPPED: &str = "the execution of blocks has stopped";

async fn execute_all(chain: Arc<FullChain>, mut queue: mpsc::Receiver<Unexecuted>) -> anyhow::Result<()> {
    let stop = chain.node().tasks.stopping(Phase::Store);
    while let Some(Some(block)) = stop.run_until_cancelled(queue.recv()).await {
        let (height, executing) = (block.decided.height, chain.clone());
        let executed = chain.node().pool.run(move || executing.execute(block)).await;
        executed.with_context(|| format!("block {height} cannot be executed"))?;
    }
    Ok(())
}
