//! Static websites of buckets: index and error documents, redirects and routing rules.
//!
//! Owns what a website's host answers. Must not know permissions: it reads objects as anybody would. Invariant: only what anybody
//! may read is shown.

use super::{outcome::escaped, percent, service::Front};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header},
};
use s3s::dto::{Redirect, RoutingRule, WebsiteConfiguration};
use std::net::SocketAddr;

/// Most routing rules of a website.
const RULES_MAX: usize = 50;
/// Header an object redirects with.
const REDIRECT: HeaderName = HeaderName::from_static("x-amz-website-redirect-location");
/// Headers of a request that reads of objects look at.
const PASSED: [HeaderName; 6] = [
    header::RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::USER_AGENT,
];

/// Refuses a configuration that cannot be carried out.
pub fn check(website: &WebsiteConfiguration) -> Result<(), String> {
    if let Some(all) = &website.redirect_all_requests_to {
        let alone =
            website.index_document.is_none() && website.error_document.is_none() && website.routing_rules.is_none();
        return match (alone, all.host_name.is_empty()) {
            (true, false) => Ok(()),
            (false, _) => Err("RedirectAllRequestsTo stands alone".to_owned()),
            (true, true) => Err("RedirectAllRequestsTo has no host name".to_owned()),
        };
    }
    let Some(index) = &website.index_document else {
        return Err("A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty".to_owned());
    };
    if index.suffix.is_empty() || index.suffix.contains('/') {
        return Err("The IndexDocument Suffix is not well formed".to_owned());
    }
    if website.error_document.as_ref().is_some_and(|document| document.key.is_empty()) {
        return Err("The ErrorDocument Key is not well formed".to_owned());
    }
    let rules = website.routing_rules.as_deref().unwrap_or_default();
    if rules.len() > RULES_MAX {
        return Err(format!("{} routing rules, at most {RULES_MAX}", rules.len()));
    }
    rules.iter().try_for_each(check_rule)
}

fn check_rule(rule: &RoutingRule) -> Result<(), String> {
    let redirect = &rule.redirect;
    if redirect.replace_key_with.is_some() && redirect.replace_key_prefix_with.is_some() {
        return Err("a rule has ReplaceKeyWith or ReplaceKeyPrefixWith, not both".to_owned());
    }
    let code = redirect.http_redirect_code.as_deref().unwrap_or("301");
    match code.parse::<u16>() {
        Ok(300..=399) => Ok(()),
        _ => Err(format!("`{code}` is not a redirect code")),
    }
}

/// What a visitor asks for.
struct Visit<'a> {
    front: &'a Front,
    bucket: &'a str,
    key: String,
    method: Method,
    headers: HeaderMap,
    peer: SocketAddr,
}

/// Answers a request to a website.
pub async fn answer(front: &Front, bucket: &str, request: Request<Body>, peer: SocketAddr) -> Response<s3s::Body> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return page(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "The specified method is not allowed.");
    }
    let website = match front.protocol().bucket(bucket).await {
        Ok(found) => match &found.website {
            Some(website) => website.clone(),
            None => return page(StatusCode::NOT_FOUND, "NoSuchWebsiteConfiguration", "The bucket has no website."),
        },
        Err(error) => {
            let status = error.status_code().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return page(status, error.code().as_str(), error.message().unwrap_or_default());
        }
    };
    let key = percent::decode(&request.uri().path().trim_start_matches('/').replace('+', "%2B"));
    let (head, _) = request.into_parts();
    Visit { front, bucket, key, method: head.method, headers: head.headers, peer }.answer(&website).await
}

impl Visit<'_> {
    async fn answer(&self, website: &WebsiteConfiguration) -> Response<s3s::Body> {
        if let Some(all) = &website.redirect_all_requests_to {
            let protocol = all.protocol.as_ref().map_or("http", |protocol| protocol.as_str());
            return redirect(
                StatusCode::MOVED_PERMANENTLY,
                &format!("{protocol}://{}/{}", all.host_name, percent::path(&self.key)),
            );
        }
        if let Some(response) = self.routed(website, None) {
            return response;
        }
        let suffix = website.index_document.as_ref().map_or("index.html", |index| index.suffix.as_str());
        let at_folder = self.key.is_empty() || self.key.ends_with('/');
        let key = if at_folder { format!("{}{suffix}", self.key) } else { self.key.clone() };
        let response = self.read(&key, &self.method, true).await;
        let status = response.status();
        if let Some(to) = response.headers().get(REDIRECT).and_then(|to| to.to_str().ok()) {
            return redirect(StatusCode::MOVED_PERMANENTLY, to);
        }
        if !status.is_client_error() || !matches!(status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN) {
            return response;
        }
        if !at_folder && self.read(&format!("{}/{suffix}", self.key), &Method::HEAD, false).await.status().is_success()
        {
            return redirect(StatusCode::FOUND, &format!("/{}/", percent::path(&self.key)));
        }
        if let Some(response) = self.routed(website, Some(status)) {
            return response;
        }
        self.error_page(website, status).await
    }

    /// The redirect of the first rule that fits.
    fn routed(&self, website: &WebsiteConfiguration, status: Option<StatusCode>) -> Option<Response<s3s::Body>> {
        let rule = website.routing_rules.iter().flatten().find(|rule| self.fits(rule, status))?;
        let prefix =
            rule.condition.as_ref().and_then(|condition| condition.key_prefix_equals.as_deref()).unwrap_or_default();
        Some(self.redirected(&rule.redirect, prefix))
    }

    fn fits(&self, rule: &RoutingRule, status: Option<StatusCode>) -> bool {
        let condition = rule.condition.as_ref();
        let prefix = condition.and_then(|condition| condition.key_prefix_equals.as_deref()).unwrap_or_default();
        let code = condition.and_then(|condition| condition.http_error_code_returned_equals.as_deref());
        let at_code = match (code, status) {
            (None, None) => true,
            (Some(code), Some(status)) => code == status.as_str(),
            _ => false,
        };
        at_code && self.key.starts_with(prefix)
    }

    fn redirected(&self, to: &Redirect, prefix: &str) -> Response<s3s::Body> {
        let key = match (&to.replace_key_with, &to.replace_key_prefix_with) {
            (Some(key), _) => key.clone(),
            (None, Some(with)) => format!("{with}{}", self.key.strip_prefix(prefix).unwrap_or(&self.key)),
            (None, None) => self.key.clone(),
        };
        let own_host = self.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let host = to.host_name.as_deref().unwrap_or(own_host);
        let protocol = to.protocol.as_ref().map_or("http", |protocol| protocol.as_str());
        let code = to.http_redirect_code.as_deref().and_then(|code| code.parse::<u16>().ok());
        let code = code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::MOVED_PERMANENTLY);
        redirect(code, &format!("{protocol}://{host}/{}", percent::path(&key)))
    }

    /// Reads an object as anybody.
    async fn read(&self, key: &str, method: &Method, with_headers: bool) -> Response<s3s::Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method.clone();
        let path = format!("/{}/{}", self.bucket, percent::path(key));
        match path.parse() {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => return page(StatusCode::BAD_REQUEST, "InvalidURI", "The address is not valid."),
        }
        if with_headers {
            for name in PASSED {
                if let Some(value) = self.headers.get(&name) {
                    request.headers_mut().insert(name, value.clone());
                }
            }
        }
        self.front.call(request, self.peer).await
    }

    async fn error_page(&self, website: &WebsiteConfiguration, status: StatusCode) -> Response<s3s::Body> {
        if let Some(document) = &website.error_document {
            let mut response = self.read(&document.key, &self.method, false).await;
            if response.status().is_success() {
                *response.status_mut() = status;
                return response;
            }
        }
        match status {
            StatusCode::NOT_FOUND => page(status, "NoSuchKey", "The specified key does not exist."),
            _ => page(status, "AccessDenied", "Access Denied"),
        }
    }
}

fn redirect(status: StatusCode, to: &str) -> Response<s3s::Body> {
    let mut response = Response::new(s3s::Body::empty());
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::try_from(to) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

fn page(status: StatusCode, code: &str, message: &str) -> Response<s3s::Body> {
    let (code, message) = (escaped(code), escaped(message));
    let text = format!(
        "<!doctype html><html><head><title>{status}</title></head><body><h1>{status}</h1><ul><li>Code: {code}</li>\
         <li>Message: {message}</li></ul></body></html>"
    );
    let mut response = Response::new(s3s::Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}
