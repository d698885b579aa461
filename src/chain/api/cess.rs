//! `cess_` methods beyond those every chain client needs: blocks as decided, miners, files, peers, workers, validators, metrics.

use super::{Answer, Api, broken, optional, reading, required};
use crate::{
    chain::mempool::PoolError,
    client::{ChainClient, FileRecord, MinerRecord},
    consensus::{Block, Certificate},
    rpc::{Params, RpcModule, error},
    types::{Address, B256, FileId, Height},
};
use alloy_primitives::Bytes;
use jsonrpsee::core::RegisterMethodError;
use serde::Serialize;
use std::{future::Future, sync::Arc};

/// Files one listing returns.
const FILES_MAX: u64 = 1_000;

/// Transactions handed in by one call.
const SUBMIT_MAX: usize = 4_096;

/// What became of one of many transactions: its hash, or why it was not taken in.
#[derive(Clone, Serialize)]
struct Submitted {
    hash: Option<B256>,
    refused: Option<String>,
}

/// A connected peer.
#[derive(Clone, Serialize)]
struct PeerObject {
    peer: String,
    addr: Option<String>,
    agent: Option<String>,
    rtt_ms: Option<u64>,
}

/// A block as the validators decided it, with what its execution gave.
#[derive(Clone, Serialize)]
struct DecidedObject {
    height: Height,
    id: B256,
    /// Hash of the executed Ethereum block.
    hash: B256,
    state_root: B256,
    proposer: Address,
    /// Round it was first proposed in.
    round: u32,
    /// Round it was decided in.
    decided_round: u32,
    time_ms: u64,
    transactions: usize,
    bytes: usize,
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
    asking(module, api, "cess_submitAll", |client, params| async move {
        let raws: Vec<Bytes> = required(&mut params.sequence(), "transactions")?;
        if raws.len() > SUBMIT_MAX {
            let found = raws.len();
            return Err(error::limit_exceeded(format_args!("{found} transactions are over the limit of {SUBMIT_MAX}")));
        }
        let answers = client.hand_in_all(raws).await.into_iter().map(|answer| match answer {
            Ok(hash) | Err(PoolError::Known(hash)) => Submitted { hash: Some(hash), refused: None },
            Err(e) => Submitted { hash: None, refused: Some(e.to_string()) },
        });
        Answer::<Vec<Submitted>>::Ok(answers.collect())
    })?;
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
    reading(module, api, "cess_block", |api, params| decided(api, required(&mut params.sequence(), "height")?))?;
    reading(module, api, "cess_peers", |api, _| Ok(peers(api)))?;
    reading(module, api, "cess_validators", |api, _| Ok(validators(api)))?;
    reading(module, api, "cess_metrics", |api, _| Ok(api.chain.node().metrics.render()))?;
    reading(module, api, "cess_workers", |api, _| super::objects::to_json(&api.chain.node().workers.list()))
}

fn decided(api: &Api, height: Height) -> Answer<Option<DecidedObject>> {
    let blocks = api.chain.blocks();
    let Some(executed) = blocks.executed(height).map_err(broken)? else { return Ok(None) };
    let decided = blocks.block(height).map_err(broken)?.zip(blocks.certificate(height).map_err(broken)?);
    let object = |(block, certificate): (Block, Certificate)| DecidedObject {
        height,
        id: certificate.block.into(),
        hash: executed.hash,
        state_root: executed.header.state_root,
        proposer: block.header.proposer,
        round: block.header.round,
        decided_round: certificate.round,
        time_ms: block.header.time_ms,
        transactions: block.txs.len(),
        bytes: block.body_bytes(),
    };
    Ok(decided.map(object))
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
    api.chain.ordered().committee.committee.members.iter().map(object).collect()
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
