//! The identity every label of a segment begins with, so that no two segments anywhere share a byte.

use crate::{
    crypto::hash::{DOMAIN_IDLE_REPLICA, tagged},
    types::{Address, ChainId},
};

/// Names one segment of one miner on one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct ReplicaId(pub [u8; 32]);

impl ReplicaId {
    /// The id of `miner`'s segment `number`. `beacon` is the one its registration was given, which nobody knew before: without
    /// it a miner could label segments ahead of time and look for numbers that suit it.
    pub fn new(chain: ChainId, miner: &Address, number: u64, beacon: &[u8; 32]) -> Self {
        let parts: [&[u8]; 4] = [&chain.to_le_bytes(), miner.as_slice(), &number.to_le_bytes(), beacon];
        Self(tagged(DOMAIN_IDLE_REPLICA, &parts))
    }
}
