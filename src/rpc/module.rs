//! Calls into an [`RpcModule`] from raw JSON, for transports that are not HTTP.

use super::guard::caught;
use super::{error, limits};
use jsonrpsee::RpcModule;
use jsonrpsee::core::JsonRawValue;
use jsonrpsee::core::server::{BatchResponseBuilder, ConnectionId, MethodCallback, MethodResponse};
use jsonrpsee::server::Extensions;
use jsonrpsee::types::{ErrorObjectOwned, Id, InvalidRequest, Request};

/// Answers one JSON-RPC call or a batch of at most [`limits::TUNNEL_BATCH_MAX_CALLS`].
///
/// Only methods named in `allow` exist. Whatever the bytes are, the answer is a JSON-RPC answer of at most
/// [`limits::TUNNEL_MAX_BYTES`]. Subscriptions need a connection and are refused.
pub async fn call_raw(module: &RpcModule<()>, json: &[u8], allow: &[&str]) -> Vec<u8> {
    if json.len() > limits::TUNNEL_MAX_BYTES {
        let reason = format_args!("request of {} B is over the limit of {} B", json.len(), limits::TUNNEL_MAX_BYTES);
        return bytes(refused(Id::Null, error::error(error::REQUEST_TOO_LARGE, reason)));
    }
    let first = json.iter().find(|byte| !byte.is_ascii_whitespace());
    let answer =
        if first == Some(&b'[') { batch(module, json, allow).await } else { single(module, json, allow).await };
    bytes(answer)
}

async fn batch(module: &RpcModule<()>, json: &[u8], allow: &[&str]) -> MethodResponse {
    let calls: Vec<&JsonRawValue> = match serde_json::from_slice(json) {
        Ok(calls) => calls,
        Err(reason) => return refused(Id::Null, error::error(error::PARSE_ERROR, reason)),
    };
    let most = limits::TUNNEL_BATCH_MAX_CALLS;
    if calls.is_empty() {
        return refused(Id::Null, error::error(error::INVALID_REQUEST, "a batch must hold a call"));
    }
    if calls.len() > most {
        let reason = format_args!("batch of {} calls is over the limit of {most}", calls.len());
        return refused(Id::Null, error::error(error::BATCH_TOO_LARGE, reason));
    }
    let mut answers = BatchResponseBuilder::new_with_limit(limits::TUNNEL_MAX_BYTES);
    for call in calls {
        if let Err(too_large) = answers.append(single(module, call.get().as_bytes(), allow).await) {
            return too_large;
        }
    }
    MethodResponse::from_batch(answers.finish())
}

async fn single(module: &RpcModule<()>, json: &[u8], allow: &[&str]) -> MethodResponse {
    let request: Request<'_> = match serde_json::from_slice(json) {
        Ok(request) => request,
        Err(reason) => return malformed(json, &reason),
    };
    let id = request.id().into_owned();
    let name = request.method_name().to_owned();
    let callback = module.method(&name).filter(|_| allow.contains(&name.as_str()));
    let params = request.params().into_owned();
    let most = limits::TUNNEL_MAX_BYTES;
    let mut extensions = Extensions::new();
    extensions.insert(ConnectionId(0));
    match callback {
        Some(MethodCallback::Sync(method)) => {
            let method = method.clone();
            let of = id.clone();
            caught(id, name, None, async move { method(of, params, most, extensions) }).await
        }
        Some(MethodCallback::Async(method)) => {
            let of = id.clone();
            let answer = method(of, params, ConnectionId(0), most, extensions);
            caught(id, name, None, answer).await
        }
        _ => refused(id, error::error(error::METHOD_NOT_FOUND, format_args!("method `{name}` is not available here"))),
    }
}

fn malformed(json: &[u8], reason: &serde_json::Error) -> MethodResponse {
    match serde_json::from_slice::<InvalidRequest<'_>>(json) {
        Ok(invalid) => refused(invalid.id.into_owned(), error::error(error::INVALID_REQUEST, reason)),
        Err(_) if reason.is_data() => refused(Id::Null, error::error(error::INVALID_REQUEST, reason)),
        Err(_) => refused(Id::Null, error::error(error::PARSE_ERROR, reason)),
    }
}

fn refused(id: Id<'_>, error: ErrorObjectOwned) -> MethodResponse {
    MethodResponse::error(id, error)
}

fn bytes(answer: MethodResponse) -> Vec<u8> {
    answer.into_json().get().as_bytes().to_vec()
}
