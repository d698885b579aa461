//! Listings: pages of objects, versions, uploads and parts.
//!
//! Owns nothing. Invariant: a listing shows every write that was acknowledged before it was asked for.

use super::{Objects, unexpected};
use crate::access::objects::{
    error::ObjectsError,
    id::{BucketName, UploadId},
    op::{Op, Reply},
    request::{ListObjects, ListUploads, ListVersions, ObjectName, ObjectPage, PartPage, UploadPage, VersionPage},
};

impl Objects {
    /// Current objects, in order of their keys' bytes.
    pub async fn list_objects(&self, bucket: &BucketName, ask: ListObjects) -> Result<ObjectPage, ObjectsError> {
        match self.call(bucket, Op::List(ask)).await? {
            Reply::Objects(page) => Ok(page),
            other => Err(unexpected("list", &other)),
        }
    }

    /// All versions and delete markers, newest first within a key.
    pub async fn list_versions(&self, bucket: &BucketName, ask: ListVersions) -> Result<VersionPage, ObjectsError> {
        match self.call(bucket, Op::ListVersions(ask)).await? {
            Reply::Versions(page) => Ok(page),
            other => Err(unexpected("list versions", &other)),
        }
    }

    /// Unfinished uploads.
    pub async fn list_uploads(&self, bucket: &BucketName, ask: ListUploads) -> Result<UploadPage, ObjectsError> {
        match self.call(bucket, Op::ListUploads(ask)).await? {
            Reply::Uploads(page) => Ok(page),
            other => Err(unexpected("list uploads", &other)),
        }
    }

    /// Parts of an unfinished upload after part `after`, at most `max` and 1,000.
    pub async fn upload_parts(
        &self,
        bucket: &BucketName,
        key: &str,
        upload: UploadId,
        after: u32,
        max: u32,
    ) -> Result<PartPage, ObjectsError> {
        match self.call(bucket, Op::UploadParts { key: key.to_owned(), upload, after, max }).await? {
            Reply::Parts(page) => Ok(page),
            other => Err(unexpected("list parts", &other)),
        }
    }

    /// Parts of a multipart object after part `after`; none for a plain put.
    pub async fn object_parts(&self, name: &ObjectName, after: u32, max: u32) -> Result<PartPage, ObjectsError> {
        let op = Op::ObjectParts { key: name.key.clone(), version: name.version, after, max };
        match self.call(&name.bucket, op).await? {
            Reply::Parts(page) => Ok(page),
            other => Err(unexpected("object parts", &other)),
        }
    }
}
