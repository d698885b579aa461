//! ed25519 keys of nodes and native accounts, and the derivation of all of a node's keys from one seed.

use super::vrf::VrfSecretKey;
use alloy_primitives::{Address, keccak256};
use ed25519_dalek::{Signer, Verifier};
use std::fmt;
use zeroize::Zeroizing;

/// A signature did not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ed25519 signature is not valid")]
pub struct SignatureError;

/// An ed25519 secret key. Never printed.
#[derive(Clone)]
pub struct SecretKey(ed25519_dalek::SigningKey);

/// An ed25519 public key in its 32-byte form; decompressed when used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct PublicKey(pub [u8; 32]);

/// An ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Signature(pub [u8; 64]);

impl SecretKey {
    /// From 32 secret bytes.
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The 32 secret bytes, for storing or handing to the network host.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {:?})", self.public())
    }
}

impl PublicKey {
    /// Checks `signature` over `message`.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| SignatureError)?;
        key.verify(message, &ed25519_dalek::Signature::from_bytes(&signature.0)).map_err(|_| SignatureError)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", hex::encode(&self.0[..4]))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({}…)", hex::encode(&self.0[..4]))
    }
}

/// Verifies many signatures at once; an error says only that at least one is bad.
pub fn verify_batch(items: &[(&[u8], Signature, PublicKey)]) -> Result<(), SignatureError> {
    let mut keys = Vec::with_capacity(items.len());
    for (_, _, key) in items {
        keys.push(ed25519_dalek::VerifyingKey::from_bytes(&key.0).map_err(|_| SignatureError)?);
    }
    let messages: Vec<&[u8]> = items.iter().map(|(message, _, _)| *message).collect();
    let signatures: Vec<_> = items.iter().map(|(_, s, _)| ed25519_dalek::Signature::from_bytes(&s.0)).collect();
    ed25519_dalek::verify_batch(&messages, &signatures, &keys).map_err(|_| SignatureError)
}

/// The account of a native key: last 20 bytes of keccak256(0xed ‖ key).
pub fn native_address(key: &PublicKey) -> Address {
    let mut input = [0xed; 33];
    input[1..].copy_from_slice(&key.0);
    Address::from_slice(&keccak256(input)[12..])
}

/// All keys of one node, derived from one 32-byte seed. The VRF key is never the signing key: they would share nonces.
#[derive(Clone)]
pub struct NodeKeys {
    /// Transport identity on the peer-to-peer network.
    pub network: SecretKey,
    /// Signs votes and proposals.
    pub consensus: SecretKey,
    /// Owner of the node's native account and signer of its receipts.
    pub account: SecretKey,
    /// Proves the beacon's randomness.
    pub vrf: VrfSecretKey,
    /// What a gateway of its own seals keys of buckets with.
    pub gateway: Zeroizing<[u8; 32]>,
}

impl NodeKeys {
    /// Derives every key from `seed`.
    pub fn derive(seed: &[u8; 32]) -> Self {
        let key = |purpose: &str| Zeroizing::new(blake3::derive_key(&format!("cess 2026 node key {purpose}"), seed));
        Self {
            network: SecretKey::from_bytes(&key("network")),
            consensus: SecretKey::from_bytes(&key("consensus")),
            account: SecretKey::from_bytes(&key("account")),
            vrf: VrfSecretKey::from_seed(&key("vrf")),
            gateway: key("gateway"),
        }
    }

    /// The node's native account.
    pub fn address(&self) -> Address {
        native_address(&self.account.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_seed_are_distinct_and_stable() {
        let keys = NodeKeys::derive(&[7; 32]);
        let again = NodeKeys::derive(&[7; 32]);
        assert_eq!(keys.consensus.public(), again.consensus.public());
        assert_ne!(keys.consensus.public(), keys.network.public());
        assert_ne!(keys.account.public(), keys.network.public());
    }

    #[test]
    fn batch_finds_one_bad_signature() {
        let keys: Vec<_> = (0u8..8).map(|i| SecretKey::from_bytes(&[i; 32])).collect();
        let mut items: Vec<_> = keys.iter().map(|k| (&b"m"[..], k.sign(b"m"), k.public())).collect();
        assert_eq!(verify_batch(&items), Ok(()));
        items[3].1 = keys[3].sign(b"other");
        assert_eq!(verify_batch(&items), Err(SignatureError));
        assert_eq!(items[3].2.verify(b"m", &items[3].1), Err(SignatureError));
    }
}
