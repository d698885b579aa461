//! The end of an era: who was absent pays, who worked is paid, and the committee of the era after next is elected.
//!
//! Owns the order of these steps. Must not know formulas, which are consensus's. Invariants: runs once an era, after its last
//! transaction, over at most all candidates and one committee; never leaves an era without a committee; mints at most the era's
//! emission.

use super::{
    calendar, emission, jail, offences, power_of, registry,
    seats::{self, Elected},
    stake,
    state::{activity, era, staker},
    work,
};
use crate::{
    consensus::{
        election::{CREDIT_ERAS, Standing, era_credit, rank, safe_number},
        slashing,
    },
    ledger::modules::host::{ModuleError, ModuleHost},
    types::{Address, U256},
};

/// Era points of a proposed block. Substrate: 20 for the author of a block.
pub(super) const BLOCK_POINTS: u64 = 20;

/// Runs after the last transaction of the host's height.
pub(in crate::ledger::modules) fn close_block(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    let (calendar, height) = (calendar(host), host.height());
    if !calendar.is_last(height) {
        return Ok(());
    }
    let number = calendar.era(height);
    let committee = seats::read(host, number)?;
    punish_absent(host, number, &committee)?;
    pay(host, number, &committee)?;
    settle_credit(host, number)?;
    elect(host, number, calendar.seated(number))
}

/// Members that missed more than a tenth of their turns pay by their number and are jailed.
fn punish_absent(host: &mut dyn ModuleHost, number: u64, committee: &[Elected]) -> Result<(), ModuleError> {
    let mut absent = Vec::new();
    for seat in committee {
        let (proposed, missed, _) = activity(seat.account, number).turns.get(host)?;
        if slashing::is_unresponsive(proposed, missed) {
            absent.push(seat);
        }
    }
    let (offenders, members) = (wide(absent.len()), wide(committee.len()));
    for seat in absent {
        stake::slash(host, seat.account, slashing::unresponsiveness(seat.stake, offenders, members))?;
        stake::note_punishment(host, seat.account)?;
        jail::put(host, seat.account, jail::Reason::Unresponsive)?;
    }
    Ok(())
}

/// The era's emission, by era points. The part of a member that equivocated does not come into being.
fn pay(host: &mut dyn ModuleHost, number: u64, committee: &[Elected]) -> Result<(), ModuleError> {
    let mut points = Vec::with_capacity(committee.len());
    for seat in committee {
        points.push(activity(seat.account, number).turns.get(host)?.0.saturating_mul(BLOCK_POINTS));
    }
    let total = points.iter().fold(0u64, |sum, points| sum.saturating_add(*points));
    let place = era(number).points;
    let (_, work_points) = place.get(host)?;
    place.set(host, &(total, work_points))?;
    if total == 0 {
        return Ok(());
    }
    let emission = emission::era_emission(host.params().validator_emission, number);
    for (seat, points) in committee.iter().zip(points) {
        if !offences::equivocated(host, number, seat.account)? {
            let share = emission * U256::from(points) / U256::from(total);
            stake::reward(host, seat.account, number, share)?;
        }
    }
    Ok(())
}

/// Turns the era's work of every candidate into credit.
fn settle_credit(host: &mut dyn ModuleHost, number: u64) -> Result<(), ModuleError> {
    let candidates = registry::all(host)?;
    let mut points = Vec::with_capacity(candidates.len());
    for account in &candidates {
        let counters = work::counters(host, *account, number)?;
        points.push(work::total_points(&counters));
    }
    let total = points.iter().fold(0u64, |sum, points| sum.saturating_add(*points));
    let place = era(number).points;
    let (era_points, _) = place.get(host)?;
    place.set(host, &(era_points, total))?;
    for (account, points) in candidates.into_iter().zip(points) {
        let slots = activity(account, number);
        let (_, _, punishments) = slots.turns.get(host)?;
        slots.credit.set(host, &(points, era_credit(points, total, punishments)))?;
    }
    Ok(())
}

/// Elects the committee of `seated`, or lets the newest one go on if too few qualify.
fn elect(host: &mut dyn ModuleHost, number: u64, seated: u64) -> Result<(), ModuleError> {
    let newest = seats::read(host, seated - 1)?;
    let (seats_max, minimum) = (host.params().seats, host.params().min_seats);
    let mut qualified = Vec::new();
    for account in registry::all(host)? {
        if qualifies(host, account)? {
            qualified.push(standing(host, account, number, number)?);
        }
    }
    let (found, kept) = (qualified.len(), qualified.len() < safe_number(newest.len(), minimum, seats_max));
    let ranked = rank(qualified);
    let runner_up = if kept { None } else { ranked.get(seats_max) };
    if let Some((standing, scores)) = runner_up {
        era(seated).runner_up.set(host, &(standing.account, scores.total))?;
    }
    let held_at = host.height();
    era(seated).election.set(host, &(held_at, wide(found), u64::from(kept)))?;
    if kept {
        return seats::write(host, seated, &newest);
    }
    let mut elected = Vec::with_capacity(seats_max);
    for (standing, scores) in ranked.into_iter().take(seats_max) {
        let keys = registry::keys(host, standing.account)?;
        let (revealed_at, _) = activity(standing.account, number).reveal.get(host)?;
        elected.push(Elected::new(&standing, scores, keys, revealed_at));
    }
    elected.sort_by_key(|seat| seat.account);
    seats::write(host, seated, &elected)
}

/// Whether an election of the current era takes `account`, a candidate.
fn qualifies(host: &mut dyn ModuleHost, account: Address) -> Result<bool, ModuleError> {
    let bonded = staker(account).bonded.get(host)?;
    let enough = bonded >= host.params().validator_stake.0 && power_of(bonded) > 0;
    Ok(enough && jail::of(host, account)?.is_none())
}

/// What an election knows of a candidate: credit of the eras up to `newest`, the reveal of `revealed`.
pub(super) fn standing(
    host: &mut dyn ModuleHost,
    account: Address,
    revealed: u64,
    newest: u64,
) -> Result<Standing, ModuleError> {
    let mut credit = [0; CREDIT_ERAS];
    for (back, credit) in (0u64..).zip(credit.iter_mut()) {
        if let Some(past) = newest.checked_sub(back) {
            *credit = activity(account, past).credit.get(host)?.1;
        }
    }
    Ok(Standing {
        account,
        stake: staker(account).bonded.get(host)?,
        registered_at: registry::registered_at(host, account)?.unwrap_or_default(),
        credit,
        random: activity(account, revealed).reveal.get(host)?.1,
    })
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).expect("a usize fits 64 bits")
}
