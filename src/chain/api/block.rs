//! `eth_` methods on blocks.

use super::{
    Answer, Eth,
    backend::ChainBlock,
    blocks, broken,
    objects::{Assembled, hex, ommer_json, to_json},
    optional, reading, required, required_hash,
};
use crate::{
    rpc::{ErrorObjectOwned, Params, RpcModule, error},
    types::{B256, Height, U256},
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Bytes, U64};
use jsonrpsee::core::RegisterMethodError;
use serde_json::{Value, json};
use std::sync::Arc;

/// The block is from before there were access lists; the code is that of Ethereum's execution API.
const NO_ACCESS_LIST: i32 = 4445;

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "eth_blockNumber", |eth, _| Ok(hex(eth.latest())))?;
    reading(module, eth, "eth_getBlockByNumber", block_by_number)?;
    reading(module, eth, "eth_getBlockByHash", block_by_hash)?;
    reading(module, eth, "eth_getHeaderByNumber", |eth, params| match number(&params)? {
        // There is no header before there is a block.
        pending if pending.is_pending() => Ok(Value::Null),
        id => header(eth, id),
    })?;
    reading(module, eth, "eth_getHeaderByHash", |eth, params| header(eth, hash(&params)?))?;
    reading(module, eth, "eth_getBlockReceipts", block_receipts)?;
    reading(module, eth, "eth_getBlockTransactionCountByNumber", |eth, params| {
        counted(eth, number(&params)?, |block| block.txs.len())
    })?;
    reading(module, eth, "eth_getBlockTransactionCountByHash", |eth, params| {
        counted(eth, hash(&params)?, |block| block.txs.len())
    })?;
    reading(module, eth, "eth_getUncleCountByBlockNumber", |eth, params| {
        counted(eth, number(&params)?, |block| block.ommers.len())
    })?;
    reading(module, eth, "eth_getUncleCountByBlockHash", |eth, params| {
        counted(eth, hash(&params)?, |block| block.ommers.len())
    })?;
    reading(module, eth, "eth_getUncleByBlockNumberAndIndex", |eth, params| ommer(eth, number(&params)?, &params))?;
    reading(module, eth, "eth_getUncleByBlockHashAndIndex", |eth, params| ommer(eth, hash(&params)?, &params))?;
    reading(module, eth, "eth_getBlockAccessList", |eth, params| {
        access_list(eth, required(&mut params.sequence(), "block")?)
    })?;
    reading(module, eth, "eth_getBlockAccessListByBlockNumber", |eth, params| access_list(eth, number(&params)?))?;
    reading(module, eth, "eth_getBlockAccessListByBlockHash", |eth, params| access_list(eth, hash(&params)?))
}

/// A first parameter that is a number or tag.
pub fn number(params: &Params<'_>) -> Answer<BlockId> {
    Ok(BlockId::Number(required::<BlockNumberOrTag>(&mut params.sequence(), "block number")?))
}

/// A first parameter that is a hash.
pub fn hash(params: &Params<'_>) -> Answer<BlockId> {
    Ok(BlockId::hash(required_hash(&mut params.sequence(), "block hash")?))
}

/// The block a request names, if there is one.
pub fn read(eth: &Eth, id: BlockId) -> Answer<Option<Arc<ChainBlock>>> {
    match blocks::find(eth, id)? {
        Some(height) => eth.block(height).map_err(broken),
        None => Ok(None),
    }
}

fn block_by_number(eth: &Eth, params: Params<'_>) -> Answer<Value> {
    block(eth, number(&params)?, &params)
}

fn block_by_hash(eth: &Eth, params: Params<'_>) -> Answer<Value> {
    block(eth, hash(&params)?, &params)
}

fn block(eth: &Eth, id: BlockId, params: &Params<'_>) -> Answer<Value> {
    let mut params = params.sequence();
    let _: Value = required(&mut params, "block")?;
    let full = optional::<bool>(&mut params, "full transactions")?.unwrap_or(false);
    read(eth, id)?.map_or(Ok(Value::Null), |block| Assembled { eth, block: &block }.block_json(full))
}

fn header(eth: &Eth, id: BlockId) -> Answer<Value> {
    read(eth, id)?.map_or(Ok(Value::Null), |block| Assembled { eth, block: &block }.header_json())
}

fn block_receipts(eth: &Eth, params: Params<'_>) -> Answer<Value> {
    let id: BlockId = required(&mut params.sequence(), "block")?;
    let Some(block) = read(eth, id)? else { return Ok(Value::Null) };
    let block = Assembled { eth, block: &block };
    let receipts: Vec<Value> =
        (0..block.block.txs.len()).map(|index| block.receipt_json(index)).collect::<Answer<_>>()?;
    to_json(&receipts)
}

fn counted(eth: &Eth, id: BlockId, count: impl FnOnce(&ChainBlock) -> usize) -> Answer<Value> {
    Ok(read(eth, id)?.map_or(Value::Null, |block| json!(hex(count(&block)))))
}

fn ommer(eth: &Eth, id: BlockId, params: &Params<'_>) -> Answer<Value> {
    let mut params = params.sequence();
    let _: Value = required(&mut params, "block")?;
    let index: U64 = required(&mut params, "index")?;
    let Some(block) = read(eth, id)? else { return Ok(Value::Null) };
    let ommer = usize::try_from(index).ok().and_then(|index| block.ommers.get(index));
    ommer.map_or(Ok(Value::Null), ommer_json)
}

/// The list of everything a block touched (EIP-7928).
fn access_list(eth: &Eth, id: BlockId) -> Answer<Value> {
    let Some(height) = blocks::find(eth, id)? else { return Ok(Value::Null) };
    match eth.access_list(height).map_err(broken)? {
        Some(rlp) => listed(&rlp),
        None => Err(unlisted(eth, height)?),
    }
}

/// Why there is no access list of a block.
fn unlisted(eth: &Eth, height: Height) -> Answer<ErrorObjectOwned> {
    let header = eth.header(height).map_err(broken)?;
    Ok(match header.is_some_and(|block| block.header.block_access_list_hash.is_some()) {
        true => error::error(
            error::PRUNED,
            format_args!("pruned history unavailable: the access list of block {height} is not kept"),
        ),
        false => {
            let message = "block access list not available for pre-Amsterdam blocks";
            error::error(NO_ACCESS_LIST, format_args!("{message}: block {height} has none"))
        }
    })
}

/// A list as the execution API writes it: words of storage with all their zeroes, everything else as quantities.
fn listed(rlp: &Bytes) -> Answer<Value> {
    let list: alloy_eip7928::BlockAccessList = alloy_rlp::decode_exact(rlp).map_err(broken)?;
    let word = |value: &mut Value| {
        let number = value.as_str().and_then(|text| text.parse::<U256>().ok());
        *value = json!(number.map(B256::from));
    };
    let mut shown = to_json(&list)?;
    for account in members(&mut shown) {
        members(&mut account["storageReads"]).for_each(word);
        for slot in members(&mut account["storageChanges"]) {
            word(&mut slot["key"]);
            members(&mut slot["changes"]).for_each(|change| word(&mut change["value"]));
        }
    }
    Ok(shown)
}

fn members(list: &mut Value) -> impl Iterator<Item = &mut Value> {
    list.as_array_mut().into_iter().flatten()
}
