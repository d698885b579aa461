//! A validator or follower: the chain itself, and the doors to it.

use super::{
    base::{Base, bootstrap_peers},
    directory::Directory,
    faucet, steward, verifier,
};
use crate::{
    chain::{ChainConfig, ChainNode, ChainOptions, Keeping, Limits, statesync::SyncConfig},
    client::{TUNNEL_METHODS, serve_tunnel},
    types::Profile,
};
use anyhow::Context;

/// Starts the chain; from now on the node's other roles use it directly.
pub async fn start(base: &mut Base) -> anyhow::Result<()> {
    let genesis = base.genesis.clone().context("the consensus role needs a genesis file")?;
    let sync = SyncConfig { mode: base.config.chain.sync, peers: bootstrap_peers(&base.config), ..Default::default() };
    let config = ChainConfig {
        wal_dir: base.config.node.dir.join("wal"),
        bft: Default::default(),
        sync,
        options: ChainOptions {
            keeping: Keeping {
                history: base.config.chain.history,
                checkpoint_blocks: base.config.chain.checkpoint_blocks.into(),
            },
            pool: Limits::from(&base.config.pool),
            executor: base.config.chain.executor,
            memo: base.memo.clone(),
        },
    };
    let (network, kv) = (base.network.clone(), base.kv.clone());
    let early = base.serve_early()?;
    let chain = ChainNode::start(&base.node, kv, network.clone(), &base.keys, &genesis, config).await?;
    if let Some(early) = early {
        early.stopped().await;
    }
    base.chain = chain.client.clone();
    steward::spawn(base, &genesis);
    // Seats verify where there are few TEE workers, and rule about appeals.
    verifier::start(base).await?;
    base.methods.merge(chain.rpc)?;
    base.methods.merge(Directory::serve(network.as_ref()).module()?)?;
    if genesis.profile == Profile::Dev {
        base.methods.merge(faucet::module(chain.client, genesis.chain_id)?)?;
    }
    serve_tunnel(network.as_ref(), base.methods.clone(), TUNNEL_METHODS);
    Ok(())
}
