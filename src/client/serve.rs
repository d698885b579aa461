//! The `cess_` calls that [`super::RemoteChain`] makes, answered by any local [`ChainClient`].
//!
//! One place holds both names and shapes, so that a remote chain behaves as the local one does.

use super::remote::EVENTS_MAX_BLOCKS;
use super::{ChainClient, ChainError};
use crate::rpc::{ErrorObjectOwned, Params, RpcModule, error};
use crate::types::{B256, FileId, Height};
use jsonrpsee::core::RegisterMethodError;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait `cess_waitAbove` grants.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long `cess_events` waits for a block another node has executed already.
const CATCH_UP: Duration = Duration::from_millis(300);

/// Methods a home node may call through a tunnel: all that [`super::RemoteChain`] and [`super::LightChain`] need, and what
/// identifies the chain.
pub const TUNNEL_METHODS: &[&str] = &[
    "cess_status",
    "cess_waitAbove",
    "cess_events",
    "cess_beacon",
    "cess_manifest",
    "cess_outcome",
    "cess_faucet",
    "cess_signedHeader",
    "cess_eraHeaders",
    "cess_executedHeader",
    "cess_executedHeaders",
    "cess_proveCall",
    "cess_proveReceipts",
    "eth_chainId",
    "eth_blockNumber",
    "eth_getBalance",
    "eth_getTransactionCount",
    "eth_feeHistory",
    "eth_gasPrice",
    "eth_call",
    "eth_estimateGas",
    "eth_sendRawTransaction",
    "eth_getTransactionReceipt",
];

/// Registers `cess_status`, `cess_waitAbove`, `cess_events`, `cess_beacon`, `cess_manifest` and `cess_outcome`.
pub fn register(module: &mut RpcModule<()>, chain: Arc<dyn ChainClient>) -> Result<(), RegisterMethodError> {
    method(module, "cess_status", &chain, |chain, _| async move { Ok(chain.status().await?) })?;
    method(module, "cess_waitAbove", &chain, |chain, params| async move {
        let (height, millis): (Height, u64) = params.parse()?;
        Ok(chain.wait_above(height, Duration::from_millis(millis).min(WAIT_MAX)).await?)
    })?;
    method(module, "cess_events", &chain, |chain, params| async move {
        let (from, to): (Height, Height) = params.parse()?;
        events(chain.as_ref(), from, to).await
    })?;
    method(module, "cess_beacon", &chain, |chain, params| async move {
        let (height,): (Height,) = params.parse()?;
        Ok(chain.beacon(height).await?)
    })?;
    method(module, "cess_manifest", &chain, |chain, params| async move {
        let (id,): (FileId,) = params.parse()?;
        Ok(chain.manifest(id).await?)
    })?;
    method(module, "cess_outcome", &chain, |chain, params| async move {
        let (tx,): (B256,) = params.parse()?;
        Ok(chain.outcome(tx).await?)
    })
}

async fn events(chain: &dyn ChainClient, from: Height, to: Height) -> Result<Vec<super::EventBatch>, ErrorObjectOwned> {
    if to < from {
        return Err(error::invalid_params(format_args!("blocks {from} to {to} are no range")));
    }
    if to - from >= EVENTS_MAX_BLOCKS {
        let most = format_args!("blocks {from} to {to} are over the limit of {EVENTS_MAX_BLOCKS} blocks");
        return Err(error::limit_exceeded(most));
    }
    let status = chain.wait_above(to.saturating_sub(1), CATCH_UP).await?;
    if status.height < to {
        return Err(error::unavailable(format_args!("block {to} is not executed here, block {} is", status.height)));
    }
    Ok(chain.events(from, to).await?)
}

fn method<T, Fut>(
    module: &mut RpcModule<()>,
    name: &'static str,
    chain: &Arc<dyn ChainClient>,
    answer: impl Fn(Arc<dyn ChainClient>, Params<'static>) -> Fut + Clone + Send + Sync + 'static,
) -> Result<(), RegisterMethodError>
where
    T: serde::Serialize + Clone + Send + 'static,
    Fut: Future<Output = Result<T, ErrorObjectOwned>> + Send + 'static,
{
    let chain = chain.clone();
    module.register_async_method(name, move |params, _, _| answer(chain.clone(), params)).map(|_| ())
}

impl From<ChainError> for ErrorObjectOwned {
    fn from(e: ChainError) -> Self {
        match e {
            ChainError::Refused { code, message } => error::error(code, message),
            ChainError::Unreachable(_) => error::unavailable(e),
            ChainError::Reverted { .. } | ChainError::NotFinal { .. } => error::server_error(e),
            ChainError::Malformed(_) | ChainError::Untrusted(_) => error::internal(e),
        }
    }
}
