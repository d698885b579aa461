//! What a request says about a new object besides its bytes: attributes, tags, lists, locks and keys; and the way back into answers.

use super::{
    access::Caller,
    base64, documents, error,
    policy::{Acl, CannedAcl, Permission},
    settings::{Bucket, ObjectOwnership},
    tagging, time,
};
use crate::{
    access::objects::{
        ETag,
        attributes::{Attributes, ChecksumKind, ChecksumScope, Retention, RetentionMode},
        request::{CustomerKey, Description, ETagMatch, ReadConditions, WriteConditions},
    },
    runtime::Secret,
    types::Address,
};
use md5::{Digest, Md5};
use s3s::{
    S3ErrorCode, S3Result,
    dto::{self, ETagCondition, Timestamp},
};
use std::collections::BTreeMap;

/// Storage classes clients name; all are the same here, and the name is kept.
const STORAGE_CLASSES: [&str; 8] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];

/// The headers of an input that are kept.
macro_rules! attributes_of {
    ($input:expr) => {
        $crate::gateway::s3::describing::Headers {
            content_type: $input.content_type.take(),
            content_encoding: $input.content_encoding.take(),
            content_language: $input.content_language.take(),
            content_disposition: $input.content_disposition.take(),
            cache_control: $input.cache_control.take(),
            expires: $input.expires.take(),
            website_redirect: $input.website_redirect_location.take(),
            storage_class: $input.storage_class.take().map(|class| class.as_str().to_owned()),
            metadata: $input.metadata.take().unwrap_or_default().into_iter().collect(),
        }
    };
}
pub(super) use attributes_of;

/// The grants of an input.
macro_rules! grants_of {
    ($input:expr) => {
        $crate::gateway::s3::describing::Grants {
            canned: $input.acl.take().map(|acl| acl.as_str().to_owned()),
            headers: vec![
                (Permission::FullControl, $input.grant_full_control.take()),
                (Permission::Read, $input.grant_read.take()),
                (Permission::ReadAcp, $input.grant_read_acp.take()),
                (Permission::WriteAcp, $input.grant_write_acp.take()),
            ],
        }
    };
}
pub(super) use grants_of;

/// The locks of an input.
macro_rules! locks_of {
    ($input:expr) => {
        $crate::gateway::s3::describing::Locks {
            mode: $input.object_lock_mode.take().map(|mode| mode.as_str().to_owned()),
            until: $input.object_lock_retain_until_date.take(),
            hold: $input.object_lock_legal_hold_status.take().map(|hold| hold.as_str().to_owned()),
        }
    };
}
pub(super) use locks_of;

/// The customer's key of an input.
macro_rules! customer_key_of {
    ($input:expr) => {
        $crate::gateway::s3::describing::customer_key(
            $input.sse_customer_algorithm.as_deref(),
            $input.sse_customer_key.as_deref(),
            $input.sse_customer_key_md5.as_deref(),
        )
    };
}
pub(super) use customer_key_of;

/// Headers that are kept, as they came.
pub struct Headers {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub content_disposition: Option<String>,
    pub cache_control: Option<String>,
    pub expires: Option<Timestamp>,
    pub website_redirect: Option<String>,
    pub storage_class: Option<String>,
    pub metadata: BTreeMap<String, String>,
}

impl Headers {
    /// As they are stored.
    pub fn into_attributes(self) -> S3Result<Attributes> {
        if let Some(class) = self.storage_class.as_deref().filter(|class| !STORAGE_CLASSES.contains(class)) {
            let shown: String = class.chars().take(40).collect();
            let message = format!("The storage class you specified is not valid: {shown}");
            return Err(error::refuse(S3ErrorCode::InvalidStorageClass, message));
        }
        if self
            .website_redirect
            .as_deref()
            .is_some_and(|to| !["/", "http://", "https://"].iter().any(|p| to.starts_with(p)))
        {
            let message = "The website redirect location must be non-empty and begin with /, http:// or https://";
            return Err(error::custom("InvalidRedirectLocation", axum::http::StatusCode::BAD_REQUEST, message));
        }
        Ok(Attributes {
            content_type: self.content_type,
            content_encoding: self.content_encoding.and_then(|encoding| without_chunks(&encoding)),
            content_language: self.content_language,
            content_disposition: self.content_disposition,
            cache_control: self.cache_control,
            expires: self.expires.map(|moment| time::http_date(time::unix_ms(&moment))),
            website_redirect: self.website_redirect,
            storage_class: self.storage_class.filter(|class| class != "STANDARD"),
            user: self.metadata.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
        })
    }
}

/// `aws-chunked` is how the body travelled, not what it is.
fn without_chunks(encoding: &str) -> Option<String> {
    let kept: Vec<&str> = encoding.split(',').map(str::trim).filter(|e| !e.is_empty() && *e != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// A canned list and grants of headers.
pub struct Grants {
    pub canned: Option<String>,
    pub headers: Vec<(Permission, Option<String>)>,
}

impl Grants {
    fn is_empty(&self) -> bool {
        self.canned.is_none() && self.headers.iter().all(|(_, header)| header.is_none())
    }

    /// The list they make for what `owner` owns in a bucket of `bucket_owner`; none when nothing is said.
    pub fn acl(&self, owner: Address, bucket_owner: Address) -> S3Result<Option<Acl>> {
        let invalid = |e: super::policy::AclError| error::invalid_argument(e.to_string());
        if let Some(name) = &self.canned {
            if self.headers.iter().any(|(_, header)| header.is_some()) {
                let message = "Specifying both Canned ACLs and Header Grants is not allowed";
                return Err(error::refuse(S3ErrorCode::InvalidRequest, message));
            }
            return Ok(Some(CannedAcl::parse(name).map_err(invalid)?.expand(owner, bucket_owner)));
        }
        if self.is_empty() {
            return Ok(None);
        }
        let mut grants = Vec::new();
        for (permission, header) in &self.headers {
            if let Some(header) = header {
                grants.extend(Acl::parse_header(header, *permission).map_err(invalid)?);
            }
        }
        Acl::new(grants).map(Some).map_err(invalid)
    }
}

/// Retention and legal hold of an input.
pub struct Locks {
    pub mode: Option<String>,
    pub until: Option<Timestamp>,
    pub hold: Option<String>,
}

impl Locks {
    fn retention(&self, now_ms: u64) -> S3Result<Option<Retention>> {
        match (&self.mode, &self.until) {
            (None, None) => Ok(None),
            (Some(mode), Some(until)) => retention(mode, until, now_ms).map(Some),
            _ => {
                let message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied";
                Err(error::invalid_argument(message))
            }
        }
    }

    fn legal_hold(&self) -> S3Result<bool> {
        match self.hold.as_deref() {
            None | Some("OFF") => Ok(false),
            Some("ON") => Ok(true),
            Some(_) => Err(error::invalid_argument("Legal Hold must be either of 'ON' or 'OFF'")),
        }
    }
}

/// A retention from its mode and date.
pub fn retention(mode: &str, until: &Timestamp, now_ms: u64) -> S3Result<Retention> {
    let mode = mode_of(mode).ok_or_else(|| error::invalid_argument("Unknown wormMode directive"))?;
    let until_ms = time::unix_ms(until);
    if until_ms <= now_ms {
        return Err(error::invalid_argument("The retain until date must be in the future!"));
    }
    Ok(Retention { mode, until_ms })
}

/// A mode from its name.
pub fn mode_of(name: &str) -> Option<RetentionMode> {
    match name {
        "GOVERNANCE" => Some(RetentionMode::Governance),
        "COMPLIANCE" => Some(RetentionMode::Compliance),
        _ => None,
    }
}

/// The name of a mode.
pub const fn mode_name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => "GOVERNANCE",
        RetentionMode::Compliance => "COMPLIANCE",
    }
}

/// Everything a request says about a new object.
pub struct Said {
    pub headers: Headers,
    pub grants: Grants,
    pub locks: Locks,
    pub tagging: Option<String>,
}

impl Said {
    /// As it is stored, in the caller's bucket.
    pub fn describe(self, caller: &Caller, now_ms: u64) -> S3Result<Description> {
        let bucket = caller.bucket()?;
        let author = author(caller, bucket, &self.grants);
        let acl = object_acl(&self.grants, bucket, author)?;
        Ok(Description {
            retention: self.locks.retention(now_ms)?,
            legal_hold: self.locks.legal_hold()?,
            tags: tagging::from_header(self.tagging.as_deref())?,
            attributes: self.headers.into_attributes()?,
            acl: acl.as_ref().map(documents::acl_to_bytes),
            author: author.into(),
        })
    }
}

/// Who will own an object.
fn author(caller: &Caller, bucket: &Bucket, grants: &Grants) -> Address {
    let writer = caller.who.unwrap_or(bucket.info.owner);
    match bucket.ownership {
        ObjectOwnership::Enforced => bucket.info.owner,
        ObjectOwnership::Preferred if grants.canned.as_deref() == Some("bucket-owner-full-control") => {
            bucket.info.owner
        }
        ObjectOwnership::Preferred | ObjectOwnership::Writer => writer,
    }
}

/// The list of a new object, if it gets one.
pub fn object_acl(grants: &Grants, bucket: &Bucket, owner: Address) -> S3Result<Option<Acl>> {
    if bucket.acls_disabled() {
        let harmless = |name: &String| matches!(name.as_str(), "private" | "bucket-owner-full-control");
        return match (&grants.canned, grants.is_empty()) {
            (_, true) => Ok(None),
            (Some(name), false) if harmless(name) => Ok(None),
            _ => Err(acls_disabled()),
        };
    }
    let acl = grants.acl(owner, bucket.info.owner)?;
    if bucket.block.block_acls && acl.as_ref().is_some_and(Acl::is_public) {
        return Err(error::access_denied());
    }
    Ok(acl)
}

/// The refusal of lists in a bucket whose owner owns everything.
pub fn acls_disabled() -> s3s::S3Error {
    error::refuse(S3ErrorCode::AccessControlListNotSupported, "The bucket does not allow ACLs")
}

/// A customer's key from its three headers.
pub fn customer_key(algorithm: Option<&str>, key: Option<&str>, md5: Option<&str>) -> S3Result<Option<CustomerKey>> {
    let (Some(algorithm), Some(key), Some(md5)) = (algorithm, key, md5) else {
        return match (algorithm, key, md5) {
            (None, None, None) => Ok(None),
            _ => Err(error::invalid_argument(
                "Requests specifying Server Side Encryption with Customer provided keys must provide an algorithm, a key and its MD5.",
            )),
        };
    };
    if algorithm != "AES256" {
        let message = "The encryption request you specified is not valid. Supported value: AES256.";
        return Err(error::refuse(S3ErrorCode::InvalidEncryptionAlgorithmError, message));
    }
    let invalid = || error::invalid_argument("The secret key was invalid for the specified algorithm.");
    let bytes = base64::decode(key).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or_else(invalid)?;
    if base64::encode(&Md5::digest(bytes)) != md5 {
        let message = "The calculated MD5 hash of the key did not match the hash that was provided.";
        return Err(error::invalid_argument(message));
    }
    Ok(Some(CustomerKey(Secret::new(bytes))))
}

/// Refuses keys of a key service, which there is none of.
pub fn check_encryption(asked: Option<&dto::ServerSideEncryption>) -> S3Result<()> {
    match asked.map(dto::ServerSideEncryption::as_str) {
        None | Some("AES256") => Ok(()),
        Some("aws:kms" | "aws:kms:dsse") => Err(error::not_implemented("SSE-KMS is not implemented, use AES256")),
        Some(_) => Err(error::refuse(S3ErrorCode::InvalidArgument, "The encryption method specified is not supported")),
    }
}

/// A condition on entity tags.
pub fn etag_match(condition: &ETagCondition) -> ETagMatch {
    match condition {
        ETagCondition::Any => ETagMatch::Any,
        // The library reads a list of tags as one tag with quotes inside.
        ETagCondition::ETag(tag) => {
            let parts = tag.value().split('"').map(|part| part.trim_matches([' ', ',']).trim_start_matches("W/"));
            ETagMatch::OneOf(parts.filter(|part| !part.is_empty()).filter_map(|part| part.parse().ok()).collect())
        }
    }
}

/// Conditions of a write.
pub fn write_conditions(if_match: Option<&ETagCondition>, if_none_match: Option<&ETagCondition>) -> WriteConditions {
    WriteConditions { if_match: if_match.map(etag_match), if_none_match: if_none_match.map(etag_match) }
}

/// Conditions of a read.
pub fn read_conditions(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
    if_modified_since: Option<&Timestamp>,
    if_unmodified_since: Option<&Timestamp>,
) -> ReadConditions {
    ReadConditions {
        if_match: if_match.map(etag_match),
        if_none_match: if_none_match.map(etag_match),
        if_modified_since_ms: if_modified_since.map(time::unix_ms),
        if_unmodified_since_ms: if_unmodified_since.map(time::unix_ms),
    }
}

/// An entity tag in an answer.
pub fn etag(tag: ETag) -> dto::ETag {
    dto::ETag::Strong(tag.to_string())
}

/// The scope of a checksum from its name.
pub fn scope_of(name: &str) -> Option<ChecksumScope> {
    match name {
        "FULL_OBJECT" => Some(ChecksumScope::FullObject),
        "COMPOSITE" => Some(ChecksumScope::Composite),
        _ => None,
    }
}

/// The name of a scope.
pub const fn scope_name(scope: ChecksumScope) -> &'static str {
    match scope {
        ChecksumScope::FullObject => "FULL_OBJECT",
        ChecksumScope::Composite => "COMPOSITE",
    }
}

/// A kind from an input's field.
pub fn kind_of(algorithm: Option<&dto::ChecksumAlgorithm>) -> S3Result<Option<ChecksumKind>> {
    let Some(algorithm) = algorithm else { return Ok(None) };
    let kind = super::digests::kind_of(algorithm.as_str());
    kind.map(Some).ok_or_else(|| {
        let message = "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]";
        error::refuse(S3ErrorCode::InvalidRequest, message)
    })
}

/// Sets the checksum fields of an output.
macro_rules! set_checksums {
    ($output:expr, $checksums:expr) => {
        for checksum in $checksums {
            let text = Some($crate::gateway::s3::describing::checksum_text(checksum));
            match checksum.kind {
                ChecksumKind::Crc32 => $output.checksum_crc32 = text,
                ChecksumKind::Crc32c => $output.checksum_crc32c = text,
                ChecksumKind::Crc64Nvme => $output.checksum_crc64nvme = text,
                ChecksumKind::Sha1 => $output.checksum_sha1 = text,
                ChecksumKind::Sha256 => $output.checksum_sha256 = text,
            }
        }
    };
}
pub(super) use set_checksums;

/// A checksum as headers and documents have it.
pub fn checksum_text(checksum: &crate::access::objects::attributes::Checksum) -> String {
    base64::encode(&checksum.value)
}

/// The type field of an output.
pub fn checksum_type(checksums: &[crate::access::objects::attributes::Checksum]) -> Option<dto::ChecksumType> {
    checksums.first().map(|checksum| dto::ChecksumType::from_static(scope_name(checksum.scope)))
}

/// `x-amz-expiration`.
pub fn expiration(expires: Option<&(u64, String)>) -> Option<String> {
    expires.map(|(at_ms, rule)| {
        format!("expiry-date=\"{}\", rule-id=\"{}\"", time::http_date(*at_ms), super::percent::encode(rule))
    })
}
