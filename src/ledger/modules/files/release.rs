//! Giving files up: by their owners, and when the territory they are charged to has lapsed.
//!
//! Invariants: with the last owner the file goes, and everything it took of others; what lapsed is released in steps whose number the
//! caller bounds, so that no call does unbounded work.

use super::{
    super::{
        host::{ModuleError, ModuleHost},
        miners, names, repair,
        staking::{self, Work},
        tee,
        territory::{self, LapseStep},
    },
    FileHead,
    columns::{Column, FRAGMENTS_U8},
    file, owners, require, state, totals,
};
use crate::{
    ledger::abi::{FILES, IFiles},
    types::{Address, FileId, U256, params::FRAGMENTS},
};
use alloy_sol_types::SolEvent;

/// As [`release`], by somebody who may act for the owner.
pub(super) fn remove_for(host: &mut dyn ModuleHost, owner: Address, id: FileId) -> Result<(), ModuleError> {
    names::require_actor(host, owner)?;
    release(host, id, owner)
}

/// Takes at most `steps` steps of the work that lapsed territories leave, and gives how many.
pub(super) fn purge(host: &mut dyn ModuleHost, steps: u64) -> Result<u64, ModuleError> {
    for taken in 0..steps {
        match territory::next_lapse(host)? {
            None => return Ok(taken),
            Some(LapseStep::EmptyEra) => territory::pass_era(host)?,
            Some(LapseStep::Territory { token, owner }) => {
                let charged = state().charged.at_key(&token);
                match charged.len(host)?.checked_sub(1) {
                    None => territory::purge(host, token)?,
                    Some(last) => {
                        let id = charged.item(last).get(host)?;
                        release(host, id.into(), owner)?;
                    }
                }
            }
        }
    }
    Ok(steps)
}

/// Gives an ownership up; without owners the file is deleted.
pub(super) fn release(host: &mut dyn ModuleHost, id: FileId, owner: Address) -> Result<(), ModuleError> {
    let head = require(host, id)?;
    let (remaining, token) = owners::remove(host, id, owner)?;
    territory::free(host, token, id, head.charge())?;
    host.emit(FILES, IFiles::OwnerRemoved { id: id.into(), owner }.encode_log_data())?;
    if remaining == 0 { delete(host, id, head) } else { Ok(()) }
}

fn delete(host: &mut dyn ModuleHost, id: FileId, head: FileHead) -> Result<(), ModuleError> {
    let mut holders = Vec::with_capacity(FRAGMENTS);
    for index in 0..FRAGMENTS_U8 {
        let column = Column::read(host, id, index)?;
        let holder = column.holder;
        column.clear(host, id, index, head.column_bytes)?;
        if column.marks != 0 {
            repair::forget(host, id, index)?;
        }
        let operator = miners::operator(host, holder)?;
        staking::forget_points(host, operator, Work::ServiceVerified, head.column_bytes, head.stored_at)?;
        holders.push(holder);
    }
    file(id).head.clear(host)?;
    tee::forget_file(host, id)?;
    let broken = || ModuleError::Fatal(format!("totals do not cover file {id}"));
    let (files, bytes) = totals(host)?;
    let files = files.checked_sub(1).ok_or_else(broken)?;
    let bytes = bytes.checked_sub(U256::from(head.size)).ok_or_else(broken)?;
    state().count.set(host, &files)?;
    state().bytes.set(host, &bytes)?;
    host.emit(FILES, IFiles::FileDeleted { id: id.into(), size: head.size, holders }.encode_log_data())
}
