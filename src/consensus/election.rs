//! Who is elected: three scores on one scale, their weighted sum, and an order without ties.
//!
//! Owns the formulas. Must not know where their inputs are kept. Invariants: integers only, every score lies in 0..=1,000; the
//! order of the candidates given does not matter.

use crate::types::{Address, Height, U256};

/// Highest score.
pub const SCORE_MAX: u64 = 1_000;
/// Eras of work that count.
pub const CREDIT_ERAS: usize = 5;
/// Percent of the last five eras' credit, newest first. CESS: 50, 20, 15, 10, 5.
pub const CREDIT_WEIGHTS: [u64; CREDIT_ERAS] = [50, 20, 15, 10, 5];
/// Percent of credit, stake and random in the score. CESS's R²S: 50, 30, 20.
pub const SCORE_WEIGHTS: [u64; 3] = [50, 30, 20];

const PERCENT: u64 = 100;

/// Credit of one era: the share of all useful work, less the square of ten times the punishments. CESS: scheduler-credit.
pub fn era_credit(points: u64, total: u64, punishments: u64) -> u64 {
    if total == 0 {
        return 0;
    }
    let share = u128::from(points.min(total)) * u128::from(SCORE_MAX) / u128::from(total);
    let share = u64::try_from(share).expect("a share of 1,000 fits");
    let tenfold = punishments.saturating_mul(10);
    share.saturating_sub(tenfold.saturating_mul(tenfold))
}

/// Credit over the last eras, newest first.
pub fn credit_score(eras: &[u64; CREDIT_ERAS]) -> u64 {
    eras.iter().zip(CREDIT_WEIGHTS).map(|(credit, weight)| (*credit).min(SCORE_MAX) * weight).sum::<u64>() / PERCENT
}

/// Stake relative to the largest of the candidates.
pub fn stake_score(stake: U256, largest: U256) -> u64 {
    if largest.is_zero() {
        return 0;
    }
    // Stakes are below 2^128, so that the product fits.
    let score = stake.min(largest).saturating_mul(U256::from(SCORE_MAX)) / largest;
    u64::try_from(score).unwrap_or(SCORE_MAX).min(SCORE_MAX)
}

/// A VRF output as a score: its first eight bytes as a fraction of 2^64, times 1,001, rounded down.
pub fn random_score(output: &[u8; 64]) -> u64 {
    let head: [u8; 8] = *output.first_chunk().expect("an output has 64 bytes");
    let scaled = u128::from(u64::from_be_bytes(head)) * u128::from(SCORE_MAX + 1);
    u64::try_from(scaled >> 64).expect("below 1,001")
}

/// What an election knows of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub account: Address,
    /// Its stake.
    pub stake: U256,
    /// When its keys were registered.
    pub registered_at: Height,
    /// Credit of the last eras, newest first.
    pub credit: [u64; CREDIT_ERAS],
    /// What its revealed VRF output scores, 0 without a reveal.
    pub random: u64,
}

/// The three parts of a score and their sum, each in 0..=1,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scores {
    /// Useful work.
    pub credit: u64,
    /// Stake.
    pub stake: u64,
    /// Luck.
    pub random: u64,
    /// The weighted sum.
    pub total: u64,
}

impl Scores {
    /// Weighs the parts.
    pub fn new(credit: u64, stake: u64, random: u64) -> Self {
        let [for_credit, for_stake, for_random] = SCORE_WEIGHTS;
        let total = (for_credit * credit + for_stake * stake + for_random * random) / PERCENT;
        Self { credit, stake, random, total }
    }

    /// The scores of a candidate among others whose largest stake is given.
    pub fn of(standing: &Standing, largest: U256) -> Self {
        Self::new(credit_score(&standing.credit), stake_score(standing.stake, largest), standing.random.min(SCORE_MAX))
    }
}

/// Every candidate with its scores, best first. Ties go to the larger stake, then to the older registration, then to the smaller
/// account, so that a newcomer cannot win a tie by its choice of an account.
pub fn rank(candidates: Vec<Standing>) -> Vec<(Standing, Scores)> {
    let largest = candidates.iter().map(|candidate| candidate.stake).max().unwrap_or_default();
    let scored = |candidate: Standing| {
        let scores = Scores::of(&candidate, largest);
        (candidate, scores)
    };
    let mut ranked: Vec<(Standing, Scores)> = candidates.into_iter().map(scored).collect();
    ranked.sort_by(|(a, a_scores), (b, b_scores)| {
        let better = b_scores.total.cmp(&a_scores.total).then(b.stake.cmp(&a.stake));
        better.then(a.registered_at.cmp(&b.registered_at)).then(a.account.cmp(&b.account))
    });
    ranked
}

/// Fewest candidates a new committee may have. A committee never falls below four members, or what it had if that was less, and
/// never shrinks by more than a third at once: with fewer the old one goes on.
pub fn safe_number(current: usize, minimum: usize, seats: usize) -> usize {
    current.min(minimum).max((2 * current).div_ceil(3)).min(seats).max(1)
}

#[cfg(test)]
mod tests;
