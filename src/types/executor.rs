//! How a chain node runs its blocks.

use std::{fmt, str::FromStr};

/// Which executor runs blocks. The outcome is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExecutorChoice {
    /// The one that seems fastest for the machine and the block.
    #[default]
    Auto,
    /// One transaction after the other.
    Serial,
    /// Several threads, each transaction ahead of its turn.
    BlockStm,
}

impl ExecutorChoice {
    /// Every choice.
    const ALL: [Self; 3] = [Self::Auto, Self::Serial, Self::BlockStm];

    /// Its name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Serial => "serial",
            Self::BlockStm => "block-stm",
        }
    }
}

impl fmt::Display for ExecutorChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ExecutorChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|choice| choice.name() == text);
        found.ok_or_else(|| "expected auto, serial or block-stm".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for choice in ExecutorChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("parallel".parse::<ExecutorChoice>(), Err("expected auto, serial or block-stm".to_owned()));
    }
}
