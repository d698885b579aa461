//! The chain seen through a node's JSON-RPC.
//!
//! Must not know the node's internals: module reads are `eth_call`s with the published interfaces. The node is believed; a chain
//! that believes nobody is [`super::LightChain`].

use super::transport::{RpcFailure, RpcTransport};
use super::{
    ChainClient, ChainError, ChainStatus, EventBatch, FileRecord, MinerRecord, TxOutcome,
    reads::{self, Caller},
};
use crate::rpc::error::{ANSWER_TOO_LARGE, REVERTED};
use crate::types::{Address, B256, FileId, Height, U256};
use alloy_primitives::{Bytes, keccak256};
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest long poll asked of a node; a longer wait is several polls.
const POLL_MAX: Duration = Duration::from_secs(20);
/// Pause between two polls, should a node answer early.
const POLL_PAUSE: Duration = Duration::from_millis(20);
/// Miners fetched in one call.
const MINERS_PAGE: u64 = 200;
/// Blocks one call for events may span.
pub const EVENTS_MAX_BLOCKS: u64 = 1_000;

/// Refuses to look for events in more than [`EVENTS_MAX_BLOCKS`] blocks at a time.
pub fn check_event_span(from: Height, to: Height) -> Result<(), ChainError> {
    if to.saturating_sub(from) < EVENTS_MAX_BLOCKS {
        return Ok(());
    }
    let message = format!("events of {} blocks were asked for, the limit is {EVENTS_MAX_BLOCKS}", to - from + 1);
    Err(ChainError::Refused { code: crate::rpc::error::LIMIT_EXCEEDED, message })
}

/// A chain behind a [`RpcTransport`].
#[derive(Clone)]
pub struct RemoteChain {
    transport: Arc<dyn RpcTransport>,
}

impl RemoteChain {
    /// The chain `transport` leads to.
    pub fn new(transport: Arc<dyn RpcTransport>) -> Self {
        Self { transport }
    }

    async fn ask<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, ChainError> {
        read(method, self.transport.call(method, params).await?)
    }

    async fn quantity(&self, method: &str, params: Value) -> Result<u64, ChainError> {
        let wide: U256 = self.ask(method, params).await?;
        u64::try_from(wide).map_err(|_| ChainError::Malformed(format!("`{method}` answered {wide}, over 64 bits")))
    }

    async fn events_of(&self, from: Height, to: Height) -> Result<Result<Vec<EventBatch>, RpcFailure>, ChainError> {
        match self.transport.exchange("cess_events", json!([from, to]), Duration::ZERO).await? {
            Ok(value) => checked(read("cess_events", value)?, from, to).map(Ok),
            Err(failure) => Ok(Err(failure)),
        }
    }
}

fn read<T: DeserializeOwned>(method: &str, value: Value) -> Result<T, ChainError> {
    serde_json::from_value(value).map_err(|e| ChainError::Malformed(format!("`{method}`: {e}")))
}

#[async_trait]
impl Caller for RemoteChain {
    async fn try_call(&self, to: Address, data: Bytes) -> Result<Result<Bytes, Bytes>, ChainError> {
        let params = json!([{"to": to, "data": data}, "latest"]);
        match self.transport.exchange("eth_call", params, Duration::ZERO).await? {
            Ok(value) => read("eth_call", value).map(Ok),
            Err(RpcFailure { code: REVERTED, data: Some(data), .. }) => Ok(Err(data)),
            Err(failure) => Err(failure.into()),
        }
    }

    fn miners_page(&self) -> u64 {
        MINERS_PAGE
    }
}

/// Batches must ascend and lie within what was asked.
fn checked(batches: Vec<EventBatch>, from: Height, to: Height) -> Result<Vec<EventBatch>, ChainError> {
    let mut floor = from;
    for batch in &batches {
        if batch.height < floor || batch.height > to {
            let reason = format!("`cess_events` {from}..={to} answered block {} out of order", batch.height);
            return Err(ChainError::Malformed(reason));
        }
        floor = batch.height + 1;
    }
    Ok(batches)
}

#[async_trait]
impl ChainClient for RemoteChain {
    async fn status(&self) -> Result<ChainStatus, ChainError> {
        self.ask("cess_status", json!([])).await
    }

    async fn wait_above(&self, height: Height, deadline: Duration) -> Result<ChainStatus, ChainError> {
        let end = Instant::now() + deadline;
        loop {
            let poll = end.saturating_duration_since(Instant::now()).min(POLL_MAX);
            let millis = u64::try_from(poll.as_millis()).expect("a poll is bounded");
            let answer = self.transport.exchange("cess_waitAbove", json!([height, millis]), poll).await??;
            let status: ChainStatus = read("cess_waitAbove", answer)?;
            if status.height > height || Instant::now() >= end {
                return Ok(status);
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    async fn balance(&self, account: Address) -> Result<U256, ChainError> {
        self.ask("eth_getBalance", json!([account, "latest"])).await
    }

    async fn nonce(&self, account: Address) -> Result<u64, ChainError> {
        self.quantity("eth_getTransactionCount", json!([account, "pending"])).await
    }

    async fn base_fee(&self) -> Result<u64, ChainError> {
        let history: Value = self.ask("eth_feeHistory", json!(["0x1", "latest", []])).await?;
        let next = history.get("baseFeePerGas").and_then(Value::as_array).and_then(|fees| fees.last()).cloned();
        let wide: U256 = read("eth_feeHistory", next.unwrap_or(Value::Null))?;
        u64::try_from(wide).map_err(|_| ChainError::Malformed(format!("the base fee {wide} is over 64 bits")))
    }

    async fn call(&self, to: Address, data: Bytes) -> Result<Bytes, ChainError> {
        reads::call(self, to, data).await
    }

    async fn estimate_gas(&self, from: Address, to: Address, value: U256, data: Bytes) -> Result<u64, ChainError> {
        self.quantity("eth_estimateGas", json!([{"from": from, "to": to, "value": value, "data": data}])).await
    }

    async fn submit(&self, raw: Bytes) -> Result<B256, ChainError> {
        match self.transport.call("eth_sendRawTransaction", json!([raw])).await {
            Ok(hash) => read("eth_sendRawTransaction", hash),
            Err(ChainError::Refused { message, .. }) if is_already_known(&message) => Ok(keccak256(&raw)),
            Err(e) => Err(e),
        }
    }

    async fn outcome(&self, tx: B256) -> Result<Option<TxOutcome>, ChainError> {
        self.ask("cess_outcome", json!([tx])).await
    }

    async fn events(&self, from: Height, to: Height) -> Result<Vec<EventBatch>, ChainError> {
        if to < from {
            return Ok(Vec::new());
        }
        check_event_span(from, to)?;
        let (mut batches, mut open) = (Vec::new(), vec![(from, to)]);
        while let Some((from, to)) = open.pop() {
            match self.events_of(from, to).await? {
                Ok(found) => batches.extend(found),
                Err(failure) if failure.code == ANSWER_TOO_LARGE && from < to => {
                    let middle = from + (to - from) / 2;
                    open.push((middle + 1, to));
                    open.push((from, middle));
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        Ok(batches)
    }

    async fn beacon(&self, height: Height) -> Result<Option<B256>, ChainError> {
        self.ask("cess_beacon", json!([height])).await
    }

    async fn miners(&self) -> Result<Vec<MinerRecord>, ChainError> {
        reads::miners(self).await
    }

    async fn file(&self, id: FileId) -> Result<Option<FileRecord>, ChainError> {
        reads::file(self, id).await
    }

    async fn manifest(&self, id: FileId) -> Result<Option<Bytes>, ChainError> {
        self.ask("cess_manifest", json!([id])).await
    }

    async fn files_of(&self, owner: Address, skip: u64, limit: u64) -> Result<Vec<FileRecord>, ChainError> {
        reads::files_of(self, owner, skip, limit).await
    }
}

/// Whether a node refused a transaction because it holds it already: then it was handed in.
pub(super) fn is_already_known(message: &str) -> bool {
    message.contains("already known") || message.contains("known transaction")
}
