//! A persistent Merkle-Patricia trie in memory: fixed 32-byte keys, cached node references, proofs.
//!
//! Owns structure only; what keys and values mean is `commitment`'s business. Node encoding is alloy-trie's.
//! Invariants: a branch has at least two children; an extension's child is a branch; a cached reference equals the hash (or the
//! short encoding) of the node below it, and every change clears the references on its path; a clone shares all nodes with its
//! origin, and a change to either copies only the path it touches.

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::{
    EMPTY_ROOT_HASH, Nibbles, TrieMask,
    nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode},
};
use std::sync::{Arc, OnceLock};

mod walk;

/// What a key of a trie leads to.
pub trait Leaf: Clone {
    /// The value as nodes hold it; never empty, since that could not be told from absence.
    fn encode(&self) -> Vec<u8>;
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
    Leaf(Nibbles, V),
    Extension(Nibbles, Arc<Node<V>>),
    Branch([Link<V>; 16]),
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<V: Leaf> Trie<V> {
    /// Whether the trie has no keys.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The value of `key`.
    pub fn get(&self, key: &B256) -> Option<&V> {
        let mut path = Nibbles::unpack(key);
        let mut next = self.root.as_deref();
        while let Some(node) = next {
            if let Kind::Leaf(rest, value) = &node.kind {
                return (*rest == path).then_some(value);
            }
            next = node.towards(&mut path);
        }
        None
    }

    /// Sets `key` to `value`.
    pub fn insert(&mut self, key: &B256, value: V) {
        self.root = Some(insert(self.root.take(), Nibbles::unpack(key), value));
    }

    /// Changes the value of `key` in place. Returns whether there is one.
    pub fn modify(&mut self, key: &B256, change: impl FnOnce(&mut V)) -> bool {
        if self.get(key).is_none() {
            return false;
        }
        let mut path = Nibbles::unpack(key);
        let mut link = self.root.as_mut();
        while let Some(arc) = link {
            let node = Arc::make_mut(arc);
            node.reference.take();
            link = match &mut node.kind {
                Kind::Leaf(_, value) => {
                    change(value);
                    return true;
                }
                Kind::Extension(prefix, child) => {
                    path = path.slice(prefix.len()..);
                    Some(child)
                }
                Kind::Branch(children) => {
                    let child = children[head(&path)].as_mut();
                    path = path.slice(1..);
                    child
                }
            };
        }
        unreachable!("the key was found just above")
    }

    /// Removes `key`; absent keys are fine.
    pub fn remove(&mut self, key: &B256) {
        if self.get(key).is_some() {
            self.root = self.root.take().and_then(|root| remove(root, Nibbles::unpack(key)));
        }
    }

    /// The root hash. Work is proportional to what changed since it was last asked for.
    pub fn root(&self) -> B256 {
        let Some(root) = &self.root else { return EMPTY_ROOT_HASH };
        root.referred().as_hash().unwrap_or_else(|| keccak256(root.encoding()))
    }

    /// The encodings of the nodes from the root towards `key`, short inlined ones left out: a proof of its value or absence.
    pub fn proof(&self, key: &B256) -> Vec<Bytes> {
        let mut path = Nibbles::unpack(key);
        let mut proof = Vec::new();
        let mut next = self.root.as_deref();
        while let Some(node) = next {
            let encoding = node.encoding();
            if proof.is_empty() || encoding.len() >= HASHED_MIN_BYTES {
                proof.push(Bytes::from(encoding));
            }
            next = node.towards(&mut path);
        }
        proof
    }
}

/// A branch of sixteen hashes is 532 B.
const NODE_TYPICAL_BYTES: usize = 544;
/// Encodings from this length on are referred to by hash.
const HASHED_MIN_BYTES: usize = 32;

impl<V: Leaf> Node<V> {
    fn new(kind: Kind<V>) -> Arc<Self> {
        Arc::new(Self { kind, reference: OnceLock::new() })
    }

    /// The child that `path`, which begins at this node, leads to; `path` then begins there.
    fn towards(&self, path: &mut Nibbles) -> Option<&Self> {
        match &self.kind {
            Kind::Leaf(..) => None,
            Kind::Extension(prefix, child) if path.starts_with(prefix) => {
                *path = path.slice(prefix.len()..);
                Some(child)
            }
            Kind::Extension(..) => None,
            Kind::Branch(children) => {
                let child = children[head(path)].as_deref();
                *path = path.slice(1..);
                child
            }
        }
    }

    /// How a parent refers to this node. Computes what is missing below.
    fn referred(&self) -> &RlpNode {
        self.reference.get_or_init(|| self.encode(&mut Vec::with_capacity(NODE_TYPICAL_BYTES)))
    }

    /// Encodes this node from its children's references.
    fn encode(&self, buffer: &mut Vec<u8>) -> RlpNode {
        match &self.kind {
            Kind::Leaf(path, value) => LeafNodeRef::new(path, &value.encode()).rlp(buffer),
            Kind::Extension(path, child) => ExtensionNodeRef::new(path, child.referred()).rlp(buffer),
            Kind::Branch(children) => {
                let mut stack = Vec::with_capacity(16);
                let mut mask = 0u16;
                for (nibble, child) in children.iter().enumerate() {
                    if let Some(child) = child {
                        stack.push(child.referred().clone());
                        mask |= 1 << nibble;
                    }
                }
                BranchNodeRef::new(&stack, TrieMask::new(mask)).rlp(buffer)
            }
        }
    }

    fn encoding(&self) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(NODE_TYPICAL_BYTES);
        self.encode(&mut buffer);
        buffer
    }
}

fn head(path: &Nibbles) -> usize {
    usize::from(path.first().expect("keys have equal length, so a branch lies above the end of every key"))
}

/// The node's content: its own if nobody shares it.
fn opened<V: Leaf>(node: Arc<Node<V>>) -> Kind<V> {
    Arc::unwrap_or_clone(node).kind
}

fn insert<V: Leaf>(link: Link<V>, key: Nibbles, value: V) -> Arc<Node<V>> {
    let Some(mut node) = link else { return Node::new(Kind::Leaf(key, value)) };
    if let Kind::Leaf(path, _) = &node.kind
        && *path == key
    {
        return Node::new(Kind::Leaf(key, value));
    }
    if matches!(node.kind, Kind::Branch(_)) {
        let own = Arc::make_mut(&mut node);
        own.reference.take();
        let Kind::Branch(children) = &mut own.kind else { unreachable!("matched just above") };
        let child = &mut children[head(&key)];
        *child = Some(insert(child.take(), key.slice(1..), value));
        return node;
    }
    match opened(node) {
        Kind::Extension(prefix, child) if key.starts_with(&prefix) => {
            let child = insert(Some(child), key.slice(prefix.len()..), value);
            Node::new(Kind::Extension(prefix, child))
        }
        kind => split(kind, key, value),
    }
}

/// A leaf or extension whose path parts from `key`, with the new value beside it.
fn split<V: Leaf>(kind: Kind<V>, key: Nibbles, value: V) -> Arc<Node<V>> {
    let path = match &kind {
        Kind::Leaf(path, _) | Kind::Extension(path, _) => *path,
        Kind::Branch(_) => unreachable!("a branch has no path to split"),
    };
    let shared = path.common_prefix_length(&key);
    let (nibble, rest) = (head(&path.slice(shared..)), path.slice(shared + 1..));
    let old = match kind {
        Kind::Leaf(_, value) => Node::new(Kind::Leaf(rest, value)),
        Kind::Extension(_, child) => joined(rest, child),
        Kind::Branch(_) => unreachable!("a branch has no path to split"),
    };
    let mut children = [const { None }; 16];
    children[nibble] = Some(old);
    children[head(&key.slice(shared..))] = Some(Node::new(Kind::Leaf(key.slice(shared + 1..), value)));
    joined(key.slice(..shared), Node::new(Kind::Branch(children)))
}

/// `node` reached through `prefix`.
fn joined<V: Leaf>(prefix: Nibbles, node: Arc<Node<V>>) -> Arc<Node<V>> {
    if prefix.is_empty() {
        return node;
    }
    if matches!(node.kind, Kind::Branch(_)) {
        return Node::new(Kind::Extension(prefix, node));
    }
    match opened(node) {
        Kind::Leaf(path, value) => Node::new(Kind::Leaf(prefix.join(&path), value)),
        Kind::Extension(path, child) => Node::new(Kind::Extension(prefix.join(&path), child)),
        Kind::Branch(_) => unreachable!("returned just above"),
    }
}

/// The node without `key`, which it holds.
fn remove<V: Leaf>(mut node: Arc<Node<V>>, key: Nibbles) -> Link<V> {
    if matches!(node.kind, Kind::Branch(_)) {
        let own = Arc::make_mut(&mut node);
        own.reference.take();
        let Kind::Branch(children) = &mut own.kind else { unreachable!("matched just above") };
        let child = &mut children[head(&key)];
        *child = child.take().and_then(|child| remove(child, key.slice(1..)));
        return Some(collapsed(node));
    }
    match opened(node) {
        Kind::Leaf(..) => None,
        Kind::Extension(prefix, child) => {
            let child =
                remove(child, key.slice(prefix.len()..)).expect("a branch keeps a child when one key leaves it");
            Some(joined(prefix, child))
        }
        Kind::Branch(_) => unreachable!("returned just above"),
    }
}

/// A branch with one child left becomes that child.
fn collapsed<V: Leaf>(node: Arc<Node<V>>) -> Arc<Node<V>> {
    let Kind::Branch(children) = &node.kind else { return node };
    let mut left = (0u8..).zip(children).filter_map(|(nibble, child)| child.as_ref().map(|child| (nibble, child)));
    match (left.next(), left.next()) {
        (Some((nibble, child)), None) => joined(Nibbles::from_nibbles([nibble]), child.clone()),
        _ => node,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_trie::{HashBuilder, proof::verify_proof};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    impl Leaf for Vec<u8> {
        fn encode(&self) -> Vec<u8> {
            self.clone()
        }
    }

    fn oracle(entries: &BTreeMap<B256, Vec<u8>>) -> B256 {
        let mut builder = HashBuilder::default();
        entries.iter().for_each(|(key, value)| builder.add_leaf(Nibbles::unpack(key), value));
        builder.root()
    }

    /// Keys that share long prefixes as well as keys that do not.
    fn key() -> impl Strategy<Value = B256> {
        (0u8..3, 0u8..4, 0u8..4).prop_map(|(first, middle, last)| {
            let mut key = [0x11u8; 32];
            (key[0], key[15], key[31]) = (first << 4, middle, last << 3);
            B256::from(key)
        })
    }

    fn check(trie: &Trie<Vec<u8>>, entries: &BTreeMap<B256, Vec<u8>>, asked: &B256) -> Result<(), TestCaseError> {
        let root = trie.root();
        prop_assert_eq!(root, oracle(entries));
        prop_assert_eq!(trie.is_empty(), entries.is_empty());
        let proof = trie.proof(asked);
        let value = entries.get(asked).cloned();
        prop_assert_eq!(trie.get(asked), value.as_ref());
        prop_assert_eq!(verify_proof(root, Nibbles::unpack(asked), value, &proof), Ok(()));
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn root_equals_the_oracle_after_every_step(
            steps in prop::collection::vec((key(), prop::option::of(prop::collection::vec(any::<u8>(), 1..40))), 0..60),
            batch in 1usize..6,
        ) {
            let (mut trie, mut entries) = (Trie::default(), BTreeMap::new());
            prop_assert_eq!(trie.root(), EMPTY_ROOT_HASH);
            for (i, (key, value)) in steps.into_iter().enumerate() {
                match value {
                    Some(value) => {
                        trie.insert(&key, value.clone());
                        entries.insert(key, value);
                    }
                    None => {
                        trie.remove(&key);
                        entries.remove(&key);
                    }
                }
                if i % batch == 0 {
                    check(&trie, &entries, &key)?;
                }
            }
            check(&trie, &entries, &B256::repeat_byte(0x77))?;
        }

        #[test]
        fn a_clone_keeps_what_it_was(
            before in prop::collection::btree_map(key(), prop::collection::vec(any::<u8>(), 1..40), 0..24),
            steps in prop::collection::vec((key(), prop::option::of(prop::collection::vec(any::<u8>(), 1..40))), 1..24),
        ) {
            let mut trie = Trie::default();
            before.iter().for_each(|(key, value)| trie.insert(key, value.clone()));
            let (kept, mut entries) = (trie.clone(), before.clone());
            for (key, value) in &steps {
                match value {
                    Some(value) if entries.contains_key(key) => {
                        prop_assert!(trie.modify(key, |old| old.clone_from(value)));
                        entries.insert(*key, value.clone());
                    }
                    Some(value) => {
                        prop_assert!(!trie.modify(key, |_| ()));
                        trie.insert(key, value.clone());
                        entries.insert(*key, value.clone());
                    }
                    None => {
                        trie.remove(key);
                        entries.remove(key);
                    }
                }
                check(&trie, &entries, key)?;
                check(&kept, &before, key)?;
            }
        }

        #[test]
        fn random_keys_agree_and_order_does_not_matter(
            keys in prop::collection::btree_map(any::<[u8; 32]>(), any::<u8>(), 0..80),
            seed: u64,
        ) {
            let entries: BTreeMap<B256, Vec<u8>> =
                keys.iter().map(|(k, v)| (B256::from(*k), vec![*v; 1 + usize::from(*v) / 4])).collect();
            let mut order: Vec<_> = entries.iter().collect();
            order.sort_by_key(|(k, _)| keccak256([k.as_slice(), &seed.to_le_bytes()].concat()));
            let mut trie = Trie::<Vec<u8>>::default();
            order.iter().for_each(|(k, v)| trie.insert(k, (*v).clone()));
            prop_assert_eq!(trie.root(), oracle(&entries));
            order.iter().for_each(|(k, _)| trie.remove(k));
            prop_assert!(trie.is_empty());
        }
    }
}
