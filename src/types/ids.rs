//! 32-byte content identifiers. One newtype per meaning so that a fragment id cannot stand where a file id is meant.

use std::{fmt, str::FromStr};

/// Why a textual id was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} id `{text}` is not 64 hexadecimal digits")]
pub struct IdError {
    kind: &'static str,
    text: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, borsh::BorshSerialize, borsh::BorshDeserialize)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The raw digest.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}…", hex::encode(&self.0[..4]))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Accepts 64 hexadecimal digits with or without `0x`.
            fn from_str(text: &str) -> Result<Self, IdError> {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                let mut out = [0u8; 32];
                hex::decode_to_slice(digits, &mut out)
                    .map_err(|_| IdError { kind: $kind, text: text.chars().take(80).collect() })?;
                Ok(Self(out))
            }
        }

        impl From<$name> for alloy_primitives::B256 {
            fn from(id: $name) -> Self {
                alloy_primitives::B256::from(id.0)
            }
        }

        impl From<alloy_primitives::B256> for $name {
            fn from(word: alloy_primitives::B256) -> Self {
                Self(word.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// BLAKE3 of a file's canonical manifest.
    FileId, "file"
);
id!(
    /// BLAKE3 of a segment's own bytes, before erasure coding.
    SegmentId, "segment"
);
id!(
    /// BLAKE3 of a fragment's bytes, as a miner keeps them.
    FragmentId, "fragment"
);
id!(
    /// Domain-separated BLAKE3 of a consensus header.
    BlockId, "block"
);

/// A block that somebody vouches for, written `HEIGHT:ID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedBlock {
    /// Its height, at least 1.
    pub height: u64,
    /// Its id.
    pub id: BlockId,
}

impl fmt::Display for TrustedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.height, self.id)
    }
}

impl FromStr for TrustedBlock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (height, id) = text.split_once(':').ok_or("expected HEIGHT:ID")?;
        let height = height.parse().ok().filter(|height| *height > 0).ok_or("the height is a number from 1 on")?;
        Ok(Self { height, id: id.parse().map_err(|e: IdError| e.to_string())? })
    }
}
