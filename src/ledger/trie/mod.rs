//! A persistent Merkle-Patricia trie in memory: fixed 32-byte keys, cached node references, sorted batches of changes, proofs.
//!
//! Owns structure; what keys and values mean is `commitment`'s business, how nodes are encoded is `trie/encode`'s.
//! Invariants: a branch has at least two children; an extension's child is a branch; a cached reference equals the hash (or the
//! short encoding) of the node at its depth, and every change clears the references on its path; a clone shares all nodes with
//! its origin, and a change to either copies only the paths it touches; the result of a batch does not depend on how many
//! threads worked on it.

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, nodes::RlpNode};
use std::sync::{Arc, OnceLock};

mod encode;
mod merge;
mod walk;

use encode::{HASHED_MIN_BYTES, Scratch};

/// What a key of a trie leads to.
pub trait Leaf: Clone + Send + Sync {
    /// Appends the value as nodes hold it; never nothing, since that could not be told from absence.
    fn encode(&self, out: &mut Vec<u8>);
}

/// What a batch does to one key. It may remember what it met.
pub trait Change<V>: Send {
    /// The value of a key that has none; `None` leaves it without.
    fn create(&mut self) -> Option<V>;
    /// Changes the value of a key. Returns whether the key keeps it.
    fn alter(&mut self, value: &mut V) -> bool;
}

/// A trie. Empty by default; a clone costs nothing.
#[derive(Debug, Clone)]
pub struct Trie<V> {
    root: Link<V>,
}

type Link<V> = Option<Arc<Node<V>>>;

#[derive(Debug, Clone)]
struct Node<V> {
    kind: Kind<V>,
    /// How a parent refers to this node, once somebody asked since the last change below.
    reference: OnceLock<RlpNode>,
}

#[derive(Debug, Clone)]
enum Kind<V> {
    /// The whole key; the encoding holds what the depth leaves of it.
    Leaf(B256, V),
    Extension(Nibbles, Arc<Node<V>>),
    Branch([Link<V>; 16]),
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { root: None }
    }
}

/// Nibbles of a key, which is the depth below the deepest branch.
const KEY_NIBBLES: usize = 64;

/// The nibble of `key` that a branch at `depth` looks at.
fn nibble(key: &B256, depth: usize) -> usize {
    let byte = key[depth / 2];
    usize::from(if depth.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f })
}

impl<V: Leaf> Trie<V> {
    /// The trie of `entries`, whose keys ascend, with all of its references computed.
    pub fn build(entries: &[(B256, V)]) -> Self {
        let keys = entries.iter().enumerate().map(|(place, (key, _))| (*key, Some(place))).collect();
        Self::placed(keys, |place| entries[place].1.clone())
    }

    /// As [`Trie::build`], of values that lie elsewhere: `value` says what is at the place a key comes with. A large value thus
    /// moves once, straight into its node.
    pub fn placed(mut keys: Vec<(B256, Option<usize>)>, value: impl Fn(usize) -> V + Sync) -> Self {
        debug_assert!(keys.is_sorted_by(|(a, _), (b, _)| a < b), "keys ascend");
        let this = Self { root: merge::grown(0, &mut keys, &|key, at| Node::new(Kind::Leaf(key, value(at)))) };
        this.root();
        this
    }

    /// Whether the trie has no keys.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The value of `key`.
    pub fn get(&self, key: &B256) -> Option<&V> {
        let (path, mut depth) = (Nibbles::unpack_array(key), 0);
        let mut next = self.root.as_deref();
        while let Some(node) = next {
            if let Kind::Leaf(found, value) = &node.kind {
                return (found == key).then_some(value);
            }
            next = node.towards(&path, &mut depth);
        }
        None
    }

    /// Applies `changes`, whose keys ascend, in one walk down the trie.
    pub fn merge<C: Change<V>>(&mut self, changes: &mut [(B256, C)]) {
        debug_assert!(changes.is_sorted_by(|(a, _), (b, _)| a < b), "keys ascend");
        if !changes.is_empty() {
            self.root = merge::merged(self.root.take(), 0, changes);
        }
    }

    /// Sets `key` to `value`.
    pub fn insert(&mut self, key: &B256, value: V) {
        self.merge(&mut [(*key, merge::Set(Some(value)))]);
    }

    /// Removes `key`; absent keys are fine.
    pub fn remove(&mut self, key: &B256) {
        if self.get(key).is_some() {
            self.merge(&mut [(*key, merge::Set(None))]);
        }
    }

    /// The root hash. Work is proportional to what changed since it was last asked for.
    pub fn root(&self) -> B256 {
        let Some(root) = &self.root else { return EMPTY_ROOT_HASH };
        let mut scratch = Scratch::default();
        let hash = root.referred(0, &mut scratch).as_hash();
        hash.unwrap_or_else(|| keccak256(root.encoded(0, &mut scratch)))
    }

    /// The encodings of the nodes from the root towards `key`, short inlined ones left out: a proof of its value or absence.
    pub fn proof(&self, key: &B256) -> Vec<Bytes> {
        let (path, mut depth) = (Nibbles::unpack_array(key), 0);
        let (mut proof, mut scratch) = (Vec::new(), Scratch::default());
        let mut next = self.root.as_deref();
        while let Some(node) = next {
            let encoding = node.encoded(depth, &mut scratch);
            if proof.is_empty() || encoding.len() >= HASHED_MIN_BYTES {
                proof.push(Bytes::copy_from_slice(encoding));
            }
            next = node.towards(&path, &mut depth);
        }
        proof
    }

    /// Calls `visit` for every key in ascending order.
    pub fn for_each<'a>(&'a self, visit: &mut impl FnMut(&'a B256, &'a V)) {
        if let Some(root) = &self.root {
            root.for_each(visit);
        }
    }
}

impl<V> Node<V> {
    fn new(kind: Kind<V>) -> Arc<Self> {
        Arc::new(Self { kind, reference: OnceLock::new() })
    }

    /// The child that `path` leads to from this node at `depth`, which then is the child's.
    fn towards(&self, path: &Nibbles, depth: &mut usize) -> Option<&Self> {
        match &self.kind {
            Kind::Leaf(..) => None,
            Kind::Extension(prefix, child) => {
                let below = path.len().min(*depth + prefix.len());
                let meets = path.slice(*depth..below) == *prefix;
                *depth = below;
                meets.then_some(child)
            }
            Kind::Branch(children) => {
                let nibble = path.get(*depth)?;
                *depth += 1;
                children[usize::from(nibble)].as_deref()
            }
        }
    }

    fn for_each<'a>(&'a self, visit: &mut impl FnMut(&'a B256, &'a V)) {
        match &self.kind {
            Kind::Leaf(key, value) => visit(key, value),
            Kind::Extension(_, child) => child.for_each(visit),
            Kind::Branch(children) => children.iter().flatten().for_each(|child| child.for_each(visit)),
        }
    }
}

#[cfg(test)]
mod tests;
