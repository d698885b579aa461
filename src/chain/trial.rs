//! A large state on its way to the disk and back, timed: what `cess bench recovery` measures.
//!
//! Owns the made-up blocks. Uses the parts a node uses, in the node's order, without consensus and execution.

use super::{
    block_store::BlockStore, checkpoint, records::ExecutedBlock, recovery, state_store::StateStore, undo::UndoLog,
};
use crate::{
    config::History,
    kv::{Batch, Durability, Kv, RocksKv, RocksOptions},
    ledger::{
        commitment::{Account, StateCommitment, StateTrie},
        executor::Receipt,
        state::{AccountDelta, AccountInfo, StateDelta},
    },
    types::{Address, B256, BlockId, Height, U256},
};
use alloy_consensus::Header;
use alloy_primitives::Bytes;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// Accounts written at a time while the state is made.
const FILL_ACCOUNTS: u64 = 50_000;

/// A chain database with a large state.
pub struct StateTrial {
    dir: PathBuf,
    open: Open,
    accounts: u64,
    newest: ExecutedBlock,
}

struct Open {
    kv: Arc<dyn Kv>,
    blocks: BlockStore,
    state: StateStore,
    undo: UndoLog,
    trie: StateTrie,
}

/// What a block took, part by part.
#[derive(Debug, Clone, Copy, Default)]
pub struct BlockTimes {
    /// Trie and root.
    pub root: Duration,
    /// Encoding receipts, indexes, flat state and undo record into one batch.
    pub stage: Duration,
    /// The batch through the write-ahead log into the memtables.
    pub write: Duration,
    /// Bytes of keys and values in the batch.
    pub bytes: usize,
}

/// What a start took.
#[derive(Debug, Clone, Copy)]
pub struct StartTimes {
    /// Opening the database, its write-ahead log replayed.
    pub database: Duration,
    /// From there to a verified trie.
    pub trie: Duration,
}

impl StateTrial {
    /// Makes a state of so many accounts in a fresh database in `dir`.
    pub fn fill(dir: &Path, accounts: u64) -> anyhow::Result<Self> {
        let (kv, _) = database(dir)?;
        let state = StateStore::new(kv.clone());
        let mut from = 0;
        while from < accounts {
            let to = accounts.min(from + FILL_ACCOUNTS);
            let delta = StateDelta { accounts: (from..to).map(|n| paid(n, 0)).collect(), ..StateDelta::default() };
            state.commit(Batch::new(), &delta, Durability::Buffered, || ())?;
            from = to;
        }
        let trie = StateTrie::build(&(0..accounts).map(|n| Account::new(address(n), info(n, 0))).collect::<Vec<_>>());
        let undo = UndoLog::open(kv.clone(), History::Pruned, None)?;
        let newest = executed(0, trie.root());
        let blocks = BlockStore::new(kv.clone());
        let mut batch = Batch::new();
        blocks.stage_executed(&mut batch, &newest, &[])?;
        kv.write(batch, Durability::Synced)?;
        Ok(Self { dir: dir.to_owned(), open: Open { kv, blocks, state, undo, trie }, accounts, newest })
    }

    /// Writes a block that changes so many accounts and has so many receipts.
    pub fn block(&mut self, touched: u64, receipts: u64) -> anyhow::Result<BlockTimes> {
        let height = self.newest.height() + 1;
        let picked = |n: u64| (n.wrapping_mul(7_919) + height.wrapping_mul(104_729)) % self.accounts;
        let changes = (0..touched).map(|n| paid(picked(n), height)).collect();
        let (delta, open) = (StateDelta { accounts: changes, ..StateDelta::default() }, &mut self.open);
        let receipts: Vec<Receipt> = (0..receipts).map(|n| receipt(height, n)).collect();
        let started = Instant::now();
        let (root, undo) = open.trie.apply_undoable(&delta);
        let rooted = Instant::now();
        let newest = executed(height, root);
        let mut batch = Batch::new();
        open.blocks.stage_executed(&mut batch, &newest, &receipts)?;
        open.undo.stage(&mut batch, height, &undo);
        open.state.stage(&mut batch, &delta)?;
        let staged = Instant::now();
        let bytes = batch.bytes();
        open.state.commit_staged(batch, &delta, Durability::Buffered, || ())?;
        self.newest = newest;
        let times = BlockTimes { root: rooted - started, stage: staged - rooted, write: staged.elapsed(), bytes };
        Ok(times)
    }

    /// Writes a checkpoint of the newest state.
    pub fn checkpoint(&mut self) -> anyhow::Result<Duration> {
        let (height, started) = (self.newest.height(), Instant::now());
        checkpoint::write(self.open.kv.as_ref(), height, &self.open.trie, |_| ())?;
        self.open.undo.pin(height);
        Ok(started.elapsed())
    }

    /// Height of the checkpoint a start would use.
    pub fn checkpointed(&self) -> anyhow::Result<Option<Height>> {
        Ok(checkpoint::newest(self.open.kv.as_ref())?.map(|record| record.height))
    }

    /// Lets go of the database without telling it, and starts again. What was in memtables comes back from the write-ahead log.
    pub fn restart(self) -> anyhow::Result<(Self, StartTimes)> {
        let Self { dir, open, accounts, newest } = self;
        open.kv.poison("restart");
        drop(open);
        let (kv, database) = database(&dir)?;
        let started = Instant::now();
        let (blocks, state) = (BlockStore::new(kv.clone()), StateStore::new(kv.clone()));
        let pinned = checkpoint::newest(kv.as_ref())?.map(|record| record.height);
        let undo = UndoLog::open(kv.clone(), History::Pruned, pinned)?;
        let trie = recovery::trie(kv.as_ref(), &state, &undo, &newest)?;
        let times = StartTimes { database, trie: started.elapsed() };
        Ok((Self { dir, open: Open { kv, blocks, state, undo, trie }, accounts, newest }, times))
    }
}

fn database(dir: &Path) -> anyhow::Result<(Arc<dyn Kv>, Duration)> {
    let started = Instant::now();
    let kv = RocksKv::open(dir, &RocksOptions { lock_wait: Duration::from_secs(10), ..RocksOptions::default() })?;
    Ok((Arc::new(kv), started.elapsed()))
}

fn address(n: u64) -> Address {
    Address::from_word(B256::from(U256::from(n).wrapping_mul(U256::from(0x9e37_79b9_7f4a_7c15_u64))))
}

fn info(n: u64, height: Height) -> AccountInfo {
    AccountInfo { nonce: height, balance: U256::from(10).pow(U256::from(21)) + U256::from(n), ..Default::default() }
}

fn paid(n: u64, height: Height) -> (Address, AccountDelta) {
    (address(n), AccountDelta { info: Some(info(n, height)), ..AccountDelta::default() })
}

fn executed(height: Height, state_root: B256) -> ExecutedBlock {
    let header = Header { number: height, state_root, base_fee_per_gas: Some(7), ..Header::default() };
    ExecutedBlock {
        hash: header.hash_slow(),
        header,
        beacon: B256::ZERO,
        block: BlockId::default(),
        time_ms: height,
        skipped: Vec::new(),
    }
}

/// A plain transfer's.
fn receipt(height: Height, n: u64) -> Receipt {
    Receipt {
        post_state: None,
        tx: alloy_primitives::keccak256((u128::from(height) << 64 | u128::from(n)).to_be_bytes()),
        tx_type: 2,
        from: address(n),
        to: Some(address(n + 1)),
        contract: None,
        success: true,
        gas_used: 21_000,
        cumulative_gas_used: 21_000 * (n + 1),
        gas_price: 7,
        logs: Vec::new(),
        output: Bytes::new(),
        halt: None,
    }
}
