//! The JSON-RPC methods of a full node: `eth_`, `net_`, `web3_` and `cess_`.
//!
//! Owns names, parameters and shapes. Must not know the server or the transport. Invariants: an answer is computed from one
//! block's state; ranges and counts are bounded; every refusal has a standard code and names what was asked.

pub mod backend;
mod blocks;
mod cess;
mod eth;
mod fees;
mod light;
mod logs;
mod net;
mod objects;
mod subscribe;
#[cfg(test)]
mod tests;

use super::{full::FullChain, local::LocalChain};
use crate::{
    client::ChainClient,
    network::Network,
    rpc::{ErrorObjectOwned, Params, RpcModule, error},
};
use jsonrpsee::core::RegisterMethodError;
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// What the methods answer from.
#[derive(Clone)]
pub struct Api {
    /// The chain's stores.
    pub chain: Arc<FullChain>,
    /// The chain client, for submission and the calls shared with other transports.
    pub client: Arc<LocalChain>,
    /// This node's host.
    pub net: Arc<dyn Network>,
}

/// All methods.
pub fn module(api: Api) -> Result<RpcModule<()>, RegisterMethodError> {
    let mut module = RpcModule::new(());
    crate::client::register(&mut module, api.client.clone() as Arc<dyn ChainClient>)?;
    eth::register(&mut module, &api)?;
    fees::register(&mut module, &api)?;
    logs::register(&mut module, &api)?;
    subscribe::register(&mut module, &api)?;
    net::register(&mut module, &api)?;
    cess::register(&mut module, &api)?;
    light::register(&mut module, &api)?;
    Ok(module)
}

type Answer<T> = Result<T, ErrorObjectOwned>;

/// Registers a method that reads the database or computes: it runs on a blocking thread.
fn reading<T: Serialize + Clone + Send + 'static>(
    module: &mut RpcModule<()>,
    api: &Api,
    name: &'static str,
    answer: fn(&Api, Params<'_>) -> Answer<T>,
) -> Result<(), RegisterMethodError> {
    let api = api.clone();
    module.register_blocking_method(name, move |params, _, _| answer(&api, params)).map(|_| ())
}

/// A parameter that must be there.
fn required<T: DeserializeOwned>(params: &mut jsonrpsee::types::ParamsSequence<'_>, name: &str) -> Answer<T> {
    params.next().map_err(|e| error::invalid_params(format_args!("parameter `{name}`: {}", reason(&e))))
}

/// A parameter that may be missing or null.
fn optional<T: DeserializeOwned>(params: &mut jsonrpsee::types::ParamsSequence<'_>, name: &str) -> Answer<Option<T>> {
    params.optional_next().map_err(|e| error::invalid_params(format_args!("parameter `{name}`: {}", reason(&e))))
}

/// The parser's own words, which it keeps in the data.
fn reason(e: &ErrorObjectOwned) -> String {
    e.data().map_or_else(|| e.message().to_owned(), |data| data.get().trim_matches('"').to_owned())
}

/// A failure of the node itself.
fn broken(e: impl std::fmt::Display) -> ErrorObjectOwned {
    tracing::error!(error = %e, "an RPC request failed on the node's side");
    error::internal(e)
}
