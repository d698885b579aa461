//! What a miner had just before a round of audits opened.
//!
//! The first change in a round keeps the values before it, in one of two slots by the round's parity. A round without changes began with
//! what the next one began with, and that with what is there now if there was no change in it either. Invariant: the answer for the current
//! round and the one before does not change while they are those.

use super::{
    super::host::{ModuleError, ModuleHost},
    Entry,
    space::Space,
};
use crate::{
    ledger::{abi::IMiners, audit::Rounds},
    types::Address,
};

/// What a round of audits is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger::modules) struct Standing {
    /// Bytes of files.
    pub(in crate::ledger::modules) used: u64,
    /// Certified segments of idle space.
    pub(in crate::ledger::modules) segments: u64,
    /// Steps of them, from the first on, that data has taken.
    pub(in crate::ledger::modules) consumed: u64,
    /// Bytes of idle space that are left.
    pub(in crate::ledger::modules) idle: u64,
}

/// Keeps `before` if this is the round's first change.
pub(super) fn note(host: &mut dyn ModuleHost, entry: &Entry, before: &Space) -> Result<(), ModuleError> {
    let round = Rounds::of(host.params()).at(host.height());
    let place = entry.slots().before.item(round % 2);
    let (_, _, _, mark) = place.get(host)?;
    if mark == round + 1 {
        return Ok(());
    }
    place.set(host, &(before.used, before.segments, before.consumed, round + 1))
}

/// What a miner had just before `round` opened: the current round, or the one before.
pub(in crate::ledger::modules) fn standing(
    host: &mut dyn ModuleHost,
    account: Address,
    round: u64,
) -> Result<Standing, ModuleError> {
    let entry = Entry::read(host, account)?;
    let newest = Rounds::of(host.params()).at(host.height());
    let oldest = newest.saturating_sub(1);
    if !(oldest..=newest).contains(&round) {
        return Err(ModuleError::revert(IMiners::RoundUnknown { round, oldest, newest }));
    }
    let mut space = Space::read(host, &entry)?;
    for later in (round..=newest).rev() {
        let (used, segments, consumed, mark) = entry.slots().before.item(later % 2).get(host)?;
        if mark == later + 1 {
            space = Space { used, segments, consumed, ..space };
        }
    }
    let (used, segments) = (space.used, space.segments);
    Ok(Standing { used, segments, consumed: space.steps(host.params()), idle: space.idle(host.params()) })
}
