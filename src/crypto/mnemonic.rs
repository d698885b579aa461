//! Keys out of twelve words: BIP-39's seed, BIP-32's derivation, Ethereum's path `m/44'/60'/0'/0/index`.
//!
//! Owns the derivation. The words are not checked against BIP-39's list: any text of words gives keys, the same everywhere.

use super::EcdsaKey;
use ring::{hmac, pbkdf2};
use secp256k1::{SECP256K1, Scalar, SecretKey};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// Rounds of BIP-39's key stretching.
const SEED_ROUNDS: NonZeroU32 = NonZeroU32::new(2_048).expect("it is not zero");
/// Added to the index of a hardened child.
const HARDENED: u32 = 1 << 31;
/// Purpose 44, coin 60, account 0, external addresses.
const PATH: [u32; 4] = [44 + HARDENED, 60 + HARDENED, HARDENED, 0];
/// Fewest words BIP-39 knows.
const WORDS_MIN: usize = 12;

/// Why words give no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MnemonicError {
    /// Too few to be one.
    #[error("a mnemonic has at least {WORDS_MIN} words, this one has {0}")]
    Short(usize),
    /// BIP-39 would normalise them first.
    #[error("only mnemonics of plain letters are supported")]
    NotAscii,
    /// One derivation in 2^127 gives no key.
    #[error("the mnemonic gives no key at index {0}")]
    NoKey(u32),
}

/// The first `count` Ethereum keys of a mnemonic.
pub fn mnemonic_keys(words: &str, count: u32) -> Result<Vec<EcdsaKey>, MnemonicError> {
    let words: Vec<&str> = words.split_whitespace().collect();
    if words.len() < WORDS_MIN {
        return Err(MnemonicError::Short(words.len()));
    }
    let words = Zeroizing::new(words.join(" "));
    if !words.is_ascii() {
        return Err(MnemonicError::NotAscii);
    }
    let mut seed = Zeroizing::new([0u8; 64]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, SEED_ROUNDS, b"mnemonic", words.as_bytes(), seed.as_mut());
    let master = split(b"Bitcoin seed", seed.as_ref());
    let parent = SecretKey::from_byte_array(master.0).ok().map(|key| Node { key, chain: master.1 });
    let parent = PATH.iter().fold(parent, |node, index| node.and_then(|node| node.child(*index)));
    let key = |index| {
        let child = parent.as_ref().and_then(|node| node.child(index));
        child.and_then(|node| EcdsaKey::from_bytes(&node.key.secret_bytes())).ok_or(MnemonicError::NoKey(index))
    };
    (0..count).map(key).collect()
}

/// A key that has children.
struct Node {
    key: SecretKey,
    chain: [u8; 32],
}

impl Node {
    fn child(&self, index: u32) -> Option<Self> {
        let mut data = Zeroizing::new(Vec::with_capacity(37));
        if index >= HARDENED {
            data.push(0);
            data.extend(self.key.secret_bytes());
        } else {
            data.extend(self.key.public_key(SECP256K1).serialize());
        }
        data.extend(index.to_be_bytes());
        let (tweak, chain) = split(&self.chain, &data);
        let key = self.key.add_tweak(&Scalar::from_be_bytes(tweak).ok()?).ok()?;
        Some(Self { key, chain })
    }
}

/// HMAC-SHA512 in its two halves.
fn split(key: &[u8], data: &[u8]) -> ([u8; 32], [u8; 32]) {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, key), data);
    let (mut left, mut right) = ([0u8; 32], [0u8; 32]);
    left.copy_from_slice(&tag.as_ref()[..32]);
    right.copy_from_slice(&tag.as_ref()[32..]);
    (left, right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, hex};

    #[test]
    fn the_keys_every_development_chain_has() {
        let keys = mnemonic_keys("test test test test test test test test test test test junk", 10).unwrap();
        let first = hex!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
        let last = hex!("2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6");
        assert_eq!((keys[0].to_bytes(), keys[9].to_bytes()), (first, last));
    }

    #[test]
    fn the_words_of_bip_39s_first_vector() {
        let words = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
        let keys = mnemonic_keys(words, 1).unwrap();
        assert_eq!(keys[0].address(), address!("9858EfFD232B4033E47d90003D41EC34EcaEda94"));
    }

    #[test]
    fn what_is_no_mnemonic() {
        assert_eq!(mnemonic_keys("test junk", 1).unwrap_err(), MnemonicError::Short(2));
        let foreign = "é ".repeat(12);
        assert_eq!(mnemonic_keys(&foreign, 1).unwrap_err(), MnemonicError::NotAscii);
    }
}
