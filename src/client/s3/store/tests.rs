//! The store against servers that fail: what is repeated, at whom, and what a failure is called. What works is told by
//! `gateway::s3::tests::bucket_store`, against a gateway.

use super::{super::twin::Twin, *};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{Error, ObjectStoreExt, PutMode, UpdateVersion};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// What a scripted server does with a request.
enum Step {
    /// Answers, and ends the connection.
    Say(String),
    /// Gives zeroes for the range of 5,000,001 B that is asked for, with this entity tag.
    Part(&'static str),
    /// Ends the connection.
    Hang,
    /// Keeps the connection and says nothing.
    Silent,
}

/// A server that does one step after the other, and keeps what was asked.
struct Script {
    endpoint: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = seen.clone();
        tokio::spawn(async move {
            let mut silent = Vec::new();
            for step in steps {
                let (mut stream, _) = listener.accept().await.unwrap();
                let asked = request(&mut stream).await;
                noted.lock().push(asked.clone());
                match step {
                    Step::Say(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                    Step::Part(etag) => stream.write_all(part(&asked, etag).as_bytes()).await.unwrap(),
                    Step::Hang => {}
                    Step::Silent => silent.push(stream),
                }
            }
        });
        Self { endpoint, seen }
    }

    /// First lines of what was asked.
    fn asked(&self) -> Vec<String> {
        self.seen.lock().iter().map(|text| text.split(" HTTP").next().unwrap_or_default().to_owned()).collect()
    }

    fn header(&self, request: usize, name: &str) -> String {
        let seen = self.seen.lock();
        let line = seen[request].lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_default().to_owned()
    }
}

/// A request, head and body.
async fn request(stream: &mut TcpStream) -> String {
    let (mut text, mut part) = (String::new(), [0; 4096]);
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        let count = stream.read(&mut part).await.unwrap();
        assert!(count > 0, "ended after {text}");
        text.push_str(&String::from_utf8_lossy(&part[..count]));
    }
}

/// An answer whose length is what it says, unless `headers` say another.
fn text(status: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    if headers.iter().all(|(name, _)| *name != "content-length") {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{text}\r\n{body}")
}

fn say(status: &str, headers: &[(&str, &str)], body: &str) -> Step {
    Step::Say(text(status, headers, body))
}

fn refuse(status: &str, code: &str) -> Step {
    say(status, &[], &format!("<Error><Code>{code}</Code><Message>by the script</Message></Error>"))
}

fn part(asked: &str, etag: &str) -> String {
    let range = asked.lines().find_map(|line| line.strip_prefix("range: bytes=")).unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let count = last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1;
    let range = format!("bytes {range}/5000001");
    text("206 Partial Content", &[CHANGED, ("etag", etag), ("content-range", &range)], &"0".repeat(count))
}

const CHANGED: (&str, &str) = ("last-modified", "Thu, 01 Dec 2033 16:00:05 GMT");

/// Patience for tests: as many attempts, in milliseconds.
fn hasty() -> BucketStoreSettings {
    let patience = Patience {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(4),
        whole: Duration::from_secs(20),
        silence: Duration::from_secs(20),
    };
    BucketStoreSettings { patience, ..BucketStoreSettings::default() }
}

fn store(endpoints: &[&str]) -> BucketStore {
    BucketStore::over(endpoints, AccessKey::new("CESSTWIN", "secret"), "bkt", hasty()).unwrap()
}

async fn with_twin(first: &[&str]) -> (Twin, BucketStore) {
    let twin = Twin::start().await;
    let client = S3Client::new(&twin.endpoint, twin.key.clone(), REGION, Payload::Signed).unwrap();
    client.create_bucket("bkt").await.unwrap();
    let endpoints: Vec<&str> = first.iter().copied().chain([twin.endpoint.as_str()]).collect();
    let store = store(&endpoints);
    (twin, store)
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

#[tokio::test]
async fn the_next_endpoint_is_asked_where_one_does_not_answer() {
    let (twin, store) = with_twin(&[NOBODY, "http://127.0.0.1:2"]).await;
    assert!(store.to_string().ends_with(NOBODY));
    store.put(&path("a"), "1".into()).await.unwrap();
    assert_eq!(store.to_string(), format!("bucket `bkt` at {}", twin.endpoint), "it is asked first from now on");
    // The twin tells no dates.
    assert!(store.head(&path("a")).await.unwrap_err().to_string().contains("no date"));
    store.delete(&path("a")).await.unwrap();
}

#[tokio::test]
async fn a_silent_endpoint_is_one_that_does_not_answer() {
    let silent = Script::start(vec![Step::Silent]).await;
    let other = Script::start(vec![say("200 OK", &[CHANGED, ("etag", "\"e\"")], "bytes")]).await;
    let mut settings = hasty();
    settings.patience.silence = Duration::from_millis(100);
    let endpoints = [silent.endpoint.as_str(), other.endpoint.as_str()];
    let store = BucketStore::over(&endpoints, AccessKey::new("a", "b"), "bkt", settings).unwrap();
    assert_eq!(store.get(&path("k")).await.unwrap().bytes().await.unwrap(), "bytes");
    assert_eq!((silent.asked().len(), other.asked().len()), (1, 1));
}

#[tokio::test]
async fn a_server_that_asks_for_patience_gets_it_for_a_while() {
    let (twin, store) = with_twin(&[]).await;
    twin.fail_next(5);
    store.put_opts(&path("a"), "1".into(), PutMode::Create.into()).await.unwrap();
    assert_eq!(twin.seen().iter().filter(|request| request.starts_with("PUT /bkt/a")).count(), 6);

    let mut settings = hasty();
    settings.patience.whole = Duration::from_millis(8);
    let store = BucketStore::over(&[&twin.endpoint], twin.key.clone(), "bkt", settings).unwrap();
    twin.fail_next(u32::MAX);
    let words = store.put(&path("a"), "1".into()).await.unwrap_err().to_string();
    assert!(words.contains("SlowDown") && words.contains("bkt/a"), "{words}");
}

#[tokio::test]
async fn what_cannot_help_is_not_repeated() {
    let (twin, _) = with_twin(&[]).await;
    let stranger = BucketStore::over(&[&twin.endpoint], AccessKey::new("CESSTWIN", "no"), "bkt", hasty()).unwrap();
    let before = twin.seen().len();
    let error = stranger.put(&path("a"), "1".into()).await.unwrap_err();
    assert!(matches!(&error, Error::Unauthenticated { path, .. } if path == "bkt/a"), "{error}");
    assert_eq!(twin.seen().len(), before + 1);
}

#[tokio::test]
async fn an_endpoint_that_was_not_reached_did_nothing() {
    let other = Script::start(vec![refuse("412 Precondition Failed", "PreconditionFailed")]).await;
    let store = store(&[NOBODY, &other.endpoint]);
    let error = store.put_opts(&path("k"), "1".into(), PutMode::Create.into()).await.unwrap_err();
    assert!(matches!(&error, Error::AlreadyExists { path, .. } if path == "bkt/k"), "{error}");
    assert_eq!(other.header(0, "if-none-match"), "*");
}

#[tokio::test]
async fn nobody_is_told_that_a_condition_did_not_hold_where_it_may_have() {
    let modes = [PutMode::Create, PutMode::Update(UpdateVersion { e_tag: Some("\"e\"".into()), version: None })];
    for mode in modes {
        let first = Script::start(vec![Step::Hang]).await;
        let other = Script::start(vec![refuse("412 Precondition Failed", "PreconditionFailed")]).await;
        let store = store(&[&first.endpoint, &other.endpoint]);
        let error = store.put_opts(&path("k"), "1".into(), mode.into()).await.unwrap_err();
        assert!(matches!(&error, Error::Generic { .. }) && error.to_string().contains("unknown"), "{error}");
    }
    // A conflict with another writer says that nothing was done.
    let busy = Script::start(vec![
        refuse("409 Conflict", "ConditionalRequestConflict"),
        refuse("412 Precondition Failed", "PreconditionFailed"),
    ])
    .await;
    let error = store(&[&busy.endpoint]).put_opts(&path("k"), "1".into(), PutMode::Create.into()).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
}

#[tokio::test]
async fn a_body_that_breaks_off_goes_on_elsewhere() {
    let whole = [CHANGED, ("etag", "\"e\""), ("content-length", "10"), ("x-amz-version-id", "v1")];
    let rest = |range| [CHANGED, ("etag", "\"e\""), ("content-range", range)];
    let first = Script::start(vec![say("200 OK", &whole, "0123")]).await;
    let broken = [("content-length", "6")].into_iter().chain(rest("bytes 4-9/10")).collect::<Vec<_>>();
    let second = Script::start(vec![say("206 Partial Content", &broken, "45")]).await;
    let third = Script::start(vec![say("206 Partial Content", &rest("bytes 6-9/10"), "6789")]).await;
    let store = store(&[&first.endpoint, &second.endpoint, &third.endpoint]);
    let found = store.get(&path("k")).await.unwrap();
    assert_eq!((found.range.clone(), found.meta.version.as_deref()), (0..10, Some("v1")));
    assert_eq!(found.bytes().await.unwrap(), "0123456789");
    assert_eq!(second.asked(), ["GET /bkt/k?versionId=v1"]);
    assert_eq!((second.header(0, "range"), second.header(0, "if-match")), ("bytes=4-9".into(), "\"e\"".into()));
    assert_eq!(third.header(0, "range"), "bytes=6-9");
}

#[tokio::test]
async fn a_body_does_not_go_on_with_another_version() {
    let cut = || say("200 OK", &[CHANGED, ("etag", "\"e\""), ("content-length", "10")], "0123");
    let replaced = Script::start(vec![cut(), refuse("412 Precondition Failed", "PreconditionFailed")]).await;
    let chunks: Vec<Result<Bytes>> =
        store(&[&replaced.endpoint]).get(&path("k")).await.unwrap().into_stream().collect().await;
    assert_eq!(chunks[0].as_ref().unwrap(), "0123");
    assert!(matches!(&chunks[1], Err(Error::Precondition { path, .. }) if path == "bkt/k"), "{chunks:?}");
    assert_eq!(chunks.len(), 2, "nothing follows an error");

    let deaf = Script::start(vec![cut(), say("200 OK", &[CHANGED, ("etag", "\"e\"")], "0123456789")]).await;
    let error = store(&[&deaf.endpoint]).get(&path("k")).await.unwrap().bytes().await.unwrap_err();
    assert!(error.to_string().contains("not the rest"), "{error}");
}

#[tokio::test]
async fn ranges_are_of_one_version() {
    let server = Script::start(vec![Step::Part("\"e\""), Step::Part("\"f\"")]).await;
    let ranges = [0..1, 5_000_000..5_000_001];
    let error = store(&[&server.endpoint]).get_ranges(&path("k"), &ranges).await.unwrap_err();
    assert!(matches!(&error, Error::Precondition { path, .. } if path == "bkt/k"), "{error}");
    let wrong = [CHANGED, ("etag", "\"e\""), ("content-range", "bytes 0-0/9")];
    let server = Script::start(vec![say("206 Partial Content", &wrong, "0")]).await;
    let words = store(&[&server.endpoint]).get_range(&path("k"), 1..2).await.unwrap_err().to_string();
    assert!(words.contains("another range"), "{words}");
    let short = [CHANGED, ("etag", "\"e\""), ("content-range", "bytes 0-0/1")];
    let server = Script::start(vec![say("206 Partial Content", &short, "0")]).await;
    let error = store(&[&server.endpoint]).get_ranges(&path("k"), &[0..1, 7..9]).await.unwrap_err();
    assert!(error.to_string().contains("range 7..9 of bkt/k begins beyond its end at 1"), "{error}");
    let empty = Range { start: 3, end: 3 };
    assert!(store(&[NOBODY]).get_ranges(&path("k"), &[empty]).await.is_err());
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_recognised() {
    // MD5 of the MD5 of "1".
    let tags = ("\"c4ca4238a0b923820dcc509a6f75849b\"", "\"46d1741e8075da4ac72c71d8130fcb71-1\"");
    for (found, is_ours) in [(tags.1, true), ("\"x\"", false)] {
        let server = Script::start(vec![
            say("200 OK", &[], "<R><UploadId>7</UploadId></R>"),
            say("200 OK", &[("etag", tags.0)], ""),
            Step::Hang,
            refuse("404 Not Found", "NoSuchUpload"),
            say("200 OK", &[CHANGED, ("etag", found), ("content-length", "1")], ""),
        ])
        .await;
        let store = store(&[&server.endpoint]);
        let mut upload = store.put_multipart(&path("k")).await.unwrap();
        upload.put_part("1".into()).await.unwrap();
        let outcome = upload.complete().await;
        assert_eq!(outcome.is_ok(), is_ours, "{outcome:?}");
        assert_eq!(server.asked()[4], "HEAD /bkt/k");
    }
}

#[tokio::test]
async fn an_upload_is_not_completed_without_all_of_its_parts() {
    let begun = || say("200 OK", &[], "<R><UploadId>7</UploadId></R>");
    let server = Script::start(vec![begun(), refuse("403 Forbidden", "AccessDenied")]).await;
    let mut upload = store(&[&server.endpoint]).put_multipart(&path("k")).await.unwrap();
    let (failing, forgotten) = (upload.put_part("1".into()), upload.put_part("2".into()));
    assert!(matches!(failing.await, Err(Error::PermissionDenied { .. })));
    drop(forgotten);
    let words = upload.complete().await.unwrap_err().to_string();
    assert!(words.contains("2 of 2 parts of bkt/k"), "{words}");
    assert_eq!(server.asked().len(), 2, "nothing was completed");
}

#[tokio::test]
async fn deletions_are_answered_in_order_each_with_its_own_outcome() {
    let refused = "<DeleteResult><Error><Key>b</Key><Code>AccessDenied</Code><Message>no</Message></Error>\
                   <Error><Key>c</Key><Code>SlowDown</Code><Message>later</Message></Error></DeleteResult>";
    let server = Script::start(vec![say("200 OK", &[], refused), say("204 No Content", &[], "")]).await;
    let bad = Error::NotSupported { source: "from before".into() };
    let asked = [Ok(path("a")), Ok(path("b")), Err(bad), Ok(path("c")), Ok(path("a"))];
    let store = store(&[&server.endpoint]);
    let answers: Vec<_> = store.delete_stream(stream::iter(asked).boxed()).collect().await;
    assert_eq!((answers[0].as_ref().unwrap(), answers[3].as_ref().unwrap()), (&path("a"), &path("c")));
    assert!(matches!(&answers[1], Err(Error::PermissionDenied { path, .. }) if path == "bkt/b"));
    assert!(matches!(&answers[2], Err(Error::NotSupported { .. })));
    assert_eq!(answers.len(), 5);
    assert_eq!(server.asked(), ["POST /bkt?delete=", "DELETE /bkt/c"]);

    let closed = Script::start(vec![refuse("403 Forbidden", "AccessDenied")]).await;
    let both = [Ok(path("a")), Ok(path("b"))];
    let answers: Vec<_> = self::store(&[&closed.endpoint]).delete_stream(stream::iter(both).boxed()).collect().await;
    assert!(answers.len() == 2 && answers.iter().all(Result::is_err), "{answers:?}");
}

#[tokio::test]
async fn listings_that_make_no_sense_are_errors() {
    let entry = |key: &str, size: u8| {
        format!(
            "<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>2033-12-01T16:00:05.120Z</LastModified><ETag>e</ETag></Contents>"
        )
    };
    let page = |inside: &str| say("200 OK", &[], &format!("<R>{inside}</R>"));
    let server = Script::start(vec![page(&(entry("d/", 0) + &entry("d/k", 1)))]).await;
    let found: Vec<ObjectMeta> = store(&[&server.endpoint]).list(None).try_collect().await.unwrap();
    assert_eq!((found.len(), &found[0].location, found[0].e_tag.as_deref()), (1, &path("d/k"), Some("\"e\"")));

    for (key, size) in [("a//b", 1), ("a/../b", 0), ("d/", 1), ("/d", 1)] {
        let server = Script::start(vec![page(&entry(key, size))]).await;
        let words = store(&[&server.endpoint]).list(None).try_next().await.unwrap_err().to_string();
        assert!(words.contains(&format!("`{key}`")) && words.contains("`bkt`"), "{words}");
    }
    let again = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
    let server = Script::start(vec![page(again), page(again)]).await;
    let words = store(&[&server.endpoint]).list(None).try_next().await.unwrap_err().to_string();
    assert!(words.contains("followed by itself"), "{words}");
    let server = Script::start(vec![page(&entry("k", 1).replace("2033-12", "then"))]).await;
    assert!(store(&[&server.endpoint]).list(None).try_next().await.unwrap_err().to_string().contains("no date"));
}

#[tokio::test]
async fn a_rename_takes_what_it_copied_and_nothing_else() {
    let head = |etag| say("200 OK", &[CHANGED, ("etag", etag), ("content-length", "1")], "");
    let copied = || say("200 OK", &[], "<R><ETag>x</ETag></R>");
    let unmet = || refuse("412 Precondition Failed", "PreconditionFailed");
    let (one, two) = ("\"1\"", "\"2\"");
    // Replaced before it is copied, and again before it is removed.
    let server = Script::start(vec![head(one), unmet(), head(two), head(two), copied(), unmet()]).await;
    store(&[&server.endpoint]).rename(&path("a b"), &path("c")).await.unwrap();
    assert_eq!(server.header(4, "x-amz-copy-source"), "/bkt/a%20b");
    assert_eq!(
        (server.header(4, "x-amz-copy-source-if-match"), server.header(5, "if-match")),
        (two.into(), two.into())
    );
    assert_eq!(server.asked()[5], "DELETE /bkt/a%20b");
    // The target is there.
    let server = Script::start(vec![head(one), unmet(), head(one)]).await;
    let error = store(&[&server.endpoint]).rename_if_not_exists(&path("a"), &path("b")).await.unwrap_err();
    assert!(matches!(&error, Error::AlreadyExists { path, .. } if path == "bkt/b"), "{error}");
    assert_eq!(server.asked().len(), 3, "nothing was removed");
}

#[tokio::test]
async fn a_copy_that_the_server_cannot_do_under_a_condition_is_not_done() {
    let settings = BucketStoreSettings { conditional_copy: false, ..hasty() };
    let store = BucketStore::over(&[NOBODY], AccessKey::new("a", "b"), "bkt", settings).unwrap();
    let error = store.copy_if_not_exists(&path("a"), &path("b")).await.unwrap_err();
    assert!(matches!(error, Error::NotSupported { .. }), "{error}");
}

#[tokio::test]
async fn the_root_of_a_bucket_is_no_object() {
    let store = store(&[NOBODY]);
    let root = Path::ROOT;
    assert!(matches!(store.get(&root).await, Err(Error::InvalidPath { .. })));
    assert!(matches!(store.put(&root, "1".into()).await, Err(Error::InvalidPath { .. })));
    assert!(matches!(store.delete(&root).await, Err(Error::InvalidPath { .. })));
    assert!(matches!(store.copy(&root, &path("a")).await, Err(Error::InvalidPath { .. })));
    assert!(store.put_multipart(&root).await.is_err());
}

#[test]
fn a_store_is_described_by_variables() {
    let from = |endpoints: &'static str, bucket: &str| {
        BucketStore::from_variables(bucket, move |name| match name {
            ENDPOINTS => Some(endpoints.to_owned()),
            KEY_ID => Some(" id ".to_owned()),
            KEY_SECRET => Some("secret".to_owned()),
            "AWS_DEFAULT_REGION" => Some("eu-1".to_owned()),
            _ => None,
        })
    };
    let store = from("http://a:1, http://b:2", "bkt").unwrap();
    assert_eq!((store.to_string().as_str(), store.settings().region.as_str()), ("bucket `bkt` at http://a:1", "eu-1"));
    assert!(!format!("{store:?}").contains("secret"));
    for (endpoints, bucket, word) in [
        ("https://a", "bkt", "https://a"),
        ("", "bkt", ENDPOINTS),
        (",", "bkt", "endpoint"),
        ("http://a", "a/b", "a/b"),
    ] {
        let words = from(endpoints, bucket).unwrap_err().to_string();
        assert!(words.contains(word), "{words}");
    }
    let words = BucketStore::from_variables("bkt", |_| None).unwrap_err().to_string();
    assert!(words.contains("AWS_ENDPOINT_URL is not set"), "{words}");
}
