//! S3: the wire protocol over the object layer.
//!
//! Owns signatures, permissions, documents, headers, errors and the listener. Must not know where bytes or records lie: it asks
//! [`Objects`]. Invariants: a request is answered only after its signature and the bucket's rules let it through; a body is acknowledged
//! only when every digest announced with it holds; memory is bounded by the limits of the listener; one list of operations makes the
//! answers, the check of permissions and the reference page.

mod absent;
mod access;
mod again;
mod base64;
mod buckets;
mod chain_keys;
mod chunked;
mod configuration;
mod connection;
mod copying;
mod cors;
mod crc;
mod deleting;
mod describing;
mod digests;
mod documents;
mod error;
mod etag;
mod forms;
mod hosts;
mod incoming;
mod intake;
pub mod keys;
mod lifecycle;
mod limits;
mod listing;
mod locks;
mod memory;
mod multipart;
pub mod operations;
mod outcome;
mod ownership;
pub(super) mod percent;
mod policy;
mod reading;
mod reference;
mod scope;
mod server;
mod service;
mod settings;
mod tagging;
mod time;
mod versions;
mod website;
mod writing;

#[cfg(test)]
mod tests;

pub use chain_keys::ChainKeys;
pub use keys::{Keys, KeysError, KnownKey, MemoryKeys};
pub use limits::S3Limits;
pub use reference::page as reference_page;
pub use server::{S3Config, S3Handle, S3Server, segment_buffers};

use crate::{
    access::objects::{
        Objects,
        config::{ConfigChange, Document, Encryption},
        request::{BucketInfo, ObjectName},
    },
    runtime::{Counter, Node},
};
use access::Caller;
use digests::Workshop;
use s3s::{S3ErrorCode, S3Result, xml};
use settings::{Bucket, Settings};
use std::sync::Arc;

/// What the answers to operations share.
pub struct Protocol {
    node: Node,
    objects: Objects,
    keys: Arc<dyn Keys>,
    settings: Settings,
    workshop: Workshop,
    region: String,
    /// Where objects are found from outside, without a slash at its end.
    endpoint: String,
}

impl Protocol {
    /// A bucket's settings as this gateway knows them, at most a second old.
    async fn bucket(&self, name: &str) -> S3Result<Arc<Bucket>> {
        let name = error::parsed(name)?;
        let info = self.objects.bucket(&name).await.map_err(error::refusal)?;
        self.settings.of(info)
    }

    /// The bucket's configuration as it is this moment.
    async fn fresh(&self, caller: &Caller) -> S3Result<BucketInfo> {
        let name = &caller.bucket()?.info.name;
        Ok(self.objects.bucket_usage(name).await.map_err(error::refusal)?.0)
    }

    async fn configure(&self, caller: &Caller, change: ConfigChange) -> S3Result<()> {
        let name = &caller.bucket()?.info.name;
        self.objects.configure(name, change).await.map(drop).map_err(error::refusal)
    }

    async fn document_bytes(&self, caller: &Caller, kind: Document) -> S3Result<Vec<u8>> {
        let name = &caller.bucket()?.info.name;
        self.objects.document(name, kind).await.map_err(error::refusal)
    }

    async fn document<T>(&self, caller: &Caller, kind: Document) -> S3Result<T>
    where
        T: for<'xml> xml::Deserialize<'xml>,
    {
        let bytes = self.document_bytes(caller, kind).await?;
        let damaged = |e: documents::Damaged| error::refuse(S3ErrorCode::InternalError, e.to_string());
        documents::from_bytes(kind.name(), &bytes).map_err(damaged)
    }

    fn bytes_of(document: &impl xml::Serialize) -> S3Result<Vec<u8>> {
        documents::to_bytes(document).map_err(|e| error::refuse(S3ErrorCode::InternalError, e.to_string()))
    }

    async fn set_document(&self, caller: &Caller, kind: Document, document: &impl xml::Serialize) -> S3Result<()> {
        let bytes = Self::bytes_of(document)?;
        self.configure(caller, ConfigChange::Set(kind, bytes)).await
    }

    fn object_name(&self, caller: &Caller, key: &str, version: Option<&str>) -> S3Result<ObjectName> {
        let version = version.map(error::parsed).transpose()?;
        Ok(ObjectName { bucket: caller.bucket()?.info.name.clone(), key: key.to_owned(), version })
    }

    /// Whether new objects of the caller's bucket are encrypted.
    fn encrypts(&self, caller: &Caller) -> S3Result<bool> {
        Ok(caller.bucket()?.info.config.encryption == Encryption::On)
    }

    /// The address of an object.
    fn location(&self, bucket: &str, key: &str) -> String {
        format!("{}/{bucket}/{}", self.endpoint, percent::path(key))
    }

    fn count_in(&self, bytes: u64) {
        self.node.metrics.add(Counter::UserBytesIn, bytes);
    }
}
