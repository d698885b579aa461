//! Requests to an S3 server over HTTP, path style.
//!
//! Invariants: a request that is sent again is signed again; an answer is read up to a bound; a refusal has the server's code.

use super::{
    AccessKey, BucketEntry, Listing, PartEntry, SigningTime, UploadEntry, VersionListing,
    documents::{buckets, complete_body, delete_body, delete_errors, error, listing, parts, uploads, versions},
    sign::{ToSign, UNSIGNED, authorization, encode, presigned, query, sha256_hex},
    xml::Element,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use md5::{Digest, Md5};
use reqwest::{Method, Response, StatusCode, header};
use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server may be silent: it disperses a large part before it answers.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// Largest document accepted: a thousand long keys with room to spare.
const DOCUMENT_MAX_BYTES: usize = 16 << 20;
/// Bytes handed to the connection at a time while progress is told.
const SLICE_BYTES: usize = 256 << 10;

/// Code of a refusal of a key that the server does not know.
const UNKNOWN_KEY: &str = "InvalidAccessKeyId";
/// Pause between two looks whether it does.
const KNOWN_POLL: Duration = Duration::from_millis(50);

/// Why a request failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum S3Error {
    /// No base URL of a server.
    #[error("`{0}` is not the URL of an S3 endpoint, expected something like http://127.0.0.1:8581")]
    Endpoint(String),
    /// A key no URL can carry.
    #[error("`{0}` cannot be sent in a URL: it has `.` or `..` between slashes")]
    Key(String),
    /// No answer: trying again may help. Unless `was_sent`, the server did not see the request.
    #[error("S3 endpoint {url} cannot be reached: {reason}")]
    Unreachable { url: String, reason: String, was_sent: bool },
    /// The server refused.
    #[error("{what}: {code} (HTTP {status}): {message}")]
    Refused { what: String, status: u16, code: String, message: String },
    /// The answer makes no sense.
    #[error("S3 endpoint {url} answered nonsense: {reason}")]
    Malformed { url: String, reason: String },
}

impl S3Error {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, code, .. } => {
                matches!(status, 500 | 502 | 503 | 504) || code == "RequestTimeout" || code == "OperationAborted"
            }
            Self::Endpoint(_) | Self::Key(_) | Self::Malformed { .. } => false,
        }
    }

    /// The server's code, such as `NoSuchKey`.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }
}

/// Told how many more bytes were handed to the connection.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// What a request carries.
#[derive(Clone, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes.
    Bytes(Bytes),
    /// Bytes whose sending is told.
    Told(Bytes, Progress),
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Bytes(bytes) | Self::Told(bytes, _) => bytes,
        }
    }
}

/// Whether bodies are part of the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// Their SHA-256 is.
    Signed,
    /// They are not.
    Unsigned,
}

/// A request before it is signed.
#[derive(Clone)]
pub struct S3Request<'a> {
    method: Method,
    bucket: &'a str,
    key: &'a str,
    query: Vec<(&'a str, String)>,
    headers: Vec<(&'a str, String)>,
    body: Body,
}

impl<'a> S3Request<'a> {
    /// A request about a bucket, or with an empty name about the account.
    pub fn new(method: Method, bucket: &'a str) -> Self {
        Self { method, bucket, key: "", query: Vec::new(), headers: Vec::new(), body: Body::Empty }
    }

    /// About an object.
    pub fn key(mut self, key: &'a str) -> Self {
        self.key = key;
        self
    }

    /// With a field in the query.
    pub fn query(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// With a header; its name is lower case.
    pub fn header(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a body.
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    fn what(&self) -> String {
        match (self.bucket, self.key) {
            ("", _) => self.method.to_string(),
            (bucket, "") => format!("{} of bucket `{bucket}`", self.method),
            (bucket, key) => format!("{} of `{bucket}/{key}`", self.method),
        }
    }
}

/// What `HEAD` says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Its length.
    pub size: u64,
    /// Its entity tag, with quotes.
    pub etag: String,
}

/// A server, and who asks.
#[derive(Debug, Clone)]
pub struct S3Client {
    base: String,
    host: String,
    key: AccessKey,
    region: String,
    payload: Payload,
    http: reqwest::Client,
}

impl S3Client {
    /// A client of the server at `endpoint` (`http://host:port`). Nothing is sent yet.
    pub fn new(endpoint: &str, key: AccessKey, region: &str, payload: Payload) -> Result<Self, S3Error> {
        let base = endpoint.trim_end_matches('/');
        let host = base.strip_prefix("http://").filter(|host| !host.is_empty() && !host.contains(['/', '@', '?', '#']));
        let host = host.ok_or_else(|| S3Error::Endpoint(endpoint.to_owned()))?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without TLS has nothing that can fail to load");
        // The default port is not in the header that is signed.
        let host = host.strip_suffix(":80").unwrap_or(host).to_owned();
        Ok(Self { base: base.to_owned(), host, key, region: region.to_owned(), payload, http })
    }

    /// The server's URL.
    pub fn endpoint(&self) -> &str {
        &self.base
    }

    /// Sends a request; `Ok` is an answer of success.
    pub async fn send(&self, request: S3Request<'_>) -> Result<Response, S3Error> {
        let what = request.what();
        let response = self.signed(request)?.send().await.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = self.text(response).await.unwrap_or_default();
        Err(refusal(what, status, &text))
    }

    fn signed(&self, request: S3Request<'_>) -> Result<reqwest::RequestBuilder, S3Error> {
        // URLs resolve such names, so that another path would be signed than is sent.
        let odd = |part: &str| part == "." || part == "..";
        if request.key.split('/').any(odd) {
            return Err(S3Error::Key(request.key.to_owned()));
        }
        let path = match (request.bucket, request.key) {
            ("", _) => "/".to_owned(),
            (bucket, "") => format!("/{bucket}"),
            (bucket, key) => format!("/{bucket}/{}", encode(key, true)),
        };
        let query = query(&request.query);
        let payload = match self.payload {
            Payload::Unsigned => UNSIGNED.to_owned(),
            Payload::Signed => sha256_hex(request.body.bytes()),
        };
        let at = SigningTime::now();
        let fixed =
            [("host", self.host.clone()), ("x-amz-date", at.stamp()), ("x-amz-content-sha256", payload.clone())];
        let mut headers: Vec<(String, String)> =
            fixed.into_iter().chain(request.headers).map(|(name, value)| (name.to_owned(), value)).collect();
        let to_sign = ToSign {
            method: request.method.as_str(),
            path: &path,
            query: &query,
            headers: &headers,
            payload: &payload,
        };
        let authorization = authorization(&self.key, &self.region, at, &to_sign);
        // The connection writes it itself.
        headers.retain(|(name, _)| name != "host");
        let separator = if query.is_empty() { "" } else { "?" };
        let url = format!("{}{path}{separator}{query}", self.base);
        let needs_length = request.method == Method::PUT || request.method == Method::POST;
        let mut builder = self.http.request(request.method, url).header(header::AUTHORIZATION, authorization);
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        Ok(match request.body {
            Body::Empty if needs_length => builder.header(header::CONTENT_LENGTH, 0),
            Body::Empty => builder,
            // The connection tells no length of an empty body, and servers want one.
            Body::Bytes(bytes) if bytes.is_empty() && needs_length => builder.header(header::CONTENT_LENGTH, 0),
            Body::Bytes(bytes) => builder.body(bytes),
            Body::Told(bytes, progress) => {
                builder.header(header::CONTENT_LENGTH, bytes.len()).body(told(bytes, progress))
            }
        })
    }

    /// A link that does `method` on an object without a key.
    pub fn link(&self, method: &str, bucket: &str, key: &str, lifetime: Duration) -> String {
        let path = format!("/{bucket}/{}", encode(key, true));
        let at = SigningTime::now();
        let query = presigned(&self.key, &self.region, at, (method, &self.host, &path), lifetime);
        format!("{}{path}?{query}", self.base)
    }

    fn unreachable(&self, error: &reqwest::Error) -> S3Error {
        S3Error::Unreachable { url: self.base.clone(), reason: cause(error), was_sent: !error.is_connect() }
    }

    pub(super) fn malformed(&self, reason: String) -> S3Error {
        S3Error::Malformed { url: self.base.clone(), reason }
    }

    async fn text(&self, response: Response) -> Result<String, S3Error> {
        let mut out = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|e| self.unreachable(&e))?;
            if out.len() + chunk.len() > DOCUMENT_MAX_BYTES {
                return Err(self.malformed(format!("a document over the limit of {DOCUMENT_MAX_BYTES} B")));
            }
            out.extend_from_slice(&chunk);
        }
        String::from_utf8(out).map_err(|_| self.malformed("a document that is not UTF-8".to_owned()))
    }

    /// The text of an answer of success.
    pub async fn text_of(&self, request: S3Request<'_>) -> Result<String, S3Error> {
        let response = self.send(request).await?;
        self.text(response).await
    }

    pub(super) async fn document(&self, request: S3Request<'_>) -> Result<Element, S3Error> {
        self.headed_document(request).await.map(|(_, document)| document)
    }

    /// A document and the headers before it.
    pub(super) async fn headed_document(
        &self,
        request: S3Request<'_>,
    ) -> Result<(header::HeaderMap, Element), S3Error> {
        let what = request.what();
        let mut response = self.send(request).await?;
        let headers = std::mem::take(response.headers_mut());
        let text = self.text(response).await?;
        let document = Element::parse(&text).map_err(|reason| self.malformed(reason))?;
        // Some answers begin before their outcome is known.
        if let Some((code, message)) = error(&document) {
            return Err(S3Error::Refused { what, status: 200, code, message });
        }
        Ok((headers, document))
    }

    async fn done(&self, request: S3Request<'_>) -> Result<(), S3Error> {
        self.text_of(request).await.map(drop)
    }

    /// Waits until the server knows the key: one made just now is known when the server has seen its block.
    pub async fn until_known(&self, deadline: Duration) -> Result<(), S3Error> {
        let began = Instant::now();
        loop {
            match self.buckets().await {
                Ok(_) => return Ok(()),
                Err(error) if began.elapsed() < deadline && (error.is_transient() || error.code() == UNKNOWN_KEY) => {
                    tokio::time::sleep(KNOWN_POLL).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Buckets of the account.
    pub async fn buckets(&self) -> Result<Vec<BucketEntry>, S3Error> {
        Ok(buckets(&self.document(S3Request::new(Method::GET, "")).await?))
    }

    /// Makes a bucket.
    pub async fn create_bucket(&self, bucket: &str) -> Result<(), S3Error> {
        self.done(S3Request::new(Method::PUT, bucket)).await
    }

    /// Removes an empty bucket.
    pub async fn delete_bucket(&self, bucket: &str) -> Result<(), S3Error> {
        self.done(S3Request::new(Method::DELETE, bucket)).await
    }

    /// Text of a setting of a bucket, such as `policy` or `versioning`.
    pub async fn setting(&self, bucket: &str, name: &str) -> Result<String, S3Error> {
        self.text_of(S3Request::new(Method::GET, bucket).query(name, "")).await
    }

    /// Changes a setting of a bucket.
    pub async fn set(&self, bucket: &str, name: &str, text: String) -> Result<(), S3Error> {
        let md5 = content_md5(text.as_bytes());
        let request = S3Request::new(Method::PUT, bucket).query(name, "").header("content-md5", md5);
        self.done(request.body(Body::Bytes(text.into()))).await
    }

    /// Removes a setting of a bucket.
    pub async fn unset(&self, bucket: &str, name: &str) -> Result<(), S3Error> {
        self.done(S3Request::new(Method::DELETE, bucket).query(name, "")).await
    }

    /// Whether a bucket keeps old versions: `Enabled`, `Suspended`, or empty.
    pub async fn versioning(&self, bucket: &str) -> Result<String, S3Error> {
        let document = self.document(S3Request::new(Method::GET, bucket).query("versioning", "")).await?;
        Ok(document.text_of("Status").to_owned())
    }

    /// Stores an object whole; its entity tag.
    pub async fn put(&self, bucket: &str, key: &str, body: Body) -> Result<String, S3Error> {
        self.put_tagged(S3Request::new(Method::PUT, bucket).key(key).body(body)).await
    }

    async fn put_tagged(&self, request: S3Request<'_>) -> Result<String, S3Error> {
        let response = self.send(request).await?;
        let etag = header_of(&response, &header::ETAG);
        // To its end, so that the connection is used again.
        self.text(response).await?;
        etag.ok_or_else(|| self.malformed("an answer to a put without an entity tag".to_owned()))
    }

    /// What is known of an object.
    pub async fn head(&self, bucket: &str, key: &str) -> Result<ObjectHead, S3Error> {
        let response = self.send(S3Request::new(Method::HEAD, bucket).key(key)).await?;
        let size = header_of(&response, &header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
        let (Some(size), Some(etag)) = (size, header_of(&response, &header::ETAG)) else {
            return Err(self.malformed(format!("`{bucket}/{key}` has no length or entity tag")));
        };
        Ok(ObjectHead { size, etag })
    }

    /// Streams an object or a part of it, only if it still has this entity tag.
    pub async fn get(
        &self,
        bucket: &str,
        key: &str,
        range: Option<Range<u64>>,
        etag: Option<&str>,
    ) -> Result<impl Stream<Item = Result<Bytes, S3Error>> + use<>, S3Error> {
        let mut request = S3Request::new(Method::GET, bucket).key(key);
        if let Some(range) = range {
            request = request.header("range", format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        }
        if let Some(etag) = etag {
            request = request.header("if-match", etag);
        }
        Ok(chunks(self.send(request).await?))
    }

    /// One page of objects below a prefix.
    pub async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: &str,
        token: Option<&str>,
    ) -> Result<Listing, S3Error> {
        let mut request = S3Request::new(Method::GET, bucket)
            .query("list-type", "2")
            .query("encoding-type", "url")
            .query("prefix", prefix);
        if !delimiter.is_empty() {
            request = request.query("delimiter", delimiter);
        }
        if let Some(token) = token {
            request = request.query("continuation-token", token);
        }
        listing(&self.document(request).await?).map_err(|reason| self.malformed(reason))
    }

    /// One page of versions below a prefix.
    pub async fn versions(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&(String, String)>,
    ) -> Result<VersionListing, S3Error> {
        let mut request = S3Request::new(Method::GET, bucket)
            .query("versions", "")
            .query("encoding-type", "url")
            .query("prefix", prefix);
        if let Some((key, version)) = after {
            request = request.query("key-marker", key).query("version-id-marker", version);
        }
        versions(&self.document(request).await?).map_err(|reason| self.malformed(reason))
    }

    /// Removes an object, or one version of it.
    pub async fn delete(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<(), S3Error> {
        let mut request = S3Request::new(Method::DELETE, bucket).key(key);
        if let Some(version) = version {
            request = request.query("versionId", version);
        }
        self.done(request).await
    }

    /// Removes up to 1,000 objects or versions; the first that was refused is the error.
    pub async fn delete_many(&self, bucket: &str, keys: &[(String, Option<String>)]) -> Result<(), S3Error> {
        let text = delete_body(keys);
        let md5 = content_md5(text.as_bytes());
        let request = S3Request::new(Method::POST, bucket).query("delete", "").header("content-md5", md5);
        let document = self.document(request.body(Body::Bytes(text.into()))).await?;
        match delete_errors(&document).into_iter().next() {
            None => Ok(()),
            Some((key, code, message)) => {
                Err(S3Error::Refused { what: format!("DELETE of `{bucket}/{key}`"), status: 200, code, message })
            }
        }
    }

    /// Begins an upload in parts; its id.
    pub async fn begin_upload(&self, bucket: &str, key: &str) -> Result<String, S3Error> {
        let document = self.document(S3Request::new(Method::POST, bucket).key(key).query("uploads", "")).await?;
        match document.text_of("UploadId") {
            "" => Err(self.malformed("an upload without an id".to_owned())),
            id => Ok(id.to_owned()),
        }
    }

    /// Stores a part; its entity tag.
    pub async fn put_part(
        &self,
        (bucket, key, upload): (&str, &str, &str),
        number: u32,
        body: Body,
    ) -> Result<String, S3Error> {
        let request = S3Request::new(Method::PUT, bucket).key(key).query("partNumber", number.to_string());
        self.put_tagged(request.query("uploadId", upload).body(body)).await
    }

    /// Parts that an unfinished upload has.
    pub async fn parts(&self, (bucket, key, upload): (&str, &str, &str)) -> Result<Vec<PartEntry>, S3Error> {
        let (mut out, mut after) = (Vec::new(), 0);
        loop {
            let request = S3Request::new(Method::GET, bucket).key(key).query("uploadId", upload);
            let request = request.query("part-number-marker", after.to_string());
            let (page, next) = parts(&self.document(request).await?).map_err(|reason| self.malformed(reason))?;
            out.extend(page);
            match next {
                Some(next) if next > after => after = next,
                _ => return Ok(out),
            }
        }
    }

    /// Unfinished uploads below a prefix, the first page of them.
    pub async fn uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<UploadEntry>, S3Error> {
        let request = S3Request::new(Method::GET, bucket).query("uploads", "").query("encoding-type", "url");
        Ok(uploads(&self.document(request.query("prefix", prefix)).await?))
    }

    /// Makes the object of its parts; its entity tag.
    pub async fn complete_upload(
        &self,
        (bucket, key, upload): (&str, &str, &str),
        parts: &[PartEntry],
    ) -> Result<String, S3Error> {
        let request = S3Request::new(Method::POST, bucket).key(key).query("uploadId", upload);
        let document = self.document(request.body(Body::Bytes(complete_body(parts).into()))).await?;
        Ok(document.text_of("ETag").to_owned())
    }

    /// Gives an upload up.
    pub async fn abort_upload(&self, (bucket, key, upload): (&str, &str, &str)) -> Result<(), S3Error> {
        self.done(S3Request::new(Method::DELETE, bucket).key(key).query("uploadId", upload)).await
    }
}

fn told(bytes: Bytes, progress: Progress) -> reqwest::Body {
    let slices = (0..bytes.len()).step_by(SLICE_BYTES).map(move |at| {
        let slice = bytes.slice(at..bytes.len().min(at + SLICE_BYTES));
        progress(slice.len() as u64);
        Ok::<_, std::io::Error>(slice)
    });
    reqwest::Body::wrap_stream(stream::iter(slices))
}

/// The body of an answer as it arrives.
pub(super) fn chunks(response: Response) -> impl Stream<Item = Result<Bytes, S3Error>> + use<> {
    let url = response.url().origin().ascii_serialization();
    response.bytes_stream().map_err(move |e| S3Error::Unreachable {
        url: url.clone(),
        reason: cause(&e),
        was_sent: true,
    })
}

fn header_of(response: &Response, name: &header::HeaderName) -> Option<String> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn refusal(what: String, status: StatusCode, text: &str) -> S3Error {
    let plain = || {
        // An answer to HEAD has no body that says more.
        let code = status.canonical_reason().unwrap_or("Error").replace(' ', "");
        (code, text.chars().take(200).collect())
    };
    let (code, message) = Element::parse(text).ok().as_ref().and_then(error).unwrap_or_else(plain);
    S3Error::Refused { what, status: status.as_u16(), code, message }
}

/// `Content-MD5`, which some requests must have.
pub(super) fn content_md5(bytes: &[u8]) -> String {
    base64(&Md5::digest(bytes))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0usize, |word, at| word << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            out.push(if digit <= chunk.len() { char::from(DIGITS[word >> (18 - 6 * digit) & 63]) } else { '=' });
        }
    }
    out
}

/// The innermost cause: reqwest's own text names only the URL.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests;
