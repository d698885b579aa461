//! Bodies in signed chunks, and with checksums after them.

use super::{
    client::{Ask, REGION, Signing, hmac_of, now, sha256, signing_key, stamps},
    world::{ANN, BOB, World},
};
use crate::{
    access::objects::attributes::ChecksumKind,
    gateway::s3::{base64, digests::checksum},
};

const SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

struct Chunks {
    scope: String,
    stamp: String,
    key: Vec<u8>,
    previous: String,
    body: Vec<u8>,
}

impl Chunks {
    fn new(seed: &str) -> Self {
        let (date, stamp) = stamps(now());
        let scope = format!("{date}/{REGION}/s3/aws4_request");
        Self { scope, stamp, key: signing_key(ANN.secret, &date, REGION), previous: seed.to_owned(), body: Vec::new() }
    }

    fn sign(&mut self, kind: &str, tail: &str) -> String {
        let text = format!("{kind}\n{}\n{}\n{}\n{tail}", self.stamp, self.scope, self.previous);
        self.previous = hex::encode(hmac_of(&self.key, &text));
        self.previous.clone()
    }

    fn add(&mut self, data: &[u8]) {
        let tail = format!("{}\n{}", sha256(b""), sha256(data));
        let signature = self.sign("AWS4-HMAC-SHA256-PAYLOAD", &tail);
        self.body.extend(format!("{:x};chunk-signature={signature}\r\n", data.len()).into_bytes());
        self.body.extend_from_slice(data);
        // After the last chunk the trailers follow at once.
        self.body.extend_from_slice(b"\r\n");
    }
}

/// A put whose body is made once the signature of its head is known.
async fn send(
    world: &World,
    payload: &str,
    size: usize,
    trailer: Option<&str>,
    make: impl Fn(&str) -> Vec<u8>,
) -> super::client::Reply {
    for _ in 0..5 {
        let ask = Ask::put("/bkt/k", "")
            .with("x-amz-decoded-content-length", &size.to_string())
            .with("content-encoding", "aws-chunked")
            .payload(payload)
            .by(ANN);
        let ask = trailer.map_or(ask.clone(), |name| ask.with("x-amz-trailer", name));
        let before = now();
        let (request, seed) = ask.signed();
        let body = make(&seed);
        if now() != before {
            continue;
        }
        let (mut head, _) = request.into_parts();
        head.headers.insert("content-length", body.len().to_string().parse().unwrap());
        return world.client.raw(axum::http::Request::from_parts(head, body.into())).await;
    }
    panic!("the clock moves too fast");
}

#[tokio::test]
async fn signed_chunks_are_put_together() {
    let world = World::with_bucket().await;
    let (one, two) = (vec![7; 70_000], vec![8; 80_000]);
    let make = |seed: &str| {
        let mut chunks = Chunks::new(seed);
        chunks.add(&one);
        chunks.add(&two);
        chunks.add(b"");
        chunks.body
    };
    send(&world, SIGNED, 150_000, None, make).await.ok();
    let got = world.ann(Ask::get("/bkt/k")).await.ok();
    assert!(got.body == [one.clone(), two.clone()].concat());
    assert_eq!(got.header("content-encoding"), "");
    world.ann(Ask::delete("/bkt/k")).await.ok();
    let forged = |seed: &str| {
        let mut body = make(seed);
        let at = body.iter().rposition(|byte| *byte == 8).unwrap();
        body[at] = 9;
        body
    };
    send(&world, SIGNED, 150_000, None, forged).await.refused(403, "SignatureDoesNotMatch");
    let short = |seed: &str| {
        let body = make(seed);
        body[..body.len() - 200].to_vec()
    };
    send(&world, SIGNED, 150_000, None, short).await.refused(400, "IncompleteBody");
    world.ann(Ask::get("/bkt/k")).await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn checksums_after_the_body_are_checked() {
    let world = World::with_bucket().await;
    let right = base64::encode(&checksum(ChecksumKind::Crc32c, b"hello"));
    let wrong = base64::encode(&checksum(ChecksumKind::Crc32c, b"other"));
    let unsigned = |value: &str| {
        let text = format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:{value}\r\n\r\n");
        move |_: &str| text.clone().into_bytes()
    };
    let name = Some("x-amz-checksum-crc32c");
    let made = send(&world, UNSIGNED_TRAILER, 5, name, unsigned(&right)).await.ok();
    assert_eq!(made.header("x-amz-checksum-crc32c"), right);
    assert_eq!(world.ann(Ask::get("/bkt/k")).await.ok().text(), "hello");
    world.ann(Ask::delete("/bkt/k")).await.ok();
    send(&world, UNSIGNED_TRAILER, 5, name, unsigned(&wrong)).await.refused(400, "BadDigest");
    let none = |_: &str| b"5\r\nhello\r\n0\r\n\r\n".to_vec();
    send(&world, UNSIGNED_TRAILER, 5, name, none).await.refused(400, "InvalidRequest");
    world.ann(Ask::get("/bkt/k")).await.refused(404, "NoSuchKey");
    let signed = |seed: &str| {
        let mut chunks = Chunks::new(seed);
        chunks.add(b"hello");
        let tail = format!("{}\n{}", sha256(b""), sha256(b""));
        let signature = chunks.sign("AWS4-HMAC-SHA256-PAYLOAD", &tail);
        let line = format!("x-amz-checksum-crc32c:{right}");
        let trailer = chunks.sign("AWS4-HMAC-SHA256-TRAILER", &sha256(format!("{line}\n").as_bytes()));
        let end = format!("0;chunk-signature={signature}\r\n{line}\r\nx-amz-trailer-signature:{trailer}\r\n\r\n");
        [chunks.body, end.into_bytes()].concat()
    };
    send(&world, SIGNED_TRAILER, 5, name, signed).await.ok();
    assert_eq!(world.ann(Ask::get("/bkt/k")).await.ok().text(), "hello");
}

#[tokio::test]
async fn one_chunk_may_be_the_whole_body() {
    let world = World::with_bucket().await;
    let body: Vec<u8> = (0..3_000_001u32).map(|n| u8::try_from(n % 253).unwrap()).collect();
    let sum = base64::encode(&checksum(ChecksumKind::Crc32, &body));
    let unsigned = |_: &str| {
        let head = format!("{:x}\r\n", body.len());
        [head.as_bytes(), &body, format!("\r\n0\r\nx-amz-checksum-crc32:{sum}\r\n\r\n").as_bytes()].concat()
    };
    send(&world, UNSIGNED_TRAILER, body.len(), Some("x-amz-checksum-crc32"), unsigned).await.ok();
    assert!(world.ann(Ask::get("/bkt/k")).await.ok().body == body);
    let signed = |seed: &str| {
        let mut chunks = Chunks::new(seed);
        chunks.add(&body);
        chunks.add(b"");
        chunks.body
    };
    send(&world, SIGNED, body.len(), None, signed).await.refused(400, "InvalidChunkSizeError");
}

#[tokio::test]
async fn documents_may_come_in_chunks() {
    let world = World::with_bucket().await;
    let document = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let sum = base64::encode(&checksum(ChecksumKind::Sha256, document.as_bytes()));
    let ask = |payload: &str, trailer: Option<&str>| {
        let ask = Ask::put("/bkt?versioning", "")
            .with("x-amz-decoded-content-length", &document.len().to_string())
            .payload(payload)
            .by(ANN);
        trailer.map_or(ask.clone(), |name| ask.with("x-amz-trailer", name))
    };
    let send = async |ask: Ask, make: &dyn Fn(&str) -> Vec<u8>| {
        let (request, seed) = ask.signed();
        let body = make(&seed);
        let (mut head, _) = request.into_parts();
        head.headers.insert("content-length", body.len().to_string().parse().unwrap());
        world.client.raw(axum::http::Request::from_parts(head, body.into())).await
    };
    let unsigned = |sum: &str| {
        let text = format!("{:x}\r\n{document}\r\n0\r\nx-amz-checksum-sha256:{sum}\r\n\r\n", document.len());
        move |_: &str| text.clone().into_bytes()
    };
    let status = async || world.ann(Ask::get("/bkt?versioning")).await.ok().element("Status");
    let with_sum = || ask(UNSIGNED_TRAILER, Some("x-amz-checksum-sha256"));
    let wrong = base64::encode(&checksum(ChecksumKind::Sha256, b"other"));
    send(with_sum(), &unsigned(&wrong)).await.refused(400, "BadDigest");
    let cut = format!("{:x}\r\n{document}\r\n", document.len());
    assert_eq!(send(with_sum(), &|_| cut.clone().into_bytes()).await.status, 400);
    let strange = Ask { signing: Signing::Header(BOB), ..with_sum() };
    send(strange, &unsigned(&sum)).await.refused(403, "AccessDenied");
    assert_eq!(status().await, "");
    send(with_sum(), &unsigned(&sum)).await.ok();
    assert_eq!(status().await, "Enabled");
    let signed = |seed: &str| {
        let mut chunks = Chunks::new(seed);
        chunks.add(document.replace("Enabled", "Suspended").as_bytes());
        chunks.add(b"");
        chunks.body
    };
    let longer = document.len() + "Suspended".len() - "Enabled".len();
    let mut suspending = ask(SIGNED, None);
    suspending.headers[0].1 = longer.to_string();
    send(suspending.clone(), &|seed| {
        let mut body = signed(seed);
        let at = body.iter().position(|byte| *byte == b'<').unwrap();
        body[at + 1] = b'W';
        body
    })
    .await;
    assert_eq!(status().await, "Enabled", "a chunk whose signature is wrong changes nothing");
    send(suspending, &signed).await.ok();
    assert_eq!(status().await, "Suspended");
}
