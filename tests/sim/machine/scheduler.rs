//! Which simulated thread runs, and what time it is.
//!
//! Owns the threads and the clock. The thread that runs holds the baton: it alone touches the state, and gives the baton away
//! when it blocks. Invariant: every choice is made by the dice of the seed.

use super::{
    disk::Synced,
    interposed::{EPOLLS_MAX, raw},
    random::Dice,
    tsc,
};
use std::{
    cell::{Cell, UnsafeCell},
    panic::resume_unwind,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Wall time at the beginning of every simulation, nanoseconds since 1970: a day in 2026.
const EPOCH_NS: u64 = 1_780_000_000_000_000_000;
/// Uptime of the machine at the beginning.
const BOOT_NS: u64 = 1_000_000_000_000;
/// What asking for the time costs, so that a loop that waits for a time ends.
const LOOK_NS: u64 = 20;
/// How often a thread may ask for the time before another one gets a turn.
const LOOKS_PER_TURN: u32 = 20_000;
/// Real milliseconds that a thread outside of the simulation gets to free a lock that all simulated ones wait for.
const STUCK_MAX_MILLIS: u32 = 10_000;

const OUTSIDE: usize = usize::MAX;

thread_local! {
    static SELF: Cell<usize> = const { Cell::new(OUTSIDE) };
}

/// What a thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Nothing,
    Futex { addr: usize, value: u32, bits: u32, until: Option<u64> },
    Time { until: u64 },
    Epoll { fd: i32, until: Option<u64> },
    EndOf { thread: usize },
    Ended,
}

impl Wait {
    fn until(self) -> Option<u64> {
        match self {
            Wait::Futex { until, .. } | Wait::Epoll { until, .. } => until,
            Wait::Time { until } => Some(until),
            Wait::Nothing | Wait::EndOf { .. } | Wait::Ended => None,
        }
    }
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Happened,
    TimedOut,
}

struct Thread {
    /// 1 when it may run. Threads outside of their turn sleep on it.
    baton: &'static AtomicU32,
    wait: Wait,
    outcome: Outcome,
    handle: libc::pthread_t,
}

/// The machine's state.
pub(super) struct State {
    threads: Vec<Thread>,
    now: u64,
    looks: u32,
    /// Kernel's name of a thread that has passed the baton on for the last time and may still be ending.
    dying: Option<i32>,
    turns: Dice,
    /// What the program gets from the operating system's generator.
    pub entropy: Dice,
    /// How long the disk takes.
    pub disk: Dice,
    /// What is on the medium.
    pub synced: Synced,
}

struct Holder(UnsafeCell<Option<State>>);

// SAFETY: the state is touched only by the thread that holds the baton, see `with`.
unsafe impl Sync for Holder {}

static STATE: Holder = Holder(UnsafeCell::new(None));
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs `body` on a machine that is decided by `seed`. Threads it leaves behind never run again.
pub fn simulate<T: Send>(seed: u64, body: impl FnOnce() -> T + Send) -> T {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    raw();
    let first = Thread { baton: new_baton(1), wait: Wait::Nothing, outcome: Outcome::Happened, handle: 0 };
    let state = State {
        threads: vec![first],
        now: BOOT_NS,
        looks: 0,
        dying: None,
        turns: Dice::new(seed, "turns"),
        entropy: Dice::new(seed, "entropy"),
        disk: Dice::new(seed, "disk"),
        synced: Synced::default(),
    };
    // SAFETY: no simulation runs, and the threads of earlier ones sleep for ever.
    unsafe { *STATE.0.get() = Some(state) };
    SELF.set(0);
    // On a thread of its own: this one has drawn randomness before.
    let result = std::thread::scope(|scope| scope.spawn(body).join());
    SELF.set(OUTSIDE);
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Virtual time since the simulation began.
pub fn now() -> Duration {
    Duration::from_nanos(with(|state| state.now) - BOOT_NS)
}

/// Resolves when the simulation has lasted for `moment`.
pub async fn until(moment: Duration) {
    tokio::time::sleep(moment.saturating_sub(now())).await;
}

/// Whether the calling thread is simulated.
pub(super) fn inside() -> bool {
    SELF.get() != OUTSIDE
}

/// Touches the state. Only simulated threads may call it, and `touch` must not block.
pub(super) fn with<T>(touch: impl FnOnce(&mut State) -> T) -> T {
    assert!(inside(), "a thread outside of the simulation touched its state");
    // SAFETY: the caller is the one simulated thread that runs, and no reference outlives this call.
    let state = unsafe { (*STATE.0.get()).as_mut() };
    touch(state.expect("a simulated thread runs within a simulation"))
}

/// Blocks the calling thread.
pub(super) fn block(wait: Wait) -> Outcome {
    let me = SELF.get();
    let own = with(|state| {
        state.threads[me].wait = wait;
        state.threads[me].baton
    });
    pass_on(Some(me));
    take(own);
    await_dying();
    with(|state| state.threads[me].outcome)
}

/// Lets another thread have a turn.
pub(super) fn yield_turn() {
    block(Wait::Nothing);
}

/// The calling thread takes so long over what it does.
pub fn pass(time: Duration) {
    sleep_ns(u64::try_from(time.as_nanos()).expect("virtual time is short"));
}

/// Blocks the calling thread for a while.
pub(super) fn sleep_ns(nanos: u64) {
    let until = with(|state| state.now) + nanos;
    block(Wait::Time { until });
}

/// Reads the monotonic clock, and the wall clock when `wall`.
pub(super) fn read_clock(wall: bool) -> u64 {
    let (time, long_turn) = with(|state| {
        state.now += LOOK_NS;
        state.looks += 1;
        (state.now, state.looks > LOOKS_PER_TURN)
    });
    if long_turn {
        yield_turn();
    }
    if wall { wall_of(time) } else { time }
}

/// Reads the processor's counter: it counts nanoseconds here. Callable from a signal handler.
#[cfg(target_arch = "x86_64")]
pub(super) fn read_counter() -> u64 {
    with(|state| {
        state.now += LOOK_NS;
        state.now
    })
}

/// The wall time at a monotonic time.
pub(super) fn wall_of(time: u64) -> u64 {
    EPOCH_NS + (time - BOOT_NS)
}

/// The monotonic time at a wall time.
pub(super) fn monotonic_of(wall: u64) -> u64 {
    wall.saturating_sub(EPOCH_NS) + BOOT_NS
}

/// Wakes up to `count` threads that wait on the futex at `addr`, those that waited longest first.
pub(super) fn wake(addr: usize, count: usize, mask: u32) -> usize {
    with(|state| {
        let waits = |thread: &&mut Thread| matches!(thread.wait, Wait::Futex { addr: a, bits, .. } if a == addr && bits & mask != 0);
        let woken = state.threads.iter_mut().filter(waits).take(count);
        woken.map(|thread| thread.resume(Outcome::Happened)).count()
    })
}

/// Adds a thread that is about to be started. It runs when it gets the baton.
pub(super) fn add_thread() -> (usize, &'static AtomicU32) {
    with(|state| {
        let baton = new_baton(0);
        state.threads.push(Thread { baton, wait: Wait::Nothing, outcome: Outcome::Happened, handle: 0 });
        (state.threads.len() - 1, baton)
    })
}

/// Notes the handle of a thread that was started, or that none was.
pub(super) fn thread_started(index: usize, handle: Option<libc::pthread_t>) {
    with(|state| match handle {
        Some(handle) => state.threads[index].handle = handle,
        None => state.threads[index].wait = Wait::Ended,
    });
}

/// Makes the calling thread the simulated thread `index` and waits for its first turn.
pub(super) fn enter(index: usize, baton: &'static AtomicU32) {
    take(baton);
    tsc::forbid();
    SELF.set(index);
    await_dying();
}

/// Ends the calling thread's part in the simulation.
pub(super) fn leave() {
    let me = SELF.get();
    with(|state| {
        state.threads[me].wait = Wait::Ended;
        for thread in state.threads.iter_mut().filter(|thread| thread.wait == Wait::EndOf { thread: me }) {
            thread.resume(Outcome::Happened);
        }
        // SAFETY: a plain call.
        state.dying = Some(unsafe { libc::gettid() });
    });
    pass_on(None);
    SELF.set(OUTSIDE);
}

/// Waits for the end of a simulated thread; returns at once for one of another kind.
pub(super) fn await_end(handle: libc::pthread_t) {
    let running = with(|state| {
        // Handles are reused: the newest owner counts.
        let found = state.threads.iter().enumerate().rev().find(|(_, thread)| thread.handle == handle);
        found.filter(|(_, thread)| thread.wait != Wait::Ended).map(|(index, _)| index)
    });
    if let Some(thread) = running {
        block(Wait::EndOf { thread });
    }
}

impl Thread {
    fn resume(&mut self, outcome: Outcome) {
        self.wait = Wait::Nothing;
        self.outcome = outcome;
    }
}

fn new_baton(value: u32) -> &'static AtomicU32 {
    // Threads may outlive their simulation asleep on it.
    Box::leak(Box::new(AtomicU32::new(value)))
}

fn take(baton: &AtomicU32) {
    while baton.swap(0, Ordering::Acquire) == 0 {
        raw().futex_wait(baton, 0);
    }
}

/// Waits until the last thread that ended is gone, so that what it frees at its end is free for every run alike: addresses
/// decide in which of their buckets the locks of `parking_lot` share a timer.
fn await_dying() {
    if let Some(thread) = with(|state| state.dying.take()) {
        while raw().is_alive(thread) {
            std::hint::spin_loop();
        }
    }
}

/// Gives the baton to the next thread, which may be the caller `me`.
fn pass_on(me: Option<usize>) {
    let mut stuck = 0;
    let next = loop {
        match with(State::next_thread) {
            Some(next) => break next,
            None if stuck < STUCK_MAX_MILLIS => {
                stuck += 1;
                raw().sleep_a_millisecond();
            }
            None => stop_stuck(),
        }
    };
    let baton = with(|state| {
        state.looks = 0;
        state.threads[next].baton
    });
    baton.store(1, Ordering::Release);
    if Some(next) != me {
        raw().futex_wake(baton);
    }
}

fn stop_stuck() -> ! {
    let waits = with(|state| state.threads.iter().map(|t| t.wait).filter(|w| *w != Wait::Ended).collect::<Vec<_>>());
    eprintln!("simulation: every thread waits and no time will end it: {waits:?}");
    std::process::abort()
}

impl State {
    /// The thread to run next; moves the time on when nobody can run. `None` if nobody ever will.
    fn next_thread(&mut self) -> Option<usize> {
        loop {
            self.poll_epolls();
            let ready: Vec<usize> =
                (0..self.threads.len()).filter(|index| self.threads[*index].wait == Wait::Nothing).collect();
            if !ready.is_empty() {
                return Some(ready[self.turns.index(ready.len())]);
            }
            if !self.jump() && !self.recheck() {
                return None;
            }
        }
    }

    /// Moves time to the next deadline.
    fn jump(&mut self) -> bool {
        let Some(next) = self.threads.iter().filter_map(|thread| thread.wait.until()).min() else { return false };
        self.now = self.now.max(next);
        let now = self.now;
        for thread in self.threads.iter_mut().filter(|thread| thread.wait.until().is_some_and(|until| until <= now)) {
            thread.resume(Outcome::TimedOut);
        }
        true
    }

    /// Resumes whose futex has been changed by a thread outside of the simulation.
    fn recheck(&mut self) -> bool {
        let mut any = false;
        for thread in &mut self.threads {
            if let Wait::Futex { addr, value, .. } = thread.wait {
                // SAFETY: a thread waits in a call on this address, which it therefore keeps alive.
                let now = unsafe { &*(addr as *const AtomicU32) }.load(Ordering::Acquire);
                if now != value {
                    thread.resume(Outcome::Happened);
                    any = true;
                }
            }
        }
        any
    }

    /// Resumes the threads whose event queues have something.
    fn poll_epolls(&mut self) {
        let mut polled = [libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 }; EPOLLS_MAX];
        let waiting = self.threads.iter_mut().filter(|thread| matches!(thread.wait, Wait::Epoll { .. }));
        let mut waiting: Vec<&mut Thread> = waiting.take(EPOLLS_MAX).collect();
        for (thread, poll) in waiting.iter().zip(&mut polled) {
            if let Wait::Epoll { fd, .. } = thread.wait {
                poll.fd = fd;
            }
        }
        if waiting.is_empty() || !raw().poll_now(&mut polled[..waiting.len()]) {
            return;
        }
        for (thread, poll) in waiting.iter_mut().zip(&polled) {
            if poll.revents != 0 {
                thread.resume(Outcome::Happened);
            }
        }
    }
}
