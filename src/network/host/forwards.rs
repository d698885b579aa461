//! Gossip of others before it is passed on.
//!
//! Owns how long a message waits. A large one waits a moment: whoever has it from elsewhere by then has said so, and is spared a
//! copy. Among a few hosts, whose publisher reaches all of them itself, that spares every copy but the first. Invariants: every
//! message is passed on, in time for the library to still hold it; what waits is bounded.

use libp2p::{PeerId, gossipsub::MessageId};
use std::{collections::VecDeque, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Smaller messages are passed on at once: a copy costs less than a word about it.
const LARGE_MIN_BYTES: usize = 16 << 10;
/// How long a large one waits; a small part of the seconds the library holds it.
const PAUSE: Duration = Duration::from_millis(50);
/// Messages that wait; with more the oldest goes on early.
const WAITING_MAX: usize = 1_024;

/// A message and the peer it came from.
pub(super) type Heard = (MessageId, PeerId);

/// What waits, in order of arrival.
#[derive(Default)]
pub(super) struct Forwards {
    waiting: VecDeque<(Instant, Heard)>,
}

impl Forwards {
    /// Takes in a message of `len` bytes that arrived at `now`. Returns what is to be passed on at once.
    pub fn heard(&mut self, heard: Heard, len: usize, now: Instant) -> Option<Heard> {
        if len < LARGE_MIN_BYTES {
            return Some(heard);
        }
        self.waiting.push_back((now + PAUSE, heard));
        match self.waiting.len() > WAITING_MAX {
            true => self.waiting.pop_front().map(|(_, oldest)| oldest),
            false => None,
        }
    }

    /// Resolves when a message has waited long enough; never while nothing waits.
    pub async fn due(&self) {
        match self.waiting.front() {
            Some((at, _)) => sleep_until(*at).await,
            None => std::future::pending().await,
        }
    }

    /// The next message that has waited long enough at `now`.
    pub fn take(&mut self, now: Instant) -> Option<Heard> {
        let (_, heard) = self.waiting.pop_front_if(|(at, _)| *at <= now)?;
        Some(heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(n: usize) -> Heard {
        (MessageId::new(&n.to_be_bytes()), PeerId::random())
    }

    #[test]
    fn large_messages_wait_and_none_is_lost() {
        let (mut forwards, now) = (Forwards::default(), Instant::now());
        let (small, large) = (heard(0), heard(1));
        assert_eq!(forwards.heard(small.clone(), LARGE_MIN_BYTES - 1, now), Some(small));
        assert_eq!(forwards.heard(large.clone(), LARGE_MIN_BYTES, now), None);
        assert_eq!(forwards.take(now), None);
        assert_eq!(forwards.take(now + PAUSE), Some(large));
        let early = (0..WAITING_MAX + 3).filter(|n| forwards.heard(heard(*n), LARGE_MIN_BYTES, now).is_some()).count();
        let later = std::iter::from_fn(|| forwards.take(now + PAUSE)).count();
        assert_eq!((early, later), (3, WAITING_MAX));
    }
}
