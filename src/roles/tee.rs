//! A TEE worker: tags data and verifies audits.

use super::{
    base::Base,
    funds,
    verifier::{self, Verifying},
};
use crate::{
    client::ChainStatus,
    config::TeeConfig,
    crypto::hash::{DOMAIN_SIMULATED_ENCLAVE, tagged},
    ledger::abi::{ITee, TEE},
    rpc::{ErrorObjectOwned, RpcModule, error},
    runtime::{Criticality, Phase},
    storage::{
        audit::{Holdings, ask},
        fetch::{FetchLimits, Fetcher},
        tagging::Tagging,
    },
    tee::{Enclave, EnclaveTags, Keeper, Machine, Registration, Simulated},
    types::{Address, Params},
};
use anyhow::Context;
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};

/// Registers the worker and starts what its kind does.
pub async fn start(base: &mut Base) -> anyhow::Result<()> {
    base.need_peers()?;
    let status = base.chain_status().await?;
    funds::request(base, &status).await;
    let (params, config) = (Params::of(status.profile), base.config.tee.clone());
    let enclave = enclave(base, &config, &params)?;
    let verifying = verifier::open(base, &status).await?;
    register(base, &config, &params, enclave.clone(), &verifying).await?;
    if config.kind.tags() {
        tag(base, &status, enclave.clone(), &verifying);
    }
    if config.kind.verifies() {
        verifier::start(base).await?;
    }
    let account = base.keys.address();
    base.methods.merge(methods(verifying, enclave, account)?)?;
    Ok(())
}

/// The hardware where the settings or the chain ask for it, else one that nothing vouches for.
fn enclave(base: &Base, config: &TeeConfig, params: &Params) -> anyhow::Result<Arc<dyn Enclave>> {
    if config.collateral.is_some() || !params.tee_dev_allowed {
        return Ok(Arc::new(Machine::find().context("this chain takes TEE workers with hardware only")?));
    }
    let secret = base.keys.account.to_bytes();
    let seed = zeroize::Zeroizing::new(tagged(DOMAIN_SIMULATED_ENCLAVE, &[secret.as_slice()]));
    Ok(Arc::new(Simulated::new(&seed)))
}

/// Gets onto the chain's list and stays there.
async fn register(
    base: &Base,
    config: &TeeConfig,
    params: &Params,
    enclave: Arc<dyn Enclave>,
    verifying: &Verifying,
) -> anyhow::Result<()> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()));
    let registration = Registration {
        wallet: verifying.wallet.clone(),
        network_key: base.keys.network.public().0,
        enclave,
        kind: config.kind,
        name: base.config.node.name.clone(),
        bond: params.tee_bond.0,
        collateral: config.collateral.as_deref().map(read).transpose()?.map(Into::into),
        era_blocks: base.genesis.as_ref().map_or(params.era_blocks, |genesis| genesis.params().era_blocks),
    };
    let worker = registration.ensure().await?;
    tracing::info!(node = base.node.name, id = worker.id, kind = %config.kind, "TEE worker ready");
    let (report, stop) = (base.node.workers.register("attestation"), base.node.tasks.stopping(Phase::Produce));
    base.node.tasks.spawn(Phase::Produce, "attestation", Criticality::Optional, async move {
        stop.run_until_cancelled_owned(registration.keep(worker, report)).await;
        Ok(())
    });
    Ok(())
}

/// Looks after the group's keys and tags with them.
fn tag(base: &Base, status: &ChainStatus, enclave: Arc<dyn Enclave>, verifying: &Verifying) {
    let Verifying { holdings, sources, wallet, .. } = verifying.clone();
    let chain_id = status.chain_id;
    let keeper = Keeper { wallet: wallet.clone(), chain_id, holdings: holdings.clone(), enclave: enclave.clone() };
    keeper.start(&base.node);
    let fetcher = Fetcher::new(&base.node, sources.data.clone(), FetchLimits::default());
    let (parts, maker) = ((sources.directory, sources.data, fetcher), Arc::new(EnclaveTags(enclave)));
    Tagging::new(&base.node, chain_id, holdings, parts, wallet, maker).start(&base.node);
}

/// Files that wait for tags, counted at most.
const WAITING_MAX: usize = 4_096;

/// `cess_tee`: the worker's record, whether it has the key of the open epoch, and what waits for tags.
fn methods(verifying: Verifying, enclave: Arc<dyn Enclave>, account: Address) -> anyhow::Result<RpcModule<()>> {
    let mut module = RpcModule::new((verifying, enclave, account));
    module.register_async_method("cess_tee", |_, context, _| async move {
        let (verifying, enclave, account) = context.as_ref();
        let chain = verifying.wallet.chain();
        let worker =
            ask(chain.as_ref(), TEE, ITee::getCall { account: *account }).await.map_err(error::server_error)?;
        let epoch = epoch(&verifying.holdings, enclave.as_ref()).await?;
        let waiting = waiting(&verifying.holdings).await?;
        Ok::<_, ErrorObjectOwned>(json!({
            "account": worker.account,
            "id": worker.id,
            "name": worker.name,
            "kind": worker.kind,
            "attestation": worker.attestation,
            "attestedUntil": worker.attestedUntil,
            "state": worker.state,
            "bond": worker.bond,
            "epoch": epoch,
            "waiting": waiting,
        }))
    })?;
    Ok(module.remove_context())
}

async fn epoch(holdings: &Holdings, enclave: &dyn Enclave) -> Result<Value, ErrorObjectOwned> {
    let open = holdings.read(|index| index.open_epoch()).await.map_err(error::server_error)?;
    Ok(open.map_or(Value::Null, |epoch| json!({ "number": epoch.number, "held": enclave.holds(&epoch.key.digest()) })))
}

async fn waiting(holdings: &Holdings) -> Result<Value, ErrorObjectOwned> {
    let found = holdings.read(|index| index.untagged(None, WAITING_MAX)).await.map_err(error::server_error)?;
    let since = found.first().map(|(since, _)| *since);
    Ok(json!({ "files": found.len(), "more": found.len() == WAITING_MAX, "since": since }))
}
