//! What a TEE worker does.

use std::{fmt, str::FromStr};

/// The kinds of TEE workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TeeKind {
    /// Tags data and verifies audits.
    #[default]
    Full,
    /// Verifies audits.
    Verifier,
    /// Tags data.
    Marker,
}

impl TeeKind {
    /// Every kind, by its number on the chain.
    pub const ALL: [Self; 3] = [Self::Full, Self::Verifier, Self::Marker];

    /// Its name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Verifier => "verifier",
            Self::Marker => "marker",
        }
    }

    /// Its number on the chain.
    pub const fn number(self) -> u8 {
        match self {
            Self::Full => 0,
            Self::Verifier => 1,
            Self::Marker => 2,
        }
    }

    /// Whether it tags data.
    pub const fn tags(self) -> bool {
        !matches!(self, Self::Verifier)
    }

    /// Whether it verifies audits.
    pub const fn verifies(self) -> bool {
        !matches!(self, Self::Marker)
    }
}

impl fmt::Display for TeeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TeeKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| "expected full, verifier or marker".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_those_of_the_chain() {
        for (number, kind) in (0u8..).zip(TeeKind::ALL) {
            assert_eq!((kind.to_string().parse(), kind.number()), (Ok(kind), number));
        }
        assert_eq!("tagger".parse::<TeeKind>(), Err("expected full, verifier or marker".to_owned()));
    }
}
