//! Placement is weighted, stable, capped and independent of order.

use super::*;
use crate::types::U256;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// log2(3), log2(10) and −log2(1 − 10¹⁵/2⁶⁴) in units of 2⁻⁵⁶, from an arbitrary-precision calculator.
const LOG2_3: u64 = 114_208_584_442_304_135;
const LOG2_10: u64 = 239_370_146_084_580_907;
const NEAR_ONE: u64 = 5_635_680_260_272;

fn candidate(number: u64, weight: u64) -> Candidate {
    let account = Address::from_word(U256::from(number + 1).into());
    Candidate { account, operator: account, prefix: u32::try_from(number).unwrap(), weight, since: 0 }
}

fn seed_of(number: u64) -> [u8; 32] {
    seed(&B256::ZERO, &SegmentId(tagged("cess 2026 test segment", &[&number.to_le_bytes()])))
}

fn unit_score(value: u128) -> u64 {
    neg_log2(u64::try_from(value - 1).unwrap())
}

#[test]
fn logarithms_are_exact_at_powers_of_two_and_close_elsewhere() {
    assert_eq!(neg_log2(u64::MAX), 0);
    for exponent in 0u32..64 {
        assert_eq!(unit_score(1 << exponent), u64::from(64 - exponent) << SCORE_FRACTION_BITS);
    }
    let close = |value, log: u64| ((64 << SCORE_FRACTION_BITS) - log).abs_diff(unit_score(value)) <= 2;
    assert!(close(3, LOG2_3));
    assert!(close(10, LOG2_10));
    assert!(unit_score((1 << 64) - 1_000_000_000_000_000).abs_diff(NEAR_ONE) <= 2);
}

#[test]
fn first_ranks_follow_the_weights() {
    const DRAWS: u64 = 4_000;
    let candidates: Vec<Candidate> = (0..8).map(|number| candidate(number, (number + 1) << 40)).collect();
    let mut firsts = [0u64; 8];
    for draw in 0..DRAWS {
        let ranked = rank(&seed_of(draw), 0, &candidates, &Params::dev());
        let first = candidates.iter().position(|candidate| candidate.account == ranked[0]).unwrap();
        firsts[first] += 1;
    }
    let total: u64 = (1..=8).sum();
    for (weight, count) in (1u64..).zip(firsts) {
        let deviation = (count * total).abs_diff(DRAWS * weight);
        let variance = DRAWS * weight * (total - weight);
        assert!(deviation.pow(2) <= 9 * variance, "weight {weight} of {total} came first {count} times of {DRAWS}");
    }
}

#[test]
fn miners_registered_after_the_beacon_or_without_weight_are_left_out() {
    let mut candidates: Vec<Candidate> = (0..14).map(|number| candidate(number, 5)).collect();
    candidates[0].since = 8;
    candidates[1].weight = 0;
    let ranked = |height| rank(&seed_of(0), height, &candidates, &Params::dev());
    assert_eq!(ranked(7).len(), 12);
    assert_eq!(ranked(8).len(), 13);
    assert!(!ranked(7).contains(&candidates[0].account) && ranked(8).contains(&candidates[0].account));
    assert!(rank(&seed_of(0), 9, &[], &Params::dev()).is_empty());
}

#[test]
fn extreme_weights_do_not_overflow() {
    let candidates: Vec<Candidate> = (0..30).map(|number| candidate(number, u64::MAX - number)).collect();
    assert_eq!(rank(&seed_of(1), 0, &candidates, &Params::dev()).len(), RANKED_MAX);
}

#[test]
fn check_accepts_any_order_and_six_skips_only() {
    let ranked: Vec<Address> = (0..20).map(|number| candidate(number, 1).account).collect();
    let mut holders: Vec<Address> = ranked[6..18].iter().rev().copied().collect();
    assert_eq!(check(&ranked, &holders), Ok(()));
    assert_eq!(check(&ranked, &holders[1..]), Err(PlacementError::Count { given: 11, required: 12 }));
    holders[3] = ranked[18];
    let late = PlacementError::TooManySkipped { index: 3, holder: ranked[18], rank: 18, last: 17 };
    assert_eq!(check(&ranked, &holders), Err(late));
    holders[3] = holders[2];
    assert_eq!(check(&ranked, &holders), Err(PlacementError::Duplicate { index: 3, holder: holders[2] }));
    holders[3] = Address::ZERO;
    assert_eq!(check(&ranked, &holders), Err(PlacementError::NotRanked { index: 3, holder: Address::ZERO }));
}

fn population() -> impl Strategy<Value = Vec<Candidate>> {
    prop::collection::vec((1u64..1 << 50, 0u64..12, 0u32..9), 0..60).prop_map(|rows| {
        (0u64..)
            .zip(rows)
            .map(|(number, (weight, operator, prefix))| Candidate {
                operator: Address::from_word(U256::from(operator).into()),
                prefix,
                ..candidate(number, weight)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn logarithms_fall_as_the_argument_grows(a in any::<u64>(), b in any::<u64>()) {
        let (low, high) = (a.min(b), a.max(b));
        prop_assert!(neg_log2(low) >= neg_log2(high));
    }

    #[test]
    fn the_order_of_candidates_does_not_matter((sorted, shuffled) in population().prop_flat_map(|p| (Just(p.clone()), Just(p).prop_shuffle())), draw in any::<u64>()) {
        let params = Params::mainnet();
        prop_assert_eq!(rank(&seed_of(draw), 0, &sorted, &params), rank(&seed_of(draw), 0, &shuffled, &params));
    }

    #[test]
    fn caps_hold(candidates in population(), draw in any::<u64>(), mainnet in any::<bool>()) {
        let params = if mainnet { Params::mainnet() } else { Params::dev() };
        let ranked = rank(&seed_of(draw), 0, &candidates, &params);
        let chosen: Vec<&Candidate> =
            ranked.iter().map(|account| candidates.iter().find(|c| c.account == *account).unwrap()).collect();
        prop_assert!(ranked.len() <= RANKED_MAX);
        prop_assert_eq!(ranked.iter().collect::<BTreeSet<_>>().len(), ranked.len());
        for one in &chosen {
            let operators = chosen.iter().filter(|c| c.operator == one.operator).count();
            let prefixes = chosen.iter().filter(|c| c.prefix == one.prefix).count();
            prop_assert!(operators <= OPERATOR_MAX_FRAGMENTS);
            prop_assert!(!mainnet || prefixes <= PREFIX_MAX_FRAGMENTS);
        }
    }

    #[test]
    fn a_joining_miner_only_pushes_itself_in(weights in prop::collection::vec(1u64..1 << 50, 1..60), weight in 1u64..1 << 50, draw in any::<u64>()) {
        let before: Vec<Candidate> = (0u64..).zip(weights).map(|(number, weight)| candidate(number, weight)).collect();
        let joining = candidate(1_000, weight);
        let mut after = before.clone();
        after.push(joining.clone());
        let old = rank(&seed_of(draw), 0, &before, &Params::dev());
        let mut new = rank(&seed_of(draw), 0, &after, &Params::dev());
        new.retain(|account| *account != joining.account);
        prop_assert_eq!(&new[..], &old[..new.len()]);
        prop_assert!(new.len() + 1 >= old.len());
    }
}
