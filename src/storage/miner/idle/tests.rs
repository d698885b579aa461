//! The life of idle space against a chain that remembers, with the segments of a localnet.

use super::*;
use crate::{
    client::ChainClient,
    codec,
    crypto::hash,
    proofs::pois::{AuditChallenge, AuditProof, CommitChallenge, CommitProof, Commitment, Transcript},
    storage::{
        cluster::{Cluster, IDLE_SEED, TestMiner},
        fragments::FragmentStore,
        miner::tests::{DEADLINE, until},
        wire::AuditPart,
    },
    types::Params,
};

const SEGMENT: u64 = 1 << 20;
const CHAIN: u64 = 11_332;

fn shape() -> Shape {
    Shape::of(&Params::dev())
}

/// One miner that makes so many segments.
async fn lending(segments: u64) -> Cluster {
    let mut cluster = Cluster::new(0).await;
    cluster.add_miner_with(7, segments * SEGMENT).await;
    cluster
}

fn idle_of(miner: &TestMiner) -> &Idle {
    miner.service.inner.idle.as_ref().unwrap()
}

fn batches(cluster: &Cluster) -> usize {
    let account = cluster.miners[0].account();
    cluster.chain.market(|market| market.miners.get(&account).map_or(0, |miner| miner.batches.len()))
}

/// Waits for the proofs of the newest batch and gives them to `check` with their challenges.
async fn proofs(cluster: &Cluster) -> Vec<(CommitChallenge, CommitProof)> {
    let miner = &cluster.miners[0];
    let (batch, commitments) = cluster.chain.market(|market| {
        let known = &market.miners[&miner.account()];
        (known.batches.last().unwrap().clone(), known.commitments.clone())
    });
    cluster.chain.advance(batch.height + 1 - cluster.chain.height());
    let beacon = cluster.chain.beacon(batch.height + 1).await.unwrap().unwrap().0;
    let mut all = Vec::new();
    for number in batch.first..batch.first + batch.count {
        until("the proof is made", || idle_of(miner).files.has_proof(number)).await;
        let bytes = cluster.data.idle_proof(miner.peer, batch.number, number, DEADLINE).await.unwrap();
        let commitment: Commitment = codec::decode(&commitments[&number]).unwrap();
        let replica = ReplicaId::new(CHAIN, &miner.account(), number, &IDLE_SEED.0);
        let challenge = CommitChallenge::draw(shape(), replica, &commitment, &beacon).unwrap();
        all.push((challenge, codec::decode(&bytes).unwrap()));
    }
    all
}

/// Opens a round and checks the miner's answer to it.
async fn check_round(cluster: &Cluster, round: u64, consumed: u64) {
    let (miner, opened) = (&cluster.miners[0], round * Params::dev().audit_round_blocks);
    cluster.chain.advance(opened - cluster.chain.height());
    let key = (miner.account(), round);
    until("the round is answered", || cluster.chain.market(|market| market.answers.contains_key(&key))).await;
    let (spot, digest) = cluster.chain.market(|market| market.answers[&key]);
    assert!(spot.is_zero(), "it holds no data");
    let bytes = cluster.data.audit(miner.peer, round, AuditPart::Idle, DEADLINE).await.unwrap();
    assert_eq!(digest.0, hash::content(&bytes));
    let segments = cluster.chain.market(|market| market.miners[&miner.account()].certified.clone());
    let beacon = cluster.chain.beacon(opened).await.unwrap().unwrap().0;
    let transcript = Transcript { beacon, chain: CHAIN, miner: miner.account(), round };
    let challenge = AuditChallenge::draw(shape(), &transcript, &live_segments(&segments, consumed)).unwrap();
    challenge.verify(&codec::decode::<AuditProof>(&bytes).unwrap()).unwrap();
}

#[tokio::test]
async fn segments_are_made_committed_proven_audited_and_given_up_for_data() {
    let cluster = lending(2).await;
    let miner = &cluster.miners[0];
    until("two segments are committed to", || batches(&cluster) == 1).await;
    let proofs = proofs(&cluster).await;
    assert_eq!(proofs.len(), 2);
    proofs.iter().for_each(|(challenge, proof)| challenge.verify(proof).unwrap());
    cluster.chain.decide_idle(miner.account(), true);
    until("what only the commitment needed goes", || !idle_of(miner).files.has_layers(0)).await;
    let gauge = |gauge| miner.node.metrics.gauge(gauge);
    until("it is shown", || gauge(Gauge::IdleCertifiedBytes) == 2 << 20).await;
    check_round(&cluster, 1, 0).await;

    // Data takes the first segment and a bit of the second; the room is given back and filled anew.
    let full = miner.store.index().space();
    assert!(full.idle >= 2 << 20 && full.free() < full.limit - (2 << 20), "{full:?}");
    cluster.chain.market(|market| market.miners.get_mut(&miner.account()).unwrap().consumed = 140);
    check_round(&cluster, 2, 140).await;
    until("the first segment is gone", || !idle_of(miner).files.numbers().unwrap().contains(&0)).await;
    until("another is committed to", || batches(&cluster) == 2).await;
    let batch = cluster.chain.market(|market| market.miners[&miner.account()].batches[1].clone());
    assert_eq!((batch.first, batch.count), (2, 1));
}

#[tokio::test]
async fn a_refused_batch_is_made_anew_under_new_numbers() {
    let cluster = lending(1).await;
    until("a segment is committed to", || batches(&cluster) == 1).await;
    proofs(&cluster).await;
    cluster.chain.decide_idle(cluster.miners[0].account(), false);
    until("another is committed to", || batches(&cluster) == 2).await;
    let numbers = idle_of(&cluster.miners[0]).files.numbers().unwrap();
    assert_eq!(numbers.into_iter().collect::<Vec<_>>(), [1], "the first one is dropped");
    let proofs = proofs(&cluster).await;
    proofs.iter().for_each(|(challenge, proof)| challenge.verify(proof).unwrap());
}

#[tokio::test]
async fn a_lost_segment_is_named_and_made_again() {
    let cluster = lending(1).await;
    let miner = &cluster.miners[0];
    until("a segment is committed to", || batches(&cluster) == 1).await;
    proofs(&cluster).await;
    cluster.chain.decide_idle(miner.account(), true);
    until("it is certified", || !idle_of(miner).files.has_proof(0)).await;
    let labels = miner.idle.as_ref().unwrap().path().join("idle").join("0").join("labels");
    std::fs::write(&labels, vec![0u8; usize::try_from(SEGMENT).unwrap()]).unwrap();
    cluster.chain.advance(Params::dev().audit_round_blocks - cluster.chain.height());
    let missed = || miner.node.metrics.counter(crate::runtime::Counter::AuditsMissed) == 1;
    until("the round is missed", missed).await;
    let whole = || std::fs::read(&labels).is_ok_and(|labels| labels.iter().any(|byte| *byte != 0));
    until("the segment is made again", whole).await;
    check_round(&cluster, 2, 0).await;
}

#[tokio::test]
async fn proofs_are_made_without_layers_too() {
    let dir = tempfile::tempdir().unwrap();
    let node = crate::runtime::Node::new("miner", crate::runtime::CpuPool::new("test", 1));
    let files = SegmentFiles::open(&node, dir.path().to_owned(), shape()).unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let pace = Pace { pool: node.pool.clone(), tranquility: 0, stop: stop.clone() };
    let (replica, mut told) = (ReplicaId([3; 32]), Vec::new());
    making::make(&files, shape(), replica, 4, false, &pace, &mut |done, total| told.push((done, total))).unwrap();
    assert_eq!(told, [(32_768, 98_304), (65_536, 98_304), (98_304, 98_304)]);
    assert!(!files.has_layers(4) && files.bytes().unwrap() >= SEGMENT);
    making::prove(&files, shape(), replica, 4, &[9; 32], &pace, &mut |_, _| ()).unwrap();
    let challenge = CommitChallenge::draw(shape(), replica, &files.commitment(4).unwrap(), &[9; 32]).unwrap();
    challenge.verify(&codec::decode(&files.proof(4).unwrap()).unwrap()).unwrap();
    // What stops half-way is thrown away by the next start.
    stop.cancel();
    let stopped = making::make(&files, shape(), replica, 5, false, &pace, &mut |_, _| ());
    assert!(matches!(stopped, Err(IdleError::Stopped)));
    assert!(dir.path().join("making").exists());
    let files = SegmentFiles::open(&node, dir.path().to_owned(), shape()).unwrap();
    assert!(!dir.path().join("making").exists());
    assert_eq!(files.numbers().unwrap().into_iter().collect::<Vec<_>>(), [4]);
    node.kill.pull("test");
    assert!(matches!(files.begin(), Err(IdleError::Stopped)), "a killed node writes no more");
}
