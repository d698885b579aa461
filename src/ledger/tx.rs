//! Signed transactions: which envelopes this chain accepts, and who signed them.
//!
//! Owns decoding, sender recovery and every check that needs no state. Must not know fees of the day, nonces or balances.
//! Invariants of a [`VerifiedTx`]: `raw` is the only encoding of the transaction and `hash` its keccak256; `sender` signed it for
//! this chain; its gas limit covers what it costs before it starts and fits a block.

use super::{
    native::{BatchGas, Call, NATIVE_TX_TYPE, Unproven},
    unsigned,
};
use crate::{
    crypto::{EcdsaKey, EcdsaSignature, KnownKeys, PublicKey, Signature as Ed25519Signature, recover_address},
    types::{
        Address, B256, ChainId, U256,
        params::{BLOCK_GAS_LIMIT, TX_MAX_BYTES},
    },
};
use alloy_consensus::{
    SignableTransaction, Transaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy,
    transaction::{RlpEcdsaDecodableTx, RlpEcdsaEncodableTx},
};
use alloy_eips::{
    eip2930::AccessList,
    eip4844::DATA_GAS_PER_BLOB,
    eip7702::{RecoveredAuthority, RecoveredAuthorization, SignedAuthorization},
};
use alloy_primitives::{Bytes, Signature, keccak256};
use rayon::prelude::*;
use revm::{
    context_interface::cfg::GasParams,
    primitives::{eip3860::MAX_INITCODE_SIZE, hardfork::SpecId},
};
use std::sync::Arc;

/// Envelopes read by one thread at least, where many are read.
const READ_MIN_TXS: usize = 32;

/// Why a transaction was refused before it reached state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// Larger than any transaction may be.
    #[error("transaction is {len} B, the limit is {max} B")]
    TooLarge { len: usize, max: usize },
    /// A type this chain does not know.
    #[error("transaction type 0x{0:02x} is not known")]
    UnknownType(u8),
    /// EIP-4844.
    #[error("blob transactions (type 0x03) are not accepted on this chain, store data as a file instead")]
    Blob,
    /// Not an encoding of its type, or not the shortest one.
    #[error("transaction is malformed: {0}")]
    Malformed(String),
    /// Legacy without EIP-155.
    #[error("transaction names no chain id (EIP-155) and could be replayed from another chain")]
    NoChainId,
    /// Signed for another chain.
    #[error("transaction is for chain {found}, this is chain {expected}")]
    WrongChain { found: ChainId, expected: ChainId },
    /// The signature is not valid.
    #[error("transaction signature is not valid")]
    BadSignature,
    /// More gas than a block has.
    #[error("gas limit {gas_limit} is above the block's limit of {max}")]
    GasLimitTooHigh { gas_limit: u64, max: u64 },
    /// Less gas than is charged before execution.
    #[error("gas limit {gas_limit} is below the {required} charged before execution")]
    GasLimitTooLow { gas_limit: u64, required: u64 },
    /// EIP-1559 fields that contradict each other.
    #[error("priority fee {priority} is above the maximum fee {max}")]
    PriorityAboveMax { priority: u128, max: u128 },
    /// EIP-3860.
    #[error("init code is {len} B, the limit is {max} B")]
    InitCodeTooLarge { len: usize, max: usize },
    /// EIP-7702.
    #[error("set-code transaction carries no authorization")]
    NoAuthorization,
    /// A batch of nothing, or of too much.
    #[error("native batch holds {calls} calls, it may hold 1 to {max}")]
    CallCount { calls: usize, max: usize },
    /// More value than there is.
    #[error("native batch moves more than 2^256 smallest units")]
    BatchValue,
    /// Below the block's base fee.
    #[error("fee of {offered} a unit of gas is below the base fee of {base_fee}")]
    FeeTooLow { offered: u128, base_fee: u64 },
}

/// What proves the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxSignature {
    /// Of an Ethereum account.
    Ecdsa(EcdsaSignature),
    /// Of a native account.
    Ed25519(PublicKey, Ed25519Signature),
}

/// A transaction whose form and signature are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedTx {
    /// keccak256 of `raw`.
    pub hash: B256,
    /// Who signed.
    pub sender: Address,
    /// Position among the sender's transactions.
    pub nonce: u64,
    /// The envelope as it travels and as blocks hold it.
    pub raw: Bytes,
    pub(super) fields: Fields,
    pub(super) signature: TxSignature,
}

/// What all types have in common once decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    pub tx_type: u8,
    pub chain_id: ChainId,
    pub gas_limit: u64,
    pub max_fee: u128,
    /// `None` for the types before EIP-1559, whose whole price above the base fee is the tip.
    pub priority_fee: Option<u128>,
    pub to: Option<Address>,
    pub value: U256,
    pub input: Bytes,
    pub access_list: AccessList,
    pub authorizations: Vec<SignedAuthorization>,
    pub authorities: Vec<RecoveredAuthorization>,
    /// The calls of a native batch; `to` and `input` are then the first one's and `value` is the sum.
    pub calls: Vec<Call>,
    /// Whether it names its chain. Only Ethereum's own chains hold transactions that do not.
    pub bound: bool,
    /// What it carries of blobs, on chains that have them.
    pub blobs: Option<BlobFields>,
}

/// Of a blob transaction (EIP-4844).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlobFields {
    pub hashes: Vec<B256>,
    pub max_fee: u128,
}

impl VerifiedTx {
    /// EIP-2718 type; 0 is legacy, 0x6c native.
    pub fn tx_type(&self) -> u8 {
        self.fields.tx_type
    }

    /// The chain it is for.
    pub fn chain_id(&self) -> ChainId {
        self.fields.chain_id
    }

    /// Most gas it may use.
    pub fn gas_limit(&self) -> u64 {
        self.fields.gas_limit
    }

    /// Most it pays for a unit of gas.
    pub fn max_fee(&self) -> u128 {
        self.fields.max_fee
    }

    /// Most it tips for a unit of gas; the whole price for types before EIP-1559.
    pub fn max_priority_fee(&self) -> u128 {
        self.fields.priority_fee.unwrap_or(self.fields.max_fee)
    }

    /// Whether base fee and tip are priced apart (EIP-1559).
    pub fn has_dynamic_fee(&self) -> bool {
        self.fields.priority_fee.is_some()
    }

    /// Price of a unit of gas in a block with this base fee.
    pub fn effective_gas_price(&self, base_fee: u64) -> u128 {
        match self.fields.priority_fee {
            Some(tip) => self.fields.max_fee.min(u128::from(base_fee).saturating_add(tip)),
            None => self.fields.max_fee,
        }
    }

    /// What the proposer gets for a unit of gas in a block with this base fee, if the fee covers it.
    pub fn tip(&self, base_fee: u64) -> Result<u128, TxError> {
        let too_low = TxError::FeeTooLow { offered: self.fields.max_fee, base_fee };
        self.effective_gas_price(base_fee).checked_sub(u128::from(base_fee)).ok_or(too_low)
    }

    /// The most it can take from the sender: value and all gas at the maximum fee.
    pub fn max_cost(&self) -> U256 {
        let gas = U256::from(self.fields.gas_limit).saturating_mul(U256::from(self.fields.max_fee));
        gas.saturating_add(self.fields.value).saturating_add(self.max_blob_cost())
    }

    /// Gas of its blobs, which is priced apart.
    pub fn blob_gas(&self) -> u64 {
        let blobs = self.fields.blobs.as_ref().map_or(0, |blobs| blobs.hashes.len());
        u64::try_from(blobs).expect("a transaction is smaller than 2^64").saturating_mul(DATA_GAS_PER_BLOB)
    }

    /// The most its blobs can cost.
    fn max_blob_cost(&self) -> U256 {
        let price = self.fields.blobs.as_ref().map_or(0, |blobs| blobs.max_fee);
        U256::from(self.blob_gas()).saturating_mul(U256::from(price))
    }

    /// Callee, `None` to create a contract.
    pub fn to(&self) -> Option<Address> {
        self.fields.to
    }

    /// Value moved to the callee.
    pub fn value(&self) -> U256 {
        self.fields.value
    }

    /// Call data or init code.
    pub fn input(&self) -> &Bytes {
        &self.fields.input
    }

    /// Calls of a native batch, in order; none for every other transaction. Callee and call data above are the first call's, the
    /// value is the sum of all.
    pub fn calls(&self) -> &[Call] {
        &self.fields.calls
    }

    /// EIP-2930 access list.
    pub fn access_list(&self) -> &AccessList {
        &self.fields.access_list
    }

    /// EIP-7702 authorizations as signed.
    pub fn authorizations(&self) -> &[SignedAuthorization] {
        &self.fields.authorizations
    }

    /// What proves the sender.
    pub fn signature(&self) -> &TxSignature {
        &self.signature
    }

    /// Whether a developer's chain made it in the name of an account that did not sign.
    pub fn is_unsigned(&self) -> bool {
        matches!(&self.signature, TxSignature::Ecdsa(signature) if unsigned::sender(signature).is_some())
    }
}

/// Decodes an envelope, checks its form and recovers its sender. Costs one signature verification and one for each authorization.
///
/// Native signatures count by the rules of ZIP-215, so that one alone gets the answer it gets in [`decode_and_recover_all`].
pub fn decode_and_recover(raw: &[u8], chain_id: ChainId) -> Result<VerifiedTx, TxError> {
    decode_with(raw, chain_id, recover_address)
}

/// Who signed a digest, if anybody did.
type Recover = fn(&B256, &EcdsaSignature) -> Option<Address>;

/// As [`decode_and_recover`], with another idea of who signed an Ethereum transaction.
pub(super) fn decode_with(raw: &[u8], chain_id: ChainId, recover: Recover) -> Result<VerifiedTx, TxError> {
    if raw.len() > TX_MAX_BYTES {
        return Err(TxError::TooLarge { len: raw.len(), max: TX_MAX_BYTES });
    }
    match raw.first() {
        None => Err(TxError::Malformed("it is empty".into())),
        Some(0xc0..) => ethereum::<TxLegacy>(raw, raw, chain_id, recover),
        Some(1) => ethereum::<TxEip2930>(raw, &raw[1..], chain_id, recover),
        Some(2) => ethereum::<TxEip1559>(raw, &raw[1..], chain_id, recover),
        Some(3) => Err(TxError::Blob),
        Some(4) => ethereum::<TxEip7702>(raw, &raw[1..], chain_id, recover),
        Some(&NATIVE_TX_TYPE) => Unproven::decode(raw, chain_id)?.prove(),
        Some(&other) => Err(TxError::UnknownType(other)),
    }
}

/// Decodes many envelopes on all threads of the pool this runs in. Each gets the answer [`decode_and_recover`] gives; native
/// signatures cost a third that way, and less where their keys are in `known`.
pub fn decode_and_recover_all(
    raws: &[&[u8]],
    chain_id: ChainId,
    known: &KnownKeys,
) -> Vec<Result<Arc<VerifiedTx>, TxError>> {
    let read = |raw: &&[u8]| Read::one(raw, chain_id);
    let read: Vec<Read> = match raws {
        [one] => vec![read(one)],
        many => many.par_iter().with_min_len(READ_MIN_TXS).map(read).collect(),
    };
    let (mut answers, mut unproven, mut places) = (Vec::with_capacity(raws.len()), Vec::new(), Vec::new());
    for (place, one) in read.into_iter().enumerate() {
        match one {
            Read::Done(answer) => answers.push(answer),
            Read::Unproven(one) => {
                unproven.push(one);
                places.push(place);
                // Until all signatures are checked below.
                answers.push(Err(TxError::BadSignature));
            }
        }
    }
    for (place, proven) in places.into_iter().zip(Unproven::prove_all(unproven, known)) {
        answers[place] = proven;
    }
    answers
}

/// An envelope of many, before the native signatures are checked together.
enum Read {
    Done(Result<Arc<VerifiedTx>, TxError>),
    Unproven(Unproven),
}

impl Read {
    fn one(raw: &[u8], chain_id: ChainId) -> Self {
        let is_native = raw.first() == Some(&NATIVE_TX_TYPE) && raw.len() <= TX_MAX_BYTES;
        match is_native.then(|| Unproven::decode(raw, chain_id)) {
            Some(Ok(one)) => Self::Unproven(one),
            Some(Err(error)) => Self::Done(Err(error)),
            None => Self::Done(decode_and_recover(raw, chain_id).map(Arc::new)),
        }
    }
}

/// Signs an EIP-1559 transaction and returns its envelope.
pub fn sign_eip1559(tx: &TxEip1559, key: &EcdsaKey) -> Bytes {
    sign_ethereum(tx, key)
}

/// Signs an Ethereum transaction of any type and returns its envelope.
pub fn sign_ethereum<T>(tx: &T, key: &EcdsaKey) -> Bytes
where
    T: SignableTransaction<Signature> + RlpEcdsaEncodableTx,
{
    let signature = key.sign(&tx.signature_hash());
    let mut raw = Vec::new();
    tx.eip2718_encode(&Signature::new(signature.r, signature.s, signature.y_odd), &mut raw);
    raw.into()
}

fn ethereum<T>(raw: &[u8], payload: &[u8], chain_id: ChainId, recover: Recover) -> Result<VerifiedTx, TxError>
where
    T: RlpEcdsaDecodableTx + SignableTransaction<Signature> + Transaction,
{
    let mut rest = payload;
    let (tx, signature) = T::rlp_decode_with_signature(&mut rest).map_err(|e| TxError::Malformed(e.to_string()))?;
    let mut canonical = Vec::with_capacity(raw.len());
    tx.eip2718_encode(&signature, &mut canonical);
    if canonical != raw {
        return Err(TxError::Malformed("it is not in its shortest encoding, or bytes follow it".into()));
    }
    let found = tx.chain_id().ok_or(TxError::NoChainId)?;
    let mut fields = Fields {
        tx_type: alloy_eips::Typed2718::ty(&tx),
        chain_id: found,
        gas_limit: tx.gas_limit(),
        max_fee: tx.max_fee_per_gas(),
        priority_fee: tx.max_priority_fee_per_gas(),
        to: tx.to(),
        value: tx.value(),
        input: tx.input().clone(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        authorizations: tx.authorization_list().map(<[_]>::to_vec).unwrap_or_default(),
        authorities: Vec::new(),
        calls: Vec::new(),
        bound: true,
        blobs: None,
    };
    check(&fields, chain_id)?;
    let signature = EcdsaSignature { r: signature.r(), s: signature.s(), y_odd: signature.v() };
    let sender = recover(&tx.signature_hash(), &signature).ok_or(TxError::BadSignature)?;
    fields.authorities = fields.authorizations.iter().map(recover_authority).collect();
    let signature = TxSignature::Ecdsa(signature);
    Ok(VerifiedTx { hash: keccak256(raw), sender, nonce: tx.nonce(), raw: raw.to_vec().into(), fields, signature })
}

/// An authorization nobody signed is skipped by the executor, as EIP-7702 asks; it does not void the transaction.
pub(super) fn recover_authority(signed: &SignedAuthorization) -> RecoveredAuthorization {
    let signature = EcdsaSignature { r: signed.r(), s: signed.s(), y_odd: signed.y_parity() == 1 };
    let signer = match signed.y_parity() {
        0 | 1 => recover_address(&signed.inner().signature_hash(), &signature),
        _ => None,
    };
    let authority = signer.map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid);
    RecoveredAuthorization::new_unchecked(signed.inner().clone(), authority)
}

/// Every check that needs neither state nor signatures. Cheap, so that it comes before the signatures.
pub(super) fn check(fields: &Fields, chain_id: ChainId) -> Result<(), TxError> {
    if fields.chain_id != chain_id {
        return Err(TxError::WrongChain { found: fields.chain_id, expected: chain_id });
    }
    if let Some(priority) = fields.priority_fee
        && priority > fields.max_fee
    {
        return Err(TxError::PriorityAboveMax { priority, max: fields.max_fee });
    }
    if fields.to.is_none() && fields.input.len() > MAX_INITCODE_SIZE {
        return Err(TxError::InitCodeTooLarge { len: fields.input.len(), max: MAX_INITCODE_SIZE });
    }
    if fields.tx_type == SET_CODE_TX_TYPE && fields.authorizations.is_empty() {
        return Err(TxError::NoAuthorization);
    }
    if fields.gas_limit > BLOCK_GAS_LIMIT {
        return Err(TxError::GasLimitTooHigh { gas_limit: fields.gas_limit, max: BLOCK_GAS_LIMIT });
    }
    let required = intrinsic_gas(fields);
    if fields.gas_limit < required {
        return Err(TxError::GasLimitTooLow { gas_limit: fields.gas_limit, required });
    }
    Ok(())
}

/// EIP-7702.
const SET_CODE_TX_TYPE: u8 = 4;

/// Gas charged for being a transaction of this shape: base, call data and its floor (EIP-7623), lists.
fn intrinsic_gas(fields: &Fields) -> u64 {
    if !fields.calls.is_empty() {
        let gas = BatchGas::of(&fields.calls);
        return gas.initial.max(gas.floor);
    }
    let count = |n: usize| u64::try_from(n).expect("a transaction is smaller than 2^64");
    let gas = GasParams::new_spec(SpecId::OSAKA).initial_tx_gas(
        &fields.input,
        fields.to.is_none(),
        count(fields.access_list.len()),
        count(fields.access_list.storage_keys_count()),
        count(fields.authorizations.len()),
        None,
    );
    gas.initial_total_gas().max(gas.floor_gas())
}

#[cfg(test)]
mod tests;
