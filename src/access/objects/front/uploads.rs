//! Multipart uploads.
//!
//! Owns nothing. Invariant: parts live until their upload ends, and only those its end names become the object.

use super::{Objects, bytes::check_key, unexpected};
use crate::access::objects::{
    error::ObjectsError,
    id::{BucketName, UploadId},
    op::{CompleteOp, Op, Reply},
    request::{CompleteUpload, CreateUpload, PartInfo, PutPart, UploadInfo, Written},
};

impl Objects {
    /// Begins an upload.
    pub async fn create_upload(&self, ask: CreateUpload) -> Result<UploadInfo, ObjectsError> {
        ask.description.check(&ask.key)?;
        let (place, info) = self.resolve(&ask.bucket).await?;
        let op = Op::CreateUpload {
            key: ask.key,
            description: ask.description,
            checksum: ask.checksum,
            customer: ask.customer_key.map(|key| key.check(info.id)),
        };
        match self.inner.router.call(&place, op).await? {
            Reply::Upload(upload) => Ok(*upload),
            other => Err(unexpected("create upload", &other)),
        }
    }

    /// An unfinished upload.
    pub async fn upload(&self, bucket: &BucketName, key: &str, upload: UploadId) -> Result<UploadInfo, ObjectsError> {
        match self.call(bucket, Op::Upload { key: key.to_owned(), upload }).await? {
            Reply::Upload(info) => Ok(*info),
            other => Err(unexpected("upload", &other)),
        }
    }

    /// Writes a part; one that was there is replaced.
    pub async fn put_part(&self, ask: PutPart) -> Result<PartInfo, ObjectsError> {
        let (place, info) = self.resolve(&ask.bucket).await?;
        let upload = self.upload(&ask.bucket, &ask.key, ask.upload).await?;
        check_key(&ask.key, info.id, upload.customer, ask.customer_key.as_ref())?;
        let body = self.store(&info, &ask.key, ask.body, ask.customer_key.as_ref()).await?;
        let (id, stored) = (body.id, body.stored());
        let op = Op::PutPart { key: ask.key, upload: ask.upload, part: ask.part, body };
        part_of(self.call_or_discard(&place, op, id, stored).await?)
    }

    /// Makes the named parts the object. Completing again with the same upload gives the same answer for a day.
    pub async fn complete_upload(&self, ask: CompleteUpload) -> Result<Written, ObjectsError> {
        let op = CompleteOp {
            key: ask.key,
            upload: ask.upload,
            parts: ask.parts,
            conditions: ask.conditions,
            size: ask.size,
            checksums: ask.checksums,
        };
        match self.call(&ask.bucket, Op::Complete(op)).await? {
            Reply::Written(written) => Ok(written),
            other => Err(unexpected("complete", &other)),
        }
    }

    /// Ends an upload without an object.
    pub async fn abort_upload(&self, bucket: &BucketName, key: &str, upload: UploadId) -> Result<(), ObjectsError> {
        self.call(bucket, Op::Abort { key: key.to_owned(), upload }).await.map(drop)
    }
}

/// The one part of an answer.
fn part_of(reply: Reply) -> Result<PartInfo, ObjectsError> {
    match reply {
        Reply::Parts(mut page) => {
            page.parts.pop().ok_or_else(|| ObjectsError::Damaged { reason: "no answer to `put part`".into() })
        }
        other => Err(unexpected("put part", &other)),
    }
}
