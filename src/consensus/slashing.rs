//! What misbehaviour costs a validator, as exact fractions of its stake.
//!
//! Owns the formulas. Must not know who misbehaved or how it was proven. Invariants: integers only, rounded down; nothing costs
//! more than the stake; a single fault of a large committee costs next to nothing, a common one costs much.

use crate::types::U256;

/// Percent of the stake that equivocation costs at most. CESS: 5.
const EQUIVOCATION_PERCENT: u64 = 5;
/// Percent of the stake that unresponsiveness costs at most. CESS and Substrate: 7.
const UNRESPONSIVE_PERCENT: u64 = 7;
/// Share of its turns a validator may miss, as a divisor: a tenth.
const MISSED_TURNS_DIVISOR: u64 = 10;

/// min((3x/n)², 1) · 5 % of `stake`, for `offenders` equivocators in a committee of `members`.
pub fn equivocation(stake: U256, offenders: u64, members: u64) -> U256 {
    let square = |n: u64| U256::from(n) * U256::from(n);
    let all = square(members);
    let part = square(offenders.min(members).saturating_mul(3)).min(all);
    fraction(stake, part * U256::from(EQUIVOCATION_PERCENT), all)
}

/// min(3·(x − (n/10 + 1))/n, 1) · 7 % of `stake`, for `offenders` unresponsive members of `members`: a tenth of the committee
/// and one more cost nothing.
pub fn unresponsiveness(stake: U256, offenders: u64, members: u64) -> U256 {
    let beyond = offenders.min(members).saturating_sub(members / MISSED_TURNS_DIVISOR + 1);
    let part = beyond.saturating_mul(3).min(members);
    fraction(stake, U256::from(part) * U256::from(UNRESPONSIVE_PERCENT), U256::from(members))
}

/// Whether a validator missed more than a tenth of its turns.
pub fn is_unresponsive(proposed: u64, missed: u64) -> bool {
    let turns = u128::from(proposed) + u128::from(missed);
    u128::from(missed) * u128::from(MISSED_TURNS_DIVISOR) > turns
}

/// `stake` · `percent` / (100 · `whole`).
fn fraction(stake: U256, percent: U256, whole: U256) -> U256 {
    if whole.is_zero() {
        return U256::ZERO;
    }
    // Stakes are below 2^128, committees below 2^9: the product is below 2^160.
    stake * percent / (whole * U256::from(100))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By hand, for a stake of 1,000,000: (3x/n)² · 5 %.
    #[test]
    fn equivocation_by_hand() {
        let table = [
            ((1, 11), 3_719),  // 9/121 · 50,000 = 3,719.0
            ((2, 11), 14_876), // 36/121 · 50,000 = 14,876.0
            ((3, 11), 33_471), // 81/121 · 50,000 = 33,471.1
            ((4, 11), 50_000), // 144/121 > 1
            ((11, 11), 50_000),
            ((1, 4), 28_125), // 9/16 · 50,000
            ((1, 1), 50_000),
            ((0, 4), 0),
            ((1, 0), 0),
        ];
        for ((x, n), expected) in table {
            assert_eq!(equivocation(U256::from(1_000_000), x, n), U256::from(expected), "{x} of {n}");
        }
    }

    /// By hand, for a stake of 1,000,000: 3·(x − (n/10 + 1))/n · 7 %.
    #[test]
    fn unresponsiveness_by_hand() {
        let table = [
            ((1, 11), 0),      // 11/10 + 1 = 2: one is free
            ((2, 11), 0),      // and so is the second
            ((3, 11), 19_090), // 3·1/11 · 70,000 = 19,090.9
            ((5, 11), 57_272), // 3·3/11 · 70,000 = 57,272.7
            ((6, 11), 70_000), // 12/11 > 1
            ((1, 4), 0),
            ((2, 4), 52_500), // 3/4 · 70,000
            ((4, 4), 70_000),
            ((1, 0), 0),
        ];
        for ((x, n), expected) in table {
            assert_eq!(unresponsiveness(U256::from(1_000_000), x, n), U256::from(expected), "{x} of {n}");
        }
    }

    #[test]
    fn a_tenth_of_the_turns_may_be_missed() {
        assert!(!is_unresponsive(0, 0) && !is_unresponsive(9, 1) && !is_unresponsive(18, 2));
        assert!(is_unresponsive(8, 1) && is_unresponsive(0, 1) && is_unresponsive(17, 2));
    }

    proptest! {
        #[test]
        fn more_offenders_cost_more_and_never_more_than_the_cap(stake: u128, x in 0u64..300, n in 1u64..257) {
            let stake = U256::from(stake);
            for (formula, percent) in [(equivocation as fn(U256, u64, u64) -> U256, 5u64), (unresponsiveness, 7)] {
                let cost = formula(stake, x, n);
                prop_assert!(cost <= formula(stake, x + 1, n));
                prop_assert!(cost * U256::from(100) <= stake * U256::from(percent));
            }
        }
    }
}
