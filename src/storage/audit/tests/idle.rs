//! Idle space: commitments that hold and those that do not, and audits of what is live.

use super::*;
use crate::{
    codec,
    crypto::hash::content,
    ledger::abi::IMiners,
    proofs::pois::{
        AuditChallenge, CHUNK_LABELS, CommitChallenge, CommitProver, Commitment, Crown, Generator, Label, LiveSegment,
        PoisError, ReplicaId, Shape, Transcript, Workspace,
    },
    storage::wire::AuditPart,
};
use std::collections::BTreeSet;

/// A labelled segment.
struct Segment {
    replica: ReplicaId,
    layers: Vec<Vec<Label>>,
    crowns: Vec<Crown>,
}

fn chunks(labels: &[Label]) -> impl FnMut(u32, &mut [Label]) -> Result<(), PoisError> {
    move |chunk, buffer| {
        let first = usize::try_from(chunk).unwrap() * CHUNK_LABELS;
        buffer.copy_from_slice(&labels[first..first + CHUNK_LABELS]);
        Ok(())
    }
}

impl Segment {
    fn new(miner: Address, number: u64) -> Self {
        let (shape, replica) = (Shape::of(&params()), ReplicaId::new(CHAIN_ID, &miner, number, &seed().0));
        let empty = vec![[0; 32]; usize::try_from(shape.labels()).unwrap()];
        let (mut even, mut odd, mut layers) = (empty.clone(), empty, Vec::new());
        let mut workspace = Workspace::new(shape, &mut even, &mut odd).unwrap();
        let mut generator = Generator::new(shape, replica);
        while !generator.is_done() {
            if let Some(layer) = generator.step(&mut workspace, u32::MAX).unwrap() {
                layers.push(workspace.layer(layer).to_vec());
            }
        }
        let crowns = layers.iter().map(|labels| Crown::build(shape, labels).unwrap()).collect();
        Self { replica, layers, crowns }
    }

    fn commitment(&self) -> Commitment {
        Commitment { layer_roots: self.crowns.iter().map(Crown::root).collect() }
    }

    /// The proof for a batch of block `height`.
    fn proof(&self, height: Height) -> Vec<u8> {
        let beacon = beacon_of(height + 1).0;
        let shape = Shape::of(&params());
        let challenge = CommitChallenge::draw(shape, self.replica, &self.commitment(), &beacon).unwrap();
        let mut prover = CommitProver::new(&challenge);
        for ((layer, labels), crown) in (0..).zip(&self.layers).zip(&self.crowns) {
            prover.add(layer, crown, chunks(labels)).unwrap();
        }
        codec::encode(&prover.finish().unwrap())
    }

    fn answer(&self, round: &Transcript, live: &[LiveSegment]) -> Vec<u8> {
        let challenge = AuditChallenge::draw(Shape::of(&params()), round, live).unwrap();
        let last = self.layers.len() - 1;
        let open = |_, leaves: &BTreeSet<u32>| self.crowns[last].open(leaves, chunks(&self.layers[last]));
        codec::encode(&challenge.prove::<PoisError>(open).unwrap())
    }
}

fn committed(rig: &Rig, miner: Address, batch: u64, segments: &[&Segment]) -> Height {
    let commitments = segments.iter().map(|segment| codec::encode(&segment.commitment()).into()).collect();
    rig.chain.emit(ChainEvent::IdleCommitted { account: miner, batch, first: 0, commitments })
}

#[tokio::test]
async fn a_batch_is_accepted_once_all_of_it_is_shown() {
    let rig = Rig::new(3);
    let worker = rig.node.workers.register("test");
    let account = |at: usize| rig.miners[at].account();
    let (good, second, foreign) =
        (Segment::new(account(0), 0), Segment::new(account(0), 1), Segment::new(account(0), 0));
    let height = committed(&rig, account(0), 4, &[&good, &second]);
    // Another miner shows the first one's segment as its own.
    let copied = committed(&rig, account(1), 0, &[&foreign]);
    rig.miners[0].shelf.lock().idle.insert((4, 0), good.proof(height).into());
    rig.miners[1].shelf.lock().idle.insert((0, 0), foreign.proof(copied).into());
    let silent = committed(&rig, account(2), 7, &[&good]);
    rig.advance(silent + 2).await;
    let mut known = BTreeSet::new();
    rig.verifier.verify_batches(&mut known, &worker).await.unwrap();
    assert_eq!(rig.chain.state.lock().idle_votes, [(account(1), 0, false)], "the others have time");
    rig.miners[0].shelf.lock().idle.insert((4, 1), second.proof(height).into());
    rig.verifier.verify_batches(&mut known, &worker).await.unwrap();
    assert_eq!(rig.chain.state.lock().idle_votes[1..], [(account(0), 4, true)]);
    rig.advance(silent + 8 * params().audit_round_blocks + 1).await;
    rig.verifier.verify_batches(&mut known, &worker).await.unwrap();
    assert_eq!(rig.chain.state.lock().idle_votes[2..], [(account(2), 7, false)], "patience ends");
    assert_eq!(known, BTreeSet::from([((account(0), 4), 0), ((account(0), 4), 1)]));
}

#[tokio::test]
async fn idle_space_is_audited_as_far_as_it_is_live() {
    let rig = Rig::new(4);
    let segments: Vec<Segment> = (0..2).map(|at| Segment::new(rig.miners[at].account(), 0)).collect();
    for (at, miner) in rig.miners.iter().enumerate() {
        // The last one's idle space was all taken.
        let (consumed, idle) = if at == 3 { (128, 0) } else { (28, 100) };
        let root = (*segments[at.min(1)].commitment().final_root().unwrap()).into();
        let mut state = rig.chain.state.lock();
        state.segments.insert(miner.account(), vec![IMiners::Segment { number: 0, root }]);
        state.standings.insert(miner.account(), IMiners::Standing { used: 0, segments: 1, consumed, idle });
    }
    let round = rig.open_round().await;
    let beacon = beacon_of(round * params().audit_round_blocks).0;
    for (at, segment) in segments.iter().enumerate() {
        let miner = rig.miners[at].account();
        let live = LiveSegment { number: 0, root: *segment.commitment().final_root().unwrap(), live_from: 28 };
        // The second answers for the round before.
        let asked = Transcript { beacon, chain: CHAIN_ID, miner, round: round - at as u64 };
        let bytes = segment.answer(&asked, &[live]);
        rig.chain.emit(ChainEvent::Answered { miner, round, spot: B256::ZERO, idle: content(&bytes).into() });
        rig.miners[at].answer(round, AuditPart::Idle, bytes);
    }
    rig.verify(round).await;
    let idle = |at: usize| rig.voted(round, rig.miners[at].account()).map(|verdict| verdict.idle);
    assert_eq!([0, 1, 2].map(idle), [Some(Outcome::Passed), Some(Outcome::Failed), Some(Outcome::Missed)]);
    assert_eq!(idle(3), None, "nobody votes where nothing was due");
}
