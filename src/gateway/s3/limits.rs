//! How much is taken on: requests at a time, and requests a second.

use crate::runtime::Clock;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a request waits for its turn before the client is asked to slow down.
const TURN_MAX: Duration = Duration::from_secs(2);
/// Milli-requests a request costs.
const COST: u64 = 1_000;

/// The limits of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct S3Limits {
    /// Connections at a time.
    pub connections: u32,
    /// Requests at a time, bodies of answers included.
    pub requests: u32,
    /// Requests a second; 0 is no limit.
    pub rate: u32,
}

impl Default for S3Limits {
    fn default() -> Self {
        Self { connections: 1_024, requests: 256, rate: 0 }
    }
}

/// Turns that are given out.
pub struct Turns {
    slots: Arc<Semaphore>,
    rate: u64,
    clock: Arc<dyn Clock>,
    bucket: Mutex<Tokens>,
}

struct Tokens {
    /// Thousandths of a request.
    left: u64,
    at_ms: u64,
}

impl Turns {
    /// Turns under `limits`. A second's worth of requests may come at once.
    pub fn new(limits: S3Limits, clock: Arc<dyn Clock>) -> Self {
        let rate = u64::from(limits.rate);
        let slots = Arc::new(Semaphore::new(
            usize::try_from(limits.requests).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS),
        ));
        let bucket = Mutex::new(Tokens { left: rate * COST, at_ms: clock.unix_ms() });
        Self { slots, rate, clock, bucket }
    }

    /// A turn, held until it is dropped; none when the client is to slow down.
    pub async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if !self.within_rate() {
            return None;
        }
        let turn = tokio::time::timeout(TURN_MAX, self.slots.clone().acquire_owned()).await;
        turn.ok()?.ok()
    }

    fn within_rate(&self) -> bool {
        if self.rate == 0 {
            return true;
        }
        let now = self.clock.unix_ms();
        let mut bucket = self.bucket.lock();
        // A thousandth of the rate comes back every millisecond.
        let back = now.saturating_sub(bucket.at_ms).saturating_mul(self.rate);
        bucket.left = bucket.left.saturating_add(back).min(self.rate * COST);
        bucket.at_ms = now;
        match bucket.left.checked_sub(COST) {
            Some(left) => {
                bucket.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::ManualClock;

    #[tokio::test]
    async fn requests_a_second_are_counted() {
        let clock = Arc::new(ManualClock::at(5_000));
        let turns = Turns::new(S3Limits { rate: 2, ..S3Limits::default() }, clock.clone());
        assert!(turns.take().await.is_some());
        assert!(turns.take().await.is_some());
        assert!(turns.take().await.is_none());
        clock.advance(500);
        assert!(turns.take().await.is_some());
        assert!(turns.take().await.is_none());
        clock.advance(60_000);
        assert!(turns.take().await.is_some());
        assert!(turns.take().await.is_some());
        assert!(turns.take().await.is_none(), "idle time does not add up");
    }

    #[tokio::test]
    async fn a_turn_comes_back_when_it_is_dropped() {
        let turns = Turns::new(S3Limits { requests: 1, ..S3Limits::default() }, Arc::new(ManualClock::at(0)));
        let first = turns.take().await.unwrap();
        drop(first);
        assert!(turns.take().await.is_some());
    }
}
