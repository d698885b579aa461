//! Which miners are worth asking first.
//!
//! Owns what was learnt about peers: who sent bad bytes, who was out of reach, how long a fragment takes. Must not know
//! files. Invariants: memory is bounded; nothing learnt lasts for ever, since miners come back.

use crate::{network::PeerId, types::FragmentId};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// How long a peer that sent bad bytes is asked last.
const BLAME_AVOID: Duration = Duration::from_secs(600);
/// How long a peer that failed or was slow is asked after the others.
const FAILURE_AVOID: Duration = Duration::from_secs(15);
/// Blames kept for the operator.
const BLAMES_MAX: usize = 256;
/// Peers remembered.
const PEERS_MAX: usize = 8_192;
/// Weight of a new measurement against the average so far.
const AVERAGE_PART: u32 = 8;

/// A peer that sent something it should not have.
#[derive(Debug, Clone)]
pub struct Blame {
    /// Who.
    pub peer: PeerId,
    /// What was asked of it.
    pub fragment: FragmentId,
    /// What was wrong.
    pub reason: String,
}

/// How willingly a peer is asked. Lower is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Good,
    Failing,
    Blamed,
}

#[derive(Default)]
struct Board {
    /// Until when a peer is avoided, and as what.
    avoided: BTreeMap<PeerId, (Instant, Standing)>,
    blames: VecDeque<Blame>,
    average: Option<Duration>,
}

#[derive(Default)]
pub(super) struct Scores {
    board: Mutex<Board>,
}

impl Scores {
    pub fn standing(&self, peer: &PeerId, now: Instant) -> Standing {
        match self.board.lock().avoided.get(peer) {
            Some((until, standing)) if now < *until => *standing,
            _ => Standing::Good,
        }
    }

    /// Average time of a full fetch so far.
    pub fn average(&self) -> Option<Duration> {
        self.board.lock().average
    }

    pub fn took(&self, time: Duration) {
        let average = &mut self.board.lock().average;
        *average = Some(match *average {
            None => time,
            Some(old) => (old * (AVERAGE_PART - 1) + time) / AVERAGE_PART,
        });
    }

    pub fn failed(&self, peer: PeerId, now: Instant) {
        self.avoid(peer, now, FAILURE_AVOID, Standing::Failing);
    }

    pub fn blame(&self, blame: Blame, now: Instant) {
        tracing::warn!(peer = %blame.peer, fragment = %blame.fragment, reason = blame.reason, "bad sender");
        self.avoid(blame.peer, now, BLAME_AVOID, Standing::Blamed);
        let blames = &mut self.board.lock().blames;
        if blames.len() == BLAMES_MAX {
            blames.pop_front();
        }
        blames.push_back(blame);
    }

    pub fn blames(&self) -> Vec<Blame> {
        self.board.lock().blames.iter().cloned().collect()
    }

    fn avoid(&self, peer: PeerId, now: Instant, time: Duration, standing: Standing) {
        let avoided = &mut self.board.lock().avoided;
        if avoided.len() >= PEERS_MAX {
            avoided.retain(|_, (until, _)| *until > now);
            if avoided.len() >= PEERS_MAX {
                avoided.pop_first();
            }
        }
        let entry = avoided.entry(peer).or_insert((now, standing));
        if entry.0 <= now || standing >= entry.1 {
            *entry = (now + time, standing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learnt_fades() {
        let (scores, peer, start) = (Scores::default(), PeerId::random(), Instant::now());
        assert_eq!(scores.standing(&peer, start), Standing::Good);
        let blame = Blame { peer, fragment: FragmentId([1; 32]), reason: "wrong bytes".into() };
        scores.blame(blame, start);
        scores.failed(peer, start);
        assert_eq!(scores.standing(&peer, start), Standing::Blamed, "a failure does not wash a blame off");
        let later = start + BLAME_AVOID;
        assert_eq!(scores.standing(&peer, later), Standing::Good);
        scores.failed(peer, later);
        assert_eq!(scores.standing(&peer, later), Standing::Failing);
        assert_eq!(scores.blames().len(), 1);
    }

    #[test]
    fn the_average_follows() {
        let scores = Scores::default();
        assert_eq!(scores.average(), None);
        scores.took(Duration::from_millis(80));
        scores.took(Duration::from_millis(160));
        assert_eq!(scores.average(), Some(Duration::from_millis(90)));
    }
}
