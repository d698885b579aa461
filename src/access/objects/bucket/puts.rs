//! New contents and new versions.
//!
//! Owns what a body must look like to be taken. Invariants: contents are taken once, however often they are sent; nothing refers to
//! a pack that is being removed.

use super::{
    change::{Change, check_key},
    lifecycle, locks,
    versions::check_write,
};
use crate::access::{
    blobs::{PackId, StoredBody},
    objects::{
        config::{Encryption, Versioning},
        error::ObjectsError,
        id::{BodyId, ETag},
        key,
        op::{Bytes, NewBody, PutOp, Reply},
        record::{
            BODY_MAX_BYTES, BodyRecord, BodyRef, BucketRecord, Contents, Garbage, INLINE_MAX_BYTES, InlineRecord,
            ObjectRecord, PIECES_MAX, PackRecord, SEAL_MAX_BYTES, Seal,
        },
        request::Written,
    },
};

const CHECKSUMS_MAX: usize = 5;
const CHECKSUM_MAX_BYTES: usize = 32;

impl Change<'_> {
    pub async fn put(&mut self, bucket: &BucketRecord, put: PutOp) -> Result<Reply, ObjectsError> {
        let PutOp { key: text, mut description, conditions, body } = put;
        description.check(&text)?;
        check_body(&text, &body)?;
        let current = self.current(&text).await?;
        if let Some(record) = current.as_ref().filter(|record| holds(record, body.id)) {
            return Ok(Reply::Written(written(bucket, &text, record)));
        }
        check_write(&text, &conditions, current.as_ref())?;
        locks::apply_default(bucket, &text, &mut description, self.now_ms)?;
        let record = ObjectRecord {
            version: self.new_version(),
            null: false,
            modified_ms: self.now_ms,
            size: body.size,
            etag: ETag { md5: body.md5, parts: 0 },
            checksums: body.checksums.clone(),
            encrypted: body.seal.is_some() || (body.size == 0 && bucket.config.encryption == Encryption::On),
            customer: body.customer,
            contents: Contents::Bodies(self.take(&text, body).await?),
            description,
            replaced_ms: None,
        };
        let record = self.install(bucket, &text, record, current).await?;
        self.check_quota(&bucket.config)?;
        Ok(Reply::Written(written(bucket, &text, &record)))
    }

    /// Takes contents in. The one reference to them is the caller's.
    pub async fn take(&mut self, text: &str, body: NewBody) -> Result<Vec<BodyRef>, ObjectsError> {
        let NewBody { id, size, seal, bytes, .. } = body;
        if size == 0 {
            return Ok(Vec::new());
        }
        let inline = match bytes {
            Bytes::Inline(bytes) => {
                self.set(key::inline(id), &InlineRecord { size, seal, bytes });
                true
            }
            Bytes::Stored(stored) => {
                self.refer_to_packs(text, id, &stored).await?;
                self.set_body(id, size, seal, stored);
                false
            }
        };
        Ok(vec![BodyRef { id, start: 0, len: size, inline }])
    }

    pub fn set_body(&mut self, id: BodyId, size: u64, seal: Option<Seal>, mut stored: StoredBody) {
        stored.heads.clear();
        self.set(key::body(id), &BodyRecord { size, seal, stored });
    }

    /// Notes that contents lie in packs. Refused where one of them is on its way out.
    pub async fn refer_to_packs(&mut self, text: &str, id: BodyId, stored: &StoredBody) -> Result<(), ObjectsError> {
        for (pack, head) in &stored.heads {
            let mut head = head.clone();
            match self.reads().get::<PackRecord>(&key::pack_state(*pack)).await? {
                None => self.set_raw(key::duty(*pack), Vec::new()),
                Some(PackRecord::Final { file, .. }) => head.file = Some(file),
                Some(PackRecord::Removing { .. } | PackRecord::Removed { .. }) => return Err(gone(text, *pack)),
            }
            self.set(key::pack(*pack), &head);
        }
        for piece in &stored.pieces {
            let extent = &piece.extent;
            self.set_raw(key::used(extent.pack, extent.index, id), extent.len.to_be_bytes().to_vec());
        }
        Ok(())
    }

    /// Contents of a call that was refused: they are let go in order, so that their packs are.
    pub async fn discard(&mut self, id: BodyId, stored: StoredBody) -> Result<Reply, ObjectsError> {
        check_stored("a refused write", &stored)?;
        if self.reads().raw(&key::body(id)).await?.is_some() {
            return Ok(Reply::Done);
        }
        match self.refer_to_packs("a refused write", id, &stored).await {
            Ok(()) => {}
            // Its pack goes already.
            Err(ObjectsError::Unavailable { .. }) => return Ok(Reply::Done),
            Err(error) => return Err(error),
        }
        let len = stored.stored;
        self.set_body(id, len, None, stored);
        self.throw(0, &Garbage::Bodies(vec![BodyRef { id, start: 0, len, inline: false }]));
        Ok(Reply::Done)
    }
}

/// A put that names a pack too late is sent again, into another one.
fn gone(text: &str, pack: PackId) -> ObjectsError {
    ObjectsError::Unavailable { reason: format!("pack {pack} of object `{text}` is being removed, send it again") }
}

/// Whether a version was made of these contents.
fn holds(record: &ObjectRecord, id: BodyId) -> bool {
    matches!(&record.contents, Contents::Bodies(bodies) if bodies.iter().any(|body| body.id == id))
}

/// What a writer is told.
pub(super) fn written(bucket: &BucketRecord, text: &str, record: &ObjectRecord) -> Written {
    let version = (bucket.config.versioning != Versioning::Off).then(|| record.version_ref());
    Written {
        version,
        etag: record.etag,
        size: record.size,
        modified_ms: record.modified_ms,
        checksums: record.checksums.clone(),
        expires: lifecycle::expiry(&bucket.config, text, record),
    }
}

/// Refuses contents that do not fit their records.
pub(super) fn check_body(text: &str, body: &NewBody) -> Result<(), ObjectsError> {
    check_key(text)?;
    let refuse = |reason: String| Err(ObjectsError::InvalidArgument(format!("object `{text}`: {reason}")));
    if body.size > BODY_MAX_BYTES {
        return Err(ObjectsError::EntityTooLarge { key: text.to_owned(), size: body.size, max: BODY_MAX_BYTES });
    }
    let longest = body.checksums.iter().map(|checksum| checksum.value.len()).max().unwrap_or(0);
    if body.checksums.len() > CHECKSUMS_MAX || longest > CHECKSUM_MAX_BYTES {
        return refuse(format!("it has more than {CHECKSUMS_MAX} checksums of {CHECKSUM_MAX_BYTES} B"));
    }
    match &body.bytes {
        Bytes::Inline(bytes) if bytes.len() > INLINE_MAX_BYTES + SEAL_MAX_BYTES => {
            refuse(format!("{} B are to lie in the bucket, the limit is {INLINE_MAX_BYTES} B", bytes.len()))
        }
        Bytes::Inline(bytes) if body.seal.is_none() && bytes.len() as u64 != body.size => {
            refuse(format!("{} B came, {} B are its size", bytes.len(), body.size))
        }
        Bytes::Inline(_) => Ok(()),
        Bytes::Stored(stored) => check_stored(text, stored),
    }
}

fn check_stored(text: &str, stored: &StoredBody) -> Result<(), ObjectsError> {
    let refuse = |reason: String| Err(ObjectsError::InvalidArgument(format!("object `{text}`: {reason}")));
    if stored.pieces.is_empty() || stored.pieces.len() > PIECES_MAX || stored.heads.len() > PIECES_MAX {
        return refuse(format!("it has {} pieces, 1 to {PIECES_MAX} are allowed", stored.pieces.len()));
    }
    match stored.pieces.iter().find(|piece| stored.head(piece.extent.pack).is_none()) {
        Some(piece) => refuse(format!("pack {} has no head", piece.extent.pack)),
        None => Ok(()),
    }
}
