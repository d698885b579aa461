//! Access keys: which account signs with which secret.
//!
//! Owns the port and the check of signatures' keys. Must not know where records come from. Invariants: a secret is never logged;
//! text that cannot be a key's id is refused without asking anybody.

use crate::{runtime::Secret, types::Address};
use async_trait::async_trait;
use parking_lot::RwLock;
use s3s::{
    S3ErrorCode, S3Result,
    auth::{S3Auth, SecretKey},
};
use std::{collections::BTreeMap, sync::Arc};

/// Longest id that is looked up.
const ID_MAX_BYTES: usize = 128;

/// A key that may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// Account it acts for.
    pub account: Address,
    /// What it signs with.
    pub secret: Secret<String>,
}

/// Why a key could not be looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("access key `{id}` cannot be looked up: {reason}")]
pub struct KeysError {
    /// Its id.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// Where keys are known. A key that was revoked is not found from the block on that says so.
#[async_trait]
pub trait Keys: Send + Sync + 'static {
    /// The key called `id`, if there is one.
    async fn look_up(&self, id: &str) -> Result<Option<KnownKey>, KeysError>;
}

/// Keys in memory: the twin for tests.
#[derive(Debug, Default)]
pub struct MemoryKeys {
    keys: RwLock<BTreeMap<String, KnownKey>>,
}

impl MemoryKeys {
    /// Adds or replaces a key.
    pub fn add(&self, id: &str, account: Address, secret: &str) {
        let key = KnownKey { account, secret: Secret::new(secret.to_owned()) };
        self.keys.write().insert(id.to_owned(), key);
    }

    /// Removes a key.
    pub fn revoke(&self, id: &str) {
        self.keys.write().remove(id);
    }
}

#[async_trait]
impl Keys for MemoryKeys {
    async fn look_up(&self, id: &str) -> Result<Option<KnownKey>, KeysError> {
        Ok(self.keys.read().get(id).cloned())
    }
}

/// Looks a key up for the check of a signature.
pub(super) struct KeyAuth(pub(super) Arc<dyn Keys>);

/// The key called `id`, or the refusal a client gets.
pub(super) async fn known(keys: &dyn Keys, id: &str) -> S3Result<KnownKey> {
    let unknown = || {
        let message = "The AWS Access Key Id you provided does not exist in our records.";
        s3s::S3Error::with_message(S3ErrorCode::InvalidAccessKeyId, message)
    };
    let plausible = (1..=ID_MAX_BYTES).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    if !plausible {
        return Err(unknown());
    }
    match keys.look_up(id).await {
        Ok(found) => found.ok_or_else(unknown),
        Err(error) => {
            tracing::debug!(%error, "keys are not to be had");
            Err(s3s::S3Error::with_message(S3ErrorCode::ServiceUnavailable, error.to_string()))
        }
    }
}

#[async_trait]
impl S3Auth for KeyAuth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        Ok(SecretKey::from(known(&*self.0, access_key).await?.secret.expose().as_str()))
    }
}
