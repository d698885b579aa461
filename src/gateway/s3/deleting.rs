//! Deletions, one and many.

use super::{Protocol, access, access::Caller, describing, error};
use crate::access::objects::{
    ObjectsError,
    request::{DeleteTarget, Deleted},
};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        self, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
        ObjectIdentifier,
    },
};

/// Most keys of one request.
const KEYS_MAX: usize = 1_000;

/// `DeleteObject`.
pub async fn one(
    protocol: &Protocol,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = request.input;
    let target = DeleteTarget {
        key: input.key,
        version: input.version_id.as_deref().map(error::parsed).transpose()?,
        if_match: input.if_match.as_ref().map(describing::etag_match),
    };
    let bypass = input.bypass_governance_retention.unwrap_or(false);
    let bucket = &caller.bucket()?.info.name;
    let deleted = protocol.objects.delete_object(bucket, target, bypass).await.map_err(error::refusal)?;
    Ok(S3Response::new(DeleteObjectOutput {
        delete_marker: deleted.delete_marker.then_some(true),
        version_id: deleted.version.map(|version| version.to_string()),
        ..DeleteObjectOutput::default()
    }))
}

/// `DeleteObjects`.
pub async fn many(
    protocol: &Protocol,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = request.input;
    let named = input.delete.objects;
    if named.is_empty() || named.len() > KEYS_MAX {
        return Err(error::malformed_xml(format!("{} keys are named, 1 to {KEYS_MAX} are allowed", named.len())));
    }
    let bypass = input.bypass_governance_retention.unwrap_or(false);
    let mut errors = Vec::new();
    let (mut asked, mut targets) = (Vec::new(), Vec::new());
    for object in named {
        match target_of(&caller, &object, bypass)? {
            Ok(target) => {
                targets.push(target);
                asked.push(object);
            }
            Err(refused) => errors.push(failed(&object, &refused)),
        }
    }
    let bucket = &caller.bucket()?.info.name;
    let answers = match targets.is_empty() {
        true => Vec::new(),
        false => protocol.objects.delete_objects(bucket, targets, bypass).await.map_err(error::refusal)?,
    };
    let mut deleted = Vec::new();
    for (object, answer) in asked.into_iter().zip(answers) {
        match answer {
            Ok(done) => deleted.push(told(object, &done)),
            // What is not there is as good as deleted.
            Err(ObjectsError::NoSuchKey { .. } | ObjectsError::NoSuchVersion { .. }) => {
                deleted.push(told(object, &Deleted { version: None, delete_marker: false }));
            }
            Err(refused) => errors.push(failed(&object, &error::refusal(refused))),
        }
    }
    let quiet = input.delete.quiet.unwrap_or(false);
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: (!quiet).then_some(deleted),
        errors: (!errors.is_empty()).then_some(errors),
        ..DeleteObjectsOutput::default()
    }))
}

/// What to delete, or why this one is not.
fn target_of(caller: &Caller, object: &ObjectIdentifier, bypass: bool) -> S3Result<Result<DeleteTarget, s3s::S3Error>> {
    let action = if object.version_id.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
    let bypasses = !bypass || caller.may("s3:BypassGovernanceRetention", Some(&object.key), None)?;
    if !bypasses || !caller.may(action, Some(&object.key), None)? {
        return Ok(Err(error::access_denied()));
    }
    let version = match object.version_id.as_deref().map(error::parsed).transpose() {
        Ok(version) => version,
        // The answer to a version that cannot exist is that of one that does not.
        Err(refused) => return Ok(Err(refused)),
    };
    let if_match = object.e_tag.clone().map(|tag| describing::etag_match(&dto::ETagCondition::ETag(tag)));
    Ok(Ok(DeleteTarget { key: object.key.clone(), version, if_match }))
}

fn told(object: ObjectIdentifier, done: &Deleted) -> DeletedObject {
    let version = done.version.map(|version| version.to_string());
    DeletedObject {
        key: Some(object.key),
        delete_marker: done.delete_marker.then_some(true),
        delete_marker_version_id: version.filter(|_| done.delete_marker),
        version_id: object.version_id,
    }
}

fn failed(object: &ObjectIdentifier, refused: &s3s::S3Error) -> dto::Error {
    dto::Error {
        code: Some(refused.code().as_str().to_owned()),
        key: Some(object.key.clone()),
        message: refused.message().map(str::to_owned),
        version_id: object.version_id.clone(),
    }
}
