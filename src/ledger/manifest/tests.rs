//! The codec round trip, the bounds and every refusal.

use super::*;
use alloy_primitives::hex;
use proptest::prelude::*;

fn entry(tag: u8, len: u32) -> SegmentEntry {
    let fragments = std::array::from_fn(|index| FragmentId([tag.wrapping_add(u8::try_from(index).unwrap()); 32]));
    SegmentEntry { id: SegmentId([tag; 32]), len, fragments }
}

fn full() -> u32 {
    u32::try_from(SEGMENT_MAX_BYTES).unwrap()
}

fn of(size: u64, lengths: &[u32]) -> Manifest {
    let segments = (0u8..).zip(lengths).map(|(tag, len)| entry(tag, *len)).collect();
    Manifest { size, segments }
}

#[test]
fn fragments_are_aligned_quarters() {
    let lengths = [1, 1_024, 1_025, 1_280, 1_281, SEGMENT_MAX_BYTES].map(fragment_len);
    assert_eq!(lengths, [256, 256, 320, 320, 384, 8 << 20]);
}

#[test]
fn a_column_is_one_fragment_of_every_segment() {
    let manifest = of(SEGMENT_MAX_BYTES + 1, &[full(), 1]);
    assert_eq!(manifest.check(), Ok(()));
    assert_eq!(manifest.column_bytes(), (8 << 20) + 256);
}

#[test]
fn what_a_file_takes_follows_from_its_size() {
    let (max, full) = (SEGMENT_MAX_BYTES, full());
    let cases = [of(1, &[1]), of(max, &[full]), of(max + 1, &[full, 1]), of(2 * max + 999, &[full, full, 999])];
    for manifest in cases {
        assert_eq!(stored_bytes(manifest.size), 12 * manifest.column_bytes(), "{} B", manifest.size);
    }
    assert_eq!(stored_bytes(0), 0);
    assert_eq!(stored_bytes(u64::MAX), u64::MAX);
}

#[test]
fn the_largest_manifest_fits_its_cap_and_a_transaction() {
    let manifest = Manifest { size: FILE_MAX_BYTES, segments: vec![entry(1, full()); MANIFEST_MAX_SEGMENTS] };
    let bytes = codec::encode(&manifest);
    assert_eq!(bytes.len(), Manifest::MAX_BYTES);
    assert!(bytes.len() < crate::types::params::TX_MAX_BYTES);
    assert_eq!(Manifest::read(&bytes), Ok(manifest));
}

#[test]
fn impossible_shapes_are_refused() {
    use ManifestError as E;
    let (max, one) = (SEGMENT_MAX_BYTES, SEGMENT_MAX_BYTES + 1);
    let cases = [
        (of(0, &[]), E::Empty),
        (of(0, &[0]), E::Empty),
        (of(FILE_MAX_BYTES + 1, &[1]), E::TooLarge { size: FILE_MAX_BYTES + 1, max: FILE_MAX_BYTES }),
        (of(10, &[]), E::SegmentCount { given: 0 }),
        (of(one, &[full() + 1]), E::SegmentLength { index: 0, len: full() + 1, max }),
        (of(one, &[full() + 1, 0]), E::SegmentLength { index: 0, len: full() + 1, max }),
        (of(10, &[10, 0]), E::SegmentLength { index: 1, len: 0, max }),
        (of(10, &[0]), E::SegmentLength { index: 0, len: 0, max }),
        (of(10, &[u32::MAX]), E::SegmentLength { index: 0, len: u32::MAX, max }),
        (of(one, &[full()]), E::SizeMismatch { sum: max, size: one }),
        (of(10, &[11]), E::SizeMismatch { sum: 11, size: 10 }),
    ];
    for (manifest, expected) in cases {
        assert_eq!(manifest.check(), Err(expected.clone()));
        assert_eq!(Manifest::read(&codec::encode(&manifest)), Err(expected));
    }
}

#[test]
fn a_pack_has_segments_of_any_length() {
    let pack = of(16 + SEGMENT_MAX_BYTES + 7, &[16, full(), 7]);
    assert_eq!(pack.check(), Ok(()));
    assert_eq!(pack.column_bytes(), 256 + (8 << 20) + 256);
    let segments = vec![entry(1, 1); MANIFEST_MAX_SEGMENTS + 1];
    let many = Manifest { size: segments.len() as u64, segments };
    assert_eq!(many.check(), Err(ManifestError::SegmentCount { given: MANIFEST_MAX_SEGMENTS + 1 }));
}

#[test]
fn equal_segments_have_equal_fragments() {
    let size = 2 * SEGMENT_MAX_BYTES;
    let repeated = Manifest { size, segments: vec![entry(1, full()); 2] };
    assert_eq!(repeated.check(), Ok(()));
    let mut bent = repeated;
    bent.segments[1].fragments[11] = FragmentId([0xff; 32]);
    assert_eq!(bent.check(), Err(ManifestError::Conflict { index: 1, first: 0 }));
}

#[test]
fn the_encoding_is_the_golden_one() {
    let golden = include_str!("../../../tests/golden/manifest.txt");
    let manifest = of(SEGMENT_MAX_BYTES + 7, &[full(), 7]);
    let expected = format!("manifest 0x{}\nid {}\n", hex::encode(codec::encode(&manifest)), manifest.id());
    assert!(golden == expected, "tests/golden/manifest.txt is out of date, expected:\n{expected}");
}

proptest! {
    #[test]
    fn valid_manifests_round_trip_with_one_encoding(segments in 1u64..20, last in 1u64..=SEGMENT_MAX_BYTES, tag in any::<u8>()) {
        let size = (segments - 1) * SEGMENT_MAX_BYTES + last;
        let mut lengths = vec![full(); usize::try_from(segments).unwrap() - 1];
        lengths.push(u32::try_from(last).unwrap());
        let entries = (tag..=u8::MAX).chain(0..tag).zip(&lengths).map(|(tag, len)| entry(tag, *len)).collect();
        let manifest = Manifest { size, segments: entries };
        let bytes = codec::encode(&manifest);
        let read = Manifest::read(&bytes);
        prop_assert_eq!(read.as_ref(), Ok(&manifest));
        prop_assert_eq!(manifest.id(), FileId(hash::content(&bytes)));
        prop_assert!(manifest.column_bytes() * 4 >= size);
    }

    #[test]
    fn accepted_bytes_are_canonical(bytes in prop::collection::vec(any::<u8>(), 0..900), flips in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..3)) {
        let mut bent = codec::encode(&of(9, &[9]));
        for (at, value) in flips {
            let index = at.index(bent.len());
            bent[index] = value;
        }
        for candidate in [bytes, bent] {
            if let Ok(manifest) = Manifest::read(&candidate) {
                prop_assert_eq!(codec::encode(&manifest), candidate);
            }
        }
    }
}
