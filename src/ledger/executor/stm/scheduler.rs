//! Who does what next, among threads that share a block's transactions.
//!
//! The collaborative scheduler of Block-STM (Gelashvili et al., 2022): two counters pass over the transactions, one for running
//! them and one for checking what ran, and go back to where something has to be done again. Settling in order, which is ours,
//! takes transactions out of it from the front.
//!
//! Owns the states of transactions. Must not know what running or checking is. Invariants: a transaction is run by one thread at
//! a time; what a run publishes and the state it leaves change as one; a transaction that is taken for settling is nobody else's
//! any more; whatever a scheduler decides, what is settled is checked against what was settled before, so that its order of doing
//! things costs or saves time and nothing else.

use super::doorbell::Doorbell;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Something to do. A transaction is run again as another incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Run { index: usize, incarnation: usize },
    Check { index: usize, incarnation: usize },
}

/// Who has a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Whoever comes first.
    Ready,
    /// Nobody: another one has to run before it.
    Waiting,
    /// The thread that runs it.
    Running,
    /// Nobody: it ran and is checked now and then.
    Ran,
    /// Whoever settles it: it cannot run ahead of its turn.
    Deferred,
    /// Whoever settles it.
    Taken,
    /// Nobody, for good.
    Settled,
}

struct Status {
    state: State,
    incarnation: usize,
    /// Transactions that wait for it.
    waiting: Vec<usize>,
}

/// What the one who settles gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It ran: its outcome is there, to be checked once more.
    Ran,
    /// It did not.
    Open,
}

/// The transactions of a block and what is to be done with them.
pub(super) struct Scheduler {
    status: Vec<Mutex<Status>>,
    /// The next to run, if it is not done already.
    run: AtomicUsize,
    /// The next to check, if there is anything to check.
    check: AtomicUsize,
    stopped: AtomicBool,
    bell: Doorbell,
}

impl Scheduler {
    /// `after[i]` is a transaction that `i` is known to depend on, an earlier one.
    pub fn new(after: &[Option<usize>]) -> Self {
        let mut status: Vec<Status> = after
            .iter()
            .map(|after| Status {
                state: if after.is_some() { State::Waiting } else { State::Ready },
                incarnation: 0,
                waiting: Vec::new(),
            })
            .collect();
        for (index, after) in after.iter().enumerate() {
            if let Some(after) = after {
                assert!(*after < index, "transaction {index} cannot wait for {after}");
                status[*after].waiting.push(index);
            }
        }
        Self {
            status: status.into_iter().map(Mutex::new).collect(),
            run: AtomicUsize::new(0),
            check: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            bell: Doorbell::default(),
        }
    }

    /// Something to do, if there is anything. Transactions that come first are checked before later ones are run.
    pub fn next(&self) -> Option<Task> {
        while !self.is_stopped() {
            let (run, check) = (self.run.load(Ordering::SeqCst), self.check.load(Ordering::SeqCst));
            if run.min(check) >= self.status.len() {
                return None;
            }
            let task = if check < run { self.next_check() } else { self.next_run() };
            if task.is_some() {
                return task;
            }
        }
        None
    }

    fn next_run(&self) -> Option<Task> {
        let index = self.run.fetch_add(1, Ordering::SeqCst);
        let mut status = self.status.get(index)?.lock();
        (status.state == State::Ready).then(|| {
            status.state = State::Running;
            Task::Run { index, incarnation: status.incarnation }
        })
    }

    fn next_check(&self) -> Option<Task> {
        let index = self.check.fetch_add(1, Ordering::SeqCst);
        let status = self.status.get(index)?.lock();
        (status.state == State::Ran).then_some(Task::Check { index, incarnation: status.incarnation })
    }

    /// A run came to its end: `publish` makes its outcome known and tells whether it wrote anywhere it had not written before.
    /// What is to be done next, if that is known. Nothing is published if the transaction was settled meanwhile.
    pub fn ran(&self, index: usize, incarnation: usize, publish: impl FnOnce() -> bool) -> Option<Task> {
        let (waiting, new_places) = {
            let mut status = self.status[index].lock();
            if status.state != State::Running || status.incarnation != incarnation {
                return None;
            }
            let new_places = publish();
            status.state = State::Ran;
            (std::mem::take(&mut status.waiting), new_places)
        };
        self.resume(waiting);
        let passed = self.check.load(Ordering::SeqCst) > index;
        if passed && new_places {
            self.check.fetch_min(index, Ordering::SeqCst);
        }
        self.bell.ring();
        (passed && !new_places).then_some(Task::Check { index, incarnation })
    }

    /// A run met something that `other` will write. Tells whether it has to wait: if not, `other` has written it meanwhile.
    pub fn wait_for(&self, index: usize, incarnation: usize, other: usize) -> bool {
        assert!(other < index, "transaction {index} cannot wait for {other}");
        let mut before = self.status[other].lock();
        if matches!(before.state, State::Ran | State::Settled) {
            return false;
        }
        let mut status = self.status[index].lock();
        if status.state == State::Running && status.incarnation == incarnation {
            status.state = State::Waiting;
            before.waiting.push(index);
        }
        drop((status, before));
        self.bell.ring();
        true
    }

    /// A run met something that only the settled state knows.
    pub fn defer(&self, index: usize, incarnation: usize) {
        {
            let mut status = self.status[index].lock();
            if status.state == State::Running && status.incarnation == incarnation {
                status.state = State::Deferred;
            }
        }
        self.bell.ring();
    }

    /// A check found that a run read what is no longer so. `doubt` takes back what it wrote. What is to be done next, if that is
    /// known; nothing happens if somebody else found out before.
    pub fn refuted(&self, index: usize, incarnation: usize, doubt: impl FnOnce()) -> Option<Task> {
        let again = {
            let mut status = self.status[index].lock();
            if status.state != State::Ran || status.incarnation != incarnation {
                return None;
            }
            doubt();
            status.incarnation += 1;
            let at_once = self.run.load(Ordering::SeqCst) > index;
            status.state = if at_once { State::Running } else { State::Ready };
            at_once.then_some(Task::Run { index, incarnation: status.incarnation })
        };
        self.check.fetch_min(index + 1, Ordering::SeqCst);
        self.bell.ring();
        again
    }

    /// Takes a transaction for settling. All before it are settled. `None` while a thread runs it.
    pub fn take(&self, index: usize) -> Option<Taken> {
        let mut status = self.status[index].lock();
        let taken = match status.state {
            State::Running if !self.is_stopped() => return None,
            State::Ran => Taken::Ran,
            _ => Taken::Open,
        };
        status.state = State::Taken;
        Some(taken)
    }

    /// A transaction is settled. `changed` tells whether others may have seen something else of it.
    pub fn settled(&self, index: usize, changed: bool) {
        let waiting = {
            let mut status = self.status[index].lock();
            status.state = State::Settled;
            std::mem::take(&mut status.waiting)
        };
        let wakes = changed || !waiting.is_empty();
        self.resume(waiting);
        if changed {
            self.check.fetch_min(index + 1, Ordering::SeqCst);
        }
        if wakes {
            self.bell.ring();
        }
    }

    fn resume(&self, waiting: Vec<usize>) {
        let mut first = usize::MAX;
        for index in waiting {
            let mut status = self.status[index].lock();
            if status.state == State::Waiting {
                status.state = State::Ready;
                first = first.min(index);
            }
        }
        self.run.fetch_min(first, Ordering::SeqCst);
    }

    /// From now on there is nothing to do.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.bell.ring();
    }

    /// Whether there is nothing to do any more, ever.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Waits until there may be something to do, or nothing any more.
    pub fn wait(&self) {
        self.bell.wait(|| self.is_stopped() || self.is_pending());
    }

    /// Waits until there may be something to do, or nobody is to be waited for with transaction `index`.
    pub fn wait_to_settle(&self, index: usize) {
        let is_running = || self.status[index].lock().state == State::Running;
        self.bell.wait(|| self.is_stopped() || self.is_pending() || !is_running());
    }

    fn is_pending(&self) -> bool {
        self.run.load(Ordering::SeqCst).min(self.check.load(Ordering::SeqCst)) < self.status.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn run(index: usize, incarnation: usize) -> Option<Task> {
        Some(Task::Run { index, incarnation })
    }

    const fn check(index: usize, incarnation: usize) -> Option<Task> {
        Some(Task::Check { index, incarnation })
    }

    #[test]
    fn what_ran_is_checked_before_later_ones_run() {
        let scheduler = Scheduler::new(&[None, None, None]);
        assert_eq!((scheduler.next(), scheduler.next()), (run(0, 0), run(1, 0)));
        assert_eq!(scheduler.ran(0, 0, || true), None, "the check comes by");
        assert_eq!(scheduler.next(), check(0, 0));
        // The check passed by transaction 1 while it ran.
        assert_eq!(scheduler.next(), run(2, 0));
        assert_eq!(scheduler.ran(1, 0, || false), check(1, 0), "nobody else can have missed anything");
        assert_eq!(scheduler.ran(2, 0, || true), None);
        assert_eq!(scheduler.next(), check(2, 0));
        assert_eq!(scheduler.next(), None);
    }

    #[test]
    fn new_places_are_checked_against_everything_after_them() {
        let scheduler = Scheduler::new(&[None, None]);
        let _ = (scheduler.next(), scheduler.next());
        assert_eq!(scheduler.ran(1, 0, || true), None);
        assert_eq!(scheduler.next(), check(1, 0), "transaction 0 runs still");
        assert_eq!(scheduler.ran(0, 0, || true), None);
        assert_eq!((scheduler.next(), scheduler.next(), scheduler.next()), (check(0, 0), check(1, 0), None));
    }

    #[test]
    fn a_refuted_run_is_repeated_once() {
        let scheduler = Scheduler::new(&[None, None]);
        let _ = (scheduler.next(), scheduler.next());
        scheduler.ran(0, 0, || true);
        scheduler.ran(1, 0, || true);
        let mut doubts = 0;
        assert_eq!(scheduler.refuted(1, 0, || doubts += 1), run(1, 1));
        assert_eq!(scheduler.refuted(1, 0, || doubts += 1), None, "another thread was first");
        assert_eq!(scheduler.ran(1, 0, || unreachable!("an old incarnation publishes nothing")), None);
        assert_eq!(doubts, 1);
    }

    #[test]
    fn dependencies_run_in_turn() {
        let scheduler = Scheduler::new(&[None, Some(0), Some(1)]);
        assert_eq!((scheduler.next(), scheduler.next()), (run(0, 0), None));
        scheduler.ran(0, 0, || true);
        let next = [scheduler.next(), scheduler.next(), scheduler.next()];
        assert!(next.contains(&run(1, 0)) && !next.contains(&run(2, 0)), "{next:?}");
    }

    #[test]
    fn who_meets_an_estimate_waits_unless_it_is_late() {
        let scheduler = Scheduler::new(&[None, None]);
        let _ = (scheduler.next(), scheduler.next());
        assert!(scheduler.wait_for(1, 0, 0));
        assert_eq!(scheduler.next(), None);
        scheduler.ran(0, 0, || false);
        let next = [scheduler.next(), scheduler.next()];
        assert!(next.contains(&run(1, 0)), "{next:?}");
        assert!(!scheduler.wait_for(1, 0, 0), "it ran");
    }

    #[test]
    fn what_is_taken_belongs_to_nobody_else() {
        let scheduler = Scheduler::new(&[None, None, None]);
        let _ = (scheduler.next(), scheduler.next());
        assert_eq!(scheduler.take(0), None, "a thread runs it");
        scheduler.ran(0, 0, || true);
        assert_eq!(scheduler.take(0), Some(Taken::Ran));
        assert_eq!(scheduler.refuted(0, 0, || unreachable!("it is settled")), None);
        scheduler.settled(0, false);
        scheduler.defer(1, 0);
        assert_eq!(scheduler.take(1), Some(Taken::Open));
        scheduler.settled(1, true);
        assert_eq!(scheduler.take(2), Some(Taken::Open));
        assert_eq!(scheduler.next(), None);
    }

    #[test]
    fn what_waits_for_a_deferred_one_runs_when_that_is_settled() {
        let scheduler = Scheduler::new(&[None, Some(0)]);
        let _ = scheduler.next();
        scheduler.defer(0, 0);
        assert_eq!(scheduler.next(), None);
        assert_eq!(scheduler.take(0), Some(Taken::Open));
        scheduler.settled(0, true);
        assert_eq!(scheduler.next(), run(1, 0));
    }

    #[test]
    fn a_stopped_scheduler_gives_out_nothing_and_everything_can_be_taken() {
        let scheduler = Scheduler::new(&[None, None]);
        let _ = scheduler.next();
        scheduler.stop();
        assert_eq!((scheduler.next(), scheduler.take(0)), (None, Some(Taken::Open)));
        scheduler.wait();
        assert_eq!(scheduler.ran(0, 0, || unreachable!("it is settled")), None);
    }
}
