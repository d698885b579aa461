//! How much of the space lent is filled with idle space.

use crate::types::ByteCount;
use std::{fmt, str::FromStr};

/// Name of [`IdleSpace::All`] in settings.
const AUTO: &str = "auto";

/// Part of the space lent that a miner fills with certified idle space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleSpace {
    /// All of it that is free.
    All,
    /// Up to so many bytes.
    UpTo(ByteCount),
}

impl IdleSpace {
    /// Bytes at most, of however many are lent.
    pub fn limit(self) -> u64 {
        match self {
            Self::All => u64::MAX,
            Self::UpTo(bytes) => bytes.0,
        }
    }
}

impl fmt::Display for IdleSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str(AUTO),
            // As text that parses back to the same number.
            Self::UpTo(bytes) if bytes.to_string().parse() == Ok(*bytes) => bytes.fmt(f),
            Self::UpTo(bytes) => write!(f, "{} B", bytes.0),
        }
    }
}

impl FromStr for IdleSpace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            AUTO => Ok(Self::All),
            size => match size.parse() {
                Ok(bytes) => Ok(Self::UpTo(bytes)),
                Err(error) => Err(format!("{error}; expected a size or {AUTO}")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_or_all_of_it() {
        assert_eq!("auto".parse(), Ok(IdleSpace::All));
        assert_eq!("4 MiB".parse(), Ok(IdleSpace::UpTo(ByteCount::mib(4))));
        for limit in [IdleSpace::All, IdleSpace::UpTo(ByteCount(0)), IdleSpace::UpTo(ByteCount(5_000_001))] {
            assert_eq!(limit.to_string().parse(), Ok(limit), "{limit}");
        }
        assert!("much".parse::<IdleSpace>().unwrap_err().ends_with("expected a size or auto"));
        assert_eq!((IdleSpace::All.limit(), IdleSpace::UpTo(ByteCount(7)).limit()), (u64::MAX, 7));
    }
}
