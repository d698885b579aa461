//! Composition: which services make up a node of each role. No logic of its own.
//!
//! A node has one network host, one database and one HTTP port, whatever roles it has. Adding a role is one file here and one
//! arm in [`start`].

mod base;
mod consensus;
pub mod dev;
mod directory;
mod faucet;
mod funds;
mod gateway;
mod import;
mod node_api;
mod objects;
mod setup;
mod steward;
mod storage;
mod tee;
mod verifier;

pub use crate::chain::trial;
pub use import::{ImportRequest, ImportedNode, import_chain};
pub use setup::{SEED_FILE, Setup, SetupRequest, read_genesis, read_keys, write_seed};

pub use crate::chain::SignatureMemo;

use crate::{
    client::{ChainClient, ChainStatus},
    runtime::Node,
    types::Role,
};
use async_trait::async_trait;
use base::Base;
use std::sync::Arc;

/// Who is told what a starting storage node finds.
#[async_trait]
pub trait Watcher: Send + Sync {
    /// The chain answers, and the miner is not registered or changed yet. The start goes on when this returns.
    async fn chain_answers(&self, chain: &Arc<dyn ChainClient>, status: &ChainStatus);
}

/// Starts every role of the node; returns when its services answer. They run in the node's tasks.
pub async fn start(node: &Node, setup: Setup) -> anyhow::Result<()> {
    start_watched(node, setup, None).await
}

/// As [`start`], with somebody who watches.
pub async fn start_watched(node: &Node, setup: Setup, watcher: Option<&dyn Watcher>) -> anyhow::Result<()> {
    let roles = setup.config.node.roles.clone();
    let mut base = Base::open(node, setup).await?;
    // Consensus first: the other roles of the same node then use its chain directly.
    for role in Role::ALL.into_iter().filter(|role| roles.contains(role)) {
        match role {
            Role::Consensus => consensus::start(&mut base).await?,
            Role::Storage => {
                if let Some(watcher) = watcher {
                    base.need_peers()?;
                    watcher.chain_answers(&base.chain, &base.chain_status().await?).await;
                }
                storage::start(&mut base).await?;
            }
            Role::Tee => tee::start(&mut base).await?,
            Role::Gateway => gateway::start(&mut base).await?,
        }
    }
    base.serve()?;
    tracing::info!(node = node.name, ?roles, "started");
    Ok(())
}
