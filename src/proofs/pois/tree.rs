//! Merkle trees over layers: a crown that a prover keeps, and openings of several leaves at once that share their paths.
//!
//! A leaf is two neighbouring labels, 64 bytes as a node's two children, so that each costs one BLAKE3 compression. Hashes are keyed: 31 bytes name the
//! purpose and the last is 0x00 for leaves, 0x01 for nodes, so that neither can stand for the other.
//! An opening has no indices and no depth: both come from the verifier, and with them the one number of leaves and
//! siblings, and the one order, that are accepted.

use super::{
    Place, PoisError, Shape,
    generate::{at, check_layer},
    label::{Label, NO_LABEL},
};
use rayon::prelude::*;
use std::collections::BTreeSet;

/// A hash of the tree.
pub type Digest = [u8; 32];
/// What is hashed at the bottom: two neighbouring labels.
pub type Leaf = [Label; 2];

/// Levels of a tree that are computed from labels when they are needed; a crown holds those above. 2^11 leaves are 128 KiB to
/// read and 0.4 ms to hash, and a crown's row is a 4,096th of its segment.
const CHUNK_LEVELS: u32 = 11;
/// Leaves below one node of a crown's row.
const CHUNK_LEAVES: u32 = 1 << CHUNK_LEVELS;
/// Labels below one node of a crown's row.
pub const CHUNK_LABELS: usize = 2 << CHUNK_LEVELS;

const LEAF_KEY: Digest = *b"cess 2026 idle space merkle v1 \x00";
const NODE_KEY: Digest = *b"cess 2026 idle space merkle v1 \x01";

pub(super) fn leaf_hash(leaf: &Leaf) -> Digest {
    *blake3::keyed_hash(&LEAF_KEY, leaf.as_flattened()).as_bytes()
}

pub(super) fn node_hash(left: &Digest, right: &Digest) -> Digest {
    *blake3::keyed_hash(&NODE_KEY, [*left, *right].as_flattened()).as_bytes()
}

/// The leaf that has the label of `node`.
pub(super) fn leaf_of(node: u32) -> u32 {
    node / 2
}

/// A whole binary tree in one row: the root is number 1, the children of `n` are `2n` and `2n + 1`.
struct Heap(Vec<Digest>);

impl Heap {
    /// Over a power of two of digests.
    fn over(bottom: impl ExactSizeIterator<Item = Digest>) -> Self {
        let width = bottom.len();
        let mut nodes = vec![[0; 32]; width];
        nodes.extend(bottom);
        for parent in (1..width).rev() {
            nodes[parent] = node_hash(&nodes[2 * parent], &nodes[2 * parent + 1]);
        }
        Self(nodes)
    }

    fn root(&self) -> Digest {
        self.0[1]
    }

    fn width(&self) -> usize {
        self.0.len() / 2
    }

    /// Node `index` from the left of the level `below_root` levels below the root.
    fn node(&self, below_root: u32, index: usize) -> Digest {
        self.0[(1 << below_root) + index]
    }
}

fn chunk_heap(labels: &[Label]) -> Result<Heap, PoisError> {
    let (what, found, expected) = ("labels of a chunk", labels.len(), CHUNK_LABELS);
    if found != expected {
        return Err(PoisError::Length { what, found, expected });
    }
    let (leaves, _) = labels.as_chunks::<2>();
    Ok(Heap::over(leaves.iter().map(leaf_hash)))
}

/// The node of a crown's row that stands for [`CHUNK_LABELS`] labels: a crown can be computed chunk by chunk while labels are made.
pub fn chunk_root(labels: &[Label]) -> Result<Digest, PoisError> {
    Ok(chunk_heap(labels)?.root())
}

/// The upper levels of a layer's tree.
pub struct Crown {
    depth: u32,
    nodes: Heap,
}

impl Crown {
    /// Of a whole layer, on all threads of the current pool.
    pub fn build(shape: Shape, labels: &[Label]) -> Result<Self, PoisError> {
        check_layer(shape, labels)?;
        let row: Result<Vec<_>, _> = labels.par_chunks_exact(CHUNK_LABELS).map(chunk_root).collect();
        Self::from_row(shape, &row?)
    }

    /// From its lowest row, the only one worth keeping: 256 KiB for a segment of 1 GiB.
    pub fn from_row(shape: Shape, row: &[Digest]) -> Result<Self, PoisError> {
        let (what, found, expected) = ("row of a crown", row.len(), at(shape.leaves() / CHUNK_LEAVES));
        if found != expected {
            return Err(PoisError::Length { what, found, expected });
        }
        Ok(Self { depth: shape.depth(), nodes: Heap::over(row.iter().copied()) })
    }

    /// The lowest row.
    pub fn row(&self) -> &[Digest] {
        &self.nodes.0[self.nodes.width()..]
    }

    /// The layer's root.
    pub fn root(&self) -> Digest {
        self.nodes.root()
    }

    /// Opens `leaves`. `read` fills a buffer with the labels of a chunk, by the chunk's number; each is asked for once, in order, and compared with
    /// the crown, so that a damaged disk is noticed before the verifier does.
    pub fn open<E: From<PoisError>>(
        &self,
        leaves: &BTreeSet<u32>,
        mut read: impl FnMut(u32, &mut [Label]) -> Result<(), E>,
    ) -> Result<Opening, E> {
        if let Some(&leaf) = leaves.last().filter(|&&leaf| leaf >= 1 << self.depth) {
            return Err(PoisError::Leaf { leaf, leaves: 1 << self.depth }.into());
        }
        let wanted = missing_siblings(self.depth, leaves);
        let (low, high) = wanted.split_at(at(CHUNK_LEVELS));
        let mut opening = Opening { leaves: Vec::with_capacity(leaves.len()), siblings: Vec::new() };
        let mut levels: Vec<Vec<Digest>> = vec![Vec::new(); low.len()];
        let mut labels = vec![NO_LABEL; CHUNK_LABELS];
        let chunks: BTreeSet<u32> = leaves.iter().map(|leaf| leaf >> CHUNK_LEVELS).collect();
        for chunk in chunks {
            read(chunk, &mut labels)?;
            let heap = chunk_heap(&labels)?;
            if heap.root() != self.row()[at(chunk)] {
                return Err(PoisError::Damaged { chunk }.into());
            }
            let first = chunk << CHUNK_LEVELS;
            let (pairs, _) = labels.as_chunks::<2>();
            opening.leaves.extend(leaves.range(first..first + CHUNK_LEAVES).map(|leaf| pairs[at(leaf - first)]));
            for ((found, wanted), below_root) in levels.iter_mut().zip(low).zip((1..=CHUNK_LEVELS).rev()) {
                let nodes = chunk << below_root..(chunk + 1) << below_root;
                found.extend(wanted.range(nodes.clone()).map(|node| heap.node(below_root, at(node - nodes.start))));
            }
        }
        opening.siblings = levels.concat();
        for (wanted, below_root) in high.iter().zip((1..=self.depth - CHUNK_LEVELS).rev()) {
            opening.siblings.extend(wanted.iter().map(|&node| self.nodes.node(below_root, at(node))));
        }
        Ok(opening)
    }
}

/// Level by level from the leaves up: the nodes that are needed to reach the root from `leaves` and do not follow from them.
pub(super) fn missing_siblings(depth: u32, leaves: &BTreeSet<u32>) -> Vec<BTreeSet<u32>> {
    let mut known = leaves.clone();
    (0..depth)
        .map(|_| {
            let missing = known.iter().map(|node| node ^ 1).filter(|sibling| !known.contains(sibling)).collect();
            known = known.iter().map(|node| node / 2).collect();
            missing
        })
        .collect()
}

/// Several leaves of a tree and what else its root follows from.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Opening {
    /// The leaves, from the left.
    pub leaves: Vec<Leaf>,
    /// Missing siblings, from the leaves up and from the left.
    pub siblings: Vec<Digest>,
}

impl Opening {
    /// Checks that these are the leaves numbered `wanted` of the tree of `shape` with this root.
    pub(super) fn verify(
        &self,
        shape: Shape,
        wanted: &BTreeSet<u32>,
        root: &Digest,
        place: Place,
    ) -> Result<(), PoisError> {
        let (found, expected) = (self.leaves.len(), wanted.len());
        if found != expected {
            return Err(PoisError::Leaves { place, found, expected });
        }
        let mut siblings = self.siblings.iter();
        let mut level: Vec<(u32, Digest)> = wanted.iter().copied().zip(self.leaves.iter().map(leaf_hash)).collect();
        for _ in 0..shape.depth() {
            level = parents_of(&level, &mut siblings).ok_or_else(|| self.miscounted(shape, wanted, place))?;
        }
        if siblings.len() > 0 {
            return Err(self.miscounted(shape, wanted, place));
        }
        if level == [(0, *root)] { Ok(()) } else { Err(PoisError::Root { place }) }
    }

    fn miscounted(&self, shape: Shape, wanted: &BTreeSet<u32>, place: Place) -> PoisError {
        let expected = missing_siblings(shape.depth(), wanted).iter().map(BTreeSet::len).sum();
        PoisError::Siblings { place, found: self.siblings.len(), expected }
    }
}

/// One level up. Nothing if `siblings` end early.
fn parents_of<'a>(
    level: &[(u32, Digest)],
    siblings: &mut impl Iterator<Item = &'a Digest>,
) -> Option<Vec<(u32, Digest)>> {
    let mut parents = Vec::with_capacity(level.len());
    let mut rest = level;
    while let [(node, digest), after @ ..] = rest {
        rest = after;
        let parent = match after {
            [(next, right), after @ ..] if node ^ 1 == *next => {
                rest = after;
                node_hash(digest, right)
            }
            _ if node % 2 == 0 => node_hash(digest, siblings.next()?),
            _ => node_hash(siblings.next()?, digest),
        };
        parents.push((node / 2, parent));
    }
    Some(parents)
}
