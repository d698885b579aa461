//! Sleeping until there is something to do, without a clock.
//!
//! Must not know what there is to do. Invariant: who makes a condition true and rings wakes everybody who sleeps until it is.

use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// Looks at the condition before falling asleep; a transaction takes about as long.
const SPINS: usize = 200;

/// Where threads sleep.
#[derive(Default)]
pub(super) struct Doorbell {
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    bell: Condvar,
}

impl Doorbell {
    /// Wakes who sleeps. Cheap if nobody does.
    pub fn ring(&self) {
        // Either the sleeper sees what was done before this, or this sees the sleeper.
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            drop(self.lock.lock());
            self.bell.notify_all();
        }
    }

    /// Sleeps until `ready`.
    pub fn wait(&self, ready: impl Fn() -> bool) {
        for _ in 0..SPINS {
            if ready() {
                return;
            }
            std::hint::spin_loop();
        }
        let mut lock = self.lock.lock();
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        while !ready() {
            self.bell.wait(&mut lock);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}
