//! The verifier of a node, as validators and TEE workers have it.
//!
//! A node has one, whatever its roles: index and votes belong to its account.

use super::base::Base;
use crate::{
    client::{ChainStatus, Wallet},
    storage::{
        DataClient, MinerDirectory,
        audit::{Holdings, HoldingsIndex, Judge, Sources, Verifier},
    },
    types::Params,
};

/// What verifying and tagging share.
#[derive(Clone)]
pub struct Verifying {
    /// Who holds what.
    pub holdings: Holdings,
    /// Where miners are reached, and how.
    pub sources: Sources,
    /// The node's account.
    pub wallet: Wallet,
    started: bool,
}

/// Starts to verify with the node's account, once.
pub async fn start(base: &mut Base) -> anyhow::Result<()> {
    let status = base.chain_status().await?;
    let verifying = open(base, &status).await?;
    if !verifying.started {
        let judge = Judge::new(&base.node, status.chain_id, verifying.sources.clone());
        Verifier::start(&base.node, judge, verifying.wallet.clone());
        base.verifying = Some(Verifying { started: true, ..verifying });
    }
    Ok(())
}

/// The index and the links to miners, opened once.
pub async fn open(base: &mut Base, status: &ChainStatus) -> anyhow::Result<Verifying> {
    if let Some(known) = &base.verifying {
        return Ok(known.clone());
    }
    let (kv, genesis, params) = (base.kv.clone(), status.genesis, Params::of(status.profile));
    let index = tokio::task::spawn_blocking(move || HoldingsIndex::open(kv, genesis, params)).await??;
    let (node, network, chain) = (&base.node, base.network.clone(), base.chain.clone());
    let holdings = Holdings::start(node, chain.clone(), index)?;
    let (data, directory) = (DataClient::new(node, network.clone()), MinerDirectory::new(chain.clone()));
    let sources = Sources::new(chain, network, data, directory, holdings.clone());
    let verifying = Verifying { holdings, sources, wallet: base.wallet(status.chain_id), started: false };
    base.verifying = Some(verifying.clone());
    Ok(verifying)
}
