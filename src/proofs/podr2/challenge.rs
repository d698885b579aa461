//! What a round asks of each fragment: which blocks, with which weights, and the point the aggregate is opened at.
//!
//! Invariant: a fragment's draws depend on the round and its id alone, so that the order and number of the others do not matter.

use super::curve::Scalar;
use crate::{
    crypto::hash::DOMAIN_PODR2_CHALLENGE,
    proofs::{
        fragment::Fragment,
        round::{AuditRound, Draws},
    },
    types::params::PODR2_CHALLENGED_BLOCKS,
};

/// The challenge of one round to one miner.
#[derive(Clone)]
pub struct Challenge {
    round: AuditRound,
    key: [u8; 32],
    pub(super) point: Scalar,
}

/// A block that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Its index in the fragment.
    pub block: u32,
    /// ν, its weight in the aggregate.
    pub(super) weight: u128,
}

impl Challenge {
    /// The challenge of `round`, whose context is the digest of the key epoch.
    pub fn of(round: &AuditRound) -> Self {
        let mut draws = round.draws(DOMAIN_PODR2_CHALLENGE);
        let key = draws.bytes();
        let point = Scalar::reduce(&draws.bytes::<64>());
        Self { round: *round, key, point }
    }

    /// The round.
    pub fn round(&self) -> &AuditRound {
        &self.round
    }

    /// What is asked of `fragment`: [`PODR2_CHALLENGED_BLOCKS`] different blocks, or all of them if there are fewer, by index.
    pub fn asks(&self, fragment: &Fragment) -> Vec<Asked> {
        let mut draws = Draws(blake3::Hasher::new_keyed(&self.key).update(fragment.id.as_bytes()).finalize_xof());
        let mut blocks: Vec<u32> = (0..fragment.length.blocks()).collect();
        if blocks.len() > PODR2_CHALLENGED_BLOCKS {
            for chosen in 0..PODR2_CHALLENGED_BLOCKS {
                let left = u64::try_from(blocks.len() - chosen).expect("a fragment has few blocks");
                let further = usize::try_from(draws.below(left)).expect("below the number of blocks");
                blocks.swap(chosen, chosen + further);
            }
            blocks.truncate(PODR2_CHALLENGED_BLOCKS);
            blocks.sort_unstable();
        }
        blocks.into_iter().map(|block| Asked { block, weight: draws.weight() }).collect()
    }
}
