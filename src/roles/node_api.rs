//! What every node answers about itself.

use crate::{
    chain::api::openrpc,
    crypto::NodeKeys,
    network::Network,
    rpc::{ErrorObjectOwned, RpcModule},
    runtime::Node,
};
use serde_json::json;
use std::sync::Arc;

/// Adds `cess_node`, where the node's roles did not bring it `cess_workers`, and the document of all methods.
pub fn complete(
    methods: &mut RpcModule<()>,
    node: &Node,
    keys: &NodeKeys,
    network: Arc<dyn Network>,
) -> anyhow::Result<()> {
    let (own, account) = (node.clone(), keys.address());
    methods.register_method("cess_node", move |_, _, _| {
        let listen: Vec<String> = network.listen_addrs().iter().map(ToString::to_string).collect();
        Ok::<_, ErrorObjectOwned>(json!({
            "name": own.name,
            "version": env!("CARGO_PKG_VERSION"),
            "account": account,
            "peer": network.local_peer().to_string(),
            "listen": listen,
            "peers": network.peers().len(),
            "tasks": own.tasks.running(),
        }))
    })?;
    if methods.method("cess_workers").is_none() {
        methods.merge(workers(node)?)?;
    }
    openrpc::register(methods)?;
    Ok(())
}

/// `cess_workers` alone.
pub fn workers(node: &Node) -> anyhow::Result<RpcModule<()>> {
    let (mut methods, workers) = (RpcModule::new(()), node.workers.clone());
    methods.register_method("cess_workers", move |_, _, _| Ok::<_, ErrorObjectOwned>(workers.list()))?;
    Ok(methods)
}
