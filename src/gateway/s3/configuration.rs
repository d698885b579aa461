//! Configuration documents: policy, cross-origin rules, website, encryption, lifecycle.

use super::{Protocol, access, cors, error, lifecycle, policy::Policy, website};
use crate::access::objects::config::{ConfigChange, Document, Encryption};
use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        BucketLifecycleConfiguration, CORSConfiguration, DeleteBucketCorsInput, DeleteBucketCorsOutput,
        DeleteBucketEncryptionInput, DeleteBucketEncryptionOutput, DeleteBucketLifecycleInput,
        DeleteBucketLifecycleOutput, DeleteBucketPolicyInput, DeleteBucketPolicyOutput, DeleteBucketWebsiteInput,
        DeleteBucketWebsiteOutput, GetBucketCorsInput, GetBucketCorsOutput, GetBucketEncryptionInput,
        GetBucketEncryptionOutput, GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput,
        GetBucketPolicyInput, GetBucketPolicyOutput, GetBucketPolicyStatusInput, GetBucketPolicyStatusOutput,
        GetBucketWebsiteInput, GetBucketWebsiteOutput, PolicyStatus, PutBucketCorsInput, PutBucketCorsOutput,
        PutBucketEncryptionInput, PutBucketEncryptionOutput, PutBucketLifecycleConfigurationInput,
        PutBucketLifecycleConfigurationOutput, PutBucketPolicyInput, PutBucketPolicyOutput, PutBucketWebsiteInput,
        PutBucketWebsiteOutput, ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
        ServerSideEncryptionRule, WebsiteConfiguration,
    },
};

type Answer<T> = S3Result<S3Response<T>>;

/// `GetBucketPolicy`.
pub async fn get_policy(
    protocol: &Protocol,
    request: S3Request<GetBucketPolicyInput>,
) -> Answer<GetBucketPolicyOutput> {
    let bytes = protocol.document_bytes(access::caller(&request)?, Document::Policy).await?;
    Ok(S3Response::new(GetBucketPolicyOutput { policy: Some(String::from_utf8_lossy(&bytes).into_owned()) }))
}

/// `PutBucketPolicy`.
pub async fn put_policy(
    protocol: &Protocol,
    request: S3Request<PutBucketPolicyInput>,
) -> Answer<PutBucketPolicyOutput> {
    let caller = access::caller(&request)?.clone();
    let bucket = caller.bucket()?;
    let text = request.input.policy;
    let policy = Policy::parse(&text, bucket.info.name.as_str())
        .map_err(|e| error::refuse(S3ErrorCode::MalformedPolicy, e.to_string()))?;
    if bucket.block.block_policy && policy.is_public() {
        return Err(error::access_denied());
    }
    protocol.configure(&caller, ConfigChange::Set(Document::Policy, text.into_bytes())).await?;
    Ok(S3Response::new(PutBucketPolicyOutput::default()))
}

/// `DeleteBucketPolicy`.
pub async fn delete_policy(
    protocol: &Protocol,
    request: S3Request<DeleteBucketPolicyInput>,
) -> Answer<DeleteBucketPolicyOutput> {
    protocol.configure(access::caller(&request)?, ConfigChange::Remove(Document::Policy)).await?;
    Ok(S3Response::new(DeleteBucketPolicyOutput::default()))
}

/// `GetBucketPolicyStatus`.
pub async fn policy_status(
    protocol: &Protocol,
    request: S3Request<GetBucketPolicyStatusInput>,
) -> Answer<GetBucketPolicyStatusOutput> {
    let info = protocol.fresh(access::caller(&request)?).await?;
    let bucket = protocol.settings.of(info)?;
    let policy = bucket.policy.as_ref().ok_or_else(|| error::unset("policy"))?;
    let status = PolicyStatus { is_public: Some(policy.is_public()) };
    Ok(S3Response::new(GetBucketPolicyStatusOutput { policy_status: Some(status) }))
}

/// `GetBucketCors`.
pub async fn get_cors(protocol: &Protocol, request: S3Request<GetBucketCorsInput>) -> Answer<GetBucketCorsOutput> {
    let document: CORSConfiguration = protocol.document(access::caller(&request)?, Document::Cors).await?;
    Ok(S3Response::new(GetBucketCorsOutput { cors_rules: Some(document.cors_rules) }))
}

/// `PutBucketCors`.
pub async fn put_cors(protocol: &Protocol, request: S3Request<PutBucketCorsInput>) -> Answer<PutBucketCorsOutput> {
    let caller = access::caller(&request)?.clone();
    let document = &request.input.cors_configuration;
    cors::check(&document.cors_rules).map_err(|e| error::refuse(S3ErrorCode::InvalidRequest, e))?;
    protocol.set_document(&caller, Document::Cors, document).await?;
    Ok(S3Response::new(PutBucketCorsOutput::default()))
}

/// `DeleteBucketCors`.
pub async fn delete_cors(
    protocol: &Protocol,
    request: S3Request<DeleteBucketCorsInput>,
) -> Answer<DeleteBucketCorsOutput> {
    protocol.configure(access::caller(&request)?, ConfigChange::Remove(Document::Cors)).await?;
    Ok(S3Response::new(DeleteBucketCorsOutput::default()))
}

/// `GetBucketWebsite`.
pub async fn get_website(
    protocol: &Protocol,
    request: S3Request<GetBucketWebsiteInput>,
) -> Answer<GetBucketWebsiteOutput> {
    let document: WebsiteConfiguration = protocol.document(access::caller(&request)?, Document::Website).await?;
    Ok(S3Response::new(GetBucketWebsiteOutput {
        error_document: document.error_document,
        index_document: document.index_document,
        redirect_all_requests_to: document.redirect_all_requests_to,
        routing_rules: document.routing_rules,
    }))
}

/// `PutBucketWebsite`.
pub async fn put_website(
    protocol: &Protocol,
    request: S3Request<PutBucketWebsiteInput>,
) -> Answer<PutBucketWebsiteOutput> {
    let caller = access::caller(&request)?.clone();
    let document = &request.input.website_configuration;
    website::check(document).map_err(error::invalid_argument)?;
    protocol.set_document(&caller, Document::Website, document).await?;
    Ok(S3Response::new(PutBucketWebsiteOutput::default()))
}

/// `DeleteBucketWebsite`.
pub async fn delete_website(
    protocol: &Protocol,
    request: S3Request<DeleteBucketWebsiteInput>,
) -> Answer<DeleteBucketWebsiteOutput> {
    protocol.configure(access::caller(&request)?, ConfigChange::Remove(Document::Website)).await?;
    Ok(S3Response::new(DeleteBucketWebsiteOutput::default()))
}

/// `GetBucketEncryption`: AES256 unless it was switched off.
pub async fn get_encryption(
    protocol: &Protocol,
    request: S3Request<GetBucketEncryptionInput>,
) -> Answer<GetBucketEncryptionOutput> {
    let info = protocol.fresh(access::caller(&request)?).await?;
    if info.config.encryption == Encryption::Off {
        return Err(error::unset("encryption"));
    }
    let sse_algorithm = ServerSideEncryption::from_static(ServerSideEncryption::AES256);
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(ServerSideEncryptionByDefault {
            kms_master_key_id: None,
            sse_algorithm,
        }),
        bucket_key_enabled: Some(false),
    };
    let configuration = ServerSideEncryptionConfiguration { rules: vec![rule] };
    Ok(S3Response::new(GetBucketEncryptionOutput { server_side_encryption_configuration: Some(configuration) }))
}

/// `PutBucketEncryption`: AES256, or `none` which stores new objects in the clear.
pub async fn put_encryption(
    protocol: &Protocol,
    request: S3Request<PutBucketEncryptionInput>,
) -> Answer<PutBucketEncryptionOutput> {
    let caller = access::caller(&request)?.clone();
    let [rule] = request.input.server_side_encryption_configuration.rules.as_slice() else {
        return Err(error::malformed_xml("exactly one rule is needed"));
    };
    let default = rule.apply_server_side_encryption_by_default.as_ref();
    let default = default.ok_or_else(|| error::malformed_xml("the rule has no default"))?;
    let encryption = match default.sse_algorithm.as_str() {
        "AES256" => Encryption::On,
        "none" => Encryption::Off,
        "aws:kms" | "aws:kms:dsse" => return Err(error::not_implemented("SSE-KMS is not implemented, use AES256")),
        _ => return Err(error::malformed_xml("the algorithm is neither AES256 nor none")),
    };
    protocol.configure(&caller, ConfigChange::Encryption(encryption, None)).await?;
    Ok(S3Response::new(PutBucketEncryptionOutput::default()))
}

/// `DeleteBucketEncryption`: back to the default, which encrypts.
pub async fn delete_encryption(
    protocol: &Protocol,
    request: S3Request<DeleteBucketEncryptionInput>,
) -> Answer<DeleteBucketEncryptionOutput> {
    protocol.configure(access::caller(&request)?, ConfigChange::Encryption(Encryption::On, None)).await?;
    Ok(S3Response::new(DeleteBucketEncryptionOutput::default()))
}

/// `GetBucketLifecycleConfiguration`.
pub async fn get_lifecycle(
    protocol: &Protocol,
    request: S3Request<GetBucketLifecycleConfigurationInput>,
) -> Answer<GetBucketLifecycleConfigurationOutput> {
    let document: BucketLifecycleConfiguration =
        protocol.document(access::caller(&request)?, Document::Lifecycle).await?;
    Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
        rules: Some(document.rules),
        transition_default_minimum_object_size: None,
    }))
}

/// `PutBucketLifecycleConfiguration`.
pub async fn put_lifecycle(
    protocol: &Protocol,
    request: S3Request<PutBucketLifecycleConfigurationInput>,
) -> Answer<PutBucketLifecycleConfigurationOutput> {
    let caller = access::caller(&request)?.clone();
    let mut document =
        request.input.lifecycle_configuration.ok_or_else(|| error::malformed_xml("the configuration is missing"))?;
    let rules = lifecycle::rules_of(&mut document)?;
    let bytes = Protocol::bytes_of(&document)?;
    protocol.configure(&caller, ConfigChange::Lifecycle(rules, Some(bytes))).await?;
    Ok(S3Response::new(PutBucketLifecycleConfigurationOutput::default()))
}

/// `DeleteBucketLifecycle`.
pub async fn delete_lifecycle(
    protocol: &Protocol,
    request: S3Request<DeleteBucketLifecycleInput>,
) -> Answer<DeleteBucketLifecycleOutput> {
    let caller = access::caller(&request)?;
    protocol.configure(caller, ConfigChange::Lifecycle(Vec::new(), None)).await?;
    protocol.configure(caller, ConfigChange::Remove(Document::Lifecycle)).await?;
    Ok(S3Response::new(DeleteBucketLifecycleOutput::default()))
}
