//! What a developer's chain says of itself.

use super::{mining::newest_hash, named};
use crate::{
    chain::{
        api::{Answer, backend::Backend, objects::hex},
        dev::DevChain,
    },
    rpc::{Params, RpcModule},
};
use jsonrpsee::core::RegisterMethodError;
use serde_json::{Map, Value, json};

/// Name and version. Hardhat's helpers refuse chains whose name does not begin with one that they know to have these methods.
const CLIENT: &str = concat!("anvil-compatible/cess/", env!("CARGO_PKG_VERSION"));

pub(super) fn register(module: &mut RpcModule<()>, chain: &DevChain) -> Result<(), RegisterMethodError> {
    module.remove_method("web3_clientVersion");
    named(module, chain, &["web3_clientVersion"], |_, _| Ok(CLIENT))?;
    named(module, chain, &["anvil_nodeInfo"], node_info)?;
    named(module, chain, &["anvil_metadata"], |chain, params| {
        let mut metadata = metadata(chain, params)?;
        let snapshots = chain.snapshots().into_iter().map(|(id, height, hash)| (hex(id), json!([height, hash])));
        metadata["snapshots"] = Value::Object(snapshots.collect::<Map<_, _>>());
        Ok(metadata)
    })?;
    named(module, chain, &["hardhat_metadata"], metadata)
}

fn metadata(chain: &DevChain, _: Params<'_>) -> Answer<Value> {
    Ok(json!({
        "clientVersion": CLIENT,
        "chainId": chain.chain_id(),
        "instanceId": chain.instance(),
        "latestBlockNumber": chain.latest(),
        "latestBlockHash": newest_hash(chain),
        "forkedNetwork": null,
    }))
}

fn node_info(chain: &DevChain, _: Params<'_>) -> Answer<Value> {
    let (settings, newest, base_fee) = (chain.settings(), chain.newest(), chain.next_base_fee());
    Ok(json!({
        "currentBlockNumber": hex(newest.block.height()),
        "currentBlockTimestamp": newest.block.header.timestamp,
        "currentBlockHash": newest.block.hash,
        "hardFork": "osaka",
        "transactionOrder": "fees",
        "environment": {
            "baseFee": hex(base_fee),
            "chainId": settings.chain_id,
            "gasLimit": hex(settings.gas_limit),
            "gasPrice": hex(u128::from(base_fee) + 1),
        },
        "forkConfig": {"forkUrl": null, "forkBlockNumber": null, "forkRetryBackoff": null},
    }))
}
