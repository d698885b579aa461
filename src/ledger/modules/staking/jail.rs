//! Who is kept out of elections, for how long.
//!
//! Invariants: jail for unresponsiveness ends with its term; jail for equivocation lasts until the validator asks out after it.

use super::{current_era, state::staker};
use crate::{
    ledger::{
        abi::{IStaking, STAKING},
        modules::host::{ModuleError, ModuleHost},
    },
    types::Address,
};
use alloy_sol_types::SolEvent;

/// Why somebody is jailed, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// It missed more than a tenth of its turns.
    Unresponsive = 1,
    /// It signed two messages where one is allowed.
    Equivocation = 2,
}

/// A jail in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Jail {
    pub(super) reason: Reason,
    /// Last era whose election it keeps the validator out of.
    pub(super) until: u64,
}

/// Jails `account`, beginning with the election at the end of the current era. A worse or longer jail is kept.
pub(super) fn put(host: &mut dyn ModuleHost, account: Address, reason: Reason) -> Result<(), ModuleError> {
    let until = current_era(host).saturating_add(host.params().jail_eras.saturating_sub(1));
    let slot = staker(account).jail;
    let (old_reason, old_until) = slot.get(host)?;
    slot.set(host, &(old_reason.max(reason as u64), old_until.max(until)))
}

/// The jail an account is in for the election of the current era.
pub(super) fn of(host: &mut dyn ModuleHost, account: Address) -> Result<Option<Jail>, ModuleError> {
    let (reason, until) = staker(account).jail.get(host)?;
    let current = current_era(host);
    Ok(match reason {
        1 if current <= until => Some(Jail { reason: Reason::Unresponsive, until }),
        2 => Some(Jail { reason: Reason::Equivocation, until }),
        _ => None,
    })
}

/// Lets the caller out after its term.
pub(super) fn leave(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    let (account, current) = (host.caller(), current_era(host));
    let jail = of(host, account)?.ok_or_else(|| ModuleError::revert(IStaking::NotJailed { account }))?;
    if current <= jail.until {
        let still = IStaking::StillJailed { account, untilEra: jail.until, currentEra: current };
        return Err(ModuleError::revert(still));
    }
    staker(account).jail.clear(host)?;
    host.emit(STAKING, IStaking::Unjailed { account }.encode_log_data())
}
