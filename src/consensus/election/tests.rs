//! A table computed by hand, and what holds for every table.

use super::*;
use proptest::prelude::*;

fn standing(tag: u8, stake: u64, registered_at: Height, credit: [u64; CREDIT_ERAS], random: u64) -> Standing {
    Standing { account: Address::repeat_byte(tag), stake: U256::from(stake), registered_at, credit, random }
}

/// By hand. The largest stake is D's 4,000.
///
/// | who | credit of five eras      | 50a+20b+15c+10d+5e, ÷ 100                                  | stake              | random | 50·credit + 30·stake + 20·random, ÷ 100            |
/// |-----|--------------------------|------------------------------------------------------------|--------------------|--------|----------------------------------------------------|
/// | A   | 400 300 200 100 0        | (20,000+6,000+3,000+1,000+0) = 30,000 → 300                | 1,000/4,000 → 250  | 999    | 15,000 + 7,500 + 19,980 = 42,480 → 424             |
/// | B   | 1000 1000 1000 1000 1000 | 100,000 → 1,000                                            | 3,000/4,000 → 750  | 0      | 50,000 + 22,500 + 0 = 72,500 → 725                 |
/// | C   | 7 0 0 0 99               | (350+0+0+0+495) = 845 → 8                                  | 1,333/4,000 → 333  | 500    | 400 + 9,990 + 10,000 = 20,390 → 203                |
/// | D   | 0 0 0 0 0                | 0                                                          | 4,000/4,000 → 1000 | 621    | 0 + 30,000 + 12,420 = 42,420 → 424, more stake: before A |
/// | E   | 7 0 0 0 99               | 8                                                          | 1,333 → 333        | 500    | 203 as C, registered later: after C                |
/// | F   | 7 0 0 0 99               | 8                                                          | 1,333 → 333        | 500    | 203, registered with E, larger account: after E    |
#[test]
fn the_table_computed_by_hand() {
    let candidates = vec![
        standing(0xa, 1_000, 10, [400, 300, 200, 100, 0], 999),
        standing(0xf, 1_333, 30, [7, 0, 0, 0, 99], 500),
        standing(0xb, 3_000, 10, [1_000; 5], 0),
        standing(0xc, 1_333, 20, [7, 0, 0, 0, 99], 500),
        standing(0xd, 4_000, 10, [0; 5], 621),
        standing(0xe, 1_333, 30, [7, 0, 0, 0, 99], 500),
    ];
    let expected = [
        (0xb, (1_000, 750, 0, 725)),
        (0xd, (0, 1_000, 621, 424)),
        (0xa, (300, 250, 999, 424)),
        (0xc, (8, 333, 500, 203)),
        (0xe, (8, 333, 500, 203)),
        (0xf, (8, 333, 500, 203)),
    ];
    let ranked: Vec<_> = rank(candidates)
        .into_iter()
        .map(|(who, s)| (who.account.as_slice()[0], (s.credit, s.stake, s.random, s.total)))
        .collect();
    assert_eq!(ranked, expected);
}

/// share·1000 − (10·punishments)²: 3 of 8 points → 375; one punishment takes 100, two 400.
#[test]
fn credit_of_an_era_by_hand() {
    let table = [
        ((3, 8, 0), 375),
        ((3, 8, 1), 275),
        ((3, 8, 2), 0),
        ((8, 8, 2), 600),
        ((8, 8, 3), 100),
        ((8, 8, 4), 0),
        ((1, 3, 0), 333),
        ((0, 0, 0), 0),
        ((0, 9, 0), 0),
        ((9, 0, 0), 0),
        ((u64::MAX, u64::MAX, 0), 1_000),
        ((u64::MAX, u64::MAX, u64::MAX), 0),
    ];
    for ((points, total, punishments), expected) in table {
        assert_eq!(era_credit(points, total, punishments), expected, "{points} of {total}, {punishments} punishments");
    }
}

#[test]
fn outputs_become_scores_over_the_whole_scale() {
    let score = |head: u64| {
        let mut output = [0xff; 64];
        output[..8].copy_from_slice(&head.to_be_bytes());
        random_score(&output)
    };
    assert_eq!((score(0), score(u64::MAX)), (0, 1_000));
    // A half of 2^64 times 1,001 is 500.5.
    assert_eq!(score(1 << 63), 500);
}

#[test]
fn a_committee_shrinks_slowly_and_never_vanishes() {
    // (current members, seats) → fewest candidates: min(current, 4), or two thirds of the current ones if that is more.
    for ((current, seats), expected) in [
        ((1, 4), 1),
        ((2, 4), 2),
        ((3, 4), 3),
        ((4, 4), 4),
        ((6, 11), 4),
        ((7, 11), 5),
        ((11, 11), 8),
        ((30, 11), 11),
        ((0, 4), 1),
    ] {
        assert_eq!(safe_number(current, 4, seats), expected, "{current} members, {seats} seats");
    }
}

prop_compose! {
    fn standings()(
        parts in prop::collection::vec((any::<u128>(), 0u64..5, prop::array::uniform5(0u64..=1_000), 0u64..=1_000), 1..40),
    ) -> Vec<Standing> {
        (0u8..).zip(parts).map(|(tag, (stake, registered_at, credit, random))| {
            Standing { account: Address::repeat_byte(tag), stake: U256::from(stake), registered_at, credit, random }
        }).collect()
    }
}

proptest! {
    #[test]
    fn the_order_is_that_of_the_scores_whatever_the_order_given(candidates in standings(), turn in any::<prop::sample::Index>()) {
        let ranked = rank(candidates.clone());
        let mut turned = candidates.clone();
        turned.rotate_left(turn.index(candidates.len()));
        prop_assert_eq!(&rank(turned), &ranked);
        prop_assert_eq!(ranked.len(), candidates.len());
        for pair in ranked.windows(2) {
            prop_assert!(pair[0].1.total >= pair[1].1.total);
        }
        for (_, scores) in &ranked {
            prop_assert!([scores.credit, scores.stake, scores.random, scores.total].into_iter().all(|s| s <= SCORE_MAX));
        }
    }

    #[test]
    fn withholding_a_reveal_never_helps(candidates in standings(), pick in any::<prop::sample::Index>()) {
        let who = candidates[pick.index(candidates.len())].account;
        let place = |candidates| rank(candidates).iter().position(|(c, _)| c.account == who).unwrap();
        let mut silent = candidates.clone();
        silent.iter_mut().filter(|c| c.account == who).for_each(|c| c.random = 0);
        prop_assert!(place(silent) >= place(candidates));
    }

    #[test]
    fn more_work_never_hurts_and_punishment_never_helps(total in 1u64.., points: u64, more: u64, punished in 0u64..50) {
        let (less, most) = (points.min(more), points.max(more));
        prop_assert!(era_credit(less, total, punished) <= era_credit(most, total, punished));
        prop_assert!(era_credit(points, total, punished + 1) <= era_credit(points, total, punished));
        prop_assert!(era_credit(points, total, 0) <= SCORE_MAX);
    }
}
