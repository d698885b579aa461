//! Running transactions ahead of their turn: one thread's EVM, and where the outcomes are left.
//!
//! Owns what becomes of a run. Must not know settling. Invariants: outcome, reads and what was written are those of one run; a
//! run that was stopped, failed or panicked leaves nothing.

use super::{
    lane::{Lane, Stop},
    memory::{Memory, Place, Read},
    scheduler::{Scheduler, Task},
};
use crate::ledger::{
    executor::{
        machine::Machine,
        settlement::{Setting, Tried},
    },
    tx::VerifiedTx,
};
use parking_lot::Mutex;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
};

/// A block that is being run.
pub(super) struct Block<'a> {
    setting: Setting<'a>,
    pub txs: &'a [&'a VerifiedTx],
    pub memory: &'a Memory<'a>,
    pub scheduler: &'a Scheduler,
    /// The newest run of each transaction.
    pub records: Vec<Mutex<Record>>,
    refuted: AtomicUsize,
}

/// A run.
#[derive(Default)]
pub(super) struct Record {
    pub tried: Option<Tried>,
    pub reads: Vec<Read>,
    /// Where it, or the run before it, wrote.
    pub written: Vec<Place>,
}

impl<'a> Block<'a> {
    pub fn new(
        setting: Setting<'a>,
        txs: &'a [&'a VerifiedTx],
        memory: &'a Memory<'a>,
        scheduler: &'a Scheduler,
    ) -> Self {
        let records = txs.iter().map(|_| Mutex::default()).collect();
        Self { setting, txs, memory, scheduler, records, refuted: AtomicUsize::new(0) }
    }

    /// Runs that checks have refuted.
    pub fn refuted(&self) -> usize {
        self.refuted.load(Ordering::Relaxed)
    }
}

/// One thread's means of running transactions.
pub(super) struct Runner<'r> {
    block: &'r Block<'r>,
    lane: &'r Lane<'r>,
    machine: Machine<'r>,
}

/// Sets up a thread for `work` on `block`.
pub(super) fn with_runner<R>(block: &Block<'_>, work: impl FnOnce(&mut Runner<'_>) -> R) -> R {
    let lane = Lane::new(block.memory);
    work(&mut Runner { block, lane: &lane, machine: machine(block, &lane) })
}

fn machine<'r>(block: &Block<'r>, lane: &'r Lane<'_>) -> Machine<'r> {
    let mut machine = block.setting.machine(lane);
    machine.owe_tips();
    machine
}

impl Runner<'_> {
    /// Does what there is to do now, the last first: almost every run is one that has to be repeated.
    #[cfg(test)]
    pub fn work_backwards(&mut self) {
        let tasks: Vec<Task> = std::iter::from_fn(|| self.block.scheduler.next()).collect();
        tasks.into_iter().rev().for_each(|task| self.perform(task));
        while let Some(task) = self.block.scheduler.next() {
            self.perform(task);
        }
    }

    /// Does what there is to do until there is nothing any more.
    pub fn work(&mut self) {
        while !self.block.scheduler.is_stopped() {
            match self.block.scheduler.next() {
                Some(task) => self.perform(task),
                None => self.block.scheduler.wait(),
            }
        }
    }

    /// Does one thing, and what follows from it at once.
    pub fn perform(&mut self, task: Task) {
        let mut next = Some(task);
        while let Some(task) = next {
            next = match task {
                Task::Run { index, incarnation } => self.run(index, incarnation),
                Task::Check { index, incarnation } => self.check(index, incarnation),
            };
        }
    }

    fn run(&mut self, index: usize, incarnation: usize) -> Option<Task> {
        let scheduler = self.block.scheduler;
        self.lane.start(index);
        self.machine.forget_reads();
        let ended = catch_unwind(AssertUnwindSafe(|| self.machine.attempt(self.block.txs[index])));
        let Ok(ended) = ended else {
            // What it saw may never have been the state at any point: that is no fault of whoever relied on it.
            self.machine = machine(self.block, self.lane);
            scheduler.defer(index, incarnation);
            return None;
        };
        match (self.lane.end(), ended) {
            (Ok(reads), Ok(tried)) => scheduler.ran(index, incarnation, || self.block.publish(index, tried, reads)),
            (Err(Stop::Waits(other)), _) => {
                let late = !scheduler.wait_for(index, incarnation, other);
                late.then_some(Task::Run { index, incarnation })
            }
            (Err(Stop::Proposer), _) | (Ok(_), Err(_)) => {
                scheduler.defer(index, incarnation);
                None
            }
        }
    }

    fn check(&self, index: usize, incarnation: usize) -> Option<Task> {
        let block = self.block;
        let confirmed = block.memory.confirms(index, &block.records[index].lock().reads);
        // A state that cannot be read is reported by who settles the transaction and reads it again.
        if confirmed.unwrap_or(true) {
            return None;
        }
        block.scheduler.refuted(index, incarnation, || {
            block.refuted.fetch_add(1, Ordering::Relaxed);
            let mut record = block.records[index].lock();
            record.tried = None;
            block.memory.doubt(index, &record.written);
        })
    }
}

impl Block<'_> {
    /// Leaves the outcome of a run; tells whether it wrote anywhere the run before had not.
    fn publish(&self, index: usize, tried: Tried, reads: Vec<Read>) -> bool {
        let mut record = self.records[index].lock();
        let nothing = Default::default();
        let changes = tried.as_ref().map_or(&nothing, |attempt| &attempt.changes);
        let new_places = self.memory.publish(index, changes, &mut record.written);
        (record.tried, record.reads) = (Some(tried), reads);
        new_places
    }
}
