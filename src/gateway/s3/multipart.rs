//! Multipart uploads: beginning, parts, their listing, completion and abort.

use super::{
    Protocol, access,
    describing::{self, Said, attributes_of, customer_key_of, grants_of, locks_of, set_checksums},
    digests, error,
    incoming::{self, Announced, announced_checksums},
    policy::{Permission, account_text},
    time, writing,
};
use crate::access::objects::{
    BucketName, UploadId,
    attributes::{Checksum, ChecksumKind, ChecksumScope},
    request::{CompleteUpload, CreateUpload, NamedPart, PartInfo, PutPart, UploadInfo},
};
use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, ChecksumType,
        CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, CreateMultipartUploadInput,
        CreateMultipartUploadOutput, Initiator, ListPartsInput, ListPartsOutput, Owner, Part, ServerSideEncryption,
        StorageClass, UploadPartInput, UploadPartOutput,
    },
};

/// Largest number of a part.
const PART_MAX: i32 = 10_000;
/// Most parts on a page.
pub const PAGE_MAX: u32 = 1_000;

/// A part's number.
pub fn part_number(number: i32) -> S3Result<u32> {
    let fits = u32::try_from(number).ok().filter(|_| (1..=PART_MAX).contains(&number));
    fits.ok_or_else(|| error::invalid_argument("Part number must be an integer between 1 and 10000, inclusive"))
}

/// `CreateMultipartUpload`.
pub async fn create(
    protocol: &Protocol,
    mut request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = &mut request.input;
    describing::check_encryption(input.server_side_encryption.as_ref())?;
    let checksum = checksum_asked(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref())?;
    let customer_key = customer_key_of!(input)?;
    let encrypted = customer_key.is_none() && protocol.encrypts(&caller)?;
    let said = Said {
        headers: attributes_of!(input),
        grants: grants_of!(input),
        locks: locks_of!(input),
        tagging: input.tagging.take(),
    };
    let ask = CreateUpload {
        bucket: caller.bucket()?.info.name.clone(),
        key: input.key.clone(),
        description: said.describe(&caller, protocol.node.clock.unix_ms())?,
        checksum,
        customer_key,
    };
    let upload = protocol.objects.create_upload(ask).await.map_err(error::refusal)?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        upload_id: Some(upload.upload.to_string()),
        checksum_algorithm: checksum.map(|(kind, _)| ChecksumAlgorithm::from_static(digests::name_of(kind))),
        checksum_type: checksum.map(|(_, scope)| ChecksumType::from_static(describing::scope_name(scope))),
        server_side_encryption: encrypted.then(|| ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
        sse_customer_algorithm: input.sse_customer_algorithm.take(),
        sse_customer_key_md5: input.sse_customer_key_md5.take(),
        ..CreateMultipartUploadOutput::default()
    }))
}

/// The checksum an upload will have. CRC64NVME is of the whole only, hashes of the parts only, the other two of either.
fn checksum_asked(
    algorithm: Option<&ChecksumAlgorithm>,
    scope: Option<&ChecksumType>,
) -> S3Result<Option<(ChecksumKind, ChecksumScope)>> {
    let invalid = |message: &str| Err(error::refuse(S3ErrorCode::InvalidRequest, message));
    let asked = match scope.map(ChecksumType::as_str) {
        None => None,
        Some(name) => match describing::scope_of(name) {
            Some(scope) => Some(scope),
            None => return invalid("Value for x-amz-checksum-type header is invalid."),
        },
    };
    let Some(kind) = describing::kind_of(algorithm)? else {
        return match asked {
            None => Ok(None),
            Some(_) => {
                invalid("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
            }
        };
    };
    match (kind, asked) {
        (ChecksumKind::Crc64Nvme, None) => Ok(Some((kind, ChecksumScope::FullObject))),
        (ChecksumKind::Crc64Nvme, Some(ChecksumScope::Composite)) => {
            invalid("The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.")
        }
        (ChecksumKind::Sha1 | ChecksumKind::Sha256, Some(ChecksumScope::FullObject)) => invalid(&format!(
            "The FULL_OBJECT checksum type cannot be used with the {} checksum algorithm.",
            digests::name_of(kind).to_lowercase()
        )),
        (_, scope) => Ok(Some((kind, scope.unwrap_or(ChecksumScope::Composite)))),
    }
}

/// `UploadPart`.
pub async fn put_part(
    protocol: &Protocol,
    mut request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = &mut request.input;
    let bucket = caller.bucket()?.info.name.clone();
    let upload_id: UploadId = error::parsed(&input.upload_id)?;
    let part = part_number(input.part_number)?;
    let size = writing::size_of(input.content_length)?;
    let upload = protocol.objects.upload(&bucket, &input.key, upload_id).await.map_err(error::refusal)?;
    let announced = Announced {
        size: Some(size),
        md5: input.content_md5.take(),
        checksums: announced_checksums!(input),
        algorithm: describing::kind_of(input.checksum_algorithm.as_ref())?.or(upload.checksum.map(|(kind, _)| kind)),
        trailers: incoming::trailer(&request.headers, request.trailing_headers.take()),
        is_opaque: input.sse_customer_key.is_some(),
    };
    check_kind(&upload, &announced)?;
    let customer_key = customer_key_of!(input)?;
    let encrypted = customer_key.is_none() && protocol.encrypts(&caller)?;
    let (body, failure) = incoming::body(protocol, &input.key, input.body.take(), announced)?;
    let ask = PutPart { bucket, key: std::mem::take(&mut input.key), upload: upload_id, part, customer_key, body };
    let part = protocol.objects.put_part(ask).await.map_err(|refused| failure.refusal(refused))?;
    protocol.count_in(part.size);
    let mut output = UploadPartOutput {
        e_tag: Some(describing::etag(part.etag)),
        server_side_encryption: encrypted.then(|| ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
        sse_customer_algorithm: input.sse_customer_algorithm.take(),
        sse_customer_key_md5: input.sse_customer_key_md5.take(),
        ..UploadPartOutput::default()
    };
    set_checksums!(output, &part.checksums);
    Ok(S3Response::new(output))
}

/// Parts come with the checksum the upload was begun with.
fn check_kind(upload: &UploadInfo, announced: &Announced) -> S3Result<()> {
    let Some((wanted, _)) = upload.checksum else { return Ok(()) };
    let headers = announced.checksums.iter().map(|(kind, _)| *kind);
    let trailer = announced.trailers.iter().map(|(kind, _)| *kind);
    let other = headers.chain(trailer).chain(announced.algorithm).find(|kind| *kind != wanted);
    match other {
        None => Ok(()),
        Some(other) => {
            let message = format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                digests::name_of(wanted).to_lowercase(),
                digests::name_of(other).to_lowercase()
            );
            Err(error::refuse(S3ErrorCode::InvalidRequest, message))
        }
    }
}

/// `CompleteMultipartUpload`.
pub async fn complete(
    protocol: &Protocol,
    mut request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = &mut request.input;
    let bucket = caller.bucket()?.info.name.clone();
    let upload_id: UploadId = error::parsed(&input.upload_id)?;
    let listed = input.multipart_upload.take().and_then(|upload| upload.parts).unwrap_or_default();
    if listed.is_empty() || listed.len() > usize::try_from(PART_MAX).unwrap_or(usize::MAX) {
        return Err(error::malformed_xml(
            "The XML you provided was not well-formed or did not validate against our published schema",
        ));
    }
    let parts = listed.into_iter().map(named).collect::<S3Result<Vec<_>>>()?;
    let announced = incoming::single(&announced_checksums!(input))?;
    let checksums = whole(protocol, &bucket, &input.key, upload_id, &parts, announced).await?;
    let ask = CompleteUpload {
        bucket,
        key: input.key.clone(),
        upload: upload_id,
        parts,
        conditions: describing::write_conditions(input.if_match.as_ref(), input.if_none_match.as_ref()),
        size: input.mpu_object_size.and_then(|size| u64::try_from(size).ok()),
        checksums,
    };
    let written = protocol.objects.complete_upload(ask).await.map_err(error::refusal)?;
    let encrypted = protocol.encrypts(&caller)?;
    let mut output = CompleteMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        location: Some(protocol.location(&input.bucket, &input.key)),
        e_tag: Some(describing::etag(written.etag)),
        version_id: written.version.map(|version| version.to_string()),
        expiration: describing::expiration(written.expires.as_ref()),
        checksum_type: describing::checksum_type(&written.checksums),
        server_side_encryption: encrypted.then(|| ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
        ..CompleteMultipartUploadOutput::default()
    };
    for checksum in &written.checksums {
        // Of parts' checksums, their number is told too.
        let count = match checksum.scope {
            ChecksumScope::Composite => format!("-{}", written.etag.parts),
            ChecksumScope::FullObject => String::new(),
        };
        let text = Some(describing::checksum_text(checksum) + &count);
        match checksum.kind {
            ChecksumKind::Crc32 => output.checksum_crc32 = text,
            ChecksumKind::Crc32c => output.checksum_crc32c = text,
            ChecksumKind::Crc64Nvme => output.checksum_crc64nvme = text,
            ChecksumKind::Sha1 => output.checksum_sha1 = text,
            ChecksumKind::Sha256 => output.checksum_sha256 = text,
        }
    }
    Ok(S3Response::new(output))
}

fn named(mut part: CompletedPart) -> S3Result<NamedPart> {
    let number = part.part_number.ok_or_else(|| error::malformed_xml("a part has no number"))?;
    let decode = |(kind, value): (ChecksumKind, String)| {
        let value = incoming::decoded(kind, &value)?;
        Ok(Checksum { kind, scope: ChecksumScope::FullObject, value })
    };
    Ok(NamedPart {
        part: part_number(number)?,
        etag: part.e_tag.as_ref().and_then(|tag| tag.value().parse().ok()),
        checksums: announced_checksums!(part).into_iter().map(decode).collect::<S3Result<_>>()?,
    })
}

/// The checksum of the whole: of the parts' checksums, or combined from them; compared with what was announced.
async fn whole(
    protocol: &Protocol,
    bucket: &BucketName,
    key: &str,
    upload: UploadId,
    named: &[NamedPart],
    announced: Option<(ChecksumKind, Vec<u8>)>,
) -> S3Result<Vec<Checksum>> {
    let info = match protocol.objects.upload(bucket, key, upload).await {
        Ok(info) => info,
        // It may have been completed already; the completion itself answers that.
        Err(refused) if refused.is_transient() => return Err(error::refusal(refused)),
        Err(_) => return Ok(Vec::new()),
    };
    let Some((kind, scope)) = info.checksum else { return Ok(Vec::new()) };
    let mut stored: Vec<PartInfo> = Vec::new();
    let mut after = 0;
    loop {
        let page = protocol.objects.upload_parts(bucket, key, upload, after, PAGE_MAX).await.map_err(error::refusal)?;
        stored.extend(page.parts);
        match page.next {
            Some(next) if next > after => after = next,
            _ => break,
        }
    }
    let mut parts = Vec::with_capacity(named.len());
    for part in named {
        let found = stored.iter().find(|stored| stored.part == part.part);
        let value = found.and_then(|found| {
            let checksum = found.checksums.iter().find(|checksum| checksum.kind == kind)?;
            Some((checksum.value.as_slice(), found.size))
        });
        // A part that is missing, or came without its checksum, is refused by the completion.
        let Some(value) = value else { return Ok(Vec::new()) };
        parts.push(value);
    }
    let value = match scope {
        ChecksumScope::Composite => {
            digests::checksum(kind, &parts.iter().map(|(value, _)| *value).collect::<Vec<_>>().concat())
        }
        ChecksumScope::FullObject => super::crc::combined(kind, &parts),
    };
    if announced.is_some_and(|(other, announced)| other != kind || announced != value) {
        let message = format!("The {} you specified did not match the calculated checksum.", digests::name_of(kind));
        return Err(error::refuse(S3ErrorCode::BadDigest, message));
    }
    Ok(vec![Checksum { kind, scope, value }])
}

/// `AbortMultipartUpload`.
pub async fn abort(
    protocol: &Protocol,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let caller = access::caller(&request)?.clone();
    let (bucket, input) = (&caller.bucket()?.info.name, request.input);
    let upload = error::parsed(&input.upload_id)?;
    protocol.objects.abort_upload(bucket, &input.key, upload).await.map_err(error::refusal)?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

/// `ListParts`.
pub async fn list_parts(
    protocol: &Protocol,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let caller = access::caller(&request)?.clone();
    let (bucket, input) = (caller.bucket()?.clone(), request.input);
    let upload_id = error::parsed(&input.upload_id)?;
    let invalid = |what: &str| error::invalid_argument(format!("{what} is negative"));
    let after = u32::try_from(input.part_number_marker.unwrap_or(0)).map_err(|_| invalid("part-number-marker"))?;
    let max = u32::try_from(input.max_parts.unwrap_or(1_000)).map_err(|_| invalid("max-parts"))?.min(PAGE_MAX);
    let name = &bucket.info.name;
    let upload = protocol.objects.upload(name, &input.key, upload_id).await.map_err(error::refusal)?;
    let page = protocol.objects.upload_parts(name, &input.key, upload_id, after, max).await.map_err(error::refusal)?;
    let author = account_text(upload.description.author.into());
    let class = upload.description.attributes.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned());
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        checksum_algorithm: upload.checksum.map(|(kind, _)| ChecksumAlgorithm::from_static(digests::name_of(kind))),
        checksum_type: upload.checksum.map(|(_, scope)| ChecksumType::from_static(describing::scope_name(scope))),
        initiator: Some(Initiator { display_name: None, id: Some(author.clone()) }),
        owner: Some(Owner { display_name: None, id: Some(author) }),
        is_truncated: Some(page.next.is_some()),
        max_parts: i32::try_from(max).ok(),
        part_number_marker: i32::try_from(after).ok(),
        next_part_number_marker: page.next.and_then(|next| i32::try_from(next).ok()),
        parts: Some(page.parts.into_iter().map(told).collect()),
        storage_class: Some(StorageClass::from(class)),
        ..ListPartsOutput::default()
    }))
}

fn told(part: PartInfo) -> Part {
    let mut output = Part {
        e_tag: Some(describing::etag(part.etag)),
        last_modified: Some(time::moment(part.modified_ms)),
        part_number: i32::try_from(part.part).ok(),
        size: i64::try_from(part.size).ok(),
        ..Part::default()
    };
    set_checksums!(output, &part.checksums);
    output
}
