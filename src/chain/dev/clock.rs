//! The time of a developer's chain: the clock's, moved, or set block by block.
//!
//! Owns what the next block's time is. Invariant: a block's time in milliseconds lies after its parent's.

/// Milliseconds of a second.
const SECOND_MS: u64 = 1_000;

/// How the time of blocks differs from the clock's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DevClock {
    /// Milliseconds added to the clock.
    offset_ms: i64,
    /// Time of the next block alone.
    next_ms: Option<u64>,
    /// Every block comes this long after its parent, whatever the clock says.
    interval_ms: Option<u64>,
}

impl DevClock {
    /// Time of the block after one of `parent_ms`, at `now_ms` of the clock.
    pub fn next(&self, now_ms: u64, parent_ms: u64) -> u64 {
        let moved = now_ms.saturating_add_signed(self.offset_ms);
        let paced = self.interval_ms.map(|interval| parent_ms.saturating_add(interval));
        self.next_ms.or(paced).unwrap_or(moved).max(parent_ms + 1)
    }

    /// A block of `time_ms` was made: a time that was set for it alone is used up, and the clock goes on from there.
    pub fn passed(&mut self, now_ms: u64, time_ms: u64) {
        if self.next_ms.take().is_some() {
            self.set(now_ms, time_ms / SECOND_MS);
        }
    }

    /// Moves the clock on by `seconds` and returns by how many it differs from the real one.
    pub fn increase(&mut self, seconds: u64) -> i64 {
        let moved = i64::try_from(seconds.saturating_mul(SECOND_MS)).unwrap_or(i64::MAX);
        self.offset_ms = self.offset_ms.saturating_add(moved);
        self.offset_ms / SECOND_MS.cast_signed()
    }

    /// Sets the clock to a Unix time in seconds.
    pub fn set(&mut self, now_ms: u64, seconds: u64) {
        let wanted = i64::try_from(seconds.saturating_mul(SECOND_MS)).unwrap_or(i64::MAX);
        self.offset_ms = wanted.saturating_sub_unsigned(now_ms);
    }

    /// Sets the time of the next block alone, in seconds.
    pub fn set_next(&mut self, seconds: u64) {
        self.next_ms = Some(seconds.saturating_mul(SECOND_MS));
    }

    /// Puts blocks a fixed number of seconds apart, or lets them follow the clock again. Tells whether they did not before.
    pub fn pace(&mut self, seconds: Option<u64>) -> bool {
        let before = std::mem::replace(&mut self.interval_ms, seconds.map(|s| s.saturating_mul(SECOND_MS)));
        before.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_block_at_a_set_time_moves_the_clock() {
        let mut clock = DevClock::default();
        assert_eq!(clock.next(5_000, 4_000), 5_000);
        assert_eq!(clock.increase(10), 10);
        assert_eq!(clock.next(5_000, 4_000), 15_000);
        clock.set_next(100);
        assert_eq!(clock.next(5_000, 15_000), 100_000);
        clock.passed(5_000, 100_000);
        assert_eq!(clock.next(6_000, 100_000), 101_000);
        clock.pace(Some(3));
        assert_eq!(clock.next(6_000, 100_000), 103_000);
        assert!(clock.pace(None));
        clock.set(6_000, 7);
        assert_eq!(clock.next(6_000, 2_000), 7_000);
    }

    proptest! {
        #[test]
        fn never_goes_back(now in 0u64..1 << 50, parent in 0u64..1 << 50, by in 0u64..1 << 40, next in proptest::option::of(0u64..1 << 40)) {
            let mut clock = DevClock::default();
            clock.increase(by);
            if let Some(next) = next {
                clock.set_next(next);
            }
            prop_assert!(clock.next(now, parent) > parent);
        }
    }
}
