//! The JSON-RPC methods of a node: Ethereum's over any chain behind [`backend::Backend`], `cess_` over a full node's.
//!
//! Owns names, parameters and shapes. Must not know the server or the transport. Invariants: an answer is computed from one
//! block's state; ranges and counts are bounded; every refusal has a standard code and names what was asked.

mod account;
pub mod anvil;
pub mod backend;
mod block;
mod blocks;
mod calls;
mod cess;
mod config;
mod debug;
mod fees;
mod filters;
mod light;
mod logs;
mod net;
mod objects;
pub mod openrpc;
mod overrides;
mod params;
mod ranges;
mod request;
mod simulate;
mod simulated;
mod subscribe;
#[cfg(test)]
mod tests;
mod trace;
mod transaction;
mod txpool;

use super::{full::FullChain, full_backend::FullBackend, local::LocalChain};
use crate::{
    client::ChainClient,
    network::Network,
    rpc::{ErrorObjectOwned, Params, RpcModule, error},
};
use backend::Backend;
use jsonrpsee::core::RegisterMethodError;
#[cfg(test)]
pub use objects::block_rlp;
use params::{optional, required, required_hash};
use serde::Serialize;
use std::sync::Arc;

/// The chain the Ethereum methods answer from.
pub type Eth = Arc<dyn Backend>;

/// What the methods of a full node answer from.
#[derive(Clone)]
pub struct Api {
    /// The chain's stores.
    pub chain: Arc<FullChain>,
    /// The chain client, for submission and the calls shared with other transports.
    pub client: Arc<LocalChain>,
    /// This node's host.
    pub net: Arc<dyn Network>,
}

/// All methods of a full node.
pub fn module(api: Api) -> Result<RpcModule<()>, RegisterMethodError> {
    let backend = FullBackend::new(api.chain.clone(), api.client.clone(), api.net.clone());
    let mut module = ethereum(&(Arc::new(backend) as Eth))?;
    crate::client::register(&mut module, api.client.clone() as Arc<dyn ChainClient>)?;
    cess::register(&mut module, &api)?;
    light::register(&mut module, &api)?;
    openrpc::register(&mut module)?;
    Ok(module)
}

/// Ethereum's methods over one chain.
pub fn ethereum(eth: &Eth) -> Result<RpcModule<()>, RegisterMethodError> {
    let mut module = RpcModule::new(());
    account::register(&mut module, eth)?;
    block::register(&mut module, eth)?;
    transaction::register(&mut module, eth)?;
    calls::register(&mut module, eth)?;
    simulate::register(&mut module, eth)?;
    debug::register(&mut module, eth)?;
    ranges::register(&mut module, eth)?;
    trace::register(&mut module, eth)?;
    fees::register(&mut module, eth)?;
    logs::register(&mut module, eth)?;
    filters::register(&mut module, eth)?;
    subscribe::register(&mut module, eth)?;
    net::register(&mut module, eth)?;
    txpool::register(&mut module, eth)?;
    config::register(&mut module, eth)?;
    openrpc::register(&mut module)?;
    Ok(module)
}

type Answer<T> = Result<T, ErrorObjectOwned>;

/// Registers a method that reads the database or computes: it runs on a blocking thread.
fn reading<C: Clone + Send + Sync + 'static, T: Serialize + Clone + Send + 'static>(
    module: &mut RpcModule<()>,
    context: &C,
    name: &'static str,
    answer: fn(&C, Params<'_>) -> Answer<T>,
) -> Result<(), RegisterMethodError> {
    let context = context.clone();
    module.register_blocking_method(name, move |params, _, _| answer(&context, params)).map(|_| ())
}

/// A failure of the node itself.
fn broken(e: impl std::fmt::Display) -> ErrorObjectOwned {
    tracing::error!(error = %e, "an RPC request failed on the node's side");
    error::internal(e)
}
