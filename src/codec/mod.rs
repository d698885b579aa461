//! Canonical encoding of everything that is persisted or sent: one version byte, then borsh.
//!
//! Owns versions, size caps and their errors. Must not know who encodes or why.
//! Invariants: one value has one encoding; decoding never allocates more than the type's cap; trailing bytes are an error.

#[cfg(test)]
pub(crate) mod golden;

use borsh::{BorshDeserialize, BorshSerialize};

/// A type with a stable encoding. Each one has a golden vector in `tests/golden`.
pub trait Wire: BorshSerialize + BorshDeserialize {
    /// Name in errors and in the golden registry.
    const NAME: &'static str;
    /// Current version, the first byte of the encoding.
    const VERSION: u8;
    /// Largest accepted encoding.
    const MAX_BYTES: usize;
}

/// Why bytes were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Longer than the type's cap.
    #[error("{name} is {len} B, the limit is {max} B")]
    TooLarge { name: &'static str, len: usize, max: usize },
    /// Written by a newer or unknown version.
    #[error("{name} has version {found}, this program reads version {expected}")]
    Version { name: &'static str, found: u8, expected: u8 },
    /// Not an encoding of this type.
    #[error("{name} is malformed: {reason}")]
    Malformed { name: &'static str, reason: String },
}

/// Encodes `value` with its version byte.
///
/// Panics if the value is larger than its own cap: producing such a value is a bug of the caller, which must bound it earlier.
pub fn encode<T: Wire>(value: &T) -> Vec<u8> {
    let mut out = vec![T::VERSION];
    value.serialize(&mut out).expect("writing to memory cannot fail");
    assert!(out.len() <= T::MAX_BYTES, "{} is {} B, over its own limit of {} B", T::NAME, out.len(), T::MAX_BYTES);
    out
}

/// Decodes a whole buffer.
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > T::MAX_BYTES {
        return Err(CodecError::TooLarge { name: T::NAME, len: bytes.len(), max: T::MAX_BYTES });
    }
    let malformed = |reason: String| CodecError::Malformed { name: T::NAME, reason };
    let (&version, body) = bytes.split_first().ok_or_else(|| malformed("it is empty".into()))?;
    if version != T::VERSION {
        return Err(CodecError::Version { name: T::NAME, found: version, expected: T::VERSION });
    }
    T::try_from_slice(body).map_err(|e| malformed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, BorshSerialize, BorshDeserialize)]
    struct Sample(Vec<u8>);
    impl Wire for Sample {
        const NAME: &'static str = "sample";
        const VERSION: u8 = 3;
        const MAX_BYTES: usize = 64;
    }

    #[test]
    fn refuses_what_it_did_not_write() {
        let bytes = encode(&Sample(vec![1, 2]));
        assert_eq!(decode::<Sample>(&bytes), Ok(Sample(vec![1, 2])));
        assert!(matches!(decode::<Sample>(&[]), Err(CodecError::Malformed { .. })));
        assert!(matches!(decode::<Sample>(&[9, 0]), Err(CodecError::Version { found: 9, .. })));
        assert!(matches!(decode::<Sample>(&[0; 65]), Err(CodecError::TooLarge { len: 65, .. })));
        let mut trailing = bytes.clone();
        trailing.push(0);
        assert!(decode::<Sample>(&trailing).is_err());
        assert!(decode::<Sample>(&[3, 255, 255, 255, 255]).is_err());
    }
}
