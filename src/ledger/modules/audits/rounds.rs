//! Rounds, who may be drawn in them, and who is.
//!
//! Owns the record of the last rounds. Must not know ballots. Invariants: the set of verifiers of a round is what there was before its first block;
//! sets are written only when they change, so that of a round is kept as long as the round.

use super::{
    DRAW_GAS, RING, seams,
    state::{SetSlots, state},
};
use crate::{
    ledger::{
        abi::IAudits,
        audit::{Rounds, draw_committee},
        modules::{
            host::{ModuleError, ModuleHost},
            staking,
        },
    },
    types::{Address, B256, Height, Params, params::VERIFIERS},
};

/// A round as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) number: u64,
    opened_ms: u64,
    answered_ms: u64,
    set: u64,
}

impl Round {
    /// A round that is still recorded.
    pub(super) fn find(host: &mut dyn ModuleHost, number: u64) -> Result<Option<Self>, ModuleError> {
        let current = Rounds::of(host.params()).at(host.height());
        if number > current || current - number >= RING {
            return Ok(None);
        }
        let (recorded, opened_ms, answered_ms, set) = state().rounds.item(number % RING).get(host)?;
        Ok((recorded == number).then_some(Self { number, opened_ms, answered_ms, set }))
    }

    /// Whether blocks came more slowly than planned while answers were taken, so that idle space could have been made anew: faults do not count.
    pub(super) fn is_slow(&self, params: &Params) -> bool {
        let longest = params.audit_answer_blocks.saturating_mul(params.idle_block_interval_ms);
        self.answered_ms.saturating_sub(self.opened_ms) > longest
    }

    /// Draws from this round's set.
    pub(super) fn draw(&self, host: &mut dyn ModuleHost, beacon: &B256, subject: &[u8]) -> Result<Panel, ModuleError> {
        host.charge(DRAW_GAS)?;
        let set = state().sets.item(self.set);
        let (workers, size) = (set.workers.get(host)?, set.members.len(host)?);
        let size = usize::try_from(size).expect("a set fits memory");
        let mut members = Vec::with_capacity(VERIFIERS);
        for index in draw_committee(beacon, subject, size) {
            let index = u64::try_from(index).expect("a usize fits 64 bits");
            let account = set.members.item(index).get(host)?;
            members.push(Member { account, is_worker: index < workers });
        }
        Ok(Panel { members })
    }

    /// Everybody that may be drawn.
    pub(super) fn verifiers(&self, host: &mut dyn ModuleHost) -> Result<Vec<Address>, ModuleError> {
        state().sets.item(self.set).members.page(host, 0, u64::MAX)
    }
}

/// A member of a committee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) account: Address,
    /// Whether it was drawn as a TEE worker and not as a seat.
    pub(super) is_worker: bool,
}

/// Who verifies something, in the order drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Panel {
    pub(super) members: Vec<Member>,
}

impl Panel {
    /// Where in the committee an account is.
    pub(super) fn place_of(&self, account: Address) -> Option<usize> {
        self.members.iter().position(|member| member.account == account)
    }

    pub(super) fn accounts(&self) -> Vec<Address> {
        self.members.iter().map(|member| member.account).collect()
    }
}

/// Runs before the first transaction of a block: opens a round, or notes when its answers were in.
pub(in crate::ledger::modules) fn open_block(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    let (rounds, height, now) = (Rounds::of(host.params()), host.height(), host.time_ms());
    let number = rounds.at(height);
    let place = state().rounds.item(number % RING);
    // Block 0 is never executed: round 0 opens a block late, so that idle space can be certified in it.
    if height == rounds.opened_at(number).max(1) {
        let set = renew_set(host)?;
        return place.set(host, &(number, now, 0, set));
    }
    if height == rounds.answer_until(number) {
        let (recorded, opened, _, set) = place.get(host)?;
        return place.set(host, &(recorded, opened, now, set));
    }
    Ok(())
}

/// The index of the set of who may be drawn from now on.
fn renew_set(host: &mut dyn ModuleHost) -> Result<u64, ModuleError> {
    let mut members = seams::verifiers(host)?;
    let workers = members.len();
    if workers < VERIFIERS {
        let era = staking::current_era(host);
        for seat in staking::accounts_of_era(host, era)? {
            if !members.contains(&seat) {
                members.push(seat);
            }
        }
    }
    let workers = u64::try_from(workers).expect("a usize fits 64 bits");
    let newest = state().newest_set.get(host)?;
    let known = state().sets.item(newest);
    if known.workers.get(host)? == workers && known.members.page(host, 0, u64::MAX)? == members {
        return Ok(newest);
    }
    let next = (newest + 1) % RING;
    write_set(host, state().sets.item(next), workers, &members)?;
    state().newest_set.set(host, &next)?;
    Ok(next)
}

fn write_set(host: &mut dyn ModuleHost, set: SetSlots, workers: u64, members: &[Address]) -> Result<(), ModuleError> {
    let (old, new) = (set.members.len(host)?, u64::try_from(members.len()).expect("a usize fits 64 bits"));
    set.workers.set(host, &workers)?;
    set.members.set_len(host, new)?;
    for (index, member) in (0u64..).zip(members) {
        set.members.item(index).set(host, member)?;
    }
    (new..old).try_for_each(|index| set.members.item(index).clear(host))
}

/// Reverts unless the height lies in the window `from..=until` of a round.
pub(super) fn require_window(
    host: &dyn ModuleHost,
    round: u64,
    from: Height,
    until: Height,
) -> Result<(), ModuleError> {
    let height = host.height();
    if (from..=until).contains(&height) {
        return Ok(());
    }
    Err(ModuleError::revert(IAudits::RoundClosed { round, height, from, until }))
}

/// The committee of a miner in a round, once its beacon is there.
pub(super) fn panel_of(host: &mut dyn ModuleHost, round: &Round, miner: Address) -> Result<Panel, ModuleError> {
    let drawn_by = Rounds::of(host.params()).answer_until(round.number);
    let beacon = staking::beacon(host, drawn_by)?;
    round.draw(host, &beacon, &crate::ledger::audit::round_subject(round.number, &miner))
}
