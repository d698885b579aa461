//! `cess://bucket/key`.

use std::{fmt, str::FromStr};

/// What locations begin with.
const SCHEME: &str = "cess://";
/// Longest key, by the protocol.
const KEY_MAX_BYTES: usize = 1_024;
/// Lengths of a bucket's name, by the protocol.
const BUCKET_BYTES: std::ops::RangeInclusive<usize> = 3..=63;

/// A bucket and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The bucket.
    pub bucket: String,
    /// A key, the beginning of keys, or nothing.
    pub key: String,
}

/// Why a text names no place in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Not a location at all.
    #[error("`{0}` is not a place in a bucket, expected {SCHEME}BUCKET/KEY")]
    Form(String),
    /// No name of a bucket.
    #[error("`{0}` cannot be a bucket's name: 3 to 63 of a-z, 0-9, `-` and `.`, a letter or digit at both ends")]
    Bucket(String),
    /// Too long a key.
    #[error("a key of {0} B is over the limit of {KEY_MAX_BYTES} B")]
    Key(usize),
}

impl Location {
    /// Whether a text means a place in a bucket, well formed or not.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// The location, which has to be of an object.
    pub fn of_object(self) -> Result<Self, LocationError> {
        if self.key.is_empty() { Err(LocationError::Form(self.to_string())) } else { Ok(self) }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| LocationError::Form(text.to_owned()))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let is_inner = |byte: u8| is_end(Some(byte)) || byte == b'-' || byte == b'.';
        let is_name = BUCKET_BYTES.contains(&bucket.len())
            && bucket.bytes().all(is_inner)
            && is_end(bucket.bytes().next())
            && is_end(bucket.bytes().last());
        if !is_name {
            return Err(LocationError::Bucket(bucket.to_owned()));
        }
        if key.len() > KEY_MAX_BYTES {
            return Err(LocationError::Key(key.len()));
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.key)
    }
}

/// The name of a bucket, given alone or as a location.
pub fn bucket_name(text: &str) -> Result<String, LocationError> {
    let whole = if Location::is_meant(text) { text.to_owned() } else { format!("{SCHEME}{text}") };
    match whole.parse::<Location>()? {
        Location { bucket, key } if key.is_empty() => Ok(bucket),
        _ => Err(LocationError::Bucket(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_and_written() {
        let location: Location = "cess://films/a/b c?.mkv".parse().unwrap();
        assert_eq!((location.bucket.as_str(), location.key.as_str()), ("films", "a/b c?.mkv"));
        assert_eq!(location.to_string(), "cess://films/a/b c?.mkv");
        assert_eq!("cess://films".parse::<Location>().unwrap().to_string(), "cess://films/");
        assert!("cess://films/".parse::<Location>().unwrap().of_object().is_err());
        for bad in
            ["films/a", "s3://films/a", "cess://", "cess://Films/a", "cess://ab/x", "cess://-ab/x", "cess://a_b/x"]
        {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
        assert_eq!(format!("cess://films/{}", "x".repeat(1_025)).parse::<Location>(), Err(LocationError::Key(1_025)));
        assert_eq!(bucket_name("films"), Ok("films".to_owned()));
        assert_eq!(bucket_name("cess://films/"), Ok("films".to_owned()));
        assert!(bucket_name("films/a").is_err());
    }
}
