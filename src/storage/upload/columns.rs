//! Which miner keeps which column of an upload, and who takes over when one fails.
//!
//! Owns the ranking and the assignment. Must not know segments. Invariants: the twelve holders are distinct members of the
//! ranking, as the chain demands; a miner that failed this upload is not chosen again.

use super::{UploadError, journal::Placement};
use crate::{
    client::{ChainClient, ChainStatus, MinerRecord},
    ledger::placement::{self, Candidate},
    network::PeerId,
    storage::directory::{MinerDirectory, peer_of},
    types::{Address, Height, Params, SegmentId, params::FRAGMENTS},
};
use parking_lot::Mutex;
use std::collections::BTreeSet;

/// Blocks before a beacon leaves the chain's window at which new miners are drawn.
const WINDOW_MARGIN_BLOCKS: Height = 64;

/// A miner as an upload sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub record: MinerRecord,
    pub peer: PeerId,
}

/// The holder of a column at some moment. The term tells an old holder from its successor.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub holder: Holder,
    pub term: u32,
}

pub(super) struct Columns {
    beacon_height: Height,
    ranked: Vec<Holder>,
    /// Bytes each holder must have room for.
    needed: u64,
    state: Mutex<State>,
}

struct State {
    seats: Vec<Seat>,
    former: Vec<(u8, Address)>,
    failed: BTreeSet<Address>,
    failures: Vec<String>,
}

impl Columns {
    /// Draws miners for a file that begins with `first`, whose holders keep `needed` bytes each. Columns of an earlier
    /// placement stay where they are as far as the ranking and the holders' room allow.
    pub async fn draw(
        chain: &dyn ChainClient,
        directory: &MinerDirectory,
        first: SegmentId,
        needed: u64,
        earlier: Option<&Placement>,
    ) -> Result<Self, UploadError> {
        let status = chain.status().await?;
        let params = Params::of(status.profile);
        let kept = earlier.filter(|placement| is_fresh(placement.beacon_height, &status, &params));
        let (height, beacon) = match kept {
            Some(placement) => match chain.beacon(placement.beacon_height).await? {
                Some(beacon) => (placement.beacon_height, beacon),
                None => (status.height, status.beacon),
            },
            None => (status.height, status.beacon),
        };
        let miners = directory.refresh().await?;
        let candidates: Vec<Candidate> = miners.values().map(candidate).collect();
        let ranked = placement::rank(&placement::seed(&beacon, &first), height, &candidates, &params);
        let ranked: Vec<Holder> = ranked.iter().filter_map(|account| miners.get(account)).filter_map(holder).collect();
        if ranked.len() < FRAGMENTS {
            return Err(UploadError::TooFewMiners { registered: miners.len(), eligible: ranked.len() });
        }
        Self::assign(height, ranked, needed, earlier)
    }

    fn assign(
        beacon_height: Height,
        ranked: Vec<Holder>,
        needed: u64,
        earlier: Option<&Placement>,
    ) -> Result<Self, UploadError> {
        let before: Vec<Address> =
            earlier.map(|placement| placement.holders.iter().map(Address::from).collect()).unwrap_or_default();
        let mut seats: Vec<Option<Holder>> = vec![None; FRAGMENTS];
        for (seat, account) in seats.iter_mut().zip(&before) {
            let stays = |holder: &&Holder| holder.record.address == *account && has_room(holder, needed);
            *seat = ranked.iter().find(stays).cloned();
        }
        let taken: BTreeSet<Address> = seats.iter().flatten().map(|holder| holder.record.address).collect();
        let open = |holder: &&Holder| !taken.contains(&holder.record.address) && has_room(holder, needed);
        let mut free = ranked.iter().filter(open).cloned();
        for seat in seats.iter_mut().filter(|seat| seat.is_none()) {
            *seat = free.next();
        }
        let seats: Vec<Seat> = seats.into_iter().flatten().map(|holder| Seat { holder, term: 0 }).collect();
        if seats.len() < FRAGMENTS {
            let largest_free = ranked.iter().map(free_bytes).max().unwrap_or(0);
            let with_room = ranked.iter().filter(|holder| has_room(holder, needed)).count();
            return Err(UploadError::NoRoom { eligible: ranked.len(), with_room, needed, largest_free });
        }
        let mut former: Vec<(u8, Address)> = Vec::new();
        if let Some(placement) = earlier {
            former.extend(placement.former.iter().map(|(column, account)| (*column, Address::from(account))));
            let moved = before.iter().zip(&seats).enumerate();
            let moved = moved.filter(|(_, (account, seat))| **account != seat.holder.record.address);
            former.extend(moved.filter_map(|(column, (account, _))| Some((u8::try_from(column).ok()?, *account))));
        }
        let state = State { seats, former, failed: BTreeSet::new(), failures: Vec::new() };
        Ok(Self { beacon_height, ranked, needed, state: Mutex::new(state) })
    }

    /// Height of the beacon the miners were drawn with.
    pub fn beacon_height(&self) -> Height {
        self.beacon_height
    }

    /// Whether a transaction with this placement would still be accepted for a while.
    pub fn is_fresh(&self, status: &ChainStatus) -> bool {
        is_fresh(self.beacon_height, status, &Params::of(status.profile))
    }

    /// Who holds `column` now.
    pub fn seat(&self, column: usize) -> Seat {
        self.state.lock().seats[column].clone()
    }

    /// Every current holder, in order of columns.
    pub fn holders(&self) -> Vec<Holder> {
        self.state.lock().seats.iter().map(|seat| seat.holder.clone()).collect()
    }

    /// Bytes that the fullest holder has left.
    pub fn room(&self) -> u64 {
        self.state.lock().seats.iter().map(|seat| free_bytes(&seat.holder)).min().unwrap_or(0)
    }

    /// Peers that may have fragments of each column: the holder, then those before it.
    pub fn sources(&self) -> [Vec<Address>; FRAGMENTS] {
        let state = self.state.lock();
        std::array::from_fn(|column| {
            let former = state.former.iter().rev().filter(|(of, _)| usize::from(*of) == column);
            let mut accounts = vec![state.seats[column].holder.record.address];
            accounts.extend(former.map(|(_, account)| *account));
            accounts.dedup();
            accounts
        })
    }

    /// Whether somebody could take over from a failing holder.
    pub fn has_spare(&self) -> bool {
        self.spare(&self.state.lock()).is_some()
    }

    /// Replaces the holder of `column` if it is still the one of `term`. False if nobody is left to take over.
    pub fn replace(&self, column: usize, term: u32, reason: &str) -> bool {
        let mut state = self.state.lock();
        if state.seats[column].term != term {
            return true;
        }
        let old = state.seats[column].holder.record.clone();
        state.failures.push(format!("miner {} ({}): {reason}", old.name, old.address));
        state.failed.insert(old.address);
        let Some(next) = self.spare(&state) else { return false };
        tracing::warn!(column, miner = %old.address, successor = %next.record.address, reason, "holder replaced");
        if let Ok(column) = u8::try_from(column) {
            state.former.push((column, old.address));
        }
        state.seats[column] = Seat { holder: next, term: term + 1 };
        true
    }

    /// What went wrong so far, newest last.
    pub fn failures(&self) -> Vec<String> {
        self.state.lock().failures.clone()
    }

    /// Number of holders that were replaced.
    pub fn replaced(&self) -> u32 {
        self.state.lock().seats.iter().map(|seat| seat.term).sum()
    }

    /// The assignment as it is written into the journal.
    pub fn placement(&self) -> Placement {
        let state = self.state.lock();
        let holders = state.seats.iter().map(|seat| seat.holder.record.address.into()).collect();
        let mut placement = Placement { beacon_height: self.beacon_height, holders, former: Vec::new() };
        state.former.iter().for_each(|(column, account)| placement.remember(*column, *account));
        placement
    }

    fn spare(&self, state: &State) -> Option<Holder> {
        let seated = |holder: &Holder| state.seats.iter().any(|seat| seat.holder == *holder);
        let fits = |holder: &&Holder| {
            !state.failed.contains(&holder.record.address) && !seated(holder) && has_room(holder, self.needed)
        };
        self.ranked.iter().find(fits).cloned()
    }
}

fn is_fresh(beacon_height: Height, status: &ChainStatus, params: &Params) -> bool {
    let oldest = status.height.saturating_sub(params.placement_window_blocks.saturating_sub(WINDOW_MARGIN_BLOCKS));
    (oldest..=status.height).contains(&beacon_height)
}

fn candidate(miner: &MinerRecord) -> Candidate {
    let MinerRecord { address, operator, prefix, weight, since, .. } = *miner;
    Candidate { account: address, operator, prefix, weight, since }
}

fn holder(miner: &MinerRecord) -> Option<Holder> {
    Some(Holder { record: miner.clone(), peer: peer_of(miner)? })
}

/// What may still be placed: where that has to be idle space, it is the weight.
fn free_bytes(holder: &Holder) -> u64 {
    holder.record.capacity.saturating_sub(holder.record.used).min(holder.record.weight)
}

fn has_room(holder: &Holder, needed: u64) -> bool {
    free_bytes(holder) >= needed
}
