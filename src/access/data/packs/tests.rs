//! Stories of bodies in packs, on miners in memory and a chain that only remembers.

use super::*;
use crate::{
    access::blobs::body_of,
    storage::{
        cluster::{Cluster, Fault, sample},
        upload::StoreCall,
    },
};
use bytes::Bytes;
use futures::{future::join_all, stream};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::timeout;

const MIB: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

/// The fake chain as a ledger, which may be out of order.
struct TestLedger {
    chain: Arc<crate::storage::cluster::FakeChain>,
    down: AtomicBool,
}

#[async_trait]
impl Ledger for TestLedger {
    async fn store_for(&self, owner: Address, call: &StoreCall) -> Result<(), LedgerError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(LedgerError::Unavailable("the chain is away".into()));
        }
        self.chain.store(call, owner).map_err(LedgerError::Refused)
    }

    async fn remove_for(&self, owner: Address, file: FileId) -> Result<(), LedgerError> {
        match self.chain.file(file).await {
            Ok(Some(record)) if record.owners == [owner] => {
                self.chain.delete(file);
                Ok(())
            }
            _ => Err(LedgerError::Refused("there is no such file of the owner's".into())),
        }
    }
}

struct Story {
    cluster: Cluster,
    ledger: Arc<TestLedger>,
    packs: Packs,
    scope: Scope,
    outcomes: broadcast::Receiver<PackOutcome>,
}

fn quick() -> PackLimits {
    PackLimits { age: Duration::from_millis(100), retry_first: Duration::from_millis(20), ..PackLimits::default() }
}

fn gateway(cluster: &Cluster, ledger: &Arc<TestLedger>, limits: PackLimits) -> Packs {
    let parts = PacksParts {
        chain: cluster.chain.clone(),
        uploader: cluster.uploader.clone(),
        fetcher: cluster.fetcher.clone(),
        directory: cluster.directory.clone(),
        ledger: ledger.clone(),
        gateway: Address::repeat_byte(0x99),
    };
    Packs::new(&cluster.node, parts, limits)
}

impl Story {
    async fn new(miners: u8, limits: PackLimits) -> Self {
        let cluster = Cluster::new(miners).await;
        let ledger = Arc::new(TestLedger { chain: cluster.chain.clone(), down: AtomicBool::new(false) });
        let packs = gateway(&cluster, &ledger, limits);
        let (outcomes, scope) = (packs.outcomes(), Scope::new(cluster.owner, [5; 16]));
        Self { cluster, ledger, packs, scope, outcomes }
    }

    async fn put(&self, bytes: &[u8]) -> StoredBody {
        let body = body_of(bytes.to_vec());
        timeout(PATIENCE, self.packs.put(self.scope, Some(bytes.len() as u64), body)).await.unwrap().unwrap()
    }

    async fn read(&self, body: &StoredBody, range: Range<u64>) -> Vec<u8> {
        let all = async { self.packs.get(body.clone(), range).await?.try_collect::<Vec<Bytes>>().await };
        timeout(PATIENCE, all).await.unwrap().unwrap().concat()
    }

    /// The next outcome that is a file.
    async fn file(&mut self) -> PackOutcome {
        let found = async {
            loop {
                let outcome = self.outcomes.recv().await.unwrap();
                if outcome.file.is_ok() {
                    return outcome;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("the pack becomes a file")
    }
}

/// The body as the bucket records it once its pack is final.
fn finished(body: &StoredBody, outcome: &PackOutcome) -> StoredBody {
    let mut body = body.clone();
    for (pack, head) in &mut body.heads {
        if *pack == outcome.pack {
            head.file = outcome.file.clone().ok();
        }
    }
    body
}

#[tokio::test]
async fn small_bodies_share_a_pack_that_becomes_a_file() {
    // Long enough for twelve puts on a busy machine.
    let mut story = Story::new(13, PackLimits { age: Duration::from_secs(3), ..quick() }).await;
    let bodies: Vec<Vec<u8>> = (1..=12).map(|n| sample(n, 40_000 * n as usize)).collect();
    let stored = join_all(bodies.iter().map(|bytes| story.put(bytes))).await;
    let pack = stored[0].heads[0].0;
    assert!(stored.iter().all(|body| body.heads.len() == 1 && body.heads[0].0 == pack && body.pieces.len() == 1));
    for (bytes, body) in bodies.iter().zip(&stored) {
        assert_eq!(body.stored, bytes.len() as u64);
        assert!(story.read(body, 0..body.stored).await == *bytes, "readable before it is final");
    }
    let outcome = story.file().await;
    assert_eq!((outcome.pack, outcome.scope, outcome.lost.len()), (pack, story.scope, 0));
    let record = story.cluster.chain.file(outcome.file.clone().unwrap()).await.unwrap().unwrap();
    assert_eq!((record.owners, record.segments), (vec![story.cluster.owner], 13));
    let body = finished(&stored[7], &outcome);
    assert!(story.read(&body, 5..300_000).await == bodies[7][5..300_000], "readable through the chain's holders");
    // An old record is as good.
    assert!(story.read(&stored[7], 5..6).await == bodies[7][5..6]);
}

#[tokio::test]
async fn other_scopes_have_other_packs_and_empty_bodies_none() {
    let story = Story::new(12, quick()).await;
    let first = story.put(b"one").await;
    let other = Scope { bucket: [6; 16], ..story.scope };
    let second = story.packs.put(other, Some(3), body_of("two")).await.unwrap();
    assert_ne!(first.heads[0].0, second.heads[0].0);
    assert_eq!(story.put(b"").await, StoredBody::default());
    assert_eq!(story.read(&StoredBody::default(), 0..0).await, b"");
}

#[tokio::test]
async fn a_large_body_has_a_pack_of_its_own_and_survives_eight_holders() {
    let limits = PackLimits { own_above: 2 * MIB as u64, age: PATIENCE, ..quick() };
    let mut story = Story::new(12, limits).await;
    let bytes = sample(3, 33 * MIB);
    let small = story.put(&bytes[..1_000]).await;
    let body = story.put(&bytes).await;
    assert_ne!(small.heads[0].0, body.heads[0].0);
    assert!(body.pieces.len() >= 2);
    let outcome = story.file().await;
    assert_eq!(outcome.pack, body.heads[0].0, "it does not wait for others");
    let body = finished(&body, &outcome);
    let lost = body.heads[0].1.holders;
    for holder in [0, 2, 3, 5, 6, 8, 9, 11].map(|column: usize| Address::from(lost[column])) {
        story.cluster.hub.crash(story.cluster.miner(holder).peer);
    }
    assert!(story.read(&body, 0..body.stored).await == bytes);
    let tail = body.stored - 5_000_000..body.stored - 3;
    assert!(story.read(&body, tail.clone()).await == bytes[tail.start as usize..tail.end as usize]);
}

#[tokio::test]
async fn a_large_body_that_comes_slowly_fills_one_pack() {
    let limits = PackLimits { own_above: 2 * MIB as u64, age: Duration::ZERO, ..quick() };
    let story = Story::new(12, limits).await;
    let body = story.put(&sample(4, 33 * MIB)).await;
    assert!(body.pieces.len() >= 2);
    assert_eq!(body.heads.len(), 1, "many such would take all places for packs, and none of them could be sealed");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_left_out() {
    let mut story = Story::new(12, quick()).await;
    let gone = BlobError::Body { offset: 70_000, reason: "the client left".into() };
    let parts = [Ok(Bytes::from(sample(1, 70_000))), Err(gone.clone())];
    let failed = story.packs.put(story.scope, None, stream::iter(parts).boxed()).await;
    assert_eq!(failed, Err(gone));
    let short = story.packs.put(story.scope, Some(5), body_of("abc")).await;
    assert_eq!(short, Err(BlobError::Size { got: 3, expected: 5 }));
    let kept = story.put(b"kept").await;
    let outcome = story.file().await;
    let manifest = story.cluster.chain.manifest(outcome.file.unwrap()).await.unwrap().unwrap();
    let manifest = crate::ledger::manifest::Manifest::read(&manifest).unwrap();
    assert_eq!(manifest.segments[1..], [kept.pieces[0].entry.clone()]);
    assert_eq!(story.cluster.uploader.buffers().lent(), 0);
}

#[tokio::test]
async fn a_body_that_stands_still_gives_its_memory_back() {
    let story = Story::new(12, PackLimits { idle: Duration::from_millis(30), ..quick() }).await;
    let first = stream::iter([Ok(Bytes::from(vec![1; 70_000]))]).chain(stream::pending());
    let put = story.packs.put(story.scope, Some(90_000), first.boxed());
    let still = timeout(PATIENCE, put).await.unwrap().unwrap_err();
    assert!(matches!(still, BlobError::Body { offset: 70_000, .. }), "{still}");
    assert_eq!(story.cluster.uploader.buffers().lent(), 0);
}

#[tokio::test]
async fn bodies_of_unknown_length_are_stored_to_their_end() {
    let story = Story::new(12, PackLimits { own_above: MIB as u64, ..quick() }).await;
    let _crowd: Vec<_> = (0..40).map(|_| story.cluster.uploader.buffers().join()).collect();
    let bytes = sample(6, 3 * MIB + 11);
    let body = story.packs.put(story.scope, None, body_of(bytes.clone())).await.unwrap();
    assert!(body.pieces.len() >= 3 && body.heads.len() == 2, "it moves to packs of its own when it turns out large");
    assert!(story.read(&body, 0..body.stored).await == bytes);
}

#[tokio::test]
async fn a_chain_that_is_away_is_tried_again() {
    let mut story = Story::new(12, quick()).await;
    story.ledger.down.store(true, Ordering::SeqCst);
    story.put(b"abc").await;
    let listed = || story.cluster.node.workers.list().into_iter().find(|worker| worker.name == "packs").unwrap();
    let failing = async {
        while listed().errors < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, failing).await.unwrap();
    assert!(listed().last_error.unwrap().contains("the chain is away"));
    assert_eq!(story.packs.unfinished(), 1);
    story.ledger.down.store(false, Ordering::SeqCst);
    story.file().await;
}

#[tokio::test]
async fn another_gateway_finishes_what_this_one_cannot() {
    let limits = PackLimits { give_up: Duration::ZERO, ..quick() };
    let mut story = Story::new(13, limits).await;
    story.ledger.down.store(true, Ordering::SeqCst);
    let bodies = [sample(1, 5_000), sample(2, 6_000)];
    let (first, second) = (story.put(&bodies[0]).await, story.put(&bodies[1]).await);
    let outcome = timeout(PATIENCE, story.outcomes.recv()).await.unwrap().unwrap();
    assert!(matches!(outcome.file, Err(BlobError::Ledger { .. })));
    let (pack, head) = second.heads[0].clone();
    let records: Vec<(u32, SegmentEntry)> =
        [&second, &first].map(|body| (body.pieces[0].extent.index, body.pieces[0].entry.clone())).into();
    // One holder is gone with what it had.
    story.cluster.hub.crash(story.cluster.miner(Address::from(head.holders[3])).peer);
    story.ledger.down.store(false, Ordering::SeqCst);
    let heir = gateway(&story.cluster, &story.ledger, quick());
    let file = heir.finish(story.scope, pack, head.clone(), records.clone()).await.unwrap();
    let record = story.cluster.chain.file(file).await.unwrap().unwrap();
    assert_eq!(record.owners, [story.cluster.owner]);
    let again = heir.finish(story.scope, pack, PackHead { file: Some(file), ..head }, records).await.unwrap();
    assert_eq!(again, file);
    story.packs = heir;
    assert!(story.read(&first, 0..5_000).await == bodies[0]);
    story.packs.remove(story.cluster.owner, file).await.unwrap();
    story.packs.remove(story.cluster.owner, file).await.unwrap();
    assert_eq!(story.cluster.chain.file(file).await.unwrap(), None);
}

#[tokio::test]
async fn who_finishes_a_pack_of_this_gateway_waits_for_it() {
    let story = Story::new(12, PackLimits { age: PATIENCE, ..quick() }).await;
    let body = story.put(b"abc").await;
    let (pack, head) = body.heads[0].clone();
    let finish = story.packs.finish(story.scope, pack, head, Vec::new());
    let file = timeout(PATIENCE, finish).await.unwrap().unwrap();
    assert!(story.cluster.chain.file(file).await.unwrap().is_some());
}

#[tokio::test]
async fn a_segment_finds_another_pack_when_the_miners_of_one_fail() {
    let mut story = Story::new(12, PackLimits { age: PATIENCE, ..quick() }).await;
    let first = story.put(b"first").await;
    story.cluster.miners[4].set(Fault::Full);
    story.cluster.chain.advance(1);
    story.cluster.add_miner(12).await;
    let second = story.put(b"second").await;
    assert_ne!(first.heads[0].0, second.heads[0].0);
    let mut files = vec![story.file().await.pack];
    story.packs.flush(story.scope);
    files.push(story.file().await.pack);
    assert_eq!(files, [first.heads[0].0, second.heads[0].0]);
}

#[tokio::test]
async fn full_packs_are_closed() {
    let mut story = Story::new(12, PackLimits { segments: 2, age: PATIENCE, ..quick() }).await;
    let mut packs = Vec::new();
    for n in 0..5 {
        packs.push(story.put(&sample(n, 500)).await.heads[0].0);
    }
    assert!(packs[0] == packs[1] && packs[1] != packs[2] && packs[2] == packs[3] && packs[3] != packs[4]);
    let mut files = [story.file().await.pack, story.file().await.pack];
    files.sort_unstable();
    let mut expected = [packs[0], packs[2]];
    expected.sort_unstable();
    assert_eq!(files, expected);
}

#[tokio::test]
async fn a_file_of_its_own_is_final_when_it_is_stored() {
    let story = Story::new(12, quick()).await;
    let bytes = sample(9, 300_000);
    let file = story.packs.store_file(story.scope, Some(300_000), body_of(bytes.clone())).await.unwrap();
    let twin = story.packs.store_file(story.scope, Some(300_000), body_of(bytes.clone())).await.unwrap();
    assert_ne!(file, twin, "equal bytes are two files");
    let read = story.packs.read_file(file, 100..299_999).await.unwrap();
    assert!(read.try_collect::<Vec<Bytes>>().await.unwrap().concat() == bytes[100..299_999]);
    assert_eq!(story.packs.file_len(file).await.unwrap(), 300_000);
    let outside = story.packs.read_file(file, 0..300_001).await.err().unwrap();
    assert!(matches!(outside, BlobError::Range { size: 300_000, .. }), "{outside}");
    assert!(story.packs.store_file(story.scope, None, body_of("")).await.is_err());
}

#[tokio::test]
async fn packs_that_no_record_names_are_collected() {
    let mut story = Story::new(12, PackLimits { age: Duration::ZERO, ..quick() }).await;
    let mut files = Vec::new();
    for bytes in ["named", "other"].map(str::as_bytes) {
        story.put(bytes).await;
        files.push(story.file().await.file.unwrap());
    }
    let elsewhere = Scope { bucket: [6; 16], ..story.scope };
    story.packs.put(elsewhere, None, body_of("another bucket's")).await.unwrap();
    let foreign = story.file().await.file.unwrap();
    let own = story.cluster.put(b"a file that its owner uploaded").await.file;
    let named = [files[0]].into();
    assert_eq!(story.packs.collect(story.scope, &named, 1_000).await.unwrap(), [], "all are young");
    story.cluster.chain.advance(11);
    assert_eq!(story.packs.collect(story.scope, &named, 10).await.unwrap(), [files[1]]);
    for (file, there) in [(files[0], true), (files[1], false), (foreign, true), (own, true)] {
        assert_eq!(story.cluster.chain.file(file).await.unwrap().is_some(), there);
    }
    assert_eq!(story.packs.orphans(story.scope, &named, 10).await.unwrap(), []);
}
