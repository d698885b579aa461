//! What an executed header commits to besides the state: the envelopes and receipts of its block.
//!
//! Owns how they are shipped and verified. Must not know who asks or why. Invariant: opened contents are exactly those of the header:
//! nothing is missing, added, changed or in another order.

use super::{executor::Receipt, header::ExecutedHeader};
use crate::{
    codec::Wire,
    types::{B256, Height},
};
use alloy_consensus::{Receipt as ConsensusReceipt, ReceiptWithBloom, RlpDecodableReceipt};
use alloy_primitives::{Bytes, Log, keccak256};
use alloy_trie::root::ordered_trie_root_encoded;
use borsh::{BorshDeserialize, BorshSerialize};

/// Largest encoded contents. Logs cost at least 8 gas a byte, so that a full block emits at most 15 MB; its body is 4 MiB.
pub const CONTENTS_MAX_BYTES: usize = 32 << 20;
/// First byte of a legacy receipt's list; typed receipts begin with a smaller type.
const RLP_LIST_MIN: u8 = 0xc0;

/// Why contents were not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentsError {
    /// Other transactions than the header's.
    #[error("the transactions given for block {height} have root {found}, its header says {expected}")]
    Transactions { height: Height, found: B256, expected: B256 },
    /// Other receipts than the header's.
    #[error("the receipts given for block {height} have root {found}, its header says {expected}")]
    Receipts { height: Height, found: B256, expected: B256 },
    /// Not in step.
    #[error("block {height} was given with {txs} transactions and {receipts} receipts")]
    Count { height: Height, txs: usize, receipts: usize },
    /// A receipt that is none.
    #[error("receipt {index} of block {height} is malformed: {reason}")]
    Malformed { height: Height, index: usize, reason: String },
}

/// Envelopes and receipts of a block as its tries hold them.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct BlockContents {
    txs: Vec<Vec<u8>>,
    receipts: Vec<Vec<u8>>,
}

impl Wire for BlockContents {
    const NAME: &'static str = "block contents";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = CONTENTS_MAX_BYTES;
}

/// An executed transaction that a header proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenTx {
    /// Its hash.
    pub hash: B256,
    /// Its envelope.
    pub raw: Bytes,
    /// Whether it did what it should.
    pub success: bool,
    /// Gas it used.
    pub gas_used: u64,
    /// What it logged.
    pub logs: Vec<Log>,
}

impl BlockContents {
    /// Of a block's executed transactions, in step with their receipts.
    pub fn new(txs: Vec<Vec<u8>>, receipts: &[Receipt]) -> Self {
        Self { txs, receipts: receipts.iter().map(Receipt::leaf).collect() }
    }

    /// Verifies everything against the roots of `header`.
    pub fn open(self, header: &ExecutedHeader) -> Result<Vec<ProvenTx>, ContentsError> {
        let height = header.number;
        let found = ordered_trie_root_encoded(&self.txs);
        if found != header.transactions_root {
            return Err(ContentsError::Transactions { height, found, expected: header.transactions_root });
        }
        let found = ordered_trie_root_encoded(&self.receipts);
        if found != header.receipts_root {
            return Err(ContentsError::Receipts { height, found, expected: header.receipts_root });
        }
        if self.txs.len() != self.receipts.len() {
            return Err(ContentsError::Count { height, txs: self.txs.len(), receipts: self.receipts.len() });
        }
        let mut gas_before = 0;
        let mut open = |(index, (raw, leaf)): (usize, (Vec<u8>, Vec<u8>))| {
            let receipt =
                read(&leaf).map_err(|e| ContentsError::Malformed { height, index, reason: e.to_string() })?.receipt;
            let gas_used = receipt.cumulative_gas_used.saturating_sub(gas_before);
            gas_before = receipt.cumulative_gas_used;
            let (hash, success) = (keccak256(&raw), receipt.status.coerce_status());
            Ok(ProvenTx { hash, raw: raw.into(), success, gas_used, logs: receipt.logs })
        };
        self.txs.into_iter().zip(self.receipts).enumerate().map(&mut open).collect()
    }
}

fn read(leaf: &[u8]) -> alloy_rlp::Result<ReceiptWithBloom<ConsensusReceipt<Log>>> {
    let typed = leaf.first().is_some_and(|first| *first < RLP_LIST_MIN);
    let mut body = if typed { &leaf[1..] } else { leaf };
    ConsensusReceipt::rlp_decode_with_bloom(&mut body)
}

#[cfg(test)]
mod tests;
