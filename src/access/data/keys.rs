//! Keys of buckets, sealed to the gateways of a group and to the owner: HPKE with X25519, HKDF-SHA256 and ChaCha20-Poly1305.
//!
//! Owns the envelopes and the group's key pair. Must not know where they are kept. An envelope has 82 bytes: version 1, for whom (0 the
//! group, 1 the owner), the encapsulated key (32), the sealed bucket key with its tag (48). Invariant: what was sealed for one bucket,
//! owner and receiver opens for no other.

use super::seal::DataKey;
use crate::{crypto::hash, runtime::NodeRng, types::Address};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256, single_shot_open, single_shot_seal,
};
use zeroize::Zeroizing;

/// Bytes of an envelope.
pub const ENVELOPE_BYTES: usize = 2 + ENCAPSULATED_BYTES + 32 + 16;

const ENCAPSULATED_BYTES: usize = 32;
const VERSION: u8 = 1;
const INFO: &[u8] = b"cess 2026 bucket key v1";
const GROUP_DOMAIN: &str = "cess 2026 gateway group key";

type Aead = ChaCha20Poly1305;
type Kdf = HkdfSha256;
type Dh = X25519HkdfSha256;

/// A public key that is none, or an envelope that does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a point to seal to.
    #[error("0x{} is not a public key to seal to", hex::encode(.0))]
    Public([u8; 32]),
    /// No envelope for this receiver, bucket and owner.
    #[error("none of the {0} envelopes of the bucket's key opens")]
    Sealed(usize),
}

/// For whom an envelope is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiver {
    /// The gateways of a group.
    Group,
    /// The bucket's owner.
    Owner,
}

/// A key pair that bucket keys are sealed to.
pub struct SealPair {
    /// Zeroised when dropped.
    secret: <Dh as Kem>::PrivateKey,
    public: [u8; 32],
    receiver: Receiver,
}

impl SealPair {
    /// The pair of the gateways that share `secret`.
    pub fn of_group(secret: &[u8; 32]) -> Self {
        Self::derive(&Zeroizing::new(hash::tagged(GROUP_DOMAIN, &[secret])), Receiver::Group)
    }

    /// The pair of an owner, from a secret that is used for nothing else.
    pub fn of_owner(secret: &[u8; 32]) -> Self {
        Self::derive(secret, Receiver::Owner)
    }

    fn derive(secret: &[u8; 32], receiver: Receiver) -> Self {
        let (secret, public) = Dh::derive_keypair(secret);
        Self { secret, public: public.to_bytes().into(), receiver }
    }

    /// What others seal to.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// The X25519 secret itself. Every call site is a place to review.
    pub fn expose(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes().into())
    }

    /// The key of `owner`'s bucket, out of whichever envelope is for this pair.
    pub fn open(&self, bucket: &[u8; 16], owner: Address, envelopes: &[Vec<u8>]) -> Result<DataKey, KeyError> {
        let opened = envelopes.iter().find_map(|envelope| self.open_one(bucket, owner, envelope));
        opened.ok_or(KeyError::Sealed(envelopes.len()))
    }

    fn open_one(&self, bucket: &[u8; 16], owner: Address, envelope: &[u8]) -> Option<DataKey> {
        let (head, rest) = envelope.split_first_chunk::<2>()?;
        if envelope.len() != ENVELOPE_BYTES || *head != [VERSION, self.receiver.byte()] {
            return None;
        }
        let (encapsulated, text) = rest.split_at(ENCAPSULATED_BYTES);
        let encapsulated = <Dh as Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
        let info = info(bucket, owner);
        let key = single_shot_open::<Aead, Kdf, Dh>(&OpModeR::Base, &self.secret, &encapsulated, &info, text, head);
        let key = Zeroizing::new(key.ok()?);
        Some(DataKey::new(key.as_slice().try_into().ok()?))
    }
}

impl Receiver {
    fn byte(self) -> u8 {
        match self {
            Self::Group => 0,
            Self::Owner => 1,
        }
    }
}

/// A new random key for `owner`'s bucket, sealed to each of `receivers`.
pub fn issue(
    rng: &NodeRng,
    bucket: &[u8; 16],
    owner: Address,
    receivers: &[(Receiver, [u8; 32])],
) -> Result<(DataKey, Vec<Vec<u8>>), KeyError> {
    let mut key = Zeroizing::new([0; 32]);
    rng.fill(&mut key[..]);
    let seal = |(receiver, public): &(Receiver, [u8; 32])| {
        let refuse = |_| KeyError::Public(*public);
        let point = <Dh as Kem>::PublicKey::from_bytes(public).map_err(refuse)?;
        let head = [VERSION, receiver.byte()];
        let info = info(bucket, owner);
        let (encapsulated, text) =
            single_shot_seal::<Aead, Kdf, Dh>(&OpModeS::Base, &point, &info, &key[..], &head).map_err(refuse)?;
        Ok([&head[..], encapsulated.to_bytes().as_slice(), &text].concat())
    };
    let envelopes = receivers.iter().map(seal).collect::<Result<Vec<Vec<u8>>, KeyError>>()?;
    Ok((DataKey::new(*key), envelopes))
}

fn info(bucket: &[u8; 16], owner: Address) -> Vec<u8> {
    [INFO, bucket, owner.as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_and_the_owner_open_the_bucket_key_and_nobody_else() {
        let (group, owner) = (SealPair::of_group(&[1; 32]), SealPair::of_owner(&[2; 32]));
        let (rng, account, bucket) = (NodeRng::from_seed(3), Address::repeat_byte(4), [5; 16]);
        let receivers = [(Receiver::Group, group.public()), (Receiver::Owner, owner.public())];
        let (key, envelopes) = issue(&rng, &bucket, account, &receivers).unwrap();
        assert!(envelopes.iter().all(|envelope| envelope.len() == ENVELOPE_BYTES));
        assert_eq!(group.open(&bucket, account, &envelopes), Ok(key.clone()));
        assert_eq!(owner.open(&bucket, account, &envelopes), Ok(key));
        let none = Err(KeyError::Sealed(2));
        assert_eq!(group.open(&[6; 16], account, &envelopes), none);
        assert_eq!(group.open(&bucket, Address::ZERO, &envelopes), none);
        assert_eq!(SealPair::of_group(&[9; 32]).open(&bucket, account, &envelopes), none);
        let swapped: Vec<Vec<u8>> =
            envelopes.iter().map(|sealed| [&[1, 1 - sealed[1]], &sealed[2..]].concat()).collect();
        assert_eq!(group.open(&bucket, account, &swapped), none);
        assert_eq!(SealPair::of_group(&[1; 32]).public(), group.public());
        assert_ne!(SealPair::of_owner(&[1; 32]).public(), group.public());
        let cut: Vec<Vec<u8>> = envelopes.iter().map(|sealed| sealed[..sealed.len() - 1].to_vec()).collect();
        assert_eq!(group.open(&bucket, account, &cut), none);
    }
}
