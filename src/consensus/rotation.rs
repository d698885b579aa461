//! Who proposes: element r mod n of a permutation of the committee drawn from the beacon of the height before.

use super::Committee;
use crate::{
    crypto::hash::{DOMAIN_ROTATION, stream, tagged},
    types::{Address, B256, Height},
};

/// The proposer of (`height`, `round`); `seed` is the beacon of `height − 1`.
///
/// Panics on an empty committee, which [`Committee::check`] refuses.
pub fn proposer(committee: &Committee, seed: &B256, height: Height, round: u32) -> Address {
    committee.members[proposer_index(committee.members.len(), seed, height, round)].account
}

/// Index of the proposer among `n` members.
pub fn proposer_index(n: usize, seed: &B256, height: Height, round: u32) -> usize {
    assert!(n > 0, "a committee has at least one member");
    let turn = u64::from(round) % u64::try_from(n).expect("a usize fits 64 bits");
    permutation(n, seed, height)[usize::try_from(turn).expect("it is less than n")]
}

/// The order in which the members propose, round by round.
pub fn permutation(n: usize, seed: &B256, height: Height) -> Vec<usize> {
    let digest = tagged(DOMAIN_ROTATION, &[seed.as_slice(), &height.to_le_bytes()]);
    let mut random = stream(DOMAIN_ROTATION, &digest);
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, below(&mut random, last + 1));
    }
    order
}

/// A uniform number below `n`: draws in the incomplete last interval are thrown away.
fn below(random: &mut blake3::OutputReader, n: usize) -> usize {
    let n = u64::try_from(n).expect("a usize fits 64 bits");
    let limit = u64::MAX - u64::MAX % n;
    loop {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        let draw = u64::from_le_bytes(bytes);
        if draw < limit {
            return usize::try_from(draw % n).expect("it is less than n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::committee::tests::committee_of;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_a_permutation_and_deterministic(n in 1usize..64, seed: [u8; 32], height: u64) {
            let seed = B256::from(seed);
            let order = permutation(n, &seed, height);
            prop_assert_eq!(&order, &permutation(n, &seed, height));
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..n).collect::<Vec<_>>());
        }

        #[test]
        fn every_member_has_its_turn_in_n_rounds(seed: [u8; 32], height: u64, start in 0u32..1_000_000) {
            let (committee, _) = committee_of(5);
            let seed = B256::from(seed);
            let turns: std::collections::BTreeSet<_> =
                (start..start + 5).map(|round| proposer(&committee, &seed, height, round)).collect();
            prop_assert_eq!(turns.len(), 5);
        }
    }

    #[test]
    fn first_turns_are_spread_evenly() {
        let mut first = [0u32; 4];
        for height in 0..4_000 {
            first[proposer_index(4, &B256::ZERO, height, 0)] += 1;
        }
        assert!(first.iter().all(|&count| (850..1_150).contains(&count)), "{first:?}");
    }
}
