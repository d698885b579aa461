//! The decision.

use super::{
    acl::{Acl, Permission},
    condition::Context,
    document::{Policy, Verdict},
};
use crate::types::Address;

/// Who wants to do what.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Account of the signature; none when unsigned.
    pub who: Option<Address>,
    /// Such as `s3:GetObject`.
    pub action: &'a str,
    /// Name of the bucket.
    pub bucket: &'a str,
    /// Key of the object, for actions on objects.
    pub key: Option<&'a str>,
    /// What conditions may look at.
    pub context: &'a Context,
}

/// What is configured.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// Owner of the bucket.
    pub owner: Address,
    /// Its policy.
    pub policy: Option<&'a Policy>,
    /// Its access control list.
    pub acl: &'a Acl,
    /// The object's, when the action is on one that exists.
    pub object: Option<ObjectRights<'a>>,
    /// Ownership is enforced: lists do not count.
    pub acls_disabled: bool,
    /// Public access block: grants to groups do not count.
    pub ignore_public_acls: bool,
    /// Public access block: a public policy lets only the owner in.
    pub restrict_public: bool,
}

/// Owner and list of an object.
#[derive(Debug, Clone, Copy)]
pub struct ObjectRights<'a> {
    /// Who wrote it.
    pub owner: Address,
    /// Its list.
    pub acl: &'a Acl,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// Refuse.
    Deny(Denied),
}

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// A statement forbids it.
    ByPolicy,
    /// No rule allows it.
    NotAllowed,
}

impl Decision {
    /// Whether to go on.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allow)
    }
}

/// Actions on the policy that its owner keeps whatever the policy says, so that nobody locks himself out.
const OWNERS_ALWAYS: [&str; 3] = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"];

/// Weighs a request against what is configured: an explicit deny first, then ownership, the policy's allow, and the lists.
pub fn decide(question: &Question<'_>, rules: &Rules<'_>) -> Decision {
    let owner = question.who == Some(rules.owner);
    if owner && OWNERS_ALWAYS.contains(&question.action) {
        return Decision::Allow;
    }
    let resource = match question.key {
        Some(key) => format!("arn:aws:s3:::{}/{key}", question.bucket),
        None => format!("arn:aws:s3:::{}", question.bucket),
    };
    let says = |policy: &Policy| policy.verdict(question.who, question.action, &resource, question.context);
    match rules.policy.map_or(Verdict::Silent, says) {
        Verdict::Deny => return Decision::Deny(Denied::ByPolicy),
        Verdict::Allow { public } if !(public && rules.restrict_public) || owner => return Decision::Allow,
        _ => {}
    }
    if by_ownership(question, rules, owner) || by_lists(question, rules) {
        return Decision::Allow;
    }
    Decision::Deny(Denied::NotAllowed)
}

/// What the owner of the bucket, and of the object, may do without any grant.
fn by_ownership(question: &Question<'_>, rules: &Rules<'_>, owner: bool) -> bool {
    match rules.object {
        Some(object) if !rules.acls_disabled && object.owner != rules.owner => {
            // Of another account's object the bucket's owner may remove it, and read it only by grant.
            let removes = question.action.starts_with("s3:Delete");
            let theirs = question.who == Some(object.owner) && !removes && object_permission(question.action).is_some();
            (owner && (removes || object_permission(question.action).is_none())) || theirs
        }
        _ => owner,
    }
}

fn by_lists(question: &Question<'_>, rules: &Rules<'_>) -> bool {
    if rules.acls_disabled {
        return false;
    }
    let permits = |acl: &Acl, permission| acl.permits(question.who, permission, rules.ignore_public_acls);
    match (bucket_permission(question.action), object_permission(question.action), rules.object) {
        (Some(permission), _, _) => permits(rules.acl, permission),
        (None, Some(permission), Some(object)) => permits(object.acl, permission),
        _ => false,
    }
}

/// The permission on the bucket's list that stands for `action`.
fn bucket_permission(action: &str) -> Option<Permission> {
    match action {
        "s3:ListBucket" | "s3:ListBucketVersions" | "s3:ListBucketMultipartUploads" => Some(Permission::Read),
        "s3:PutObject" | "s3:DeleteObject" | "s3:AbortMultipartUpload" | "s3:ListMultipartUploadParts" => {
            Some(Permission::Write)
        }
        "s3:GetBucketAcl" => Some(Permission::ReadAcp),
        "s3:PutBucketAcl" => Some(Permission::WriteAcp),
        _ => None,
    }
}

/// Whether an object's owner or list has a say in `action`.
pub fn is_about_objects(action: &str) -> bool {
    object_permission(action).is_some()
}

/// The permission on an object's list that stands for `action`.
fn object_permission(action: &str) -> Option<Permission> {
    match action {
        "s3:GetObject" | "s3:GetObjectVersion" | "s3:GetObjectAttributes" | "s3:GetObjectVersionAttributes" => {
            Some(Permission::Read)
        }
        "s3:GetObjectAcl" | "s3:GetObjectVersionAcl" => Some(Permission::ReadAcp),
        "s3:PutObjectAcl" | "s3:PutObjectVersionAcl" => Some(Permission::WriteAcp),
        _ => None,
    }
}
