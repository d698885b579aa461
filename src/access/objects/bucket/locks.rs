//! Object lock, tags and access control of versions.
//!
//! Owns what a lock allows. Invariant: nobody shortens a retention in compliance mode, nor deletes what it protects.

use super::{
    change::{Change, check_key},
    versions::Located,
};
use crate::access::objects::{
    attributes::{ACL_MAX_BYTES, Retention, RetentionMode, check_tags},
    config::Versioning,
    error::ObjectsError,
    id::VersionRef,
    key,
    op::{Amendment, Reply},
    record::{BucketRecord, ObjectRecord},
    request::Description,
};

/// Refuses to delete a version that is protected.
pub(super) fn check_unlocked(text: &str, record: &ObjectRecord, now_ms: u64, bypass: bool) -> Result<(), ObjectsError> {
    let locked =
        |reason: String| ObjectsError::ObjectLocked { key: text.to_owned(), version: record.version_ref(), reason };
    if record.description.legal_hold {
        return Err(locked("it has a legal hold".into()));
    }
    match record.description.retention.filter(|retention| retention.until_ms > now_ms) {
        Some(Retention { mode: RetentionMode::Governance, .. }) if bypass => Ok(()),
        Some(Retention { until_ms, .. }) => Err(locked(format!("it is retained until {until_ms} ms since 1970"))),
        None => Ok(()),
    }
}

/// Refuses locks a new version cannot have.
pub(super) fn check_new(
    bucket: &BucketRecord,
    text: &str,
    description: &Description,
    now_ms: u64,
) -> Result<(), ObjectsError> {
    if description.retention.is_none() && !description.legal_hold {
        return Ok(());
    }
    check_enabled(bucket, text)?;
    check_future(text, description.retention, now_ms)
}

/// Checks a new version's locks, and gives it the bucket's default retention where it has none.
pub(super) fn apply_default(
    bucket: &BucketRecord,
    text: &str,
    description: &mut Description,
    now_ms: u64,
) -> Result<(), ObjectsError> {
    check_new(bucket, text, description, now_ms)?;
    if description.retention.is_none() {
        description.retention = bucket.config.lock.default.map(|default| default.from(now_ms));
    }
    Ok(())
}

fn check_enabled(bucket: &BucketRecord, text: &str) -> Result<(), ObjectsError> {
    if bucket.config.lock.enabled {
        return Ok(());
    }
    let reason = format!("bucket `{}` was made without object lock", bucket.name);
    Err(ObjectsError::InvalidLock { key: text.to_owned(), reason })
}

fn check_future(text: &str, retention: Option<Retention>, now_ms: u64) -> Result<(), ObjectsError> {
    match retention {
        Some(retention) if retention.until_ms <= now_ms => {
            let reason = format!("it would be retained until {} ms since 1970, which has passed", retention.until_ms);
            Err(ObjectsError::InvalidLock { key: text.to_owned(), reason })
        }
        _ => Ok(()),
    }
}

impl Change<'_> {
    pub async fn amend(
        &mut self,
        bucket: &BucketRecord,
        text: &str,
        version: Option<VersionRef>,
        what: Amendment,
    ) -> Result<Reply, ObjectsError> {
        check_key(text)?;
        let Located { mut record, current } = self.reads().object(text, version).await?;
        match what {
            Amendment::Tags(tags) => {
                check_tags(text, &tags)?;
                record.description.tags = tags;
            }
            Amendment::Acl(acl) => {
                let len = acl.as_ref().map_or(0, Vec::len);
                if len > ACL_MAX_BYTES {
                    let (len, max) = (len as u64, ACL_MAX_BYTES as u64);
                    return Err(ObjectsError::MetadataTooLarge { key: text.to_owned(), len, max });
                }
                record.description.acl = acl;
            }
            Amendment::Retention(retention, bypass) => {
                check_enabled(bucket, text)?;
                check_future(text, retention, self.now_ms)?;
                check_change(text, &record, retention, self.now_ms, bypass)?;
                record.description.retention = retention;
            }
            Amendment::LegalHold(hold) => {
                check_enabled(bucket, text)?;
                record.description.legal_hold = hold;
            }
        }
        let key = if current { key::current(text) } else { key::older(text, record.version) };
        self.set(key, &record);
        let version = (bucket.config.versioning != Versioning::Off).then(|| record.version_ref());
        Ok(Reply::Amended(version))
    }
}

/// Whether a retention may be replaced.
fn check_change(
    text: &str,
    record: &ObjectRecord,
    new: Option<Retention>,
    now_ms: u64,
    bypass: bool,
) -> Result<(), ObjectsError> {
    let Some(old) = record.description.retention.filter(|retention| retention.until_ms > now_ms) else {
        return Ok(());
    };
    let longer = new.filter(|new| new.until_ms >= old.until_ms);
    let allowed = match old.mode {
        RetentionMode::Governance => bypass || longer.is_some(),
        RetentionMode::Compliance => longer.is_some_and(|new| new.mode == RetentionMode::Compliance),
    };
    if allowed {
        return Ok(());
    }
    let reason = format!("its retention until {} ms since 1970 cannot be shortened", old.until_ms);
    Err(ObjectsError::ObjectLocked { key: text.to_owned(), version: record.version_ref(), reason })
}
