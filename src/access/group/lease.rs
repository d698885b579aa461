//! The time for which a gateway may answer for a bucket.
//!
//! Must not know who confirms it. Invariant: it is counted from before the confirmation was asked for, so that nobody who confirmed it
//! and now refuses can have done so later than the lease began.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// How long a confirmation by two of the journal's miners lasts.
pub const LEASE: Duration = Duration::from_secs(3);
/// What the next owner waits beyond it: for clocks that run apart.
pub const LEASE_MARGIN: Duration = Duration::from_millis(500);
/// How often a lease is renewed.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long an owner gives no sign of life before its bucket is taken over.
pub const SILENCE: Duration = Duration::from_secs(5);

/// A lease that may have ended.
#[derive(Debug)]
pub(super) struct Lease(Mutex<Option<Instant>>);

impl Lease {
    /// One that was never confirmed.
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// It was confirmed by answers to questions that left at `asked` or later.
    pub(super) fn renew(&self, asked: Instant) {
        let mut until = self.0.lock();
        *until = (*until).max(Some(asked + LEASE));
    }

    /// It ends now.
    pub(super) fn end(&self) {
        *self.0.lock() = None;
    }

    /// Whether the bucket may be answered for.
    pub(super) fn holds(&self) -> bool {
        self.0.lock().is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_counts_from_the_question() {
        let lease = Lease::new();
        assert!(!lease.holds());
        let asked = Instant::now();
        tokio::time::advance(Duration::from_secs(2)).await;
        lease.renew(asked);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert!(lease.holds());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!lease.holds());
        lease.renew(Instant::now());
        lease.renew(asked);
        assert!(lease.holds(), "an older confirmation shortened it");
        lease.end();
        assert!(!lease.holds());
    }
}
