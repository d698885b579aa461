//! A client of the DeOSS calls of a gateway, as other programs' clients are: it signs each request and reads the answers.
//!
//! Contents are in memory. Invariant: what is signed is what is sent.

use super::{
    ACCOUNT, Answer, BodyHash, Listed, MESSAGE, Metadata, SIGNATURE, Statement, Stored, StoredOne, TERRITORY, sign,
};
use crate::{
    client::{
        Signer,
        s3::{SigningTime, encode},
    },
    types::ChainId,
};
use bytes::Bytes;
use reqwest::{Method, Response, header};
use serde::de::DeserializeOwned;
use std::{ops::Range, time::Duration};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a gateway may be silent: it disperses a large body, and waits for blocks, before it answers.
const READ_TIMEOUT: Duration = Duration::from_secs(180);
/// How long a request's signature holds.
const LIFETIME_SECONDS: u64 = 5 * 60;
/// Between the parts of forms. Content that has it is refused.
const BOUNDARY: &str = "cess-deoss-form-4f1d0f6c2b7a";

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum DeossError {
    /// No answer.
    #[error("gateway {url} cannot be reached: {reason}")]
    Unreachable { url: String, reason: String },
    /// The gateway refused.
    #[error("{msg} ({code})")]
    Refused { code: u16, msg: String },
    /// The answer makes no sense.
    #[error("gateway {url} answered nonsense: {reason}")]
    Malformed { url: String, reason: String },
    /// The content cannot be sent in a form.
    #[error("`{0}` cannot be sent in a form: its name has quotes or line ends, or its content the form's boundary")]
    Form(String),
}

/// A file to store.
#[derive(Debug, Clone)]
pub struct Upload<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its content.
    pub content: Bytes,
}

/// A gateway, and who asks.
#[derive(Debug, Clone)]
pub struct DeossClient {
    base: String,
    signer: Signer,
    chain: ChainId,
    territory: Option<String>,
    http: reqwest::Client,
}

struct Request<'a> {
    method: Method,
    target: String,
    range: Option<&'a str>,
    hash: BodyHash,
    body: Bytes,
    kind: Option<String>,
}

impl DeossClient {
    /// A client of the gateway at `base` (`http://host:port`), for the account of `signer` on the chain with this id.
    pub fn new(base: &str, signer: Signer, chain: ChainId) -> Self {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .tcp_nodelay(true)
            // 308 says that a part was taken, and leads nowhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without TLS has nothing that can fail to load");
        Self { base: base.trim_end_matches('/').to_owned(), signer, chain, territory: None, http }
    }

    /// The same, charging a territory by its name instead of the one the chain chooses.
    pub fn in_territory(mut self, name: &str) -> Self {
        self.territory = Some(name.to_owned());
        self
    }

    /// Stores a file; gives its id.
    pub async fn put_file(&self, file: &Upload<'_>) -> Result<String, DeossError> {
        let request = self.form("/file", std::slice::from_ref(file))?;
        Ok(self.data::<Stored>(self.send(request).await?).await?.fid)
    }

    /// Stores several files.
    pub async fn put_files(&self, files: &[Upload<'_>]) -> Result<Vec<StoredOne>, DeossError> {
        self.data(self.send(self.form("/files", files)?).await?).await
    }

    /// Stores bytes under a name; gives the file's id.
    pub async fn put_object(&self, object: &Upload<'_>) -> Result<String, DeossError> {
        let target = format!("/object/{}", encode(object.name, false));
        let (hash, body) = (BodyHash::of(&object.content), object.content.clone());
        let request = Request { method: Method::PUT, target, range: None, hash, body, kind: None };
        Ok(self.data::<Stored>(self.send(request).await?).await?.fid)
    }

    /// Sends bytes `range` of a file; gives the file's id after the last ones.
    pub async fn resume(&self, file: &Upload<'_>, range: Range<usize>) -> Result<Option<String>, DeossError> {
        let target = format!("/resume/{}", encode(file.name, false));
        let body = file.content.slice(range.clone());
        let range = format!("{}-{}/{}", range.start, range.end.saturating_sub(1), file.content.len());
        let (method, hash, range) = (Method::PUT, BodyHash::of(&body), Some(range.as_str()));
        let response = self.send(Request { method, target, range, hash, body, kind: None }).await?;
        if response.status() == reqwest::StatusCode::PERMANENT_REDIRECT {
            return Ok(None);
        }
        Ok(Some(self.data::<Stored>(response).await?.fid))
    }

    /// Gives a file up.
    pub async fn delete(&self, fid: &str) -> Result<(), DeossError> {
        let (method, target) = (Method::DELETE, format!("/file/{fid}"));
        let request = Request { method, target, range: None, hash: BodyHash::Empty, body: Bytes::new(), kind: None };
        self.data::<serde_json::Value>(self.send(request).await?).await.map(drop)
    }

    /// A whole file.
    pub async fn download(&self, fid: &str) -> Result<Bytes, DeossError> {
        let response = self.get(&format!("/file/download/{fid}")).await?;
        if !response.status().is_success() {
            return Err(self
                .data::<serde_json::Value>(response)
                .await
                .err()
                .unwrap_or_else(|| self.malformed("a refusal that is none")));
        }
        response.bytes().await.map_err(|e| self.unreachable(&e))
    }

    /// What is known of a file.
    pub async fn metadata(&self, fid: &str) -> Result<Metadata, DeossError> {
        self.data(self.get(&format!("/file/metadata/{fid}")).await?).await
    }

    /// Files of the client's account in its territory, or in all.
    pub async fn list(&self) -> Result<Vec<Listed>, DeossError> {
        let territory =
            self.territory.as_deref().map(|name| format!("&Territory={}", encode(name, false))).unwrap_or_default();
        let account = self.signer.address();
        self.data(self.get(&format!("/file/list?Account={account}{territory}")).await?).await
    }

    async fn get(&self, path: &str) -> Result<Response, DeossError> {
        self.http.get(format!("{}{path}", self.base)).send().await.map_err(|e| self.unreachable(&e))
    }

    fn form(&self, target: &str, files: &[Upload<'_>]) -> Result<Request<'static>, DeossError> {
        let mut body = Vec::new();
        for Upload { name, content } in files {
            let inside = content.windows(BOUNDARY.len()).any(|part| part == BOUNDARY.as_bytes());
            if inside || name.contains(['"', '\r', '\n']) {
                return Err(DeossError::Form((*name).to_owned()));
            }
            let head = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        Ok(Request {
            method: Method::PUT,
            target: target.to_owned(),
            range: None,
            hash: BodyHash::of_all(files.iter().map(|file| &file.content[..])),
            body: body.into(),
            kind: Some(format!("multipart/form-data; boundary={BOUNDARY}")),
        })
    }

    async fn send(&self, request: Request<'_>) -> Result<Response, DeossError> {
        let message = Statement {
            method: request.method.as_str(),
            target: &request.target,
            territory: self.territory.as_deref(),
            name: None,
            range: request.range,
            body: request.hash,
            chain: self.chain,
            expires: SigningTime::now().0 + LIFETIME_SECONDS,
        }
        .to_string();
        let (account, signature) = sign(&self.signer, &message);
        let mut builder = self
            .http
            .request(request.method, format!("{}{}", self.base, request.target))
            .header(ACCOUNT, account.to_string())
            .header(MESSAGE, message)
            .header(SIGNATURE, signature);
        if let Some(territory) = &self.territory {
            builder = builder.header(TERRITORY, territory);
        }
        if let Some(range) = request.range {
            builder = builder.header(header::CONTENT_RANGE, format!("bytes {range}"));
        }
        if let Some(kind) = request.kind {
            builder = builder.header(header::CONTENT_TYPE, kind);
        }
        builder.body(request.body).send().await.map_err(|e| self.unreachable(&e))
    }

    async fn data<T: DeserializeOwned>(&self, response: Response) -> Result<T, DeossError> {
        let body = response.bytes().await.map_err(|e| self.unreachable(&e))?;
        let answer: Answer<serde_json::Value> =
            serde_json::from_slice(&body).map_err(|e| self.malformed(&e.to_string()))?;
        match answer.code {
            200 => serde_json::from_value(answer.data).map_err(|e| self.malformed(&e.to_string())),
            code => Err(DeossError::Refused { code, msg: answer.msg }),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> DeossError {
        DeossError::Unreachable { url: self.base.clone(), reason: error.to_string() }
    }

    fn malformed(&self, reason: &str) -> DeossError {
        DeossError::Malformed { url: self.base.clone(), reason: reason.to_owned() }
    }
}
