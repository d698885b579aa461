//! Objects one at a time.

use super::{
    client::{Ask, Key, md5_base64, md5_hex},
    world::{ANN, World},
};
use crate::access::objects::attributes::ChecksumKind;
use crate::gateway::s3::{base64, digests::checksum};

#[tokio::test]
async fn what_was_put_comes_back() {
    let world = World::with_bucket().await;
    for (key, size) in [("empty", 0), ("small", 11), ("large", 300_000)] {
        let body: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let path = format!("/bkt/{key}");
        let put = Ask::put(&path, body.clone())
            .with("content-type", "text/plain")
            .with("cache-control", "no-cache")
            .with("content-encoding", "aws-chunked,gzip")
            .with("x-amz-meta-colour", "blue")
            .with("x-amz-storage-class", "STANDARD_IA")
            .with("expires", "Thu, 01 Dec 2033 16:00:00 GMT");
        let put = world.ann(put).await.ok();
        let etag = format!("\"{}\"", md5_hex(&body));
        assert_eq!(put.header("etag"), etag);
        assert_eq!(put.header("x-amz-server-side-encryption"), "AES256");
        let crc = base64::encode(&checksum(ChecksumKind::Crc64Nvme, &body));
        assert_eq!(put.header("x-amz-checksum-crc64nvme"), crc);
        let got = world.ann(Ask::get(&path).with("x-amz-checksum-mode", "ENABLED")).await.ok();
        assert!(got.body == body);
        let head = world.ann(Ask::head(&path).with("x-amz-checksum-mode", "ENABLED")).await.ok();
        for answer in [&got, &head] {
            assert_eq!(answer.header("content-type"), "text/plain");
            assert_eq!(answer.header("cache-control"), "no-cache");
            assert_eq!(answer.header("content-encoding"), "gzip");
            assert_eq!(answer.header("x-amz-meta-colour"), "blue");
            assert_eq!(answer.header("x-amz-storage-class"), "STANDARD_IA");
            assert_eq!(answer.header("expires"), "Thu, 01 Dec 2033 16:00:00 GMT");
            assert_eq!(answer.header("etag"), etag);
            assert_eq!(answer.header("content-length"), size.to_string());
            assert_eq!(answer.header("x-amz-checksum-crc64nvme"), crc);
            assert_eq!(answer.header("accept-ranges"), "bytes");
            assert!(answer.header("last-modified").ends_with(" GMT"));
        }
    }
    let missing = world.ann(Ask::get("/bkt/none")).await.refused(404, "NoSuchKey");
    assert_eq!(missing.element("Resource"), "/bkt/none");
    assert_eq!(missing.element("RequestId"), missing.header("x-amz-request-id"));
    assert_eq!(missing.header("content-type"), "application/xml");
    let head = world.ann(Ask::head("/bkt/none")).await;
    assert_eq!((head.status, head.body.len()), (404, 0));
}

#[tokio::test]
async fn ranges_are_parts_of_the_bytes() {
    let world = World::with_bucket().await;
    let body: Vec<u8> = (0..200_000u32).map(|n| u8::try_from(n % 241).unwrap()).collect();
    world.ann(Ask::put("/bkt/k", body.clone())).await.ok();
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-65999", 100, 66_000),
        ("bytes=199999-", 199_999, 200_000),
        ("bytes=-5", 199_995, 200_000),
        ("bytes=150000-900000", 150_000, 200_000),
    ] {
        let got = world.ann(Ask::get("/bkt/k").with("range", range)).await;
        assert_eq!(got.status, 206, "{range}");
        assert!(got.body == body[from..to], "{range}");
        assert_eq!(got.header("content-range"), format!("bytes {from}-{}/200000", to - 1));
        let head = world.ann(Ask::head("/bkt/k").with("range", range)).await;
        assert_eq!((head.status, head.header("content-length")), (206, (to - from).to_string().as_str()));
    }
    world.ann(Ask::get("/bkt/k").with("range", "bytes=200000-")).await.refused(416, "InvalidRange");
    let part = world.ann(Ask::get("/bkt/k?partNumber=1")).await;
    assert_eq!((part.status, part.body.len()), (206, 200_000));
    world.ann(Ask::get("/bkt/k?partNumber=2")).await.refused(416, "InvalidPartNumber");
    world.ann(Ask::get("/bkt/k?partNumber=0")).await.refused(400, "InvalidArgument");
    let both = Ask::get("/bkt/k?partNumber=1").with("range", "bytes=0-1");
    world.ann(both).await.refused(400, "InvalidRequest");
}

#[tokio::test]
async fn ranges_that_are_none_are_ignored() {
    let world = World::with_bucket().await;
    world.ann(Ask::put("/bkt/a%20b+c", "hello")).await.ok();
    for range in ["bytes=0-1,3-4", "bytes=4-1", "lines=1-2", "bytes=", "bytes=x-"] {
        // Signed and not, as clients differ.
        let path = "/bkt/a%20b+c?response-content-type=text%2Fx%20y";
        let mut unsigned = Ask::get(path);
        unsigned.unsigned_headers.push(("range".to_owned(), range.to_owned()));
        for ask in [Ask::get(path).with("range", range), unsigned] {
            let got = world.ann(ask.clone()).await;
            assert_eq!((got.status, got.text().as_str(), got.header("content-range")), (200, "hello", ""), "{range}");
            assert_eq!(got.header("content-type"), "text/x y");
            let forged = ask.by(Key { secret: "another", ..ANN });
            world.anybody(forged).await.refused(403, "SignatureDoesNotMatch");
        }
        world.bob(Ask::get(path).with("range", range)).await.refused(403, "AccessDenied");
        assert_eq!(world.ann(Ask::head("/bkt/a%20b+c").with("range", range)).await.status, 200);
    }
}

#[tokio::test]
async fn reads_are_conditional() {
    let world = World::with_bucket().await;
    let etag = world.ann(Ask::put("/bkt/k", "x")).await.ok().header("etag").to_owned();
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    let future = "Fri, 06 Nov 2093 08:49:37 GMT";
    for (header, value, status) in [
        ("if-match", etag.as_str(), 200),
        ("if-match", "\"0\"", 412),
        ("if-match", "*", 200),
        ("if-none-match", "\"0\"", 200),
        ("if-none-match", etag.as_str(), 304),
        ("if-modified-since", past, 200),
        ("if-modified-since", future, 304),
        ("if-unmodified-since", past, 412),
        ("if-unmodified-since", future, 200),
    ] {
        for ask in [Ask::get("/bkt/k"), Ask::head("/bkt/k")] {
            let got = world.ann(ask.with(header, value)).await;
            assert_eq!(got.status, status, "{header}: {value}");
            if status == 304 {
                assert_eq!((got.header("etag"), got.body.len()), (etag.as_str(), 0));
                assert!(!got.header("last-modified").is_empty());
            }
        }
    }
    let several = format!("\"0\", {etag}");
    assert_eq!(world.ann(Ask::get("/bkt/k").with("if-match", &several)).await.status, 200);
}

#[tokio::test]
async fn writes_are_conditional() {
    let world = World::with_bucket().await;
    let once = |body: &str| Ask::put("/bkt/k", body.as_bytes()).with("if-none-match", "*");
    let etag = world.ann(once("1")).await.ok().header("etag").to_owned();
    world.ann(once("2")).await.refused(412, "PreconditionFailed");
    world
        .ann(Ask::put("/bkt/k", "3").with("if-match", "\"00000000000000000000000000000000\""))
        .await
        .refused(412, "PreconditionFailed");
    world.ann(Ask::put("/bkt/k", "4").with("if-match", &etag)).await.ok();
    assert_eq!(world.ann(Ask::get("/bkt/k")).await.text(), "4");
    world.ann(Ask::put("/bkt/none", "5").with("if-match", &etag)).await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn wrong_digests_are_refused_and_nothing_is_kept() {
    let world = World::with_bucket().await;
    let put = || Ask::put("/bkt/k", "hello");
    world.ann(put().with("content-md5", &md5_base64(b"hello"))).await.ok();
    world.ann(Ask::delete("/bkt/k")).await.ok();
    world.ann(put().with("content-md5", &md5_base64(b"other"))).await.refused(400, "BadDigest");
    world.ann(put().with("content-md5", "short")).await.refused(400, "InvalidDigest");
    for kind in crate::gateway::s3::digests::ALGORITHMS {
        let name = crate::gateway::s3::digests::header_of(kind);
        let wrong = base64::encode(&checksum(kind, b"other"));
        world.ann(put().with(name, &wrong)).await.refused(400, "BadDigest");
        world.ann(put().with(name, "AAAA")).await.refused(400, "InvalidRequest");
        world.ann(Ask::get("/bkt/k")).await.refused(404, "NoSuchKey");
        let right = base64::encode(&checksum(kind, b"hello"));
        let made = world.ann(put().with(name, &right)).await.ok();
        assert_eq!(made.header(name), right);
        let got = world.ann(Ask::get("/bkt/k").with("x-amz-checksum-mode", "ENABLED")).await.ok();
        assert_eq!((got.header(name), got.header("x-amz-checksum-type")), (right.as_str(), "FULL_OBJECT"));
        world.ann(Ask::delete("/bkt/k")).await.ok();
    }
    let payload = super::client::sha256(b"other");
    world.ann(put().payload(&payload)).await.refused(400, "XAmzContentSHA256Mismatch");
    let two = put().with("x-amz-checksum-crc32", "AAAAAA==").with("x-amz-checksum-crc32c", "AAAAAA==");
    world.ann(two).await.refused(400, "InvalidRequest");
    world.ann(Ask::get("/bkt/k")).await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn copies_take_or_replace_what_is_known() {
    let world = World::with_bucket().await;
    world.ann(Ask::put("/two", "")).await.ok();
    let put = Ask::put("/bkt/a%20b", "text")
        .with("x-amz-meta-n", "1")
        .with("x-amz-tagging", "t=1")
        .with("content-type", "a/b");
    let etag = world.ann(put).await.ok().header("etag").to_owned();
    for target in ["/bkt/copy", "/two/copy"] {
        let copy = Ask::put(target, "").with("x-amz-copy-source", "/bkt/a%20b");
        assert_eq!(world.ann(copy.clone()).await.ok().element("ETag"), etag);
        let got = world.ann(Ask::get(target)).await.ok();
        assert_eq!((got.text().as_str(), got.header("x-amz-meta-n"), got.header("content-type")), ("text", "1", "a/b"));
        assert_eq!(got.header("x-amz-tagging-count"), "1");
        let replace = copy
            .with("x-amz-metadata-directive", "REPLACE")
            .with("x-amz-meta-n", "2")
            .with("x-amz-tagging-directive", "REPLACE");
        world.ann(replace).await.ok();
        let got = world.ann(Ask::get(target)).await.ok();
        assert_eq!((got.header("x-amz-meta-n"), got.header("x-amz-tagging-count")), ("2", ""));
    }
    let copy =
        |header: &str, value: &str| Ask::put("/bkt/c", "").with("x-amz-copy-source", "bkt/a%20b").with(header, value);
    world.ann(copy("x-amz-copy-source-if-match", &etag)).await.ok();
    world.ann(copy("x-amz-copy-source-if-none-match", &etag)).await.refused(412, "PreconditionFailed");
    world.ann(copy("x-amz-copy-source-if-match", "\"0\"")).await.refused(412, "PreconditionFailed");
    let itself = Ask::put("/bkt/a%20b", "").with("x-amz-copy-source", "/bkt/a%20b");
    world.ann(itself.clone()).await.refused(400, "InvalidRequest");
    world.ann(itself.with("x-amz-metadata-directive", "REPLACE")).await.ok();
    world.ann(Ask::put("/bkt/c", "").with("x-amz-copy-source", "/bkt/none")).await.refused(404, "NoSuchKey");
    world.ann(Ask::put("/bkt/c", "").with("x-amz-copy-source", "/none/k")).await.refused(404, "NoSuchBucket");
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let world = World::with_bucket().await;
    for key in ["a", "b", "c"] {
        world.ann(Ask::put(&format!("/bkt/{key}"), "x")).await.ok();
    }
    let body = "<Delete><Object><Key>a</Key></Object><Object><Key>none</Key></Object></Delete>";
    let ask = Ask::post("/bkt?delete", body).with("content-md5", &md5_base64(body.as_bytes()));
    assert_eq!(world.ann(ask).await.ok().elements("Key"), ["a", "none"]);
    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>b</Key></Object></Delete>";
    assert!(world.ann(Ask::post("/bkt?delete", quiet)).await.ok().elements("Deleted").is_empty());
    let wrong = Ask::post("/bkt?delete", body).with("content-md5", &md5_base64(b"other"));
    world.ann(wrong).await.refused(400, "BadDigest");
    let crc = base64::encode(&checksum(ChecksumKind::Crc32, b"other"));
    world.ann(Ask::post("/bkt?delete", body).with("x-amz-checksum-crc32", &crc)).await.refused(400, "BadDigest");
    world.ann(Ask::post("/bkt?delete", "<Delete></Delete>")).await.refused(400, "MalformedXML");
    assert_eq!(world.ann(Ask::get("/bkt?list-type=2")).await.elements("Key"), ["c"]);
    let denied = world.bob(Ask::post("/bkt?delete", "<Delete><Object><Key>c</Key></Object></Delete>")).await.ok();
    assert_eq!(denied.elements("Code"), ["AccessDenied"]);
    assert_eq!(world.ann(Ask::get("/bkt/c")).await.ok().text(), "x");
}

#[tokio::test]
async fn tags_are_set_read_and_removed() {
    let world = World::with_bucket().await;
    world.ann(Ask::put("/bkt/k", "x").with("x-amz-tagging", "a=1&b=2")).await.ok();
    assert_eq!(world.ann(Ask::get("/bkt/k?tagging")).await.ok().elements("Key"), ["a", "b"]);
    assert_eq!(world.ann(Ask::get("/bkt/k")).await.ok().header("x-amz-tagging-count"), "2");
    let tags = "<Tagging><TagSet><Tag><Key>c</Key><Value>3</Value></Tag></TagSet></Tagging>";
    world.ann(Ask::put("/bkt/k?tagging", tags)).await.ok();
    assert_eq!(world.ann(Ask::get("/bkt/k?tagging")).await.ok().elements("Value"), ["3"]);
    world.ann(Ask::delete("/bkt/k?tagging")).await.ok();
    assert!(world.ann(Ask::get("/bkt/k?tagging")).await.ok().elements("Key").is_empty());
    let twice = tags.replace("</TagSet>", "<Tag><Key>c</Key><Value>4</Value></Tag></TagSet>");
    world.ann(Ask::put("/bkt/k?tagging", twice)).await.refused(400, "InvalidTag");
    world.ann(Ask::get("/bkt/none?tagging")).await.refused(404, "NoSuchKey");
    world.ann(Ask::get("/bkt?tagging")).await.refused(404, "NoSuchTagSet");
    world.ann(Ask::put("/bkt?tagging", tags)).await.ok();
    assert_eq!(world.ann(Ask::get("/bkt?tagging")).await.ok().elements("Key"), ["c"]);
    world.ann(Ask::delete("/bkt?tagging")).await.ok();
    world.ann(Ask::get("/bkt?tagging")).await.refused(404, "NoSuchTagSet");
}

#[tokio::test]
async fn a_customers_key_opens_its_object_alone() {
    let world = World::with_bucket().await;
    let with_key = |ask: Ask, byte: u8| {
        let key = [byte; 32];
        ask.with("x-amz-server-side-encryption-customer-algorithm", "AES256")
            .with("x-amz-server-side-encryption-customer-key", &base64::encode(&key))
            .with("x-amz-server-side-encryption-customer-key-md5", &md5_base64(&key))
    };
    let put = world.ann(with_key(Ask::put("/bkt/k", "secret"), 1)).await.ok();
    assert_eq!(put.header("x-amz-server-side-encryption"), "");
    assert_eq!(put.header("x-amz-server-side-encryption-customer-algorithm"), "AES256");
    // The tag tells nothing of the bytes, and a digest of them is checked all the same.
    let tag = put.header("etag").to_owned();
    assert_ne!(tag, format!("\"{}\"", md5_hex(b"secret")));
    let wrong = with_key(Ask::put("/bkt/k", "secret"), 1).with("content-md5", &md5_base64(b"other"));
    world.ann(wrong).await.refused(400, "BadDigest");
    assert_eq!(world.ann(with_key(Ask::head("/bkt/k"), 1)).await.header("etag"), tag);
    assert_eq!(world.ann(with_key(Ask::get("/bkt/k"), 1)).await.ok().text(), "secret");
    world.ann(with_key(Ask::get("/bkt/k"), 2)).await.refused(400, "InvalidRequest");
    world.ann(Ask::get("/bkt/k")).await.refused(400, "InvalidRequest");
    assert_eq!(world.ann(Ask::head("/bkt/k")).await.status, 400);
    let half = Ask::put("/bkt/k", "x").with("x-amz-server-side-encryption-customer-algorithm", "AES256");
    world.ann(half).await.refused(400, "InvalidArgument");
    world
        .ann(Ask::put("/bkt/k", "x").with("x-amz-server-side-encryption", "aws:kms"))
        .await
        .refused(501, "NotImplemented");
    world.ann(Ask::put("/bkt/k", "x").with("x-amz-server-side-encryption", "AES256")).await.ok();
}

#[tokio::test]
async fn attributes_are_told_as_asked() {
    let world = World::with_bucket().await;
    world.ann(Ask::put("/bkt/k", "hello")).await.ok();
    let ask = |what: &str| Ask::get("/bkt/k?attributes").with("x-amz-object-attributes", what);
    let got = world.ann(ask("ETag,ObjectSize,StorageClass,Checksum")).await.ok();
    assert_eq!(got.element("ObjectSize"), "5");
    assert_eq!(got.element("StorageClass"), "STANDARD");
    assert!(!got.element("ChecksumCRC64NVME").is_empty());
    let got = world.ann(ask("ObjectSize")).await.ok();
    assert_eq!((got.element("ObjectSize").as_str(), got.element("ETag").as_str()), ("5", ""));
    world.ann(ask("Colour")).await.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn links_may_override_headers_of_the_answer() {
    let world = World::with_bucket().await;
    world.ann(Ask::put("/bkt/k", "x")).await.ok();
    let path = "/bkt/k?response-content-disposition=attachment&response-content-type=text%2Fcsv";
    let got = world.ann(Ask::get(path)).await.ok();
    assert_eq!((got.header("content-type"), got.header("content-disposition")), ("text/csv", "attachment"));
}

#[tokio::test]
async fn keys_may_be_anything_s3_allows() {
    let world = World::with_bucket().await;
    for key in ["a%2Bb", "a%20b%3F%26%3D", "%E2%98%83", "a//b", "a/", "%25", "a%0Ab"] {
        let path = format!("/bkt/{key}");
        world.ann(Ask::put(&path, key.as_bytes())).await.ok();
        assert_eq!(world.ann(Ask::get(&path)).await.ok().text(), key);
    }
    let long = "k".repeat(1_025);
    world.ann(Ask::put(&format!("/bkt/{long}"), "x")).await.refused(400, "KeyTooLongError");
    let virtual_host = Ask::get("/a/").host("bkt.s3.test");
    assert_eq!(world.ann(virtual_host).await.ok().text(), "a/");
}
