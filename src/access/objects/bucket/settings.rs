//! The bucket itself: its beginning, its settings, its end.
//!
//! Owns which settings go together. Invariant: object lock keeps versioning enabled.

use super::change::Change;
use crate::access::objects::{
    config::{BucketConfig, ConfigChange, DOCUMENT_MAX_BYTES, Document, LIFECYCLE_MAX_RULES, LockConfig, Versioning},
    error::ObjectsError,
    key,
    op::Reply,
    record::BucketRecord,
};

/// Most unfinished uploads that go with their bucket.
const RETIRE_MAX_UPLOADS: usize = 1_000;
/// Most sealed copies of a bucket's key, and bytes of each.
const ENVELOPES_MAX: usize = 16;
const ENVELOPE_MAX_BYTES: usize = 512;

impl Change<'_> {
    pub fn create(&mut self, record: BucketRecord) -> Result<Reply, ObjectsError> {
        if let Some(known) = self.any_bucket() {
            if known.id != record.id || known.retired {
                return Err(ObjectsError::NoSuchBucket { bucket: self.name.clone() });
            }
            return Ok(Reply::Bucket(Box::new(BucketRecord::clone(&known)), self.usage.usage));
        }
        for (document, bytes) in &record.config.documents {
            self.check_document(*document, bytes)?;
        }
        self.check_envelopes(&record.config.key_envelopes)?;
        if record.config.lock.enabled && record.config.versioning != Versioning::Enabled {
            return Err(self.refused("object lock needs versioning"));
        }
        self.set_bucket(record.clone());
        Ok(Reply::Bucket(Box::new(record), self.usage.usage))
    }

    pub fn configure(&mut self, bucket: &BucketRecord, change: ConfigChange) -> Result<Reply, ObjectsError> {
        let mut record = bucket.clone();
        let config = &mut record.config;
        match change {
            ConfigChange::Versioning(versioning) => self.set_versioning(config, versioning)?,
            ConfigChange::Lock(lock) => self.set_lock(config, lock)?,
            ConfigChange::Lifecycle(rules, document) => {
                if rules.len() > LIFECYCLE_MAX_RULES {
                    return Err(
                        self.refused(&format!("{} lifecycle rules, the limit is {LIFECYCLE_MAX_RULES}", rules.len()))
                    );
                }
                config.lifecycle = rules;
                self.set_document(config, Document::Lifecycle, document)?;
            }
            ConfigChange::Encryption(encryption, document) => {
                config.encryption = encryption;
                self.set_document(config, Document::Encryption, document)?;
            }
            ConfigChange::Quota(quota) => config.quota = quota,
            ConfigChange::Set(document, bytes) => self.set_document(config, document, Some(bytes))?,
            ConfigChange::Remove(document) => self.set_document(config, document, None)?,
            ConfigChange::KeyEnvelopes(envelopes) => {
                self.check_envelopes(&envelopes)?;
                if config.key_envelopes.is_empty() {
                    config.key_envelopes = envelopes;
                }
            }
        }
        if record != *bucket {
            self.set_bucket(record.clone());
        }
        Ok(Reply::Bucket(Box::new(record), self.usage.usage))
    }

    fn set_versioning(&self, config: &mut BucketConfig, versioning: Versioning) -> Result<(), ObjectsError> {
        match versioning {
            Versioning::Off if config.versioning != Versioning::Off => {
                Err(self.refused("versioning can be suspended, not switched off"))
            }
            Versioning::Suspended if config.lock.enabled => {
                Err(self.refused("versioning cannot be suspended while object lock is enabled"))
            }
            versioning => {
                config.versioning = versioning;
                Ok(())
            }
        }
    }

    fn set_lock(&self, config: &mut BucketConfig, lock: LockConfig) -> Result<(), ObjectsError> {
        if config.lock.enabled && !lock.enabled {
            return Err(self.refused("object lock cannot be disabled"));
        }
        if lock.enabled && config.versioning != Versioning::Enabled {
            return Err(self.refused("object lock needs versioning"));
        }
        if lock.default.is_some_and(|default| default.days == 0) {
            return Err(ObjectsError::InvalidArgument(
                "a default retention lasts 0 days, at least 1 is required".into(),
            ));
        }
        config.lock = lock;
        Ok(())
    }

    fn set_document(
        &self,
        config: &mut BucketConfig,
        document: Document,
        bytes: Option<Vec<u8>>,
    ) -> Result<(), ObjectsError> {
        match bytes {
            Some(bytes) => {
                self.check_document(document, &bytes)?;
                config.documents.insert(document, bytes);
            }
            None => {
                config.documents.remove(&document);
            }
        }
        Ok(())
    }

    fn check_document(&self, document: Document, bytes: &[u8]) -> Result<(), ObjectsError> {
        if bytes.len() <= DOCUMENT_MAX_BYTES {
            return Ok(());
        }
        Err(ObjectsError::DocumentTooLarge {
            bucket: self.name.clone(),
            document: document.name().to_owned(),
            len: bytes.len() as u64,
            max: DOCUMENT_MAX_BYTES as u64,
        })
    }

    fn check_envelopes(&self, envelopes: &[Vec<u8>]) -> Result<(), ObjectsError> {
        let longest = envelopes.iter().map(Vec::len).max().unwrap_or(0);
        if envelopes.len() > ENVELOPES_MAX || longest > ENVELOPE_MAX_BYTES {
            return Err(
                self.refused(&format!("its key is sealed more than {ENVELOPES_MAX} times in {ENVELOPE_MAX_BYTES} B"))
            );
        }
        Ok(())
    }

    /// Deletes the bucket: its unfinished uploads go with it, objects do not.
    pub async fn retire(&mut self, bucket: &BucketRecord) -> Result<Reply, ObjectsError> {
        let usage = self.usage.usage;
        let versions = usage.objects + usage.markers;
        let begun = self.reads().entries(&[key::UPLOAD], &[], RETIRE_MAX_UPLOADS + 1).await?;
        if versions > 0 || begun.len() > RETIRE_MAX_UPLOADS {
            let uploads = usage.uploads;
            return Err(ObjectsError::BucketNotEmpty { bucket: self.name.clone(), versions, uploads });
        }
        for (key, _) in begun {
            let (text, upload) = key::split_upload(&key).ok_or_else(|| super::reads::foreign(&key))?;
            self.forget_upload(&text, upload);
        }
        self.set_bucket(BucketRecord { retired: true, ..bucket.clone() });
        Ok(Reply::Done)
    }

    fn refused(&self, reason: &str) -> ObjectsError {
        ObjectsError::InvalidBucketState { bucket: self.name.clone(), reason: reason.to_owned() }
    }
}
