//! The files module: what is stored, who owns it, who holds it.
//!
//! Owns files, their owners and holders and the totals. Must not know fragments' bytes. Invariants: a file exists as long as it
//! has an owner; its holders were ranked for it and signed for it, or took their column over by a repair; each holder's used space is
//! the sum of its files' columns, and its list of holdings has each of these files once;
//! each owner's territory is charged with all twelve columns; the owners' lists and the positions in `ownership` agree.

mod columns;
mod dispatch;
mod owners;
mod release;

use super::{
    host::{ModuleError, ModuleHost},
    miners, names,
    staking::{self, BeaconWindow, Work},
    storage::{Array, Mapping, Place, Slot, Vector, layout},
    territory,
};
use crate::{
    crypto::{self, PublicKey, Signature, hash},
    ledger::{
        abi::{FILES, IFiles},
        manifest::Manifest,
        placement::{self, PlacementError},
        receipt::receipt_message,
    },
    types::{Address, B256, FileId, Height, U256, params::FRAGMENTS},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolEvent;
pub(super) use columns::{Column, Mark, column, column_bytes, column_of, holders, mark, replace_holder};
pub(super) use dispatch::dispatch;
use owners::OwnerSlots;
use release::{purge, release, remove_for};

/// Most files one `listOf` answers with.
pub const LIST_MAX_FILES: u64 = 1_000;

/// Gas for each byte of a manifest: it is hashed, decoded and checked.
pub(super) const MANIFEST_BYTE_GAS: u64 = 2;
/// Gas for each candidate ranked: a hash, a logarithm and its share of the sort. Reading its two slots is charged apart.
const CANDIDATE_GAS: u64 = 150;
/// Gas for each receipt: what the EVM charges for a signature.
const RECEIPT_GAS: u64 = 3_000;
/// Bytes of a receipt.
const RECEIPT_BYTES: usize = 64;

layout! {
    /// `struct { uint64 size; uint32 segments; uint64 storedAt; uint64 columnBytes; address[] owners; Column[12] holders; }` with
    /// `struct Column { address holder; uint64 place; uint8 marks; uint24 since; }`: `place` is the file's index among its holder's holdings, `since`
    /// the round of audits in which the holder got it.
    struct FileSlots {
        head: Slot<(u64, u32, u64, u64)>,
        owners: Vector<Slot<Address>>,
        holders: Array<Slot<(Address, u64, u32)>, FRAGMENTS>,
    }
}

layout! {
    /// The module's variables from slot 0.
    struct State {
        files: Mapping<B256, FileSlots>,
        owned: Mapping<Address, Vector<Slot<B256>>>,
        ownership: Mapping<B256, Mapping<Address, OwnerSlots>>,
        count: Slot<u64>,
        bytes: Slot<U256>,
        charged: Mapping<u64, Vector<Slot<B256>>>,
    }
}

fn state() -> State {
    State::at(FILES, U256::ZERO)
}

/// The fixed part of a file. A size of 0 means that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileHead {
    size: u64,
    segments: u32,
    stored_at: Height,
    column_bytes: u64,
}

impl FileHead {
    /// What each of its owners is charged.
    fn charge(&self) -> u64 {
        charge_of_column(self.column_bytes)
    }
}

/// What a caller hands in to make a file active.
struct Deposit<'a> {
    /// Whose the file will be.
    owner: Address,
    /// The territory to charge, if the caller names one.
    territory: Option<u64>,
    manifest: &'a Bytes,
    beacon_height: Height,
    holders: &'a [Address],
    receipts: &'a [Bytes],
}

/// As [`store`], by somebody who may act for the owner.
fn store_for(host: &mut dyn ModuleHost, given: &Deposit<'_>) -> Result<FileId, ModuleError> {
    names::require_actor(host, given.owner)?;
    store(host, given)
}

/// Makes a dispersed file active for its owner, or the owner a further one of a file that is.
fn store(host: &mut dyn ModuleHost, given: &Deposit<'_>) -> Result<FileId, ModuleError> {
    let length = u64::try_from(given.manifest.len()).expect("call data fits memory");
    host.charge(length * MANIFEST_BYTE_GAS)?;
    let (id, owner) = (FileId(hash::content(given.manifest)), given.owner);
    if let Some(head) = head(host, id)? {
        own(host, id, given, head.charge())?;
        host.emit(FILES, IFiles::OwnerAdded { id: id.into(), owner }.encode_log_data())?;
        return Ok(id);
    }
    let manifest = Manifest::read(given.manifest)
        .map_err(|error| ModuleError::revert(IFiles::ManifestInvalid { reason: error.to_string() }))?;
    check_counts(given)?;
    check_placement(host, &manifest, given)?;
    check_receipts(host, id, given)?;
    activate(host, id, &manifest, given)?;
    Ok(id)
}

/// Makes the owner one of the file's and charges its territory: the one that is named, or the one chosen for it.
fn own(host: &mut dyn ModuleHost, id: FileId, given: &Deposit<'_>, charge: u64) -> Result<(), ModuleError> {
    let owner = given.owner;
    owners::refuse(host, id, owner)?;
    let token = match given.territory {
        Some(token) => token,
        None => territory::choose(host, owner, charge)?,
    };
    owners::add(host, id, owner, token)?;
    territory::charge(host, owner, token, id, charge)
}

/// Charges a file of the caller's to another of its territories.
fn reassign(host: &mut dyn ModuleHost, id: FileId, token: u64) -> Result<(), ModuleError> {
    let (charge, owner) = (require(host, id)?.charge(), host.caller());
    let former = owners::reassign(host, id, owner, token)?;
    territory::free(host, former, id, charge)?;
    territory::charge(host, owner, token, id, charge)?;
    host.emit(FILES, IFiles::FileReassigned { id: id.into(), owner, territory: token }.encode_log_data())
}

/// One file.
fn get(host: &mut dyn ModuleHost, id: FileId) -> Result<IFiles::File, ModuleError> {
    let FileHead { size, segments, stored_at, .. } = require(host, id)?;
    let owners = file(id).owners.page(host, 0, u64::MAX)?;
    Ok(IFiles::File { id: id.into(), owners, size, segments, holders: holders(host, id)?, storedAt: stored_at })
}

/// Number of files `owner` owns.
fn count_of(host: &mut dyn ModuleHost, owner: Address) -> Result<u64, ModuleError> {
    state().owned.at_key(&owner).len(host)
}

/// Files of `owner` from `skip` on.
fn list_of(host: &mut dyn ModuleHost, owner: Address, skip: u64, limit: u64) -> Result<Vec<B256>, ModuleError> {
    state().owned.at_key(&owner).page(host, skip, limit.min(LIST_MAX_FILES))
}

/// The territory an owner's file is charged to, and with how many bytes.
fn charge_of(host: &mut dyn ModuleHost, id: FileId, owner: Address) -> Result<(u64, u64), ModuleError> {
    let charge = require(host, id)?.charge();
    Ok((owners::territory(host, id, owner)?, charge))
}

/// Files charged to a territory from `skip` on.
fn list_in(host: &mut dyn ModuleHost, token: u64, skip: u64, limit: u64) -> Result<Vec<B256>, ModuleError> {
    state().charged.at_key(&token).page(host, skip, limit.min(LIST_MAX_FILES))
}

/// Number of active files and their bytes.
fn totals(host: &mut dyn ModuleHost) -> Result<(u64, U256), ModuleError> {
    Ok((state().count.get(host)?, state().bytes.get(host)?))
}

/// What an owner is charged for a file whose columns have this size: the bytes of all its fragments.
fn charge_of_column(column_bytes: u64) -> u64 {
    column_bytes * FRAGMENTS as u64
}

fn file(id: FileId) -> FileSlots {
    state().files.at_key(&id.into())
}

fn head(host: &mut dyn ModuleHost, id: FileId) -> Result<Option<FileHead>, ModuleError> {
    let (size, segments, stored_at, column_bytes) = file(id).head.get(host)?;
    Ok((size != 0).then_some(FileHead { size, segments, stored_at, column_bytes }))
}

fn require(host: &mut dyn ModuleHost, id: FileId) -> Result<FileHead, ModuleError> {
    head(host, id)?.ok_or_else(|| ModuleError::revert(IFiles::UnknownFile { id: id.into() }))
}

fn check_counts(given: &Deposit<'_>) -> Result<(), ModuleError> {
    let (holders, receipts) = (given.holders.len(), given.receipts.len());
    if holders != FRAGMENTS {
        let (given, required) = (U256::from(holders), U256::from(FRAGMENTS));
        return Err(ModuleError::revert(IFiles::HolderCount { given, required }));
    }
    if receipts != FRAGMENTS {
        let index = receipts.min(FRAGMENTS);
        return Err(refuse_receipt(index, given.holders.get(index).copied().unwrap_or_default()));
    }
    Ok(())
}

fn check_placement(host: &mut dyn ModuleHost, manifest: &Manifest, given: &Deposit<'_>) -> Result<(), ModuleError> {
    let beacon = placement_beacon(host, given.beacon_height)?;
    let candidates = miners::candidates(host)?;
    let number = u64::try_from(candidates.len()).expect("candidates fit memory");
    host.charge(number.saturating_mul(CANDIDATE_GAS))?;
    let first =
        manifest.segments.first().ok_or_else(|| ModuleError::Fatal("a checked manifest has no segment".into()))?;
    let seed = placement::seed(&beacon, &first.id);
    let ranked = placement::rank(&seed, given.beacon_height, &candidates, host.params());
    placement::check(&ranked, given.holders).map_err(|error| refuse_placement(&error))
}

fn refuse_placement(error: &PlacementError) -> ModuleError {
    match *error {
        PlacementError::Count { given, required } => {
            ModuleError::revert(IFiles::HolderCount { given: U256::from(given), required: U256::from(required) })
        }
        PlacementError::Duplicate { index, holder }
        | PlacementError::NotRanked { index, holder }
        | PlacementError::TooManySkipped { index, holder, .. } => {
            ModuleError::revert(IFiles::HolderNotPlaced { index: U256::from(index), holder })
        }
    }
}

/// The beacon of `height`, if a placement may still be drawn from it.
fn placement_beacon(host: &mut dyn ModuleHost, height: Height) -> Result<B256, ModuleError> {
    let ring = staking::beacon_window(host)?;
    let oldest = ring.oldest.max(ring.newest.saturating_sub(host.params().placement_window_blocks));
    let window = BeaconWindow { oldest, newest: ring.newest };
    if !window.contains(height) {
        return Err(ModuleError::revert(IFiles::BeaconTooOld { height, oldest, newest: ring.newest }));
    }
    staking::beacon(host, height)
}

/// Verifies all receipts at once; looks for the bad one only if there is one.
fn check_receipts(host: &mut dyn ModuleHost, id: FileId, given: &Deposit<'_>) -> Result<(), ModuleError> {
    host.charge(RECEIPT_GAS * FRAGMENTS as u64)?;
    let mut signed = Vec::with_capacity(FRAGMENTS);
    for (index, (&holder, receipt)) in (0u8..).zip(given.holders.iter().zip(given.receipts)) {
        let bytes: [u8; RECEIPT_BYTES] =
            receipt.as_ref().try_into().map_err(|_| refuse_receipt(usize::from(index), holder))?;
        let message = receipt_message(host.chain_id(), id, index, holder);
        signed.push((message, Signature(bytes), miners::account_key(host, holder)?));
    }
    let batch: Vec<(&[u8], Signature, PublicKey)> =
        signed.iter().map(|(message, signature, key)| (message.as_slice(), *signature, *key)).collect();
    if crypto::verify_batch(&batch).is_ok() {
        return Ok(());
    }
    for (index, (message, signature, key)) in signed.iter().enumerate() {
        key.verify(message, signature).map_err(|_| refuse_receipt(index, given.holders[index]))?;
    }
    Ok(())
}

fn refuse_receipt(index: usize, holder: Address) -> ModuleError {
    ModuleError::revert(IFiles::ReceiptInvalid { index: U256::from(index), holder })
}

fn activate(
    host: &mut dyn ModuleHost,
    id: FileId,
    manifest: &Manifest,
    given: &Deposit<'_>,
) -> Result<(), ModuleError> {
    let (owner, height, column) = (given.owner, host.height(), manifest.column_bytes());
    for (index, &holder) in (0u8..).zip(given.holders) {
        Column::place(host, id, index, holder, column)?
            .map_err(|free| ModuleError::revert(IFiles::HolderFull { holder, free, needed: column }))?;
        // The receipt that was checked is a verification of these bytes: useful work of whoever operates the miner.
        let operator = miners::operator(host, holder)?;
        staking::record_points(host, operator, Work::ServiceVerified, column)?;
    }
    let segments = u32::try_from(manifest.segments.len()).expect("a manifest has at most 4,096 segments");
    file(id).head.set(host, &(manifest.size, segments, height, column))?;
    own(host, id, given, charge_of_column(column))?;
    let (files, bytes) = totals(host)?;
    state().count.set(host, &(files + 1))?;
    state().bytes.set(host, &(bytes + U256::from(manifest.size)))?;

    let (holders, encoded) = (given.holders.to_vec(), given.manifest.clone());
    let event = IFiles::FileStored { id: id.into(), owner, size: manifest.size, holders, manifest: encoded };
    host.emit(FILES, event.encode_log_data())
}

#[cfg(test)]
mod tests;
