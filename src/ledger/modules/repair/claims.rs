//! Claims: an order is reserved for one miner for a while.
//!
//! Invariants: who claims could take the column over now; a claim that has ended binds nobody, and nothing has to happen for it to end.

use super::{
    super::{
        files::{self, Column, Mark},
        host::{ModuleError, ModuleHost},
        miners::{self, MinerState},
    },
    not_open, order,
};
use crate::{
    ledger::{
        abi::{IRepair, REPAIR},
        repair::Claim,
    },
    types::{
        Address, FileId, Height,
        params::{OPERATOR_MAX_FRAGMENTS, PREFIX_MAX_FRAGMENTS},
    },
};
use alloy_sol_types::SolEvent;

/// An order that is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) file: FileId,
    pub(super) column: u8,
    pub(super) holder: Address,
    pub(super) bytes: u64,
}

/// The order of a column. Reverts if it is not open.
pub(super) fn open(host: &mut dyn ModuleHost, file: FileId, column: u8) -> Result<Open, ModuleError> {
    let found = files::column(host, file, column)?.ok_or_else(|| not_open(file, column))?;
    let bytes = files::column_bytes(host, file)?.ok_or_else(|| not_open(file, column))?;
    let holder = found.holder;
    match is_open(host, &found)? {
        true => Ok(Open { file, column, holder, bytes }),
        false => Err(not_open(file, column)),
    }
}

fn is_open(host: &mut dyn ModuleHost, column: &Column) -> Result<bool, ModuleError> {
    Ok(column.has(Mark::Surrendered) || miners::state_of(host, column.holder)? != Some(MinerState::Active))
}

/// The claim that binds now, and its last block.
pub(super) fn current(
    host: &mut dyn ModuleHost,
    file: FileId,
    column: u8,
) -> Result<Option<(Claim, Height)>, ModuleError> {
    let (claimer, height) = order(file, column).claim.get(host)?;
    let until = height.saturating_add(host.params().repair_claim_blocks);
    let claim = Claim { chain: host.chain_id(), claimer, height, file };
    Ok((!claimer.is_zero() && host.height() <= until).then_some((claim, until)))
}

/// Reserves an open order for the caller; gives the last block of the claim.
pub(super) fn claim(host: &mut dyn ModuleHost, file: FileId, column: u8) -> Result<Height, ModuleError> {
    let (account, height) = (host.caller(), host.height());
    let order_open = open(host, file, column)?;
    if let Some((Claim { claimer, .. }, until)) = current(host, file, column)? {
        return Err(ModuleError::revert(IRepair::AlreadyClaimed { file: file.into(), column, claimer, until }));
    }
    check_eligible(host, &order_open, account)?;
    order(file, column).claim.set(host, &(account, height))?;
    files::mark(host, file, column, Mark::Claimed)?;
    let until = height.saturating_add(host.params().repair_claim_blocks);
    let event = IRepair::RepairClaimed { file: file.into(), column, claimer: account, until };
    host.emit(REPAIR, event.encode_log_data())?;
    Ok(until)
}

/// Reverts unless `account` may hold the column: as for a placement, and not a second one.
pub(super) fn check_eligible(host: &mut dyn ModuleHost, open: &Open, account: Address) -> Result<(), ModuleError> {
    let refuse = |reason| {
        let file = open.file.into();
        Err(ModuleError::revert(IRepair::NotEligible { file, account, reason }))
    };
    let room = match miners::room(host, account)? {
        Err(reason) => return refuse(reason),
        Ok(room) => room,
    };
    if room < open.bytes {
        return refuse(no_room(room, open.bytes));
    }
    let holders = files::holders(host, open.file)?;
    if holders.contains(&account) {
        return refuse("it holds a column of the file".into());
    }
    let (operator, prefix) = (miners::operator(host, account)?, miners::prefix(host, account)?);
    let (mut of_operator, mut of_prefix) = (1, 1);
    for holder in holders.into_iter().filter(|holder| *holder != open.holder) {
        of_operator += usize::from(miners::operator(host, holder)? == operator);
        of_prefix += usize::from(miners::prefix(host, holder)? == prefix);
    }
    if of_operator > OPERATOR_MAX_FRAGMENTS {
        return refuse(format!("its operator would hold {of_operator} columns, the limit is {OPERATOR_MAX_FRAGMENTS}"));
    }
    if host.params().enforce_prefix_cap && of_prefix > PREFIX_MAX_FRAGMENTS {
        return refuse(format!("its prefix would hold {of_prefix} columns, the limit is {PREFIX_MAX_FRAGMENTS}"));
    }
    Ok(())
}

/// Why a column does not fit.
pub(super) fn no_room(room: u64, needed: u64) -> String {
    format!("it has room for {room} B, {needed} B are needed")
}
