//! How nodes are encoded and referred to: RLP by Ethereum's rules, written into buffers that are used again and again.
//!
//! Must not know how tries change. Invariant: an encoding depends on the node, what is below it, and its depth only.

use super::{KEY_NIBBLES, Kind, Leaf, Node, nibble};
use alloy_primitives::B256;
use alloy_rlp::{EMPTY_STRING_CODE, Encodable, Header};
use alloy_trie::nodes::{ExtensionNodeRef, RlpNode};

/// Encodings from this length on are referred to by hash.
pub(super) const HASHED_MIN_BYTES: usize = 32;
/// What is left of a key begins with this byte when it is a whole number of bytes.
const LEAF_EVEN: u8 = 0x20;
/// Otherwise it begins with this byte and its first nibble in one.
const LEAF_ODD: u8 = 0x30;

/// Where nodes are encoded, one after the other.
#[derive(Default)]
pub(super) struct Scratch {
    node: Vec<u8>,
    value: Vec<u8>,
}

impl<V: Leaf> Node<V> {
    /// How a parent refers to this node at `depth`. Computes what is missing below.
    pub(super) fn referred(&self, depth: usize, scratch: &mut Scratch) -> &RlpNode {
        if let Some(known) = self.reference.get() {
            return known;
        }
        let reference = RlpNode::from_rlp(self.encoded(depth, scratch));
        self.reference.get_or_init(|| reference)
    }

    /// The encoding of this node at `depth`.
    pub(super) fn encoded<'a>(&self, depth: usize, scratch: &'a mut Scratch) -> &'a [u8] {
        match &self.kind {
            Kind::Leaf(key, value) => encode_leaf(key, value, depth, scratch),
            Kind::Extension(prefix, child) => {
                let child = child.referred(depth + prefix.len(), scratch);
                scratch.node.clear();
                ExtensionNodeRef { key: prefix, child }.encode(&mut scratch.node);
            }
            Kind::Branch(children) => {
                let below = children.iter().flatten().map(|child| child.referred(depth + 1, scratch).len() - 1);
                // An absent child is one byte, and so is the value that our branches never have.
                let payload_length = children.len() + 1 + below.sum::<usize>();
                scratch.node.clear();
                Header { list: true, payload_length }.encode(&mut scratch.node);
                for child in children {
                    match child.as_ref().and_then(|child| child.reference.get()) {
                        Some(reference) => scratch.node.extend_from_slice(reference),
                        None => scratch.node.push(EMPTY_STRING_CODE),
                    }
                }
                scratch.node.push(EMPTY_STRING_CODE);
            }
        }
        &scratch.node
    }
}

fn encode_leaf<V: Leaf>(key: &B256, value: &V, depth: usize, scratch: &mut Scratch) {
    scratch.value.clear();
    value.encode(&mut scratch.value);
    let mut path = [LEAF_EVEN; 1 + size_of::<B256>()];
    let rest = &key[depth.div_ceil(2)..];
    path[1..=rest.len()].copy_from_slice(rest);
    if !depth.is_multiple_of(2) {
        path[0] = LEAF_ODD | u8::try_from(nibble(key, depth)).expect("a nibble is below sixteen");
    }
    debug_assert!(depth <= KEY_NIBBLES, "no key is longer");
    let (path, value) = (&path[..=rest.len()], scratch.value.as_slice());
    scratch.node.clear();
    Header { list: true, payload_length: path.length() + value.length() }.encode(&mut scratch.node);
    path.encode(&mut scratch.node);
    value.encode(&mut scratch.node);
}
