//! A trie seen by positions: the node at a path of nibbles, and the leaves below it.

use super::{Kind, Leaf, Node, Trie, encode::Scratch, nibble};
use alloy_primitives::B256;
use alloy_trie::Nibbles;
use std::cmp::Ordering;

/// A node of a trie.
pub struct At<'a, V> {
    node: &'a Node<V>,
    depth: usize,
}

impl<V: Leaf> Trie<V> {
    /// Calls `visit` for the keys from `start` on in ascending order, until it says no.
    pub fn visit_from<'a>(&'a self, start: &B256, visit: &mut impl FnMut(&'a B256, &'a V) -> bool) {
        if let Some(root) = &self.root {
            visit_from(root, 0, Some(start), visit);
        }
    }

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

/// Visits the keys at and below `node`, which are at `depth`; those before `start` are passed over, if it lies among them. Tells
/// whether to go on.
fn visit_from<'a, V>(
    node: &'a Node<V>,
    depth: usize,
    start: Option<&B256>,
    visit: &mut impl FnMut(&'a B256, &'a V) -> bool,
) -> bool {
    match &node.kind {
        Kind::Leaf(key, value) => start.is_some_and(|start| key < start) || visit(key, value),
        Kind::Extension(prefix, child) => {
            let order = start.map_or(Ordering::Greater, |start| {
                let path = (depth..depth + prefix.len()).map(|depth| nibble(start, depth));
                prefix.iter().map(usize::from).cmp(path)
            });
            let below = depth + prefix.len();
            match order {
                Ordering::Less => true,
                Ordering::Equal => visit_from(child, below, start, visit),
                Ordering::Greater => visit_from(child, below, None, visit),
            }
        }
        Kind::Branch(children) => {
            let first = start.map_or(0, |start| nibble(start, depth));
            (first..).zip(&children[first..]).all(|(at, child)| {
                let start = start.filter(|_| at == first);
                child.as_ref().is_none_or(|child| visit_from(child, depth + 1, start, visit))
            })
        }
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
