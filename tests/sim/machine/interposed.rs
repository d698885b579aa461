//! The libc calls by which a program learns the time, blocks, starts threads, draws randomness and syncs files.
//!
//! Each is answered by the simulation for simulated threads and by libc for all others. The linker prefers these symbols, and
//! exports them to the few callers that look them up at run time, because libc defines symbols of the same names.

use super::{
    disk,
    scheduler::{self, Outcome, Wait, add_thread, block, inside, read_clock, with},
};
use libc::{c_char, c_int, c_long, c_uint, c_void, clockid_t, epoll_event, pthread_attr_t, pthread_t, size_t, ssize_t};
use std::{
    mem::transmute,
    ptr::{null, null_mut},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// Event queues waited on at a time.
pub(super) const EPOLLS_MAX: usize = 64;

const NANOS: u64 = 1_000_000_000;
const ANY_BIT: u32 = u32::MAX;

type StartRoutine = extern "C" fn(*mut c_void) -> *mut c_void;

/// libc's own functions.
pub(super) struct Raw {
    syscall: unsafe extern "C" fn(c_long, ...) -> c_long,
    clock_gettime: unsafe extern "C" fn(clockid_t, *mut libc::timespec) -> c_int,
    clock_nanosleep: unsafe extern "C" fn(clockid_t, c_int, *const libc::timespec, *mut libc::timespec) -> c_int,
    sched_yield: unsafe extern "C" fn() -> c_int,
    sched_getaffinity: unsafe extern "C" fn(libc::pid_t, size_t, *mut libc::cpu_set_t) -> c_int,
    epoll_wait: unsafe extern "C" fn(c_int, *mut epoll_event, c_int, c_int) -> c_int,
    getrandom: unsafe extern "C" fn(*mut c_void, size_t, c_uint) -> ssize_t,
    fsync: unsafe extern "C" fn(c_int) -> c_int,
    fdatasync: unsafe extern "C" fn(c_int) -> c_int,
    pthread_create: unsafe extern "C" fn(*mut pthread_t, *const pthread_attr_t, StartRoutine, *mut c_void) -> c_int,
    pthread_join: unsafe extern "C" fn(pthread_t, *mut *mut c_void) -> c_int,
    at_thread_end: libc::pthread_key_t,
}

static RAW: OnceLock<Raw> = OnceLock::new();

/// libc's own functions. The first call finds them.
pub(super) fn raw() -> &'static Raw {
    if let Some(raw) = RAW.get() {
        return raw;
    }
    // A race of two first calls finds the same functions twice.
    let found = find();
    let _ = RAW.set(found);
    RAW.get().expect("it was just set")
}

#[allow(clippy::missing_transmute_annotations, reason = "the fields of `Raw` name the types once")]
fn find() -> Raw {
    fn next(name: &'static [u8]) -> *mut c_void {
        // SAFETY: the name ends in a zero byte.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr().cast::<c_char>()) };
        assert!(!found.is_null(), "libc lacks {name:?}");
        found
    }
    let mut at_thread_end = 0;
    // SAFETY: a plain call; the types below are those of libc's declarations.
    unsafe {
        assert_eq!(libc::pthread_key_create(&raw mut at_thread_end, Some(thread_ends)), 0);
        Raw {
            syscall: transmute::<*mut c_void, _>(next(b"syscall\0")),
            clock_gettime: transmute::<*mut c_void, _>(next(b"clock_gettime\0")),
            clock_nanosleep: transmute::<*mut c_void, _>(next(b"clock_nanosleep\0")),
            sched_yield: transmute::<*mut c_void, _>(next(b"sched_yield\0")),
            sched_getaffinity: transmute::<*mut c_void, _>(next(b"sched_getaffinity\0")),
            epoll_wait: transmute::<*mut c_void, _>(next(b"epoll_wait\0")),
            getrandom: transmute::<*mut c_void, _>(next(b"getrandom\0")),
            fsync: transmute::<*mut c_void, _>(next(b"fsync\0")),
            fdatasync: transmute::<*mut c_void, _>(next(b"fdatasync\0")),
            pthread_create: transmute::<*mut c_void, _>(next(b"pthread_create\0")),
            pthread_join: transmute::<*mut c_void, _>(next(b"pthread_join\0")),
            at_thread_end,
        }
    }
}

impl Raw {
    /// Sleeps while `word` is `value`, or less.
    pub fn futex_wait(&self, word: &AtomicU32, value: u32) {
        // SAFETY: the word outlives the call; there is no timeout.
        unsafe {
            (self.syscall)(
                libc::SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                value,
                null::<libc::timespec>(),
            )
        };
    }

    /// Wakes the thread that sleeps on `word`.
    pub fn futex_wake(&self, word: &AtomicU32) {
        // SAFETY: the word is alive; waking changes no memory.
        unsafe { (self.syscall)(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1) };
    }

    /// Whether this process has a thread of this name.
    pub fn is_alive(&self, thread: i32) -> bool {
        // SAFETY: signal 0 only asks.
        unsafe { (self.syscall)(libc::SYS_tgkill, libc::getpid(), thread, 0) == 0 }
    }

    /// Sleeps in real time.
    pub fn sleep_a_millisecond(&self) {
        let pause = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        // SAFETY: both pointers are valid or null.
        unsafe { (self.clock_nanosleep)(libc::CLOCK_MONOTONIC, 0, &raw const pause, null_mut()) };
    }

    /// Whether any of `fds` has something, without waiting.
    pub fn poll_now(&self, fds: &mut [libc::pollfd]) -> bool {
        let count = libc::nfds_t::try_from(fds.len()).expect("a few event queues");
        // SAFETY: the slice is valid for its length.
        unsafe { libc::poll(fds.as_mut_ptr(), count, 0) > 0 }
    }
}

fn fail(error: c_int) -> c_long {
    // SAFETY: the address is this thread's errno.
    unsafe { *libc::__errno_location() = error };
    -1
}

/// A time in nanoseconds; a malformed one counts as 0, as libc would have refused it.
fn nanos_of(time: &libc::timespec) -> u64 {
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(NANOS).saturating_add(nanos)
}

fn is_wall(clock: clockid_t) -> bool {
    clock == libc::CLOCK_REALTIME || clock == libc::CLOCK_REALTIME_COARSE
}

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, out: *mut libc::timespec) -> c_int {
    if !inside() {
        // SAFETY: the caller's arguments are passed on.
        return unsafe { (raw().clock_gettime)(clock, out) };
    }
    let time = read_clock(is_wall(clock));
    let tv_sec = libc::time_t::try_from(time / NANOS).expect("a time of this century");
    let tv_nsec = c_long::try_from(time % NANOS).expect("below a second");
    // SAFETY: the caller gives room for a timespec.
    unsafe { *out = libc::timespec { tv_sec, tv_nsec } };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    wanted: *const libc::timespec,
    left: *mut libc::timespec,
) -> c_int {
    if !inside() {
        // SAFETY: the caller's arguments are passed on.
        return unsafe { (raw().clock_nanosleep)(clock, flags, wanted, left) };
    }
    // SAFETY: the caller gives a timespec.
    let wanted = nanos_of(unsafe { &*wanted });
    let until = match (flags & libc::TIMER_ABSTIME != 0, is_wall(clock)) {
        (true, true) => scheduler::monotonic_of(wanted),
        (true, false) => wanted,
        (false, _) => read_clock(false).saturating_add(wanted),
    };
    block(Wait::Time { until });
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nanosleep(wanted: *const libc::timespec, left: *mut libc::timespec) -> c_int {
    // SAFETY: the caller's arguments are passed on.
    match unsafe { clock_nanosleep(libc::CLOCK_MONOTONIC, 0, wanted, left) } {
        0 => 0,
        error => {
            fail(error);
            -1
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sched_yield() -> c_int {
    if inside() {
        scheduler::yield_turn();
        return 0;
    }
    // SAFETY: a plain call.
    unsafe { (raw().sched_yield)() }
}

/// The simulated machine has one processor, wherever it runs.
#[unsafe(no_mangle)]
unsafe extern "C" fn sched_getaffinity(pid: libc::pid_t, size: size_t, set: *mut libc::cpu_set_t) -> c_int {
    // SAFETY: the caller's arguments are passed on; the set is the caller's.
    unsafe {
        let result = (raw().sched_getaffinity)(pid, size, set);
        if inside() && result == 0 && size == size_of::<libc::cpu_set_t>() {
            libc::CPU_ZERO(&mut *set);
            libc::CPU_SET(0, &mut *set);
        }
        result
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_wait(fd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> c_int {
    if !inside() {
        // SAFETY: the caller's arguments are passed on.
        return unsafe { (raw().epoll_wait)(fd, events, max, timeout) };
    }
    let millis = u64::try_from(timeout).ok();
    let until = millis.map(|millis| read_clock(false) + millis * 1_000_000);
    loop {
        // SAFETY: as above; it does not wait.
        let found = unsafe { (raw().epoll_wait)(fd, events, max, 0) };
        if found != 0 || timeout == 0 {
            return found;
        }
        if block(Wait::Epoll { fd, until }) == Outcome::TimedOut {
            return 0;
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(out: *mut c_void, len: size_t, flags: c_uint) -> ssize_t {
    if !inside() {
        // SAFETY: the caller's arguments are passed on.
        return unsafe { (raw().getrandom)(out, len, flags) };
    }
    // SAFETY: the caller gives room for `len` bytes.
    let out = unsafe { std::slice::from_raw_parts_mut(out.cast::<u8>(), len) };
    with(|state| state.entropy.fill(out));
    ssize_t::try_from(len).expect("a slice is never longer")
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    if inside() {
        disk::sync(fd);
        return 0;
    }
    // SAFETY: a plain call.
    unsafe { (raw().fsync)(fd) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    if inside() {
        disk::sync(fd);
        return 0;
    }
    // SAFETY: a plain call.
    unsafe { (raw().fdatasync)(fd) }
}

/// Rust's standard library and `parking_lot` reach the futex by this door. Its variadic arguments travel like these.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
    if inside() && number == libc::SYS_futex {
        // SAFETY: the caller's arguments are those of the futex call.
        if let Some(result) = unsafe { futex(a, b, c, d, f) } {
            return result;
        }
    }
    if inside() && number == libc::SYS_getrandom {
        // SAFETY: the caller's arguments are passed on.
        let got = unsafe { getrandom(a as *mut c_void, b, 0) };
        return c_long::try_from(got).expect("both are of one width");
    }
    // SAFETY: the caller's arguments are passed on.
    unsafe { (raw().syscall)(number, a, b, c, d, e, f) }
}

/// Waits and wakes-up among simulated threads; `None` for what the kernel must do.
unsafe fn futex(addr: usize, op: usize, value: usize, timeout: usize, bits: usize) -> Option<c_long> {
    let low = |word: usize| u32::try_from(word & 0xffff_ffff).expect("masked to 32 bits");
    let op = c_int::try_from(low(op)).ok()?;
    let command = op & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    let with_bits = command == libc::FUTEX_WAIT_BITSET || command == libc::FUTEX_WAKE_BITSET;
    let mask = if with_bits { low(bits) } else { ANY_BIT };
    match command {
        libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET => {
            // SAFETY: a futex is a live word of 32 bits.
            let found = unsafe { &*(addr as *const AtomicU32) }.load(Ordering::SeqCst);
            let value = low(value);
            if found != value {
                return Some(fail(libc::EAGAIN));
            }
            // SAFETY: null or a timespec of the caller.
            let timeout = unsafe { (timeout as *const libc::timespec).as_ref() }.map(nanos_of);
            let wall = op & libc::FUTEX_CLOCK_REALTIME != 0;
            let until = timeout.map(|timeout| match (command == libc::FUTEX_WAIT, wall) {
                (true, _) => read_clock(false).saturating_add(timeout),
                (false, true) => scheduler::monotonic_of(timeout),
                (false, false) => timeout,
            });
            match block(Wait::Futex { addr, value, bits: mask, until }) {
                Outcome::Happened => Some(0),
                Outcome::TimedOut => Some(fail(libc::ETIMEDOUT)),
            }
        }
        libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET => {
            let count = usize::try_from(low(value)).expect("32 bits fit a usize");
            let woken = scheduler::wake(addr, count, mask);
            // The kernel wakes those outside of the simulation.
            (woken >= count).then(|| c_long::try_from(woken).expect("a few threads"))
        }
        _ => None,
    }
}

struct Start {
    index: usize,
    baton: &'static AtomicU32,
    arrived: Arc<AtomicU32>,
    routine: StartRoutine,
    arg: *mut c_void,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    handle: *mut pthread_t,
    attr: *const pthread_attr_t,
    routine: StartRoutine,
    arg: *mut c_void,
) -> c_int {
    if !inside() {
        // SAFETY: the caller's arguments are passed on.
        return unsafe { (raw().pthread_create)(handle, attr, routine, arg) };
    }
    let (index, baton) = add_thread();
    let arrived = Arc::new(AtomicU32::new(0));
    let start = Box::into_raw(Box::new(Start { index, baton, arrived: arrived.clone(), routine, arg }));
    // SAFETY: the new thread owns `start`; the caller's arguments are passed on.
    unsafe {
        let error = (raw().pthread_create)(handle, attr, run_thread, start.cast());
        scheduler::thread_started(index, (error == 0).then(|| *handle));
        if error != 0 {
            drop(Box::from_raw(start));
            return error;
        }
    }
    // What a thread does before it waits for its turn, it does alone.
    while arrived.load(Ordering::Acquire) == 0 {
        raw().futex_wait(&arrived, 0);
    }
    0
}

extern "C" fn run_thread(start: *mut c_void) -> *mut c_void {
    // SAFETY: `pthread_create` above gave this thread the box.
    let Start { index, baton, arrived, routine, arg } = *unsafe { Box::from_raw(start.cast::<Start>()) };
    arrived.store(1, Ordering::Release);
    raw().futex_wake(&arrived);
    scheduler::enter(index, baton);
    drop(arrived);
    // SAFETY: the key exists; any value but null has the destructor called.
    unsafe { libc::pthread_setspecific(raw().at_thread_end, null::<u8>().wrapping_add(1).cast()) };
    routine(arg)
}

/// Runs after the destructors of Rust's thread locals, which are part of the simulation.
unsafe extern "C" fn thread_ends(_: *mut c_void) {
    if inside() {
        scheduler::leave();
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_join(handle: pthread_t, result: *mut *mut c_void) -> c_int {
    if inside() {
        scheduler::await_end(handle);
    }
    // SAFETY: the caller's arguments are passed on.
    unsafe { (raw().pthread_join)(handle, result) }
}
