//! Stories of reads: eight holders down, liars, laggards, ranges, health.

use super::*;
use crate::network::LinkRule;
use crate::storage::{
    cluster::{Cluster, Fault, TestMiner, sample},
    upload::StoreCall,
};
use crate::types::FragmentId;
use tokio::time::Instant;

/// A file on exactly twelve miners.
async fn stored(len: usize) -> (Cluster, StoreCall, Vec<u8>) {
    let cluster = Cluster::new(12).await;
    let bytes = sample(9, len);
    let call = cluster.put(&bytes).await;
    (cluster, call, bytes)
}

#[tokio::test]
async fn reads_while_any_eight_holders_are_down() {
    let (cluster, call, bytes) = stored(70_000).await;
    for column in [0, 1, 2, 3, 5, 7, 9, 10] {
        cluster.hub.crash(cluster.miner(call.holders[column]).peer);
    }
    assert_eq!(cluster.get(&call).await, bytes);
    let health = cluster.fetcher.health(&cluster.source(&call).await).await;
    assert_eq!((health.worst(), health.is_readable()), (4, true));
    assert!(health.is_healthy(0, 4) && !health.is_healthy(0, 5) && health.holders[5].error.is_some());
    cluster.hub.crash(cluster.miner(call.holders[4]).peer);
    let stream = cluster.fetcher.stream(cluster.source(&call).await, 0..70_000).unwrap();
    let error = stream.try_collect::<Vec<_>>().await.unwrap_err().to_string();
    assert!(error.starts_with("segment 0: 3 of the 4 fragments needed can be had (peer "), "{error}");
}

#[tokio::test]
async fn a_liar_is_blamed_once_and_then_avoided() {
    let (cluster, call, bytes) = stored(9_000).await;
    let liar = cluster.miner(call.holders[1]);
    liar.set(Fault::Lies);
    assert_eq!(cluster.get(&call).await, bytes);
    let blamed = cluster.fetcher.blamed();
    assert_eq!(blamed.len(), 1);
    assert_eq!((blamed[0].peer, blamed[0].fragment), (liar.peer, call.manifest.segments[0].fragments[1]));
    assert_eq!(cluster.get(&call).await, bytes);
    assert_eq!(cluster.fetcher.blamed().len(), 1, "it is not asked again while others can be");
}

#[tokio::test]
async fn a_hanging_miner_is_hedged() {
    let (cluster, call, bytes) = stored(9_000).await;
    cluster.miner(call.holders[0]).set(Fault::Hangs);
    cluster.miner(call.holders[5]).set(Fault::Hangs);
    let start = Instant::now();
    assert_eq!(cluster.get(&call).await, bytes);
    assert!(start.elapsed() < cluster.fetcher.limits.deadline / 4);
}

#[tokio::test]
async fn where_everything_is_slow_nobody_is_avoided() {
    let (mut cluster, call, bytes) = stored(9_000).await;
    let limits = FetchLimits { hedge_floor: Duration::from_millis(1), ..FetchLimits::default() };
    cluster.fetcher = Fetcher::new(&cluster.node, cluster.data.clone(), limits);
    cluster.hub.set_default(LinkRule { latency: Duration::from_millis(20), ..LinkRule::default() });
    assert_eq!(cluster.get(&call).await, bytes);
    let standing = |miner: &TestMiner| cluster.fetcher.scores.standing(&miner.peer, Instant::now());
    assert!(cluster.miners.iter().all(|miner| standing(miner) == scores::Standing::Good));
}

#[tokio::test]
async fn a_damaged_fragment_is_used_by_nobody_and_replaced_by_another() {
    let (cluster, call, bytes) = stored(9_000).await;
    cluster.settled().await;
    let (miner, id) = (cluster.miner(call.holders[2]), call.manifest.segments[0].fragments[2]);
    assert!(miner.store.memory.damage(id));
    assert_eq!(cluster.get(&call).await, bytes);
    assert!(cluster.fetcher.blamed().is_empty(), "the miner found it when it looked");
    let end = Instant::now() + std::time::Duration::from_secs(10);
    while cluster.fetcher.health(&cluster.source(&call).await).await.worst() < 12 {
        assert!(Instant::now() < end, "it dropped its copy and rebuilds it from those of the others");
    }
    let source = cluster.source(&call).await;
    let rebuilt = cluster.fetcher.fragment(&source, 0, 2).await.unwrap();
    assert_eq!(FragmentId(crate::crypto::hash::content(&rebuilt)), id);
    assert!(matches!(cluster.fetcher.fragment(&source, 1, 2).await, Err(FetchError::NoFragment { segment: 1, .. })));
}

#[tokio::test]
async fn every_range_is_exact() {
    let len = (32 << 20) + 70_001;
    let (cluster, call, bytes) = stored(len).await;
    let size = len as u64;
    let edges = [0, 1, (8 << 20) - 1, 8 << 20, (24 << 20) + 5, 32 << 20, (32 << 20) + 1, size - 1, size];
    for (position, &start) in edges.iter().enumerate() {
        for &end in &edges[position..] {
            // Whole segments are covered by the last pair; the small ones make the test quick.
            if end - start <= 9 << 20 || (start, end) == (0, size) {
                let (from, to) = (usize::try_from(start).unwrap(), usize::try_from(end).unwrap());
                assert!(cluster.get_range(&call, start..end).await == bytes[from..to], "{start}..{end}");
            }
        }
    }
    let source = cluster.source(&call).await;
    assert!(matches!(cluster.fetcher.stream(source, 0..size + 1), Err(FetchError::Range { .. })));
    // A part of one fragment whose holder is down is rebuilt.
    cluster.hub.crash(cluster.miner(call.holders[1]).peer);
    let range = (9u64 << 20)..(9 << 20) + 100;
    assert!(cluster.get_range(&call, range).await == bytes[9 << 20..(9 << 20) + 100]);
}

#[tokio::test]
async fn what_was_read_is_read_again_without_miners() {
    let (mut cluster, call, bytes) = stored(70_000).await;
    let limits = FetchLimits { cache_bytes: 40 << 20, ..FetchLimits::default() };
    cluster.fetcher = Fetcher::new(&cluster.node, cluster.data.clone(), limits);
    // A part of one fragment, then of all; what is not here yet is fetched.
    assert!(cluster.get_range(&call, 100..200).await == bytes[100..200]);
    assert_eq!(cluster.node.metrics.counter(Counter::CachedBytesOut), 0);
    assert!(cluster.get(&call).await == bytes);
    assert_eq!(cluster.node.metrics.counter(Counter::CachedBytesOut), 0);
    call.holders.iter().for_each(|holder| cluster.hub.crash(cluster.miner(*holder).peer));
    assert!(cluster.get(&call).await == bytes);
    assert!(cluster.get_range(&call, 50_000..60_000).await == bytes[50_000..60_000]);
    assert_eq!(cluster.node.metrics.counter(Counter::CachedBytesOut), 80_000);
    let health = cluster.fetcher.health(&cluster.source(&call).await).await;
    assert_eq!(health.worst(), 0, "it is the miners' health");
}

#[tokio::test]
async fn many_slow_readers_hold_no_more_than_the_memory_and_all_get_everything() {
    let mut cluster = Cluster::new(12).await;
    let bytes = sample(8, 3 << 20);
    let call = cluster.put(&bytes).await;
    // Room for one whole segment only.
    let limits = FetchLimits { memory_bytes: 0, ..FetchLimits::default() };
    cluster.fetcher = Fetcher::new(&cluster.node, cluster.data.clone(), limits);
    let source = cluster.source(&call).await;
    let units = cluster.fetcher.memory.available_permits();
    let readers = (0..40usize).map(|reader| {
        let stream = cluster.fetcher.stream(source.clone(), 0..call.manifest.size).unwrap();
        async move {
            let mut stream = Box::pin(stream);
            let mut got = Vec::new();
            while let Some(chunk) = stream.next().await {
                got.extend_from_slice(&chunk.unwrap());
                for _ in 0..reader {
                    tokio::task::yield_now().await;
                }
            }
            got
        }
    });
    let all = futures::future::join_all(readers);
    let all = tokio::time::timeout(Duration::from_secs(30), all).await.expect("nobody waits for ever");
    assert!(all.iter().all(|got| *got == bytes));
    assert_eq!(cluster.fetcher.memory.available_permits(), units);
    assert_eq!(cluster.fetcher.readers.load(Ordering::Relaxed), 0);
    // One who stops reading holds a part of the memory, and gives it back when he goes.
    let mut stalled = Box::pin(cluster.fetcher.stream(source, 0..call.manifest.size).unwrap());
    stalled.next().await.unwrap().unwrap();
    assert!(cluster.fetcher.memory.available_permits() < units);
    drop(stalled);
    assert_eq!(cluster.fetcher.memory.available_permits(), units);
}

#[tokio::test]
async fn ranges_are_found_in_segments_of_any_length() {
    let cluster = Cluster::new(12).await;
    let packer = crate::storage::upload::Packer::new(&cluster.uploader);
    let pack = packer.open(cluster.owner, [1; 16], 5_000).await.unwrap();
    let mut whole = crate::storage::upload::Label { id: pack.id(), scope: [1; 16] }.to_bytes().to_vec();
    for n in 0..4 {
        let bytes = sample(n, 1_500 + 700 * n as usize);
        let buffers = cluster.uploader.buffers().clone();
        let raw = slicer::Slicer::sharing(&bytes[..], buffers, None).next().await.unwrap().unwrap();
        pack.push(raw.encode()).await.unwrap();
        whole.extend_from_slice(&bytes);
    }
    let call = pack.seal().await.unwrap().unwrap().call;
    assert_eq!(call.manifest.size, whole.len() as u64);
    for (start, end) in [(0, whole.len()), (0, 1), (47, 49), (1_600, 6_000), (whole.len() - 1, whole.len()), (9, 9)] {
        assert!(cluster.get_range(&call, start as u64..end as u64).await == whole[start..end], "{start}..{end}");
    }
}
