//! `net_` and `web3_` methods.

use super::{Eth, objects::hex, reading, required};
use crate::{rpc::RpcModule, types::B256};
use alloy_primitives::{Bytes, keccak256};
use jsonrpsee::core::RegisterMethodError;

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "net_version", |eth, _| Ok(eth.chain_id().to_string()))?;
    reading(module, eth, "net_listening", |eth, _| Ok(eth.is_listening()))?;
    reading(module, eth, "net_peerCount", |eth, _| Ok(hex(eth.peers())))?;
    reading(module, eth, "web3_clientVersion", |_, _| Ok(concat!("cess/", env!("CARGO_PKG_VERSION"))))?;
    reading(module, eth, "web3_sha3", |_, params| {
        let data: Bytes = required(&mut params.sequence(), "data")?;
        Ok::<B256, _>(keccak256(data))
    })
}
