//! Uploads in parts.

use super::{
    client::{Ask, Reply, md5_hex},
    world::World,
};
use crate::{
    access::objects::attributes::ChecksumKind,
    gateway::s3::{base64, digests::checksum},
};

const MIB: usize = 1 << 20;

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|n| u8::try_from((n + usize::from(seed)) % 253).unwrap()).collect()
}

async fn begin(world: &World, headers: &[(&str, &str)]) -> String {
    let ask = headers.iter().fold(Ask::post("/bkt/k?uploads", ""), |ask, (name, value)| ask.with(name, value));
    world.ann(ask).await.ok().element("UploadId")
}

async fn part(world: &World, upload: &str, number: u32, body: &[u8]) -> Reply {
    world.ann(Ask::put(&format!("/bkt/k?partNumber={number}&uploadId={upload}"), body)).await
}

fn listed(parts: &[(u32, &str)]) -> String {
    let part =
        |(number, etag): &(u32, &str)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.iter().map(part).collect::<String>())
}

async fn complete(world: &World, upload: &str, parts: &[(u32, &str)]) -> Reply {
    world.ann(Ask::post(&format!("/bkt/k?uploadId={upload}"), listed(parts))).await
}

#[tokio::test]
async fn parts_become_one_object() {
    let world = World::with_bucket().await;
    let upload = begin(&world, &[("content-type", "a/b"), ("x-amz-meta-n", "1")]).await;
    let (one, two, three) = (bytes(5 * MIB, 1), bytes(5 * MIB, 2), bytes(1000, 3));
    let mut etags = Vec::new();
    for (number, body) in [(3, &three), (1, &one), (2, &two)] {
        let answer = part(&world, &upload, number, body).await.ok();
        assert_eq!(answer.header("etag"), format!("\"{}\"", md5_hex(body)));
        etags.push((number, answer.header("etag").to_owned()));
    }
    etags.sort();
    let uploads = world.ann(Ask::get("/bkt?uploads")).await.ok();
    assert_eq!((uploads.element("Key").as_str(), uploads.element("UploadId")), ("k", upload.clone()));
    let parts = world.ann(Ask::get(&format!("/bkt/k?max-parts=2&uploadId={upload}"))).await.ok();
    assert_eq!(parts.elements("PartNumber"), ["1", "2"]);
    assert_eq!(parts.element("NextPartNumberMarker"), "2");
    world.ann(Ask::get("/bkt/k")).await.refused(404, "NoSuchKey");
    let named: Vec<(u32, &str)> = etags.iter().map(|(n, etag)| (*n, etag.as_str())).collect();
    let done = complete(&world, &upload, &named).await.ok();
    let digests: Vec<u8> = [&one, &two, &three].iter().flat_map(|body| hex::decode(md5_hex(body)).unwrap()).collect();
    let etag = format!("\"{}-3\"", md5_hex(&digests));
    assert_eq!(done.element("ETag"), etag);
    let whole = [one.clone(), two.clone(), three.clone()].concat();
    let got = world.ann(Ask::get("/bkt/k")).await.ok();
    assert!(got.body == whole);
    assert_eq!(
        (got.header("etag"), got.header("content-type"), got.header("x-amz-meta-n")),
        (etag.as_str(), "a/b", "1")
    );
    let range = format!("bytes={}-{}", 5 * MIB - 3, 10 * MIB + 3);
    let got = world.ann(Ask::get("/bkt/k").with("range", &range)).await;
    assert!(got.body == whole[5 * MIB - 3..=10 * MIB + 3]);
    let got = world.ann(Ask::get("/bkt/k?partNumber=2")).await;
    assert!(got.status == 206 && got.body == two);
    assert_eq!(got.header("x-amz-mp-parts-count"), "3");
    let attributes = Ask::get("/bkt/k?attributes").with("x-amz-object-attributes", "ObjectParts");
    assert_eq!(world.ann(attributes).await.ok().element("PartsCount"), "3");
    assert!(world.ann(Ask::get("/bkt?uploads")).await.ok().elements("Upload").is_empty());
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let world = World::with_bucket().await;
    let upload = begin(&world, &[]).await;
    let etag = part(&world, &upload, 1, b"small").await.ok().header("etag").to_owned();
    let last = part(&world, &upload, 2, b"last").await.ok().header("etag").to_owned();
    complete(&world, &upload, &[(1, &etag), (2, &last)]).await.refused(400, "EntityTooSmall");
    complete(&world, &upload, &[(2, &last), (1, &etag)]).await.refused(400, "InvalidPartOrder");
    complete(&world, &upload, &[(1, &last)]).await.refused(400, "InvalidPart");
    complete(&world, &upload, &[(7, &etag)]).await.refused(400, "InvalidPart");
    complete(&world, &upload, &[]).await.refused(400, "MalformedXML");
    part(&world, &upload, 0, b"x").await.refused(400, "InvalidArgument");
    part(&world, &upload, 10_001, b"x").await.refused(400, "InvalidArgument");
    part(&world, "nonsense", 1, b"x").await.refused(404, "NoSuchUpload");
    assert_eq!(world.ann(Ask::delete(&format!("/bkt/k?uploadId={upload}"))).await.status, 204);
    part(&world, &upload, 1, b"x").await.refused(404, "NoSuchUpload");
    complete(&world, &upload, &[(1, &etag)]).await.refused(404, "NoSuchUpload");
    world.ann(Ask::get(&format!("/bkt/k?uploadId={upload}"))).await.refused(404, "NoSuchUpload");
}

#[tokio::test]
async fn a_completion_can_be_repeated_and_conditional() {
    let world = World::with_bucket().await;
    let upload = begin(&world, &[]).await;
    let etag = part(&world, &upload, 1, b"one").await.ok().header("etag").to_owned();
    let first = complete(&world, &upload, &[(1, &etag)]).await.ok().element("ETag");
    assert_eq!(complete(&world, &upload, &[(1, &etag)]).await.ok().element("ETag"), first);
    let upload = begin(&world, &[]).await;
    let etag = part(&world, &upload, 1, b"two").await.ok().header("etag").to_owned();
    let ask = Ask::post(&format!("/bkt/k?uploadId={upload}"), listed(&[(1, &etag)])).with("if-none-match", "*");
    world.ann(ask).await.refused(412, "PreconditionFailed");
}

#[tokio::test]
async fn copies_can_be_parts() {
    let world = World::with_bucket().await;
    let source = bytes(6 * MIB, 9);
    world.ann(Ask::put("/bkt/source", source.clone())).await.ok();
    let upload = begin(&world, &[]).await;
    let copy = |number: u32, range: Option<&str>| {
        let ask = Ask::put(&format!("/bkt/k?partNumber={number}&uploadId={upload}"), "")
            .with("x-amz-copy-source", "/bkt/source");
        range.map_or(ask.clone(), |range| ask.with("x-amz-copy-source-range", range))
    };
    let one = world.ann(copy(1, Some("bytes=0-5242879"))).await.ok().element("ETag");
    assert_eq!(one.len(), 34, "{one}");
    let two = world.ann(copy(2, Some("bytes=7-16"))).await.ok().element("ETag");
    world.ann(copy(3, Some("bytes=5-"))).await.refused(400, "InvalidArgument");
    world.ann(copy(3, Some("bytes=0-99999999"))).await.refused(416, "InvalidRange");
    complete(&world, &upload, &[(1, &one), (2, &two)]).await.ok();
    let got = world.ann(Ask::get("/bkt/k")).await.ok();
    assert!(got.body == [&source[..5 * MIB], &source[7..17]].concat());
}

#[tokio::test]
async fn checksums_of_parts_make_that_of_the_whole() {
    let world = World::with_bucket().await;
    let bodies = [bytes(5 * MIB, 4), bytes(77, 5)];
    let whole = bodies.concat();
    for (kind, scope) in [
        (ChecksumKind::Crc32, "COMPOSITE"),
        (ChecksumKind::Sha256, "COMPOSITE"),
        (ChecksumKind::Crc32c, "FULL_OBJECT"),
        (ChecksumKind::Crc64Nvme, "FULL_OBJECT"),
    ] {
        let name = crate::gateway::s3::digests::name_of(kind);
        let header = crate::gateway::s3::digests::header_of(kind);
        let upload = begin(&world, &[("x-amz-checksum-algorithm", name), ("x-amz-checksum-type", scope)]).await;
        let mut parts = String::new();
        for (number, body) in (1..).zip(&bodies) {
            let value = base64::encode(&checksum(kind, body));
            let ask =
                Ask::put(&format!("/bkt/k?partNumber={number}&uploadId={upload}"), body.clone()).with(header, &value);
            let answer = world.ann(ask).await.ok();
            assert_eq!(answer.header(header), value);
            let etag = answer.header("etag");
            parts.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><Checksum{name}>{value}</Checksum{name}></Part>"
            ));
        }
        let expected = match scope {
            "FULL_OBJECT" => base64::encode(&checksum(kind, &whole)),
            _ => {
                let values: Vec<u8> = bodies.iter().flat_map(|body| checksum(kind, body)).collect();
                format!("{}-2", base64::encode(&checksum(kind, &values)))
            }
        };
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let path = format!("/bkt/k?uploadId={upload}");
        if scope == "FULL_OBJECT" {
            let wrong = base64::encode(&checksum(kind, b"other"));
            world.ann(Ask::post(&path, body.clone()).with(header, &wrong)).await.refused(400, "BadDigest");
        }
        let done = world.ann(Ask::post(&path, body)).await.ok();
        assert_eq!(
            (done.element(&format!("Checksum{name}")), done.element("ChecksumType").as_str()),
            (expected, scope)
        );
        let got = world.ann(Ask::head("/bkt/k").with("x-amz-checksum-mode", "ENABLED")).await.ok();
        assert_eq!(got.header("x-amz-checksum-type"), scope);
    }
    let ask = Ask::post("/bkt/k?uploads", "")
        .with("x-amz-checksum-algorithm", "SHA1")
        .with("x-amz-checksum-type", "FULL_OBJECT");
    world.ann(ask).await.refused(400, "InvalidRequest");
    let upload = begin(&world, &[("x-amz-checksum-algorithm", "CRC32")]).await;
    let other = base64::encode(&checksum(ChecksumKind::Sha1, b"x"));
    let ask = Ask::put(&format!("/bkt/k?partNumber=1&uploadId={upload}"), "x").with("x-amz-checksum-sha1", &other);
    world.ann(ask).await.refused(400, "InvalidRequest");
}
