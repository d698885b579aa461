//! Idle space: commitments to segments, and what a committee decided about them.
//!
//! Must not know how a commitment is checked. Invariants: a segment's number is used once in an account's life; one batch waits at a time;
//! the array has the certified segments of the present registration from `base` on, and after them those that wait.

use super::{
    super::host::{ModuleError, ModuleHost},
    Entry, IdleSlots, registration,
    space::Space,
    state,
};
use crate::{
    codec,
    ledger::{
        abi::{IMiners, MINERS},
        audit::Rounds,
    },
    proofs::pois::{Commitment, PoisError, Shape},
    types::{Address, B256, Height, Params, U256, params::IDLE_COMMITMENTS_MAX},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolEvent;

/// Gas for each commitment: it is decoded and checked.
const COMMITMENT_GAS: u64 = 500;
/// Rounds of audits after which a batch that nobody decided may be given up.
const WAIT_ROUNDS: u64 = 2;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger::modules) enum BatchState {
    /// Nobody has decided yet.
    Waiting,
    /// Its segments count.
    Certified,
    /// They do not.
    Refused,
}

impl BatchState {
    fn from_word(word: u32) -> Self {
        match word {
            0 => Self::Waiting,
            1 => Self::Certified,
            _ => Self::Refused,
        }
    }

    fn word(self) -> u32 {
        self.code().into()
    }

    /// As contracts write it.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::Certified => 1,
            Self::Refused => 2,
        }
    }
}

/// Commitments that one call made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger::modules) struct Batch {
    /// Number of its first segment.
    pub(in crate::ledger::modules) first: u64,
    /// How many segments.
    pub(in crate::ledger::modules) count: u64,
    /// The block of the call.
    pub(in crate::ledger::modules) height: Height,
    /// What became of it.
    pub(in crate::ledger::modules) state: BatchState,
}

/// The counters of an account's idle space.
#[derive(Clone, Copy)]
struct Counts {
    batches: u64,
    /// The next segment's number.
    next: u64,
    /// Index of the present registration's first segment.
    base: u64,
    /// The batch that waits.
    waiting: Option<u64>,
}

impl Counts {
    fn read(host: &mut dyn ModuleHost, account: Address) -> Result<Self, ModuleError> {
        let (batches, next, base, waiting) = of(account).head.get(host)?;
        Ok(Self { batches, next, base, waiting: waiting.checked_sub(1) })
    }

    fn write(&self, host: &mut dyn ModuleHost, account: Address) -> Result<(), ModuleError> {
        let waiting = self.waiting.map_or(0, |batch| batch + 1);
        of(account).head.set(host, &(self.batches, self.next, self.base, waiting))
    }
}

fn of(account: Address) -> IdleSlots {
    state().idle.at_key(&account)
}

fn read_batch(host: &mut dyn ModuleHost, account: Address, batch: u64) -> Result<Batch, ModuleError> {
    let (first, height, count, state) = of(account).batch.at_key(&batch).get(host)?;
    Ok(Batch { first, count: count.into(), height, state: BatchState::from_word(state) })
}

fn write_batch(host: &mut dyn ModuleHost, account: Address, batch: u64, value: &Batch) -> Result<(), ModuleError> {
    let count = u32::try_from(value.count).expect("a batch has at most IDLE_COMMITMENTS_MAX segments");
    of(account).batch.at_key(&batch).set(host, &(value.first, value.height, count, value.state.word()))
}

/// Commits to the caller's next segments; gives the batch's number.
pub(super) fn commit(host: &mut dyn ModuleHost, commitments: &[Bytes]) -> Result<u64, ModuleError> {
    let account = host.caller();
    let entry = Entry::read_active(host, account)?;
    let (given, maximum) = (commitments.len(), IDLE_COMMITMENTS_MAX);
    if given == 0 || given > maximum {
        let (given, maximum) = (U256::from(given), U256::from(maximum));
        return Err(ModuleError::revert(IMiners::CommitmentCount { given, maximum }));
    }
    let count = u64::try_from(given).expect("a batch has at most IDLE_COMMITMENTS_MAX segments");
    host.charge(COMMITMENT_GAS * count)?;
    give_up_waiting(host, account)?;
    let mut counts = Counts::read(host, account)?;
    let roots = read_roots(host.params(), counts.next, commitments)?;
    check_room(host, &entry, count)?;

    let segments = of(account).segments;
    let start = segments.len(host)?;
    for (offset, root) in (0u64..).zip(&roots) {
        let place = segments.item(start + offset);
        place.number.set(host, &(counts.next + offset))?;
        place.root.set(host, root)?;
    }
    segments.set_len(host, start + count)?;
    let (batch, first) = (counts.batches, counts.next);
    counts = Counts { batches: batch + 1, next: first + count, waiting: Some(batch), ..counts };
    counts.write(host, account)?;
    let value = Batch { first, count, height: host.height(), state: BatchState::Waiting };
    write_batch(host, account, batch, &value)?;
    let event = IMiners::IdleCommitted { account, batch, first, commitments: commitments.to_vec() };
    host.emit(MINERS, event.encode_log_data())?;
    Ok(batch)
}

/// Refuses a batch that has waited too long, so that a committee that sleeps does not stop a miner for ever.
fn give_up_waiting(host: &mut dyn ModuleHost, account: Address) -> Result<(), ModuleError> {
    let Some(batch) = Counts::read(host, account)?.waiting else { return Ok(()) };
    let rounds = Rounds::of(host.params());
    let until = read_batch(host, account, batch)?.height.saturating_add(rounds.opened_at(WAIT_ROUNDS));
    if host.height() <= until {
        return Err(ModuleError::revert(IMiners::BatchWaiting { account, batch }));
    }
    decide_idle(host, account, batch, false)
}

/// The roots of the last layers.
fn read_roots(params: &Params, next: u64, commitments: &[Bytes]) -> Result<Vec<B256>, ModuleError> {
    let refuse = |segment, reason: String| ModuleError::revert(IMiners::CommitmentInvalid { segment, reason });
    let layers = Shape::of(params).layers();
    let read = |(segment, bytes): (u64, &Bytes)| {
        let commitment: Commitment = codec::decode(bytes).map_err(|error| refuse(segment, error.to_string()))?;
        let (what, found) = ("the commitment", commitment.layer_roots.len());
        let root = commitment.final_root().filter(|_| u32::try_from(found) == Ok(layers));
        let wrong = || refuse(segment, PoisError::Layers { what, found, expected: layers }.to_string());
        root.map(|root| B256::from(*root)).ok_or_else(wrong)
    };
    (next..).zip(commitments).map(read).collect()
}

fn check_room(host: &mut dyn ModuleHost, entry: &Entry, count: u64) -> Result<(), ModuleError> {
    let space = Space::read(host, entry)?;
    let params = host.params();
    let added = count.saturating_mul(Shape::of(params).bytes());
    let (idle, free) = (space.idle(params).saturating_add(added), space.free());
    if idle > free {
        return Err(ModuleError::revert(IMiners::IdleExceedsSpace { idle, free }));
    }
    Ok(())
}

/// Ends a batch that waits: its segments count from now on, or never.
pub(in crate::ledger::modules) fn decide_idle(
    host: &mut dyn ModuleHost,
    account: Address,
    batch: u64,
    accepted: bool,
) -> Result<(), ModuleError> {
    let entry = Entry::read(host, account)?;
    let counts = Counts::read(host, account)?;
    if counts.waiting != Some(batch) {
        return Err(ModuleError::revert(IMiners::UnknownBatch { account, batch }));
    }
    let value = read_batch(host, account, batch)?;
    let Batch { first, count, .. } = value;
    if accepted {
        let before = Space::read(host, &entry)?;
        let after = Space { segments: before.segments + count, ..before };
        let after = after.change(host, &entry, before)?;
        registration::weigh(host, &entry, &after)?;
    } else {
        forget_last(host, account, count)?;
    }
    let state = if accepted { BatchState::Certified } else { BatchState::Refused };
    write_batch(host, account, batch, &Batch { state, ..value })?;
    Counts { waiting: None, ..counts }.write(host, account)?;
    host.emit(MINERS, IMiners::IdleDecided { account, batch, first, count, accepted }.encode_log_data())
}

/// Removes the last segments of the array.
fn forget_last(host: &mut dyn ModuleHost, account: Address, count: u64) -> Result<(), ModuleError> {
    let segments = of(account).segments;
    let len = segments.len(host)?;
    let rest = len.checked_sub(count).ok_or_else(|| {
        ModuleError::Fatal(format!("miner {account} has {len} segments of idle space, {count} are to be removed"))
    })?;
    for index in rest..len {
        segments.item(index).number.clear(host)?;
        segments.item(index).root.clear(host)?;
    }
    segments.set_len(host, rest)
}

/// Refuses the batch that waits, if one does.
pub(super) fn drop_waiting(host: &mut dyn ModuleHost, account: Address) -> Result<(), ModuleError> {
    match Counts::read(host, account)?.waiting {
        None => Ok(()),
        Some(batch) => decide_idle(host, account, batch, false),
    }
}

/// Ends a registration: the next one begins behind its segments, which may be too many to be removed in one call.
pub(super) fn close(host: &mut dyn ModuleHost, entry: &Entry) -> Result<(), ModuleError> {
    let counts = Counts::read(host, entry.account)?;
    let base = of(entry.account).segments.len(host)?;
    if base == counts.base { Ok(()) } else { Counts { base, ..counts }.write(host, entry.account) }
}

/// Number of batches, and the next segment's number.
pub(super) fn counts(host: &mut dyn ModuleHost, account: Address) -> Result<(u64, u64), ModuleError> {
    let Counts { batches, next, .. } = Counts::read(host, account)?;
    Ok((batches, next))
}

/// One batch. Reverts if there is none.
pub(in crate::ledger::modules) fn idle_batch(
    host: &mut dyn ModuleHost,
    account: Address,
    batch: u64,
) -> Result<Batch, ModuleError> {
    if batch >= Counts::read(host, account)?.batches {
        return Err(ModuleError::revert(IMiners::UnknownBatch { account, batch }));
    }
    read_batch(host, account, batch)
}

/// Number and root of certified segments from `skip` on.
pub(in crate::ledger::modules) fn segments(
    host: &mut dyn ModuleHost,
    account: Address,
    skip: u64,
    limit: u64,
) -> Result<Vec<(u64, B256)>, ModuleError> {
    let entry = Entry::read(host, account)?;
    let (certified, base) = (Space::read(host, &entry)?.segments, Counts::read(host, account)?.base);
    let end = certified.min(skip.saturating_add(limit));
    (skip..end)
        .map(|index| {
            let place = of(account).segments.item(base + index);
            Ok((place.number.get(host)?, place.root.get(host)?))
        })
        .collect()
}
