//! An access key on the chain: the account it acts for, and its secret sealed to the gateways' group.
//!
//! The record is the value of the global name [`key_name`], set by the account itself: who reads it compares the name's owner
//! with the record's account. Sealed with HPKE (X25519, HKDF-SHA256, ChaCha20-Poly1305). Invariant: what was sealed for one
//! chain, account and id opens for no other, so that a copied record is worth nothing.

use crate::{
    codec::Wire,
    types::{Address, ChainId},
};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256, single_shot_open, single_shot_seal,
};
use zeroize::Zeroizing;

const INFO: &[u8] = b"cess 2026 s3 access key v1";
const ENCAPSULATED_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// Longest secret.
const SECRET_MAX_BYTES: usize = 128;

type Aead = ChaCha20Poly1305;
type Kdf = HkdfSha256;
type Dh = X25519HkdfSha256;

/// Why a secret was not sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not a point secrets can be sealed to.
    #[error("0x{} is not a public key of a group of gateways", hex::encode(.0))]
    GroupKey([u8; 32]),
    /// Longer than a record has room for.
    #[error("a secret of {0} B is over the limit of {SECRET_MAX_BYTES} B")]
    TooLong(usize),
    /// Sealed to another group, or for another chain, account or id.
    #[error("the secret of access key `{0}` was not sealed to this group for the account that set it")]
    Sealed(String),
}

/// What the chain keeps of an access key.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct KeyRecord {
    account: [u8; 20],
    /// The secret, sealed.
    pub sealed: Vec<u8>,
}

impl Wire for KeyRecord {
    const NAME: &'static str = "s3 key record";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 256;
}

impl KeyRecord {
    /// A record of `account`'s key.
    pub fn new(account: Address, sealed: Vec<u8>) -> Self {
        Self { account: account.into(), sealed }
    }

    /// The account the key acts for.
    pub fn account(&self) -> Address {
        Address::from(self.account)
    }
}

/// The global name of a key.
pub fn key_name(id: &str) -> String {
    format!("s3key/{id}")
}

/// Seals a secret to the group's public key.
pub fn seal_secret(
    group: &[u8; 32],
    chain: ChainId,
    account: Address,
    id: &str,
    secret: &str,
) -> Result<Vec<u8>, RecordError> {
    if secret.len() > SECRET_MAX_BYTES {
        return Err(RecordError::TooLong(secret.len()));
    }
    let refuse = |_| RecordError::GroupKey(*group);
    let receiver = <Dh as Kem>::PublicKey::from_bytes(group).map_err(refuse)?;
    let info = info(chain, account, id);
    let (encapsulated, text) =
        single_shot_seal::<Aead, Kdf, Dh>(&OpModeS::Base, &receiver, &info, secret.as_bytes(), &[]).map_err(refuse)?;
    Ok([encapsulated.to_bytes().as_slice(), &text].concat())
}

/// Opens with the group's X25519 secret what [`seal_secret`] made.
pub fn open_secret(
    group_secret: &[u8; 32],
    chain: ChainId,
    account: Address,
    id: &str,
    sealed: &[u8],
) -> Result<Zeroizing<String>, RecordError> {
    let refuse = || RecordError::Sealed(id.to_owned());
    if !(ENCAPSULATED_BYTES + TAG_BYTES..=ENCAPSULATED_BYTES + SECRET_MAX_BYTES + TAG_BYTES).contains(&sealed.len()) {
        return Err(refuse());
    }
    let (encapsulated, text) = sealed.split_at(ENCAPSULATED_BYTES);
    let secret = <Dh as Kem>::PrivateKey::from_bytes(group_secret).map_err(|_| refuse())?;
    let encapsulated = <Dh as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| refuse())?;
    let info = info(chain, account, id);
    let opened = single_shot_open::<Aead, Kdf, Dh>(&OpModeR::Base, &secret, &encapsulated, &info, text, &[]);
    let opened = Zeroizing::new(opened.map_err(|_| refuse())?);
    std::str::from_utf8(&opened).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| refuse())
}

/// What a sealed secret is for.
fn info(chain: ChainId, account: Address, id: &str) -> Vec<u8> {
    [INFO, &chain.to_le_bytes(), account.as_slice(), id.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};

    const ID: &str = "CESSAAAAAAAAAAAAAAAA";
    const ACCOUNT: Address = Address::repeat_byte(7);

    fn group(seed: u8) -> ([u8; 32], [u8; 32]) {
        let (secret, public) = Dh::derive_keypair(&[seed; 32]);
        (secret.to_bytes().into(), public.to_bytes().into())
    }

    #[test]
    fn a_secret_opens_for_its_group_chain_account_and_id_alone() {
        let (secret, public) = group(1);
        let sealed = seal_secret(&public, 5, ACCOUNT, ID, "the secret").unwrap();
        assert_eq!(open_secret(&secret, 5, ACCOUNT, ID, &sealed).unwrap().as_str(), "the secret");
        let refused = RecordError::Sealed(ID.to_owned());
        assert_eq!(open_secret(&group(2).0, 5, ACCOUNT, ID, &sealed), Err(refused.clone()));
        assert_eq!(open_secret(&secret, 6, ACCOUNT, ID, &sealed), Err(refused.clone()));
        assert_eq!(open_secret(&secret, 5, Address::ZERO, ID, &sealed), Err(refused.clone()));
        assert!(open_secret(&secret, 5, ACCOUNT, "CESSBBBBBBBBBBBBBBBB", &sealed).is_err());
        for broken in [&[][..], &sealed[..47], &sealed[1..], &[sealed.as_slice(), &[0; 200]].concat()] {
            assert_eq!(open_secret(&secret, 5, ACCOUNT, ID, broken), Err(refused.clone()));
        }
        assert_eq!(seal_secret(&[0; 32], 5, ACCOUNT, ID, "x"), Err(RecordError::GroupKey([0; 32])));
        assert_eq!(seal_secret(&public, 5, ACCOUNT, ID, &"x".repeat(129)), Err(RecordError::TooLong(129)));
    }

    #[test]
    fn the_longest_record_fits_a_name() {
        let (_, public) = group(1);
        let record = KeyRecord::new(ACCOUNT, seal_secret(&public, 5, ACCOUNT, ID, &"x".repeat(128)).unwrap());
        assert_eq!(decode::<KeyRecord>(&encode(&record)), Ok(record.clone()));
        assert_eq!(record.account(), ACCOUNT);
        crate::codec::golden::check(&KeyRecord::new(ACCOUNT, vec![9; 88]));
    }
}
