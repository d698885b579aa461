//! The remote chain over HTTP, and the follower.

use super::fake::{FakeChain, file, miner, module, outcome};
use crate::client::{
    ChainClient, ChainError, ChainEvent, EventBatch, EventFollower, HttpTransport, RemoteChain, RpcFailure,
    RpcTransport,
};
use crate::ledger::abi::{FILES, IFiles};
use crate::rpc::{Server, ServerHandle, error};
use crate::runtime::{CpuPool, Node};
use crate::types::{Address, B256, FileId, Height, U256};
use alloy_primitives::{Bytes, keccak256};
use alloy_sol_types::SolError;
use async_trait::async_trait;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(10);

pub(super) fn serve(chain: &Arc<FakeChain>) -> (Node, ServerHandle, RemoteChain) {
    let node = Node::new("client-test", CpuPool::new("client-test", 1));
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(any, module(chain), node.metrics.clone(), &node).unwrap();
    let transport = HttpTransport::new(&format!("http://{}", server.local_addr)).unwrap();
    (node, server, RemoteChain::new(Arc::new(transport)))
}

fn exited(n: u8) -> ChainEvent {
    ChainEvent::MinerExited { account: Address::repeat_byte(n), collateral: U256::from(n) }
}

#[tokio::test]
async fn every_read_answers_as_the_local_chain_does() {
    let chain = FakeChain::new();
    chain.block(vec![exited(1)]);
    {
        let mut state = chain.state.lock();
        state.miners = (0..401).map(miner).collect();
        state.files = (1..=3).map(file).collect();
        state.outcomes.insert(B256::repeat_byte(5), outcome(B256::repeat_byte(5), 1, Some("no")));
    }
    let (_node, _server, remote) = serve(&chain);
    let account = Address::repeat_byte(9);
    assert_eq!(remote.status().await.unwrap(), chain.status().await.unwrap());
    assert_eq!(remote.balance(account).await.unwrap(), U256::MAX);
    assert_eq!(remote.nonce(account).await.unwrap(), 0);
    assert_eq!(remote.base_fee().await.unwrap(), 1_000_000_000);
    assert_eq!(remote.estimate_gas(account, account, U256::ZERO, Bytes::new()).await.unwrap(), 21_000);
    assert_eq!(remote.miners().await.unwrap(), chain.miners().await.unwrap());
    assert_eq!(remote.file(FileId([2; 32])).await.unwrap(), Some(file(2)));
    assert_eq!(remote.file(FileId([9; 32])).await.unwrap(), None);
    assert_eq!(remote.files_of(account, 1, 10).await.unwrap(), vec![file(2), file(3)]);
    assert_eq!(remote.manifest(FileId([2; 32])).await.unwrap(), Some(Bytes::from_static(b"manifest")));
    assert_eq!(remote.manifest(FileId([9; 32])).await.unwrap(), None);
    assert_eq!(remote.beacon(1).await.unwrap(), Some(B256::repeat_byte(8)));
    assert_eq!(remote.beacon(10).await.unwrap(), None);
    assert_eq!(remote.events(1, 1).await.unwrap(), chain.events(1, 1).await.unwrap());
    assert!(!remote.outcome(B256::repeat_byte(5)).await.unwrap().unwrap().success);
    assert_eq!(remote.outcome(B256::ZERO).await.unwrap(), None);
}

#[tokio::test]
async fn submitting_twice_is_one_submission() {
    let chain = FakeChain::new();
    let (_node, _server, remote) = serve(&chain);
    let raw = Bytes::from_static(b"envelope");
    assert_eq!(remote.submit(raw.clone()).await.unwrap(), keccak256(&raw));
    assert_eq!(remote.submit(raw.clone()).await.unwrap(), keccak256(&raw));
    assert_eq!(chain.state.lock().submitted, vec![raw]);
}

#[tokio::test]
async fn reverts_are_told_in_words() {
    let chain = FakeChain::new();
    let (_node, _server, remote) = serve(&chain);
    let data = IFiles::HolderCount { given: U256::from(3), required: U256::from(12) }.abi_encode();
    chain.state.lock().reverts_with = Some(data.into());
    let refused = remote.call(FILES, Bytes::new()).await.unwrap_err();
    assert_eq!(refused.to_string(), "execution reverted: 3 holders were given, 12 are required");
    assert!(matches!(refused, ChainError::Refused { code: error::REVERTED, .. }));
    assert!(remote.file(FileId([1; 32])).await.is_err());
}

#[tokio::test]
async fn waiting_ends_with_a_block_or_the_deadline() {
    let chain = FakeChain::new();
    let (_node, _server, remote) = serve(&chain);
    assert_eq!(remote.wait_above(0, SHORT).await.unwrap().height, 0);
    let waiter = tokio::spawn(async move { remote.wait_above(0, LONG).await });
    let since = Instant::now();
    chain.block(Vec::new());
    assert_eq!(waiter.await.unwrap().unwrap().height, 1);
    assert!(since.elapsed() < LONG);
}

/// A node whose answers hold the events of at most two blocks.
struct Narrow(Arc<FakeChain>);

#[async_trait]
impl RpcTransport for Narrow {
    async fn exchange(&self, _: &str, params: Value, _: Duration) -> Result<Result<Value, RpcFailure>, ChainError> {
        let (from, to): (Height, Height) = serde_json::from_value(params).unwrap();
        if to - from >= 2 {
            let message = "Response is too big".to_owned();
            return Ok(Err(RpcFailure { code: error::ANSWER_TOO_LARGE, message, data: None }));
        }
        Ok(Ok(json!(self.0.events(from, to).await?)))
    }
}

#[tokio::test]
async fn events_that_do_not_fit_one_answer_come_in_several() {
    let chain = FakeChain::new();
    for n in 1..=9 {
        chain.block(vec![exited(n)]);
    }
    let remote = RemoteChain::new(Arc::new(Narrow(chain.clone())));
    assert_eq!(remote.events(1, 9).await.unwrap(), chain.events(1, 9).await.unwrap());
}

/// A node that answers other blocks than it was asked for.
struct Liar(Vec<Height>);

#[async_trait]
impl RpcTransport for Liar {
    async fn exchange(&self, _: &str, _: Value, _: Duration) -> Result<Result<Value, RpcFailure>, ChainError> {
        let batches: Vec<_> = self.0.iter().map(|height| EventBatch { height: *height, events: Vec::new() }).collect();
        Ok(Ok(json!(batches)))
    }
}

#[tokio::test]
async fn events_out_of_order_or_range_are_refused() {
    for heights in [vec![4], vec![2, 2], vec![3, 2], vec![0]] {
        let remote = RemoteChain::new(Arc::new(Liar(heights)));
        assert!(matches!(remote.events(1, 3).await, Err(ChainError::Malformed(_))));
    }
    assert!(RemoteChain::new(Arc::new(Liar(vec![1, 3]))).events(1, 3).await.is_ok());
}

#[tokio::test]
async fn ranges_of_events_are_checked() {
    let chain = FakeChain::new();
    chain.block(Vec::new());
    let (_node, _server, remote) = serve(&chain);
    assert_eq!(remote.events(2, 1).await.unwrap(), Vec::new());
    let code = |answer: Result<_, ChainError>| match answer {
        Err(ChainError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(remote.events(1, 1_001).await.map(|_| ())), error::LIMIT_EXCEEDED);
    assert_eq!(code(remote.events(1, 2).await.map(|_| ())), error::UNAVAILABLE);
}

#[tokio::test]
async fn a_follower_misses_nothing_and_resumes() {
    let chain = FakeChain::new();
    for n in 1..=100u8 {
        chain.block(if n % 3 == 0 { vec![exited(n)] } else { Vec::new() });
    }
    let mut follower = EventFollower::new(chain.clone(), 0);
    let first = follower.step(SHORT).await.unwrap().unwrap();
    assert_eq!((first.from, first.to), (1, 64));
    let mut resumed = EventFollower::new(chain.clone(), follower.position());
    let second = resumed.next().await;
    assert_eq!((second.from, second.to), (65, 100));
    assert_eq!(first.batches.len() + second.batches.len(), 33);
    assert_eq!(resumed.step(SHORT).await.unwrap(), None);
    assert_eq!(chain.block(vec![exited(1)]), 101);
    assert_eq!(resumed.step(LONG).await.unwrap().unwrap().batches[0].height, 101);
}

#[tokio::test]
async fn a_node_that_is_away_is_unreachable() {
    let chain = FakeChain::new();
    let (node, server, remote) = serve(&chain);
    node.tasks.shutdown().await;
    let refused = remote.status().await.unwrap_err();
    assert!(matches!(&refused, ChainError::Unreachable(_)), "{refused:?}");
    assert!(refused.to_string().contains(&server.local_addr.to_string()), "{refused}");
    assert!(matches!(HttpTransport::new("not a url"), Err(ChainError::Unreachable(_))));
}
