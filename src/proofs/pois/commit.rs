//! The commitment to a new segment, and the check that its layers were labelled by the graph.
//!
//! The miner registers the roots of all layers. A later beacon chooses nodes; for each of them, in every layer, the proof opens
//! the label and all its parents, and the verifier computes the label anew. Must not know who verifies or when.

use super::{
    Place, PoisError, ReplicaId, Shape,
    generate::at,
    graph::{BELOW_PARENTS, Graph, Parents, WITHIN_PARENTS},
    label::{Label, Message, NO_LABEL},
    shape::{LABELS_LOG2_MAX, LAYERS_MAX},
    tree::{Crown, Digest, Leaf, Opening, leaf_of},
};
use crate::{
    codec::Wire,
    crypto::hash::{DOMAIN_IDLE_CHALLENGE, DOMAIN_IDLE_COMMITMENT, stream, tagged},
    types::params::IDLE_COMMIT_NODES,
};
use std::collections::BTreeSet;

/// Leaves a challenged node asks for at most: its own, that of the node before, and its parents'.
const NODE_LEAVES: usize = 2 + WITHIN_PARENTS + BELOW_PARENTS;
/// Most leaves of one layer that are opened.
const LAYER_LEAVES_MAX: usize = IDLE_COMMIT_NODES * NODE_LEAVES;
/// Most siblings of one layer: leaves spread evenly share only the levels above their number.
const LAYER_SIBLINGS_MAX: usize = LAYER_LEAVES_MAX * (LABELS_LOG2_MAX - 1 - LAYER_LEAVES_MAX.ilog2()) as usize;

/// Roots of all layers of a segment, from the first to the last.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Commitment {
    /// One root for each layer.
    pub layer_roots: Vec<Digest>,
}

impl Wire for Commitment {
    const NAME: &'static str = "idle segment commitment";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 8 + 32 * LAYERS_MAX as usize;
}

impl Commitment {
    /// The root audits are checked against: that of the last layer.
    pub fn final_root(&self) -> Option<&Digest> {
        self.layer_roots.last()
    }

    /// Names segment and roots together.
    pub fn id(&self, replica: &ReplicaId) -> [u8; 32] {
        tagged(DOMAIN_IDLE_COMMITMENT, &[&replica.0, self.layer_roots.as_flattened()])
    }

    fn check(&self, shape: Shape) -> Result<(), PoisError> {
        check_layers(shape, "the commitment", self.layer_roots.len())
    }
}

fn check_layers(shape: Shape, what: &'static str, found: usize) -> Result<(), PoisError> {
    let expected = shape.layers();
    if found == at(expected) { Ok(()) } else { Err(PoisError::Layers { what, found, expected }) }
}

/// Openings of all layers.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct CommitProof {
    /// One for each layer, from the first to the last.
    pub layers: Vec<Opening>,
}

impl Wire for CommitProof {
    const NAME: &'static str = "idle segment proof";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 8 + LAYERS_MAX as usize * (8 + LAYER_LEAVES_MAX * 64 + LAYER_SIBLINGS_MAX * 32);
}

/// What a beacon asks of a commitment.
#[derive(Debug, Clone)]
pub struct CommitChallenge {
    shape: Shape,
    replica: ReplicaId,
    roots: Vec<Digest>,
    /// A node and its parents, by the node.
    nodes: Vec<(u32, Parents)>,
}

impl CommitChallenge {
    /// Chooses distinct nodes by a beacon that is fixed after `commitment`: whoever knows it before can label those nodes only.
    pub fn draw(
        shape: Shape,
        replica: ReplicaId,
        commitment: &Commitment,
        beacon: &[u8; 32],
    ) -> Result<Self, PoisError> {
        commitment.check(shape)?;
        let seed = tagged(DOMAIN_IDLE_CHALLENGE, &[beacon, &commitment.id(&replica)]);
        let (mut draws, mut chosen) = (stream(DOMAIN_IDLE_CHALLENGE, &seed), BTreeSet::new());
        while chosen.len() < IDLE_COMMIT_NODES {
            let mut word = [0; 4];
            draws.fill(&mut word);
            chosen.insert(u32::from_le_bytes(word) >> (u32::BITS - shape.labels_log2()));
        }
        let graph = Graph::new(shape.labels_log2());
        let nodes = chosen.into_iter().map(|node| (node, graph.parents(node))).collect();
        Ok(Self { shape, replica, roots: commitment.layer_roots.clone(), nodes })
    }

    /// The challenged nodes.
    pub fn nodes(&self) -> impl Iterator<Item = u32> {
        self.nodes.iter().map(|(node, _)| *node)
    }

    /// Leaves of `layer` that have the labels needed.
    fn leaves(&self, layer: u32) -> BTreeSet<u32> {
        let mut leaves = BTreeSet::new();
        for (node, parents) in &self.nodes {
            leaves.insert(leaf_of(*node));
            if let Some(before) = node.checked_sub(1) {
                leaves.insert(leaf_of(before));
                leaves.extend(parents.within.map(leaf_of));
            }
            if layer + 1 < self.shape.layers() {
                leaves.extend(parents.below.map(leaf_of));
            }
        }
        leaves
    }

    /// Checks `proof` against the commitment the challenge was drawn for.
    pub fn verify(&self, proof: &CommitProof) -> Result<(), PoisError> {
        check_layers(self.shape, "the proof", proof.layers.len())?;
        let mut below = None;
        for ((layer, opening), root) in (0..self.shape.layers()).zip(&proof.layers).zip(&self.roots) {
            let leaves = self.leaves(layer);
            opening.verify(self.shape, &leaves, root, Place::Layer(layer))?;
            let opened = Opened { numbers: leaves.into_iter().collect(), leaves: &opening.leaves };
            self.check_labels(layer, &opened, below.as_ref())?;
            below = Some(opened);
        }
        Ok(())
    }

    /// Computes the challenged labels of a layer anew.
    fn check_labels(&self, layer: u32, opened: &Opened<'_>, below: Option<&Opened<'_>>) -> Result<(), PoisError> {
        let mut message = Message::new(&self.replica, layer);
        for (node, parents) in &self.nodes {
            let (before, within) = match node.checked_sub(1) {
                None => (&NO_LABEL, [&NO_LABEL; _]),
                Some(before) => (opened.label(before), parents.within.map(|parent| opened.label(parent))),
            };
            let of_below = below.map(|below| parents.below.map(|parent| below.label(parent)));
            if message.label(*node, before, within, of_below) != *opened.label(*node) {
                return Err(PoisError::Label { layer, node: *node });
            }
        }
        Ok(())
    }
}

/// The opened leaves of a layer with their numbers.
struct Opened<'a> {
    numbers: Vec<u32>,
    leaves: &'a [Leaf],
}

impl Opened<'_> {
    fn label(&self, node: u32) -> &Label {
        let place = self.numbers.binary_search(&leaf_of(node)).expect("the challenge asks for all parents");
        &self.leaves[place][at(node % 2)]
    }
}

/// Collects the openings while the layers pass by: read back from disk, or made a second time.
pub struct CommitProver<'a> {
    challenge: &'a CommitChallenge,
    layers: Vec<Opening>,
}

impl<'a> CommitProver<'a> {
    /// Before the first layer.
    pub fn new(challenge: &'a CommitChallenge) -> Self {
        Self { challenge, layers: Vec::new() }
    }

    /// Takes what is needed of the next layer. `read` fills a buffer with the labels of a chunk as for [`Crown::open`].
    pub fn add<E: From<PoisError>>(
        &mut self,
        layer: u32,
        crown: &Crown,
        read: impl FnMut(u32, &mut [Label]) -> Result<(), E>,
    ) -> Result<(), E> {
        let due = u32::try_from(self.layers.len()).unwrap_or(u32::MAX);
        if layer != due || due == self.challenge.shape.layers() {
            return Err(PoisError::Turn { found: layer, expected: due }.into());
        }
        self.layers.push(crown.open(&self.challenge.leaves(layer), read)?);
        Ok(())
    }

    /// The proof, after the last layer.
    pub fn finish(self) -> Result<CommitProof, PoisError> {
        check_layers(self.challenge.shape, "the proof", self.layers.len())?;
        Ok(CommitProof { layers: self.layers })
    }
}
