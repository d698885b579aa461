//! The client against the server in memory.

use super::*;
use crate::client::s3::{REGION, twin::Twin};
use parking_lot::Mutex;

async fn pair(payload: Payload) -> (Twin, S3Client) {
    let twin = Twin::start().await;
    let client = S3Client::new(&twin.endpoint, twin.key.clone(), REGION, payload).unwrap();
    client.create_bucket("b").await.unwrap();
    (twin, client)
}

async fn bytes_of(client: &S3Client, key: &str, range: Option<Range<u64>>) -> Result<Vec<u8>, S3Error> {
    let chunks: Vec<Bytes> = client.get("b", key, range, None).await?.try_collect().await?;
    Ok(chunks.concat())
}

#[tokio::test]
async fn objects_go_in_and_out_under_any_key() {
    for payload in [Payload::Signed, Payload::Unsigned] {
        let (_twin, client) = pair(payload).await;
        for key in ["a", "dir/b c", "ü+&=?#%/~", "//x", "<k>"] {
            let etag = client.put("b", key, Body::Bytes(Bytes::from_static(b"0123456789"))).await.unwrap();
            assert_eq!(client.head("b", key).await.unwrap(), ObjectHead { size: 10, etag });
            assert_eq!(bytes_of(&client, key, Some(2..5)).await.unwrap(), b"234", "{key}");
        }
        let mut keys = Vec::new();
        let mut token = None;
        loop {
            let page = client.list("b", "", "", token.as_deref()).await.unwrap();
            keys.extend(page.objects.into_iter().map(|object| object.key));
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(keys, ["//x", "<k>", "a", "dir/b c", "ü+&=?#%/~"]);
        let page = client.list("b", "d", "/", None).await.unwrap();
        assert_eq!((page.objects.len(), page.prefixes), (0, vec!["dir/".to_owned()]));
        client.delete("b", "a", None).await.unwrap();
        let rest: Vec<_> = keys.into_iter().map(|key| (key, None)).collect();
        client.delete_many("b", &rest).await.unwrap();
        client.delete_bucket("b").await.unwrap();
        assert_eq!(client.buckets().await.unwrap(), []);
    }
}

#[tokio::test]
async fn refusals_have_the_servers_words() {
    let (twin, client) = pair(Payload::Signed).await;
    let error = bytes_of(&client, "absent", None).await.unwrap_err();
    assert_eq!(error.to_string(), "GET of `b/absent`: NoSuchKey (HTTP 404): by the twin");
    assert!(!error.is_transient());
    assert_eq!(client.head("b", "absent").await.unwrap_err().code(), "NotFound");
    twin.fail_next(1);
    let error = client.buckets().await.unwrap_err();
    assert!(error.is_transient() && error.code() == "SlowDown", "{error}");
    let stranger = S3Client::new(&twin.endpoint, AccessKey::new("CESSTWIN", "other"), REGION, Payload::Signed).unwrap();
    assert_eq!(stranger.buckets().await.unwrap_err().code(), "SignatureDoesNotMatch");
    assert!(matches!(client.put("b", "a/../c", Body::Empty).await, Err(S3Error::Key(key)) if key == "a/../c"));
    client.put("b", "k", Body::Bytes(Bytes::from_static(b"1"))).await.unwrap();
    let Err(error) = client.get("b", "k", None, Some("\"other\"")).await else { panic!("another version was given") };
    assert_eq!(error.code(), "PreconditionFailed");
    for bad in ["", "https://x", "http://", "http://a/b", "127.0.0.1:1"] {
        let refused = S3Client::new(bad, twin.key.clone(), REGION, Payload::Signed);
        assert!(matches!(refused, Err(S3Error::Endpoint(named)) if named == bad));
    }
    let gone = S3Client::new("http://127.0.0.1:1", twin.key.clone(), REGION, Payload::Signed).unwrap();
    assert!(gone.buckets().await.unwrap_err().is_transient());
}

#[tokio::test]
async fn uploads_in_parts_are_continued_and_given_up() {
    let (_twin, client) = pair(Payload::Signed).await;
    let upload = client.begin_upload("b", "big one").await.unwrap();
    let at = ("b", "big one", upload.as_str());
    let sent = Arc::new(Mutex::new(0));
    let counted = sent.clone();
    let progress: Progress = Arc::new(move |bytes| *counted.lock() += bytes);
    let mut sums = Vec::new();
    for number in 1..=5u8 {
        let body = Bytes::from(vec![number; 300 << 10]);
        let etag = client.put_part(at, number.into(), Body::Told(body, progress.clone())).await.unwrap();
        sums.push(PartEntry { number: number.into(), size: 300 << 10, etag });
    }
    assert_eq!(*sent.lock(), 5 * (300 << 10));
    assert_eq!(client.parts(at).await.unwrap(), sums);
    let unfinished = client.uploads("b", "big").await.unwrap();
    assert_eq!(unfinished, [UploadEntry { key: "big one".into(), upload: upload.clone() }]);
    let error = client.complete_upload(at, &sums[1..]).await.unwrap_err();
    assert_eq!(error.code(), "InvalidPart", "an error in an answer of success is one");
    client.complete_upload(at, &sums).await.unwrap();
    assert_eq!(bytes_of(&client, "big one", None).await.unwrap().len(), 5 * (300 << 10));
    let given_up = client.begin_upload("b", "x").await.unwrap();
    client.abort_upload(("b", "x", &given_up)).await.unwrap();
    assert_eq!(client.parts(("b", "x", &given_up)).await.unwrap_err().code(), "NoSuchUpload");
}

#[tokio::test]
async fn a_key_is_waited_for() {
    let (twin, client) = pair(Payload::Signed).await;
    twin.forget_key_for(2);
    twin.fail_next(1);
    client.until_known(Duration::from_secs(60)).await.unwrap();
    twin.forget_key_for(u32::MAX);
    assert_eq!(client.until_known(Duration::ZERO).await.unwrap_err().code(), "InvalidAccessKeyId");
}

#[tokio::test]
async fn settings_are_texts() {
    let (_twin, client) = pair(Payload::Signed).await;
    client.set("b", "policy", "{}".to_owned()).await.unwrap();
    assert_eq!(client.setting("b", "policy").await.unwrap(), "{}");
    client.unset("b", "policy").await.unwrap();
    assert!(client.setting("b", "policy").await.is_err());
    let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    client.set("b", "versioning", enabled.to_owned()).await.unwrap();
    assert_eq!(client.versioning("b").await.unwrap(), "Enabled");
}

#[test]
fn base64_is_that_of_the_rfc() {
    let vectors = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
    for (plain, encoded) in vectors {
        assert_eq!(base64(plain.as_bytes()), encoded);
    }
}
