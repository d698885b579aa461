//! `net_` and `web3_` methods.

use super::{Api, objects::hex, reading, required};
use crate::{rpc::RpcModule, types::B256};
use alloy_primitives::{Bytes, keccak256};
use jsonrpsee::core::RegisterMethodError;

pub(super) fn register(module: &mut RpcModule<()>, api: &Api) -> Result<(), RegisterMethodError> {
    reading(module, api, "net_version", |api, _| Ok(api.chain.spec().chain_id.to_string()))?;
    reading(module, api, "net_listening", |api, _| Ok(!api.net.listen_addrs().is_empty()))?;
    reading(module, api, "net_peerCount", |api, _| Ok(hex(api.net.peers().len())))?;
    reading(module, api, "web3_clientVersion", |_, _| Ok(concat!("cess/", env!("CARGO_PKG_VERSION"))))?;
    reading(module, api, "web3_sha3", |_, params| {
        let data: Bytes = required(&mut params.sequence(), "data")?;
        Ok::<B256, _>(keccak256(data))
    })
}
