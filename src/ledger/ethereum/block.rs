//! Blocks as Ethereum encodes them.

use crate::ledger::header::ExecutedHeader;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::Bytes;
use alloy_rlp::{Decodable, Error, Header, RlpDecodable};

/// A block with its transactions still in their envelopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EthereumBlock {
    /// Its header.
    pub header: ExecutedHeader,
    /// Envelopes of its transactions.
    pub txs: Vec<Bytes>,
    /// Headers of its ommers.
    pub ommers: Vec<ExecutedHeader>,
    /// Its withdrawals, from Shanghai on.
    pub withdrawals: Option<Vec<Withdrawal>>,
}

/// The block's list with the transactions apart.
#[derive(RlpDecodable)]
#[rlp(trailing)]
struct Raw {
    header: ExecutedHeader,
    txs: Envelopes,
    ommers: Vec<ExecutedHeader>,
    withdrawals: Option<Vec<Withdrawal>>,
}

struct Envelopes(Vec<Bytes>);

impl Decodable for Envelopes {
    fn decode(buf: &mut &[u8]) -> Result<Self, Error> {
        let list = Header::decode(buf)?;
        if !list.list {
            return Err(Error::UnexpectedString);
        }
        let (mut items, rest) = buf.split_at_checked(list.payload_length).ok_or(Error::InputTooShort)?;
        *buf = rest;
        let mut envelopes = Vec::new();
        while !items.is_empty() {
            let mut ahead = items;
            let item = Header::decode(&mut ahead)?;
            // A legacy transaction is a list, the others are strings that hold the type and a list.
            if !item.list {
                items = ahead;
            }
            let len = if item.list { items.len() - ahead.len() + item.payload_length } else { item.payload_length };
            let (envelope, rest) = items.split_at_checked(len).ok_or(Error::InputTooShort)?;
            envelopes.push(Bytes::copy_from_slice(envelope));
            items = rest;
        }
        Ok(Self(envelopes))
    }
}

impl Decodable for EthereumBlock {
    fn decode(buf: &mut &[u8]) -> Result<Self, Error> {
        let Raw { header, txs, ommers, withdrawals } = Raw::decode(buf)?;
        Ok(Self { header, txs: txs.0, ommers, withdrawals })
    }
}
