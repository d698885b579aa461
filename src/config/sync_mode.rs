//! How a node without a chain joins one.

use std::{fmt, str::FromStr};

/// What a node without a chain of its own does about the blocks of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncMode {
    /// Takes over a state if the network is far ahead and offers one, else executes every block.
    #[default]
    Auto,
    /// Executes every block since genesis.
    Blocks,
    /// Takes over a state, and does not start without one.
    State,
}

impl SyncMode {
    /// Every mode.
    const ALL: [Self; 3] = [Self::Auto, Self::Blocks, Self::State];

    /// Its name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Blocks => "blocks",
            Self::State => "state",
        }
    }
}

impl fmt::Display for SyncMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SyncMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| "expected auto, blocks or state".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for mode in SyncMode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!("fast".parse::<SyncMode>(), Err("expected auto, blocks or state".to_owned()));
    }
}
