//! Counts calls, and keeps a method that panics from taking its connection down: the caller gets an internal error, the
//! log the panic.

use super::{error, limits};
use crate::runtime::{Counter, Metrics, Timer};
use futures::FutureExt;
use jsonrpsee::core::middleware::{Batch, BatchEntry, Notification, RpcServiceT};
use jsonrpsee::core::server::{BatchResponseBuilder, MethodResponse};
use jsonrpsee::types::{Id, Request};
use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

/// A JSON-RPC service whose calls are counted and cannot unwind.
#[derive(Clone)]
pub(super) struct Guard<S> {
    inner: S,
    metrics: Metrics,
}

impl<S> Guard<S> {
    pub(super) fn new(inner: S, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }
}

impl<S> RpcServiceT for Guard<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse> + Clone + Send + Sync + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = S::NotificationResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (id, method) = (request.id().into_owned(), request.method_name().to_owned());
        let (metrics, inner) = (self.metrics.clone(), self.inner.clone());
        async move {
            let since = Instant::now();
            let answer = caught(id, method, Some(&metrics), async move { inner.call(request).await }).await;
            metrics.add(Counter::RpcRequests, 1);
            metrics.add(Counter::RpcErrors, u64::from(answer.is_error()));
            metrics.observe(Timer::RpcCall, since.elapsed());
            answer
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.clone();
        async move {
            let mut answers = BatchResponseBuilder::new_with_limit(limits::ANSWER_MAX_BYTES);
            let mut called = false;
            for entry in batch {
                let answer = match entry {
                    Ok(BatchEntry::Call(request)) => service.call(request).await,
                    Ok(BatchEntry::Notification(notification)) => {
                        service.notification(notification).await;
                        called = true;
                        continue;
                    }
                    Err(invalid) => {
                        let (error, id) = invalid.into_parts();
                        MethodResponse::error(id, error)
                    }
                };
                if let Err(too_large) = answers.append(answer) {
                    return too_large;
                }
            }
            if called && answers.is_empty() {
                return MethodResponse::notification();
            }
            MethodResponse::from_batch(answers.finish())
        }
    }

    fn notification<'a>(&self, n: Notification<'a>) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
        self.inner.notification(n)
    }
}

/// Runs a method's future; a panic becomes an internal error for `id`.
pub(super) async fn caught(
    id: Id<'_>,
    method: String,
    metrics: Option<&Metrics>,
    answer: impl Future<Output = MethodResponse> + Send,
) -> MethodResponse {
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(answer) => answer,
        Err(panic) => {
            if let Some(metrics) = metrics {
                metrics.add(Counter::Panics, 1);
            }
            tracing::error!(method, panic = text(panic.as_ref()), "rpc method panicked");
            MethodResponse::error(id, error::internal(format_args!("method `{method}` failed inside the node")))
        }
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("not a text")
}
