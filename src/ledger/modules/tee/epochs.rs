//! Key epochs: which key the group tags with, and who has it.
//!
//! Invariants: a key is one of PoDR² and its powers are those of its secret, so that no miner can be framed by them; a key has one epoch, so
//! that a receipt for its tags means one thing; what is handed over is sealed, and the chain does not look into it.

use super::{EpochSlots, Worker, state};
use crate::{
    crypto::hash,
    ledger::{
        abi::{ITee, TEE},
        modules::host::{ModuleError, ModuleHost},
    },
    proofs::podr2::{GROUP_KEY_BYTES, GroupKey, Srs},
    types::{Address, B256, U256},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolEvent;

/// Longest sealed key.
pub const SEALED_MAX_BYTES: usize = 256;

/// Gas of reading a key and its 1,058 powers: each is checked to be in the group, and all of them in two sums and two pairings.
const KEY_GAS: u64 = 5_000_000;

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

/// Opens an epoch with a new key.
pub(super) fn open(host: &mut dyn ModuleHost, key: &Bytes, srs: &Bytes) -> Result<u64, ModuleError> {
    let (opener, height) = (host.caller(), host.height());
    Worker::tagger(host, opener)?;
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
    slots.srs.set(host, &hash::content(srs).into())?;
    slots.digest.set(host, &digest)?;
    slots.key.set(host, key)?;
    let event = ITee::EpochOpened { epoch: number, opener, key: key.clone(), srs: srs.clone() };
    host.emit(TEE, event.encode_log_data())?;
    Ok(number)
}

/// Passes a sealed key on.
pub(super) fn hand_over(
    host: &mut dyn ModuleHost,
    number: u64,
    to: Address,
    sealed: &Bytes,
) -> Result<(), ModuleError> {
    let from = host.caller();
    Worker::tagger(host, from)?;
    Worker::tagger(host, to)?;
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
    let event = ITee::KeyHandedOver { epoch: number, from, to, sealed_: sealed.clone() };
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
