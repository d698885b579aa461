//! Nodes started, paused, stopped and killed inside one process.

use super::*;
use crate::runtime::{Criticality, Phase};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

const PATIENCE: Duration = Duration::from_secs(10);

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("happens within the test's deadline")
}

/// A node that answers every ping, and whose `dropped` sender tells when its task ended.
struct Echo {
    pings: mpsc::Sender<oneshot::Sender<u64>>,
}

impl Echo {
    async fn ping(&self) -> Option<u64> {
        let (reply, answer) = oneshot::channel();
        self.pings.send(reply).await.ok()?;
        answer.await.ok()
    }
}

async fn echo(node: Node) -> anyhow::Result<Echo> {
    let (pings, mut inbox) = mpsc::channel::<oneshot::Sender<u64>>(16);
    let (stop, count) = (node.tasks.stopping(Phase::Accept), AtomicU64::new(0));
    node.tasks.spawn(Phase::Accept, "echo", Criticality::Critical, async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(reply) = inbox.recv() => {
                    let _ = reply.send(count.fetch_add(1, Ordering::SeqCst));
                }
            }
        }
    });
    Ok(Echo { pings })
}

fn pool() -> CpuPool {
    CpuPool::new("test", 1)
}

#[tokio::test]
async fn starts_answers_and_stops_in_order() {
    let (node, service) = within(NodeRuntime::start("a", pool(), echo)).await.expect("starts");
    assert_eq!(within(service.ping()).await, Some(0));
    assert_eq!(node.node().tasks.running(), ["echo"]);
    assert!(within(node.stop()).await.is_empty());
    assert_eq!(within(service.ping()).await, None);
}

#[tokio::test]
async fn a_paused_node_answers_nobody_until_resumed() {
    for threads in [1, 3] {
        paused_and_resumed(threads).await;
    }
}

async fn paused_and_resumed(threads: usize) {
    let (node, service) = within(NodeRuntime::start_on(threads, "b", pool(), echo)).await.expect("starts");
    let (other, neighbour) = within(NodeRuntime::start("c", pool(), echo)).await.expect("starts");
    within(node.pause()).await.expect("pauses");
    within(node.pause()).await.expect("pausing twice is fine");
    assert!(node.is_paused());
    let mut pending = Box::pin(service.ping());
    // The neighbour's many answers give the paused node every chance to answer too.
    for count in 0..100 {
        assert_eq!(within(neighbour.ping()).await, Some(count));
        assert!(futures::poll!(&mut pending).is_pending());
    }
    node.resume();
    assert_eq!(within(pending).await, Some(0));
    within(node.stop()).await;
    other.kill();
}

#[tokio::test]
async fn kill_ends_tasks_and_pulls_the_switch_even_when_paused() {
    for paused in [false, true] {
        let (node, service) = within(NodeRuntime::start("d", pool(), echo)).await.expect("starts");
        assert_eq!(within(service.ping()).await, Some(0));
        let switch = node.node().kill.clone();
        if paused {
            within(node.pause()).await.expect("pauses");
        }
        node.kill();
        assert!(switch.is_killed());
        within(service.pings.closed()).await;
        assert_eq!(within(service.ping()).await, None);
    }
}

#[tokio::test]
async fn a_paused_node_stops_in_order_too() {
    let (node, service) = within(NodeRuntime::start("e", pool(), echo)).await.expect("starts");
    within(node.pause()).await.expect("pauses");
    assert!(within(node.stop()).await.is_empty());
    assert_eq!(within(service.ping()).await, None);
}

#[tokio::test]
async fn a_failing_or_panicking_builder_is_a_named_error() {
    let failed = NodeRuntime::start("f", pool(), |_| async { anyhow::bail!("port in use") as anyhow::Result<()> });
    let error = within(failed).await.err().expect("fails");
    assert_eq!(format!("{:#}", anyhow::Error::new(error)), "node `f` did not start: port in use");
    let panicked = NodeRuntime::start("g", pool(), |_| async { panic!("no") as anyhow::Result<()> });
    assert!(matches!(within(panicked).await.err(), Some(ProcessError::Start { .. })));
}
