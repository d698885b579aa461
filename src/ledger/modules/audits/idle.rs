//! Verdicts of committees about commitments to idle space.
//!
//! Owns who verifies a batch. Must not know segments. Invariants: the first committee is drawn by the beacon two blocks after the commitment, one
//! after the beacon that challenges it; a batch that two rounds leave undecided gets another one, and votes of the former are dropped.

use super::{
    VOTE_MAX_MINERS,
    answers::{at_most, same_count},
    ballot::Votes,
    rounds::{Panel, Round},
    seams::{self, Batch},
    state,
};
use crate::{
    ledger::{
        abi::IAudits,
        audit::{Rounds, idle_subject, quorum},
        modules::{
            host::{ModuleError, ModuleHost},
            staking::{self, Work},
        },
    },
    types::Address,
};

/// Blocks between a commitment and the beacon that draws its committee.
const DRAWN_AFTER_BLOCKS: u64 = 2;
/// Rounds a committee has.
const ROUNDS_A_DRAW: u64 = 2;

/// The caller's verdicts about batches of commitments. Those that do not wait are passed over.
pub(super) fn vote_idle(
    host: &mut dyn ModuleHost,
    miners: &[Address],
    batches: &[u64],
    accepted: &[bool],
) -> Result<(), ModuleError> {
    same_count(miners.len(), batches.len())?;
    same_count(miners.len(), accepted.len())?;
    at_most(miners.len(), VOTE_MAX_MINERS)?;
    for ((miner, batch), accepted) in miners.iter().zip(batches).zip(accepted) {
        cast(host, *miner, *batch, *accepted)?;
    }
    Ok(())
}

fn cast(host: &mut dyn ModuleHost, miner: Address, number: u64, accepted: bool) -> Result<(), ModuleError> {
    let account = host.caller();
    let batch = seams::idle_batch(host, miner, number)?;
    if !batch.waits {
        return Ok(());
    }
    let foreign = || ModuleError::revert(IAudits::NotInCommittee { account, miner, round: number });
    let (draw, panel) = panel_of(host, miner, number, &batch)?.ok_or_else(foreign)?;
    let place = panel.place_of(account).ok_or_else(foreign)?;
    let slot = state::miner(miner).idle;
    let (voted_batch, voted_draw, word) = slot.get(host)?;
    // Batches are counted from 0, so that what is kept is one more.
    let kept = if (voted_batch, voted_draw) == (number + 1, draw) { word } else { 0 };
    let mut votes = Votes::from_word(kept);
    if !votes.cast(place, accepted.into()) {
        return Err(ModuleError::revert(IAudits::AlreadyVoted { account, miner, round: number }));
    }
    slot.set(host, &(number + 1, draw, votes.to_word()))?;
    let needed = quorum(panel.members.len());
    let decided = [true, false].into_iter().find(|verdict| votes.saying((*verdict).into()) >= needed);
    match decided {
        None => Ok(()),
        Some(verdict) => decide(host, miner, number, &batch, verdict, votes, &panel),
    }
}

fn decide(
    host: &mut dyn ModuleHost,
    miner: Address,
    number: u64,
    batch: &Batch,
    accepted: bool,
    votes: Votes,
    panel: &Panel,
) -> Result<(), ModuleError> {
    seams::decide_idle(host, miner, number, accepted)?;
    let bytes = batch.bytes(host.params());
    for (place, member) in panel.members.iter().enumerate() {
        if accepted && votes.of(place) == Some(1) {
            staking::record_points(host, member.account, Work::IdleCertified, bytes)?;
        }
    }
    Ok(())
}

/// The round a batch's present committee was drawn in, and the committee, once its beacon is there.
pub(super) fn panel_of(
    host: &mut dyn ModuleHost,
    miner: Address,
    number: u64,
    batch: &Batch,
) -> Result<Option<(u64, Panel)>, ModuleError> {
    let (numbers, height) = (Rounds::of(host.params()), host.height());
    let drawn_at = batch.height.saturating_add(DRAWN_AFTER_BLOCKS);
    if height < drawn_at {
        return Ok(None);
    }
    let first = numbers.at(drawn_at);
    let again = numbers.at(height).saturating_sub(first) / ROUNDS_A_DRAW;
    let (draw, beacon_height) = if again == 0 {
        (first, drawn_at)
    } else {
        let later = first + again * ROUNDS_A_DRAW;
        (later, numbers.opened_at(later))
    };
    let Some(round) = Round::find(host, draw)? else { return Ok(None) };
    let beacon = staking::beacon(host, beacon_height)?;
    let panel = round.draw(host, &beacon, &idle_subject(number, &miner))?;
    Ok(Some((draw, panel)))
}
