//! Which requests are DeOSS calls, on a port they share with S3.
//!
//! Pure. Invariant: a request with an S3 signature, or with any header or query of S3's, is never a DeOSS call, so that a bucket may
//! have any name.

use crate::{gateway::s3::percent, types::FileId};
use axum::http::{HeaderMap, HeaderName, Method, Uri, header};

/// What all headers of S3 begin with.
const S3_HEADERS: &str = "x-amz-";
/// What queries of S3 links begin with, in lower case.
const S3_QUERIES: [&str; 2] = ["x-amz-", "awsaccesskeyid="];
/// Digits of a file's id.
const FID_DIGITS: usize = 64;

/// A DeOSS call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `PUT /file`: one file in a form.
    PutFile,
    /// `PUT /files`: several.
    PutFiles,
    /// `PUT /object/:name`: the body is the file.
    PutObject(Option<String>),
    /// `PUT /resume/:name`: a part of a file.
    Resume(String),
    /// `DELETE /file/:fid`.
    Delete(String),
    /// `GET /file/download/:fid`.
    Download(String),
    /// `GET /file/open/:fid`.
    Open(String),
    /// `GET /file/metadata/:fid`.
    Metadata(String),
    /// `GET /file/location/:fid`.
    Location(String),
    /// `GET /file/list`.
    List,
    /// `GET /version`.
    Version,
    /// A browser asks before it sends one of the others.
    Preflight,
}

/// The call a request is, if it is one.
pub fn call_of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Call> {
    if is_s3(uri, headers) {
        return None;
    }
    if method != Method::OPTIONS {
        return path_call(method, uri.path());
    }
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let asked = Method::from_bytes(asked.as_bytes()).ok()?;
    path_call(&asked, uri.path()).map(|_| Call::Preflight)
}

fn is_s3(uri: &Uri, headers: &HeaderMap) -> bool {
    let is_header = |name: &str| name == header::AUTHORIZATION.as_str() || name.starts_with(S3_HEADERS);
    // What a browser is about to send.
    let announced =
        headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter().filter_map(|list| list.to_str().ok());
    let query = uri.query().unwrap_or_default().to_ascii_lowercase();
    headers.keys().map(HeaderName::as_str).any(is_header)
        || announced.flat_map(|list| list.split(',')).any(|name| is_header(name.trim().to_ascii_lowercase().as_str()))
        || query.split('&').any(|field| S3_QUERIES.iter().any(|prefix| field.starts_with(prefix)))
}

fn path_call(method: &Method, path: &str) -> Option<Call> {
    let words: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let reads = *method == Method::GET || *method == Method::HEAD;
    match words[..] {
        ["file"] if *method == Method::PUT => Some(Call::PutFile),
        ["files"] if *method == Method::PUT => Some(Call::PutFiles),
        ["object"] if *method == Method::PUT => Some(Call::PutObject(None)),
        ["object", name] if *method == Method::PUT && !name.is_empty() => Some(Call::PutObject(Some(decoded(name)))),
        ["resume", name] if *method == Method::PUT && !name.is_empty() => Some(Call::Resume(decoded(name))),
        ["file", fid] if *method == Method::DELETE => Some(Call::Delete(fid.to_owned())),
        ["file", "list"] if reads => Some(Call::List),
        ["version"] if reads => Some(Call::Version),
        ["file", what, fid] if reads => read_call(what, fid),
        // As older gateways have them; only with an id, which few keys of objects look like.
        [what, fid] if reads && begins_with_fid(fid) => read_call(what, fid),
        _ => None,
    }
}

fn read_call(what: &str, fid: &str) -> Option<Call> {
    let fid = decoded(fid);
    match what {
        "download" => Some(Call::Download(fid)),
        "open" => Some(Call::Open(fid)),
        "metadata" => Some(Call::Metadata(fid)),
        "location" => Some(Call::Location(fid)),
        _ => None,
    }
}

fn begins_with_fid(text: &str) -> bool {
    text.get(..FID_DIGITS).is_some_and(|fid| fid.parse::<FileId>().is_ok())
}

/// An id, and the format that may stand behind it: `…`, `….png`, `…png`.
pub fn split_format(fid: &str) -> (&str, &str) {
    match fid.split_once('.') {
        Some(split) => split,
        None if begins_with_fid(fid) => fid.split_at(FID_DIGITS),
        None => (fid, ""),
    }
}

/// In a path `+` is itself.
fn decoded(component: &str) -> String {
    percent::decode(&component.replace('+', "%2B"))
}

/// A field of the query, whatever the case of its name.
pub fn query_field(uri: &Uri, name: &str) -> Option<String> {
    let mut fields = uri.query()?.split('&').filter_map(|field| field.split_once('='));
    fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| percent::decode(value))
}
