//! The code's promises: identical bytes to a one-shot encoding, any four of twelve suffice, bad input is refused.

use super::*;
use proptest::prelude::*;

fn sample(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    crate::crypto::hash::stream("cess 2026 erasure test", &len.to_le_bytes()).fill(&mut bytes);
    bytes
}

fn pick<'a>(fragments: &'a [Vec<u8>], indices: &[usize]) -> Vec<(usize, &'a [u8])> {
    indices.iter().map(|&index| (index, &fragments[index][..])).collect()
}

fn fours() -> impl Iterator<Item = Vec<usize>> {
    (0u32..1 << FRAGMENTS)
        .map(|mask| (0..FRAGMENTS).filter(|i| mask >> i & 1 == 1).collect::<Vec<_>>())
        .filter(|chosen| chosen.len() == DATA_FRAGMENTS)
}

#[test]
fn every_four_of_twelve_give_the_segment_back() {
    for len in [1, 255, 256, 257, 1_024, 1_025, 5_000] {
        let segment = sample(len);
        let fragments = encode(&segment);
        assert!(fragments.iter().all(|f| f.len() as u64 == fragment_len(len as u64)));
        for chosen in fours() {
            assert_eq!(decode(len, &pick(&fragments, &chosen)).as_deref(), Ok(&segment[..]), "{chosen:?} of {len} B");
        }
    }
}

#[test]
fn stripes_make_the_same_bytes_as_one_shot() {
    for len in [1 << 20, (1 << 20) + 13, 4 * ENCODE_STRIPE_BYTES + 1] {
        let segment = sample(len);
        let fragments = encode(&segment);
        let whole = reed_solomon_simd::encode(DATA_FRAGMENTS, PARITY_FRAGMENTS, &fragments[..DATA_FRAGMENTS]).unwrap();
        assert_eq!(whole, fragments[DATA_FRAGMENTS..]);
        for lost in [vec![8, 9, 10, 11], vec![3, 4, 6, 9], vec![0, 1, 2, 3], vec![0, 5, 2, 7]] {
            assert_eq!(decode(len, &pick(&fragments, &lost)).as_deref(), Ok(&segment[..]));
        }
    }
}

#[test]
fn stripes_are_shown_once_in_order() {
    let fragments = encode(&sample(4 * (ENCODE_STRIPE_BYTES + 640)));
    let data = std::array::from_fn(|i| &fragments[i][..]);
    let mut buffers = vec![vec![0; fragments[0].len()]; PARITY_FRAGMENTS];
    let mut parity = buffers.iter_mut();
    let mut seen = vec![Vec::new(); FRAGMENTS];
    encode_parity_with(data, std::array::from_fn(|_| &mut parity.next().unwrap()[..]), |range, pieces| {
        for (all, piece) in seen.iter_mut().zip(pieces) {
            assert_eq!(all.len(), range.start);
            all.extend_from_slice(piece);
        }
    });
    assert_eq!(seen, fragments);
}

#[test]
fn bad_input_is_refused_by_name() {
    let fragments = encode(&sample(1_000));
    let three = pick(&fragments, &[0, 1, 2]);
    assert_eq!(decode(1_000, &three), Err(ErasureError::TooFew { have: 3 }));
    let twice = pick(&fragments, &[0, 1, 2, 2]);
    assert_eq!(decode(1_000, &twice), Err(ErasureError::TooFew { have: 3 }));
    let four = pick(&fragments, &[0, 1, 2, 3]);
    assert_eq!(decode(0, &four), Err(ErasureError::Segment { len: 0 }));
    assert_eq!(decode((32 << 20) + 1, &four), Err(ErasureError::Segment { len: (32 << 20) + 1 }));
    assert_eq!(decode(5_000, &four), Err(ErasureError::Length { index: 0, len: 256, expected: 1_280 }));
    assert_eq!(rebuild_one(12, &four), Err(ErasureError::Index { index: 12 }));
    assert_eq!(rebuild_one(0, &[]), Err(ErasureError::TooFew { have: 0 }));
    let odd = [(0, &[0u8; 100][..]), (1, &[0; 100]), (2, &[0; 100]), (3, &[0; 100])];
    assert!(matches!(rebuild_one(5, &odd), Err(ErasureError::Length { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_four_rebuild_any_one(
        len in prop_oneof![1usize..2_000, 1usize..300_000],
        chosen in proptest::sample::subsequence((0..FRAGMENTS).collect::<Vec<_>>(), DATA_FRAGMENTS..=6),
        wanted in 0..FRAGMENTS,
    ) {
        let segment = sample(len);
        let fragments = encode(&segment);
        let given = pick(&fragments, &chosen);
        prop_assert_eq!(decode(len, &given).unwrap(), segment);
        prop_assert_eq!(&rebuild_one(wanted, &given).unwrap(), &fragments[wanted]);
    }
}
