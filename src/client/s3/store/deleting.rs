//! Deletions, many in one request.
//!
//! Invariant: answers come in the order of the locations, one for each; what is not there is as good as deleted.

use super::{
    super::{
        Body, S3Error, S3Request,
        documents::{delete_body, delete_errors},
        http::content_md5,
    },
    BucketStore,
    errors::{Failure, failed},
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use object_store::{Result, path::Path};
use reqwest::Method;
use std::collections::BTreeMap;

/// Most keys of one request.
const KEYS_MAX: usize = 1_000;
/// Requests under way at once.
const REQUESTS_AT_ONCE: usize = 4;

impl BucketStore {
    pub(super) fn deletions(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let batches = locations.chunks(KEYS_MAX).map(move |batch| {
            let this = this.clone();
            async move { stream::iter(this.delete_batch(batch).await) }
        });
        batches.buffered(REQUESTS_AT_ONCE).flatten().boxed()
    }

    /// One answer for each.
    async fn delete_batch(&self, batch: Vec<Result<Path>>) -> Vec<Result<Path>> {
        let asked = batch.iter().flatten().filter(|location| !location.is_root());
        let mut keys: Vec<(String, Option<String>)> = asked.map(|location| (location.to_string(), None)).collect();
        keys.sort_unstable();
        keys.dedup();
        let refused = match keys.len() {
            0 | 1 => Ok(BTreeMap::new()),
            _ => self.delete_keys(&keys).await,
        };
        let is_single = keys.len() == 1;
        let mut answers = Vec::with_capacity(batch.len());
        for location in batch {
            let answer = match (location, &refused) {
                (Err(error), _) => Err(error),
                (Ok(location), _) if is_single || location.is_root() => self.delete_one(location).await,
                (Ok(location), Err(failure)) => Err(failed(&self.path_of(&location), failure.clone())),
                (Ok(location), Ok(refused)) => match refused.get(location.as_ref()) {
                    None => Ok(location),
                    // In a request of its own it is repeated with patience.
                    Some(failure) if is_busy(&failure.error) => self.delete_one(location).await,
                    Some(failure) => Err(failed(&self.path_of(&location), failure.clone())),
                },
            };
            answers.push(answer);
        }
        answers
    }

    async fn delete_one(&self, location: Path) -> Result<Path> {
        let request = S3Request::new(Method::DELETE, self.bucket()).key(self.key_of(&location)?);
        match self.endpoints().send(request).await {
            Ok(_) => Ok(location),
            Err(failure) if failure.error.code() == "NoSuchKey" => Ok(location),
            Err(failure) => Err(failed(&self.path_of(&location), failure)),
        }
    }

    /// Deletes up to [`KEYS_MAX`] keys; those that were refused.
    async fn delete_keys(&self, keys: &[(String, Option<String>)]) -> Result<BTreeMap<String, Failure>, Failure> {
        let text = delete_body(keys);
        let md5 = content_md5(text.as_bytes());
        let request = S3Request::new(Method::POST, self.bucket()).query("delete", "").header("content-md5", md5);
        let (_, document) = self.endpoints().send_for_document(request.body(Body::Bytes(text.into()))).await?;
        let refused = delete_errors(&document).into_iter().filter(|(_, code, _)| code != "NoSuchKey");
        let refused = refused.map(|(key, code, message)| {
            let what = format!("DELETE of `{}/{key}`", self.bucket());
            (key, Failure { error: S3Error::Refused { what, status: 200, code, message }, was_lost: false })
        });
        Ok(refused.collect())
    }
}

/// Whether a key may be deleted later.
fn is_busy(error: &S3Error) -> bool {
    matches!(error.code(), "SlowDown" | "InternalError" | "ServiceUnavailable" | "OperationAborted")
}
