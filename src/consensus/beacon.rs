//! The random beacon: a chain of hashes over the proposers' VRF outputs.
//!
//! R_h = H(R_{h−1} ‖ VRF output of the proposer of h). The output is unique for key and input, so that a proposer can
//! withhold its block but not choose its contribution.

use crate::{
    crypto::{
        VrfError, VrfProof, VrfPublicKey, VrfSecretKey,
        hash::{DOMAIN_BEACON, DOMAIN_ERA_REVEAL, DOMAIN_VRF_INPUT, tagged},
    },
    types::{B256, ChainId, Height},
};

/// The beacon after a block whose proposer contributed `output`.
pub fn next(prev: &B256, output: &[u8; 64]) -> B256 {
    B256::from(tagged(DOMAIN_BEACON, &[prev.as_slice(), output]))
}

/// What the proposer of `height` proves, given the beacon of the height before.
pub fn vrf_input(chain_id: ChainId, height: Height, prev: &B256) -> [u8; 32] {
    tagged(DOMAIN_VRF_INPUT, &[&chain_id.to_le_bytes(), &height.to_le_bytes(), prev.as_slice()])
}

/// What a candidate proves in its reveal for `era`, given the era's seed.
pub fn era_input(chain_id: ChainId, era: u64, seed: &B256) -> [u8; 32] {
    tagged(DOMAIN_ERA_REVEAL, &[&chain_id.to_le_bytes(), &era.to_le_bytes(), seed.as_slice()])
}

/// The contribution of the holder of `key` to `height`.
pub fn prove(key: &VrfSecretKey, chain_id: ChainId, height: Height, prev: &B256) -> VrfProof {
    key.prove(&vrf_input(chain_id, height, prev))
}

/// Checks a contribution and returns the beacon of `height`.
pub fn verify(
    key: &VrfPublicKey,
    proof: &VrfProof,
    chain_id: ChainId,
    height: Height,
    prev: &B256,
) -> Result<B256, VrfError> {
    key.verify(&vrf_input(chain_id, height, prev), proof).map(|output| next(prev, &output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn contributions_are_unique_and_bound(seed: [u8; 32], prev: [u8; 32], height in 1u64..1_000_000) {
            let (key, prev) = (VrfSecretKey::from_seed(&seed), B256::from(prev));
            let proof = prove(&key, 1, height, &prev);
            let beacon = verify(&key.public(), &proof, 1, height, &prev).unwrap();
            prop_assert_eq!(verify(&key.public(), &prove(&key, 1, height, &prev), 1, height, &prev), Ok(beacon));
            prop_assert!(verify(&key.public(), &proof, 2, height, &prev).is_err());
            prop_assert!(verify(&key.public(), &proof, 1, height + 1, &prev).is_err());
            prop_assert!(verify(&key.public(), &proof, 1, height, &beacon).is_err());
            prop_assert_ne!(beacon, prev);
        }
    }
}
