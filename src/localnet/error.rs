//! Why a localnet could not do something.

use std::path::{Path, PathBuf};

/// Errors of the localnet.
#[derive(Debug, thiserror::Error)]
pub enum LocalnetError {
    /// A file of the localnet's directory.
    #[error("`{path}`: {reason}")]
    File { path: PathBuf, reason: String },
    /// No localnet runs there.
    #[error("no localnet is running in `{dir}`; start one with `cess localnet`")]
    NotRunning { dir: PathBuf },
    /// Another localnet runs there.
    #[error("a localnet is running in `{dir}` (process {pid}); stop it first or choose another --dir")]
    Running { dir: PathBuf, pid: u32 },
    /// The directory holds a localnet of another shape.
    #[error("`{dir}` holds a localnet of {found}, not {asked}; use --fresh to start anew or another --dir")]
    Shape { dir: PathBuf, found: String, asked: String },
    /// Counts that make no network.
    #[error("{what} is {given}, expected {min} to {max}")]
    Count { what: &'static str, given: usize, min: usize, max: usize },
    /// No node of that name.
    #[error("node `{name}` does not exist; the nodes are {known}")]
    UnknownNode { name: String, known: String },
    /// The node is in the wrong state for the request.
    #[error("node `{name}` is {state}, cannot {action} it")]
    WrongState { name: String, state: String, action: &'static str },
    /// A node did not start.
    #[error("node `{name}` did not start: {reason}")]
    NodeFailed { name: String, reason: String },
    /// The access key of S3 does not work.
    #[error("the localnet's access key of S3 was not registered: {0}")]
    S3Key(String),
    /// Not ready in time.
    #[error("the localnet is not ready after {millis} ms: {reason}")]
    NotReady { millis: u64, reason: String },
    /// Not stopped in time.
    #[error("the localnet in `{dir}` (process {pid}) has not stopped after {millis} ms")]
    NotStopped { dir: PathBuf, pid: u32, millis: u128 },
    /// The control port did not answer.
    #[error("the localnet at {url} cannot be reached: {reason}")]
    Control { url: String, reason: String },
}

impl LocalnetError {
    /// An error about a file.
    pub fn file(path: &Path, reason: &dyn std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), reason: reason.to_string() }
    }
}
