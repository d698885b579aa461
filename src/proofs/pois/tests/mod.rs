//! Tests of idle space on a small segment that is made once.

mod attacks;
mod audits;
mod commitments;
mod labels;
mod trees;

use super::*;
use crate::types::Address;
use std::sync::LazyLock;

/// Two chunks of labels in three layers.
pub(super) const LABELS_LOG2: u32 = 13;

pub(super) fn small() -> Shape {
    Shape::new(LABELS_LOG2, 3).unwrap()
}

/// A segment with everything a miner has while it proves its commitment.
pub(super) struct Sealed {
    pub replica: ReplicaId,
    pub layers: Vec<Vec<Label>>,
    pub crowns: Vec<Crown>,
    pub commitment: Commitment,
}

/// The segment most tests look at.
pub(super) fn sealed() -> &'static Sealed {
    static SEALED: LazyLock<Sealed> = LazyLock::new(|| Sealed::new(small(), ReplicaId([7; 32])));
    &SEALED
}

/// Reads chunks of a layer in memory.
pub(super) fn chunks(labels: &[Label]) -> impl FnMut(u32, &mut [Label]) -> Result<(), PoisError> {
    move |chunk, buffer| {
        let first = usize::try_from(chunk).unwrap() * CHUNK_LABELS;
        buffer.copy_from_slice(&labels[first..first + CHUNK_LABELS]);
        Ok(())
    }
}

impl Sealed {
    pub fn new(shape: Shape, replica: ReplicaId) -> Self {
        let empty = vec![[0; 32]; usize::try_from(shape.labels()).unwrap()];
        let (mut even, mut odd) = (empty.clone(), empty);
        let mut workspace = Workspace::new(shape, &mut even, &mut odd).unwrap();
        let mut generator = Generator::new(shape, replica);
        let mut layers = Vec::new();
        while !generator.is_done() {
            if let Some(layer) = generator.step(&mut workspace, u32::MAX).unwrap() {
                layers.push(workspace.layer(layer).to_vec());
            }
        }
        Self::of_layers(shape, replica, layers)
    }

    /// With trees over whatever labels there are.
    pub fn of_layers(shape: Shape, replica: ReplicaId, layers: Vec<Vec<Label>>) -> Self {
        let crowns: Vec<_> = layers.iter().map(|labels| Crown::build(shape, labels).unwrap()).collect();
        let commitment = Commitment { layer_roots: crowns.iter().map(Crown::root).collect() };
        Self { replica, layers, crowns, commitment }
    }

    pub fn challenge(&self, beacon: &[u8; 32]) -> CommitChallenge {
        CommitChallenge::draw(small(), self.replica, &self.commitment, beacon).unwrap()
    }

    pub fn prove(&self, challenge: &CommitChallenge) -> CommitProof {
        let mut prover = CommitProver::new(challenge);
        for ((layer, labels), crown) in (0..).zip(&self.layers).zip(&self.crowns) {
            prover.add(layer, crown, chunks(labels)).unwrap();
        }
        prover.finish().unwrap()
    }

    /// Of `round`, with this segment as the miner's only one.
    pub fn audit(&self, round: u64, live_from: u32) -> AuditChallenge {
        AuditChallenge::draw(small(), &transcript(round), &[self.live(0, live_from)]).unwrap()
    }

    pub fn live(&self, number: u64, live_from: u32) -> LiveSegment {
        LiveSegment { number, root: *self.commitment.final_root().unwrap(), live_from }
    }

    pub fn answer(&self, challenge: &AuditChallenge) -> AuditProof {
        let last = self.layers.len() - 1;
        challenge.prove(|_, leaves| self.crowns[last].open(leaves, chunks(&self.layers[last]))).unwrap()
    }
}

pub(super) fn transcript(round: u64) -> Transcript {
    Transcript { beacon: [1; 32], chain: 11_332, miner: Address::repeat_byte(2), round }
}
