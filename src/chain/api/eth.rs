//! `eth_` methods that run calls.

use super::{Answer, Api, blocks, broken, objects::hex, optional, reading, required};
use crate::{
    chain::calls::{CALL_GAS_MAX, CallFault},
    ledger::executor::CallRequest,
    rpc::{ErrorObjectOwned, Params, RpcModule, error},
};
use alloy_eips::BlockId;
use alloy_primitives::{Bytes, TxKind};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::core::RegisterMethodError;
use serde_json::Value;

pub(super) fn register(module: &mut RpcModule<()>, api: &Api) -> Result<(), RegisterMethodError> {
    reading(module, api, "eth_call", call)?;
    reading(module, api, "eth_estimateGas", estimate_gas)
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
    check_state(api, optional(&mut params, "block")?)?;
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

/// Refuses a block whose state is not kept.
fn check_state(api: &Api, id: Option<BlockId>) -> Answer<()> {
    let Some(id) = id else { return Ok(()) };
    let before = api.chain.head().height();
    let height = match id {
        BlockId::Hash(hash) => api.chain.blocks().find_block(&hash.block_hash).map_err(broken)?,
        BlockId::Number(tag) => {
            tag.as_number().filter(|number| *number <= before).or((!tag.is_number()).then_some(before))
        }
    };
    let Some(height) = height else { return Err(blocks::unknown(id)) };
    let newest = before.min(api.chain.head().height());
    match height >= newest {
        true => Ok(()),
        false => {
            Err(error::server_error(format_args!("calls on block {height} are not supported, the newest is {newest}")))
        }
    }
}
