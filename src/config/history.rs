//! How much of the past a chain node can read.

use std::{fmt, str::FromStr};

/// Whose states a chain node keeps readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum History {
    /// Those of the newest blocks.
    #[default]
    Pruned,
    /// That of every block since the node has the chain.
    Archive,
}

impl History {
    /// Every kind.
    const ALL: [Self; 2] = [Self::Pruned, Self::Archive];

    /// Its name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pruned => "pruned",
            Self::Archive => "archive",
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for History {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|history| history.name() == text);
        found.ok_or_else(|| "expected pruned or archive".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for history in History::ALL {
            assert_eq!(history.to_string().parse(), Ok(history));
        }
        assert_eq!("full".parse::<History>(), Err("expected pruned or archive".to_owned()));
    }
}
