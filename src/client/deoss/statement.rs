//! The text a DeOSS request is signed by: one line that names everything the request does.
//!
//! Pure: the time is given. Invariant: a request has one text; what reads a text and what writes it are this file.

use crate::{client::s3::encode, types::ChainId};
use std::{fmt, str::FromStr};

/// First word of every text.
const SCHEME: &str = "cess-deoss-v1";
/// How far ahead a signature may expire.
pub const EXPIRY_MAX_SECONDS: u64 = 15 * 60;
/// Files one text may name the hashes of.
const HASHES_MAX: usize = 64;
const SHA256: &str = "sha256:";
const EMPTY: &str = "none";
const UNSIGNED: &str = "unsigned";
const BODY: &str = "body=";
const EXPIRES: &str = "expires=";

/// What a text says about the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyHash {
    /// There is none.
    Empty,
    /// The signer does not say: whoever carries the request may change it.
    Unsigned,
    /// SHA-256 of the content of each file, in the order they are sent.
    Sha256(Vec<[u8; 32]>),
}

/// What a request does. Everything but method and path may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<'a> {
    /// `PUT` and so on.
    pub method: &'a str,
    /// Path and query as they travel.
    pub target: &'a str,
    /// The header `Territory`.
    pub territory: Option<&'a str>,
    /// The header `Filename`.
    pub name: Option<&'a str>,
    /// The header `Content-Range` without its unit.
    pub range: Option<&'a str>,
    /// The body.
    pub body: BodyHash,
    /// The chain whose accounts are meant.
    pub chain: ChainId,
    /// From when on it is void, in seconds since 1970.
    pub expires: u64,
}

/// Why a text says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// It has no such word, or several.
    #[error("the message has not exactly one word `{0}…`")]
    Word(&'static str),
    /// The hash of the body has another form.
    #[error(
        "`{0}` is no hash of a body: expected `none`, `unsigned` or `sha256:` and 64 lower-case hexadecimal digits, one for each of at most {HASHES_MAX} files"
    )]
    Body(String),
    /// The expiry is not a number.
    #[error("`{0}` is no expiry: expected seconds since 1970")]
    Expiry(String),
}

impl BodyHash {
    /// The hash of one file's content.
    pub fn of(content: &[u8]) -> Self {
        Self::of_all([content])
    }

    /// The hashes of several.
    pub fn of_all<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let hash = |content| {
            let digest = ring::digest::digest(&ring::digest::SHA256, content);
            digest.as_ref().try_into().expect("a SHA-256 digest has 32 bytes")
        };
        Self::Sha256(contents.into_iter().map(hash).collect())
    }
}

impl fmt::Display for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(EMPTY),
            Self::Unsigned => f.write_str(UNSIGNED),
            Self::Sha256(hashes) => {
                let hashes: Vec<String> = hashes.iter().map(|hash| format!("{SHA256}{}", hex::encode(hash))).collect();
                f.write_str(&hashes.join(","))
            }
        }
    }
}

impl FromStr for BodyHash {
    type Err = StatementError;

    fn from_str(text: &str) -> Result<Self, StatementError> {
        match text {
            EMPTY => return Ok(Self::Empty),
            UNSIGNED => return Ok(Self::Unsigned),
            _ => {}
        }
        let refused = || StatementError::Body(text.chars().take(100).collect());
        let hash = |item: &str| -> Result<[u8; 32], StatementError> {
            let mut hash = [0; 32];
            let digits = item.strip_prefix(SHA256).filter(|digits| !digits.bytes().any(|b| b.is_ascii_uppercase()));
            hex::decode_to_slice(digits.ok_or_else(refused)?, &mut hash).map_err(|_| refused())?;
            Ok(hash)
        };
        let hashes: Vec<[u8; 32]> = text.split(',').take(HASHES_MAX + 1).map(hash).collect::<Result<_, _>>()?;
        if hashes.len() > HASHES_MAX {
            return Err(refused());
        }
        Ok(Self::Sha256(hashes))
    }
}

impl fmt::Display for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {BODY}{} chain={} {EXPIRES}{}", self.begin(), self.body, self.chain, self.expires)
    }
}

impl Statement<'_> {
    /// The same request with body and expiry as a text has them. Whether the text is this request's is for the caller to compare.
    pub fn read(self, message: &str) -> Result<Self, StatementError> {
        let word = |prefix: &'static str| {
            let mut found = message.split(' ').filter_map(|word| word.strip_prefix(prefix));
            match (found.next(), found.next()) {
                (Some(value), None) => Ok(value),
                _ => Err(StatementError::Word(prefix)),
            }
        };
        let expires = word(EXPIRES)?;
        let number = expires.parse().map_err(|_| StatementError::Expiry(expires.chars().take(40).collect()))?;
        Ok(Self { body: word(BODY)?.parse()?, expires: number, ..self })
    }

    /// What to sign, with words for what only the signer knows.
    pub fn template(&self) -> String {
        let body = match self.body {
            BodyHash::Empty => EMPTY.to_owned(),
            _ => format!("{SHA256}<SHA-256 of the content, 64 hexadecimal digits>"),
        };
        let (begin, chain) = (self.begin(), self.chain);
        format!("{begin} {BODY}{body} chain={chain} {EXPIRES}<seconds since 1970, at most {EXPIRY_MAX_SECONDS} ahead>")
    }

    fn begin(&self) -> String {
        let mut text = format!("{SCHEME} {} {}", self.method, self.target);
        for (word, value) in [("territory", self.territory), ("name", self.name), ("range", self.range)] {
            if let Some(value) = value {
                text.push_str(&format!(" {word}={}", encode(value, false)));
            }
        }
        text
    }
}
