//! Who is asked next: peers by what they did for us.
//!
//! Owns standing, strikes and rests. Must not know sockets. Invariants: whoever sent something wrong is never asked again; a
//! peer has a bounded number of questions at a time; one that stays silent rests for longer each time and is then left alone.

use crate::network::PeerId;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// Questions one peer has at a time.
pub(super) const PEER_MAX_QUESTIONS: usize = 3;
/// Unanswered questions in a row after which a peer is left alone.
const STRIKES_MAX: u32 = 4;
/// Times a peer may offer a snapshot again after it did not have it, or did not answer.
const RETURNS_MAX: u32 = 3;
/// Rest after the first unanswered question.
const REST_FIRST: Duration = Duration::from_millis(250);

/// What a peer is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Has the snapshot.
    Useful,
    /// Does not have it, or does not answer.
    Useless,
    /// Sent something wrong.
    Blamed,
}

#[derive(Debug)]
struct Peer {
    standing: Standing,
    questions: usize,
    strikes: u32,
    returns: u32,
    rests_until: Option<Instant>,
}

/// The peers of one download.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: BTreeMap<PeerId, Peer>,
}

impl Peers {
    /// `peer` has the snapshot.
    pub fn offers(&mut self, peer: PeerId) {
        let fresh = || Peer { standing: Standing::Useful, questions: 0, strikes: 0, returns: 0, rests_until: None };
        let known = self.known.entry(peer).or_insert_with(fresh);
        if known.standing == Standing::Useless && known.returns < RETURNS_MAX {
            *known = Peer { questions: known.questions, returns: known.returns + 1, ..fresh() };
        }
    }

    /// Forgets who has which snapshot, not who sent something wrong.
    pub fn retarget(&mut self) {
        self.known.retain(|_, peer| peer.standing == Standing::Blamed);
    }

    /// Whether `peer` sent something wrong.
    pub fn is_blamed(&self, peer: &PeerId) -> bool {
        self.known.get(peer).is_some_and(|peer| peer.standing == Standing::Blamed)
    }

    /// Peers that may still answer.
    pub fn useful(&self) -> usize {
        self.known.values().filter(|peer| peer.standing == Standing::Useful).count()
    }

    /// The peer with the fewest questions that may get one more; it gets it.
    pub fn pick(&mut self, now: Instant) -> Option<PeerId> {
        let free = |peer: &Peer| {
            peer.standing == Standing::Useful
                && peer.questions < PEER_MAX_QUESTIONS
                && peer.rests_until.is_none_or(|until| until <= now)
        };
        let fewest = self.known.iter_mut().filter(|(_, peer)| free(peer)).min_by_key(|(_, peer)| peer.questions);
        fewest.map(|(id, peer)| {
            peer.questions += 1;
            *id
        })
    }

    /// When the first resting peer may be asked again.
    pub fn wakes(&self) -> Option<Instant> {
        let useful = self.known.values().filter(|peer| peer.standing == Standing::Useful);
        useful.filter_map(|peer| peer.rests_until).min()
    }

    /// `peer` answered well.
    pub fn answered(&mut self, peer: &PeerId) {
        self.settle(peer, |peer| (peer.strikes, peer.rests_until) = (0, None));
    }

    /// `peer` did not answer in time, or could not be reached. Returns whether it is left alone from now on.
    pub fn silent(&mut self, peer: &PeerId, now: Instant) -> bool {
        let mut left = false;
        self.settle(peer, |peer| {
            peer.strikes += 1;
            peer.rests_until = Some(now + REST_FIRST * 2u32.pow(peer.strikes.min(STRIKES_MAX) - 1));
            left = peer.strikes >= STRIKES_MAX;
            if left && peer.standing == Standing::Useful {
                peer.standing = Standing::Useless;
            }
        });
        left
    }

    /// `peer` does not have the snapshot any more.
    pub fn lacks(&mut self, peer: &PeerId) {
        self.settle(peer, |peer| {
            if peer.standing == Standing::Useful {
                peer.standing = Standing::Useless;
            }
        });
    }

    /// `peer` sent something wrong. Returns whether that is news.
    pub fn blame(&mut self, peer: &PeerId) -> bool {
        let mut news = false;
        self.settle(peer, |peer| {
            news = peer.standing != Standing::Blamed;
            peer.standing = Standing::Blamed;
        });
        news
    }

    fn settle(&mut self, peer: &PeerId, change: impl FnOnce(&mut Peer)) {
        if let Some(peer) = self.known.get_mut(peer) {
            peer.questions = peer.questions.saturating_sub(1);
            change(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_peers_share_the_work_and_bad_ones_get_none() {
        let (now, [a, b]) = (Instant::now(), [PeerId::random(), PeerId::random()]);
        let mut peers = Peers::default();
        assert_eq!(peers.pick(now), None);
        [a, b].into_iter().for_each(|peer| peers.offers(peer));
        let picked: Vec<PeerId> = std::iter::from_fn(|| peers.pick(now)).collect();
        assert_eq!(picked.len(), 2 * PEER_MAX_QUESTIONS);
        assert_eq!(picked.iter().filter(|peer| **peer == a).count(), PEER_MAX_QUESTIONS);
        assert!(peers.blame(&a) && !peers.blame(&a), "blame is news once");
        peers.offers(a);
        peers.answered(&b);
        assert_eq!((peers.pick(now), peers.pick(now)), (Some(b), None));
        peers.retarget();
        assert!(peers.is_blamed(&a) && !peers.is_blamed(&b));
        peers.offers(a);
        assert_eq!(peers.useful(), 0);
    }

    #[test]
    fn silent_peers_rest_and_are_left_alone_in_the_end() {
        let (mut now, peer) = (Instant::now(), PeerId::random());
        let mut peers = Peers::default();
        peers.offers(peer);
        for strike in 1..=STRIKES_MAX {
            assert_eq!(peers.pick(now), Some(peer));
            assert_eq!(peers.silent(&peer, now), strike == STRIKES_MAX);
            assert_eq!(peers.pick(now), None, "it rests");
            now = peers.wakes().unwrap_or(now);
        }
        assert_eq!((peers.useful(), peers.wakes()), (0, None));
        peers.offers(peer);
        assert_eq!(peers.pick(now), Some(peer), "it offered the snapshot anew");
        peers.lacks(&peer);
        assert_eq!(peers.useful(), 0);
        for _ in 0..2 * RETURNS_MAX {
            peers.offers(peer);
            peers.lacks(&peer);
        }
        peers.offers(peer);
        assert_eq!(peers.useful(), 0, "it only says that it has it");
        peers.retarget();
        peers.offers(peer);
        assert_eq!(peers.useful(), 1);
    }
}
