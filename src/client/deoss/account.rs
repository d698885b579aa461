//! Accounts that sign DeOSS requests: Ethereum's by EIP-191, native ones in the form CESS writes them (SS58) by ed25519.
//!
//! Pure. Invariants: an account is its key, so that a signature proves the account and nothing has to be believed; a signature by
//! secp256k1 has one form (low-s).

use crate::{
    client::Signer,
    crypto::{EcdsaSignature, PublicKey, Signature, native_address, recover_address},
    types::{Address, U256},
};
use alloy_primitives::eip191_hash_message;
use blake2::{Blake2b512, Digest};
use std::{fmt, str::FromStr};

/// Longest signature in a header: 65 bytes in hexadecimal, or 64 in base 58, with room.
pub const SIGNATURE_MAX_BYTES: usize = 160;
/// Longest account in a header.
const ACCOUNT_MAX_BYTES: usize = 64;
/// What accounts of CESS begin with.
const PREFIX: u16 = 11_330;
/// Prefixes that are taken: CESS's test network and main network, and the one for any network.
const PREFIXES: [u16; 3] = [PREFIX, 11_331, 42];
const CHECKSUM_CONTEXT: &[u8] = b"SS58PRE";
const CHECKSUM_BYTES: usize = 2;
const KEY_BYTES: usize = 32;

/// An account that signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// An Ethereum account: who signed is found in the signature.
    Ethereum(Address),
    /// A native account by its ed25519 key.
    Native(PublicKey),
}

/// Why an account or its signature was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Not an account.
    #[error("`{text}` is no account: {reason}")]
    Account { text: String, reason: &'static str },
    /// Not the bytes of a signature.
    #[error("the signature is not {0}")]
    Form(&'static str),
    /// Somebody else's, or of something else.
    #[error("the signature over this message is not {account}'s{hint}")]
    Signature { account: String, hint: &'static str },
}

impl Account {
    /// The account on the chain.
    pub fn address(&self) -> Address {
        match self {
            Self::Ethereum(address) => *address,
            Self::Native(key) => native_address(key),
        }
    }

    /// Checks that the account signed `message`.
    pub fn verify(&self, message: &str, signature: &str) -> Result<(), AccountError> {
        let (signed, hint) = match self {
            Self::Ethereum(address) => (recovered(message, signature)? == Some(*address), ""),
            Self::Native(key) => {
                let signature = native_signature(signature)?;
                // Wallets of Polkadot wrap what is not a transaction.
                let forms = [message.to_owned(), format!("<Bytes>{message}</Bytes>")];
                let signed = forms.iter().any(|text| key.verify(text.as_bytes(), &signature).is_ok());
                (signed, " (keys are ed25519; sr25519 keys have no accounts on this chain)")
            }
        };
        match signed {
            true => Ok(()),
            false => Err(AccountError::Signature { account: self.to_string(), hint }),
        }
    }
}

fn recovered(message: &str, signature: &str) -> Result<Option<Address>, AccountError> {
    const FORM: AccountError = AccountError::Form("`0x` and 130 hexadecimal digits, as personal_sign gives it");
    let mut bytes = [0; 65];
    let digits = signature.strip_prefix("0x").ok_or(FORM)?;
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| FORM)?;
    let y_odd = match bytes[64] {
        0 | 27 => false,
        1 | 28 => true,
        _ => return Err(FORM),
    };
    let half = |at: usize| U256::from_be_slice(&bytes[at..at + 32]);
    let signature = EcdsaSignature { r: half(0), s: half(32), y_odd };
    Ok(recover_address(&eip191_hash_message(message), &signature))
}

fn native_signature(text: &str) -> Result<Signature, AccountError> {
    const FORM: AccountError = AccountError::Form("64 bytes in hexadecimal or base 58");
    let bytes = match hex::decode(text.strip_prefix("0x").unwrap_or(text)) {
        Ok(bytes) => bytes,
        Err(_) if text.len() <= SIGNATURE_MAX_BYTES => bs58::decode(text).into_vec().map_err(|_| FORM)?,
        Err(_) => return Err(FORM),
    };
    bytes.try_into().map(Signature).map_err(|_| FORM)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = Blake2b512::new().chain_update(CHECKSUM_CONTEXT).chain_update(bytes).finalize();
    [digest[0], digest[1]]
}

/// Splits a prefix of one or two bytes off; the bits of a long one are shuffled so that its first byte tells its length.
fn split_prefix(bytes: &[u8]) -> Option<(u16, &[u8])> {
    match bytes {
        [first @ 0..=63, rest @ ..] => Some((u16::from(*first), rest)),
        [first @ 64..=127, second, rest @ ..] => {
            let low = (first << 2) | (second >> 6);
            Some((u16::from_le_bytes([low, second & 0b11_1111]), rest))
        }
        _ => None,
    }
}

impl FromStr for Account {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let refused = |reason| AccountError::Account { text: text.chars().take(ACCOUNT_MAX_BYTES).collect(), reason };
        if let Some(digits) = text.strip_prefix("0x") {
            let mut bytes = [0; 20];
            hex::decode_to_slice(digits, &mut bytes).map_err(|_| refused("expected 40 hexadecimal digits after 0x"))?;
            return Ok(Self::Ethereum(bytes.into()));
        }
        if text.len() > ACCOUNT_MAX_BYTES {
            return Err(refused("it is too long"));
        }
        let bytes = bs58::decode(text).into_vec().map_err(|_| refused("expected 0x… or cX…"))?;
        let (prefix, rest) = split_prefix(&bytes).ok_or_else(|| refused("expected 0x… or cX…"))?;
        let (key, sum) = rest.split_at_checked(KEY_BYTES).ok_or_else(|| refused("it is too short"))?;
        if sum != checksum(&bytes[..bytes.len() - sum.len()]) {
            return Err(refused("its checksum does not hold"));
        }
        if !PREFIXES.contains(&prefix) {
            return Err(refused("it is an account of another network"));
        }
        Ok(Self::Native(PublicKey(key.try_into().expect("it was split after so many bytes"))))
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ethereum(address) => write!(f, "{address}"),
            Self::Native(key) => {
                let [low, high] = PREFIX.to_le_bytes();
                let mut bytes = vec![0b0100_0000 | (low >> 2), (low << 6) | high];
                bytes.extend_from_slice(&key.0);
                bytes.extend(checksum(&bytes));
                f.write_str(&bs58::encode(bytes).into_string())
            }
        }
    }
}

/// Signs a text as a wallet would: the account and its signature, as headers have them.
pub fn sign(signer: &Signer, message: &str) -> (Account, String) {
    match signer {
        Signer::Ecdsa(key) => {
            let EcdsaSignature { r, s, y_odd } = key.sign(&eip191_hash_message(message));
            let bytes = [&r.to_be_bytes::<32>()[..], &s.to_be_bytes::<32>(), &[27 + u8::from(y_odd)]].concat();
            (Account::Ethereum(key.address()), format!("0x{}", hex::encode(bytes)))
        }
        Signer::Native(key) => {
            (Account::Native(key.public()), format!("0x{}", hex::encode(key.sign(message.as_bytes()).0)))
        }
    }
}
