//! Which requests are calls of DeOSS.

use super::super::routes::{Call, call_of, query_field, split_format};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

fn ask(method: &str, uri: &str, headers: &[(&'static str, &'static str)]) -> Option<Call> {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a header"))
        })
        .collect();
    call_of(&Method::from_bytes(method.as_bytes()).unwrap(), &uri.parse().unwrap(), &headers)
}

fn fid() -> String {
    "ab".repeat(32)
}

#[test]
fn calls_have_their_paths() {
    let fid = fid();
    for (method, path, call) in [
        ("PUT", "/file".to_owned(), Call::PutFile),
        ("PUT", "/files".to_owned(), Call::PutFiles),
        ("PUT", "/object".to_owned(), Call::PutObject(None)),
        ("PUT", "/object/a%20b+c".to_owned(), Call::PutObject(Some("a b+c".to_owned()))),
        ("PUT", "/resume/a.bin".to_owned(), Call::Resume("a.bin".to_owned())),
        ("DELETE", format!("/file/{fid}"), Call::Delete(fid.clone())),
        ("GET", format!("/file/download/{fid}"), Call::Download(fid.clone())),
        ("HEAD", format!("/file/download/{fid}"), Call::Download(fid.clone())),
        ("GET", "/file/download/nonsense".to_owned(), Call::Download("nonsense".to_owned())),
        ("GET", format!("/file/open/{fid}.png"), Call::Open(format!("{fid}.png"))),
        ("GET", format!("/file/metadata/{fid}"), Call::Metadata(fid.clone())),
        ("GET", format!("/file/location/{fid}"), Call::Location(fid.clone())),
        ("GET", "/file/list?Account=0x1".to_owned(), Call::List),
        ("GET", "/version".to_owned(), Call::Version),
        ("GET", format!("/download/{fid}"), Call::Download(fid.clone())),
        ("GET", format!("/open/{fid}"), Call::Open(fid.clone())),
        ("GET", format!("/metadata/{fid}"), Call::Metadata(fid.clone())),
        ("GET", format!("/location/{fid}"), Call::Location(fid.clone())),
    ] {
        assert_eq!(ask(method, &path, &[]), Some(call), "{method} {path}");
    }
}

#[test]
fn everything_else_is_for_s3() {
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/file"),
        ("GET", "/files"),
        ("PUT", "/files/key"),
        ("POST", "/files"),
        ("GET", "/files?list-type=2"),
        ("GET", "/file/other/key"),
        ("GET", "/file/download/a/b"),
        ("PUT", "/object/a/b"),
        ("PUT", "/object/"),
        ("PUT", "/resume/"),
        ("PUT", "/resume"),
        ("GET", "/object/key"),
        ("DELETE", "/file"),
        ("DELETE", "/file/a/b"),
        ("GET", "/version/key"),
        ("PUT", "/version"),
        ("GET", "/download/key"),
        ("GET", "/open/abcdef"),
        ("PUT", "/photos/key"),
        ("OPTIONS", "/photos/key"),
    ] {
        assert_eq!(ask(method, path, &[]), None, "{method} {path}");
    }
}

#[test]
fn a_bucket_may_have_the_name_of_a_call() {
    let fid = fid();
    for path in ["/file", "/files", "/object/key", "/resume/key"] {
        assert_eq!(ask("PUT", path, &[("authorization", "AWS4-HMAC-SHA256 Credential=x")]), None, "{path}");
        assert_eq!(ask("PUT", path, &[("x-amz-acl", "private")]), None, "{path}");
        assert_eq!(ask("PUT", &format!("{path}?X-Amz-Signature=1"), &[]), None, "{path}");
        assert_eq!(ask("PUT", &format!("{path}?a=1&AWSAccessKeyId=1&Signature=2"), &[]), None, "{path}");
        assert!(ask("PUT", path, &[("account", "0x1")]).is_some(), "{path}");
    }
    assert_eq!(ask("GET", &format!("/file/download/{fid}"), &[("authorization", "AWS x:y")]), None);
}

#[test]
fn browsers_ask_first() {
    let put = ("access-control-request-method", "PUT");
    assert_eq!(ask("OPTIONS", "/file", &[put]), Some(Call::Preflight));
    let ours = ("access-control-request-headers", "account,message,signature");
    assert_eq!(ask("OPTIONS", "/files", &[put, ours]), Some(Call::Preflight));
    for theirs in ["content-type, Authorization", "x-amz-date,x-amz-content-sha256"] {
        assert_eq!(ask("OPTIONS", "/files", &[put, ("access-control-request-headers", theirs)]), None, "{theirs}");
    }
    assert_eq!(ask("OPTIONS", "/files?X-Amz-Signature=1", &[put]), None);
    assert_eq!(ask("OPTIONS", "/files", &[]), None, "no method, no call");
}

#[test]
fn formats_stand_behind_ids() {
    let fid = fid();
    assert_eq!(split_format(&fid), (fid.as_str(), ""));
    assert_eq!(split_format(&format!("{fid}.mp4")), (fid.as_str(), "mp4"));
    assert_eq!(split_format(&format!("{fid}mp4")), (fid.as_str(), "mp4"));
    assert_eq!(split_format("abc"), ("abc", ""));
}

#[test]
fn fields_of_queries_are_found_in_any_case() {
    let uri = "/file/list?Account=0x1&territory=my%20space".parse().unwrap();
    assert_eq!(query_field(&uri, "account").as_deref(), Some("0x1"));
    assert_eq!(query_field(&uri, "Territory").as_deref(), Some("my space"));
    assert_eq!(query_field(&uri, "skip"), None);
}
