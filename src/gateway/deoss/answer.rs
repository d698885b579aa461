//! Answers in the form of DeOSS: `{code, msg, data}`, and what browsers need to read them.

use super::super::reply::Refusal;
use crate::client::deoss::Answer;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};
use serde::Serialize;

/// What other sites' pages may read of an answer.
const EXPOSED: &str = "Content-Length, Content-Range, Accept-Ranges, Content-Disposition, ETag";
/// What they may send.
const ALLOWED: &str =
    "Territory, Account, EthAcc, Message, Signature, Filename, Format, Bucket, Fid, Content-Type, Content-Range, Range";
const METHODS: &str = "PUT, GET, HEAD, DELETE, OPTIONS";
const PREFLIGHT_KEPT_SECONDS: u32 = 86_400;

/// `{"code": 200, "msg": "ok", "data": …}`.
pub fn ok(data: impl Serialize) -> Response<Body> {
    document(StatusCode::OK, &Answer { code: 200, msg: "ok".to_owned(), data })
}

/// A refusal of a call, which is told in the document alone, as DeOSS does.
pub fn refused(refusal: &Refusal) -> Response<Body> {
    refusal_with(StatusCode::OK, refusal)
}

/// A refusal of a file, with a status too, so that nobody takes the document for the file.
pub fn no_file(refusal: &Refusal) -> Response<Body> {
    refusal_with(refusal.status(), refusal)
}

fn refusal_with(status: StatusCode, refusal: &Refusal) -> Response<Body> {
    let data: Option<()> = None;
    document(status, &Answer { code: refusal.status().as_u16(), msg: refusal.text().to_owned(), data })
}

/// Any document.
pub fn document(status: StatusCode, data: &impl Serialize) -> Response<Body> {
    let text = serde_json::to_vec(data).expect("documents are made of text and numbers");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    response.map(|_| Body::from(text))
}

/// The answer to a browser that asks whether it may send a call.
pub fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(PREFLIGHT_KEPT_SECONDS));
    response
}

/// Lets pages of every site read the answer: a call's rights are in its signature and never in what a browser keeps.
pub fn open_to_pages(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}

/// Headers with which a page shows a file: whatever it is, it may not act in the gateway's name.
pub fn shown(headers: &mut HeaderMap, kind: &'static str, file_name: &str) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Browsers' viewers of PDF do not work within it, and run nothing of the file in the page's name.
    if kind != "application/pdf" {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=2592000, no-transform, immutable"));
    insert(headers, header::CONTENT_DISPOSITION, format!("inline; filename*=UTF-8''{file_name}"));
}

/// A header whose text was made of encoded parts.
pub fn insert(headers: &mut HeaderMap, name: HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}
