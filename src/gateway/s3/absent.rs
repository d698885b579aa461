//! Configurations that no bucket has here: logging, notifications, acceleration, replication, and readers who pay.
//!
//! Reading one says that it is off, and so does switching it off: tools that set up buckets ask for either. Only what would switch it on is
//! refused.

use super::{Protocol, access, error, operations::Refused};
use axum::http::StatusCode;
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        BucketAccelerateStatus, DeleteBucketReplicationInput, DeleteBucketReplicationOutput,
        GetBucketAccelerateConfigurationInput, GetBucketAccelerateConfigurationOutput, GetBucketLoggingInput,
        GetBucketLoggingOutput, GetBucketNotificationConfigurationInput, GetBucketNotificationConfigurationOutput,
        GetBucketReplicationInput, GetBucketReplicationOutput, GetBucketRequestPaymentInput,
        GetBucketRequestPaymentOutput, NotificationConfiguration, Payer, PutBucketAccelerateConfigurationInput,
        PutBucketAccelerateConfigurationOutput, PutBucketLoggingInput, PutBucketLoggingOutput,
        PutBucketNotificationConfigurationInput, PutBucketNotificationConfigurationOutput,
        PutBucketRequestPaymentInput, PutBucketRequestPaymentOutput,
    },
};

type Answer<T> = S3Result<S3Response<T>>;

/// An operation whose answer is always the same.
macro_rules! always {
    ($(#[doc = $doc:literal] $name:ident($input:ident) -> $output:ident = $answer:expr;)+) => {$(
        #[doc = $doc]
        pub async fn $name(_: &Protocol, request: S3Request<$input>) -> Answer<$output> {
            access::caller(&request)?.bucket()?;
            $answer
        }
    )+};
}

/// An operation that may switch a thing off.
macro_rules! off_only {
    ($($operation:literal $name:ident($input:ident) -> $output:ident, $is_off:expr, $reason:literal;)+) => {
        /// Operations that are answered if they switch a thing off.
        pub const OFF_ONLY: &[Refused] = &[$(Refused { names: &[$operation], reason: $reason },)+];

        $(
            #[doc = concat!("`", $operation, "`.")]
            pub async fn $name(_: &Protocol, request: S3Request<$input>) -> Answer<$output> {
                access::caller(&request)?.bucket()?;
                let is_off: fn(&$input) -> bool = $is_off;
                if is_off(&request.input) {
                    return Ok(S3Response::new($output::default()));
                }
                Err(error::not_implemented($reason))
            }
        )+
    };
}

always! {
    /// `GetBucketRequestPayment`: always the owner.
    request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput =
        Ok(S3Response::new(GetBucketRequestPaymentOutput { payer: Some(Payer::from_static(Payer::BUCKET_OWNER)) }));
    /// `GetBucketLogging`: never on.
    logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = Ok(S3Response::new(GetBucketLoggingOutput::default()));
    /// `GetBucketNotificationConfiguration`: always empty.
    notification(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput =
        Ok(S3Response::new(GetBucketNotificationConfigurationOutput::default()));
    /// `GetBucketAccelerateConfiguration`: never on.
    accelerate(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput =
        Ok(S3Response::new(GetBucketAccelerateConfigurationOutput::default()));
    /// `GetBucketReplication`: never set.
    replication(GetBucketReplicationInput) -> GetBucketReplicationOutput = Err(error::custom(
        "ReplicationConfigurationNotFoundError",
        StatusCode::NOT_FOUND,
        "The replication configuration was not found",
    ));
    /// `DeleteBucketReplication`: there is nothing to delete.
    delete_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput =
        Ok(S3Response::new(DeleteBucketReplicationOutput::default()));
}

off_only! {
    "PutBucketRequestPayment"
    put_request_payment(PutBucketRequestPaymentInput) -> PutBucketRequestPaymentOutput,
        |input| input.request_payment_configuration.payer.as_str() == Payer::BUCKET_OWNER,
        "requester pays is not implemented: the bucket's owner pays";
    "PutBucketLogging"
    put_logging(PutBucketLoggingInput) -> PutBucketLoggingOutput,
        |input| input.bucket_logging_status.logging_enabled.is_none(),
        "access logs into buckets are not implemented";
    "PutBucketNotificationConfiguration"
    put_notification(PutBucketNotificationConfigurationInput) -> PutBucketNotificationConfigurationOutput,
        |input| is_empty(&input.notification_configuration),
        "events are not implemented: there are no targets for them";
    "PutBucketAccelerateConfiguration"
    put_accelerate(PutBucketAccelerateConfigurationInput) -> PutBucketAccelerateConfigurationOutput,
        |input| {
            let status = input.accelerate_configuration.status.as_ref();
            status.is_none_or(|status| status.as_str() == BucketAccelerateStatus::SUSPENDED)
        },
        "acceleration is not implemented: there is one endpoint";
}

fn is_empty(events: &NotificationConfiguration) -> bool {
    let NotificationConfiguration {
        event_bridge_configuration,
        lambda_function_configurations,
        queue_configurations,
        topic_configurations,
    } = events;
    event_bridge_configuration.is_none()
        && lambda_function_configurations.as_deref().unwrap_or_default().is_empty()
        && queue_configurations.as_deref().unwrap_or_default().is_empty()
        && topic_configurations.as_deref().unwrap_or_default().is_empty()
}
