//! Objects as gateways see them: one typed call for each thing a client can ask.
//!
//! Owns the way of bytes: what is small travels with its operation, what is large goes to miners first and its record after. Must not
//! know wire protocols, nor how a bucket decides. Invariants: nothing is acknowledged before the bucket's owner has made it
//! durable; contents stored for a call that was refused are given back.

mod bytes;
mod copies;
mod listings;
mod maintenance;
mod objects;
mod sealing;
mod uploads;

pub use maintenance::Maintained;

use super::{
    config::{BucketConfig, ConfigChange, Document, Versioning},
    error::ObjectsError,
    id::{BucketId, BucketName},
    op::{Op, Place, Reply},
    record::BucketRecord,
    request::{BucketInfo, CreateBucket, Usage},
    router::Router,
};
use crate::{
    access::{blobs::Blobs, data::seal::DataKey},
    runtime::Node,
    types::Address,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// How long another gateway's view of a bucket's configuration may be used.
const INFO_MAX_AGE_MS: u64 = 1_000;
/// Buckets whose configuration is remembered.
const INFO_MAX: usize = 10_000;

/// A bucket's configuration, and when it was asked for.
struct Remembered {
    place: Place,
    info: BucketInfo,
    at_ms: u64,
}

/// Buckets and objects. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    inner: Arc<Inner>,
}

struct Inner {
    node: Node,
    router: Arc<dyn Router>,
    blobs: Arc<dyn Blobs>,
    keys: Arc<dyn BucketKeys>,
    known: Mutex<HashMap<BucketName, Remembered>>,
    bucket_keys: Mutex<HashMap<BucketId, DataKey>>,
}

/// Keys of buckets: made once, sealed to the gateways and to the owner.
#[async_trait]
pub trait BucketKeys: Send + Sync + 'static {
    /// The key of a bucket that is being made, sealed.
    async fn issue(&self, bucket: BucketId, owner: Address) -> Result<Vec<Vec<u8>>, ObjectsError>;

    /// The key.
    fn open(&self, bucket: BucketId, owner: Address, envelopes: &[Vec<u8>]) -> Result<DataKey, ObjectsError>;
}

impl Objects {
    /// Objects over a router to the buckets' owners, the bytes and the buckets' keys.
    pub fn new(node: &Node, router: Arc<dyn Router>, blobs: Arc<dyn Blobs>, keys: Arc<dyn BucketKeys>) -> Self {
        let (known, bucket_keys) = (Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { node: node.clone(), router, blobs, keys, known, bucket_keys }) }
    }

    /// Makes a bucket. One that was begun or deleted half is brought to its end first.
    pub async fn create_bucket(&self, ask: CreateBucket) -> Result<BucketInfo, ObjectsError> {
        let router = &self.inner.router;
        let place = match router.create(&ask.name, ask.owner).await {
            Err(taken @ ObjectsError::BucketAlreadyOwnedByYou { .. }) => {
                let place = router.find(&ask.name).await?;
                match router.call(&place, Op::Info).await {
                    Err(ObjectsError::NoSuchBucket { .. }) => place,
                    Err(error) => return Err(error),
                    Ok(_) => return Err(taken),
                }
            }
            created => created?,
        };
        match self.begin(place.clone(), &ask).await {
            // Its name outlived it.
            Err(ObjectsError::NoSuchBucket { .. }) => {
                router.remove(&place).await?;
                let place = router.create(&ask.name, ask.owner).await?;
                self.begin(place, &ask).await
            }
            begun => begun,
        }
    }

    async fn begin(&self, place: Place, ask: &CreateBucket) -> Result<BucketInfo, ObjectsError> {
        let versioning = if ask.lock.enabled { Versioning::Enabled } else { Versioning::Off };
        let config = BucketConfig {
            versioning,
            lock: ask.lock,
            encryption: ask.encryption,
            documents: ask.documents.iter().cloned().collect(),
            key_envelopes: self.inner.keys.issue(place.id, ask.owner).await?,
            ..BucketConfig::default()
        };
        let record = BucketRecord {
            id: place.id,
            name: place.name.clone(),
            owner: place.owner,
            created_ms: place.created_ms,
            config,
            retired: false,
        };
        match self.inner.router.call(&place, Op::Create(Box::new(record))).await? {
            Reply::Bucket(record, _) => Ok(self.remember(place, *record)),
            other => Err(unexpected("create", &other)),
        }
    }

    /// A bucket with its configuration.
    pub async fn bucket(&self, name: &BucketName) -> Result<BucketInfo, ObjectsError> {
        Ok(self.resolve(name).await?.1)
    }

    /// A bucket as it is this moment, and what it holds.
    pub async fn bucket_usage(&self, name: &BucketName) -> Result<(BucketInfo, Usage), ObjectsError> {
        let place = self.inner.router.find(name).await?;
        self.ask_info(place).await
    }

    /// Buckets of an account, by name. What they are set to is asked for one by one.
    pub async fn list_buckets(&self, owner: Address) -> Result<Vec<Place>, ObjectsError> {
        self.inner.router.buckets(owner).await
    }

    /// Deletes an empty bucket.
    pub async fn delete_bucket(&self, name: &BucketName) -> Result<(), ObjectsError> {
        let place = self.inner.router.find(name).await?;
        self.inner.known.lock().remove(name);
        self.inner.router.call(&place, Op::Retire).await?;
        // Its last garbage: nobody comes back for it once the name is gone.
        while self.maintain(&place).await? != Maintained::default() {}
        self.inner.router.remove(&place).await
    }

    /// Changes a bucket's configuration.
    pub async fn configure(&self, name: &BucketName, change: ConfigChange) -> Result<BucketInfo, ObjectsError> {
        let place = self.inner.router.find(name).await?;
        match self.inner.router.call(&place, Op::Configure(change)).await? {
            Reply::Bucket(record, _) => Ok(self.remember(place, *record)),
            other => Err(unexpected("configure", &other)),
        }
    }

    /// A document of a bucket: [`ObjectsError::NoSuchConfiguration`] if it was never set.
    pub async fn document(&self, name: &BucketName, document: Document) -> Result<Vec<u8>, ObjectsError> {
        let (info, _) = self.bucket_usage(name).await?;
        info.config.documents.get(&document).cloned().ok_or_else(|| ObjectsError::NoSuchConfiguration {
            bucket: name.clone(),
            document: document.name().to_owned(),
        })
    }

    /// The bucket's place and a view of its configuration that is at most [`INFO_MAX_AGE_MS`] old.
    async fn resolve(&self, name: &BucketName) -> Result<(Place, BucketInfo), ObjectsError> {
        let now = self.inner.node.clock.unix_ms();
        if let Some(known) = self.inner.known.lock().get(name)
            && now.saturating_sub(known.at_ms) < INFO_MAX_AGE_MS
        {
            return Ok((known.place.clone(), known.info.clone()));
        }
        let place = self.inner.router.find(name).await?;
        let (info, _) = self.ask_info(place.clone()).await?;
        Ok((place, info))
    }

    async fn ask_info(&self, place: Place) -> Result<(BucketInfo, Usage), ObjectsError> {
        match self.inner.router.call(&place, Op::Info).await? {
            Reply::Bucket(record, usage) => Ok((self.remember(place, *record), usage)),
            other => Err(unexpected("info", &other)),
        }
    }

    fn remember(&self, place: Place, record: BucketRecord) -> BucketInfo {
        let info = BucketInfo {
            id: record.id,
            name: record.name.clone(),
            owner: record.owner.into(),
            created_ms: record.created_ms,
            config: Arc::new(record.config),
        };
        let at_ms = self.inner.node.clock.unix_ms();
        let mut known = self.inner.known.lock();
        if known.len() >= INFO_MAX {
            known.retain(|_, remembered| at_ms.saturating_sub(remembered.at_ms) < INFO_MAX_AGE_MS);
        }
        if known.len() < INFO_MAX {
            known.insert(record.name, Remembered { place, info: info.clone(), at_ms });
        }
        info
    }

    /// Executes an operation on a bucket.
    async fn call(&self, name: &BucketName, op: Op) -> Result<Reply, ObjectsError> {
        let place = self.inner.router.find(name).await?;
        self.inner.router.call(&place, op).await
    }
}

/// An owner that answers with something else than was asked for is not one of ours.
fn unexpected(asked: &str, got: &Reply) -> ObjectsError {
    let what = match got {
        Reply::Done => "done",
        Reply::Bucket(..) => "a bucket",
        Reply::Found(_) => "an object",
        _ => "another kind",
    };
    ObjectsError::Damaged { reason: format!("the answer to `{asked}` is {what}") }
}
