//! A state that arrives: its rows as they are proven, and what is still missing, in one batch each.
//!
//! Owns the progress of a download on the disk. Must not know peers. Invariants: a database with a target holds no chain yet;
//! the missing parts and the rows together are always the whole state of the target; bytecode is kept even when a target is
//! given up, since its hash is its name.

use crate::{
    chain::{
        block_store::{BlockStore, KEY_GENESIS},
        error::StoreError,
        records::{ExecutedBlock, GenesisRecord, HeaderRecord},
        state_store::{AccountRecord, StateStore, WordRecord, slot_key},
    },
    codec::{self, Wire},
    kv::{Batch, Column, Durability, Kv, KvError},
    ledger::{
        commitment::StateCommitment,
        snapshot::{Open, PartId, Path, Reference, Verified},
    },
};
use alloy_trie::EMPTY_ROOT_HASH;
use borsh::{BorshDeserialize, BorshSerialize};
use std::sync::Arc;

const KEY_TARGET: &[u8] = b"chain/state-sync";
/// Rows removed at a time.
const WIPE_PAGE_ROWS: usize = 1_024;

/// What is being downloaded, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct TargetRecord {
    /// The proven block whose state it is.
    pub executed: HeaderRecord,
}

impl Wire for TargetRecord {
    const NAME: &'static str = "state sync target";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = HeaderRecord::MAX_BYTES;
}

/// Whether `kv` holds a state that is only partly there.
pub(in crate::chain) fn unfinished(kv: &dyn Kv) -> Result<bool, StoreError> {
    Ok(kv.get(Column::Meta, KEY_TARGET)?.is_some())
}

/// Whether `kv` holds no chain yet, so that one may have to be taken over.
pub fn awaits_chain(kv: &dyn Kv) -> Result<bool, KvError> {
    Ok(kv.get(Column::Meta, KEY_GENESIS)?.is_none())
}

/// The database of a node while it takes over a state.
pub(in crate::chain) struct SyncStore {
    kv: Arc<dyn Kv>,
}

impl SyncStore {
    /// Over an open database.
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        Self { kv }
    }

    /// Whether the node has a chain already.
    pub fn has_chain(&self) -> Result<bool, StoreError> {
        Ok(!awaits_chain(self.kv.as_ref())?)
    }

    /// The block whose state is being downloaded, from before a restart.
    pub fn target(&self) -> Result<Option<ExecutedBlock>, StoreError> {
        let Some(bytes) = self.kv.get(Column::Meta, KEY_TARGET)? else { return Ok(None) };
        let record: TargetRecord = codec::decode(&bytes)?;
        let bad = |e: alloy_rlp::Error| StoreError::Header { height: 0, reason: e.to_string() };
        Ok(Some(ExecutedBlock::from_record(record.executed).map_err(bad)?))
    }

    /// Begins to download the state of a proven block.
    pub fn begin(&self, target: &ExecutedBlock) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put(Column::Meta, KEY_TARGET, codec::encode(&TargetRecord { executed: target.record() }));
        let root = target.header.state_root;
        if root != EMPTY_ROOT_HASH {
            stage_open(&mut batch, &Open { id: PartId::Accounts(Path::default()), reference: Reference::Hash(root) });
        }
        Ok(self.kv.write(batch, Durability::Synced)?)
    }

    /// The parts that are missing.
    pub fn open(&self) -> Result<Vec<Open>, StoreError> {
        let (mut open, mut from) = (Vec::new(), Vec::new());
        loop {
            let page = self.kv.scan(Column::StateSync, &[], &from, WIPE_PAGE_ROWS)?;
            let Some((last, _)) = page.last() else { return Ok(open) };
            from = [last.as_slice(), &[0]].concat();
            for (_, row) in page {
                open.push(codec::decode(&row)?);
            }
        }
    }

    /// Writes what proven parts hold and returns the parts they open.
    pub fn apply(&self, parts: Vec<(Open, Verified)>) -> Result<Vec<Open>, StoreError> {
        let (mut batch, mut opened) = (Batch::new(), Vec::new());
        for (part, verified) in parts {
            batch.delete(Column::StateSync, codec::encode(&part.id));
            for (address, info) in verified.accounts {
                batch.put(Column::Accounts, address.as_slice(), codec::encode(&AccountRecord(info)));
            }
            for (address, slot, value) in verified.slots {
                let word = codec::encode(&WordRecord(value.to_be_bytes()));
                batch.put(Column::Slots, slot_key(&address, &slot), word);
            }
            for (hash, code) in verified.code {
                batch.put(Column::Code, hash.as_slice(), code.to_vec());
            }
            for open in verified.open {
                if !self.has_code(&open.id)? {
                    stage_open(&mut batch, &open);
                    opened.push(open);
                }
            }
        }
        // Buffered: a power loss takes back the rows together with the note that they are here.
        self.kv.write(batch, Durability::Buffered)?;
        Ok(opened)
    }

    /// Many accounts share one code.
    fn has_code(&self, id: &PartId) -> Result<bool, StoreError> {
        match id {
            PartId::Code(hash) => Ok(self.kv.get(Column::Code, hash)?.is_some()),
            _ => Ok(false),
        }
    }

    /// Gives up the download. The target goes last, so that an interrupted removal is noticed.
    pub fn wipe(&self) -> Result<(), StoreError> {
        for column in [Column::StateSync, Column::Accounts, Column::Slots] {
            loop {
                let page = self.kv.scan(column, &[], &[], WIPE_PAGE_ROWS)?;
                if page.is_empty() {
                    break;
                }
                let mut batch = Batch::new();
                page.into_iter().for_each(|(key, _)| batch.delete(column, key));
                self.kv.write(batch, Durability::Buffered)?;
            }
        }
        let mut batch = Batch::new();
        batch.delete(Column::Meta, KEY_TARGET);
        Ok(self.kv.write(batch, Durability::Synced)?)
    }

    /// Computes the root of what is on the disk; if it is the target's, the target becomes the newest block of the chain.
    pub fn finish(
        &self,
        target: &ExecutedBlock,
        genesis: &GenesisRecord,
        first: &ExecutedBlock,
    ) -> Result<(), StoreError> {
        let (height, expected) = (target.height(), target.header.state_root);
        let found = StateStore::new(self.kv.clone()).rebuild()?.root();
        if found != expected {
            return Err(StoreError::Root { height, found, expected });
        }
        let blocks = BlockStore::new(self.kv.clone());
        let mut batch = Batch::new();
        blocks.stage_genesis(&mut batch, genesis);
        blocks.stage_executed(&mut batch, first, &[])?;
        blocks.stage_beginning(&mut batch, target);
        batch.delete(Column::Meta, KEY_TARGET);
        Ok(self.kv.write(batch, Durability::Synced)?)
    }
}

fn stage_open(batch: &mut Batch, open: &Open) {
    batch.put(Column::StateSync, codec::encode(&open.id), codec::encode(open));
}
