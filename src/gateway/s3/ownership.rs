//! Access control lists, ownership controls and the public access block.

use super::{
    Protocol,
    access::{self, Caller, OwnedRights},
    describing::{self, Grants},
    documents, error,
    listing::owner,
    policy::{self, Acl, Grantee, Permission},
    settings,
};
use crate::{
    access::objects::{
        config::{ConfigChange, Document},
        request::ObjectName,
    },
    types::Address,
};
use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        self, AccessControlPolicy, DeleteBucketOwnershipControlsInput, DeleteBucketOwnershipControlsOutput,
        DeletePublicAccessBlockInput, DeletePublicAccessBlockOutput, GetBucketAclInput, GetBucketAclOutput,
        GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput, GetObjectAclInput, GetObjectAclOutput,
        GetPublicAccessBlockInput, GetPublicAccessBlockOutput, Grant, PutBucketAclInput, PutBucketAclOutput,
        PutBucketOwnershipControlsInput, PutBucketOwnershipControlsOutput, PutObjectAclInput, PutObjectAclOutput,
        PutPublicAccessBlockInput, PutPublicAccessBlockOutput, Type,
    },
};

/// The grants of an input about a list itself.
macro_rules! grants_of_list {
    ($input:expr) => {
        Grants {
            canned: $input.acl.take().map(|acl| acl.as_str().to_owned()),
            headers: vec![
                (Permission::FullControl, $input.grant_full_control.take()),
                (Permission::Read, $input.grant_read.take()),
                (Permission::Write, $input.grant_write.take()),
                (Permission::ReadAcp, $input.grant_read_acp.take()),
                (Permission::WriteAcp, $input.grant_write_acp.take()),
            ],
        }
    };
}

fn told(acl: &Acl) -> Vec<Grant> {
    let grantee = |grantee: Grantee| {
        let (id, uri) = match grantee {
            Grantee::Account(account) => (Some(policy::account_text(account)), None),
            group => (None, group.uri().map(str::to_owned)),
        };
        let kind = if id.is_some() { Type::CANONICAL_USER } else { Type::GROUP };
        dto::Grantee { display_name: None, email_address: None, id, type_: Type::from_static(kind), uri }
    };
    let grant = |grant: &policy::Grant| Grant {
        grantee: Some(grantee(grant.grantee)),
        permission: Some(dto::Permission::from_static(grant.permission.name())),
    };
    acl.grants.iter().map(grant).collect()
}

/// The list a document sets on what `owner` owns.
fn from_document(document: &AccessControlPolicy, owner: Address) -> S3Result<Acl> {
    let malformed = |text: String| error::refuse(S3ErrorCode::MalformedACLError, text);
    let named = document.owner.as_ref().and_then(|owner| owner.id.as_deref());
    if named.and_then(policy::account_of).is_some_and(|named| named != owner) {
        return Err(error::access_denied());
    }
    let grant = |grant: &Grant| {
        let grantee = grant.grantee.as_ref().ok_or_else(|| malformed("a grant has no grantee".into()))?;
        let grantee = match (&grantee.id, &grantee.uri) {
            (Some(id), _) => {
                policy::account_of(id).map(Grantee::Account).ok_or_else(|| error::invalid_argument("Invalid id"))?
            }
            (None, Some(uri)) => Grantee::group(uri).map_err(|_| error::invalid_argument("Invalid group uri"))?,
            _ => {
                return Err(error::refuse(
                    S3ErrorCode::UnresolvableGrantByEmailAddress,
                    "The email address you provided does not match any account on record.",
                ));
            }
        };
        let permission = grant.permission.as_ref().ok_or_else(|| malformed("a grant has no permission".into()))?;
        let permission = Permission::parse(permission.as_str()).map_err(|e| malformed(e.to_string()))?;
        Ok(policy::Grant { grantee, permission })
    };
    let grants = document.grants.iter().flatten().map(grant).collect::<S3Result<Vec<_>>>()?;
    Acl::new(grants).map_err(|e| malformed(e.to_string()))
}

/// The list an input sets: a document, a canned list or headers, exactly one of them.
fn asked(
    grants: &Grants,
    document: Option<&AccessControlPolicy>,
    owner: Address,
    bucket_owner: Address,
) -> S3Result<Acl> {
    match (grants.acl(owner, bucket_owner)?, document) {
        (Some(acl), None) => Ok(acl),
        (None, Some(document)) => from_document(document, owner),
        (None, None) => {
            Err(error::refuse(S3ErrorCode::MissingSecurityHeader, "Your request was missing a required header"))
        }
        (Some(_), Some(_)) => {
            Err(error::refuse(S3ErrorCode::UnexpectedContent, "This request does not support content"))
        }
    }
}

/// Whether a list changes anything, if it may be set in the bucket. Where the bucket's owner owns everything, a list that names nobody else
/// is harmless: clients set again what they were told a list is.
fn check(caller: &Caller, acl: &Acl) -> S3Result<bool> {
    let bucket = caller.bucket()?;
    if bucket.acls_disabled() {
        let owner = Grantee::Account(bucket.info.owner);
        return match acl.grants.iter().all(|grant| grant.grantee == owner) {
            true => Ok(false),
            false => Err(describing::acls_disabled()),
        };
    }
    if bucket.block.block_acls && acl.is_public() {
        return Err(error::access_denied());
    }
    Ok(true)
}

/// `GetBucketAcl`.
pub async fn get_bucket_acl(
    protocol: &Protocol,
    request: S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    let caller = access::caller(&request)?;
    let info = protocol.fresh(caller).await?;
    let account = info.owner;
    let bucket = protocol.settings.of(info)?;
    Ok(S3Response::new(GetBucketAclOutput { grants: Some(told(&bucket.acl)), owner: Some(owner(account.into())) }))
}

/// `PutBucketAcl`.
pub async fn put_bucket_acl(
    protocol: &Protocol,
    mut request: S3Request<PutBucketAclInput>,
) -> S3Result<S3Response<PutBucketAclOutput>> {
    let caller = access::caller(&request)?.clone();
    let account = caller.bucket()?.info.owner;
    let grants = grants_of_list!(request.input);
    let acl = asked(&grants, request.input.access_control_policy.as_ref(), account, account)?;
    if check(&caller, &acl)? {
        let change = ConfigChange::Set(Document::Acl, documents::acl_to_bytes(&acl));
        protocol.configure(&caller, change).await?;
    }
    Ok(S3Response::new(PutBucketAclOutput::default()))
}

/// Owner and list of an object.
async fn of_object(protocol: &Protocol, caller: &Caller, name: &ObjectName) -> S3Result<(Address, Acl)> {
    let info = protocol.objects.describe(name).await.map_err(|refused| caller.read_refusal(refused))?;
    Ok(OwnedRights::of(&info, caller.bucket()?)?.into_parts())
}

/// `GetObjectAcl`.
pub async fn get_object_acl(
    protocol: &Protocol,
    request: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let caller = access::caller(&request)?;
    let name = protocol.object_name(caller, &request.input.key, request.input.version_id.as_deref())?;
    let (account, acl) = of_object(protocol, caller, &name).await?;
    Ok(S3Response::new(GetObjectAclOutput {
        grants: Some(told(&acl)),
        owner: Some(owner(account.into())),
        ..GetObjectAclOutput::default()
    }))
}

/// `PutObjectAcl`.
pub async fn put_object_acl(
    protocol: &Protocol,
    mut request: S3Request<PutObjectAclInput>,
) -> S3Result<S3Response<PutObjectAclOutput>> {
    let caller = access::caller(&request)?.clone();
    let name = protocol.object_name(&caller, &request.input.key, request.input.version_id.as_deref())?;
    let (account, _) = of_object(protocol, &caller, &name).await?;
    let grants = grants_of_list!(request.input);
    let bucket_owner = caller.bucket()?.info.owner;
    let acl = asked(&grants, request.input.access_control_policy.as_ref(), account, bucket_owner)?;
    if check(&caller, &acl)? {
        protocol.objects.put_acl(&name, Some(documents::acl_to_bytes(&acl))).await.map_err(error::refusal)?;
    }
    Ok(S3Response::new(PutObjectAclOutput::default()))
}

/// `GetBucketOwnershipControls`.
pub async fn get_controls(
    protocol: &Protocol,
    request: S3Request<GetBucketOwnershipControlsInput>,
) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
    let controls = protocol.document(access::caller(&request)?, Document::OwnershipControls).await?;
    Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls: Some(controls) }))
}

/// `PutBucketOwnershipControls`.
pub async fn put_controls(
    protocol: &Protocol,
    request: S3Request<PutBucketOwnershipControlsInput>,
) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
    let caller = access::caller(&request)?.clone();
    let controls = &request.input.ownership_controls;
    let ownership = settings::ownership_of(controls)
        .ok_or_else(|| error::malformed_xml("exactly one rule with a known ObjectOwnership is needed"))?;
    let bucket = caller.bucket()?;
    let open = bucket.acl != policy::CannedAcl::Private.expand(bucket.info.owner, bucket.info.owner);
    if ownership == settings::ObjectOwnership::Enforced && open {
        let message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
        return Err(error::refuse(S3ErrorCode::InvalidBucketAclWithObjectOwnership, message));
    }
    protocol.set_document(&caller, Document::OwnershipControls, controls).await?;
    Ok(S3Response::new(PutBucketOwnershipControlsOutput::default()))
}

/// `DeleteBucketOwnershipControls`.
pub async fn delete_controls(
    protocol: &Protocol,
    request: S3Request<DeleteBucketOwnershipControlsInput>,
) -> S3Result<S3Response<DeleteBucketOwnershipControlsOutput>> {
    protocol.configure(access::caller(&request)?, ConfigChange::Remove(Document::OwnershipControls)).await?;
    Ok(S3Response::new(DeleteBucketOwnershipControlsOutput::default()))
}

/// `GetPublicAccessBlock`.
pub async fn get_block(
    protocol: &Protocol,
    request: S3Request<GetPublicAccessBlockInput>,
) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
    let block = protocol.document(access::caller(&request)?, Document::PublicAccessBlock).await?;
    Ok(S3Response::new(GetPublicAccessBlockOutput { public_access_block_configuration: Some(block) }))
}

/// `PutPublicAccessBlock`.
pub async fn put_block(
    protocol: &Protocol,
    request: S3Request<PutPublicAccessBlockInput>,
) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
    let caller = access::caller(&request)?.clone();
    let mut block = request.input.public_access_block_configuration;
    for field in [
        &mut block.block_public_acls,
        &mut block.ignore_public_acls,
        &mut block.block_public_policy,
        &mut block.restrict_public_buckets,
    ] {
        field.get_or_insert(false);
    }
    protocol.set_document(&caller, Document::PublicAccessBlock, &block).await?;
    Ok(S3Response::new(PutPublicAccessBlockOutput::default()))
}

/// `DeletePublicAccessBlock`.
pub async fn delete_block(
    protocol: &Protocol,
    request: S3Request<DeletePublicAccessBlockInput>,
) -> S3Result<S3Response<DeletePublicAccessBlockOutput>> {
    protocol.configure(access::caller(&request)?, ConfigChange::Remove(Document::PublicAccessBlock)).await?;
    Ok(S3Response::new(DeletePublicAccessBlockOutput::default()))
}
