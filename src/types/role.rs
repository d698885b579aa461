//! The roles a node can be launched with.

use std::{fmt, str::FromStr};

/// What a node does. Each variant is one row of the role table in `roles`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Orders and executes blocks.
    Consensus,
    /// Lends disk space and keeps fragments.
    Storage,
    /// Tags data and verifies audits, in an enclave where the hardware has one.
    Tee,
    /// Takes users' files in and gives them back over HTTP.
    Gateway,
}

impl Role {
    /// Every role, in the order the command line lists them.
    pub const ALL: [Role; 4] = [Role::Consensus, Role::Storage, Role::Tee, Role::Gateway];

    /// The name used on the command line, in config files and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Consensus => "consensus",
            Role::Storage => "storage",
            Role::Tee => "tee",
            Role::Gateway => "gateway",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Role::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            let known = Role::ALL.map(Role::name).join(", ");
            format!("role `{text}` is unknown, expected one of: {known}")
        })
    }
}
