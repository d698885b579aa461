//! Openings beside BLAKE3 itself, and the attacks on them.

use super::*;
use crate::{
    crypto::hash,
    proofs::{AuditRound, Fragment, round::tests::sample},
    types::{
        FragmentId,
        params::{FRAGMENT_MAX_BYTES, SPOT_OPENINGS},
    },
};
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root};
use proptest::prelude::*;

fn stored(seed: u8, bytes: usize) -> (Fragment, Vec<u8>) {
    let mut data = vec![0; bytes];
    hash::stream("cess 2026 spot tests", &[seed]).fill(&mut data);
    (Fragment::new(FragmentId(hash::content(&data)), bytes as u64).unwrap(), data)
}

fn root(fragment: &Fragment, chunk: u64) -> OpenError {
    OpenError::Root { fragment: fragment.id, chunk }
}

#[test]
fn every_chunk_of_every_shape_opens() {
    for kib in [1usize, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33] {
        for bytes in [kib * 1024 - 64, kib * 1024, kib * 1024 + 64] {
            let (fragment, data) = stored(1, bytes);
            for chunk in 0..fragment.length.chunks() {
                let opening = open(&fragment, &data, chunk).unwrap();
                assert_eq!(opening.len(), opening_bytes(&fragment, chunk).unwrap());
                assert_eq!(verify_opening(&fragment, chunk, &opening), Ok(&data[fragment.length.chunk(chunk)]));
            }
        }
    }
}

#[test]
fn the_largest_opening_has_1440_bytes() {
    assert_eq!(OPENING_MAX_BYTES, 1_440);
    let (fragment, data) = stored(2, FRAGMENT_MAX_BYTES as usize);
    let opening = open(&fragment, &data, 8_191).unwrap();
    assert_eq!(opening.len(), OPENING_MAX_BYTES);
    assert!(verify_opening(&fragment, 8_191, &opening).is_ok());
}

#[test]
fn what_is_not_there_is_named() {
    let (fragment, data) = stored(3, 2_048);
    let none = |chunk| OpenError::Chunk { fragment: fragment.id, chunk, chunks: 2 };
    assert_eq!(open(&fragment, &data, 2), Err(none(2)));
    assert_eq!(verify_opening(&fragment, u64::MAX, &data), Err(none(u64::MAX)));
    let short = OpenError::Fragment { fragment: fragment.id, given: 2_047, expected: 2_048 };
    assert_eq!(open(&fragment, &data[1..], 0), Err(short));
}

#[test]
fn attack_inner_node_offered_as_leaf() {
    // Four chunks: the parent of the first two, its children as the content, with the path of what is above.
    let (fragment, data) = stored(4, 4_096);
    let value = |chunk: usize| {
        let bytes = &data[chunk * 1024..(chunk + 1) * 1024];
        blake3::Hasher::new().set_input_offset(chunk as u64 * 1024).update(bytes).finalize_non_root()
    };
    let right = merge_subtrees_non_root(&value(2), &value(3), Mode::Hash);
    let children = [value(0), value(1)].concat();
    let short = [children.clone(), right.to_vec()].concat();
    let length = OpenError::Length { fragment: fragment.id, chunk: 0, given: 96, expected: 1_088 };
    assert_eq!(verify_opening(&fragment, 0, &short), Err(length));
    // In the place of the only sibling of a fragment of two chunks whose id is a parent's digest, and padded to a leaf.
    let mut leaf = children;
    leaf.resize(1_024, 0);
    let padded = [leaf, right.to_vec(), right.to_vec()].concat();
    assert_eq!(verify_opening(&fragment, 0, &padded), Err(root(&fragment, 0)));
    // A fragment of the length of two chaining values cannot be registered.
    assert!(Fragment::new(fragment.id, 64).is_err());
}

#[test]
fn attack_short_path_and_missing_parent() {
    let (fragment, data) = stored(5, 9 * 1024);
    let opening = open(&fragment, &data, 3).unwrap();
    let length = |given| OpenError::Length { fragment: fragment.id, chunk: 3, given, expected: opening.len() };
    assert_eq!(verify_opening(&fragment, 3, &opening[..opening.len() - 32]), Err(length(opening.len() - 32)));
    let mut missing = opening.clone();
    missing.drain(1_024..1_056);
    assert_eq!(verify_opening(&fragment, 3, &missing), Err(length(missing.len())));
    let long = [opening.as_slice(), &[0; 32]].concat();
    assert_eq!(verify_opening(&fragment, 3, &long), Err(length(long.len())));
    // A parent left out and the rest moved up.
    missing.extend_from_slice(&[0; 32]);
    assert_eq!(verify_opening(&fragment, 3, &missing), Err(root(&fragment, 3)));
    let mut swapped = opening.clone();
    swapped[1_024..1_088].rotate_left(32);
    assert_eq!(verify_opening(&fragment, 3, &swapped), Err(root(&fragment, 3)));
}

#[test]
fn attack_wrong_index() {
    // All chunks equal: still the number of a chunk is part of its hash.
    let data = vec![7; 8 * 1024];
    let fragment = Fragment::new(FragmentId(hash::content(&data)), 8 * 1024).unwrap();
    for chunk in 0..8 {
        let opening = open(&fragment, &data, chunk).unwrap();
        for other in (0..8).filter(|other| *other != chunk) {
            assert_eq!(verify_opening(&fragment, other, &opening), Err(root(&fragment, other)));
        }
    }
}

#[test]
fn attack_other_registered_length() {
    let (fragment, data) = stored(6, 4_096);
    let opening = open(&fragment, &data, 3).unwrap();
    let longer = Fragment::new(fragment.id, 4_096 + 64).unwrap();
    assert!(verify_opening(&longer, 3, &opening).is_err());
    let other = Fragment::new(stored(7, 4_096).0.id, 4_096).unwrap();
    assert_eq!(verify_opening(&other, 3, &opening), Err(root(&other, 3)));
}

#[test]
fn a_round_is_answered_and_its_answer_fits_no_other() {
    let store = [stored(1, 256), stored(2, 40 * 1024 + 64), stored(3, 100 * 1024)];
    let holdings = Holdings::new(store.iter().map(|(fragment, _)| *fragment).collect());
    let read = |fragment: &Fragment| store.iter().find(|(one, _)| one == fragment).map(|(_, data)| data);
    let spots = ask(&sample(), &holdings);
    assert_eq!(spots.len(), SPOT_OPENINGS);
    let given = answer(&spots, read).unwrap();
    assert_eq!(verify(&spots, &given), Ok(()));
    assert!(given.len() <= ANSWER_MAX_BYTES);

    for other in [AuditRound { round: 6, ..sample() }, AuditRound { chain: 1, ..sample() }] {
        assert!(verify(&ask(&other, &holdings), &given).is_err());
    }
    let expected = given.len();
    assert_eq!(verify(&spots, &given[1..]), Err(AnswerError::Length { given: expected - 1, expected }));
    let lost = spots[0].fragment.id;
    let without = |fragment: &Fragment| read(fragment).filter(|_| fragment.id != lost);
    assert_eq!(answer(&spots, without), Err(AnswerError::Missing(lost)));
    assert_eq!(ask(&sample(), &Holdings::default()), []);
    assert_eq!(verify(&[], &[]), Ok(()));
}

#[test]
fn attack_selective_storage() {
    // A tenth of all bytes is gone: draws fall on it as often as on any other tenth, whatever the fragments' sizes.
    let sizes = [10_240u64, 256, 64 * 1024, 26_624 - 256];
    let fragments = sizes.iter().zip(0u8..).map(|(bytes, i)| Fragment::new(FragmentId([i; 32]), *bytes).unwrap());
    let holdings = Holdings::new(fragments.collect());
    assert_eq!(holdings.bytes(), 102_400);
    let rounds = 2_000u32;
    let caught = |round: &u32| {
        let spots = ask(&AuditRound { round: u64::from(*round), ..sample() }, &holdings);
        spots.iter().any(|spot| spot.fragment.id == FragmentId([0; 32]))
    };
    let found = f64::from(u32::try_from((0..rounds).filter(caught).count()).unwrap());
    let missed = 0.9f64.powi(SPOT_OPENINGS as i32);
    let (mean, deviation) = (f64::from(rounds) * (1.0 - missed), (f64::from(rounds) * missed * (1.0 - missed)).sqrt());
    assert!((found - mean).abs() < 3.0 * deviation, "{found} of {rounds}, expected {mean} ± {deviation}");
}

/// What is on chains may not change unnoticed.
#[test]
fn golden_bytes() {
    let (one, two) = (stored(1, 3_072), stored(2, 5_056));
    let holdings = Holdings::new(vec![one.0, two.0]);
    let spots = ask(&sample(), &holdings);
    let drawn: Vec<String> =
        spots.iter().map(|spot| format!("{}:{}", spot.fragment.length.bytes(), spot.chunk)).collect();
    let read = |fragment: &Fragment| Some(if fragment == &one.0 { &one.1 } else { &two.1 });
    let answer = answer(&spots, read).unwrap();
    assert_eq!(drawn.join(" "), GOLDEN_DRAW);
    assert_eq!(hex::encode(hash::content(&answer)), GOLDEN_ANSWER);
}

const GOLDEN_DRAW: &str =
    "5056:1 5056:4 5056:0 5056:3 3072:0 5056:4 3072:1 5056:4 3072:0 5056:0 5056:1 5056:1 5056:3 5056:2 5056:0 3072:1";
const GOLDEN_ANSWER: &str = "af1add244b4f737b0f8141ffe9d3b7dfeb57f2e5b63079c48daa995bbe30fdab";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_changed_byte_of_an_opening_fails(
        units in 4usize..700, seed in any::<u8>(), chunk in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(), change in 1u8..,
    ) {
        let (fragment, data) = stored(seed, units * 64);
        let chunk = chunk.index(fragment.length.chunks() as usize) as u64;
        let mut opening = open(&fragment, &data, chunk).unwrap();
        prop_assert!(verify_opening(&fragment, chunk, &opening).is_ok());
        let at = place.index(opening.len());
        opening[at] ^= change;
        prop_assert_eq!(verify_opening(&fragment, chunk, &opening), Err(root(&fragment, chunk)));
    }
}
