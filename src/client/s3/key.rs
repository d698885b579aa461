//! Access keys: an id that may be shown, a secret that may not.

use crate::runtime::NodeRng;
use std::{fmt, str::FromStr};
use zeroize::Zeroizing;

/// What every id begins with.
const PREFIX: &str = "CESS";
/// Characters after the prefix.
const ID_CHARS: usize = 16;
/// Characters of a secret.
const SECRET_CHARS: usize = 40;
/// RFC 4648's base32.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// RFC 4648's base64.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A text that is no id of one of our keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an access key id: `{PREFIX}` and {ID_CHARS} of A-Z and 2-7")]
pub struct KeyIdError(pub String);

/// A key of an S3 account, ours or another server's.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    id: String,
    secret: Zeroizing<String>,
}

impl AccessKey {
    /// A key given elsewhere.
    pub fn new(id: &str, secret: &str) -> Self {
        Self { id: id.to_owned(), secret: Zeroizing::new(secret.to_owned()) }
    }

    /// A new one, of 80 random bits of id and 240 of secret.
    pub fn generate(rng: &NodeRng) -> Self {
        let id = format!("{PREFIX}{}", draw(rng, BASE32, ID_CHARS).as_str());
        Self { id, secret: draw(rng, BASE64, SECRET_CHARS) }
    }

    /// What names it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What signs with it.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Checks that a text names a key of ours.
    pub fn check_id(id: &str) -> Result<(), KeyIdError> {
        let rest = id.strip_prefix(PREFIX).unwrap_or_default();
        match rest.len() == ID_CHARS && rest.bytes().all(|byte| BASE32.contains(&byte)) {
            true => Ok(()),
            false => Err(KeyIdError(id.to_owned())),
        }
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKey({}, …)", self.id)
    }
}

impl FromStr for AccessKey {
    type Err = String;

    /// `ID:SECRET`. The error does not repeat the text.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((id, secret)) if !id.is_empty() && !secret.is_empty() => Ok(Self::new(id, secret)),
            _ => Err("a key is given as ID:SECRET".to_owned()),
        }
    }
}

/// `N` divides 256, so each character is equally likely.
fn draw<const N: usize>(rng: &NodeRng, alphabet: &[u8; N], chars: usize) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(vec![0u8; chars]);
    rng.fill(&mut bytes);
    Zeroizing::new(bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % N])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_form_and_hide_their_secret() {
        let key = AccessKey::generate(&NodeRng::from_seed(1));
        assert_eq!(AccessKey::check_id(key.id()), Ok(()));
        assert_eq!((key.id().len(), key.secret().len()), (20, 40));
        assert_ne!(key, AccessKey::generate(&NodeRng::from_seed(2)));
        assert!(!format!("{key:?}").contains(key.secret()));
        for bad in ["", "CESS", "CESS0AAAAAAAAAAAAAAA", "AKIAAAAAAAAAAAAAAAAA", "CESSAAAAAAAAAAAAAAAAA"] {
            assert_eq!(AccessKey::check_id(bad), Err(KeyIdError(bad.to_owned())));
        }
        assert_eq!("a:b:c".parse(), Ok(AccessKey::new("a", "b:c")));
        assert!("secret".parse::<AccessKey>().is_err_and(|words| !words.contains("secret")));
    }
}
