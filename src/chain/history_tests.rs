//! What a chain keeps of its past: starts from checkpoints, cuts at every write, states of old blocks.

use super::{
    ChainOptions, FullChain, Keeping, StoreError, checkpoint, recovery,
    state_store::StateStore,
    tests::{Fixture, genesis, node},
    undo::UndoLog,
};
use crate::{
    config::History,
    consensus::{Block, Certificate},
    kv::{Batch, Column, Durability, Entry, Kv, KvError, MemoryKv},
    ledger::commitment::StateCommitment,
    types::{Address, Height},
};
use alloy_primitives::TxKind;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A chain of blocks that change the state, as others would send them.
struct Blocks {
    source: Fixture,
    blocks: Vec<(Block, Certificate)>,
}

fn history(heights: u64) -> Blocks {
    let source = Fixture::new();
    let mut blocks = Vec::new();
    for nonce in 0..heights {
        source.chain.admit(&source.native(nonce, 1 + nonce), true).unwrap();
        let fresh = Address::from_word(alloy_primitives::B256::with_last_byte(u8::try_from(nonce).unwrap() | 0x80));
        source.chain.admit(&source.ethereum(nonce, TxKind::Call(fresh), 7, vec![]), true).unwrap();
        let block = source.next();
        let certificate = source.certificate(&block);
        source.chain.commit(&block, &certificate).unwrap();
        blocks.push((block, certificate));
    }
    Blocks { source, blocks }
}

impl Blocks {
    fn open(&self, kv: Arc<dyn Kv>, history: History) -> Result<Arc<FullChain>, StoreError> {
        let keeping = Keeping { history, ..Keeping::default() };
        let options = ChainOptions { keeping, ..ChainOptions::default() };
        FullChain::open_with(&node(), kv, &genesis(&self.source.keys), options)
    }

    /// Opens and goes on to the end, with a checkpoint after every block of `checkpoints`.
    fn run(&self, kv: Arc<dyn Kv>, checkpoints: &[Height]) -> Result<Arc<FullChain>, StoreError> {
        let chain = self.open(kv, History::Pruned)?;
        let worker = chain.node().workers.register("test");
        for (block, certificate) in &self.blocks[usize::try_from(chain.head().height()).unwrap()..] {
            chain.commit(block, certificate)?;
            if checkpoints.contains(&block.header.height) {
                chain.write_checkpoint(&worker)?;
            }
        }
        Ok(chain)
    }

    fn root(&self, height: Height) -> crate::types::B256 {
        self.source.chain.blocks().executed(height).unwrap().unwrap().header.state_root
    }
}

/// The height of the checkpoint a start from `kv` begins with.
fn begins_with(kv: &Arc<MemoryKv>, chain: &FullChain) -> Result<Option<Height>, String> {
    let shared: Arc<dyn Kv> = kv.clone();
    let newest = checkpoint::newest(kv.as_ref()).unwrap().map(|record| record.height);
    let undo = UndoLog::open(shared.clone(), History::Pruned, newest).unwrap();
    let head = chain.head();
    let root = head.executed.header.state_root;
    let loaded = recovery::from_checkpoint(kv.as_ref(), &StateStore::new(shared), &undo, head.height(), root);
    loaded.map(|found| found.map(|(height, _)| height)).map_err(|fault| fault.to_string())
}

#[test]
fn a_start_begins_with_the_newest_checkpoint() {
    let (history, kv) = (history(6), Arc::new(MemoryKv::new()));
    let chain = history.run(kv.clone(), &[]).unwrap();
    assert_eq!(begins_with(&kv, &chain), Ok(None));
    let kv = Arc::new(MemoryKv::new());
    let chain = history.run(kv.clone(), &[2, 4]).unwrap();
    assert_eq!((begins_with(&kv, &chain), chain.checkpointed()), (Ok(Some(4)), Some(4)));
    let rows = kv.scan(Column::Checkpoints, &[], &[], 100).unwrap();
    assert!(rows.iter().all(|(key, _)| key.starts_with(&4u64.to_be_bytes())), "the one before is gone");
    let again = history.open(Arc::new(kv.reopen()), History::Pruned).unwrap();
    assert_eq!(again.head().executed, chain.head().executed);
    assert_eq!(again.state_at(6).unwrap().root(), history.root(6));
}

#[test]
fn a_checkpoint_that_cannot_be_used_costs_time_only() {
    let history = history(6);
    type Damage = fn(&MemoryKv, &mut Batch);
    let damages: [(&str, Damage); 4] = [
        ("missing", |kv, batch| {
            let rows = kv.scan(Column::Checkpoints, &[], &[], 1).unwrap();
            batch.delete(Column::Checkpoints, rows[0].0.clone());
        }),
        ("malformed", |kv, batch| {
            let (key, mut value) = kv.scan(Column::Checkpoints, &[], &[], 1).unwrap().remove(0);
            value.pop();
            batch.put(Column::Checkpoints, key, value);
        }),
        ("has root", |kv, batch| {
            let (key, mut value) = kv.scan(Column::Checkpoints, &[], &[], 1).unwrap().remove(0);
            // The nonce of the first account: version, count, key and address come before it.
            value[1 + 4 + 32 + 20] ^= 1;
            batch.put(Column::Checkpoints, key, value);
        }),
        ("changes of a block", |_, batch| batch.delete(Column::Undo, 5u64.to_be_bytes())),
    ];
    for (words, damage) in damages {
        let kv = Arc::new(MemoryKv::new());
        let chain = history.run(kv.clone(), &[3]).unwrap();
        let mut batch = Batch::new();
        damage(&kv, &mut batch);
        kv.write(batch, Durability::Synced).unwrap();
        let fault = begins_with(&kv, &chain).unwrap_err();
        assert!(fault.contains(words), "{fault}");
        let again = history.open(Arc::new(kv.reopen()), History::Pruned).unwrap();
        assert_eq!(again.state_at(6).unwrap().root(), history.root(6), "{words}");
    }
}

/// A database that fails from the n-th write on, as one of a process that is killed.
struct CutKv {
    disk: Arc<MemoryKv>,
    left: AtomicUsize,
}

impl Kv for CutKv {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.disk.get(column, key)
    }

    fn scan(&self, column: Column, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>, KvError> {
        self.disk.scan(column, prefix, from, limit)
    }

    fn last(&self, column: Column, prefix: &[u8]) -> Result<Option<Entry>, KvError> {
        self.disk.last(column, prefix)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), KvError> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() {
            self.disk.poison("killed");
        }
        self.disk.write(batch, durability)
    }

    fn poison(&self, reason: &str) {
        self.disk.poison(reason);
    }
}

#[test]
fn a_kill_at_any_write_loses_no_decided_block_and_no_state() {
    let history = history(5);
    let end = history.source.chain.head();
    let cuts = (0..).take_while(|&writes| {
        let disk = Arc::new(MemoryKv::new());
        let cut = CutKv { disk: disk.clone(), left: AtomicUsize::new(writes) };
        let finished = history.run(Arc::new(cut), &[2, 4]).is_ok();
        for lost in [Arc::new(disk.reopen()), Arc::new(disk.after_power_loss())] {
            let again = history.open(lost.clone(), History::Pruned).unwrap();
            let (head, decided) = (again.head(), again.blocks().decided_height().unwrap());
            assert_eq!(head.height(), decided, "cut after {writes} writes: every decided block is executed");
            assert_eq!(again.state_at(decided).unwrap().root(), history.root(decided), "cut after {writes} writes");
            drop(again);
            let to_the_end = history.run(Arc::new(lost.reopen()), &[3, 5]).unwrap();
            assert_eq!(to_the_end.head().executed, end.executed, "cut after {writes} writes");
            assert!(begins_with(&Arc::new(lost.reopen()), &to_the_end).is_ok(), "cut after {writes} writes");
        }
        !finished
    });
    assert!(cuts.count() > 15, "blocks, their states and two checkpoints are over fifteen writes");
}

#[test]
fn an_archive_reads_every_state_and_a_pruned_node_the_newest() {
    const HEIGHTS: u64 = 80;
    let history = history(HEIGHTS);
    for (kind, oldest) in [(History::Archive, 0), (History::Pruned, HEIGHTS - 63)] {
        let kv = Arc::new(MemoryKv::new());
        let chain = history.open(kv.clone(), kind).unwrap();
        history.blocks.iter().for_each(|(block, certificate)| drop(chain.commit(block, certificate).unwrap()));
        for chain in [chain, history.open(Arc::new(kv.reopen()), kind).unwrap()] {
            assert_eq!(chain.oldest_state(), oldest);
            for height in 0..=HEIGHTS {
                let found = chain.past_state(height).unwrap().map(|trie| trie.root());
                assert_eq!(found, (height >= oldest).then(|| history.root(height)), "{kind} {height}");
            }
            assert!(chain.past_state(HEIGHTS + 1).unwrap().is_none());
        }
    }
}
