//! Key epochs: which key the group tags with, and who has it.
//!
//! Invariants: a key is one of PoDR² and its powers are those of its secret, so that no miner can be framed by them; a key has one epoch, so
//! that a receipt for its tags means one thing; an open epoch is replaced only when it is old or its key is with nobody; what is handed over is
//! sealed by somebody who has it to a key that is the receiver's now, and the chain does not look into it.

use super::{EpochSlots, GROUP_MAX, Standing, Worker, state};
use crate::{
    crypto::hash,
    ledger::{
        abi::{ITee, TEE},
        modules::host::{ModuleError, ModuleHost},
    },
    proofs::podr2::{GROUP_KEY_BYTES, GroupKey, Srs},
    types::{Address, B256, Height, U256, params::KEY_LOST_ROUNDS},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolEvent;

/// Longest sealed key.
pub const SEALED_MAX_BYTES: usize = 256;

/// Gas of reading a key and its 1,058 powers: 1,058 points are decompressed and checked to be in the group, two sums of 1,057 products with
/// 128 bits and two pairings compare them. `cess bench quote` measures 70 ms on one core, where `ecrecover` takes 41 µs: 5.1 million at its
/// 3,000 gas. Half as much again is for processors on which this curve, whose code is assembler, is slower beside that one.
const KEY_GAS: u64 = 7_500_000;

/// Where a key epoch is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EpochState {
    Open,
    Closed,
    Suspended,
}

impl EpochState {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Closed => 1,
            Self::Suspended => 2,
        }
    }

    fn read(number: u32) -> Result<Self, ModuleError> {
        let of_number = |state: &Self| u32::from(state.number()) == number;
        let state = [Self::Open, Self::Closed, Self::Suspended].into_iter().find(of_number);
        state.ok_or_else(|| ModuleError::Fatal(format!("a key epoch is in state {number}")))
    }
}

/// The slots of an epoch that was opened.
pub(super) fn epoch(host: &mut dyn ModuleHost, number: u64) -> Result<EpochSlots, ModuleError> {
    if number >= state().epochs.len(host)? {
        return Err(ModuleError::revert(ITee::UnknownEpoch { number }));
    }
    Ok(state().epochs.item(number))
}

/// Where an epoch is in its life.
pub(super) fn standing(host: &mut dyn ModuleHost, slots: EpochSlots) -> Result<EpochState, ModuleError> {
    EpochState::read(slots.head.get(host)?.2)
}

/// Until when the open epoch has its place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tenure {
    /// The open epoch.
    pub(super) number: u64,
    /// Block from which on it is old.
    pub(super) due: Height,
    /// Block from which on its key counts as lost if nothing is done under it until then; 0 if nobody has it.
    pub(super) lost: Height,
}

/// That of the open epoch, if there is one.
pub(super) fn tenure(host: &mut dyn ModuleHost) -> Result<Option<Tenure>, ModuleError> {
    let Some(number) = state().epochs.len(host)?.checked_sub(1) else { return Ok(None) };
    let slots = state().epochs.item(number);
    if standing(host, slots)? != EpochState::Open {
        return Ok(None);
    }
    let ((_, opened_at, _), (_, used_at)) = (slots.head.get(host)?, slots.work.get(host)?);
    let held = !holders(host, slots)?.is_empty();
    let params = host.params();
    let due = opened_at.saturating_add(params.tee_epoch_eras.saturating_mul(params.era_blocks));
    let lost = used_at.saturating_add(KEY_LOST_ROUNDS.saturating_mul(params.audit_round_blocks));
    Ok(Some(Tenure { number, due, lost: if held { lost } else { 0 } }))
}

/// Active workers that have an epoch's key, in the order of their registration: the opener, and who was handed it. Whoever has drawn a new
/// seal key since lost what was sealed to the old one.
pub(super) fn holders(host: &mut dyn ModuleHost, slots: EpochSlots) -> Result<Vec<Address>, ModuleError> {
    let mut holders = Vec::new();
    for account in state().group.page(host, 0, GROUP_MAX)? {
        if has_key(host, slots, account)? {
            holders.push(account);
        }
    }
    Ok(holders)
}

fn has_key(host: &mut dyn ModuleHost, slots: EpochSlots, account: Address) -> Result<bool, ModuleError> {
    let sealed_to = slots.sealed_to.at_key(&account).get(host)?;
    if sealed_to.is_zero() {
        return Ok(false);
    }
    let Some(worker) = Worker::find(host, account)? else { return Ok(false) };
    Ok(worker.kind.tags()
        && worker.slots.seal_key.get(host)? == sealed_to
        && worker.standing(host)? == Standing::Active)
}

/// Opens an epoch with a new key, if the one before has had its time or lost its key.
pub(super) fn open(host: &mut dyn ModuleHost, key: &Bytes, srs: &Bytes) -> Result<u64, ModuleError> {
    let (opener, height) = (host.caller(), host.height());
    let worker = Worker::tagger(host, opener)?;
    if let Some(Tenure { number, due, lost }) = tenure(host)?
        && height < due.min(lost)
    {
        return Err(ModuleError::revert(ITee::EpochStillOpen { number, from: due.min(lost) }));
    }
    host.charge(KEY_GAS)?;
    let digest = check_key(key, srs)?;
    let known = state().keys.at_key(&digest);
    if known.get(host)? != 0 {
        return Err(refuse("it is that of an earlier epoch".to_owned()));
    }
    let number = state().epochs.grow(host)?;
    if let Some(before) = number.checked_sub(1) {
        close(host, before)?;
    }
    known.set(host, &(number + 1))?;
    let slots = state().epochs.item(number);
    slots.head.set(host, &(opener, height, u32::from(EpochState::Open.number())))?;
    slots.work.set(host, &(0, height))?;
    let seal_key = worker.slots.seal_key.get(host)?;
    slots.sealed_to.at_key(&opener).set(host, &seal_key)?;
    slots.srs.set(host, &hash::content(srs).into())?;
    slots.digest.set(host, &digest)?;
    slots.key.set(host, key)?;
    let event = ITee::EpochOpened { epoch: number, opener, key: key.clone(), srs: srs.clone() };
    host.emit(TEE, event.encode_log_data())?;
    Ok(number)
}

/// A key on its way.
pub(super) struct HandOver {
    pub(super) number: u64,
    pub(super) to: Address,
    /// The receiver's key that it is sealed to.
    pub(super) seal_key: B256,
    pub(super) sealed: Bytes,
}

/// Passes a sealed key on.
pub(super) fn hand_over(host: &mut dyn ModuleHost, given: &HandOver) -> Result<(), ModuleError> {
    let (from, HandOver { number, to, seal_key, sealed }) = (host.caller(), given);
    let (number, worker) = (*number, *to);
    Worker::tagger(host, from)?;
    let to = Worker::tagger(host, worker)?;
    let slots = epoch(host, number)?;
    let standing = standing(host, slots)?;
    if standing == EpochState::Suspended {
        return Err(ModuleError::revert(ITee::EpochNotOpen { number, state: standing.number() }));
    }
    let given = sealed.len();
    if given == 0 || given > SEALED_MAX_BYTES {
        let (given, maximum) = (U256::from(given), U256::from(SEALED_MAX_BYTES));
        return Err(ModuleError::revert(ITee::SealedLength { given, maximum }));
    }
    if !has_key(host, slots, from)? {
        return Err(ModuleError::revert(ITee::NotKeyHolder { account: from, number }));
    }
    let present = to.slots.seal_key.get(host)?;
    if *seal_key != present {
        return Err(ModuleError::revert(ITee::SealKeyChanged { worker, given: *seal_key, present }));
    }
    let sealed_to = slots.sealed_to.at_key(&worker);
    // What a worker has already is handed over to no use.
    if sealed_to.get(host)? != present {
        sealed_to.set(host, &present)?;
        let (columns, height) = (slots.work.get(host)?.0, host.height());
        slots.work.set(host, &(columns, height))?;
    }
    let event = ITee::KeyHandedOver { epoch: number, from, to: worker, sealKey: present, sealed_: sealed.clone() };
    host.emit(TEE, event.encode_log_data())
}

/// Tags of an epoch count no more: its key is bad.
pub(in crate::ledger::modules) fn suspend(host: &mut dyn ModuleHost, number: u64) -> Result<(), ModuleError> {
    let slots = epoch(host, number)?;
    if standing(host, slots)? == EpochState::Suspended {
        return Ok(());
    }
    write_state(host, slots, EpochState::Suspended)?;
    host.emit(TEE, ITee::EpochSuspended { epoch: number }.encode_log_data())
}

fn close(host: &mut dyn ModuleHost, number: u64) -> Result<(), ModuleError> {
    let slots = state().epochs.item(number);
    if standing(host, slots)? != EpochState::Open {
        return Ok(());
    }
    write_state(host, slots, EpochState::Closed)?;
    host.emit(TEE, ITee::EpochClosed { epoch: number }.encode_log_data())
}

fn write_state(host: &mut dyn ModuleHost, slots: EpochSlots, to: EpochState) -> Result<(), ModuleError> {
    let (opener, opened_at, _) = slots.head.get(host)?;
    slots.head.set(host, &(opener, opened_at, u32::from(to.number())))
}

/// Reads a key with its powers and gives its digest.
fn check_key(key: &Bytes, srs: &Bytes) -> Result<B256, ModuleError> {
    let length = || refuse(format!("it has {} B, a key has {GROUP_KEY_BYTES} B", key.len()));
    let bytes: &[u8; GROUP_KEY_BYTES] = key.as_ref().try_into().map_err(|_| length())?;
    let key = GroupKey::decode(bytes).map_err(|error| refuse(error.to_string()))?;
    Srs::decode(srs, &key).map_err(|error| refuse(error.to_string()))?;
    Ok(key.digest().into())
}

fn refuse(reason: String) -> ModuleError {
    ModuleError::revert(ITee::KeyInvalid { reason })
}
