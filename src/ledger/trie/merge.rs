//! Changes of a trie: one sorted batch goes down it in one walk, large parts of it in parallel, and is hashed on the way up.
//!
//! Must not know how nodes are encoded. Invariants: nodes that nobody shares are changed in place, shared ones are copied; a node
//! that ends at another depth than before loses its reference; threads divide the work by nibbles, never the result.

use super::{Change, KEY_NIBBLES, Kind, Leaf, Link, Node, encode::Scratch, nibble};
use alloy_primitives::B256;
use alloy_trie::Nibbles;
use rayon::prelude::*;
use std::{mem, sync::Arc};

/// Keys below a branch from which on its children are worked on in parallel: tens of microseconds of work in each.
const PARALLEL_MIN_KEYS: usize = 256;

/// Sets a key to a value or to none.
pub(super) struct Set<V>(pub Option<V>);

impl<V: Send> Change<V> for Set<V> {
    fn create(&mut self) -> Option<V> {
        self.0.take()
    }

    fn alter(&mut self, value: &mut V) -> bool {
        self.0.take().map(|new| *value = new).is_some()
    }
}

/// What `link` at `depth` becomes by `changes`, of which there is at least one.
pub(super) fn merged<V: Leaf, C: Change<V>>(link: Link<V>, depth: usize, changes: &mut [(B256, C)]) -> Link<V> {
    let Some(mut node) = link else { return planted(None, depth, changes) };
    match &node.kind {
        Kind::Leaf(key, _) => match changes {
            [(only, change)] if only == key => altered(node, change),
            _ => planted(Some(node), depth, changes),
        },
        Kind::Branch(_) => {
            let own = Arc::make_mut(&mut node);
            own.reference.take();
            let Kind::Branch(children) = &mut own.kind else { unreachable!("matched just above") };
            spread(children, depth, changes);
            collapsed(node)
        }
        Kind::Extension(..) => {
            let Kind::Extension(prefix, child) = opened(node) else { unreachable!("matched just above") };
            let shared = shared_length(&prefix, depth, changes);
            let below = if shared == prefix.len() {
                merged(Some(child), depth + shared, changes)
            } else {
                let mut children = [const { None }; 16];
                children[usize::from(prefix.get_unchecked(shared))] = Some(joined(prefix.slice(shared + 1..), child));
                spread(&mut children, depth + shared, changes);
                collapsed(Node::new(Kind::Branch(children)))
            };
            below.map(|node| joined(prefix.slice(..shared), node))
        }
    }
}

/// A leaf after a change of its key.
fn altered<V: Leaf, C: Change<V>>(mut leaf: Arc<Node<V>>, change: &mut C) -> Link<V> {
    let own = Arc::make_mut(&mut leaf);
    own.reference.take();
    let Kind::Leaf(_, value) = &mut own.kind else { unreachable!("callers have a leaf") };
    change.alter(value).then_some(leaf)
}

/// What grows at `depth` where there was nothing, or one leaf.
fn planted<V: Leaf, C: Change<V>>(mut old: Link<V>, depth: usize, changes: &mut [(B256, C)]) -> Link<V> {
    let mut seeds = Vec::with_capacity(changes.len() + 1);
    for (key, change) in changes {
        if let Some(leaf) = old.take_if(|leaf| *key_of(leaf) <= *key) {
            let found = *key_of(&leaf);
            if found == *key {
                seeds.push((*key, altered(leaf, change)));
                continue;
            }
            seeds.push((found, Some(moved(leaf))));
        }
        seeds.push((*key, change.create().map(|value| Node::new(Kind::Leaf(*key, value)))));
    }
    seeds.extend(old.map(|leaf| (*key_of(&leaf), Some(moved(leaf)))));
    seeds.retain(|(_, leaf)| leaf.is_some());
    grown(depth, &mut seeds, &|_, leaf| leaf)
}

/// The trie at `depth` of `seeds`, which are all there and in the order of their keys. Each is taken and becomes what `leaf` says.
pub(super) fn grown<V: Leaf, S: Send>(
    depth: usize,
    seeds: &mut [(B256, Option<S>)],
    leaf: &(impl Fn(B256, S) -> Arc<Node<V>> + Sync),
) -> Link<V> {
    let (first, last) = match seeds {
        [] => return None,
        [(key, seed)] => return seed.take().map(|seed| leaf(*key, seed)),
        [(first, _), .., (last, _)] => (*first, *last),
    };
    let branching = (depth..KEY_NIBBLES).find(|at| nibble(&first, *at) != nibble(&last, *at));
    let branching = branching.expect("two keys differ somewhere");
    let prefix = Nibbles::unpack_array(&first).slice(depth..branching);
    let (large, mut children) = (seeds.len() >= PARALLEL_MIN_KEYS, [const { None }; 16]);
    let groups = divided(seeds, |(key, _)| nibble(key, branching));
    if large {
        children.par_iter_mut().zip(groups).with_max_len(1).for_each(|(child, group)| {
            *child = grown(branching + 1, group, leaf);
            hash(child, branching + 1);
        });
    } else {
        children.iter_mut().zip(groups).for_each(|(child, group)| *child = grown(branching + 1, group, leaf));
    }
    Some(joined(prefix, Node::new(Kind::Branch(children))))
}

/// Applies `changes` to the children of a branch at `depth`. It may be left with less than two.
fn spread<V: Leaf, C: Change<V>>(children: &mut [Link<V>; 16], depth: usize, changes: &mut [(B256, C)]) {
    if changes.len() < PARALLEL_MIN_KEYS {
        let mut rest = changes;
        while let Some((key, _)) = rest.first() {
            let at = nibble(key, depth);
            let run = rest.partition_point(|(key, _)| nibble(key, depth) <= at);
            let (group, later) = mem::take(&mut rest).split_at_mut(run);
            children[at] = merged(children[at].take(), depth + 1, group);
            rest = later;
        }
        return;
    }
    let groups = divided(changes, |(key, _)| nibble(key, depth));
    children.par_iter_mut().zip(groups).with_max_len(1).for_each(|(child, group)| {
        if !group.is_empty() {
            *child = merged(child.take(), depth + 1, group);
            hash(child, depth + 1);
        }
    });
}

/// `sorted` by the nibble of each.
fn divided<T>(sorted: &mut [T], nibble: impl Fn(&T) -> usize) -> [&mut [T]; 16] {
    let mut rest = sorted;
    std::array::from_fn(|at| {
        let run = rest.partition_point(|item| nibble(item) <= at);
        let (group, later) = mem::take(&mut rest).split_at_mut(run);
        rest = later;
        group
    })
}

/// Computes the references at and below `link` while it is in the caches of this core.
fn hash<V: Leaf>(link: &Link<V>, depth: usize) {
    if let Some(node) = link {
        node.referred(depth, &mut Scratch::default());
    }
}

/// Nibbles of `prefix`, which begins at `depth`, that all `changes` share.
fn shared_length<C>(prefix: &Nibbles, depth: usize, changes: &[(B256, C)]) -> usize {
    let shared = |key: &B256| Nibbles::unpack_array(key).slice(depth..).common_prefix_length(prefix);
    // The keys ascend: what the first and the last share, all share.
    [changes.first(), changes.last()].into_iter().flatten().map(|(key, _)| shared(key)).min().unwrap_or_default()
}

fn key_of<V>(leaf: &Node<V>) -> &B256 {
    match &leaf.kind {
        Kind::Leaf(key, _) => key,
        Kind::Extension(..) | Kind::Branch(_) => unreachable!("callers have a leaf"),
    }
}

/// A leaf that goes to another depth.
fn moved<V: Leaf>(mut leaf: Arc<Node<V>>) -> Arc<Node<V>> {
    Arc::make_mut(&mut leaf).reference.take();
    leaf
}

/// The node's content: its own if nobody shares it.
fn opened<V: Leaf>(node: Arc<Node<V>>) -> Kind<V> {
    Arc::unwrap_or_clone(node).kind
}

/// `node` reached through `prefix`.
fn joined<V: Leaf>(prefix: Nibbles, node: Arc<Node<V>>) -> Arc<Node<V>> {
    if prefix.is_empty() {
        return node;
    }
    match &node.kind {
        Kind::Leaf(..) => moved(node),
        Kind::Branch(_) => Node::new(Kind::Extension(prefix, node)),
        Kind::Extension(path, child) => Node::new(Kind::Extension(prefix.join(path), child.clone())),
    }
}

/// A branch with one child left becomes that child, one without any nothing.
fn collapsed<V: Leaf>(node: Arc<Node<V>>) -> Link<V> {
    let Kind::Branch(children) = &node.kind else { unreachable!("callers have a branch") };
    let mut left = (0u8..).zip(children).filter_map(|(nibble, child)| child.as_ref().map(|child| (nibble, child)));
    match (left.next(), left.next()) {
        (None, _) => None,
        (Some((nibble, child)), None) => Some(joined(Nibbles::from_nibbles([nibble]), child.clone())),
        _ => Some(node),
    }
}
