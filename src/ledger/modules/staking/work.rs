//! Useful work for storage: the only thing credit is earned by.
//!
//! Owns the counters of each candidate and era and their weights. Must not know who measured the work. Invariants: work is
//! counted in bytes and weighed once, at the end of the era, so that small pieces are not rounded away; work of an account that
//! is no candidate is not kept.

use super::{calendar, current_era, registry, state::activity};
use crate::{
    ledger::modules::host::{ModuleError, ModuleHost},
    types::{Address, Height},
};

/// Kinds of useful work, in the order their counters are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Bytes of fragments tagged.
    Tagged,
    /// Bytes of idle space certified.
    IdleCertified,
    /// Bytes of stored files verified.
    ServiceVerified,
    /// Bytes of idle space verified.
    IdleVerified,
    /// Bytes of idle space replaced by files.
    Replaced,
}

/// Number of kinds.
pub(super) const KINDS: usize = 5;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl Work {
    /// All kinds in the order of their counters.
    pub const ALL: [Self; KINDS] =
        [Self::Tagged, Self::IdleCertified, Self::ServiceVerified, Self::IdleVerified, Self::Replaced];

    /// Points and the bytes they are given for. CESS: tag 180 per 16 MiB, idle certificate 4 per 16 GiB, service verification 12
    /// per GiB, idle verification 1 per 16 GiB, replacement 1 per 64 MiB.
    pub const fn weight(self) -> (u64, u64) {
        match self {
            Self::Tagged => (180, 16 * MIB),
            Self::IdleCertified => (4, 16 * GIB),
            Self::ServiceVerified => (12, GIB),
            Self::IdleVerified => (1, 16 * GIB),
            Self::Replaced => (1, 64 * MIB),
        }
    }

    /// Points of `bytes` of this work, rounded down.
    pub fn points(self, bytes: u64) -> u64 {
        let (points, unit) = self.weight();
        u64::try_from(u128::from(bytes) * u128::from(points) / u128::from(unit)).unwrap_or(u64::MAX)
    }
}

/// Points of all counters together.
pub(super) fn total_points(counters: &[u64; KINDS]) -> u64 {
    Work::ALL.iter().zip(counters).fold(0, |sum, (kind, bytes)| sum.saturating_add(kind.points(*bytes)))
}

/// Counts `bytes` of work in the current era for `account`, if it is a candidate.
pub(in crate::ledger::modules) fn record_points(
    host: &mut dyn ModuleHost,
    account: Address,
    kind: Work,
    bytes: u64,
) -> Result<(), ModuleError> {
    if bytes == 0 || registry::registered_at(host, account)?.is_none() {
        return Ok(());
    }
    let era = current_era(host);
    change(host, account, era, kind, |sum| sum.saturating_add(bytes))
}

/// Takes work of height `since` back that turned out to be for nothing, if its era still goes on: storing and deleting the same
/// bytes all day is no work.
pub(in crate::ledger::modules) fn forget_points(
    host: &mut dyn ModuleHost,
    account: Address,
    kind: Work,
    bytes: u64,
    since: Height,
) -> Result<(), ModuleError> {
    let era = current_era(host);
    if calendar(host).era(since) != era || registry::registered_at(host, account)?.is_none() {
        return Ok(());
    }
    change(host, account, era, kind, |sum| sum.saturating_sub(bytes))
}

fn change(
    host: &mut dyn ModuleHost,
    account: Address,
    era: u64,
    kind: Work,
    change: impl FnOnce(u64) -> u64,
) -> Result<(), ModuleError> {
    let slots = activity(account, era);
    if kind == Work::Replaced {
        let sum = change(slots.replaced.get(host)?);
        return slots.replaced.set(host, &sum);
    }
    let (mut tagged, mut certified, mut service, mut idle) = slots.work.get(host)?;
    let counter = match kind {
        Work::Tagged => &mut tagged,
        Work::IdleCertified => &mut certified,
        Work::ServiceVerified => &mut service,
        Work::IdleVerified | Work::Replaced => &mut idle,
    };
    *counter = change(*counter);
    slots.work.set(host, &(tagged, certified, service, idle))
}

/// The counters of an account in an era.
pub(super) fn counters(host: &mut dyn ModuleHost, account: Address, era: u64) -> Result<[u64; KINDS], ModuleError> {
    let slots = activity(account, era);
    let (tagged, certified, service, idle) = slots.work.get(host)?;
    Ok([tagged, certified, service, idle, slots.replaced.get(host)?])
}
