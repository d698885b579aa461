//! The calls of CESS's DeOSS gateways, on the port of S3.
//!
//! Owns their paths, headers, forms, answers and signatures. Must not know how files are dispersed or what the chain does with them. What a
//! call stores is a file of the chain, which every gateway finds by its id; its owner is who signed, in whose name this gateway acts as
//! an operator. Invariants: a call does what its signer signed or nothing; memory is bounded by a few segments for all requests together.

mod answer;
mod auth;
mod chain;
mod content;
mod form;
mod media;
mod reading;
mod resume;
mod routes;
mod storing;
mod tail;
#[cfg(test)]
mod tests;

use super::reply::Refusal;
use crate::{
    client::Wallet,
    runtime::Node,
    storage::{MinerDirectory, fetch::Fetcher, upload::Uploader},
    types::ChainId,
};
use auth::{Signed, authenticate};
use axum::{
    body::{Body, BodyDataStream},
    http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header},
};
use chain::Records;
use content::Content;
use futures::{StreamExt, stream};
use resume::Incomplete;
use routes::{Call, call_of};
use serde_json::json;
use std::{path::PathBuf, sync::Arc};
use tokio::sync::Mutex;

/// What is told as the version of DeOSS.
const VERSION: &str = concat!("cess v", env!("CARGO_PKG_VERSION"));
/// Bytes of a refused body that are read, so that its sender finds the refusal and not a broken connection.
const DRAINED_MAX_BYTES: usize = 1 << 20;

/// What the calls work with.
pub struct DeossParts {
    /// Disperses files.
    pub uploader: Uploader,
    /// Brings them back.
    pub fetcher: Fetcher,
    /// Where miners are reached.
    pub miners: MinerDirectory,
    /// The gateway's account, which others approve as their operator.
    pub wallet: Wallet,
    /// The chain whose accounts sign.
    pub chain: ChainId,
    /// Where parts of incomplete files wait.
    pub dir: PathBuf,
}

/// The calls of a gateway.
pub struct Deoss {
    node: Node,
    uploader: Uploader,
    fetcher: Fetcher,
    miners: MinerDirectory,
    records: Records,
    chain: ChainId,
    incomplete: Incomplete,
}

/// Whether a request is a DeOSS call and not S3's.
pub fn takes(request: &Request<Body>) -> bool {
    call_of(request.method(), request.uri(), request.headers()).is_some()
}

impl Deoss {
    /// Calls over these parts.
    pub fn new(node: &Node, parts: DeossParts) -> Self {
        let DeossParts { uploader, fetcher, miners, wallet, chain, dir } = parts;
        let (records, incomplete) = (Records::new(wallet), Incomplete::new(dir));
        Self { node: node.clone(), uploader, fetcher, miners, records, chain, incomplete }
    }

    /// Answers a request that [`takes`] takes. The body is as slow as its sender: who hands it in sets it a deadline.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let call = call_of(&head.method, &head.uri, &head.headers);
        let is_file = matches!(call, Some(Call::Download(_) | Call::Open(_)));
        let (body, rest) = shared(body);
        let answered = match call {
            Some(call) => self.call(call, (&head.method, &head.uri, &head.headers), body).await,
            None => Err(Refusal::new(StatusCode::NOT_FOUND, "no_call", "this is no call of DeOSS")),
        };
        // Who asked whether to send anything is told first.
        if answered.is_err() && !head.headers.contains_key(header::EXPECT) {
            drain(&rest).await;
        }
        let mut response = answered.unwrap_or_else(|refusal| match is_file {
            true => answer::no_file(&refusal),
            false => answer::refused(&refusal),
        });
        answer::open_to_pages(response.headers_mut());
        response
    }

    async fn call(&self, call: Call, head: (&Method, &Uri, &HeaderMap), body: Body) -> Result<Response<Body>, Refusal> {
        let (method, uri, headers) = head;
        match call {
            Call::Preflight => Ok(answer::preflight()),
            Call::Version => Ok(answer::document(StatusCode::OK, &VERSION)),
            Call::Download(fid) => self.download(&fid, method, headers).await,
            Call::Open(fid) => self.open(&fid, method, headers).await,
            Call::Metadata(fid) => self.metadata(&fid).await,
            Call::Location(fid) => self.location(&fid).await,
            Call::List => self.list(uri, headers).await,
            Call::Delete(fid) => self.delete(&self.signed(head)?, &fid).await,
            Call::PutFile => {
                let announced = length_of(headers).unwrap_or_default();
                self.put_file(&self.signed(head)?, Content::of(headers, body)?, announced).await
            }
            Call::PutFiles => self.put_files(&self.signed(head)?, Content::of(headers, body)?).await,
            Call::PutObject(name) => {
                let announced = length_of(headers);
                self.put_object(&self.signed(head)?, name, Content::of(headers, body)?, announced).await
            }
            Call::Resume(name) => self.resume(&self.signed(head)?, &name, Content::of(headers, body)?).await,
        }
    }

    fn signed(&self, head: (&Method, &Uri, &HeaderMap)) -> Result<Signed, Refusal> {
        authenticate(head, self.chain, self.node.clock.unix_ms() / 1_000)
    }

    /// `DELETE /file/:fid`.
    async fn delete(&self, signed: &Signed, fid: &str) -> Result<Response<Body>, Refusal> {
        let owner = signed.account;
        let file = super::files::find(self.records.chain().as_ref(), fid).await?;
        let id = file.record.id;
        if !file.record.owners.contains(&owner) {
            return Err(auth::denied(format!("{owner} does not own file {id}")));
        }
        self.records.check_operator(owner).await?;
        let outcome = self.records.remove(owner, id).await?;
        Ok(answer::ok(json!({ "block hash": outcome.block })))
    }
}

type Rest = Arc<Mutex<BodyDataStream>>;

/// A body, and what is left of it when it was given up.
fn shared(body: Body) -> (Body, Rest) {
    let rest: Rest = Arc::new(Mutex::new(body.into_data_stream()));
    let chunks = stream::unfold(rest.clone(), |rest| async move {
        let chunk = rest.lock().await.next().await;
        chunk.map(|chunk| (chunk, rest))
    });
    (Body::from_stream(chunks), rest)
}

async fn drain(rest: &Rest) {
    let (mut rest, mut left) = (rest.lock().await, DRAINED_MAX_BYTES);
    while let Some(Ok(chunk)) = rest.next().await {
        let Some(less) = left.checked_sub(chunk.len()) else { return };
        left = less;
    }
}

fn length_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
