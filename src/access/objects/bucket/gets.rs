//! Reading objects: conditions, ranges, and the contents that cover them.
//!
//! Owns how much one answer carries. Invariant: an answer's contents belong to the version it names.

use super::{
    Inner, lifecycle,
    reads::{Reads, decoded, foreign},
    versions::{Located, fits},
};
use crate::access::{
    blobs::{PackHead, PackId},
    objects::{
        config::Versioning,
        error::ObjectsError,
        id::{UploadId, VersionId, VersionRef},
        key,
        op::{Bytes, Found, FoundBody, GetOp, Reply},
        record::{BodyRecord, BodyRef, BucketRecord, Contents, InlineRecord, ObjectRecord, PartRecord},
        request::{ObjectInfo, PartInfo, PartPage, RangeAsked, ReadConditions},
    },
};

/// Most pieces one answer carries.
const ANSWER_MAX_PIECES: usize = 600;
/// Most bytes in the engine one answer carries.
const ANSWER_MAX_INLINE: usize = 1 << 20;
/// How often a read begins again when the version it found was replaced before its contents were read.
const TRIES: usize = 8;
/// Parts read at a time.
const PARTS_STEP: usize = 64;
/// Every so many parts, an object knows how many bytes lie before.
pub(super) const PART_INDEX_STEP: u32 = 64;
/// Most parts one page has, as S3 has it.
pub(super) const PARTS_PAGE_MAX: u32 = 1_000;

impl Inner {
    pub async fn get(&self, ask: &GetOp) -> Result<Reply, ObjectsError> {
        let bucket = self.bucket()?;
        let reads = self.reads();
        for _ in 0..TRIES {
            let Located { record, .. } = reads.object(&ask.key, ask.version).await?;
            check_read(&ask.key, &ask.conditions, &record)?;
            let range = reads.resolve(&ask.key, &record, ask.range).await?;
            let (bodies, next) = if ask.contents {
                match reads.cover(&record, range).await? {
                    Some(covered) => covered,
                    None => continue,
                }
            } else {
                (Vec::new(), None)
            };
            let info = info(&bucket, &ask.key, &record);
            let found = Found { info, id: record.version, range, bodies, next };
            return Ok(Reply::Found(Box::new(found)));
        }
        Err(ObjectsError::Conflict { key: ask.key.clone() })
    }

    pub async fn more(&self, text: &str, id: VersionId, from: u64) -> Result<Reply, ObjectsError> {
        let bucket = self.bucket()?;
        let reads = self.reads();
        let gone = || ObjectsError::NoSuchVersion { key: text.to_owned(), version: VersionRef::Id(id) };
        let record = match reads.get::<ObjectRecord>(&key::current(text)).await? {
            Some(record) if record.version == id => record,
            _ => reads.get::<ObjectRecord>(&key::older(text, id)).await?.ok_or_else(gone)?,
        };
        let range = (from.min(record.size), record.size);
        let (bodies, next) = reads.cover(&record, range).await?.ok_or_else(gone)?;
        let info = info(&bucket, text, &record);
        Ok(Reply::Found(Box::new(Found { info, id, range, bodies, next })))
    }

    pub async fn object_parts(
        &self,
        text: &str,
        version: Option<VersionRef>,
        after: u32,
        max: u32,
    ) -> Result<Reply, ObjectsError> {
        self.bucket()?;
        let reads = self.reads();
        let Located { record, .. } = reads.object(text, version).await?;
        let page = match record.contents {
            Contents::Parts { upload, .. } => reads.part_page(upload, after, max).await?,
            _ => PartPage::default(),
        };
        Ok(Reply::Parts(page))
    }
}

impl Reads<'_> {
    /// First byte and the one after the last of what is asked for.
    async fn resolve(
        &self,
        text: &str,
        record: &ObjectRecord,
        asked: Option<RangeAsked>,
    ) -> Result<(u64, u64), ObjectsError> {
        let size = record.size;
        let outside = |asked: String| ObjectsError::InvalidRange { key: text.to_owned(), size, asked };
        match asked {
            None => Ok((0, size)),
            Some(RangeAsked::Between(first, last)) if first <= last && first < size => {
                Ok((first, last.saturating_add(1).min(size)))
            }
            Some(RangeAsked::Between(first, last)) => Err(outside(format!("{first} to {last}"))),
            Some(RangeAsked::From(first)) if first < size => Ok((first, size)),
            Some(RangeAsked::From(first)) => Err(outside(format!("{first} and what follows"))),
            Some(RangeAsked::Last(count)) if count > 0 && size > 0 => Ok((size.saturating_sub(count), size)),
            Some(RangeAsked::Last(count)) => Err(outside(format!("the last {count}"))),
            Some(RangeAsked::Part(number)) => self.part_range(record, number).await?.ok_or_else(|| {
                let parts = part_count(record).max(1);
                ObjectsError::InvalidPartNumber { part: number, max: parts }
            }),
        }
    }

    async fn part_range(&self, record: &ObjectRecord, number: u32) -> Result<Option<(u64, u64)>, ObjectsError> {
        let Contents::Parts { upload, index, .. } = &record.contents else {
            return Ok((number == 1).then_some((0, record.size)));
        };
        let (mut next, mut at) = start_of(index, |known, _| known <= number);
        loop {
            let parts = self.parts(*upload, next, PARTS_STEP).await?;
            let Some((last, _)) = parts.last() else {
                return Ok(None);
            };
            next = last.saturating_add(1);
            for (found, part) in &parts {
                if *found == number {
                    return Ok(Some((at, at + part.size)));
                }
                at += part.size;
            }
            if next > number {
                return Ok(None);
            }
        }
    }

    /// Parts of an upload from a number on.
    pub async fn parts(&self, upload: UploadId, from: u32, max: usize) -> Result<Vec<(u32, PartRecord)>, ObjectsError> {
        let entries = self.entries(&key::parts(upload), &key::part(upload, from), max).await?;
        entries
            .iter()
            .map(|(key, value)| Ok((key::part_number(key).ok_or_else(|| foreign(key))?, decoded(value)?)))
            .collect()
    }

    pub async fn part_page(&self, upload: UploadId, after: u32, max: u32) -> Result<PartPage, ObjectsError> {
        let max = max.min(PARTS_PAGE_MAX) as usize;
        let mut parts = self.parts(upload, after.saturating_add(1), max + 1).await?;
        let more = parts.len() > max;
        parts.truncate(max);
        let next = parts.last().map(|(number, _)| *number).filter(|_| more);
        Ok(PartPage { parts: parts.into_iter().map(|(number, part)| part_info(number, part)).collect(), next })
    }

    /// Contents that cover a range, as far as one answer carries, and where the next one begins. `None` if some are gone.
    async fn cover(
        &self,
        record: &ObjectRecord,
        range: (u64, u64),
    ) -> Result<Option<(Vec<FoundBody>, Option<u64>)>, ObjectsError> {
        let mut cover = Cover { reads: *self, range, found: Vec::new(), pieces: 0, inline: 0, heads: Vec::new() };
        match &record.contents {
            Contents::Marker => {}
            Contents::Bodies(bodies) => {
                let mut at = 0;
                for body in bodies {
                    match cover.add(at, body).await? {
                        Step::Gone => return Ok(None),
                        Step::Full => return Ok(Some((cover.found, Some(at)))),
                        Step::Next => at += body.len,
                    }
                }
            }
            Contents::Parts { upload, index, .. } => {
                let (mut next, mut at) = start_of(index, |_, offset| offset <= range.0);
                while at < range.1 {
                    let parts = self.parts(*upload, next, PARTS_STEP).await?;
                    let Some((last, _)) = parts.last() else {
                        return Ok(None);
                    };
                    next = last.saturating_add(1);
                    for body in parts.iter().flat_map(|(_, part)| &part.bodies) {
                        match cover.add(at, body).await? {
                            Step::Gone => return Ok(None),
                            Step::Full => return Ok(Some((cover.found, Some(at)))),
                            Step::Next => at += body.len,
                        }
                    }
                }
            }
        }
        Ok(Some((cover.found, None)))
    }
}

/// The last known start that `before` accepts.
fn start_of(index: &[(u32, u64)], before: impl Fn(u32, u64) -> bool) -> (u32, u64) {
    index.iter().copied().take_while(|(number, offset)| before(*number, *offset)).last().unwrap_or((0, 0))
}

enum Step {
    Next,
    /// The answer is full before this one.
    Full,
    /// It was let go.
    Gone,
}

/// Gathers contents.
struct Cover<'a> {
    reads: Reads<'a>,
    range: (u64, u64),
    found: Vec<FoundBody>,
    pieces: usize,
    inline: usize,
    heads: Vec<(PackId, PackHead)>,
}

impl Cover<'_> {
    async fn add(&mut self, at: u64, body: &BodyRef) -> Result<Step, ObjectsError> {
        if at >= self.range.1 || at + body.len <= self.range.0 {
            return Ok(Step::Next);
        }
        let (seal, bytes, size) = if body.inline {
            let Some(InlineRecord { seal, bytes, size }) = self.reads.get(&key::inline(body.id)).await? else {
                return Ok(Step::Gone);
            };
            if !self.found.is_empty() && self.inline + bytes.len() > ANSWER_MAX_INLINE {
                return Ok(Step::Full);
            }
            self.inline += bytes.len();
            (seal, Bytes::Inline(bytes), size)
        } else {
            let Some(BodyRecord { seal, mut stored, size }) = self.reads.get(&key::body(body.id)).await? else {
                return Ok(Step::Gone);
            };
            if !self.found.is_empty() && self.pieces + stored.pieces.len() > ANSWER_MAX_PIECES {
                return Ok(Step::Full);
            }
            self.pieces += stored.pieces.len();
            for piece in &stored.pieces {
                let pack = piece.extent.pack;
                if stored.heads.iter().all(|(id, _)| *id != pack) {
                    let Some(head) = self.head(pack).await? else {
                        return Ok(Step::Gone);
                    };
                    stored.heads.push((pack, head));
                }
            }
            (seal, Bytes::Stored(stored), size)
        };
        self.found.push(FoundBody { id: body.id, at, start: body.start, len: body.len, size, seal, bytes });
        Ok(Step::Next)
    }

    async fn head(&mut self, pack: PackId) -> Result<Option<PackHead>, ObjectsError> {
        if let Some((_, head)) = self.heads.iter().find(|(id, _)| *id == pack) {
            return Ok(Some(head.clone()));
        }
        let head = self.reads.get::<PackHead>(&key::pack(pack)).await?;
        self.heads.extend(head.iter().map(|head| (pack, head.clone())));
        Ok(head)
    }
}

/// Whether a reader wants the version it would get.
pub(super) fn check_read(text: &str, asked: &ReadConditions, record: &ObjectRecord) -> Result<(), ObjectsError> {
    let failed = |condition: &str| {
        Err(ObjectsError::PreconditionFailed { key: text.to_owned(), condition: condition.to_owned() })
    };
    // Dates of HTTP are whole seconds.
    let modified = record.modified_ms / 1_000;
    match (&asked.if_match, asked.if_unmodified_since_ms) {
        (Some(tags), _) if !fits(tags, record.etag) => return failed("If-Match"),
        (None, Some(since)) if modified > since / 1_000 => return failed("If-Unmodified-Since"),
        _ => {}
    }
    match (&asked.if_none_match, asked.if_modified_since_ms) {
        (Some(tags), _) if fits(tags, record.etag) => Err(ObjectsError::NotModified { key: text.to_owned() }),
        (None, Some(since)) if modified <= since / 1_000 => Err(ObjectsError::NotModified { key: text.to_owned() }),
        _ => Ok(()),
    }
}

pub(super) fn part_info(part: u32, record: PartRecord) -> PartInfo {
    PartInfo {
        part,
        etag: crate::access::objects::id::ETag { md5: record.md5, parts: 0 },
        size: record.size,
        modified_ms: record.modified_ms,
        checksums: record.checksums,
    }
}

fn part_count(record: &ObjectRecord) -> u32 {
    match record.contents {
        Contents::Parts { count, .. } => count,
        _ => 0,
    }
}

/// What a reader is told of a version.
pub(super) fn info(bucket: &BucketRecord, text: &str, record: &ObjectRecord) -> ObjectInfo {
    ObjectInfo {
        version: (bucket.config.versioning != Versioning::Off).then(|| record.version_ref()),
        etag: record.etag,
        size: record.size,
        modified_ms: record.modified_ms,
        description: record.description.clone(),
        checksums: record.checksums.clone(),
        parts: part_count(record),
        customer: record.customer,
        encrypted: record.encrypted,
        expires: lifecycle::expiry(&bucket.config, text, record),
    }
}
