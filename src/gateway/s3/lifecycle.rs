//! Lifecycle rules: from the document of S3 to the rules a bucket carries out.
//!
//! Transitions are refused: there is one storage class. Invariant: every rule that is accepted is carried out as it says.

use super::{error, time};
use crate::access::objects::config::{Expiry, LIFECYCLE_MAX_RULES, LifecycleFilter, LifecycleRule};
use s3s::{
    S3ErrorCode, S3Result,
    dto::{self, BucketLifecycleConfiguration},
};
use std::collections::BTreeSet;

/// Longest name of a rule.
const ID_MAX_CHARS: usize = 255;
const DAY_MS: u64 = 86_400_000;

/// The rules of a document. Rules without a name are given one, in the document too.
pub fn rules_of(document: &mut BucketLifecycleConfiguration) -> S3Result<Vec<LifecycleRule>> {
    if document.rules.is_empty() || document.rules.len() > LIFECYCLE_MAX_RULES {
        let message = format!("{} rules, expected 1 to {LIFECYCLE_MAX_RULES}", document.rules.len());
        return Err(error::malformed_xml(message));
    }
    let mut ids = BTreeSet::new();
    let mut rules = Vec::with_capacity(document.rules.len());
    for (n, rule) in document.rules.iter_mut().enumerate() {
        let id = rule.id.get_or_insert_with(|| format!("rule-{}", n + 1)).clone();
        if id.chars().count() > ID_MAX_CHARS {
            return Err(error::invalid_argument(format!(
                "ID length should not exceed allowed limit of {ID_MAX_CHARS}"
            )));
        }
        if !ids.insert(id.clone()) {
            return Err(error::invalid_argument("Rule ID must be unique. Found same ID for more than one rule"));
        }
        rules.push(rule_of(id, rule)?);
    }
    Ok(rules)
}

fn rule_of(id: String, rule: &dto::LifecycleRule) -> S3Result<LifecycleRule> {
    let enabled = match rule.status.as_str() {
        "Enabled" => true,
        "Disabled" => false,
        _ => return Err(error::malformed_xml("the status of a rule is Enabled or Disabled")),
    };
    let moves = |transitions: Option<usize>| transitions.is_some_and(|count| count > 0);
    if moves(rule.transitions.as_ref().map(Vec::len))
        || moves(rule.noncurrent_version_transitions.as_ref().map(Vec::len))
    {
        return Err(error::not_implemented("transitions are not implemented: there is one storage class"));
    }
    let (expire, expire_markers) = expiration_of(rule.expiration.as_ref())?;
    let noncurrent = rule.noncurrent_version_expiration.as_ref();
    let noncurrent_days = match noncurrent {
        None => None,
        Some(expiration) => Some(days(expiration.noncurrent_days.unwrap_or(0), "NoncurrentDays")?),
    };
    let noncurrent_keep = noncurrent.and_then(|expiration| expiration.newer_noncurrent_versions).unwrap_or(0);
    let abort = rule.abort_incomplete_multipart_upload.as_ref().and_then(|abort| abort.days_after_initiation);
    let made = LifecycleRule {
        id,
        enabled,
        filter: filter_of(rule)?,
        expire,
        expire_markers,
        noncurrent_days,
        noncurrent_keep: u32::try_from(noncurrent_keep)
            .map_err(|_| error::invalid_argument("NewerNoncurrentVersions is negative"))?,
        abort_upload_days: abort.map(|d| days(d, "DaysAfterInitiation")).transpose()?,
    };
    let acts = made.expire.is_some() || expire_markers || noncurrent_days.is_some() || made.abort_upload_days.is_some();
    if !acts {
        return Err(error::refuse(S3ErrorCode::InvalidRequest, "At least one action needs to be specified in a rule"));
    }
    Ok(made)
}

fn days(days: i32, what: &str) -> S3Result<u32> {
    let positive = u32::try_from(days).ok().filter(|days| *days > 0);
    positive.ok_or_else(|| error::invalid_argument(format!("'{what}' must be a positive integer")))
}

fn expiration_of(expiration: Option<&dto::LifecycleExpiration>) -> S3Result<(Option<Expiry>, bool)> {
    let Some(expiration) = expiration else { return Ok((None, false)) };
    match (expiration.days, &expiration.date, expiration.expired_object_delete_marker) {
        (Some(count), None, None) => Ok((Some(Expiry::Days(days(count, "Days")?)), false)),
        (None, Some(date), None) => {
            let at_ms = time::unix_ms(date);
            if !at_ms.is_multiple_of(DAY_MS) {
                return Err(error::invalid_argument("'Date' must be at midnight GMT"));
            }
            Ok((Some(Expiry::At(at_ms)), false))
        }
        (None, None, Some(markers)) => Ok((None, markers)),
        _ => Err(error::malformed_xml("exactly one of Days, Date and ExpiredObjectDeleteMarker is needed")),
    }
}

fn filter_of(rule: &dto::LifecycleRule) -> S3Result<LifecycleFilter> {
    let mut filter = LifecycleFilter::default();
    let size = |bytes: i64| u64::try_from(bytes).map_err(|_| error::invalid_argument("a size is negative"));
    let Some(asked) = &rule.filter else {
        filter.prefix = rule.prefix.clone().unwrap_or_default();
        return Ok(filter);
    };
    if rule.prefix.is_some() {
        return Err(error::malformed_xml("a rule has a filter or a prefix, not both"));
    }
    let mut add = |tag: &dto::Tag| {
        let (key, value) = (tag.key.clone().unwrap_or_default(), tag.value.clone().unwrap_or_default());
        match filter.tags.insert(key, value) {
            None => Ok(()),
            Some(_) => Err(error::refuse(S3ErrorCode::InvalidRequest, "Duplicate Tag Keys are not allowed.")),
        }
    };
    if let Some(and) = &asked.and {
        and.tags.iter().flatten().try_for_each(&mut add)?;
        filter.prefix = and.prefix.clone().unwrap_or_default();
        filter.larger_than = and.object_size_greater_than.map(size).transpose()?;
        filter.smaller_than = and.object_size_less_than.map(size).transpose()?;
    } else {
        asked.tag.iter().try_for_each(&mut add)?;
        filter.prefix = asked.prefix.clone().unwrap_or_default();
        filter.larger_than = asked.object_size_greater_than.map(size).transpose()?;
        filter.smaller_than = asked.object_size_less_than.map(size).transpose()?;
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::s3::documents;

    fn rules(xml: &str) -> S3Result<Vec<LifecycleRule>> {
        let text = format!("<LifecycleConfiguration>{xml}</LifecycleConfiguration>");
        rules_of(&mut documents::from_bytes("lifecycle", text.as_bytes()).unwrap())
    }

    #[test]
    fn documents_become_rules() {
        let made = rules(
            "<Rule><ID>a</ID><Status>Enabled</Status><Filter><And><Prefix>logs/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>\
             <ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter><Expiration><Days>3</Days></Expiration></Rule>\
             <Rule><Status>Disabled</Status><Prefix>old/</Prefix><NoncurrentVersionExpiration><NoncurrentDays>9</NoncurrentDays>\
             <NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>\
             <AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>",
        )
        .unwrap();
        assert_eq!(made[0].filter.prefix, "logs/");
        assert_eq!(made[0].filter.tags["k"], "v");
        assert_eq!(made[0].filter.larger_than, Some(5));
        assert_eq!(made[0].expire, Some(Expiry::Days(3)));
        assert_eq!((made[1].id.as_str(), made[1].enabled), ("rule-2", false));
        assert_eq!(
            (made[1].noncurrent_days, made[1].noncurrent_keep, made[1].abort_upload_days),
            (Some(9), 2, Some(1))
        );
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused() {
        let rule =
            |inside: &str| rules(&format!("<Rule><ID>a</ID><Status>Enabled</Status><Prefix></Prefix>{inside}</Rule>"));
        let code = |result: S3Result<Vec<LifecycleRule>>| result.unwrap_err().code().as_str().to_owned();
        assert_eq!(code(rule("")), "InvalidRequest");
        assert_eq!(code(rule("<Expiration><Days>0</Days></Expiration>")), "InvalidArgument");
        let move_it = "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>";
        assert_eq!(code(rule(move_it)), "NotImplemented");
        assert_eq!(code(rule("<Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>")), "InvalidArgument");
        let one =
            "<Rule><ID>a</ID><Status>Enabled</Status><Prefix></Prefix><Expiration><Days>1</Days></Expiration></Rule>";
        assert_eq!(code(rules(&format!("{one}{one}"))), "InvalidArgument");
    }
}
