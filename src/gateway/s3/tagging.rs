//! Tags of objects and buckets.

use super::{Protocol, access, documents, error, percent};
use crate::access::objects::{
    attributes::Tags,
    config::{ConfigChange, Document},
    request::ObjectName,
};
use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        DeleteBucketTaggingInput, DeleteBucketTaggingOutput, DeleteObjectTaggingInput, DeleteObjectTaggingOutput,
        GetBucketTaggingInput, GetBucketTaggingOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
        PutBucketTaggingInput, PutBucketTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput, Tag, Tagging,
    },
};

/// Most tags of an object.
const OBJECT_TAGS_MAX: usize = 10;
/// Most tags of a bucket.
const BUCKET_TAGS_MAX: usize = 50;
/// Longest key of a tag.
const KEY_MAX_CHARS: usize = 128;
/// Longest value of a tag.
const VALUE_MAX_CHARS: usize = 256;

/// The pairs of a tagging header.
pub fn pairs(header: &str) -> impl Iterator<Item = (String, String)> + '_ {
    header.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent::decode(key), percent::decode(value))
    })
}

/// The tags of a header; those of a form are a document.
pub fn from_header(header: Option<&str>) -> S3Result<Tags> {
    let Some(header) = header else { return Ok(Tags::new()) };
    if header.trim_start().starts_with('<') {
        let document: Tagging = documents::from_bytes("tagging", header.as_bytes())
            .map_err(|_| error::malformed_xml("the tagging of the form is not a document"))?;
        return from_set(document.tag_set, OBJECT_TAGS_MAX);
    }
    let tags = pairs(header).map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
    from_set(tags, OBJECT_TAGS_MAX)
}

fn from_set(set: Vec<Tag>, max: usize) -> S3Result<Tags> {
    let invalid = |message: &str| error::refuse(S3ErrorCode::InvalidTag, message);
    if set.len() > max {
        let message = format!("Object tags cannot be greater than {max}");
        return Err(error::custom("BadRequest", axum::http::StatusCode::BAD_REQUEST, message));
    }
    let mut tags = Tags::new();
    for tag in set {
        let (key, value) = (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
        if key.is_empty() || key.chars().count() > KEY_MAX_CHARS {
            return Err(invalid("The TagKey you have provided is invalid"));
        }
        if value.chars().count() > VALUE_MAX_CHARS {
            return Err(invalid("The TagValue you have provided is invalid"));
        }
        if key.starts_with("aws:") {
            return Err(invalid("System tags cannot be added/updated by requester"));
        }
        if tags.insert(key, value).is_some() {
            return Err(invalid("Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(tags)
}

fn to_set(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
}

/// `GetObjectTagging`.
pub async fn get(
    protocol: &Protocol,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let caller = access::caller(&request)?;
    let name = protocol.object_name(caller, &request.input.key, request.input.version_id.as_deref())?;
    let info = protocol.objects.describe(&name).await.map_err(|refused| caller.read_refusal(refused))?;
    Ok(S3Response::new(GetObjectTaggingOutput {
        tag_set: to_set(info.description.tags),
        version_id: info.version.map(|version| version.to_string()),
    }))
}

/// `PutObjectTagging`.
pub async fn put(
    protocol: &Protocol,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = request.input;
    let name = protocol.object_name(&caller, &input.key, input.version_id.as_deref())?;
    let tags = from_set(input.tagging.tag_set, OBJECT_TAGS_MAX)?;
    let version = set(protocol, &name, tags).await?;
    Ok(S3Response::new(PutObjectTaggingOutput { version_id: version }))
}

async fn set(protocol: &Protocol, name: &ObjectName, tags: Tags) -> S3Result<Option<String>> {
    let version = protocol.objects.put_tags(name, tags).await.map_err(error::refusal)?;
    Ok(version.map(|version| version.to_string()))
}

/// `DeleteObjectTagging`.
pub async fn delete(
    protocol: &Protocol,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let caller = access::caller(&request)?;
    let name = protocol.object_name(caller, &request.input.key, request.input.version_id.as_deref())?;
    let version = set(protocol, &name, Tags::new()).await?;
    Ok(S3Response::new(DeleteObjectTaggingOutput { version_id: version }))
}

/// `GetBucketTagging`.
pub async fn get_bucket(
    protocol: &Protocol,
    request: S3Request<GetBucketTaggingInput>,
) -> S3Result<S3Response<GetBucketTaggingOutput>> {
    let tagging: Tagging = protocol.document(access::caller(&request)?, Document::Tagging).await?;
    Ok(S3Response::new(GetBucketTaggingOutput { tag_set: tagging.tag_set }))
}

/// `PutBucketTagging`.
pub async fn put_bucket(
    protocol: &Protocol,
    request: S3Request<PutBucketTaggingInput>,
) -> S3Result<S3Response<PutBucketTaggingOutput>> {
    let caller = access::caller(&request)?.clone();
    let tags = from_set(request.input.tagging.tag_set, BUCKET_TAGS_MAX)?;
    protocol.set_document(&caller, Document::Tagging, &Tagging { tag_set: to_set(tags) }).await?;
    Ok(S3Response::new(PutBucketTaggingOutput::default()))
}

/// `DeleteBucketTagging`.
pub async fn delete_bucket(
    protocol: &Protocol,
    request: S3Request<DeleteBucketTaggingInput>,
) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
    protocol.configure(access::caller(&request)?, ConfigChange::Remove(Document::Tagging)).await?;
    Ok(S3Response::new(DeleteBucketTaggingOutput::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_hold_pairs() {
        let tags = from_header(Some("a=1&b=x%20y&c")).unwrap();
        assert_eq!(
            tags.into_iter().collect::<Vec<_>>(),
            [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x y".to_owned()), ("c".to_owned(), String::new()),]
        );
        assert!(from_header(None).unwrap().is_empty());
        for bad in ["a=1&a=2", "=1", "aws:x=1", "a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1&j=1&k=1"] {
            assert!(from_header(Some(bad)).is_err(), "{bad}");
        }
        let form = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";
        assert_eq!(from_header(Some(form)).unwrap()["k"], "v");
    }
}
