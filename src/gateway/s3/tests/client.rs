//! A small client: signs and sends requests, and reads answers.

use super::super::{connection::Activity, service::Front};
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request},
};
use ring::{digest, hmac};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

pub const REGION: &str = "us-east-1";
pub const HOST: &str = "s3.test";

/// A key that signs.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub id: &'static str,
    pub secret: &'static str,
}

/// How a request is signed.
#[derive(Debug, Clone, Copy)]
pub enum Signing {
    None,
    Header(Key),
    Query(Key, i64),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: Method,
    pub host: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub unsigned_headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub payload: Option<String>,
    pub signing: Signing,
    /// Seconds the client's clock is ahead.
    pub ahead: i64,
    pub region: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What stands in the first element of a name.
    pub fn element(&self, name: &str) -> String {
        self.elements(name).into_iter().next().unwrap_or_default()
    }

    pub fn elements(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let text = self.text();
        let parts = text.split(&open).skip(1).filter_map(|part| part.split_once(&close));
        parts.map(|(inside, _)| inside.replace("&quot;", "\"").replace("&amp;", "&")).collect()
    }

    /// The code of an error.
    pub fn code(&self) -> String {
        self.element("Code")
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text());
        self
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text());
        assert!(!self.header("x-amz-request-id").is_empty());
        self
    }
}

impl Ask {
    pub fn new(method: Method, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self {
            method,
            host: HOST.to_owned(),
            path: path.to_owned(),
            query: pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            headers: Vec::new(),
            unsigned_headers: Vec::new(),
            body: Vec::new(),
            payload: None,
            signing: Signing::None,
            ahead: 0,
            region: REGION.to_owned(),
        }
    }

    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn put(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(Method::PUT, path).body(body)
    }

    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(Method::POST, path).body(body)
    }

    pub fn delete(path: &str) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub fn head(path: &str) -> Self {
        Self::new(Method::HEAD, path)
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    pub fn by(mut self, key: Key) -> Self {
        self.signing = Signing::Header(key);
        self
    }

    pub fn link(mut self, key: Key, seconds: i64) -> Self {
        self.signing = Signing::Query(key, seconds);
        self
    }

    pub fn ahead(mut self, seconds: i64) -> Self {
        self.ahead = seconds;
        self
    }

    pub fn payload(mut self, payload: &str) -> Self {
        self.payload = Some(payload.to_owned());
        self
    }

    /// Signs, and gives the request and its signature.
    pub fn signed(mut self) -> (Request<Body>, String) {
        let (date, stamp) = stamps(now() + self.ahead);
        let mut signature = String::new();
        match self.signing {
            Signing::None => {}
            Signing::Header(key) => {
                let payload = self.payload.clone().unwrap_or_else(|| sha256(&self.body));
                self.headers.push(("x-amz-date".into(), stamp.clone()));
                self.headers.push(("x-amz-content-sha256".into(), payload.clone()));
                let (names, hash) = self.canonical(&payload);
                signature = sign(key.secret, &date, &stamp, &self.region, &hash);
                let scope = format!("{date}/{}/s3/aws4_request", self.region);
                let value = format!(
                    "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
                    key.id
                );
                self.headers.push(("authorization".into(), value));
            }
            Signing::Query(key, seconds) => {
                let scope = format!("{}/{date}/{}/s3/aws4_request", key.id, self.region);
                let mut names: Vec<String> = self.headers.iter().map(|(name, _)| name.clone()).collect();
                names.push("host".into());
                names.sort();
                for (name, value) in [
                    ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
                    ("X-Amz-Credential", scope),
                    ("X-Amz-Date", stamp.clone()),
                    ("X-Amz-Expires", seconds.to_string()),
                    ("X-Amz-SignedHeaders", names.join(";")),
                ] {
                    self.query.push((name.to_owned(), encode(&value, false)));
                }
                let (_, hash) = self.canonical("UNSIGNED-PAYLOAD");
                signature = sign(key.secret, &date, &stamp, &self.region, &hash);
                self.query.push(("X-Amz-Signature".into(), signature.clone()));
            }
        }
        (self.request(), signature)
    }

    fn canonical(&self, payload: &str) -> (String, String) {
        let mut headers: Vec<(String, String)> = self.headers.clone();
        headers.push(("host".into(), self.host.clone()));
        headers.sort();
        let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let mut query = self.query.clone();
        query.sort();
        let query = query.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("&");
        let text = format!("{}\n{}\n{query}\n{lines}\n{names}\n{payload}", self.method, self.path);
        (names, sha256(text.as_bytes()))
    }

    fn request(self) -> Request<Body> {
        let query = self.query.iter().map(|(k, v)| if v.is_empty() { k.clone() } else { format!("{k}={v}") });
        let query = query.collect::<Vec<_>>().join("&");
        let uri = if query.is_empty() { self.path.clone() } else { format!("{}?{query}", self.path) };
        let mut request = Request::builder().method(self.method.clone()).uri(uri).header("host", self.host);
        // As clients do: no length where there is no body to speak of.
        if matches!(self.method, Method::PUT | Method::POST) {
            request = request.header("content-length", self.body.len());
        }
        for (name, value) in self.headers.iter().chain(&self.unsigned_headers) {
            request = request.header(name, value);
        }
        request.body(Body::from(self.body)).unwrap()
    }
}

/// Sends requests to a front in this process.
#[derive(Clone)]
pub struct Client(pub Arc<Front>);

impl Client {
    pub async fn send(&self, ask: Ask) -> Reply {
        self.raw(ask.signed().0).await
    }

    pub async fn raw(&self, request: Request<Body>) -> Reply {
        let answer = self.0.answer(request, "127.0.0.1:9999".parse().unwrap(), Activity::default().begin()).await;
        let (head, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Reply { status: head.status.as_u16(), headers: head.headers, body }
    }
}

pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// `20130524` and `20130524T000000Z`.
pub fn stamps(seconds: i64) -> (String, String) {
    let moment = super::super::time::moment(u64::try_from(seconds * 1000).unwrap());
    let mut text = Vec::new();
    moment.format(s3s::dto::TimestampFormat::DateTime, &mut text).unwrap();
    let digits: String = String::from_utf8(text).unwrap().chars().take(19).filter(|c| !"-:".contains(*c)).collect();
    (digits[..8].to_owned(), format!("{digits}Z"))
}

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

pub fn hmac_of(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// The key of a day, region and service.
pub fn signing_key(secret: &str, date: &str, region: &str) -> Vec<u8> {
    let day = hmac_of(format!("AWS4{secret}").as_bytes(), date);
    hmac_of(&hmac_of(&hmac_of(&day, region), "s3"), "aws4_request")
}

fn sign(secret: &str, date: &str, stamp: &str, region: &str, hash: &str) -> String {
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{date}/{region}/s3/aws4_request\n{hash}");
    hex::encode(hmac_of(&signing_key(secret, date, region), &text))
}

pub fn encode(text: &str, path: bool) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b) || (path && b == b'/');
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

pub fn md5_base64(bytes: &[u8]) -> String {
    use md5::Digest;
    super::super::base64::encode(&md5::Md5::digest(bytes))
}

pub fn md5_hex(bytes: &[u8]) -> String {
    use md5::Digest;
    hex::encode(md5::Md5::digest(bytes))
}
