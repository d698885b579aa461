//! Reads of one object: its bytes, what is known of it, and its parts.

use super::{
    Protocol,
    access::{self, Caller},
    describing::{self, customer_key_of, set_checksums},
    error, time,
};
use crate::{
    access::{
        blobs::BodyStream,
        objects::{
            ObjectsError,
            attributes::{Checksum, ChecksumKind, RetentionMode},
            request::{GetObject, ObjectInfo, ObjectName, RangeAsked},
        },
    },
    runtime::Counter,
};
use futures::StreamExt;
use s3s::{
    Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        self, ChecksumMode, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts,
        GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, ObjectLockLegalHoldStatus, ObjectLockMode,
        ObjectPart, ServerSideEncryption, StorageClass, StreamingBlob, Timestamp, TimestampFormat,
    },
};
use std::ops::Range;

/// Most parts on a page of `GetObjectAttributes`.
const PARTS_MAX: u32 = 1_000;
/// What `GetObjectAttributes` can tell.
const ATTRIBUTES: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

/// What a get and a head ask for alike.
macro_rules! asked_of {
    ($caller:expr, $input:expr) => {
        GetObject {
            bucket: $caller.bucket()?.info.name.clone(),
            key: $input.key.clone(),
            version: $input.version_id.as_deref().map(error::parsed).transpose()?,
            conditions: describing::read_conditions(
                $input.if_match.as_ref(),
                $input.if_none_match.as_ref(),
                $input.if_modified_since.as_ref(),
                $input.if_unmodified_since.as_ref(),
            ),
            range: range_of($input.range, $input.part_number)?,
            customer_key: customer_key_of!($input)?,
        }
    };
}

/// Refuses to change an answer's headers on behalf of nobody.
macro_rules! check_overrides {
    ($caller:expr, $input:expr) => {
        let overridden = $input.response_cache_control.is_some()
            || $input.response_content_disposition.is_some()
            || $input.response_content_encoding.is_some()
            || $input.response_content_language.is_some()
            || $input.response_content_type.is_some()
            || $input.response_expires.is_some();
        if overridden && $caller.who.is_none() {
            let message = "Request specific response headers cannot be used for anonymous GET requests.";
            return Err(error::refuse(S3ErrorCode::InvalidRequest, message));
        }
    };
}

/// The fields a get and a head answer alike.
macro_rules! described {
    ($output:ident, $info:expr, $whole:expr, $checksums:expr) => {{
        let info = $info;
        let attributes = info.description.attributes;
        let mut output = $output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: attributes.cache_control,
            content_disposition: attributes.content_disposition,
            content_encoding: attributes.content_encoding,
            content_language: attributes.content_language,
            content_type: Some(attributes.content_type.unwrap_or_else(|| DEFAULT_TYPE.to_owned())),
            e_tag: Some(describing::etag(info.etag)),
            expiration: describing::expiration(info.expires.as_ref()),
            expires: attributes.expires.and_then(|text| Timestamp::parse(TimestampFormat::HttpDate, &text).ok()),
            last_modified: Some(time::moment(info.modified_ms)),
            metadata: (!attributes.user.is_empty()).then(|| attributes.user.into_iter().collect()),
            object_lock_legal_hold_status: info
                .description
                .legal_hold
                .then(|| ObjectLockLegalHoldStatus::from_static(ObjectLockLegalHoldStatus::ON)),
            object_lock_mode: info.description.retention.map(|r| lock_mode(r.mode)),
            object_lock_retain_until_date: info.description.retention.map(|r| time::moment(r.until_ms)),
            storage_class: attributes.storage_class.map(StorageClass::from),
            version_id: info.version.map(|version| version.to_string()),
            website_redirect_location: attributes.website_redirect,
            ..$output::default()
        };
        if info.encrypted && info.customer.is_none() {
            output.server_side_encryption = Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256));
        }
        if $checksums && $whole {
            output.checksum_type = describing::checksum_type(&info.checksums);
            set_checksums!(output, &info.checksums);
        }
        output
    }};
}

/// Type of objects whose writer named none.
const DEFAULT_TYPE: &str = "binary/octet-stream";

fn lock_mode(mode: RetentionMode) -> ObjectLockMode {
    ObjectLockMode::from_static(describing::mode_name(mode))
}

/// `GetObject`.
pub async fn get(protocol: &Protocol, mut request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = &mut request.input;
    check_overrides!(caller, input);
    let ask = asked_of!(caller, input);
    let (name, asked) = (name_of(&ask), ask.range);
    let object = match protocol.objects.get_object(ask).await {
        Ok(object) => object,
        Err(refused) => return Err(refusal(protocol, &caller, &name, asked, refused).await),
    };
    let (range, size, tags, parts) =
        (object.range.clone(), object.info.size, object.info.description.tags.len(), object.info.parts);
    let checksums = wants_checksums(input.checksum_mode.as_ref());
    let mut output = described!(GetObjectOutput, object.info, asked.is_none(), checksums);
    output.content_length = i64::try_from(range.end - range.start).ok();
    output.content_range = asked.map(|_| content_range(&range, size));
    output.tag_count = i32::try_from(tags).ok().filter(|count| *count > 0);
    output.parts_count = parts_count(asked, parts);
    output.sse_customer_algorithm = input.sse_customer_algorithm.take();
    output.sse_customer_key_md5 = input.sse_customer_key_md5.take();
    output.body = Some(outgoing(protocol, object.body));
    Ok(S3Response::new(output))
}

/// `HeadObject`.
pub async fn head(
    protocol: &Protocol,
    mut request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = &mut request.input;
    check_overrides!(caller, input);
    let ask = asked_of!(caller, input);
    let (name, asked) = (name_of(&ask), ask.range);
    let (info, range) = match protocol.objects.head_object(ask).await {
        Ok(found) => found,
        Err(refused) => return Err(refusal(protocol, &caller, &name, asked, refused).await),
    };
    let (size, parts) = (info.size, info.parts);
    let checksums = wants_checksums(input.checksum_mode.as_ref());
    let mut output = described!(HeadObjectOutput, info, asked.is_none(), checksums);
    output.content_length = i64::try_from(range.end - range.start).ok();
    output.content_range = asked.map(|_| content_range(&range, size));
    output.parts_count = parts_count(asked, parts);
    output.sse_customer_algorithm = input.sse_customer_algorithm.take();
    output.sse_customer_key_md5 = input.sse_customer_key_md5.take();
    Ok(S3Response::new(output))
}

fn wants_checksums(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

fn name_of(ask: &GetObject) -> ObjectName {
    ObjectName { bucket: ask.bucket.clone(), key: ask.key.clone(), version: ask.version }
}

fn parts_count(asked: Option<RangeAsked>, parts: u32) -> Option<i32> {
    matches!(asked, Some(RangeAsked::Part(_))).then_some(i32::try_from(parts).ok()).flatten().filter(|count| *count > 0)
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    if range.is_empty() {
        return format!("bytes */{size}");
    }
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// The bytes a request asks for.
pub fn range_of(range: Option<dto::Range>, part: Option<i32>) -> S3Result<Option<RangeAsked>> {
    match (range, part) {
        (Some(_), Some(_)) => {
            let message = "Cannot specify both Range header and partNumber query parameter";
            Err(error::refuse(S3ErrorCode::InvalidRequest, message))
        }
        (None, None) => Ok(None),
        (None, Some(part)) => {
            let message = "Part number must be an integer between 1 and 10000, inclusive";
            let part = u32::try_from(part).ok().filter(|part| (1..=10_000).contains(part));
            part.map(|part| Some(RangeAsked::Part(part))).ok_or_else(|| error::invalid_argument(message))
        }
        (Some(dto::Range::Int { first, last: Some(last) }), None) => Ok(Some(RangeAsked::Between(first, last))),
        (Some(dto::Range::Int { first, last: None }), None) => Ok(Some(RangeAsked::From(first))),
        (Some(dto::Range::Suffix { length }), None) => Ok(Some(RangeAsked::Last(length))),
    }
}

/// The refusal of a read, with what a cache or a client that asked for a part needs to know.
async fn refusal(
    protocol: &Protocol,
    caller: &Caller,
    name: &ObjectName,
    asked: Option<RangeAsked>,
    refused: ObjectsError,
) -> S3Error {
    match refused {
        ObjectsError::NotModified { .. } => match protocol.objects.describe(name).await {
            Ok(info) => error::not_modified(&info.etag.to_string(), info.modified_ms),
            Err(_) => error::refusal(refused),
        },
        ObjectsError::InvalidRange { .. }
        | ObjectsError::InvalidPart { .. }
        | ObjectsError::InvalidPartNumber { .. }
            if matches!(asked, Some(RangeAsked::Part(_))) =>
        {
            error::no_such_part()
        }
        other => caller.read_refusal(other),
    }
}

/// Bytes on their way out.
fn outgoing(protocol: &Protocol, body: BodyStream) -> StreamingBlob {
    let metrics = protocol.node.metrics.clone();
    let bytes = body.inspect(move |part| match part {
        Ok(part) => metrics.add(Counter::UserBytesOut, part.len() as u64),
        Err(error) => tracing::warn!(%error, "an answer ends early"),
    });
    StreamingBlob::from(Body::http_body_unsync(axum::body::Body::from_stream(bytes)))
}

/// `GetObjectAttributes`.
pub async fn attributes(
    protocol: &Protocol,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = request.input;
    let ask = GetObject {
        bucket: caller.bucket()?.info.name.clone(),
        key: input.key.clone(),
        version: input.version_id.as_deref().map(error::parsed).transpose()?,
        conditions: describing::read_conditions(None, None, None, None),
        range: None,
        customer_key: customer_key_of!(input)?,
    };
    let name = name_of(&ask);
    let (info, _) = protocol.objects.head_object(ask).await.map_err(|refused| caller.read_refusal(refused))?;
    // The library gives each header as one; clients put all into one header.
    let wanted: Vec<&str> =
        input.object_attributes.iter().flat_map(|list| list.as_str().split(',')).map(str::trim).collect();
    if wanted.is_empty() || !wanted.iter().all(|name| ATTRIBUTES.contains(name)) {
        return Err(error::invalid_argument("Invalid attribute name specified."));
    }
    let wants = |name: &str| wanted.contains(&name);
    let mut output = GetObjectAttributesOutput {
        last_modified: Some(time::moment(info.modified_ms)),
        version_id: info.version.map(|version| version.to_string()),
        ..GetObjectAttributesOutput::default()
    };
    if wants("ETag") {
        output.e_tag = Some(describing::etag(info.etag));
    }
    if wants("Checksum") && !info.checksums.is_empty() {
        output.checksum = Some(checksum_of(&info.checksums));
    }
    if wants("ObjectSize") {
        output.object_size = i64::try_from(info.size).ok();
    }
    if wants("StorageClass") {
        let class = info.description.attributes.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned());
        output.storage_class = Some(StorageClass::from(class));
    }
    if wants("ObjectParts") && info.parts > 0 {
        output.object_parts = Some(parts_of(protocol, &name, &info, input.part_number_marker, input.max_parts).await?);
    }
    Ok(S3Response::new(output))
}

fn checksum_of(checksums: &[Checksum]) -> dto::Checksum {
    let mut output = dto::Checksum { checksum_type: describing::checksum_type(checksums), ..dto::Checksum::default() };
    set_checksums!(output, checksums);
    output
}

async fn parts_of(
    protocol: &Protocol,
    name: &ObjectName,
    info: &ObjectInfo,
    marker: Option<i32>,
    max: Option<i32>,
) -> S3Result<GetObjectAttributesParts> {
    let after =
        u32::try_from(marker.unwrap_or(0)).map_err(|_| error::invalid_argument("negative part number marker"))?;
    let max = u32::try_from(max.unwrap_or(1_000)).map_err(|_| error::invalid_argument("negative max-parts"))?;
    let max = max.min(PARTS_MAX);
    let page = protocol.objects.object_parts(name, after, max).await.map_err(error::refusal)?;
    let part_of = |part: crate::access::objects::request::PartInfo| {
        let mut output = ObjectPart {
            part_number: i32::try_from(part.part).ok(),
            size: i64::try_from(part.size).ok(),
            ..ObjectPart::default()
        };
        set_checksums!(output, &part.checksums);
        output
    };
    Ok(GetObjectAttributesParts {
        is_truncated: Some(page.next.is_some()),
        max_parts: i32::try_from(max).ok(),
        next_part_number_marker: page.next.and_then(|next| i32::try_from(next).ok()),
        part_number_marker: i32::try_from(after).ok(),
        // Parts are told one by one only where they have checksums, as at AWS.
        parts: (!info.checksums.is_empty()).then(|| page.parts.into_iter().map(part_of).collect()),
        total_parts_count: i32::try_from(info.parts).ok(),
    })
}
