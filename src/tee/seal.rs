//! Sealing of the group's secrets: HPKE with X25519, HKDF-SHA256 and ChaCha20-Poly1305.
//!
//! Format, 81 bytes: version 1, the encapsulated key (32), the sealed seed with its tag (48). Invariant: what was sealed for one chain, epoch,
//! key and receiver opens for no other. The sender is not authenticated: whoever unseals compares the secret with the key on the chain.

use super::{EnclaveError, Handover, KeyDigest};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256, single_shot_open, single_shot_seal,
};
use zeroize::Zeroizing;

/// Bytes of a sealed secret.
pub const SEALED_BYTES: usize = 1 + 32 + 32 + 16;

const VERSION: u8 = 1;
const INFO: &[u8] = b"cess 2026 tee group key v1";
const ENCAPSULATED_BYTES: usize = 32;

type Aead = ChaCha20Poly1305;
type Kdf = HkdfSha256;
type Dh = X25519HkdfSha256;

/// The key pair secrets are sealed to.
pub(super) struct SealKeys {
    /// Zeroised when dropped.
    secret: <Dh as Kem>::PrivateKey,
    public: [u8; 32],
}

impl SealKeys {
    /// The pair that belongs to a secret, which should be used for nothing else.
    pub(super) fn derive(secret: &[u8; 32]) -> Self {
        let (secret, public) = Dh::derive_keypair(secret);
        Self { secret, public: public.to_bytes().into() }
    }

    pub(super) fn public(&self) -> [u8; 32] {
        self.public
    }

    /// Opens what [`seal`] made.
    pub(super) fn open(
        &self,
        key: &KeyDigest,
        of: &Handover,
        sealed: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, EnclaveError> {
        let refuse = || EnclaveError::Sealed { given: sealed.len(), epoch: of.epoch };
        let Some(([VERSION], rest)) = sealed.split_first_chunk::<1>() else { return Err(refuse()) };
        if sealed.len() != SEALED_BYTES {
            return Err(refuse());
        }
        let (encapsulated, text) = rest.split_at(ENCAPSULATED_BYTES);
        let encapsulated = <Dh as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| refuse())?;
        let info = info(key, of);
        let opened =
            single_shot_open::<Aead, Kdf, Dh>(&OpModeR::Base, &self.secret, &encapsulated, &info, text, &[VERSION]);
        let seed = Zeroizing::new(opened.map_err(|_| refuse())?);
        let seed: &[u8; 32] = seed.as_slice().try_into().map_err(|_| refuse())?;
        Ok(Zeroizing::new(*seed))
    }
}

/// Seals a seed to the receiver's key.
pub(super) fn seal(seed: &[u8; 32], key: &KeyDigest, to: &Handover) -> Result<Vec<u8>, EnclaveError> {
    let refuse = |_| EnclaveError::SealKey(to.seal_key);
    let receiver = <Dh as Kem>::PublicKey::from_bytes(&to.seal_key).map_err(refuse)?;
    let info = info(key, to);
    let (encapsulated, text) =
        single_shot_seal::<Aead, Kdf, Dh>(&OpModeS::Base, &receiver, &info, seed, &[VERSION]).map_err(refuse)?;
    Ok([&[VERSION], encapsulated.to_bytes().as_slice(), &text].concat())
}

/// What a sealed secret is for.
fn info(key: &KeyDigest, handover: &Handover) -> Vec<u8> {
    let (chain, epoch) = (handover.chain.to_le_bytes(), handover.epoch.to_le_bytes());
    [INFO, &chain, &epoch, handover.receiver.as_slice(), &handover.seal_key, key].concat()
}
