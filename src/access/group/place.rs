//! What this gateway knows of one bucket: who owns it, whether it answers, and what is open here.
//!
//! Must not know ports. Invariants: of two ownerships the newer one is believed; at most one take-over runs at a time.

use super::{lease::SILENCE, ownership::Held, serving::Serving};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::{sync::watch, time::Instant};

/// How a take-over ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TakeFault {
    /// Another gateway owns the bucket: look again.
    Moved,
    /// The chain cannot be asked.
    Chain(String),
    /// Trying again later may help.
    Later(String),
    /// It will not help.
    Refused(String),
}

/// The end of a take-over, once it has come.
pub(super) type Taken = Option<Result<(), TakeFault>>;

/// An owner that gives no sign of life.
#[derive(Clone, Copy)]
struct Silent {
    version: u64,
    since: Instant,
    seen: Instant,
}

/// One bucket.
#[derive(Default)]
pub(super) struct Place {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Option<Held>,
    serving: Option<Arc<Serving>>,
    taking: Option<watch::Receiver<Taken>>,
    /// Since when the owner of this version has given no sign of life, and when that was seen last.
    silent: Option<Silent>,
    /// An epoch of this gateway's before which nobody has a lease any more.
    settled: Option<u32>,
    /// Version of an ownership of this gateway's under which nothing was opened yet.
    begun: Option<u64>,
    /// The bucket is no more.
    ended: bool,
}

impl Place {
    /// The newest ownership that is known.
    pub(super) fn known(&self) -> Option<Held> {
        self.state.lock().known.clone()
    }

    /// Somebody says who owns it. An older ownership than the one known is not believed.
    pub(super) fn learn(&self, held: Held) {
        let mut state = self.state.lock();
        if state.known.as_ref().is_none_or(|known| known.version <= held.version) {
            state.known = Some(held);
        }
    }

    /// What is known is doubtful: the chain is to be asked.
    pub(super) fn forget(&self) {
        self.state.lock().known = None;
    }

    /// What is open here.
    pub(super) fn serving(&self) -> Option<Arc<Serving>> {
        self.state.lock().serving.clone()
    }

    /// It is open here from now on; false if it ended meanwhile.
    pub(super) fn serve(&self, serving: Arc<Serving>) -> bool {
        let mut state = self.state.lock();
        if !state.ended {
            state.serving = Some(serving);
        }
        !state.ended
    }

    /// It begins here with this ownership, which nobody had one before.
    pub(super) fn begin(&self, held: Held) {
        let mut state = self.state.lock();
        (state.begun, state.settled) = (Some(held.version), Some(held.ownership.epoch));
        state.known = Some(held);
    }

    /// Whether this is the ownership it began with and nothing was opened under it. True once.
    pub(super) fn begins(&self, held: &Held) -> bool {
        self.state.lock().begun.take() == Some(held.version)
    }

    /// It is opened here no more. What is open is to be closed.
    pub(super) fn end(&self) -> Option<Arc<Serving>> {
        let mut state = self.state.lock();
        (state.ended, state.begun) = (true, None);
        state.serving.take()
    }

    /// Whether it was ended here.
    pub(super) fn is_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// Takes out what is open, if it is still the one given. Whoever takes it out closes it.
    pub(super) fn take_out(&self, serving: &Arc<Serving>) -> bool {
        let mut state = self.state.lock();
        let same = state.serving.as_ref().is_some_and(|open| Arc::ptr_eq(open, serving));
        if same {
            (state.serving, state.known) = (None, None);
        }
        same
    }

    /// Whether it is served here, or about to be.
    pub(super) fn alive(&self) -> bool {
        let state = self.state.lock();
        state.taking.is_some() || state.serving.as_ref().is_some_and(|serving| serving.holds())
    }

    /// Whether nothing would be lost by forgetting the place.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.taking.is_none() && state.serving.is_none()
    }

    /// Waits with the take-over that runs, or begins one with `start`, which is handed where its end is told.
    pub(super) fn take(&self, start: impl FnOnce(watch::Sender<Taken>)) -> watch::Receiver<Taken> {
        let mut state = self.state.lock();
        if let Some(running) = &state.taking {
            return running.clone();
        }
        let (sender, receiver) = watch::channel(None);
        state.taking = Some(receiver.clone());
        start(sender);
        receiver
    }

    /// The take-over has ended.
    pub(super) fn taken(&self) {
        self.state.lock().taking = None;
    }

    /// The owner of this version has given no sign of life since `since`; gives since when it has not. Whom nobody asked for long may
    /// have been well meanwhile: the count begins anew.
    pub(super) fn unheard(&self, version: u64, since: Instant) -> Instant {
        let (mut state, seen) = (self.state.lock(), Instant::now());
        let earlier = state.silent.filter(|silent| silent.version == version && seen - silent.seen < SILENCE);
        let since = earlier.map_or(since, |silent| silent.since.min(since));
        state.silent = Some(Silent { version, since, seen });
        since
    }

    /// The owner gave a sign of life.
    pub(super) fn heard(&self) {
        self.state.lock().silent = None;
    }

    /// Whether leases of epochs before `epoch`, which is this gateway's, were waited out.
    pub(super) fn is_settled(&self, epoch: u32) -> bool {
        self.state.lock().settled == Some(epoch)
    }

    /// They were.
    pub(super) fn settle(&self, epoch: u32) {
        self.state.lock().settled = Some(epoch);
    }
}
