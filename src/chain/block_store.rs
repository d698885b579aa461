//! Decided blocks with their certificates, executed headers with receipts, and the indexes over them.
//!
//! Owns the layout of these columns. Must not know accounts, slots or execution. Invariants: a decided block is on the medium
//! together with its certificate and the marker of the decided height before [`BlockStore::append`] returns; blocks are
//! appended in order without gaps from the first one kept on; index entries are written in the batch that holds what they point at.

use super::{
    error::StoreError,
    log_index::{self, LogRow},
    records::{ExecutedBlock, GenesisRecord, HeaderRecord, HeightRecord, ReceiptRecord, ReceiptsRecord, TxPlace},
};
use crate::{
    codec::{self, Wire},
    consensus::{Block, Certificate},
    kv::{Batch, Column, Durability, Kv},
    ledger::executor::Receipt,
    types::{B256, Height},
};
use alloy_primitives::Bytes;
use std::sync::Arc;

pub(super) const KEY_GENESIS: &[u8] = b"chain/genesis";
const KEY_DECIDED: &[u8] = b"chain/decided";
const KEY_EXECUTED: &[u8] = b"chain/executed";
const KEY_FIRST: &[u8] = b"chain/first";
const KEY_LOGS_FROM: &[u8] = b"chain/logs-from";

/// Suffix of a header's key in [`Column::Executed`].
const PART_HEADER: u8 = b'h';
/// Suffix of the receipts' key in [`Column::Executed`].
const PART_RECEIPTS: u8 = b'r';
/// Suffix of the access list's key in [`Column::Executed`].
const PART_ACCESS_LIST: u8 = b'a';

/// The blocks of one chain.
#[derive(Clone)]
pub struct BlockStore {
    kv: Arc<dyn Kv>,
}

impl BlockStore {
    /// Over an open database.
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        Self { kv }
    }

    /// The chain this database belongs to, unless it is fresh.
    pub fn genesis(&self) -> Result<Option<GenesisRecord>, StoreError> {
        self.record(Column::Meta, KEY_GENESIS)
    }

    /// Highest height whose block is stored; 0 before the first.
    pub fn decided_height(&self) -> Result<Height, StoreError> {
        Ok(self.record::<HeightRecord>(Column::Meta, KEY_DECIDED)?.map_or(0, |marker| marker.0))
    }

    /// Highest height whose state is stored, `None` before genesis is.
    pub fn executed_height(&self) -> Result<Option<Height>, StoreError> {
        Ok(self.record::<HeightRecord>(Column::Meta, KEY_EXECUTED)?.map(|marker| marker.0))
    }

    /// First height whose block is kept: 1, unless the chain began here with the state of a later block.
    pub fn first_height(&self) -> Result<Height, StoreError> {
        Ok(self.record::<HeightRecord>(Column::Meta, KEY_FIRST)?.map_or(1, |marker| marker.0))
    }

    /// Stores a decided block durably. The same block again is fine, another one for its height is not.
    pub fn append(&self, block: &Block, certificate: &Certificate) -> Result<(), StoreError> {
        let height = block.header.height;
        let tip = self.decided_height()?;
        if height <= tip {
            let stored = self.block(height)?.ok_or(StoreError::Missing { what: "block", height })?;
            return if stored.id() == block.id() { Ok(()) } else { Err(StoreError::Conflict(height)) };
        }
        if height != tip + 1 {
            return Err(StoreError::OutOfOrder { found: height, tip });
        }
        let mut batch = Batch::new();
        stage_decided(&mut batch, block, certificate);
        Ok(self.kv.write(batch, Durability::Synced)?)
    }

    /// Stores decided blocks durably at once. They follow the newest one without gaps.
    pub fn append_all<'a>(&self, blocks: impl IntoIterator<Item = &'a (Block, Certificate)>) -> Result<(), StoreError> {
        let (mut batch, mut tip) = (Batch::new(), self.decided_height()?);
        for (block, certificate) in blocks {
            let height = block.header.height;
            if height != tip + 1 {
                return Err(StoreError::OutOfOrder { found: height, tip });
            }
            stage_decided(&mut batch, block, certificate);
            tip = height;
        }
        Ok(self.kv.write(batch, Durability::Synced)?)
    }

    /// A decided block.
    pub fn block(&self, height: Height) -> Result<Option<Block>, StoreError> {
        self.record(Column::Blocks, &height.to_be_bytes())
    }

    /// The proof that a block was decided.
    pub fn certificate(&self, height: Height) -> Result<Option<Certificate>, StoreError> {
        self.record(Column::Certificates, &height.to_be_bytes())
    }

    /// An executed header, genesis included.
    pub fn executed(&self, height: Height) -> Result<Option<ExecutedBlock>, StoreError> {
        let record = self.record::<HeaderRecord>(Column::Executed, &part(height, PART_HEADER))?;
        let bad = |e: alloy_rlp::Error| StoreError::Header { height, reason: e.to_string() };
        record.map(|record| ExecutedBlock::from_record(record).map_err(bad)).transpose()
    }

    /// Receipts of an executed block in order; empty if the height is unknown.
    pub fn receipts(&self, height: Height) -> Result<Vec<Receipt>, StoreError> {
        let record = self.record::<ReceiptsRecord>(Column::Executed, &part(height, PART_RECEIPTS))?;
        Ok(record.unwrap_or_default().0.into_iter().map(Receipt::from).collect())
    }

    /// RLP of an executed block's access list (EIP-7928), which the header's `block_access_list_hash` is the keccak256 of.
    pub fn access_list(&self, height: Height) -> Result<Option<Bytes>, StoreError> {
        Ok(self.kv.get(Column::Executed, &part(height, PART_ACCESS_LIST))?.map(Bytes::from))
    }

    /// Where an executed transaction is.
    pub fn find_tx(&self, hash: &B256) -> Result<Option<TxPlace>, StoreError> {
        self.record(Column::TxIndex, hash.as_slice())
    }

    /// Height of an executed block by its Ethereum hash.
    pub fn find_block(&self, hash: &B256) -> Result<Option<Height>, StoreError> {
        Ok(self.record::<HeightRecord>(Column::BlockIndex, hash.as_slice())?.map(|found| found.0))
    }

    /// First height from which on logs are indexed, `None` before the first block that is. Blocks executed before there was an
    /// index have no rows.
    pub fn logs_from(&self) -> Result<Option<Height>, StoreError> {
        Ok(self.record::<HeightRecord>(Column::Meta, KEY_LOGS_FROM)?.map(|marker| marker.0))
    }

    /// The lowest `limit` heights from `from` on of blocks that have this row.
    pub fn log_heights(&self, row: &LogRow, from: Height, limit: usize) -> Result<Vec<Height>, StoreError> {
        log_index::heights(self.kv.as_ref(), row, from, limit)
    }

    /// Adds an executed block with its indexes and the marker of the executed height to `batch`.
    pub fn stage_executed(
        &self,
        batch: &mut Batch,
        block: &ExecutedBlock,
        receipts: &[Receipt],
    ) -> Result<(), StoreError> {
        let height = block.height();
        if self.logs_from()?.is_none() {
            batch.put(Column::Meta, KEY_LOGS_FROM, codec::encode(&HeightRecord(height)));
        }
        log_index::stage(batch, height, receipts);
        for (index, receipt) in (0u32..).zip(receipts) {
            batch.put(Column::TxIndex, receipt.tx.as_slice(), codec::encode(&TxPlace { height, index }));
        }
        let receipts = ReceiptsRecord(receipts.iter().map(ReceiptRecord::from).collect());
        batch.put(Column::Executed, part(height, PART_HEADER), codec::encode(&block.record()));
        batch.put(Column::Executed, part(height, PART_RECEIPTS), codec::encode(&receipts));
        batch.put(Column::BlockIndex, block.hash.as_slice(), codec::encode(&HeightRecord(height)));
        batch.put(Column::Meta, KEY_EXECUTED, codec::encode(&HeightRecord(height)));
        Ok(())
    }

    /// Adds an executed block's access list to `batch`.
    pub fn stage_access_list(&self, batch: &mut Batch, height: Height, rlp: Bytes) {
        batch.put(Column::Executed, part(height, PART_ACCESS_LIST), rlp);
    }

    /// Adds a block to `batch` after which the chain goes on here, without what was before it: its own body and receipts are not kept.
    pub fn stage_beginning(&self, batch: &mut Batch, block: &ExecutedBlock) {
        let height = block.height();
        let marker = |height| codec::encode(&HeightRecord(height));
        batch.put(Column::Executed, part(height, PART_HEADER), codec::encode(&block.record()));
        batch.put(Column::BlockIndex, block.hash.as_slice(), marker(height));
        batch.put(Column::Meta, KEY_EXECUTED, marker(height));
        batch.put(Column::Meta, KEY_DECIDED, marker(height));
        batch.put(Column::Meta, KEY_FIRST, marker(height + 1));
    }

    /// Adds the chain's identity to `batch`.
    pub fn stage_genesis(&self, batch: &mut Batch, record: &GenesisRecord) {
        batch.put(Column::Meta, KEY_GENESIS, codec::encode(record));
    }

    fn record<T: Wire>(&self, column: Column, key: &[u8]) -> Result<Option<T>, StoreError> {
        let bytes = self.kv.get(column, key)?;
        Ok(bytes.map(|bytes| codec::decode::<T>(&bytes)).transpose()?)
    }
}

fn stage_decided(batch: &mut Batch, block: &Block, certificate: &Certificate) {
    let height = block.header.height;
    batch.put(Column::Blocks, height.to_be_bytes(), codec::encode(block));
    batch.put(Column::Certificates, height.to_be_bytes(), codec::encode(certificate));
    batch.put(Column::Meta, KEY_DECIDED, codec::encode(&HeightRecord(height)));
}

fn part(height: Height, part: u8) -> [u8; 9] {
    let mut key = [part; 9];
    key[..8].copy_from_slice(&height.to_be_bytes());
    key
}
