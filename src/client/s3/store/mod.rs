//! A bucket on the network as an [`ObjectStore`], through one gateway or several.
//!
//! Owns requests, their repetition, and how S3's answers read as an object store's. Must not know what gateways are made of: any S3
//! server does. Invariants: what may not be repeated without harm is not; memory is bounded by what callers hold, a page of a listing
//! and a request's parts; no background work outlives a call.

mod attributes;
mod deleting;
mod endpoints;
mod errors;
mod listing;
mod reading;
#[cfg(test)]
mod tests;
mod upload;
mod writing;

pub use endpoints::Patience;

use super::{AccessKey, Payload, REGION, S3Client};
use async_trait::async_trait;
use bytes::Bytes;
use endpoints::Endpoints;
use errors::generic;
use futures::stream::BoxStream;
use listing::Page;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore},
    multipart::{MultipartStore, PartId},
    path::Path,
};
use std::{fmt, ops::Range, sync::Arc};

/// Variable with the endpoints, separated by commas or spaces.
const ENDPOINTS: &str = "AWS_ENDPOINT_URL";
const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const KEY_SECRET: &str = "AWS_SECRET_ACCESS_KEY";
/// Variables with the region, the first that is set counts.
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// How a store behaves.
#[derive(Debug, Clone)]
pub struct BucketStoreSettings {
    /// Region requests are signed for.
    pub region: String,
    /// Whether bodies are part of the signature, so that the server checks them.
    pub payload: Payload,
    /// How long answers are waited for.
    pub patience: Patience,
    /// Whether the server copies under `If-None-Match`, as gateways of this network do. Others may ignore the header.
    pub conditional_copy: bool,
}

impl Default for BucketStoreSettings {
    fn default() -> Self {
        let (region, patience) = (REGION.to_owned(), Patience::default());
        Self { region, payload: Payload::Signed, patience, conditional_copy: true }
    }
}

/// A bucket. Cheap to clone.
#[derive(Clone)]
pub struct BucketStore {
    inner: Arc<Inner>,
}

struct Inner {
    bucket: String,
    endpoints: Arc<Endpoints>,
    settings: BucketStoreSettings,
}

impl BucketStore {
    /// A bucket at one endpoint (`http://host:port`). Nothing is sent yet.
    pub fn new(endpoint: &str, key: AccessKey, bucket: &str) -> Result<Self> {
        Self::over(&[endpoint], key, bucket, BucketStoreSettings::default())
    }

    /// A bucket at several endpoints: if one does not answer, the next is asked.
    pub fn over(endpoints: &[&str], key: AccessKey, bucket: &str, settings: BucketStoreSettings) -> Result<Self> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(is_name) {
            return Err(generic(format!("`{bucket}` is no name of a bucket")));
        }
        if endpoints.is_empty() {
            return Err(generic(format!("bucket `{bucket}` needs the URL of an endpoint")));
        }
        let client = |endpoint: &&str| S3Client::new(endpoint, key.clone(), &settings.region, settings.payload);
        let clients = endpoints.iter().map(client).collect::<Result<Vec<_>, _>>().map_err(generic)?;
        let endpoints = Arc::new(Endpoints::new(clients, settings.patience));
        Ok(Self { inner: Arc::new(Inner { bucket: bucket.to_owned(), endpoints, settings }) })
    }

    /// A bucket at the endpoints, with the key, that `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` say.
    pub fn from_env(bucket: &str) -> Result<Self> {
        Self::from_variables(bucket, |name| std::env::var(name).ok())
    }

    fn from_variables(bucket: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let set = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let needed = |name: &str| set(name).ok_or_else(|| generic(format!("{name} is not set")));
        let (endpoints, key) = (needed(ENDPOINTS)?, AccessKey::new(&needed(KEY_ID)?, &needed(KEY_SECRET)?));
        let endpoints: Vec<&str> = endpoints.split([',', ' ']).filter(|part| !part.is_empty()).collect();
        let mut settings = BucketStoreSettings::default();
        if let Some(region) = REGIONS.iter().find_map(|name| set(name)) {
            settings.region = region;
        }
        Self::over(&endpoints, key, bucket, settings)
    }

    fn bucket(&self) -> &str {
        &self.inner.bucket
    }

    fn endpoints(&self) -> &Arc<Endpoints> {
        &self.inner.endpoints
    }

    fn settings(&self) -> &BucketStoreSettings {
        &self.inner.settings
    }

    /// The key at a location. The root has none: such a request would be about the bucket.
    fn key_of<'a>(&self, location: &'a Path) -> Result<&'a str> {
        match location.is_root() {
            true => Err(object_store::path::Error::EmptySegment { path: self.path_of(location) }.into()),
            false => Ok(location.as_ref()),
        }
    }

    /// Bucket and key, as errors name them.
    fn path_of(&self, location: &Path) -> String {
        format!("{}/{location}", self.inner.bucket)
    }
}

impl fmt::Debug for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketStore({self})")
    }
}

impl fmt::Display for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bucket `{}` at {}", self.inner.bucket, self.inner.endpoints.url())
    }
}

#[async_trait]
impl ObjectStore for BucketStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.write(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let id = self.begin(location, &opts.attributes, &opts.tags).await?;
        Ok(Box::new(self.upload(location, id)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.read(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.read_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.deletions(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, None)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, Some(offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.folder(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.copy_to(from, to, options.mode).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.rename_to(from, to, options.target_mode).await
    }
}

#[async_trait]
impl MultipartStore for BucketStore {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.create_multipart_opts(path, PutMultipartOptions::default()).await
    }

    async fn create_multipart_opts(&self, path: &Path, opts: PutMultipartOptions) -> Result<MultipartId> {
        self.begin(path, &opts.attributes, &opts.tags).await
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, part_idx: usize, data: PutPayload) -> Result<PartId> {
        let part = self.send_part(path, id, part_idx, data).await?;
        Ok(PartId { content_id: part.etag })
    }

    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        let numbered = (1..).zip(parts);
        let parts = numbered.map(|(number, part)| super::PartEntry { number, size: 0, etag: part.content_id });
        self.complete(path, id, parts.collect()).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.give_up(path, id).await
    }
}

#[async_trait]
impl PaginatedListStore for BucketStore {
    async fn list_paginated(&self, prefix: Option<&str>, opts: PaginatedListOptions) -> Result<PaginatedListResult> {
        let page = Page {
            prefix: prefix.unwrap_or_default(),
            delimiter: opts.delimiter.as_deref().unwrap_or_default(),
            after: opts.offset.as_deref(),
            token: opts.page_token.as_deref(),
            max: opts.max_keys,
        };
        let listed = self.page(&page).await?;
        let (objects, common_prefixes) = (self.objects_of(listed.objects)?, self.prefixes_of(&listed.prefixes)?);
        let result = ListResult { objects, common_prefixes, extensions: Default::default() };
        Ok(PaginatedListResult { result, page_token: listed.next })
    }
}
