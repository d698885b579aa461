//! The native transaction, type `0x6c`: signed with ed25519, otherwise like an EIP-1559 call.
//!
//! Envelope (EIP-2718): `0x6c ‖ rlp([chain_id, nonce, max_priority_fee, max_fee, gas_limit, key, to, value, data, signature])`.
//! RLP so that Ethereum tooling can take it apart; the signature is the last item of the list as in Ethereum's own types. What is
//! signed is the BLAKE3 of the list without its last item under [`DOMAIN_NATIVE_TX`](crate::crypto::hash::DOMAIN_NATIVE_TX). The sender is the key's native address.
//! A batch of calls has a list of them where a single call has `to, value, data`; see [`batch`].

mod batch;
mod head;

use super::tx::{Fields, TxError, TxSignature, VerifiedTx, check};
use crate::{
    crypto::{KnownKeys, PublicKey, SecretKey, Signature, Zip215Item, judge_zip215, native_address, verify_zip215},
    types::{Address, ChainId, U256},
};
use alloy_primitives::{Bytes, keccak256};
use alloy_rlp::{Decodable, Encodable};
use head::{Head, check_shortest};
use std::sync::Arc;

pub use batch::{BATCH_MAX_CALLS, Call, CallFailed, NativeBatch, decode_batch, is_batch};

pub(super) use batch::BatchGas;

/// EIP-2718 type of a native transaction.
pub const NATIVE_TX_TYPE: u8 = 0x6c;

/// A native transaction before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeTx {
    /// The chain it is for.
    pub chain_id: ChainId,
    /// Position among the sender's transactions.
    pub nonce: u64,
    /// Most it tips for a unit of gas.
    pub max_priority_fee: u64,
    /// Most it pays for a unit of gas.
    pub max_fee: u64,
    /// Most gas it may use.
    pub gas_limit: u64,
    /// Key of the sender.
    pub key: PublicKey,
    /// Callee. Native accounts call contracts, they do not create them.
    pub to: Address,
    /// Value moved to the callee.
    pub value: U256,
    /// Call data.
    pub data: Bytes,
}

impl NativeTx {
    /// The account that sends it.
    pub fn sender(&self) -> Address {
        native_address(&self.key)
    }

    /// What the key signs.
    pub fn signing_hash(&self) -> [u8; 32] {
        self.head().signing_hash(&self.body())
    }

    /// Signs with the key the transaction names and returns the envelope.
    pub fn sign(&self, secret: &SecretKey) -> Bytes {
        assert_eq!(secret.public(), self.key, "a native transaction is signed by the key it names");
        self.envelope(&secret.sign(&self.signing_hash())).into()
    }

    fn envelope(&self, signature: &Signature) -> Vec<u8> {
        self.head().envelope(&self.body(), signature)
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

    fn body(&self) -> [&dyn Encodable; 3] {
        [&self.to, &self.value, &self.data]
    }

    fn fields(&self) -> Fields {
        Fields { to: Some(self.to), value: self.value, input: self.data.clone(), ..self.head().fields() }
    }
}

/// Decodes an envelope without judging it.
pub fn decode(raw: &[u8]) -> Result<(NativeTx, Signature), TxError> {
    let (head, (to, value, data), signature) =
        Head::decode(raw, |list| Ok((Address::decode(list)?, U256::decode(list)?, Bytes::decode(list)?)))?;
    let Head { chain_id, nonce, max_priority_fee, max_fee, gas_limit, key } = head;
    let tx = NativeTx { chain_id, nonce, max_priority_fee, max_fee, gas_limit, key, to, value, data };
    check_shortest(raw, &tx.envelope(&signature))?;
    Ok((tx, signature))
}

/// A native transaction whose form is checked and whose signature is not.
pub(super) struct Unproven {
    tx: Arc<VerifiedTx>,
    /// What its key should have signed.
    signed: [u8; 32],
}

impl Unproven {
    /// Decodes an envelope and checks its form.
    pub fn decode(raw: &[u8], chain_id: ChainId) -> Result<Self, TxError> {
        if is_batch(raw) {
            return batch::decode_unproven(raw, chain_id);
        }
        let (tx, signature) = decode(raw)?;
        let fields = tx.fields();
        check(&fields, chain_id)?;
        Ok(Self::new(raw, &tx.key, tx.nonce, fields, signature, tx.signing_hash()))
    }

    fn new(raw: &[u8], key: &PublicKey, nonce: u64, fields: Fields, signature: Signature, signed: [u8; 32]) -> Self {
        let (hash, sender, raw) = (keccak256(raw), native_address(key), raw.to_vec().into());
        let signature = TxSignature::Ed25519(*key, signature);
        Self { tx: Arc::new(VerifiedTx { hash, sender, nonce, raw, fields, signature }), signed }
    }

    fn signature(&self) -> Zip215Item<'_> {
        match &self.tx.signature {
            TxSignature::Ed25519(key, signature) => (&self.signed, *signature, *key),
            TxSignature::Ecdsa(_) => unreachable!("it was built with an ed25519 signature"),
        }
    }

    /// Checks its signature.
    pub fn prove(self) -> Result<VerifiedTx, TxError> {
        match verify_zip215(&self.signature()) {
            true => Ok(Arc::unwrap_or_clone(self.tx)),
            false => Err(TxError::BadSignature),
        }
    }

    /// Checks the signatures of many at once: each gets the answer it would get alone.
    pub fn prove_all(many: Vec<Self>, known: &KnownKeys) -> Vec<Result<Arc<VerifiedTx>, TxError>> {
        let signatures: Vec<Zip215Item<'_>> = many.iter().map(Self::signature).collect();
        let valid = judge_zip215(&signatures, known);
        let answer = |(one, valid): (Self, bool)| if valid { Ok(one.tx) } else { Err(TxError::BadSignature) };
        many.into_iter().zip(valid).map(answer).collect()
    }
}
