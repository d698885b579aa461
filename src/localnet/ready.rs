//! The document a localnet writes when it is ready, and by which other commands find it.

use super::error::LocalnetError;
use crate::types::{Address, Role};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Name of the document in a localnet's directory. Removed on an orderly stop.
pub const READY_FILE: &str = "ready.json";

/// What a running localnet is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyDocument {
    /// JSON-RPC (HTTP and WebSocket) of the first validator.
    pub rpc: String,
    /// First gateway.
    pub gateway: String,
    /// Control port of the localnet process.
    pub control: String,
    /// Secret the control port asks for, so that a web page cannot kill nodes.
    pub control_token: String,
    /// Its directory.
    pub dir: PathBuf,
    /// Milliseconds from launch to ready.
    pub ready_millis: u64,
    /// Funded accounts with their keys.
    pub accounts: Vec<ReadyAccount>,
    /// Its S3 endpoint and a key of the first account, if there is a gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<ReadyS3>,
    /// Its nodes.
    pub nodes: Vec<ReadyNode>,
}

/// An S3 endpoint and a key that works there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyS3 {
    /// URL of the first gateway's.
    pub endpoint: String,
    /// Id of the key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
}

impl fmt::Debug for ReadyS3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadyS3({} at {})", self.access_key, self.endpoint)
    }
}

/// A funded account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyAccount {
    /// The account.
    pub address: Address,
    /// Its secret key, 0x-hex.
    pub key: String,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyNode {
    /// Its name, such as `storage-3`.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Process that runs it.
    pub pid: u32,
    /// Its directory.
    pub dir: PathBuf,
    /// Multiaddress others can dial and `cess run --join` takes.
    pub listen: String,
    /// Its on-chain account.
    pub account: Address,
    /// Its JSON-RPC; a gateway answers it beside its own interface.
    pub url: String,
    /// How it is now.
    pub state: NodeState,
}

/// State of a node of a localnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Working.
    Running,
    /// Frozen by `cess localnet pause`.
    Paused,
    /// Ended by `cess localnet kill`, or it failed.
    Stopped,
}

impl ReadyDocument {
    /// Reads the document of the localnet in `dir`.
    pub fn read(dir: &Path) -> Result<Self, LocalnetError> {
        let path = dir.join(READY_FILE);
        let text = std::fs::read_to_string(&path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => LocalnetError::NotRunning { dir: dir.to_owned() },
            _ => LocalnetError::file(&path, &e),
        })?;
        serde_json::from_str(&text).map_err(|e| LocalnetError::file(&path, &e))
    }

    /// Writes the document so that a reader sees all of it or nothing.
    pub fn write(&self, path: &Path) -> Result<(), LocalnetError> {
        let text = serde_json::to_string_pretty(self).map_err(|e| LocalnetError::file(path, &e))?;
        let part = path.with_extension("part");
        std::fs::write(&part, text + "\n").map_err(|e| LocalnetError::file(&part, &e))?;
        std::fs::rename(&part, path).map_err(|e| LocalnetError::file(path, &e))
    }
}
