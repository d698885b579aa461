//! Access control lists: canned ones, grants of headers, and what a grant permits.

use super::pattern;
use crate::types::Address;

/// Most grants of one list.
pub const GRANTS_MAX: usize = 100;
/// URI of everybody, signed in or not.
pub const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
/// URI of everybody who signs.
pub const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
/// URI of who delivers logs.
pub const LOG_DELIVERY: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";

/// Why a list was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AclError {
    /// Unknown name of a canned list.
    #[error("canned access control list `{0}` is not known")]
    UnknownCanned(String),
    /// A grantee that cannot be resolved.
    #[error("grantee `{0}` is not an account or group of this network")]
    UnknownGrantee(String),
    /// A permission that does not exist.
    #[error("permission `{0}` is not known")]
    UnknownPermission(String),
    /// Too long.
    #[error("{0} grants, at most {GRANTS_MAX}")]
    TooMany(usize),
}

/// Who is granted something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grantee {
    /// One account.
    Account(Address),
    /// Everybody.
    AllUsers,
    /// Everybody who signs.
    AuthenticatedUsers,
    /// Nobody here: kept so that clients get back what they set.
    LogDelivery,
}

/// What is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Listing a bucket, reading an object.
    Read,
    /// Writing into a bucket.
    Write,
    /// Reading the list.
    ReadAcp,
    /// Changing the list.
    WriteAcp,
    /// All of them.
    FullControl,
}

/// One grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// To whom.
    pub grantee: Grantee,
    /// What.
    pub permission: Permission,
}

/// A list of grants. An empty one is private: the owner needs none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acl {
    /// The grants.
    pub grants: Vec<Grant>,
}

/// The lists that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CannedAcl {
    /// The owner alone.
    Private,
    /// Everybody reads.
    PublicRead,
    /// Everybody reads and writes.
    PublicReadWrite,
    /// Everybody who signs reads.
    AuthenticatedRead,
    /// The bucket's owner reads.
    BucketOwnerRead,
    /// The bucket's owner has full control.
    BucketOwnerFullControl,
    /// Logs are delivered.
    LogDeliveryWrite,
    /// Kept for clients; the owner alone.
    AwsExecRead,
}

impl CannedAcl {
    /// The list a name stands for.
    pub fn parse(name: &str) -> Result<Self, AclError> {
        Ok(match name {
            "private" => Self::Private,
            "public-read" => Self::PublicRead,
            "public-read-write" => Self::PublicReadWrite,
            "authenticated-read" => Self::AuthenticatedRead,
            "bucket-owner-read" => Self::BucketOwnerRead,
            "bucket-owner-full-control" => Self::BucketOwnerFullControl,
            "log-delivery-write" => Self::LogDeliveryWrite,
            "aws-exec-read" => Self::AwsExecRead,
            other => return Err(AclError::UnknownCanned(other.chars().take(80).collect())),
        })
    }

    /// Its grants besides full control of `owner`, in a bucket of `bucket_owner`.
    pub fn expand(self, owner: Address, bucket_owner: Address) -> Acl {
        let grant = |grantee, permission| Grant { grantee, permission };
        let mut grants = vec![grant(Grantee::Account(owner), Permission::FullControl)];
        match self {
            Self::Private | Self::AwsExecRead => {}
            Self::PublicRead => grants.push(grant(Grantee::AllUsers, Permission::Read)),
            Self::PublicReadWrite => {
                grants.push(grant(Grantee::AllUsers, Permission::Read));
                grants.push(grant(Grantee::AllUsers, Permission::Write));
            }
            Self::AuthenticatedRead => grants.push(grant(Grantee::AuthenticatedUsers, Permission::Read)),
            Self::BucketOwnerRead if owner != bucket_owner => {
                grants.push(grant(Grantee::Account(bucket_owner), Permission::Read));
            }
            Self::BucketOwnerFullControl if owner != bucket_owner => {
                grants.push(grant(Grantee::Account(bucket_owner), Permission::FullControl));
            }
            Self::BucketOwnerRead | Self::BucketOwnerFullControl => {}
            Self::LogDeliveryWrite => {
                grants.push(grant(Grantee::LogDelivery, Permission::Write));
                grants.push(grant(Grantee::LogDelivery, Permission::ReadAcp));
            }
        }
        Acl { grants }
    }
}

impl Permission {
    /// Name in XML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::ReadAcp => "READ_ACP",
            Self::WriteAcp => "WRITE_ACP",
            Self::FullControl => "FULL_CONTROL",
        }
    }

    /// From its name in XML.
    pub fn parse(name: &str) -> Result<Self, AclError> {
        let all = [Self::Read, Self::Write, Self::ReadAcp, Self::WriteAcp, Self::FullControl];
        all.into_iter().find(|p| p.name() == name).ok_or_else(|| AclError::UnknownPermission(name.to_owned()))
    }
}

impl Grantee {
    /// The URI of a group.
    pub const fn uri(self) -> Option<&'static str> {
        match self {
            Self::Account(_) => None,
            Self::AllUsers => Some(ALL_USERS),
            Self::AuthenticatedUsers => Some(AUTHENTICATED_USERS),
            Self::LogDelivery => Some(LOG_DELIVERY),
        }
    }

    /// The group behind a URI.
    pub fn group(uri: &str) -> Result<Self, AclError> {
        let all = [Self::AllUsers, Self::AuthenticatedUsers, Self::LogDelivery];
        all.into_iter().find(|g| g.uri() == Some(uri)).ok_or_else(|| AclError::UnknownGrantee(uri.to_owned()))
    }

    /// Whether anybody outside is meant.
    pub const fn is_public(self) -> bool {
        matches!(self, Self::AllUsers | Self::AuthenticatedUsers)
    }

    fn holds(self, who: Option<Address>) -> bool {
        match self {
            Self::Account(account) => who == Some(account),
            Self::AllUsers => true,
            Self::AuthenticatedUsers => who.is_some(),
            Self::LogDelivery => false,
        }
    }
}

impl Acl {
    /// A list of `grants`.
    pub fn new(grants: Vec<Grant>) -> Result<Self, AclError> {
        if grants.len() > GRANTS_MAX { Err(AclError::TooMany(grants.len())) } else { Ok(Self { grants }) }
    }

    /// Reads one `x-amz-grant-…` header: `id="0x…", uri="http://…"`.
    pub fn parse_header(header: &str, permission: Permission) -> Result<Vec<Grant>, AclError> {
        let mut grants = Vec::new();
        for part in header.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let unknown = || AclError::UnknownGrantee(part.chars().take(120).collect());
            let (kind, value) = part.split_once('=').ok_or_else(unknown)?;
            let value = value.trim().trim_matches('"');
            let grantee = match kind.trim() {
                "id" => Grantee::Account(pattern::account_of(value).ok_or_else(unknown)?),
                "uri" => Grantee::group(value)?,
                _ => return Err(unknown()),
            };
            grants.push(Grant { grantee, permission });
        }
        Ok(grants)
    }

    /// Whether `who` has `wanted`; grants to groups do not count when `ignore_public`.
    pub fn permits(&self, who: Option<Address>, wanted: Permission, ignore_public: bool) -> bool {
        self.grants.iter().any(|grant| {
            (grant.permission == wanted || grant.permission == Permission::FullControl)
                && !(ignore_public && grant.grantee.is_public())
                && grant.grantee.holds(who)
        })
    }

    /// Whether a group outside is granted anything.
    pub fn is_public(&self) -> bool {
        self.grants.iter().any(|grant| grant.grantee.is_public())
    }
}
