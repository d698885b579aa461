//! Copies: within a bucket by sharing contents, otherwise by reading and writing them.
//!
//! Owns the choice between the two. Invariant: a copy has the bytes of one version of its source.

use super::{Objects, unexpected};
use crate::access::objects::{
    error::ObjectsError,
    id::VersionRef,
    op::{CopyOp, CopyPartOp, Op, Reply},
    record::BODY_MAX_BYTES,
    request::{
        Body, Copied, CopyObject, CopyPart, CopySource, GetObject, Object, PartInfo, PutObject, PutPart, RangeAsked,
    },
};

impl Objects {
    /// Copies an object of at most 5 GiB.
    pub async fn copy_object(&self, ask: CopyObject) -> Result<Copied, ObjectsError> {
        ask.description.check(&ask.key)?;
        if ask.source.bucket == ask.bucket && ask.customer_key.is_none() && ask.source.customer_key.is_none() {
            let op = CopyOp {
                source: ask.source.key.clone(),
                version: ask.source.version,
                source_conditions: ask.source.conditions.clone(),
                key: ask.key.clone(),
                attributes: ask.attributes.clone(),
                tags: ask.tags.clone(),
                description: ask.description.clone(),
                conditions: ask.conditions.clone(),
            };
            match self.call(&ask.bucket, Op::Copy(Box::new(op))).await? {
                Reply::Copied(written, source) => {
                    let source = written.version.map(|_| source);
                    return Ok(Copied { written, source });
                }
                Reply::ByStream => {}
                other => return Err(unexpected("copy", &other)),
            }
        }
        self.copy_by_stream(ask).await
    }

    async fn copy_by_stream(&self, ask: CopyObject) -> Result<Copied, ObjectsError> {
        let source = self.open_source(ask.source, None).await?;
        let size = source.info.size;
        if size > BODY_MAX_BYTES {
            return Err(ObjectsError::EntityTooLarge { key: ask.key, size, max: BODY_MAX_BYTES });
        }
        let mut description = ask.description;
        description.attributes = ask.attributes.unwrap_or_else(|| source.info.description.attributes.clone());
        description.tags = ask.tags.unwrap_or_else(|| source.info.description.tags.clone());
        let put = PutObject {
            bucket: ask.bucket,
            key: ask.key,
            description,
            conditions: ask.conditions,
            customer_key: ask.customer_key,
            body: Body::hashed(source.body, Some(size)),
        };
        Ok(Copied { written: self.put_object(put).await?, source: source.info.version })
    }

    /// Copies an object, or a range of one, into a part. Also returns the version that was copied.
    pub async fn copy_part(&self, ask: CopyPart) -> Result<(PartInfo, Option<VersionRef>), ObjectsError> {
        if ask.source.bucket == ask.bucket && ask.customer_key.is_none() && ask.source.customer_key.is_none() {
            let op = CopyPartOp {
                source: ask.source.key.clone(),
                version: ask.source.version,
                source_conditions: ask.source.conditions.clone(),
                range: ask.range,
                key: ask.key.clone(),
                upload: ask.upload,
                part: ask.part,
            };
            match self.call(&ask.bucket, Op::CopyPart(op)).await? {
                Reply::ByStream => {}
                Reply::PartCopied(part, source) => return Ok((part, source)),
                other => return Err(unexpected("copy part", &other)),
            }
        }
        let range = ask.range.map(|(first, last)| RangeAsked::Between(first, last));
        let source = self.open_source(ask.source, range).await?;
        let size = source.range.end - source.range.start;
        let put = PutPart {
            bucket: ask.bucket,
            key: ask.key,
            upload: ask.upload,
            part: ask.part,
            customer_key: ask.customer_key,
            body: Body::hashed(source.body, Some(size)),
        };
        Ok((self.put_part(put).await?, source.info.version))
    }

    async fn open_source(&self, source: CopySource, range: Option<RangeAsked>) -> Result<Object, ObjectsError> {
        let get = GetObject {
            bucket: source.bucket,
            key: source.key,
            version: source.version,
            conditions: source.conditions,
            range,
            customer_key: source.customer_key,
        };
        self.get_object(get).await
    }
}
