//! Object lock: a bucket's default, and retention and legal hold of versions.

use super::{Protocol, access, describing, error, time};
use crate::access::objects::config::{ConfigChange, DefaultRetention, LockConfig};
use s3s::{
    S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        self, GetObjectLegalHoldInput, GetObjectLegalHoldOutput, GetObjectLockConfigurationInput,
        GetObjectLockConfigurationOutput, GetObjectRetentionInput, GetObjectRetentionOutput, ObjectLockConfiguration,
        ObjectLockEnabled, ObjectLockLegalHold, ObjectLockLegalHoldStatus, ObjectLockRetention,
        ObjectLockRetentionMode, ObjectLockRule, PutObjectLegalHoldInput, PutObjectLegalHoldOutput,
        PutObjectLockConfigurationInput, PutObjectLockConfigurationOutput, PutObjectRetentionInput,
        PutObjectRetentionOutput,
    },
};

/// Longest default retention, in days: a hundred years.
const DAYS_MAX: u32 = 36_500;
const DAYS_OF_YEAR: u32 = 365;

/// `GetObjectLockConfiguration`.
pub async fn get_configuration(
    protocol: &Protocol,
    request: S3Request<GetObjectLockConfigurationInput>,
) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
    let info = protocol.fresh(access::caller(&request)?).await?;
    let lock = info.config.lock;
    if !lock.enabled {
        return Err(error::unset("object lock"));
    }
    let rule = lock.default.map(|default| {
        let number = |days: u32| i32::try_from(days).ok();
        let (days, years) = match default.in_years {
            true => (None, number(default.days / DAYS_OF_YEAR)),
            false => (number(default.days), None),
        };
        let mode = Some(ObjectLockRetentionMode::from_static(describing::mode_name(default.mode)));
        ObjectLockRule { default_retention: Some(dto::DefaultRetention { days, mode, years }) }
    });
    let object_lock_enabled = Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED));
    let configuration = ObjectLockConfiguration { object_lock_enabled, rule };
    Ok(S3Response::new(GetObjectLockConfigurationOutput { object_lock_configuration: Some(configuration) }))
}

/// `PutObjectLockConfiguration`.
pub async fn put_configuration(
    protocol: &Protocol,
    request: S3Request<PutObjectLockConfigurationInput>,
) -> S3Result<S3Response<PutObjectLockConfigurationOutput>> {
    let caller = access::caller(&request)?;
    let asked = request.input.object_lock_configuration.as_ref();
    let asked = asked.ok_or_else(|| error::malformed_xml("the configuration is missing"))?;
    if asked.object_lock_enabled.as_ref().map(ObjectLockEnabled::as_str) != Some(ObjectLockEnabled::ENABLED) {
        return Err(error::malformed_xml("ObjectLockEnabled is not Enabled"));
    }
    let default = match asked.rule.as_ref() {
        None => None,
        Some(rule) => {
            let retention = rule.default_retention.as_ref();
            Some(default_of(retention.ok_or_else(|| error::malformed_xml("a rule has no DefaultRetention"))?)?)
        }
    };
    protocol.configure(caller, ConfigChange::Lock(LockConfig { enabled: true, default })).await?;
    Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
}

fn default_of(asked: &dto::DefaultRetention) -> S3Result<DefaultRetention> {
    let mode = asked.mode.as_ref().and_then(|mode| describing::mode_of(mode.as_str()));
    let mode = mode.ok_or_else(|| error::malformed_xml("the mode is neither GOVERNANCE nor COMPLIANCE"))?;
    let (asked_days, in_years) = match (asked.days, asked.years) {
        (Some(days), None) => (i64::from(days), false),
        (None, Some(years)) => (i64::from(years) * i64::from(DAYS_OF_YEAR), true),
        _ => return Err(error::malformed_xml("exactly one of Days and Years is needed")),
    };
    let days = u32::try_from(asked_days).ok().filter(|days| (1..=DAYS_MAX).contains(days));
    let message = "Default retention period must be a positive integer value.";
    let days = days.ok_or_else(|| error::refuse(S3ErrorCode::InvalidArgument, message))?;
    Ok(DefaultRetention { mode, days, in_years })
}

/// Versions are locked only in buckets made for it.
fn check_enabled(caller: &access::Caller) -> S3Result<()> {
    match caller.bucket()?.info.config.lock.enabled {
        true => Ok(()),
        false => Err(error::refuse(S3ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration")),
    }
}

/// `GetObjectRetention`.
pub async fn get_retention(
    protocol: &Protocol,
    request: S3Request<GetObjectRetentionInput>,
) -> S3Result<S3Response<GetObjectRetentionOutput>> {
    let caller = access::caller(&request)?;
    check_enabled(caller)?;
    let name = protocol.object_name(caller, &request.input.key, request.input.version_id.as_deref())?;
    let info = protocol.objects.describe(&name).await.map_err(|refused| caller.read_refusal(refused))?;
    let retention = info.description.retention.ok_or_else(no_lock)?;
    let retention = ObjectLockRetention {
        mode: Some(ObjectLockRetentionMode::from_static(describing::mode_name(retention.mode))),
        retain_until_date: Some(time::moment(retention.until_ms)),
    };
    Ok(S3Response::new(GetObjectRetentionOutput { retention: Some(retention) }))
}

fn no_lock() -> s3s::S3Error {
    let message = "The specified object does not have a ObjectLock configuration";
    error::refuse(S3ErrorCode::NoSuchObjectLockConfiguration, message)
}

/// `PutObjectRetention`.
pub async fn put_retention(
    protocol: &Protocol,
    request: S3Request<PutObjectRetentionInput>,
) -> S3Result<S3Response<PutObjectRetentionOutput>> {
    let caller = access::caller(&request)?;
    check_enabled(caller)?;
    let input = &request.input;
    let name = protocol.object_name(caller, &input.key, input.version_id.as_deref())?;
    let asked =
        input.retention.as_ref().map(|retention| (retention.mode.as_ref(), retention.retain_until_date.as_ref()));
    let retention = match asked {
        Some((Some(mode), Some(until))) => {
            Some(describing::retention(mode.as_str(), until, protocol.node.clock.unix_ms())?)
        }
        Some((None, None)) => None,
        _ => return Err(error::malformed_xml("a retention needs a mode and a date")),
    };
    let bypass = input.bypass_governance_retention.unwrap_or(false);
    protocol.objects.put_retention(&name, retention, bypass).await.map_err(error::refusal)?;
    Ok(S3Response::new(PutObjectRetentionOutput::default()))
}

/// `GetObjectLegalHold`.
pub async fn get_hold(
    protocol: &Protocol,
    request: S3Request<GetObjectLegalHoldInput>,
) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
    let caller = access::caller(&request)?;
    check_enabled(caller)?;
    let name = protocol.object_name(caller, &request.input.key, request.input.version_id.as_deref())?;
    let info = protocol.objects.describe(&name).await.map_err(|refused| caller.read_refusal(refused))?;
    let status =
        if info.description.legal_hold { ObjectLockLegalHoldStatus::ON } else { ObjectLockLegalHoldStatus::OFF };
    let hold = ObjectLockLegalHold { status: Some(ObjectLockLegalHoldStatus::from_static(status)) };
    Ok(S3Response::new(GetObjectLegalHoldOutput { legal_hold: Some(hold) }))
}

/// `PutObjectLegalHold`.
pub async fn put_hold(
    protocol: &Protocol,
    request: S3Request<PutObjectLegalHoldInput>,
) -> S3Result<S3Response<PutObjectLegalHoldOutput>> {
    let caller = access::caller(&request)?;
    check_enabled(caller)?;
    let input = &request.input;
    let name = protocol.object_name(caller, &input.key, input.version_id.as_deref())?;
    let status = input.legal_hold.as_ref().and_then(|hold| hold.status.as_ref());
    let hold = match status.map(ObjectLockLegalHoldStatus::as_str) {
        Some("ON") => true,
        Some("OFF") => false,
        _ => return Err(error::malformed_xml("the status of a legal hold is ON or OFF")),
    };
    protocol.objects.put_legal_hold(&name, hold).await.map_err(error::refusal)?;
    Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
}
