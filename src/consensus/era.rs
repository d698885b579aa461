//! The calendar of eras: which heights belong to an era, where its seed lies, how long reveals are taken.
//!
//! Owns the arithmetic of heights. Must not know stakes or committees. Invariants: every height belongs to one era; the seed of
//! an era is a beacon fixed before the era begins and never one of the last blocks of the era before, whose proposers would
//! otherwise know what withholding a block changes.

use crate::types::{Height, Params};

/// Eras between the one an election is held in and the one its committee sits in.
pub const ELECTION_LEAD_ERAS: u64 = 2;

/// The eras of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    era_blocks: u64,
    seed_skip: u64,
}

impl Calendar {
    /// The calendar of a chain with these numbers.
    pub fn of(params: &Params) -> Self {
        assert!(params.era_blocks > 0, "an era has at least one block");
        Self { era_blocks: params.era_blocks, seed_skip: params.seed_skip_blocks }
    }

    /// Era of a height. Genesis is height 0 of era 0.
    pub fn era(&self, height: Height) -> u64 {
        height / self.era_blocks
    }

    /// First height of an era.
    pub fn first(&self, era: u64) -> Height {
        era.saturating_mul(self.era_blocks)
    }

    /// Last height of an era.
    pub fn last(&self, era: u64) -> Height {
        self.first(era).saturating_add(self.era_blocks - 1)
    }

    /// Whether the era ends with this height.
    pub fn is_last(&self, height: Height) -> bool {
        height == self.last(self.era(height))
    }

    /// Height whose beacon is the era's seed: the last blocks of the era before are ignored. Genesis for the first era.
    pub fn seed_height(&self, era: u64) -> Height {
        self.first(era).saturating_sub(1 + self.seed_skip)
    }

    /// Last height at which a candidate may reveal for the era: the first half of it.
    pub fn reveal_last(&self, era: u64) -> Height {
        self.first(era).saturating_add((self.era_blocks / 2).saturating_sub(1))
    }

    /// Era in which the committee elected at the end of `era` sits.
    pub fn seated(&self, era: u64) -> u64 {
        era.saturating_add(ELECTION_LEAD_ERAS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn calendar(era_blocks: u64, seed_skip: u64) -> Calendar {
        Calendar { era_blocks, seed_skip }
    }

    #[test]
    fn the_dev_calendar_is_as_published() {
        let dev = Calendar::of(&Params::dev());
        assert_eq!((dev.first(0), dev.last(0), dev.first(1), dev.last(1)), (0, 59, 60, 119));
        assert_eq!((dev.era(59), dev.era(60)), (0, 1));
        assert_eq!((dev.seed_height(0), dev.seed_height(1), dev.seed_height(2)), (0, 55, 115));
        assert_eq!((dev.reveal_last(0), dev.reveal_last(1)), (29, 89));
        assert_eq!(dev.seated(3), 5);
    }

    proptest! {
        #[test]
        fn eras_partition_the_heights(blocks in 1u64..100_000, skip in 0u64..200, height in 0u64..1 << 40) {
            let calendar = calendar(blocks, skip);
            let era = calendar.era(height);
            prop_assert!((calendar.first(era)..=calendar.last(era)).contains(&height));
            prop_assert_eq!(calendar.last(era) + 1, calendar.first(era + 1));
            prop_assert_eq!(calendar.is_last(height), calendar.era(height + 1) == era + 1);
        }

        #[test]
        fn the_seed_ignores_the_last_blocks_of_the_era_before(blocks in 2u64..10_000, skip in 1u64..200, era in 1u64..1_000) {
            let calendar = calendar(blocks, skip);
            let seed = calendar.seed_height(era);
            prop_assert!(seed + skip < calendar.first(era) || seed == 0);
            prop_assert!(calendar.reveal_last(era) < calendar.last(era));
        }
    }
}
