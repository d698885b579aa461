//! One label: SHA-256 over the segment's identity, the place and the parents' labels.
//!
//! `label(l, v) = SHA-256(rid ‖ l ‖ v ‖ zeros to 64 B ‖ label(l, v−1) ‖ 5 parents within the layer ‖ 8 parents in layer l−1)`, numbers as 32
//! bits little-endian. Layer 0 ends after the parents within, and what node 0 has no parent for is zero. The label just before stands first after the
//! block that is known in advance, so that all other compressions of a label wait for it.
//! Invariant: the message of a layer has one length, so that its padding is written once.

use super::{
    ReplicaId,
    graph::{BELOW_PARENTS, WITHIN_PARENTS},
};
use sha2::block_api::compress256;

/// Bytes of a label.
pub(super) const LABEL_BYTES: usize = 32;
/// A node's value.
pub type Label = [u8; LABEL_BYTES];
/// What stands where node 0 has no parent.
pub(super) const NO_LABEL: Label = [0; LABEL_BYTES];

/// Slots of a label's size: identity and place, the label before, parents, padding.
const SLOTS: usize = BELOW_AT + BELOW_PARENTS + 2;
const PLACE_AT: usize = 1;
const BEFORE_AT: usize = 2;
const WITHIN_AT: usize = 3;
const BELOW_AT: usize = WITHIN_AT + WITHIN_PARENTS;
/// Bytes SHA-256 compresses at a time.
const BLOCK_BYTES: usize = 64;
const SLOTS_PER_BLOCK: usize = BLOCK_BYTES / LABEL_BYTES;
/// SHA-256's initial state (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Compressions of a label of layer `layer` that cannot begin before the label before it is there: all but the first.
pub(super) const fn critical_compressions(layer: u32) -> u64 {
    (slots(layer) / SLOTS_PER_BLOCK - 1) as u64
}

/// Slots a message of `layer` has, its padding included.
const fn slots(layer: u32) -> usize {
    if layer == 0 { BELOW_AT + 2 } else { SLOTS }
}

/// The message of the labels of one layer, filled anew for each.
pub(super) struct Message {
    slots: [Label; SLOTS],
    used: usize,
}

impl Message {
    pub fn new(replica: &ReplicaId, layer: u32) -> Self {
        let (mut slots_of, used) = ([NO_LABEL; SLOTS], slots(layer));
        slots_of[0] = replica.0;
        slots_of[PLACE_AT][..4].copy_from_slice(&layer.to_le_bytes());
        let bits = ((used - SLOTS_PER_BLOCK) * LABEL_BYTES * 8) as u64;
        slots_of[used - 2][0] = 0x80;
        slots_of[used - 1][LABEL_BYTES - 8..].copy_from_slice(&bits.to_be_bytes());
        Self { slots: slots_of, used }
    }

    /// The label of `node`, with parents in the layer below for all layers but the first.
    #[inline]
    pub fn label(
        &mut self,
        node: u32,
        before: &Label,
        within: [&Label; WITHIN_PARENTS],
        below: Option<[&Label; BELOW_PARENTS]>,
    ) -> Label {
        assert_eq!(below.is_some(), self.used == SLOTS, "all layers but the first have one below");
        self.slots[PLACE_AT][4..8].copy_from_slice(&node.to_le_bytes());
        self.slots[BEFORE_AT] = *before;
        for (slot, parent) in self.slots[WITHIN_AT..BELOW_AT].iter_mut().zip(within) {
            *slot = *parent;
        }
        if let Some(below) = below {
            for (slot, parent) in self.slots[BELOW_AT..].iter_mut().zip(below) {
                *slot = *parent;
            }
        }
        let (blocks, _) = self.slots[..self.used].as_flattened().as_chunks::<BLOCK_BYTES>();
        let mut state = INITIAL;
        compress256(&mut state, blocks);
        let mut label = NO_LABEL;
        for (bytes, word) in label.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        label
    }
}
