//! Objects over everything in memory: the world the tests of this folder stand in.

mod crashes;
mod garbage;
mod lifecycle;
mod listings;
mod locks;
mod model;
mod objects;
mod settings;
mod uploads;
mod versions;
mod wire;

use super::{
    attributes::{Attributes, Tags},
    bucket::BucketSettings,
    config::{ConfigChange, Encryption, LockConfig, Versioning},
    error::ObjectsError,
    front::Maintained,
    id::{BucketName, ETag, UploadId, VersionRef},
    local::LocalObjects,
    request::{
        Body, BodyDigests, CompleteUpload, CopyObject, CopySource, CreateBucket, CreateUpload, DeleteTarget, Deleted,
        Description, GetObject, ListObjects, ListVersions, NamedPart, Object, ObjectName, PartInfo, PutObject, PutPart,
        RangeAsked, ReadConditions, WriteConditions, Written,
    },
    router::Router as _,
};
use crate::{
    access::blobs::{Blobs as _, PackOutcome, body_of},
    crypto::hash,
    types::Address,
};
use futures::{FutureExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use tokio::sync::broadcast;

const OWNER: Address = Address::repeat_byte(7);
/// Least size of a part that is not the last, here: so that parts go to miners and tests stay quick.
const PART: usize = 140 << 10;
/// More than lies in the engine.
const LARGE: usize = 150_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// One bucket over everything in memory.
struct World {
    local: LocalObjects,
    bucket: BucketName,
    outcomes: Mutex<broadcast::Receiver<PackOutcome>>,
}

fn name(text: &str) -> BucketName {
    text.parse().unwrap()
}

/// Bytes that tell which ones they are.
pub(in crate::access) fn sample(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    hash::stream("cess 2026 objects test", &seed.to_le_bytes()).fill(&mut bytes);
    bytes
}

/// A digest in the place of MD5, which is slow in tests.
fn quick_md5(bytes: &[u8]) -> [u8; 16] {
    hash::content(bytes).first_chunk().copied().unwrap()
}

fn body(bytes: &[u8]) -> Body {
    let md5 = quick_md5(bytes);
    Body {
        size: Some(bytes.len() as u64),
        stream: body_of(bytes.to_vec()),
        finish: Box::new(move |_| async move { Ok(BodyDigests { md5, checksums: Vec::new() }) }.boxed()),
    }
}

pub(in crate::access) fn put(bucket: &BucketName, key: &str, bytes: &[u8]) -> PutObject {
    PutObject {
        bucket: bucket.clone(),
        key: key.to_owned(),
        description: Description { author: OWNER.into(), ..Description::default() },
        conditions: WriteConditions::default(),
        customer_key: None,
        body: body(bytes),
    }
}

pub(in crate::access) fn get(bucket: &BucketName, key: &str) -> GetObject {
    GetObject {
        bucket: bucket.clone(),
        key: key.to_owned(),
        version: None,
        conditions: ReadConditions::default(),
        range: None,
        customer_key: None,
    }
}

pub(in crate::access) async fn bytes_of(object: Object) -> Vec<u8> {
    let parts: Vec<bytes::Bytes> = object.body.try_collect().await.unwrap();
    parts.concat()
}

impl World {
    async fn start() -> Self {
        Self::with_lock(LockConfig::default()).await
    }

    async fn with_lock(lock: LockConfig) -> Self {
        let settings = BucketSettings { part_min_bytes: PART as u64, ..BucketSettings::default() };
        let local = LocalObjects::with_settings(settings);
        let outcomes = Mutex::new(local.blobs.outcomes());
        let world = Self { local, bucket: name("bucket"), outcomes };
        world.create(&world.bucket, lock).await.unwrap();
        world
    }

    async fn create(&self, bucket: &BucketName, lock: LockConfig) -> Result<(), ObjectsError> {
        let (owner, encryption) = (OWNER, Encryption::On);
        let ask = CreateBucket { name: bucket.clone(), owner, lock, encryption, documents: Vec::new() };
        self.local.objects.create_bucket(ask).await.map(drop)
    }

    async fn versioning(&self, versioning: Versioning) {
        self.local.objects.configure(&self.bucket, ConfigChange::Versioning(versioning)).await.unwrap();
    }

    async fn put(&self, key: &str, bytes: &[u8]) -> Written {
        self.local.objects.put_object(put(&self.bucket, key, bytes)).await.unwrap()
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, ObjectsError> {
        self.get_version(key, None).await
    }

    async fn get_version(&self, key: &str, version: Option<VersionRef>) -> Result<Vec<u8>, ObjectsError> {
        let object = self.local.objects.get_object(GetObject { version, ..get(&self.bucket, key) }).await?;
        assert_eq!(object.range, 0..object.info.size);
        Ok(bytes_of(object).await)
    }

    async fn range(&self, key: &str, range: RangeAsked) -> Result<Vec<u8>, ObjectsError> {
        let ask = GetObject { range: Some(range), ..get(&self.bucket, key) };
        Ok(bytes_of(self.local.objects.get_object(ask).await?).await)
    }

    async fn delete(&self, key: &str, version: Option<VersionRef>) -> Result<Deleted, ObjectsError> {
        let target = DeleteTarget { key: key.to_owned(), version, if_match: None };
        self.local.objects.delete_object(&self.bucket, target, false).await
    }

    /// Keys and common prefixes of a listing, page by page.
    async fn keys(&self, prefix: &str, delimiter: Option<&str>, max: u32) -> (Vec<String>, Vec<String>) {
        let (mut keys, mut prefixes, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let ask = ListObjects { prefix: prefix.into(), delimiter: delimiter.map(str::to_owned), after, max };
            let page = self.local.objects.list_objects(&self.bucket, ask).await.unwrap();
            assert!(page.objects.len() + page.prefixes.len() <= max as usize);
            keys.extend(page.objects.into_iter().map(|object| object.key));
            prefixes.extend(page.prefixes);
            after = page.next;
            if after.is_none() {
                return (keys, prefixes);
            }
        }
    }

    /// Keys, versions, and whether they are current and markers, page by page.
    async fn versions(&self, max: u32) -> Vec<(String, VersionRef, bool, bool)> {
        let (mut versions, mut after) = (Vec::new(), None);
        loop {
            let ask = ListVersions { after, max, ..ListVersions::default() };
            let page = self.local.objects.list_versions(&self.bucket, ask).await.unwrap();
            assert!(page.versions.len() <= max as usize);
            let found = page.versions.into_iter();
            versions.extend(found.map(|one| (one.object.key, one.version, one.is_latest, one.delete_marker)));
            after = page.next;
            if after.is_none() {
                return versions;
            }
        }
    }

    async fn begin(&self, key: &str) -> UploadId {
        let ask = CreateUpload {
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            description: Description { author: OWNER.into(), ..Description::default() },
            checksum: None,
            customer_key: None,
        };
        self.local.objects.create_upload(ask).await.unwrap().upload
    }

    async fn part(&self, key: &str, upload: UploadId, part: u32, bytes: &[u8]) -> Result<PartInfo, ObjectsError> {
        let ask = PutPart {
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            upload,
            part,
            customer_key: None,
            body: body(bytes),
        };
        self.local.objects.put_part(ask).await
    }

    async fn complete(&self, key: &str, upload: UploadId, parts: &[(u32, ETag)]) -> Result<Written, ObjectsError> {
        let named = |(part, etag): &(u32, ETag)| NamedPart { part: *part, etag: Some(*etag), checksums: Vec::new() };
        let ask = CompleteUpload {
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            upload,
            parts: parts.iter().map(named).collect(),
            conditions: WriteConditions::default(),
            size: None,
            checksums: Vec::new(),
        };
        self.local.objects.complete_upload(ask).await
    }

    fn source(&self, key: &str, version: Option<VersionRef>) -> CopySource {
        CopySource {
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            version,
            conditions: ReadConditions::default(),
            customer_key: None,
        }
    }

    async fn copy(&self, from: &str, to: &BucketName, key: &str) -> Result<Written, ObjectsError> {
        let ask = CopyObject {
            source: self.source(from, None),
            bucket: to.clone(),
            key: key.to_owned(),
            attributes: None,
            tags: None,
            description: Description { author: OWNER.into(), ..Description::default() },
            conditions: WriteConditions::default(),
            customer_key: None,
        };
        self.local.objects.copy_object(ask).await.map(|copied| copied.written)
    }

    fn named(&self, key: &str) -> ObjectName {
        ObjectName { bucket: self.bucket.clone(), key: key.to_owned(), version: None }
    }

    /// Tells the bucket what became of its packs, as who owns it does.
    async fn note_outcomes(&self) {
        let place = self.local.router.find(&self.bucket).await.unwrap();
        loop {
            let outcome = self.outcomes.lock().try_recv();
            let Ok(outcome) = outcome else {
                return;
            };
            if outcome.scope.bucket == place.id.0 {
                self.local.objects.note_outcome(&place, &outcome).await.unwrap();
            }
        }
    }

    async fn maintain(&self) -> Maintained {
        self.note_outcomes().await;
        let place = self.local.router.find(&self.bucket).await.unwrap();
        self.local.objects.maintain(&place).await.unwrap()
    }

    /// Lets time pass until nothing is left to do: all garbage is gone, all packs are files or gone.
    async fn settle(&self) {
        for _ in 0..20 {
            self.local.clock.advance(2 * HOUR_MS);
            if self.maintain().await == Maintained::default() && self.maintain().await == Maintained::default() {
                return;
            }
        }
        panic!("maintenance never comes to an end");
    }

    async fn usage(&self) -> super::request::Usage {
        self.local.objects.bucket_usage(&self.bucket).await.unwrap().1
    }
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn attributes(content_type: &str) -> Attributes {
    Attributes { content_type: Some(content_type.to_owned()), ..Attributes::default() }
}
