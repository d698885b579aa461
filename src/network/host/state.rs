//! What the swarm task and the callers of a host share: a view of the peers, known addresses, and wishes.
//!
//! Wishes are what synchronous calls ask of the swarm task: sets that it empties when woken, so that asking never waits
//! and never grows a queue. Invariant: no lock is held while another is taken.

use super::config::{MAX_ADDRESSES_PER_PEER, MAX_KNOWN_PEERS};
use crate::{
    network::{
        port::{PeerEvent, PeerInfo, Topic},
        registry::{PEER_EVENTS_MAX_WAITING, Registry},
    },
    runtime::Metrics,
};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
use tokio::sync::{Notify, broadcast};

/// State shared by the swarm task and the callers.
pub(super) struct Shared {
    pub(super) local: PeerId,
    pub(super) registry: Registry,
    pub(super) metrics: Metrics,
    pub(super) events: broadcast::Sender<PeerEvent>,
    pub(super) peers: Mutex<BTreeMap<PeerId, PeerInfo>>,
    pub(super) listen: Mutex<Vec<Multiaddr>>,
    pub(super) book: Mutex<AddressBook>,
    wishes: Mutex<Wishes>,
    pub(super) wished: Notify,
}

/// What synchronous calls asked for since the swarm task last looked.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) disconnect: BTreeSet<PeerId>,
    pub(super) subscribe: BTreeSet<Topic>,
    /// Peers whose addresses in the book changed.
    pub(super) addresses: BTreeSet<PeerId>,
}

/// Ends what the host offers when it is dropped: with the swarm's task, whether that stopped in order or was killed.
pub(super) struct EndOnDrop(pub(super) Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.registry.close();
    }
}

impl Shared {
    pub(super) fn new(local: PeerId, metrics: Metrics) -> Self {
        Self {
            local,
            registry: Registry::default(),
            metrics,
            events: broadcast::Sender::new(PEER_EVENTS_MAX_WAITING),
            peers: Mutex::default(),
            listen: Mutex::default(),
            book: Mutex::default(),
            wishes: Mutex::default(),
            wished: Notify::new(),
        }
    }

    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.lock().contains_key(peer)
    }

    /// Asks something of the swarm task.
    pub(super) fn wish(&self, add: impl FnOnce(&mut Wishes)) {
        add(&mut self.wishes.lock());
        self.wished.notify_one();
    }

    pub(super) fn take_wishes(&self) -> Wishes {
        std::mem::take(&mut self.wishes.lock())
    }

    /// Remembers an address for dialling `peer`.
    pub(super) fn note(&self, peer: PeerId, addr: Multiaddr) {
        if peer != self.local {
            self.book.lock().insert(peer, addr);
        }
    }

    /// Remembers an address for dialling `peer`, and for lookups of others too.
    pub(super) fn learn(&self, peer: PeerId, addr: Multiaddr) {
        if peer != self.local && self.book.lock().insert(peer, addr) {
            self.wish(|wishes| {
                wishes.addresses.insert(peer);
            });
        }
    }
}

/// Addresses of peers, the latest first. Bounded in both directions.
#[derive(Default)]
pub(super) struct AddressBook {
    peers: BTreeMap<PeerId, VecDeque<Multiaddr>>,
}

impl AddressBook {
    /// Remembers an address; whether it was unknown.
    pub(super) fn insert(&mut self, peer: PeerId, addr: Multiaddr) -> bool {
        let addr = without_peer(addr);
        if !self.peers.contains_key(&peer) && self.peers.len() >= MAX_KNOWN_PEERS {
            self.peers.pop_first();
        }
        let known = self.peers.entry(peer).or_default();
        let position = known.iter().position(|other| *other == addr);
        if let Some(position) = position {
            known.remove(position);
        }
        known.push_front(addr);
        known.truncate(MAX_ADDRESSES_PER_PEER);
        position.is_none()
    }

    pub(super) fn get(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.peers.get(peer).into_iter().flatten().cloned().collect()
    }
}

/// `addr` without a `/p2p/…` at its end.
pub(super) fn without_peer(mut addr: Multiaddr) -> Multiaddr {
    if matches!(addr.iter().last(), Some(Protocol::P2p(_))) {
        addr.pop();
    }
    addr
}

/// The peer at the end of `addr`.
pub(super) fn peer_of(addr: &Multiaddr) -> Option<PeerId> {
    match addr.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// Whether `addr` is on this machine alone.
pub(super) fn is_loopback(addr: &Multiaddr) -> bool {
    match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn the_book_keeps_the_latest_addresses() {
        let peer = PeerId::random();
        let mut book = AddressBook::default();
        for port in 1..=20 {
            assert!(book.insert(peer, addr(port)));
        }
        assert!(!book.insert(peer, addr(10).with(Protocol::P2p(peer))));
        let known = book.get(&peer);
        assert_eq!(known.len(), MAX_ADDRESSES_PER_PEER);
        assert_eq!(known[0], addr(10));
        assert!(!known.contains(&addr(4)));
    }

    #[test]
    fn the_book_is_bounded() {
        let mut book = AddressBook::default();
        for _ in 0..MAX_KNOWN_PEERS + 5 {
            book.insert(PeerId::random(), addr(1));
        }
        assert_eq!(book.peers.len(), MAX_KNOWN_PEERS);
    }
}
