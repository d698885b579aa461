//! Named compute threads for work that would hold up the async threads: hashing, coding, execution.
//!
//! Owns a rayon pool, the bound on what waits for it, and a second pool for long work. Must not know what is computed.
//! Invariants: at most [`CPU_POOL_MAX_QUEUED`] jobs that nobody blocks for are in each pool at once, later callers wait; a
//! panicking job panics its caller and leaves the pool intact; what somebody waits for never queues behind work in the
//! background.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, OnceLock},
};
use tokio::sync::{Semaphore, oneshot};

/// Jobs submitted with [`CpuPool::run`] that may be in the pool at once. More than all bodies under way have together: a caller that waits
/// for its place and is not polled keeps it from the others.
pub const CPU_POOL_MAX_QUEUED: usize = 4_096;

/// How much the threads in the background yield to others: on a busy processor they get a quarter of what another thread gets, and so come to an end.
const BACKGROUND_NICE: libc::c_int = 6;

/// Handle of a pool. Cheap to clone; many nodes of one process may share it.
#[derive(Clone)]
pub struct CpuPool {
    pool: Arc<ThreadPool>,
    slots: Arc<Semaphore>,
    background: Arc<Background>,
}

/// Threads of their own, made when they are first needed: a queue both kinds of work shared would let a block wait for labels.
struct Background {
    name: String,
    threads: usize,
    pool: OnceLock<ThreadPool>,
    slots: Arc<Semaphore>,
}

impl Background {
    fn pool(&self) -> &ThreadPool {
        self.pool.get_or_init(|| {
            let name = self.name.clone();
            ThreadPoolBuilder::new()
                .num_threads(self.threads)
                .thread_name(move |index| format!("{name}-low-{index}"))
                .start_handler(|_| yield_to_others())
                .build()
                .expect("the operating system grants a process its second compute threads")
        })
    }
}

/// Gives this thread a lower priority. Refused, it works as any other.
fn yield_to_others() {
    // SAFETY: setpriority(2) takes plain integers; 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, BACKGROUND_NICE) };
}

impl CpuPool {
    /// A pool of `threads` threads (at least one) named `<name>-<n>`.
    pub fn new(name: &str, threads: usize) -> Self {
        let slots = || Arc::new(Semaphore::new(CPU_POOL_MAX_QUEUED));
        let background =
            Background { name: name.to_owned(), threads: threads.max(1), pool: OnceLock::new(), slots: slots() };
        let name = name.to_owned();
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(move |index| format!("{name}-{index}"))
            .build()
            .expect("the operating system grants a process its first compute threads");
        Self { pool: Arc::new(pool), slots: slots(), background: Arc::new(background) }
    }

    /// Runs `job` on the pool without holding up the async thread. The job runs to its end even if the caller is dropped.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        run_on(&self.pool, &self.slots, job).await
    }

    /// As [`CpuPool::run`], for work that nobody waits for: on threads of its own that yield to others.
    pub async fn run_in_background<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        run_on(self.background.pool(), &self.background.slots, job).await
    }

    /// Runs `job` on the pool and blocks this thread until it is done. Parallel iterators inside use the pool's threads.
    pub fn install<T: Send>(&self, job: impl FnOnce() -> T + Send) -> T {
        self.pool.install(job)
    }

    /// As [`CpuPool::install`], for long work in steps, which blocks must not queue behind: on threads of its own that yield to others.
    pub fn install_in_background<T: Send>(&self, job: impl FnOnce() -> T + Send) -> T {
        self.background.pool().install(job)
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }
}

async fn run_on<T: Send + 'static>(
    pool: &ThreadPool,
    slots: &Arc<Semaphore>,
    job: impl FnOnce() -> T + Send + 'static,
) -> T {
    let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
    let (done, result) = oneshot::channel();
    pool.spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(job));
        drop(slot);
        // The caller may have gone away; its answer goes with it.
        let _ = done.send(outcome);
    });
    match result.await.expect("a spawned job always reports") {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn runs_on_its_named_threads() {
        let pool = CpuPool::new("coding", 2);
        let name = pool.run(|| std::thread::current().name().map(str::to_owned)).await;
        assert!(name.is_some_and(|name| name.starts_with("coding-")));
        assert_eq!(pool.install(|| 6 * 7), 42);
        assert_eq!(CpuPool::new("one", 0).threads(), 1);
    }

    #[tokio::test]
    async fn a_panicking_job_panics_its_caller_only() {
        let pool = CpuPool::new("p", 1);
        let caller = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(|| panic!("bad shard")).await }
        });
        assert!(caller.await.is_err_and(|error| error.is_panic()));
        assert_eq!(pool.run(|| 1).await, 1);
    }

    #[tokio::test]
    async fn work_in_the_background_holds_up_nobody() {
        let pool = CpuPool::new("b", 1);
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let busy = std::thread::spawn({
            let pool = pool.clone();
            move || {
                pool.install_in_background(move || {
                    wait.recv().expect("told to go on");
                    // SAFETY: getpriority(2) takes plain integers; 0 is the calling thread.
                    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
                })
            }
        });
        // The only thread of the pool is free, whatever its sister does.
        assert_eq!(pool.run(|| 1).await, 1);
        go_on.send(()).unwrap();
        assert_eq!(busy.join().unwrap(), BACKGROUND_NICE);
        let name = pool.run_in_background(|| std::thread::current().name().map(str::to_owned)).await;
        assert!(name.is_some_and(|name| name.contains("-low-")));
    }

    #[tokio::test]
    async fn more_jobs_than_slots_all_finish() {
        let pool = CpuPool::new("q", 2);
        let jobs = (0..CPU_POOL_MAX_QUEUED * 2).map(|n| pool.run(move || n));
        let total: usize = futures::future::join_all(jobs).await.into_iter().sum();
        assert_eq!(total, (CPU_POOL_MAX_QUEUED * 2 - 1) * CPU_POOL_MAX_QUEUED);
    }
}
