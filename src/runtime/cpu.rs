//! Named compute threads for work that would hold up the async threads: hashing, coding, execution.
//!
//! Owns a rayon pool and the bound on what waits for it. Must not know what is computed.
//! Invariants: at most [`CPU_POOL_MAX_QUEUED`] jobs of [`CpuPool::run`] are in the pool at once, later callers wait; a
//! panicking job panics its caller and leaves the pool intact.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};
use tokio::sync::{Semaphore, oneshot};

/// Jobs submitted with [`CpuPool::run`] that may be in the pool at once.
pub const CPU_POOL_MAX_QUEUED: usize = 256;

/// Handle of a pool. Cheap to clone; many nodes of one process may share it.
#[derive(Clone)]
pub struct CpuPool {
    pool: Arc<rayon::ThreadPool>,
    slots: Arc<Semaphore>,
}

impl CpuPool {
    /// A pool of `threads` threads (at least one) named `<name>-<n>`.
    pub fn new(name: &str, threads: usize) -> Self {
        let name = name.to_owned();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(move |index| format!("{name}-{index}"))
            .build()
            .expect("the operating system grants a process its first compute threads");
        Self { pool: Arc::new(pool), slots: Arc::new(Semaphore::new(CPU_POOL_MAX_QUEUED)) }
    }

    /// Runs `job` on the pool without holding up the async thread. The job runs to its end even if the caller is dropped.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let slot = self.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (done, result) = oneshot::channel();
        self.pool.spawn(move || {
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

    /// Runs `job` on the pool and blocks this thread until it is done. Parallel iterators inside use the pool's threads.
    pub fn install<T: Send>(&self, job: impl FnOnce() -> T + Send) -> T {
        self.pool.install(job)
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
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
    async fn more_jobs_than_slots_all_finish() {
        let pool = CpuPool::new("q", 2);
        let jobs = (0..CPU_POOL_MAX_QUEUED * 2).map(|n| pool.run(move || n));
        let total: usize = futures::future::join_all(jobs).await.into_iter().sum();
        assert_eq!(total, (CPU_POOL_MAX_QUEUED * 2 - 1) * CPU_POOL_MAX_QUEUED);
    }
}
