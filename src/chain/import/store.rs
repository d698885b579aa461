//! The database of an imported chain: blocks as they came, and what came of each.

use super::error::ImportError;
use crate::{
    chain::records::{GenesisRecord, HeightRecord, ReceiptRecord, ReceiptsRecord},
    codec::{self, Wire},
    kv::{Batch, Column, Durability, Kv},
    ledger::{
        ethereum::{EthereumBlock, Processed},
        executor::Receipt,
        state::StateDelta,
    },
    types::{B256, Height},
};
use alloy_rlp::Decodable;
use std::sync::Arc;

const KEY_GENESIS: &[u8] = b"import/genesis";
const KEY_HEIGHT: &[u8] = b"import/height";
/// Suffixes in [`Column::Executed`]: receipts, state roots after transactions, changes of state.
const PART_RECEIPTS: u8 = b'r';
const PART_ROOTS: u8 = b'p';
const PART_DELTA: u8 = b'd';

/// A stored block with what came of it.
pub(super) struct StoredBlock {
    pub block: EthereumBlock,
    pub receipts: Vec<Receipt>,
    pub delta: StateDelta,
}

/// Over an open database.
pub(super) struct ImportStore {
    kv: Arc<dyn Kv>,
}

impl ImportStore {
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        Self { kv }
    }

    /// Takes a fresh database for the chain with this genesis, refuses another chain's.
    pub fn claim(&self, genesis: B256, chain_id: u64) -> Result<(), ImportError> {
        match self.record::<GenesisRecord>(Column::Meta, KEY_GENESIS)? {
            Some(found) if found.hash == genesis.0 => Ok(()),
            Some(found) => Err(ImportError::ForeignDatabase { found: B256::from(found.hash), expected: genesis }),
            None => {
                let mut batch = Batch::new();
                batch.put(Column::Meta, KEY_GENESIS, codec::encode(&GenesisRecord { hash: genesis.0, chain_id }));
                Ok(self.kv.write(batch, Durability::Synced)?)
            }
        }
    }

    /// Newest stored block, 0 before the first.
    pub fn height(&self) -> Result<Height, ImportError> {
        Ok(self.record::<HeightRecord>(Column::Meta, KEY_HEIGHT)?.map_or(0, |marker| marker.0))
    }

    /// Stores a block and what came of it.
    pub fn append(&self, number: Height, raw: Vec<u8>, came: &Processed) -> Result<(), ImportError> {
        let mut batch = Batch::new();
        batch.put(Column::Blocks, number.to_be_bytes(), raw);
        let receipts = ReceiptsRecord(came.receipts.iter().map(ReceiptRecord::from).collect());
        batch.put(Column::Executed, part(number, PART_RECEIPTS), codec::encode(&receipts));
        let roots: Vec<u8> =
            came.receipts.iter().filter_map(|receipt| receipt.post_state).flat_map(|root| root.0).collect();
        if !roots.is_empty() {
            batch.put(Column::Executed, part(number, PART_ROOTS), roots);
        }
        batch.put(Column::Executed, part(number, PART_DELTA), codec::encode(&came.delta));
        batch.put(Column::Meta, KEY_HEIGHT, codec::encode(&HeightRecord(number)));
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }

    /// A stored block.
    pub fn block(&self, number: Height) -> Result<StoredBlock, ImportError> {
        let missing = |what| ImportError::Missing { what, number };
        let raw = self.kv.get(Column::Blocks, &number.to_be_bytes())?.ok_or_else(|| missing("block"))?;
        let block = EthereumBlock::decode(&mut raw.as_slice()).map_err(|_| missing("readable block"))?;
        let receipts: ReceiptsRecord =
            self.record(Column::Executed, &part(number, PART_RECEIPTS))?.ok_or_else(|| missing("receipts"))?;
        let mut receipts: Vec<Receipt> = receipts.0.into_iter().map(Receipt::from).collect();
        if let Some(roots) = self.kv.get(Column::Executed, &part(number, PART_ROOTS))? {
            for (receipt, root) in receipts.iter_mut().zip(roots.chunks_exact(B256::len_bytes())) {
                receipt.post_state = Some(B256::from_slice(root));
            }
        }
        let delta = self.record(Column::Executed, &part(number, PART_DELTA))?.ok_or_else(|| missing("changes"))?;
        Ok(StoredBlock { block, receipts, delta })
    }

    /// Everything stored until now is on the medium.
    pub fn sync(&self) -> Result<(), ImportError> {
        let height = self.height()?;
        let mut batch = Batch::new();
        batch.put(Column::Meta, KEY_HEIGHT, codec::encode(&HeightRecord(height)));
        Ok(self.kv.write(batch, Durability::Synced)?)
    }

    fn record<T: Wire>(&self, column: Column, key: &[u8]) -> Result<Option<T>, ImportError> {
        Ok(self.kv.get(column, key)?.map(|bytes| codec::decode(&bytes)).transpose()?)
    }
}

fn part(number: Height, suffix: u8) -> Vec<u8> {
    [number.to_be_bytes().as_slice(), &[suffix]].concat()
}
