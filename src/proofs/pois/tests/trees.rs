//! Openings: any leaves, the one encoding of them, and nothing else.

use super::*;
use crate::proofs::pois::tree::{leaf_hash, node_hash};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn last() -> (&'static [Label], &'static Crown) {
    (&sealed().layers[2], &sealed().crowns[2])
}

fn open(leaves: &BTreeSet<u32>) -> Opening {
    last().1.open(leaves, chunks(last().0)).unwrap()
}

fn verify(opening: &Opening, leaves: &BTreeSet<u32>) -> Result<(), PoisError> {
    opening.verify(small(), leaves, &last().1.root(), Place::Segment(5))
}

/// The root, level by level over the whole layer.
fn plain_root(labels: &[Label]) -> Digest {
    let mut level: Vec<Digest> = labels.as_chunks::<2>().0.iter().map(leaf_hash).collect();
    while level.len() > 1 {
        level = level.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    level[0]
}

#[test]
fn a_crown_has_the_root_of_all_leaves() {
    let (labels, crown) = last();
    assert_eq!(crown.root(), plain_root(labels));
    assert_eq!(
        crown.row(),
        [chunk_root(&labels[..CHUNK_LABELS]).unwrap(), chunk_root(&labels[CHUNK_LABELS..]).unwrap()]
    );
    assert_eq!(Crown::from_row(small(), crown.row()).unwrap().root(), crown.root());
    assert!(Crown::from_row(small(), &crown.row()[1..]).is_err());
    assert!(Crown::build(small(), &labels[1..]).is_err());
    assert!(chunk_root(&labels[1..]).is_err());
}

#[test]
fn one_leaf_has_a_path_of_full_length() {
    let opening = open(&[77].into());
    assert_eq!((opening.leaves.len(), opening.siblings.len()), (1, 12));
    assert_eq!(opening.leaves[0], [last().0[154], last().0[155]]);
    assert_eq!(verify(&opening, &[77].into()), Ok(()));
}

#[test]
fn all_leaves_need_no_sibling() {
    let all: BTreeSet<u32> = (0..small().leaves()).collect();
    let opening = open(&all);
    assert!(opening.siblings.is_empty());
    assert_eq!(verify(&opening, &all), Ok(()));
}

#[test]
fn a_damaged_chunk_is_noticed_by_its_owner() {
    let damaged = |chunk: u32, buffer: &mut [Label]| {
        chunks(last().0)(chunk, buffer)?;
        buffer[0][0] ^= u8::from(chunk == 1);
        Ok(())
    };
    let open = |leaves: [u32; 2]| last().1.open::<PoisError>(&leaves.into(), damaged);
    assert!(open([5, 6]).is_ok());
    assert_eq!(open([5, 2_048]), Err(PoisError::Damaged { chunk: 1 }));
}

#[test]
fn a_leaf_that_does_not_exist_is_refused() {
    let opened = last().1.open(&[4_096].into(), chunks(last().0));
    assert_eq!(opened, Err(PoisError::Leaf { leaf: 4_096, leaves: 4_096 }));
}

fn leaf_sets() -> impl Strategy<Value = BTreeSet<u32>> {
    let near = (0u32..4_000, 1u32..90).prop_map(|(first, n)| (first..first + n).collect());
    prop_oneof![prop::collection::btree_set(0u32..4_096, 1..150), near]
}

/// One byte of an opening, counted through leaves and siblings.
fn byte_of(opening: &mut Opening, index: prop::sample::Index) -> &mut u8 {
    let bytes = opening.leaves.len() * 64;
    let index = index.index(bytes + opening.siblings.len() * 32);
    if index < bytes {
        &mut opening.leaves[index / 64].as_flattened_mut()[index % 64]
    } else {
        &mut opening.siblings[(index - bytes) / 32][index % 32]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_opened_is_believed_and_nothing_else(
        leaves in leaf_sets(),
        index in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let good = open(&leaves);
        prop_assert_eq!(verify(&good, &leaves), Ok(()));
        let mut bad = good.clone();
        *byte_of(&mut bad, index) ^= flip;
        prop_assert_eq!(verify(&bad, &leaves), Err(PoisError::Root { place: Place::Segment(5) }));
    }
}
