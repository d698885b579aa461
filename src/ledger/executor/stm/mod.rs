//! Block-STM: transactions run ahead of their turn on several threads, and are settled in order.
//!
//! Workers run transactions on a [`Memory`] that holds what each transaction before left, as far as that is known, and note what
//! they read. One thread, the caller's, settles: it takes the transactions from the front and keeps the outcome of a run if
//! everything it read is what the settled transactions left; if not, it runs the transaction itself.
//!
//! Owns this way of running blocks. Must not know what transactions do. Invariants: an outcome is kept only after that check, so
//! it is the serial one, however threads were scheduled; a run that fails for a reason that is not its transaction's own, or
//! panics, is no outcome: the transaction is run when it is settled, where the same happens to it as in a serial run; nobody waits
//! for anything but a run that is going on. The proposer's account, which every tip changes, is never read ahead of its turn: tips
//! are paid when settling, and a transaction that looks at that account runs there.

mod doorbell;
mod forecast;
mod lane;
mod memory;
mod runner;
mod scheduler;
#[cfg(test)]
mod tests;

use super::{
    BlockEnv, Dispatch, ExecError, Execution, Executor,
    block_state::keeps_empty,
    code_cache::CodeCache,
    settlement::{Setting, Settlement},
};
use crate::ledger::{modules, state::StateView, tx::VerifiedTx};
use memory::Memory;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use runner::{Block, Runner, with_runner};
use scheduler::{Scheduler, Taken};

pub(super) use forecast::Forecast;

/// Runs that may be repeated in a block before it matters how many were of use.
const FREE_REPEATS: usize = 64;

/// Runs blocks on several threads.
pub struct BlockStm {
    /// The threads besides the caller's, if any.
    pool: Option<ThreadPool>,
    codes: CodeCache,
    dispatch: Dispatch,
}

impl BlockStm {
    /// With `threads`, the caller's among them.
    pub fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        Self::with_modules(threads, modules::dispatch)
    }

    pub(super) fn with_modules(threads: usize, dispatch: Dispatch) -> Result<Self, ThreadPoolBuildError> {
        let others = threads.saturating_sub(1);
        let named = |n| format!("block-stm-{n}");
        let pool = || ThreadPoolBuilder::new().num_threads(others).thread_name(named).build();
        let pool = (others > 0).then(pool).transpose()?;
        Ok(Self { pool, codes: CodeCache::default(), dispatch })
    }
}

impl Executor for BlockStm {
    fn run(&self, view: &(dyn StateView + Sync), env: &BlockEnv, txs: &[&VerifiedTx]) -> Result<Execution, ExecError> {
        self.run_after(view, env, txs, |_| ())
    }
}

impl BlockStm {
    /// Runs a block; `first` comes before anything is settled.
    fn run_after(
        &self,
        view: &(dyn StateView + Sync),
        env: &BlockEnv,
        txs: &[&VerifiedTx],
        first: impl FnOnce(&mut Runner<'_>),
    ) -> Result<Execution, ExecError> {
        let setting = Setting { env, dispatch: self.dispatch, codes: Some(&self.codes) };
        let settlement = Settlement::begin(view, setting)?;
        let begun = settlement.machine().delta();
        let memory = Memory::new(view, &begun, env.proposer, keeps_empty(env.rules.spec));
        let scheduler = Scheduler::new(&Forecast::of(txs).after);
        let block = Block::new(setting, txs, &memory, &scheduler);
        let settle = || {
            let _stop = StopAtEnd(&scheduler);
            with_runner(&block, |runner| {
                first(runner);
                Settler { block: &block, settlement, repeats: 0 }.settle(runner)
            })
        };
        match &self.pool {
            None => settle(),
            Some(pool) => pool.in_place_scope(|scope| {
                for _ in 0..pool.current_num_threads() {
                    scope.spawn(|_| {
                        let _stop = StopAtEnd(&scheduler);
                        with_runner(&block, |runner| runner.work());
                    });
                }
                settle()
            }),
        }
    }
}

/// Ends the work ahead of turn when a thread ends, for whatever reason: nobody waits for one that is gone.
struct StopAtEnd<'a>(&'a Scheduler);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Who settles.
struct Settler<'a> {
    block: &'a Block<'a>,
    settlement: Settlement<'a>,
    /// Runs that were of no use.
    repeats: usize,
}

impl Settler<'_> {
    fn settle(mut self, runner: &mut Runner<'_>) -> Result<Execution, ExecError> {
        for (index, tx) in self.block.txs.iter().enumerate() {
            if self.wasted() {
                self.block.scheduler.stop();
            }
            // Once the work ahead of turn has ended, nothing of it is used: the memory is not kept up any more.
            match self.block.scheduler.is_stopped() {
                true => self.settlement.run(index, tx)?,
                false => self.settle_next(runner, index, tx)?,
            }
        }
        self.settlement.finish()
    }

    /// Whether running ahead costs more than it brings: then the rest of the block is run here.
    fn wasted(&self) -> bool {
        self.repeats + self.block.refuted() > FREE_REPEATS + self.settlement.ran()
    }

    fn settle_next(&mut self, runner: &mut Runner<'_>, index: usize, tx: &VerifiedTx) -> Result<(), ExecError> {
        let Self { block, settlement, repeats } = self;
        let memory = block.memory;
        let taken = take(block, runner, index);
        let mut record = block.records[index].lock();
        let tried = record.tried.take().filter(|_| taken == Taken::Ran);
        let confirmed = tried.is_some() && memory.confirms(index, &record.reads)?;
        *repeats += usize::from(tried.is_some() && !confirmed);
        let mut changed = false;
        let ran = settlement.settle(index, tx, |machine| {
            if let Some(tried) = tried.filter(|_| confirmed) {
                return Ok(tried);
            }
            let tried = machine.attempt(tx)?;
            if let Ok(attempt) = &tried {
                memory.publish(index, &attempt.changes, &mut record.written);
                changed = true;
            }
            Ok(tried)
        })?;
        if !ran && !record.written.is_empty() {
            // What it wrote when it ran too early, or before the block was full, never happened.
            memory.publish(index, &Default::default(), &mut record.written);
            changed = true;
        }
        drop(record);
        block.scheduler.settled(index, changed);
        Ok(())
    }
}

/// Takes a transaction for settling; does something useful while it is not run yet.
fn take(block: &Block<'_>, runner: &mut Runner<'_>, index: usize) -> Taken {
    loop {
        if block.records[index].lock().tried.is_none()
            && let Some(task) = block.scheduler.next()
        {
            runner.perform(task);
            continue;
        }
        match block.scheduler.take(index) {
            Some(taken) => return taken,
            None => block.scheduler.wait_to_settle(index),
        }
    }
}
