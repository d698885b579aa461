//! Which columns of files are tagged, in which epoch.
//!
//! Invariants: a column is tagged only with its holder's signature, over the epoch's key, that the tags are good; its last certification
//! counts; a column that another miner takes over has no tags.

use super::{
    Worker,
    epochs::{EpochState, epoch, standing},
    state,
};
use crate::{
    crypto::{PublicKey, Signature, Zip215Item, verify_all_zip215, verify_zip215},
    ledger::{
        abi::{IFiles, ITee, TEE},
        audit::tag_message,
        modules::{
            files,
            host::{ModuleError, ModuleHost},
            miners,
        },
    },
    types::{Address, B256, FileId, U256, params::FRAGMENTS},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolEvent;

/// Most files of a call.
pub const CERTIFY_MAX_FILES: usize = 64;

/// Gas of starting a batch of signatures, and of each of them: as the ed25519 module charges.
const BATCH_GAS: u64 = 4_000;
const SIGNATURE_GAS: u64 = 2_000;
/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;

/// Bits of a column's epoch; 12 of them fit a slot, and a million epochs fit them.
const EPOCH_BITS: usize = 20;
const EPOCH_MASK: u64 = (1 << EPOCH_BITS) - 1;
const _: () = assert!(EPOCH_BITS * FRAGMENTS <= 256);

/// What a worker says of files.
pub(super) struct Certificate<'a> {
    pub(super) epoch: u64,
    pub(super) files: &'a [B256],
    pub(super) columns: &'a [u16],
    pub(super) receipts: &'a [Bytes],
}

/// A holder's signature for the tags of its column.
struct Receipt {
    file: FileId,
    column: u8,
    holder: Address,
    message: [u8; 32],
    signature: Signature,
    key: PublicKey,
}

/// Binds columns to the open epoch.
pub(super) fn certify(host: &mut dyn ModuleHost, given: &Certificate<'_>) -> Result<(), ModuleError> {
    let worker = host.caller();
    Worker::tagger(host, worker)?;
    let slots = epoch(host, given.epoch)?;
    let standing = standing(host, slots)?;
    if standing != EpochState::Open || given.epoch >= EPOCH_MASK {
        return Err(ModuleError::revert(ITee::EpochNotOpen { number: given.epoch, state: standing.number() }));
    }
    check_counts(given)?;
    let key_digest = slots.digest.get(host)?;
    let mut receipts = Vec::new();
    for ((file, columns), bytes) in given.files.iter().zip(given.columns).zip(given.receipts) {
        read_receipts(host, (*file).into(), *columns, bytes, &key_digest, &mut receipts)?;
    }
    let number = u64::try_from(receipts.len()).expect("call data fits memory");
    host.charge(BATCH_GAS + SIGNATURE_GAS * number)?;
    check_signatures(&receipts)?;
    for (&file, &columns) in given.files.iter().zip(given.columns) {
        bind(host, file.into(), given.epoch, columns)?;
        let event = ITee::FileTagged { file, epoch: given.epoch, worker, columns };
        host.emit(TEE, event.encode_log_data())?;
    }
    Ok(())
}

fn check_counts(given: &Certificate<'_>) -> Result<(), ModuleError> {
    let files = given.files.len();
    if files > CERTIFY_MAX_FILES {
        let (given, maximum) = (U256::from(files), U256::from(CERTIFY_MAX_FILES));
        return Err(ModuleError::revert(ITee::TooMany { given, maximum }));
    }
    match [given.columns.len(), given.receipts.len()].into_iter().find(|other| *other != files) {
        Some(other) => {
            Err(ModuleError::revert(ITee::CountMismatch { left: U256::from(files), right: U256::from(other) }))
        }
        None => Ok(()),
    }
}

fn read_receipts(
    host: &mut dyn ModuleHost,
    file: FileId,
    columns: u16,
    bytes: &[u8],
    key_digest: &B256,
    receipts: &mut Vec<Receipt>,
) -> Result<(), ModuleError> {
    if columns == 0 || columns >> FRAGMENTS != 0 {
        return Err(ModuleError::revert(ITee::ColumnsInvalid { file: file.into(), columns }));
    }
    let holders = files::holders(host, file)?;
    if holders.iter().all(|holder| holder.is_zero()) {
        return Err(ModuleError::revert(IFiles::UnknownFile { id: file.into() }));
    }
    let (signatures, rest) = bytes.as_chunks::<SIGNATURE_BYTES>();
    let set: Vec<(u8, Address)> = (0u8..).zip(holders).filter(|(column, _)| columns >> column & 1 == 1).collect();
    if signatures.len() != set.len() || !rest.is_empty() {
        let [left, right] = [bytes.len(), set.len() * SIGNATURE_BYTES].map(U256::from);
        return Err(ModuleError::revert(ITee::CountMismatch { left, right }));
    }
    for ((column, holder), signature) in set.into_iter().zip(signatures) {
        let message = tag_message(host.chain_id(), file, column, holder, &key_digest.0);
        let (signature, key) = (Signature(*signature), miners::account_key(host, holder)?);
        receipts.push(Receipt { file, column, holder, message, signature, key });
    }
    Ok(())
}

/// Verifies all receipts at once; looks for the bad one only if there is one.
fn check_signatures(receipts: &[Receipt]) -> Result<(), ModuleError> {
    let items: Vec<Zip215Item<'_>> =
        receipts.iter().map(|receipt| (receipt.message.as_slice(), receipt.signature, receipt.key)).collect();
    if verify_all_zip215(&items) {
        return Ok(());
    }
    let bad = receipts.iter().zip(&items).find(|(_, item)| !verify_zip215(item));
    let (bad, _) = bad.ok_or_else(|| ModuleError::Fatal("receipts hold alone and not together".into()))?;
    let (file, column, holder) = (bad.file.into(), bad.column, bad.holder);
    Err(ModuleError::revert(ITee::ReceiptInvalid { file, column, holder }))
}

/// The epoch of each column's tags; none where there are none or their epoch is suspended.
pub(super) fn tags(host: &mut dyn ModuleHost, file: FileId) -> Result<[Option<u64>; FRAGMENTS], ModuleError> {
    let (word, mut tags) = (state().tags.at_key(&file.into()).get(host)?, [None; FRAGMENTS]);
    for (column, tag) in tags.iter_mut().enumerate() {
        let Some(number) = epoch_of(word, column).checked_sub(1) else { continue };
        let suspended = standing(host, state().epochs.item(number))? == EpochState::Suspended;
        *tag = (!suspended).then_some(number);
    }
    Ok(tags)
}

/// A column went to another miner: it has no tags.
pub(in crate::ledger::modules) fn forget_column(
    host: &mut dyn ModuleHost,
    file: FileId,
    column: u8,
) -> Result<(), ModuleError> {
    rebind(host, file, 1 << column, 0)
}

/// A file is deleted.
pub(in crate::ledger::modules) fn forget_file(host: &mut dyn ModuleHost, file: FileId) -> Result<(), ModuleError> {
    rebind(host, file, u16::MAX >> (16 - FRAGMENTS), 0)
}

fn bind(host: &mut dyn ModuleHost, file: FileId, epoch: u64, columns: u16) -> Result<(), ModuleError> {
    rebind(host, file, columns, epoch + 1)
}

/// Gives columns to the epoch `to` − 1, or to none, and moves the counts along.
fn rebind(host: &mut dyn ModuleHost, file: FileId, columns: u16, to: u64) -> Result<(), ModuleError> {
    let place = state().tags.at_key(&file.into());
    let before = place.get(host)?;
    let mut word = before;
    for column in (0..FRAGMENTS).filter(|column| columns >> column & 1 == 1) {
        let from = epoch_of(word, column);
        if from == to {
            continue;
        }
        count(host, from, -1)?;
        count(host, to, 1)?;
        word &= !(U256::from(EPOCH_MASK) << (EPOCH_BITS * column));
        word |= U256::from(to) << (EPOCH_BITS * column);
    }
    if word == before { Ok(()) } else { place.set(host, &word) }
}

fn epoch_of(word: U256, column: usize) -> u64 {
    (word >> (EPOCH_BITS * column)).as_limbs()[0] & EPOCH_MASK
}

fn count(host: &mut dyn ModuleHost, number: u64, change: i64) -> Result<(), ModuleError> {
    let Some(number) = number.checked_sub(1) else { return Ok(()) };
    let work = state().epochs.item(number).work;
    let (columns, used_at) = work.get(host)?;
    let counted = columns.checked_add_signed(change);
    let counted =
        counted.ok_or_else(|| ModuleError::Fatal(format!("key epoch {number} lost more columns than it had")))?;
    // Columns come only by certificates, which are a use of the key.
    let used_at = if change > 0 { host.height() } else { used_at };
    work.set(host, &(counted, used_at))
}
