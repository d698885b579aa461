//! Copies within the bucket: the copy refers to the contents of its source.
//!
//! Owns when contents may be shared. Invariant: every reference is counted in the batch that makes it.

use super::{
    change::{Change, check_key},
    gets::{check_read, part_info},
    locks,
    puts::written,
    uploads::PARTS_MAX,
    versions::{Located, check_write},
};
use crate::access::objects::{
    config::{Encryption, Versioning},
    error::ObjectsError,
    key,
    op::{CopyOp, CopyPartOp, Reply},
    record::{
        BODY_MAX_BYTES, BodyRef, BucketRecord, Contents, ExtraRefs, ObjectRecord, PartRecord, REFS_MAX, UploadRecord,
    },
    request::ReadConditions,
};
use md5::{Digest as _, Md5};

impl Change<'_> {
    pub async fn copy(&mut self, bucket: &BucketRecord, ask: CopyOp) -> Result<Reply, ObjectsError> {
        check_key(&ask.key)?;
        let source = self.source(&ask.source, ask.version, &ask.source_conditions).await?;
        if source.size > BODY_MAX_BYTES {
            return Err(ObjectsError::EntityTooLarge { key: ask.key, size: source.size, max: BODY_MAX_BYTES });
        }
        let Some(bodies) = self.shareable(bucket, &source, (0, source.size)).await? else {
            return Ok(Reply::ByStream);
        };
        let mut description = ask.description;
        description.attributes = ask.attributes.unwrap_or_else(|| source.description.attributes.clone());
        description.tags = ask.tags.unwrap_or_else(|| source.description.tags.clone());
        description.check(&ask.key)?;
        locks::apply_default(bucket, &ask.key, &mut description, self.now_ms)?;
        let current = self.current(&ask.key).await?;
        check_write(&ask.key, &ask.conditions, current.as_ref())?;
        self.share(&bodies).await?;
        let record = ObjectRecord {
            version: self.new_version(),
            null: false,
            modified_ms: self.now_ms,
            size: source.size,
            etag: source.etag,
            checksums: source.checksums.clone(),
            encrypted: source.encrypted,
            customer: None,
            contents: Contents::Bodies(bodies),
            description,
            replaced_ms: None,
        };
        let record = self.install(bucket, &ask.key, record, current).await?;
        self.check_quota(&bucket.config)?;
        Ok(Reply::Copied(written(bucket, &ask.key, &record), source.version_ref()))
    }

    pub async fn copy_part(&mut self, bucket: &BucketRecord, ask: CopyPartOp) -> Result<Reply, ObjectsError> {
        if ask.part == 0 || ask.part > PARTS_MAX {
            return Err(ObjectsError::InvalidPartNumber { part: ask.part, max: PARTS_MAX });
        }
        let source = self.source(&ask.source, ask.version, &ask.source_conditions).await?;
        let range = match ask.range {
            None => (0, source.size),
            Some((first, last)) if first <= last && last < source.size => (first, last + 1),
            Some((first, last)) => {
                let asked = format!("{first} to {last}");
                return Err(ObjectsError::InvalidRange { key: ask.source, size: source.size, asked });
            }
        };
        let size = range.1 - range.0;
        if size > BODY_MAX_BYTES {
            return Err(ObjectsError::EntityTooLarge { key: ask.key, size, max: BODY_MAX_BYTES });
        }
        let upload = self.reads().get::<UploadRecord>(&key::upload(&ask.key, ask.upload)).await?;
        let upload = upload.ok_or_else(|| ObjectsError::NoSuchUpload { key: ask.key.clone(), upload: ask.upload })?;
        let shared = match upload.customer {
            Some(_) => None,
            None => self.shareable(bucket, &source, range).await?,
        };
        let Some(bodies) = shared else {
            return Ok(Reply::ByStream);
        };
        self.share(&bodies).await?;
        let whole = size == source.size && source.etag.parts == 0;
        let part = PartRecord {
            modified_ms: self.now_ms,
            size,
            md5: if whole { source.etag.md5 } else { stand_in(&bodies) },
            checksums: if whole { source.checksums.clone() } else { Vec::new() },
            bodies,
        };
        self.replace_part(&ask.key, ask.upload, ask.part, part.clone()).await?;
        let version = (bucket.config.versioning != Versioning::Off).then(|| source.version_ref());
        Ok(Reply::PartCopied(part_info(ask.part, part), version))
    }

    async fn source(
        &self,
        text: &str,
        version: Option<crate::access::objects::id::VersionRef>,
        conditions: &ReadConditions,
    ) -> Result<ObjectRecord, ObjectsError> {
        let Located { record, .. } = self.reads().object(text, version).await?;
        // A copy has no reader whose own copy could be current: that too is a condition that does not hold.
        check_read(text, conditions, &record).map_err(|error| match error {
            ObjectsError::NotModified { key } => {
                ObjectsError::PreconditionFailed { key, condition: "If-None-Match or If-Modified-Since".into() }
            }
            other => other,
        })?;
        Ok(record)
    }

    /// References to a range of a version, if a copy may have them: `None` where it is sealed otherwise than new contents are, or
    /// has too many.
    async fn shareable(
        &self,
        bucket: &BucketRecord,
        source: &ObjectRecord,
        range: (u64, u64),
    ) -> Result<Option<Vec<BodyRef>>, ObjectsError> {
        let same_seal = source.encrypted == (bucket.config.encryption == Encryption::On);
        if source.customer.is_some() || (!same_seal && source.size > 0) {
            return Ok(None);
        }
        let all = match &source.contents {
            Contents::Marker => Vec::new(),
            Contents::Bodies(bodies) => bodies.clone(),
            Contents::Parts { upload, .. } => {
                let parts = self.reads().parts(*upload, 0, PARTS_MAX as usize).await?;
                parts.into_iter().flat_map(|(_, part)| part.bodies).collect()
            }
        };
        let cut = cut(&all, range);
        Ok(Some(cut).filter(|bodies| bodies.len() <= REFS_MAX))
    }

    async fn share(&mut self, bodies: &[BodyRef]) -> Result<(), ObjectsError> {
        for body in bodies {
            let key = key::extra(body.id);
            let ExtraRefs(count) = self.reads().get(&key).await?.unwrap_or(ExtraRefs(0));
            let count = count.checked_add(1).ok_or_else(|| ObjectsError::Damaged {
                reason: format!("contents {:?} have more references than can be counted", body.id),
            })?;
            self.set(key, &ExtraRefs(count));
        }
        Ok(())
    }
}

/// The parts of references that lie in a range of what they make together.
fn cut(bodies: &[BodyRef], range: (u64, u64)) -> Vec<BodyRef> {
    let mut at = 0;
    let mut out = Vec::new();
    for body in bodies {
        let (start, end) = (range.0.max(at), range.1.min(at + body.len));
        if start < end {
            out.push(BodyRef { start: body.start + (start - at), len: end - start, ..*body });
        }
        at += body.len;
    }
    out
}

/// A tag for bytes nobody reads: it names which ones they are.
fn stand_in(bodies: &[BodyRef]) -> [u8; 16] {
    let mut digest = Md5::new();
    for body in bodies {
        digest.update(body.id.0);
        digest.update(body.start.to_be_bytes());
        digest.update(body.len.to_be_bytes());
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::objects::id::BodyId;

    #[test]
    fn ranges_are_cut_out_of_references() {
        let body = |n, start, len| BodyRef { id: BodyId([n; 16]), start, len, inline: false };
        let bodies = [body(1, 0, 10), body(2, 5, 10), body(3, 0, 1)];
        assert_eq!(cut(&bodies, (0, 21)), bodies);
        assert_eq!(cut(&bodies, (8, 12)), [body(1, 8, 2), body(2, 5, 2)]);
        assert_eq!(cut(&bodies, (19, 21)), [body(2, 14, 1), body(3, 0, 1)]);
        assert_eq!(cut(&bodies, (4, 4)), []);
    }
}
