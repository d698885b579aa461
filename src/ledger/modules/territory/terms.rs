//! Time and price of a lease: pure arithmetic over the chain's numbers.
//!
//! Must not know state. Invariants: the price is exact in bytes and blocks and rounded up once; buying in parts costs at most a smallest
//! unit more for each part and never less; nothing here can overflow, because sizes and heights are 64 bits and products 256.

use crate::{
    consensus::Calendar,
    ledger::modules::host::ModuleHost,
    types::{Height, Params, U256, params::ERAS_PER_DAY},
};

const GIB_BYTES: u64 = 1 << 30;

/// Where a territory is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Takes files.
    Active,
    /// Its deadline has passed: takes no files, keeps what it has, can be reactivated.
    Frozen,
    /// Its grace is over: its files are released.
    Lapsed,
}

impl Standing {
    /// As the interface numbers it.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Frozen => 1,
            Self::Lapsed => 2,
        }
    }
}

/// Blocks of a day on a chain with these numbers.
pub fn day_blocks(params: &Params) -> u64 {
    params.era_blocks.saturating_mul(ERAS_PER_DAY)
}

/// What every lease of a chain has in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    calendar: Calendar,
    day_blocks: u64,
    grace_eras: u64,
    max_days: u32,
    unit_price: U256,
}

impl Terms {
    /// The terms of the host's chain.
    pub(super) fn of(host: &dyn ModuleHost) -> Self {
        Self::with(host.params())
    }

    pub(super) fn with(params: &Params) -> Self {
        Self {
            calendar: Calendar::of(params),
            day_blocks: day_blocks(params),
            grace_eras: params.territory_grace_eras,
            max_days: params.lease_max_days,
            unit_price: params.rent_per_gib_day.0,
        }
    }

    pub(super) fn unit_price(&self) -> U256 {
        self.unit_price
    }

    pub(super) fn day_blocks(&self) -> u64 {
        self.day_blocks
    }

    /// Price of `size` bytes for `blocks` blocks: `unitPrice · size · blocks / (GiB · dayBlocks)`, rounded up.
    pub(super) fn price(&self, size: u64, blocks: u64) -> U256 {
        let byte_blocks = U256::from(size) * U256::from(blocks);
        let unit = U256::from(GIB_BYTES) * U256::from(self.day_blocks);
        // A unit price of all tokens there are has 94 bits, the product less than 94 + 64 + 64.
        (byte_blocks * self.unit_price).div_ceil(unit)
    }

    /// The height `days` after `from`, if `days` is at least 1 and it lies at most the longest lease after `now`. Otherwise how many days could
    /// be added.
    pub(super) fn end(&self, from: Height, days: u32, now: Height) -> Result<Height, u64> {
        let latest = now.saturating_add(self.day_blocks.saturating_mul(self.max_days.into()));
        let end = from.saturating_add(self.day_blocks.saturating_mul(days.into()));
        if days == 0 || end > latest {
            return Err(latest.saturating_sub(from) / self.day_blocks);
        }
        Ok(end)
    }

    /// Era of a height.
    pub(super) fn era(&self, height: Height) -> u64 {
        self.calendar.era(height)
    }

    /// Whether territories whose deadline lies in `era` have lapsed at `height`.
    pub(super) fn has_lapsed(&self, era: u64, height: Height) -> bool {
        self.calendar.era(height) > era.saturating_add(self.grace_eras)
    }

    /// First height at which a territory with this deadline has lapsed.
    pub(super) fn purge_from(&self, deadline: Height) -> Height {
        let last = self.calendar.era(deadline).saturating_add(self.grace_eras);
        self.calendar.first(last.saturating_add(1))
    }

    pub(super) fn standing(&self, deadline: Height, height: Height) -> Standing {
        if height < deadline {
            Standing::Active
        } else if self.has_lapsed(self.calendar.era(deadline), height) {
            Standing::Lapsed
        } else {
            Standing::Frozen
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Amount;
    use proptest::prelude::*;

    #[test]
    fn a_gib_for_a_day_costs_the_unit_price() {
        for params in [Params::dev(), Params::mainnet()] {
            let terms = Terms::with(&params);
            assert_eq!(terms.price(1 << 30, day_blocks(&params)), Amount::tokens(1).0);
            assert_eq!(terms.price(100 << 30, 30 * day_blocks(&params)), Amount::tokens(3_000).0);
            assert_eq!(terms.price(0, 5), U256::ZERO);
            assert_eq!(terms.price(1, 0), U256::ZERO);
        }
        let dev = Terms::with(&Params::dev());
        // 10^18 / (2^30 · 240) = 3,880,510.7…
        assert_eq!(dev.price(1, 1), U256::from(3_880_511));
    }

    #[test]
    fn a_day_is_four_eras_and_the_grace_ends_with_an_era() {
        let (dev, mainnet) = (Terms::with(&Params::dev()), Terms::with(&Params::mainnet()));
        assert_eq!((dev.day_blocks(), mainnet.day_blocks()), (240, 86_400));
        assert_eq!((dev.purge_from(240), dev.purge_from(299), dev.purge_from(300)), (360, 360, 420));
        assert_eq!(mainnet.purge_from(0), 29 * 21_600);
        let standing = |height| dev.standing(250, height);
        assert_eq!(
            [249, 250, 359, 360].map(standing),
            [Standing::Active, Standing::Frozen, Standing::Frozen, Standing::Lapsed]
        );
    }

    #[test]
    fn a_lease_reaches_only_so_far() {
        let mainnet = Terms::with(&Params::mainnet());
        assert_eq!(mainnet.end(10, 3_650, 10), Ok(10 + 3_650 * 86_400));
        assert_eq!(mainnet.end(10, 3_651, 10), Err(3_650));
        assert_eq!(mainnet.end(10, 0, 10), Err(3_650));
        assert_eq!(mainnet.end(86_410, 3_650, 10), Err(3_649));
        assert_eq!(mainnet.end(u64::MAX, u32::MAX, 0), Err(0));
    }

    proptest! {
        #[test]
        fn parts_never_cost_less_and_hardly_more(
            size in any::<u64>(), more in any::<u32>(), first in 0u64..1 << 40, second in 0u64..1 << 40,
        ) {
            let terms = Terms::with(&Params::mainnet());
            let whole = terms.price(size, first + second);
            let parts = terms.price(size, first) + terms.price(size, second);
            prop_assert!(whole <= parts && parts <= whole + U256::ONE);
            let size = size / 2;
            let whole = terms.price(size + u64::from(more), first);
            let parts = terms.price(size, first) + terms.price(more.into(), first);
            prop_assert!(whole <= parts && parts <= whole + U256::ONE);
        }

        #[test]
        fn nothing_overflows(size in any::<u64>(), blocks in any::<u64>(), height in any::<u64>(), days in any::<u32>()) {
            let rich = Params { rent_per_gib_day: Amount(U256::from(u128::MAX)), ..Params::dev() };
            prop_assert!(Terms::with(&rich).price(size, blocks) <= U256::MAX >> 1);
            let _ = Terms::with(&Params::mainnet()).end(height, days, blocks);
            let _ = Terms::with(&Params::mainnet()).standing(blocks, height);
        }
    }
}
