//! Forms in any pieces, what is counted and hashed, and the shapes of answers.

use super::super::{
    answer,
    content::Content,
    form::{Form, Incoming, PartHead, boundary},
    storing::checked_name,
};
use crate::{client::deoss::BodyHash, gateway::reply::Refusal};
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, HeaderValue, header},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use proptest::prelude::*;
use tokio::io::AsyncReadExt;

const TYPE: &str = "multipart/form-data; boundary=XyZ";

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/plain\r\n\r\n"
    );
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body: Vec<u8> = files.iter().flat_map(|(name, content)| file(name, content)).collect();
    body.extend_from_slice(b"--XyZ--\r\n");
    body
}

fn pieces(body: &[u8], size: usize) -> Incoming {
    let pieces: Vec<_> = body.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

async fn read(mut form: Form) -> std::io::Result<Vec<(PartHead, Vec<u8>)>> {
    let mut parts = Vec::new();
    while let Some(head) = form.next().await? {
        let mut content = Vec::new();
        while let Some(chunk) = form.chunk().await? {
            assert!(!chunk.is_empty());
            content.extend_from_slice(&chunk);
        }
        parts.push((head, content));
    }
    Ok(parts)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn content(kind: &'static str, body: Vec<u8>) -> Content {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Content::of(&headers, Body::from(body)).unwrap()
}

async fn take(content: &mut Content) -> Vec<u8> {
    let mut bytes = Vec::new();
    content.reader().read_to_end(&mut bytes).await.unwrap();
    bytes
}

proptest! {
    #[test]
    fn a_form_gives_what_was_put_in(
        contents in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'X'), any::<u8>()], 0..200), 0..4),
        size in 1usize..80,
    ) {
        prop_assume!(contents.iter().all(|content| !content.windows(5).any(|part| part == b"--XyZ")));
        let files: Vec<(&str, &[u8])> = contents.iter().map(|content| ("a.txt", &content[..])).collect();
        let parts = runtime().block_on(read(Form::new(pieces(&form(&files), size), "XyZ"))).unwrap();
        let found: Vec<&Vec<u8>> = parts.iter().map(|(_, content)| content).collect();
        prop_assert_eq!(found, contents.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_form_that_breaks_off_is_an_error(len in 0usize..100, size in 1usize..40) {
        let body = form(&[("a.txt", b"some content of the file")]);
        // The line end behind the last boundary may be missing.
        let len = len.min(body.len() - 3);
        prop_assert!(runtime().block_on(read(Form::new(pieces(&body[..len], size), "XyZ"))).is_err());
    }
}

#[tokio::test]
async fn forms_are_bounded() {
    let endless = stream::repeat_with(|| Ok(Bytes::from_static(&[b'x'; 1_024]))).boxed();
    let error = Form::new(endless, "XyZ").next().await.unwrap_err().to_string();
    assert!(error.contains("8192 B that are no file"), "{error}");
    let head = b"--XyZ\r\nContent-Disposition: form-data; name=\"";
    let endless = stream::iter([Ok(Bytes::from_static(head))])
        .chain(stream::repeat_with(|| Ok(Bytes::from_static(&[b'x'; 1_024]))))
        .boxed();
    let error = Form::new(endless, "XyZ").next().await.unwrap_err().to_string();
    assert!(error.contains("the head of a part is over 8192 B"), "{error}");
    let many = form(&[("a", &b"x"[..]); 101]);
    let error = read(Form::new(pieces(&many, 4_096), "XyZ")).await.unwrap_err().to_string();
    assert!(error.contains("more than 100 parts"), "{error}");
    for (head, said) in [("X: y", "no Content-Disposition"), ("Content-Disposition: form-data", "no name")] {
        let body = format!("--XyZ\r\n{head}\r\n\r\nx\r\n--XyZ--");
        let error = read(Form::new(pieces(body.as_bytes(), 7), "XyZ")).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn boundaries_and_names_are_read() {
    for (kind, expected) in [
        (TYPE, Some("XyZ")),
        ("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", Some("a b")),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/mixed; boundary=XyZ", None),
        ("text/plain; boundary=XyZ", None),
    ] {
        assert_eq!(boundary(kind).as_deref(), expected, "{kind}");
    }
    assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
    assert_eq!(checked_name("a.txt").unwrap(), "a.txt");
    for bad in ["", "a\nb", &"x".repeat(256)] {
        assert!(checked_name(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn files_are_hashed_one_by_one() {
    let mut body = b"--XyZ\r\nContent-Disposition: form-data; name=note\r\n\r\nno file\r\n".to_vec();
    body.extend(form(&[("a.txt", b"one"), ("b.txt", b"two")]));
    let mut content = content(TYPE, body);
    assert!(content.is_form());
    assert_eq!(content.next_file().await.unwrap(), Some(Some("a.txt".to_owned())));
    assert_eq!(take(&mut content).await, b"one");
    assert_eq!(content.finish_file().0, 3);
    let error = content.check(&BodyHash::of(b"other")).unwrap_err().text().to_owned();
    assert!(error.contains("not what was signed"), "{error}");
    assert!(content.check(&BodyHash::of(b"one")).is_ok());
    assert_eq!(content.next_file().await.unwrap(), Some(Some("b.txt".to_owned())));
    assert_eq!(take(&mut content).await, b"two");
    content.finish_file();
    assert_eq!(content.next_file().await.unwrap(), None);
    assert!(content.check(&BodyHash::of(b"one")).is_err(), "one hash is not for two files");
    assert!(content.check(&BodyHash::of_all([&b"two"[..], b"one"])).is_err(), "nor are two in another order");
    assert!(content.check(&BodyHash::of_all([&b"one"[..], b"two"])).is_ok());
    assert!(content.check(&BodyHash::Unsigned).is_ok());
    assert!(content.check(&BodyHash::Empty).is_err());
}

#[tokio::test]
async fn a_body_is_one_file() {
    let mut raw = content("application/octet-stream", b"raw".to_vec());
    assert!(!raw.is_form());
    assert_eq!(raw.next_file().await.unwrap(), Some(None));
    assert_eq!(take(&mut raw).await, b"raw");
    raw.finish_file();
    assert_eq!(raw.next_file().await.unwrap(), None);
    assert!(raw.check(&BodyHash::of(b"raw")).is_ok());
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("multipart/form-data"));
    assert!(Content::of(&headers, Body::empty()).is_err());
}

#[tokio::test]
async fn answers_have_the_shape_of_deoss() {
    let ok = answer::ok(serde_json::json!({ "fid": "ab" }));
    assert_eq!(ok.status(), 200);
    let text = to_bytes(ok.into_body(), 1_000).await.unwrap();
    assert_eq!(&text[..], br#"{"code":200,"msg":"ok","data":{"fid":"ab"}}"#);
    let refusal = Refusal::bad_request("no");
    let refused = answer::refused(&refusal);
    assert_eq!(refused.status(), 200, "as DeOSS answers");
    assert_eq!(refused.headers()[header::CONTENT_LENGTH], "35");
    let text = to_bytes(refused.into_body(), 1_000).await.unwrap();
    assert_eq!(&text[..], br#"{"code":400,"msg":"no","data":null}"#);
    assert_eq!(answer::no_file(&refusal).status(), 400, "nobody takes it for a file");
}
