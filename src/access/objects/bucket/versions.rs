//! Versions of a key: which one is current, what becomes of the one before, what a deletion does.
//!
//! Owns the order of versions. Must not know contents beyond letting them go. Invariants: a key with older versions has a current
//! one; a key has at most one null version; where versions were never kept there are no older ones.

use super::{
    change::{Change, check_key},
    locks,
    reads::{Reads, decoded, foreign},
};
use crate::access::objects::{
    config::Versioning,
    error::ObjectsError,
    id::{ETag, VersionRef},
    key,
    op::Reply,
    record::{BucketRecord, Contents, Garbage, NullVersion, ObjectRecord},
    request::{DeleteTarget, Deleted, Description, ETagMatch, WriteConditions},
};

/// Most keys one deletion names, as S3 has it.
pub(super) const DELETE_MAX: usize = 1_000;

/// A version and where it is.
pub(super) struct Located {
    pub record: ObjectRecord,
    pub current: bool,
}

impl Reads<'_> {
    /// The current version or the named one, delete markers too.
    pub async fn locate(&self, text: &str, version: Option<VersionRef>) -> Result<Option<Located>, ObjectsError> {
        let Some(record) = self.get::<ObjectRecord>(&key::current(text)).await? else {
            return Ok(None);
        };
        let wanted = match version {
            None => return Ok(Some(Located { record, current: true })),
            Some(wanted) if wanted == record.version_ref() => return Ok(Some(Located { record, current: true })),
            Some(VersionRef::Id(id)) => id,
            Some(VersionRef::Null) => match self.get::<NullVersion>(&key::null(text)).await? {
                Some(NullVersion(id)) => id,
                None => return Ok(None),
            },
        };
        let older = self.get::<ObjectRecord>(&key::older(text, wanted)).await?;
        // The null version is not found by its number.
        let found = older.filter(|older| version == Some(older.version_ref()));
        Ok(found.map(|record| Located { record, current: false }))
    }

    /// The current version or the named one, which must be an object.
    pub async fn object(&self, text: &str, version: Option<VersionRef>) -> Result<Located, ObjectsError> {
        let missing = || match version {
            Some(version) => ObjectsError::NoSuchVersion { key: text.to_owned(), version },
            None => ObjectsError::NoSuchKey { key: text.to_owned() },
        };
        let located = self.locate(text, version).await?.ok_or_else(missing)?;
        if !located.record.is_marker() {
            return Ok(located);
        }
        let (key, marker) = (text.to_owned(), located.record.version_ref());
        Err(match version {
            Some(_) => ObjectsError::MethodNotAllowed { key, version: marker },
            None => ObjectsError::DeleteMarker { key, version: marker },
        })
    }

    /// The newest of the older versions.
    async fn newest_older(&self, text: &str) -> Result<Option<ObjectRecord>, ObjectsError> {
        match self.first(&key::older_all(text)).await? {
            Some((_, value)) => Ok(Some(decoded(&value)?)),
            None => Ok(None),
        }
    }

    /// All older versions, newest first, at most `max`.
    pub async fn older(&self, text: &str, max: usize) -> Result<Vec<ObjectRecord>, ObjectsError> {
        let prefix = key::older_all(text);
        let entries = self.entries(&prefix, &prefix, max).await?;
        entries
            .iter()
            .map(|(key, value)| {
                key::split_older(key).ok_or_else(|| foreign(key))?;
                decoded(value)
            })
            .collect()
    }
}

/// Whether tags fit.
pub(super) fn fits(asked: &ETagMatch, tag: ETag) -> bool {
    match asked {
        ETagMatch::Any => true,
        ETagMatch::OneOf(tags) => tags.contains(&tag),
    }
}

/// Whether a write may replace `current`.
pub(super) fn check_write(
    text: &str,
    conditions: &WriteConditions,
    current: Option<&ObjectRecord>,
) -> Result<(), ObjectsError> {
    let failed = |condition: &str| {
        Err(ObjectsError::PreconditionFailed { key: text.to_owned(), condition: condition.to_owned() })
    };
    let tag = current.filter(|record| !record.is_marker()).map(|record| record.etag);
    match (&conditions.if_match, tag) {
        (Some(_), None) => return Err(ObjectsError::NoSuchKey { key: text.to_owned() }),
        (Some(asked), Some(tag)) if !fits(asked, tag) => return failed("If-Match"),
        _ => {}
    }
    match (&conditions.if_none_match, tag) {
        (Some(asked), Some(tag)) if fits(asked, tag) => failed("If-None-Match"),
        _ => Ok(()),
    }
}

impl Change<'_> {
    /// The current record of a key.
    pub async fn current(&self, text: &str) -> Result<Option<ObjectRecord>, ObjectsError> {
        self.reads().get(&key::current(text)).await
    }

    /// Makes `record` the current version, in the place of `before`. Sets whether it is the null version.
    pub async fn install(
        &mut self,
        bucket: &BucketRecord,
        text: &str,
        mut record: ObjectRecord,
        before: Option<ObjectRecord>,
    ) -> Result<ObjectRecord, ObjectsError> {
        let versioning = bucket.config.versioning;
        record.null = versioning != Versioning::Enabled;
        if versioning == Versioning::Suspended && before.as_ref().is_some_and(|before| !before.null) {
            self.drop_older_null(text).await?;
        }
        match before {
            Some(before) if record.null && before.null => self.release(&before).await?,
            Some(before) => self.retire_version(text, before),
            None => {}
        }
        if record.is_marker() {
            self.usage.usage.markers += 1;
        } else {
            self.usage.usage.objects += 1;
            self.usage.usage.bytes += record.size;
        }
        self.set(key::current(text), &record);
        Ok(record)
    }

    /// The current version becomes an older one.
    fn retire_version(&mut self, text: &str, mut before: ObjectRecord) {
        before.replaced_ms = Some(self.now_ms);
        if before.null {
            self.set(key::null(text), &NullVersion(before.version));
        }
        self.set(key::older(text, before.version), &before);
    }

    async fn drop_older_null(&mut self, text: &str) -> Result<(), ObjectsError> {
        let Some(NullVersion(id)) = self.reads().get(&key::null(text)).await? else {
            return Ok(());
        };
        let key = key::older(text, id);
        if let Some(record) = self.reads().get::<ObjectRecord>(&key).await? {
            self.release(&record).await?;
        }
        self.remove(key);
        self.remove(key::null(text));
        Ok(())
    }

    /// Lets go of what a version refers to. Its record is the caller's.
    pub async fn release(&mut self, record: &ObjectRecord) -> Result<(), ObjectsError> {
        let usage = &mut self.usage.usage;
        if record.is_marker() {
            usage.markers = usage.markers.saturating_sub(1);
            return Ok(());
        }
        usage.objects = usage.objects.saturating_sub(1);
        usage.bytes = usage.bytes.saturating_sub(record.size);
        match &record.contents {
            Contents::Marker => Ok(()),
            Contents::Bodies(bodies) => self.release_bodies(bodies).await,
            Contents::Parts { upload, .. } => {
                let grace = self.settings.grace_ms;
                self.throw(grace, &Garbage::Parts { upload: *upload, counted: false });
                Ok(())
            }
        }
    }

    /// Removes a version for good. If it is the current one, the newest of the older ones takes its place.
    pub async fn remove_version(&mut self, text: &str, located: &Located) -> Result<(), ObjectsError> {
        self.release(&located.record).await?;
        if !located.current {
            self.remove(key::older(text, located.record.version));
            if located.record.null {
                self.remove(key::null(text));
            }
            return Ok(());
        }
        let Some(mut next) = self.reads().newest_older(text).await? else {
            self.remove(key::current(text));
            return Ok(());
        };
        self.remove(key::older(text, next.version));
        if next.null {
            self.remove(key::null(text));
        }
        next.replaced_ms = None;
        self.set(key::current(text), &next);
        Ok(())
    }

    pub async fn delete_all(
        &mut self,
        bucket: &BucketRecord,
        targets: Vec<DeleteTarget>,
        bypass: bool,
    ) -> Result<Reply, ObjectsError> {
        if targets.len() > DELETE_MAX {
            let count = targets.len();
            return Err(ObjectsError::InvalidArgument(format!(
                "{count} keys are to be deleted, the limit is {DELETE_MAX}"
            )));
        }
        let mut answers = Vec::with_capacity(targets.len());
        for target in targets {
            match self.delete(bucket, &target, bypass).await {
                // Records that cannot be read say nothing about this target alone.
                Err(error @ (ObjectsError::Damaged { .. } | ObjectsError::Unavailable { .. })) => return Err(error),
                answer => answers.push(answer),
            }
        }
        Ok(Reply::Deleted(answers))
    }

    async fn delete(
        &mut self,
        bucket: &BucketRecord,
        target: &DeleteTarget,
        bypass: bool,
    ) -> Result<Deleted, ObjectsError> {
        check_key(&target.key)?;
        let text = target.key.as_str();
        let located = self.reads().locate(text, target.version).await?;
        if target.if_match.is_some() {
            let conditions = WriteConditions { if_match: target.if_match.clone(), if_none_match: None };
            check_write(text, &conditions, located.as_ref().map(|located| &located.record))?;
        }
        match target.version {
            None => self.delete_current(bucket, text, located.map(|located| located.record)).await,
            Some(version) => {
                let Some(located) = located else {
                    return Ok(Deleted { version: Some(version), delete_marker: false });
                };
                locks::check_unlocked(text, &located.record, self.now_ms, bypass)?;
                self.remove_version(text, &located).await?;
                Ok(Deleted { version: Some(version), delete_marker: located.record.is_marker() })
            }
        }
    }

    /// Deletes without naming a version: removes the object, or marks it deleted where versions are kept.
    pub async fn delete_current(
        &mut self,
        bucket: &BucketRecord,
        text: &str,
        current: Option<ObjectRecord>,
    ) -> Result<Deleted, ObjectsError> {
        if bucket.config.versioning == Versioning::Off {
            if let Some(record) = current {
                self.release(&record).await?;
                self.remove(key::current(text));
            }
            return Ok(Deleted { version: None, delete_marker: false });
        }
        let marker = ObjectRecord {
            version: self.new_version(),
            null: false,
            modified_ms: self.now_ms,
            size: 0,
            etag: ETag { md5: [0; 16], parts: 0 },
            checksums: Vec::new(),
            contents: Contents::Marker,
            encrypted: false,
            customer: None,
            description: Description { author: bucket.owner, ..Description::default() },
            replaced_ms: None,
        };
        let marker = self.install(bucket, text, marker, current).await?;
        Ok(Deleted { version: Some(marker.version_ref()), delete_marker: true })
    }
}
