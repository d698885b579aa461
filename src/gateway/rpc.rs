//! JSON-RPC on the gateway's port: what this node knows it answers itself, the rest goes to a chain node.

use super::server::Gateway;
use crate::rpc::{call_raw, error};
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// How long a call may wait for a block at the chain node.
const LONG_POLL_MAX: Duration = Duration::from_secs(30);
/// Calls of one batch.
const BATCH_MAX_CALLS: usize = 100;

/// Answers one request or a batch.
pub async fn forward(State(gateway): State<Arc<Gateway>>, body: Bytes) -> Response {
    let answer = match serde_json::from_slice::<Value>(&body) {
        Err(e) => failure(Value::Null, error::PARSE_ERROR, &format!("the request is not JSON: {e}")),
        Ok(Value::Array(calls)) if calls.is_empty() || calls.len() > BATCH_MAX_CALLS => {
            let text = format!("a batch of {} calls, expected 1 to {BATCH_MAX_CALLS}", calls.len());
            failure(Value::Null, error::BATCH_TOO_LARGE, &text)
        }
        Ok(Value::Array(calls)) => {
            let answers = calls.into_iter().map(|call| answer(&gateway, call));
            Value::Array(futures::future::join_all(answers).await)
        }
        Ok(call) => answer(&gateway, call).await,
    };
    (cors(), axum::Json(answer)).into_response()
}

/// Browsers ask before they post.
pub async fn preflight() -> Response {
    (StatusCode::NO_CONTENT, cors()).into_response()
}

fn cors() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, any);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, OPTIONS"));
    headers
}

async fn answer(gateway: &Gateway, call: Value) -> Value {
    let id = call.get("id").cloned().unwrap_or(Value::Null);
    let Some(method) = call.get("method").and_then(Value::as_str) else {
        return failure(id, error::INVALID_REQUEST, "the request has no method");
    };
    if gateway.own_methods.method_names().any(|own| own == method) {
        let own: Vec<&str> = vec![method];
        let raw = call_raw(&gateway.own_methods, call.to_string().as_bytes(), &own).await;
        return serde_json::from_slice(&raw).unwrap_or_else(|e| failure(id, error::INTERNAL, &e.to_string()));
    }
    let params = call.get("params").cloned().unwrap_or_else(|| json!([]));
    match gateway.rpc.exchange(method, params, LONG_POLL_MAX).await {
        Ok(Ok(result)) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Ok(Err(failed)) => json!({
            "jsonrpc": "2.0",
            "id": id,
            "error": { "code": failed.code, "message": failed.message, "data": failed.data },
        }),
        Err(e) => failure(id, error::UNAVAILABLE, &e.to_string()),
    }
}

fn failure(id: Value, code: i32, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}
