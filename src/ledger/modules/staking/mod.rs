//! The staking module: who may decide blocks, who does, what it earns and what it costs to misbehave; and the random beacon.
//!
//! Owns stakes, keys, elections, committees of all eras, rewards, punishments and the beacons of the last [`BEACON_RING`] heights.
//! Must not know how a beacon is made or how messages travel. Invariants:
//! - the committee of an era is written once, at the end of the era two before, and never changes afterwards;
//! - the module's account holds exactly the bonded and unbonding stake;
//! - stake leaves it by withdrawal after the lock, or as a punishment: burnt, or to the module that imposed it; tokens come into being only as rewards, or again if they were burnt by a fine that was wrong;
//! - a key belongs to one account for ever; a whole token of stake is one unit of power;
//! - the work at the end of an era is bounded by [`CANDIDATES_MAX`] and [`COMMITTEE_MAX_SEATS`].

pub mod calls;
mod close;
mod dispatch;
mod emission;
mod jail;
mod offences;
mod registry;
mod reveal;
mod ring;
mod seats;
mod stake;
mod state;
mod turns;
mod views;
mod work;

use super::host::{ModuleError, ModuleHost};
use crate::{
    consensus::{COMMITTEE_MAX_MEMBERS, Calendar},
    types::{Address, B256, U256},
};
pub(super) use close::close_block;
pub(super) use dispatch::dispatch;
pub use emission::{EMISSION_YEARS, era_emission};
pub use ring::BEACON_RING;
pub(super) use ring::{BeaconWindow, beacon, beacon_window};
pub(super) use seats::{accounts_of_era, committee_of_era};
pub(super) use stake::{at_stake, burn, fine, mint, unburn};
pub(super) use turns::open_block;
pub use work::Work;
pub(super) use work::{forget_points, record_points};

/// Most seats a committee may have.
pub const COMMITTEE_MAX_SEATS: usize = COMMITTEE_MAX_MEMBERS;
/// Most candidates: bounds the work of an election.
pub const CANDIDATES_MAX: u64 = 512;

/// A seat of the genesis committee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatorSeat {
    /// Its account.
    pub account: Address,
    /// ed25519 key that signs votes.
    pub consensus_key: [u8; 32],
    /// ECVRF key that feeds the beacon.
    pub vrf_key: [u8; 32],
    /// ed25519 key of its network host.
    pub network_key: [u8; 32],
    /// Stake in smallest units.
    pub stake: U256,
}

impl ValidatorSeat {
    /// Voting power: whole tokens of stake.
    pub fn power(&self) -> u64 {
        power_of(self.stake)
    }
}

/// Voting power of a stake: its whole tokens.
fn power_of(stake: U256) -> u64 {
    u64::try_from(stake / U256::from(crate::types::TOKEN)).unwrap_or(u64::MAX)
}

/// Writes genesis: the validators as candidates, the committee of the first two eras, the first beacon and seed.
pub(super) fn install(host: &mut dyn ModuleHost, seats: &[ValidatorSeat], beacon: B256) -> Result<(), ModuleError> {
    if seats.len() > COMMITTEE_MAX_SEATS {
        let given = seats.len();
        return Err(ModuleError::Fatal(format!("committee has {given} seats, the limit is {COMMITTEE_MAX_SEATS}")));
    }
    ring::record(host, beacon)?;
    state::era(0).seed.set(host, &beacon)?;
    let mut sorted: Vec<&ValidatorSeat> = seats.iter().collect();
    sorted.sort_by_key(|seat| seat.account);
    for seat in &sorted {
        registry::install(host, seat)?;
    }
    let elected: Vec<seats::Elected> = sorted.iter().map(|seat| seats::Elected::genesis(seat)).collect();
    (0..2).try_for_each(|era| seats::write(host, era, &elected))
}

/// The chain's calendar.
pub(super) fn calendar(host: &dyn ModuleHost) -> Calendar {
    Calendar::of(host.params())
}

/// Era of the current block.
pub(super) fn current_era(host: &dyn ModuleHost) -> u64 {
    calendar(host).era(host.height())
}

#[cfg(test)]
mod tests;
