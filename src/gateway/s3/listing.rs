//! Listings: of objects in both versions of the call, and of unfinished uploads.
//!
//! Invariant: a continuation token is the key it goes on after, sealed against nothing: whoever may list may start anywhere.

use super::{Protocol, access, base64, describing, digests, error, percent::encode, policy::account_text, time};
use crate::access::objects::{
    UploadId,
    request::{ListObjects, ListUploads, ListedObject, ObjectPage},
};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        ChecksumAlgorithm, ChecksumType, CommonPrefix, EncodingType, Initiator, ListMultipartUploadsInput,
        ListMultipartUploadsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
        MultipartUpload, Object, ObjectStorageClass, Owner, StorageClass,
    },
};

/// Most entries on a page.
pub const PAGE_MAX: u32 = 1_000;

/// How keys are written in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    encoded: bool,
}

impl Keys {
    /// As the request asks.
    pub fn asked(encoding: Option<&EncodingType>) -> S3Result<Self> {
        match encoding.map(EncodingType::as_str) {
            None => Ok(Self { encoded: false }),
            Some("url") => Ok(Self { encoded: true }),
            Some(_) => Err(error::invalid_argument("Invalid Encoding Method specified in Request")),
        }
    }

    /// A key, prefix, marker or delimiter.
    pub fn show(self, text: &str) -> String {
        if self.encoded { encode(text) } else { text.to_owned() }
    }

    /// The field that tells the reader.
    pub fn told(self) -> Option<EncodingType> {
        self.encoded.then(|| EncodingType::from_static(EncodingType::URL))
    }
}

/// How many entries a request wants.
pub fn page_size(asked: Option<i32>) -> S3Result<u32> {
    let asked = asked.unwrap_or(1_000);
    let size = u32::try_from(asked).map_err(|_| error::invalid_argument("max-keys must not be negative"))?;
    Ok(size.min(PAGE_MAX))
}

/// An empty delimiter is none.
pub fn delimiter(asked: Option<String>) -> Option<String> {
    asked.filter(|delimiter| !delimiter.is_empty())
}

/// Common prefixes of an answer.
pub fn prefixes(found: Vec<String>, keys: Keys) -> Option<Vec<CommonPrefix>> {
    let told = |prefix: String| CommonPrefix { prefix: Some(keys.show(&prefix)) };
    (!found.is_empty()).then(|| found.into_iter().map(told).collect())
}

/// An account as owners are told.
pub fn owner(account: [u8; 20]) -> Owner {
    Owner { display_name: None, id: Some(account_text(account.into())) }
}

fn told(object: ListedObject, keys: Keys, with_owner: bool) -> Object {
    let class = object.storage_class.unwrap_or_else(|| "STANDARD".to_owned());
    let algorithms = object.checksums.iter().map(|(kind, _)| ChecksumAlgorithm::from_static(digests::name_of(*kind)));
    Object {
        checksum_algorithm: (!object.checksums.is_empty()).then(|| algorithms.collect()),
        checksum_type: object
            .checksums
            .first()
            .map(|(_, scope)| ChecksumType::from_static(describing::scope_name(*scope))),
        e_tag: Some(describing::etag(object.etag)),
        key: Some(keys.show(&object.key)),
        last_modified: Some(time::moment(object.modified_ms)),
        owner: with_owner.then(|| owner(object.author)),
        restore_status: None,
        size: i64::try_from(object.size).ok(),
        storage_class: Some(ObjectStorageClass::from(class)),
    }
}

async fn page(protocol: &Protocol, caller: &access::Caller, ask: ListObjects) -> S3Result<ObjectPage> {
    if ask.max == 0 {
        return Ok(ObjectPage::default());
    }
    let bucket = &caller.bucket()?.info.name;
    protocol.objects.list_objects(bucket, ask).await.map_err(error::refusal)
}

/// `ListObjects`.
pub async fn first(
    protocol: &Protocol,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = request.input;
    let keys = Keys::asked(input.encoding_type.as_ref())?;
    let (max, delimiter) = (page_size(input.max_keys)?, delimiter(input.delimiter));
    let prefix = input.prefix.unwrap_or_default();
    let ask = ListObjects {
        prefix: prefix.clone(),
        delimiter: delimiter.clone(),
        after: input.marker.clone().filter(|marker| !marker.is_empty()),
        max,
    };
    let page = page(protocol, &caller, ask).await?;
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(keys.show(&prefix)),
        marker: Some(keys.show(&input.marker.unwrap_or_default())),
        max_keys: i32::try_from(max).ok(),
        is_truncated: Some(page.next.is_some()),
        next_marker: page.next.as_deref().map(|next| keys.show(next)),
        delimiter: delimiter.as_deref().map(|delimiter| keys.show(delimiter)),
        contents: Some(page.objects.into_iter().map(|object| told(object, keys, true)).collect()),
        common_prefixes: prefixes(page.prefixes, keys),
        encoding_type: keys.told(),
        ..ListObjectsOutput::default()
    }))
}

/// `ListObjectsV2`.
pub async fn second(
    protocol: &Protocol,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let caller = access::caller(&request)?.clone();
    let input = request.input;
    let keys = Keys::asked(input.encoding_type.as_ref())?;
    let (max, delimiter) = (page_size(input.max_keys)?, delimiter(input.delimiter));
    let prefix = input.prefix.unwrap_or_default();
    let token = input.continuation_token.as_deref().map(key_of_token).transpose()?;
    let with_owner = input.fetch_owner.unwrap_or(false);
    let ask = ListObjects {
        prefix: prefix.clone(),
        delimiter: delimiter.clone(),
        after: token.or_else(|| input.start_after.clone()).filter(|after| !after.is_empty()),
        max,
    };
    let page = page(protocol, &caller, ask).await?;
    let count = page.objects.len() + page.prefixes.len();
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(keys.show(&prefix)),
        max_keys: i32::try_from(max).ok(),
        key_count: i32::try_from(count).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_deref().map(token_of_key),
        start_after: input.start_after.as_deref().map(|after| keys.show(after)),
        delimiter: delimiter.as_deref().map(|delimiter| keys.show(delimiter)),
        contents: Some(page.objects.into_iter().map(|object| told(object, keys, with_owner)).collect()),
        common_prefixes: prefixes(page.prefixes, keys),
        encoding_type: keys.told(),
        ..ListObjectsV2Output::default()
    }))
}

fn token_of_key(key: &str) -> String {
    base64::encode(key.as_bytes())
}

fn key_of_token(token: &str) -> S3Result<String> {
    let key = base64::decode(token).and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| error::invalid_argument("The continuation token provided is incorrect"))
}

/// `ListMultipartUploads`.
pub async fn uploads(
    protocol: &Protocol,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = request.input;
    let keys = Keys::asked(input.encoding_type.as_ref())?;
    let (max, delimiter) = (page_size(input.max_uploads)?, delimiter(input.delimiter));
    let prefix = input.prefix.unwrap_or_default();
    let marker = input.key_marker.clone().filter(|marker| !marker.is_empty());
    let upload_marker =
        input.upload_id_marker.clone().filter(|marker| !marker.is_empty() && input.key_marker.is_some());
    let after_upload: Option<UploadId> = upload_marker.as_deref().map(error::parsed).transpose()?;
    let ask = ListUploads {
        prefix: prefix.clone(),
        delimiter: delimiter.clone(),
        after: marker.map(|marker| (marker, after_upload)),
        max,
    };
    let page = match max {
        0 => crate::access::objects::request::UploadPage::default(),
        _ => protocol.objects.list_uploads(&caller.bucket()?.info.name, ask).await.map_err(error::refusal)?,
    };
    let told = |upload: crate::access::objects::request::UploadInfo| {
        let author = upload.description.author;
        let class = upload.description.attributes.storage_class.unwrap_or_else(|| "STANDARD".to_owned());
        MultipartUpload {
            checksum_algorithm: upload.checksum.map(|(kind, _)| ChecksumAlgorithm::from_static(digests::name_of(kind))),
            checksum_type: upload.checksum.map(|(_, scope)| ChecksumType::from_static(describing::scope_name(scope))),
            initiated: Some(time::moment(upload.created_ms)),
            initiator: Some(Initiator { display_name: None, id: Some(account_text(author.into())) }),
            key: Some(keys.show(&upload.key)),
            owner: Some(owner(author)),
            storage_class: Some(StorageClass::from(class)),
            upload_id: Some(upload.upload.to_string()),
        }
    };
    let (next_key, next_upload) = page.next.map_or((None, None), |(key, upload)| (Some(key), upload));
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: Some(keys.show(&prefix)),
        delimiter: delimiter.as_deref().map(|delimiter| keys.show(delimiter)),
        key_marker: Some(keys.show(&input.key_marker.unwrap_or_default())),
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        is_truncated: Some(next_key.is_some()),
        next_key_marker: next_key.as_deref().map(|key| keys.show(key)),
        next_upload_id_marker: next_upload.map(|upload| upload.to_string()),
        max_uploads: i32::try_from(max).ok(),
        uploads: Some(page.uploads.into_iter().map(told).collect()),
        common_prefixes: prefixes(page.prefixes, keys),
        encoding_type: keys.told(),
        ..ListMultipartUploadsOutput::default()
    }))
}
