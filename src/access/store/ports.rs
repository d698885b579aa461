//! What the store stands on: files that are final when they are stored, and names with compare-and-swap.
//!
//! Must not know paths or encryption. Invariants: a name changes only from the version its changer knew; versions of a name never repeat.

use crate::{
    access::{
        blobs::{BlobError, Blobs, BodyStream, Scope},
        data::Packs,
    },
    client::{ChainError, NameError, NameRecord, Namespace, Wallet, name_record, names_in, remove_name, set_name},
    types::FileId,
};
use async_trait::async_trait;
use std::{ops::Range, time::Duration};

/// Longest wait for a change of a name to become final.
const NAME_DEADLINE: Duration = Duration::from_secs(60);

/// Why a name was not read or changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NameFault {
    /// It has another version than was expected, and this value.
    #[error("the name has another version")]
    Conflict { present: Option<NameEntry> },
    /// The chain failed. A change may still happen.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// A name that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameEntry {
    /// Changes with every change and never repeats; not 0.
    pub version: u64,
    /// What it stands for.
    pub value: Vec<u8>,
}

/// Names of one namespace.
#[async_trait]
pub trait Names: Send + Sync + 'static {
    /// A name as it is now.
    async fn get(&self, name: &str) -> Result<Option<NameEntry>, NameFault>;

    /// Sets a name that has version `expected`, 0 for one that is not there; the new version.
    async fn set(&self, name: &str, expected: u64, value: Vec<u8>) -> Result<u64, NameFault>;

    /// Removes a name that has version `expected`.
    async fn remove(&self, name: &str, expected: u64) -> Result<(), NameFault>;

    /// All names, in order.
    async fn list(&self) -> Result<Vec<(String, NameEntry)>, NameFault>;
}

/// Files of one owner.
#[async_trait]
pub trait Files: Send + Sync + 'static {
    /// Stores a body that is not empty; final when this returns.
    async fn store(&self, size: Option<u64>, body: BodyStream) -> Result<FileId, BlobError>;

    /// Bytes of a file.
    async fn read(&self, file: FileId, range: Range<u64>) -> Result<BodyStream, BlobError>;

    /// Deletes a file. One that is not there is no error.
    async fn remove(&self, file: FileId) -> Result<(), BlobError>;
}

/// Files as packs of their own.
pub struct PackFiles {
    packs: Packs,
    scope: Scope,
}

impl PackFiles {
    /// Files of a scope.
    pub fn new(packs: Packs, scope: Scope) -> Self {
        Self { packs, scope }
    }
}

#[async_trait]
impl Files for PackFiles {
    async fn store(&self, size: Option<u64>, body: BodyStream) -> Result<FileId, BlobError> {
        self.packs.store_file(self.scope, size, body).await
    }

    async fn read(&self, file: FileId, range: Range<u64>) -> Result<BodyStream, BlobError> {
        self.packs.read_file(file, range).await
    }

    async fn remove(&self, file: FileId) -> Result<(), BlobError> {
        Blobs::remove(&self.packs, self.scope.owner(), file).await
    }
}

/// Names on the chain, changed by an operator of their owner.
pub struct ChainNames {
    wallet: Wallet,
    namespace: Namespace,
}

impl ChainNames {
    /// Names of a namespace as `wallet`'s account may change them.
    pub fn new(wallet: Wallet, namespace: Namespace) -> Self {
        Self { wallet, namespace }
    }
}

#[async_trait]
impl Names for ChainNames {
    async fn get(&self, name: &str) -> Result<Option<NameEntry>, NameFault> {
        let found = name_record(&**self.wallet.chain(), self.namespace.id(), name.as_bytes()).await?;
        Ok(found.map(|record| entry(&record)))
    }

    async fn set(&self, name: &str, expected: u64, value: Vec<u8>) -> Result<u64, NameFault> {
        let name = name.as_bytes();
        Ok(set_name(&self.wallet, &self.namespace, name, expected, &value, NAME_DEADLINE).await?)
    }

    async fn remove(&self, name: &str, expected: u64) -> Result<(), NameFault> {
        Ok(remove_name(&self.wallet, &self.namespace, name.as_bytes(), expected, NAME_DEADLINE).await?)
    }

    async fn list(&self) -> Result<Vec<(String, NameEntry)>, NameFault> {
        let names = names_in(&**self.wallet.chain(), self.namespace.id()).await?;
        // Only this store writes here; what is not text is none of its names.
        let own =
            names.iter().filter_map(|record| Some((String::from_utf8(record.name.to_vec()).ok()?, entry(record))));
        Ok(own.collect())
    }
}

fn entry(record: &NameRecord) -> NameEntry {
    NameEntry { version: record.version, value: record.value.to_vec() }
}

impl From<NameError> for NameFault {
    fn from(error: NameError) -> Self {
        match error {
            NameError::Conflict { present, .. } => Self::Conflict { present: present.as_ref().map(entry) },
            NameError::Chain(error) => Self::Chain(error),
        }
    }
}
