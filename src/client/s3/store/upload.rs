//! Uploads in parts.
//!
//! Invariants: an object appears as a whole or not at all; an upload is completed with every part it was given; parts in memory are
//! those their senders hold, and few of them are sent at once.

use super::{
    super::{Body, PartEntry, S3Request, documents::complete_body},
    BucketStore,
    attributes::headers_of,
    errors::{failed, generic},
    reading::text,
    writing::written,
};
use async_trait::async_trait;
use futures::FutureExt;
use md5::{Digest, Md5};
use object_store::{Attributes, MultipartUpload, PutPayload, PutResult, Result, TagSet, UploadPart, path::Path};
use parking_lot::Mutex;
use reqwest::Method;
use std::{fmt, sync::Arc};
use tokio::sync::Semaphore;

/// Most parts of an upload.
const PARTS_MAX: usize = 10_000;
/// Parts of an upload that are sent at once.
const PARTS_AT_ONCE: usize = 8;

/// The entity tag an object of these parts has.
fn tag_of(parts: &[PartEntry]) -> Option<String> {
    let mut digest = Md5::new();
    for part in parts {
        digest.update(hex::decode(part.etag.trim_matches('"')).ok()?);
    }
    Some(format!("\"{}-{}\"", hex::encode(digest.finalize()), parts.len()))
}

/// Number of a part by its index.
fn number_of(path: &str, index: usize) -> Result<u32> {
    let number = Some(index + 1).filter(|number| *number <= PARTS_MAX).and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| generic(format!("an upload of {path} has at most {PARTS_MAX} parts")))
}

impl BucketStore {
    pub(super) async fn begin(&self, location: &Path, attributes: &Attributes, tags: &TagSet) -> Result<String> {
        let (key, path) = (self.key_of(location)?, self.path_of(location));
        let said = headers_of(location, attributes, tags)?;
        let mut request = S3Request::new(Method::POST, self.bucket()).key(key).query("uploads", "");
        for (name, value) in &said {
            request = request.header(name, value);
        }
        let begun = self.endpoints().send_for_document(request).await;
        let (_, document) = begun.map_err(|failure| failed(&path, failure))?;
        match document.text_of("UploadId") {
            "" => Err(generic(format!("an upload of {path} was begun without an id"))),
            id => Ok(id.to_owned()),
        }
    }

    pub(super) async fn send_part(
        &self,
        location: &Path,
        upload: &str,
        index: usize,
        payload: PutPayload,
    ) -> Result<PartEntry> {
        let (key, path) = (self.key_of(location)?, self.path_of(location));
        let (number, size) = (number_of(&path, index)?, payload.content_length() as u64);
        let request = S3Request::new(Method::PUT, self.bucket()).key(key).body(Body::Bytes(payload.into()));
        let request = request.query("partNumber", number.to_string()).query("uploadId", upload);
        let response = self.endpoints().send(request).await.map_err(|failure| failed(&path, failure))?;
        let etag = text(response.headers(), "etag").map(str::to_owned);
        let etag =
            etag.ok_or_else(|| generic(format!("part {number} of {path} was answered without an entity tag")))?;
        // To its end, so that the connection is used again; the part is there in any case.
        drop(response.bytes().await);
        Ok(PartEntry { number, size, etag })
    }

    pub(super) async fn complete(&self, location: &Path, upload: &str, mut parts: Vec<PartEntry>) -> Result<PutResult> {
        let (key, path) = (self.key_of(location)?, self.path_of(location));
        if parts.is_empty() {
            // S3 knows no upload without a part.
            parts.push(self.send_part(location, upload, 0, PutPayload::default()).await?);
        }
        let request = S3Request::new(Method::POST, self.bucket()).key(key).query("uploadId", upload);
        let outcome = self.endpoints().send_for_document(request.body(Body::Bytes(complete_body(&parts).into()))).await;
        let failure = match outcome {
            Ok((headers, document)) => return Ok(written(&headers, document.text_of("ETag"))),
            Err(failure) => failure,
        };
        // An attempt that was not answered may have completed it.
        if failure.was_lost && failure.error.code() == "NoSuchUpload" {
            let found = self.head_of(location).await?;
            if found.e_tag == tag_of(&parts) {
                return Ok(PutResult { e_tag: found.e_tag, version: found.version, extensions: Default::default() });
            }
        }
        Err(failed(&path, failure))
    }

    pub(super) async fn give_up(&self, location: &Path, upload: &str) -> Result<()> {
        let request = S3Request::new(Method::DELETE, self.bucket()).key(self.key_of(location)?);
        match self.endpoints().send(request.query("uploadId", upload)).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.was_lost && failure.error.code() == "NoSuchUpload" => Ok(()),
            Err(failure) => Err(failed(&self.path_of(location), failure)),
        }
    }

    pub(super) fn upload(&self, location: &Path, id: String) -> Upload {
        let turns = Arc::new(Semaphore::new(PARTS_AT_ONCE));
        Upload { store: self.clone(), location: location.clone(), id, parts: Arc::default(), turns }
    }
}

/// An upload that was begun. If it is dropped unfinished, its parts stay until the bucket's lifecycle collects them.
pub(super) struct Upload {
    store: BucketStore,
    location: Path,
    id: String,
    /// By index; none while one is on its way.
    parts: Arc<Mutex<Vec<Option<PartEntry>>>>,
    turns: Arc<Semaphore>,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({} of {})", self.id, self.store.path_of(&self.location))
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let index = {
            let mut parts = self.parts.lock();
            parts.push(None);
            parts.len() - 1
        };
        let (store, location, id) = (self.store.clone(), self.location.clone(), self.id.clone());
        let (parts, turns) = (self.parts.clone(), self.turns.clone());
        async move {
            let _turn = turns.acquire().await.map_err(generic)?;
            let part = store.send_part(&location, &id, index, data).await?;
            parts.lock()[index] = Some(part);
            Ok(())
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let parts = self.parts.lock().clone();
        let count = parts.len();
        let sent: Vec<PartEntry> = parts.into_iter().flatten().collect();
        if sent.len() < count {
            let (path, missing) = (self.store.path_of(&self.location), count - sent.len());
            return Err(generic(format!("{missing} of {count} parts of {path} have not arrived")));
        }
        self.store.complete(&self.location, &self.id, sent).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.store.give_up(&self.location, &self.id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_parts_is_that_of_s3() {
        let part =
            |bytes: &[u8]| PartEntry { number: 1, size: 0, etag: format!("\"{}\"", hex::encode(Md5::digest(bytes))) };
        // MD5 of both digests, one behind the other.
        let both = [Md5::digest(b"a"), Md5::digest(b"b")].concat();
        let expected = format!("\"{}-2\"", hex::encode(Md5::digest(both)));
        assert_eq!(tag_of(&[part(b"a"), part(b"b")]), Some(expected));
        assert_eq!(tag_of(&[PartEntry { etag: "\"x\"".into(), ..part(b"a") }]), None);
    }

    #[test]
    fn parts_are_counted_from_one_and_bounded() {
        assert_eq!((number_of("b/k", 0).unwrap(), number_of("b/k", 9_999).unwrap()), (1, 10_000));
        assert!(number_of("b/k", 10_000).unwrap_err().to_string().contains("b/k has at most 10000 parts"));
    }
}
