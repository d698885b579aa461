//! The beacons of the last heights. Invariant: one beacon is recorded for each height, in order.

use super::state::state;
use crate::{
    ledger::{
        abi::IStaking,
        modules::host::{ModuleError, ModuleHost},
    },
    types::{B256, Height},
};

/// Heights whose beacon is kept.
pub const BEACON_RING: u64 = 8_192;

pub(super) const RING_SLOTS: usize = 8_192;
const _: () = assert!(RING_SLOTS as u64 == BEACON_RING);

/// Heights of the oldest and the newest beacon that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger::modules) struct BeaconWindow {
    pub(in crate::ledger::modules) oldest: Height,
    pub(in crate::ledger::modules) newest: Height,
}

impl BeaconWindow {
    pub(in crate::ledger::modules) fn contains(&self, height: Height) -> bool {
        (self.oldest..=self.newest).contains(&height)
    }
}

/// Records the beacon of the host's height.
pub(super) fn record(host: &mut dyn ModuleHost, beacon: B256) -> Result<(), ModuleError> {
    let (state, height) = (state(), host.height());
    let newest = state.newest.get(host)?;
    if height != 0 && height != newest + 1 {
        return Err(ModuleError::Fatal(format!("beacon of height {height} follows that of height {newest}")));
    }
    state.newest.set(host, &height)?;
    state.ring.item(height % BEACON_RING).set(host, &beacon)
}

/// Which beacons can be read.
pub(in crate::ledger::modules) fn beacon_window(host: &mut dyn ModuleHost) -> Result<BeaconWindow, ModuleError> {
    let newest = state().newest.get(host)?;
    Ok(BeaconWindow { oldest: newest.saturating_sub(BEACON_RING - 1), newest })
}

/// The beacon of `height`.
pub(in crate::ledger::modules) fn beacon(host: &mut dyn ModuleHost, height: Height) -> Result<B256, ModuleError> {
    let window = beacon_window(host)?;
    if !window.contains(height) {
        let BeaconWindow { oldest, newest } = window;
        return Err(ModuleError::revert(IStaking::BeaconUnknown { height, oldest, newest }));
    }
    state().ring.item(height % BEACON_RING).get(host)
}
