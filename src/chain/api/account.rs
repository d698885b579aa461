//! `eth_` methods on accounts: balance, nonce, code, storage, and their proofs.

use super::{Answer, Eth, blocks, broken, objects::hex, optional, params::storage_key, reading, required};
use crate::{
    ledger::{commitment::StateCommitment, state::StateView},
    rpc::{Params, RpcModule, error},
    types::{Address, B256, U256},
};
use alloy_eips::BlockId;
use alloy_primitives::{Bytes, KECCAK256_EMPTY};
use jsonrpsee::core::RegisterMethodError;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Slots one proof may cover.
const PROOF_MAX_SLOTS: usize = 1_024;
/// Slots one question for values may name, as in geth.
const VALUES_MAX_SLOTS: usize = 1_024;
/// Digits of a storage key with all its zeroes, and their prefix.
const FULL_KEY_CHARS: usize = 66;

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "eth_chainId", |eth, _| Ok(hex(eth.chain_id())))?;
    reading(module, eth, "eth_accounts", |eth, _| Ok(eth.accounts()))?;
    reading(module, eth, "eth_getBalance", balance)?;
    reading(module, eth, "eth_getTransactionCount", transaction_count)?;
    reading(module, eth, "eth_getCode", code)?;
    reading(module, eth, "eth_getStorageAt", storage_at)?;
    reading(module, eth, "eth_getStorageValues", storage_values)?;
    reading(module, eth, "eth_getProof", proof)
}

fn balance(eth: &Eth, params: Params<'_>) -> Answer<U256> {
    let mut params = params.sequence();
    let account: Address = required(&mut params, "address")?;
    let (_, state) = blocks::state(eth, optional(&mut params, "block")?)?;
    let info = state.account(&account).map_err(broken)?;
    Ok(info.map_or(U256::ZERO, |info| info.balance))
}

fn transaction_count(eth: &Eth, params: Params<'_>) -> Answer<String> {
    let mut params = params.sequence();
    let account: Address = required(&mut params, "address")?;
    let block: Option<BlockId> = optional(&mut params, "block")?;
    let (_, state) = blocks::state(eth, block)?;
    let next = state.account(&account).map_err(broken)?.map_or(0, |info| info.nonce);
    Ok(hex(match block.is_some_and(|id| id.is_pending()) {
        true => eth.pool().next_nonce(&account, next),
        false => next,
    }))
}

fn code(eth: &Eth, params: Params<'_>) -> Answer<Bytes> {
    let mut params = params.sequence();
    let account: Address = required(&mut params, "address")?;
    let (_, state) = blocks::state(eth, optional(&mut params, "block")?)?;
    match state.account(&account).map_err(broken)? {
        Some(info) if info.code_hash != KECCAK256_EMPTY => state.code(&info.code_hash).map_err(broken),
        _ => Ok(Bytes::new()),
    }
}

fn storage_at(eth: &Eth, params: Params<'_>) -> Answer<B256> {
    let mut params = params.sequence();
    let account: Address = required(&mut params, "address")?;
    let slot = storage_key(&required::<String>(&mut params, "slot")?)?;
    let (_, state) = blocks::state(eth, optional(&mut params, "block")?)?;
    state.slot(&account, &slot).map(B256::from).map_err(broken)
}

/// `eth_getStorageValues({address: slots}, block)`: values of slots of many accounts, all in one state.
fn storage_values(eth: &Eth, params: Params<'_>) -> Answer<BTreeMap<Address, Vec<B256>>> {
    let mut params = params.sequence();
    let wanted: BTreeMap<Address, Vec<String>> = required(&mut params, "slots")?;
    let count: usize = wanted.values().map(Vec::len).sum();
    if count == 0 {
        return Err(error::invalid_params("empty request"));
    }
    if count > VALUES_MAX_SLOTS {
        let reason = format_args!("too many slots: {count} are over the limit of {VALUES_MAX_SLOTS}");
        return Err(error::invalid_params(reason));
    }
    let (_, state) = blocks::state(eth, optional(&mut params, "block")?)?;
    let value =
        |account: &Address, key: &String| state.slot(account, &storage_key(key)?).map(B256::from).map_err(broken);
    let values = |(account, keys): (Address, Vec<String>)| {
        Ok((account, keys.iter().map(|key| value(&account, key)).collect::<Answer<_>>()?))
    };
    wanted.into_iter().map(values).collect()
}

/// `eth_getProof(address, slots, block)` (EIP-1186).
fn proof(eth: &Eth, params: Params<'_>) -> Answer<Value> {
    let mut params = params.sequence();
    let account: Address = required(&mut params, "address")?;
    let keys: Vec<String> = required(&mut params, "storage keys")?;
    if keys.len() > PROOF_MAX_SLOTS {
        let found = keys.len();
        return Err(error::invalid_params(format_args!(
            "too many keys: {found} are over the limit of {PROOF_MAX_SLOTS}"
        )));
    }
    let slots: Vec<U256> = keys.iter().map(|key| storage_key(key)).collect::<Answer<_>>()?;
    let (_, state) = blocks::state(eth, optional(&mut params, "block")?)?;
    let info = state.account(&account).map_err(broken)?.unwrap_or_default();
    let storage = |(key, slot): (&String, &U256)| {
        json!({
            "key": if key.len() == FULL_KEY_CHARS { json!(B256::from(*slot)) } else { json!(slot) },
            "value": state.trie.slot(&account, slot),
            "proof": state.trie.storage_proof(&account, slot),
        })
    };
    Ok(json!({
        "address": account,
        "accountProof": state.trie.account_proof(&account),
        "balance": info.balance,
        "codeHash": info.code_hash,
        "nonce": hex(info.nonce),
        "storageHash": state.trie.storage_root(&account),
        "storageProof": keys.iter().zip(&slots).map(storage).collect::<Vec<_>>(),
    }))
}
