//! Copies: of an object, and of a range of one into a part.

use super::{
    Protocol,
    access::{self, Caller},
    describing::{self, Said, attributes_of, customer_key_of, grants_of, locks_of, set_checksums},
    error,
    policy::Permission,
    time,
};
use crate::access::objects::{
    attributes::ChecksumKind,
    request::{CopyObject, CopyPart, CopySource, CustomerKey, ReadConditions},
};
use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        self, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, ServerSideEncryption,
        UploadPartCopyInput, UploadPartCopyOutput,
    },
};

/// Where a copy comes from, in the fields both copies have.
macro_rules! source_of {
    ($input:expr) => {
        source(
            &$input.copy_source,
            describing::read_conditions(
                $input.copy_source_if_match.as_ref(),
                $input.copy_source_if_none_match.as_ref(),
                $input.copy_source_if_modified_since.as_ref(),
                $input.copy_source_if_unmodified_since.as_ref(),
            ),
            describing::customer_key(
                $input.copy_source_sse_customer_algorithm.as_deref(),
                $input.copy_source_sse_customer_key.as_deref(),
                $input.copy_source_sse_customer_key_md5.as_deref(),
            )?,
        )
    };
}

fn source(
    named: &dto::CopySource,
    conditions: ReadConditions,
    customer_key: Option<CustomerKey>,
) -> S3Result<CopySource> {
    let dto::CopySource::Bucket { bucket, key, version_id } = named else {
        return Err(error::not_implemented("copies from access points are not implemented"));
    };
    Ok(CopySource {
        bucket: error::parsed(bucket)?,
        key: key.to_string(),
        version: version_id.as_deref().map(error::parsed).transpose()?,
        conditions,
        customer_key,
    })
}

/// Conditions on a copy's source are refused as preconditions, not as cached copies.
fn refusal(refused: crate::access::objects::ObjectsError) -> s3s::S3Error {
    match refused {
        crate::access::objects::ObjectsError::NotModified { key } => {
            let condition = "x-amz-copy-source-if-none-match".to_owned();
            error::refusal(crate::access::objects::ObjectsError::PreconditionFailed { key, condition })
        }
        other => error::refusal(other),
    }
}

/// `CopyObject`.
pub async fn object(
    protocol: &Protocol,
    mut request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = &mut request.input;
    describing::check_encryption(input.server_side_encryption.as_ref())?;
    let (replace, replace_tags) = directives(input)?;
    let source = source_of!(input)?;
    check_onto_itself(&caller, &source, input, replace)?;
    let conditions = write_conditions(&request.headers);
    let customer_key = customer_key_of!(input)?;
    let encrypted = customer_key.is_none() && protocol.encrypts(&caller)?;
    let said = Said {
        headers: attributes_of!(input),
        grants: grants_of!(input),
        locks: locks_of!(input),
        tagging: input.tagging.take().filter(|_| replace_tags),
    };
    let description = said.describe(&caller, protocol.node.clock.unix_ms())?;
    let ask = CopyObject {
        source,
        bucket: caller.bucket()?.info.name.clone(),
        key: std::mem::take(&mut input.key),
        attributes: replace.then(|| description.attributes.clone()),
        tags: replace_tags.then(|| description.tags.clone()),
        description,
        conditions,
        customer_key,
    };
    let copied = protocol.objects.copy_object(ask).await.map_err(refusal)?;
    let mut result = CopyObjectResult {
        e_tag: Some(describing::etag(copied.written.etag)),
        last_modified: Some(time::moment(copied.written.modified_ms)),
        checksum_type: describing::checksum_type(&copied.written.checksums),
        ..CopyObjectResult::default()
    };
    set_checksums!(result, &copied.written.checksums);
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: copied.source.map(|version| version.to_string()),
        version_id: copied.written.version.map(|version| version.to_string()),
        expiration: describing::expiration(copied.written.expires.as_ref()),
        server_side_encryption: encrypted.then(|| ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
        sse_customer_algorithm: input.sse_customer_algorithm.take(),
        sse_customer_key_md5: input.sse_customer_key_md5.take(),
        ..CopyObjectOutput::default()
    }))
}

/// Whether attributes, and tags, are given anew.
fn directives(input: &CopyObjectInput) -> S3Result<(bool, bool)> {
    let replaces = |directive: Option<&str>, what: &str| match directive {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(error::invalid_argument(format!("Unknown {what} directive."))),
    };
    let attributes = replaces(input.metadata_directive.as_ref().map(dto::MetadataDirective::as_str), "metadata")?;
    let tags = replaces(input.tagging_directive.as_ref().map(dto::TaggingDirective::as_str), "tagging")?;
    Ok((attributes, tags))
}

/// A copy onto itself must change something.
fn check_onto_itself(caller: &Caller, source: &CopySource, input: &CopyObjectInput, replace: bool) -> S3Result<()> {
    let itself = caller.bucket()?.info.name == source.bucket && input.key == source.key && source.version.is_none();
    let changes = replace
        || input.storage_class.is_some()
        || input.website_redirect_location.is_some()
        || input.server_side_encryption.is_some()
        || input.sse_customer_key.is_some();
    if itself && !changes {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(error::refuse(S3ErrorCode::InvalidRequest, message));
    }
    Ok(())
}

/// Conditions on the target, which the library does not read for copies.
fn write_conditions(headers: &axum::http::HeaderMap) -> crate::access::objects::request::WriteConditions {
    let read = |name: &str| {
        let value = headers.get(name)?.as_bytes();
        dto::ETagCondition::parse_http_header(value).ok()
    };
    describing::write_conditions(read("if-match").as_ref(), read("if-none-match").as_ref())
}

/// `UploadPartCopy`.
pub async fn part(
    protocol: &Protocol,
    mut request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = &mut request.input;
    let ask = CopyPart {
        source: source_of!(input)?,
        range: input.copy_source_range.as_deref().map(range).transpose()?,
        bucket: caller.bucket()?.info.name.clone(),
        key: std::mem::take(&mut input.key),
        upload: error::parsed(&input.upload_id)?,
        part: super::multipart::part_number(input.part_number)?,
        customer_key: customer_key_of!(input)?,
    };
    let (part, version) = protocol.objects.copy_part(ask).await.map_err(refusal)?;
    let mut result = CopyPartResult {
        e_tag: Some(describing::etag(part.etag)),
        last_modified: Some(time::moment(part.modified_ms)),
        ..CopyPartResult::default()
    };
    set_checksums!(result, &part.checksums);
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: version.map(|version| version.to_string()),
        sse_customer_algorithm: input.sse_customer_algorithm.take(),
        sse_customer_key_md5: input.sse_customer_key_md5.take(),
        ..UploadPartCopyOutput::default()
    }))
}

/// `bytes=first-last`, both needed.
fn range(text: &str) -> S3Result<(u64, u64)> {
    let invalid = || {
        let message = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy";
        error::invalid_argument(message)
    };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (first, last) = text.strip_prefix("bytes=").and_then(|rest| rest.split_once('-')).ok_or_else(invalid)?;
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_copies_are_complete() {
        assert_eq!(range("bytes=0-9").unwrap(), (0, 9));
        for bad in ["0-9", "bytes=5-", "bytes=-5", "bytes=9-0", "bytes=a-b", "bytes=0-9,11-12", "bytes=+1-2"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
