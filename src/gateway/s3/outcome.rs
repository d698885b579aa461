//! The last touch of every answer: ids, the form of errors, and what HTTP wants.

use super::{
    forms::{FileName, VARIABLE},
    percent,
};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Method, Response, StatusCode, header},
};
use s3s::S3Error;

/// Header with the id of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
/// Header with the id of the answering node.
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
/// Media type of documents.
const XML: HeaderValue = HeaderValue::from_static("application/xml");

/// What an answer is about.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// Id of the request.
    pub request_id: String,
    /// Id of the node.
    pub host_id: String,
    /// Path that was asked for.
    pub resource: String,
    /// Method of the request.
    pub method: Method,
}

/// Text within XML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // Not in XML at all.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// An error without the library's help.
pub fn of_error(error: &S3Error) -> Response<s3s::Body> {
    of_error_with(error, "")
}

/// An error with further elements.
pub fn of_error_with(error: &S3Error, elements: &str) -> Response<s3s::Body> {
    let message = error.message().unwrap_or_default();
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{}</Code><Message>{}</Message>{elements}</Error>",
        escaped(error.code().as_str()),
        escaped(message)
    );
    let mut response = Response::new(s3s::Body::from(text));
    *response.status_mut() = error.status_code().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, XML);
    response
}

/// The answer as it leaves.
pub fn stamped(response: Response<s3s::Body>, stamp: &Stamp) -> Response<s3s::Body> {
    let (mut head, mut body) = response.into_parts();
    for (name, value) in [(REQUEST_ID, &stamp.request_id), (HOST_ID, &stamp.host_id)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            head.headers.insert(name, value);
        }
    }
    head.headers.insert(header::SERVER, HeaderValue::from_static("cess"));
    if head.status == StatusCode::NOT_MODIFIED {
        head.headers.remove(header::CONTENT_TYPE);
        head.headers.remove(header::CONTENT_LENGTH);
        body = s3s::Body::empty();
    } else if (head.status.is_client_error() || head.status.is_server_error())
        && let Some(bytes) = body.bytes()
    {
        head.headers.remove(header::CONTENT_LENGTH);
        body = match stamp.method {
            // The library gives the header a length of its own; there is no body to have it.
            Method::HEAD => s3s::Body::empty(),
            _ => s3s::Body::from(completed(&bytes, stamp)),
        };
    } else if stamp.method == Method::HEAD && head.headers.contains_key(header::CONTENT_RANGE) {
        head.status = StatusCode::PARTIAL_CONTENT;
    }
    Response::from_parts(head, body)
}

/// The answer to a form with the name of its file where the library left the variable.
pub fn with_file_name(response: Response<s3s::Body>, name: &FileName) -> Response<s3s::Body> {
    let (mut head, mut body) = response.into_parts();
    let encoded = percent::path(VARIABLE).replace('/', "%2F");
    let file = percent::path(&name.get().unwrap_or_default());
    let location =
        head.headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).map(|to| to.replace(&encoded, &file));
    if let Some(location) = location.and_then(|to| HeaderValue::try_from(to).ok()) {
        head.headers.insert(header::LOCATION, location);
    }
    if let Some(text) =
        body.bytes().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()).filter(|text| text.contains(VARIABLE))
    {
        head.headers.remove(header::CONTENT_LENGTH);
        body = s3s::Body::from(text.replace(VARIABLE, &escaped(&name.get().unwrap_or_default())));
    }
    Response::from_parts(head, body)
}

/// An error's document with what identifies the request.
fn completed(document: &[u8], stamp: &Stamp) -> Vec<u8> {
    const END: &[u8] = b"</Error>";
    let Some(at) = document.windows(END.len()).rposition(|window| window == END) else { return document.to_vec() };
    let ids = format!(
        "<Resource>{}</Resource><RequestId>{}</RequestId><HostId>{}</HostId>",
        escaped(&stamp.resource),
        stamp.request_id,
        stamp.host_id
    );
    [&document[..at], ids.as_bytes(), &document[at..]].concat()
}

/// The library's body as the server takes it; `held` lives until it was sent.
pub fn outgoing<G: Send + 'static>(response: Response<s3s::Body>, held: G) -> Response<Body> {
    use futures::StreamExt;
    let (head, body) = response.into_parts();
    let body = match body.bytes() {
        Some(bytes) => Body::from(bytes),
        None => {
            let guarded = body.map(move |part| {
                let _held = &held;
                part
            });
            Body::from_stream(guarded)
        }
    };
    Response::from_parts(head, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::S3ErrorCode;

    fn stamp(method: Method) -> Stamp {
        Stamp { request_id: "R1".into(), host_id: "H1".into(), resource: "/b/<k>".into(), method }
    }

    #[test]
    fn errors_say_which_request_they_answer() {
        let error = S3Error::with_message(S3ErrorCode::NoSuchKey, "gone & lost");
        let response = stamped(of_error(&error), &stamp(Method::GET));
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()[REQUEST_ID], "R1");
        let text = String::from_utf8(response.into_body().bytes().unwrap().to_vec()).unwrap();
        assert!(text.ends_with(
            "<Code>NoSuchKey</Code><Message>gone &amp; lost</Message><Resource>/b/&lt;k&gt;</Resource>\
             <RequestId>R1</RequestId><HostId>H1</HostId></Error>"
        ));
        let response = stamped(of_error(&error), &stamp(Method::HEAD));
        assert!(response.into_body().bytes().unwrap().is_empty());
        let error = S3Error::with_message(S3ErrorCode::NotModified, "x");
        let response = stamped(of_error(&error), &stamp(Method::GET));
        assert_eq!(response.status(), 304);
        assert!(response.into_body().bytes().unwrap().is_empty());
    }
}
