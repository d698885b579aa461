//! A developer's chain as bytes, to be continued later.
//!
//! Owns the format: every block with its receipts and what it changed, borsh behind a version byte. Invariant: what is read back has
//! the roots its headers name, up to changes by hand.

use super::{
    DevChain, State,
    book::{Book, DevBlock},
};
use crate::{
    chain::{
        api::backend::ChainBlock,
        records::{ExecutedBlock, HeaderRecord, ReceiptRecord},
    },
    codec::{self, CodecError, Wire},
    ledger::{
        commitment::{StateCommitment, StateTrie},
        executor::{BlockEnv, Receipt, Rules},
        state::StateDelta,
    },
    types::Height,
};
use borsh::{BorshDeserialize, BorshSerialize};
use std::sync::Arc;

#[derive(Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct BlockRecord {
    header: HeaderRecord,
    txs: Vec<Vec<u8>>,
    receipts: Vec<ReceiptRecord>,
    delta: StateDelta,
}

#[derive(Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct DumpRecord {
    chain_id: u64,
    gas_limit: u64,
    blocks: Vec<BlockRecord>,
}

impl Wire for DumpRecord {
    const NAME: &'static str = "dev chain dump";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 1 << 30;
}

/// Why bytes are no chain.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// Not what [`DevChain::dump`] writes.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// It holds no block.
    #[error("the dump holds no block")]
    Empty,
    /// A header that is none, or stands in the wrong place.
    #[error("block {height} of the dump is unreadable: {reason}")]
    Block { height: Height, reason: String },
}

impl DevChain {
    /// Everything but the pool, the snapshots and the clock.
    pub fn dump(&self) -> Vec<u8> {
        let state = self.inner.state.read().clone();
        let record = |block: &Arc<DevBlock>| BlockRecord {
            header: block.executed().record(),
            txs: block.whole.txs.iter().map(|raw| raw.to_vec()).collect(),
            receipts: block.whole.receipts.iter().map(ReceiptRecord::from).collect(),
            delta: block.delta.clone(),
        };
        codec::encode(&DumpRecord {
            chain_id: state.settings.chain_id,
            gas_limit: state.settings.gas_limit,
            blocks: state.book.blocks().iter().map(record).collect(),
        })
    }

    /// Continues a chain that was dumped, in place of this one. What waits is forgotten, snapshots stay.
    pub fn load(&self, bytes: &[u8]) -> Result<(), DumpError> {
        let dump: DumpRecord = codec::decode(bytes)?;
        let _writing = self.inner.writing.lock();
        let mut settings = self.inner.state.read().settings.clone();
        (settings.chain_id, settings.gas_limit, settings.next_base_fee) = (dump.chain_id, dump.gas_limit, None);
        let (mut trie, mut book) = (StateTrie::default(), None::<Book>);
        for (height, record) in (0u64..).zip(dump.blocks) {
            let block = self.restored(height, dump.chain_id, record, &mut trie)?;
            match &mut book {
                Some(book) => book.push(Arc::new(block)),
                None => book = Some(Book::new(block)),
            }
        }
        let book = book.ok_or(DumpError::Empty)?;
        self.replace(State { book, settings }, Vec::new());
        Ok(())
    }

    fn restored(
        &self,
        height: Height,
        chain_id: u64,
        record: BlockRecord,
        trie: &mut StateTrie,
    ) -> Result<DevBlock, DumpError> {
        let unreadable = |reason: String| DumpError::Block { height, reason };
        let block = ExecutedBlock::from_record(record.header).map_err(|e| unreadable(e.to_string()))?;
        if block.height() != height {
            return Err(unreadable(format!("its header is that of block {}", block.height())));
        }
        if record.txs.len() != record.receipts.len() {
            let (txs, receipts) = (record.txs.len(), record.receipts.len());
            return Err(unreadable(format!("{txs} transactions come with {receipts} receipts")));
        }
        trie.apply(&record.delta);
        self.inner.codes.add(&record.delta.code);
        let header = &block.header;
        let env = BlockEnv {
            chain_id,
            height,
            time_ms: block.time_ms,
            beacon: block.beacon,
            proposer: header.beneficiary,
            round: 0,
            parent_hash: header.parent_hash,
            base_fee: block.base_fee(),
            gas_limit: header.gas_limit,
            params: self.inner.params.clone(),
            rules: Rules::CESS,
        };
        let whole = ChainBlock {
            block,
            txs: record.txs.into_iter().map(Into::into).collect(),
            receipts: record.receipts.into_iter().map(Receipt::from).collect(),
            ommers: Vec::new(),
            withdrawals: Some(Vec::new()),
        };
        Ok(DevBlock { whole: Arc::new(whole), env, trie: trie.clone(), delta: record.delta, access_list: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::records::tests::{executed, receipt};

    #[test]
    fn dev_chain_dump() {
        let block = BlockRecord {
            header: executed().record(),
            txs: vec![vec![1, 2]],
            receipts: vec![ReceiptRecord::from(&receipt())],
            delta: StateDelta::default(),
        };
        codec::golden::check(&DumpRecord { chain_id: 7, gas_limit: 8, blocks: vec![block] });
    }
}
