//! A storage miner: lends disk space and keeps fragments.

use super::{base::Base, funds};
use crate::{
    network::Network,
    storage::{
        fragments::DiskStore,
        miner::{Declaration, IdleConfig, MinerConfig, MinerService, network_prefix},
    },
};

/// Opens the fragment store, registers the miner and serves fragments.
pub async fn start(base: &mut Base) -> anyhow::Result<()> {
    base.need_peers()?;
    let status = base.chain_status().await?;
    funds::request(base, &status).await;
    let (node, config) = (base.node.clone(), &base.config);
    let (root, kv, limit) = (config.node.dir.join("fragments"), base.kv.clone(), config.storage.space.0);
    let opener = node.clone();
    let store = tokio::task::spawn_blocking(move || DiskStore::open(&opener, &root, kv, limit)).await??;
    let prefix = network_prefix(&config.network.external, &base.network.listen_addrs());
    let declaration =
        Declaration { name: config.node.name.clone(), operator: None, prefix, capacity: config.storage.space.0 };
    let limit = config.storage.idle.limit();
    let miner = MinerConfig {
        journals: Some(config.node.dir.join("journals")),
        idle: (limit > 0).then(|| IdleConfig { dir: config.node.dir.join("fragments").join("idle"), limit }),
        tranquility: config.storage.tranquility,
        ..MinerConfig::new(declaration)
    };
    let (network, chain) = (base.network.clone(), base.chain.clone());
    MinerService::start(&node, network, chain, &base.keys, store, miner).await?;
    Ok(())
}
