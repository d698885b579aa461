//! `cess_` methods that light clients verify: signed headers, changes of eras, executed headers, and proofs of calls and receipts.
//!
//! Nobody has to believe these answers, so they carry everything that proves them, in the encodings of `consensus` and `ledger`.

use super::{Answer, Api, backend::ChainBlock, broken, optional, reading, required};
use crate::{
    chain::{
        calls::{CALL_GAS_MAX, CallFault},
        full_backend::chain_block,
    },
    client::light::{CallQuestion, ContentsPart, ERA_CHANGES_MAX, EXECUTED_HEADERS_MAX, PART_MAX_BYTES},
    codec,
    consensus::{Calendar, EraChange, SignedHeader},
    ledger::{contents::BlockContents, executor::CallRequest, witness::WITNESS_MAX_BYTES},
    rpc::{Params, RpcModule, error},
    types::{Height, U256},
};
use alloy_primitives::Bytes;
use jsonrpsee::core::RegisterMethodError;

pub(super) fn register(module: &mut RpcModule<()>, api: &Api) -> Result<(), RegisterMethodError> {
    reading(module, api, "cess_signedHeader", signed_header)?;
    reading(module, api, "cess_eraHeaders", era_headers)?;
    reading(module, api, "cess_executedHeader", executed_header)?;
    reading(module, api, "cess_executedHeaders", executed_headers)?;
    reading(module, api, "cess_proveCall", prove_call)?;
    reading(module, api, "cess_proveReceipts", prove_receipts)
}

/// `cess_signedHeader(height)`: header and certificate, null if the height is not decided here.
fn signed_header(api: &Api, params: Params<'_>) -> Answer<Option<Bytes>> {
    let height: Height = required(&mut params.sequence(), "height")?;
    Ok(signed(api, height)?.map(|signed| codec::encode(&signed).into()))
}

fn signed(api: &Api, height: Height) -> Answer<Option<SignedHeader>> {
    let blocks = api.chain.blocks();
    let Some(block) = blocks.block(height).map_err(broken)? else { return Ok(None) };
    let certificate = blocks.certificate(height).map_err(broken)?;
    let certificate = certificate.ok_or_else(|| broken(format_args!("block {height} has no certificate")))?;
    Ok(Some(SignedHeader { header: block.header, certificate }))
}

/// `cess_eraHeaders(era, count)`: for each era from `era` on that has ended, its last header and the next era's committee.
fn era_headers(api: &Api, params: Params<'_>) -> Answer<Vec<Bytes>> {
    let mut params = params.sequence();
    let first: u64 = required(&mut params, "era")?;
    let count: u64 = required(&mut params, "count")?;
    let calendar = Calendar::of(&api.chain.spec().params);
    let newest = api.chain.head().height();
    let mut changes = Vec::new();
    for era in first..first.saturating_add(count.min(ERA_CHANGES_MAX)) {
        let last = calendar.last(era);
        if last > newest {
            break;
        }
        let Some(signed) = signed(api, last)? else { break };
        let next = api.chain.committee_at(last + 1).map_err(broken)?.committee.clone();
        changes.push(codec::encode(&EraChange { last: signed, next }).into());
    }
    Ok(changes)
}

/// `cess_executedHeader(height)`: RLP of the executed header, null if the height is not executed here.
fn executed_header(api: &Api, params: Params<'_>) -> Answer<Option<Bytes>> {
    let height: Height = required(&mut params.sequence(), "height")?;
    let block = api.chain.blocks().executed(height).map_err(broken)?;
    Ok(block.map(|block| alloy_rlp::encode(&block.header).into()))
}

/// `cess_executedHeaders(from, count)`: RLP of executed headers in order; fewer where the chain ends.
fn executed_headers(api: &Api, params: Params<'_>) -> Answer<Vec<Bytes>> {
    let mut params = params.sequence();
    let from: Height = required(&mut params, "from")?;
    let count: u64 = required(&mut params, "count")?;
    let mut headers = Vec::new();
    for height in from..from.saturating_add(count.min(EXECUTED_HEADERS_MAX)) {
        let Some(block) = api.chain.blocks().executed(height).map_err(broken)? else { break };
        headers.push(alloy_rlp::encode(&block.header).into());
    }
    Ok(headers)
}

/// `cess_proveCall({from, to, data}, height)`: the accounts, slots and code that the call reads in the state after `height`, with Merkle
/// proofs against the state root of that height's executed header.
fn prove_call(api: &Api, params: Params<'_>) -> Answer<Bytes> {
    let mut params = params.sequence();
    let CallQuestion { from, to, data } = required(&mut params, "call")?;
    let height: Height = required(&mut params, "height")?;
    let block = api.chain.blocks().executed(height).map_err(broken)?;
    let header = block.ok_or_else(|| error::not_found(format_args!("block {height}")))?.header;
    let request = CallRequest { from, to: Some(to), value: U256::ZERO, data, gas: CALL_GAS_MAX };
    let witness = api.chain.prove(&request, &header).map_err(|fault| match fault {
        CallFault::Invalid(reason) => error::server_error(reason),
        other => error::server_error(other),
    })?;
    let newest = api.chain.head().height();
    let witness =
        witness.ok_or_else(|| error::unavailable(format_args!("state of block {height}, {newest} is the newest,")))?;
    let len = witness.encoded_bytes();
    if len > WITNESS_MAX_BYTES {
        let reason = format_args!("the proof of what the call reads is {len} B, the limit is {WITNESS_MAX_BYTES} B");
        return Err(error::error(error::ANSWER_TOO_LARGE, reason));
    }
    Ok(codec::encode(&witness).into())
}

/// `cess_proveReceipts(height, offset)`: transactions and receipts of a block as its roots commit to them, from a byte on.
fn prove_receipts(api: &Api, params: Params<'_>) -> Answer<ContentsPart> {
    let mut params = params.sequence();
    let height: Height = required(&mut params, "height")?;
    let offset: usize = optional(&mut params, "offset")?.unwrap_or(0);
    let block = chain_block(&api.chain, height).map_err(broken)?;
    let ChainBlock { txs, receipts, .. } = block.ok_or_else(|| error::not_found(format_args!("block {height}")))?;
    let txs = txs.into_iter().map(|raw| raw.to_vec()).collect();
    let encoded = codec::encode(&BlockContents::new(txs, &receipts));
    let end = encoded.len().min(offset.saturating_add(PART_MAX_BYTES));
    match encoded.get(offset..end) {
        Some(part) => Ok(ContentsPart { total: encoded.len(), part: Bytes::copy_from_slice(part) }),
        None => Err(error::invalid_params(format_args!("byte {offset} of {} B of contents", encoded.len()))),
    }
}
