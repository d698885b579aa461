//! How many streams of others a service serves.
//!
//! Owns the counts, in total and for each peer. Must not know what is served. Invariant: a guest is counted until it is dropped.

use crate::network::PeerId;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// The open streams of one service. Cheap to clone.
#[derive(Clone)]
pub struct Guests {
    inner: Arc<Inner>,
}

struct Inner {
    max: usize,
    per_peer_max: usize,
    streams: Mutex<BTreeMap<PeerId, usize>>,
}

/// One open stream; counted until dropped.
pub struct Guest {
    guests: Arc<Inner>,
    peer: PeerId,
}

impl Guests {
    /// Nobody yet, and at most so many in total and of one peer.
    pub fn new(max: usize, per_peer_max: usize) -> Self {
        Self { inner: Arc::new(Inner { max, per_peer_max, streams: Mutex::default() }) }
    }

    /// Counts one more stream of `peer`, unless there are too many.
    pub fn admit(&self, peer: PeerId) -> Option<Guest> {
        let mut streams = self.inner.streams.lock();
        let total: usize = streams.values().sum();
        let own = streams.get(&peer).copied().unwrap_or(0);
        if total >= self.inner.max || own >= self.inner.per_peer_max {
            return None;
        }
        streams.insert(peer, own + 1);
        Some(Guest { guests: self.inner.clone(), peer })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut streams = self.guests.streams.lock();
        if let Some(own) = streams.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                streams.remove(&self.peer);
            }
        }
    }
}
