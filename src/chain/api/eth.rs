//! `eth_` methods on accounts, blocks, transactions and calls.

use super::{
    Answer, Api, blocks, broken,
    objects::{self, Assembled, hex, to_json},
    optional, reading, required,
};
use crate::{
    chain::calls::{CALL_GAS_MAX, CallFault},
    client::ChainClient,
    ledger::{executor::CallRequest, state::StateView},
    rpc::{ErrorObjectOwned, Params, RpcModule, error},
    types::{Address, B256, U256},
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Bytes, TxKind};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::core::RegisterMethodError;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn register(module: &mut RpcModule<()>, api: &Api) -> Result<(), RegisterMethodError> {
    reading(module, api, "eth_chainId", |api, _| Ok(hex(api.chain.spec().chain_id)))?;
    reading(module, api, "eth_blockNumber", |api, _| Ok(hex(api.chain.head().height())))?;
    reading(module, api, "eth_accounts", |_, _| Ok(Vec::<Address>::new()))?;
    reading(module, api, "eth_getBalance", balance)?;
    reading(module, api, "eth_getTransactionCount", transaction_count)?;
    reading(module, api, "eth_getCode", code)?;
    reading(module, api, "eth_getStorageAt", storage_at)?;
    reading(module, api, "eth_getBlockByNumber", block_by_number)?;
    reading(module, api, "eth_getBlockByHash", block_by_hash)?;
    reading(module, api, "eth_getBlockReceipts", block_receipts)?;
    reading(module, api, "eth_getBlockTransactionCountByNumber", count_by_number)?;
    reading(module, api, "eth_getBlockTransactionCountByHash", count_by_hash)?;
    reading(module, api, "eth_getTransactionByHash", transaction_by_hash)?;
    reading(module, api, "eth_getTransactionReceipt", transaction_receipt)?;
    reading(module, api, "eth_call", call)?;
    reading(module, api, "eth_estimateGas", estimate_gas)?;
    syncing(module, api)?;
    send_raw_transaction(module, api)
}

fn balance(api: &Api, params: Params<'_>) -> Answer<U256> {
    let mut params = params.sequence();
    let account: Address = required(&mut params, "address")?;
    blocks::check_state(api, optional(&mut params, "block")?)?;
    let info = api.chain.read(|view, _| view.account(&account)).map_err(broken)?;
    Ok(info.map_or(U256::ZERO, |info| info.balance))
}

fn transaction_count(api: &Api, params: Params<'_>) -> Answer<String> {
    let mut params = params.sequence();
    let account: Address = required(&mut params, "address")?;
    let block: Option<BlockId> = optional(&mut params, "block")?;
    blocks::check_state(api, block)?;
    let info = api.chain.read(|view, _| view.account(&account)).map_err(broken)?;
    let next = info.map_or(0, |info| info.nonce);
    Ok(hex(match block.is_some_and(|id| id.is_pending()) {
        true => api.chain.pool().next_nonce(&account, next),
        false => next,
    }))
}

fn code(api: &Api, params: Params<'_>) -> Answer<Bytes> {
    let mut params = params.sequence();
    let account: Address = required(&mut params, "address")?;
    blocks::check_state(api, optional(&mut params, "block")?)?;
    let read = |view: &dyn StateView| match view.account(&account)? {
        Some(info) => view.code(&info.code_hash),
        None => Ok(Bytes::new()),
    };
    api.chain.read(|view, _| read(view)).map_err(broken)
}

fn storage_at(api: &Api, params: Params<'_>) -> Answer<B256> {
    let mut params = params.sequence();
    let account: Address = required(&mut params, "address")?;
    let slot: U256 = required(&mut params, "slot")?;
    blocks::check_state(api, optional(&mut params, "block")?)?;
    api.chain.read(|view, _| view.slot(&account, &slot)).map(B256::from).map_err(broken)
}

fn block_by_number(api: &Api, params: Params<'_>) -> Answer<Value> {
    let mut params = params.sequence();
    let tag: BlockNumberOrTag = required(&mut params, "block")?;
    let full = optional::<bool>(&mut params, "full transactions")?.unwrap_or(false);
    block(api, BlockId::Number(tag))?.map_or(Ok(Value::Null), |block| block.block_json(full))
}

fn block_by_hash(api: &Api, params: Params<'_>) -> Answer<Value> {
    let mut params = params.sequence();
    let hash: B256 = required(&mut params, "hash")?;
    let full = optional::<bool>(&mut params, "full transactions")?.unwrap_or(false);
    block(api, BlockId::hash(hash))?.map_or(Ok(Value::Null), |block| block.block_json(full))
}

fn block_receipts(api: &Api, params: Params<'_>) -> Answer<Value> {
    let id: BlockId = required(&mut params.sequence(), "block")?;
    let Some(block) = block(api, id)? else { return Ok(Value::Null) };
    let receipts: Vec<Value> = (0..block.txs.len()).map(|index| block.receipt_json(index)).collect::<Answer<_>>()?;
    to_json(&receipts)
}

fn count_by_number(api: &Api, params: Params<'_>) -> Answer<Value> {
    let tag: BlockNumberOrTag = required(&mut params.sequence(), "block")?;
    Ok(block(api, BlockId::Number(tag))?.map_or(Value::Null, |block| json!(hex(block.txs.len()))))
}

fn count_by_hash(api: &Api, params: Params<'_>) -> Answer<Value> {
    let hash: B256 = required(&mut params.sequence(), "hash")?;
    Ok(block(api, BlockId::hash(hash))?.map_or(Value::Null, |block| json!(hex(block.txs.len()))))
}

fn block(api: &Api, id: BlockId) -> Answer<Option<Assembled>> {
    match blocks::find(&api.chain, id)? {
        Some(height) => Assembled::read(&api.chain, height),
        None => Ok(None),
    }
}

fn transaction_by_hash(api: &Api, params: Params<'_>) -> Answer<Value> {
    let hash: B256 = required(&mut params.sequence(), "hash")?;
    if let Some((block, index)) = objects::find(&api.chain, &hash)? {
        return block.tx_json(index);
    }
    let waiting = api.chain.pool().get(&hash);
    waiting.map_or(Ok(Value::Null), |tx| objects::pending_json(&tx))
}

fn transaction_receipt(api: &Api, params: Params<'_>) -> Answer<Value> {
    let hash: B256 = required(&mut params.sequence(), "hash")?;
    objects::find(&api.chain, &hash)?.map_or(Ok(Value::Null), |(block, index)| block.receipt_json(index))
}

fn call(api: &Api, params: Params<'_>) -> Answer<Bytes> {
    api.chain.call(&call_request(api, params)?).map_err(fault)
}

fn estimate_gas(api: &Api, params: Params<'_>) -> Answer<String> {
    api.chain.estimate(&call_request(api, params)?).map(hex).map_err(fault)
}

fn call_request(api: &Api, params: Params<'_>) -> Answer<CallRequest> {
    let mut params = params.sequence();
    let request: TransactionRequest = required(&mut params, "transaction")?;
    blocks::check_state(api, optional(&mut params, "block")?)?;
    for name in ["state overrides", "block overrides"] {
        if optional::<Value>(&mut params, name)?.is_some_and(|value| value.as_object().is_none_or(|o| !o.is_empty())) {
            return Err(error::invalid_params(format_args!("{name} are not supported")));
        }
    }
    let input = request.input.try_into_unique_input().map_err(error::invalid_params)?;
    Ok(CallRequest {
        from: request.from.unwrap_or_default(),
        to: request.to.and_then(|to| match to {
            TxKind::Call(to) => Some(to),
            TxKind::Create => None,
        }),
        value: request.value.unwrap_or_default(),
        data: input.unwrap_or_default(),
        gas: request.gas.unwrap_or(CALL_GAS_MAX).min(CALL_GAS_MAX),
    })
}

fn fault(fault: CallFault) -> ErrorObjectOwned {
    match fault {
        CallFault::Reverted(data) => error::reverted(data),
        fault => error::server_error(fault),
    }
}

fn syncing(module: &mut RpcModule<()>, api: &Api) -> Result<(), RegisterMethodError> {
    let client = api.client.clone();
    let answer = move |client: Arc<super::LocalChain>| async move {
        let status = client.status().await?;
        Answer::Ok(match status.syncing {
            true => {
                json!({"startingBlock": "0x0", "currentBlock": hex(status.height), "highestBlock": hex(status.height)})
            }
            false => json!(false),
        })
    };
    module.register_async_method("eth_syncing", move |_, _, _| answer(client.clone())).map(|_| ())
}

fn send_raw_transaction(module: &mut RpcModule<()>, api: &Api) -> Result<(), RegisterMethodError> {
    let client = api.client.clone();
    let answer = |client: Arc<super::LocalChain>, params: Params<'static>| async move {
        let raw: Bytes = required(&mut params.sequence(), "transaction")?;
        Answer::Ok(client.submit(raw).await?)
    };
    module
        .register_async_method("eth_sendRawTransaction", move |params, _, _| answer(client.clone(), params))
        .map(|_| ())
}
