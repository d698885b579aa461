//! secp256k1 keys of Ethereum accounts, through the C library.

use alloy_primitives::{Address, B256, U256, keccak256};
use secp256k1::{Message, SECP256K1, ecdsa};
use std::fmt;

/// A secret key of an Ethereum account. Never printed.
#[derive(Clone)]
pub struct EcdsaKey(secp256k1::SecretKey);

/// A recoverable signature, low-s as EIP-2 asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EcdsaSignature {
    /// First half.
    pub r: U256,
    /// Second half.
    pub s: U256,
    /// Parity of the nonce point's y.
    pub y_odd: bool,
}

impl EcdsaKey {
    /// From 32 secret bytes; zero and values above the curve order are refused.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        secp256k1::SecretKey::from_byte_array(*bytes).ok().map(Self)
    }

    /// The 32 secret bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.secret_bytes()
    }

    /// The account this key controls.
    pub fn address(&self) -> Address {
        address_of(&self.0.public_key(SECP256K1))
    }

    /// Signs a 32-byte digest.
    pub fn sign(&self, digest: &B256) -> EcdsaSignature {
        let signature = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(digest.0), &self.0);
        let (recovery, bytes) = signature.serialize_compact();
        EcdsaSignature {
            r: U256::from_be_slice(&bytes[..32]),
            s: U256::from_be_slice(&bytes[32..]),
            y_odd: i32::from(recovery) & 1 == 1,
        }
    }
}

impl fmt::Debug for EcdsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EcdsaKey(of {})", self.address())
    }
}

/// The account that signed `digest`, or `None` if the signature is not valid or not low-s.
pub fn recover_address(digest: &B256, signature: &EcdsaSignature) -> Option<Address> {
    let mut compact = [0u8; 64];
    compact[..32].copy_from_slice(&signature.r.to_be_bytes::<32>());
    compact[32..].copy_from_slice(&signature.s.to_be_bytes::<32>());
    let mut low = ecdsa::Signature::from_compact(&compact).ok()?;
    low.normalize_s();
    if low.serialize_compact() != compact {
        return None;
    }
    let recovery = ecdsa::RecoveryId::try_from(i32::from(signature.y_odd)).ok()?;
    let recoverable = ecdsa::RecoverableSignature::from_compact(&compact, recovery).ok()?;
    let key = SECP256K1.recover_ecdsa(Message::from_digest(digest.0), &recoverable).ok()?;
    Some(address_of(&key))
}

fn address_of(key: &secp256k1::PublicKey) -> Address {
    Address::from_slice(&keccak256(&key.serialize_uncompressed()[1..])[12..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, hex};

    #[test]
    fn known_key_has_known_address_and_signature_recovers() {
        let key =
            EcdsaKey::from_bytes(&hex!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")).unwrap();
        assert_eq!(key.address(), address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
        let digest = keccak256(b"hello");
        let signature = key.sign(&digest);
        assert_eq!(recover_address(&digest, &signature), Some(key.address()));
        assert_ne!(recover_address(&keccak256(b"other"), &signature), Some(key.address()));
        assert!(EcdsaKey::from_bytes(&[0; 32]).is_none());
    }
}
