//! Samples of time and what a bench says of them.

use clap::builder::RangedI64ValueParser;
use serde::Serialize;
use std::{fmt, time::Duration};

/// Longest measurement.
const SECONDS_MAX: i64 = 24 * 3_600;

/// A number of seconds a bench may take.
pub fn secs_arg() -> RangedI64ValueParser<u32> {
    RangedI64ValueParser::new().range(1..=SECONDS_MAX)
}

/// Where samples lie, in milliseconds. All zero without samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Number of samples.
    pub count: usize,
    /// The middle.
    pub p50_ms: f64,
    /// 99 of a hundred are no larger.
    pub p99_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

impl Spread {
    /// Of these samples, in any order.
    pub fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let at = |percent: usize| {
            let last = samples.len().saturating_sub(1);
            samples.get((last * percent).div_ceil(100)).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
        };
        Self { count: samples.len(), p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms over {}", self.p50_ms, self.p99_ms, self.max_ms, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_hundred_and_one_samples() {
        let spread = Spread::of((0..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(spread, Spread { count: 101, p50_ms: 50.0, p99_ms: 99.0, max_ms: 100.0 });
        assert_eq!(Spread::of(vec![Duration::from_millis(3)]).p99_ms, 3.0);
        assert_eq!(Spread::of(Vec::new()).count, 0);
    }
}
