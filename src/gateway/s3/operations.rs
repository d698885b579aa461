//! Every operation of S3, once: what answers it, which permission it needs, or why it is refused.
//!
//! The trait of the protocol, the check of permissions and the reference page are all made from this list.

use super::{
    Protocol, absent, buckets, configuration, copying, deleting, listing, locks, multipart, ownership, reading,
    tagging, versions, writing,
};
use s3s::{S3, S3Request, S3Response, S3Result, dto::*};
use std::sync::Arc;

/// What an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The account's buckets.
    Account,
    /// A bucket that may not exist yet.
    NewBucket,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
    /// Several objects, which are decided about one by one.
    Objects,
    /// An object that is named in a form.
    Form,
}

/// An operation that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub subject: Subject,
    /// The permission it needs.
    pub action: &'static str,
    /// The permission when a version is named.
    pub action_on_version: &'static str,
}

impl Operation {
    /// Whether it reads one object and writes another.
    pub fn is_copy(&self) -> bool {
        matches!(self.name, "CopyObject" | "UploadPartCopy")
    }
}

/// An operation that is refused with `NotImplemented`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Its names.
    pub names: &'static [&'static str],
    /// Why.
    pub reason: &'static str,
}

/// The protocol as the library holds it.
pub struct Shared(pub Arc<Protocol>);

macro_rules! operations {
    ($($name:literal $subject:ident $action:literal $(/ $versioned:literal)?
        $method:ident($input:ident) -> $output:ident = $answer:path;)+) => {
        /// The operations that are answered.
        pub const OPERATIONS: &[Operation] = &[$(Operation {
            name: $name,
            subject: Subject::$subject,
            action: $action,
            action_on_version: operations!(@versioned $action $($versioned)?),
        },)+];

        #[async_trait::async_trait]
        impl S3 for Shared {
            $(async fn $method(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                $answer(&self.0, request).await
            })+
        }
    };
    (@versioned $action:literal) => { $action };
    (@versioned $action:literal $versioned:literal) => { $versioned };
}

operations! {
    "ListBuckets" Account "s3:ListAllMyBuckets" list_buckets(ListBucketsInput) -> ListBucketsOutput = buckets::list;
    "CreateBucket" NewBucket "s3:CreateBucket" create_bucket(CreateBucketInput) -> CreateBucketOutput = buckets::create;
    "HeadBucket" Bucket "s3:ListBucket" head_bucket(HeadBucketInput) -> HeadBucketOutput = buckets::head;
    "DeleteBucket" Bucket "s3:DeleteBucket" delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = buckets::delete;
    "GetBucketLocation" Bucket "s3:GetBucketLocation" get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = buckets::location;

    "PutObject" Object "s3:PutObject" put_object(PutObjectInput) -> PutObjectOutput = writing::put;
    "CopyObject" Object "s3:PutObject" copy_object(CopyObjectInput) -> CopyObjectOutput = copying::object;
    "GetObject" Object "s3:GetObject" / "s3:GetObjectVersion" get_object(GetObjectInput) -> GetObjectOutput = reading::get;
    "HeadObject" Object "s3:GetObject" / "s3:GetObjectVersion" head_object(HeadObjectInput) -> HeadObjectOutput = reading::head;
    "GetObjectAttributes" Object "s3:GetObjectAttributes" / "s3:GetObjectVersionAttributes" get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = reading::attributes;
    "DeleteObject" Object "s3:DeleteObject" / "s3:DeleteObjectVersion" delete_object(DeleteObjectInput) -> DeleteObjectOutput = deleting::one;
    "DeleteObjects" Objects "s3:DeleteObject" delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = deleting::many;

    "ListObjects" Bucket "s3:ListBucket" list_objects(ListObjectsInput) -> ListObjectsOutput = listing::first;
    "ListObjectsV2" Bucket "s3:ListBucket" list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = listing::second;
    "ListObjectVersions" Bucket "s3:ListBucketVersions" list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = versions::list;
    "ListMultipartUploads" Bucket "s3:ListBucketMultipartUploads" list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = listing::uploads;

    "CreateMultipartUpload" Object "s3:PutObject" create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = multipart::create;
    "UploadPart" Object "s3:PutObject" upload_part(UploadPartInput) -> UploadPartOutput = multipart::put_part;
    "UploadPartCopy" Object "s3:PutObject" upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = copying::part;
    "CompleteMultipartUpload" Object "s3:PutObject" complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = multipart::complete;
    "AbortMultipartUpload" Object "s3:AbortMultipartUpload" abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = multipart::abort;
    "ListParts" Object "s3:ListMultipartUploadParts" list_parts(ListPartsInput) -> ListPartsOutput = multipart::list_parts;

    "GetBucketVersioning" Bucket "s3:GetBucketVersioning" get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = versions::get;
    "PutBucketVersioning" Bucket "s3:PutBucketVersioning" put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = versions::put;

    "GetBucketTagging" Bucket "s3:GetBucketTagging" get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = tagging::get_bucket;
    "PutBucketTagging" Bucket "s3:PutBucketTagging" put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput = tagging::put_bucket;
    "DeleteBucketTagging" Bucket "s3:PutBucketTagging" delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput = tagging::delete_bucket;
    "GetObjectTagging" Object "s3:GetObjectTagging" / "s3:GetObjectVersionTagging" get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = tagging::get;
    "PutObjectTagging" Object "s3:PutObjectTagging" / "s3:PutObjectVersionTagging" put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = tagging::put;
    "DeleteObjectTagging" Object "s3:DeleteObjectTagging" / "s3:DeleteObjectVersionTagging" delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = tagging::delete;

    "GetBucketAcl" Bucket "s3:GetBucketAcl" get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput = ownership::get_bucket_acl;
    "PutBucketAcl" Bucket "s3:PutBucketAcl" put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput = ownership::put_bucket_acl;
    "GetObjectAcl" Object "s3:GetObjectAcl" / "s3:GetObjectVersionAcl" get_object_acl(GetObjectAclInput) -> GetObjectAclOutput = ownership::get_object_acl;
    "PutObjectAcl" Object "s3:PutObjectAcl" / "s3:PutObjectVersionAcl" put_object_acl(PutObjectAclInput) -> PutObjectAclOutput = ownership::put_object_acl;
    "GetBucketOwnershipControls" Bucket "s3:GetBucketOwnershipControls" get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput = ownership::get_controls;
    "PutBucketOwnershipControls" Bucket "s3:PutBucketOwnershipControls" put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput = ownership::put_controls;
    "DeleteBucketOwnershipControls" Bucket "s3:PutBucketOwnershipControls" delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput = ownership::delete_controls;
    "GetPublicAccessBlock" Bucket "s3:GetBucketPublicAccessBlock" get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = ownership::get_block;
    "PutPublicAccessBlock" Bucket "s3:PutBucketPublicAccessBlock" put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput = ownership::put_block;
    "DeletePublicAccessBlock" Bucket "s3:PutBucketPublicAccessBlock" delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput = ownership::delete_block;

    "GetBucketPolicy" Bucket "s3:GetBucketPolicy" get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = configuration::get_policy;
    "PutBucketPolicy" Bucket "s3:PutBucketPolicy" put_bucket_policy(PutBucketPolicyInput) -> PutBucketPolicyOutput = configuration::put_policy;
    "DeleteBucketPolicy" Bucket "s3:DeleteBucketPolicy" delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput = configuration::delete_policy;
    "GetBucketPolicyStatus" Bucket "s3:GetBucketPolicyStatus" get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput = configuration::policy_status;
    "GetBucketCors" Bucket "s3:GetBucketCORS" get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput = configuration::get_cors;
    "PutBucketCors" Bucket "s3:PutBucketCORS" put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput = configuration::put_cors;
    "DeleteBucketCors" Bucket "s3:PutBucketCORS" delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput = configuration::delete_cors;
    "GetBucketWebsite" Bucket "s3:GetBucketWebsite" get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput = configuration::get_website;
    "PutBucketWebsite" Bucket "s3:PutBucketWebsite" put_bucket_website(PutBucketWebsiteInput) -> PutBucketWebsiteOutput = configuration::put_website;
    "DeleteBucketWebsite" Bucket "s3:DeleteBucketWebsite" delete_bucket_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput = configuration::delete_website;
    "GetBucketEncryption" Bucket "s3:GetEncryptionConfiguration" get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = configuration::get_encryption;
    "PutBucketEncryption" Bucket "s3:PutEncryptionConfiguration" put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput = configuration::put_encryption;
    "DeleteBucketEncryption" Bucket "s3:PutEncryptionConfiguration" delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput = configuration::delete_encryption;
    "GetBucketLifecycleConfiguration" Bucket "s3:GetLifecycleConfiguration" get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput = configuration::get_lifecycle;
    "PutBucketLifecycleConfiguration" Bucket "s3:PutLifecycleConfiguration" put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput) -> PutBucketLifecycleConfigurationOutput = configuration::put_lifecycle;
    "DeleteBucketLifecycle" Bucket "s3:PutLifecycleConfiguration" delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput = configuration::delete_lifecycle;
    "GetBucketRequestPayment" Bucket "s3:GetBucketRequestPayment" get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput = absent::request_payment;
    "PutBucketRequestPayment" Bucket "s3:PutBucketRequestPayment" put_bucket_request_payment(PutBucketRequestPaymentInput) -> PutBucketRequestPaymentOutput = absent::put_request_payment;
    "GetBucketLogging" Bucket "s3:GetBucketLogging" get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = absent::logging;
    "PutBucketLogging" Bucket "s3:PutBucketLogging" put_bucket_logging(PutBucketLoggingInput) -> PutBucketLoggingOutput = absent::put_logging;
    "GetBucketNotificationConfiguration" Bucket "s3:GetBucketNotification" get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput = absent::notification;
    "PutBucketNotificationConfiguration" Bucket "s3:PutBucketNotification" put_bucket_notification_configuration(PutBucketNotificationConfigurationInput) -> PutBucketNotificationConfigurationOutput = absent::put_notification;
    "GetBucketAccelerateConfiguration" Bucket "s3:GetAccelerateConfiguration" get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput = absent::accelerate;
    "PutBucketAccelerateConfiguration" Bucket "s3:PutAccelerateConfiguration" put_bucket_accelerate_configuration(PutBucketAccelerateConfigurationInput) -> PutBucketAccelerateConfigurationOutput = absent::put_accelerate;
    "GetBucketReplication" Bucket "s3:GetReplicationConfiguration" get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput = absent::replication;
    "DeleteBucketReplication" Bucket "s3:PutReplicationConfiguration" delete_bucket_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput = absent::delete_replication;

    "GetObjectLockConfiguration" Bucket "s3:GetBucketObjectLockConfiguration" get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput = locks::get_configuration;
    "PutObjectLockConfiguration" Bucket "s3:PutBucketObjectLockConfiguration" put_object_lock_configuration(PutObjectLockConfigurationInput) -> PutObjectLockConfigurationOutput = locks::put_configuration;
    "GetObjectRetention" Object "s3:GetObjectRetention" get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput = locks::get_retention;
    "PutObjectRetention" Object "s3:PutObjectRetention" put_object_retention(PutObjectRetentionInput) -> PutObjectRetentionOutput = locks::put_retention;
    "GetObjectLegalHold" Object "s3:GetObjectLegalHold" get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput = locks::get_hold;
    "PutObjectLegalHold" Object "s3:PutObjectLegalHold" put_object_legal_hold(PutObjectLegalHoldInput) -> PutObjectLegalHoldOutput = locks::put_hold;
}

/// The operations that are refused.
pub const REFUSED: &[Refused] = &[
    Refused { names: &["SelectObjectContent"], reason: "no query engine; AWS closed it to new customers" },
    Refused { names: &["RestoreObject"], reason: "nothing is archived: every object can be read at once" },
    Refused { names: &["GetObjectTorrent"], reason: "no BitTorrent" },
    Refused { names: &["WriteGetObjectResponse"], reason: "no functions between object and reader" },
    Refused { names: &["CreateSession", "ListDirectoryBuckets"], reason: "no directory buckets" },
    Refused { names: &["PutBucketReplication"], reason: "every object lies on twelve miners already" },
    Refused {
        names: &[
            "PutBucketAnalyticsConfiguration",
            "GetBucketAnalyticsConfiguration",
            "DeleteBucketAnalyticsConfiguration",
            "ListBucketAnalyticsConfigurations",
            "PutBucketInventoryConfiguration",
            "GetBucketInventoryConfiguration",
            "DeleteBucketInventoryConfiguration",
            "ListBucketInventoryConfigurations",
            "PutBucketMetricsConfiguration",
            "GetBucketMetricsConfiguration",
            "DeleteBucketMetricsConfiguration",
            "ListBucketMetricsConfigurations",
            "PutBucketIntelligentTieringConfiguration",
            "GetBucketIntelligentTieringConfiguration",
            "DeleteBucketIntelligentTieringConfiguration",
            "ListBucketIntelligentTieringConfigurations",
            "CreateBucketMetadataTableConfiguration",
            "GetBucketMetadataTableConfiguration",
            "DeleteBucketMetadataTableConfiguration",
        ],
        reason: "no reports and storage classes of AWS",
    },
];

/// A browser's form, which the library turns into a put.
pub const FORM: Operation =
    Operation { name: "PostObject", subject: Subject::Form, action: "s3:PutObject", action_on_version: "s3:PutObject" };

/// The operation called `name`, if it is answered.
pub fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().chain([&FORM]).find(|operation| operation.name == name)
}
