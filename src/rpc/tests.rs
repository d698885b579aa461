//! The server over real sockets, and raw calls.

use super::*;
use crate::runtime::{CpuPool, Node};
use jsonrpsee::core::JsonRawValue;
use jsonrpsee::core::client::{ClientT, Subscription, SubscriptionClientT, SubscriptionKind};
use jsonrpsee::http_client::HttpClientBuilder;
use jsonrpsee::types::SubscriptionId;
use jsonrpsee::ws_client::WsClientBuilder;
use serde_json::{Value, json};

fn module() -> RpcModule<()> {
    let mut module = RpcModule::new(());
    module.register_method("double", |params, _, _| params.one::<u64>().map(|n| n * 2)).unwrap();
    module.register_async_method("long", |params, _, _| async move { params.one().map(text_of) }).unwrap();
    module.register_method("bug", |_, _, _| -> u64 { panic!("a bug of the test") }).unwrap();
    module.register_method("revert", |_, _, _| Err::<(), _>(error::reverted([0xde, 0xad]))).unwrap();
    module
        .register_subscription("eth_subscribe", "eth_subscription", "eth_unsubscribe", |_, pending, _, _| async {
            if let Ok(sink) = pending.accept().await {
                sink.closed().await;
            }
        })
        .unwrap();
    module
}

/// A JSON text of `n` bytes, serialised already so that the test is quick.
fn text_of(n: usize) -> Box<JsonRawValue> {
    JsonRawValue::from_string(format!("\"{}\"", "x".repeat(n))).unwrap()
}

fn start() -> (Node, ServerHandle) {
    let node = Node::new("rpc-test", CpuPool::new("rpc-test", 1));
    let handle = Server::start("127.0.0.1:0".parse().unwrap(), module(), node.metrics.clone(), &node).unwrap();
    (node, handle)
}

async fn raw(json: impl ToString) -> Value {
    let answer = call_raw(&module(), json.to_string().as_bytes(), &["double", "long", "bug", "revert"]).await;
    serde_json::from_slice(&answer).unwrap()
}

#[tokio::test]
async fn http_and_websocket_share_a_port() {
    let (node, handle) = start();
    let http = HttpClientBuilder::default().build(format!("http://{}", handle.local_addr)).unwrap();
    assert_eq!(http.request::<u64, _>("double", [21]).await.unwrap(), 42);
    let ws = WsClientBuilder::default().build(format!("ws://{}", handle.local_addr)).await.unwrap();
    assert_eq!(ws.request::<u64, _>("double", [4]).await.unwrap(), 8);
    assert!(http.request::<u64, _>("bug", [0; 0]).await.unwrap_err().to_string().contains("failed inside the node"));
    assert_eq!(http.request::<u64, _>("double", [1]).await.unwrap(), 2);
    assert!(node.metrics.render().contains("cess_panics_total{node=\"rpc-test\"} 1"));
    assert!(node.tasks.shutdown().await.is_empty());
    assert!(http.request::<u64, _>("double", [21]).await.is_err());
}

/// Ethereum clients (viem's `watchBlocks` is one) take a subscription's id only as `0x…` text.
#[tokio::test]
async fn subscription_ids_are_hexadecimal_text() {
    let (node, handle) = start();
    let ws = WsClientBuilder::default().build(format!("ws://{}", handle.local_addr)).await.unwrap();
    let mut ids = Vec::new();
    let mut open = Vec::<Subscription<Value>>::new();
    for _ in 0..3 {
        open.push(ws.subscribe("eth_subscribe", ["newHeads"], "eth_unsubscribe").await.unwrap());
        let SubscriptionKind::Subscription(SubscriptionId::Str(id)) = open[open.len() - 1].kind() else {
            panic!("{:?} is no text", open[open.len() - 1].kind());
        };
        assert!(id.strip_prefix("0x").is_some_and(|digits| u64::from_str_radix(digits, 16).is_ok()), "{id}");
        ids.push(id.to_string());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
    node.tasks.shutdown().await;
}

#[tokio::test]
async fn the_port_answers_browsers_and_scrapers() {
    let (node, handle) = start();
    let url = format!("http://{}", handle.local_addr);
    let client = reqwest::Client::new();
    let preflight = client.request(reqwest::Method::OPTIONS, &url).send().await.unwrap();
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "double", "params": [2]});
    let answer = client.post(&url).json(&call).send().await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(answer.json::<Value>().await.unwrap()["result"], 4);
    let health: Value = client.get(format!("{url}/health")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&health["status"], &health["node"]), (&json!("ok"), &json!("rpc-test")));
    let metrics = client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("cess_rpc_requests_total{node=\"rpc-test\"} 1"), "{metrics}");
    node.tasks.shutdown().await;
}

#[tokio::test]
async fn batches_and_bodies_are_bounded() {
    let (node, handle) = start();
    let url = format!("http://{}", handle.local_addr);
    let client = reqwest::Client::new();
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "double", "params": [2]});
    let note = json!({"jsonrpc": "2.0", "method": "double", "params": [2]});
    let mixed = client.post(&url).json(&json!([call, note, 5])).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(mixed.as_array().unwrap().len(), 2);
    let batch = vec![call; limits::BATCH_MAX_CALLS as usize + 1];
    let refused: Value = client.post(&url).json(&batch).send().await.unwrap().json().await.unwrap();
    assert_eq!(refused["error"]["code"], error::BATCH_TOO_LARGE);
    let long = json!({"jsonrpc": "2.0", "id": 1, "method": "long", "params": [limits::ANSWER_MAX_BYTES]});
    let refused: Value = client.post(&url).json(&long).send().await.unwrap().json().await.unwrap();
    assert_eq!(refused["error"]["code"], error::ANSWER_TOO_LARGE);
    let body = vec![b' '; limits::REQUEST_MAX_BYTES + 1];
    let refused = client.post(&url).header("content-type", "application/json").body(body).send().await;
    assert!(refused.is_err() || refused.unwrap().status() == 413);
    node.tasks.shutdown().await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let (node, handle) = start();
    let other = Node::new("other", CpuPool::new("other", 1));
    let refused = Server::start(handle.local_addr, module(), other.metrics.clone(), &other).unwrap_err();
    assert!(refused.to_string().contains(&handle.local_addr.to_string()), "{refused}");
    handle.stop();
    node.tasks.shutdown().await;
}

#[tokio::test]
async fn raw_calls_answer_like_the_server() {
    assert_eq!(
        raw(json!({"jsonrpc": "2.0", "id": 9, "method": "double", "params": [3]})).await,
        json!({
            "jsonrpc": "2.0", "id": 9, "result": 6
        })
    );
    let reverted = raw(json!({"jsonrpc": "2.0", "id": "a", "method": "revert"})).await;
    assert_eq!(reverted["error"], json!({"code": 3, "message": "execution reverted", "data": "0xdead"}));
    assert_eq!(reverted["id"], "a");
    let batch =
        raw(r#" [{"jsonrpc":"2.0","id":1,"method":"double","params":[1]}, {"jsonrpc":"2.0","id":2,"method":"bug"}]"#)
            .await;
    assert_eq!(batch[0]["result"], 2);
    assert_eq!(batch[1]["error"]["code"], error::INTERNAL);
}

#[tokio::test]
async fn raw_calls_refuse_what_is_not_allowed() {
    let code = |answer: Value| answer["error"]["code"].as_i64().unwrap() as i32;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "double", "params": [1]});
    let hidden = call_raw(&module(), call.to_string().as_bytes(), &["long"]).await;
    assert_eq!(code(serde_json::from_slice(&hidden).unwrap()), error::METHOD_NOT_FOUND);
    assert_eq!(code(raw("{").await), error::PARSE_ERROR);
    assert_eq!(code(raw("5").await), error::INVALID_REQUEST);
    assert_eq!(code(raw("[]").await), error::INVALID_REQUEST);
    assert_eq!(code(raw(r#"{"jsonrpc":"2.0","id":1,"method":"double","params":["x"]}"#).await), error::INVALID_PARAMS);
    assert_eq!(code(raw(json!(vec![call; limits::TUNNEL_BATCH_MAX_CALLS + 1])).await), error::BATCH_TOO_LARGE);
    let long = json!({"jsonrpc": "2.0", "id": 1, "method": "long", "params": [limits::TUNNEL_MAX_BYTES]});
    assert_eq!(code(raw(long).await), error::ANSWER_TOO_LARGE);
    assert_eq!(code(raw(" ".repeat(limits::TUNNEL_MAX_BYTES + 1)).await), error::REQUEST_TOO_LARGE);
}
