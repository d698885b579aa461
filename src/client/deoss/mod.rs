//! DeOSS calls as their clients make them: what is signed, by whom, and a small client.
//!
//! Owns the text of signatures, the accounts that sign, and requests. Must not know what a gateway does with them: it reads the same text
//! with the same code. Invariant: a signature names everything that decides what a request does.

mod account;
mod http;
mod statement;

pub use account::{Account, AccountError, SIGNATURE_MAX_BYTES, sign};
pub use http::{DeossClient, DeossError, Upload};
pub use statement::{BodyHash, EXPIRY_MAX_SECONDS, Statement, StatementError};

use serde::{Deserialize, Serialize};

/// Header with the account that signs.
pub const ACCOUNT: &str = "account";
/// Header with an Ethereum account that signs.
pub const ETH_ACCOUNT: &str = "ethacc";
/// Header with the signed text.
pub const MESSAGE: &str = "message";
/// Header with the signature.
pub const SIGNATURE: &str = "signature";
/// Header with the name of the territory that is charged.
pub const TERRITORY: &str = "territory";
/// Header with a file's name.
pub const FILE_NAME: &str = "filename";
/// Longest name of a file.
pub const FILE_NAME_MAX_BYTES: usize = 255;

/// The body of every answer that is not a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer<T> {
    /// As a status of HTTP.
    pub code: u16,
    /// `ok`, or what is wrong.
    pub msg: String,
    /// What was asked for.
    pub data: T,
}

/// What became of a stored file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The file's id.
    pub fid: String,
}

/// What became of one of several files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredOne {
    /// Its name.
    pub name: String,
    /// Its id; empty if it was not stored.
    pub fid: String,
    /// `success` or `failed`.
    pub result: String,
    /// Why it failed.
    pub reason: String,
    /// Its length in bytes.
    pub size: u64,
}

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Its id.
    pub fid: String,
    /// Its length in bytes.
    pub size: u64,
    /// Who owns it.
    pub owner: Vec<Owner>,
}

/// An owner, and what the file is called there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The account.
    pub user: String,
    /// Its name for the file; empty if it gave none.
    pub file_name: String,
}

/// A line of an account's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Name of the territory it is charged to.
    pub territory: String,
    /// Its id.
    pub fid: String,
    /// Its length in bytes.
    pub size: u64,
}

#[cfg(test)]
mod tests;
