//! Evidence that the others have begun a height, so that nobody keeps waiting for the block interval.
//!
//! One faulty member must not drive the pace: the height's first proposer may, and so may more than a third of the power.

use crate::{consensus::context::Seats, network::peer_id_of, types::Height};
use libp2p::PeerId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use tokio::sync::watch;

/// Highest height each member was heard at.
pub(super) struct Pace {
    heard: Mutex<BTreeMap<PeerId, Height>>,
    version: watch::Sender<u64>,
}

impl Pace {
    /// Nobody heard yet.
    pub fn new() -> Self {
        Self { heard: Mutex::default(), version: watch::Sender::new(0) }
    }

    /// Notes that `member` takes part in `height`.
    pub fn note(&self, member: PeerId, height: Height) {
        let mut heard = self.heard.lock();
        let known = heard.entry(member).or_default();
        if *known >= height {
            return;
        }
        *known = height;
        drop(heard);
        self.version.send_modify(|version| *version += 1);
    }

    /// Forgets everybody who is not in `members`.
    pub fn retain(&self, members: &BTreeMap<PeerId, u64>) {
        self.heard.lock().retain(|peer, _| members.contains_key(peer));
    }

    /// Resolves when the height of `seats` has begun elsewhere.
    pub async fn begun(&self, seats: &Seats) {
        let mut version = self.version.subscribe();
        while !self.has_begun(seats) {
            if version.changed().await.is_err() {
                return;
            }
        }
    }

    fn has_begun(&self, seats: &Seats) -> bool {
        let heard = self.heard.lock();
        let begun = |peer: &PeerId| heard.get(peer).is_some_and(|height| *height >= seats.height());
        let first = &seats.first_proposer().info().account;
        let mut power = 0u128;
        for seat in seats.seats() {
            let info = seat.info();
            if peer_id_of(&info.network_key).is_ok_and(|peer| begun(&peer)) {
                if info.account == *first {
                    return true;
                }
                power += u128::from(info.power);
            }
        }
        power * 3 > u128::from(seats.total_power())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{consensus::committee_of, types::B256};
    use futures::FutureExt;

    #[test]
    fn the_proposer_or_a_third_set_the_pace() {
        let (committee, _) = committee_of(4);
        let seats = Seats::new(5, &committee, B256::ZERO);
        let peer = |i: usize| peer_id_of(&committee.members[i].network_key).unwrap();
        let first = seats.first_proposer().info().account;
        let proposer = committee.members.iter().position(|m| m.account == first).unwrap();
        let others: Vec<usize> = (0..4).filter(|i| *i != proposer).collect();

        let pace = Pace::new();
        pace.note(peer(proposer), 4);
        pace.note(peer(others[0]), 5);
        assert!(pace.begun(&seats).now_or_never().is_none());
        pace.note(peer(others[1]), 9);
        assert!(pace.begun(&seats).now_or_never().is_some());
        pace.retain(&BTreeMap::new());
        assert!(pace.begun(&seats).now_or_never().is_none());
        pace.note(peer(proposer), 5);
        assert!(pace.begun(&seats).now_or_never().is_some());
    }
}
