//! A bucket's configuration, read once per change: what the check of permissions, CORS and websites look at.

use super::{
    documents::{self, Damaged},
    error,
    policy::{Acl, CannedAcl, ObjectRights, Policy, Rules},
};
use crate::access::objects::{
    BucketId,
    config::{BucketConfig, Document},
    request::BucketInfo,
};
use parking_lot::Mutex;
use s3s::{
    S3ErrorCode, S3Result,
    dto::{CORSConfiguration, CORSRule, OwnershipControls, PublicAccessBlockConfiguration, WebsiteConfiguration},
};
use std::{collections::BTreeMap, sync::Arc};

/// Buckets whose settings are kept parsed.
const KEPT_MAX: usize = 1_024;

/// Who owns what is written into a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ObjectOwnership {
    /// The bucket's owner; lists have no effect.
    #[default]
    Enforced,
    /// The bucket's owner, when the writer grants it full control.
    Preferred,
    /// The writer.
    Writer,
}

impl ObjectOwnership {
    /// Name in documents and headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforced => "BucketOwnerEnforced",
            Self::Preferred => "BucketOwnerPreferred",
            Self::Writer => "ObjectWriter",
        }
    }

    /// From its name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Enforced, Self::Preferred, Self::Writer].into_iter().find(|ownership| ownership.name() == name)
    }
}

/// What public access is blocked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublicAccessBlock {
    /// New public lists are refused.
    pub block_acls: bool,
    /// Public lists have no effect.
    pub ignore_acls: bool,
    /// New public policies are refused.
    pub block_policy: bool,
    /// A public policy lets only the owner in.
    pub restrict: bool,
}

/// A bucket and its settings.
#[derive(Debug)]
pub struct Bucket {
    /// Id, name, owner, and the configuration as it is stored.
    pub info: BucketInfo,
    /// Its access control list.
    pub acl: Acl,
    /// Its policy.
    pub policy: Option<Policy>,
    /// Who owns objects.
    pub ownership: ObjectOwnership,
    /// What is blocked.
    pub block: PublicAccessBlock,
    /// Cross-origin rules.
    pub cors: Vec<CORSRule>,
    /// Website.
    pub website: Option<WebsiteConfiguration>,
}

impl Bucket {
    fn read(info: BucketInfo) -> Result<Self, String> {
        let text = |e: Damaged| e.to_string();
        let document = |kind: Document| info.config.documents.get(&kind).map(Vec::as_slice);
        let acl = match document(Document::Acl) {
            Some(bytes) => documents::acl_from_bytes(bytes).map_err(text)?,
            None => CannedAcl::Private.expand(info.owner, info.owner),
        };
        let policy = document(Document::Policy).map(|bytes| {
            let document = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
            Policy::parse(document, info.name.as_str()).map_err(|e| e.to_string())
        });
        let ownership = match document(Document::OwnershipControls) {
            None => ObjectOwnership::default(),
            Some(bytes) => ownership_of(&documents::from_bytes("ownership controls", bytes).map_err(text)?)
                .ok_or("the stored ownership controls have no rule")?,
        };
        let block = match document(Document::PublicAccessBlock) {
            None => PublicAccessBlock::default(),
            Some(bytes) => block_of(&documents::from_bytes("public access block", bytes).map_err(text)?),
        };
        let cors = match document(Document::Cors) {
            None => Vec::new(),
            Some(bytes) => documents::from_bytes::<CORSConfiguration>("CORS", bytes).map_err(text)?.cors_rules,
        };
        let website = document(Document::Website).map(|bytes| documents::from_bytes("website", bytes).map_err(text));
        let (policy, website) = (policy.transpose()?, website.transpose()?);
        Ok(Self { acl, policy, ownership, block, cors, website, info })
    }

    /// Whether lists have no effect.
    pub fn acls_disabled(&self) -> bool {
        self.ownership == ObjectOwnership::Enforced
    }

    /// What a request is weighed against.
    pub fn rules<'a>(&'a self, object: Option<ObjectRights<'a>>) -> Rules<'a> {
        Rules {
            owner: self.info.owner,
            policy: self.policy.as_ref(),
            acl: &self.acl,
            object,
            acls_disabled: self.acls_disabled(),
            ignore_public_acls: self.block.ignore_acls,
            restrict_public: self.block.restrict,
        }
    }
}

/// The ownership a document sets.
pub fn ownership_of(controls: &OwnershipControls) -> Option<ObjectOwnership> {
    match controls.rules.as_slice() {
        [rule] => ObjectOwnership::parse(rule.object_ownership.as_str()),
        _ => None,
    }
}

/// What a document blocks.
pub fn block_of(document: &PublicAccessBlockConfiguration) -> PublicAccessBlock {
    let set = |field: Option<bool>| field.unwrap_or(false);
    PublicAccessBlock {
        block_acls: set(document.block_public_acls),
        ignore_acls: set(document.ignore_public_acls),
        block_policy: set(document.block_public_policy),
        restrict: set(document.restrict_public_buckets),
    }
}

/// A configuration and what was read from it.
type Kept = (Arc<BucketConfig>, Arc<Bucket>);

/// Parsed settings of the buckets used last.
#[derive(Default)]
pub struct Settings {
    kept: Mutex<BTreeMap<BucketId, Kept>>,
}

impl Settings {
    /// The settings of a bucket; read again when its configuration changed. Those that cannot be read let nobody in.
    pub fn of(&self, info: BucketInfo) -> S3Result<Arc<Bucket>> {
        if let Some((config, bucket)) = self.kept.lock().get(&info.id)
            && Arc::ptr_eq(config, &info.config)
        {
            return Ok(bucket.clone());
        }
        let (id, config, name) = (info.id, info.config.clone(), info.name.clone());
        let bucket = Bucket::read(info).map(Arc::new).map_err(|reason| {
            tracing::error!(bucket = %name, reason, "settings of a bucket cannot be read");
            error::refuse(
                S3ErrorCode::InternalError,
                format!("the settings of bucket `{name}` cannot be read: {reason}"),
            )
        })?;
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(id, (config, bucket.clone()));
        Ok(bucket)
    }
}
