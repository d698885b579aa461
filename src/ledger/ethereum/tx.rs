//! Transactions of Ethereum's own chains: without EIP-155, with blobs, with whatever gas limit.

use crate::{
    crypto::{EcdsaSignature, KnownKeys, recover_address},
    ledger::tx::{BlobFields, Fields, TxError, TxSignature, VerifiedTx, recover_authority},
    types::ChainId,
};
use alloy_consensus::{
    SignableTransaction, Transaction, TxEip4844Variant, TxEip4844WithSidecar, TxEnvelope,
    transaction::RlpEcdsaDecodableTx,
};
use alloy_eips::{Typed2718, eip2718::Decodable2718, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::{Bytes, Signature, keccak256};
use std::sync::Arc;

/// EIP-2718 type of blob transactions.
const BLOB_TX_TYPE: u8 = 3;

/// Decodes an envelope of a chain with this id and recovers its sender. A blob transaction may come with its blobs, as it travels
/// between nodes, or without, as blocks hold it; what is kept is the form without.
pub fn decode(raw: &[u8], chain_id: ChainId) -> Result<VerifiedTx, TxError> {
    let malformed = |e: alloy_eips::eip2718::Eip2718Error| TxError::Malformed(e.to_string());
    match TxEnvelope::decode_2718_exact(raw) {
        Ok(envelope) => of_envelope(&envelope, raw, chain_id),
        Err(_) if raw.first() == Some(&BLOB_TX_TYPE) => with_blobs(&raw[1..], chain_id),
        Err(e) => Err(malformed(e)),
    }
}

/// Decodes many envelopes, each as [`decode`] does. None of them names an ed25519 key.
pub fn decode_all(raws: &[&[u8]], chain_id: ChainId, _: &KnownKeys) -> Vec<Result<Arc<VerifiedTx>, TxError>> {
    raws.iter().map(|raw| decode(raw, chain_id).map(Arc::new)).collect()
}

fn of_envelope(envelope: &TxEnvelope, raw: &[u8], chain_id: ChainId) -> Result<VerifiedTx, TxError> {
    let hash = match envelope {
        TxEnvelope::Legacy(tx) => tx.tx().signature_hash(),
        TxEnvelope::Eip2930(tx) => tx.tx().signature_hash(),
        TxEnvelope::Eip1559(tx) => tx.tx().signature_hash(),
        TxEnvelope::Eip4844(tx) => tx.tx().signature_hash(),
        TxEnvelope::Eip7702(tx) => tx.tx().signature_hash(),
    };
    let signature = *envelope.signature();
    verified(envelope, &signature, &hash, raw.to_vec().into(), chain_id)
}

/// The form that travels: the transaction, its blobs, commitments and proofs.
fn with_blobs(mut payload: &[u8], chain_id: ChainId) -> Result<VerifiedTx, TxError> {
    type Travelling = TxEip4844WithSidecar<BlobTransactionSidecarVariant>;
    let (tx, signature) =
        Travelling::rlp_decode_with_signature(&mut payload).map_err(|e| TxError::Malformed(e.to_string()))?;
    if !payload.is_empty() {
        return Err(TxError::Malformed("bytes follow it".into()));
    }
    let named: Vec<_> = tx.sidecar.versioned_hashes().collect();
    if named != tx.tx.blob_versioned_hashes {
        return Err(TxError::Malformed("its blobs are not those its hashes name".into()));
    }
    let signed = tx.tx.into_signed(signature);
    let envelope = TxEnvelope::Eip4844(signed.map(TxEip4844Variant::TxEip4844));
    let raw = alloy_eips::eip2718::Encodable2718::encoded_2718(&envelope);
    of_envelope(&envelope, &raw, chain_id)
}

fn verified(
    tx: &TxEnvelope,
    signature: &Signature,
    signing_hash: &alloy_primitives::B256,
    raw: Bytes,
    chain_id: ChainId,
) -> Result<VerifiedTx, TxError> {
    let bound = tx.chain_id();
    if let Some(found) = bound
        && found != chain_id
    {
        return Err(TxError::WrongChain { found, expected: chain_id });
    }
    let max_fee = tx.max_fee_per_gas();
    if let Some(priority) = tx.max_priority_fee_per_gas()
        && priority > max_fee
    {
        return Err(TxError::PriorityAboveMax { priority, max: max_fee });
    }
    let blobs = tx
        .blob_versioned_hashes()
        .map(|hashes| BlobFields { hashes: hashes.to_vec(), max_fee: tx.max_fee_per_blob_gas().unwrap_or_default() });
    let authorizations = tx.authorization_list().map(<[_]>::to_vec).unwrap_or_default();
    let fields = Fields {
        tx_type: tx.ty(),
        chain_id,
        gas_limit: tx.gas_limit(),
        max_fee,
        priority_fee: tx.max_priority_fee_per_gas(),
        to: tx.to(),
        value: tx.value(),
        input: tx.input().clone(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        authorities: authorizations.iter().map(recover_authority).collect(),
        calls: Vec::new(),
        authorizations,
        bound: bound.is_some(),
        blobs,
    };
    let signature = EcdsaSignature { r: signature.r(), s: signature.s(), y_odd: signature.v() };
    let sender = recover_address(signing_hash, &signature).ok_or(TxError::BadSignature)?;
    let (hash, nonce) = (keccak256(&raw), tx.nonce());
    Ok(VerifiedTx { hash, sender, nonce, raw, fields, signature: TxSignature::Ecdsa(signature) })
}
