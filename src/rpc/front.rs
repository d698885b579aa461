//! What the port answers before JSON-RPC sees a request: browsers' preflights, `GET /health` and `GET /metrics`.
//!
//! Any web page may call the node, as wallets in browsers must. That is safe because the node holds no keys for callers
//! and uses no cookies. Invariant: every answer carries the CORS headers.

use crate::runtime::Metrics;
use axum::http::{HeaderValue, Method, StatusCode, header};
use futures::future::BoxFuture;
use jsonrpsee::core::BoxError;
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// Puts [`Front`] before the JSON-RPC service.
#[derive(Clone)]
pub(super) struct FrontLayer {
    pub(super) node: String,
    pub(super) metrics: Metrics,
}

impl<S> Layer<S> for FrontLayer {
    type Service = Front<S>;

    fn layer(&self, inner: S) -> Front<S> {
        Front { inner, layer: self.clone() }
    }
}

/// The service in front.
#[derive(Clone)]
pub(super) struct Front<S> {
    inner: S,
    layer: FrontLayer,
}

impl<S> Service<HttpRequest> for Front<S>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<HttpResponse, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let own = match (request.method(), request.uri().path()) {
            (&Method::OPTIONS, _) => Some(answer(StatusCode::NO_CONTENT, "text/plain", String::new())),
            (&Method::GET, "/health") => Some(self.layer.health()),
            (&Method::GET, "/metrics") => Some(self.layer.metrics()),
            _ => None,
        };
        if let Some(own) = own {
            return Box::pin(async move { Ok(with_cors(own)) });
        }
        let inner = self.inner.call(request);
        Box::pin(async move { Ok(with_cors(inner.await?)) })
    }
}

impl FrontLayer {
    fn health(&self) -> HttpResponse {
        let body = serde_json::json!({"status": "ok", "node": self.node, "version": env!("CARGO_PKG_VERSION")});
        answer(StatusCode::OK, "application/json", body.to_string())
    }

    fn metrics(&self) -> HttpResponse {
        answer(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", self.metrics.render())
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn with_cors(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type, authorization"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}
