//! The region that a request was signed for.
//!
//! It may be any that looks like one. For others S3 says which it expects, and clients sign again for that one: s3cmd's own is `US` unless it is
//! told another. The library would refuse them with an error that no client learns from. Must not know whether a signature is good.

use super::{error, outcome, percent};
use axum::http::{HeaderValue, Response, StatusCode, Uri, header, request::Parts};

/// Header with the region a bucket is in: answers to `HEAD` have nothing else to say it with.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// The refusal of a request that was signed for what cannot be a region.
pub fn refused(head: &Parts, expected: &str) -> Option<Response<s3s::Body>> {
    let region = region_of(head).filter(|region| !is_region(region))?;
    let message =
        format!("The authorization header is malformed; the region '{region}' is wrong; expecting '{expected}'");
    let error = error::custom("AuthorizationHeaderMalformed", StatusCode::BAD_REQUEST, message);
    let mut response = outcome::of_error_with(&error, &format!("<Region>{}</Region>", outcome::escaped(expected)));
    if let Ok(expected) = HeaderValue::try_from(expected) {
        response.headers_mut().insert(BUCKET_REGION, expected);
    }
    Some(response)
}

/// None is one, too: the library takes it for any.
fn is_region(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The region in the scope of a signature of version 4, in the header or in the query.
fn region_of(head: &Parts) -> Option<String> {
    let in_header = || {
        let line = head.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (_, rest) = line.strip_prefix("AWS4-HMAC-SHA256")?.split_once("Credential=")?;
        Some(rest.split([',', ' ']).next().unwrap_or_default().to_owned())
    };
    let credential = in_header().or_else(|| in_query(&head.uri))?;
    // From the end: what an id may consist of is not said.
    credential.rsplit('/').nth(2).map(str::to_owned)
}

fn in_query(uri: &Uri) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(name, _)| *name == "X-Amz-Credential");
    found.next().map(|(_, value)| percent::decode(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn region(line: Option<&str>, uri: &str) -> Option<String> {
        let mut request = Request::builder().uri(uri);
        if let Some(line) = line {
            request = request.header(header::AUTHORIZATION, line);
        }
        region_of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn regions_are_found_where_signatures_are() {
        let header =
            |credential: &str| format!("AWS4-HMAC-SHA256 Credential={credential},SignedHeaders=host,Signature=0");
        let found = |credential: &str| region(Some(&header(credential)), "/bkt");
        assert_eq!(found("ID/20261128/US/s3/aws4_request").as_deref(), Some("US"));
        assert_eq!(found("a/b/20261128/eu-1/s3/aws4_request").as_deref(), Some("eu-1"));
        assert_eq!(found("ID/20261128//s3/aws4_request").as_deref(), Some(""));
        assert_eq!(found("nonsense"), None);
        assert_eq!(region(Some("AWS ID:signature"), "/bkt"), None);
        assert_eq!(region(None, "/bkt?list-type=2"), None);
        let link = "/bkt/k?X-Amz-Algorithm=x&X-Amz-Credential=ID%2F20261128%2FUS%2Fs3%2Faws4_request";
        assert_eq!(region(None, link).as_deref(), Some("US"));
        assert!(is_region("") && is_region("us-east-1") && !is_region("US") && !is_region("eu_1"));
    }
}
