//! Proof that a candidate holds the keys it registers, so that nobody can take another's keys or be blamed for them.

use super::ConsensusError;
use crate::{
    crypto::{
        NodeKeys, PublicKey, Signature, VrfProof, VrfPublicKey,
        hash::{DOMAIN_POSSESSION, tagged},
    },
    types::{Address, ChainId},
};

/// The three public keys of a validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidatorKeys {
    /// Signs votes and proposals.
    pub consensus: PublicKey,
    /// Feeds the beacon and the elections.
    pub vrf: VrfPublicKey,
    /// Identity of its host.
    pub network: PublicKey,
}

/// One proof for each key, over the same statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Possession {
    /// By the consensus key.
    pub consensus: Signature,
    /// By the VRF key.
    pub vrf: VrfProof,
    /// By the network key.
    pub network: Signature,
}

impl ValidatorKeys {
    /// What every key proves: these keys belong together and to `account` on this chain.
    pub fn statement(&self, chain_id: ChainId, account: &Address) -> [u8; 32] {
        let keys: [&[u8]; 3] = [&self.consensus.0, &self.vrf.0, &self.network.0];
        tagged(DOMAIN_POSSESSION, &[&chain_id.to_le_bytes(), account.as_slice(), keys[0], keys[1], keys[2]])
    }

    /// Checks all three proofs.
    pub fn check(&self, chain_id: ChainId, account: &Address, proof: &Possession) -> Result<(), ConsensusError> {
        let statement = self.statement(chain_id, account);
        let bad = |key| ConsensusError::NotPossessed { account: *account, key };
        self.consensus.verify(&statement, &proof.consensus).map_err(|_| bad("consensus"))?;
        self.vrf.verify(&statement, &proof.vrf).map_err(|_| bad("VRF"))?;
        self.network.verify(&statement, &proof.network).map_err(|_| bad("network"))
    }
}

/// The public keys of a node and the proofs that it holds them in the name of `account`.
pub fn prove(keys: &NodeKeys, chain_id: ChainId, account: &Address) -> (ValidatorKeys, Possession) {
    let public =
        ValidatorKeys { consensus: keys.consensus.public(), vrf: keys.vrf.public(), network: keys.network.public() };
    let statement = public.statement(chain_id, account);
    let proof = Possession {
        consensus: keys.consensus.sign(&statement),
        vrf: keys.vrf.prove(&statement),
        network: keys.network.sign(&statement),
    };
    (public, proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_hold_for_their_keys_account_and_chain_only() {
        let (keys, account) = (NodeKeys::derive(&[1; 32]), Address::repeat_byte(9));
        let (public, proof) = prove(&keys, 1, &account);
        assert_eq!(public.check(1, &account, &proof), Ok(()));
        assert!(public.check(2, &account, &proof).is_err());
        assert!(public.check(1, &Address::repeat_byte(8), &proof).is_err());
        let (_, foreign) = prove(&NodeKeys::derive(&[2; 32]), 1, &account);
        let refused = |proof: Possession| public.check(1, &account, &proof).unwrap_err().to_string();
        assert!(refused(Possession { consensus: foreign.consensus, ..proof }).contains("consensus key"));
        assert!(refused(Possession { vrf: foreign.vrf, ..proof }).contains("VRF key"));
        assert!(refused(Possession { network: foreign.network, ..proof }).contains("network key"));
    }
}
