//! Objects one at a time: put, get, head, delete, and what is amended about them.
//!
//! Owns nothing. Must not know how bytes are sealed. Invariant: a put that was refused leaves no contents behind.

use super::{Objects, bytes::check_key, unexpected};
use crate::access::objects::{
    attributes::{Retention, Tags},
    error::ObjectsError,
    id::{BucketName, VersionRef},
    op::{Amendment, GetOp, Op, PutOp, Reply},
    request::{DeleteTarget, Deleted, GetObject, Object, ObjectInfo, ObjectName, PutObject, ReadConditions, Written},
};

impl Objects {
    /// Writes an object.
    pub async fn put_object(&self, ask: PutObject) -> Result<Written, ObjectsError> {
        let (place, info) = self.resolve(&ask.bucket).await?;
        ask.description.check(&ask.key)?;
        let body = self.store(&info, &ask.key, ask.body, ask.customer_key.as_ref()).await?;
        let (id, stored) = (body.id, body.stored());
        let op = PutOp { key: ask.key, description: ask.description, conditions: ask.conditions, body };
        match self.call_or_discard(&place, Op::Put(Box::new(op)), id, stored).await? {
            Reply::Written(written) => Ok(written),
            other => Err(unexpected("put", &other)),
        }
    }

    /// Reads an object. [`ObjectsError::DeleteMarker`] if the newest version is one, [`ObjectsError::MethodNotAllowed`] if the
    /// named version is one.
    pub async fn get_object(&self, ask: GetObject) -> Result<Object, ObjectsError> {
        let (place, info) = self.resolve(&ask.bucket).await?;
        let op = GetOp {
            key: ask.key.clone(),
            version: ask.version,
            conditions: ask.conditions,
            range: ask.range,
            contents: true,
        };
        match self.inner.router.call(&place, Op::Get(op)).await? {
            Reply::Found(found) => self.open(&info, place, &ask.key, *found, ask.customer_key.as_ref()),
            other => Err(unexpected("get", &other)),
        }
    }

    /// What is known of an object, and the range a get would send.
    pub async fn head_object(&self, ask: GetObject) -> Result<(ObjectInfo, std::ops::Range<u64>), ObjectsError> {
        let op = GetOp {
            key: ask.key.clone(),
            version: ask.version,
            conditions: ask.conditions,
            range: ask.range,
            contents: false,
        };
        let (place, info) = self.resolve(&ask.bucket).await?;
        match self.inner.router.call(&place, Op::Get(op)).await? {
            Reply::Found(found) => {
                let found = *found;
                check_key(&ask.key, info.id, found.info.customer, ask.customer_key.as_ref())?;
                Ok((found.info, found.range.0..found.range.1))
            }
            other => Err(unexpected("head", &other)),
        }
    }

    /// What is known of a version, whoever holds its key.
    pub async fn describe(&self, name: &ObjectName) -> Result<ObjectInfo, ObjectsError> {
        let op = GetOp {
            key: name.key.clone(),
            version: name.version,
            conditions: ReadConditions::default(),
            range: None,
            contents: false,
        };
        match self.call(&name.bucket, Op::Get(op)).await? {
            Reply::Found(found) => Ok(found.info),
            other => Err(unexpected("describe", &other)),
        }
    }

    /// Deletes the current object, or a version. Deleting what is not there succeeds.
    pub async fn delete_object(
        &self,
        bucket: &BucketName,
        target: DeleteTarget,
        bypass_governance: bool,
    ) -> Result<Deleted, ObjectsError> {
        let mut answers = self.delete_objects(bucket, vec![target], bypass_governance).await?;
        answers.pop().unwrap_or_else(|| Err(ObjectsError::Damaged { reason: "no answer to `delete`".into() }))
    }

    /// Deletes up to 1,000 objects or versions: an answer for each, in their order.
    pub async fn delete_objects(
        &self,
        bucket: &BucketName,
        targets: Vec<DeleteTarget>,
        bypass_governance: bool,
    ) -> Result<Vec<Result<Deleted, ObjectsError>>, ObjectsError> {
        match self.call(bucket, Op::Delete(targets, bypass_governance)).await? {
            Reply::Deleted(answers) => Ok(answers),
            other => Err(unexpected("delete", &other)),
        }
    }

    /// Replaces an object's tags. Returns the version, `None` in a bucket that never kept versions.
    pub async fn put_tags(&self, name: &ObjectName, tags: Tags) -> Result<Option<VersionRef>, ObjectsError> {
        self.amend(name, Amendment::Tags(tags)).await
    }

    /// Replaces an object's access control list.
    pub async fn put_acl(&self, name: &ObjectName, acl: Option<Vec<u8>>) -> Result<Option<VersionRef>, ObjectsError> {
        self.amend(name, Amendment::Acl(acl)).await
    }

    /// Sets or lifts a version's retention as its present one allows.
    pub async fn put_retention(
        &self,
        name: &ObjectName,
        retention: Option<Retention>,
        bypass_governance: bool,
    ) -> Result<Option<VersionRef>, ObjectsError> {
        self.amend(name, Amendment::Retention(retention, bypass_governance)).await
    }

    /// Sets or lifts a version's legal hold.
    pub async fn put_legal_hold(&self, name: &ObjectName, hold: bool) -> Result<Option<VersionRef>, ObjectsError> {
        self.amend(name, Amendment::LegalHold(hold)).await
    }

    async fn amend(&self, name: &ObjectName, what: Amendment) -> Result<Option<VersionRef>, ObjectsError> {
        let op = Op::Amend { key: name.key.clone(), version: name.version, what };
        match self.call(&name.bucket, op).await? {
            Reply::Amended(version) => Ok(version),
            other => Err(unexpected("amend", &other)),
        }
    }
}
