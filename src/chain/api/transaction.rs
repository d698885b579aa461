//! `eth_` methods on transactions: looking them up and handing them in.

use super::{
    Answer, Eth,
    backend::ChainBlock,
    block, broken,
    objects::{self, Assembled},
    reading, required, required_hash,
};
use crate::{
    chain::mempool::PoolError,
    rpc::{Params, RpcModule, error},
    types::B256,
};
use alloy_eips::BlockId;
use alloy_primitives::{Bytes, U64};
use jsonrpsee::core::RegisterMethodError;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "eth_getTransactionByHash", by_hash)?;
    reading(module, eth, "eth_getTransactionByBlockNumberAndIndex", |eth, params| {
        at_index(eth, block::number(&params)?, &params, shown)
    })?;
    reading(module, eth, "eth_getTransactionByBlockHashAndIndex", |eth, params| {
        at_index(eth, block::hash(&params)?, &params, shown)
    })?;
    reading(module, eth, "eth_getRawTransactionByHash", raw_by_hash)?;
    reading(module, eth, "eth_getRawTransactionByBlockNumberAndIndex", |eth, params| {
        at_index(eth, block::number(&params)?, &params, enveloped)
    })?;
    reading(module, eth, "eth_getRawTransactionByBlockHashAndIndex", |eth, params| {
        at_index(eth, block::hash(&params)?, &params, enveloped)
    })?;
    reading(module, eth, "eth_getTransactionReceipt", receipt)?;
    send_raw_transaction(module, eth)?;
    syncing(module, eth)
}

/// Where a transaction is: its block, and its index there.
pub fn find(eth: &Eth, hash: &B256) -> Answer<Option<(Arc<ChainBlock>, usize)>> {
    let Some(place) = eth.find_tx(hash).map_err(broken)? else { return Ok(None) };
    let block = eth.block(place.height).map_err(broken)?;
    let index = usize::try_from(place.index).expect("32 bits fit a usize");
    Ok(block.filter(|block| index < block.txs.len()).map(|block| (block, index)))
}

fn by_hash(eth: &Eth, params: Params<'_>) -> Answer<Value> {
    let hash = required_hash(&mut params.sequence(), "transaction hash")?;
    if let Some((block, index)) = find(eth, &hash)? {
        return Assembled { eth, block: &block }.tx_json(index);
    }
    let waiting = eth.pool().get(&hash);
    waiting.map_or(Ok(Value::Null), |tx| objects::pending_json(&tx))
}

fn raw_by_hash(eth: &Eth, params: Params<'_>) -> Answer<Value> {
    let hash = required_hash(&mut params.sequence(), "transaction hash")?;
    if let Some((block, index)) = find(eth, &hash)? {
        return Ok(json!(block.txs[index]));
    }
    Ok(eth.pool().get(&hash).map_or(Value::Null, |tx| json!(tx.raw)))
}

fn shown(block: &Assembled<'_>, index: usize) -> Answer<Value> {
    block.tx_json(index)
}

fn enveloped(block: &Assembled<'_>, index: usize) -> Answer<Value> {
    Ok(json!(block.block.txs[index]))
}

fn at_index(
    eth: &Eth,
    id: BlockId,
    params: &Params<'_>,
    show: fn(&Assembled<'_>, usize) -> Answer<Value>,
) -> Answer<Value> {
    let mut params = params.sequence();
    let _: Value = required(&mut params, "block")?;
    let index: U64 = required(&mut params, "index")?;
    let Some(block) = block::read(eth, id)? else { return Ok(Value::Null) };
    match usize::try_from(index).ok().filter(|index| *index < block.txs.len()) {
        Some(index) => show(&Assembled { eth, block: &block }, index),
        None => Ok(Value::Null),
    }
}

fn receipt(eth: &Eth, params: Params<'_>) -> Answer<Value> {
    let hash = required_hash(&mut params.sequence(), "transaction hash")?;
    find(eth, &hash)?.map_or(Ok(Value::Null), |(block, index)| Assembled { eth, block: &block }.receipt_json(index))
}

fn send_raw_transaction(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    let answer = |eth: Eth, params: Params<'static>| async move {
        let raw: Bytes = required(&mut params.sequence(), "transaction")?;
        match eth.submit(raw).await {
            Ok(hash) | Err(PoolError::Known(hash)) => Answer::<B256>::Ok(hash),
            Err(e) => Err(error::rejected(e)),
        }
    };
    let eth = eth.clone();
    module.register_async_method("eth_sendRawTransaction", move |params, _, _| answer(eth.clone(), params)).map(|_| ())
}

fn syncing(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    let answer = |eth: Eth| async move {
        let height = objects::hex(eth.latest());
        Answer::Ok(match eth.is_syncing().await {
            true => json!({"startingBlock": "0x0", "currentBlock": height, "highestBlock": height}),
            false => json!(false),
        })
    };
    let eth = eth.clone();
    module.register_async_method("eth_syncing", move |_, _, _| answer(eth.clone())).map(|_| ())
}
