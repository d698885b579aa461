//! Requests that the library cannot read although S3 can: they are put into a form it reads, and asked again.
//!
//! A `Range` that names several ranges, or none, is ignored; a document that comes in chunks is put together. The first attempt checks
//! signature and permission and then fails; the second is signed here, with the key that was found good. Must not know what requests
//! mean. Invariants: nothing is signed for a key that did not sign the first attempt; what is asked again was read to its end.

use super::{
    Protocol, access,
    intake::{self, CONTENT_HASH, DOCUMENT_MAX_BYTES},
    percent,
};
use crate::client::s3::{AccessKey, SigningTime, ToSign, authorization, encode, query, sha256_hex};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header, request::Parts},
};
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};

/// The code with which the library refuses a document in chunks after it has read it.
const UNREAD: &[u8] = b"<Code>IncompleteBody</Code>";
/// Room for the lines between chunks of a document.
const LINES_MAX_BYTES: u64 = 1 << 20;
/// Headers that speak of the first attempt only.
const OUTDATED: [&str; 7] = [
    "authorization",
    "content-encoding",
    "content-length",
    "range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-trailer",
];

/// Set when a request was found good: the id of the key that signed it, if one did.
#[derive(Debug, Clone, Default)]
pub struct Passed(Arc<OnceLock<Option<String>>>);

impl Passed {
    /// The request is good.
    pub fn set(&self, key: Option<&str>) {
        // A request is checked once.
        let _ = self.0.set(key.map(str::to_owned));
    }
}

/// Why a request may have to be asked again, and what is needed for it.
pub struct Again {
    passed: Passed,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// The document in its chunks, as far as it was read; none where a range is to be ignored.
    document: Option<Arc<Mutex<Vec<Bytes>>>>,
}

impl Again {
    /// Prepares for a second attempt, where one may be needed.
    pub fn prepare(head: &mut Parts, body: Body) -> (Option<Self>, Body) {
        let (document, body) = if intake::is_document(&head.method, &head.uri)
            && intake::chunks_of(&head.headers).is_some()
            && intake::length_of(&head.headers).is_some_and(|length| length <= DOCUMENT_MAX_BYTES + LINES_MAX_BYTES)
        {
            let kept = Arc::new(Mutex::new(Vec::new()));
            (Some(kept.clone()), noted(body, kept))
        } else if has_odd_range(head) {
            match signed_by(head, "range") {
                Signed::Header => {}
                Signed::Link => return (None, body),
                Signed::Not => {
                    head.headers.remove(header::RANGE);
                    return (None, body);
                }
            }
            (None, body)
        } else {
            return (None, body);
        };
        let passed = Passed::default();
        head.extensions.insert(passed.clone());
        let (method, uri, headers) = (head.method.clone(), head.uri.clone(), head.headers.clone());
        (Some(Self { passed, method, uri, headers, document }), body)
    }

    /// The second attempt, if the first failed for what is done here.
    pub async fn second(self, first: &mut Response<s3s::Body>, protocol: &Protocol) -> Option<Request<Body>> {
        let id = self.passed.0.get()?.clone()?;
        let failed = first.status() == StatusCode::BAD_REQUEST;
        let mut headers = self.headers.clone();
        OUTDATED.iter().for_each(|name| drop(headers.remove(*name)));
        let bytes = match &self.document {
            None if failed => Bytes::new(),
            Some(kept) if failed && is_unread(first) => {
                let (bytes, trailers) = decoded(&kept.lock().concat(), &self.headers)?;
                headers.extend(trailers);
                bytes.into()
            }
            _ => return None,
        };
        let known = protocol.keys.look_up(&id).await.ok()??;
        let key = AccessKey::new(&id, known.secret.expose());
        if self.document.is_some() {
            headers.insert(CONTENT_HASH, HeaderValue::try_from(sha256_hex(&bytes)).ok()?);
            headers.insert(header::CONTENT_LENGTH, bytes.len().into());
        }
        sign(&key, &protocol.region, &self.method, &self.uri, &mut headers)?;
        let mut request = Request::new(Body::from(bytes));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (self.method, self.uri, headers);
        Some(request)
    }
}

/// A range that is none of S3's.
fn has_odd_range(head: &Parts) -> bool {
    let range = head.headers.get(header::RANGE).filter(|_| matches!(head.method, Method::GET | Method::HEAD));
    range.is_some_and(|range| range.to_str().map_or(true, |range| s3s::dto::Range::parse(range).is_err()))
}

/// What covers a header.
#[derive(Debug, PartialEq, Eq)]
enum Signed {
    Not,
    Header,
    /// A link, which only its maker can sign anew.
    Link,
}

fn signed_by(head: &Parts, name: &str) -> Signed {
    let names = |list: &str| list.split(';').any(|signed| signed.eq_ignore_ascii_case(name));
    if access::query(&head.uri, "X-Amz-SignedHeaders").is_some_and(|list| names(&list)) {
        return Signed::Link;
    }
    let value = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut lists = value.split([',', ' ']).filter_map(|field| field.strip_prefix("SignedHeaders="));
    if lists.any(names) { Signed::Header } else { Signed::Not }
}

fn noted(body: Body, kept: Arc<Mutex<Vec<Bytes>>>) -> Body {
    Body::from_stream(body.into_data_stream().inspect(move |part| {
        if let Ok(bytes) = part {
            kept.lock().push(bytes.clone());
        }
    }))
}

/// Whether the library has read a document and then stumbled over its length.
fn is_unread(answer: &mut Response<s3s::Body>) -> bool {
    let document = answer.body_mut().bytes().unwrap_or_default();
    let is_unread = document.windows(UNREAD.len()).any(|window| window == UNREAD);
    *answer.body_mut() = document.into();
    is_unread
}

/// A document out of its chunks, whose signatures were checked, and the checksum behind it; none if it is not whole.
fn decoded(chunks: &[u8], headers: &HeaderMap) -> Option<(Vec<u8>, HeaderMap)> {
    let (mut rest, mut document) = (chunks, Vec::new());
    loop {
        let (line, after) = line_of(rest)?;
        let size = line.split(';').next().and_then(|size| usize::from_str_radix(size, 16).ok())?;
        if size == 0 {
            rest = after;
            break;
        }
        document.extend_from_slice(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix(b"\r\n")?;
    }
    let announced = headers.get("x-amz-decoded-content-length")?.to_str().ok()?;
    if announced.parse() != Ok(document.len()) {
        return None;
    }
    let mut trailers = HeaderMap::new();
    while let Some((line, after)) = line_of(rest) {
        rest = after;
        if let Some((name, value)) = line.split_once(':').filter(|(name, _)| name.starts_with("x-amz-checksum-")) {
            trailers.insert(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value.trim()).ok()?);
        }
    }
    Some((document, trailers))
}

fn line_of(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    Some((line.trim_end_matches('\r'), &bytes[end + 1..]))
}

/// Signs everything that must be signed.
fn sign(key: &AccessKey, region: &str, method: &Method, uri: &Uri, headers: &mut HeaderMap) -> Option<()> {
    let at = SigningTime::now();
    headers.insert("x-amz-date", HeaderValue::try_from(at.stamp()).ok()?);
    let mut signed = Vec::new();
    for name in headers.keys().filter(|name| *name == header::HOST || name.as_str().starts_with("x-amz-")) {
        let values: Vec<&str> = headers.get_all(name).iter().map(HeaderValue::to_str).collect::<Result<_, _>>().ok()?;
        signed.push((name.as_str().to_owned(), values.join(",")));
    }
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (percent::decode(name), percent::decode(value)))
        .collect();
    let fields: Vec<(&str, String)> = pairs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let payload = headers.get(CONTENT_HASH)?.to_str().ok()?.to_owned();
    // In a path a plus is itself.
    let path = encode(&percent::decode(&uri.path().replace('+', "%2B")), true);
    let to_sign =
        ToSign { method: method.as_str(), path: &path, query: &query(&fields), headers: &signed, payload: &payload };
    let value = authorization(key, region, at, &to_sign);
    headers.insert(header::AUTHORIZATION, HeaderValue::try_from(value).ok()?);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_out_of_their_chunks_or_not_at_all() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-decoded-content-length", "8".parse().unwrap());
        let signature = "a".repeat(64);
        let whole = format!(
            "5;chunk-signature={signature}\r\nhello\r\n3;chunk-signature={signature}\r\nabc\r\n0;chunk-signature={signature}\r\n\
             x-amz-checksum-crc32:AAAA\r\nx-amz-trailer-signature:{signature}\r\n\r\n"
        );
        let (document, trailers) = decoded(whole.as_bytes(), &headers).unwrap();
        assert_eq!(document, b"helloabc");
        assert_eq!((trailers.len(), &trailers["x-amz-checksum-crc32"]), (1, &HeaderValue::from_static("AAAA")));
        for broken in ["", "5\r\nhello\r\n", "8\r\nhelloabc\r\n", "5\r\nhello\r\n0\r\n\r\n", "9\r\nhelloabc", "x\r\n"] {
            assert_eq!(decoded(broken.as_bytes(), &headers), None, "{broken}");
        }
    }

    #[test]
    fn which_headers_are_signed_is_read_as_clients_write_it() {
        let signed = |uri: &str, authorization: &str| {
            let request = Request::get(uri).header(header::AUTHORIZATION, authorization).body(()).unwrap();
            signed_by(&request.into_parts().0, "range")
        };
        for (authorization, expected) in [
            ("AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host;range;x-amz-date, Signature=0", Signed::Header),
            ("AWS4-HMAC-SHA256 Credential=a/b/c,SignedHeaders=host;Range,Signature=0", Signed::Header),
            ("AWS4-HMAC-SHA256 Credential=a/b/c,SignedHeaders=host,Signature=range", Signed::Not),
            ("AWS key:range", Signed::Not),
        ] {
            assert_eq!(signed("/b/k", authorization), expected, "{authorization}");
        }
        assert_eq!(signed("/b/k?X-Amz-SignedHeaders=host%3Brange", ""), Signed::Link);
        assert_eq!(signed("/b/k?X-Amz-SignedHeaders=host", ""), Signed::Not);
    }
}
