//! Attempts to reach peers: one per peer, however many callers wait for it.
//!
//! An attempt dials every known address. Without any it asks the lookup service first. When all fail it gives up at once,
//! and the lookup goes on for the next attempt: the peer may have moved. Must not know the swarm: it says what to do
//! next, the driver does it.

use crate::network::port::NetError;
use libp2p::{Multiaddr, PeerId, kad::QueryId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};

/// Callers that wait for one attempt.
const MAX_WAITERS: usize = 1024;
/// A peer is looked up at most once in this time.
const SEARCH_PERIOD: Duration = Duration::from_secs(10);
/// Lookups within one period.
const MAX_SEARCHES: usize = 256;

pub(super) type Waiter = oneshot::Sender<Result<(), NetError>>;

/// What to do next for a peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Dial these addresses.
    Dial(Vec<Multiaddr>),
    /// Ask the lookup service for addresses, and go on when it has answered.
    Search,
    /// Wait for what is under way.
    Wait,
    /// The attempt failed and is over. Whether to ask the lookup service for the next one.
    GiveUp { search: bool },
}

#[derive(Default)]
struct Attempt {
    waiters: Vec<Waiter>,
    tried: BTreeSet<Multiaddr>,
}

/// All attempts under way.
#[derive(Default)]
pub(super) struct Dials {
    attempts: BTreeMap<PeerId, Attempt>,
    searches: HashMap<QueryId, PeerId>,
    searched: VecDeque<(Instant, PeerId)>,
}

impl Dials {
    /// Begins an attempt, or joins the one under way.
    pub(super) fn begin(&mut self, peer: PeerId, waiter: Option<Waiter>, known: Vec<Multiaddr>) -> Step {
        let under_way = self.attempts.contains_key(&peer);
        let attempt = self.attempts.entry(peer).or_default();
        match waiter {
            Some(waiter) if attempt.waiters.len() >= MAX_WAITERS => {
                let reason = format!("{MAX_WAITERS} callers already wait for a connection");
                // Fails only when the caller has gone.
                let _ = waiter.send(Err(NetError::unreachable(&peer, reason)));
            }
            Some(waiter) => attempt.waiters.push(waiter),
            None => {}
        }
        if under_way {
            return Step::Wait;
        }
        attempt.tried.extend(known.iter().cloned());
        Step::Dial(known)
    }

    /// A dial of `peer` failed; `known` are the addresses known by now.
    pub(super) fn failed(&mut self, peer: &PeerId, known: Vec<Multiaddr>) -> Step {
        if self.searches.values().any(|other| other == peer) {
            return Step::Wait;
        }
        let Some(attempt) = self.attempts.get_mut(peer) else { return Step::Wait };
        let fresh: Vec<_> = known.into_iter().filter(|addr| !attempt.tried.contains(addr)).collect();
        if !fresh.is_empty() {
            attempt.tried.extend(fresh.iter().cloned());
            return Step::Dial(fresh);
        }
        let unknown = attempt.tried.is_empty();
        match (unknown, self.may_search(peer)) {
            (true, true) => Step::Search,
            (_, search) => Step::GiveUp { search },
        }
    }

    fn may_search(&mut self, peer: &PeerId) -> bool {
        while self.searched.front().is_some_and(|(since, _)| since.elapsed() >= SEARCH_PERIOD) {
            self.searched.pop_front();
        }
        self.searched.len() < MAX_SEARCHES && self.searched.iter().all(|(_, other)| other != peer)
    }

    /// A search for `peer` began.
    pub(super) fn searching(&mut self, query: QueryId, peer: PeerId) {
        self.searches.insert(query, peer);
        self.searched.push_back((Instant::now(), peer));
    }

    /// The peer a search was for.
    pub(super) fn search_of(&self, query: &QueryId) -> Option<PeerId> {
        self.searches.get(query).copied()
    }

    /// The search ended.
    pub(super) fn search_ended(&mut self, query: &QueryId) {
        self.searches.remove(query);
    }

    /// The attempt ended; tells everyone who waits.
    pub(super) fn end(&mut self, peer: &PeerId, result: &Result<(), NetError>) {
        for waiter in self.attempts.remove(peer).into_iter().flat_map(|attempt| attempt.waiters) {
            // Fails only when the caller has gone.
            let _ = waiter.send(result.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn one_attempt_serves_every_caller() {
        let peer = PeerId::random();
        let mut dials = Dials::default();
        let (first, mut first_result) = oneshot::channel();
        let (second, mut second_result) = oneshot::channel();
        assert_eq!(dials.begin(peer, Some(first), vec![addr(1)]), Step::Dial(vec![addr(1)]));
        assert_eq!(dials.begin(peer, Some(second), vec![addr(1)]), Step::Wait);
        dials.end(&peer, &Ok(()));
        assert!(matches!(first_result.try_recv(), Ok(Ok(()))));
        assert!(matches!(second_result.try_recv(), Ok(Ok(()))));
    }

    #[test]
    fn known_addresses_fail_fast() {
        let peer = PeerId::random();
        let mut dials = Dials::default();
        dials.begin(peer, None, vec![addr(1)]);
        assert_eq!(dials.failed(&peer, vec![addr(2), addr(1)]), Step::Dial(vec![addr(2)]));
        assert_eq!(dials.failed(&peer, vec![addr(2), addr(1)]), Step::GiveUp { search: true });
    }

    #[test]
    fn a_peer_without_addresses_is_looked_up_once() {
        let peer = PeerId::random();
        let mut dials = Dials::default();
        assert_eq!(dials.begin(peer, None, vec![]), Step::Dial(vec![]));
        assert_eq!(dials.failed(&peer, vec![]), Step::Search);
        dials.searched.push_back((Instant::now(), peer));
        assert_eq!(dials.failed(&peer, vec![addr(3)]), Step::Dial(vec![addr(3)]));
        assert_eq!(dials.failed(&peer, vec![addr(3)]), Step::GiveUp { search: false });
    }
}
