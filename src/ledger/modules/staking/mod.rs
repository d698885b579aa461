//! The staking module: the committee and the random beacon.
//!
//! Owns who decides blocks and the beacons of the last [`BEACON_RING`] heights. Must not know how a beacon is made.
//! Invariants: one beacon is recorded for each height, in order; a whole token of stake is one unit of power.

mod dispatch;

use super::{
    host::{ModuleError, ModuleHost},
    storage::{Array, Place, Slot, Vector, layout},
};
use crate::{
    ledger::abi::{IStaking, STAKING},
    types::{Address, B256, Height, U256},
};
pub(super) use dispatch::dispatch;

/// Heights whose beacon is kept.
pub const BEACON_RING: u64 = 8_192;
/// Most seats a committee may have.
pub const COMMITTEE_MAX_SEATS: usize = 256;

const RING_SLOTS: usize = 8_192;
const _: () = assert!(RING_SLOTS as u64 == BEACON_RING);

/// A seat of the committee.
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
        let tokens = self.stake / U256::from(crate::types::TOKEN);
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }
}

layout! {
    /// `struct { address account; uint64 power; bytes32 consensusKey; bytes32 vrfKey; bytes32 networkKey; uint256 stake; }`
    struct Seat {
        head: Slot<(Address, u64)>,
        consensus_key: Slot<B256>,
        vrf_key: Slot<B256>,
        network_key: Slot<B256>,
        stake: Slot<U256>,
    }
}

layout! {
    /// The module's variables from slot 0.
    struct State {
        committee: Vector<Seat>,
        newest: Slot<u64>,
        ring: Array<Slot<B256>, RING_SLOTS>,
    }
}

fn state() -> State {
    State::at(STAKING, U256::ZERO)
}

/// Heights of the oldest and the newest beacon that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BeaconWindow {
    pub(super) oldest: Height,
    pub(super) newest: Height,
}

impl BeaconWindow {
    pub(super) fn contains(&self, height: Height) -> bool {
        (self.oldest..=self.newest).contains(&height)
    }
}

/// Writes the genesis committee.
pub(super) fn install(host: &mut dyn ModuleHost, seats: &[ValidatorSeat]) -> Result<(), ModuleError> {
    if seats.len() > COMMITTEE_MAX_SEATS {
        let given = seats.len();
        return Err(ModuleError::Fatal(format!("committee has {given} seats, the limit is {COMMITTEE_MAX_SEATS}")));
    }
    let committee = state().committee;
    for seat in seats {
        let index = committee.grow(host)?;
        let place = committee.item(index);
        place.head.set(host, &(seat.account, seat.power()))?;
        place.consensus_key.set(host, &seat.consensus_key.into())?;
        place.vrf_key.set(host, &seat.vrf_key.into())?;
        place.network_key.set(host, &seat.network_key.into())?;
        place.stake.set(host, &seat.stake)?;
    }
    Ok(())
}

/// Records the beacon of the host's height.
pub(super) fn record_beacon(host: &mut dyn ModuleHost, beacon: B256) -> Result<(), ModuleError> {
    let (state, height) = (state(), host.height());
    let newest = state.newest.get(host)?;
    if height != 0 && height != newest + 1 {
        return Err(ModuleError::Fatal(format!("beacon of height {height} follows that of height {newest}")));
    }
    state.newest.set(host, &height)?;
    state.ring.item(height % BEACON_RING).set(host, &beacon)
}

/// Which beacons can be read.
pub(super) fn beacon_window(host: &mut dyn ModuleHost) -> Result<BeaconWindow, ModuleError> {
    let newest = state().newest.get(host)?;
    Ok(BeaconWindow { oldest: newest.saturating_sub(BEACON_RING - 1), newest })
}

/// The beacon of `height`.
pub(super) fn beacon(host: &mut dyn ModuleHost, height: Height) -> Result<B256, ModuleError> {
    let window = beacon_window(host)?;
    if !window.contains(height) {
        let BeaconWindow { oldest, newest } = window;
        return Err(ModuleError::revert(IStaking::BeaconUnknown { height, oldest, newest }));
    }
    state().ring.item(height % BEACON_RING).get(host)
}

/// The committee that decides the current block.
fn committee(host: &mut dyn ModuleHost) -> Result<Vec<IStaking::Validator>, ModuleError> {
    let committee = state().committee;
    (0..committee.len(host)?).map(|index| read_seat(host, committee.item(index))).collect()
}

fn read_seat(host: &mut dyn ModuleHost, place: Seat) -> Result<IStaking::Validator, ModuleError> {
    let (account, power) = place.head.get(host)?;
    Ok(IStaking::Validator {
        account,
        consensusKey: place.consensus_key.get(host)?,
        vrfKey: place.vrf_key.get(host)?,
        networkKey: place.network_key.get(host)?,
        stake: place.stake.get(host)?,
        power,
    })
}

#[cfg(test)]
mod tests;
