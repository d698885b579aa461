//! A gateway: users' files in and out over HTTP.

use super::{
    base::{Base, bootstrap_peers},
    directory, funds, objects,
    objects::DataPlane,
};
use crate::{
    gateway::{Gateway, GatewayConfig, s3::segment_buffers},
    storage::{
        BufferPool, DataClient, MinerDirectory,
        fetch::{FetchLimits, Fetcher},
        upload::{UploadJournal, UploadLimits, Uploader, UploaderParts},
    },
};

/// Starts the HTTP server; the node's JSON-RPC is answered on the same port.
pub async fn start(base: &mut Base) -> anyhow::Result<()> {
    base.need_peers()?;
    let status = base.chain_status().await?;
    funds::request(base, &status).await;
    base.complete_methods()?;
    let (node, network) = (&base.node, base.network.clone());
    let miners = MinerDirectory::new(base.chain.clone());
    let data = DataClient::new(node, network.clone());
    let limits = FetchLimits { cache_bytes: base.config.gateway.read_cache.0, ..FetchLimits::default() };
    let fetcher = Fetcher::new(node, data.clone(), limits);
    let parts = UploaderParts {
        chain: base.chain.clone(),
        directory: miners.clone(),
        data,
        fetcher: fetcher.clone(),
        buffers: BufferPool::new(segment_buffers(base.config.gateway.s3_memory)),
        journal: UploadJournal::new(base.kv.clone()),
    };
    let uploader = Uploader::new(node, parts, UploadLimits::default());
    let wallet = base.wallet(status.chain_id);
    let plane = DataPlane { uploader: uploader.clone(), fetcher: fetcher.clone(), miners: miners.clone() };
    let group = objects::start(base, &wallet, &status, plane).await?;
    let config = GatewayConfig {
        listen: base.config.gateway.listen,
        uploader,
        fetcher,
        miners,
        chain: base.chain.clone(),
        rpc: base.tunnel.clone(),
        own_methods: base.methods.clone(),
        wallet,
        group,
    };
    let handle = Gateway::start(node, config).await?;
    base.served = true;
    directory::announce(node, network, bootstrap_peers(&base.config), format!("http://{}", handle.local_addr));
    tracing::info!(node = node.name, listen = %handle.local_addr, "gateway");
    Ok(())
}
