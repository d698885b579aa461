//! What only the in-memory network does: links that are slow, lossy or cut, and runs that can be repeated.

use super::*;
use crate::network::{
    NetError, Network, PeerEvent, PeerId, Topic,
    tests::rig::{BULK, ECHO, Echo, next, peer},
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const NEWS: Topic = Topic("news");
/// Longest wait for an answer that comes.
const LONG: Duration = Duration::from_secs(20);
/// Wait for an answer that does not come.
const SHORT: Duration = Duration::from_millis(30);

fn pair(seed: u64) -> (Arc<MemoryHub>, Arc<MemoryNetwork>, Arc<MemoryNetwork>) {
    let hub = MemoryHub::new(seed);
    let (a, b) = (hub.join(peer(1)), hub.join(peer(2)));
    b.serve(ECHO, Arc::new(Echo));
    (hub, a, b)
}

fn lossy(loss_per_mille: u16) -> LinkRule {
    LinkRule { loss_per_mille, ..LinkRule::default() }
}

fn cut() -> LinkRule {
    LinkRule { partitioned: true, ..LinkRule::default() }
}

async fn echo(a: &MemoryNetwork, b: PeerId) -> Result<Bytes, NetError> {
    a.request(b, ECHO, Bytes::from_static(b"ping"), LONG).await
}

#[tokio::test]
async fn messages_take_the_latency_of_their_link() {
    let (hub, a, b) = pair(1);
    a.connect(peer(2)).await.unwrap();
    let latency = Duration::from_millis(20);
    hub.set_link(peer(1), peer(2), LinkRule { latency, ..LinkRule::default() });
    let mut accepted = b.accept(BULK);
    let mut ours = a.open(peer(2), BULK).await.unwrap();
    let mut theirs = next(&mut accepted).await;
    let mut inbox = b.subscribe(NEWS);
    let start = Instant::now();
    echo(&a, peer(2)).await.unwrap();
    assert!(start.elapsed() >= latency * 2, "a request came back after {:?}", start.elapsed());
    let start = Instant::now();
    ours.send(Bytes::from_static(b"x")).await.unwrap();
    theirs.recv().await.unwrap().unwrap();
    assert!(start.elapsed() >= latency, "a frame arrived after {:?}", start.elapsed());
    let start = Instant::now();
    a.publish(NEWS, Bytes::from_static(b"late")).await.unwrap();
    inbox.recv().await.unwrap();
    assert!(start.elapsed() >= latency, "gossip arrived after {:?}", start.elapsed());
}

#[tokio::test]
async fn a_path_may_be_longer_one_way_and_one_cut_direction_cuts_both() {
    let (hub, a, b) = pair(1);
    a.connect(peer(2)).await.unwrap();
    let latency = Duration::from_millis(40);
    hub.set_path(peer(1), peer(2), LinkRule { latency, jitter: latency, ..LinkRule::default() });
    let (mut at_a, mut at_b) = (a.subscribe(NEWS), b.subscribe(NEWS));
    let start = Instant::now();
    a.publish(NEWS, Bytes::from_static(b"there")).await.unwrap();
    b.publish(NEWS, Bytes::from_static(b"back")).await.unwrap();
    assert_eq!(at_a.recv().await.unwrap().1, "back");
    assert!(at_b.try_recv().is_err(), "the long way took {:?}", start.elapsed());
    assert_eq!(at_b.recv().await.unwrap().1, "there");
    assert!(start.elapsed() >= latency, "the long way took {:?}", start.elapsed());
    hub.set_path(peer(2), peer(1), cut());
    for (from, to) in [(&a, 2), (&b, 1)] {
        assert!(matches!(echo(from, peer(to)).await, Err(NetError::Unreachable { .. })));
    }
}

#[tokio::test]
async fn doubled_gossip_is_heard_twice_and_frames_once() {
    let (hub, a, b) = pair(1);
    hub.set_default(LinkRule { doubled_per_mille: 1000, ..LinkRule::default() });
    let mut accepted = b.accept(BULK);
    let mut ours = a.open(peer(2), BULK).await.unwrap();
    let mut theirs = next(&mut accepted).await;
    let mut inbox = b.subscribe(NEWS);
    for text in ["one", "two"] {
        a.publish(NEWS, Bytes::from(text)).await.unwrap();
        ours.send(Bytes::from(text)).await.unwrap();
    }
    drop(ours);
    for text in ["one", "one", "two", "two"] {
        assert_eq!(inbox.recv().await.unwrap(), (peer(1), Bytes::from(text)));
    }
    for text in ["one", "two"] {
        assert_eq!(theirs.recv().await.unwrap().unwrap(), text);
    }
    assert!(theirs.recv().await.unwrap().is_none());
}

#[tokio::test]
async fn a_lost_request_times_out_and_a_lost_frame_breaks_its_stream() {
    let (hub, a, b) = pair(1);
    let mut accepted = b.accept(BULK);
    let mut ours = a.open(peer(2), BULK).await.unwrap();
    let mut theirs = next(&mut accepted).await;
    hub.set_link(peer(1), peer(2), lossy(1000));
    let lost = a.request(peer(2), ECHO, Bytes::new(), SHORT).await;
    assert!(matches!(lost, Err(NetError::Timeout { .. })));
    assert!(matches!(ours.send(Bytes::new()).await, Err(NetError::Closed(_))));
    assert!(matches!(theirs.recv().await, Err(NetError::Closed(_))));
    hub.clear_links();
    echo(&a, peer(2)).await.unwrap();
}

#[tokio::test]
async fn a_partition_cuts_and_heals() {
    let (hub, a, b) = pair(1);
    let mut accepted = b.accept(BULK);
    let mut ours = a.open(peer(2), BULK).await.unwrap();
    let mut theirs = next(&mut accepted).await;
    let mut events = b.peer_events();
    hub.set_link(peer(1), peer(2), cut());
    assert_eq!(events.recv().await.unwrap(), PeerEvent::Disconnected(peer(1)));
    assert!(matches!(theirs.recv().await, Err(NetError::Closed(_))));
    assert!(matches!(ours.send(Bytes::new()).await, Err(NetError::Closed(_))));
    assert!(matches!(echo(&a, peer(2)).await, Err(NetError::Unreachable { .. })));
    hub.set_link(peer(1), peer(2), LinkRule::default());
    echo(&a, peer(2)).await.unwrap();
}

#[tokio::test]
async fn a_crashed_host_answers_nothing_until_it_joins_again() {
    let (hub, a, b) = pair(1);
    echo(&a, peer(2)).await.unwrap();
    let waiting = tokio::spawn({
        let a = a.clone();
        async move { a.request(peer(2), ECHO, Bytes::from_static(b"hang"), LONG).await }
    });
    tokio::task::yield_now().await;
    hub.crash(peer(2));
    assert!(matches!(waiting.await.unwrap(), Err(NetError::Closed(_))));
    assert!(matches!(echo(&a, peer(2)).await, Err(NetError::Unreachable { .. })));
    assert!(matches!(echo(&b, peer(1)).await, Err(NetError::Closed(_))));
    let addrs = b.listen_addrs();
    let again = hub.join(peer(2));
    assert_eq!(again.listen_addrs(), addrs);
    again.serve(ECHO, Arc::new(Echo));
    echo(&a, peer(2)).await.unwrap();
    // The handle of the crashed host has no power over the new one.
    b.shutdown().await;
    echo(&a, peer(2)).await.unwrap();
}

/// What a lossy network delivered, under one seed.
async fn run(seed: u64) -> String {
    let hub = MemoryHub::new(seed);
    let hosts: Vec<_> = (1..=4).map(|i| hub.join(peer(i))).collect();
    for (host, other) in hosts.iter().zip(2..=4) {
        host.connect(peer(other)).await.unwrap();
    }
    hub.set_default(lossy(300));
    let mut inboxes: Vec<_> = hosts.iter().map(|host| host.subscribe(NEWS)).collect();
    let mut log = String::new();
    for round in 0..20u8 {
        for (i, host) in hosts.iter().enumerate() {
            host.publish(NEWS, Bytes::from(format!("{i} {round}"))).await.unwrap();
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        for inbox in &mut inboxes {
            while let Ok((from, data)) = inbox.try_recv() {
                log.push_str(&format!("{from} {}, ", String::from_utf8_lossy(&data)));
            }
            log.push('\n');
        }
    }
    log
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(run(seed))
    };
    let first = run(5);
    assert_eq!(first, run(5));
    assert_ne!(first, run(6));
    let delivered = first.matches(',').count();
    assert!((100..220).contains(&delivered), "{delivered} of 240 were delivered at a loss of 30 %");
}
