//! Stories of uploads: the happy one, and what happens when miners are dead, slow, full, or too few.

use super::*;
use crate::{
    storage::{
        cluster::{Cluster, Fault, holders, sample},
        fragments::FragmentStore,
    },
    types::{Params, params::FRAGMENT_MAX_BYTES},
};
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_file_is_stored_and_the_chain_accepts_it() {
    let cluster = Cluster::new(14).await;
    for len in [1, 1_000, 300_000] {
        let bytes = sample(len, len as usize);
        let call = cluster.put(&bytes).await;
        assert_eq!((call.manifest.size, holders(&call)), (len, FRAGMENTS));
        assert_eq!(cluster.get(&call).await, bytes);
        assert!(!call.calldata().is_empty());
    }
    let spent: u64 = [1, 1_000, 300_000].map(|len| 12 * fragment_len(len)).iter().sum();
    assert_eq!(cluster.stored_bytes().0, spent);
    assert_eq!(cluster.uploader.buffers().lent(), 0);
}

#[tokio::test]
async fn progress_is_told_and_the_journal_is_kept() {
    let cluster = Cluster::new(12).await;
    let bytes = sample(1, 33 * MIB);
    let mut upload = cluster.upload_of(None);
    let seen = Mutex::new(Vec::new());
    let call = cluster.uploader.upload(&mut upload, &bytes[..], &|step| seen.lock().push(step)).await.unwrap();
    let seen = seen.into_inner();
    let stored: Vec<u64> = seen.iter().map(|step| step.stored).collect();
    assert_eq!(stored[..2], [32 * MIB as u64, 33 * MIB as u64]);
    assert_eq!(seen.last().map(|step| (step.phase, step.receipts)), Some((UploadPhase::Confirming, FRAGMENTS)));
    let journal = cluster.uploader.journal();
    let kept = journal.load(upload.id).unwrap().unwrap();
    assert_eq!((kept.offset(), kept.segments), (33 * MIB as u64, call.manifest.segments.clone()));
    cluster.chain.store(&call, cluster.owner).unwrap();
}

#[tokio::test]
async fn empty_cut_and_broken_input_are_refused() {
    let cluster = Cluster::new(12).await;
    let empty = cluster.try_put(&mut cluster.upload_of(None), &[][..]).await;
    assert_eq!(empty.unwrap_err().to_string(), "the file is empty, at least 1 B is required");
    let cut = cluster.try_put(&mut cluster.upload_of(Some(5)), &b"abc"[..]).await;
    assert_eq!(cut.unwrap_err().to_string(), "3 B were sent, 5 B were announced");
    let huge = cluster.try_put(&mut cluster.upload_of(Some(1 << 40)), &b"abc"[..]).await;
    assert!(matches!(huge, Err(UploadError::Manifest(ManifestError::TooLarge { .. }))));
    let broken = StreamReader::new(stream::iter([Err::<bytes::Bytes, _>(io::Error::other("cable pulled"))]));
    let broken = cluster.try_put(&mut cluster.upload_of(None), broken).await;
    assert_eq!(broken.unwrap_err().to_string(), "the file cannot be read at byte 0: cable pulled");
    assert_eq!(cluster.stored_bytes().0, 0);
}

#[tokio::test]
async fn too_few_or_full_miners_are_named() {
    let cluster = Cluster::new(11).await;
    let few = cluster.try_put(&mut cluster.upload_of(None), &b"abc"[..]).await.unwrap_err();
    assert_eq!(few.to_string(), "12 miners are needed, 11 of the 11 registered are eligible");
    let cluster = Cluster::new(13).await;
    for miner in &cluster.miners[..2] {
        cluster.chain.change_miner(miner.account(), |record| record.used = record.capacity - 100);
    }
    let full = cluster.try_put(&mut cluster.upload_of(Some(3)), &b"abc"[..]).await.unwrap_err();
    let expected = "12 miners with 256 B free are needed, 11 of the 13 eligible have that; the emptiest has 1 GiB";
    assert_eq!(full.to_string(), expected);
}

#[tokio::test]
async fn dead_full_and_hanging_miners_are_replaced() {
    let cluster = Cluster::new(18).await;
    cluster.hub.crash(cluster.miners[0].peer);
    cluster.miners[1].set(Fault::Full);
    cluster.miners[2].set(Fault::Hangs);
    // Every miner is ranked for every file; several files make it certain that the bad ones are asked.
    let mut replaced = 0;
    for seed in 0..2 {
        let bytes = sample(seed, 5_000);
        let call = cluster.put(&bytes).await;
        assert_eq!(holders(&call), FRAGMENTS);
        for bad in &cluster.miners[..3] {
            assert!(!call.holders.contains(&bad.account()));
        }
        assert_eq!(cluster.get(&call).await, bytes);
        replaced = cluster.node.metrics.counter(crate::runtime::Counter::FragmentsReplaced);
    }
    assert!(replaced >= 1);
}

#[tokio::test]
async fn without_a_successor_a_failing_miner_ends_the_upload_with_its_name() {
    let cluster = Cluster::new(12).await;
    cluster.miners[4].set(Fault::Full);
    let error = cluster.try_put(&mut cluster.upload_of(None), &b"abc"[..]).await.unwrap_err().to_string();
    assert!(error.starts_with("too many miners failed and none is left to take over: miner miner 4 (0x"), "{error}");
    assert!(error.ends_with("0 B are free, 256 B are needed"), "{error}");
}

#[tokio::test]
async fn the_same_upload_goes_on_with_a_miner_that_came_after_it_failed() {
    let mut cluster = Cluster::new(12).await;
    cluster.miners[4].set(Fault::Full);
    let bytes = sample(6, 5_000);
    let mut upload = cluster.upload_of(Some(5_000));
    let error = cluster.try_put(&mut upload, &bytes[..]).await.unwrap_err();
    assert!(matches!(error, UploadError::MinersFailed { .. }), "{error}");
    cluster.chain.advance(1);
    cluster.add_miner(12).await;
    let mut again = cluster.uploader.journal().load(upload.id).unwrap().unwrap();
    let call = cluster.try_put(&mut again, &bytes[..]).await.unwrap();
    assert!(call.holders.contains(&cluster.miners[12].account()));
    assert!(!call.holders.contains(&cluster.miners[4].account()));
    cluster.chain.store(&call, cluster.owner).unwrap();
    assert_eq!(cluster.get(&call).await, bytes);
}

#[tokio::test]
async fn an_upload_ends_even_if_a_miner_that_nobody_can_replace_says_nothing() {
    let cluster = Cluster::new(12).await;
    cluster.miners[7].set(Fault::Hangs);
    let error = cluster.try_put(&mut cluster.upload_of(None), &b"abc"[..]).await.unwrap_err().to_string();
    assert!(error.contains("miner miner 7 (0x") && error.contains("did not answer within"), "{error}");
    cluster.miners[7].set(Fault::None);
    cluster.put(b"abc").await;
}

/// Input that runs `between` after its first segment was acknowledged.
fn in_two_parts<'a>(
    first: &'a [u8],
    second: &'a [u8],
    ready: &'a tokio::sync::Notify,
    between: impl FnOnce() + Send + 'a,
) -> impl AsyncRead + Unpin + Send + 'a {
    let gate = Box::pin(stream::once(async move {
        ready.notified().await;
        between();
        Ok::<_, io::Error>(bytes::Bytes::new())
    }));
    let gate = gate.filter(|part| std::future::ready(part.as_ref().is_ok_and(|bytes| !bytes.is_empty())));
    first.chain(StreamReader::new(gate)).chain(second)
}

#[tokio::test]
async fn a_miner_that_dies_in_mid_upload_is_replaced_and_its_column_rebuilt() {
    let cluster = Cluster::new(13).await;
    let bytes = sample(3, 33 * MIB);
    let mut upload = cluster.upload_of(Some(bytes.len() as u64));
    let ready = tokio::sync::Notify::new();
    let journal = cluster.uploader.journal().clone();
    let id = upload.id;
    let killed = AtomicUsize::new(usize::MAX);
    let kill = || {
        let holders = journal.load(id).unwrap().unwrap().head.placement.unwrap().holders;
        let victim = cluster.miners.iter().position(|miner| miner.account() == Address::from(holders[6])).unwrap();
        killed.store(victim, Ordering::SeqCst);
        cluster.hub.crash(cluster.miners[victim].peer);
    };
    let input = in_two_parts(&bytes[..32 * MIB], &bytes[32 * MIB..], &ready, kill);
    let progress = |step: UploadProgress| {
        if step.segments == 1 {
            ready.notify_one();
        }
    };
    let call = cluster.uploader.upload(&mut upload, input, &progress).await.unwrap();
    let victim = &cluster.miners[killed.load(Ordering::SeqCst)];
    assert!(!call.holders.contains(&victim.account()));
    cluster.chain.store(&call, cluster.owner).unwrap();
    let successor = cluster.miner(call.holders[6]);
    for segment in &call.manifest.segments {
        assert!(successor.store.index().holds(segment.fragments[6]).unwrap(), "rebuilt from the others");
    }
    assert!(cluster.get(&call).await == bytes);
}

#[tokio::test]
async fn an_interrupted_upload_goes_on_where_it_stopped() {
    let cluster = Cluster::new(12).await;
    let bytes = sample(4, 33 * MIB);
    let mut upload = cluster.upload_of(Some(bytes.len() as u64));
    let broken =
        stream::iter([Ok(bytes::Bytes::copy_from_slice(&bytes[..32 * MIB + 77])), Err(io::Error::other("gone"))]);
    let error = cluster.try_put(&mut upload, StreamReader::new(broken)).await.unwrap_err();
    assert!(matches!(error, UploadError::Slice(SliceError::Read { .. })), "{error}");
    let mut resumed = cluster.uploader.journal().load(upload.id).unwrap().unwrap();
    assert_eq!(resumed.offset(), 32 * MIB as u64);
    // One holder lost what it had meanwhile: it is given it again.
    let forgetful = cluster.miner(Address::from(resumed.head.placement.as_ref().unwrap().holders[2]));
    let lost = resumed.segments[0].fragments[2];
    forgetful.store.memory.discard(lost).await.unwrap();
    let call = cluster.try_put(&mut resumed, &bytes[32 * MIB..]).await.unwrap();
    cluster.chain.store(&call, cluster.owner).unwrap();
    assert!(forgetful.store.index().holds(lost).unwrap());
    assert!(cluster.get(&call).await == bytes);
    cluster.uploader.journal().remove(resumed.id).unwrap();
    assert!(cluster.uploader.journal().list().unwrap().is_empty());
}

#[tokio::test]
async fn an_upload_that_outlives_its_beacon_is_placed_again() {
    let cluster = Cluster::new(20).await;
    let bytes = sample(5, 10_000);
    let mut upload = cluster.upload_of(None);
    cluster.try_put(&mut upload, &bytes[..]).await.unwrap();
    let before = upload.head.placement.clone().unwrap();
    // The beacon is too old for comfort, the fragments are not yet.
    let params = Params::dev();
    cluster.chain.advance(params.placement_window_blocks - 20);
    assert!(params.placement_window_blocks - 20 < params.unclaimed_fragment_blocks);
    let call = cluster.try_put(&mut upload, &[][..]).await.unwrap();
    assert!(call.beacon_height > before.beacon_height);
    cluster.chain.store(&call, cluster.owner).unwrap();
    cluster.settled().await;
    assert_eq!(cluster.get(&call).await, bytes);
}

#[tokio::test]
async fn an_upload_whose_fragments_were_collected_is_set_back_and_sent_again() {
    let cluster = Cluster::new(12).await;
    let bytes = sample(6, 10_000);
    let mut upload = cluster.upload_of(Some(10_000));
    cluster.try_put(&mut upload, &bytes[..]).await.unwrap();
    for miner in &cluster.miners {
        let held = miner.store.memory.ids();
        assert_eq!(miner.store.memory.collect(held, u64::MAX).await.unwrap(), 1);
    }
    let lost = cluster.try_put(&mut upload, &[][..]).await.unwrap_err();
    assert!(matches!(lost, UploadError::Lost { segment: 0, offset: 0 }), "{lost}");
    let mut upload = cluster.uploader.journal().load(upload.id).unwrap().unwrap();
    assert_eq!(upload.offset(), 0);
    let call = cluster.try_put(&mut upload, &bytes[..]).await.unwrap();
    cluster.chain.store(&call, cluster.owner).unwrap();
    assert_eq!(cluster.get(&call).await, bytes);
}

#[tokio::test]
async fn memory_is_bounded_by_the_pool_whatever_the_size() {
    let cluster = Cluster::with_limits(12, UploadLimits::default()).await;
    cluster.miners.iter().for_each(|miner| miner.set(Fault::Forgets));
    let len = 6 * 32 * MIB as u64;
    let mut upload = cluster.upload_of(Some(len));
    let call = cluster.try_put(&mut upload, tokio::io::repeat(7).take(len)).await.unwrap();
    assert_eq!(call.manifest.segments.len(), 6);
    let buffers = cluster.uploader.buffers();
    assert!(buffers.peak() <= UPLOAD_BUFFERS, "{} buffers of {FRAGMENT_MAX_BYTES} B", buffers.peak());
    assert_eq!(buffers.lent(), 0);
}
