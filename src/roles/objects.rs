//! Objects of a gateway: the access layer over its uploads and fetches, and S3 on top.

use super::{base::Base, setup::read_secret};
use crate::{
    access::service::{Access, AccessParts, Tuning},
    client::{ChainStatus, Wallet, gateway::GatewayGroup},
    gateway::{
        deoss::{Deoss, DeossParts},
        s3::{ChainKeys, S3Config, S3Server},
    },
    storage::{MinerDirectory, fetch::Fetcher, journal::JournalClient, peers::GatewayLink, upload::Uploader},
};
use std::sync::Arc;

/// Folder of what a gateway may lose, in its own.
const CACHE_DIR: &str = "tables";
/// Folder of parts of files that are not complete.
const PARTS_DIR: &str = "parts";

/// How a gateway moves bytes.
pub struct DataPlane {
    pub uploader: Uploader,
    pub fetcher: Fetcher,
    pub miners: MinerDirectory,
}

/// Starts S3, unless the settings switch it off. The gateways it shares its buckets with.
pub async fn start(
    base: &Base,
    wallet: &Wallet,
    status: &ChainStatus,
    plane: DataPlane,
) -> anyhow::Result<Option<GatewayGroup>> {
    let (node, settings) = (&base.node, &base.config.gateway);
    let Some(config) = S3Config::of(settings) else { return Ok(None) };
    let secret = match &settings.group_key {
        Some(path) => read_secret(path)?,
        None => base.keys.gateway.clone(),
    };
    let miners = Arc::new(plane.miners.clone());
    let deoss = DeossParts {
        uploader: plane.uploader.clone(),
        fetcher: plane.fetcher.clone(),
        miners: plane.miners.clone(),
        wallet: wallet.clone(),
        chain: status.chain_id,
        dir: base.config.node.dir.join(PARTS_DIR),
    };
    let parts = AccessParts {
        wallet: wallet.clone(),
        peer: base.keys.network.public().0,
        genesis: status.genesis,
        uploader: plane.uploader,
        fetcher: plane.fetcher,
        miners: plane.miners,
        journals: JournalClient::new(node, base.network.clone(), miners, *secret),
        peers: Arc::new(GatewayLink::new(base.network.clone())),
        members: settings.group_members.to_vec(),
        secret,
        cache: base.config.node.dir.join(CACHE_DIR),
        tuning: Tuning::default(),
    };
    let Access { objects, names, pair, .. } = Access::start(node, parts)?;
    let keys = Arc::new(ChainKeys::new(names, status.chain_id, pair.expose()));
    let handle = S3Server::start(node, config, objects, keys, Some(Deoss::new(node, deoss))).await?;
    tracing::info!(node = node.name, listen = %handle.local_addr, "S3");
    let members = std::iter::once(wallet.address()).chain(settings.group_members.iter().copied());
    Ok(Some(GatewayGroup {
        key: pair.public(),
        members: members.collect(),
        s3: format!("http://{}", handle.local_addr),
    }))
}
