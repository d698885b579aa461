//! Methods in the name of the chain's own accounts, and of impersonated ones.
//!
//! Invariant: nothing is signed or sent in the name of an account that neither belongs to the chain nor is impersonated, but by the
//! method that says so in its name.

use super::{named, typed_data};
use crate::{
    chain::{
        api::{
            Answer, Eth, broken,
            request::{Ground, call_of, gas_cap},
            required,
        },
        dev::DevChain,
        estimate::{NoEstimate, estimate},
        mempool::PoolError,
    },
    client::DevAccount,
    crypto::EcdsaKey,
    ledger::{tx::sign_ethereum, unsigned},
    rpc::{ErrorObjectOwned, Params, RpcModule, error},
    types::{Address, B256},
};
use alloy_consensus::TypedTransaction;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Bytes, TxKind, eip191_hash_message};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::core::RegisterMethodError;
use serde_json::Value;
use std::sync::Arc;

/// Tip of a transaction that names none.
const DEFAULT_TIP: u128 = 1;
/// What `v` begins at in signatures of messages.
const V_BASE: u8 = 27;

pub(super) fn register(module: &mut RpcModule<()>, chain: &DevChain) -> Result<(), RegisterMethodError> {
    named(module, chain, &["eth_sendTransaction"], send)?;
    named(module, chain, &["eth_sendUnsignedTransaction"], |chain, params| {
        let (from, tx) = filled(chain, required(&mut params.sequence(), "transaction")?)?;
        taken(chain, &unsigned_of(&tx, from)?)
    })?;
    named(module, chain, &["eth_signTransaction"], |chain, params| {
        let (from, tx) = filled(chain, required(&mut params.sequence(), "transaction")?)?;
        signed(&tx, &owned(chain, &from)?.key)
    })?;
    named(module, chain, &["eth_sign"], |chain, params| {
        let mut params = params.sequence();
        let account: Address = required(&mut params, "address")?;
        sign_message(chain, &account, &required::<Bytes>(&mut params, "message")?)
    })?;
    named(module, chain, &["personal_sign"], |chain, params| {
        let mut params = params.sequence();
        let message: Bytes = required(&mut params, "message")?;
        sign_message(chain, &required(&mut params, "address")?, &message)
    })?;
    named(module, chain, &["eth_signTypedData_v4", "eth_signTypedData"], |chain, params| {
        let mut params = params.sequence();
        let account: Address = required(&mut params, "address")?;
        let digest = typed_data::digest(&required::<Value>(&mut params, "typed data")?)?;
        Ok(sign_digest(&owned(chain, &account)?.key, &digest))
    })
}

fn owned<'a>(chain: &'a DevChain, account: &Address) -> Answer<&'a DevAccount> {
    let found = chain.signers().iter().find(|own| own.address == *account);
    found.ok_or_else(|| error::server_error(format_args!("No Signer available: the chain has no key of {account}")))
}

fn sign_message(chain: &DevChain, account: &Address, message: &[u8]) -> Answer<Bytes> {
    Ok(sign_digest(&owned(chain, account)?.key, &eip191_hash_message(message)))
}

fn sign_digest(key: &EcdsaKey, digest: &B256) -> Bytes {
    let signature = key.sign(digest);
    let (r, s) = (signature.r.to_be_bytes::<32>(), signature.s.to_be_bytes::<32>());
    [&r[..], &s, &[V_BASE + u8::from(signature.y_odd)]].concat().into()
}

fn send(chain: &DevChain, params: Params<'_>) -> Answer<B256> {
    let (from, tx) = filled(chain, required(&mut params.sequence(), "transaction")?)?;
    let raw = match chain.signers().iter().find(|own| own.address == from) {
        Some(own) => signed(&tx, &own.key)?,
        None if chain.settings().impersonates(&from) => unsigned_of(&tx, from)?,
        None => {
            let message = format!("No Signer available: {from} is neither an account of this chain nor impersonated");
            return Err(error::server_error(message));
        }
    };
    taken(chain, &raw)
}

fn taken(chain: &DevChain, raw: &[u8]) -> Answer<B256> {
    match chain.take_any(raw) {
        Ok(hash) | Err(PoolError::Known(hash)) => Ok(hash),
        Err(e) => Err(error::rejected(e)),
    }
}

/// The transaction a request describes, with everything that was left out.
fn filled(chain: &DevChain, mut request: TransactionRequest) -> Answer<(Address, TypedTransaction)> {
    let first = chain.signers().first().map(|own| own.address);
    let from = request.from.or(first).ok_or_else(|| error::invalid_params("field `from` is missing"))?;
    request.from = Some(from);
    request.to = request.to.or(Some(TxKind::Create));
    request.chain_id = request.chain_id.or(Some(chain.settings().chain_id));
    request.nonce = request.nonce.or_else(|| Some(chain.next_nonce(&from)));
    if request.gas.is_none() {
        request.gas = Some(needed_gas(chain, &request)?);
    }
    if request.gas_price.is_none() {
        let tip = request.max_priority_fee_per_gas.unwrap_or(DEFAULT_TIP);
        let enough = u128::from(chain.next_base_fee()).saturating_mul(2).saturating_add(tip);
        let max = request.max_fee_per_gas.unwrap_or(enough);
        (request.max_fee_per_gas, request.max_priority_fee_per_gas) = (Some(max), Some(tip.min(max)));
    }
    let built = request.build_typed_tx();
    let tx =
        built.map_err(|_| error::invalid_params("the fields of the transaction belong to no type, or to several"))?;
    Ok((from, tx))
}

/// Gas that suffices in the next block.
fn needed_gas(chain: &DevChain, request: &TransactionRequest) -> Answer<u64> {
    let eth: Eth = Arc::new(chain.clone());
    let ground = Ground::after(&eth, Some(BlockId::Number(BlockNumberOrTag::Pending)))?;
    let session = ground.session(None, None)?;
    let cap = gas_cap(&ground.env).min(ground.env.gas_limit);
    // Whatever it offers for gas: whether it can pay is seen when it is sent.
    let (gas_price, max_fee_per_gas, max_priority_fee_per_gas) = (None, None, None);
    let free = TransactionRequest { gas_price, max_fee_per_gas, max_priority_fee_per_gas, ..request.clone() };
    let call = call_of(free, &ground.env, cap)?;
    estimate(&session, &call, cap).map_err(|reason| match reason {
        NoEstimate::Reverted(data) => error::reverted(data),
        NoEstimate::Broken(reason) => broken(reason),
        failed => error::server_error(failed),
    })
}

fn signed(tx: &TypedTransaction, key: &EcdsaKey) -> Answer<Bytes> {
    match tx {
        TypedTransaction::Legacy(tx) => Ok(sign_ethereum(tx, key)),
        TypedTransaction::Eip2930(tx) => Ok(sign_ethereum(tx, key)),
        TypedTransaction::Eip1559(tx) => Ok(sign_ethereum(tx, key)),
        TypedTransaction::Eip7702(tx) => Ok(sign_ethereum(tx, key)),
        TypedTransaction::Eip4844(_) => Err(blobs()),
    }
}

fn unsigned_of(tx: &TypedTransaction, from: Address) -> Answer<Bytes> {
    match tx {
        TypedTransaction::Legacy(tx) => Ok(unsigned::envelope(tx, from)),
        TypedTransaction::Eip2930(tx) => Ok(unsigned::envelope(tx, from)),
        TypedTransaction::Eip1559(tx) => Ok(unsigned::envelope(tx, from)),
        TypedTransaction::Eip7702(tx) => Ok(unsigned::envelope(tx, from)),
        TypedTransaction::Eip4844(_) => Err(blobs()),
    }
}

fn blobs() -> ErrorObjectOwned {
    error::rejected(crate::ledger::tx::TxError::Blob)
}
