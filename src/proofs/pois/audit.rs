//! Audits: random leaves of what a miner still keeps idle, all its segments taken together.
//!
//! Owns the choice of leaves and the check of their openings. Must not know the ledger: it is told roots and live ranges.
//! Invariants: each live leaf is as likely as any other; what has become service space is never asked for.

use super::{
    Place, PoisError, Shape,
    shape::LABELS_LOG2_MAX,
    tree::{Digest, Opening},
};
use crate::{
    codec::Wire,
    crypto::hash::{DOMAIN_IDLE_AUDIT, stream, tagged},
    types::{
        Address, ChainId,
        params::{IDLE_AUDIT_LEAVES, IDLE_LIVE_STEPS},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// What a challenge is bound to: an answer is good for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transcript {
    /// The round's beacon, fixed when the answer window opens.
    pub beacon: [u8; 32],
    /// The chain.
    pub chain: ChainId,
    /// Whose segments.
    pub miner: Address,
    /// The round.
    pub round: u64,
}

/// A certified segment as the chain knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveSegment {
    /// Its number with its miner.
    pub number: u64,
    /// Root of its last layer.
    pub root: Digest,
    /// The first of its [`IDLE_LIVE_STEPS`] steps that is idle; all of them: none is.
    pub live_from: u32,
}

/// Openings of all segments asked for.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct AuditProof {
    /// In the order of the segments.
    pub openings: Vec<Opening>,
}

impl Wire for AuditProof {
    const NAME: &'static str = "idle audit proof";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 8 + IDLE_AUDIT_LEAVES * (8 + 64 + 32 * (LABELS_LOG2_MAX as usize - 1));
}

/// The leaves a miner has to show.
#[derive(Debug, Clone)]
pub struct AuditChallenge {
    shape: Shape,
    /// By the segment's place among those given.
    asked: BTreeMap<usize, Asked>,
}

#[derive(Debug, Clone)]
struct Asked {
    number: u64,
    root: Digest,
    leaves: BTreeSet<u32>,
}

impl AuditChallenge {
    /// Chooses leaves of `segments`, which are the miner's in an order all verifiers share. A leaf chosen twice is shown once.
    pub fn draw(shape: Shape, transcript: &Transcript, segments: &[LiveSegment]) -> Result<Self, PoisError> {
        let ends = live_ends(shape, segments)?;
        let total = ends.last().copied().unwrap_or(0);
        if total == 0 {
            return Err(PoisError::NothingLive { segments: segments.len() });
        }
        let mut asked: BTreeMap<usize, Asked> = BTreeMap::new();
        for choice in choices(transcript, total) {
            let place = ends.partition_point(|&end| end <= choice);
            let LiveSegment { number, root, .. } = segments[place];
            // Counted from the end, where the live range of every segment lies.
            let leaf = u64::from(shape.leaves()) - (ends[place] - choice);
            let leaf = u32::try_from(leaf).expect("a segment has fewer than 2^32 leaves");
            asked.entry(place).or_insert_with(|| Asked { number, root, leaves: BTreeSet::new() }).leaves.insert(leaf);
        }
        Ok(Self { shape, asked })
    }

    /// As [`AuditChallenge::draw`], of `segments` segments of which data has taken `taken` steps, from the first one on. `read` gives number and
    /// root of the segment at a place, and is called for those alone that are asked for. Nothing if no leaf is live.
    pub fn draw_counted<E>(
        shape: Shape,
        transcript: &Transcript,
        segments: u64,
        taken: u64,
        mut read: impl FnMut(u64) -> Result<(u64, Digest), E>,
    ) -> Result<Option<Self>, E> {
        let live = segments.saturating_mul(u64::from(IDLE_LIVE_STEPS)).saturating_sub(taken);
        let (total, leaves) = (live.saturating_mul(u64::from(shape.step_leaves())), u64::from(shape.leaves()));
        let mut asked: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
        if total == 0 {
            return Ok(None);
        }
        for choice in choices(transcript, total) {
            let leaf = choice.saturating_add(taken.saturating_mul(u64::from(shape.step_leaves())));
            let within = u32::try_from(leaf % leaves).expect("a segment has fewer than 2^32 leaves");
            asked.entry(leaf / leaves).or_default().insert(within);
        }
        let read = |(place, (at, leaves)): (usize, (u64, BTreeSet<u32>))| {
            let (number, root) = read(at)?;
            Ok((place, Asked { number, root, leaves }))
        };
        Ok(Some(Self { shape, asked: asked.into_iter().enumerate().map(read).collect::<Result<_, E>>()? }))
    }

    /// Number and leaves of each segment asked for, in order.
    pub fn asked(&self) -> impl ExactSizeIterator<Item = (u64, &BTreeSet<u32>)> {
        self.asked.values().map(|asked| (asked.number, &asked.leaves))
    }

    /// Answers it. `open` opens leaves of a segment, by the segment's number, with [`super::Crown::open`].
    pub fn prove<E>(&self, mut open: impl FnMut(u64, &BTreeSet<u32>) -> Result<Opening, E>) -> Result<AuditProof, E> {
        let openings = self.asked().map(|(number, leaves)| open(number, leaves)).collect::<Result<_, E>>()?;
        Ok(AuditProof { openings })
    }

    /// Checks an answer.
    pub fn verify(&self, proof: &AuditProof) -> Result<(), PoisError> {
        let (found, expected) = (proof.openings.len(), self.asked.len());
        if found != expected {
            return Err(PoisError::Openings { found, expected });
        }
        for (asked, opening) in self.asked.values().zip(&proof.openings) {
            opening.verify(self.shape, &asked.leaves, &asked.root, Place::Segment(asked.number))?;
        }
        Ok(())
    }
}

/// The leaves a round asks for, by their place among the live ones, of which there are `total`.
fn choices(transcript: &Transcript, total: u64) -> impl Iterator<Item = u64> + use<> {
    let Transcript { beacon, chain, miner, round } = transcript;
    let seed = tagged(DOMAIN_IDLE_AUDIT, &[beacon, &chain.to_le_bytes(), miner.as_slice(), &round.to_le_bytes()]);
    let mut draws = stream(DOMAIN_IDLE_AUDIT, &seed);
    (0..IDLE_AUDIT_LEAVES).map(move |_| {
        let mut word = [0; 16];
        draws.fill(&mut word);
        // 128 bits against fewer than 64: the remainder is even to 2^-64.
        u64::try_from(u128::from_le_bytes(word) % u128::from(total)).expect("below 64 bits")
    })
}

/// Live leaves up to and including each segment.
fn live_ends(shape: Shape, segments: &[LiveSegment]) -> Result<Vec<u64>, PoisError> {
    let mut end = 0u64;
    let ends = segments.iter().map(|&LiveSegment { number: segment, live_from: found, .. }| {
        let max = IDLE_LIVE_STEPS;
        let steps = max.checked_sub(found).ok_or(PoisError::LiveFrom { segment, found, max })?;
        end += u64::from(steps) * u64::from(shape.step_leaves());
        Ok(end)
    });
    ends.collect()
}
