//! The native transaction, type `0x6c`: signed with ed25519, otherwise like an EIP-1559 call.
//!
//! Envelope (EIP-2718): `0x6c ‖ rlp([chain_id, nonce, max_priority_fee, max_fee, gas_limit, key, to, value, data, signature])`.
//! RLP so that Ethereum tooling can take it apart; the signature is the last item of the list as in Ethereum's own types. What is
//! signed is the BLAKE3 of the list without its last item under [`DOMAIN_NATIVE_TX`]. The sender is the key's native address.
//! A batch of calls has a list of them where a single call has `to, value, data`; see [`batch`].

mod batch;

use super::tx::{Fields, TxError, TxSignature, VerifiedTx, check};
use crate::{
    crypto::{
        PublicKey, SecretKey, Signature, Zip215Item,
        hash::{DOMAIN_NATIVE_TX, tagged},
        native_address, verify_all_zip215, verify_zip215,
    },
    types::{Address, B256, ChainId, U256},
};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{B512, Bytes, keccak256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};

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

/// The signed part of the list.
#[derive(RlpEncodable)]
struct Unsigned {
    chain_id: u64,
    nonce: u64,
    max_priority_fee: u64,
    max_fee: u64,
    gas_limit: u64,
    key: B256,
    to: Address,
    value: U256,
    data: Bytes,
}

/// The whole list.
#[derive(RlpEncodable, RlpDecodable)]
struct Signed {
    chain_id: u64,
    nonce: u64,
    max_priority_fee: u64,
    max_fee: u64,
    gas_limit: u64,
    key: B256,
    to: Address,
    value: U256,
    data: Bytes,
    signature: B512,
}

impl NativeTx {
    /// The account that sends it.
    pub fn sender(&self) -> Address {
        native_address(&self.key)
    }

    /// What the key signs.
    pub fn signing_hash(&self) -> [u8; 32] {
        let body = Unsigned {
            chain_id: self.chain_id,
            nonce: self.nonce,
            max_priority_fee: self.max_priority_fee,
            max_fee: self.max_fee,
            gas_limit: self.gas_limit,
            key: B256::from(self.key.0),
            to: self.to,
            value: self.value,
            data: self.data.clone(),
        };
        tagged(DOMAIN_NATIVE_TX, &[&alloy_rlp::encode(body)])
    }

    /// Signs with the key the transaction names and returns the envelope.
    pub fn sign(&self, secret: &SecretKey) -> Bytes {
        assert_eq!(secret.public(), self.key, "a native transaction is signed by the key it names");
        self.envelope(&secret.sign(&self.signing_hash())).into()
    }

    fn envelope(&self, signature: &Signature) -> Vec<u8> {
        let list = Signed {
            chain_id: self.chain_id,
            nonce: self.nonce,
            max_priority_fee: self.max_priority_fee,
            max_fee: self.max_fee,
            gas_limit: self.gas_limit,
            key: B256::from(self.key.0),
            to: self.to,
            value: self.value,
            data: self.data.clone(),
            signature: B512::from(signature.0),
        };
        let mut raw = Vec::with_capacity(1 + list.length());
        raw.push(NATIVE_TX_TYPE);
        list.encode(&mut raw);
        raw
    }

    fn fields(&self) -> Fields {
        Fields {
            tx_type: NATIVE_TX_TYPE,
            chain_id: self.chain_id,
            gas_limit: self.gas_limit,
            max_fee: u128::from(self.max_fee),
            priority_fee: Some(u128::from(self.max_priority_fee)),
            to: Some(self.to),
            value: self.value,
            input: self.data.clone(),
            access_list: AccessList::default(),
            authorizations: Vec::new(),
            authorities: Vec::new(),
            calls: Vec::new(),
            bound: true,
            blobs: None,
        }
    }
}

/// Decodes an envelope without judging it.
pub fn decode(raw: &[u8]) -> Result<(NativeTx, Signature), TxError> {
    let malformed = |reason: String| TxError::Malformed(reason);
    let (&kind, mut payload) = raw.split_first().ok_or_else(|| malformed("it is empty".into()))?;
    if kind != NATIVE_TX_TYPE {
        return Err(TxError::UnknownType(kind));
    }
    let list = Signed::decode(&mut payload).map_err(|e| malformed(e.to_string()))?;
    let tx = NativeTx {
        chain_id: list.chain_id,
        nonce: list.nonce,
        max_priority_fee: list.max_priority_fee,
        max_fee: list.max_fee,
        gas_limit: list.gas_limit,
        key: PublicKey(list.key.0),
        to: list.to,
        value: list.value,
        data: list.data,
    };
    let signature = Signature(list.signature.0);
    if tx.envelope(&signature) != raw {
        return Err(malformed("it is not in its shortest encoding, or bytes follow it".into()));
    }
    Ok((tx, signature))
}

/// A native transaction whose form is checked and whose signature is not.
pub(super) struct Unproven {
    tx: VerifiedTx,
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
        Self {
            tx: VerifiedTx { hash, sender, nonce, raw, fields, signature: TxSignature::Ed25519(*key, signature) },
            signed,
        }
    }

    fn signature(&self) -> Zip215Item<'_> {
        match &self.tx.signature {
            TxSignature::Ed25519(key, signature) => (&self.signed, *signature, *key),
            TxSignature::Ecdsa(_) => unreachable!("it was built with an ed25519 signature"),
        }
    }

    /// Checks its signature.
    pub fn prove(self) -> Result<VerifiedTx, TxError> {
        if verify_zip215(&self.signature()) { Ok(self.tx) } else { Err(TxError::BadSignature) }
    }

    /// Checks the signatures of many at once, and one by one only where that fails: each gets the answer it would get alone.
    pub fn prove_all(many: Vec<Self>) -> Vec<Result<VerifiedTx, TxError>> {
        let signatures: Vec<Zip215Item<'_>> = many.iter().map(Self::signature).collect();
        match verify_all_zip215(&signatures) {
            true => many.into_iter().map(|one| Ok(one.tx)).collect(),
            false => many.into_iter().map(Self::prove).collect(),
        }
    }
}
