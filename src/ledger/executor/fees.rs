//! The base fee rule of EIP-1559 with Ethereum's parameters: target half the limit, change by at most an eighth.

use alloy_eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};

/// Base fee of the genesis block: 10⁻⁹ token a unit of gas, EIP-1559's initial value.
pub const INITIAL_BASE_FEE: u64 = 1_000_000_000;

/// Base fee of the block after one that used `gas_used` of `gas_limit` at `base_fee`.
pub fn next_base_fee(gas_used: u64, gas_limit: u64, base_fee: u64) -> u64 {
    calc_next_block_base_fee(gas_used, gas_limit, base_fee, BaseFeeParams::ethereum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn matches_the_vectors_of_eip_1559_clients() {
        // go-ethereum, consensus/misc/eip1559 TestCalcBaseFee: limit 20 M, target 10 M.
        for (used, expected) in [(10_000_000, 1_000_000_000), (9_000_000, 987_500_000), (11_000_000, 1_012_500_000)] {
            assert_eq!(next_base_fee(used, 20_000_000, 1_000_000_000), expected);
        }
        assert_eq!(next_base_fee(0, 20_000_000, 7), 7, "an eighth of seven is nothing: the floor of an idle chain");
        assert_eq!(next_base_fee(20_000_000, 20_000_000, 7), 8, "a full block raises the fee by one at least");
    }

    proptest! {
        #[test]
        fn moves_towards_the_target_by_an_eighth_at_most(used in 0u64..=120_000_000, fee in 0u64..1 << 50) {
            let next = next_base_fee(used, 120_000_000, fee);
            prop_assert_eq!(next.cmp(&fee).is_gt(), used > 60_000_000);
            prop_assert!(next.abs_diff(fee) <= (fee / 8).max(1));
        }
    }
}
