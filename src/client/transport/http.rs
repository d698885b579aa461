//! Calls over HTTP or HTTPS to one node, for the command line and programs outside the network.

use super::wire::failure;
use super::{CALL_DEADLINE, RpcFailure, RpcTransport};
use crate::client::ChainError;
use crate::rpc::error::{ANSWER_TOO_LARGE, REQUEST_TOO_LARGE};
use crate::rpc::limits::{ANSWER_MAX_BYTES, REQUEST_MAX_BYTES};
use async_trait::async_trait;
use jsonrpsee::core::JsonRawValue;
use jsonrpsee::core::client::{ClientT, Error};
use jsonrpsee::core::http_helpers::HttpError as BodyError;
use jsonrpsee::core::params::BatchRequestBuilder;
use jsonrpsee::core::traits::ToRpcParams;
use jsonrpsee::http_client::transport::Error as HttpError;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use serde_json::Value;
use std::time::Duration;

/// How long connecting may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Longest time the node may be asked to wait within one call.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// A client of one URL.
#[derive(Clone)]
pub struct HttpTransport {
    url: String,
    client: HttpClient,
    deadline: Duration,
}

impl HttpTransport {
    /// A client of `url` (`http://` or `https://`). Nothing is sent yet.
    pub fn new(url: &str) -> Result<Self, ChainError> {
        Self::with_deadline(url, CALL_DEADLINE)
    }

    /// A client whose ordinary calls end within `deadline`.
    pub fn with_deadline(url: &str, deadline: Duration) -> Result<Self, ChainError> {
        let bytes = |n: usize| u32::try_from(n).expect("limits are below 4 GiB");
        let client = HttpClientBuilder::default()
            .max_request_size(bytes(REQUEST_MAX_BYTES))
            .max_response_size(bytes(ANSWER_MAX_BYTES))
            .connect_timeout(CONNECT_DEADLINE)
            .request_timeout(deadline + PATIENCE_MAX)
            .build(url)
            .map_err(|e| ChainError::Unreachable(format!("`{url}` is not a node's address: {e}")))?;
        Ok(Self { url: url.to_owned(), client, deadline })
    }
}

impl HttpTransport {
    /// Many calls of one method in one HTTP request; the node's answers in their order.
    pub async fn batch(&self, method: &str, calls: Vec<Value>) -> Result<Vec<Result<Value, RpcFailure>>, ChainError> {
        let mut batch = BatchRequestBuilder::new();
        for params in calls {
            batch.insert(method, JsonParams(params)).map_err(|e| ChainError::Malformed(e.to_string()))?;
        }
        let answers = self.client.batch_request::<Value>(batch).await;
        let answers = answers.map_err(|e| ChainError::Unreachable(format!("{}: {e}", self.url)))?;
        Ok(answers.into_iter().map(|answer| answer.map_err(|error| failure(&error))).collect())
    }
}

#[async_trait]
impl RpcTransport for HttpTransport {
    async fn exchange(
        &self,
        method: &str,
        params: Value,
        patience: Duration,
    ) -> Result<Result<Value, RpcFailure>, ChainError> {
        let limit = self.deadline + patience.min(PATIENCE_MAX);
        let unreachable = |reason: String| ChainError::Unreachable(format!("{}: {reason}", self.url));
        let late = || unreachable(format!("no answer to `{method}` within {} ms", limit.as_millis()));
        let answer = tokio::time::timeout(limit, self.client.request::<Value, _>(method, JsonParams(params))).await;
        match answer.map_err(|_| late())? {
            Ok(value) => Ok(Ok(value)),
            Err(Error::Call(error)) => Ok(Err(failure(&error))),
            Err(Error::Transport(e)) => match oversized(e.as_ref()) {
                Some(failure) => Ok(Err(failure)),
                None => Err(unreachable(chain_of(e.as_ref()))),
            },
            Err(Error::RequestTimeout) => Err(late()),
            Err(e) => Err(ChainError::Malformed(format!("{}: {e}", self.url))),
        }
    }
}

fn oversized(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<RpcFailure> {
    let (code, what, max) = match error.downcast_ref::<HttpError>()? {
        HttpError::RequestTooLarge => (REQUEST_TOO_LARGE, "request", REQUEST_MAX_BYTES),
        HttpError::Http(BodyError::TooLarge) => (ANSWER_TOO_LARGE, "answer", ANSWER_MAX_BYTES),
        _ => return None,
    };
    Some(RpcFailure { code, message: format!("{what} is over the limit of {max} B"), data: None })
}

fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

struct JsonParams(Value);

impl ToRpcParams for JsonParams {
    fn to_rpc_params(self) -> Result<Option<Box<JsonRawValue>>, serde_json::Error> {
        serde_json::value::to_raw_value(&self.0).map(Some)
    }
}
