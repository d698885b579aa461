//! Buckets: making, finding, listing and deleting them.

use super::{
    Protocol, access,
    describing::Grants,
    documents, error,
    listing::owner,
    policy::{Acl, CannedAcl, Permission},
    settings::ObjectOwnership,
    time,
};
use crate::access::objects::{
    BucketName, ObjectsError,
    config::{Document, Encryption, LockConfig},
    request::CreateBucket,
};
use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        Bucket, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput,
        GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput,
        ListBucketsOutput, OwnershipControls, OwnershipControlsRule,
    },
};

/// The region that is older than the rules for regions.
const FIRST_REGION: &str = "us-east-1";
/// Most buckets on a page.
const PAGE_MAX: i32 = 10_000;

/// `ListBuckets`.
pub async fn list(
    protocol: &Protocol,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let account = access::caller(&request)?.account()?;
    let input = request.input;
    let max = input.max_buckets.unwrap_or(PAGE_MAX);
    let max = usize::try_from(max).ok().filter(|_| (1..=PAGE_MAX).contains(&max));
    let max = max.ok_or_else(|| error::invalid_argument(format!("max-buckets is not between 1 and {PAGE_MAX}")))?;
    let places = protocol.objects.list_buckets(account).await.map_err(error::refusal)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let after = input.continuation_token.as_deref().unwrap_or_default();
    let mut found: Vec<_> = places
        .into_iter()
        .filter(|place| place.name.as_str().starts_with(&prefix) && (after.is_empty() || place.name.as_str() > after))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let more = found.len() > max;
    found.truncate(max);
    let token = found.last().filter(|_| more).map(|place| place.name.to_string());
    let told = |place: crate::access::objects::Place| Bucket {
        bucket_region: None,
        creation_date: Some(time::moment(place.created_ms)),
        name: Some(place.name.to_string()),
    };
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(found.into_iter().map(told).collect()),
        continuation_token: token,
        owner: Some(owner(account.into())),
        prefix: input.prefix,
    }))
}

/// `CreateBucket`.
pub async fn create(
    protocol: &Protocol,
    mut request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let account = access::caller(&request)?.account()?;
    let input = &mut request.input;
    let asked = input.create_bucket_configuration.take().and_then(|configuration| configuration.location_constraint);
    if let Some(region) = asked.as_ref().map(BucketLocationConstraint::as_str).filter(|region| !region.is_empty())
        && region != protocol.region
    {
        let message = format!("The specified location-constraint is not valid: this service is in {}", protocol.region);
        return Err(error::refuse(S3ErrorCode::InvalidLocationConstraint, message));
    }
    let ownership = match input.object_ownership.as_ref().map(s3s::dto::ObjectOwnership::as_str) {
        None => None,
        Some(name) => Some(
            ObjectOwnership::parse(name)
                .ok_or_else(|| error::invalid_argument(format!("Invalid x-amz-object-ownership header: {name}")))?,
        ),
    };
    let grants = Grants {
        canned: input.acl.take().map(|acl| acl.as_str().to_owned()),
        headers: vec![
            (Permission::FullControl, input.grant_full_control.take()),
            (Permission::Read, input.grant_read.take()),
            (Permission::Write, input.grant_write.take()),
            (Permission::ReadAcp, input.grant_read_acp.take()),
            (Permission::WriteAcp, input.grant_write_acp.take()),
        ],
    };
    let acl = grants.acl(account, account)?;
    let open = acl.as_ref().is_some_and(|acl| *acl != CannedAcl::Private.expand(account, account));
    if open && ownership.unwrap_or_default() == ObjectOwnership::Enforced {
        let message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
        return Err(error::refuse(S3ErrorCode::InvalidBucketAclWithObjectOwnership, message));
    }
    let name: BucketName = error::parsed(&input.bucket)?;
    let lock = LockConfig { enabled: input.object_lock_enabled_for_bucket.unwrap_or(false), default: None };
    let documents = documents_of(acl.as_ref(), ownership)?;
    let ask = CreateBucket { name, owner: account, lock, encryption: Encryption::On, documents };
    match protocol.objects.create_bucket(ask).await {
        Ok(_) => {}
        // As at AWS, in its first region alone.
        Err(ObjectsError::BucketAlreadyOwnedByYou { .. }) if protocol.region == FIRST_REGION => {}
        Err(refused) => return Err(error::refusal(refused)),
    }
    Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", input.bucket)) }))
}

fn documents_of(acl: Option<&Acl>, ownership: Option<ObjectOwnership>) -> S3Result<Vec<(Document, Vec<u8>)>> {
    let mut documents = Vec::new();
    if let Some(acl) = acl {
        documents.push((Document::Acl, documents::acl_to_bytes(acl)));
    }
    if let Some(ownership) = ownership {
        let object_ownership = s3s::dto::ObjectOwnership::from_static(ownership.name());
        let controls = OwnershipControls { rules: vec![OwnershipControlsRule { object_ownership }] };
        let bytes =
            documents::to_bytes(&controls).map_err(|e| error::refuse(S3ErrorCode::InternalError, e.to_string()))?;
        documents.push((Document::OwnershipControls, bytes));
    }
    Ok(documents)
}

/// `HeadBucket`.
pub async fn head(protocol: &Protocol, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
    access::caller(&request)?.bucket()?;
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region: Some(protocol.region.clone()),
        ..HeadBucketOutput::default()
    }))
}

/// `DeleteBucket`.
pub async fn delete(
    protocol: &Protocol,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    let name = &access::caller(&request)?.bucket()?.info.name;
    protocol.objects.delete_bucket(name).await.map_err(error::refusal)?;
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

/// `GetBucketLocation`.
pub async fn location(
    protocol: &Protocol,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    access::caller(&request)?.bucket()?;
    // The first region has no name in this call.
    let named = Some(protocol.region.clone()).filter(|region| region != FIRST_REGION);
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint: named.map(BucketLocationConstraint::from) }))
}
