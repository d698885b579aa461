//! Claims: an order is reserved for one miner for a while, against a deposit.
//!
//! Invariants: who claims could take the column over now; a claim that has ended binds nobody, and nothing has to happen for it to end; a deposit
//! is paid back if the column moved or the order went while the claim bound, and burnt otherwise; nobody reserves an order twice in a row.

use super::{
    super::{
        files::{self, Column, Mark},
        host::{ModuleError, ModuleHost},
        miners::{self, MinerState},
        staking,
    },
    not_open, order,
};
use crate::{
    ledger::{
        abi::{IRepair, REPAIR},
        repair::Claim,
    },
    types::{
        Address, FileId, Height, U256,
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

/// Times the deposit of a claim is doubled at most, once for each claim in a row that lapsed.
const DOUBLINGS_MAX: u32 = 6;

/// The last claim of a column, whether it binds or not.
#[derive(Debug, Clone, Copy)]
struct Last {
    claimer: Address,
    height: Height,
    /// Claims in a row before it that lapsed.
    lapses: u32,
    /// Last block in which it binds.
    until: Height,
}

impl Last {
    fn read(host: &mut dyn ModuleHost, file: FileId, column: u8) -> Result<Option<Self>, ModuleError> {
        let (claimer, height, lapses) = order(file, column).claim.get(host)?;
        let until = height.saturating_add(host.params().repair_claim_blocks);
        Ok((!claimer.is_zero()).then_some(Self { claimer, height, lapses, until }))
    }

    fn binds(&self, host: &dyn ModuleHost) -> bool {
        host.height() <= self.until
    }
}

/// What the next claim of a column costs.
pub(super) fn deposit(host: &mut dyn ModuleHost, file: FileId, column: u8) -> Result<U256, ModuleError> {
    let lapses = Last::read(host, file, column)?.map_or(0, |last| last.lapses.saturating_add(1));
    Ok(price(host, lapses))
}

fn price(host: &dyn ModuleHost, lapses: u32) -> U256 {
    host.params().repair_claim_deposit.0 << lapses.min(DOUBLINGS_MAX)
}

/// The claim that binds now, and its last block.
pub(super) fn current(
    host: &mut dyn ModuleHost,
    file: FileId,
    column: u8,
) -> Result<Option<(Claim, Height)>, ModuleError> {
    let Some(last) = Last::read(host, file, column)?.filter(|last| last.binds(host)) else { return Ok(None) };
    let Last { claimer, height, until, .. } = last;
    Ok(Some((Claim { chain: host.chain_id(), claimer, height, file }, until)))
}

/// Reserves an open order for the caller, whose value is the deposit; gives the last block of the claim.
pub(super) fn claim(host: &mut dyn ModuleHost, file: FileId, column: u8) -> Result<Height, ModuleError> {
    let (account, height) = (host.caller(), host.height());
    let order_open = open(host, file, column)?;
    let last = Last::read(host, file, column)?;
    if let Some(last) = last {
        refuse_claim(host, file, column, &last)?;
    }
    let lapses = last.map_or(0, |last| last.lapses.saturating_add(1));
    let (sent, required) = (host.value(), price(host, lapses));
    if sent < required {
        return Err(ModuleError::revert(IRepair::DepositTooLow { sent, required }));
    }
    check_eligible(host, &order_open, account)?;
    if let Some(last) = last {
        pay_deposit(host, file, column, last.claimer, true)?;
    }
    let slots = order(file, column);
    slots.claim.set(host, &(account, height, lapses))?;
    slots.deposit.set(host, &sent)?;
    files::mark(host, file, column, Mark::Claimed)?;
    let until = height.saturating_add(host.params().repair_claim_blocks);
    let event = IRepair::RepairClaimed { file: file.into(), column, claimer: account, until };
    host.emit(REPAIR, event.encode_log_data())?;
    Ok(until)
}

/// Reverts if a claim binds, or if it was the caller's own and others have not had as long a time since it lapsed.
fn refuse_claim(host: &dyn ModuleHost, file: FileId, column: u8, last: &Last) -> Result<(), ModuleError> {
    let (file, Last { claimer, until, .. }) = (file.into(), *last);
    if last.binds(host) {
        return Err(ModuleError::revert(IRepair::AlreadyClaimed { file, column, claimer, until }));
    }
    let until = until.saturating_add(host.params().repair_claim_blocks);
    if claimer == host.caller() && host.height() <= until {
        return Err(ModuleError::revert(IRepair::ClaimLapsed { file, column, claimer, until }));
    }
    Ok(())
}

/// Settles the deposit of a claim that cannot be completed any more.
pub(super) fn settle(host: &mut dyn ModuleHost, file: FileId, column: u8) -> Result<(), ModuleError> {
    let none = || ModuleError::revert(IRepair::NothingClaimed { file: file.into(), column });
    let last = Last::read(host, file, column)?.ok_or_else(none)?;
    let is_open = match files::column(host, file, column)? {
        None => false,
        Some(found) => is_open(host, &found)?,
    };
    if order(file, column).deposit.get(host)?.is_zero() {
        return Err(none());
    }
    match (is_open, last.binds(host)) {
        (true, true) => Err(ModuleError::revert(IRepair::ClaimBinds { file: file.into(), column, until: last.until })),
        // The record stays: it says who may not claim at once.
        (true, false) => pay_deposit(host, file, column, last.claimer, true),
        (false, _) => {
            order(file, column).claim.clear(host)?;
            pay_deposit(host, file, column, last.claimer, false)
        }
    }
}

/// Ends the claim of a column that moves or goes.
pub(super) fn forget(host: &mut dyn ModuleHost, file: FileId, column: u8) -> Result<(), ModuleError> {
    let Some(last) = Last::read(host, file, column)? else { return Ok(()) };
    order(file, column).claim.clear(host)?;
    let lapsed = !last.binds(host);
    pay_deposit(host, file, column, last.claimer, lapsed)
}

/// Burns what was deposited, or pays it back.
fn pay_deposit(
    host: &mut dyn ModuleHost,
    file: FileId,
    column: u8,
    claimer: Address,
    burnt: bool,
) -> Result<(), ModuleError> {
    let place = order(file, column).deposit;
    let deposit = place.get(host)?;
    if deposit.is_zero() {
        return Ok(());
    }
    place.clear(host)?;
    if burnt {
        staking::burn(host, REPAIR, deposit)?;
    } else {
        host.transfer(REPAIR, claimer, deposit)?;
    }
    let event = IRepair::ClaimSettled { file: file.into(), column, claimer, deposit, burnt };
    host.emit(REPAIR, event.encode_log_data())
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
