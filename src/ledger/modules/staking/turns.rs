//! What happens before a block's first transaction: turns are counted, the beacon is recorded, an era begins.
//!
//! Owns the count of proposed and missed turns. Must not know rewards. Invariant: whose turns were missed follows from the
//! committee, the beacon before and the round the block was first proposed in, so that all nodes count the same.

use super::{
    calendar, current_era, ring,
    state::{activity, era},
};
use crate::{
    consensus::rotation,
    ledger::modules::{
        BlockStart,
        host::{ModuleError, ModuleHost},
    },
    types::Address,
};

/// Runs at the start of the host's height.
pub(in crate::ledger::modules) fn open_block(host: &mut dyn ModuleHost, start: &BlockStart) -> Result<(), ModuleError> {
    count(host, start.proposer, |proposed, missed| (proposed.saturating_add(1), missed))?;
    for account in missed(host, start.round)? {
        count(host, account, |proposed, missed| (proposed, missed.saturating_add(1)))?;
    }
    ring::record(host, start.beacon)?;
    let (calendar, height) = (calendar(host), host.height());
    let number = calendar.era(height);
    if height == calendar.first(number) {
        // The seed lies before this block, so that its proposer has no say in it.
        let seed = ring::beacon(host, calendar.seed_height(number))?;
        era(number).seed.set(host, &seed)?;
    }
    Ok(())
}

/// Members whose turn came before `round` and brought nothing: each once, however many rounds went by.
fn missed(host: &mut dyn ModuleHost, round: u32) -> Result<Vec<Address>, ModuleError> {
    let (committee, height) = (era(current_era(host)).committee, host.height());
    let members = usize::try_from(committee.len(host)?).expect("a committee fits memory");
    if round == 0 || members == 0 {
        return Ok(Vec::new());
    }
    let seed = ring::beacon(host, height - 1)?;
    let turns = usize::try_from(round).unwrap_or(usize::MAX).min(members);
    let order = rotation::permutation(members, &seed, height);
    order
        .into_iter()
        .take(turns)
        .map(|index| {
            let index = u64::try_from(index).expect("a committee is small");
            Ok(committee.item(index).head.get(host)?.0)
        })
        .collect()
}

fn count(
    host: &mut dyn ModuleHost,
    account: Address,
    change: impl FnOnce(u64, u64) -> (u64, u64),
) -> Result<(), ModuleError> {
    let turns = activity(account, current_era(host)).turns;
    let (proposed, missed, punishments) = turns.get(host)?;
    let (proposed, missed) = change(proposed, missed);
    turns.set(host, &(proposed, missed, punishments))
}
