//! The supervisor under failing, stubborn and late tasks.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

const PATIENCE: Duration = Duration::from_secs(10);

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("happens within the test's deadline")
}

fn forever() -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
    std::future::pending()
}

/// A task that notes its name when its phase's turn comes.
fn noting(tasks: &Tasks, phase: Phase, order: &Arc<Mutex<Vec<Phase>>>) {
    let (stop, order) = (tasks.stopping(phase), order.clone());
    tasks.spawn(phase, format!("{phase:?}"), Criticality::Critical, async move {
        stop.cancelled().await;
        order.lock().push(phase);
        Ok(())
    });
}

#[tokio::test]
async fn phases_stop_in_order_and_nothing_is_a_failure() {
    let tasks = Tasks::new("n");
    let order = Arc::new(Mutex::new(Vec::new()));
    for phase in Phase::ORDER.into_iter().rev() {
        noting(&tasks, phase, &order);
    }
    assert_eq!(tasks.running(), ["Store", "Network", "Produce", "Drain", "Accept"]);
    assert!(within(tasks.shutdown()).await.is_empty());
    assert_eq!(*order.lock(), Phase::ORDER);
    assert!(tasks.running().is_empty());
    assert!(tasks.failure().now_or_never().is_none());
}

#[tokio::test]
async fn critical_ends_are_failures() {
    let cases: [(&str, anyhow::Result<()>); 2] =
        [("task `t` ended by itself", Ok(())), ("task `t` disk full", Err(anyhow::anyhow!("disk full")))];
    for (expected, outcome) in cases {
        let tasks = Tasks::new("n");
        tasks.spawn(Phase::Produce, "t", Criticality::Critical, async move { outcome });
        assert_eq!(within(tasks.failure()).await, expected);
    }
    let tasks = Tasks::new("n");
    tasks.spawn(Phase::Produce, "t", Criticality::Critical, async { panic!("bad {}", "state") });
    assert_eq!(within(tasks.failure()).await, "task `t` panicked: bad state");
    assert!(within(tasks.shutdown()).await.is_empty());
}

#[tokio::test]
async fn optional_ends_are_not() {
    let tasks = Tasks::new("n");
    tasks.spawn(Phase::Produce, "a", Criticality::Optional, async { anyhow::bail!("no") });
    tasks.spawn(Phase::Produce, "b", Criticality::Optional, async { panic!("boo") });
    assert!(within(tasks.wait_until_none(None, PATIENCE)).await);
    assert!(tasks.failure().now_or_never().is_none());
}

#[tokio::test]
async fn the_first_failure_is_kept() {
    let tasks = Tasks::new("n");
    for name in ["first", "second"] {
        tasks.spawn(Phase::Produce, name, Criticality::Critical, async { Ok(()) });
        assert!(within(tasks.wait_until_none(None, PATIENCE)).await);
    }
    assert_eq!(within(tasks.failure()).await, "task `first` ended by itself");
}

#[tokio::test]
async fn stubborn_tasks_are_aborted_and_named() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let tasks = Tasks::with_deadline("n", Duration::from_millis(10));
    let dropped = Arc::new(AtomicBool::new(false));
    let witness = Dropped(dropped.clone());
    tasks.spawn(Phase::Drain, "stubborn", Criticality::Critical, async move {
        let _witness = witness;
        forever().await
    });
    assert_eq!(within(tasks.shutdown()).await, ["stubborn"]);
    assert!(dropped.load(Ordering::SeqCst));
    assert!(tasks.running().is_empty());
    tasks.spawn(Phase::Accept, "late", Criticality::Critical, forever());
    assert!(tasks.running().is_empty(), "a stopped node starts nothing");
}

#[tokio::test]
async fn tasks_spawned_into_a_past_phase_do_not_survive() {
    let tasks = Tasks::with_deadline("n", Duration::from_millis(10));
    let (spawner, stop) = (tasks.clone(), tasks.stopping(Phase::Store));
    tasks.spawn(Phase::Store, "store", Criticality::Critical, async move {
        stop.cancelled().await;
        spawner.spawn(Phase::Accept, "straggler", Criticality::Optional, forever());
        Ok(())
    });
    assert_eq!(within(tasks.shutdown()).await, ["straggler"]);
}

#[tokio::test]
async fn callers_cannot_stop_a_phase_through_its_token() {
    let tasks = Tasks::new("n");
    tasks.stopping(Phase::Accept).cancel();
    assert!(!tasks.is_stopping());
    assert!(!tasks.stopping(Phase::Accept).is_cancelled());
}

#[test]
fn tasks_run_on_the_runtime_of_their_supervisor() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("builds");
    let tasks = {
        let _inside = runtime.enter();
        Tasks::new("n")
    };
    let (done, seen) = std::sync::mpsc::channel();
    tasks.spawn(Phase::Produce, "t", Criticality::Optional, async move {
        done.send(()).expect("test listens");
        Ok(())
    });
    seen.recv_timeout(PATIENCE).expect("spawned from a thread without a runtime");
}

#[test]
fn a_runtime_that_has_ended_drops_what_is_spawned() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let tasks = runtime.block_on(async { Tasks::new("n") });
    runtime.shutdown_timeout(PATIENCE);
    let (done, returned) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        tasks.spawn(Phase::Drain, "late", Criticality::Optional, forever());
        done.send(tasks.running()).expect("the test waits");
    });
    assert_eq!(returned.recv_timeout(PATIENCE), Ok(Vec::new()));
}
