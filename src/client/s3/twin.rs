//! A small S3 server in memory for tests of clients. It checks signatures, and fails when it is told to.

use super::{
    AccessKey, REGION, SigningTime,
    sign::{ToSign, authorization, encode, sha256_hex},
    xml::{Element, escape},
};
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode},
};
use bytes::Bytes;
use md5::{Digest, Md5};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
};

/// Keys of a page of a listing.
const PAGE: usize = 3;

type Parts = BTreeMap<u32, Bytes>;

#[derive(Default)]
struct Contents {
    buckets: BTreeMap<String, BTreeMap<String, Bytes>>,
    settings: BTreeMap<(String, String), Bytes>,
    uploads: BTreeMap<String, (String, Parts)>,
    next_upload: u64,
    /// Requests still to be refused with 503.
    failing: u32,
    /// Requests still to be answered as if the key were unknown.
    forgetting: u32,
    /// Methods and paths of all requests.
    seen: Vec<String>,
}

/// A server that listens.
#[derive(Clone)]
pub struct Twin {
    /// Its URL.
    pub endpoint: String,
    /// The key it knows.
    pub key: AccessKey,
    contents: Arc<Mutex<Contents>>,
}

type Answer = Result<Response<Body>, (StatusCode, &'static str)>;

impl Twin {
    /// Starts it on a free port; it ends with the test's runtime.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let twin = Self { endpoint, key: AccessKey::new("CESSTWIN", "secret"), contents: Arc::default() };
        let app = axum::Router::new().fallback(serve).with_state(twin.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        twin
    }

    /// The next `count` requests are refused with 503.
    pub fn fail_next(&self, count: u32) {
        self.contents.lock().failing = count;
    }

    /// The next `count` requests find the key unknown.
    pub fn forget_key_for(&self, count: u32) {
        self.contents.lock().forgetting = count;
    }

    /// Methods and paths of the requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.contents.lock().seen.clone()
    }

    /// Changes the bytes of an object behind everybody's back.
    pub fn spoil(&self, bucket: &str, key: &str, bytes: &'static [u8]) {
        self.contents.lock().buckets.get_mut(bucket).unwrap().insert(key.to_owned(), bytes.into());
    }

    fn is_signed(&self, method: &str, path: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let given = text("authorization");
        let Some((_, names)) = given.split_once("SignedHeaders=") else { return false };
        let names = names.split_once(',').unwrap_or_default().0;
        let signed: Vec<_> = names.split(';').map(|name| (name.to_owned(), text(name))).collect();
        let payload = text("x-amz-content-sha256");
        let now = SigningTime::now().0;
        let at = (now - 5..=now + 5).map(SigningTime).find(|at| at.stamp() == text("x-amz-date"));
        let request = ToSign { method, path, query, headers: &signed, payload: &payload };
        let is_body = payload == "UNSIGNED-PAYLOAD" || payload == sha256_hex(body);
        is_body && at.is_some_and(|at| authorization(&self.key, REGION, at, &request) == given)
    }
}

async fn serve(State(twin): State<Twin>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    let method = head.method.as_str();
    let fields: BTreeMap<String, String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect();
    let (bucket, key) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let mut contents = twin.contents.lock();
    contents.seen.push(format!("{method} {path}?{query}"));
    let answer = if contents.failing > 0 {
        contents.failing -= 1;
        Err((StatusCode::SERVICE_UNAVAILABLE, "SlowDown"))
    } else if contents.forgetting > 0 {
        contents.forgetting -= 1;
        Err((StatusCode::FORBIDDEN, "InvalidAccessKeyId"))
    } else if !twin.is_signed(method, path, query, &head.headers, &body) {
        Err((StatusCode::FORBIDDEN, "SignatureDoesNotMatch"))
    } else {
        contents.answer(method, bucket, &decoded(key), &fields, &head.headers, body)
    };
    answer.unwrap_or_else(|(status, code)| {
        let text = format!("<Error><Code>{code}</Code><Message>by the twin</Message></Error>");
        Response::builder().status(status).body(text.into()).unwrap()
    })
}

fn decoded(text: &str) -> String {
    let document = format!("<R><Contents><Key>{}</Key><Size>0</Size></Contents></R>", escape(text));
    super::documents::listing(&Element::parse(&document).unwrap()).unwrap().objects.remove(0).key
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(bytes)))
}

fn ok(text: impl Into<Body>) -> Answer {
    Ok(Response::new(text.into()))
}

fn tagged(bytes: &[u8], body: impl Into<Body>) -> Answer {
    Ok(Response::builder().header("etag", etag(bytes)).body(body.into()).unwrap())
}

impl Contents {
    fn answer(
        &mut self,
        method: &str,
        bucket: &str,
        key: &str,
        fields: &BTreeMap<String, String>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Answer {
        let field = |name: &str| fields.get(name).map(String::as_str);
        if bucket.is_empty() {
            let entry =
                |name: &String| format!("<Bucket><Name>{name}</Name><CreationDate>then</CreationDate></Bucket>");
            return ok(format!("<R><Buckets>{}</Buckets></R>", self.buckets.keys().map(entry).collect::<String>()));
        }
        if method == "PUT" && key.is_empty() && fields.is_empty() {
            self.buckets.entry(bucket.to_owned()).or_default();
            return ok("");
        }
        if !self.buckets.contains_key(bucket) {
            return Err((StatusCode::NOT_FOUND, "NoSuchBucket"));
        }
        if field("uploads").is_some() || field("uploadId").is_some() {
            return self.multipart(method, bucket, key, fields, body);
        }
        for setting in ["policy", "versioning"] {
            if field(setting).is_some() {
                return self.setting(method, (bucket.to_owned(), setting.to_owned()), body);
            }
        }
        let objects = self.buckets.get_mut(bucket).expect("looked for above");
        match (method, key) {
            ("GET", "") => ok(listed(objects, fields)),
            ("POST", "") => {
                let document = Element::parse(std::str::from_utf8(&body).unwrap()).unwrap();
                document.all("Object").for_each(|object| drop(objects.remove(object.text_of("Key"))));
                ok("<DeleteResult></DeleteResult>")
            }
            ("DELETE", "") if !objects.is_empty() => Err((StatusCode::CONFLICT, "BucketNotEmpty")),
            ("DELETE", "") => {
                self.buckets.remove(bucket);
                ok("")
            }
            ("PUT", _) => {
                let answer = tagged(&body, "");
                objects.insert(key.to_owned(), body);
                answer
            }
            ("DELETE", _) => {
                objects.remove(key);
                ok("")
            }
            _ => found(objects.get(key).ok_or((StatusCode::NOT_FOUND, "NoSuchKey"))?, method, headers),
        }
    }

    fn setting(&mut self, method: &str, name: (String, String), body: Bytes) -> Answer {
        match method {
            "PUT" => drop(self.settings.insert(name, body)),
            "DELETE" => drop(self.settings.remove(&name)),
            _ => return ok(self.settings.get(&name).ok_or((StatusCode::NOT_FOUND, "NoSuchSetting"))?.clone()),
        }
        ok("")
    }

    fn multipart(
        &mut self,
        method: &str,
        bucket: &str,
        key: &str,
        fields: &BTreeMap<String, String>,
        body: Bytes,
    ) -> Answer {
        let Some(id) = fields.get("uploadId") else {
            if method == "POST" {
                self.next_upload += 1;
                self.uploads.insert(self.next_upload.to_string(), (key.to_owned(), Parts::new()));
                return ok(format!("<R><UploadId>{}</UploadId></R>", self.next_upload));
            }
            let entry = |(id, (key, _)): (&String, &(String, Parts))| {
                format!("<Upload><Key>{}</Key><UploadId>{id}</UploadId></Upload>", encode(key, true))
            };
            return ok(format!("<R>{}</R>", self.uploads.iter().map(entry).collect::<String>()));
        };
        let (_, parts) = self.uploads.get_mut(id).ok_or((StatusCode::NOT_FOUND, "NoSuchUpload"))?;
        match method {
            "PUT" => {
                let answer = tagged(&body, "");
                parts.insert(fields["partNumber"].parse().unwrap(), body);
                answer
            }
            "GET" => {
                let after: u32 = fields["part-number-marker"].parse().unwrap();
                let (mut text, mut last) = (String::new(), 0);
                for (number, bytes) in parts.iter().filter(|(number, _)| **number > after).take(PAGE) {
                    let (len, tag) = (bytes.len(), etag(bytes));
                    write!(text, "<Part><PartNumber>{number}</PartNumber><Size>{len}</Size><ETag>{tag}</ETag></Part>")
                        .unwrap();
                    last = *number;
                }
                let more = parts.keys().any(|number| *number > last && last > 0);
                ok(format!(
                    "<R>{text}<IsTruncated>{more}</IsTruncated><NextPartNumberMarker>{last}</NextPartNumberMarker></R>"
                ))
            }
            "DELETE" => {
                self.uploads.remove(id);
                ok("")
            }
            _ => {
                let document = Element::parse(std::str::from_utf8(&body).unwrap()).unwrap();
                let named = document
                    .all("Part")
                    .map(|part| (part.text_of("PartNumber").parse().unwrap(), part.text_of("ETag").to_owned()));
                let held = parts.iter().map(|(number, bytes)| (*number, etag(bytes)));
                if !named.eq(held) {
                    return ok("<Error><Code>InvalidPart</Code><Message>by the twin</Message></Error>");
                }
                let whole: Vec<u8> = parts.values().flat_map(|part| part.to_vec()).collect();
                self.uploads.remove(id);
                let answer = ok(format!("<R><ETag>{}</ETag></R>", escape(&etag(&whole))));
                self.buckets.get_mut(bucket).unwrap().insert(key.to_owned(), whole.into());
                answer
            }
        }
    }
}

fn found(bytes: &Bytes, method: &str, headers: &HeaderMap) -> Answer {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("if-match").is_some_and(|wanted| wanted != etag(bytes)) {
        return Err((StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
    }
    let range = text("range").and_then(|range| range.strip_prefix("bytes=")).and_then(|range| range.split_once('-'));
    let part = match range {
        None => bytes.clone(),
        Some((from, to)) => bytes.slice(from.parse().unwrap()..bytes.len().min(to.parse::<usize>().unwrap() + 1)),
    };
    let answer = Response::builder().header("etag", etag(bytes)).header("content-length", part.len());
    Ok(answer.body(if method == "HEAD" { Body::empty() } else { part.into() }).unwrap())
}

fn listed(objects: &BTreeMap<String, Bytes>, fields: &BTreeMap<String, String>) -> String {
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let (prefix, delimiter, token) = (field("prefix"), field("delimiter"), field("continuation-token"));
    let (mut text, mut groups, mut last, mut more) = (String::new(), BTreeSet::new(), String::new(), false);
    let mut count = 0;
    for (key, bytes) in objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > token) {
        let group = match delimiter.as_str() {
            "" => None,
            delimiter => key[prefix.len()..].find(delimiter).map(|at| key[..prefix.len() + at + 1].to_owned()),
        };
        if group.as_ref().is_some_and(|group| groups.contains(group)) {
            last.clone_from(key);
            continue;
        }
        if count == PAGE {
            more = true;
            break;
        }
        count += 1;
        last.clone_from(key);
        match group {
            Some(group) => {
                write!(text, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", encode(&group, true)).unwrap();
                groups.insert(group);
            }
            None => {
                let (key, len, tag) = (encode(key, true), bytes.len(), escape(&etag(bytes)));
                write!(text, "<Contents><Key>{key}</Key><Size>{len}</Size><ETag>{tag}</ETag></Contents>").unwrap();
            }
        }
    }
    format!(
        "<R>{text}<IsTruncated>{more}</IsTruncated><NextContinuationToken>{}</NextContinuationToken></R>",
        escape(&last)
    )
}
