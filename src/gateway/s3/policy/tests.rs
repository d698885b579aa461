//! Tables: what each rule lets through and what it stops.

use super::pattern::matches;
use super::{decide::Denied, document::PolicyError, *};
use crate::types::Address;

const OWNER: Address = Address::repeat_byte(1);
const OTHER: Address = Address::repeat_byte(2);

fn policy(statements: &str) -> Policy {
    Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#), "b").unwrap()
}

fn refused(statement: &str) -> String {
    Policy::parse(&format!(r#"{{"Statement":[{statement}]}}"#), "b").unwrap_err().to_string()
}

fn rules<'a>(policy: Option<&'a Policy>, acl: &'a Acl) -> Rules<'a> {
    Rules {
        owner: OWNER,
        policy,
        acl,
        object: None,
        acls_disabled: false,
        ignore_public_acls: false,
        restrict_public: false,
    }
}

fn ask<'a>(who: Option<Address>, action: &'a str, key: Option<&'a str>, context: &'a Context) -> Question<'a> {
    Question { who, action, bucket: "b", key, context }
}

fn allowed(rules: &Rules<'_>, who: Option<Address>, action: &str, key: Option<&str>) -> bool {
    decide(&ask(who, action, key, &Context::default()), rules).is_allowed()
}

#[test]
fn wildcards() {
    for (pattern, text, holds) in [
        ("*", "", true),
        ("a*c", "abc", true),
        ("a*c", "ac", true),
        ("a?c", "ac", false),
        ("a?c", "äbc", false),
        ("?bc", "äbc", true),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/x/y", true),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b", false),
        ("*a*b*", "xxaxxbxx", true),
        ("*a*b", "xxaxxbxx", false),
    ] {
        assert_eq!(matches(pattern, text), holds, "{pattern} {text}");
    }
    let stars = "*a".repeat(200);
    assert!(!matches(&stars, &"a".repeat(199)), "many stars stay quick");
}

#[test]
fn accounts_are_named_alone_or_in_arns() {
    let text = account_text(OTHER);
    assert_eq!(account_of(&text), Some(OTHER));
    assert_eq!(account_of(text.trim_start_matches("0x")), Some(OTHER));
    assert_eq!(account_of(&format!("arn:aws:iam::{text}:root")), Some(OTHER));
    assert_eq!(account_of(&format!("arn:aws:iam::{text}:user/ann")), Some(OTHER));
    for bad in ["", "123456789012", "arn:aws:iam::123456789012:root", "arn:aws:s3:::b", "0x01"] {
        assert_eq!(account_of(bad), None, "{bad}");
    }
}

#[test]
fn without_rules_only_the_owner_is_let_in() {
    let none = Acl::default();
    let rules = rules(None, &none);
    for action in ["s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteBucket", "s3:PutBucketPolicy"] {
        assert!(allowed(&rules, Some(OWNER), action, Some("k")), "{action}");
        assert!(!allowed(&rules, Some(OTHER), action, Some("k")), "{action}");
        assert!(!allowed(&rules, None, action, Some("k")), "{action}");
    }
}

#[test]
fn policies_allow_by_principal_action_and_resource() {
    let other = account_text(OTHER);
    let none = Acl::default();
    let read =
        policy(r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/pub/*"}"#);
    let rules_ = rules(Some(&read), &none);
    assert!(allowed(&rules_, None, "s3:GetObject", Some("pub/x")));
    assert!(allowed(&rules_, Some(OTHER), "s3:GetObject", Some("pub/x")));
    assert!(!allowed(&rules_, None, "s3:GetObject", Some("private")));
    assert!(!allowed(&rules_, None, "s3:GetObjectVersion", Some("pub/x")));
    assert!(!allowed(&rules_, None, "s3:ListBucket", None));
    let one = policy(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":["arn:aws:iam::{other}:root"]}},"Action":["s3:get*","S3:ListBucket"],"Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}}"#
    ));
    let rules_ = rules(Some(&one), &none);
    assert!(allowed(&rules_, Some(OTHER), "s3:GetObject", Some("k")));
    assert!(allowed(&rules_, Some(OTHER), "s3:ListBucket", None));
    assert!(!allowed(&rules_, Some(OTHER), "s3:PutObject", Some("k")));
    assert!(!allowed(&rules_, None, "s3:GetObject", Some("k")));
    let rest = policy(
        r#"{"Effect":"Allow","Principal":{"AWS":"*"},"NotAction":"s3:Delete*","NotResource":"arn:aws:s3:::b/secret*"}"#,
    );
    let rules_ = rules(Some(&rest), &none);
    assert!(allowed(&rules_, None, "s3:PutObject", Some("k")));
    assert!(!allowed(&rules_, None, "s3:DeleteObject", Some("k")));
    assert!(!allowed(&rules_, None, "s3:PutObject", Some("secret/k")));
}

#[test]
fn a_deny_wins_even_over_the_owner_who_keeps_the_policy() {
    let none = Acl::default();
    let both = policy(
        r#"{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"},
           {"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b*"}"#,
    );
    let rules = rules(Some(&both), &none);
    let context = Context::default();
    let denied = decide(&ask(Some(OWNER), "s3:GetObject", Some("k"), &context), &rules);
    assert_eq!(denied, Decision::Deny(Denied::ByPolicy));
    assert!(!allowed(&rules, Some(OTHER), "s3:GetObject", Some("k")));
    for action in ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"] {
        assert!(allowed(&rules, Some(OWNER), action, None), "{action}");
        assert!(!allowed(&rules, Some(OTHER), action, None), "{action}");
    }
}

#[test]
fn deny_to_all_but_some() {
    let other = account_text(OTHER);
    let none = Acl::default();
    let but = policy(&format!(
        r#"{{"Effect":"Deny","NotPrincipal":{{"AWS":"{other}"}},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#
    ));
    let rules = rules(Some(&but), &none);
    assert!(!allowed(&rules, Some(OWNER), "s3:GetObject", Some("k")));
    assert!(allowed(&rules, Some(OWNER), "s3:PutObject", Some("k")));
}

/// A condition, what a request has, and whether it holds.
type Case = (&'static str, &'static [(&'static str, &'static str)], bool);

#[test]
fn conditions_hold_as_documented() {
    let none = Acl::default();
    let cases: &[Case] = &[
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, &[("aws:SourceIp", "10.9.8.7")], true),
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, &[("aws:SourceIp", "11.0.0.1")], false),
        (r#"{"IpAddress":{"aws:SourceIp":["2001:db8::/32","::1"]}}"#, &[("aws:SourceIp", "2001:db8::5")], true),
        (r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, &[("aws:SourceIp", "10.0.0.1")], false),
        (r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, &[("aws:SourceIp", "11.0.0.1")], true),
        (r#"{"Bool":{"aws:SecureTransport":"true"}}"#, &[("aws:SecureTransport", "false")], false),
        (r#"{"Bool":{"aws:SecureTransport":true}}"#, &[("aws:SecureTransport", "true")], true),
        (r#"{"StringEquals":{"s3:prefix":["a/","b/"]}}"#, &[("s3:prefix", "b/")], true),
        (r#"{"StringEquals":{"s3:prefix":"a/"}}"#, &[("s3:prefix", "A/")], false),
        (r#"{"StringEquals":{"s3:prefix":"a/"}}"#, &[], false),
        (r#"{"StringEqualsIfExists":{"s3:prefix":"a/"}}"#, &[], true),
        (r#"{"StringEqualsIgnoreCase":{"s3:prefix":"a/"}}"#, &[("s3:prefix", "A/")], true),
        (r#"{"StringNotEquals":{"s3:x-amz-acl":"public-read"}}"#, &[], true),
        (r#"{"StringNotEquals":{"s3:x-amz-acl":"public-read"}}"#, &[("s3:x-amz-acl", "public-read")], false),
        (
            r#"{"StringLike":{"aws:Referer":"https://*.example.org/*"}}"#,
            &[("aws:Referer", "https://a.example.org/x")],
            true,
        ),
        (r#"{"StringNotLike":{"aws:UserAgent":"curl*"}}"#, &[("aws:UserAgent", "curl/8")], false),
        (r#"{"NumericLessThanEquals":{"s3:max-keys":"10"}}"#, &[("s3:max-keys", "10")], true),
        (r#"{"NumericLessThan":{"s3:max-keys":10}}"#, &[("s3:max-keys", "10")], false),
        (
            r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}"#,
            &[("aws:CurrentTime", "1800000000")],
            true,
        ),
        (r#"{"DateLessThan":{"aws:CurrentTime":"2026-01-01"}}"#, &[("aws:CurrentTime", "1800000000")], false),
        (r#"{"Null":{"s3:x-amz-server-side-encryption":"true"}}"#, &[], true),
        (
            r#"{"Null":{"s3:x-amz-server-side-encryption":"true"}}"#,
            &[("s3:x-amz-server-side-encryption", "AES256")],
            false,
        ),
        (r#"{"StringEquals":{"s3:ExistingObjectTag/env":"test"}}"#, &[("s3:ExistingObjectTag/env", "test")], true),
        (
            r#"{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a","b"]}}"#,
            &[("s3:RequestObjectTagKeys", "a"), ("s3:RequestObjectTagKeys", "c")],
            false,
        ),
        (
            r#"{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["a","b"]}}"#,
            &[("s3:RequestObjectTagKeys", "a"), ("s3:RequestObjectTagKeys", "c")],
            true,
        ),
        (
            r#"{"StringEquals":{"s3:prefix":"a/"},"Bool":{"aws:SecureTransport":"true"}}"#,
            &[("s3:prefix", "a/"), ("aws:SecureTransport", "false")],
            false,
        ),
    ];
    for (condition, values, holds) in cases {
        let policy = policy(&format!(
            r#"{{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"*","Condition":{condition}}}"#
        ));
        let mut context = Context::default();
        for (key, value) in *values {
            context.add(key, *value);
        }
        let decision = decide(&ask(None, "s3:ListBucket", None, &context), &rules(Some(&policy), &none));
        assert_eq!(decision.is_allowed(), *holds, "{condition} {values:?}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let with = |field: &str| format!(r#"{{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*",{field}}}"#);
    for (statement, reason) in [
        (with(r#""Condition":{"StringSounds":{"s3:prefix":"a"}}"#), "condition operator `StringSounds` is not known"),
        (with(r#""Condition":{"StringEquals":{"aws:Moon":"full"}}"#), "condition key `aws:moon` is not known"),
        (with(r#""Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/40"}}"#), "is not a value for `IpAddress`"),
        (with(r#""Extra":1"#), "field `Extra` is not known"),
        (with(r#""NotAction":"s3:*""#), "exactly one of `Action` and `NotAction`"),
        (r#"{"Effect":"Maybe","Principal":"*","Action":"s3:*","Resource":"*"}"#.into(), "neither Allow nor Deny"),
        (r#"{"Effect":"Allow","Principal":"*","Action":"ec2:*","Resource":"*"}"#.into(), "does not begin with s3:"),
        (
            r#"{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::c/*"}"#.into(),
            "is not of bucket `b`",
        ),
        (r#"{"Effect":"Allow","Principal":{"AWS":"ann"},"Action":"s3:*","Resource":"*"}"#.into(), "is not an account"),
        (
            r#"{"Effect":"Allow","Principal":{"Service":"x"},"Action":"s3:*","Resource":"*"}"#.into(),
            "principals of kind `Service`",
        ),
        (
            r#"{"Effect":"Allow","NotPrincipal":{"AWS":"*"},"Action":"s3:*","Resource":"*"}"#.into(),
            "would let everybody else in",
        ),
    ] {
        let said = refused(&statement);
        assert!(said.contains(reason), "{statement}: {said}");
    }
    assert!(matches!(Policy::parse(&" ".repeat(30_000), "b"), Err(PolicyError::TooLarge(30_000))));
    assert!(matches!(Policy::parse("{", "b"), Err(PolicyError::NotJson(_))));
}

#[test]
fn lists_grant_what_they_say() {
    let object_acl = CannedAcl::PublicRead.expand(OWNER, OWNER);
    let bucket_acl = CannedAcl::PublicReadWrite.expand(OWNER, OWNER);
    let none = Acl::default();
    let mut with = rules(None, &bucket_acl);
    assert!(allowed(&with, None, "s3:ListBucket", None));
    assert!(allowed(&with, None, "s3:PutObject", Some("k")));
    assert!(!allowed(&with, None, "s3:GetBucketAcl", None));
    assert!(!allowed(&with, None, "s3:GetObject", Some("k")), "reading a bucket is not reading its objects");
    with.acl = &none;
    with.object = Some(ObjectRights { owner: OWNER, acl: &object_acl });
    assert!(allowed(&with, None, "s3:GetObject", Some("k")));
    assert!(!allowed(&with, None, "s3:GetObjectAcl", Some("k")));
    assert!(!allowed(&with, None, "s3:DeleteObject", Some("k")));
    with.ignore_public_acls = true;
    assert!(!allowed(&with, None, "s3:GetObject", Some("k")));
    with.ignore_public_acls = false;
    with.acls_disabled = true;
    assert!(!allowed(&with, None, "s3:GetObject", Some("k")));
    let signed = CannedAcl::AuthenticatedRead.expand(OWNER, OWNER);
    with.acls_disabled = false;
    with.object = Some(ObjectRights { owner: OWNER, acl: &signed });
    assert!(allowed(&with, Some(OTHER), "s3:GetObject", Some("k")));
    assert!(!allowed(&with, None, "s3:GetObject", Some("k")));
}

#[test]
fn an_object_of_another_account_is_theirs() {
    let none = Acl::default();
    let theirs = CannedAcl::Private.expand(OTHER, OWNER);
    let shared = CannedAcl::BucketOwnerRead.expand(OTHER, OWNER);
    let mut with = rules(None, &none);
    with.object = Some(ObjectRights { owner: OTHER, acl: &theirs });
    assert!(!allowed(&with, Some(OWNER), "s3:GetObject", Some("k")));
    assert!(allowed(&with, Some(OWNER), "s3:DeleteObject", Some("k")));
    assert!(allowed(&with, Some(OTHER), "s3:GetObject", Some("k")));
    assert!(allowed(&with, Some(OTHER), "s3:PutObjectAcl", Some("k")));
    assert!(!allowed(&with, Some(OTHER), "s3:DeleteObject", Some("k")));
    with.object = Some(ObjectRights { owner: OTHER, acl: &shared });
    assert!(allowed(&with, Some(OWNER), "s3:GetObject", Some("k")));
    with.object = Some(ObjectRights { owner: OTHER, acl: &theirs });
    with.acls_disabled = true;
    assert!(allowed(&with, Some(OWNER), "s3:GetObject", Some("k")));
    assert!(!allowed(&with, Some(OTHER), "s3:GetObject", Some("k")));
}

#[test]
fn a_public_policy_can_be_restricted() {
    let none = Acl::default();
    let public = policy(r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}"#);
    let inside = policy(
        r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}"#,
    );
    assert!(public.is_public());
    assert!(!inside.is_public());
    let mut with = rules(Some(&public), &none);
    assert!(allowed(&with, None, "s3:GetObject", Some("k")));
    with.restrict_public = true;
    assert!(!allowed(&with, None, "s3:GetObject", Some("k")));
    assert!(!allowed(&with, Some(OTHER), "s3:GetObject", Some("k")));
    assert!(allowed(&with, Some(OWNER), "s3:GetObject", Some("k")));
}

#[test]
fn grant_headers() {
    let header = format!(r#"id="{}", uri="{}""#, account_text(OTHER), super::acl::ALL_USERS);
    let grants = Acl::parse_header(&header, Permission::Read).unwrap();
    assert_eq!(grants.len(), 2);
    assert_eq!(grants[0].grantee, Grantee::Account(OTHER));
    assert_eq!(grants[1].grantee, Grantee::AllUsers);
    for bad in ["emailAddress=\"a@b.c\"", "id=\"zz\"", "nonsense", "uri=\"http://x\""] {
        assert!(Acl::parse_header(bad, Permission::Read).is_err(), "{bad}");
    }
    assert!(matches!(CannedAcl::parse("open"), Err(AclError::UnknownCanned(_))));
}
