//! Uploads in parts.
//!
//! Owns the rules of parts and what completing does. Invariants: completing writes one version whatever the number of parts, which
//! keep their records; a part is counted as used from its arrival on.

use super::{
    Inner,
    change::{Change, check_key},
    gets::{PART_INDEX_STEP, part_info},
    lists::upload_info,
    locks,
    puts::{check_body, written},
    versions::check_write,
};
use crate::access::objects::{
    attributes::{Checksum, ChecksumKind, ChecksumScope},
    config::Encryption,
    error::ObjectsError,
    id::{ETag, UploadId},
    key,
    op::{CompleteOp, NewBody, Reply},
    record::{BucketRecord, CompletedRecord, Contents, Garbage, ObjectRecord, PartRecord, UploadRecord},
    request::{Description, KeyCheck, NamedPart, PartPage},
};
use md5::{Digest as _, Md5};
use std::collections::BTreeMap;

/// Most parts of an upload, as S3 has it.
pub(super) const PARTS_MAX: u32 = 10_000;
/// Least bytes of every part but the last, as S3 has it.
pub(super) const PART_MIN_BYTES: u64 = 5 << 20;

impl Inner {
    pub async fn upload(&self, text: &str, upload: UploadId) -> Result<Reply, ObjectsError> {
        self.bucket()?;
        let record = self.reads().get(&key::upload(text, upload)).await?.ok_or_else(|| missing(text, upload))?;
        Ok(Reply::Upload(Box::new(upload_info(text.to_owned(), upload, record))))
    }

    pub async fn upload_parts(
        &self,
        text: &str,
        upload: UploadId,
        after: u32,
        max: u32,
    ) -> Result<Reply, ObjectsError> {
        self.upload(text, upload).await?;
        Ok(Reply::Parts(self.reads().part_page(upload, after, max).await?))
    }
}

fn missing(text: &str, upload: UploadId) -> ObjectsError {
    ObjectsError::NoSuchUpload { key: text.to_owned(), upload }
}

impl Change<'_> {
    pub fn create_upload(
        &mut self,
        bucket: &BucketRecord,
        text: String,
        description: Description,
        checksum: Option<(ChecksumKind, ChecksumScope)>,
        customer: Option<KeyCheck>,
    ) -> Result<Reply, ObjectsError> {
        check_key(&text)?;
        description.check(&text)?;
        locks::check_new(bucket, &text, &description, self.now_ms)?;
        let upload = self.new_upload();
        let record = UploadRecord { created_ms: self.now_ms, description, checksum, customer };
        self.set(key::upload(&text, upload), &record);
        self.usage.usage.uploads += 1;
        Ok(Reply::Upload(Box::new(upload_info(text, upload, record))))
    }

    async fn unfinished(&self, text: &str, upload: UploadId) -> Result<UploadRecord, ObjectsError> {
        self.reads().get(&key::upload(text, upload)).await?.ok_or_else(|| missing(text, upload))
    }

    pub async fn put_part(
        &mut self,
        text: &str,
        upload: UploadId,
        number: u32,
        body: NewBody,
    ) -> Result<Reply, ObjectsError> {
        check_body(text, &body)?;
        let record = self.unfinished(text, upload).await?;
        if body.customer != record.customer {
            let reason = "parts come with the key of their upload".to_owned();
            return Err(ObjectsError::CustomerKey { key: text.to_owned(), reason });
        }
        let before = self.part(upload, number).await?;
        let again = before.as_ref().filter(|part| part.bodies.iter().any(|taken| taken.id == body.id));
        if let Some(part) = again {
            return Ok(Reply::Parts(PartPage { parts: vec![part_info(number, part.clone())], next: None }));
        }
        let part = PartRecord {
            modified_ms: self.now_ms,
            size: body.size,
            md5: body.md5,
            checksums: body.checksums.clone(),
            bodies: self.take(text, body).await?,
        };
        self.set_part(upload, number, part.clone(), before).await?;
        Ok(Reply::Parts(PartPage { parts: vec![part_info(number, part)], next: None }))
    }

    async fn part(&self, upload: UploadId, number: u32) -> Result<Option<PartRecord>, ObjectsError> {
        if number == 0 || number > PARTS_MAX {
            return Err(ObjectsError::InvalidPartNumber { part: number, max: PARTS_MAX });
        }
        self.reads().get(&key::part(upload, number)).await
    }

    /// Puts a part in the place of the one before.
    pub async fn set_part(
        &mut self,
        upload: UploadId,
        number: u32,
        part: PartRecord,
        before: Option<PartRecord>,
    ) -> Result<(), ObjectsError> {
        if let Some(before) = before {
            self.drop_part(&before).await?;
        }
        self.usage.usage.bytes += part.size;
        self.set(key::part(upload, number), &part);
        let bucket = self.bucket()?;
        self.check_quota(&bucket.config)
    }

    /// A part that comes from a copy.
    pub async fn replace_part(
        &mut self,
        text: &str,
        upload: UploadId,
        number: u32,
        part: PartRecord,
    ) -> Result<(), ObjectsError> {
        self.unfinished(text, upload).await?;
        let before = self.part(upload, number).await?;
        self.set_part(upload, number, part, before).await
    }

    async fn drop_part(&mut self, part: &PartRecord) -> Result<(), ObjectsError> {
        self.usage.usage.bytes = self.usage.usage.bytes.saturating_sub(part.size);
        self.release_bodies(&part.bodies).await
    }

    pub async fn abort(&mut self, text: &str, upload: UploadId) -> Result<Reply, ObjectsError> {
        self.unfinished(text, upload).await?;
        self.forget_upload(text, upload);
        Ok(Reply::Done)
    }

    /// Ends an upload; its parts are let go later.
    pub fn forget_upload(&mut self, text: &str, upload: UploadId) {
        self.remove(key::upload(text, upload));
        self.usage.usage.uploads = self.usage.usage.uploads.saturating_sub(1);
        self.throw(0, &Garbage::Parts { upload, counted: true });
    }

    pub async fn complete(&mut self, bucket: &BucketRecord, ask: CompleteOp) -> Result<Reply, ObjectsError> {
        let CompleteOp { key: text, upload, parts: named, conditions, size, checksums } = ask;
        let Some(begun) = self.reads().get::<UploadRecord>(&key::upload(&text, upload)).await? else {
            let ended = self.reads().get::<CompletedRecord>(&key::completed(upload)).await?;
            let ended = ended.filter(|ended| ended.key == text).ok_or_else(|| missing(&text, upload))?;
            return Ok(Reply::Written(ended.written));
        };
        check_order(upload, &named)?;
        let all = self.reads().parts(upload, 0, PARTS_MAX as usize).await?;
        let mut all: BTreeMap<u32, PartRecord> = all.into_iter().collect();
        let chosen = choose(upload, &named, &mut all, self.settings.part_min_bytes)?;
        let total: u64 = chosen.iter().map(|(_, part)| part.size).sum();
        if let Some(expected) = size.filter(|expected| *expected != total) {
            return Err(ObjectsError::IncompleteBody { key: text, expected, found: total });
        }
        let current = self.current(&text).await?;
        check_write(&text, &conditions, current.as_ref())?;
        let mut description = begun.description;
        locks::apply_default(bucket, &text, &mut description, self.now_ms)?;
        for (number, part) in all {
            self.drop_part(&part).await?;
            self.remove(key::part(upload, number));
        }
        // The bytes of its parts count already; as a version they count once.
        self.usage.usage.bytes = self.usage.usage.bytes.saturating_sub(total);
        let record = ObjectRecord {
            version: self.new_version(),
            null: false,
            modified_ms: self.now_ms,
            size: total,
            etag: tag_of(&chosen),
            checksums,
            encrypted: bucket.config.encryption == Encryption::On || begun.customer.is_some(),
            customer: begun.customer,
            contents: contents_of(upload, &chosen),
            description,
            replaced_ms: None,
        };
        let record = self.install(bucket, &text, record, current).await?;
        self.check_quota(&bucket.config)?;
        self.end_upload(bucket, &text, upload, &record);
        Ok(Reply::Written(written(bucket, &text, &record)))
    }

    fn end_upload(&mut self, bucket: &BucketRecord, text: &str, upload: UploadId, record: &ObjectRecord) {
        self.remove(key::upload(text, upload));
        self.usage.usage.uploads = self.usage.usage.uploads.saturating_sub(1);
        let ended = CompletedRecord { key: text.to_owned(), written: written(bucket, text, record) };
        self.set(key::completed(upload), &ended);
        let kept = self.settings.completed_ms;
        self.throw(kept, &Garbage::Completed(upload));
    }
}

fn check_order(upload: UploadId, named: &[NamedPart]) -> Result<(), ObjectsError> {
    if named.is_empty() || named.len() > PARTS_MAX as usize {
        return Err(ObjectsError::TooManyParts { upload, parts: named.len() as u64, max: PARTS_MAX });
    }
    match named.iter().zip(named.iter().skip(1)).find(|(before, part)| part.part <= before.part) {
        Some((before, part)) => Err(ObjectsError::InvalidPartOrder { upload, part: part.part, before: before.part }),
        None => Ok(()),
    }
}

/// Takes the named parts out of all of them.
fn choose(
    upload: UploadId,
    named: &[NamedPart],
    all: &mut BTreeMap<u32, PartRecord>,
    min: u64,
) -> Result<Vec<(u32, PartRecord)>, ObjectsError> {
    let mut chosen = Vec::with_capacity(named.len());
    for (index, name) in named.iter().enumerate() {
        let invalid = || ObjectsError::InvalidPart { upload, part: name.part };
        let part = all.remove(&name.part).ok_or_else(invalid)?;
        if name.etag != Some(ETag { md5: part.md5, parts: 0 }) || !agree(&name.checksums, &part.checksums) {
            return Err(invalid());
        }
        if index + 1 < named.len() && part.size < min {
            let (part, size) = (name.part, part.size);
            return Err(ObjectsError::EntityTooSmall { upload, part, size, min });
        }
        chosen.push((name.part, part));
    }
    Ok(chosen)
}

/// Whether no checksum differs from one of its kind.
fn agree(named: &[Checksum], stored: &[Checksum]) -> bool {
    named.iter().all(|one| stored.iter().all(|other| other.kind != one.kind || other.value == one.value))
}

fn tag_of(parts: &[(u32, PartRecord)]) -> ETag {
    let mut digest = Md5::new();
    for (_, part) in parts {
        digest.update(part.md5);
    }
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    ETag { md5: digest.finalize().into(), parts: count }
}

fn contents_of(upload: UploadId, parts: &[(u32, PartRecord)]) -> Contents {
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let mut index = Vec::new();
    let mut at = 0;
    for (position, (number, part)) in parts.iter().enumerate() {
        if position % PART_INDEX_STEP as usize == 0 {
            index.push((*number, at));
        }
        at += part.size;
    }
    Contents::Parts { upload, count, index }
}
