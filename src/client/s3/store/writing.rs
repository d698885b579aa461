//! Puts, copies and renames.
//!
//! Invariants: a condition is the server's to decide, in the moment of the write; a rename removes the version it copied and no other.

use super::{
    super::{Body, S3Request, sign::encode},
    BucketStore,
    attributes::headers_of,
    errors::{When, failed, generic, is_unmet, write_failed},
    reading::{text, version_of},
};
use object_store::{
    CopyMode, Error, GetOptions, ObjectMeta, PutMode, PutOptions, PutPayload, PutResult, RenameTargetMode, Result,
    path::Path,
};
use reqwest::{Method, header::HeaderMap};

/// Times a rename begins anew because its source was replaced.
const RENAME_ATTEMPTS: usize = 16;
const IF_MATCH: &str = "if-match";
const IF_NONE_MATCH: &str = "if-none-match";

/// What a write's answer says of what was written.
pub(super) fn written(headers: &HeaderMap, etag: &str) -> PutResult {
    PutResult { e_tag: Some(etag.to_owned()), version: version_of(headers), extensions: Default::default() }
}

/// The condition of a put, and its header.
fn condition(path: &str, mode: PutMode) -> Result<(When, Option<(&'static str, String)>)> {
    Ok(match mode {
        PutMode::Overwrite => (When::Always, None),
        PutMode::Create => (When::Absent, Some((IF_NONE_MATCH, "*".to_owned()))),
        PutMode::Update(known) => {
            let tag =
                known.e_tag.ok_or_else(|| generic(format!("an update of {path} needs the entity tag it knows")))?;
            (When::Unchanged, Some((IF_MATCH, tag)))
        }
    })
}

impl BucketStore {
    pub(super) async fn write(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (key, path) = (self.key_of(location)?, self.path_of(location));
        let said = headers_of(location, &options.attributes, &options.tags)?;
        let (when, condition) = condition(&path, options.mode)?;
        let mut request = S3Request::new(Method::PUT, self.bucket()).key(key).body(Body::Bytes(payload.into()));
        for (name, value) in &said {
            request = request.header(name, value);
        }
        if let Some((name, value)) = condition {
            request = request.header(name, value);
        }
        let response = self.endpoints().send(request).await.map_err(|failure| write_failed(&path, when, failure))?;
        let etag = text(response.headers(), "etag");
        let etag = etag.ok_or_else(|| generic(format!("the put of {path} was answered without an entity tag")))?;
        let written = written(response.headers(), etag);
        // To its end, so that the connection is used again; the object is there in any case.
        drop(response.bytes().await);
        Ok(written)
    }

    pub(super) async fn copy_to(&self, from: &Path, to: &Path, mode: CopyMode) -> Result<()> {
        if from == to {
            return self.onto_itself(from, mode == CopyMode::Create).await;
        }
        self.copied(from, to, mode, None).await
    }

    /// What S3 refuses: there is nothing to do, if it is there.
    async fn onto_itself(&self, location: &Path, is_new: bool) -> Result<()> {
        self.head_of(location).await?;
        match is_new {
            true => Err(Error::AlreadyExists { path: self.path_of(location), source: "it is its own source".into() }),
            false => Ok(()),
        }
    }

    pub(super) async fn head_of(&self, location: &Path) -> Result<ObjectMeta> {
        Ok(self.read(location, GetOptions::new().with_head(true)).await?.meta)
    }

    /// Copies, if asked for only the version with an entity tag.
    async fn copied(&self, from: &Path, to: &Path, mode: CopyMode, tag: Option<&str>) -> Result<()> {
        let (source, key) = (self.key_of(from)?, self.key_of(to)?);
        let source = format!("/{}/{}", self.bucket(), encode(source, true));
        let mut request = S3Request::new(Method::PUT, self.bucket()).key(key).header("x-amz-copy-source", source);
        if let Some(tag) = tag {
            request = request.header("x-amz-copy-source-if-match", tag);
        }
        let when = match mode {
            CopyMode::Overwrite => When::Always,
            CopyMode::Create if self.settings().conditional_copy => When::Absent,
            CopyMode::Create => {
                let reason = format!("{} copies only over what is there", self.endpoints().url());
                return Err(Error::NotSupported { source: reason.into() });
            }
        };
        if when == When::Absent {
            request = request.header(IF_NONE_MATCH, "*");
        }
        let outcome = self.endpoints().send_for_document(request).await;
        outcome.map(drop).map_err(|failure| match failure.error.code() {
            "NoSuchKey" | "NoSuchVersion" => failed(&self.path_of(from), failure),
            _ => write_failed(&self.path_of(to), when, failure),
        })
    }

    /// S3 cannot rename: the version that was copied is removed, and one that was written meanwhile stays.
    pub(super) async fn rename_to(&self, from: &Path, to: &Path, mode: RenameTargetMode) -> Result<()> {
        if from == to {
            return self.onto_itself(from, mode == RenameTargetMode::Create).await;
        }
        let mode = match mode {
            RenameTargetMode::Overwrite => CopyMode::Overwrite,
            RenameTargetMode::Create => CopyMode::Create,
        };
        for _ in 0..RENAME_ATTEMPTS {
            let tag = self.head_of(from).await?.e_tag;
            match self.copied(from, to, mode, tag.as_deref()).await {
                Ok(()) => return self.remove_copied(from, tag.as_deref()).await,
                // Either the target is there or the source is another one now.
                Err(error @ (Error::Precondition { .. } | Error::AlreadyExists { .. })) => {
                    if self.head_of(from).await?.e_tag == tag {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(generic(format!("{} is replaced by others all the time", self.path_of(from))))
    }

    async fn remove_copied(&self, from: &Path, tag: Option<&str>) -> Result<()> {
        let mut request = S3Request::new(Method::DELETE, self.bucket()).key(self.key_of(from)?);
        if let Some(tag) = tag {
            request = request.header(IF_MATCH, tag);
        }
        match self.endpoints().send(request).await {
            Ok(_) => Ok(()),
            Err(failure) if is_unmet(&failure.error) || failure.error.code() == "NoSuchKey" => Ok(()),
            Err(failure) => Err(failed(&self.path_of(from), failure)),
        }
    }
}
