//! The check of every request: who signed it, what it needs, and whether the bucket's rules let it through.
//!
//! Owns the way from a request to questions of [`policy::decide`]. Must not know what operations do. Invariants: an operation the
//! list of operations does not know is refused here; what a request needs besides its main permission is asked for as well.

use super::{
    Protocol,
    again::Passed,
    documents, error,
    forms::FileName,
    keys,
    operations::{self, Operation, Subject},
    policy::{self, Acl, Context, Decision, ObjectRights, Question},
    settings::Bucket,
};
use crate::{
    access::objects::{
        ObjectsError,
        request::{ObjectInfo, ObjectName},
    },
    types::Address,
};
use axum::http::{HeaderMap, StatusCode, Uri};
use s3s::{
    S3ErrorCode, S3Request, S3Result,
    access::{S3Access, S3AccessContext},
    dto::{CopySource, PostObjectInput},
    path::S3Path,
};
use std::{net::SocketAddr, sync::Arc};

/// Furthest a signature of version 2 may be from this node's clock, as the library has it for version 4.
const SKEW_MAX_MS: u64 = 15 * 60 * 1_000;

/// Longest life of a link.
const LINK_MAX_SECONDS: u64 = 7 * 24 * 3_600;

/// The other end of a connection, put into a request by the server.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// What was found out about a request, for whoever answers it.
#[derive(Clone)]
pub struct Caller {
    /// Account of the signature; none when unsigned.
    pub who: Option<Address>,
    /// The bucket, where there is one.
    pub bucket: Option<Arc<Bucket>>,
    /// What conditions may look at; empty where no policy is asked.
    pub context: Arc<Context>,
    /// Whether a missing object must look like a forbidden one.
    pub hides_missing: bool,
}

impl Caller {
    /// The account, or the refusal of an unsigned request.
    pub fn account(&self) -> S3Result<Address> {
        self.who.ok_or_else(error::access_denied)
    }

    /// The bucket of the request.
    pub fn bucket(&self) -> S3Result<&Arc<Bucket>> {
        self.bucket.as_ref().ok_or_else(|| error::refuse(S3ErrorCode::InternalError, "the request has no bucket"))
    }

    /// Whether the caller may do `action` in its bucket.
    pub fn may(&self, action: &str, key: Option<&str>, object: Option<ObjectRights<'_>>) -> S3Result<bool> {
        let bucket = self.bucket()?;
        Ok(decide(self, bucket, action, key, object).is_allowed())
    }

    /// The refusal of a read: who may not list learns nothing about what is missing.
    pub fn read_refusal(&self, refused: ObjectsError) -> s3s::S3Error {
        let missing = matches!(
            refused,
            ObjectsError::NoSuchKey { .. } | ObjectsError::DeleteMarker { .. } | ObjectsError::NoSuchVersion { .. }
        );
        if missing && self.hides_missing { error::access_denied() } else { error::refusal(refused) }
    }
}

fn decide(
    caller: &Caller,
    bucket: &Bucket,
    action: &str,
    key: Option<&str>,
    object: Option<ObjectRights<'_>>,
) -> Decision {
    let name = bucket.info.name.as_str();
    let question = Question { who: caller.who, action, bucket: name, key, context: &caller.context };
    policy::decide(&question, &bucket.rules(object))
}

/// The caller of a request that was checked.
pub fn caller<T>(request: &S3Request<T>) -> S3Result<&Caller> {
    let lost = || error::refuse(S3ErrorCode::InternalError, "the request was not checked");
    request.extensions.get::<Caller>().ok_or_else(lost)
}

/// Who owns an object and what its list grants.
pub struct OwnedRights {
    owner: Address,
    acl: Acl,
}

impl OwnedRights {
    /// Of an object as it is stored, in a bucket.
    pub fn of(info: &ObjectInfo, bucket: &Bucket) -> S3Result<Self> {
        let owner = Address::from(info.description.author);
        let acl = match &info.description.acl {
            None => policy::CannedAcl::Private.expand(owner, bucket.info.owner),
            Some(bytes) => documents::acl_from_bytes(bytes)
                .map_err(|e| error::refuse(S3ErrorCode::InternalError, e.to_string()))?,
        };
        Ok(Self { owner, acl })
    }

    /// As the decision takes them.
    pub fn rights(&self) -> ObjectRights<'_> {
        ObjectRights { owner: self.owner, acl: &self.acl }
    }

    /// The list, and who owns the object.
    pub fn into_parts(self) -> (Address, Acl) {
        (self.owner, self.acl)
    }
}

/// A request as the check sees it.
struct Asked<'a> {
    operation: &'static Operation,
    key: Option<&'a str>,
    version: Option<&'a str>,
    headers: &'a HeaderMap,
}

impl Asked<'_> {
    /// Permissions the request needs on its object or bucket.
    fn actions(&self) -> Vec<&'static str> {
        let main = match self.version {
            Some(_) => self.operation.action_on_version,
            None => self.operation.action,
        };
        let mut actions = vec![main];
        let has = |name: &str| self.headers.contains_key(name);
        if matches!(self.operation.name, "PutObject" | "CopyObject" | "CreateMultipartUpload") {
            if has("x-amz-acl") || has_grants(self.headers) {
                actions.push("s3:PutObjectAcl");
            }
            if has("x-amz-tagging") {
                actions.push("s3:PutObjectTagging");
            }
            if has("x-amz-object-lock-mode") || has("x-amz-object-lock-retain-until-date") {
                actions.push("s3:PutObjectRetention");
            }
            if has("x-amz-object-lock-legal-hold") {
                actions.push("s3:PutObjectLegalHold");
            }
        }
        if self
            .headers
            .get("x-amz-bypass-governance-retention")
            .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"true"))
        {
            actions.push("s3:BypassGovernanceRetention");
        }
        actions
    }
}

fn has_grants(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("x-amz-grant-"))
}

/// The decoded value of a query parameter.
pub fn query(uri: &Uri, name: &str) -> Option<String> {
    url_pairs(uri).find(|(key, _)| key == name).map(|(_, value)| value)
}

fn url_pairs(uri: &Uri) -> impl Iterator<Item = (String, String)> + '_ {
    uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (super::percent::decode(key), super::percent::decode(value))
    })
}

/// Checks requests before they are read.
pub struct Gate(pub Arc<Protocol>);

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let name = cx.s3_op().name();
        let Some(operation) = operations::operation(name) else {
            return Err(error::not_implemented(format!("{name} is not implemented")));
        };
        check_signature(cx, self.0.node.clock.unix_ms())?;
        let who = match cx.credentials() {
            Some(credentials) => Some(keys::known(&*self.0.keys, &credentials.access_key).await?.account),
            None => None,
        };
        let mut caller = Caller { who, bucket: None, context: Arc::default(), hides_missing: false };
        if matches!(operation.subject, Subject::Account | Subject::NewBucket) {
            caller.account()?;
        } else {
            let key = cx.s3_path().get_object_key().map(str::to_owned);
            let bucket_name = cx.s3_path().get_bucket_name().unwrap_or_default();
            let bucket = self.0.bucket(bucket_name).await?;
            check_expected_owner(cx.headers(), "x-amz-expected-bucket-owner", &bucket)?;
            // Only policies look at it, that of a copy's source, too.
            if bucket.policy.is_some() || operation.is_copy() {
                caller.context = Arc::new(context_of(cx, who, self.0.node.clock.unix_ms()));
            }
            caller.bucket = Some(bucket);
            let version = query(cx.uri(), "versionId");
            let (key, version) = (key.as_deref(), version.as_deref());
            let asked = Asked { operation, key, version, headers: cx.headers() };
            self.check_bucket(&mut caller, &asked).await?;
        }
        cx.extensions_mut().insert(caller);
        if let Some(passed) = cx.extensions_mut().get::<Passed>().cloned() {
            passed.set(cx.credentials().map(|credentials| credentials.access_key.as_str()));
        }
        Ok(())
    }

    async fn post_object(&self, request: &mut S3Request<PostObjectInput>) -> S3Result<()> {
        if let Some(name) = request.extensions.get::<FileName>() {
            request.input.key = name.put_into(&request.input.key);
        }
        let caller = caller(request)?;
        let input = &request.input;
        let mut actions = vec!["s3:PutObject"];
        if input.acl.is_some() {
            actions.push("s3:PutObjectAcl");
        }
        if input.tagging.is_some() {
            actions.push("s3:PutObjectTagging");
        }
        for action in actions {
            if !caller.may(action, Some(&input.key), None)? {
                return Err(error::access_denied());
            }
        }
        Ok(())
    }
}

impl Gate {
    async fn check_bucket(&self, caller: &mut Caller, asked: &Asked<'_>) -> S3Result<()> {
        // What a form is about, and each object of a batch, is decided when it was read.
        if matches!(asked.operation.subject, Subject::Objects | Subject::Form) {
            return Ok(());
        }
        let bucket = caller.bucket()?.clone();
        let object = self.object_of(caller, &bucket, asked).await?;
        let rights = object.as_ref().map(OwnedRights::rights);
        for action in asked.actions() {
            let decision = decide(caller, &bucket, action, asked.key, rights);
            tracing::trace!(action, ?decision, "decided");
            if !decision.is_allowed() {
                return Err(error::access_denied());
            }
        }
        if asked.key.is_some() && caller.who != Some(bucket.info.owner) {
            caller.hides_missing = !decide(caller, &bucket, "s3:ListBucket", None, None).is_allowed();
        }
        if asked.operation.is_copy() {
            self.check_source(caller, asked).await?;
        }
        Ok(())
    }

    /// Owner and list of the object a request is about, and its tags for conditions; only where the rules look at them.
    async fn object_of(
        &self,
        caller: &mut Caller,
        bucket: &Arc<Bucket>,
        asked: &Asked<'_>,
    ) -> S3Result<Option<OwnedRights>> {
        let Some(key) = asked.key else { return Ok(None) };
        let by_list = !bucket.acls_disabled()
            && policy::is_about_objects(asked.operation.action)
            && (caller.who != Some(bucket.info.owner) || bucket.ownership == super::settings::ObjectOwnership::Writer);
        let by_tags = bucket.policy.as_ref().is_some_and(policy::Policy::looks_at_tags);
        if !by_list && !by_tags {
            return Ok(None);
        }
        let version = asked.version.map(error::parsed).transpose()?;
        let name = ObjectName { bucket: bucket.info.name.clone(), key: key.to_owned(), version };
        let info = match self.0.objects.describe(&name).await {
            Ok(info) => info,
            Err(refused) if refused.is_transient() => return Err(error::refusal(refused)),
            // The operation itself says what is wrong, to whom may know it.
            Err(_) => return Ok(None),
        };
        if by_tags {
            let mut context = (*caller.context).clone();
            for (key, value) in &info.description.tags {
                context.add(&format!("s3:ExistingObjectTag/{key}"), value.as_str());
            }
            caller.context = Arc::new(context);
        }
        OwnedRights::of(&info, bucket).map(Some)
    }

    /// Whether the source of a copy may be read.
    async fn check_source(&self, caller: &Caller, asked: &Asked<'_>) -> S3Result<()> {
        let header = asked.headers.get("x-amz-copy-source").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let source = CopySource::parse(header).map_err(|e| error::invalid_argument(e.to_string()))?;
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(error::not_implemented("copies from access points are not implemented"));
        };
        let bucket = self.0.bucket(&bucket).await?;
        check_expected_owner(asked.headers, "x-amz-source-expected-bucket-owner", &bucket)?;
        let mut reader = Caller { bucket: Some(bucket.clone()), ..caller.clone() };
        let read = operations::operation("GetObject").ok_or_else(error::access_denied)?;
        let none = HeaderMap::new();
        let source = Asked { operation: read, key: Some(&key), version: version_id.as_deref(), headers: &none };
        let object = self.object_of(&mut reader, &bucket, &source).await?;
        let rights = object.as_ref().map(OwnedRights::rights);
        let allowed = source
            .actions()
            .into_iter()
            .all(|action| decide(&reader, &bucket, action, Some(&key), rights).is_allowed());
        if allowed { Ok(()) } else { Err(error::access_denied()) }
    }
}

fn check_expected_owner(headers: &HeaderMap, name: &str, bucket: &Bucket) -> S3Result<()> {
    match headers.get(name).map(|value| value.to_str().ok().and_then(policy::account_of)) {
        Some(expected) if expected != Some(bucket.info.owner) => Err(error::access_denied()),
        _ => Ok(()),
    }
}

/// What the library does not check of a signature: that every `x-amz-` header is signed, and the age of a version 2 one.
fn check_signature(cx: &S3AccessContext<'_>, now_ms: u64) -> S3Result<()> {
    if cx.credentials().is_none() {
        return Ok(());
    }
    let authorization = cx.headers().get("authorization").and_then(|value| value.to_str().ok());
    let signed = match authorization {
        Some(text) if text.starts_with("AWS ") => return check_age(cx.headers(), now_ms),
        Some(text) => text
            .split_once("SignedHeaders=")
            .map(|(_, rest)| rest.split(',').next().unwrap_or_default().trim().to_owned()),
        None => {
            check_lifetime(query(cx.uri(), "X-Amz-Expires").as_deref())?;
            query(cx.uri(), "X-Amz-SignedHeaders")
        }
    };
    let Some(signed) = signed else { return Ok(()) };
    let signed: Vec<&str> = signed.split(';').collect();
    // The hash of the payload of a presigned request is checked against the payload itself.
    let free = |name: &str| name == "x-amz-content-sha256" || name == "x-amz-user-agent";
    let unsigned =
        cx.headers().keys().map(axum::http::HeaderName::as_str).find(|name| {
            name.starts_with("x-amz-") && !signed.iter().any(|s| s.eq_ignore_ascii_case(name)) && !free(name)
        });
    match unsigned {
        None => Ok(()),
        Some(name) => Err(error::refuse(
            S3ErrorCode::AccessDenied,
            format!("There were headers present in the request which were not signed: {name}"),
        )),
    }
}

/// Links live a week at most.
fn check_lifetime(expires: Option<&str>) -> S3Result<()> {
    match expires.map(str::parse::<u64>) {
        Some(Ok(seconds)) if seconds > LINK_MAX_SECONDS => {
            let message = "X-Amz-Expires must be less than a week (in seconds) that is 604800";
            Err(error::custom("AuthorizationQueryParametersError", StatusCode::BAD_REQUEST, message))
        }
        _ => Ok(()),
    }
}

fn check_age(headers: &HeaderMap, now_ms: u64) -> S3Result<()> {
    let date = headers.get("x-amz-date").or_else(|| headers.get("date")).and_then(|value| value.to_str().ok());
    let parse = |text: &str| {
        s3s::dto::Timestamp::parse(s3s::dto::TimestampFormat::HttpDate, &text.replace("+0000", "GMT")).ok()
    };
    let Some(date) = date.and_then(parse) else {
        return Err(error::refuse(
            S3ErrorCode::AccessDenied,
            "AWS authentication requires a valid Date or x-amz-date header",
        ));
    };
    if super::time::unix_ms(&date).abs_diff(now_ms) > SKEW_MAX_MS {
        let message = "The difference between the request time and the current time is too large.";
        return Err(error::refuse(S3ErrorCode::RequestTimeTooSkewed, message));
    }
    Ok(())
}

/// What conditions may look at.
fn context_of(cx: &mut S3AccessContext<'_>, who: Option<Address>, now_ms: u64) -> Context {
    let mut context = Context::default();
    if let Some(Peer(peer)) = cx.extensions_mut().get::<Peer>().copied() {
        context.add("aws:SourceIp", peer.ip().to_canonical().to_string());
    }
    // TLS ends before this listener, so that a request is never known to have come over it.
    context.add("aws:SecureTransport", "false");
    context.add("aws:CurrentTime", (now_ms / 1000).to_string());
    context.add("aws:EpochTime", (now_ms / 1000).to_string());
    match who {
        Some(account) => {
            let account = policy::account_text(account);
            context.add("aws:PrincipalArn", format!("arn:aws:iam::{account}:root"));
            context.add("aws:PrincipalType", "Account");
            context.add("aws:userid", account.as_str());
            context.add("aws:PrincipalAccount", account);
        }
        None => context.add("aws:PrincipalType", "Anonymous"),
    }
    add_signature(&mut context, cx, who.is_some());
    add_headers(&mut context, cx.headers());
    for (key, value) in url_pairs(cx.uri()) {
        match key.as_str() {
            "prefix" | "delimiter" | "max-keys" => context.add(&format!("s3:{key}"), value),
            "versionId" => context.add("s3:VersionId", value),
            _ => {}
        }
    }
    if matches!(cx.s3_path(), S3Path::Bucket { .. }) && context.get("s3:prefix").is_empty() {
        context.add("s3:prefix", "");
    }
    context
}

fn add_signature(context: &mut Context, cx: &S3AccessContext<'_>, signed: bool) {
    if !signed {
        return;
    }
    let authorization = cx.headers().get("authorization").and_then(|value| value.to_str().ok());
    let (kind, version) = match authorization {
        Some(text) if text.starts_with("AWS ") => ("REST-HEADER", "AWS"),
        Some(_) => ("REST-HEADER", "AWS4-HMAC-SHA256"),
        None if query(cx.uri(), "X-Amz-Signature").is_some() => ("REST-QUERY-STRING", "AWS4-HMAC-SHA256"),
        None if query(cx.uri(), "Signature").is_some() => ("REST-QUERY-STRING", "AWS"),
        None => ("POST", "AWS4-HMAC-SHA256"),
    };
    context.add("s3:authType", kind);
    context.add("s3:signatureversion", version);
}

fn add_headers(context: &mut Context, headers: &HeaderMap) {
    for (name, value) in headers {
        let Ok(value) = value.to_str() else { continue };
        match name.as_str() {
            "user-agent" => context.add("aws:UserAgent", value),
            "referer" => context.add("aws:Referer", value),
            "if-match" | "if-none-match" => context.add(&format!("s3:{name}"), value),
            "x-amz-object-lock-mode" | "x-amz-object-lock-legal-hold" | "x-amz-object-lock-retain-until-date" => {
                context.add(&format!("s3:{}", name.as_str().trim_start_matches("x-amz-")), value);
            }
            "x-amz-tagging" => {
                for (key, value) in super::tagging::pairs(value) {
                    context.add(&format!("s3:RequestObjectTag/{key}"), value);
                    context.add("s3:RequestObjectTagKeys", key);
                }
            }
            text if text.starts_with("x-amz-") => context.add(&format!("s3:{text}"), value),
            _ => {}
        }
    }
}
