//! A Merkle-Patricia trie in memory: fixed 32-byte keys, cached node references, proofs.
//!
//! Owns structure only; what keys and values mean is `commitment`'s business. Node encoding is alloy-trie's.
//! Invariants: a branch has at least two children; an extension's child is a branch; a cached reference equals the hash (or the
//! short encoding) of the node below it, and every change clears the references on its path.

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::{
    EMPTY_ROOT_HASH, Nibbles, TrieMask,
    nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode},
};

/// A trie. Empty by default.
#[derive(Debug, Default)]
pub struct Trie {
    root: Option<Box<Node>>,
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    /// How a parent refers to this node; `None` since the last change below.
    reference: Option<RlpNode>,
}

#[derive(Debug)]
enum Kind {
    Leaf(Nibbles, Vec<u8>),
    Extension(Nibbles, Box<Node>),
    Branch([Option<Box<Node>>; 16]),
}

impl Trie {
    /// Whether the trie has no keys.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Sets `key` to `value`, which must not be empty.
    pub fn insert(&mut self, key: &B256, value: Vec<u8>) {
        assert!(!value.is_empty(), "an empty value cannot be told from an absent one");
        self.root = Some(insert(self.root.take(), Nibbles::unpack(key), value));
    }

    /// Removes `key`; absent keys are fine.
    pub fn remove(&mut self, key: &B256) {
        self.root = self.root.take().and_then(|root| remove(root, Nibbles::unpack(key)));
    }

    /// The root hash. Work is proportional to what changed since the last call.
    pub fn root(&mut self) -> B256 {
        let Some(root) = &mut self.root else { return EMPTY_ROOT_HASH };
        let mut buffer = Vec::with_capacity(NODE_TYPICAL_BYTES);
        root.refresh(&mut buffer);
        root.referred().as_hash().unwrap_or_else(|| keccak256(root.encoding()))
    }

    /// The encodings of the nodes from the root towards `key`, short inlined ones left out: a proof of its value or absence.
    ///
    /// Must be called on a trie whose root was computed after the last change.
    pub fn proof(&self, key: &B256) -> Vec<Bytes> {
        let mut path = Nibbles::unpack(key);
        let mut proof = Vec::new();
        let mut next = self.root.as_deref();
        while let Some(node) = next {
            let encoding = node.encoding();
            if proof.is_empty() || encoding.len() >= HASHED_MIN_BYTES {
                proof.push(Bytes::from(encoding));
            }
            next = match &node.kind {
                Kind::Leaf(..) => None,
                Kind::Extension(prefix, child) if path.starts_with(prefix) => {
                    path = path.slice(prefix.len()..);
                    Some(child)
                }
                Kind::Extension(..) => None,
                Kind::Branch(children) => {
                    let child = children[head(&path)].as_deref();
                    path = path.slice(1..);
                    child
                }
            };
        }
        proof
    }
}

/// A branch of sixteen hashes is 532 B.
const NODE_TYPICAL_BYTES: usize = 544;
/// Encodings from this length on are referred to by hash.
const HASHED_MIN_BYTES: usize = 32;

impl Node {
    fn new(kind: Kind) -> Box<Self> {
        Box::new(Self { kind, reference: None })
    }

    /// Computes the missing references below and of this node.
    fn refresh(&mut self, buffer: &mut Vec<u8>) {
        if self.reference.is_some() {
            return;
        }
        match &mut self.kind {
            Kind::Leaf(..) => {}
            Kind::Extension(_, child) => child.refresh(buffer),
            Kind::Branch(children) => children.iter_mut().flatten().for_each(|child| child.refresh(buffer)),
        }
        buffer.clear();
        self.reference = Some(self.encode(buffer));
    }

    /// Encodes this node from its children's references.
    fn encode(&self, buffer: &mut Vec<u8>) -> RlpNode {
        match &self.kind {
            Kind::Leaf(path, value) => LeafNodeRef::new(path, value).rlp(buffer),
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

    fn referred(&self) -> &RlpNode {
        self.reference.as_ref().expect("references are refreshed from the leaves up before a node is encoded")
    }
}

fn head(path: &Nibbles) -> usize {
    usize::from(path.first().expect("keys have equal length, so a branch lies above the end of every key"))
}

fn insert(slot: Option<Box<Node>>, key: Nibbles, value: Vec<u8>) -> Box<Node> {
    let Some(mut node) = slot else { return Node::new(Kind::Leaf(key, value)) };
    node.reference = None;
    match &mut node.kind {
        Kind::Branch(children) => {
            let child = &mut children[head(&key)];
            *child = Some(insert(child.take(), key.slice(1..), value));
            node
        }
        Kind::Leaf(path, old) if *path == key => {
            *old = value;
            node
        }
        Kind::Extension(prefix, _) if key.starts_with(prefix) => {
            let Kind::Extension(prefix, child) = node.kind else { unreachable!("matched just above") };
            let child = insert(Some(child), key.slice(prefix.len()..), value);
            Node::new(Kind::Extension(prefix, child))
        }
        Kind::Leaf(path, _) | Kind::Extension(path, _) => {
            let shared = path.common_prefix_length(&key);
            let prefix = key.slice(..shared);
            let mut children = [const { None }; 16];
            let (nibble, rest) = below(*node, shared);
            children[nibble] = Some(rest);
            children[head(&key.slice(shared..))] = Some(Node::new(Kind::Leaf(key.slice(shared + 1..), value)));
            joined(prefix, Node::new(Kind::Branch(children)))
        }
    }
}

/// What remains of a leaf or extension below a branch at depth `shared` of its path, and the branch's nibble for it.
fn below(node: Node, shared: usize) -> (usize, Box<Node>) {
    match node.kind {
        Kind::Leaf(path, value) => {
            (head(&path.slice(shared..)), Node::new(Kind::Leaf(path.slice(shared + 1..), value)))
        }
        Kind::Extension(path, child) => (head(&path.slice(shared..)), joined(path.slice(shared + 1..), child)),
        Kind::Branch(_) => unreachable!("a branch has no path to split"),
    }
}

/// `node` reached through `prefix`.
fn joined(prefix: Nibbles, node: Box<Node>) -> Box<Node> {
    if prefix.is_empty() {
        return node;
    }
    match node.kind {
        Kind::Leaf(path, value) => Node::new(Kind::Leaf(prefix.join(&path), value)),
        Kind::Extension(path, child) => Node::new(Kind::Extension(prefix.join(&path), child)),
        Kind::Branch(_) => Node::new(Kind::Extension(prefix, node)),
    }
}

fn remove(mut node: Box<Node>, key: Nibbles) -> Option<Box<Node>> {
    match &mut node.kind {
        Kind::Leaf(path, _) if *path == key => None,
        Kind::Leaf(..) => Some(node),
        Kind::Extension(prefix, _) if !key.starts_with(prefix) => Some(node),
        Kind::Extension(..) => {
            let Kind::Extension(prefix, child) = node.kind else { unreachable!("matched just above") };
            let child =
                remove(child, key.slice(prefix.len()..)).expect("a branch keeps a child when one key leaves it");
            Some(joined(prefix, child))
        }
        Kind::Branch(children) => {
            let child = &mut children[head(&key)];
            *child = child.take().and_then(|child| remove(child, key.slice(1..)));
            node.reference = None;
            Some(collapsed(node))
        }
    }
}

/// A branch with one child left becomes that child.
fn collapsed(mut node: Box<Node>) -> Box<Node> {
    let Kind::Branch(children) = &mut node.kind else { return node };
    if children.iter().flatten().count() > 1 {
        return node;
    }
    let (nibble, child) = (0u8..)
        .zip(children.iter_mut())
        .find_map(|(i, c)| c.take().map(|c| (i, c)))
        .expect("a branch had two children");
    joined(Nibbles::from_nibbles([nibble]), child)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_trie::{HashBuilder, proof::verify_proof};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

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

    fn check(trie: &mut Trie, entries: &BTreeMap<B256, Vec<u8>>, asked: &B256) -> Result<(), TestCaseError> {
        let root = trie.root();
        prop_assert_eq!(root, oracle(entries));
        prop_assert_eq!(trie.is_empty(), entries.is_empty());
        let proof = trie.proof(asked);
        let value = entries.get(asked).cloned();
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
                    check(&mut trie, &entries, &key)?;
                }
            }
            check(&mut trie, &entries, &B256::repeat_byte(0x77))?;
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
            let mut trie = Trie::default();
            order.iter().for_each(|(k, v)| trie.insert(k, (*v).clone()));
            prop_assert_eq!(trie.root(), oracle(&entries));
            order.iter().for_each(|(k, _)| trie.remove(k));
            prop_assert!(trie.is_empty());
        }
    }
}
