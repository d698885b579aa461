//! What the forms of a native transaction have in common: the first items of the list, and the envelope around it.
//!
//! Must not know what a transaction does: that is the `body` between head and signature. Invariant: what is signed is the list
//! without its last item, so that a signature covers head and body alike.

use super::{super::tx::Fields, NATIVE_TX_TYPE};
use crate::{
    crypto::{
        PublicKey, Signature,
        hash::{DOMAIN_NATIVE_TX, tagged},
    },
    ledger::tx::TxError,
    types::{B256, ChainId, U256},
};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{B512, Bytes};
use alloy_rlp::{Decodable, Encodable, Header, encode_list};

/// Items of the list that are the head's.
pub(super) const HEAD_ITEMS: usize = 6;

/// The first items of every native transaction, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub chain_id: ChainId,
    pub nonce: u64,
    pub max_priority_fee: u64,
    pub max_fee: u64,
    pub gas_limit: u64,
    pub key: PublicKey,
}

impl Head {
    /// What the key signs.
    pub fn signing_hash(&self, body: &[&dyn Encodable]) -> [u8; 32] {
        tagged(DOMAIN_NATIVE_TX, &[&self.encode(Vec::new(), body, None)])
    }

    /// Type and list.
    pub fn envelope(&self, body: &[&dyn Encodable], signature: &Signature) -> Vec<u8> {
        self.encode(vec![NATIVE_TX_TYPE], body, Some(signature))
    }

    fn encode(&self, mut out: Vec<u8>, body: &[&dyn Encodable], signature: Option<&Signature>) -> Vec<u8> {
        let (key, signature) = (B256::from(self.key.0), signature.map(|signature| B512::from(signature.0)));
        let head: [&dyn Encodable; HEAD_ITEMS] =
            [&self.chain_id, &self.nonce, &self.max_priority_fee, &self.max_fee, &self.gas_limit, &key];
        let last = signature.as_ref().map(|signature| signature as &dyn Encodable);
        let items: Vec<&dyn Encodable> = head.into_iter().chain(body.iter().copied()).chain(last).collect();
        encode_list::<_, dyn Encodable + '_>(&items, &mut out);
        out
    }

    /// Takes an envelope apart without judging it. `body` reads what stands between head and signature.
    pub fn decode<T>(
        raw: &[u8],
        body: impl FnOnce(&mut &[u8]) -> alloy_rlp::Result<T>,
    ) -> Result<(Self, T, Signature), TxError> {
        let (&kind, mut rest) = raw.split_first().ok_or_else(|| TxError::Malformed("it is empty".into()))?;
        if kind != NATIVE_TX_TYPE {
            return Err(TxError::UnknownType(kind));
        }
        let list = |rest: &mut &[u8]| -> alloy_rlp::Result<_> {
            let mut list = Header::decode_bytes(rest, true)?;
            let head = Self::read(&mut list)?;
            let body = body(&mut list)?;
            Ok((head, body, Signature(B512::decode(&mut list)?.0), list.is_empty()))
        };
        match list(&mut rest) {
            Ok((head, body, signature, true)) if rest.is_empty() => Ok((head, body, signature)),
            Ok(_) => Err(TxError::Malformed("bytes follow it".into())),
            Err(error) => Err(TxError::Malformed(error.to_string())),
        }
    }

    fn read(list: &mut &[u8]) -> alloy_rlp::Result<Self> {
        Ok(Self {
            chain_id: Decodable::decode(list)?,
            nonce: Decodable::decode(list)?,
            max_priority_fee: Decodable::decode(list)?,
            max_fee: Decodable::decode(list)?,
            gas_limit: Decodable::decode(list)?,
            key: PublicKey(B256::decode(list)?.0),
        })
    }

    /// As all types of transactions are looked at, without what it does.
    pub fn fields(&self) -> Fields {
        Fields {
            tx_type: NATIVE_TX_TYPE,
            chain_id: self.chain_id,
            gas_limit: self.gas_limit,
            max_fee: u128::from(self.max_fee),
            priority_fee: Some(u128::from(self.max_priority_fee)),
            to: None,
            value: U256::ZERO,
            input: Bytes::new(),
            access_list: AccessList::default(),
            authorizations: Vec::new(),
            authorities: Vec::new(),
            calls: Vec::new(),
            bound: true,
            blobs: None,
        }
    }
}

/// Refuses an envelope that is not what its content encodes to.
pub(super) fn check_shortest(raw: &[u8], encoded: &[u8]) -> Result<(), TxError> {
    match encoded == raw {
        true => Ok(()),
        false => Err(TxError::Malformed("it is not in its shortest encoding".into())),
    }
}
