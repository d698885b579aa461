//! The votes about one miner in one round, packed into a slot, and how they decide.
//!
//! Pure but for reading and writing itself. Must not know who votes. Invariants: a member votes once; each part of a verdict is decided by more
//! than two thirds of the committee that agree on it, failed and missed counting together as a fault.

use super::state;
use crate::{
    ledger::{
        audit::{Outcome, Verdict, quorum},
        modules::{
            host::{ModuleError, ModuleHost},
            miners::MinerState,
        },
    },
    types::{Address, Height, U256, params::VERIFIERS},
};

/// A byte of a vote: cast or not, and the verdict.
const CAST: u8 = 0x80;
const VERDICT_MASK: u8 = 0x3f;

const ANSWERED: u64 = 1 << 16;
const PROVEN: u64 = 1 << 17;
const DECIDED: u64 = 1 << 18;
const APPEALED: u64 = 1 << 19;
const FORCED: u64 = 1 << 20;
const WAS_EXITING: u64 = 1 << 21;
const KNOWN_SPOT_SHIFT: u32 = 22;
const KNOWN_IDLE_SHIFT: u32 = 24;
const STRIKES_SHIFT: u32 = 32;

/// Votes of up to seven members, a byte each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Votes([u8; 8]);

const _: () = assert!(VERIFIERS < 8);

impl Votes {
    pub(super) fn from_word(word: u64) -> Self {
        Self(word.to_le_bytes())
    }

    pub(super) fn to_word(self) -> u64 {
        u64::from_le_bytes(self.0)
    }

    /// What the member at `place` said.
    pub(super) fn of(self, place: usize) -> Option<u8> {
        self.0.get(place).filter(|byte| **byte & CAST != 0).map(|byte| byte & VERDICT_MASK)
    }

    /// Enters a vote; false if the member has voted.
    pub(super) fn cast(&mut self, place: usize, verdict: u8) -> bool {
        if self.of(place).is_some() {
            return false;
        }
        self.0[place] = CAST | verdict & VERDICT_MASK;
        true
    }

    pub(super) fn count(self) -> u8 {
        self.0.iter().map(|byte| byte >> 7).sum()
    }

    /// Members that said `verdict`.
    pub(super) fn saying(self, verdict: u8) -> usize {
        (0..VERIFIERS).filter(|place| self.of(*place) == Some(verdict)).count()
    }

    /// The verdict, if more than two thirds of `members` agree on every part of it that the chain does not know.
    pub(super) fn decide(self, members: usize, known: Known) -> Option<Verdict> {
        let cast: Vec<Verdict> = (0..VERIFIERS).filter_map(|place| self.of(place).and_then(Verdict::decode)).collect();
        let part = |of: fn(&Verdict) -> Outcome| decide_part(cast.iter().map(of), quorum(members));
        let spot = known.spot.or_else(|| part(|v| v.spot))?;
        let idle = known.idle.or_else(|| part(|v| v.idle))?;
        Some(Verdict { spot, tags: part(|v| v.tags)?, idle })
    }
}

/// Parts that the chain has verified itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Known {
    pub(super) spot: Option<Outcome>,
    pub(super) idle: Option<Outcome>,
}

impl Known {
    fn from_flags(flags: u64) -> Self {
        let part = |shift: u32| match flags >> shift & 3 {
            1 => Some(Outcome::Passed),
            2 => Some(Outcome::Failed),
            _ => None,
        };
        Self { spot: part(KNOWN_SPOT_SHIFT), idle: part(KNOWN_IDLE_SHIFT) }
    }

    fn flags(self) -> u64 {
        let bits = |known: Option<Outcome>| known.map_or(0, |outcome| outcome as u64);
        bits(self.spot) << KNOWN_SPOT_SHIFT | bits(self.idle) << KNOWN_IDLE_SHIFT
    }

    /// A verdict as it is with what the chain knows.
    pub(super) fn correct(self, said: Verdict) -> Verdict {
        Verdict { spot: self.spot.unwrap_or(said.spot), idle: self.idle.unwrap_or(said.idle), ..said }
    }
}

fn decide_part(votes: impl Iterator<Item = Outcome>, quorum: usize) -> Option<Outcome> {
    let mut counts = [0usize; 4];
    for vote in votes {
        counts[usize::from(vote as u8)] += 1;
    }
    let [not_due, passed, failed, missed] = counts;
    if not_due >= quorum {
        return Some(Outcome::NotDue);
    }
    if passed >= quorum {
        return Some(Outcome::Passed);
    }
    let fault = if missed > failed { Outcome::Missed } else { Outcome::Failed };
    (failed + missed >= quorum).then_some(fault)
}

/// A miner's round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ballot {
    pub(super) votes: Votes,
    pub(super) decided_at: Height,
    pub(super) verdict: Verdict,
    pub(super) answered: bool,
    pub(super) proven: bool,
    pub(super) decided: bool,
    pub(super) appealed: bool,
    /// Faults in a row before this round was decided.
    pub(super) strikes_before: u32,
    /// What the chain has verified itself.
    pub(super) known: Known,
    /// What the miner was when this round's verdict forced it out, if it did.
    pub(super) forced: Option<MinerState>,
}

impl Ballot {
    /// The ballot of a round; an empty one if nothing is kept of it.
    pub(super) fn read(host: &mut dyn ModuleHost, miner: Address, round: u64) -> Result<Self, ModuleError> {
        let (number, votes, decided_at, flags) = state::ballot(miner, round).head.get(host)?;
        if number != round {
            return Ok(Self::default());
        }
        let verdict = u8::try_from(flags & 0xff).expect("masked to 8 bits");
        let verdict = Verdict::decode(verdict)
            .ok_or_else(|| ModuleError::Fatal(format!("ballot of {miner} in round {round} has verdict {verdict}")))?;
        Ok(Self {
            votes: Votes::from_word(votes),
            decided_at,
            verdict,
            answered: flags & ANSWERED != 0,
            proven: flags & PROVEN != 0,
            decided: flags & DECIDED != 0,
            appealed: flags & APPEALED != 0,
            strikes_before: u32::try_from(flags >> STRIKES_SHIFT).expect("shifted to 32 bits"),
            known: Known::from_flags(flags),
            forced: match (flags & FORCED != 0, flags & WAS_EXITING != 0) {
                (false, _) => None,
                (true, false) => Some(MinerState::Active),
                (true, true) => Some(MinerState::Exiting),
            },
        })
    }

    /// Writes it over that of a round long ago.
    pub(super) fn write(&self, host: &mut dyn ModuleHost, miner: Address, round: u64) -> Result<(), ModuleError> {
        let flag = |is: bool, bit: u64| if is { bit } else { 0 };
        let flags = u64::from(self.verdict.encode())
            | flag(self.answered, ANSWERED)
            | flag(self.proven, PROVEN)
            | flag(self.decided, DECIDED)
            | flag(self.appealed, APPEALED)
            | flag(self.forced.is_some(), FORCED)
            | flag(self.forced == Some(MinerState::Exiting), WAS_EXITING)
            | self.known.flags()
            | u64::from(self.strikes_before) << STRIKES_SHIFT;
        state::ballot(miner, round).head.set(host, &(round, self.votes.to_word(), self.decided_at, flags))
    }

    /// Whether a verdict can be right, as far as the chain knows.
    pub(super) fn admits(&self, verdict: Verdict, has_tags: bool) -> bool {
        let shown = |outcome: Outcome| matches!(outcome, Outcome::Passed | Outcome::Failed);
        let answered = self.answered || !(shown(verdict.spot) || shown(verdict.idle));
        let proven = self.proven || !shown(verdict.tags);
        answered && proven && (has_tags || verdict.tags == Outcome::NotDue)
    }
}

/// Bytes a miner had in a round, and what it was fined for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Base {
    pub(super) idle: u64,
    pub(super) service: u64,
    /// Certified segments of idle space, and steps of them that data had taken.
    pub(super) segments: u64,
    pub(super) consumed: u64,
    pub(super) fined: U256,
}

impl Base {
    pub(super) fn read(host: &mut dyn ModuleHost, miner: Address, round: u64) -> Result<Self, ModuleError> {
        let slots = state::ballot(miner, round);
        let (idle, service, segments, consumed) = slots.base.get(host)?;
        Ok(Self { idle, service, segments, consumed, fined: slots.fined.get(host)? })
    }

    pub(super) fn write(&self, host: &mut dyn ModuleHost, miner: Address, round: u64) -> Result<(), ModuleError> {
        let slots = state::ballot(miner, round);
        let words = (self.idle, self.service, self.segments, self.consumed);
        if slots.base.get(host)? != words {
            slots.base.set(host, &words)?;
        }
        if slots.fined.get(host)? != self.fined {
            slots.fined.set(host, &self.fined)?;
        }
        Ok(())
    }

    /// Idle and service bytes that a verdict gives power for.
    pub(super) fn earned(&self, verdict: Verdict) -> (u64, u64) {
        let service = verdict.service_passed() && verdict.spot == Outcome::Passed;
        let idle = verdict.idle == Outcome::Passed;
        (if idle { self.idle } else { 0 }, if service { self.service } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(cast: &[u8]) -> Votes {
        let mut votes = Votes::default();
        cast.iter().enumerate().for_each(|(place, verdict)| assert!(votes.cast(place, *verdict)));
        votes
    }

    fn decided(cast: &[u8], members: usize) -> Option<u8> {
        votes(cast).decide(members, Known::default()).map(Verdict::encode)
    }

    #[test]
    fn five_of_seven_decide_and_four_do_not() {
        assert_eq!(decided(&[1; 5], 7), Some(1));
        assert_eq!(decided(&[1; 4], 7), None);
        assert_eq!(decided(&[1, 1, 1, 1, 2, 2, 2], 7), None);
        assert_eq!(decided(&[2, 2, 1, 1, 1, 1, 1], 7), Some(1));
        assert_eq!(decided(&[1; 3], 4), Some(1));
        assert_eq!(decided(&[], 7), None);
    }

    #[test]
    fn parts_are_decided_apart_and_faults_together() {
        // Spot passed for all, tags failed for five, idle split: nothing yet.
        let (pass, miss, tags) = (0b01, 0b11, 0b10_00);
        assert_eq!(decided(&[pass | tags; 5], 7), Some(pass | tags));
        assert_eq!(decided(&[2, 2, miss, miss, miss], 7), Some(miss));
        assert_eq!(decided(&[2, 2, 2, miss, miss], 7), Some(2));
        assert_eq!(decided(&[pass, pass | tags, pass | tags, pass | tags, pass | tags], 7), None);
    }

    #[test]
    fn what_the_chain_knows_needs_no_votes() {
        let known = Known { spot: Some(Outcome::Passed), idle: None };
        assert_eq!(votes(&[0b11; 5]).decide(7, known).map(Verdict::encode), Some(0b01));
        assert_eq!(votes(&[0b11; 4]).decide(7, known), None, "idle space and tags do");
        let both = Known { spot: Some(Outcome::Failed), idle: Some(Outcome::Passed) };
        assert_eq!(both.correct(Verdict::default()).encode(), 0b01_00_10);
        for known in [Known::default(), known, both] {
            assert_eq!(Known::from_flags(known.flags()), known);
        }
    }

    #[test]
    fn a_member_votes_once() {
        let mut votes = votes(&[0, 63]);
        assert!(!votes.cast(0, 1) && !votes.cast(1, 1));
        assert_eq!((votes.of(0), votes.of(1), votes.of(2), votes.of(9)), (Some(0), Some(63), None, None));
        assert_eq!((votes.count(), votes.saying(63), Votes::from_word(votes.to_word())), (2, 1, votes));
    }
}
