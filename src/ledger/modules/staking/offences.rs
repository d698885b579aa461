//! Evidence of equivocation and what follows from it.
//!
//! Owns which evidence is taken. Must not know who reports it: anyone may. Invariants: evidence is taken once for a validator and
//! height, only while the stake behind the seat is still locked; all equivocators of an era pay by their number, those found
//! earlier included.

use super::{
    calendar, jail, seats, stake,
    state::{activity, era, staker},
};
use crate::{
    codec,
    consensus::{Evidence, EvidenceError, Offence, slashing},
    ledger::{
        abi::{IStaking, STAKING},
        modules::host::{ModuleError, ModuleHost},
    },
    types::{Address, U256},
};
use alloy_sol_types::SolEvent;

/// Gas of checking two signatures.
const SIGNATURES_GAS: u64 = 6_000;

/// Takes evidence, punishes the validator and remembers that it was taken.
pub(super) fn report(host: &mut dyn ModuleHost, bytes: &[u8]) -> Result<(), ModuleError> {
    let evidence: Evidence = codec::decode(bytes)
        .map_err(|error| ModuleError::revert(IStaking::EvidenceMalformed { reason: error.to_string() }))?;
    let (chain_id, reporter) = (host.chain_id(), host.caller());
    if evidence.chain_id != chain_id {
        return Err(refuse(&EvidenceError::Foreign { found: evidence.chain_id, expected: chain_id }));
    }
    let Offence { account, height, .. } = evidence.offence().map_err(|error| refuse(&error))?;
    let number = check_age(host, height)?;
    let seat = seats::of_account(host, number, account)?
        .ok_or_else(|| ModuleError::revert(IStaking::NotSeated { account, height }))?;
    let taken = staker(account).offences.at_key(&height);
    if taken.get(host)? != 0 {
        return Err(ModuleError::revert(IStaking::EvidenceKnown { account, height }));
    }
    host.charge(SIGNATURES_GAS)?;
    evidence.verify(chain_id, &seat.keys.consensus).map_err(|error| refuse(&error))?;

    let now = host.height();
    taken.set(host, &now)?;
    stake::note_punishment(host, account)?;
    jail::put(host, account, jail::Reason::Equivocation)?;
    let slashed = punish(host, number, account)?;
    host.emit(STAKING, IStaking::Equivocated { account, height, reporter, slashed }.encode_log_data())
}

/// Era of a height evidence is still, and already, taken of.
fn check_age(host: &mut dyn ModuleHost, height: u64) -> Result<u64, ModuleError> {
    let (calendar, newest) = (calendar(host), host.height());
    if height > newest {
        return Err(ModuleError::revert(IStaking::EvidenceAhead { height, newest }));
    }
    let oldest = calendar.first(calendar.era(newest).saturating_sub(host.params().evidence_eras));
    if height < oldest {
        return Err(ModuleError::revert(IStaking::EvidenceTooOld { height, oldest }));
    }
    Ok(calendar.era(height))
}

/// Adds `account` to the equivocators of an era and brings what each of them paid up to their number. Gives what it paid now.
fn punish(host: &mut dyn ModuleHost, number: u64, account: Address) -> Result<U256, ModuleError> {
    let list = era(number).equivocators;
    let mut offenders = list.page(host, 0, u64::MAX)?;
    if !offenders.contains(&account) {
        list.push(host, &account)?;
        offenders.push(account);
    }
    let members = era(number).committee.len(host)?;
    let count = u64::try_from(offenders.len()).expect("a committee is small");
    let mut own = U256::ZERO;
    for offender in offenders {
        let Some(seat) = seats::of_account(host, number, offender)? else { continue };
        let paid = activity(offender, number).equivocation;
        let (due, before) = (slashing::equivocation(seat.stake, count, members), paid.get(host)?);
        let burnt = stake::slash(host, offender, due.saturating_sub(before))?;
        paid.set(host, &(before + burnt))?;
        if offender == account {
            own = burnt;
        }
    }
    Ok(own)
}

/// Whether `account` is known to have equivocated in an era.
pub(super) fn equivocated(host: &mut dyn ModuleHost, number: u64, account: Address) -> Result<bool, ModuleError> {
    Ok(era(number).equivocators.page(host, 0, u64::MAX)?.contains(&account))
}

fn refuse(error: &EvidenceError) -> ModuleError {
    match error {
        EvidenceError::Foreign { found, expected } => {
            ModuleError::revert(IStaking::EvidenceForeign { found: *found, expected: *expected })
        }
        other => ModuleError::revert(IStaking::EvidenceInvalid { reason: other.to_string() }),
    }
}
