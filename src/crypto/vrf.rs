//! ECVRF on ristretto255 (RFC 9381): a proposer's unpredictable yet checkable contribution to the beacon.

use curve25519_dalek::Scalar;
use std::fmt;

/// Length of a proof on the wire.
pub const VRF_PROOF_BYTES: usize = 80;

/// A proof did not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("VRF proof is not valid for this key and input")]
pub struct VrfError;

/// A VRF secret key. Never printed.
#[derive(Clone)]
pub struct VrfSecretKey(vrf_r255::SecretKey);

/// A VRF public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct VrfPublicKey(pub [u8; 32]);

/// A proof; its 64-byte output is obtained by verifying it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct VrfProof(pub [u8; VRF_PROOF_BYTES]);

impl VrfSecretKey {
    /// From 32 secret bytes of any value.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let scalar = Scalar::from_bytes_mod_order_wide(&wide(seed));
        let key: Option<vrf_r255::SecretKey> = vrf_r255::SecretKey::from_bytes(scalar.to_bytes()).into();
        Self(key.expect("a hash output is the zero scalar with probability 2^-252"))
    }

    /// The public half.
    pub fn public(&self) -> VrfPublicKey {
        VrfPublicKey(vrf_r255::PublicKey::from(self.0).to_bytes())
    }

    /// Proof for `input`. The same key and input always give the same output.
    pub fn prove(&self, input: &[u8]) -> VrfProof {
        VrfProof(self.0.prove(input).to_bytes())
    }
}

impl VrfPublicKey {
    /// Checks `proof` for `input` and returns its output.
    pub fn verify(&self, input: &[u8], proof: &VrfProof) -> Result<[u8; 64], VrfError> {
        let key = vrf_r255::PublicKey::from_bytes(self.0).ok_or(VrfError)?;
        let proof = vrf_r255::Proof::from_bytes(proof.0).ok_or(VrfError)?;
        Option::from(key.verify(input, &proof)).ok_or(VrfError)
    }
}

impl fmt::Debug for VrfSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VrfSecretKey(of {:?})", self.public())
    }
}

impl fmt::Debug for VrfPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", hex::encode(&self.0[..4]))
    }
}

impl fmt::Debug for VrfProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VrfProof({}…)", hex::encode(&self.0[..4]))
    }
}

fn wide(seed: &[u8; 32]) -> [u8; 64] {
    let mut out = [0u8; 64];
    super::hash::stream("cess 2026 vrf secret key v1", seed).fill(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_verify_for_their_key_and_input_only() {
        let key = VrfSecretKey::from_seed(&[1; 32]);
        let proof = key.prove(b"input");
        let output = key.public().verify(b"input", &proof).unwrap();
        assert_eq!(key.public().verify(b"input", &key.prove(b"input")), Ok(output));
        assert_eq!(key.public().verify(b"other", &proof), Err(VrfError));
        assert_eq!(VrfSecretKey::from_seed(&[2; 32]).public().verify(b"input", &proof), Err(VrfError));
        let mut bent = proof;
        bent.0[79] ^= 1;
        assert_eq!(key.public().verify(b"input", &bent), Err(VrfError));
    }
}
