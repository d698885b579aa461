//! What happens to a request before and after the library: turns, second attempts, forms, cross-origin rules, websites.

use super::{
    Protocol,
    access::Peer,
    again::Again,
    connection::InProgress,
    cors::{self, CrossOrigin},
    error,
    forms::{self, FileName},
    hosts::Hosts,
    intake::{self, Intake},
    limits::Turns,
    memory::Budget,
    outcome::{self, Stamp},
    scope, website,
};
use crate::{
    access::blobs::BlobError,
    gateway::deoss::{self, Deoss},
    runtime::Counter,
};
use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header, request::Parts},
};
use futures::{FutureExt, StreamExt};
use s3s::{S3ErrorCode, service::S3Service};
use std::{net::SocketAddr, panic::AssertUnwindSafe, sync::Arc};

/// Bytes of a request's and a node's id.
const ID_BYTES: usize = 8;

/// The service of a listener.
pub struct Front {
    service: S3Service,
    protocol: Arc<Protocol>,
    hosts: Hosts,
    turns: Turns,
    intake: Intake,
    host_id: String,
    deoss: Option<Deoss>,
}

impl Front {
    /// Around the library's service.
    pub fn new(protocol: Arc<Protocol>, service: S3Service, hosts: Hosts, turns: Turns, budget: Budget) -> Self {
        let (host_id, intake) = (id(&protocol), Intake::new(budget, protocol.workshop.clone()));
        Self { service, protocol, hosts, turns, intake, host_id, deoss: None }
    }

    /// With the calls of DeOSS on the same port.
    pub fn beside(self, deoss: Option<Deoss>) -> Self {
        Self { deoss, ..self }
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request<Body>, peer: SocketAddr, busy: InProgress) -> Response<Body> {
        let stamp = Stamp {
            request_id: id(&self.protocol),
            host_id: self.host_id.clone(),
            resource: request.uri().path().to_owned(),
            method: request.method().clone(),
        };
        self.protocol.node.metrics.add(Counter::S3Requests, 1);
        let Some(turn) = self.turns.take().await else {
            let error = error::refuse(S3ErrorCode::SlowDown, "Please reduce your request rate.");
            return outcome::outgoing(outcome::stamped(outcome::of_error(&error), &stamp), ());
        };
        let answered = AssertUnwindSafe(self.route(request, peer)).catch_unwind().await;
        let response = answered.unwrap_or_else(|_| {
            self.protocol.node.metrics.add(Counter::Panics, 1);
            tracing::error!(request = stamp.request_id, resource = stamp.resource, "a request ended in a panic");
            outcome::of_error(&error::refuse(
                S3ErrorCode::InternalError,
                "We encountered an internal error. Please try again.",
            ))
        });
        if response.status().is_server_error() {
            self.protocol.node.metrics.add(Counter::S3Errors, 1);
        }
        let status = response.status().as_u16();
        tracing::debug!(method = %stamp.method, resource = stamp.resource, status, request = stamp.request_id, "s3");
        outcome::outgoing(outcome::stamped(response, &stamp), (turn, busy))
    }

    async fn route(&self, request: Request<Body>, peer: SocketAddr) -> Response<s3s::Body> {
        let host =
            request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
        if let Some(bucket) = self.hosts.website(&host) {
            return website::answer(self, &bucket, request, peer).await;
        }
        let bucket = self.hosts.bucket(&host);
        if let Some(deoss) = self.deoss.as_ref().filter(|_| bucket.is_none() && deoss::takes(&request)) {
            return deoss.answer(request.map(intake::patiently)).await.map(s3s::Body::http_body_unsync);
        }
        let bucket = bucket.or_else(|| bucket_of_path(request.uri()));
        if request.method() == Method::OPTIONS {
            return self.preflight(bucket.as_deref(), request.headers()).await;
        }
        let cross = origin_of(request.headers()).map(|origin| (origin, request.method().to_string()));
        let mut response = self.call(request, peer).await;
        if let (Some((origin, method)), Some(bucket)) = (cross, bucket) {
            let asked = CrossOrigin { origin: &origin, method: &method, headers: None };
            if let Some(headers) = self.cors(&bucket, asked, false).await {
                response.headers_mut().extend(headers);
            }
        }
        response
    }

    /// Has the library answer, a second time if it could not read the request.
    pub async fn call(&self, request: Request<Body>, peer: SocketAddr) -> Response<s3s::Body> {
        let (mut head, body) = request.into_parts();
        if let Some(refused) = scope::refused(&head, &self.protocol.region) {
            return refused;
        }
        let (again, body) = Again::prepare(&mut head, body);
        let mut answer = self.ask(Request::from_parts(head, body), peer).await;
        let second = match again {
            Some(again) => again.second(&mut answer, &self.protocol).await,
            None => None,
        };
        match second {
            Some(request) => self.ask(request, peer).await,
            None => answer,
        }
    }

    async fn ask(&self, request: Request<Body>, peer: SocketAddr) -> Response<s3s::Body> {
        let (mut head, mut body) = request.into_parts();
        let form = intake::is_form(&head.headers).then(FileName::default);
        head.extensions.insert(Peer(peer));
        if let Some(name) = &form {
            head.extensions.insert(name.clone());
            let chunks = body.into_data_stream().map(|part| part.map_err(unread));
            body = Body::from_stream(forms::noted(chunks.boxed(), name.clone()));
        }
        let is_object = self.is_object(&head);
        let (body, watch) = match self.intake.take(&head, is_object, body) {
            Ok(taken) => taken,
            Err(error) => return outcome::of_error(&error),
        };
        let answer = self.service.call(Request::from_parts(head, body)).await;
        let response = answer.unwrap_or_else(|error| {
            tracing::warn!(error = ?error, "a request has no answer");
            outcome::of_error(&error::refuse(
                S3ErrorCode::InternalError,
                "We encountered an internal error. Please try again.",
            ))
        });
        match watch.refusal() {
            Some(error) if !response.status().is_success() => outcome::of_error(&error),
            _ => match form {
                Some(name) => outcome::with_file_name(response, &name),
                None => response,
            },
        }
    }

    /// Whether a request is about an object.
    fn is_object(&self, head: &Parts) -> bool {
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let path = head.uri.path().trim_start_matches('/');
        let key = match self.hosts.bucket(host) {
            Some(_) => path,
            None => path.split_once('/').map_or("", |(_, key)| key),
        };
        !key.is_empty()
    }

    async fn cors(&self, bucket: &str, asked: CrossOrigin<'_>, preflight: bool) -> Option<HeaderMap> {
        let bucket = self.protocol.bucket(bucket).await.ok()?;
        cors::find(&bucket.cors, asked).map(|rule| cors::answer(rule, asked, preflight))
    }

    async fn preflight(&self, bucket: Option<&str>, headers: &HeaderMap) -> Response<s3s::Body> {
        let text =
            |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (origin, method) = (text(header::ORIGIN), text(header::ACCESS_CONTROL_REQUEST_METHOD));
        let (Some(origin), Some(method)) = (origin, method) else {
            let message =
                "Insufficient information. Origin and Access-Control-Request-Method request headers are needed.";
            return outcome::of_error(&error::custom("BadRequest", StatusCode::BAD_REQUEST, message));
        };
        let wanted = text(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let asked = CrossOrigin { origin: &origin, method: &method, headers: wanted.as_deref() };
        let allowed = match bucket {
            Some(bucket) => self.cors(bucket, asked, true).await,
            None => None,
        };
        match allowed {
            Some(headers) => {
                let mut response = Response::new(s3s::Body::empty());
                response.headers_mut().extend(headers);
                response
            }
            None => {
                let message = "CORSResponse: This CORS request is not allowed: no rule of the bucket covers its origin, method and headers.";
                let mut error = error::refuse(S3ErrorCode::Custom("AccessForbidden".into()), message);
                error.set_status_code(StatusCode::FORBIDDEN);
                outcome::of_error(&error)
            }
        }
    }

    /// Where bodies are taken in.
    #[cfg(test)]
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// What the answers share.
    pub fn protocol(&self) -> &Arc<Protocol> {
        &self.protocol
    }
}

fn id(protocol: &Protocol) -> String {
    let mut bytes = [0; ID_BYTES];
    protocol.node.rng.fill(&mut bytes);
    hex::encode_upper(bytes)
}

fn bucket_of_path(uri: &Uri) -> Option<String> {
    let first = uri.path().trim_start_matches('/').split('/').next().unwrap_or_default();
    (!first.is_empty()).then(|| first.to_owned())
}

fn unread(cause: axum::Error) -> BlobError {
    BlobError::Body { offset: 0, reason: cause.to_string() }
}

fn origin_of(headers: &HeaderMap) -> Option<String> {
    headers.get(header::ORIGIN)?.to_str().ok().map(str::to_owned)
}
