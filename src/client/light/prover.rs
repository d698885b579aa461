//! Questions to chain nodes whose answers are checked before they count.
//!
//! Invariants: an answer that does not pass its check never leaves; who gave it is blamed, and the next node is asked; checks run
//! on the compute pool.

use super::LightError;
use crate::client::ChainError;
use crate::client::transport::{Fault, RpcTransport};
use crate::network::PeerId;
use crate::runtime::CpuPool;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Nodes asked before a question counts as failed.
const ATTEMPTS_MAX: usize = 3;

/// Asks and checks.
#[derive(Clone)]
pub(super) struct Prover {
    transport: Arc<dyn RpcTransport>,
    pool: CpuPool,
}

impl Prover {
    pub fn new(transport: Arc<dyn RpcTransport>, pool: CpuPool) -> Self {
        Self { transport, pool }
    }

    pub fn pool(&self) -> &CpuPool {
        &self.pool
    }

    /// Asks until a node's answer passes `check`, [`ATTEMPTS_MAX`] nodes at most.
    pub async fn ask<T: Send + 'static>(
        &self,
        method: &'static str,
        params: Value,
        check: impl Fn(Value) -> Result<T, LightError> + Clone + Send + 'static,
    ) -> Result<T, LightError> {
        Ok(self.ask_from(method, params, Duration::ZERO, check).await?.0)
    }

    /// As [`Prover::ask`], for a question whose answer may take `patience` longer; says who answered.
    pub async fn ask_from<T: Send + 'static>(
        &self,
        method: &'static str,
        params: Value,
        patience: Duration,
        check: impl Fn(Value) -> Result<T, LightError> + Clone + Send + 'static,
    ) -> Result<(T, Option<PeerId>), LightError> {
        let mut left = self.transport.nodes().clamp(1, ATTEMPTS_MAX);
        loop {
            left -= 1;
            let (answer, by) = self.transport.exchange_with(method, params.clone(), patience).await?;
            let outcome = match answer {
                Ok(value) => {
                    let check = check.clone();
                    self.pool.run(move || check(value)).await
                }
                Err(failure) => Err(ChainError::from(failure).into()),
            };
            match outcome {
                Ok(value) => return Ok((value, by)),
                Err(error) => {
                    let blamed = self.blame(by, &error);
                    if left == 0 || !blamed {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Tells the transport what an error says of a node; whether another node may do better.
    pub fn blame(&self, by: Option<PeerId>, error: &LightError) -> bool {
        let Some(fault) = error.fault() else { return false };
        if fault == Fault::Lied {
            tracing::warn!(%error, "an answer of a chain node is refused");
        }
        self.transport.blame(by, fault, &error.to_string());
        true
    }
}
