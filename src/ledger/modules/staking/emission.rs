//! How many tokens come into being: CESS's emission, ×0.841 a year for 30 years, in equal parts for the eras of a year.
//!
//! Invariant: integers only, rounded down at every step.

use crate::types::{Amount, U256, params::ERAS_PER_YEAR};

/// Years in which tokens come into being.
pub const EMISSION_YEARS: u64 = 30;
/// What is left from year to year, in thousandths. CESS: 0.841.
const YEARLY_PERMILLE: u64 = 841;

/// Tokens of one era, out of those of the first year.
pub fn era_emission(first_year: Amount, era: u64) -> U256 {
    let year = era / ERAS_PER_YEAR;
    if year >= EMISSION_YEARS {
        return U256::ZERO;
    }
    let yearly = (0..year).fold(first_year.0, |left, _| left * U256::from(YEARLY_PERMILLE) / U256::from(1_000));
    yearly / U256::from(ERAS_PER_YEAR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Params;

    /// By hand, in whole tokens, rounded down: 238,500,000 / 1,461 = 163,244; ×0.841 = 200,578,500 / 1,461 = 137,288;
    /// ×0.841 = 168,686,518.5 / 1,461 = 115,459.
    #[test]
    fn the_first_years_by_hand() {
        let first = Params::mainnet().validator_emission;
        let tokens = |era| era_emission(first, era) / Amount::tokens(1).0;
        for (era, expected) in
            [(0, 163_244), (1_460, 163_244), (1_461, 137_288), (2 * 1_461, 115_459), (30 * 1_461, 0), (u64::MAX, 0)]
        {
            assert_eq!(tokens(era), U256::from(expected), "era {era}");
        }
        assert!(!era_emission(first, 30 * 1_461 - 1).is_zero());
    }

    #[test]
    fn a_year_never_brings_more_than_its_share() {
        let first = Params::mainnet().storage_emission;
        let mut before = first.0 + U256::ONE;
        for year in 0..EMISSION_YEARS {
            let sum = era_emission(first, year * ERAS_PER_YEAR) * U256::from(ERAS_PER_YEAR);
            assert!(sum < before, "year {year}");
            before = sum;
        }
    }
}
