//! How one JSON-RPC call reaches a chain node: over HTTP, or through the node's own peer-to-peer host.
//!
//! Must not know what methods mean. Invariants: a call ends by its deadline; neither question nor answer is unbounded.

mod http;
mod tunnel;
mod wire;

pub use http::HttpTransport;
pub use tunnel::{RPC_PROTOCOL, TunnelTransport, serve_tunnel};

use super::{ChainError, revert};
use crate::network::PeerId;
use crate::rpc::error::REVERTED;
use alloy_primitives::Bytes;
use async_trait::async_trait;
use serde_json::Value;
use std::time::Duration;

/// How long a call may take that does not ask the node to wait.
pub const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// The error object of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcFailure {
    /// JSON-RPC code.
    pub code: i32,
    /// What the node said.
    pub message: String,
    /// Revert data, when the call was reverted.
    pub data: Option<Bytes>,
}

impl From<RpcFailure> for ChainError {
    /// Revert data becomes a sentence.
    fn from(failure: RpcFailure) -> Self {
        let message = match failure.data {
            Some(data) if failure.code == REVERTED => format!("execution reverted: {}", revert::explain(&data)),
            _ => failure.message,
        };
        ChainError::Refused { code: failure.code, message }
    }
}

/// What is wrong with a chain node whose answer could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not have what was asked for; another one may.
    Lacking,
    /// It answered something that is provably false.
    Lied,
}

/// An answer and the chain node it came from, where the transport tells its nodes apart.
pub type Attributed = (Result<Value, RpcFailure>, Option<PeerId>);

/// Carries JSON-RPC calls to a chain node.
#[async_trait]
pub trait RpcTransport: Send + Sync + 'static {
    /// Makes one call. The node may legitimately take `patience` longer than usual to answer (long polls).
    ///
    /// The outer error says that no usable answer came; the inner one is the node's own.
    async fn exchange(
        &self,
        method: &str,
        params: Value,
        patience: Duration,
    ) -> Result<Result<Value, RpcFailure>, ChainError>;

    /// As [`RpcTransport::exchange`], and says who answered.
    async fn exchange_with(&self, method: &str, params: Value, patience: Duration) -> Result<Attributed, ChainError> {
        Ok((self.exchange(method, params, patience).await?, None))
    }

    /// Chain nodes that may answer.
    fn nodes(&self) -> usize {
        1
    }

    /// Says that an answer of `node` could not be used: others are asked before it for a while.
    fn blame(&self, _node: Option<PeerId>, _fault: Fault, _reason: &str) {}

    /// Makes one ordinary call.
    async fn call(&self, method: &str, params: Value) -> Result<Value, ChainError> {
        Ok(self.exchange(method, params, Duration::ZERO).await??)
    }
}
