//! What can go wrong in an engine, by what its user does about it.
//!
//! Owns the mapping from slatedb's kinds.

use slatedb::{CloseReason, ErrorKind};

/// Why an engine did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Another gateway has opened it: this one must not answer any more.
    #[error("the engine was fenced by a newer owner")]
    Fenced,
    /// It was closed, or failed before.
    #[error("the engine is closed")]
    Closed,
    /// Journal or store do not answer.
    #[error("the engine's journal or store is not available: {0}")]
    Unavailable(String),
    /// Data is not what was written.
    #[error("the engine's data is damaged: {0}")]
    Damaged(String),
    /// A call it does not understand: a mistake of this program.
    #[error("the engine refused a call: {0}")]
    Invalid(String),
}

impl From<CloseReason> for EngineError {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Fenced => Self::Fenced,
            CloseReason::Panic => Self::Unavailable("a background task of it failed".into()),
            _ => Self::Closed,
        }
    }
}

impl From<slatedb::Error> for EngineError {
    fn from(error: slatedb::Error) -> Self {
        match error.kind() {
            ErrorKind::Closed(reason) => reason.into(),
            ErrorKind::Data => Self::Damaged(error.to_string()),
            ErrorKind::Invalid | ErrorKind::Transaction => Self::Invalid(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
