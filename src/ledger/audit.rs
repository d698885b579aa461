//! What chain, miners and verifiers have to agree on about audits: when rounds are, who verifies, how verdicts are written.
//!
//! Pure arithmetic over the chain's numbers. Must not know state or disks. Invariant: whoever knows beacon, set of verifiers and miner
//! draws the same committee.

use crate::{
    crypto::hash::{DOMAIN_TAG_RECEIPT, DOMAIN_VERIFIERS, stream, tagged},
    types::{Address, B256, ChainId, FileId, Height, Params, params::VERIFIERS},
};

/// What a round of spot openings is about: everything a miner holds.
pub const SPOT_CONTEXT: [u8; 32] = *b"cess 2026 spot audit of holdings";

/// Most bytes of manifests that show the chain what a miner held: 2,500 segments, 20 GiB on one miner.
pub const REFUTE_MAX_BYTES: usize = 1 << 20;
/// What the chain's events name instead of an appeal where the chain itself has seen a lie.
pub const NO_APPEAL: u64 = u64::MAX;

/// When rounds of audits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    blocks: u64,
    tag_rounds: u64,
    answer_blocks: u64,
    prove_blocks: u64,
}

impl Rounds {
    /// Those of a chain.
    pub fn of(params: &Params) -> Self {
        let blocks = params.audit_round_blocks.max(1);
        Self {
            blocks,
            tag_rounds: params.audit_tag_rounds.max(1),
            answer_blocks: params.audit_answer_blocks,
            prove_blocks: params.audit_prove_blocks,
        }
    }

    /// The round that is open at `height`.
    pub fn at(self, height: Height) -> u64 {
        height / self.blocks
    }

    /// The block whose beacon a round draws from.
    pub fn opened_at(self, round: u64) -> Height {
        round.saturating_mul(self.blocks)
    }

    /// Last block that takes answers.
    pub fn answer_until(self, round: u64) -> Height {
        self.opened_at(round).saturating_add(self.answer_blocks)
    }

    /// Last block that takes proofs of tags.
    pub fn prove_until(self, round: u64) -> Height {
        self.opened_at(round).saturating_add(self.prove_blocks)
    }

    /// Last block that takes verdicts.
    pub fn vote_until(self, round: u64) -> Height {
        self.opened_at(round.saturating_add(2)).saturating_sub(1)
    }

    /// Whether proofs of tags are due in a round, and faults of it count.
    pub fn has_tags(self, round: u64) -> bool {
        round.is_multiple_of(self.tag_rounds)
    }
}

/// How one part of an audit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Outcome {
    /// There was nothing to show.
    #[default]
    NotDue = 0,
    /// Shown in time, and right.
    Passed = 1,
    /// Shown, and wrong.
    Failed = 2,
    /// Not shown in time.
    Missed = 3,
}

impl Outcome {
    fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::NotDue,
            1 => Self::Passed,
            2 => Self::Failed,
            _ => Self::Missed,
        }
    }

    /// Whether it speaks against the miner.
    pub fn is_fault(self) -> bool {
        matches!(self, Self::Failed | Self::Missed)
    }
}

/// What a member of a committee says of a miner's round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Openings of chunks, without trust in anybody.
    pub spot: Outcome,
    /// The aggregate proof over tags.
    pub tags: Outcome,
    /// Idle space.
    pub idle: Outcome,
}

impl Verdict {
    /// As contracts write it.
    pub fn encode(self) -> u8 {
        self.spot as u8 | (self.tags as u8) << 2 | (self.idle as u8) << 4
    }

    /// Reads what [`Verdict::encode`] wrote.
    pub fn decode(byte: u8) -> Option<Self> {
        let part = |shift: u8| Outcome::from_bits(byte >> shift);
        (byte < 64).then(|| Self { spot: part(0), tags: part(2), idle: part(4) })
    }

    /// Whether a part of it speaks against the miner.
    pub fn is_fault(self) -> bool {
        [self.spot, self.tags, self.idle].into_iter().any(Outcome::is_fault)
    }

    /// Whether the data it holds is there.
    pub fn service_passed(self) -> bool {
        !self.spot.is_fault() && !self.tags.is_fault()
    }
}

/// Votes that decide among `members`: more than two thirds.
pub const fn quorum(members: usize) -> usize {
    members * 2 / 3 + 1
}

/// Draws who verifies `subject` out of `members`: at most [`VERIFIERS`] of their indices, in the order drawn.
pub fn draw_committee(beacon: &B256, subject: &[u8], members: usize) -> Vec<usize> {
    let mut draws = stream(DOMAIN_VERIFIERS, &tagged(DOMAIN_VERIFIERS, &[beacon.as_slice(), subject]));
    let mut moved = std::collections::BTreeMap::new();
    let taken = members.min(VERIFIERS);
    (0..taken)
        .map(|place| {
            let mut word = [0; 16];
            draws.fill(&mut word);
            // 128 bits against a small number: even to 2^-64 and better.
            let left = (members - place) as u128;
            let chosen = place + usize::try_from(u128::from_le_bytes(word) % left).expect("below a usize");
            let member = moved.get(&chosen).copied().unwrap_or(chosen);
            moved.insert(chosen, moved.get(&place).copied().unwrap_or(place));
            member
        })
        .collect()
}

/// Whose round is verified, as [`draw_committee`] takes it.
pub fn round_subject(round: u64, miner: &Address) -> Vec<u8> {
    [b"round ".as_slice(), &round.to_le_bytes(), miner.as_slice()].concat()
}

/// Whose commitments to idle space are verified.
pub fn idle_subject(batch: u64, miner: &Address) -> Vec<u8> {
    [b"idle ".as_slice(), &batch.to_le_bytes(), miner.as_slice()].concat()
}

/// What `holder` signs with its account key when the tags of its column, made with the key of this digest, are good.
pub fn tag_message(chain: ChainId, file: FileId, column: u8, holder: Address, key_digest: &[u8; 32]) -> [u8; 32] {
    let parts: [&[u8]; 5] = [&chain.to_le_bytes(), file.as_bytes(), &[column], holder.as_slice(), key_digest];
    tagged(DOMAIN_TAG_RECEIPT, &parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_follow_from_heights() {
        let rounds = Rounds::of(&Params::dev());
        assert_eq!((rounds.at(59), rounds.at(60), rounds.opened_at(2)), (1, 2, 60));
        assert_eq!((rounds.answer_until(2), rounds.prove_until(2), rounds.vote_until(2)), (75, 78, 119));
        let mainnet = Rounds::of(&Params::mainnet());
        assert!(mainnet.has_tags(6) && !mainnet.has_tags(7));
    }

    #[test]
    fn verdicts_are_six_bits() {
        for byte in 0..64 {
            assert_eq!(Verdict::decode(byte).unwrap().encode(), byte);
        }
        assert_eq!(Verdict::decode(64), None);
        let verdict = Verdict { spot: Outcome::Passed, tags: Outcome::Failed, idle: Outcome::NotDue };
        assert_eq!(verdict.encode(), 0b00_10_01);
        assert!(verdict.is_fault() && !verdict.service_passed());
    }

    #[test]
    fn committees_are_drawn_evenly_and_without_repetition() {
        let mut counts = [0u32; 10];
        for n in 0..2_000u64 {
            let drawn = draw_committee(&B256::repeat_byte(3), &n.to_le_bytes(), 10);
            let distinct: std::collections::BTreeSet<_> = drawn.iter().collect();
            assert_eq!((drawn.len(), distinct.len()), (VERIFIERS, VERIFIERS));
            drawn.into_iter().for_each(|member| counts[member] += 1);
        }
        // 1,400 each; five standard deviations of 20.5.
        assert!(counts.iter().all(|count| count.abs_diff(1_400) < 103), "{counts:?}");
        assert_eq!(draw_committee(&B256::ZERO, b"", 0), [0usize; 0]);
        assert_eq!(draw_committee(&B256::ZERO, b"", 3).len(), 3);
        assert_eq!((quorum(7), quorum(5), quorum(4), quorum(1)), (5, 4, 3, 1));
    }
}
