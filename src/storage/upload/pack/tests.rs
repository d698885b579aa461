//! Stories of packs: many bodies in one, other gateways that finish it, miners that die or are full.

use super::*;
use crate::{
    storage::{
        buffers::BufferPool,
        cluster::{Cluster, Fault, sample},
        fetch::{FileSource, SegmentPart},
        fragments::FragmentStore,
        upload::{UPLOAD_BUFFERS, UploadLimits},
    },
    types::params::FRAGMENTS,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

const SCOPE: [u8; 16] = [8; 16];

async fn segment(cluster: &Cluster, bytes: &[u8]) -> EncodedSegment {
    let buffers = cluster.uploader.buffers().clone();
    let mut slicer = Slicer::sharing(bytes, buffers, Some(bytes.len() as u64));
    let raw = slicer.next().await.unwrap().unwrap();
    assert!(slicer.is_done(), "one segment");
    cluster.node.pool.run(move || raw.encode()).await
}

/// Reads one segment through the holders of a call.
async fn read(cluster: &Cluster, call: &StoreCall, entry: &SegmentEntry) -> Vec<u8> {
    let source: Arc<FileSource> = Arc::new(cluster.source(call).await);
    let segment = call.manifest.segments.iter().position(|other| other == entry).expect("it is in the file");
    let part = SegmentPart { source, segment, bytes: 0..u64::from(entry.len) };
    let chunks: Vec<Bytes> = cluster.fetcher.parts(vec![part]).try_collect().await.unwrap();
    chunks.concat()
}

#[tokio::test]
async fn many_bodies_share_one_file() {
    let cluster = Cluster::new(14).await;
    let pack = Packer::new(&cluster.uploader).open(cluster.owner, SCOPE, 1 << 20).await.unwrap();
    let bodies: Vec<Vec<u8>> = (0..20).map(|n| sample(n, 1_000 + 7_001 * n as usize)).collect();
    let pushes = bodies.iter().map(|bytes| async { pack.push(segment(&cluster, bytes).await).await.unwrap() });
    let entries: Vec<(u32, SegmentEntry)> = stream::iter(pushes).buffered(20).collect().await;
    let mut numbers: Vec<u32> = entries.iter().map(|(index, _)| *index).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=20), "{numbers:?}");
    pack.discard(entries[3].0);
    let sealed = pack.seal().await.unwrap().unwrap();
    assert_eq!((sealed.kept.len(), sealed.lost.len()), (19, 0));
    cluster.chain.store(&sealed.call, cluster.owner).unwrap();
    for (number, (_, entry)) in entries.iter().enumerate().filter(|(number, _)| *number != 3) {
        assert!(read(&cluster, &sealed.call, entry).await == bodies[number]);
    }
    assert!(!sealed.call.manifest.segments.contains(&entries[3].1), "a discarded segment is not in the file");
    assert_eq!(cluster.uploader.buffers().lent(), 0);
}

#[tokio::test]
async fn an_empty_pack_is_no_file_and_equal_packs_are_two() {
    let cluster = Cluster::new(12).await;
    let packer = Packer::new(&cluster.uploader);
    let mut files = Vec::new();
    for _ in 0..2 {
        let pack = packer.open(cluster.owner, SCOPE, 3).await.unwrap();
        assert!(pack.seal().await.unwrap().is_none());
        pack.push(segment(&cluster, b"abc").await).await.unwrap();
        let sealed = pack.seal().await.unwrap().unwrap();
        cluster.chain.store(&sealed.call, cluster.owner).unwrap();
        files.push(sealed.call.file);
    }
    assert_ne!(files[0], files[1]);
}

#[tokio::test]
async fn two_hundred_at_once_stay_within_the_memory() {
    let mut cluster = Cluster::with_limits(12, UploadLimits::default()).await;
    cluster.miners.iter().for_each(|miner| miner.set(Fault::Forgets));
    cluster.uploader.buffers = BufferPool::new(UPLOAD_BUFFERS / 4);
    let pack = Packer::new(&cluster.uploader).open(cluster.owner, SCOPE, 1 << 20).await.unwrap();
    let (pack, buffers) = (&pack, cluster.uploader.buffers());
    let body = |n: u64| async move {
        let len = if n.is_multiple_of(10) { 3 << 20 } else { 200_000 };
        let bytes = sample(n, len);
        let mut slicer = Slicer::sharing(&bytes[..], buffers.clone(), Some(len as u64));
        let mut sent = 0;
        while let Some(raw) = slicer.next().await.unwrap() {
            sent += raw.len();
            pack.push(raw.encode()).await.unwrap();
        }
        assert_eq!(sent, len);
    };
    stream::iter((0..200).map(body)).buffer_unordered(200).collect::<Vec<()>>().await;
    assert!(buffers.peak() <= UPLOAD_BUFFERS / 4, "{} buffers", buffers.peak());
    assert_eq!(buffers.lent(), 0);
    assert!(pack.size().0 >= 200);
}

#[tokio::test]
async fn another_gateway_finishes_a_pack_from_its_records() {
    let cluster = Cluster::new(13).await;
    let packer = Packer::new(&cluster.uploader);
    let pack = packer.open(cluster.owner, SCOPE, 9_000).await.unwrap();
    let mut known = BTreeMap::new();
    for n in 0..3 {
        let (index, entry) = pack.push(segment(&cluster, &sample(n, 9_000)).await).await.unwrap();
        known.insert(index, entry);
    }
    let (id, placement) = (pack.id(), pack.placement());
    drop(pack);
    // One record was never written, one holder is gone for good, and another lost a fragment.
    let first = known.remove(&1).unwrap();
    cluster.hub.crash(cluster.miner(Address::from(placement.holders[4])).peer);
    let forgetful = cluster.miner(Address::from(placement.holders[7]));
    forgetful.store.memory.discard(known[&3].fragments[7]).await.unwrap();
    let adopted = packer.adopt(Label { id, scope: SCOPE }, cluster.owner, &placement, known.clone()).await.unwrap();
    let sealed = adopted.seal().await.unwrap().unwrap();
    assert_eq!(sealed.kept, [2, 3]);
    assert!(!sealed.call.manifest.segments.contains(&first));
    cluster.chain.store(&sealed.call, cluster.owner).unwrap();
    let successor = cluster.miner(sealed.call.holders[4]);
    for (index, entry) in &known {
        assert!(successor.store.index().holds(entry.fragments[4]).unwrap(), "rebuilt from the others");
        assert!(read(&cluster, &sealed.call, entry).await == sample(u64::from(*index) - 1, 9_000));
    }
}

#[tokio::test]
async fn a_lost_segment_does_not_take_the_others_with_it() {
    let cluster = Cluster::new(12).await;
    let pack = Packer::new(&cluster.uploader).open(cluster.owner, SCOPE, 5_000).await.unwrap();
    let mut entries = Vec::new();
    for n in 0..3 {
        entries.push(pack.push(segment(&cluster, &sample(n, 5_000)).await).await.unwrap());
    }
    for miner in &cluster.miners {
        for fragment in entries[1].1.fragments {
            if miner.store.index().holds(fragment).unwrap() {
                miner.store.memory.discard(fragment).await.unwrap();
            }
        }
    }
    let sealed = pack.seal().await.unwrap().unwrap();
    assert_eq!((sealed.kept.clone(), sealed.lost.get(&2)), (vec![1, 3], Some(&entries[1].1)));
    cluster.chain.store(&sealed.call, cluster.owner).unwrap();
    assert!(read(&cluster, &sealed.call, &entries[2].1).await == sample(2, 5_000));
}

#[tokio::test]
async fn a_holder_that_the_chain_finds_full_is_replaced() {
    let cluster = Cluster::new(14).await;
    let pack = Packer::new(&cluster.uploader).open(cluster.owner, SCOPE, 5_000).await.unwrap();
    pack.push(segment(&cluster, &sample(1, 5_000)).await).await.unwrap();
    let sealed = pack.seal().await.unwrap().unwrap();
    let full = sealed.call.holders[2];
    cluster.chain.change_miner(full, |record| record.used = record.capacity);
    assert!(cluster.chain.store(&sealed.call, cluster.owner).unwrap_err().contains("full"));
    pack.wear();
    let again = pack.seal().await.unwrap().unwrap();
    assert!(!again.call.holders.contains(&full));
    assert_eq!(again.call.file, sealed.call.file);
    cluster.chain.store(&again.call, cluster.owner).unwrap();
}

#[tokio::test]
async fn a_pack_whose_miners_failed_is_worn_and_draws_others() {
    let mut cluster = Cluster::new(12).await;
    let packer = Packer::new(&cluster.uploader);
    let pack = packer.open(cluster.owner, SCOPE, 300).await.unwrap();
    pack.push(segment(&cluster, &sample(1, 300)).await).await.unwrap();
    cluster.miners[4].set(Fault::Full);
    let failed = pack.push(segment(&cluster, &sample(2, 300)).await).await.unwrap_err();
    assert!(matches!(failed, UploadError::MinersFailed { .. }), "{failed}");
    assert!(pack.is_worn());
    cluster.chain.advance(1);
    cluster.add_miner(12).await;
    let sealed = pack.seal().await.unwrap().unwrap();
    assert_eq!(sealed.call.holders.len(), FRAGMENTS);
    assert_eq!(sealed.kept, [1], "what was acknowledged before is in the file");
    cluster.chain.store(&sealed.call, cluster.owner).unwrap();
}

#[test]
fn labels_are_read_back() {
    let label = Label { id: [1; 16], scope: [2; 16] };
    assert_eq!(Label::read(&label.to_bytes()), Some(label));
    assert_eq!(Label::read(&[0; LABEL_BYTES]), None);
    assert_eq!(Label::read(&label.to_bytes()[1..]), None);
}
