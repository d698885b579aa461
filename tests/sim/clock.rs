//! A node's clock, which is wrong.

use cess::runtime::{Clock, SystemClock};
use std::sync::atomic::{AtomicI64, Ordering};

/// The machine's clock and an error.
#[derive(Debug, Default)]
pub struct SkewedClock {
    ahead_ms: AtomicI64,
}

impl SkewedClock {
    /// A clock that is so far ahead of the truth.
    pub fn new(ahead_ms: i64) -> Self {
        Self { ahead_ms: AtomicI64::new(ahead_ms) }
    }

    /// Sets it, as somebody does who has found it wrong.
    pub fn set(&self, ahead_ms: i64) {
        self.ahead_ms.store(ahead_ms, Ordering::SeqCst);
    }
}

impl Clock for SkewedClock {
    fn unix_ms(&self) -> u64 {
        SystemClock.unix_ms().saturating_add_signed(self.ahead_ms.load(Ordering::SeqCst))
    }
}
