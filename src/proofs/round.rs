//! What makes one audit differ from every other, and the draws that follow from it.
//!
//! Invariants: two rounds that differ in any field draw independently; a draw is uniform; nobody who wants a certain draw can
//! change anything that enters it, provided the beacon is that of a block decided after the fragments were registered.

use crate::types::{Address, ChainId};

/// One audit of one miner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditRound {
    /// The beacon the round was opened with.
    pub beacon: [u8; 32],
    /// The chain it happens on.
    pub chain: ChainId,
    /// Who is asked.
    pub miner: Address,
    /// The round's number.
    pub round: u64,
    /// What is audited: for PoDR² the digest of the key epoch, else what the protocol's module says.
    pub context: [u8; 32],
}

/// Length of the bytes a round's draws are derived from.
const ROUND_BYTES: usize = 32 + 8 + 20 + 8 + 32;

impl AuditRound {
    /// The round's draws for the purpose `domain`.
    pub(super) fn draws(&self, domain: &str) -> Draws {
        let mut seed = Vec::with_capacity(ROUND_BYTES);
        seed.extend_from_slice(&self.beacon);
        seed.extend_from_slice(&self.chain.to_le_bytes());
        seed.extend_from_slice(self.miner.as_slice());
        seed.extend_from_slice(&self.round.to_le_bytes());
        seed.extend_from_slice(&self.context);
        assert_eq!(seed.len(), ROUND_BYTES, "fields have fixed lengths, so that their boundaries need no marks");
        Draws(crate::crypto::hash::stream(domain, &seed))
    }
}

/// A stream of uniform draws, the same for everybody who knows its seed.
pub(super) struct Draws(pub(super) blake3::OutputReader);

impl Draws {
    /// The next `N` bytes.
    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.0.fill(&mut out);
        out
    }

    /// A number of 128 bits.
    pub(super) fn weight(&mut self) -> u128 {
        u128::from_le_bytes(self.bytes())
    }

    /// A number below `bound`, which is not 0. The high half of bound × draw; draws that would favour some numbers are repeated.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below 0");
        loop {
            let product = u128::from(u64::from_le_bytes(self.bytes())) * u128::from(bound);
            let (high, low) = (product >> 64, product & u128::from(u64::MAX));
            // 2^64 mod bound numbers at the bottom of each stretch are too many.
            if low >= u128::from(bound.wrapping_neg() % bound) {
                return u64::try_from(high).expect("half of 128 bits");
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::crypto::hash::DOMAIN_PODR2_CHALLENGE;

    /// The round other tests begin with.
    pub(crate) fn sample() -> AuditRound {
        AuditRound { beacon: [7; 32], chain: 11_332, miner: Address::repeat_byte(0x11), round: 5, context: [3; 32] }
    }

    #[test]
    fn every_field_changes_the_draws() {
        let first = |round: &AuditRound| round.draws(DOMAIN_PODR2_CHALLENGE).bytes::<32>();
        let others = [
            AuditRound { beacon: [8; 32], ..sample() },
            AuditRound { chain: 11_333, ..sample() },
            AuditRound { miner: Address::repeat_byte(0x12), ..sample() },
            AuditRound { round: 6, ..sample() },
            AuditRound { context: [4; 32], ..sample() },
        ];
        assert!(others.iter().all(|other| first(other) != first(&sample())));
        assert_ne!(first(&sample()), sample().draws("cess 2026 another purpose").bytes::<32>());
    }

    #[test]
    fn draws_below_a_bound_are_even() {
        let mut draws = sample().draws(DOMAIN_PODR2_CHALLENGE);
        let mut counts = [0u32; 3];
        (0..3_000).for_each(|_| counts[draws.below(3) as usize] += 1);
        // Five standard deviations of 26.
        assert!(counts.iter().all(|count| count.abs_diff(1_000) < 130), "{counts:?}");
        assert!((0..100).all(|_| draws.below(1) == 0));
        let top = (1 << 63) + 1;
        assert!((0..100).all(|_| draws.below(top) < top));
    }
}
