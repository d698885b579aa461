//! Versions: switching them on, and listing them.

use super::{
    Protocol, access, describing, digests, error,
    listing::{Keys, delimiter, owner, page_size, prefixes},
    time,
};
use crate::access::objects::{
    VersionRef,
    config::{ConfigChange, Versioning},
    request::{ListVersions, ListedVersion, VersionPage},
};
use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        BucketVersioningStatus, ChecksumAlgorithm, ChecksumType, DeleteMarkerEntry, GetBucketVersioningInput,
        GetBucketVersioningOutput, ListObjectVersionsInput, ListObjectVersionsOutput, ObjectVersion,
        ObjectVersionStorageClass, PutBucketVersioningInput, PutBucketVersioningOutput,
    },
};

/// `GetBucketVersioning`.
pub async fn get(
    protocol: &Protocol,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let caller = access::caller(&request)?;
    let info = protocol.fresh(caller).await?;
    let status = match info.config.versioning {
        Versioning::Off => None,
        Versioning::Enabled => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED)),
        Versioning::Suspended => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED)),
    };
    Ok(S3Response::new(GetBucketVersioningOutput { status, ..GetBucketVersioningOutput::default() }))
}

/// `PutBucketVersioning`.
pub async fn put(
    protocol: &Protocol,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    let caller = access::caller(&request)?;
    let asked = &request.input.versioning_configuration;
    if asked.mfa_delete.as_ref().is_some_and(|mfa| mfa.as_str() == "Enabled") {
        return Err(error::not_implemented("MFA delete is not implemented"));
    }
    let versioning = match asked.status.as_ref().map(BucketVersioningStatus::as_str) {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        _ => {
            let message = "The Versioning element must be specified";
            return Err(error::refuse(S3ErrorCode::IllegalVersioningConfigurationException, message));
        }
    };
    protocol.configure(caller, ConfigChange::Versioning(versioning)).await?;
    Ok(S3Response::new(PutBucketVersioningOutput::default()))
}

/// `ListObjectVersions`.
pub async fn list(
    protocol: &Protocol,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let caller = access::caller(&request)?.clone();
    let input = request.input;
    let keys = Keys::asked(input.encoding_type.as_ref())?;
    let (max, delimiter) = (page_size(input.max_keys)?, delimiter(input.delimiter));
    let prefix = input.prefix.unwrap_or_default();
    let key_marker = input.key_marker.clone().filter(|marker| !marker.is_empty());
    let version_marker = input.version_id_marker.clone().filter(|marker| !marker.is_empty());
    if version_marker.is_some() && key_marker.is_none() {
        return Err(error::invalid_argument("A version-id marker cannot be specified without a key marker."));
    }
    let version: Option<VersionRef> = version_marker.as_deref().map(error::parsed).transpose()?;
    let ask = ListVersions {
        prefix: prefix.clone(),
        delimiter: delimiter.clone(),
        after: key_marker.map(|key| (key, version)),
        max,
    };
    let page = match max {
        0 => VersionPage::default(),
        _ => protocol.objects.list_versions(&caller.bucket()?.info.name, ask).await.map_err(error::refusal)?,
    };
    let (markers, objects): (Vec<_>, Vec<_>) = page.versions.into_iter().partition(|version| version.delete_marker);
    let (next_key, next_version) = page.next.map_or((None, None), |(key, version)| (Some(key), version));
    Ok(S3Response::new(ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(keys.show(&prefix)),
        key_marker: Some(keys.show(&input.key_marker.unwrap_or_default())),
        version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
        max_keys: i32::try_from(max).ok(),
        is_truncated: Some(next_key.is_some()),
        next_key_marker: next_key.as_deref().map(|key| keys.show(key)),
        next_version_id_marker: next_version.map(|version| version.to_string()),
        delimiter: delimiter.as_deref().map(|delimiter| keys.show(delimiter)),
        versions: Some(objects.into_iter().map(|version| told(version, keys)).collect()),
        delete_markers: Some(markers.into_iter().map(|marker| told_marker(&marker, keys)).collect()),
        common_prefixes: prefixes(page.prefixes, keys),
        encoding_type: keys.told(),
        ..ListObjectVersionsOutput::default()
    }))
}

fn told(version: ListedVersion, keys: Keys) -> ObjectVersion {
    let object = version.object;
    let algorithms = object.checksums.iter().map(|(kind, _)| ChecksumAlgorithm::from_static(digests::name_of(*kind)));
    ObjectVersion {
        checksum_algorithm: (!object.checksums.is_empty()).then(|| algorithms.collect()),
        checksum_type: object
            .checksums
            .first()
            .map(|(_, scope)| ChecksumType::from_static(describing::scope_name(*scope))),
        e_tag: Some(describing::etag(object.etag)),
        is_latest: Some(version.is_latest),
        key: Some(keys.show(&object.key)),
        last_modified: Some(time::moment(object.modified_ms)),
        owner: Some(owner(object.author)),
        restore_status: None,
        size: i64::try_from(object.size).ok(),
        storage_class: Some(ObjectVersionStorageClass::from(
            object.storage_class.unwrap_or_else(|| "STANDARD".to_owned()),
        )),
        version_id: Some(version.version.to_string()),
    }
}

fn told_marker(marker: &ListedVersion, keys: Keys) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        is_latest: Some(marker.is_latest),
        key: Some(keys.show(&marker.object.key)),
        last_modified: Some(time::moment(marker.object.modified_ms)),
        owner: Some(owner(marker.object.author)),
        version_id: Some(marker.version.to_string()),
    }
}
