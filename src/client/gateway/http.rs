//! HTTP client of a gateway.

use super::{
    CommitRequest, ErrorBody, FileStat, GatewayGroup, GatewayStatus, StoreCall, StoredFile, UploadRequest, UploadState,
};
use crate::types::FileId;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use reqwest::{Response, StatusCode, header};
use serde::de::DeserializeOwned;
use std::{ops::Range, time::Duration};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest JSON document accepted from a gateway: the stat of a 128 GiB file.
const DOCUMENT_MAX_BYTES: usize = 64 << 20;

/// Why a gateway request failed.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No answer: retrying may help.
    #[error("gateway {url} cannot be reached: {reason}")]
    Unreachable { url: String, reason: String },
    /// The gateway refused.
    #[error("{message}")]
    Refused { status: u16, code: String, message: String },
    /// The answer makes no sense.
    #[error("gateway {url} answered nonsense: {reason}")]
    Malformed { url: String, reason: String },
}

impl GatewayError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            GatewayError::Unreachable { .. } => true,
            GatewayError::Refused { status, .. } => *status == 502 || *status == 503 || *status == 504,
            GatewayError::Malformed { .. } => false,
        }
    }
}

/// A gateway at a base URL.
#[derive(Debug, Clone)]
pub struct GatewayClient {
    base: String,
    http: reqwest::Client,
    past_cache: bool,
}

impl GatewayClient {
    /// A client for the gateway at `base`, such as `http://127.0.0.1:8080`.
    pub fn new(base: &str) -> Self {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .build()
            .expect("a client without TLS has nothing that can fail to load");
        Self { base: base.trim_end_matches('/').to_owned(), http, past_cache: false }
    }

    /// Has the gateway fetch files from miners, whatever it keeps of them.
    pub fn past_cache(self, yes: bool) -> Self {
        Self { past_cache: yes, ..self }
    }

    /// The base URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// How the gateway is.
    pub async fn status(&self) -> Result<GatewayStatus, GatewayError> {
        let request = self.http.get(self.url("/v1/status")).timeout(CONNECT_TIMEOUT);
        self.document(request).await
    }

    /// The gateways that serve the same buckets.
    pub async fn group(&self) -> Result<GatewayGroup, GatewayError> {
        self.document(self.http.get(self.url("/v1/group")).timeout(CONNECT_TIMEOUT)).await
    }

    /// Starts an upload, or finds the one with the same idempotency key.
    pub async fn begin(&self, request: &UploadRequest) -> Result<UploadState, GatewayError> {
        self.document(self.http.post(self.url("/v1/uploads")).json(request)).await
    }

    /// Where an upload stands.
    pub async fn upload(&self, upload: &str) -> Result<UploadState, GatewayError> {
        self.document(self.http.get(self.url(&format!("/v1/uploads/{upload}")))).await
    }

    /// Sends bytes from `offset` on; the state tells how far they were dispersed.
    pub async fn send<S, E>(&self, upload: &str, offset: u64, body: S) -> Result<UploadState, GatewayError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let request = self
            .http
            .patch(self.url(&format!("/v1/uploads/{upload}")))
            .header("upload-offset", offset)
            .header(header::CONTENT_TYPE, "application/offset+octet-stream")
            .body(reqwest::Body::wrap_stream(body));
        self.document(request).await
    }

    /// Collects the receipts of a complete upload and returns the call that makes it active.
    pub async fn prepare(&self, upload: &str) -> Result<StoreCall, GatewayError> {
        self.commit(upload, &CommitRequest { sign: false }).await
    }

    /// Lets the gateway sign and own the file.
    pub async fn commit_as_gateway(&self, upload: &str) -> Result<StoredFile, GatewayError> {
        self.commit(upload, &CommitRequest { sign: true }).await
    }

    async fn commit<T: DeserializeOwned>(&self, upload: &str, body: &CommitRequest) -> Result<T, GatewayError> {
        self.document(self.http.post(self.url(&format!("/v1/uploads/{upload}/commit"))).json(body)).await
    }

    /// What is known of a file, with the health of each fragment.
    pub async fn stat(&self, id: FileId) -> Result<FileStat, GatewayError> {
        self.document(self.http.get(self.url(&format!("/v1/files/{id}/stat")))).await
    }

    /// Streams a file or a part of it.
    pub async fn get(
        &self,
        id: FileId,
        range: Option<Range<u64>>,
    ) -> Result<impl Stream<Item = Result<Bytes, GatewayError>> + use<>, GatewayError> {
        let mut request = self.http.get(self.url(&format!("/v1/files/{id}")));
        if let Some(range) = range {
            request = request.header(header::RANGE, format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        }
        if self.past_cache {
            request = request.header(header::CACHE_CONTROL, "no-cache");
        }
        let response = self.answer(request).await?;
        let url = self.base.clone();
        Ok(response.bytes_stream().map_err(move |e| GatewayError::Unreachable { url: url.clone(), reason: cause(&e) }))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Response, GatewayError> {
        let unreachable = |e: reqwest::Error| GatewayError::Unreachable { url: self.base.clone(), reason: cause(&e) };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(response).await.unwrap_or_default();
        Err(refusal(status, &body))
    }

    async fn document<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, GatewayError> {
        let response = self.answer(request).await?;
        let body = self.body(response).await?;
        serde_json::from_slice(&body)
            .map_err(|e| GatewayError::Malformed { url: self.base.clone(), reason: e.to_string() })
    }

    async fn body(&self, response: Response) -> Result<Vec<u8>, GatewayError> {
        let mut out = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|e| GatewayError::Unreachable { url: self.base.clone(), reason: cause(&e) })?;
            if out.len() + chunk.len() > DOCUMENT_MAX_BYTES {
                let reason = format!("a document over the limit of {DOCUMENT_MAX_BYTES} B");
                return Err(GatewayError::Malformed { url: self.base.clone(), reason });
            }
            out.extend_from_slice(&chunk);
        }
        Ok(out)
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> GatewayError {
    let status = status.as_u16();
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => GatewayError::Refused { status, code: body.code, message: body.error },
        Err(_) => {
            let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            GatewayError::Refused { status, code: "http".into(), message: format!("HTTP {status}: {text}") }
        }
    }
}

/// The innermost cause: reqwest's own text names only the URL.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
