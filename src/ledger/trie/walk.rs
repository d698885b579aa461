//! A trie seen by positions: the node at a path of nibbles, and the leaves below it.

use super::{Kind, Leaf, Node, Trie, encode::Scratch};
use alloy_trie::Nibbles;

/// A node of a trie.
pub struct At<'a, V> {
    node: &'a Node<V>,
    depth: usize,
}

impl<V: Leaf> Trie<V> {
    /// The node whose path from the root is exactly `path`.
    pub fn at(&self, path: &Nibbles) -> Option<At<'_, V>> {
        let mut depth = 0;
        let mut next = self.root.as_deref();
        while let Some(node) = next {
            if depth == path.len() {
                return Some(At { node, depth });
            }
            next = node.towards(path, &mut depth);
        }
        None
    }
}

impl<'a, V: Leaf> At<'a, V> {
    /// How the node is encoded.
    pub fn encoding(&self) -> Vec<u8> {
        self.node.encoded(self.depth, &mut Scratch::default()).to_vec()
    }

    /// The leaves below, in the order of their keys; `None` if there are more than `most`.
    pub fn leaves(&self, most: usize) -> Option<Vec<&'a V>> {
        let mut found = Vec::new();
        gather(self.node, most, &mut found).then_some(found)
    }
}

/// Adds the leaves at and below `node`. Gives up at the first one over `most`.
fn gather<'a, V>(node: &'a Node<V>, most: usize, found: &mut Vec<&'a V>) -> bool {
    match &node.kind {
        Kind::Leaf(_, value) => {
            found.push(value);
            found.len() <= most
        }
        Kind::Extension(_, child) => gather(child, most, found),
        Kind::Branch(children) => children.iter().flatten().all(|child| gather(child, most, found)),
    }
}
