//! Audits: live leaves alone, each as likely, answered for one round of one miner.

use super::*;
use crate::codec::{Wire, decode, encode};
use proptest::prelude::*;

#[test]
fn an_honest_answer_passes() {
    for (round, live_from) in [(1, 0), (2, 64), (3, 127)] {
        let challenge = sealed().audit(round, live_from);
        let proof = sealed().answer(&challenge);
        assert_eq!(challenge.verify(&proof), Ok(()));
        assert_eq!(decode(&encode(&proof)), Ok(proof));
    }
}

#[test]
fn several_segments_are_asked_together() {
    let segments = [sealed().live(0, 128), sealed().live(4, 0), sealed().live(5, 100)];
    let challenge = AuditChallenge::draw(small(), &transcript(1), &segments).unwrap();
    assert_eq!(challenge.asked().map(|(number, _)| number).collect::<Vec<_>>(), [4, 5]);
    let mut proof = sealed().answer(&challenge);
    assert_eq!(challenge.verify(&proof), Ok(()));
    proof.openings.swap(0, 1);
    assert!(matches!(challenge.verify(&proof), Err(PoisError::Leaves { place: Place::Segment(4), .. })));
    proof.openings.pop();
    assert_eq!(challenge.verify(&proof), Err(PoisError::Openings { found: 1, expected: 2 }));
}

#[test]
fn counting_segments_asks_for_the_same_as_listing_them() {
    let root = |number: u64| [u8::try_from(number).unwrap(); 32];
    for (count, taken) in [(1u64, 0u64), (1, 127), (4, 128 + 5), (40, 17), (40, 39 * 128 + 127)] {
        let live_from = |place: u64| u32::try_from(taken.saturating_sub(place * 128).min(128)).unwrap();
        let segments: Vec<LiveSegment> = (0..count)
            .map(|place| LiveSegment { number: place + 7, root: root(place + 7), live_from: live_from(place) })
            .collect();
        let listed = AuditChallenge::draw(small(), &transcript(3), &segments).unwrap();
        let read = |place: u64| Ok::<_, ()>((place + 7, root(place + 7)));
        let counted = AuditChallenge::draw_counted(small(), &transcript(3), count, taken, read).unwrap().unwrap();
        assert!(listed.asked().eq(counted.asked()), "{count} segments, {taken} steps taken");
    }
    let read = |_| Err(());
    assert!(AuditChallenge::draw_counted(small(), &transcript(3), 2, 256, read).unwrap().is_none());
    assert!(AuditChallenge::draw_counted(small(), &transcript(3), 2, 255, read).is_err());
}

#[test]
fn where_nothing_is_live_nothing_is_asked() {
    let draw = |segments: &[LiveSegment]| AuditChallenge::draw(small(), &transcript(1), segments).err();
    assert_eq!(draw(&[]), Some(PoisError::NothingLive { segments: 0 }));
    assert_eq!(draw(&[sealed().live(3, 128)]), Some(PoisError::NothingLive { segments: 1 }));
    assert_eq!(draw(&[sealed().live(3, 129)]), Some(PoisError::LiveFrom { segment: 3, found: 129, max: 128 }));
}

#[test]
fn every_live_leaf_is_as_likely() {
    // 32 leaves a step: 96 steps, none, and 32 steps are live.
    let segments = [sealed().live(0, 32), sealed().live(1, 128), sealed().live(2, 96)];
    let (mut of_segment, mut of_half) = ([0usize; 3], [0usize; 2]);
    for round in 0..200 {
        let challenge = AuditChallenge::draw(small(), &transcript(round), &segments).unwrap();
        for (number, leaves) in challenge.asked() {
            of_segment[usize::try_from(number).unwrap()] += leaves.len();
            if number == 0 {
                of_half[0] += leaves.range(..2_560).count();
                of_half[1] += leaves.range(2_560..).count();
            }
        }
    }
    // Of 25,600 draws about 390 repeat one of their round; 3 standard deviations are 208.
    let [first, second, third] = of_segment;
    assert!(second == 0 && (18_800..19_300).contains(&first) && (6_100..6_500).contains(&third), "{of_segment:?}");
    assert!(of_half[0].abs_diff(of_half[1]) < 450, "{of_half:?}");
}

proptest! {
    #[test]
    fn only_live_leaves_are_asked(
        log2 in 12u32..=25,
        round in any::<u64>(),
        live in prop::collection::vec(0u32..=128, 1..40),
    ) {
        let shape = Shape::new(log2, 3).unwrap();
        let segments: Vec<_> =
            (0..).zip(&live).map(|(number, &live_from)| LiveSegment { number, root: [0; 32], live_from }).collect();
        let Ok(challenge) = AuditChallenge::draw(shape, &transcript(round), &segments) else {
            prop_assert!(live.iter().all(|&from| from == 128));
            return Ok(());
        };
        for (number, leaves) in challenge.asked() {
            let from = live[usize::try_from(number).unwrap()] * shape.step_leaves();
            prop_assert!(leaves.iter().all(|&leaf| from <= leaf && leaf < shape.leaves()));
        }
        let leaves: usize = challenge.asked().map(|(_, leaves)| leaves.len()).sum();
        prop_assert!((1..=128).contains(&leaves));
    }
}

#[test]
fn the_largest_answer_of_the_main_network_fits() {
    // 128 segments with one leaf each.
    let bytes = 1 + 4 + 128 * (4 + 64 + 4 + 24 * 32);
    assert_eq!(bytes, 107_525);
    assert!(bytes <= AuditProof::MAX_BYTES && AuditProof::MAX_BYTES < bytes + 10);
}
