//! A miner's space: what it lends, what files use of it and what of its idle space they have taken.
//!
//! Idle space shrinks by what is placed, from the first certified segment on, in steps of a segment; what files give back does not make
//! it grow again, as its labels are gone. Invariants: used plus what is left of idle space never exceeds the capacity; `consumed` never
//! falls and never exceeds the certified segments; every change of use or idle space is noted with what the round began with.

use super::{
    super::{
        host::{ModuleError, ModuleHost},
        staking::{self, Work},
    },
    Entry, MinerState, registration, standing,
};
use crate::{
    proofs::pois::Shape,
    types::{Address, Params, params::IDLE_LIVE_STEPS},
};

/// Bytes of one step in which a segment of idle space is given up.
pub(super) fn step_bytes(params: &Params) -> u64 {
    Shape::of(params).bytes() / u64::from(IDLE_LIVE_STEPS)
}

/// Numbers of a miner's space, in bytes but for the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) used: u64,
    pub(super) capacity: u64,
    /// Certified segments of idle space.
    pub(super) segments: u64,
    /// Bytes of them that data has taken.
    pub(super) consumed: u64,
}

impl Space {
    /// That of a new miner.
    pub(super) fn empty(capacity: u64) -> Self {
        Self { used: 0, capacity, segments: 0, consumed: 0 }
    }

    pub(super) fn read(host: &mut dyn ModuleHost, entry: &Entry) -> Result<Self, ModuleError> {
        let (used, capacity, segments, consumed) = entry.slots().space.get(host)?;
        Ok(Self { used, capacity, segments, consumed })
    }

    /// Writes the space of a new registration.
    pub(super) fn begin(self, host: &mut dyn ModuleHost, entry: &Entry) -> Result<(), ModuleError> {
        entry.slots().space.set(host, &(self.used, self.capacity, self.segments, self.consumed))
    }

    /// Writes what `before` has become, without idle space that does not fit any more, and notes `before` for the round.
    pub(super) fn change(
        mut self,
        host: &mut dyn ModuleHost,
        entry: &Entry,
        before: Self,
    ) -> Result<Self, ModuleError> {
        self.settle(host.params());
        standing::note(host, entry, &before)?;
        entry.slots().space.set(host, &(self.used, self.capacity, self.segments, self.consumed))?;
        Ok(self)
    }

    /// All certified bytes.
    pub(super) fn certified(&self, params: &Params) -> u64 {
        self.segments.saturating_mul(Shape::of(params).bytes())
    }

    /// Steps of the certified segments that are taken, from the first on.
    pub(super) fn steps(&self, params: &Params) -> u64 {
        self.consumed.div_ceil(step_bytes(params))
    }

    /// Bytes of idle space that are left.
    pub(super) fn idle(&self, params: &Params) -> u64 {
        self.certified(params).saturating_sub(self.steps(params).saturating_mul(step_bytes(params)))
    }

    /// Bytes of the capacity that no file uses.
    pub(super) fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.used)
    }

    /// Bytes that may be placed here.
    fn room(&self, params: &Params) -> u64 {
        if params.placement_needs_idle { self.free().min(self.idle(params)) } else { self.free() }
    }

    /// Gives all idle space up.
    pub(super) fn end_idle(&mut self, params: &Params) {
        self.consumed = self.certified(params);
    }

    /// Gives up what does not fit beside the files, in whole steps.
    fn settle(&mut self, params: &Params) {
        let surplus = self.idle(params).saturating_sub(self.free());
        if surplus > 0 {
            let steps = self.steps(params).saturating_add(surplus.div_ceil(step_bytes(params)));
            self.consumed = steps.saturating_mul(step_bytes(params)).min(self.certified(params));
        }
    }

    fn take(&mut self, bytes: u64, params: &Params) {
        self.used += bytes;
        self.consumed = self.consumed.saturating_add(bytes).min(self.certified(params));
    }
}

/// Takes `bytes` of a miner's space. `Ok(Err(free))` if it has only `free` left.
pub(in crate::ledger::modules) fn take_space(
    host: &mut dyn ModuleHost,
    account: Address,
    bytes: u64,
) -> Result<Result<(), u64>, ModuleError> {
    let entry = Entry::read(host, account)?;
    let before = Space::read(host, &entry)?;
    let room = before.room(host.params());
    if room < bytes {
        return Ok(Err(room));
    }
    let mut after = before;
    after.take(bytes, host.params());
    let after = after.change(host, &entry, before)?;
    let replaced = before.idle(host.params()).saturating_sub(after.idle(host.params()));
    if replaced > 0 {
        registration::weigh(host, &entry, &after)?;
        let (operator, _) = entry.candidate().offer.get(host)?;
        staking::record_points(host, operator, Work::Replaced, replaced)?;
    }
    Ok(Ok(()))
}

/// Gives `bytes` of a miner's space back.
pub(in crate::ledger::modules) fn free_space(
    host: &mut dyn ModuleHost,
    account: Address,
    bytes: u64,
) -> Result<(), ModuleError> {
    let entry = Entry::read(host, account)?;
    let before = Space::read(host, &entry)?;
    let used = before.used.checked_sub(bytes).ok_or_else(|| {
        ModuleError::Fatal(format!("miner {account} uses {} B, {bytes} B are to be freed", before.used))
    })?;
    Space { used, ..before }.change(host, &entry, before).map(drop)
}

/// Bytes that may be placed on a miner, or why none may.
pub(in crate::ledger::modules) fn room(
    host: &mut dyn ModuleHost,
    account: Address,
) -> Result<Result<u64, String>, ModuleError> {
    let entry = match Entry::find(host, account)? {
        None => return Ok(Err("it is no miner".into())),
        Some(entry) if entry.state != MinerState::Active => return Ok(Err("it leaves".into())),
        Some(entry) => entry,
    };
    let space = Space::read(host, &entry)?;
    let (collateral, required) =
        (entry.slots().collateral.get(host)?, registration::required_collateral(host.params(), space.capacity));
    if collateral < required {
        return Ok(Err(format!("its collateral is {collateral}, {required} are required")));
    }
    Ok(Ok(space.room(host.params())))
}
