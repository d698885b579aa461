//! The methods of a developer's chain: Ethereum's over it, its own accounts', and the `evm_`, `anvil_` and `hardhat_` ones of the
//! chains developers know, in their shapes.
//!
//! Owns names, parameters and shapes. Must not know how blocks are made.

mod accounts;
mod control;
mod info;
mod mining;
mod numbers;
#[cfg(test)]
pub mod tests;
mod typed_data;

use super::{Answer, Eth, ethereum, openrpc, reading};
use crate::{
    chain::dev::DevChain,
    rpc::{ErrorObjectOwned, Params, RpcModule, error},
};
use jsonrpsee::core::RegisterMethodError;
use serde::Serialize;
use std::sync::Arc;

/// What names a chain's methods can have, and the answer to any of them.
type Named<T> = fn(&DevChain, Params<'_>) -> Answer<T>;

/// All methods of a developer's chain.
pub fn module(chain: &DevChain) -> Result<RpcModule<()>, RegisterMethodError> {
    let mut module = ethereum(&(Arc::new(chain.clone()) as Eth))?;
    accounts::register(&mut module, chain)?;
    control::register(&mut module, chain)?;
    mining::register(&mut module, chain)?;
    info::register(&mut module, chain)?;
    openrpc::register(&mut module)?;
    Ok(module)
}

/// Registers one method under all its names.
fn named<T: Serialize + Clone + Send + 'static>(
    module: &mut RpcModule<()>,
    chain: &DevChain,
    names: &[&'static str],
    answer: Named<T>,
) -> Result<(), RegisterMethodError> {
    names.iter().try_for_each(|name| reading(module, chain, name, answer))
}

/// A refusal in one sentence.
fn refused<T>(reason: impl std::fmt::Display) -> Answer<T> {
    Err(refusal(reason))
}

fn refusal(reason: impl std::fmt::Display) -> ErrorObjectOwned {
    error::server_error(reason)
}
