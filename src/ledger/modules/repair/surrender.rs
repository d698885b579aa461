//! Columns that their holder gives up though it stays.
//!
//! Invariant: the list and the places in the orders agree, and a column is listed as long as the file's record marks it.

use super::{
    super::{
        files::{self, Mark},
        host::{ModuleError, ModuleHost},
        miners::{self, MinerState},
    },
    SurrenderedSlots, claims, order, state,
};
use crate::{
    ledger::abi::{IRepair, REPAIR},
    types::FileId,
};
use alloy_sol_types::SolEvent;

/// Opens the caller's column of a file for repair, if it is not open already.
pub(super) fn surrender(host: &mut dyn ModuleHost, file: FileId) -> Result<(), ModuleError> {
    let holder = host.caller();
    let not_holder = || ModuleError::revert(IRepair::NotHolder { file: file.into(), account: holder });
    let index = match files::column_bytes(host, file)? {
        None => return Err(not_holder()),
        Some(_) => files::column_of(host, file, holder)?.ok_or_else(not_holder)?,
    };
    let column = files::column(host, file, index)?.ok_or_else(not_holder)?;
    if column.has(Mark::Surrendered) || miners::state_of(host, holder)? != Some(MinerState::Active) {
        return Ok(());
    }
    let list = state().surrendered;
    let place = list.grow(host)?;
    list.item(place).file.set(host, &file.into())?;
    list.item(place).column.set(host, &u64::from(index))?;
    order(file, index).surrendered.set(host, &(place + 1))?;
    files::mark(host, file, index, Mark::Surrendered)?;
    host.emit(REPAIR, IRepair::ColumnSurrendered { file: file.into(), column: index, holder }.encode_log_data())
}

/// Forgets all that is kept of a column whose file goes or that has moved.
pub(in crate::ledger::modules) fn forget(
    host: &mut dyn ModuleHost,
    file: FileId,
    column: u8,
) -> Result<(), ModuleError> {
    claims::forget(host, file, column)?;
    let slots = order(file, column);
    if let Some(place) = slots.surrendered.get(host)?.checked_sub(1) {
        unlist(host, place)?;
        slots.surrendered.clear(host)?;
    }
    Ok(())
}

/// The last one of the list fills the gap.
fn unlist(host: &mut dyn ModuleHost, place: u64) -> Result<(), ModuleError> {
    let list = state().surrendered;
    let len = list.len(host)?;
    let last = len.checked_sub(1).filter(|last| place <= *last).ok_or_else(|| {
        ModuleError::Fatal(format!("{len} columns were given up, that at place {place} is to be removed"))
    })?;
    let (gap, end) = (list.item(place), list.item(last));
    if place != last {
        let (file, column) = read(host, end)?;
        gap.file.set(host, &file.into())?;
        gap.column.set(host, &u64::from(column))?;
        order(file, column).surrendered.set(host, &(place + 1))?;
    }
    end.file.clear(host)?;
    end.column.clear(host)?;
    list.set_len(host, last)
}

/// Columns of the list from `skip` on.
pub(super) fn page(host: &mut dyn ModuleHost, skip: u64, limit: u64) -> Result<Vec<(FileId, u8)>, ModuleError> {
    let list = state().surrendered;
    let end = list.len(host)?.min(skip.saturating_add(limit));
    (skip..end).map(|place| read(host, list.item(place))).collect()
}

fn read(host: &mut dyn ModuleHost, place: SurrenderedSlots) -> Result<(FileId, u8), ModuleError> {
    let (file, column) = (place.file.get(host)?, place.column.get(host)?);
    let column = u8::try_from(column)
        .map_err(|_| ModuleError::Fatal(format!("column {column} of file {file} was given up, there are twelve")))?;
    Ok((file.into(), column))
}
