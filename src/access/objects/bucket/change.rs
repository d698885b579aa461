//! One operation's changes, as they grow.
//!
//! Owns numbers, usage and the way of an operation to what executes it. Invariant: what an operation reads it sees with its own
//! changes; an operation that fails has changed nothing.

use super::{
    BucketSettings,
    reads::{Overlay, Reads},
};
use crate::{
    access::{
        engine::{Batch, Engine, See},
        objects::{
            config::BucketConfig,
            error::ObjectsError,
            id::{BucketName, KEY_MAX_BYTES, UploadId, VersionId},
            key,
            op::{Op, Reply},
            record::{BucketRecord, Garbage, UsageRecord},
        },
    },
    codec::{self, Wire},
    runtime::Node,
};
use rand::RngCore as _;
use std::{collections::BTreeSet, sync::Arc};

/// Changes of one operation.
pub(super) struct Change<'a> {
    pub node: &'a Node,
    pub name: &'a BucketName,
    pub settings: &'a BucketSettings,
    pub now_ms: u64,
    pub usage: UsageRecord,
    /// Packs something was taken out of.
    pub touched: BTreeSet<crate::access::blobs::PackId>,
    engine: &'a Engine,
    record: Option<Arc<BucketRecord>>,
    renewed: bool,
    overlay: Overlay,
}

impl<'a> Change<'a> {
    pub fn new(
        node: &'a Node,
        name: &'a BucketName,
        engine: &'a Engine,
        settings: &'a BucketSettings,
        record: Option<Arc<BucketRecord>>,
        usage: UsageRecord,
    ) -> Self {
        Self {
            node,
            name,
            settings,
            now_ms: node.clock.unix_ms(),
            usage,
            touched: BTreeSet::new(),
            engine,
            record,
            renewed: false,
            overlay: Overlay::new(),
        }
    }

    /// Executes an operation that changes something.
    pub async fn execute(&mut self, op: Op) -> Result<Reply, ObjectsError> {
        match op {
            Op::Create(record) => return self.create(*record),
            Op::Collect => return self.collect().await,
            // Who deletes a bucket may fall over before its name is free, and then tries again.
            Op::Retire if self.bucket().is_err() => return Ok(Reply::Done),
            // Nothing is left to expire in a deleted bucket; its last rounds of maintenance ask nevertheless.
            Op::Expire { .. } if self.bucket().is_err() => return Ok(Reply::Swept { done: 0, next: None }),
            Op::PackFinal(pack, file) => return self.pack_final(pack, file).await,
            Op::PackRemoved(pack) => return self.pack_removed(pack).await,
            Op::Discard(id, stored) => return self.discard(id, stored).await,
            Op::Moved { id, from, to } => return self.moved(id, &from, to).await,
            _ => {}
        }
        let bucket = self.bucket()?;
        match op {
            Op::Info => Ok(Reply::Bucket(Box::new(BucketRecord::clone(&bucket)), self.usage.usage)),
            Op::Configure(change) => self.configure(&bucket, change),
            Op::Retire => self.retire(&bucket).await,
            Op::Put(put) => self.put(&bucket, *put).await,
            Op::Delete(targets, bypass) => self.delete_all(&bucket, targets, bypass).await,
            Op::CreateUpload { key, description, checksum, customer } => {
                self.create_upload(&bucket, key, description, checksum, customer)
            }
            Op::PutPart { key, upload, part, body } => self.put_part(&key, upload, part, body).await,
            Op::Complete(complete) => self.complete(&bucket, complete).await,
            Op::Abort { key, upload } => self.abort(&key, upload).await,
            Op::Copy(copy) => self.copy(&bucket, *copy).await,
            Op::CopyPart(copy) => self.copy_part(&bucket, copy).await,
            Op::Amend { key, version, what } => self.amend(&bucket, &key, version, what).await,
            Op::Expire { after } => self.expire(&bucket, after).await,
            _ => Err(ObjectsError::InvalidArgument("this operation does not change anything".into())),
        }
    }

    /// What is to be written, the usage after it, and the bucket's record if it changed.
    pub fn into_batch(mut self) -> (Batch, UsageRecord, Option<Arc<BucketRecord>>) {
        let mut batch = Batch::default();
        if self.overlay.is_empty() {
            return (batch, self.usage, None);
        }
        self.overlay.insert(key::USAGE.to_vec(), Some(codec::encode(&self.usage)));
        for (key, value) in self.overlay {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(&key),
            }
        }
        (batch, self.usage, if self.renewed { self.record } else { None })
    }

    /// The records with this operation's changes.
    pub fn reads(&self) -> Reads<'_> {
        Reads { engine: self.engine, see: See::Latest, changes: Some(&self.overlay) }
    }

    /// The bucket, if it exists.
    pub fn bucket(&self) -> Result<Arc<BucketRecord>, ObjectsError> {
        self.record
            .clone()
            .filter(|record| !record.retired)
            .ok_or_else(|| ObjectsError::NoSuchBucket { bucket: self.name.clone() })
    }

    /// The bucket, deleted or not.
    pub fn any_bucket(&self) -> Option<Arc<BucketRecord>> {
        self.record.clone()
    }

    /// Replaces the bucket's record.
    pub fn set_bucket(&mut self, record: BucketRecord) {
        self.set(key::BUCKET.to_vec(), &record);
        self.record = Some(Arc::new(record));
        self.renewed = true;
    }

    /// Sets a record.
    pub fn set<T: Wire>(&mut self, key: Vec<u8>, value: &T) {
        self.overlay.insert(key, Some(codec::encode(value)));
    }

    /// Sets a key to bytes.
    pub fn set_raw(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.overlay.insert(key, Some(value));
    }

    /// Removes a key.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.overlay.insert(key, None);
    }

    /// Lets something go when its time has come.
    pub fn throw(&mut self, after_ms: u64, what: &Garbage) {
        let number = self.number();
        self.set(key::garbage(self.now_ms.saturating_add(after_ms), number), what);
    }

    /// The next number of the bucket.
    pub fn number(&mut self) -> u64 {
        self.usage.seq += 1;
        self.usage.seq
    }

    pub fn new_version(&mut self) -> VersionId {
        VersionId { seq: self.number(), salt: self.node.rng.clone().next_u64() }
    }

    pub fn new_upload(&mut self) -> UploadId {
        UploadId { seq: self.number(), salt: self.node.rng.clone().next_u64() }
    }

    /// Refuses what would exceed the bucket's quota.
    pub fn check_quota(&self, config: &BucketConfig) -> Result<(), ObjectsError> {
        let usage = &self.usage.usage;
        let over = |what: &str, asked: u64, max: Option<u64>| match max {
            Some(max) if asked > max => {
                Err(ObjectsError::Quota { bucket: self.name.clone(), what: what.to_owned(), asked, max })
            }
            _ => Ok(()),
        };
        over("B", usage.bytes, config.quota.bytes)?;
        over("objects", usage.objects, config.quota.objects)
    }
}

/// Refuses keys S3 refuses.
pub(super) fn check_key(key: &str) -> Result<(), ObjectsError> {
    if key.is_empty() || key.len() > KEY_MAX_BYTES {
        return Err(ObjectsError::KeyTooLong { len: key.len() as u64, max: KEY_MAX_BYTES as u64 });
    }
    Ok(())
}
