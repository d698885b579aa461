//! Lifecycle rules: what expires when, and the step that makes it so.
//!
//! Owns the arithmetic of days. Must not know when it is run. Invariants: nothing that is locked expires; a step looks at a bounded
//! number of keys.

use super::{
    change::Change,
    locks,
    reads::{decoded, foreign},
    versions::Located,
};
use crate::access::objects::{
    config::{BucketConfig, DAY_MS, Expiry, LifecycleFilter, LifecycleRule, Versioning},
    error::ObjectsError,
    key,
    op::Reply,
    record::{BucketRecord, ObjectRecord, UploadRecord},
};

/// Keys one step looks at.
const STEP_KEYS: usize = 128;
/// Older versions of one key a step looks at; the others wait for the next round.
const STEP_VERSIONS: usize = 256;
/// Uploads one step looks at.
const STEP_UPLOADS: usize = 1_000;

/// So many days after a time, at the next midnight UTC, as S3 counts.
fn days_after(since_ms: u64, days: u32) -> u64 {
    since_ms.saturating_add(u64::from(days) * DAY_MS).div_ceil(DAY_MS).saturating_mul(DAY_MS)
}

fn applies(filter: &LifecycleFilter, text: &str, record: &ObjectRecord) -> bool {
    text.starts_with(&filter.prefix)
        && filter.tags.iter().all(|(key, value)| record.description.tags.get(key) == Some(value))
        && filter.larger_than.is_none_or(|size| record.size > size)
        && filter.smaller_than.is_none_or(|size| record.size < size)
}

fn rules<'c>(
    config: &'c BucketConfig,
    text: &'c str,
    record: &'c ObjectRecord,
) -> impl Iterator<Item = &'c LifecycleRule> {
    config.lifecycle.iter().filter(move |rule| rule.enabled && applies(&rule.filter, text, record))
}

/// When a current version expires, and by which rule: the earliest.
pub(super) fn expiry(config: &BucketConfig, text: &str, record: &ObjectRecord) -> Option<(u64, String)> {
    if record.is_marker() || record.replaced_ms.is_some() {
        return None;
    }
    let due = |rule: &LifecycleRule| {
        let at = match rule.expire? {
            Expiry::Days(days) => days_after(record.modified_ms, days),
            Expiry::At(at) => at,
        };
        Some((at, rule.id.clone()))
    };
    rules(config, text, record).filter_map(due).min()
}

impl Change<'_> {
    /// One step: the keys after `after`, and where the next one begins. The last step also looks at uploads.
    pub async fn expire(&mut self, bucket: &BucketRecord, after: Option<String>) -> Result<Reply, ObjectsError> {
        if bucket.config.lifecycle.is_empty() {
            return Ok(Reply::Swept { done: 0, next: None });
        }
        let start = after.map(|after| [key::current(&after).as_slice(), &[0]].concat()).unwrap_or_default();
        let keys = self.reads().entries(&[key::CURRENT], &start, STEP_KEYS).await?;
        let mut done = 0;
        for (key, value) in &keys {
            let text = key::text_of_current(key).ok_or_else(|| foreign(key))?;
            done += self.expire_key(bucket, text, decoded(value)?).await?;
        }
        if keys.len() < STEP_KEYS {
            done += self.expire_uploads(bucket).await?;
            return Ok(Reply::Swept { done, next: None });
        }
        let next = keys.last().and_then(|(key, _)| key::text_of_current(key)).map(str::to_owned);
        Ok(Reply::Swept { done, next })
    }

    async fn expire_key(
        &mut self,
        bucket: &BucketRecord,
        text: &str,
        current: ObjectRecord,
    ) -> Result<u32, ObjectsError> {
        let config = &bucket.config;
        let mut done = 0;
        let mut alone = true;
        if config.versioning != Versioning::Off {
            let older = self.reads().older(text, STEP_VERSIONS).await?;
            let before = older.len();
            for (place, record) in older.into_iter().enumerate() {
                if self.is_old(config, text, &record, place) {
                    self.remove_version(text, &Located { record, current: false }).await?;
                    done += 1;
                }
            }
            alone = before == done as usize;
        }
        if current.is_marker() {
            if alone && self.is_useless(config, text, &current) {
                self.remove_version(text, &Located { record: current, current: true }).await?;
                done += 1;
            }
            return Ok(done);
        }
        let due = expiry(config, text, &current).is_some_and(|(at, _)| at <= self.now_ms);
        // Where versions are kept, a locked one only gets a marker before it.
        if due {
            self.delete_current(bucket, text, Some(current)).await?;
            done += 1;
        }
        Ok(done)
    }

    /// Whether an older version's time has come; `place` counts from the newest of them.
    fn is_old(&self, config: &BucketConfig, text: &str, record: &ObjectRecord, place: usize) -> bool {
        let due = |rule: &LifecycleRule| match (rule.noncurrent_days, record.replaced_ms) {
            (Some(days), Some(since)) => {
                days_after(since, days) <= self.now_ms && place >= rule.noncurrent_keep as usize
            }
            _ => false,
        };
        rules(config, text, record).any(due) && locks::check_unlocked(text, record, self.now_ms, false).is_ok()
    }

    /// Whether a marker that hides nothing is to go.
    fn is_useless(&self, config: &BucketConfig, text: &str, marker: &ObjectRecord) -> bool {
        let due = |rule: &LifecycleRule| {
            let by_days = match rule.expire {
                Some(Expiry::Days(days)) => days_after(marker.modified_ms, days) <= self.now_ms,
                Some(Expiry::At(at)) => at <= self.now_ms,
                None => false,
            };
            rule.expire_markers || by_days
        };
        rules(config, text, marker).any(due)
    }

    async fn expire_uploads(&mut self, bucket: &BucketRecord) -> Result<u32, ObjectsError> {
        let limits: Vec<(&str, u32)> = bucket
            .config
            .lifecycle
            .iter()
            .filter(|rule| rule.enabled)
            .filter_map(|rule| Some((rule.filter.prefix.as_str(), rule.abort_upload_days?)))
            .collect();
        if limits.is_empty() {
            return Ok(0);
        }
        let begun = self.reads().entries(&[key::UPLOAD], &[], STEP_UPLOADS).await?;
        let mut done = 0;
        for (key, value) in begun {
            let (text, upload) = key::split_upload(&key).ok_or_else(|| foreign(&key))?;
            let record: UploadRecord = decoded(&value)?;
            let due = |(prefix, days): &(&str, u32)| {
                text.starts_with(prefix) && days_after(record.created_ms, *days) <= self.now_ms
            };
            if limits.iter().any(due) {
                self.forget_upload(&text, upload);
                done += 1;
            }
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_end_at_midnight() {
        assert_eq!(days_after(0, 1), DAY_MS);
        assert_eq!(days_after(1, 1), 2 * DAY_MS);
        assert_eq!(days_after(DAY_MS - 1, 0), DAY_MS);
    }
}
