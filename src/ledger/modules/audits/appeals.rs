//! Appeals: who says that a verdict is wrong, and what the seats of the era find.
//!
//! Owns appeals and their deposits. Must not know what a new verdict changes. Invariants: one appeal a verdict; it is decided by more than two thirds
//! of the seats of the era it was opened in, each voting once, or not at all; a deposit is paid back, or burnt if the verdict was right.

use super::{
    ballot::{Ballot, Votes},
    reversal::{self, Accusation, Wrong},
    rounds::{self, Member, Round},
    state::{AppealSlots, state},
    votes::check_verdict,
};
use crate::{
    ledger::{
        abi::{AUDITS, IAudits},
        audit::{Verdict, quorum},
        modules::{
            host::{ModuleError, ModuleHost},
            staking,
        },
    },
    types::{Address, Height, U256, params::VERIFIERS},
};
use alloy_sol_types::SolEvent;

/// Where an appeal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Open = 0,
    Upheld = 1,
    Dismissed = 2,
    /// The seats did not agree in time; the deposit is, or can be, paid back.
    Undecided = 3,
}

/// An appeal as found in storage.
#[derive(Clone, Copy)]
pub(super) struct Appeal {
    pub(super) number: u64,
    pub(super) slots: AppealSlots,
    pub(super) appellant: Address,
    pub(super) until: Height,
    state: u32,
    pub(super) miner: Address,
    pub(super) round: u64,
    pub(super) era: u64,
    pub(super) votes: u64,
    /// What was claimed and what had been decided, a byte each, then a bit for each member that is a TEE worker.
    verdicts: u64,
    cast: u64,
    pub(super) deposit: U256,
}

impl Appeal {
    /// An appeal. Reverts if there is none.
    pub(super) fn read(host: &mut dyn ModuleHost, number: u64) -> Result<Self, ModuleError> {
        if number >= state().appeals.len(host)? {
            return Err(ModuleError::revert(IAudits::UnknownAppeal { number }));
        }
        let slots = state().appeals.item(number);
        let (appellant, until, state) = slots.who.get(host)?;
        let (miner, round) = slots.what.get(host)?;
        let (era, votes, verdicts, cast) = slots.ballot.get(host)?;
        let deposit = slots.deposit.get(host)?;
        Ok(Self { number, slots, appellant, until, state, miner, round, era, votes, verdicts, cast, deposit })
    }

    pub(super) fn claimed(&self) -> u8 {
        self.verdicts.to_le_bytes()[0]
    }

    pub(super) fn decided(&self) -> u8 {
        self.verdicts.to_le_bytes()[1]
    }

    /// Whether the member at `place` was drawn as a TEE worker.
    fn is_worker(&self, place: usize) -> bool {
        self.verdicts.to_le_bytes()[2] >> place & 1 == 1
    }

    /// Where it is at `height`.
    pub(super) fn standing(&self, height: Height) -> Standing {
        match self.state {
            0 if height <= self.until => Standing::Open,
            1 => Standing::Upheld,
            2 => Standing::Dismissed,
            _ => Standing::Undecided,
        }
    }

    /// Who decided what is appealed against, as they were drawn.
    fn accusation(&self, host: &mut dyn ModuleHost) -> Result<Accusation, ModuleError> {
        let mut members = Vec::with_capacity(VERIFIERS);
        for place in 0..VERIFIERS {
            let index = u64::try_from(place).expect("below seven");
            let account = self.slots.members.item(index).get(host)?;
            members.push(Member { account, is_worker: self.is_worker(place) });
        }
        let (votes, accuser, appeal) = (Votes::from_word(self.cast), self.appellant, self.number);
        Ok(Accusation { members, votes, accuser, appeal })
    }

    fn close(&self, host: &mut dyn ModuleHost, standing: Standing) -> Result<(), ModuleError> {
        self.slots.who.set(host, &(self.appellant, self.until, standing as u32))
    }
}

/// Says that a decided verdict is wrong; the value sent is the deposit.
pub(super) fn appeal(host: &mut dyn ModuleHost, miner: Address, number: u64, claimed: u8) -> Result<u64, ModuleError> {
    let (sent, required) = (host.value(), host.params().audit_appeal_deposit.0);
    if sent < required {
        return Err(ModuleError::revert(IAudits::DepositTooLow { sent, required }));
    }
    let mut ballot = Ballot::read(host, miner, number)?;
    let round = Round::find(host, number)?.filter(|_| ballot.decided);
    let round = round.ok_or_else(|| ModuleError::revert(IAudits::NotDecided { miner, round: number }))?;
    check_appeal(host, miner, number, &ballot, claimed)?;
    ballot.appealed = true;
    ballot.write(host, miner, number)?;

    let index = state().appeals.grow(host)?;
    let slots = state().appeals.item(index);
    let (appellant, era) = (host.caller(), staking::current_era(host));
    let until = host.height().saturating_add(host.params().audit_appeal_blocks);
    let mut workers = 0u8;
    let panel = rounds::panel_of(host, &round, miner)?;
    for (place, member) in (0u64..).zip(&panel.members) {
        slots.members.item(place).set(host, &member.account)?;
        workers |= u8::from(member.is_worker) << place;
    }
    let verdicts = u64::from_le_bytes([claimed, ballot.verdict.encode(), workers, 0, 0, 0, 0, 0]);
    slots.who.set(host, &(appellant, until, Standing::Open as u32))?;
    slots.what.set(host, &(miner, number))?;
    slots.ballot.set(host, &(era, 0, verdicts, ballot.votes.to_word()))?;
    slots.deposit.set(host, &sent)?;
    let event = IAudits::AppealOpened { appeal: index, miner, round: number, appellant, claimed };
    host.emit(AUDITS, event.encode_log_data())?;
    Ok(index)
}

fn check_appeal(
    host: &dyn ModuleHost,
    miner: Address,
    round: u64,
    ballot: &Ballot,
    claimed: u8,
) -> Result<(), ModuleError> {
    if ballot.appealed {
        return Err(ModuleError::revert(IAudits::AlreadyAppealed { miner, round }));
    }
    let until = ballot.decided_at.saturating_add(host.params().audit_appeal_blocks);
    if host.height() > until {
        return Err(ModuleError::revert(IAudits::AppealLate { miner, round, until }));
    }
    match check_verdict(host, ballot, round, claimed)? == ballot.verdict {
        true => Err(ModuleError::revert(IAudits::VerdictInvalid { verdict: claimed })),
        false => Ok(()),
    }
}

/// A seat's verdict about an appeal.
pub(super) fn rule(host: &mut dyn ModuleHost, number: u64, verdict: u8) -> Result<(), ModuleError> {
    let (account, mut appeal) = (host.caller(), Appeal::read(host, number)?);
    if appeal.standing(host.height()) != Standing::Open {
        return Err(ModuleError::revert(IAudits::AppealClosed { number }));
    }
    let seats = staking::accounts_of_era(host, appeal.era)?;
    let place = seats.iter().position(|seat| *seat == account);
    let place = place.ok_or_else(|| ModuleError::revert(IAudits::NotSeated { account }))?;
    let ballot = Ballot::read(host, appeal.miner, appeal.round)?;
    let found = check_verdict(host, &ballot, appeal.round, verdict)?;
    let seen = appeal.slots.seen.get(host)?;
    if seen.bit(place) {
        let (miner, round) = (appeal.miner, appeal.round);
        return Err(ModuleError::revert(IAudits::AlreadyVoted { account, miner, round }));
    }
    // A committee has at most 256 seats: a word has a bit for each.
    appeal.slots.seen.set(host, &(seen | U256::ONE << place))?;
    appeal.votes += 1;
    appeal.slots.ballot.set(host, &(appeal.era, appeal.votes, appeal.verdicts, appeal.cast))?;
    let count = appeal.slots.counts.at_key(&found.encode().into());
    let agreeing = count.get(host)? + 1;
    count.set(host, &agreeing)?;
    let needed = u64::try_from(quorum(seats.len())).expect("a usize fits 64 bits");
    if agreeing < needed { Ok(()) } else { decide(host, &appeal, ballot, found) }
}

fn decide(host: &mut dyn ModuleHost, appeal: &Appeal, ballot: Ballot, found: Verdict) -> Result<(), ModuleError> {
    let (miner, round, deposit) = (appeal.miner, appeal.round, appeal.deposit);
    let upheld = found.encode() != appeal.decided();
    appeal.slots.deposit.clear(host)?;
    if upheld {
        appeal.close(host, Standing::Upheld)?;
        host.transfer(AUDITS, appeal.appellant, deposit)?;
        let wrong = Wrong { miner, round, ballot, found };
        let accusation = appeal.accusation(host)?;
        reversal::reverse(host, &accusation, &wrong)?;
    } else {
        appeal.close(host, Standing::Dismissed)?;
        staking::burn(host, AUDITS, deposit)?;
    }
    let event = IAudits::AppealDecided { appeal: appeal.number, miner, round, verdict: found.encode(), upheld };
    host.emit(AUDITS, event.encode_log_data())
}

/// Pays the deposit of an appeal back that was left undecided.
pub(super) fn reclaim(host: &mut dyn ModuleHost, number: u64) -> Result<(), ModuleError> {
    let appeal = Appeal::read(host, number)?;
    if appeal.standing(host.height()) != Standing::Undecided || appeal.deposit.is_zero() {
        return Err(ModuleError::revert(IAudits::AppealClosed { number }));
    }
    appeal.slots.deposit.clear(host)?;
    appeal.close(host, Standing::Undecided)?;
    host.transfer(AUDITS, appeal.appellant, appeal.deposit)
}
