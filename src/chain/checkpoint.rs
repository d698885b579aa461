//! A copy of the state trie's leaves in the order of their keys, so that a start need not read, hash and sort the flat state.
//!
//! Owns column `checkpoints` and the marker of the newest one. Must not know blocks. Invariants: the marker is written, durably,
//! after every chunk it counts; chunks of the checkpoint before are deleted after that; whatever is read is checked against the root.

use super::error::StoreError;
use crate::{
    codec::{self, Wire},
    kv::{Batch, Column, Durability, Kv},
    ledger::{
        commitment::{Account, StateCommitment, StateTrie, Word},
        state::AccountInfo,
    },
    types::{Address, B256, Height, U256},
};
use borsh::{BorshDeserialize, BorshSerialize};
use rayon::prelude::*;

/// Marker of the newest checkpoint.
const KEY_NEWEST: &[u8] = b"chain/checkpoint";
/// Accounts and slots in a chunk: about a megabyte.
const CHUNK_ENTRIES: usize = 8_192;
/// Chunks of an abandoned checkpoint found and deleted at a time.
const DELETED_AT_ONCE: usize = 16;

/// Which checkpoint is the newest.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct CheckpointRecord {
    /// The block it holds the state of.
    pub height: Height,
    /// Its state root.
    pub root: [u8; 32],
    /// How many chunks there are.
    pub chunks: u32,
}

impl Wire for CheckpointRecord {
    const NAME: &'static str = "checkpoint record";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 45;
}

/// A slot with its key.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct CheckpointWord {
    pub key: [u8; 32],
    pub slot: [u8; 32],
    pub value: [u8; 32],
}

/// An account with its key and some of its slots.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct CheckpointAccount {
    pub key: [u8; 32],
    pub address: [u8; 20],
    pub info: AccountInfo,
    /// Whether these slots follow those in the chunk before.
    pub continued: bool,
    pub words: Vec<CheckpointWord>,
}

/// A part of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct CheckpointChunk(pub Vec<CheckpointAccount>);

impl Wire for CheckpointChunk {
    const NAME: &'static str = "checkpoint chunk";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 2 << 20;
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckpointFault {
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A chunk is missing.
    #[error("chunk {number} of {chunks} is missing")]
    Missing { number: u32, chunks: u32 },
    /// Keys do not ascend.
    #[error("its keys are not in order")]
    Disorder,
    /// It holds another state.
    #[error("its state has root {found}, expected {expected}")]
    Root { found: B256, expected: B256 },
    /// It is of a block that this node has not executed.
    #[error("it is of height {height}, the newest executed block is {newest}")]
    Ahead { height: Height, newest: Height },
    /// What happened since is not known.
    #[error("the changes of a block after it are missing")]
    Changes,
}

/// The newest complete checkpoint.
pub(super) fn newest(kv: &dyn Kv) -> Result<Option<CheckpointRecord>, StoreError> {
    let bytes = kv.get(Column::Meta, KEY_NEWEST)?;
    Ok(bytes.map(|bytes| codec::decode(&bytes)).transpose()?)
}

/// Writes a checkpoint of the state after `height`, which then is the newest; `done` hears of accounts written.
pub(super) fn write(kv: &dyn Kv, height: Height, trie: &StateTrie, done: impl FnMut(u64)) -> Result<(), StoreError> {
    let before = newest(kv)?.map(|record| record.height);
    if before == Some(height) {
        return Ok(());
    }
    delete_all_but(kv, before)?;
    let mut writer = Writer { kv, height, chunk: CheckpointChunk::default(), entries: 0, chunks: 0, accounts: 0, done };
    let mut written = Ok(());
    trie.for_each(|key, account| {
        if written.is_ok() {
            written = writer.account(key, account);
        }
    });
    written?;
    writer.flush()?;
    let record = CheckpointRecord { height, root: trie.root().0, chunks: writer.chunks };
    let mut batch = Batch::new();
    batch.put(Column::Meta, KEY_NEWEST, codec::encode(&record));
    kv.write(batch, Durability::Synced)?;
    delete_all_but(kv, Some(height))
}

/// The state a checkpoint holds, its root verified.
pub(super) fn load(kv: &dyn Kv, record: &CheckpointRecord) -> Result<StateTrie, CheckpointFault> {
    let chunk = |number| -> Result<Vec<CheckpointAccount>, CheckpointFault> {
        let bytes = kv.get(Column::Checkpoints, &chunk_key(record.height, number)).map_err(StoreError::from)?;
        let bytes = bytes.ok_or(CheckpointFault::Missing { number, chunks: record.chunks })?;
        Ok(codec::decode::<CheckpointChunk>(&bytes).map_err(StoreError::from)?.0)
    };
    let chunks: Vec<_> = (0..record.chunks).into_par_iter().map(chunk).collect::<Result<_, _>>()?;
    let accounts: Vec<(B256, Account)> = stitched(chunks).into_par_iter().map(account).collect::<Result<_, _>>()?;
    if !accounts.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(CheckpointFault::Disorder);
    }
    let trie = StateTrie::of_sorted(&accounts);
    let (found, expected) = (trie.root(), B256::from(record.root));
    if found == expected { Ok(trie) } else { Err(CheckpointFault::Root { found, expected }) }
}

/// Accounts in one piece each.
fn stitched(chunks: Vec<Vec<CheckpointAccount>>) -> Vec<CheckpointAccount> {
    let mut whole: Vec<CheckpointAccount> = Vec::with_capacity(chunks.iter().map(Vec::len).sum());
    for account in chunks.into_iter().flatten() {
        match whole.last_mut() {
            Some(last) if account.continued => last.words.extend(account.words),
            _ => whole.push(account),
        }
    }
    whole
}

fn account(entry: CheckpointAccount) -> Result<(B256, Account), CheckpointFault> {
    let word = |word: CheckpointWord| {
        let (slot, value) = (U256::from_be_bytes(word.slot), U256::from_be_bytes(word.value));
        (B256::from(word.key), Word { slot, value })
    };
    let words: Vec<_> = entry.words.into_iter().map(word).collect();
    if !words.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(CheckpointFault::Disorder);
    }
    Ok((B256::from(entry.key), Account::of_sorted(Address::from(entry.address), entry.info, words)))
}

struct Writer<'a, F> {
    kv: &'a dyn Kv,
    height: Height,
    chunk: CheckpointChunk,
    entries: usize,
    chunks: u32,
    accounts: u64,
    done: F,
}

impl<F: FnMut(u64)> Writer<'_, F> {
    fn account(&mut self, key: &B256, account: &Account) -> Result<(), StoreError> {
        let entry = |continued| CheckpointAccount {
            key: key.0,
            address: account.address.into_array(),
            info: account.info,
            continued,
            words: Vec::new(),
        };
        self.add(entry(false))?;
        let mut written = Ok(());
        account.storage.for_each(&mut |key, word| {
            let word = CheckpointWord { key: key.0, slot: word.slot.to_be_bytes(), value: word.value.to_be_bytes() };
            if written.is_ok() && self.chunk.0.is_empty() {
                written = self.add(entry(true));
            }
            if let (Ok(()), Some(last)) = (&written, self.chunk.0.last_mut()) {
                last.words.push(word);
                written = self.counted();
            }
        });
        written?;
        self.accounts += 1;
        Ok(())
    }

    fn add(&mut self, entry: CheckpointAccount) -> Result<(), StoreError> {
        self.chunk.0.push(entry);
        self.counted()
    }

    /// One more entry is in the chunk, which is written when it is full.
    fn counted(&mut self) -> Result<(), StoreError> {
        self.entries += 1;
        if self.entries >= CHUNK_ENTRIES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if self.chunk.0.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.put(Column::Checkpoints, chunk_key(self.height, self.chunks), codec::encode(&self.chunk));
        self.kv.write(batch, Durability::Buffered)?;
        (self.chunk, self.entries, self.chunks) = (CheckpointChunk::default(), 0, self.chunks + 1);
        (self.done)(self.accounts);
        Ok(())
    }
}

/// Deletes every chunk that is not of height `kept`.
fn delete_all_but(kv: &dyn Kv, kept: Option<Height>) -> Result<(), StoreError> {
    let mut from = Vec::new();
    loop {
        let page = kv.scan(Column::Checkpoints, &[], &from, DELETED_AT_ONCE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        from = [last.as_slice(), &[0]].concat();
        let mut batch = Batch::new();
        for (key, _) in page {
            if !kept.is_some_and(|height| key.starts_with(&height.to_be_bytes())) {
                batch.delete(Column::Checkpoints, key);
            }
        }
        kv.write(batch, Durability::Buffered)?;
    }
}

fn chunk_key(height: Height, number: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&height.to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}
