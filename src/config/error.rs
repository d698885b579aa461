//! Where a setting came from, and why it was refused.

use std::{fmt, path::PathBuf};

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The key table.
    Default,
    /// A config file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("built-in defaults"),
            Source::File(path) => write!(f, "config file `{}`", path.display()),
            Source::Environment(name) => write!(f, "environment variable `{name}`"),
            Source::Flag => f.write_str("command line"),
        }
    }
}

/// Why the settings were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config file `{}` cannot be read: {reason}", path.display())]
    Read { path: PathBuf, reason: String },
    /// The file is not TOML.
    #[error("{from} is not valid TOML: {reason}")]
    Syntax { from: Source, reason: String },
    /// No such section.
    #[error("{from}: section [{section}] is unknown, the nearest known is [{nearest}]")]
    UnknownSection { from: Source, section: String, nearest: &'static str },
    /// No such key in this section.
    #[error("{from}: section [{section}] has no key `{key}`, the nearest known key is `{nearest}`")]
    UnknownKey { from: Source, section: String, key: String, nearest: String },
    /// A key before the first section.
    #[error("{from}: key `{key}` stands outside any section, the nearest known key is `{nearest}`")]
    Outside { from: Source, key: String, nearest: String },
    /// No such variable among those that name a section.
    #[error("{from} sets no known key, the nearest known variable is `{nearest}`")]
    UnknownVariable { from: Source, nearest: &'static str },
    /// A value of another type.
    #[error("{from}: `{key}` is a value of type {found}, expected {expected}")]
    Type { from: Source, key: String, found: String, expected: &'static str },
    /// A value that makes no sense.
    #[error("{from}: `{key}` is `{value}`: {reason}")]
    Value { from: Source, key: String, value: String, reason: String },
}
