//! Puts.

use super::{
    Protocol, access,
    describing::{self, Said, attributes_of, customer_key_of, grants_of, locks_of, set_checksums},
    error,
    incoming::{self, Announced, announced_checksums},
    policy::Permission,
};
use crate::access::objects::{
    attributes::ChecksumKind,
    request::{PutObject, Written},
};
use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{PutObjectInput, PutObjectOutput, ServerSideEncryption},
};

/// The checksum kept of objects whose writer names none, as at AWS.
pub const DEFAULT_CHECKSUM: ChecksumKind = ChecksumKind::Crc64Nvme;

/// `PutObject`, and a browser's form, which the library hands over as one. A form's policy was checked when it was read.
pub async fn put(protocol: &Protocol, mut request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = &mut request.input;
    if input.write_offset_bytes.is_some() {
        return Err(error::not_implemented("appending to objects is not implemented"));
    }
    // A form's file was read whole already; an empty one comes without a length.
    let length = input.content_length.or((request.method == axum::http::Method::POST).then_some(0));
    let size = size_of(length)?;
    describing::check_encryption(input.server_side_encryption.as_ref())?;
    let announced = Announced {
        size: Some(size),
        md5: input.content_md5.take(),
        checksums: announced_checksums!(input),
        algorithm: Some(describing::kind_of(input.checksum_algorithm.as_ref())?.unwrap_or(DEFAULT_CHECKSUM)),
        trailers: incoming::trailer(&request.headers, request.trailing_headers.take()),
        is_opaque: input.sse_customer_key.is_some(),
    };
    let customer_key = customer_key_of!(input)?;
    let said = Said {
        headers: attributes_of!(input),
        grants: grants_of!(input),
        locks: locks_of!(input),
        tagging: input.tagging.take(),
    };
    let description = said.describe(&caller, protocol.node.clock.unix_ms())?;
    let (body, failure) = incoming::body(protocol, &input.key, input.body.take(), announced)?;
    let encrypted = customer_key.is_none() && protocol.encrypts(&caller)?;
    let ask = PutObject {
        bucket: caller.bucket()?.info.name.clone(),
        key: std::mem::take(&mut input.key),
        description,
        conditions: describing::write_conditions(input.if_match.as_ref(), input.if_none_match.as_ref()),
        customer_key,
        body,
    };
    let written = protocol.objects.put_object(ask).await.map_err(|refused| failure.refusal(refused))?;
    protocol.count_in(written.size);
    let mut output = answer(&written);
    if encrypted {
        output.server_side_encryption = Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256));
    }
    output.sse_customer_algorithm = input.sse_customer_algorithm.take();
    output.sse_customer_key_md5 = input.sse_customer_key_md5.take();
    Ok(S3Response::new(output))
}

/// A body's size, which must be known before it is taken in.
pub fn size_of(content_length: Option<i64>) -> S3Result<u64> {
    let message = "You must provide the Content-Length HTTP header.";
    let length = content_length.ok_or_else(|| error::refuse(S3ErrorCode::MissingContentLength, message))?;
    u64::try_from(length).map_err(|_| error::invalid_argument("Content-Length is negative"))
}

fn answer(written: &Written) -> PutObjectOutput {
    let mut output = PutObjectOutput {
        e_tag: Some(describing::etag(written.etag)),
        version_id: written.version.map(|version| version.to_string()),
        expiration: describing::expiration(written.expires.as_ref()),
        checksum_type: describing::checksum_type(&written.checksums),
        ..PutObjectOutput::default()
    };
    set_checksums!(output, &written.checksums);
    output
}
