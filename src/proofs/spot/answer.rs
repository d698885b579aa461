//! A round's draw of chunks over all a miner holds, and the answer to it: the openings one after the other, in the order of the draw.

use super::opening::{OPENING_MAX_BYTES, OpenError, open, opening_bytes, verify_opening};
use crate::{
    crypto::hash::DOMAIN_SPOT_CHALLENGE,
    proofs::{
        fragment::{CHUNK_BYTES, Fragment},
        round::AuditRound,
    },
    types::{FragmentId, params::SPOT_OPENINGS},
};

/// Bytes of the longest answer.
pub const ANSWER_MAX_BYTES: usize = SPOT_OPENINGS * OPENING_MAX_BYTES;

/// Fragments of one miner in the order the chain lists them, which decides which draw falls on which.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    fragments: Vec<Fragment>,
    /// Bytes of each fragment and of all before it.
    ends: Vec<u64>,
}

/// A chunk that was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// The fragment.
    pub fragment: Fragment,
    /// The chunk's index in it.
    pub chunk: u64,
}

/// Why an answer is refused, or cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The miner does not have a fragment.
    #[error("fragment `{0}` is not there")]
    Missing(FragmentId),
    /// Longer or shorter than all openings together.
    #[error("the answer is {given} B, the openings that were asked for are {expected} B")]
    Length { given: usize, expected: usize },
    /// One of its openings.
    #[error(transparent)]
    Opening(#[from] OpenError),
}

impl Holdings {
    /// What a miner holds.
    pub fn new(fragments: Vec<Fragment>) -> Self {
        let mut sum = 0u64;
        let end = |fragment: &Fragment| {
            sum = sum.checked_add(fragment.length.bytes()).expect("fragments in memory are fewer than 2^41");
            sum
        };
        let ends = fragments.iter().map(end).collect();
        Self { fragments, ends }
    }

    /// All of its bytes.
    pub fn bytes(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    fn at(&self, byte: u64) -> Spot {
        let place = self.ends.partition_point(|end| *end <= byte);
        let fragment = self.fragments[place];
        let before = self.ends[place] - fragment.length.bytes();
        Spot { fragment, chunk: (byte - before) / CHUNK_BYTES }
    }
}

/// What `round` asks of a miner that holds `holdings`: [`SPOT_OPENINGS`] chunks, each that of a byte drawn evenly from all of
/// them; nothing of who holds nothing.
pub fn ask(round: &AuditRound, holdings: &Holdings) -> Vec<Spot> {
    if holdings.bytes() == 0 {
        return Vec::new();
    }
    let mut draws = round.draws(DOMAIN_SPOT_CHALLENGE);
    (0..SPOT_OPENINGS).map(|_| holdings.at(draws.below(holdings.bytes()))).collect()
}

/// The answer of a miner that reads its fragments with `read`.
pub fn answer<B: AsRef<[u8]>>(
    spots: &[Spot],
    mut read: impl FnMut(&Fragment) -> Option<B>,
) -> Result<Vec<u8>, AnswerError> {
    let mut answer = Vec::with_capacity(spots.len() * OPENING_MAX_BYTES);
    for Spot { fragment, chunk } in spots {
        let data = read(fragment).ok_or(AnswerError::Missing(fragment.id))?;
        answer.extend_from_slice(&open(fragment, data.as_ref(), *chunk)?);
    }
    Ok(answer)
}

/// Checks an answer.
pub fn verify(spots: &[Spot], answer: &[u8]) -> Result<(), AnswerError> {
    let lengths = spots.iter().map(|spot| opening_bytes(&spot.fragment, spot.chunk));
    let lengths = lengths.collect::<Result<Vec<_>, _>>()?;
    let expected = lengths.iter().sum();
    if answer.len() != expected {
        return Err(AnswerError::Length { given: answer.len(), expected });
    }
    let mut rest = answer;
    for (spot, length) in spots.iter().zip(lengths) {
        let (opening, later) = rest.split_at(length);
        verify_opening(&spot.fragment, spot.chunk, opening)?;
        rest = later;
    }
    Ok(())
}
