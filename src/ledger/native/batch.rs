//! Batches of calls: several calls of one native account under one signature and one nonce, all or none.
//!
//! Owns their envelope, `0x6c ‖ rlp([chain_id, nonce, max_priority_fee, max_fee, gas_limit, key, calls, signature])` with `calls` a
//! list of `[to, value, data]`, and what a batch costs before it runs. Must not know how calls run. Invariants: no bytes are both
//! a batch and a single call, whose seventh item is a string; the signature covers every call and their order.

use super::{
    super::tx::{Fields, TxError, check},
    NATIVE_TX_TYPE, Unproven,
    head::{HEAD_ITEMS, Head, check_shortest},
};
use crate::{
    crypto::{PublicKey, SecretKey, Signature, native_address},
    types::{Address, ChainId, U256},
};
use alloy_primitives::Bytes;
use alloy_rlp::{Decodable, Header, RlpDecodable, RlpEncodable};
use revm::{context_interface::cfg::GasParams, primitives::hardfork::SpecId};

/// Most calls of a batch.
pub const BATCH_MAX_CALLS: usize = 1_024;

alloy_sol_types::sol! {
    /// What a failed batch reverts with: which call failed, and its own revert data. Nothing of any call remains.
    #[derive(Debug, PartialEq, Eq)]
    error CallFailed(uint256 index, bytes reason);
}

/// One call of a batch.
#[derive(Debug, Clone, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Call {
    /// Callee.
    pub to: Address,
    /// Value moved to the callee.
    pub value: U256,
    /// Call data.
    pub data: Bytes,
}

/// A batch before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeBatch {
    /// The chain it is for.
    pub chain_id: ChainId,
    /// Position among the sender's transactions.
    pub nonce: u64,
    /// Most it tips for a unit of gas.
    pub max_priority_fee: u64,
    /// Most it pays for a unit of gas.
    pub max_fee: u64,
    /// Most gas all calls together may use.
    pub gas_limit: u64,
    /// Key of the sender.
    pub key: PublicKey,
    /// What is called, in order; 1 to [`BATCH_MAX_CALLS`].
    pub calls: Vec<Call>,
}

impl NativeBatch {
    /// The account that sends it, and that every callee sees as its caller.
    pub fn sender(&self) -> Address {
        native_address(&self.key)
    }

    /// What the key signs.
    pub fn signing_hash(&self) -> [u8; 32] {
        self.head().signing_hash(&[&self.calls])
    }

    /// Signs with the key the batch names and returns the envelope.
    pub fn sign(&self, secret: &SecretKey) -> Bytes {
        assert_eq!(secret.public(), self.key, "a native batch is signed by the key it names");
        self.envelope(&secret.sign(&self.signing_hash())).into()
    }

    fn envelope(&self, signature: &Signature) -> Vec<u8> {
        self.head().envelope(&[&self.calls], signature)
    }

    fn head(&self) -> Head {
        Head {
            chain_id: self.chain_id,
            nonce: self.nonce,
            max_priority_fee: self.max_priority_fee,
            max_fee: self.max_fee,
            gas_limit: self.gas_limit,
            key: self.key,
        }
    }

    /// The batch as all types of transactions are looked at.
    fn fields(self) -> Result<Fields, TxError> {
        let (calls, max) = (self.calls.len(), BATCH_MAX_CALLS);
        let Some(first) = self.calls.first().filter(|_| calls <= max) else {
            return Err(TxError::CallCount { calls, max });
        };
        let value = self.calls.iter().try_fold(U256::ZERO, |sum, call| sum.checked_add(call.value));
        let value = value.ok_or(TxError::BatchValue)?;
        let (to, input, head) = (Some(first.to), first.data.clone(), self.head());
        Ok(Fields { to, value, input, calls: self.calls, ..head.fields() })
    }
}

/// Whether a native envelope has the shape of a batch: a list where a single call has its callee.
pub fn is_batch(raw: &[u8]) -> bool {
    let Some((&NATIVE_TX_TYPE, mut rest)) = raw.split_first() else { return false };
    if !Header::decode(&mut rest).is_ok_and(|header| header.list) {
        return false;
    }
    for _ in 0..HEAD_ITEMS {
        let Ok(header) = Header::decode(&mut rest) else { return false };
        let Some(next) = rest.get(header.payload_length..) else { return false };
        rest = next;
    }
    Header::decode(&mut rest).is_ok_and(|header| header.list)
}

/// Decodes an envelope without judging it.
pub fn decode_batch(raw: &[u8]) -> Result<(NativeBatch, Signature), TxError> {
    let (head, calls, signature) = Head::decode(raw, Vec::<Call>::decode)?;
    let Head { chain_id, nonce, max_priority_fee, max_fee, gas_limit, key } = head;
    let batch = NativeBatch { chain_id, nonce, max_priority_fee, max_fee, gas_limit, key, calls };
    check_shortest(raw, &batch.envelope(&signature))?;
    Ok((batch, signature))
}

/// Decodes an envelope and checks its form.
pub(super) fn decode_unproven(raw: &[u8], chain_id: ChainId) -> Result<Unproven, TxError> {
    let (batch, signature) = decode_batch(raw)?;
    let (key, nonce, signed) = (batch.key, batch.nonce, batch.signing_hash());
    let fields = batch.fields()?;
    check(&fields, chain_id)?;
    Ok(Unproven::new(raw, &key, nonce, fields, signature, signed))
}

/// What a batch costs before any of its calls runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) struct BatchGas {
    /// Charged at the start.
    pub initial: u64,
    /// Used at least (EIP-7623).
    pub floor: u64,
}

impl BatchGas {
    /// Charged when a call after the first brings an account into being by moving value to it: with what it was charged at the
    /// start as much as a transaction of its own. Accounts are no cheaper in a batch, and a batch is never dearer.
    pub fn new_account() -> u64 {
        let to = Call { to: Address::ZERO, value: U256::from(1), data: Bytes::new() };
        let (one, two) = (Self::of(std::slice::from_ref(&to)).initial, Self::of(&[to.clone(), to]).initial);
        one - (two - one)
    }

    /// One transaction's base, the call data of all calls, and for each call after the first what the CALL instruction
    /// charges whatever happens: an account's first access, and the transfer if it moves value.
    pub fn of(calls: &[Call]) -> Self {
        let params = GasParams::new_spec(SpecId::OSAKA);
        let alone = |data: &[u8]| {
            let gas = params.initial_tx_gas(data, false, 0, 0, 0, None);
            Self { initial: gas.initial_total_gas(), floor: gas.floor_gas() }
        };
        let base = alone(&[]);
        let access = params.warm_storage_read_cost() + params.cold_account_additional_cost();
        let mut gas = base;
        for (index, call) in calls.iter().enumerate() {
            let data = alone(&call.data);
            gas.initial += data.initial - base.initial;
            gas.floor += data.floor - base.floor;
            if index > 0 {
                gas.initial += access;
                gas.initial += if call.value.is_zero() { 0 } else { params.transfer_value_cost() };
            }
        }
        gas
    }
}

#[cfg(test)]
mod tests;
