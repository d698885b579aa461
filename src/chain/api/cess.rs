//! `cess_` methods beyond those every chain client needs: miners, files, peers, workers, validators, metrics.

use super::{Answer, Api, optional, reading, required};
use crate::{
    client::{ChainClient, FileRecord, MinerRecord},
    rpc::{Params, RpcModule, error},
    types::{Address, FileId},
};
use jsonrpsee::core::RegisterMethodError;
use serde::Serialize;
use std::{future::Future, sync::Arc};

/// Files one listing returns.
const FILES_MAX: u64 = 1_000;

/// A connected peer.
#[derive(Clone, Serialize)]
struct PeerObject {
    peer: String,
    addr: Option<String>,
    agent: Option<String>,
    rtt_ms: Option<u64>,
}

/// A member of the committee.
#[derive(Clone, Serialize)]
struct ValidatorObject {
    account: Address,
    consensus_key: String,
    vrf_key: String,
    network_key: String,
    power: u64,
}

pub(super) fn register(module: &mut RpcModule<()>, api: &Api) -> Result<(), RegisterMethodError> {
    asking(module, api, "cess_file", |client, params| async move {
        let id: FileId = required(&mut params.sequence(), "id")?;
        Answer::<Option<FileRecord>>::Ok(client.file(id).await?)
    })?;
    asking(
        module,
        api,
        "cess_miners",
        |client, _| async move { Answer::<Vec<MinerRecord>>::Ok(client.miners().await?) },
    )?;
    asking(module, api, "cess_filesOf", |client, params| async move {
        let mut params = params.sequence();
        let owner: Address = required(&mut params, "owner")?;
        let skip = optional(&mut params, "skip")?.unwrap_or(0);
        let limit: u64 = optional(&mut params, "limit")?.unwrap_or(FILES_MAX);
        if limit > FILES_MAX {
            return Err(error::limit_exceeded(format_args!("{limit} files are over the limit of {FILES_MAX}")));
        }
        Answer::<Vec<FileRecord>>::Ok(client.files_of(owner, skip, limit).await?)
    })?;
    reading(module, api, "cess_peers", |api, _| Ok(peers(api)))?;
    reading(module, api, "cess_validators", |api, _| Ok(validators(api)))?;
    reading(module, api, "cess_metrics", |api, _| Ok(api.chain.node().metrics.render()))?;
    reading(module, api, "cess_workers", |api, _| super::objects::to_json(&api.chain.node().workers.list()))
}

fn peers(api: &Api) -> Vec<PeerObject> {
    let object = |info: crate::network::PeerInfo| PeerObject {
        peer: info.peer.to_string(),
        addr: info.addr.map(|addr| addr.to_string()),
        agent: info.agent,
        rtt_ms: info.rtt.map(|rtt| u64::try_from(rtt.as_millis()).unwrap_or(u64::MAX)),
    };
    api.net.peers().into_iter().map(object).collect()
}

fn validators(api: &Api) -> Vec<ValidatorObject> {
    let object = |member: &crate::consensus::ValidatorInfo| ValidatorObject {
        account: member.account,
        consensus_key: member.consensus_key.to_string(),
        vrf_key: hex::encode(member.vrf_key.0),
        network_key: member.network_key.to_string(),
        power: member.power,
    };
    api.chain.head().committee.committee.members.iter().map(object).collect()
}

/// Registers a method that asks the chain client.
fn asking<T, Fut>(
    module: &mut RpcModule<()>,
    api: &Api,
    name: &'static str,
    answer: impl Fn(Arc<super::LocalChain>, Params<'static>) -> Fut + Clone + Send + Sync + 'static,
) -> Result<(), RegisterMethodError>
where
    T: Serialize + Clone + Send + 'static,
    Fut: Future<Output = Answer<T>> + Send + 'static,
{
    let client = api.client.clone();
    module.register_async_method(name, move |params, _, _| answer(client.clone(), params)).map(|_| ())
}
